"""Signing in and staying signed in.

Access and refresh tokens are random at sign-in; every later pair is derived from the refresh token it follows, so that
a client whose answer was lost can ask again and gets the same pair.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from server.audit.store import record
from server.auth import Member, check_stepped_up
from server.context import Context
from server.customers import store as customers
from server.customers.service import read_email
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import NotFound, NotSignedIn, Refused
from server.logs import get_logger
from server.messages.service import queue_mail
from server.programmes.service import get_shop_zone
from server.sessions import store, throttles
from server.sessions.links import Purpose, void_links
from server.sessions.passwords import check_new_password
from server.time_words import say_moment
from server.tokens import hash_token
from shared.limits import (
    ACCESS_TOKEN_LIFE,
    REDEMPTION_HOLD,
    REFRESH_REPLAY_WINDOW,
    SESSION_IDLE_MAX,
    SESSION_LIFE_MAX,
)
from shared.members import PasswordChange, SessionList, SessionTokens, SessionView, SignIn
from shared.problems import Code

log = get_logger()

_ACCESS, _REFRESH = "access-token", "refresh-token"
# "Not me" links stay: they undo what a thief did.
_KILLED_BY_NEW_PASSWORD = (Purpose.PASSWORD_RESET, Purpose.INVITATION, Purpose.EMAIL_CHANGE)


class ProvenPassword(msgspec.Struct, frozen=True, kw_only=True):
    """A member's login, whose password was just proved."""

    customer_id: UUID
    password_version: int
    email: str
    email_key: str
    given_name: str
    family_name: str


async def sign_in(ctx: Context, form: SignIn) -> SessionTokens:
    """Open a session for the right password.

    Unknown addresses and wrong passwords do the same work and get the same answer.

    Raises:
        NotSignedIn: SIGN_IN_FAILED.
        Throttled: Too many tries.
    """
    email = read_email(ctx, form.email)
    login = await store.find_login(email.key, ctx.network)
    await throttles.check_sign_in(
        ctx, "member", email.key, network_is_known=login is not None and login["network_is_known"]
    )
    is_right = await ctx.tools.passwords.verify(login["password_hash"] if login else None, form.password)
    if login is None or not is_right:
        log.info("sign_in_failed", request_id=ctx.request_id)
        raise NotSignedIn(Code.SIGN_IN_FAILED)
    stronger = None
    if ctx.tools.passwords.needs_rehash(login["password_hash"]):
        stronger = await ctx.tools.passwords.hash(form.password)
    return await _open_session(ctx, login, email.key, device=form.device.strip(), stronger=stronger)


async def _open_session(
    ctx: Context, login: Row, email_key: str, *, device: str, stronger: str | None
) -> SessionTokens:
    customer_id: UUID = login["customer"]
    ctx = ctx.acting_as("member", customer_id)
    tokens = SessionTokens(
        session_id=new_id(),
        access_token=ctx.tokens.new(),
        refresh_token=ctx.tokens.new(),
        expires_at=ctx.now + ACCESS_TOKEN_LIFE,
        refresh_expires_at=ctx.now + SESSION_IDLE_MAX,
    )
    async with DB.transaction():
        opened = await store.open_session(
            ctx,
            tokens.session_id,
            customer_id=customer_id,
            password_version=login["password_version"],
            access_hash=hash_token(tokens.access_token),
            access_expires_at=tokens.expires_at,
            refresh_hash=hash_token(tokens.refresh_token),
            refresh_expires_at=tokens.refresh_expires_at,
            device=device,
        )
        if opened is None:
            raise NotSignedIn(Code.SIGN_IN_FAILED)
        await throttles.clear_sign_in(ctx, "member", email_key)
        if stronger is not None:
            await store.rehash(customer_id, login["password_version"], stronger)
        await record(
            ctx, "session.opened", subject_kind="session", subject_id=tokens.session_id, customer_id=customer_id
        )
        if opened["is_new_place"]:
            parameters = {"given_name": login["given_name"], "device": device or "a device without a name"}
            await queue_mail(
                ctx,
                to=login["email"],
                template="new_sign_in",
                customer_id=customer_id,
                parameters=parameters | {"at": say_moment(ctx.now, await get_shop_zone())},
            )
    return tokens


async def refresh(ctx: Context, refresh_token: str) -> SessionTokens:
    """Exchange a refresh token for the next pair.

    The token before may be sent again for ten seconds and gets the same pair. Any other reuse means that two parties
    hold the token: the session ends, for good, although the call fails.

    Raises:
        NotSignedIn: Unknown, over, or reused.
    """
    async with DB.transaction():
        following = await _follow(ctx, refresh_token)
    if following is None:
        # Raised only now, so that the end of a session is committed.
        raise NotSignedIn
    return following


async def _follow(ctx: Context, refresh_token: str) -> SessionTokens | None:
    next_refresh = ctx.tokens.successor(_REFRESH, refresh_token)
    next_access = ctx.tokens.successor(_ACCESS, refresh_token)
    session = await store.lock_refresh(hash_token(refresh_token), hash_token(next_refresh))
    if session is None or not _is_live(session, ctx.now):
        return None
    expires_at, refresh_expires_at = session["access_expires_at"], session["refresh_expires_at"]
    if session["used_at"] is None:
        expires_at = ctx.now + ACCESS_TOKEN_LIFE
        refresh_expires_at = min(ctx.now + SESSION_IDLE_MAX, session["created_at"] + SESSION_LIFE_MAX)
        rotated = await store.rotate(
            ctx,
            session["id"],
            refresh_hash=hash_token(refresh_token),
            next_refresh_hash=hash_token(next_refresh),
            access_hash=hash_token(next_access),
            access_expires_at=expires_at,
            refresh_expires_at=refresh_expires_at,
        )
        assert rotated, "the session and the token are locked"
    elif session["next_used_at"] is not None or ctx.now - session["used_at"] > REFRESH_REPLAY_WINDOW:
        await _end_reused(ctx, session)
        return None
    return SessionTokens(
        session_id=session["id"],
        access_token=next_access,
        refresh_token=next_refresh,
        expires_at=expires_at,
        refresh_expires_at=refresh_expires_at,
    )


async def _end_reused(ctx: Context, session: Row) -> None:
    log.warning("refresh_token_reused", session_id=str(session["id"]))
    await store.end_session(ctx, session["id"], customer_id=session["customer"], reason="token_reused")
    await record(
        ctx,
        "session.ended_by_reuse",
        subject_kind="session",
        subject_id=session["id"],
        customer_id=session["customer"],
    )
    if session["email"] is not None:
        parameters = {"given_name": session["given_name"], "at": say_moment(ctx.now, await get_shop_zone())}
        await queue_mail(
            ctx,
            to=session["email"],
            template="session_ended",
            customer_id=session["customer"],
            parameters=parameters,
        )


def _is_live(session: Row, now: datetime) -> bool:
    return session["ended_at"] is None and session["refresh_expires_at"] > now and session["status"] == "active"


async def list_sessions(ctx: Context, member: Member) -> SessionList:
    """Return the member's signed-in devices."""
    rows = await store.list_sessions(member.customer_id, ctx.now)
    return SessionList(
        items=tuple(
            SessionView(
                id=row["id"],
                device=row["device"],
                network=row["network"],
                created_at=row["created_at"],
                last_used_at=row["last_used_at"],
                current=row["id"] == member.session_id,
            )
            for row in rows
        )
    )


async def end_own_session(ctx: Context, member: Member, session_id: UUID) -> None:
    """Sign one of the member's devices out.

    Raises:
        NotFound: It is somebody else's, or over.
    """
    async with DB.transaction():
        if not await store.end_session(ctx, session_id, customer_id=member.customer_id, reason="signed_out"):
            raise NotFound
        await record(
            ctx, "session.ended", subject_kind="session", subject_id=session_id, customer_id=member.customer_id
        )


async def end_own_sessions(ctx: Context, member: Member) -> None:
    """Sign all of the member's devices out, this one too."""
    async with DB.transaction():
        await end_sessions(ctx, member.customer_id, reason="signed_out")


async def end_sessions(ctx: Context, customer_id: UUID, *, reason: str, except_session: UUID | None = None) -> int:
    """End a customer's sessions in the caller's transaction and return how many there were."""
    count = await store.end_sessions(ctx, customer_id, reason=reason, except_session=except_session)
    if count:
        await record(
            ctx,
            "session.all_ended",
            subject_kind="customer",
            subject_id=customer_id,
            customer_id=customer_id,
            details={"count": count, "because": reason},
        )
    return count


async def step_up(ctx: Context, member: Member, password: str | None) -> None:
    """Let a member go on who proves the password now, or did within the last ten minutes; outside of a transaction.

    Raises:
        Refused: REAUTH_REQUIRED.
        Throttled: Too many tries.
    """
    if password is None:
        check_stepped_up(ctx, member)
    else:
        await prove_password(ctx, member.customer_id, password)


async def prove_password(ctx: Context, customer_id: UUID, password: str) -> ProvenPassword:
    """Check a signed-in member's password again; call it outside of a transaction.

    It counts as a try to sign in, so that a stolen session is no way around the limits.

    Raises:
        Refused: REAUTH_REQUIRED, the password is wrong.
        Throttled: Too many tries.
    """
    login = await store.get_login(customer_id, ctx.network)
    if login is None or login["email_key"] is None:
        raise Refused(Code.REAUTH_REQUIRED)
    await throttles.check_sign_in(ctx, "member", login["email_key"], network_is_known=login["network_is_known"])
    if not await ctx.tools.passwords.verify(login["password_hash"], password):
        raise Refused(Code.REAUTH_REQUIRED, "This is not your password.")
    await throttles.clear_sign_in(ctx, "member", login["email_key"])
    return ProvenPassword(
        customer_id=customer_id,
        password_version=login["password_version"],
        email=login["email"],
        email_key=login["email_key"],
        given_name=login["given_name"],
        family_name=login["family_name"],
    )


async def change_password(ctx: Context, member: Member, form: PasswordChange) -> None:
    """Replace the member's password; the other devices are signed out.

    Raises:
        Refused: REAUTH_REQUIRED, the old password is wrong.
        Invalid: PASSWORD_WEAK.
    """
    proven = await prove_password(ctx, member.customer_id, form.password)
    personal = (proven.email, proven.given_name, proven.family_name)
    check_new_password(ctx.settings, form.new_password, personal=personal)
    password_hash = await ctx.tools.passwords.hash(form.new_password)
    async with DB.transaction():
        await customers.lock_customers([member.customer_id])
        if not await store.set_password(
            ctx, member.customer_id, password_version=proven.password_version, password_hash=password_hash
        ):
            raise Refused(Code.REAUTH_REQUIRED)
        await after_new_password(ctx, member.customer_id, reason="password_changed", except_session=member.session_id)
        await record(
            ctx,
            "password.changed",
            subject_kind="customer",
            subject_id=member.customer_id,
            customer_id=member.customer_id,
        )
        await queue_mail(
            ctx,
            to=proven.email,
            template="password_changed",
            customer_id=member.customer_id,
            parameters={"given_name": proven.given_name, "at": say_moment(ctx.now, await get_shop_zone())},
        )


async def after_new_password(
    ctx: Context, customer_id: UUID, *, reason: str, except_session: UUID | None = None
) -> None:
    """Do what follows from every new password, in its transaction: devices, open links, spending."""
    await end_sessions(ctx, customer_id, reason=reason, except_session=except_session)
    await void_links(ctx, customer_id=customer_id, purposes=_KILLED_BY_NEW_PASSWORD)
    await customers.hold_redemption(ctx, customer_id, until=ctx.now + REDEMPTION_HOLD, reason=reason)
