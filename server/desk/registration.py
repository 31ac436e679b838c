"""Registering a customer at the till, at the sale that is going on, and again by a till that was offline."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from server.accounts.invitations import send_invitation
from server.accounts.store import lock_address
from server.audience.marks import ensure_contact
from server.audit.store import record
from server.auth import Staff
from server.bonuses.service import grant_sign_up
from server.claims.invitations import invite_by_text
from server.consents.service import record_choice
from server.context import Context
from server.customers import store as customers
from server.customers.rules import EmailAddress, PhoneNumber, check_birthday, clean_name, parse_phone
from server.customers.service import read_email
from server.customers.suppression import Name, find_suppressed
from server.db.engine import Row
from server.desk import store
from server.errors import Invalid, NotFound, Refused
from server.memberships.service import open_membership
from server.orders import change_store
from server.orders.giving import Given, give_order
from shared import limits
from shared.codes import normalise_card_number
from shared.enums import ConsentChannel, Permission
from shared.permissions import may
from shared.problems import Code, FieldProblem
from shared.staff import CustomerRegistered, RegisterCustomer


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """The form with every field checked; `at` is when it was filled in."""

    at: datetime
    given_name: str
    family_name: str
    email: EmailAddress | None
    phone: PhoneNumber | None
    card: str | None

    def names(self) -> list[Name]:
        """Return the addresses by which somebody may have been known before."""
        names: list[Name] = []
        if self.email is not None:
            names.append(("email", self.email.key))
        if self.phone is not None:
            names.append(("phone", self.phone.key))
        return names


async def register_customer(ctx: Context, staff: Staff, form: RegisterCustomer) -> CustomerRegistered:
    """Add a customer with membership and card, in the caller's transaction, and invite them to choose a password.

    Raises:
        Invalid: A field is wrong, or there is neither email, phone nor card.
        NotFound: There is no such sale.
        NotPermitted: So large a sale is for a manager.
        Refused: CONSENT_NEEDS_EMAIL, CONSENT_NEEDS_PHONE, CARD_UNKNOWN, CARD_TAKEN, TIME_OUT_OF_RANGE, ASSIGNMENT_SAME,
            ASSIGNMENT_WINDOW, or DUPLICATE_CONTACT with the `customer_id` of whoever has the email, phone or card.
    """
    entry = _read(ctx, form)
    if form.id is not None and (again := await _find_registered(form.id, entry)):
        return again
    duplicate = await _find_duplicate(entry)
    if duplicate is not None and form.registered_at is not None:
        return await _serve_known(ctx, staff, form, entry=entry, customer_id=duplicate["id"])
    if duplicate is not None and (duplicate["is_certain"] or not form.is_another_person):
        data = {"customer_id": duplicate["id"], "is_certain": duplicate["is_certain"]}
        raise Refused(Code.DUPLICATE_CONTACT, data=data)
    order = await _find_order(form, entry)
    customer_id = await _add_customer(ctx, form, entry)
    # The sale that is going on counts, even if the day has changed since it began.
    enrolled_at = min(entry.at, order["completed_at"]) if order else entry.at
    opened = await open_membership(ctx, customer_id=customer_id, enrolled_at=enrolled_at, card_number=entry.card)
    # Whoever asked to be forgotten has been welcomed before.
    if not await find_suppressed(ctx, entry.names()):
        await grant_sign_up(ctx, customer_id=customer_id, membership_id=opened.membership_id)
    await _record_consents(ctx, staff, customer_id, form, entry)
    given = await _give_order(ctx, staff, form.order_id, customer_id) if form.order_id else None
    invited_by = await _invite(ctx, customer_id, entry)
    details = {
        "store": staff.store_id,
        "membership": opened.membership_id,
        "had_card": entry.card is not None,
        "order": form.order_id,
        "registered_at": form.registered_at,
    }
    await _record(ctx, "customer.registered", customer_id, details)
    return CustomerRegistered(
        id=customer_id,
        membership_id=opened.membership_id,
        card_number=opened.card_number,
        invited_by=invited_by,
        order_points=_points_of(given),
    )


async def _find_registered(customer_id: UUID, entry: _Entry) -> CustomerRegistered | None:
    """Return the answer for a registration that came before.

    Raises:
        Invalid: The id is somebody else's.
    """
    await lock_address(str(customer_id))
    row = await store.find_registered(customer_id)
    if row is None:
        return None
    if (row["given_name"], row["family_name"]) != (entry.given_name, entry.family_name) or row["membership"] is None:
        raise Invalid(FieldProblem(field="id", detail="This id is taken; make another one."))
    return CustomerRegistered(
        id=customer_id, membership_id=row["membership"], card_number=row["card"] or "", invited_by=None, was_known=True
    )


async def _find_duplicate(entry: _Entry) -> Row | None:
    email_key = entry.email.key if entry.email else None
    phone_key = entry.phone.key if entry.phone else None
    # Two tills that type the same person in at once, or a till and a sign-up, take turns; sorted, as all must lock alike.
    for key in sorted(key for key in (email_key, phone_key) if key is not None):
        await lock_address(key)
    return await store.find_duplicate(email_key=email_key, phone_key=phone_key, card=entry.card)


async def _add_customer(ctx: Context, form: RegisterCustomer, entry: _Entry) -> UUID:
    customer_id = await customers.insert_customer(
        ctx,
        given_name=entry.given_name,
        family_name=entry.family_name,
        source="till",
        birthday=form.birthday,
        locale=form.locale,
        notes=form.notes.strip(),
        customer_id=form.id,
    )
    if form.post_code.strip() or form.postal_address.strip():
        await store.set_fields(
            ctx,
            customer_id,
            notes=form.notes.strip(),
            post_code=form.post_code.strip(),
            postal_address=form.postal_address.strip(),
        )
    await _add_contact_points(ctx, customer_id, entry)
    return customer_id


async def _find_order(form: RegisterCustomer, entry: _Entry) -> Row | None:
    if form.order_id is None:
        return None
    order = await change_store.find_order(form.order_id)
    if order is None:
        raise NotFound("There is no such sale.")
    if entry.at - order["completed_at"] > limits.REGISTER_ORDER_MAX:
        hours = limits.REGISTER_ORDER_MAX.total_seconds() // 3600
        raise Refused(Code.ASSIGNMENT_WINDOW, f"This sale is older than {hours:.0f} hours; give it to them afterwards.")
    return order


async def _give_order(ctx: Context, staff: Staff, order_id: UUID, customer_id: UUID) -> Given:
    most = None if may(staff.role, Permission.ORDER_ASSIGN_LATE) else limits.LATE_POINTS_MAX
    return await give_order(ctx, order_id, customer_id, reason="staff", late_points_max=most)


def _points_of(given: Given | None) -> int | None:
    return None if given is None else given.points + given.points_expected


async def _invite(ctx: Context, customer_id: UUID, entry: _Entry) -> str | None:
    """Ask the customer to choose a password, by mail, else by text; None if a code on paper is the only way."""
    if entry.email is not None:
        email = entry.email
        await ensure_contact(ctx, customer_id=customer_id, email=email.value, email_key=email.key)
        await send_invitation(
            ctx, customer_id=customer_id, given_name=entry.given_name, email=email.value, email_key=email.key
        )
        return "email"
    if entry.phone is not None and await invite_by_text(ctx, customer_id, entry.phone.key):
        return "sms"
    return None


async def _serve_known(
    ctx: Context, staff: Staff, form: RegisterCustomer, *, entry: _Entry, customer_id: UUID
) -> CustomerRegistered:
    """Do for somebody the shop knew what a till that was offline took down as a new customer."""
    if staff.customer_id == customer_id:
        raise Refused(Code.SELF_DEALING)
    await customers.lock_customers([customer_id])
    row = await store.find_registered(customer_id)
    assert row is not None
    membership_id, card = row["membership"], row["card"]
    if membership_id is None:
        opened = await open_membership(ctx, customer_id=customer_id, enrolled_at=entry.at)
        membership_id, card = opened.membership_id, opened.card_number
        await grant_sign_up(ctx, customer_id=customer_id, membership_id=membership_id)
    own = {}
    for kind in ("email", "phone"):
        point = await customers.get_primary(customer_id, kind)
        given_address = getattr(entry, kind)
        own[kind] = given_address if point and given_address and point["key"] == given_address.key else None
    await _record_consents(ctx, staff, customer_id, form, msgspec.structs.replace(entry, **own))
    given, order_problem = None, None
    if form.order_id is not None:
        try:
            await _find_order(form, entry)
            given = await _give_order(ctx, staff, form.order_id, customer_id)
        except Refused as refusal:
            # Nobody stands at the till any more who could be told; the note below is for whoever looks.
            order_problem = refusal.detail or refusal.code.value
    details = {"store": staff.store_id, "order": form.order_id, "order_problem": order_problem}
    await _record(ctx, "customer.registered_again", customer_id, details)
    return CustomerRegistered(
        id=customer_id,
        membership_id=membership_id,
        card_number=card or "",
        invited_by=None,
        was_known=True,
        order_points=_points_of(given),
        order_problem=order_problem,
    )


async def _record(ctx: Context, action: str, customer_id: UUID, details: Mapping[str, object]) -> None:
    await record(ctx, action, subject_kind="customer", subject_id=customer_id, customer_id=customer_id, details=details)


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
    at = form.registered_at or ctx.now
    if not ctx.now - limits.REGISTER_OFFLINE_MAX <= at <= ctx.now + limits.REGISTER_CLOCK_AHEAD_MAX:
        days = limits.REGISTER_OFFLINE_MAX.days
        field = FieldProblem(field="registered_at", detail=f"This must be within the last {days} days.")
        raise Invalid(field, code=Code.TIME_OUT_OF_RANGE)
    if form.birthday is not None:
        check_birthday(form.birthday, ctx.now.date())
    return _Entry(
        at=min(at, ctx.now),
        given_name=clean_name(form.given_name, "given_name", required=True),
        family_name=clean_name(form.family_name, "family_name"),
        email=read_email(ctx, form.email) if form.email is not None else None,
        phone=parse_phone(form.phone, ctx.settings.default_country) if form.phone is not None else None,
        card=normalise_card_number(form.card_number) if form.card_number is not None else None,
    )


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
                msgspec.structs.replace(ctx, now=entry.at),
                customer_id=customer_id,
                channel=channel,
                address_key=address_key,
                opted_in=is_given,
                source="till",
                store_id=staff.store_id,
            )
