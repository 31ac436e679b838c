"""SQL of the question why purchases are missing."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.db.engine import DB, Row

# Every order of the customer, by what became of it. A shop's best customer has a few thousand.
_REASONS = """
select case when points_returned > 0 then 'returned' else skipped_reason end as reason, count(*) as orders,
       max(completed_at) as last_at
from orders where customer = $1 and (points_returned > 0 or skipped_reason is not null)
group by 1 order by count(*) desc, 1
"""
_ELSEWHERE = """
select count(*) as orders, (array_agg(o.id order by o.completed_at desc))[1] as last_id
from pos_link l
join pos_record r on r.id = l.record
join pos_record n on n.id = r.id or n.merged_into = r.id
join orders o on o.connection = n.connection and o.pos_customer_id = n.external_id
where l.customer = $1 and l.state = 'linked' and o.customer is distinct from $1
"""
# Free records that are likely the customer's: the card or the number is the same, or the whole name without an address.
_LIKELY = """
(select r.id, r.external_id, k.code as connection, 'card' as why
 from pos_record r join pos_connection k on k.id = r.connection
 where r.card_number = any($1::text[]) and {free} limit 5)
union all
(select r.id, r.external_id, k.code, 'phone'
 from pos_record r join pos_connection k on k.id = r.connection
 where reverse(r.phone_key) = any($2::text[]) and {free} limit 5)
union all
(select r.id, r.external_id, k.code, 'name'
 from pos_record r join pos_connection k on k.id = r.connection
 where $3 <> '' and r.email_key is null and to_tsvector('simple', r.name_key) @@ plainto_tsquery('simple', $3)
   and r.name_key = $3 and {free} limit 5)
""".format(
    free="r.merged_into is null and r.removed_at is null and not r.made_here "
    "and not exists (select from pos_link l where l.record = r.id and l.state = 'linked')"
)
_LATE = """
select k.code from pos_state s join pos_connection k on k.id = s.connection
where coalesce(s.last_success_at, s.created_at) < $1 order by k.code
"""


async def list_reasons(customer_id: UUID) -> list[Row]:
    """Return why orders of a customer earned nothing, or no longer, and how many."""
    return await DB.fetch(_REASONS, customer_id)


async def find_elsewhere(customer_id: UUID) -> Row:
    """Return how many orders of the customer's POS records count for somebody else or nobody, and the newest."""
    row = await DB.fetch_row(_ELSEWHERE, customer_id)
    assert row is not None
    return row


async def list_likely(*, cards: Sequence[str], phones: Sequence[str], name_key: str) -> list[Row]:
    """Return free records that are likely a customer's, the best reason first."""
    return await DB.fetch(_LIKELY, list(cards), [phone[::-1] for phone in phones], name_key)


async def list_late(before: datetime) -> list[str]:
    """Return the till systems with which no exchange went well since an instant."""
    return [row["code"] for row in await DB.fetch(_LATE, before)]
