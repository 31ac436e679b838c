"""Registering a customer at the till."""

from uuid import UUID

import msgspec

from server.accounts.invitations import send_invitation
from server.accounts.store import lock_address
from server.audience.marks import ensure_contact
from server.audit.store import record
from server.auth import Staff
from server.bonuses.service import grant_sign_up
from server.consents.service import record_choice
from server.context import Context
from server.customers import store as customers
from server.customers.rules import EmailAddress, PhoneNumber, check_birthday, clean_name, parse_phone
from server.customers.service import read_email
from server.desk import store
from server.errors import Invalid, Refused
from server.memberships.service import open_membership
from shared.codes import normalise_card_number
from shared.enums import ConsentChannel
from shared.problems import Code, FieldProblem
from shared.staff import CustomerRegistered, RegisterCustomer


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """The form with every field checked."""

    given_name: str
    family_name: str
    email: EmailAddress | None
    phone: PhoneNumber | None
    card: str | None


async def register_customer(ctx: Context, staff: Staff, form: RegisterCustomer) -> CustomerRegistered:
    """Add a customer with membership and card, in the caller's transaction; an email address gets an invitation.

    Raises:
        Invalid: A field is wrong, or there is neither email, phone nor card.
        Refused: CONSENT_NEEDS_EMAIL, CONSENT_NEEDS_PHONE, CARD_UNKNOWN, CARD_TAKEN, or DUPLICATE_CONTACT with the
            `customer_id` of whoever has the email, phone or card.
    """
    entry = _read(ctx, form)
    await _check_unknown(entry)
    customer_id = await customers.insert_customer(
        ctx,
        given_name=entry.given_name,
        family_name=entry.family_name,
        source="till",
        birthday=form.birthday,
        locale=form.locale,
        notes=form.notes.strip(),
    )
    await _add_contact_points(ctx, customer_id, entry)
    opened = await open_membership(ctx, customer_id=customer_id, enrolled_at=ctx.now, card_number=entry.card)
    await grant_sign_up(ctx, customer_id=customer_id, membership_id=opened.membership_id)
    await _record_consents(ctx, staff, customer_id, form, entry)
    if entry.email is not None:
        email = entry.email
        await ensure_contact(ctx, customer_id=customer_id, email=email.value, email_key=email.key)
        await send_invitation(
            ctx, customer_id=customer_id, given_name=entry.given_name, email=email.value, email_key=email.key
        )
    await record(
        ctx,
        "customer.registered",
        subject_kind="customer",
        subject_id=customer_id,
        customer_id=customer_id,
        details={"store": staff.store_id, "membership": opened.membership_id, "had_card": entry.card is not None},
    )
    return CustomerRegistered(
        id=customer_id,
        membership_id=opened.membership_id,
        card_number=opened.card_number,
        invited_by="email" if entry.email is not None else None,
    )


def _read(ctx: Context, form: RegisterCustomer) -> _Entry:
    if form.email is None and form.phone is None and form.card_number is None:
        raise Invalid(FieldProblem(field="email", detail="Give at least one of email, phone and card."))
    if form.consents.email and form.email is None:
        raise Refused(Code.CONSENT_NEEDS_EMAIL)
    if form.consents.sms and form.phone is None:
        raise Refused(Code.CONSENT_NEEDS_PHONE)
    for channel in ("email", "sms"):
        if getattr(form.consents, channel) and getattr(form.declined, channel):
            raise Invalid(FieldProblem(field=f"declined.{channel}", detail="This cannot be both given and declined."))
    if form.birthday is not None:
        check_birthday(form.birthday, ctx.now.date(), "birthday")
    return _Entry(
        given_name=clean_name(form.given_name, "given_name", required=True),
        family_name=clean_name(form.family_name, "family_name"),
        email=read_email(ctx, form.email) if form.email is not None else None,
        phone=parse_phone(form.phone, ctx.settings.default_country, "phone") if form.phone is not None else None,
        card=normalise_card_number(form.card_number) if form.card_number is not None else None,
    )


async def _check_unknown(entry: _Entry) -> None:
    email_key = entry.email.key if entry.email else None
    phone_key = entry.phone.key if entry.phone else None
    # Two tills that type the same person in at once, or a till and a sign-up, take turns; sorted, as all must lock alike.
    for key in sorted(key for key in (email_key, phone_key) if key is not None):
        await lock_address(key)
    duplicate_id = await store.find_duplicate(email_key=email_key, phone_key=phone_key, card=entry.card)
    if duplicate_id is not None:
        raise Refused(Code.DUPLICATE_CONTACT, data={"customer_id": duplicate_id})


async def _add_contact_points(ctx: Context, customer_id: UUID, entry: _Entry) -> None:
    if entry.email is not None:
        await customers.insert_contact_point(
            ctx, customer_id=customer_id, kind="email", value=entry.email.value, key=entry.email.key, verified=False
        )
    if entry.phone is not None:
        await customers.insert_contact_point(
            ctx, customer_id=customer_id, kind="phone", value=entry.phone.value, key=entry.phone.key, verified=False
        )


async def _record_consents(
    ctx: Context, staff: Staff, customer_id: UUID, form: RegisterCustomer, entry: _Entry
) -> None:
    answers = (
        (ConsentChannel.EMAIL, entry.email.key if entry.email else None, form.consents.email, form.declined.email),
        (ConsentChannel.SMS, entry.phone.key if entry.phone else None, form.consents.sms, form.declined.sms),
    )
    for channel, address_key, is_given, is_declined in answers:
        # Not asked leaves no event: only what the person said is recorded, with the words they were asked in.
        if address_key is not None and (is_given or is_declined):
            await record_choice(
                ctx,
                customer_id=customer_id,
                channel=channel,
                address_key=address_key,
                opted_in=is_given,
                source="till",
                store_id=staff.store_id,
            )
