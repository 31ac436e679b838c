"""SQL of the rewards account that an email change reissues: memberships, people and cards."""

from collections.abc import Sequence
from uuid import UUID

from server.context import Context
from server.db.engine import DB
from server.db.ids import new_id
from server.email_changes.effects import MovedMembership, ReplacedCard
from server.email_changes.rules import CardState, LotState, MembershipState

_MEMBERSHIPS = """
select m.id, m.deficit, p.id as person, p.programme,
       exists (select 1 from membership_person o
               where o.membership = m.id and o.left_at is null and o.customer <> p.customer) as is_shared
from membership_person p join membership m on m.id = p.membership
where p.customer = $1 and p.left_at is null and m.status = 'active'
order by m.id
"""
_CARDS = "select id, code, membership from card where customer = $1 and status = 'active' order by id"
_VOUCHERS = "select id from voucher where customer = $1 and status = 'issued' order by id"
# Codes that nobody was told, as they were made for an address that was not proven.
_REISSUED = """
select v.id from voucher v join voucher o on o.customer = v.customer and o.replaced_by = v.id
where v.customer = $1 and v.status = 'issued' and o.void_reason in ('email_change', 'email_change_undone')
order by v.id
"""
_LOTS = """
select remaining, available_at, expires_at from lot where membership = any($1::uuid[]) and remaining > 0
"""
_LEAVE = """
update membership_person set left_at = $2, left_reason = $3 where id = $1 and left_at is null returning id
"""
_COME_BACK = """
update membership_person set left_at = null, left_reason = null where id = $1 and left_at is not null returning id
"""
# The new membership goes on where the old one stood: same programme, enrolment, tier, start date and limit.
_SUCCEED = """
with opened as (
    insert into membership (id, programme, enrolled_at, tier, tier_until, created_at)
    select $2, programme, enrolled_at, tier, tier_until, $5 from membership where id = $1
    returning id, tier, tier_until
), noted as (
    insert into tier_change (id, membership, tier, until, at, reason)
    select regulars_new_id(), id, tier, tier_until, $5, 'inherited' from opened where tier <> ''
)
insert into membership_person (id, membership, programme, customer, role, joined_at, eligible_from, redeem_limit)
select $3, opened.id, p.programme, p.customer, p.role, p.joined_at, p.eligible_from, p.redeem_limit
from opened, membership_person p where p.id = $4
"""
_CLOSE_MEMBERSHIP = """
update membership set status = 'reissued', successor = $2, closed_at = $3, version = version + 1
where id = $1 and status = 'active'
returning id
"""
# A tier that was reached, kept or lost since comes along.
_REOPEN_MEMBERSHIP = """
with reopened as (
    update membership m
    set status = 'active', successor = null, closed_at = null, tier = n.tier, tier_until = n.tier_until,
        version = m.version + 1
    from membership n
    where m.id = $1 and m.status = 'reissued' and m.successor = $2 and n.id = $2
    returning m.id, m.tier, m.tier_until
), noted as (
    insert into tier_change (id, membership, tier, until, at, reason)
    select regulars_new_id(), r.id, r.tier, r.tier_until,
           (select max(at) + interval '1 microsecond' from tier_change where membership in ($1, $2)), 'inherited'
    from reopened r
    left join lateral (
        select tier, until from tier_change where membership = r.id order by at desc, id desc limit 1
    ) t on true
    where (r.tier, r.tier_until) is distinct from (coalesce(t.tier, ''), t.until)
)
select id from reopened
"""
_PEOPLE = "select customer from membership_person where membership = $1 and left_at is null"
_REPLACE_CARDS = """
update card set status = 'replaced', replaced_by = $3, reason = $4, ended_at = $5
where membership = $1 and customer = $2 and status = 'active' and id <> $3 and id <> all($6::uuid[])
returning id
"""
_REVIVE_CARDS = """
update card set status = 'active', replaced_by = null, reason = null, ended_at = null
where id = any($1::uuid[]) and membership = $2 and status = 'replaced'
returning id
"""
_MOVE_CARDS = "update card set membership = $3 where membership = $1 and customer = $2 and status = 'active'"
_CARD_NUMBER = """
select code from card where customer = $1 and status = 'active' order by issued_at desc, id desc limit 1
"""
_CARD_ID = "select id from card where code = $1"


async def list_memberships(customer_id: UUID) -> tuple[MembershipState, ...]:
    """Return a customer's active memberships by id."""
    return tuple(
        MembershipState(
            id=row["id"],
            programme_id=row["programme"],
            person_id=row["person"],
            deficit=row["deficit"],
            is_shared=row["is_shared"],
        )
        for row in await DB.fetch(_MEMBERSHIPS, customer_id)
    )


async def list_cards(customer_id: UUID) -> tuple[CardState, ...]:
    """Return a customer's active cards by id."""
    rows = await DB.fetch(_CARDS, customer_id)
    return tuple(CardState(id=row["id"], code=row["code"], membership_id=row["membership"]) for row in rows)


async def list_unspent_vouchers(customer_id: UUID) -> tuple[UUID, ...]:
    """Return the ids of a customer's unspent vouchers."""
    return tuple(row["id"] for row in await DB.fetch(_VOUCHERS, customer_id))


async def list_reissued_vouchers(customer_id: UUID) -> tuple[UUID, ...]:
    """Return the ids of a customer's unspent vouchers whose codes were made by an email change."""
    return tuple(row["id"] for row in await DB.fetch(_REISSUED, customer_id))


async def list_lots(membership_ids: Sequence[UUID]) -> tuple[LotState, ...]:
    """Return the points left in memberships with their dates, in an order that depends on nothing else."""
    lots = [
        LotState(points=row["remaining"], available_at=row["available_at"], expires_at=row["expires_at"])
        for row in await DB.fetch(_LOTS, list(membership_ids))
    ]
    return tuple(sorted(lots, key=lambda lot: (lot.available_at, lot.expires_at is None, lot.expires_at, lot.points)))


async def list_people(membership_id: UUID) -> list[UUID]:
    """Return who is in a membership."""
    return [row["customer"] for row in await DB.fetch(_PEOPLE, membership_id)]


async def open_successor(ctx: Context, membership: MembershipState) -> MovedMembership:
    """Open the membership that takes another's place, with the same person, and let that person leave the old one."""
    moved = MovedMembership(
        old_id=membership.id, new_id=new_id(), old_person_id=membership.person_id, new_person_id=new_id()
    )
    await leave(ctx, moved.old_person_id, reason="reissued")
    await DB.fetch(_SUCCEED, moved.old_id, moved.new_id, moved.new_person_id, moved.old_person_id, ctx.now)
    return moved


async def leave(ctx: Context, person_id: UUID, *, reason: str) -> None:
    """End a person's part in a membership."""
    row = await DB.fetch_row(_LEAVE, person_id, ctx.now, reason)
    assert row is not None, "the membership is locked"


async def come_back(person_id: UUID) -> None:
    """Take a person's leaving back."""
    row = await DB.fetch_row(_COME_BACK, person_id)
    assert row is not None, "the membership is locked"


async def close_membership(ctx: Context, membership_id: UUID, *, successor_id: UUID) -> None:
    """Close a membership as reissued."""
    row = await DB.fetch_row(_CLOSE_MEMBERSHIP, membership_id, successor_id, ctx.now)
    assert row is not None, "the membership is locked"


async def reopen_membership(membership_id: UUID, *, successor_id: UUID) -> None:
    """Open a reissued membership again."""
    row = await DB.fetch_row(_REOPEN_MEMBERSHIP, membership_id, successor_id)
    assert row is not None, "the membership is locked"


async def replace_cards(
    ctx: Context, *, membership_id: UUID, customer_id: UUID, successor_id: UUID, keep_ids: Sequence[UUID] = ()
) -> list[UUID]:
    """Let a customer's other active cards in a membership stop scanning and name their successor; return their ids."""
    rows = await DB.fetch(
        _REPLACE_CARDS, membership_id, customer_id, successor_id, "email_change", ctx.now, list(keep_ids)
    )
    return [row["id"] for row in rows]


async def revive_cards(card_ids: Sequence[UUID], *, membership_id: UUID) -> list[UUID]:
    """Let those of the cards that were replaced in a membership scan again and return their ids."""
    return [row["id"] for row in await DB.fetch(_REVIVE_CARDS, list(card_ids), membership_id)]


async def move_cards(*, from_membership: UUID, to_membership: UUID, customer_id: UUID) -> None:
    """Let a customer's active cards scan for another membership."""
    await DB.fetch(_MOVE_CARDS, from_membership, customer_id, to_membership)


async def find_card_number(customer_id: UUID) -> str | None:
    """Return the number of a customer's newest active card."""
    row = await DB.fetch_row(_CARD_NUMBER, customer_id)
    return row["code"] if row else None


async def get_card_id(code: str) -> UUID:
    """Return the id of a card."""
    card_id = await DB.fetch_value(_CARD_ID, code)
    assert isinstance(card_id, UUID)
    return card_id


def replaced(old_ids: Sequence[UUID], new_id: UUID) -> tuple[ReplacedCard, ...]:
    """Return the pairs of cards and their one successor."""
    return tuple(ReplacedCard(old_id=old_id, new_id=new_id) for old_id in old_ids)
