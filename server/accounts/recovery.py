"""Choosing a password by a mailed link: after forgetting it, or as the first one of somebody registered at the till."""

from datetime import timedelta

from server.accounts import store
from server.accounts.service import CHECK_YOUR_INBOX, enrol, give_login, prove_address
from server.audience.marks import ensure_contact
from server.audit.store import record
from server.context import Context
from server.customers import store as customers
from server.customers.service import read_email
from server.db.engine import DB, Row
from server.errors import Refused
from server.links.service import ask_check
from server.messages.service import queue_mail
from server.programmes.service import get_shop_zone
from server.sessions import store as sessions
from server.sessions import throttles
from server.sessions.links import Link, Purpose, create_link, find_link, use_link
from server.sessions.passwords import check_new_password
from server.sessions.service import after_new_password
from server.time_words import say_moment
from shared.limits import PASSWORD_RESET_LINK_LIFE
from shared.members import Accepted, PasswordResetConfirm, PasswordResetRequest
from shared.problems import Code

_NO_ACCOUNT, _TOO_MANY = "no_account", "too_many"


async def request_reset(ctx: Context, form: PasswordResetRequest) -> Accepted:
    """Mail a reset link to the member of an address, if there is one; answer and work do not tell.

    Wrong guesses do not stand in the way: this is how a member gets past them.

    Raises:
        Throttled: Too many forms from this network.
    """
    email = read_email(ctx, form.email)
    await throttles.check_form(ctx)
    may_mail = await throttles.may_mail(ctx, Purpose.PASSWORD_RESET, email.key)
    async with DB.transaction():
        member = await store.find_member(email.key)
        # Before their links, as in every act that locks both.
        await store.hold_customer(member["customer"] if member else None)
        withheld = _NO_ACCOUNT if member is None else None if may_mail else _TOO_MANY
        token = await create_link(
            ctx,
            purpose=Purpose.PASSWORD_RESET,
            customer_id=member["customer"] if member else None,
            email_key=email.key,
            state=str(member["password_version"]) if member else "",
            life=PASSWORD_RESET_LINK_LIFE if withheld is None else timedelta(0),
            is_void=withheld is not None,
        )
        await queue_mail(
            ctx,
            to=member["email"] if member else "",
            template="password_reset",
            customer_id=member["customer"] if member else None,
            token=token,
            parameters={"given_name": member["given_name"] if member else ""},
            withheld=withheld,
        )
    return CHECK_YOUR_INBOX


async def confirm_reset(ctx: Context, form: PasswordResetConfirm) -> None:
    """Set the password that a mailed link lets its receiver choose. It signs nobody in.

    Raises:
        Refused: TOKEN_EXPIRED.
        Invalid: PASSWORD_WEAK; the link stays open.
    """
    link = await find_link(ctx, purposes=(Purpose.PASSWORD_RESET, Purpose.INVITATION), token=form.token)
    assert link.customer_id is not None
    if link.purpose is Purpose.INVITATION:
        await _accept_invitation(ctx, link, form)
    else:
        await _reset(ctx, link, form)


async def _reset(ctx: Context, link: Link, form: PasswordResetConfirm) -> None:
    assert link.customer_id is not None
    customer_id = link.customer_id
    login = await sessions.get_login(customer_id, ctx.network)
    if login is None or not _still_holds(link, login):
        raise Refused(Code.TOKEN_EXPIRED)
    personal = (login["email"], login["given_name"], login["family_name"])
    check_new_password(ctx.settings, form.new_password, personal=personal)
    password_hash = await ctx.tools.passwords.hash(form.new_password)
    ctx = ctx.acting_as("member", customer_id)
    async with DB.transaction():
        await customers.lock_customers([customer_id])
        await use_link(ctx, purpose=Purpose.PASSWORD_RESET, token=form.token)
        if not await sessions.set_password(
            ctx, customer_id, password_version=login["password_version"], password_hash=password_hash
        ):
            raise Refused(Code.TOKEN_EXPIRED)
        await after_new_password(ctx, customer_id, reason="password_reset")
        await throttles.clear_sign_in(ctx, "member", link.email_key)
        await record(ctx, "password.reset", subject_kind="customer", subject_id=customer_id, customer_id=customer_id)
        await queue_mail(
            ctx,
            to=login["email"],
            template="password_changed",
            customer_id=customer_id,
            parameters={"given_name": login["given_name"], "at": say_moment(ctx.now, await get_shop_zone())},
        )


def _still_holds(link: Link, login: Row) -> bool:
    # A link goes with the password and the address it was asked for.
    return link.state == str(login["password_version"]) and link.email_key == login["email_key"]


async def _accept_invitation(ctx: Context, link: Link, form: PasswordResetConfirm) -> None:
    """Make a customer whom staff invited a member: the link proves the address, the password is theirs alone."""
    assert link.customer_id is not None
    profile = await store.find_profile(link.customer_id, ctx.now)
    if profile is None:
        raise Refused(Code.TOKEN_EXPIRED)
    personal = (link.email_key, profile["given_name"], profile["family_name"])
    check_new_password(ctx.settings, form.new_password, personal=personal)
    password_hash = await ctx.tools.passwords.hash(form.new_password)
    ctx = ctx.acting_as("member", link.customer_id)
    try:
        async with DB.transaction():
            await store.lock_address(link.email_key)
            await customers.lock_customers([link.customer_id])
            await use_link(ctx, purpose=Purpose.INVITATION, token=form.token)
            await _admit(ctx, link, password_hash)
    except customers.AddressTaken as error:
        # Its owner has signed up by another way since.
        raise Refused(Code.TOKEN_EXPIRED) from error


async def _admit(ctx: Context, link: Link, password_hash: str) -> None:
    customer_id = link.customer_id
    assert customer_id is not None
    holders = await store.list_holders(link.email_key)
    holder = next((holder for holder in holders if holder.customer_id == customer_id), None)
    if holder is None:
        raise Refused(Code.TOKEN_EXPIRED)
    await prove_address(ctx, holder)
    await give_login(ctx, customer_id, email_key=link.email_key, password_hash=password_hash)
    await enrol(ctx, customer_id, enrolled_at=ctx.now, card_number=None, is_new=False)
    await record(
        ctx, "customer.accepted_invitation", subject_kind="customer", subject_id=customer_id, customer_id=customer_id
    )
    await ask_check(ctx, customer_id)
    await ensure_contact(ctx, customer_id=customer_id, email=holder.email, email_key=link.email_key)
