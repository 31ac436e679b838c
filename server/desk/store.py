"""SQL of what staff see and write of a customer."""

from datetime import datetime
from uuid import UUID

from server.context import Context
from server.db.engine import DB, Row

# Who is known by this email address, phone number or card. A former card still names its person, and so does a proven
# address; an unproven one may be a family's.
_DUPLICATES = """
select c.id, bool_or(d.is_certain) as is_certain
from customer c join (
    select customer, status in ('verified', 'bouncing') as is_certain from contact_point
    where kind = 'email' and key = $1 and status <> 'retired'
    union all
    select customer, status in ('verified', 'bouncing') from contact_point
    where kind = 'phone' and key = $2 and status <> 'retired'
    union all
    select customer, true from card where code = $3 and customer is not null
) d on d.customer = c.id
where c.status not in ('merged', 'erased')
group by c.id order by bool_or(d.is_certain) desc, c.created_at, c.id limit 1
"""
_REGISTERED = """
select c.id, c.given_name, c.family_name, p.membership,
       (select k.code from card k where k.customer = c.id and k.status = 'active' order by k.issued_at, k.id limit 1) as card
from customer c left join membership_person p on p.customer = c.id and p.left_at is null
where c.id = $1 order by p.joined_at limit 1
"""
_CUSTOMER = """
select c.*, l.id is not null as has_login, l.password_version,
       e.id as email_id, e.value as email, e.key as email_key, e.status as email_status, e.verified_at as email_verified_at,
       coalesce(e.bounced_at is not null, false) as email_bouncing,
       p.value as phone, p.key as phone_key, p.status as phone_status,
       (select o.completed_at from orders o where o.customer = c.id order by o.completed_at desc, o.id desc limit 1)
           as last_order_at
from customer c
left join login l on l.customer = c.id
left join contact_point e on e.customer = c.id and e.kind = 'email' and e.is_primary
left join contact_point p on p.customer = c.id and p.kind = 'phone' and p.is_primary
where c.id = $1
"""
_CONTACT_POINTS = """
select kind, value, status, is_primary, verified_at, retired_at, retired_reason, bounced_at from contact_point
where customer = $1 order by is_primary desc, created_at desc, id desc limit 100
"""
_CARDS = """
select k.code, k.status, k.issued_at, k.ended_at, n.code as successor_code, k.membership as membership_id
from card k left join card n on n.id = k.replaced_by
where k.customer = $1 order by k.status = 'active' desc, k.issued_at desc, k.id desc limit 100
"""
_EMAIL_CHANGES = """
select id, mode, state, old_email, new_email, requested_at, confirmed_at, undo_until, is_override, execute_after
from email_change
where customer = $1 and (state = 'pending' and expires_at > $2 or state = 'confirmed' and undo_until > $2)
order by requested_at desc, id desc limit 20
"""
# The trail of one person, newest first; nobody opens so many pages in an hour that the bound cuts.
_VIEWS = """
select max(at) as at from (
    select at, action, subject_id from audit_entry where actor_id = $1 order by id desc limit 1000
) trail
where action = 'customer.viewed' and at > $2 and subject_id <> $3
group by subject_id order by at desc
"""
_MERGED_FROM = "select id from regulars_people($1) as known (id) where id <> $1 order by id limit 100"
_SHARED_WITH = """
select trim(c.given_name || ' ' || c.family_name) as name
from membership_person p
join membership m on m.id = p.membership and m.status = 'active'
join membership_person o on o.membership = p.membership and o.left_at is null and o.customer <> p.customer
join customer c on c.id = o.customer
where p.customer = $1 and p.left_at is null order by o.joined_at, o.id limit 50
"""
_SET_FIELDS = """
update customer set notes = $2, post_code = $3, postal_address = $4, updated_at = $5 where id = $1
"""


async def find_duplicate(*, email_key: str | None, phone_key: str | None, card: str | None) -> Row | None:
    """Return id and is_certain of the customer who has one of these, the surest and oldest if there are several."""
    return await DB.fetch_row(_DUPLICATES, email_key, phone_key, card)


async def find_registered(customer_id: UUID) -> Row | None:
    """Return a customer's id, given_name, family_name, membership and card."""
    return await DB.fetch_row(_REGISTERED, customer_id)


async def find_customer(customer_id: UUID) -> Row | None:
    """Return a customer with primary addresses, login and last order."""
    return await DB.fetch_row(_CUSTOMER, customer_id)


async def list_contact_points(customer_id: UUID) -> list[Row]:
    """Return a customer's addresses, the primary ones first."""
    return await DB.fetch(_CONTACT_POINTS, customer_id)


async def list_cards(customer_id: UUID) -> list[Row]:
    """Return a customer's cards with their successors, active ones first."""
    return await DB.fetch(_CARDS, customer_id)


async def list_email_changes(customer_id: UUID, now: datetime) -> list[Row]:
    """Return the email changes that wait for their proof or can still be taken back, newest first."""
    return await DB.fetch(_EMAIL_CHANGES, customer_id, now)


async def list_views(staff_id: UUID, since: datetime, *, other_than: UUID) -> list[datetime]:
    """Return when a staff member last opened each customer but one, newest first."""
    return [row["at"] for row in await DB.fetch(_VIEWS, staff_id, since, other_than)]


async def list_merged_from(customer_id: UUID) -> list[UUID]:
    """Return the ids of whoever was merged into a customer, directly or not."""
    return [row["id"] for row in await DB.fetch(_MERGED_FROM, customer_id)]


async def list_shared_with(customer_id: UUID) -> list[str]:
    """Return the names of the people with whom a customer shares points, the first to come first."""
    return [row["name"] for row in await DB.fetch(_SHARED_WITH, customer_id)]


async def set_fields(ctx: Context, customer_id: UUID, *, notes: str, post_code: str, postal_address: str) -> None:
    """Replace a customer's notes and postal address."""
    await DB.fetch(_SET_FIELDS, customer_id, notes, post_code, postal_address, ctx.now)


async def is_member(customer_id: UUID, programme_id: UUID) -> bool:
    """Return whether a customer is in a membership of a programme."""
    sql = "select 1 from membership_person where customer = $1 and programme = $2 and left_at is null"
    return await DB.fetch_row(sql, customer_id, programme_id) is not None
