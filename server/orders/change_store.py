"""SQL of orders that change after they came: other content, another member, no sale at all."""

from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.orders.store import LineRecord, OrderRecord

# Where a buyer may have taken points of an order along on leaving a shared membership.
AWAY = """
array(select distinct regulars_heir(left_for.other)
      from regulars_people(o.customer) as buyer (id) join sharing_operation left_for on left_for.customer = buyer.id
      where left_for.kind = 'leave' and left_for.state = 'done' order by 1)
"""
# `heir` is the membership in which the order counts today.
_ORDER = f"""
select o.*, s.code as store_code, case when o.membership is not null then regulars_heir(o.membership) end as heir,
       {AWAY} as away
from orders o join store s on s.id = o.store where o.{{condition}}
"""
_LOCK_ORDER = "select id from orders where id = $1 for update"
# What the order earned in a membership or those it succeeded, less what was taken back or let be, newest first; and of each
# credit what its buyer took along before what stayed.
_CREDITS = """
with part as (
    select e.id as credit, e.posted_at, e.rule_version, p.entry as id, p.membership, p.depth, coalesce(x.points, 0)::bigint as exempt,
           p.points + coalesce(d.points, 0) - coalesce(x.points, 0) as points_left
    from ledger_entry e
    cross join lateral regulars_parts(e.id) p
    left join lateral (
        select sum(taken.points) as points from ledger_entry taken
        where taken."order" = $1 and taken.related_entry = p.entry and taken.kind in ('CLAWBACK', 'CORRECTION')
    ) d on true
    left join lateral (select sum(points) as points from exemption where "order" = $1 and entry = p.entry) x on true
    where e."order" = $1 and e.points > 0 and e.kind in ('EARN', 'CORRECTION')
      and (e.membership = $2 or regulars_heir(e.membership) = $2)
), bounded as (
    select *, sum(points_left) over (partition by credit) - coalesce(sum(greatest(points_left, 0)) over (
               partition by credit order by depth desc, id rows between unbounded preceding and 1 preceding), 0) as of_credit
    from part
)
select id, membership, rule_version, exempt, least(points_left, of_credit)::bigint as points_left
from bounded where least(points_left, of_credit) > 0 order by posted_at desc, credit desc, depth desc, id
"""
_EXEMPT = """
insert into exemption (id, "order", membership, entry, points, source_key, at) values ($1, $2, $3, $4, $5, $6, $7)
"""
_HAS_EARNED = """
select 1 from ledger_entry where "order" = $1 and kind = 'EARN' and source_key = $2
"""
# Nobody is left who could owe the points of a membership that was given up.
_POLICY = """
select case m.status when 'forfeited' then 'available_only' else g.clawback_policy end
from membership m join programme g on g.id = m.programme where m.id = $1
"""
_ARCHIVE = """
insert into assignment (id, "order", version, customer, membership, reason, actor_kind, actor_id, at)
select $1, id, assignment_version, customer, membership, assignment_reason, $3, $4, $5 from orders where id = $2
"""
# Whether what a till names a customer by is, or was, the customer's for whom the order counts. Of somebody who was forgotten
# nothing is left to tell it by.
_IS_NAMED = """
select 1 from orders o join customer c on c.id = o.customer
where o.id = $1 and (
    c.status = 'erased' or o.pos_customer_id = $4
    or exists (select from card k where k.code = $2 and k.customer = c.id)
    or exists (select from contact_point p where p.kind = 'email' and p.key = $3 and p.customer = c.id)
    or exists (select from pos_record r join pos_link l on l.record = coalesce(r.merged_into, r.id)
               where r.connection = o.connection and r.external_id = $4 and l.customer = c.id))
"""
_PROGRAMMES = "select count(distinct programme) from membership where id = any($1::uuid[])"
_CHANGE_ORDER = """
update orders
set number = $2, store = (select id from store where code = $3), completed_at = $4, currency = $5, net_minor = $6,
    tax_minor = $7, content_hash = $8, points = $9, skipped_reason = $10, rule_version = $11, state = $12, revision = $13,
    customer = $14, membership = $15, assignment_reason = $16, assignment_version = $17, points_returned = $18
where id = $1
"""
# Lines that stay keep their ids, as entries and returns may name them.
_CHANGE_LINES = """
with sent as (
    select * from jsonb_to_recordset($2::jsonb) as l(
        id uuid, position int2, line_id text, sku text, description text, category text, quantity numeric,
        net_minor int8, tax_minor int8, points int8, rule text, stored_value bool, points_paid_minor int8)
), gone as (
    delete from order_line where "order" = $1 and line_id not in (select line_id from sent)
)
insert into order_line (id, "order", position, line_id, sku, description, category, quantity, net_minor, tax_minor,
                        points, rule, stored_value, points_paid_minor)
select id, $1, position, line_id, sku, description, category, quantity, net_minor, tax_minor, points, rule, stored_value,
       points_paid_minor
from sent
on conflict ("order", line_id) do update
set position = excluded.position, sku = excluded.sku, description = excluded.description, category = excluded.category,
    quantity = excluded.quantity, net_minor = excluded.net_minor, tax_minor = excluded.tax_minor,
    points = excluded.points, rule = excluded.rule, stored_value = excluded.stored_value,
    points_paid_minor = excluded.points_paid_minor
"""
_VOID = """
with emptied as (update order_line set points = 0, rule = $3 where "order" = $1)
update orders set state = 'voided', points = 0, points_returned = 0, skipped_reason = 'voided', revision = greatest(revision, $2)
where id = $1
"""
_KEEP_POS_CUSTOMER = """
update orders o set pos_customer_id = $2
where o.id = $1 and o.pos_customer_id is distinct from $2
  and not exists (select from customer c where c.id = o.customer and c.status = 'erased')
"""
# Of a person who has left since, too: what they earned stays in the membership, and so does what is put right of it.
_LOCK_KEPT = """
select m.id, m.programme, m.status, m.deficit, p.eligible_from
from membership m
left join lateral (
    select eligible_from from membership_person
    where membership = m.id and customer = $2 order by left_at is null desc, joined_at desc limit 1
) p on true
where m.id = $1 for no key update of m
"""


async def find_order(order_id: UUID) -> Row | None:
    """Return an order with its store's code and the membership in which its points live."""
    return await DB.fetch_row(_ORDER.format(condition="id = $1"), order_id)


async def find_by_external_id(connection_id: UUID, external_id: str) -> Row | None:
    """Return likewise an order that this till system sent before."""
    return await DB.fetch_row(
        _ORDER.format(condition="connection = $1 and o.external_id = $2"), connection_id, external_id
    )


async def lock_order(order_id: UUID) -> Row:
    """Lock an order and return it; memberships are locked before."""
    await DB.fetch(_LOCK_ORDER, order_id)
    row = await find_order(order_id)
    assert row is not None, "orders are never deleted"
    return row


async def lock_kept(membership_id: UUID, customer_id: UUID | None) -> Row:
    """Lock a membership and return its state and the person's start date, also of one who left."""
    row = await DB.fetch_row(_LOCK_KEPT, membership_id, customer_id)
    assert row is not None
    return row


async def list_credits(order_id: UUID, membership_id: UUID) -> list[Row]:
    """Return the credits of an order that counts in a membership of which points are left, newest first.

    Each row is a part of one that a single membership answers for: what the buyer took along on leaving that membership,
    and what stayed there.
    """
    return await DB.fetch(_CREDITS, order_id, membership_id)


async def insert_exemption(
    ctx: Context, order_id: UUID, membership_id: UUID, entry_id: UUID, *, points: int, source_key: str
) -> None:
    """List points that were not taken back because they had lapsed."""
    await DB.fetch(_EXEMPT, new_id(), order_id, membership_id, entry_id, points, source_key, ctx.now)


async def has_earned(order_id: UUID, source_key: str) -> bool:
    """Return whether an order has its EARN entry of this source key."""
    return await DB.fetch_row(_HAS_EARNED, order_id, source_key) is not None


async def get_membership(membership_id: UUID) -> Row:
    """Return a membership as it stands in this transaction."""
    row = await DB.fetch_row("select * from membership where id = $1", membership_id)
    assert row is not None
    return row


async def get_deficit(membership_id: UUID) -> int:
    """Return a membership's deficit as it stands in this transaction."""
    deficit = await DB.fetch_value("select deficit from membership where id = $1", membership_id)
    assert isinstance(deficit, int)
    return deficit


async def get_clawback_policy(membership_id: UUID) -> str:
    """Return what is done about points that were spent before they are taken back: what the programme says, mostly."""
    return str(await DB.fetch_value(_POLICY, membership_id))


async def archive_assignment(ctx: Context, order_id: UUID) -> None:
    """Keep the present assignment of an order as a former one."""
    await DB.fetch(_ARCHIVE, new_id(), order_id, ctx.actor.kind, ctx.actor.id, ctx.now)


async def change_order(
    order_id: UUID,
    record: OrderRecord,
    *,
    customer_id: UUID | None,
    membership_id: UUID | None,
    assignment_version: int,
    points_returned: int,
) -> None:
    """Write an order anew, with its lines."""
    await DB.fetch(
        _CHANGE_ORDER,
        order_id,
        record.number,
        record.store_code,
        record.completed_at,
        record.currency,
        record.net_minor,
        record.tax_minor,
        record.content_hash,
        record.points,
        record.skipped_reason,
        record.rule_version_id,
        record.state,
        record.revision,
        customer_id,
        membership_id,
        record.assignment_reason,
        assignment_version,
        points_returned,
    )
    await change_lines(order_id, record.lines)


async def change_lines(order_id: UUID, lines: tuple[LineRecord, ...]) -> None:
    """Write an order's lines anew; those that stay keep their ids."""
    await DB.fetch(_CHANGE_LINES, order_id, msgspec.json.encode(lines).decode())


async def void_order(order_id: UUID, *, revision: int, rule: str) -> None:
    """Mark an order and its lines as voided."""
    await DB.fetch(_VOID, order_id, revision, rule)


async def keep_pos_customer(order_id: UUID, pos_customer_id: str | None) -> None:
    """Note by which of its own ids the till names an order's customer, if by any; nothing of somebody who was forgotten."""
    await DB.fetch(_KEEP_POS_CUSTOMER, order_id, pos_customer_id)


async def is_named(order_id: UUID, *, card: str | None, email_key: str | None, pos_customer_id: str | None) -> bool:
    """Return whether a till still means the customer for whom an order counts, by what may have been replaced since."""
    return await DB.fetch_row(_IS_NAMED, order_id, card, email_key, pos_customer_id) is not None


async def are_of_one_programme(*membership_ids: UUID) -> bool:
    """Return whether memberships are of the same programme."""
    return await DB.fetch_value(_PROGRAMMES, list(membership_ids)) == 1
