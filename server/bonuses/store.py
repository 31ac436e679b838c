"""SQL of bonuses and referrals."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.db.engine import DB, Row
from server.db.ids import new_id

# Whoever comes second waits for the first and then finds the grant there.
_GRANT = """
insert into bonus_grant (id, programme, code, customer, occasion, membership, points, at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (programme, code, customer, occasion) do nothing
returning id
"""
_LOCK = "select id, deficit from membership where id = $1 and status = 'active' for no key update"
_BIRTHDAYS = """
select c.id as customer, p.membership
from customer c
join membership_person p on p.customer = c.id and p.left_at is null and p.programme = $1 and p.eligible_from <= $4
join membership m on m.id = p.membership and m.status = 'active'
where (c.birth_month, c.birth_day) in (select month, day from unnest($2::int2[], $3::int2[]) as t(month, day))
  and c.birth_month is not null and c.status = 'active'
  and not exists (select from bonus_grant g where g.programme = $1 and g.code = 'birthday' and g.customer = c.id
                  and g.occasion = $5)
order by c.id limit $6
"""
_BOUGHT_BEFORE = """
select exists (select from orders o join membership m on m.id = o.membership
               where o.customer = $1 and m.programme = $2 and o.points > 0 and o.id is distinct from $3::uuid)
"""
_CODE = """
insert into referral_code (code, programme, customer, created_at) values ($1, $2, $3, $4)
on conflict do nothing returning code
"""
_FIND_CODE = "select code from referral_code where programme = $1 and customer = $2"
_CODE_OWNER = """
select r.customer, r.programme from referral_code r join customer c on c.id = r.customer and c.status in ('active', 'stub')
where r.code = $1
"""
_REFER = """
insert into referral (id, programme, referrer, referred, created_at) values ($1, $2, $3, $4, $5)
on conflict (programme, referred) do nothing returning id
"""
_COMPLETE = """
update referral set completed_at = $3 where programme = $1 and referred = $2 and completed_at is null returning id, referrer
"""
_UNPAID = """
select r.id, r.referrer, r.completed_at, p.membership
from referral r
join membership_person p on p.customer = r.referrer and p.programme = r.programme and p.left_at is null
join membership m on m.id = p.membership and m.status = 'active'
where r.programme = $1 and r.completed_at is not null
  and not exists (select from bonus_grant g where g.programme = $1 and g.code = 'referrer' and g.customer = r.referrer
                  and g.occasion = r.id::text)
order by r.completed_at limit $2
"""
_MEMBERSHIP = """
select m.programme from membership m join membership_person p on p.membership = m.id and p.left_at is null
where m.id = $1 and p.customer = $2 and m.status = 'active'
"""


async def insert_grant(
    programme_id: UUID, code: str, customer_id: UUID, *, occasion: str, membership_id: UUID, points: int, now: datetime
) -> bool:
    """Note a bonus; False if the customer has had it."""
    row = await DB.fetch_row(
        _GRANT, new_id(), programme_id, code, customer_id, occasion, membership_id, points, now
    )  # fmt: skip
    return row is not None


async def lock_membership(membership_id: UUID) -> Row | None:
    """Lock an active membership and return its deficit."""
    return await DB.fetch_row(_LOCK, membership_id)


async def list_birthdays(
    programme_id: UUID, days: Sequence[tuple[int, int]], *, joined_before: datetime, occasion: str, limit: int
) -> list[Row]:
    """Return members with one of these birthdays who have not had the bonus of the occasion."""
    months, days_of_month = [month for month, _ in days], [day for _, day in days]
    return await DB.fetch(_BIRTHDAYS, programme_id, months, days_of_month, joined_before, occasion, limit)


async def has_bought(customer_id: UUID, programme_id: UUID, *, except_order: UUID | None) -> bool:
    """Return whether any other sale of a customer has earned points in a programme."""
    return bool(await DB.fetch_value(_BOUGHT_BEFORE, customer_id, programme_id, except_order))


async def insert_code(code: str, programme_id: UUID, customer_id: UUID, now: datetime) -> bool:
    """Add a referral code; False if the code is taken or the customer has one."""
    return await DB.fetch_row(_CODE, code, programme_id, customer_id, now) is not None


async def find_code(programme_id: UUID, customer_id: UUID) -> str | None:
    """Return a customer's referral code."""
    code = await DB.fetch_value(_FIND_CODE, programme_id, customer_id)
    return None if code is None else str(code)


async def find_code_owner(code: str) -> Row | None:
    """Return whose code this is, and of which programme."""
    return await DB.fetch_row(_CODE_OWNER, code)


async def insert_referral(programme_id: UUID, *, referrer_id: UUID, referred_id: UUID, now: datetime) -> bool:
    """Note who brought a customer; False if somebody is noted."""
    return await DB.fetch_row(_REFER, new_id(), programme_id, referrer_id, referred_id, now) is not None


async def complete_referral(programme_id: UUID, referred_id: UUID, now: datetime) -> Row | None:
    """Close a customer's open referral and return it."""
    return await DB.fetch_row(_COMPLETE, programme_id, referred_id, now)


async def list_unpaid(programme_id: UUID, limit: int) -> list[Row]:
    """Return completed referrals whose referrer has not been paid, with the referrer's membership."""
    return await DB.fetch(_UNPAID, programme_id, limit)


async def find_programme_of(membership_id: UUID, customer_id: UUID) -> UUID | None:
    """Return the programme of a customer's own active membership."""
    row = await DB.fetch_row(_MEMBERSHIP, membership_id, customer_id)
    return row["programme"] if row else None
