"""SQL of people who have not come for years: who they are, and whether somebody has come since."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.context import Context
from server.db.engine import DB, Row

# Nothing of theirs since $1, and nothing that is worth anything to them. Points that lapse do so without anybody's doing.
_QUIET = """
c.status in ('stub', 'active') and c.created_at < $1 and c.updated_at < $1
and not exists (select from login l where l.customer = c.id)
and not exists (select from staff_member s where s.customer = c.id)
and not exists (select from voucher v where v.customer = c.id and v.status in ('issued', 'held'))
and not exists (select from orders o where o.customer = c.id and o.completed_at >= $1)
and not exists (select from consent_event e where e.customer = c.id and e.at >= $1)
and not exists (select from claim_code k where k.customer = c.id and k.issued_at >= $1)
and not exists (select from pos_link l where l.customer = c.id and l.created_at >= $1)
and not exists (
    select from membership_person p join membership m on m.id = p.membership
    where p.customer = c.id and p.left_at is null
      and (m.balance <> 0 or m.deficit <> 0
           or exists (select from membership_person o
                      where o.membership = m.id and o.left_at is null and o.customer <> c.id)
           or exists (select from ledger_entry e
                      where e.membership = m.id and e.posted_at >= $1 and e.kind <> 'EXPIRE')))
"""
# Whom it was called off for stays for as long again.
_DORMANT = f"""
{_QUIET} and not exists (
    select from erasure w
    where w.customer = c.id and (w.state in ('waiting', 'cooling') or w.state = 'cancelled' and w.ended_at >= $1))
"""
# A stub's address was never proven; a notice to it tells no more than a first name and the shop.
_EMAIL = """
left join contact_point p on p.customer = c.id and p.kind = 'email' and p.is_primary and p.status in ('verified', 'unverified')
"""
_COUNT = f"""
select count(*)::int as customers, count(point)::int as told
from (select p.id as point from customer c {_EMAIL} where {_DORMANT} limit $2) found
"""
_NEXT = f"""
select c.id, c.given_name, trim(c.given_name || ' ' || c.family_name) as name, p.value as email, p.key as email_key,
       coalesce((select g.zone from programme g where g.is_default), 'UTC') as zone,
       coalesce((select max(o.completed_at) from orders o where o.customer = c.id), c.created_at) as last_seen_at
from customer c {_EMAIL} where {_DORMANT} order by c.id limit $2
"""
_IS_QUIET = f"select 1 from customer c where c.id = $2 and {_QUIET}"
# The people come before what is written about them, as in every act that locks both.
_INSERT = """
with people as materialized (select id from customer where id = any($2::uuid[]) order by id for key share)
insert into erasure (id, customer, cause, state, requested_by_kind, requested_by_id, requested_at, answer_by, reason,
                     execute_after)
select n.id, n.customer, 'dormant', 'cooling', $3, $4, $5, $6, $7, $8
from unnest($1::uuid[], $2::uuid[]) as n(id, customer) where (select count(*) from people) >= 0
on conflict (customer) where state in ('waiting', 'cooling') do nothing
returning id, customer
"""


async def count_dormant(since: datetime, *, most: int) -> Row:
    """Return how many customers nothing was heard of since then, and how many of them a mail reaches (`told`); no further
    than `most`.
    """
    row = await DB.fetch_row(_COUNT, since, most)
    assert row is not None
    return row


async def list_dormant(since: datetime, limit: int) -> list[Row]:
    """Return the first of them in the order in which they came: id, names, last_seen_at, the shop's zone, and the address if
    there is one.
    """
    return await DB.fetch(_NEXT, since, limit)


async def is_quiet(customer_id: UUID, since: datetime) -> bool:
    """Return whether nothing was heard of a customer since then."""
    return await DB.fetch_row(_IS_QUIET, since, customer_id) is not None


async def insert_erasures(
    ctx: Context,
    erasures: Sequence[tuple[UUID, UUID]],
    *,
    reason: str,
    answer_by: datetime,
    execute_after: datetime,
) -> dict[UUID, UUID]:
    """Begin to let go of customers, as (erasure, customer); return the erasures of those for whom none was open by customer."""
    ids, customers = zip(*erasures, strict=True)
    rows = await DB.fetch(
        _INSERT, list(ids), list(customers), ctx.actor.kind, ctx.actor.id, ctx.now, answer_by, reason, execute_after
    )
    return {row["customer"]: row["id"] for row in rows}
