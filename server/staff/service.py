"""Staff accounts: invitation, sign-in, sign-out, disabling. Nobody ever sets or sees another person's password."""

from uuid import UUID

import msgspec

from server.audit.store import record
from server.auth import Staff
from server.context import Context
from server.db.engine import DB, Row
from server.errors import Invalid, NotFound, NotSignedIn, Refused
from server.logs import get_logger
from server.messages.service import MailToken
from server.sessions import links, throttles
from server.sessions.links import Purpose
from server.sessions.passwords import check_new_password
from server.staff import rules, store
from server.tokens import hash_token
from shared.enums import Role
from shared.limits import INVITATION_LINK_LIFE, NAME_LENGTH_MAX, STAFF_SESSION_LIFE, STEP_UP_LIFE
from shared.permissions import PERMISSIONS
from shared.problems import Code, FieldProblem
from shared.staff import StaffSessionTokens, StaffSignIn, StaffView

log = get_logger()


class StaffInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A staff member as lists show them."""

    id: UUID
    login: str
    name: str
    role: Role
    status: str
    store_code: str | None


async def sign_in(ctx: Context, form: StaffSignIn) -> StaffSessionTokens:
    """Open a session for a staff member at one console.

    An unknown name, a disabled person and a wrong password take the same time and get the same answer.

    Raises:
        Throttled: Too many wrong tries for this name or from this network.
        NotSignedIn: SIGN_IN_FAILED.
    """
    login = rules.normalise_login(form.login)
    member = await store.find_member(login)
    # Whoever works here on other days is not kept out by strangers' guesses from elsewhere.
    is_known = member is not None and await store.has_signed_in_from(member["id"], ctx.network)
    await throttles.check_sign_in(ctx, "staff", login, network_is_known=is_known)
    password_hash = member["password_hash"] if member and member["status"] == "active" else None
    is_right = await ctx.tools.passwords.verify(password_hash, form.password)
    if member is None or not is_right:
        log.info("staff_sign_in_failed", network=ctx.network)
        raise NotSignedIn(Code.SIGN_IN_FAILED)
    assert password_hash is not None
    token = ctx.tokens.new()
    await _open_session(ctx, member, token, form.terminal)
    if ctx.tools.passwords.needs_rehash(password_hash):
        renewed = await ctx.tools.passwords.hash(form.password)
        await store.replace_hash(member["id"], old=password_hash, new=renewed)
    return StaffSessionTokens(
        access_token=token,
        expires_at=ctx.now + STAFF_SESSION_LIFE,
        staff=_view(member),
        shop_name=ctx.settings.shop_name,
    )


async def step_up(ctx: Context, staff: Staff, password: str | None) -> None:
    """Make sure that it is this person who is at the console: by the password, or as they have signed in just now.

    Call it outside of a transaction. A wrong password counts as a try to sign in.

    Raises:
        Refused: REAUTH_REQUIRED.
        Throttled: Too many tries.
    """
    if password is None:
        signed_in_at = await store.find_sign_in(staff.session_id)
        if signed_in_at is None or ctx.now - signed_in_at > STEP_UP_LIFE:
            raise Refused(Code.REAUTH_REQUIRED)
        return
    member = await store.find_member(staff.login)
    is_known = await store.has_signed_in_from(staff.staff_id, ctx.network)
    await throttles.check_sign_in(ctx, "staff", staff.login, network_is_known=is_known)
    if not await ctx.tools.passwords.verify(member["password_hash"] if member else None, password):
        raise Refused(Code.REAUTH_REQUIRED, "This is not your password.")
    await throttles.clear_sign_in(ctx, "staff", staff.login)


async def _open_session(ctx: Context, member: Row, token: str, terminal: str) -> None:
    ctx = ctx.acting_as("staff", member["id"])
    async with DB.transaction():
        session_id = await store.open_session(
            ctx,
            staff_id=member["id"],
            token_hash=hash_token(token),
            terminal=terminal,
            expires_at=ctx.now + STAFF_SESSION_LIFE,
            password_hash=member["password_hash"],
        )
        if session_id is None:
            raise NotSignedIn(Code.SIGN_IN_FAILED)
        await throttles.clear_sign_in(ctx, "staff", member["login"])
        await record(
            ctx, "staff.signed_in", subject_kind="staff", subject_id=member["id"], details={"terminal": terminal}
        )


async def get_current(staff: Staff) -> StaffView:
    """Return the signed-in staff member."""
    return _view(await store.get_member(staff.staff_id))


async def sign_out(ctx: Context, staff: Staff) -> None:
    """End the session that calls."""
    async with DB.transaction():
        await store.end_session(staff.session_id, ctx.now)
        await record(ctx, "staff.signed_out", subject_kind="staff", subject_id=staff.staff_id)


async def invite_staff(ctx: Context, *, login: str, name: str, role: Role, store_code: str | None = None) -> str:
    """Add a staff member and return the token of the set-up link.

    Raises:
        Invalid: The sign-in name is malformed or taken, or the name is.
        Refused: STORE_UNKNOWN.
    """
    login = rules.check_login(login)
    name = rules.check_name(name, NAME_LENGTH_MAX)
    async with DB.transaction():
        store_id = await store.find_store(store_code) if store_code is not None else None
        if store_code is not None and store_id is None:
            raise Refused(Code.STORE_UNKNOWN, f"There is no store '{store_code}'.")
        staff_id = await store.insert_member(ctx, login=login, name=name, role=role.value, store_id=store_id)
        if staff_id is None:
            raise Invalid(FieldProblem(field="login", detail="This sign-in name is taken."))
        await record(ctx, "staff.invited", subject_kind="staff", subject_id=staff_id, details={"role": role.value})
        link = await _new_link(ctx, staff_id)
    return ctx.tokens.derive(link.purpose, link.token_id)


async def renew_invitation(ctx: Context, login: str) -> str:
    """Return a new set-up link's token for a staff member who lost the link or the password; older links are void.

    Raises:
        NotFound: There is no such person, or they are disabled.
    """
    async with DB.transaction():
        member = await store.find_member(rules.normalise_login(login))
        if member is None or member["status"] == "disabled":
            raise NotFound
        await _void_links(ctx, member["id"])
        await record(ctx, "staff.invitation_renewed", subject_kind="staff", subject_id=member["id"])
        link = await _new_link(ctx, member["id"])
    return ctx.tokens.derive(link.purpose, link.token_id)


async def _new_link(ctx: Context, staff_id: UUID) -> MailToken:
    return await links.create_link(
        ctx,
        purpose=Purpose.STAFF_INVITATION,
        customer_id=None,
        email_key="",
        subject=staff_id,
        life=INVITATION_LINK_LIFE,
    )


async def _void_links(ctx: Context, staff_id: UUID) -> None:
    await links.void_links_about(ctx, subjects=[staff_id], purpose=Purpose.STAFF_INVITATION)


async def accept_invitation(ctx: Context, token: str, new_password: str) -> None:
    """Set the password of the person a set-up link was made for; their sessions and other links end.

    Raises:
        Refused: TOKEN_EXPIRED, the link is used, void or over.
        Invalid: PASSWORD_WEAK.
    """
    link = await links.find_link(ctx, purposes=[Purpose.STAFF_INVITATION], token=token)
    assert link.subject is not None
    member = await store.get_member(link.subject)
    check_new_password(ctx.settings, new_password, personal=(member["login"], member["name"]))
    password_hash = await ctx.tools.passwords.hash(new_password)
    ctx = ctx.acting_as("staff", member["id"])
    async with DB.transaction():
        await links.use_link(ctx, purpose=Purpose.STAFF_INVITATION, token=token)
        if not await store.set_password(member["id"], password_hash):
            raise Refused(Code.TOKEN_EXPIRED)
        await _void_links(ctx, member["id"])
        await store.end_sessions(member["id"], ctx.now)
        await throttles.clear_sign_in(ctx, "staff", member["login"])
        await record(ctx, "staff.password_set", subject_kind="staff", subject_id=member["id"])


async def disable_staff(ctx: Context, login: str) -> None:
    """Disable a staff member; their next request is refused.

    Raises:
        NotFound: There is no such person, or they are disabled already.
    """
    async with DB.transaction():
        staff_id = await store.disable(rules.normalise_login(login))
        if staff_id is None:
            raise NotFound
        await store.end_sessions(staff_id, ctx.now)
        await _void_links(ctx, staff_id)
        await record(ctx, "staff.disabled", subject_kind="staff", subject_id=staff_id)


async def list_staff() -> tuple[StaffInfo, ...]:
    """Return all staff members by sign-in name."""
    return tuple(
        StaffInfo(
            id=row["id"],
            login=row["login"],
            name=row["name"],
            role=Role(row["role"]),
            status=row["status"],
            store_code=row["store_code"],
        )
        for row in await store.list_members()
    )


def _view(row: Row) -> StaffView:
    role = Role(row["role"])
    return StaffView(
        id=row["id"],
        login=row["login"],
        name=row["name"],
        role=role,
        store_code=row["store_code"],
        store_name=row["store_name"],
        permissions=tuple(sorted(PERMISSIONS[role])),
    )
