"""SQL of booking lapsed lots."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from server.db.engine import DB, Row
from server.db.ids import new_ids

# From a place on, and not always from the start: what has just been booked stays in the index until it is cleaned.
_LAPSED = """
with found as (
    select entry, membership, expires_at from lot
    where remaining > 0 and expires_at <= $1 and (expires_at, membership) {} ($2, $3)
    order by expires_at, membership limit $4
)
select f.entry, f.membership, f.expires_at, c.lots
from found f
join (select m.membership,
             (select count(*)::int from (select from lot l where l.membership = m.membership and l.remaining > 0
                                         and l.expires_at <= $1 limit $5) lapsed) as lots
      from (select distinct membership from found) m) c using (membership)
order by f.expires_at, f.membership
"""
_FROM, _BEHIND = _LAPSED.format(">="), _LAPSED.format(">")
# Locked in order, and those in use are left out, so that sales never wait for this and it never waits for them.
_LOCK_FREE = "select id from membership where id = any($1::uuid[]) order by id for no key update skip locked"
_LAPSED_OF = """
select entry from lot where membership = any($2::uuid[]) and remaining > 0 and expires_at <= $1
order by expires_at, membership, entry limit $3
"""
# One EXPIRE entry for each lot that is still lapsed. A statement of its own, because that which takes the locks sees lots
# as they were before it had them. It is flushed with the next sale: what a crash takes with it, the next run books again.
_BOOK = """
with lapsed as materialized (
    select l.entry, l.membership, l.remaining, l.expires_at, x.debit, x.allocation
    from unnest($2::uuid[], $3::uuid[], $4::uuid[]) as x(entry, debit, allocation) join lot l on l.entry = x.entry
    where l.remaining > 0 and l.expires_at <= $1
), entries as (
    insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, actor_kind)
    select debit, membership, 'EXPIRE', -remaining, expires_at, $1, 'lot:' || entry, 'system' from lapsed
), allocations as (
    insert into allocation (id, membership, debit_entry, lot_entry, points, posted_at)
    select allocation, membership, debit, entry, remaining, $1 from lapsed
), emptied as (
    update lot set remaining = 0 from lapsed where lot.entry = lapsed.entry
), lowered as (
    update membership m
    set balance = balance - x.points, available = f.available, pending = f.pending, figures_until = f.until,
        version = version + 1
    from (select membership, sum(remaining) as points from lapsed group by membership) x
    cross join lateral (
        select coalesce(sum(l.remaining) filter (where l.available_at <= $1), 0) as available,
               coalesce(sum(l.remaining) filter (where l.available_at > $1), 0) as pending,
               least(min(l.available_at) filter (where l.available_at > $1), min(l.expires_at)) as until
        from lot l
        where l.membership = x.membership and l.remaining > 0 and (l.expires_at is null or l.expires_at > $1)
    ) f
    where m.id = x.membership
    returning m.id
)
select (select count(*)::int from lapsed) as lots, array(select id from lowered) as memberships,
       coalesce((select sum(remaining) from lapsed), 0)::bigint as points
"""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run has come: at this membership's lots of this instant, or behind them when `is_done`."""

    expires_at: datetime
    membership_id: UUID
    is_done: bool


async def list_lapsed(now: datetime, place: Place, limit: int, *, lots_max: int) -> list[Row]:
    """Return lots with points left that have lapsed, from a place on, those that lapsed first before the others.

    With each comes how many lapsed lots its membership has, `lots_max` if there are more.
    """
    sql = _BEHIND if place.is_done else _FROM
    return await DB.fetch(sql, now, place.expires_at, place.membership_id, limit, lots_max)


async def lock_free(membership_ids: Collection[UUID]) -> set[UUID]:
    """Lock those of the memberships that nobody else holds, and return their ids."""
    return {row["id"] for row in await DB.fetch(_LOCK_FREE, list(membership_ids))}


async def list_lapsed_of(now: datetime, membership_ids: Collection[UUID], limit: int) -> list[UUID]:
    """Return the lots of memberships that have lapsed with points left, those that lapsed first before the others."""
    return [row["entry"] for row in await DB.fetch(_LAPSED_OF, now, list(membership_ids), limit)]


async def book_lots(now: datetime, lot_ids: Sequence[UUID]) -> Row:
    """Book lots of locked memberships that are still lapsed; return the count of lots, the memberships and the points."""
    ids = new_ids(2 * len(lot_ids))
    rows = await DB.fetch(_BOOK, now, list(lot_ids), ids[::2], ids[1::2])
    return rows[0]
