"""SQL of orders that count for a customer from now on, because the till's record of them was linked."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB, Row

# Orders that a person gave to somebody, or took away, stay as that person wanted it.
_WAITING = """
select o.*, s.code as store_code, null::uuid as heir,
       exists (select from refund_line r where r."order" = o.id) as has_returns
from orders o join store s on s.id = o.store
where o.connection = $1 and o.pos_customer_id = any($2::text[]) and o.customer is null
  and o.assignment_reason <> all($3::text[])
  and ($5::timestamptz is null or (o.completed_at, o.id) > ($5, $6::uuid))
order by o.completed_at, o.id limit $4
for update of o
"""
# A merge, and its undoing, take an order along as it was: what it rested on before is what counts.
_THROUGH = """
select o.id, o.external_id, o.completed_at, o.points - o.points_returned as points
from orders o
where o.connection = $1 and o.pos_customer_id = any($2::text[]) and o.customer = $3
  and (o.assignment_reason = 'pos' or o.assignment_reason in ('merge', 'undo') and 'pos' = (
      select a.reason from assignment a where a."order" = o.id and a.reason not in ('merge', 'undo')
      order by a.version desc limit 1))
  and ($5::timestamptz is null or (o.completed_at, o.id) > ($5, $6::uuid))
order by o.completed_at, o.id limit $4
"""
_COUNT_THROUGH = f"""
select count(*) as orders, coalesce(sum(points), 0)::bigint as points from ({_THROUGH}) t
"""
_LINES = 'select * from order_line where "order" = any($1::uuid[]) order by "order", position'
_ATTACH = """
with sent as (
    select * from jsonb_to_recordset($1::jsonb) as o(
        id uuid, points int8, skipped_reason text, rule_version_id uuid, entry_id uuid, former_id uuid,
        available_at timestamptz, expires_at timestamptz)
), archived as (
    insert into assignment (id, "order", version, customer, membership, reason, actor_kind, actor_id, at)
    select s.former_id, o.id, o.assignment_version, o.customer, o.membership, o.assignment_reason, $6, $7, $5
    from sent s join orders o on o.id = s.id
), changed as (
    update orders o
    set customer = $2, membership = $3, points = s.points, skipped_reason = s.skipped_reason,
        rule_version = s.rule_version_id, assignment_reason = $8, assignment_version = o.assignment_version + 1
    from sent s where o.id = s.id
    returning o.id, o.assignment_version, o.completed_at
), lines as (
    update order_line l set points = n.points, rule = n.rule
    from jsonb_to_recordset($4::jsonb) as n(order_id uuid, line_id text, points int8, rule text)
    where l."order" = n.order_id and l.line_id = n.line_id
), earning as (
    select s.*, c.assignment_version, c.completed_at from sent s join changed c on c.id = s.id
    where s.points > 0 and $3 is not null
), entries as (
    insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, "order",
                              rule_version, actor_kind, actor_id)
    select entry_id, $3, 'EARN', points, completed_at, $5, 'order:' || id || ':' || assignment_version, $2, id,
           rule_version_id, $6, $7
    from earning
), lots as (
    insert into lot (entry, membership, points, remaining, earned_at, available_at, expires_at)
    select entry_id, $3, points, points, completed_at, available_at, expires_at from earning
)
update membership
set balance = balance + e.points, lifetime = lifetime + e.points, active_at = greatest(active_at, e.last_at),
    version = version + 1
from (select sum(points)::bigint as points, max(completed_at) as last_at from earning) e
where membership.id = $3 and e.points > 0
"""


class AttachedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order with what it earns its new customer, as the statement reads it from JSON."""

    id: UUID
    points: int
    skipped_reason: str | None
    rule_version_id: UUID | None
    entry_id: UUID
    former_id: UUID
    available_at: datetime
    expires_at: datetime | None


class AttachedLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a line of it earns."""

    order_id: UUID
    line_id: str
    points: int
    rule: str


async def lock_waiting(
    connection_id: UUID,
    pos_customer_ids: Collection[str],
    *,
    explicit: Collection[str],
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> list[Row]:
    """Lock the orders of a till's customer ids that count for nobody, oldest first."""
    return await DB.fetch(
        _WAITING, connection_id, list(pos_customer_ids), list(explicit), limit, *(after or (None, None))
    )


async def list_through(
    connection_id: UUID,
    pos_customer_ids: Collection[str],
    customer_id: UUID,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> list[Row]:
    """Return the orders that count for a customer by the till's customer ids alone, oldest first."""
    return await DB.fetch(_THROUGH, connection_id, list(pos_customer_ids), customer_id, limit, *(after or (None, None)))


async def count_through(
    connection_id: UUID, pos_customer_ids: Collection[str], customer_id: UUID, *, after: tuple[datetime, UUID]
) -> tuple[int, int]:
    """Return how many orders count for a customer by the till's customer ids alone, and their points."""
    row = await DB.fetch_row(_COUNT_THROUGH, connection_id, list(pos_customer_ids), customer_id, None, *after)
    assert row is not None
    return row["orders"], row["points"]


async def list_lines(order_ids: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """Return the lines of several orders."""
    lines: dict[UUID, list[Row]] = {order_id: [] for order_id in order_ids}
    for row in await DB.fetch(_LINES, list(order_ids)):
        lines[row["order"]].append(row)
    return lines


async def attach(
    ctx: Context,
    orders: Sequence[AttachedOrder],
    lines: Sequence[AttachedLine],
    *,
    customer_id: UUID,
    membership_id: UUID | None,
    reason: str,
) -> None:
    """Let orders that counted for nobody count for a customer; the membership is locked and owes nothing."""
    await DB.fetch(
        _ATTACH,
        msgspec.json.encode(orders).decode(),
        customer_id,
        membership_id,
        msgspec.json.encode(lines).decode(),
        ctx.now,
        ctx.actor.kind,
        ctx.actor.id,
        reason,
    )
