"""SQL of bonuses and referrals."""

from collections.abc import Collection, Sequence
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
# What is written names people, who come before the membership, as in every act that locks both.
_LOCK = """
with people as materialized (select id from customer where id = any($2::uuid[]) order by id for key share)
select id, deficit from membership
where id = $1 and status = 'active' and (select count(*) from people) >= 0 for no key update
"""
# Whoever was merged into a customer celebrated for them, too; and a birthday that moves is no second one.
_BIRTHDAYS = """
select c.id as customer, p.membership
from customer c
join membership_person p on p.customer = c.id and p.left_at is null and p.programme = $1
join membership m on m.id = p.membership and m.status = 'active'
where (c.birth_month, c.birth_day) in (select month, day from unnest($2::int2[], $3::int2[]) as t(month, day))
  and c.birth_month is not null and c.status = 'active'
  and exists (select from membership_person j where j.customer = c.id and j.programme = $1 and j.joined_at <= $4)
  and not exists (
      select from regulars_people(c.id) as k (id)
      join bonus_grant g on g.programme = $1 and g.code = 'birthday' and g.customer = k.id
      where g.occasion = $5 or g.at > $6)
order by c.id limit $7
"""
_BOUGHT_BEFORE = """
select exists (select from orders o join membership m on m.id = o.membership
               where o.customer = $1 and m.programme = $2 and o.points > o.points_returned
                 and o.id is distinct from $3::uuid)
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
update referral set completed_at = $3, "order" = $4, referrer_points = $5
where programme = $1 and referred = $2 and completed_at is null
returning id
"""
_REOPEN = """
update referral set completed_at = null, "order" = null, referrer_points = 0 where "order" = any($1::uuid[])
"""
_SET_OFF = """
select g.id, g.code, g.customer, g.points, g."order", e.id as entry
from bonus_grant g
join ledger_entry e on e.membership = g.membership and e.kind = 'BONUS'
    and e.source_key = concat_ws(':', g.programme, g.code, g.customer, nullif(g.occasion, ''))
where {} and (g.membership = $2 or regulars_heir(g.membership) = $2)
  and not exists (select from bonus_return r where r.bonus = g.id)
order by g.id
"""
_SET_OFF_BY_ORDER = _SET_OFF.format('g."order" = $1')
# By sales of whoever was merged into the customer, too.
_SET_OFF_BY_CUSTOMER = _SET_OFF.format('g.customer in (select regulars_people($1)) and g."order" is not null')
_RETURN = "insert into bonus_return (bonus, points, at) values ($1, $2, $3)"
_TIMES_RETURNED = """
select count(*)::int from bonus_grant g join bonus_return r on r.bonus = g.id
where g.programme = $1 and g.code = $2 and g.customer = $3
"""
_UNPAID = """
select r.id, r.referrer, r.referrer_points, p.membership
from referral r
join membership_person p on p.customer = r.referrer and p.programme = r.programme and p.left_at is null
join membership m on m.id = p.membership and m.status = 'active'
where r.programme = $1 and r.completed_at is not null and r.referrer_points > 0 and r.paid_at is null
order by r.completed_at limit $2
"""
_PAY = "update referral set paid_at = $2 where id = $1 and paid_at is null and completed_at is not null returning id"
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
    return await DB.fetch(_SET_OFF_BY_ORDER, order_id, membership_id)


async def list_set_off_by(customer_id: UUID, membership_id: UUID) -> list[Row]:
    """Return the bonuses that any sale of a customer set off, which are in this membership today."""
    return await DB.fetch(_SET_OFF_BY_CUSTOMER, customer_id, membership_id)


async def return_grant(grant_id: UUID, points: int, now: datetime) -> None:
    """Note that a bonus was taken back; the customer can be given it again."""
    await DB.fetch(_RETURN, grant_id, points, now)


async def reopen_referrals(order_ids: Collection[UUID]) -> None:
    """Let the referrals that sales completed wait for another one."""
    await DB.fetch(_REOPEN, list(order_ids))


async def lock_membership(membership_id: UUID, *customer_ids: UUID) -> Row | None:
    """Lock an active membership for what names these customers, and return its deficit."""
    return await DB.fetch_row(_LOCK, membership_id, customer_ids)


async def list_birthdays(
    programme_id: UUID,
    days: Sequence[tuple[int, int]],
    *,
    joined_before: datetime,
    occasion: str,
    none_since: datetime,
    limit: int,
) -> list[Row]:
    """Return members with one of these birthdays who have had neither the bonus of the occasion nor one since then."""
    months, days_of_month = [month for month, _ in days], [day for _, day in days]
    return await DB.fetch(_BIRTHDAYS, programme_id, months, days_of_month, joined_before, occasion, none_since, limit)


async def has_bought(customer_id: UUID, programme_id: UUID, *, except_order: UUID | None) -> bool:
    """Return whether any other sale of a customer has earned points in a programme that have not all gone back."""
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


async def complete_referral(
    programme_id: UUID, referred_id: UUID, *, order_id: UUID, referrer_points: int, now: datetime
) -> bool:
    """Close a customer's open referral by a sale, and owe the referrer so many points; False if none is open."""
    return await DB.fetch_row(_COMPLETE, programme_id, referred_id, now, order_id, referrer_points) is not None


async def list_unpaid(programme_id: UUID, limit: int) -> list[Row]:
    """Return completed referrals whose referrer is owed points, with the referrer's membership."""
    return await DB.fetch(_UNPAID, programme_id, limit)


async def mark_paid(referral_id: UUID, now: datetime) -> bool:
    """Note that a referrer was paid; False if they were, or the referral is open again."""
    return await DB.fetch_row(_PAY, referral_id, now) is not None


async def find_programme_of(membership_id: UUID, customer_id: UUID) -> UUID | None:
    """Return the programme of a customer's own active membership."""
    row = await DB.fetch_row(_MEMBERSHIP, membership_id, customer_id)
    return row["programme"] if row else None
