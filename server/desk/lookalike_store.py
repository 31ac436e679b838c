"""SQL of the search for people like the one who is being registered, each branch on its index and limited."""

from uuid import UUID

from server.db.engine import DB, Row
from shared.limits import DUPLICATE_BRANCH_ROWS, DUPLICATE_ROWS_MAX

_KNOWN = "c.status not in ('merged', 'erased')"
# Namesakes are all alike; those with more in common come by another branch.
_NAMESAKES_MAX = 4 * DUPLICATE_ROWS_MAX
_EXACT = f"""
select c.id, bool_or(d.is_certain) as is_certain, array_agg(distinct d.reason order by d.reason) as reasons
from customer c join (
    (select customer, status in ('verified', 'bouncing') as is_certain, 'email' as reason from contact_point
     where kind = 'email' and key = $1 and status <> 'retired' limit {DUPLICATE_BRANCH_ROWS})
    union all
    (select customer, status in ('verified', 'bouncing'), 'phone' from contact_point
     where kind = 'phone' and key = $2 and status <> 'retired' limit {DUPLICATE_BRANCH_ROWS})
    union all
    (select customer, true, 'card' from card where code = $3 and customer is not null)
) d on d.customer = c.id
where {_KNOWN}
group by c.id order by bool_or(d.is_certain) desc, c.id limit {DUPLICATE_ROWS_MAX}
"""
_COLUMNS = "c.id, c.given_name, c.family_name, c.post_code, c.birth_year, c.birth_month, c.birth_day"
# By post code, by the whole name in any order of its words, and by birthday where a name begins alike, as a birthday is that
# of thousands.
_NEAR = f"""
(select {_COLUMNS} from customer c
 where $1 <> '' and c.post_code <> '' and upper(replace(c.post_code, ' ', '')) = $1 and {_KNOWN}
 limit {DUPLICATE_BRANCH_ROWS})
union
(select {_COLUMNS} from customer_name_key n join customer c on c.id = n.customer and {_KNOWN}
 where $2 <> '' and n.key = $2 limit {_NAMESAKES_MAX})
union
(select {_COLUMNS} from customer c
 where c.birth_month = $3 and c.birth_day = $4 and lower(left(c.given_name, 2)) = any($5::text[]) and {_KNOWN}
 limit {DUPLICATE_BRANCH_ROWS})
union
(select {_COLUMNS} from customer c
 where c.birth_month = $3 and c.birth_day = $4 and lower(left(c.family_name, 2)) = any($5::text[]) and {_KNOWN}
 limit {DUPLICATE_BRANCH_ROWS})
"""
_SHOW = """
select c.id, c.given_name, c.family_name, c.status, c.birth_month, c.birth_day,
       (select p.value from contact_point p where p.customer = c.id and p.kind = 'email' and p.is_primary) as email,
       (select p.key from contact_point p where p.customer = c.id and p.kind = 'phone' and p.is_primary) as phone,
       (select k.code from card k where k.customer = c.id and k.status = 'active' order by k.issued_at desc limit 1)
           as card_code
from customer c where c.id = any($1::uuid[])
"""


async def find_exact(*, email_key: str | None, phone_key: str | None, card: str | None) -> list[Row]:
    """Return id, is_certain and reasons of whoever has one of these, the sure ones first."""
    return await DB.fetch(_EXACT, email_key, phone_key, card)


async def list_near(
    *, post_code: str, name_key: str, month: int | None, day: int | None, beginnings: list[str]
) -> list[Row]:
    """Return people with names, post code and birthday who are alike in one of these ways."""
    return await DB.fetch(_NEAR, post_code, name_key, month, day, beginnings)


async def show(customer_ids: list[UUID]) -> dict[UUID, Row]:
    """Return what a list shows of customers, by id."""
    return {row["id"]: row for row in await DB.fetch(_SHOW, customer_ids)}
