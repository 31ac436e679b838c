"""SQL of what came back of an order. Rows of `refund_line` name the order once the refund is posted."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from server.db.engine import DB, Row
from server.jobs import enqueue
from server.orders.returns import ReturnedLine

REFUND_JOB: Final = "refunds.post"
"""Posts the refunds whose sale has come."""

_RETURNED = """
select line_id, quantity, net_minor, points_part_minor from refund_line where "order" = $1 order by id
"""
_RETURNS = """
select r.id, r."order", r.completed_at, r.points_restored, l.line_id, coalesce(s.description, '') as description, l.quantity,
       l.net_minor, l.points
from refund r
join refund_line l on l.refund = r.id
left join order_line s on s."order" = r."order" and s.line_id = l.line_id
where r."order" = any($1::uuid[])
order by r.completed_at, r.id, l.id
"""
_SET = "update orders set points_returned = $2 where id = $1"
_IS_WAITED_FOR = """
select 1 from refund where connection = $1 and original_external_id = any($2::text[]) and state = 'parked' limit 1
"""


async def list_returned(order_id: UUID) -> list[ReturnedLine]:
    """Return every return of an order."""
    return [ReturnedLine(**dict(row)) for row in await DB.fetch(_RETURNED, order_id)]


async def list_returns(order_ids: list[UUID]) -> list[Row]:
    """Return the lines of everything that came back of several orders, in the order of time."""
    return await DB.fetch(_RETURNS, order_ids)


async def set_points_returned(order_id: UUID, points: int) -> None:
    """Write how many points of a locked order went with what came back."""
    await DB.fetch(_SET, order_id, points)


async def wake_refunds(connection_id: UUID, external_ids: Sequence[str]) -> None:
    """Have the refunds posted that came before one of these orders, if there are any; in the orders' transaction."""
    if external_ids and await DB.fetch_row(_IS_WAITED_FOR, connection_id, list(external_ids)) is not None:
        await enqueue(REFUND_JOB, dedupe_key=f"{REFUND_JOB}:{connection_id}:{external_ids[0]}")
