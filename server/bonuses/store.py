"""SQL of bonuses and referrals."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.db.engine import DB, Row
from server.db.ids import new_id

# Whoever comes second waits for the first and then finds the grant there.
_GRANT = """
insert into bonus_grant (id, programme, code, customer, occasion, membership, points, at, "order")
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
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
update referral set completed_at = $3, "order" = $4 where programme = $1 and referred = $2 and completed_at is null
returning id, referrer
"""
_REOPEN = 'update referral set completed_at = null, "order" = null where "order" = $1'
_SET_OFF = """
select g.id, g.code, g.customer, g.points, e.id as entry
from bonus_grant g
join ledger_entry e on e.membership = g.membership and e.kind = 'BONUS'
    and e.source_key = concat_ws(':', g.programme, g.code, g.customer, nullif(g.occasion, ''))
where g."order" = $1 and (g.membership = $2 or regulars_heir(g.membership) = $2)
  and not exists (select from bonus_return r where r.bonus = g.id)
order by g.id
"""
_RETURN = "insert into bonus_return (bonus, points, at) values ($1, $2, $3)"
_TIMES_RETURNED = """
select count(*)::int from bonus_grant g join bonus_return r on r.bonus = g.id
where g.programme = $1 and g.code = $2 and g.customer = $3
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
    programme_id: UUID,
    code: str,
    customer_id: UUID,
    *,
    occasion: str,
    membership_id: UUID,
    points: int,
    now: datetime,
    order_id: UUID | None,
) -> bool:
    """Note a bonus; False if the customer has had it."""
    row = await DB.fetch_row(
        _GRANT, new_id(), programme_id, code, customer_id, occasion, membership_id, points, now, order_id
    )  # fmt: skip
    return row is not None


async def count_returned(programme_id: UUID, code: str, customer_id: UUID) -> int:
    """Return how often a customer was given a bonus that was taken back with its sale."""
    count = await DB.fetch_value(_TIMES_RETURNED, programme_id, code, customer_id)
    assert isinstance(count, int)
    return count


async def list_set_off(order_id: UUID, membership_id: UUID) -> list[Row]:
    """Return the bonuses that a sale set off, which are in this membership today."""
    return await DB.fetch(_SET_OFF, order_id, membership_id)


async def return_grant(grant_id: UUID, points: int, now: datetime) -> None:
    """Note that a bonus was taken back; the customer can be given it again."""
    await DB.fetch(_RETURN, grant_id, points, now)


async def reopen_referral(order_id: UUID) -> None:
    """Let the referral that a sale completed wait for another one."""
    await DB.fetch(_REOPEN, order_id)


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


async def complete_referral(programme_id: UUID, referred_id: UUID, *, order_id: UUID, now: datetime) -> Row | None:
    """Close a customer's open referral by a sale and return it."""
    return await DB.fetch_row(_COMPLETE, programme_id, referred_id, now, order_id)


async def list_unpaid(programme_id: UUID, limit: int) -> list[Row]:
    """Return completed referrals whose referrer has not been paid, with the referrer's membership."""
    return await DB.fetch(_UNPAID, programme_id, limit)


async def find_programme_of(membership_id: UUID, customer_id: UUID) -> UUID | None:
    """Return the programme of a customer's own active membership."""
    row = await DB.fetch_row(_MEMBERSHIP, membership_id, customer_id)
    return row["programme"] if row else None
