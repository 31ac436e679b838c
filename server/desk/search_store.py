"""SQL of the customer search: one statement for each kind of text, every branch on its index and limited.

A prefix is asked for as a range, `key ~>=~ prefix and key ~<~ prefix followed by the last character there is`: these
are the operators of the indexes' text_pattern_ops, they use the index whatever plan is cached, and unlike with LIKE
no character of the text has a meaning. Each branch takes at most BRANCH_ROWS rows in the order of its index.
"""

from datetime import datetime

from server.db.engine import DB, Row
from shared.limits import SEARCH_ROWS_MAX

# A customer fits a name's beginning once for each word that begins so; twice the page leaves room for that.
BRANCH_ROWS = 2 * SEARCH_ROWS_MAX + 2
_LAST_CHARACTER = "\U0010ffff"

# The rows found, the best reason of each customer first, then what the list shows of them. An old typo put right is
# no way to find anybody; an old address is. $1 is the present.
_SHOW = f"""
), best as (
    select id, min(rank) as rank, count(*) over () as customers, sum(count(*)) over () as found
    from candidate group by id order by min(rank), id desc limit {SEARCH_ROWS_MAX}
)
select b.rank, b.customers, b.found, c.id, c.given_name, c.family_name, c.status, c.birth_month, c.birth_day,
       (select p.value from contact_point p where p.customer = c.id and p.kind = 'email' and p.is_primary) as email,
       exists (select from contact_point p where p.customer = c.id and p.kind = 'email' and p.is_primary
                                             and p.bounced_at is not null) as email_bouncing,
       (select p.key from contact_point p where p.customer = c.id and p.kind = 'phone' and p.is_primary) as phone,
       (select k.code from card k where k.customer = c.id and k.status = 'active' order by k.issued_at desc limit 1)
           as card_code,
       o.completed_at as last_order_at, m.zone, coalesce(m.available, 0) as available
from best b
join customer c on c.id = b.id
left join lateral (
    select o.completed_at from orders o where o.customer = c.id order by o.completed_at desc, o.id desc limit 1
) o on true
left join lateral (
    select g.zone,
           case when m.figures_until <= $1 then (
               select coalesce(sum(l.remaining), 0)::bigint from lot l
               where l.membership = m.id and l.remaining > 0 and l.available_at <= $1
                 and (l.expires_at is null or l.expires_at > $1))
           else m.available end as available
    from membership_person p join membership m on m.id = p.membership join programme g on g.id = p.programme
    where p.customer = c.id and p.left_at is null and m.status = 'active'
    order by p.joined_at limit 1
) m on true
order by b.rank, o.completed_at desc nulls last, c.given_name, c.family_name, c.id
"""
_KNOWN = "c.status not in ('merged', 'erased')"
_EMAIL = f"""
with candidate as (
    (select p.customer as id, case when p.key = $2 and p.status <> 'retired' then 0 else 2 end as rank
     from contact_point p join customer c on c.id = p.customer and {_KNOWN}
     where p.kind = 'email' and p.key ~>=~ $2 and p.key ~<~ $3 and p.retired_reason is distinct from 'correction'
     order by p.key using ~<~ limit {BRANCH_ROWS})
{_SHOW}"""
_DIGITS = f"""
with candidate as (
    (select k.customer as id, 0 as rank
     from card k join customer c on c.id = k.customer and {_KNOWN}
     where k.code = $2)
    union all
    (select p.customer, case when p.key = $3 and p.status <> 'retired' then 0 else 2 end
     from contact_point p join customer c on c.id = p.customer and {_KNOWN}
     where p.kind = 'phone' and p.key ~>=~ $3 and p.key ~<~ $4
     order by p.key using ~<~ limit {BRANCH_ROWS})
    union all
    (select p.customer, 3
     from contact_point p join customer c on c.id = p.customer and {_KNOWN}
     where $5 <> '' and p.kind = 'phone' and reverse(p.key) ~>=~ $5 and reverse(p.key) ~<~ $6
     order by reverse(p.key) using ~<~ limit {BRANCH_ROWS})
{_SHOW}"""
_CARD = f"""
with candidate as (
    (select k.customer as id, 0 as rank
     from card k join customer c on c.id = k.customer and {_KNOWN}
     where k.code = $2)
{_SHOW}"""
_NAME = f"""
with candidate as (
    (select n.customer as id, case when n.key = $2 then 1 else 2 end as rank
     from customer_name_key n join customer c on c.id = n.customer and {_KNOWN}
     where n.key ~>=~ $2 and n.key ~<~ $3
     order by n.key using ~<~ limit {BRANCH_ROWS})
{_SHOW}"""
_SUCCESSOR = """
select n.code from card k join card n on n.id = k.replaced_by where k.code = $1
"""


async def search_email(prefix: str, now: datetime) -> list[Row]:
    """Find customers by the beginning of an address key."""
    return await DB.fetch(_EMAIL, now, prefix, prefix + _LAST_CHARACTER)


async def search_digits(card: str, *, phone_prefix: str, phone_reversed: str, now: datetime) -> list[Row]:
    """Find customers by card number, by the beginning of a phone number or by its end, written backwards."""
    return await DB.fetch(
        _DIGITS,
        now,
        card,
        phone_prefix,
        phone_prefix + _LAST_CHARACTER,
        phone_reversed,
        phone_reversed + _LAST_CHARACTER,
    )


async def search_card(card: str, now: datetime) -> list[Row]:
    """Find the customer of a card number."""
    return await DB.fetch(_CARD, now, card)


async def search_name(prefix: str, now: datetime) -> list[Row]:
    """Find customers by the beginning of any word of the name."""
    return await DB.fetch(_NAME, now, prefix, prefix + _LAST_CHARACTER)


async def find_successor(card: str) -> str | None:
    """Return the number of the card that replaced another."""
    row = await DB.fetch_row(_SUCCESSOR, card)
    return row["code"] if row else None
