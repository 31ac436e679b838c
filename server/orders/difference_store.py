"""SQL of orders whose till still names another customer than the one a person gave them to."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.db.engine import DB, Row

# The first sight stays while the till says the same of the same assignment. Whom it names comes before what is written
# about them, and the orders in one order for everybody.
_NOTE = """
with people as materialized (select id from customer where id = any($2::uuid[]) order by id for key share)
insert into order_difference as d ("order", customer, assignment_version, first_seen_at, last_seen_at)
select n.*, $4::timestamptz, $4::timestamptz from unnest($1::uuid[], $2::uuid[], $3::int[]) as n(id, customer, version)
where (select count(*) from people) >= 0 order by n.id
on conflict ("order") do update
set customer = excluded.customer, assignment_version = excluded.assignment_version, last_seen_at = excluded.last_seen_at,
    first_seen_at = case when (d.customer, d.assignment_version) = (excluded.customer, excluded.assignment_version)
                         then d.first_seen_at else excluded.first_seen_at end
"""
_FORGET = """
delete from order_difference where "order" in (
    select "order" from order_difference where "order" = any($1::uuid[]) order by "order" for update)
"""
_LIST = """
select d.last_seen_at, d.first_seen_at, d."order", d.customer as named_id,
       trim(n.given_name || ' ' || n.family_name) as named_name,
       o.id, o.number, o.external_id, s.code as store_code, s.name as store_name, o.completed_at, o.currency, o.net_minor,
       o.tax_minor, o.state, o.points, o.points_returned, o.skipped_reason, o.customer as customer_id,
       o.membership as membership_id, o.assignment_version, o.assignment_reason,
       nullif(trim(c.given_name || ' ' || c.family_name), '') as customer_name
from order_difference d
join orders o on o.id = d."order" and o.assignment_version = d.assignment_version and o.customer is distinct from d.customer
join store s on s.id = o.store
join customer n on n.id = d.customer
left join customer c on c.id = o.customer
where $1::timestamptz is null or (d.last_seen_at, d."order") < ($1, $2::uuid)
order by d.last_seen_at desc, d."order" desc limit $3
"""


async def note(differences: Sequence[tuple[UUID, UUID, int]], now: datetime) -> None:
    """Write whom a till names for orders: order, customer, and the assignment that says otherwise."""
    if differences:
        orders, customers, versions = zip(*differences, strict=True)
        await DB.fetch(_NOTE, list(orders), list(customers), list(versions), now)


async def forget(order_ids: Sequence[UUID]) -> None:
    """Forget what a till said of orders, as it says the same as we do now."""
    if order_ids:
        await DB.fetch(_FORGET, list(order_ids))


async def list_differences(before: tuple[datetime, UUID] | None, limit: int) -> list[Row]:
    """Return orders with whom their tills name, the one seen last first."""
    seen_at, order_id = before or (None, None)
    return await DB.fetch(_LIST, seen_at, order_id, limit)
