"""SQL of email changes."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from asyncpg import UniqueViolationError

from server.context import Context
from server.customers.store import AddressTaken
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.email_changes.effects import Effects
from shared.enums import ConsentAnswer, EmailChangeMode

# Customers -----------------------------------------------------------------------------------------------------------

_CUSTOMER = """
select c.id, c.status, c.given_name, c.redemption_held_until, p.id as point_id, p.value as email, p.key as email_key,
       p.status as email_status, coalesce(p.bounced_at is not null, false) as email_bounces, l.id is not null as has_login, l.password_version
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

_LINKS = "select id from pos_link where customer = $1 and state = 'linked' order by id limit 100"

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


async def list_links(customer_id: UUID) -> list[UUID]:
    """Return the links to a customer's POS records."""
    return [row["id"] for row in await DB.fetch(_LINKS, customer_id)]


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
_PENDING = """
select id from email_change where customer = $1 and state = 'pending' and expires_at > $2 and id is distinct from $3
"""
_PLANNED = "select 1 from email_change where customer = $1 and state = 'pending' and execute_after is not null"
_REQUEST_TIMES = """
select requested_at from email_change
where customer = $1 and requested_by_kind = 'member' and requested_at > $2
order by requested_at limit 100
"""
_SUPERSEDE = """
update email_change set state = $2 where customer = $1 and state = 'pending' returning id
"""
_INSERT = """
insert into email_change (id, customer, old_email, old_email_key, new_email, new_email_key, mode, state,
                          requested_by_kind, requested_by_id, requested_at, expires_at, is_override, reason)
values ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $9, $10, $11, $12, $13)
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
    requested_by_id: UUID | None
    requested_at: datetime
    expires_at: datetime
    confirmed_at: datetime | None
    undo_until: datetime | None
    effects: Effects
    is_override: bool
    reason: str
    execute_after: datetime | None


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


async def find_pending(customer_id: UUID, now: datetime, *, other_than: UUID | None = None) -> UUID | None:
    """Return the customer's change that waits for its proof, an approval or its time."""
    row = await DB.fetch_row(_PENDING, customer_id, now, other_than)
    return row["id"] if row else None


async def is_override_planned(customer_id: UUID) -> bool:
    """Return whether two of the staff have agreed on another address, which waits for its time."""
    return await DB.fetch_row(_PLANNED, customer_id) is not None


async def list_request_times(customer_id: UUID, since: datetime) -> list[datetime]:
    """Return when a member asked for changes since an instant, oldest first."""
    return [row["requested_at"] for row in await DB.fetch(_REQUEST_TIMES, customer_id, since)]


async def supersede_pending(customer_id: UUID, *, state: str = "superseded") -> UUID | None:
    """Put the customer's pending change aside and return its id."""
    row = await DB.fetch_row(_SUPERSEDE, customer_id, state)
    return row["id"] if row else None


async def insert_change(
    ctx: Context,
    customer: Row,
    *,
    new_email: str,
    new_key: str,
    mode: EmailChangeMode,
    life: timedelta,
    is_override: bool = False,
    reason: str = "",
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
        is_override,
        reason,
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
        requested_by_id=row["requested_by_id"],
        requested_at=row["requested_at"],
        expires_at=row["expires_at"],
        confirmed_at=row["confirmed_at"],
        undo_until=row["undo_until"],
        effects=msgspec.json.decode(row["effects"], type=Effects),
        is_override=row["is_override"],
        reason=row["reason"],
        execute_after=row["execute_after"],
    )
