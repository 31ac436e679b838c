"""SQL of links between POS records and customers, of the search for them, and of what a person must decide."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from server.context import Context
from server.customers.store import lock_customers
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import Refused
from shared.problems import Code

_LOCK_RECORD = """
select r.*, k.code as connection_code,
       array(select a.external_id from pos_record a where a.merged_into = r.id order by a.external_id) as aliases,
       l.id as link, l.customer as holder, l.linked_at
from pos_record r
join pos_connection k on k.id = r.connection
left join pos_link l on l.record = r.id and l.state = 'linked'
where r.id = $1 for update of r
"""
_HOLDER = "select customer from pos_link where record = $1 and state = 'linked'"
_INSERT_LINK = """
insert into pos_link (id, record, customer, state, method, evidence, reason, actor_kind, actor_id, created_at, linked_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, case when $4 = 'linked' then $10::timestamptz end)
"""
_ACCEPT = """
update pos_link set state = 'linked', linked_at = $2, approved_by = $3 where id = $1 and state = 'waiting' returning id
"""
_FIGURES = """
update pos_link set orders_found = orders_found + $2, orders_counted = orders_counted + $3, points = points + $4
where id = $1
"""
_HAS_LINK = """
select 1 from pos_link l join pos_record r on r.id = l.record
where l.customer = $1 and l.state = 'linked' and ($2::uuid is null or r.connection = $2) limit 1
"""
_END = """
update pos_link set state = 'ended', ended_at = $2, ended_reason = $3 where id = $1 and state <> 'ended' returning id
"""
_END_WAITING = """
update pos_link set state = 'ended', ended_at = $2, ended_reason = 'taken' where record = $1 and state = 'waiting'
"""
_END_WISHES = """
update pos_link set state = 'ended', ended_at = $2, ended_reason = 'taken' where customer = $1 and state = 'waiting'
"""
_MOVE_TO_RECORD = "update pos_link set record = $2 where id = $1 and state = 'linked'"
# A link that was said not to be right goes along while nobody has looked, as its orders go along too.
_MOVE_TO_CUSTOMER = """
update pos_link set customer = $2
where customer = $1
  and (state in ('linked', 'waiting')
       or ended_reason = 'disputed' and exists (
           select from link_review v where v.customer = $1 and v.record = pos_link.record and v.reason = 'disputed'
                                       and v.state = 'open'))
  and not (state = 'waiting' and exists (select from pos_link w where w.record = pos_link.record and w.customer = $2
                                                                and w.state = 'waiting'))
returning id
"""
LINK = """
select l.*, r.external_id, r.connection as connection_id, k.code as connection, r.merged_into,
       array(select a.external_id from pos_record a where a.merged_into = r.id order by a.external_id) as aliases,
       coalesce(s.name, l.actor_kind) as linked_by
from pos_link l
join pos_record r on r.id = l.record
join pos_connection k on k.id = r.connection
left join staff_member s on l.actor_kind = 'staff' and s.id = l.actor_id
"""
_ONE_LINK = f"{LINK} where l.id = $1"
_LINKS = f"{LINK} where l.customer = $1 order by l.created_at, l.id limit 200"
_WAITING = f"""
select l.*, trim(c.given_name || ' ' || c.family_name) as customer_name
from ({LINK} where l.state = 'waiting' and ($1::timestamptz is null or (l.created_at, l.id) > ($1, $2::uuid))
      order by l.created_at, l.id limit $3) l
join customer c on c.id = l.customer
order by l.created_at, l.id
"""
_LOCK_LINK = "select id, record, customer, state, actor_id, ended_reason from pos_link where id = $1 for update"
_RETURN = """
update pos_link set customer = $2
where id = any($1::uuid[]) and (state in ('linked', 'waiting') or ended_reason = 'disputed')
"""
_RETIRE_CHECK = "update link_check set state = 'unlinked', checked_at = $2, next_check_at = null where customer = $1"
_SELF_MADE = """
select r.id, r.external_id, l.id as link from pos_record r join pos_link l on l.record = r.id and l.state = 'linked'
where r.connection = $1 and l.customer = $2 and r.made_here and r.id <> $3 order by r.id for update of r
"""

# Checks ---------------------------------------------------------------------------------------------------------------
_ASK = """
insert into link_check (customer, asked_at, next_check_at) values ($1, $2, $2)
on conflict (customer) do update
set asked_at = excluded.asked_at, next_check_at = excluded.next_check_at, tries = 0
"""
# Members for whom no till has a record are put off in one statement, without a look at each.
_PUT_OFF = """
with due as (
    select k.customer, k.asked_at from link_check k
    where k.next_check_at <= $1 and k.state in ('unlinked', 'linked')
      and not exists (
          select from contact_point p join pos_record r on r.email_key = p.key
          where p.customer = k.customer and p.kind = 'email' and p.status = 'verified')
    order by k.next_check_at limit 5000 for update skip locked
)
update link_check k
set checked_at = $1, next_check_at = $1::timestamptz + case when $1 - d.asked_at < $2 then $3::interval else $4 end
from due d where k.customer = d.customer
returning k.customer
"""
_DUE = """
select customer from link_check
where next_check_at <= $1 order by next_check_at, customer limit $2
"""
# One of those who wait for a silent till, unless one was looked at lately or is due anyway; each in turn, as what is refused
# about one of them says nothing about the till.
_PROBE = """
update link_check set next_check_at = $1 where customer = (
    select customer from link_check
    where state = 'checking' and next_check_at > $1
      and not exists (select from link_check
                      where state = 'checking' and (checked_at > $1::timestamptz - $2::interval or next_check_at <= $1))
    order by checked_at nulls first limit 1 for update skip locked)
"""
_WAKE_SILENT = """
update link_check set next_check_at = $1 where customer in (
    select customer from link_check where state = 'checking' and tries > 0 and next_check_at > $1
    order by customer for update)
"""
_CHECK = "select * from link_check where customer = $1"
_LOCK_CHECK = "select * from link_check where customer = $1 for update"
_SET_CHECK = """
update link_check set state = $2, checked_at = $3, next_check_at = $4, tries = $5 where customer = $1
"""
_PERSON = """
select c.id, c.status, c.merged_into, c.given_name, c.family_name,
       array(select p.key from contact_point p where p.customer = c.id and p.kind = 'email' and p.status = 'verified') as emails,
       array(select p.key from contact_point p where p.customer = c.id and p.kind = 'email' and p.status = 'unverified')
           as unproven_emails,
       array(select p.key from contact_point p where p.customer = c.id and p.kind = 'phone' and p.status <> 'retired') as phones,
       array(select k.code from card k where k.customer = c.id and k.status = 'active') as cards,
       (select p.value from contact_point p where p.customer = c.id and p.kind = 'email' and p.is_primary
        and p.status = 'verified') as email,
       (select p.value from contact_point p where p.customer = c.id and p.kind = 'phone' and p.is_primary) as phone,
       (select n.membership from membership_person n
        join membership s on s.id = n.membership and s.status = 'active' join programme g on g.id = s.programme
        where n.customer = c.id and n.left_at is null order by g.is_default desc, n.joined_at limit 1) as membership
from customer c where c.id = $1
"""
_CANDIDATES = """
select r.id, r.connection, r.email_since_at, r.card_number, r.phone_key, r.made_here, l.customer as holder
from pos_record r left join pos_link l on l.record = r.id and l.state = 'linked'
where r.email_key = any($1::text[]) and r.merged_into is null and r.removed_at is null
  and (l.customer = $2 or not exists (
      select from pos_link e where e.record = r.id and e.ended_reason in ('unlinked', 'disputed')
                               and e.customer in (select $2::uuid union all select id from customer where merged_into = $2)))
order by r.connection, r.created_at, r.id limit 500
"""
# Who has a record with an address that the customer has proven, or the one named.
_HOLDERS = """
select l.customer from contact_point p
join pos_record r on r.email_key = p.key
join pos_link l on l.record = r.id and l.state = 'linked'
where p.customer = $1 and p.kind = 'email' and p.status = 'verified'
union
select l.customer from pos_record r
join pos_link l on l.record = coalesce(r.merged_into, r.id) and l.state = 'linked'
where r.connection = $2 and r.external_id = $3
"""
_WAS_TAKEN_AWAY = """
select 1 from pos_link where record = $1 and ended_reason in ('unlinked', 'disputed')
  and customer in (select $2::uuid union all select id from customer where merged_into = $2) limit 1
"""

# Reviews --------------------------------------------------------------------------------------------------------------
_OPEN_REVIEW = """
insert into link_review (id, customer, record, other_customer, reason, created_at) values ($1, $2, $3, $4, $5, $6)
on conflict (customer, record, reason) where state = 'open' do nothing
"""
_SETTLE_STALE = """
update link_review set state = 'settled', settled_at = $2, note = 'no longer so'
where customer = $1 and state = 'open' and reason in ('ambiguous', 'taken') and record <> all($3::uuid[])
"""
# The two customers of a match are one by now; the other match is open for whom the reviews go to already.
_SETTLE_MERGED = """
update link_review v set state = 'settled', settled_at = $3, note = 'they were merged'
where v.state = 'open' and v.reason in ('disputed', 'merged_in_pos')
  and (v.customer = $1 and v.other_customer = $2 or v.customer = $2 and v.other_customer = $1
       or v.customer = $1 and exists (select from link_review o where o.customer = $2 and o.record = v.record
                                                                  and o.reason = v.reason and o.state = 'open'))
returning id
"""
_MOVE_REVIEWS = """
update link_review set customer = $2 where customer = $1 and state = 'open' and reason in ('disputed', 'merged_in_pos')
returning id
"""
_RETURN_REVIEWS = """
update link_review v set customer = $3
where v.id = any($1::uuid[]) and v.customer = $2 and v.state = 'open'
  and not exists (select from link_review o where o.customer = $3 and o.record = v.record and o.reason = v.reason
                                              and o.state = 'open')
"""
_REOPEN_REVIEWS = """
update link_review v set state = 'open', settled_at = null, note = ''
where v.id = any($1::uuid[]) and v.state = 'settled' and v.note = 'they were merged'
  and not exists (select from link_review o where o.customer = v.customer and o.record = v.record and o.reason = v.reason
                                              and o.state = 'open')
"""
_SETTLE = """
update link_review set state = 'settled', settled_at = $2, settled_by = $3, note = $4 where id = $1 and state = 'open'
returning customer
"""
_SETTLE_RECORD = """
update link_review set state = 'settled', settled_at = $3, note = $5
where state = 'open' and record = $1 and customer = $2
  and ($4::text is null or reason = $4)
"""
_REVIEWS = """
select v.*, trim(c.given_name || ' ' || c.family_name) as name
from link_review v join customer c on c.id = v.customer
where v.state = 'open' and ($1::uuid is null or v.customer = $1)
  and ($2::timestamptz is null or (v.created_at, v.id) > ($2, $3::uuid))
order by v.created_at, v.id limit $4
"""
_IS_REVIEW = "select 1 from link_review where id = $1"


class LinkTaken(Refused):
    """The record is linked to somebody."""

    def __init__(self, customer_id: UUID | None = None) -> None:
        super().__init__(Code.LINK_TAKEN, data={"customer_id": str(customer_id)} if customer_id else None)


async def lock_record(record_id: UUID) -> Row | None:
    """Lock a record, so that neither its link nor the orders that name it change, and return it with both."""
    return await DB.fetch_row(_LOCK_RECORD, record_id)


async def find_holder(record_id: UUID) -> UUID | None:
    """Return whose a record is."""
    row = await DB.fetch_row(_HOLDER, record_id)
    return row["customer"] if row else None


async def insert_link(
    ctx: Context, *, record_id: UUID, customer_id: UUID, method: str, evidence: str, reason: str, state: str = "linked"
) -> UUID:
    """Add a link and return its id.

    Raises:
        LinkTaken: The record has one, or the same wish waits already.
    """
    link_id = new_id()
    try:
        await DB.fetch(
            _INSERT_LINK, link_id, record_id, customer_id, state, method, evidence, reason, ctx.actor.kind, ctx.actor.id,
            ctx.now,
        )  # fmt: skip
    except asyncpg.UniqueViolationError as error:
        raise LinkTaken from error
    return link_id


async def accept_link(ctx: Context, link_id: UUID) -> bool:
    """Put a waiting link into force; False if it is not waiting.

    Raises:
        LinkTaken: The record has got another one meanwhile.
    """
    try:
        return await DB.fetch_row(_ACCEPT, link_id, ctx.now, ctx.actor.id) is not None
    except asyncpg.UniqueViolationError as error:
        raise LinkTaken from error


async def add_figures(link_id: UUID, *, found: int, counted: int, points: int) -> None:
    """Count what a link brought."""
    await DB.fetch(_FIGURES, link_id, found, counted, points)


async def end_link(ctx: Context, link_id: UUID, *, reason: str) -> bool:
    """End a link; False if it was over."""
    return await DB.fetch_row(_END, link_id, ctx.now, reason) is not None


async def end_waiting(ctx: Context, record_id: UUID) -> None:
    """Give up wishes for a record that somebody else has got."""
    await DB.fetch(_END_WAITING, record_id, ctx.now)


async def move_link_to_record(link_id: UUID, *, record_id: UUID) -> None:
    """Let a link be of another record, into which its own was merged."""
    await DB.fetch(_MOVE_TO_RECORD, link_id, record_id)


async def move_links_to_customer(from_customer: UUID, to_customer: UUID) -> list[UUID]:
    """Let all links of one customer be another's, and return their ids."""
    return [row["id"] for row in await DB.fetch(_MOVE_TO_CUSTOMER, from_customer, to_customer)]


async def end_wishes(ctx: Context, customer_id: UUID) -> None:
    """Give up a customer's wishes that another one has too."""
    await DB.fetch(_END_WISHES, customer_id, ctx.now)


async def return_links(link_ids: list[UUID], customer_id: UUID) -> None:
    """Let links be a customer's again."""
    await DB.fetch(_RETURN, link_ids, customer_id)


async def retire_check(ctx: Context, customer_id: UUID) -> None:
    """Look for a customer's records no more."""
    await DB.fetch(_RETIRE_CHECK, customer_id, ctx.now)


async def has_link(customer_id: UUID, connection_id: UUID | None = None) -> bool:
    """Return whether a customer has a link in force; in one till system if that is named."""
    return await DB.fetch_row(_HAS_LINK, customer_id, connection_id) is not None


async def get_link(link_id: UUID) -> Row | None:
    """Return a link with its record."""
    return await DB.fetch_row(_ONE_LINK, link_id)


async def list_links(customer_id: UUID) -> list[Row]:
    """Return a customer's links, oldest first, those that are over included."""
    return await DB.fetch(_LINKS, customer_id)


async def list_waiting_links(*, after: tuple[datetime, UUID] | None, limit: int) -> list[Row]:
    """Return the links that wait for a second person with the names of their customers, oldest first."""
    return await DB.fetch(_WAITING, *(after or (None, None)), limit)


async def lock_link(link_id: UUID) -> Row | None:
    """Lock a link."""
    return await DB.fetch_row(_LOCK_LINK, link_id)


async def list_self_made(connection_id: UUID, customer_id: UUID, *, but: UUID) -> list[Row]:
    """Lock the records that we made for a customer in a till system."""
    return await DB.fetch(_SELF_MADE, connection_id, customer_id, but)


async def ask_check(ctx: Context, customer_id: UUID) -> None:
    """Let a customer be looked at at once."""
    await DB.fetch(_ASK, customer_id, ctx.now)


async def put_off_hopeless(now: datetime, *, often_for: timedelta, often: timedelta, later: timedelta) -> int:
    """Put off those who are due and for whom there is no record anywhere; return how many."""
    return len(await DB.fetch(_PUT_OFF, now, often_for, often, later))


async def list_due(now: datetime, limit: int) -> list[UUID]:
    """Return customers who are due, those who wait longest first."""
    return [row["customer"] for row in await DB.fetch(_DUE, now, limit)]


async def probe_silent(now: datetime, *, every: timedelta) -> None:
    """Let one of those who wait for a till that did not answer be due, if none of them was asked about for so long."""
    await DB.fetch(_PROBE, now, every)


async def wake_silent(now: datetime) -> None:
    """Let everybody be due who waits for a till that did not answer."""
    await DB.fetch(_WAKE_SILENT, now)


async def find_check(customer_id: UUID) -> Row | None:
    """Return where the search for a customer's records stands."""
    return await DB.fetch_row(_CHECK, customer_id)


async def lock_check(customer_id: UUID) -> Row | None:
    """Lock and return where the search for a customer's records stands."""
    return await DB.fetch_row(_LOCK_CHECK, customer_id)


async def set_check(
    ctx: Context, customer_id: UUID, *, state: str, next_check_at: datetime | None, tries: int = 0
) -> None:
    """Keep what a look came to."""
    await DB.fetch(_SET_CHECK, customer_id, state, ctx.now, next_check_at, tries)


async def find_person(customer_id: UUID) -> Row | None:
    """Return what a customer is found by: proven addresses, numbers, cards; and the membership their sales count in."""
    return await DB.fetch_row(_PERSON, customer_id)


async def list_candidates(email_keys: Collection[str], customer_id: UUID) -> list[Row]:
    """Return the records of all till systems that bear one of these addresses.

    One that staff took from the customer, or from whom they were merged with, or that was said to be somebody else's, stays
    away until staff give it back.
    """
    return await DB.fetch(_CANDIDATES, list(email_keys), customer_id) if email_keys else []


async def lock_with_holders(
    customer_id: UUID, *, connection_id: UUID | None = None, external_id: str | None = None
) -> None:
    """Lock a customer, and whoever has the records that a look may find theirs, as what is to be decided names both."""
    holders = await DB.fetch(_HOLDERS, customer_id, connection_id, external_id)
    await lock_customers([customer_id, *(row["customer"] for row in holders)])


async def was_taken_away(record_id: UUID, customer_id: UUID) -> bool:
    """Return whether a record was a customer's until a person said that it is not."""
    return await DB.fetch_row(_WAS_TAKEN_AWAY, record_id, customer_id) is not None


async def open_review(
    ctx: Context, *, customer_id: UUID, record_id: UUID, reason: str, other_id: UUID | None = None
) -> None:
    """Ask a person to decide about a match, once."""
    await DB.fetch(_OPEN_REVIEW, new_id(), customer_id, record_id, other_id, reason, ctx.now)


async def settle_stale_reviews(ctx: Context, customer_id: UUID, *, but: Sequence[UUID]) -> None:
    """Close what is to be decided about a customer, except about these records."""
    await DB.fetch(_SETTLE_STALE, customer_id, ctx.now, list(but))


async def settle_merged_reviews(ctx: Context, from_customer: UUID, to_customer: UUID) -> list[UUID]:
    """Close what was to be decided between two customers who are one now, and return the ids."""
    return [row["id"] for row in await DB.fetch(_SETTLE_MERGED, from_customer, to_customer, ctx.now)]


async def move_reviews(from_customer: UUID, to_customer: UUID) -> list[UUID]:
    """Let what no look would find again be decided about another customer, and return the ids."""
    return [row["id"] for row in await DB.fetch(_MOVE_REVIEWS, from_customer, to_customer)]


async def return_reviews(review_ids: Sequence[UUID], *, from_customer: UUID, to_customer: UUID) -> None:
    """Give back what moved and nobody has decided, and open again what a merge had closed."""
    await DB.fetch(_RETURN_REVIEWS, list(review_ids), from_customer, to_customer)
    await DB.fetch(_REOPEN_REVIEWS, list(review_ids))


async def settle_review(ctx: Context, review_id: UUID, *, note: str) -> UUID | None:
    """Close one, and return the customer it was about; None if it is closed."""
    row = await DB.fetch_row(_SETTLE, review_id, ctx.now, ctx.actor.id, note)
    return row["customer"] if row else None


async def settle_reviews_of(
    ctx: Context, *, record_id: UUID, customer_id: UUID, note: str = "linked", reason: str | None = None
) -> None:
    """Close what was to be decided about a record and a customer; for one reason only, if that is named."""
    await DB.fetch(_SETTLE_RECORD, record_id, customer_id, ctx.now, reason, note)


async def list_reviews(
    customer_id: UUID | None, *, after: tuple[datetime, UUID] | None = None, limit: int
) -> list[Row]:
    """Return what is to be decided, oldest first; about one customer if one is named."""
    return await DB.fetch(_REVIEWS, customer_id, *(after or (None, None)), limit)


async def has_review(review_id: UUID) -> bool:
    """Return whether there is such a one."""
    return await DB.fetch_row(_IS_REVIEW, review_id) is not None
