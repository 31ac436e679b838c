"""SQL of the ledger."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec

from server.context import Actor
from server.cursors import Cursor
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.ledger.rules import Debt, Fill, Lot, Take

# What fits the columns, with room for sums.
_POINTS_MAX: Final = 2**53
_VERSION_MAX: Final = 2**31 - 1

# What is spendable and pending now, and until when that holds; written after every change that is not a plain credit.
_REFRESH = """
update membership m
set available = f.available, pending = f.pending, figures_until = f.until
from (
    select coalesce(sum(remaining) filter (where available_at <= $2 and (expires_at is null or expires_at > $2)), 0) as available,
           coalesce(sum(remaining) filter (where available_at > $2), 0) as pending,
           least(min(available_at) filter (where available_at > $2), min(expires_at) filter (where expires_at > $2)) as until
    from lot where membership = $1 and remaining > 0
) f
where m.id = $1
"""
# While a membership owes, hardly anything but what it owes is added, so that its debts are among its newest debits.
_DEBTS = """
select m.deficit, d.id, d.open_points
from membership m
left join lateral (
    select e.id, e.posted_at,
           (-e.points - coalesce((select sum(a.points) from allocation a where a.debit_entry = e.id), 0))::bigint as open_points
    from (select id, points, posted_at from ledger_entry where membership = m.id and points < 0
          order by posted_at desc, id desc limit $2) e
) d on d.open_points > 0
where m.id = $1
order by d.posted_at, d.id
"""
_DEBITS_AT_ONCE = 100
_CREDIT = """
with entry as (
    insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, related_entry,
                              reason_code, note, actor_kind, actor_id, "order", rule_version)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $19, $20)
    on conflict (membership, kind, source_key) do nothing
    returning id
), lot as (
    insert into lot (entry, membership, points, remaining, earned_at, available_at, expires_at, idle_days)
    select id, $2, $4, $4 - $17::bigint, $14, $15, $16, $21 from entry
)
update membership set balance = balance + $4, deficit = deficit - $17, lifetime = lifetime + $18::bigint,
                      active_at = case when $3 = 'EARN' then greatest(active_at, $5) else active_at end,
                      version = version + 1
from entry where membership.id = $2
returning entry.id
"""
_ALLOCATE = """
insert into allocation (id, membership, debit_entry, lot_entry, points, posted_at)
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::timestamptz[])
"""
# One pair of entries a live lot, in four set-based inserts and two updates; the ids are made by the program, in order.
_MOVE_LOTS = """
with live as (
    select l.entry, l.remaining, l.earned_at, l.available_at, l.expires_at, l.idle_days, e.customer,
           row_number() over (order by l.earned_at, l.entry) as n
    from lot l join ledger_entry e on e.id = l.entry
    where l.membership = $1 and l.remaining > 0
), ids as (
    select out_id, in_id, allocation_id, n
    from unnest($7::uuid[], $8::uuid[], $9::uuid[]) with ordinality as t(out_id, in_id, allocation_id, n)
), pairs as (
    select * from live join ids using (n)
), outs as (
    insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, related_entry,
                              reason_code, actor_kind, actor_id)
    select out_id, $1, 'TRANSFER_OUT', -remaining, $3, $3, $4 || ':' || entry, customer, entry, $5, $6, $10::uuid from pairs
    returning id
), ins as (
    insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, related_entry,
                              reason_code, actor_kind, actor_id)
    select in_id, $2, 'TRANSFER_IN', remaining, $3, $3, $4 || ':' || entry, customer, out_id, $5, $6, $10::uuid from pairs
    returning id
), new_lots as (
    insert into lot (entry, membership, points, remaining, earned_at, available_at, expires_at, idle_days)
    select in_id, $2, remaining, remaining, earned_at, available_at, expires_at, idle_days from pairs
), emptied as (
    update lot set remaining = 0 from pairs where lot.entry = pairs.entry
), allocations as (
    insert into allocation (id, membership, debit_entry, lot_entry, points, posted_at)
    select allocation_id, $1, out_id, entry, remaining, $3 from pairs
)
select count(*)::int as lots, coalesce(sum(remaining), 0)::bigint as points,
       coalesce(sum(remaining) filter (where expires_at <= $3), 0)::bigint as lapsed
from pairs
"""
_DEBT = """
with entry as (
    insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, related_entry, reason_code,
                              actor_kind, actor_id)
    values ($1, $2, 'TRANSFER_OUT', -$3::bigint, $4, $4, $5, $6, $7, $8, $9)
)
update membership set balance = balance - $3, deficit = deficit + $3, available = 0, pending = 0, version = version + 1
where id = $2
"""
# A debit with the lots it uses: entry, allocations, what is left of the lots, and the membership's totals.
_POST_DEBIT = """
with entry as (
    insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, "order",
                              related_entry, rule_version, reason_code, note, actor_kind, actor_id)
    values ($1, $2, $3, -$4::bigint, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    on conflict (membership, kind, source_key) do nothing
    returning id
), taken as (
    select t.lot, t.points, t.allocation from entry, unnest($16::uuid[], $17::bigint[], $18::uuid[]) as t(lot, points, allocation)
), allocated as (
    insert into allocation (id, membership, debit_entry, lot_entry, points, posted_at)
    select allocation, $2, $1, lot, points, $6 from taken
), used as (
    update lot set remaining = remaining - taken.points from taken where lot.entry = taken.lot
)
update membership set balance = balance - $4, available = 0, pending = 0, deficit = deficit + $19::bigint,
                      active_at = case when $3 = 'REDEEM' then greatest(active_at, $5) else active_at end,
                      version = version + 1
from entry where membership.id = $2
returning entry.id
"""
_LOTS_TO_SPEND = """
select entry, remaining, earned_at, available_at, expires_at from lot
where membership = $1 and remaining > 0 and available_at <= $2 and (expires_at is null or expires_at > $2)
order by expires_at nulls last, earned_at, entry limit $3
"""
_LOTS_LEFT = """
select entry, remaining, earned_at, available_at, expires_at from lot where membership = $1 and remaining > 0
"""
# What has lapsed from a lot: booked by EXPIRE entries, or still lying there after its time.
_LAPSED_FROM = """
select l.entry, l.remaining, l.earned_at, l.available_at, l.expires_at,
       (case when l.expires_at <= $2 then l.remaining else 0 end)
       + coalesce((select sum(a.points) from allocation a join ledger_entry d on d.id = a.debit_entry and d.kind = 'EXPIRE'
                   where a.lot_entry = l.entry), 0)::bigint as lapsed
from lot l where l.entry = $1
"""
_TAKEN_BY = """
select a.lot_entry, (a.points - coalesce(r.points, 0))::bigint as points, l.available_at, l.expires_at, l.earned_at,
       l.idle_days
from allocation a
join lot l on l.entry = a.lot_entry
left join (
    select source.lot, sum(e.points) as points
    from ledger_entry e, lateral (select split_part(e.source_key, ':', 3)::uuid as lot) source
    where e.kind = 'RESTORE' and e.related_entry = $1 group by source.lot
) r on r.lot = a.lot_entry
where a.debit_entry = $1 and a.points > coalesce(r.points, 0)
order by l.expires_at nulls last, l.earned_at, l.entry
"""
# What decides when points under inactivity lapse: since when there was none, where, and after how many days.
_IDLE_GROUND = """
select m.active_at, g.zone,
       array(select distinct l.idle_days from lot l
             where l.membership = m.id and l.idle_days is not null and l.remaining > 0) as idle_days
from membership m join programme g on g.id = m.programme where m.id = $1
"""
# What has lapsed stays lapsed, whether or not that was booked.
_EXTEND_IDLE = """
update lot set expires_at = x.until
from unnest($3::int[], $4::timestamptz[]) as x(days, until)
where lot.membership = $1 and lot.idle_days = x.days and lot.remaining > 0
  and lot.expires_at > $2 and lot.expires_at < x.until
"""
_INHERIT_ACTIVITY = """
update membership m set active_at = greatest(m.active_at, s.active_at) from membership s where m.id = $2 and s.id = $1
"""
_COUNT_LIVE = "select count(*)::int from lot where membership = $1 and remaining > 0"
_SET_TOTALS = """
update membership set balance = balance + $2::bigint, lifetime = lifetime + $3::bigint, version = version + 1 where id = $1
"""
# A page of entries with the balance after each: the balance today less all that is newer than the page. The cursor
# brings that sum along, so that late pages of a long history cost no more than the first; it holds for as long as nothing
# was posted.
_ENTRIES = """
with page as (
    select e.* from ledger_entry e
    where e.membership = $1
      and (e.posted_at, e.id) < (coalesce($2::timestamptz, 'infinity'), coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
    order by e.posted_at desc, e.id desc limit $4
), newest as (
    select posted_at, id from page order by posted_at desc, id desc limit 1
), head as (
    select m.version,
           case when m.version = $6::int then $5::bigint
                when $2 is null then m.balance
                else m.balance - (select coalesce(sum(e.points), 0) from ledger_entry e, newest
                                  where e.membership = $1 and (e.posted_at, e.id) > (newest.posted_at, newest.id))
           end as balance
    from membership m where m.id = $1
)
select p.id, p.kind, p.points, p.occurred_at, p.posted_at, p.reason_code, p.note, p."order", o.number as order_number,
       s.name as store_name, l.available_at, l.expires_at, c.given_name as by_name,
       f.name as staff_name, head.version,
       (head.balance - coalesce(sum(p.points) over (order by p.posted_at desc, p.id desc rows between unbounded preceding and 1 preceding), 0))::bigint
         as balance_after
from page p
cross join head
left join orders o on o.id = p."order"
left join store s on s.id = o.store
left join lot l on l.entry = p.id
left join customer c on c.id = p.customer
left join staff_member f on p.actor_kind = 'staff' and f.id = p.actor_id
order by p.posted_at desc, p.id desc
"""
# The history of an account that was reissued or combined stays that of whoever was in it, also after a merge.
_OWNS = """
select 1 from membership_person p
where p.membership = $1 and (p.left_at is null or p.left_reason in ('reissued', 'combined'))
  and p.customer in (select regulars_people($2))
"""


class EntryCursor(Cursor, frozen=True, array_like=True):
    """The end of a page of entries, with the balance before its last one as of a version of the membership.

    Whoever makes one up deceives nobody but themselves.
    """

    balance: Annotated[int, msgspec.Meta(ge=-_POINTS_MAX, le=_POINTS_MAX)] | None = None
    version: Annotated[int, msgspec.Meta(ge=0, le=_VERSION_MAX)] | None = None


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """A credit entry to write."""

    entry_id: UUID
    membership_id: UUID
    kind: str
    points: int
    occurred_at: datetime
    posted_at: datetime
    source_key: str
    customer_id: UUID | None
    available_at: datetime
    expires_at: datetime | None
    idle_days: int | None = None
    filled: int = 0
    lifetime: int = 0
    related_entry_id: UUID | None = None
    order_id: UUID | None = None
    rule_version_id: UUID | None = None
    reason_code: str = ""
    note: str = ""
    actor: Actor


async def insert_credit(credit: Credit) -> bool:
    """Write a credit with its lot and raise the membership's balance; False if its source key was posted before."""
    row = await DB.fetch_row(
        _CREDIT,
        credit.entry_id,
        credit.membership_id,
        credit.kind,
        credit.points,
        credit.occurred_at,
        credit.posted_at,
        credit.source_key,
        credit.customer_id,
        credit.related_entry_id,
        credit.reason_code,
        credit.note,
        credit.actor.kind,
        credit.actor.id,
        credit.occurred_at,
        credit.available_at,
        credit.expires_at,
        credit.filled,
        credit.lifetime,
        credit.order_id,
        credit.rule_version_id,
        credit.idle_days,
    )
    return row is not None


async def list_debts(membership_id: UUID) -> list[Debt]:
    """Return the debits that found no lot, oldest first; the newest debits are looked at, and all only if need be."""
    rows = await DB.fetch(_DEBTS, membership_id, _DEBITS_AT_ONCE)
    if rows and sum(row["open_points"] or 0 for row in rows) != rows[0]["deficit"]:
        rows = await DB.fetch(_DEBTS, membership_id, None)
    return [Debt(entry_id=row["id"], open_points=row["open_points"]) for row in rows if row["id"] is not None]


async def insert_fills(membership_id: UUID, lot_entry_id: UUID, fills: Sequence[Fill], now: datetime) -> None:
    """Write that a new lot pays older debits."""
    await DB.fetch(
        _ALLOCATE,
        [new_id() for _ in fills],
        [membership_id] * len(fills),
        [fill.debit_entry_id for fill in fills],
        [lot_entry_id] * len(fills),
        [fill.points for fill in fills],
        [now] * len(fills),
    )


async def insert_debt(
    entry_id: UUID,
    membership_id: UUID,
    points: int,
    *,
    source_key: str,
    related_entry_id: UUID,
    reason_code: str,
    now: datetime,
    actor: Actor,
) -> None:
    """Write a debit that no lot covers and raise the membership's deficit by it; the caller refreshes the figures."""
    await DB.fetch(
        _DEBT, entry_id, membership_id, points, now, source_key, related_entry_id, reason_code, actor.kind, actor.id
    )


class Debit(msgspec.Struct, frozen=True, kw_only=True):
    """A debit entry to write; `points` is positive and is `takes` and `owed` together."""

    entry_id: UUID
    membership_id: UUID
    kind: str
    points: int
    takes: tuple[Take, ...]
    owed: int = 0
    occurred_at: datetime
    posted_at: datetime
    source_key: str
    customer_id: UUID | None = None
    order_id: UUID | None = None
    related_entry_id: UUID | None = None
    rule_version_id: UUID | None = None
    reason_code: str = ""
    note: str = ""
    actor: Actor


async def insert_debit(debit: Debit) -> bool:
    """Write a debit with its allocations; False if its source key was posted before.

    The membership's available and pending points are left at zero: the caller refreshes its figures next.
    """
    assert debit.points == debit.owed + sum(take.points for take in debit.takes)
    row = await DB.fetch_row(
        _POST_DEBIT,
        debit.entry_id,
        debit.membership_id,
        debit.kind,
        debit.points,
        debit.occurred_at,
        debit.posted_at,
        debit.source_key,
        debit.customer_id,
        debit.order_id,
        debit.related_entry_id,
        debit.rule_version_id,
        debit.reason_code,
        debit.note,
        debit.actor.kind,
        debit.actor.id,
        [take.lot_entry_id for take in debit.takes],
        [take.points for take in debit.takes],
        [new_id() for _ in debit.takes],
        debit.owed,
    )
    return row is not None


async def list_lots_to_spend(membership_id: UUID, now: datetime, limit: int) -> list[Lot]:
    """Return available lots, soonest to lapse first."""
    return [_lot(row) for row in await DB.fetch(_LOTS_TO_SPEND, membership_id, now, limit)]


async def list_lots_left(membership_id: UUID) -> list[Lot]:
    """Return every lot with points left, lapsed ones included."""
    return [_lot(row) for row in await DB.fetch(_LOTS_LEFT, membership_id)]


async def find_lapsed(entry_id: UUID, now: datetime) -> tuple[Lot, int] | None:
    """Return a lot and how many of its points have lapsed."""
    row = await DB.fetch_row(_LAPSED_FROM, entry_id, now)
    return (_lot(row), row["lapsed"]) if row else None


async def list_taken(debit_entry_id: UUID) -> list[Row]:
    """Return what a debit took from each lot and has not given back, in the order of consumption, with the lots' dates."""
    return await DB.fetch(_TAKEN_BY, debit_entry_id)


def _lot(row: Row) -> Lot:
    return Lot(
        entry_id=row["entry"],
        remaining=row["remaining"],
        earned_at=row["earned_at"],
        available_at=row["available_at"],
        expires_at=row["expires_at"],
    )


async def refresh_figures(membership_id: UUID, now: datetime) -> None:
    """Sum the live lots into the membership's cached figures."""
    await DB.fetch(_REFRESH, membership_id, now)


async def get_idle_ground(membership_id: UUID) -> Row:
    """Return when a membership was last active, its time zone, and the days after which its lots lapse by inactivity."""
    (row,) = await DB.fetch(_IDLE_GROUND, membership_id)
    return row


async def extend_idle(membership_id: UUID, now: datetime, untils: Mapping[int, datetime]) -> None:
    """Let lots that lapse after so many idle days lapse then, if that is later and they have not lapsed yet."""
    await DB.fetch(_EXTEND_IDLE, membership_id, now, list(untils), list(untils.values()))


async def inherit_activity(from_membership: UUID, to_membership: UUID) -> None:
    """Let a membership be active as lately as one whose points it takes over."""
    await DB.fetch(_INHERIT_ACTIVITY, from_membership, to_membership)


async def count_live_lots(membership_id: UUID) -> int:
    """Return how many lots still hold points."""
    count = await DB.fetch_value(_COUNT_LIVE, membership_id)
    assert isinstance(count, int)
    return count


async def move_lots(
    from_membership: UUID,
    to_membership: UUID,
    *,
    now: datetime,
    operation_key: str,
    reason_code: str,
    actor: Actor,
    lots_count: int,
) -> Row:
    """Move every live lot by a pair of TRANSFER entries with the same dates; return count and points."""
    rows = await DB.fetch(
        _MOVE_LOTS,
        from_membership,
        to_membership,
        now,
        operation_key,
        reason_code,
        actor.kind,
        [new_id() for _ in range(lots_count)],
        [new_id() for _ in range(lots_count)],
        [new_id() for _ in range(lots_count)],
        actor.id,
    )
    return rows[0]


async def add_to_totals(membership_id: UUID, *, balance: int, lifetime: int) -> None:
    """Add to a membership's balance and lifetime points."""
    await DB.fetch(_SET_TOTALS, membership_id, balance, lifetime)


async def list_entries(membership_id: UUID, *, before: EntryCursor | None, limit: int) -> list[Row]:
    """Return entries newest first, from behind a cursor, each with the balance after it."""
    if before is None:
        return await DB.fetch(_ENTRIES, membership_id, None, None, limit, None, None)
    return await DB.fetch(_ENTRIES, membership_id, before.at, before.id, limit, before.balance, before.version)


async def has_membership(membership_id: UUID) -> bool:
    """Return whether there is such a membership."""
    return await DB.fetch_row("select 1 from membership where id = $1", membership_id) is not None


async def is_person_of(membership_id: UUID, customer_id: UUID) -> bool:
    """Return whether a customer is in a membership now, or was until it was reissued or combined."""
    return await DB.fetch_row(_OWNS, membership_id, customer_id) is not None
