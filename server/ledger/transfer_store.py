"""SQL of points that move between memberships."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.ledger.rules import Settlement, Take

if TYPE_CHECKING:
    from server.ledger.transfers import Transfer

_LIVE = """
select l.entry as entry_id, l.remaining, l.earned_at, l.available_at, l.expires_at, regulars_person(e.customer) as customer_id
from lot l join ledger_entry e on e.id = l.entry
where l.membership = $1 and l.remaining > 0 order by l.earned_at, l.entry
"""
# One pair of entries a lot; the ids are made by the program, in order.
_MOVE_PARTS = """
with part as (
    select t.*, l.earned_at, l.available_at, l.expires_at, l.idle_days, coalesce(e.customer, $11::uuid) as customer
    from unnest($7::uuid[], $8::bigint[], $9::uuid[], $10::uuid[], $12::uuid[]) as t(lot, points, out_id, in_id, allocation_id)
    join lot l on l.entry = t.lot and l.membership = $1 join ledger_entry e on e.id = l.entry
), outs as (
    insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, related_entry,
                              reason_code, actor_kind, actor_id)
    select out_id, $1, 'TRANSFER_OUT', -points, $3, $3, $4 || ':' || lot, customer, lot, $5, $6, $13::uuid from part
), ins as (
    insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, related_entry,
                              reason_code, actor_kind, actor_id)
    select in_id, $2, 'TRANSFER_IN', points, $3, $3, $4 || ':' || lot, customer, out_id, $5, $6, $13::uuid from part
), new_lots as (
    insert into lot (entry, membership, points, remaining, earned_at, available_at, expires_at, idle_days)
    select in_id, $2, points, points, earned_at, available_at, expires_at, idle_days from part
), used as (
    update lot set remaining = remaining - part.points from part where lot.entry = part.lot
), allocations as (
    insert into allocation (id, membership, debit_entry, lot_entry, points, posted_at)
    select allocation_id, $1, out_id, lot, points, $3 from part
), total as (
    select count(*)::int as lots, coalesce(sum(points), 0)::bigint as points from part
), moved as (
    update membership m
    set balance = m.balance + case when m.id = $1 then -total.points else total.points end, version = m.version + 1
    from total where m.id in ($1, $2)
)
select lots, points from total
"""
# What is owed goes down first and the figures are summed by the caller next, as both may not stand side by side.
_SETTLE = """
with fill as (
    select * from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[]) as t(id, debit, lot, points)
), allocations as (
    insert into allocation (id, membership, debit_entry, lot_entry, points, posted_at)
    select id, $1, debit, lot, points, $6 from fill
), used as (
    update lot set remaining = remaining - f.points
    from (select lot, sum(points) as points from fill group by lot) f where lot.entry = f.lot
)
update membership
set available = 0, pending = 0, deficit = deficit - (select sum(points) from fill), version = version + 1 where id = $1
"""
# A debt that was brought here, cut into what each lot has paid of it and what is still open.
_DEBT_PARTS = """
with debt as (
    select id, -points as points, posted_at from ledger_entry
    where membership = $1 and kind = 'TRANSFER_OUT' and (source_key = $2 or source_key like $2 || ':%')
), paid as (
    select a.lot_entry, sum(a.points)::bigint as points from allocation a join debt d on d.id = a.debit_entry
    group by a.lot_entry
)
select p.points, l.earned_at, l.available_at, l.expires_at
from paid p join lot l on l.entry = p.lot_entry
union all
select (sum(d.points) - coalesce((select sum(points) from paid), 0))::bigint, null, null, null
from debt d having sum(d.points) > coalesce((select sum(points) from paid), 0)
"""
# What is left, in a membership, of lots that an operation moved: in lots that they became, and in what was given back of
# them after it had been spent.
_DESCENDANTS = """
with recursive kin as (
    select e.id from ledger_entry e where e.membership = $1 and e.kind = 'TRANSFER_IN' and e.source_key like $2 || ':%'
      and e.source_key not like $2 || ':deficit%'
    union
    select d.id from kin k, lateral (
        select i.id from ledger_entry o join ledger_entry i on i.related_entry = o.id and i.kind = 'TRANSFER_IN'
        where o.related_entry = k.id and o.kind = 'TRANSFER_OUT'
        union all
        select r.id from allocation a join ledger_entry s on s.id = a.debit_entry and s.kind = 'REDEEM'
        join ledger_entry r on r.related_entry = s.id and r.kind = 'RESTORE'
                           and split_part(r.source_key, ':', 3) = k.id::text
        where a.lot_entry = k.id
    ) d
)
select l.entry, l.remaining from kin join lot l on l.entry = kin.id
where l.membership = $3 and l.remaining > 0 order by l.entry
"""


_FIND_MOVED = """
with recursive kin as (
    select $1::uuid as id
    union
    select i.id from kin k
    join ledger_entry o on o.related_entry = k.id and o.kind = 'TRANSFER_OUT'
    join ledger_entry i on i.related_entry = o.id and i.kind = 'TRANSFER_IN'
)
select l.entry from kin join lot l on l.entry = kin.id
where l.membership = $2 and l.entry <> $1 order by l.remaining desc, l.entry limit 1
"""


async def find_moved(lot_entry_id: UUID, membership_id: UUID) -> UUID | None:
    """Return the lot that another one became in a membership to which its points were moved."""
    row = await DB.fetch_row(_FIND_MOVED, lot_entry_id, membership_id)
    return row["entry"] if row else None


async def list_parts(credit_id: UUID) -> list[Row]:
    """Return which membership answers for which part of a credit, and by which entry; what its earner took along first."""
    return await DB.fetch(
        "select entry, membership, points from regulars_parts($1) order by depth desc, entry", credit_id
    )


async def list_live(membership_id: UUID) -> list[Row]:
    """Return lots with points left and who caused them."""
    return await DB.fetch(_LIVE, membership_id)


async def move_parts(ctx: Context, transfer: "Transfer", parts: Sequence[Take], *, caused_by: UUID | None) -> None:
    """Write the pairs of a transfer and both balances."""
    row = await DB.fetch_row(
        _MOVE_PARTS,
        transfer.from_id,
        transfer.to_id,
        ctx.now,
        str(transfer.operation_id),
        transfer.reason_code,
        ctx.actor.kind,
        [part.lot_entry_id for part in parts],
        [part.points for part in parts],
        [new_id() for _ in parts],
        [new_id() for _ in parts],
        caused_by,
        [new_id() for _ in parts],
        ctx.actor.id,
    )
    assert row is not None
    assert row["lots"] == len(parts), "every lot is the source's own"


async def settle(ctx: Context, membership_id: UUID, fills: Sequence[Settlement]) -> None:
    """Write which lots pay which debts."""
    await DB.fetch(
        _SETTLE,
        membership_id,
        [new_id() for _ in fills],
        [fill.debit_entry_id for fill in fills],
        [fill.lot_entry_id for fill in fills],
        [fill.points for fill in fills],
        ctx.now,
    )


async def list_debt_parts(membership_id: UUID, key: str) -> list[Row]:
    """Return what lots have paid of a debt that an operation brought, with their dates, and what is open."""
    return await DB.fetch(_DEBT_PARTS, membership_id, key)


async def list_left_of(operation_id: UUID, *, moved_to: UUID, home: UUID) -> tuple[Take, ...]:
    """Return what is left of the lots that an operation moved to a membership, wherever they went to in `home` since."""
    rows = await DB.fetch(_DESCENDANTS, moved_to, str(operation_id), home)
    return tuple(Take(lot_entry_id=row["entry"], points=row["remaining"]) for row in rows)


async def get_deficit(membership_id: UUID) -> int:
    """Return a membership's deficit as it stands in this transaction."""
    deficit = await DB.fetch_value("select deficit from membership where id = $1", membership_id)
    assert isinstance(deficit, int)
    return deficit
