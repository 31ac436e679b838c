"""SQL of staff members, their sessions and set-up links, and of API keys."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id

_MEMBER = """
select m.id, m.login, m.name, m.role, m.status, m.password_hash, s.code as store_code, s.name as store_name
from staff_member m left join store s on s.id = m.store
"""
_FIND = _MEMBER + "where m.login = $1"
_GET = _MEMBER + "where m.id = $1"
_LIST = _MEMBER + "order by m.login limit 1000"
_INSERT = """
insert into staff_member (id, login, name, role, store, created_at) values ($1, $2, $3, $4, $5, $6)
on conflict (login) do nothing
returning id
"""
# Guarded by what was checked: whoever was disabled, or chose another password meanwhile, gets no session.
_OPEN_SESSION = """
insert into staff_session (id, staff_member, token_hash, terminal, network, created_at, last_used_at, expires_at)
select $1, id, $3, $4, $5, $6, $6, $7 from staff_member where id = $2 and status = 'active' and password_hash = $8
returning id
"""
_HAS_SIGNED_IN = "select 1 from staff_session where staff_member = $1 and network = $2 limit 1"
_SIGN_IN = "select created_at from staff_session where id = $1"
_END_SESSION = "update staff_session set ended_at = $2 where id = $1 and ended_at is null"
_END_SESSIONS = "update staff_session set ended_at = $2 where staff_member = $1 and ended_at is null"
_ACTIVATE = """
update staff_member set password_hash = $2, status = 'active', version = version + 1
where id = $1 and status <> 'disabled' returning login
"""
_REHASH = "update staff_member set password_hash = $3 where id = $1 and password_hash = $2"
_DISABLE = """
update staff_member set status = 'disabled', version = version + 1 where login = $1 and status <> 'disabled'
returning id
"""
_FIND_STORE = "select id from store where code = $1"
_STORE_CODES = "select code from store where code = any($1::text[])"
_CONNECTION = """
insert into pos_connection (id, code, name, created_at) values ($1, $2, $2, $3)
on conflict (code) do update set code = excluded.code
returning id
"""
_INSERT_KEY = """
insert into api_key (id, name, connection, token_hash, scopes, stores, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_REVOKE_KEY = "update api_key set revoked_at = $2 where id = $1 and revoked_at is null returning id"
_LIST_KEYS = """
select k.id, k.name, c.code as connection_code, k.scopes, k.stores, k.created_at, k.expires_at, k.revoked_at,
       k.last_used_on
from api_key k join pos_connection c on c.id = k.connection
order by k.created_at, k.id limit 1000
"""


async def find_member(login: str) -> Row | None:
    """Return a staff member by sign-in name."""
    return await DB.fetch_row(_FIND, login)


async def get_member(staff_id: UUID) -> Row:
    """Return a staff member."""
    row = await DB.fetch_row(_GET, staff_id)
    assert row is not None, "staff members are never deleted"
    return row


async def list_members() -> list[Row]:
    """Return all staff members by sign-in name."""
    return await DB.fetch(_LIST)


async def insert_member(ctx: Context, *, login: str, name: str, role: str, store_id: UUID | None) -> UUID | None:
    """Add an invited staff member; None if the sign-in name is taken."""
    row = await DB.fetch_row(_INSERT, new_id(), login, name, role, store_id, ctx.now)
    return row["id"] if row else None


async def find_store(code: str) -> UUID | None:
    """Return a store's id by its code."""
    row = await DB.fetch_row(_FIND_STORE, code)
    return row["id"] if row else None


async def open_session(
    ctx: Context,
    *,
    staff_id: UUID,
    token_hash: bytes,
    terminal: str,
    expires_at: datetime,
    password_hash: str,
) -> UUID | None:
    """Add a session; None if the person was disabled or the password replaced since it was checked."""
    row = await DB.fetch_row(
        _OPEN_SESSION, new_id(), staff_id, token_hash, terminal, ctx.network, ctx.now, expires_at, password_hash
    )
    return row["id"] if row else None


async def has_signed_in_from(staff_id: UUID, network: str) -> bool:
    """Return whether a staff member ever had a session from a network."""
    return await DB.fetch_row(_HAS_SIGNED_IN, staff_id, network) is not None


async def find_sign_in(session_id: UUID) -> datetime | None:
    """Return when a session was opened, which takes the password."""
    row = await DB.fetch_row(_SIGN_IN, session_id)
    return row["created_at"] if row else None


async def end_session(session_id: UUID, now: datetime) -> None:
    """End one session."""
    await DB.fetch(_END_SESSION, session_id, now)


async def end_sessions(staff_id: UUID, now: datetime) -> None:
    """End all sessions of a staff member."""
    await DB.fetch(_END_SESSIONS, staff_id, now)


async def set_password(staff_id: UUID, password_hash: str) -> bool:
    """Store a first or new password and make the person active; False if they were disabled."""
    return await DB.fetch_row(_ACTIVATE, staff_id, password_hash) is not None


async def replace_hash(staff_id: UUID, *, old: str, new: str) -> None:
    """Store the same password hashed with today's settings, unless it was changed meanwhile."""
    await DB.fetch(_REHASH, staff_id, old, new)


async def disable(login: str) -> UUID | None:
    """Disable a staff member; None if there is none or it is disabled already."""
    row = await DB.fetch_row(_DISABLE, login)
    return row["id"] if row else None


async def list_store_codes(codes: Sequence[str]) -> set[str]:
    """Return which of some store codes exist."""
    return {row["code"] for row in await DB.fetch(_STORE_CODES, list(codes))}


async def ensure_connection(ctx: Context, code: str) -> UUID:
    """Return the id of a till system, adding it if it is new."""
    row = await DB.fetch_row(_CONNECTION, new_id(), code, ctx.now)
    assert row is not None
    connection_id: UUID = row["id"]
    return connection_id


async def insert_key(
    ctx: Context,
    key_id: UUID,
    *,
    name: str,
    connection_id: UUID,
    token_hash: bytes,
    scopes: Sequence[str],
    stores: Sequence[str],
    expires_at: datetime,
) -> None:
    """Add an API key."""
    await DB.fetch(
        _INSERT_KEY, key_id, name, connection_id, token_hash, list(scopes), list(stores), ctx.now, expires_at
    )


async def revoke_key(key_id: UUID, now: datetime) -> bool:
    """Revoke a key; False if there is none or it is revoked already."""
    return await DB.fetch_row(_REVOKE_KEY, key_id, now) is not None


async def list_keys() -> list[Row]:
    """Return all API keys, oldest first."""
    return await DB.fetch(_LIST_KEYS)
