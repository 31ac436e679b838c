"""Who is calling: a member's session, a staff session or an API key, each found in one statement."""

from datetime import datetime
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB
from server.errors import NotPermitted, NotSignedIn, Refused
from server.tokens import hash_token
from shared.enums import Role, Scope
from shared.limits import STAFF_SESSION_IDLE_MAX, STEP_UP_LIFE
from shared.problems import Code


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member at one signed-in device."""

    customer_id: UUID
    session_id: UUID
    stepped_up_at: datetime


class Staff(msgspec.Struct, frozen=True, kw_only=True):
    """A staff member at one console."""

    staff_id: UUID
    session_id: UUID
    login: str
    name: str
    role: Role
    store_id: UUID | None
    customer_id: UUID | None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A till's API key."""

    key_id: UUID
    connection_id: UUID
    stores: tuple[str, ...]


_MEMBER = """
select s.id, s.customer, s.stepped_up_at
from member_session s join customer c on c.id = s.customer
where s.access_hash = $1 and s.ended_at is null and s.access_expires_at > $2 and c.status = 'active'
"""

# The session lives on by being used; its row is touched at most once a minute.
_STAFF = """
with found as (
    select s.id, s.last_used_at, m.id as staff_id, m.login, m.name, m.role, m.store, m.customer
    from staff_session s join staff_member m on m.id = s.staff_member
    where s.token_hash = $1 and s.ended_at is null and s.expires_at > $2 and s.last_used_at > $3
      and m.status = 'active'
), touched as (
    update staff_session set last_used_at = $2
    from found where staff_session.id = found.id and found.last_used_at < $2 - interval '1 minute'
)
select * from found
"""

_KEY = """
select id, connection, scopes, stores from api_key
where token_hash = $1 and revoked_at is null and expires_at > $2
"""


async def find_member(ctx: Context, token: str) -> Member:
    """Return the member of an access token.

    Raises:
        NotSignedIn: Unknown, expired or ended.
    """
    row = await DB.fetch_row(_MEMBER, hash_token(token), ctx.now)
    if row is None:
        raise NotSignedIn
    return Member(session_id=row["id"], customer_id=row["customer"], stepped_up_at=row["stepped_up_at"])


async def find_staff(ctx: Context, token: str) -> Staff:
    """Return the staff member of a session token.

    Raises:
        NotSignedIn: Unknown, expired, idle for too long, or the person was disabled.
    """
    row = await DB.fetch_row(_STAFF, hash_token(token), ctx.now, ctx.now - STAFF_SESSION_IDLE_MAX)
    if row is None:
        raise NotSignedIn
    return Staff(
        staff_id=row["staff_id"],
        session_id=row["id"],
        login=row["login"],
        name=row["name"],
        role=Role(row["role"]),
        store_id=row["store"],
        customer_id=row["customer"],
    )


async def find_key(ctx: Context, token: str, scope: Scope) -> Key:
    """Return the API key of a token, if it has the scope.

    Raises:
        NotSignedIn: Unknown, expired or revoked.
        NotPermitted: It lacks the scope.
    """
    row = await DB.fetch_row(_KEY, hash_token(token), ctx.now)
    if row is None:
        raise NotSignedIn
    if scope not in row["scopes"]:
        raise NotPermitted(f"This key lacks the scope '{scope}'.")
    return Key(key_id=row["id"], connection_id=row["connection"], stores=tuple(row["stores"]))


def check_stepped_up(ctx: Context, member: Member) -> None:
    """Refuse unless the member proved the password in the last ten minutes.

    Raises:
        Refused: REAUTH_REQUIRED.
    """
    if ctx.now - member.stepped_up_at > STEP_UP_LIFE:
        raise Refused(Code.REAUTH_REQUIRED)
