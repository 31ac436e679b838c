"""SQL of invitations to share."""

from datetime import datetime
from uuid import UUID

from server.context import Context
from server.customers.rules import EmailAddress
from server.db.engine import DB, Row
from server.db.ids import new_id

_INSERT = """
insert into sharing_invitation (id, membership, invited_by, email, email_key, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (membership, email_key) where state = 'open' do update
set expires_at = excluded.expires_at, created_at = excluded.created_at, invited_by = excluded.invited_by,
    email = excluded.email
returning id
"""
_COUNT_OPEN = """
select count(*)::int from sharing_invitation where membership = $1 and state = 'open' and expires_at > $2
"""
_FIND = """
select i.*, m.programme from sharing_invitation i join membership m on m.id = i.membership
where i.id = $1 and i.state = 'open' and i.expires_at > $2
"""
_LOCK = "select * from sharing_invitation where id = $1 and state = 'open' and expires_at > $2 for update"
_CLOSE = """
update sharing_invitation set state = $2, decided_at = $3, operation = $4 where id = $1 and state = 'open'
"""
_LIST = """
select i.*, c.given_name as invited_by_name from sharing_invitation i
join customer c on c.id = i.invited_by
join membership m on m.id = i.membership and m.status = 'active'
where i.{condition} and i.state = 'open' and i.expires_at > $2 order by i.created_at desc, i.id desc limit 50
"""
_RECEIVED = _LIST.format(condition="email_key = $1")
_SENT = _LIST.format(condition="invited_by = $1")


async def insert(
    ctx: Context, membership_id: UUID, invited_by: UUID, email: EmailAddress, *, expires_at: datetime
) -> UUID:
    """Add an invitation, or renew the one of the same address, and return its id."""
    row = await DB.fetch_row(_INSERT, new_id(), membership_id, invited_by, email.value, email.key, ctx.now, expires_at)
    assert row is not None
    invitation_id: UUID = row["id"]
    return invitation_id


async def count_open(membership_id: UUID, now: datetime) -> int:
    """Return how many invitations of a membership wait."""
    count = await DB.fetch_value(_COUNT_OPEN, membership_id, now)
    assert isinstance(count, int)
    return count


async def find(invitation_id: UUID, now: datetime) -> Row | None:
    """Return an open invitation with the programme of its membership."""
    return await DB.fetch_row(_FIND, invitation_id, now)


async def lock(invitation_id: UUID, now: datetime) -> Row | None:
    """Lock an open invitation and return it; memberships are locked before."""
    return await DB.fetch_row(_LOCK, invitation_id, now)


async def close(ctx: Context, invitation_id: UUID, *, state: str, operation_id: UUID | None) -> None:
    """Close an invitation."""
    await DB.fetch(_CLOSE, invitation_id, state, ctx.now, operation_id)


async def list_received(email_key: str, now: datetime) -> list[Row]:
    """Return open invitations to an address, newest first."""
    return await DB.fetch(_RECEIVED, email_key, now)


async def list_sent(customer_id: UUID, now: datetime) -> list[Row]:
    """Return open invitations by a customer, newest first."""
    return await DB.fetch(_SENT, customer_id, now)
