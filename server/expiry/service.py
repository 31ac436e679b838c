"""Use cases around lapsing points."""

from datetime import UTC, datetime, time, timedelta
from typing import Final
from uuid import UUID

import msgspec

from server.audience.marks import mark_memberships
from server.context import Context, Tools, system_context
from server.cursors import decode_cursor, encode_cursor
from server.db.engine import DB, Row
from server.errors import NotFound
from server.expiry import store
from server.expiry.rules import is_quiet, say_day, say_points, say_schedule
from server.ledger import store as ledger
from server.ledger.lapsing import Expired, expire_lapsed
from server.messages.service import queue_mail
from shared.limits import EXPIRY_NOTICE_DAYS, EXPIRY_NOTICE_SPAN
from shared.members import DatedPoints
from shared.reports import ExpiryMonth, ExpirySchedule

_TEMPLATE: Final = "points_lapse"
_RESCUE: Final = " Whatever you buy or redeem before then keeps points that lapse by inactivity."
_MEMBERSHIPS_AT_ONCE: Final = 200
_NO_ID: Final = UUID(int=0)
_LAST_ID: Final = UUID(int=2**128 - 1)


class ExpiryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did: lots it booked, and notices it queued."""

    expired: Expired
    notices: int


async def get_own_schedule(
    ctx: Context, customer_id: UUID, membership_id: UUID, *, cursor: str, limit: int
) -> ExpirySchedule:
    """Return what lapses when in a membership that the customer is in.

    Raises:
        NotFound: It does not exist or is another person's.
        Invalid: The cursor is not one of ours.
    """
    if not await ledger.is_person_of(membership_id, customer_id):
        raise NotFound
    return await get_schedule(ctx, membership_id, cursor=cursor, limit=limit)


async def get_schedule(ctx: Context, membership_id: UUID, *, cursor: str, limit: int) -> ExpirySchedule:
    """Return what lapses when, month by month.

    Raises:
        NotFound: There is no such membership.
        Invalid: The cursor is not one of ours.
    """
    before = decode_cursor(cursor)
    head = await store.get_head(membership_id)
    if head is None:
        raise NotFound
    after = before[0].date() if before else None
    rows = await store.list_months(membership_id, ctx.now, after=after, limit=limit + 1)
    items = tuple(_month(row) for row in rows[:limit])
    next_cursor = None
    if len(rows) > limit:
        next_cursor = encode_cursor(datetime.combine(items[-1].month, time(), UTC), _NO_ID)
    return ExpirySchedule(zone=head["zone"], never=head["never"], items=items, as_of=ctx.now, next_cursor=next_cursor)


async def run_expiry(ctx: Context) -> ExpiryRun:
    """Book what has lapsed and tell members what is about to; may run at any time and any number of times."""
    expired = await expire_lapsed(ctx, on_booked=mark_memberships)
    return ExpiryRun(expired=expired, notices=await send_notices(ctx))


async def sweep_expiry(tools: Tools) -> None:
    """Do so by the clock; the worker's hourly round."""
    await run_expiry(system_context(tools))


async def send_notices(ctx: Context, *, memberships_at_once: int = _MEMBERSHIPS_AT_ONCE) -> int:
    """Mail members once about each group of points, 30 and 7 days ahead, and return how many mails were queued.

    A mail tells of a week's worth of points. Where it is night at the programme's place, notices wait for the morning.
    """
    awake = [row["id"] for row in await store.list_zones() if not is_quiet(ctx.now, row["zone"])]
    count = 0
    # From far to near, each step leaving to the nearer one what is its.
    for days, nearer in zip(EXPIRY_NOTICE_DAYS, (*EXPIRY_NOTICE_DAYS[1:], 0), strict=True):
        count += await _send_ahead(ctx, days, nearer, awake, at_once=memberships_at_once)
    return count


async def _send_ahead(ctx: Context, days: int, nearer: int, programme_ids: list[UUID], *, at_once: int) -> int:
    after, until = ctx.now + timedelta(days=nearer), ctx.now + timedelta(days=days)
    place, count = (after, _LAST_ID), 0
    while True:
        async with DB.transaction():
            due = await store.list_due(place, until=until, days=days, programme_ids=programme_ids, limit=at_once)
            members = sorted({row["membership"] for row in due})
            rows = await store.note_notices(ctx.now, members, after=after, until=until + EXPIRY_NOTICE_SPAN, days=days)
            for row in rows:
                await _queue(ctx, row)
        count += len(rows)
        if len(due) < at_once:
            return count
        place = (due[-1]["expires_at"], due[-1]["membership"])


async def _queue(ctx: Context, row: Row) -> None:
    zone = row["zone"]
    await queue_mail(
        ctx,
        to=row["email"],
        template=_TEMPLATE,
        customer_id=row["customer"],
        parameters={
            "given_name": row["given_name"],
            "points": say_points(row["points"], row["unit_one"], row["unit_many"]),
            "first_day": say_day(row["first"], zone),
            "schedule": say_schedule([(lot[0], lot[1]) for lot in row["lots"]], zone),
            "programme": row["programme_name"],
            "rescue": _RESCUE if row["is_idle"] else "",
        },
    )


def _month(row: Row) -> ExpiryMonth:
    lots = tuple(DatedPoints(at=lot[0], points=lot[1]) for lot in row["lots"])
    return ExpiryMonth(month=row["month"], points=row["points"], lots=lots)
