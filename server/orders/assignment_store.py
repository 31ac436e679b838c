"""SQL of finding orders at the desk and of whom they may be given to."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.db.engine import DB, Row

_VIEW = """
select o.id, o.number, o.external_id, s.code as store_code, s.name as store_name, o.completed_at, o.currency, o.net_minor,
       o.tax_minor, o.state, o.points, o.points_returned, o.skipped_reason, o.customer as customer_id,
       o.membership as membership_id, o.assignment_version, o.assignment_reason,
       nullif(trim(c.given_name || ' ' || c.family_name), '') as customer_name
from orders o join store s on s.id = o.store left join customer c on c.id = o.customer
where {condition} and ($1::timestamptz is null or (o.completed_at, o.id) < ($1, $2::uuid))
order by o.completed_at desc, o.id desc limit $3
"""
_BY_NUMBER = _VIEW.format(condition="o.number = $4 and ($5 = '' or s.code = $5)")
_UNASSIGNED = _VIEW.format(
    condition="o.membership is null and s.code = $4 and o.completed_at >= $5 and o.completed_at < $6"
)
_ONE = _VIEW.format(condition="o.id = $4")
_LINES = 'select * from order_line where "order" = $1 order by position'
_CUSTOMER = """
select c.id, c.status, c.merged_into, trim(c.given_name || ' ' || c.family_name) as name, m.membership
from customer c
left join lateral (
    select p.membership from membership_person p
    join membership s on s.id = p.membership and s.status = 'active'
    join programme g on g.id = s.programme
    where p.customer = c.id and p.left_at is null order by g.is_default desc, p.joined_at limit 1
) m on true
where c.id = $1
"""
_IS_IN = """
select 1 from membership_person where customer = $1 and membership = any($2::uuid[]) and left_at is null
"""
_WINDOWS = """
select case when $2 then manager_late_attach_days else late_attach_days end as late_attach_days,
       case when $2 then manager_reassign_days else reassign_days end as reassign_days
from programme where id = $1
"""


async def list_by_number(
    number: str, store_code: str, *, before: tuple[datetime, UUID] | None, limit: int
) -> list[Row]:
    """Return orders with a receipt number, newest first; of all stores if `store_code` is empty."""
    return await DB.fetch(_BY_NUMBER, *(before or (None, None)), limit, number, store_code)


async def list_unassigned(
    store_code: str, from_at: datetime, until_at: datetime, *, before: tuple[datetime, UUID] | None, limit: int
) -> list[Row]:
    """Return a store's orders of a time that count for nobody, newest first."""
    return await DB.fetch(_UNASSIGNED, *(before or (None, None)), limit, store_code, from_at, until_at)


async def get_view(order_id: UUID) -> Row:
    """Return an order as staff see it."""
    row = await DB.fetch_row(_ONE, None, None, 1, order_id)
    assert row is not None
    return row


async def list_lines(order_id: UUID) -> list[Row]:
    """Return an order's lines."""
    return await DB.fetch(_LINES, order_id)


async def find_customer(customer_id: UUID) -> Row | None:
    """Return a customer with name, status and active membership, the one in the shop's own programme if there are several."""
    return await DB.fetch_row(_CUSTOMER, customer_id)


async def is_in(customer_id: UUID, membership_ids: Sequence[UUID]) -> bool:
    """Return whether a customer is in one of these memberships."""
    return await DB.fetch_row(_IS_IN, customer_id, list(membership_ids)) is not None


async def get_windows(programme_id: UUID, *, is_manager: bool) -> tuple[int, int]:
    """Return for how many days an order can be given to somebody, and for how many it can be moved."""
    row = await DB.fetch_row(_WINDOWS, programme_id, is_manager)
    assert row is not None
    return row["late_attach_days"], row["reassign_days"]


async def find_zone(store_code: str) -> str | None:
    """Return the time zone of a store."""
    zone = await DB.fetch_value("select zone from store where code = $1", store_code)
    return str(zone) if zone is not None else None
