"""SQL of email changes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from asyncpg import UniqueViolationError

from server.context import Context
from server.customers.store import AddressTaken
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.email_changes.effects import Effects, MovedMembership, ReplacedCard
from server.email_changes.rules import CardState, LotState, MembershipState
from shared.enums import ConsentAnswer, EmailChangeMode

# Customers -----------------------------------------------------------------------------------------------------------

_CUSTOMER = """
select c.id, c.status, c.given_name, c.redemption_held_until, p.id as point_id, p.value as email, p.key as email_key,
       p.status as email_status, l.id is not null as has_login, l.password_version
from customer c
left join contact_point p on p.customer = c.id and p.kind = 'email' and p.is_primary
left join login l on l.customer = c.id
where c.id = $1
"""
_TOUCH = """
update customer set version = version + 1, updated_at = $2 where id = $1 returning redemption_held_until
"""
_SESSIONS = (
    "select count(*)::int from member_session where customer = $1 and ended_at is null and refresh_expires_at > $2"
)

# Contact points ------------------------------------------------------------------------------------------------------

_RETIRE_SAME = """
update contact_point set status = 'retired', is_primary = false, retired_at = $3, retired_reason = 'email_change'
where customer = $1 and kind = 'email' and key = $2 and status <> 'retired'
"""
_RESTORE_POINT = """
update contact_point set status = $2, is_primary = true, retired_at = null, retired_reason = null
where id = $1 and status = 'retired'
returning id
"""


async def find_customer(customer_id: UUID) -> Row | None:
    """Return a customer with the primary email address and the login's version, as far as there are any."""
    return await DB.fetch_row(_CUSTOMER, customer_id)


async def touch_customer(ctx: Context, customer_id: UUID) -> datetime | None:
    """Raise the customer's version and return until when redemption is held."""
    row = await DB.fetch_row(_TOUCH, customer_id, ctx.now)
    assert row is not None
    held_until: datetime | None = row["redemption_held_until"]
    return held_until


async def count_sessions(customer_id: UUID, now: datetime) -> int:
    """Return on how many devices a customer is signed in."""
    count = await DB.fetch_value(_SESSIONS, customer_id, now)
    assert isinstance(count, int)
    return count


async def retire_same(ctx: Context, customer_id: UUID, email_key: str) -> None:
    """Retire what a customer has on file of an address that is about to become the primary one anew."""
    await DB.fetch(_RETIRE_SAME, customer_id, email_key, ctx.now)


async def restore_point(point_id: UUID, *, status: str) -> None:
    """Make a retired address the primary one again.

    Raises:
        AddressTaken: Another customer has proven it since; the transaction is lost.
    """
    try:
        row = await DB.fetch_row(_RESTORE_POINT, point_id, status)
    except UniqueViolationError as error:
        raise AddressTaken from error
    assert row is not None, "the customer's row is locked, so the point cannot have been restored meanwhile"


_CONSENT = """
select state, wording_version from consent_event
where customer = $1 and channel = 'email' and address_key = $2
order by at desc, id desc limit 1
"""


class AddressConsent(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer last said about email marketing to one address."""

    answer: ConsentAnswer = ConsentAnswer.NOT_ASKED
    wording_version: str | None = None


async def get_consent(customer_id: UUID, email_key: str) -> AddressConsent:
    """Return where a customer stands on email marketing to one address."""
    row = await DB.fetch_row(_CONSENT, customer_id, email_key)
    if row is None:
        return AddressConsent()
    return AddressConsent(answer=ConsentAnswer(row["state"]), wording_version=row["wording_version"])


# Changes --------------------------------------------------------------------------------------------------------------

_FIND = "select * from email_change where id = $1"
_OPEN_SINCE = """
select * from email_change
where customer = $1 and requested_at >= $2 and state in ('pending', 'confirmed')
order by coalesce(confirmed_at, requested_at) desc, id desc
limit 100
"""
_LATER = """
select 1 from email_change where customer = $1 and state = 'confirmed' and (confirmed_at, id) > ($2, $3)
"""
_OF_POINT = """
select * from email_change where customer = $1 and state = 'confirmed' and effects->>'new_point_id' = $2
"""
_PENDING = "select id from email_change where customer = $1 and state = 'pending' and expires_at > $2"
_REQUEST_TIMES = """
select requested_at from email_change
where customer = $1 and requested_by_kind = 'member' and requested_at > $2
order by requested_at limit 100
"""
_SUPERSEDE = """
update email_change set state = 'superseded' where customer = $1 and state = 'pending' returning id
"""
_INSERT = """
insert into email_change (id, customer, old_email, old_email_key, new_email, new_email_key, mode, state,
                          requested_by_kind, requested_by_id, requested_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $9, $10, $11)
"""
_CONFIRM = """
update email_change set state = 'confirmed', confirmed_at = $2, undo_until = $3, effects = $4
where id = $1 and state = 'pending'
returning id
"""
_CLOSE = """
update email_change set state = $2, undone_at = $3 where id = $1 and state = $4 returning id
"""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A row of email_change."""

    id: UUID
    customer_id: UUID
    old_email: str
    old_key: str
    new_email: str
    new_key: str
    mode: EmailChangeMode
    state: str
    requested_at: datetime
    confirmed_at: datetime | None
    undo_until: datetime | None
    effects: Effects


async def find_change(change_id: UUID) -> Change | None:
    """Return an email change."""
    row = await DB.fetch_row(_FIND, change_id)
    return _change(row) if row else None


async def list_open_since(customer_id: UUID, requested_at: datetime) -> list[Change]:
    """Return what is pending or in force of the changes requested at an instant or later, newest first."""
    return [_change(row) for row in await DB.fetch(_OPEN_SINCE, customer_id, requested_at)]


async def has_later_change(change: Change) -> bool:
    """Return whether another change in force builds on this one."""
    return await DB.fetch_row(_LATER, change.customer_id, change.confirmed_at, change.id) is not None


async def find_change_to(customer_id: UUID, point_id: UUID) -> Change | None:
    """Return the change in force that set a contact point."""
    row = await DB.fetch_row(_OF_POINT, customer_id, str(point_id))
    return _change(row) if row else None


async def find_pending(customer_id: UUID, now: datetime) -> UUID | None:
    """Return the customer's change that waits for its proof."""
    row = await DB.fetch_row(_PENDING, customer_id, now)
    return row["id"] if row else None


async def list_request_times(customer_id: UUID, since: datetime) -> list[datetime]:
    """Return when a member asked for changes since an instant, oldest first."""
    return [row["requested_at"] for row in await DB.fetch(_REQUEST_TIMES, customer_id, since)]


async def supersede_pending(customer_id: UUID) -> UUID | None:
    """Put the customer's pending change aside and return its id."""
    row = await DB.fetch_row(_SUPERSEDE, customer_id)
    return row["id"] if row else None


async def insert_change(
    ctx: Context, customer: Row, *, new_email: str, new_key: str, mode: EmailChangeMode, life: timedelta
) -> Change:
    """Add a pending change and return it."""
    change_id = new_id()
    await DB.fetch(
        _INSERT,
        change_id,
        customer["id"],
        customer["email"] or "",
        customer["email_key"] or "",
        new_email,
        new_key,
        mode.value,
        ctx.actor.kind,
        ctx.actor.id,
        ctx.now,
        ctx.now + life,
    )
    change = await find_change(change_id)
    assert change is not None
    return change


async def confirm_change(ctx: Context, change_id: UUID, *, effects: Effects, undo_until: datetime) -> None:
    """Mark a pending change as carried out."""
    encoded = msgspec.json.encode(effects).decode()
    row = await DB.fetch_row(_CONFIRM, change_id, ctx.now, undo_until, encoded)
    assert row is not None, "the customer's row is locked, so the change cannot have been decided meanwhile"


async def close_change(ctx: Context, change: Change, *, state: str) -> None:
    """Mark a change as cancelled or undone."""
    row = await DB.fetch_row(_CLOSE, change.id, state, ctx.now, change.state)
    assert row is not None, "the customer's row is locked, so the change cannot have been decided meanwhile"


def _change(row: Row) -> Change:
    return Change(
        id=row["id"],
        customer_id=row["customer"],
        old_email=row["old_email"],
        old_key=row["old_email_key"],
        new_email=row["new_email"],
        new_key=row["new_email_key"],
        mode=EmailChangeMode(row["mode"]),
        state=row["state"],
        requested_at=row["requested_at"],
        confirmed_at=row["confirmed_at"],
        undo_until=row["undo_until"],
        effects=msgspec.json.decode(row["effects"], type=Effects),
    )


# Memberships and cards -----------------------------------------------------------------------------------------------

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
_LOTS = """
select remaining, available_at, expires_at from lot where membership = any($1::uuid[]) and remaining > 0
"""
_LEAVE = """
update membership_person set left_at = $2, left_reason = $3 where id = $1 and left_at is null returning id
"""
_COME_BACK = """
update membership_person set left_at = null, left_reason = null where id = $1 and left_at is not null returning id
"""
# The new membership goes on where the old one stood: same programme, enrolment, tier and start date.
_SUCCEED = """
with opened as (
    insert into membership (id, programme, enrolled_at, tier, created_at)
    select $2, programme, enrolled_at, tier, $5 from membership where id = $1
    returning id
)
insert into membership_person (id, membership, programme, customer, role, joined_at, eligible_from)
select $3, opened.id, p.programme, p.customer, p.role, p.joined_at, p.eligible_from
from opened, membership_person p where p.id = $4
"""
_CLOSE_MEMBERSHIP = """
update membership set status = 'reissued', successor = $2, closed_at = $3, version = version + 1
where id = $1 and status = 'active'
returning id
"""
_REOPEN_MEMBERSHIP = """
update membership m
set status = 'active', successor = null, closed_at = null, tier = n.tier, version = m.version + 1
from membership n
where m.id = $1 and m.status = 'reissued' and m.successor = $2 and n.id = $2
returning m.id
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
