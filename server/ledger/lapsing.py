"""The run that books lapsed lots: small sets, each in a transaction of its own, out of the way of the tills."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB, Row
from server.ledger import lapse_store
from server.ledger.lapse_store import Place

# Few enough members are locked at once that hardly one sale in a hundred waits, and none for long. All that one of them
# has is booked together, as much of the work is for the membership and not for the lot.
_MEMBERSHIPS_AT_ONCE = 200
_LOTS_AT_ONCE = 600
_START = Place(expires_at=datetime.min.replace(tzinfo=UTC), membership_id=UUID(int=0), is_done=False)

# Called with the memberships of each set, last in its transaction.
OnBooked = Callable[[Context, Sequence[UUID]], Awaitable[None]]


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """What an expiry run booked. A membership counts once for each set of its lots."""

    lots: int = 0
    memberships: int = 0
    points: int = 0

    def __add__(self, other: "Expired") -> "Expired":
        return Expired(
            lots=self.lots + other.lots,
            memberships=self.memberships + other.memberships,
            points=self.points + other.points,
        )


async def expire_lapsed(ctx: Context, *, on_booked: OnBooked | None = None) -> Expired:
    """Book every lapsed lot, oldest first.

    Balances do not change by it, as reads leave lapsed lots out already; so it may run at any time, any number of
    times, late, several at once, and may break off anywhere. Memberships in use are passed over and tried again at the
    end; one that still is then waits for the next run. Half of the time it rests, which leaves the database to the tills.
    """
    total = Expired()
    while (round_ := await _book_round(ctx, on_booked)).lots:
        total += round_
    return total


async def _book_round(ctx: Context, on_booked: OnBooked | None) -> Expired:
    """Go through all lapsed lots once."""
    total, place = Expired(), _START
    while True:
        started_at = time.perf_counter()
        async with DB.transaction():
            booked, place_after = await _book_some(ctx, place, on_booked)
        if place_after is None:
            return total
        total, place = total + booked, place_after
        await asyncio.sleep(time.perf_counter() - started_at)


async def _book_some(ctx: Context, place: Place, on_booked: OnBooked | None) -> tuple[Expired, Place | None]:
    """Book the next memberships that are free; return what was booked and from where to go on."""
    found = await lapse_store.list_lapsed(ctx.now, place, _MEMBERSHIPS_AT_ONCE, lots_max=_LOTS_AT_ONCE)
    if not found:
        return Expired(), None
    chosen, last = _choose(found)
    locked = await lapse_store.lock_free(chosen)
    booked = Expired()
    if lots := await lapse_store.list_lapsed_of(ctx.now, locked, _LOTS_AT_ONCE):
        row = await lapse_store.book_lots(ctx.now, lots)
        booked = Expired(lots=row["lots"], memberships=len(row["memberships"]), points=row["points"])
        if on_booked is not None and row["memberships"]:
            await on_booked(ctx, row["memberships"])
    # The rest of the last membership's lots of that instant come next, unless nothing moves on here.
    return booked, Place(expires_at=last["expires_at"], membership_id=last["membership"], is_done=not booked.lots)


def _choose(found: Sequence[Row]) -> tuple[dict[UUID, int], Row]:
    """Return the first memberships, with how many lots each has, that make one set; and the last row that belongs to it."""
    chosen: dict[UUID, int] = {}
    last = found[0]
    for row in found:
        if row["membership"] not in chosen:
            if chosen and sum(chosen.values()) + row["lots"] > _LOTS_AT_ONCE:
                break
            chosen[row["membership"]] = row["lots"]
        last = row
    return chosen, last
