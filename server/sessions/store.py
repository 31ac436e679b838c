"""SQL of logins, sessions and refresh tokens."""

from datetime import datetime
from uuid import UUID

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id

# Everything that signing in looks at, for an address that may be nobody's: one statement, one row always.
_FIND_LOGIN = """
select l.customer, l.password_hash, l.password_version, p.value as email, c.given_name,
       exists (select 1 from known_network k where k.customer = l.customer and k.network = $2) as network_is_known
from contact_point p
join customer c on c.id = p.customer and c.status = 'active'
join login l on l.customer = p.customer and l.disabled_at is null
where p.kind = 'email' and p.key = $1 and p.status in ('verified', 'bouncing') and p.is_primary
"""
_GET_LOGIN = """
select l.customer, l.password_hash, l.password_version, p.value as email, p.key as email_key, c.given_name, c.family_name,
       exists (select 1 from known_network k where k.customer = l.customer and k.network = $2) as network_is_known
from login l
join customer c on c.id = l.customer
left join contact_point p on p.customer = l.customer and p.kind = 'email' and p.is_primary
where l.customer = $1 and l.disabled_at is null
"""
# The password's version is compared again: it may have been reset while the hash was computed. Whoever resets it locks
# the customer before the login, so this does too. What the statement reads is as it was before it, so a device or
# network that it adds itself still counts as new.
_OPEN_SESSION = """
with person as materialized (
    select id from customer where id = $2 for key share
), login_now as (
    select customer from login
    where customer = (select id from person) and password_version = $3 and disabled_at is null for share
), opened as (
    insert into member_session (id, customer, access_hash, access_expires_at, refresh_expires_at, device, network,
                                created_at, last_used_at, stepped_up_at)
    select $1, customer, $4, $5, $6, $7, $8, $9, $9, $9 from login_now
    returning id
), token as (
    insert into refresh_token (token_hash, session, issued_at) select $10, id, $9 from opened
), network_now as (
    insert into known_network (id, customer, network, last_success_at) select $11, customer, $8, $9 from login_now
    on conflict (customer, network) do update set last_success_at = $9
)
select exists (select 1 from member_session where customer = $2)
       and not (exists (select 1 from known_network where customer = $2 and network = $8)
                and exists (select 1 from member_session where customer = $2 and device = $7)) as is_new_place
from opened
"""
# A token that is used again ends the session and tells the customer, whom a reset locks before the session.
_LOCK_REFRESH = """
with person as materialized (
    select c.id from refresh_token r join member_session s on s.id = r.session join customer c on c.id = s.customer
    where r.token_hash = $1 for key share of c
)
select s.id, s.customer, s.access_expires_at, s.refresh_expires_at, s.created_at, s.ended_at, c.status, r.used_at,
       n.used_at as next_used_at, p.value as email, c.given_name
from refresh_token r
join member_session s on s.id = r.session
join customer c on c.id = s.customer
left join refresh_token n on n.token_hash = $2
left join contact_point p on p.customer = c.id and p.kind = 'email' and p.is_primary
where r.token_hash = $1 and (select count(*) from person) >= 0
for update of s, r
"""
_ROTATE = """
with used as (update refresh_token set used_at = $2 where token_hash = $3 and used_at is null returning session),
     added as (insert into refresh_token (token_hash, session, issued_at) select $4, session, $2 from used)
update member_session
set access_hash = $5, access_expires_at = $6, refresh_expires_at = $7, last_used_at = $2, network = $8
from used where member_session.id = $1 and used.session = $1 and ended_at is null
returning id
"""
_END = """
update member_session set ended_at = $2, ended_reason = $3
where customer = $1 and ended_at is null and id is distinct from $4
returning id
"""
_END_ONE = """
update member_session set ended_at = $3, ended_reason = $4 where id = $1 and customer = $2 and ended_at is null
returning id
"""
_LIST = """
select id, device, network, created_at, last_used_at from member_session
where customer = $1 and ended_at is null and refresh_expires_at > $2
order by last_used_at desc, id desc limit 100
"""
_REHASH = "update login set password_hash = $3 where customer = $1 and password_version = $2"
_CHANGE_HASH = """
update login set password_hash = $3, password_version = password_version + 1, password_changed_at = $4
where customer = $1 and password_version = $2 and disabled_at is null
returning id
"""
_INSERT_LOGIN = """
insert into login (id, customer, password_hash, password_changed_at, created_at) values ($1, $2, $3, $4, $4)
on conflict (customer) do nothing
returning id
"""


async def find_login(email_key: str, network: str) -> Row | None:
    """Return the login behind a proven address.

    Columns: customer, password_hash, password_version, email, given_name, network_is_known.
    """
    return await DB.fetch_row(_FIND_LOGIN, email_key, network)


async def get_login(customer_id: UUID, network: str) -> Row | None:
    """Return a customer's login with email_key and family_name as well; None without one."""
    return await DB.fetch_row(_GET_LOGIN, customer_id, network)


async def open_session(
    ctx: Context,
    session_id: UUID,
    *,
    customer_id: UUID,
    password_version: int,
    access_hash: bytes,
    access_expires_at: datetime,
    refresh_hash: bytes,
    refresh_expires_at: datetime,
    device: str,
) -> Row | None:
    """Add a session; None if the password was changed meanwhile. Column: is_new_place."""
    return await DB.fetch_row(
        _OPEN_SESSION,
        session_id,
        customer_id,
        password_version,
        access_hash,
        access_expires_at,
        refresh_expires_at,
        device,
        ctx.network,
        ctx.now,
        refresh_hash,
        new_id(),
    )


async def lock_refresh(refresh_hash: bytes, next_hash: bytes) -> Row | None:
    """Lock the session of a refresh token and return it with what is known of the token and the one after it."""
    return await DB.fetch_row(_LOCK_REFRESH, refresh_hash, next_hash)


async def rotate(
    ctx: Context,
    session_id: UUID,
    *,
    refresh_hash: bytes,
    next_refresh_hash: bytes,
    access_hash: bytes,
    access_expires_at: datetime,
    refresh_expires_at: datetime,
) -> bool:
    """Use a refresh token up and give the session its next pair; False if it was used or the session is over."""
    row = await DB.fetch_row(
        _ROTATE,
        session_id,
        ctx.now,
        refresh_hash,
        next_refresh_hash,
        access_hash,
        access_expires_at,
        refresh_expires_at,
        ctx.network,
    )
    return row is not None


async def end_sessions(ctx: Context, customer_id: UUID, *, reason: str, except_session: UUID | None) -> int:
    """End a customer's sessions and return how many there were."""
    return len(await DB.fetch(_END, customer_id, ctx.now, reason, except_session))


async def end_session(ctx: Context, session_id: UUID, *, customer_id: UUID, reason: str) -> bool:
    """End one session of a customer; False if it is not theirs or over."""
    return await DB.fetch_row(_END_ONE, session_id, customer_id, ctx.now, reason) is not None


async def list_sessions(customer_id: UUID, now: datetime) -> list[Row]:
    """Return a customer's live sessions, latest used first."""
    return await DB.fetch(_LIST, customer_id, now)


async def rehash(customer_id: UUID, password_version: int, password_hash: str) -> None:
    """Store the same password under a stronger hash, unless it was changed meanwhile."""
    await DB.fetch(_REHASH, customer_id, password_version, password_hash)


async def set_password(ctx: Context, customer_id: UUID, *, password_version: int, password_hash: str) -> bool:
    """Store a new password; False if it was changed meanwhile."""
    return await DB.fetch_row(_CHANGE_HASH, customer_id, password_version, password_hash, ctx.now) is not None


async def insert_login(ctx: Context, customer_id: UUID, password_hash: str) -> bool:
    """Give a customer a login; False if there is one already."""
    return await DB.fetch_row(_INSERT_LOGIN, new_id(), customer_id, password_hash, ctx.now) is not None
