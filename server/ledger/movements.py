"""Points going out and coming back: spending, taking back, giving back, adjusting, lapsing.

All run in the caller's transaction with the membership locked (`memberships.store.lock_memberships`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import Row
from server.db.ids import new_id
from server.errors import Refused
from server.ledger import store
from server.ledger.credits import credit_membership
from server.ledger.idle import date_idle_lot, move_idle_lots
from server.ledger.rules import Take, plan_clawback, plan_restore, plan_takes
from server.ledger.transfer_store import find_moved
from server.programmes.rules import idle_until
from shared.enums import EntryKind
from shared.problems import Code

# Enough for nearly every debit; a member with more small lots than this costs a second read.
_LOTS_AT_ONCE = 100


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a movement is for. The same `source_key` posts once in a membership and kind."""

    source_key: str
    customer_id: UUID | None = None
    order_id: UUID | None = None
    related_entry_id: UUID | None = None
    rule_version_id: UUID | None = None
    reason_code: str = ""
    note: str = ""


class Clawback(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken back: `points` in all, of which `owed` became a deficit; `exempt` had lapsed and was let be."""

    points: int
    exempt: int
    owed: int


async def spend(
    ctx: Context, membership: Row, points: int, origin: Origin, *, kind: EntryKind = EntryKind.REDEEM
) -> UUID:
    """Take available points and return the entry's id; never makes a deficit.

    Raises:
        Refused: INSUFFICIENT_POINTS, with the available points in `data`.
    """
    takes = await _plan_spending(membership["id"], points, ctx.now)
    found = sum(take.points for take in takes)
    if found < points:
        raise Refused(Code.INSUFFICIENT_POINTS, data={"available": found})
    return await _debit(ctx, membership["id"], kind, takes, 0, origin)


async def take(ctx: Context, membership: Row, points: int, origin: Origin, *, kind: EntryKind) -> UUID:
    """Take points whether or not they are there; what is not becomes a deficit. For approved adjustments only."""
    lots = await store.list_lots_left(membership["id"])
    plan = plan_clawback(points, None, lots, lapsed_from_own=0, now=ctx.now)
    return await _debit(ctx, membership["id"], kind, plan.takes, plan.owed, origin)


async def claw_back(
    ctx: Context,
    membership_id: UUID,
    points: int,
    origin: Origin,
    *,
    own_entry_id: UUID,
    exempted_before: int = 0,
    kind: EntryKind = EntryKind.CLAWBACK,
    deferred: int | None = None,
) -> Clawback:
    """Take earned points back: from their own lot first, then available, then pending ones, then as a deficit.

    Args:
        own_entry_id: The EARN entry whose points these are.
        exempted_before: Points of that entry which earlier claw-backs let be, because they had lapsed.
        deferred: Points that the caller is about to post again in the same membership; as far as they are spent, they
            become a deficit that the new credit fills, and no other lot is touched. The caller refreshes the figures.
    """
    lots = await store.list_lots_left(membership_id)
    found = await store.find_lapsed(own_entry_id, ctx.now)
    own, lapsed = found or (None, 0)
    if own is not None and all(lot.entry_id != own.entry_id for lot in lots):
        # It may have come here with a reissue or a combination, under another id.
        moved_id = await find_moved(own_entry_id, membership_id)
        moved = await store.find_lapsed(moved_id, ctx.now) if moved_id else None
        own, lapsed = (moved[0], lapsed + moved[1]) if moved else (None, lapsed)
    plan = plan_clawback(
        points,
        own,
        [lot for lot in lots if own is None or lot.entry_id != own.entry_id],
        lapsed_from_own=max(0, lapsed - exempted_before),
        now=ctx.now,
        deferred=deferred or 0,
    )
    if plan.points:
        await _debit(ctx, membership_id, kind, plan.takes, plan.owed, origin, refresh=deferred is None)
    return Clawback(points=plan.points, exempt=plan.exempt, owed=plan.owed)


async def give_back(
    ctx: Context,
    membership: Row,
    points: int,
    origin: Origin,
    *,
    spent_entry_id: UUID,
    grace: timedelta,
    taken: Sequence[Row] | None = None,
) -> int:
    """Give points of a redemption back, each with the dates it had; lapsed ones get `grace`. Returns what was given.

    Args:
        origin: Its `source_key` names what undoes the redemption; one RESTORE entry a lot is made from it.
        spent_entry_id: The REDEEM entry.
        grace: For how many whole days points that have lapsed meanwhile may be spent.
        taken: Of which lots, as `store.list_taken` said before the caller paid a debt of that entry; of all without it.
    """
    if taken is None:
        taken = await store.list_taken(spent_entry_id)
    lots = {row["lot_entry"]: row for row in taken}
    takes = plan_restore(points, [Take(lot_entry_id=row["lot_entry"], points=row["points"]) for row in taken])
    deficit = membership["deficit"]
    for part in takes:
        deficit -= await _restore(
            ctx, membership["id"], deficit, lots[part.lot_entry_id], part, origin, spent_entry_id, grace
        )
    await store.refresh_figures(membership["id"], ctx.now)
    return sum(part.points for part in takes)


async def _plan_spending(membership_id: UUID, points: int, now: datetime) -> tuple[Take, ...]:
    lots = await store.list_lots_to_spend(membership_id, now, _LOTS_AT_ONCE)
    if len(lots) == _LOTS_AT_ONCE and sum(lot.remaining for lot in lots) < points:
        lots = [lot for lot in await store.list_lots_left(membership_id) if lot.available_at <= now]
    return plan_takes(points, lots, now=now)


async def _debit(
    ctx: Context,
    membership_id: UUID,
    kind: EntryKind,
    takes: tuple[Take, ...],
    owed: int,
    origin: Origin,
    *,
    refresh: bool = True,
) -> UUID:
    debit = store.Debit(
        entry_id=new_id(),
        membership_id=membership_id,
        kind=kind,
        points=owed + sum(take.points for take in takes),
        takes=takes,
        owed=owed,
        occurred_at=ctx.now,
        posted_at=ctx.now,
        source_key=origin.source_key,
        customer_id=origin.customer_id,
        order_id=origin.order_id,
        related_entry_id=origin.related_entry_id,
        rule_version_id=origin.rule_version_id,
        reason_code=origin.reason_code,
        note=origin.note,
        actor=ctx.actor,
    )
    posted = await store.insert_debit(debit)
    assert posted, "callers look for what was posted before, under the same lock"
    if kind is EntryKind.REDEEM:
        await move_idle_lots(ctx, membership_id)
    if refresh:
        await store.refresh_figures(membership_id, ctx.now)
    return debit.entry_id


async def _restore(
    ctx: Context,
    membership_id: UUID,
    deficit: int,
    lot: Row,
    part: Take,
    origin: Origin,
    spent_entry_id: UUID,
    grace: timedelta,
) -> int:
    """Post one RESTORE and return how much of it filled the deficit."""
    expires_at, idle_days = await _find_end(ctx, membership_id, lot, grace)
    credit = store.Credit(
        entry_id=new_id(),
        membership_id=membership_id,
        kind=EntryKind.RESTORE,
        points=part.points,
        occurred_at=lot["earned_at"],
        posted_at=ctx.now,
        source_key=f"{spent_entry_id}:{origin.source_key.replace(':', '-')}:{part.lot_entry_id}",
        customer_id=origin.customer_id,
        available_at=lot["available_at"],
        expires_at=expires_at,
        idle_days=idle_days,
        related_entry_id=spent_entry_id,
        reason_code=origin.reason_code,
        note=origin.note,
        actor=ctx.actor,
    )
    filled = await credit_membership(credit, deficit=deficit)
    assert filled is not None, "callers look for what was given back before, under the same lock"
    return filled


async def _find_end(
    ctx: Context, membership_id: UUID, lot: Row, grace: timedelta
) -> tuple[datetime | None, int | None]:
    """Return when points that come back to a lot lapse, and the idle days after which they would."""
    expires_at, idle_days = lot["expires_at"], lot["idle_days"]
    if idle_days is not None:
        expires_at = await date_idle_lot(membership_id, idle_days, expires_at)
    if expires_at is not None and expires_at <= ctx.now:
        # A last chance, which nothing moves; like all points they lapse at the end of a day.
        zone = (await store.get_idle_ground(membership_id))["zone"]
        return idle_until(ctx.now, grace.days, zone), None
    return expires_at, idle_days
