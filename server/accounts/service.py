"""Sign-up: a form, a mail, a proof.

The form's answer, and the work behind it, are the same whether or not the address is known: the same statements write the
same number of rows, and the mail leaves by a job.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from server import jobs
from server.accounts import rules, store
from server.accounts.rules import choose_owner, read_form
from server.audience.marks import ensure_contact
from server.audit.store import record
from server.bonuses.service import grant_sign_up
from server.consents.service import record_choice
from server.consents.wordings import EDITION, version_of
from server.context import Context
from server.customers import store as customers
from server.customers.rules import PhoneNumber, parse_phone
from server.customers.service import read_email
from server.customers.suppression import find_suppressed
from server.db.engine import DB, Row
from server.errors import Refused
from server.links.service import ask_check
from server.memberships import service as memberships
from server.memberships.service import OpenedMembership
from server.messages.service import queue_mail
from server.sessions import store as sessions
from server.sessions import throttles
from server.sessions.links import Purpose, create_link, find_link, use_link, void_links
from server.sessions.passwords import check_new_password
from server.sessions.service import end_sessions
from server.tokens import hash_claim_code
from shared.base import Birthday
from shared.enums import ConsentChannel
from shared.limits import PASSWORD_RESET_LINK_LIFE, SIGNUP_LINK_LIFE
from shared.members import Accepted, SignUp, SignUpConfirmed
from shared.problems import Code

CHECK_YOUR_INBOX = Accepted(detail="Look into your inbox: we have sent you a mail that says how to go on.")

CLAIM_JOB = "claims.use"
PROVEN_JOB = "accounts.proven"
# The first proof of an address ends whatever was begun before it.
_KILLED_BY_PROOF = (Purpose.PASSWORD_RESET, Purpose.INVITATION, Purpose.EMAIL_CHANGE)
_WITHHELD = "too_many"


class ClaimWish(msgspec.Struct, frozen=True, kw_only=True):
    """The job's payload: a claim code (its keyed hash) that came with the form of a member's sign-up."""

    customer_id: UUID
    code_hash: str
    network: str


class AddressProven(msgspec.Struct, frozen=True, kw_only=True):
    """The job's payload: somebody whom the shop knew has proven an address, for the first time by themselves."""

    customer_id: UUID


async def sign_up(ctx: Context, form: SignUp) -> Accepted:
    """Keep a sign-up form and mail a link that proves its address, or tell the owner of a known address.

    Signing up again replaces the form that waits and sends a new link.

    Raises:
        Invalid: A field is wrong, or the password is weak.
        Throttled: Too many forms from this network.
    """
    email = read_email(ctx, form.email)
    applicant = read_form(form, email, country=ctx.settings.default_country, today=ctx.now.date())
    personal = (email.value, applicant.given_name, applicant.family_name)
    check_new_password(ctx.settings, form.password, personal=personal, field="password")
    await throttles.check_form(ctx)
    password_hash = await ctx.tools.passwords.hash(form.password)
    may_mail = await throttles.may_mail(ctx, Purpose.SIGN_UP, email.key)
    async with DB.transaction():
        # Forms and proofs of one address go one after the other, and whoever has it comes before their links.
        await store.lock_address(email.key)
        member = await store.find_member(email.key)
        await store.hold_customer(member["customer"] if member else None)
        counts = may_mail and member is None
        intent_id = await store.insert_intent(
            ctx,
            applicant,
            password_hash=password_hash,
            claim_code_hash=hash_claim_code(ctx.tokens, applicant.claim_code) if applicant.claim_code else None,
            wording_edition=EDITION,
            life=SIGNUP_LINK_LIFE if counts else timedelta(0),
        )
        token = await create_link(
            ctx,
            purpose=Purpose.SIGN_UP if member is None else Purpose.PASSWORD_RESET,
            customer_id=member["customer"] if member else None,
            email_key=email.key,
            subject=intent_id if member is None else None,
            state=str(member["password_version"]) if member else "",
            life=SIGNUP_LINK_LIFE if member is None else PASSWORD_RESET_LINK_LIFE,
            is_void=not may_mail,
        )
        await queue_mail(
            ctx,
            to=member["email"] if member else email.value,
            template="account_exists" if member else "confirm_sign_up",
            customer_id=member["customer"] if member else None,
            token=token,
            parameters={"given_name": member["given_name"] if member else applicant.given_name},
            withheld=None if may_mail else _WITHHELD,
        )
    return CHECK_YOUR_INBOX


async def confirm_sign_up(ctx: Context, token: str) -> SignUpConfirmed:
    """Open the account of a form whose address is proved by this token.

    A customer whom the shop already knows by this address, but who has no login, becomes the member; a customer is new
    only when there is none.

    Raises:
        Refused: TOKEN_EXPIRED.
    """
    found = await find_link(ctx, purposes=[Purpose.SIGN_UP], token=token)
    try:
        async with DB.transaction():
            # The address first, then the customer, then forms and links, as everywhere.
            await store.lock_address(found.email_key)
            owner = choose_owner(await store.list_holders(found.email_key))
            if owner is not None:
                await customers.lock_customers([owner.customer_id])
            assert found.subject is not None
            intent = await store.take_intent(ctx, found.subject)
            await use_link(ctx, purpose=Purpose.SIGN_UP, token=token)
            if intent is None:
                raise Refused(Code.TOKEN_EXPIRED)
            return await _open_account(ctx, intent, owner)
    except customers.AddressTaken as error:
        # An email change proved the same address at this very moment.
        raise Refused(Code.TOKEN_EXPIRED) from error


async def _open_account(ctx: Context, intent: Row, owner: rules.Holder | None) -> SignUpConfirmed:
    """Open the account of a form, for its owner if the shop knows one, whose row is locked."""
    birthday = customers.join_birthday(intent)
    phone = parse_phone(intent["phone"], ctx.settings.default_country) if intent["phone"] else None
    # Whoever asked to be forgotten has been welcomed before. That is known until the address is proved again.
    comes_back = bool(await find_suppressed(ctx, [("email", intent["email_key"])]))
    if owner is None:
        customer_id = await _add_customer(ctx, intent, birthday)
    else:
        customer_id = owner.customer_id
        await _adopt_customer(ctx, intent, birthday, owner=owner)
    ctx = ctx.acting_as("member", customer_id)
    if phone is not None:
        await _add_phone(ctx, customer_id, phone)
    await give_login(ctx, customer_id, email_key=intent["email_key"], password_hash=intent["password_hash"])
    membership = await enrol(
        ctx, customer_id, enrolled_at=intent["created_at"], card_number=intent["card_number"], is_new=owner is None,
        is_welcomed=not comes_back,
    )  # fmt: skip
    await _record_consents(ctx, customer_id, intent, phone)
    await record(
        ctx,
        "customer.signed_up",
        subject_kind="customer",
        subject_id=customer_id,
        customer_id=customer_id,
        details={"was_known": owner is not None, "membership": str(membership.membership_id)},
    )
    await ask_check(ctx, customer_id)
    if intent["claim_code_hash"] is not None:
        # Merging is for later, as it may wait for others, and a code that does not work must not cost the account.
        wish = ClaimWish(
            customer_id=customer_id, code_hash=intent["claim_code_hash"].hex(), network=intent["network"] or ""
        )
        await jobs.enqueue(CLAIM_JOB, wish)
    await ensure_contact(ctx, customer_id=customer_id, email=intent["email"], email_key=intent["email_key"])
    return SignUpConfirmed(
        customer_id=customer_id, membership_id=membership.membership_id, card_number=membership.card_number
    )


async def _add_customer(ctx: Context, intent: Row, birthday: Birthday | None) -> UUID:
    customer_id = await customers.insert_customer(
        ctx, given_name=intent["given_name"], family_name=intent["family_name"], source="app", birthday=birthday
    )
    await customers.insert_contact_point(
        ctx, customer_id=customer_id, kind="email", value=intent["email"], key=intent["email_key"], verified=True
    )
    return customer_id


async def _adopt_customer(ctx: Context, intent: Row, birthday: Birthday | None, *, owner: rules.Holder) -> None:
    """Let the person behind a proven address have the record that the shop keeps under it."""
    known = await store.lock_profile(owner.customer_id, ctx.now)
    await customers.update_person(
        ctx,
        owner.customer_id,
        # How people write their own name beats what was heard at the till.
        given_name=intent["given_name"],
        family_name=intent["family_name"] or known["family_name"],
        birthday=birthday or customers.join_birthday(known),
        locale=known["locale"],
    )
    await prove_address(ctx, owner)


async def prove_address(ctx: Context, owner: rules.Holder) -> None:
    """Make an address on file the proven, primary one of its customer; runs in the caller's transaction.

    Raises:
        Refused: TOKEN_EXPIRED: the address was retired, or its customer may not become a member.
        AddressTaken: Another customer has proved it.
    """
    verified = await customers.verify_contact_point(ctx, owner.contact_point_id, customer_id=owner.customer_id)
    if not verified or not await customers.activate(ctx, owner.customer_id):
        raise Refused(Code.TOKEN_EXPIRED)
    await void_links(ctx, customer_id=owner.customer_id, purposes=_KILLED_BY_PROOF)
    await end_sessions(ctx, owner.customer_id, reason="address_proved")
    # What had to wait for a proof, such as codes that are worth money, is told by those who made it.
    await jobs.enqueue(PROVEN_JOB, AddressProven(customer_id=owner.customer_id))


async def give_login(ctx: Context, customer_id: UUID, *, email_key: str, password_hash: str) -> None:
    """Let a customer sign in with a proven address; runs in the caller's transaction.

    Raises:
        Refused: TOKEN_EXPIRED, there is a login already.
    """
    if not await sessions.insert_login(ctx, customer_id, password_hash):
        raise Refused(Code.TOKEN_EXPIRED)
    await store.close_intents(ctx, email_key)
    await throttles.clear_sign_in(ctx, "member", email_key)


async def enrol(
    ctx: Context,
    customer_id: UUID,
    *,
    enrolled_at: datetime,
    card_number: str | None,
    is_new: bool,
    is_welcomed: bool = True,
) -> OpenedMembership:
    """Return a customer's membership, opened unless there is one, with the card to use.

    Args:
        enrolled_at: When the person asked to join.
        card_number: A printed card in the person's hand. One that is not free is passed over: the person gets a new
            card rather than no account.
        is_new: The customer was made in this transaction, so there is no membership to look for.
        is_welcomed: A new membership begins with the bonus of the rules.
    """
    if card_number is not None and not await memberships.is_card_free(card_number):
        card_number = None
    active = None
    if not is_new:
        views = await memberships.list_membership_views(customer_id, ctx.now)
        active = next((view for view in views if view.status == "active"), None)
    if active is None:
        opened = await memberships.open_membership(
            ctx, customer_id=customer_id, enrolled_at=enrolled_at, card_number=card_number
        )
        if is_welcomed:
            await grant_sign_up(ctx, customer_id=customer_id, membership_id=opened.membership_id)
        return opened
    if card_number is not None:
        number = await memberships.adopt_card(ctx, card_number, membership_id=active.id, customer_id=customer_id)
    else:
        number = active.card_number or await memberships.issue_card(
            ctx, membership_id=active.id, customer_id=customer_id
        )
    return OpenedMembership(membership_id=active.id, card_number=number)


async def _add_phone(ctx: Context, customer_id: UUID, phone: PhoneNumber) -> None:
    known = await customers.get_primary(customer_id, "phone")
    if known is None or known["key"] != phone.key:
        await customers.insert_contact_point(
            ctx,
            customer_id=customer_id,
            kind="phone",
            value=phone.value,
            key=phone.key,
            verified=False,
            is_primary=known is None,
        )


async def _record_consents(ctx: Context, customer_id: UUID, intent: Row, phone: PhoneNumber | None) -> None:
    # A box left empty is no answer: it takes nothing back that was said at the till.
    given = {
        ConsentChannel.EMAIL: intent["email_key"] if intent["email_consent"] else None,
        ConsentChannel.SMS: phone.key if phone is not None and intent["sms_consent"] else None,
    }
    for channel, address_key in given.items():
        if address_key is not None:
            await record_choice(
                ctx,
                customer_id=customer_id,
                channel=channel,
                address_key=address_key,
                opted_in=True,
                source="app",
                wording_version=version_of(channel, intent["wording_version"]),
            )
