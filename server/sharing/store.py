"""SQL of shared memberships. Everything but the reads is called with the memberships locked."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id

_PEOPLE = """
select p.id, p.membership, p.customer, p.role, p.joined_at, p.eligible_from, p.redeem_limit,
       trim(c.given_name || ' ' || c.family_name) as name, c.given_name, c.status, c.redemption_held_until
from membership_person p join customer c on c.id = p.customer
where p.membership = any($1::uuid[]) and p.left_at is null
order by p.role = 'owner' desc, p.joined_at, p.id
"""
_EARNERS = """
select distinct e.customer from lot l join ledger_entry e on e.id = l.entry
where l.membership = any($1::uuid[]) and l.remaining > 0 and e.customer is not null
"""
# What each person brought and spent in this membership and in those that became a part of it; also as whoever was merged into them.
_SHARES = """
with family as (select id from regulars_family($1) as id)
select p.customer, coalesce(e.earned, 0)::bigint as earned, coalesce(e.spent, 0)::bigint as spent,
       coalesce(l.points, 0)::bigint as left,
       (select k.code from card k where k.membership = $1 and k.customer = p.customer and k.status = 'active'
        order by k.issued_at desc limit 1) as card
from membership_person p
left join (
    select regulars_person(customer) as person, sum(earned) as earned, sum(spent) as spent
    from (
        select customer, sum(points) filter (where kind in ('EARN', 'BONUS', 'CORRECTION', 'CLAWBACK')) as earned,
               -sum(points) filter (where kind in ('REDEEM', 'RESTORE')) as spent
        from ledger_entry where membership in (select id from family) group by customer
    ) named group by person
) e on e.person = p.customer
left join (
    select regulars_person(customer) as person, sum(points) as points
    from (
        select e.customer, sum(l.remaining) as points from lot l join ledger_entry e on e.id = l.entry
        where l.membership = $1 and l.remaining > 0 and (l.expires_at is null or l.expires_at > $2) group by e.customer
    ) named group by person
) l on l.person = p.customer
where p.membership = $1 and p.left_at is null
"""
_MEMBERSHIP = "select * from membership where id = $1"
_FIND_MEMBERSHIP_OF = """
select p.membership, m.status,
       (select k.code from card k where k.membership = p.membership and k.customer = p.customer and k.status = 'active'
        order by k.issued_at desc limit 1) as card,
       coalesce((select sum(l.remaining) from lot l where l.membership = p.membership and l.remaining > 0
                 and l.available_at <= $3 and (l.expires_at is null or l.expires_at > $3)), 0)::bigint as available
from membership_person p join membership m on m.id = p.membership
where p.customer = $1 and p.programme = $2 and p.left_at is null
"""
# The most that a member wants to be spent in a day goes along from the place they had before.
_LIMIT = """
(select redeem_limit from membership_person
 where customer = {customer} and programme = {programme} order by left_at desc nulls first, id desc limit 1)
"""
_ADD_PERSON = f"""
insert into membership_person (id, membership, programme, customer, role, joined_at, eligible_from, redeem_limit)
select $1, m.id, m.programme, $3, $4, $5, $6, {_LIMIT.format(customer="$7", programme="m.programme")}
from membership m where m.id = $2
"""
_END_PERSON = """
update membership_person set left_at = $2, left_reason = $3 where id = $1 and left_at is null returning id
"""
_REVIVE_PERSON = f"""
update membership_person p
set left_at = null, left_reason = null, redeem_limit = {_LIMIT.format(customer="p.customer", programme="p.programme")}
where id = $1 and left_at is not null returning id
"""
_SET_ROLE = "update membership_person set role = $2 where id = $1 and left_at is null returning id"
_MOVE_CARDS = """
update card set membership = $2 where membership = $1 and customer = any($3::uuid[]) and status = 'active' returning id, code
"""
_MOVE_VOUCHERS = """
with locked as (
    select id from voucher
    where membership = $1 and customer = any($3::uuid[]) and status in ('issued', 'held') order by id for update
)
update voucher set membership = $2 where id in (select id from locked) returning id
"""
_BLOCK_CARDS = """
update card set status = 'blocked', reason = $3, ended_at = $4
where membership = $1 and customer = $2 and status = 'active'
"""
_OPEN = """
insert into membership (id, programme, enrolled_at, created_at, active_at)
select $2, programme, $3, $3, active_at from membership where id = $1
"""
_CLOSE = """
update membership set status = 'combined', successor = $2, closed_at = $3, version = version + 1
where id = $1 and status = 'active' returning id
"""
_REOPEN = """
update membership set status = 'active', successor = null, closed_at = null, version = version + 1
where id = $1 and status = 'combined' returning id
"""
_LATER_ACTIVE = """
update membership set active_at = greatest(active_at, (select active_at from membership where id = $2)) where id = $1
"""
_EARNED_BY = """
select coalesce(sum(points), 0)::bigint from ledger_entry
where membership in (select regulars_family($1)) and customer in (select regulars_people($2)) and kind in ('EARN', 'BONUS')
"""
_OWED_BY = """
select coalesce(sum(open_points), 0)::bigint from (
    select -e.points - coalesce((select sum(a.points) from allocation a where a.debit_entry = e.id), 0) as open_points
    from ledger_entry e where e.membership = $1 and e.points < 0 and e.customer in (select regulars_people($2))
) debt
"""
_HAS_ACTED = """
select exists (select from ledger_entry where membership = $1 and customer = $2 and posted_at >= $3)
"""
_INSERT_OPERATION = """
insert into sharing_operation (id, kind, membership, other, customer, merge, reason, points, effects, actor_kind, actor_id,
                               at, undo_until)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""
_OPERATION = "select * from sharing_operation where id = $1"
_COMBINATION = "select * from sharing_operation where other = $1 and kind = 'combine' and state = 'done'"
_CLOSE_OPERATION = """
update sharing_operation set state = 'undone', undone_at = $2, undone_by = $3 where id = $1 and state = 'done' returning id
"""
_HAS_LATER = """
select 1 from sharing_operation s
where s.state = 'done' and (s.at, s.id) > ($1, $2) and (s.membership = any($3::uuid[]) or s.other = any($3::uuid[])) limit 1
"""
_OPERATIONS = """
select * from sharing_operation where membership = $1 or other = $1 order by at desc, id desc limit 20
"""
_SET_POLICY = """
update membership set redeem_policy = $2, redeem_daily_points = $3, version = version + 1 where id = $1
"""
_PROGRAMME = "select max_sharers, redeem_policy from programme where id = $1"
_ADDRESSES = """
select customer, value, key from contact_point
where customer = any($1::uuid[]) and kind = 'email' and is_primary and status in ('verified', 'bouncing')
order by customer
"""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in a membership, as of the lock."""

    id: UUID
    membership: UUID
    customer: UUID
    role: str
    joined_at: datetime
    eligible_from: datetime
    redeem_limit: int | None
    name: str
    given_name: str
    status: str
    redemption_held_until: datetime | None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A joining, combining or leaving to write down."""

    id: UUID
    kind: str
    membership_id: UUID
    other_id: UUID | None = None
    customer_id: UUID | None = None
    merge_id: UUID | None = None
    reason: str
    points: int = 0
    effects: msgspec.Struct
    undo_until: datetime


async def list_people(membership_ids: Sequence[UUID]) -> list[Person]:
    """Return who is in these memberships, owners first."""
    return [Person(**row) for row in await DB.fetch(_PEOPLE, list(membership_ids))]


async def list_earners(membership_ids: Sequence[UUID]) -> list[UUID]:
    """Return the customers who earned what is left in some memberships; some have left, or were merged, since."""
    return [row["customer"] for row in await DB.fetch(_EARNERS, list(membership_ids))]


async def list_shares(membership_id: UUID, now: datetime) -> dict[UUID, Row]:
    """Return by customer what everybody in a membership earned, spent and has left, and the card."""
    return {row["customer"]: row for row in await DB.fetch(_SHARES, membership_id, now)}


async def find_membership(membership_id: UUID) -> Row | None:
    """Return a membership."""
    return await DB.fetch_row(_MEMBERSHIP, membership_id)


async def find_membership_of(customer_id: UUID, programme_id: UUID, now: datetime) -> Row | None:
    """Return the membership of a customer in a programme with card and available points."""
    return await DB.fetch_row(_FIND_MEMBERSHIP_OF, customer_id, programme_id, now)


async def add_person(
    membership_id: UUID,
    customer_id: UUID,
    *,
    role: str,
    joined_at: datetime,
    eligible_from: datetime,
    instead_of: UUID | None = None,
) -> UUID:
    """Add somebody to a membership and return the id of the row.

    Args:
        instead_of: The customer whose place it was, as the two were merged.
    """
    person_id = new_id()
    before = instead_of or customer_id
    await DB.fetch(_ADD_PERSON, person_id, membership_id, customer_id, role, joined_at, eligible_from, before)
    return person_id


async def end_person(ctx: Context, person_id: UUID, *, reason: str) -> None:
    """End somebody's part in a membership."""
    row = await DB.fetch_row(_END_PERSON, person_id, ctx.now, reason)
    assert row is not None, "the membership is locked"


async def revive_person(person_id: UUID) -> None:
    """Take somebody's leaving back."""
    row = await DB.fetch_row(_REVIVE_PERSON, person_id)
    assert row is not None, "the membership is locked"


async def set_role(person_id: UUID, role: str) -> None:
    """Make somebody owner or sharer; the former owner steps back first."""
    row = await DB.fetch_row(_SET_ROLE, person_id, role)
    assert row is not None, "the membership is locked"


async def move_cards(from_id: UUID, to_id: UUID, customer_ids: Sequence[UUID]) -> list[Row]:
    """Let people's active cards scan for another membership and return id and code."""
    return await DB.fetch(_MOVE_CARDS, from_id, to_id, list(customer_ids))


async def block_cards(ctx: Context, membership_id: UUID, customer_id: UUID, *, reason: str) -> None:
    """Let a person's cards in a membership stop scanning."""
    await DB.fetch(_BLOCK_CARDS, membership_id, customer_id, reason, ctx.now)


async def move_vouchers(from_id: UUID, to_id: UUID, customer_ids: Sequence[UUID]) -> list[UUID]:
    """Move people's unspent vouchers to another membership and return their ids."""
    return [row["id"] for row in await DB.fetch(_MOVE_VOUCHERS, from_id, to_id, list(customer_ids))]


async def open_membership(ctx: Context, like: UUID) -> UUID:
    """Open a membership in the programme of another one and return its id."""
    membership_id = new_id()
    await DB.fetch(_OPEN, like, membership_id, ctx.now)
    return membership_id


async def close_into(ctx: Context, membership_id: UUID, *, successor_id: UUID) -> None:
    """Close a membership as combined into another."""
    row = await DB.fetch_row(_CLOSE, membership_id, successor_id, ctx.now)
    assert row is not None, "the membership is locked"


async def reopen(membership_id: UUID) -> None:
    """Open a combined membership again."""
    row = await DB.fetch_row(_REOPEN, membership_id)
    assert row is not None, "the membership is locked"


async def take_over_activity(membership_id: UUID, other_id: UUID) -> None:
    """Let a membership count as active when the other one was."""
    await DB.fetch(_LATER_ACTIVE, membership_id, other_id)


async def get_earned_by(membership_id: UUID, customer_id: UUID) -> int:
    """Return all that a customer ever earned in a membership and those that became a part of it."""
    points = await DB.fetch_value(_EARNED_BY, membership_id, customer_id)
    assert isinstance(points, int)
    return points


async def get_owed_by(membership_id: UUID, customer_id: UUID) -> int:
    """Return how much of a membership's deficit a customer has caused."""
    points = await DB.fetch_value(_OWED_BY, membership_id, customer_id)
    assert isinstance(points, int)
    return points


async def has_acted(membership_id: UUID, customer_id: UUID, since: datetime) -> bool:
    """Return whether a customer has moved points in a membership since an instant."""
    return bool(await DB.fetch_value(_HAS_ACTED, membership_id, customer_id, since))


async def insert_operation(ctx: Context, operation: Operation) -> None:
    """Write an operation down."""
    await DB.fetch(
        _INSERT_OPERATION,
        operation.id,
        operation.kind,
        operation.membership_id,
        operation.other_id,
        operation.customer_id,
        operation.merge_id,
        operation.reason,
        operation.points,
        msgspec.json.encode(operation.effects).decode(),
        ctx.actor.kind,
        ctx.actor.id,
        ctx.now,
        operation.undo_until,
    )


async def find_operation(operation_id: UUID) -> Row | None:
    """Return an operation."""
    return await DB.fetch_row(_OPERATION, operation_id)


async def find_combination(absorbed_id: UUID) -> Row | None:
    """Return the operation that combined a membership into another and is in force."""
    return await DB.fetch_row(_COMBINATION, absorbed_id)


async def close_operation(ctx: Context, operation_id: UUID) -> bool:
    """Mark an operation as undone; False if it was before."""
    return await DB.fetch_row(_CLOSE_OPERATION, operation_id, ctx.now, ctx.actor.id) is not None


async def has_later(operation: Row) -> bool:
    """Return whether one of an operation's memberships was in another one since."""
    ids = [one for one in (operation["membership"], operation["other"]) if one is not None]
    return await DB.fetch_row(_HAS_LATER, operation["at"], operation["id"], ids) is not None


async def list_operations(membership_id: UUID) -> list[Row]:
    """Return a membership's latest operations, newest first."""
    return await DB.fetch(_OPERATIONS, membership_id)


async def set_policy(membership_id: UUID, policy: str, daily_points: int | None) -> None:
    """Say who may spend in a membership."""
    await DB.fetch(_SET_POLICY, membership_id, policy, daily_points)


async def get_programme_terms(programme_id: UUID) -> Row:
    """Return how many may share a membership beside its owner, and who may spend unless it says so itself."""
    row = await DB.fetch_row(_PROGRAMME, programme_id)
    assert row is not None
    return row


async def list_addresses(customer_ids: Sequence[UUID]) -> list[Row]:
    """Return the proven email addresses that people are reached at."""
    return await DB.fetch(_ADDRESSES, list(customer_ids))
