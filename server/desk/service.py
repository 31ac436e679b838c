"""A customer as staff see and change one."""

from datetime import timedelta
from uuid import UUID

from msgspec import UNSET

from server.accounts.invitations import send_invitation, send_reset
from server.audience.marks import mark_customers
from server.audience.service import list_contact_views
from server.audit.store import record
from server.auth import Staff
from server.claims.invitations import get_invitation, invite_by_text
from server.consents.service import get_consents
from server.context import Context
from server.customers import store as customers
from server.customers.rules import check_birthday, clean_name
from server.db.engine import DB, Row
from server.desk import store
from server.email_changes.staff_service import send_verification
from server.errors import NotFound, NotPermitted, Refused, Throttled
from server.memberships.service import list_membership_views
from server.sessions import throttles
from server.sessions.links import Purpose
from shared import limits
from shared.enums import EmailChangeMode, Role
from shared.members import Accepted
from shared.problems import Code
from shared.staff import CardView, ContactPointView, CustomerChange, CustomerDetail, EmailChangeView

_OWN_FIELDS = ("notes", "post_code", "postal_address")
_CLOSED = {"merged": Code.CUSTOMER_MERGED, "erased": Code.CUSTOMER_ERASED}
# A thief who has just changed the address must not get the staff to send the password there.
_RESET_AFTER = timedelta(hours=24)


async def open_customer(ctx: Context, staff: Staff, customer_id: UUID) -> CustomerDetail:
    """Return everything the customer screen shows, as of one instant; that it was opened is written down.

    Of somebody who was merged into another it is the other.

    Raises:
        NotFound: There is no such customer.
        Throttled: A cashier has opened too many others within an hour, as whoever copies the file would.
    """
    async with DB.transaction(isolation="repeatable_read"):
        # Whoever was merged goes on as somebody else, and old receipts and notes name the old id.
        customer_id = await customers.find_heir(customer_id) or customer_id
        if staff.role is Role.CASHIER:
            await _check_views(ctx, staff, customer_id)
        detail = await _get_detail(ctx, customer_id)
        await record(ctx, "customer.viewed", subject_kind="customer", subject_id=customer_id, customer_id=customer_id)
    return detail


async def _check_views(ctx: Context, staff: Staff, customer_id: UUID) -> None:
    since = ctx.now - limits.VIEWS_WINDOW
    views = await store.list_views(staff.staff_id, since, other_than=customer_id)
    if len(views) >= limits.VIEWS_MAX:
        raise Throttled(views[limits.VIEWS_MAX - 1] - since, Code.VIEWS_LIMIT)


async def change_customer(ctx: Context, staff: Staff, customer_id: UUID, form: CustomerChange) -> CustomerDetail:
    """Change names, birthday or notes and return the customer.

    Raises:
        Invalid: A field is wrong.
        Refused: NOT_FOUND, SELF_DEALING, VERSION_CONFLICT, CUSTOMER_MERGED or CUSTOMER_ERASED.
    """
    if staff.customer_id == customer_id:
        raise Refused(Code.SELF_DEALING)
    async with DB.transaction():
        await customers.lock_customers([customer_id])
        row = await store.find_customer(customer_id)
        if row is None:
            raise NotFound
        if code := _CLOSED.get(row["status"]):
            raise Refused(code)
        if row["version"] != form.version:
            raise Refused(Code.VERSION_CONFLICT, data={"version": row["version"]})
        if changed := await _write_changes(ctx, row, form):
            await record(
                ctx,
                "customer.changed",
                subject_kind="customer",
                subject_id=customer_id,
                customer_id=customer_id,
                details={"fields": changed},
            )
            await mark_customers(ctx, [customer_id])
        return await _get_detail(ctx, customer_id)


async def _write_changes(ctx: Context, row: Row, form: CustomerChange) -> list[str]:
    """Write the fields that differ and return their names."""
    birthday = customers.join_birthday(row)
    given, family = row["given_name"], row["family_name"]
    own: dict[str, str] = {name: row[name] for name in _OWN_FIELDS}
    before = {"given_name": given, "family_name": family, "birthday": birthday, **own}
    after = dict(before)
    if form.given_name is not UNSET:
        after["given_name"] = given = clean_name(form.given_name, "given_name", required=True)
    if form.family_name is not UNSET:
        after["family_name"] = family = clean_name(form.family_name, "family_name")
    if form.birthday is not UNSET:
        if form.birthday is not None:
            check_birthday(form.birthday, ctx.now.date())
        after["birthday"] = birthday = form.birthday
    for name in _OWN_FIELDS:
        value = getattr(form, name)
        if value is not UNSET:
            after[name] = own[name] = value.strip()
    changed = [name for name, value in after.items() if value != before[name]]
    if changed:
        await customers.update_person(
            ctx, row["id"], given_name=given, family_name=family, birthday=birthday, locale=row["locale"]
        )
        await store.set_fields(ctx, row["id"], **own)
    return changed


async def invite_customer(ctx: Context, customer_id: UUID) -> Accepted:
    """Mail a customer the link to go on with: choose a first password, prove the address, or choose a new password.

    Somebody without an email address gets a text.

    Raises:
        NotFound: There is no such customer, or neither an email address nor a phone number.
        Refused: CUSTOMER_BLOCKED, CUSTOMER_MERGED, CUSTOMER_ERASED; EMAIL_TAKEN, another customer has proven it.
        NotPermitted: A member's address was proven less than a day ago.
        Throttled: The address got too many of these mails today.
    """
    row = await store.find_customer(customer_id)
    if row is None:
        raise NotFound
    if code := (_CLOSED | {"blocked": Code.CUSTOMER_BLOCKED}).get(row["status"]):
        raise Refused(code)
    if row["email"] is None:
        return await _invite_by_text(ctx, row)
    if not await throttles.may_mail(ctx, Purpose.INVITATION, row["email_key"]):
        raise Throttled(limits.MAILS_WINDOW)
    async with DB.transaction():
        kind = await _send_link(ctx, row)
        await record(
            ctx,
            "customer.invited",
            subject_kind="customer",
            subject_id=customer_id,
            customer_id=customer_id,
            details={"kind": kind},
        )
    return Accepted(detail="A mail with a link is on its way to the customer.")


async def _invite_by_text(ctx: Context, row: Row) -> Accepted:
    if row["phone_key"] is None or row["has_login"]:
        raise NotFound("There is neither an email address nor a phone number: make a claim code.")
    async with DB.transaction():
        await customers.lock_customers([row["id"]])
        if not await invite_by_text(ctx, row["id"], row["phone_key"]):
            raise Throttled(limits.MAILS_WINDOW)
        await record(
            ctx,
            "customer.invited",
            subject_kind="customer",
            subject_id=row["id"],
            customer_id=row["id"],
            details={"kind": "text"},
        )
    return Accepted(detail="A text with a link is on its way to the customer.")


async def _send_link(ctx: Context, row: Row) -> str:
    """Mail the link that fits and return its kind."""
    customer_id = row["id"]
    address = {"given_name": row["given_name"], "email": row["email"], "email_key": row["email_key"]}
    if not row["has_login"]:
        owner_id = await customers.find_customer_by_verified_email(row["email_key"])
        if owner_id not in (None, customer_id):
            raise Refused(Code.EMAIL_TAKEN, data={"customer_id": owner_id})
        await send_invitation(ctx, customer_id=customer_id, **address)
        return "invitation"
    if row["email_status"] == "unverified" and await send_verification(ctx, customer_id, row["email_id"]):
        return "verification"
    verified_at = row["email_verified_at"]
    if row["email_status"] == "unverified" or verified_at is None or ctx.now - verified_at < _RESET_AFTER:
        raise NotPermitted("The address was proven less than a day ago. The customer can use 'forgot password'.")
    await send_reset(ctx, customer_id=customer_id, password_version=row["password_version"], **address)
    return "reset"


async def _get_detail(ctx: Context, customer_id: UUID) -> CustomerDetail:
    row = await store.find_customer(customer_id)
    if row is None:
        raise NotFound
    return CustomerDetail(
        id=row["id"],
        kind=row["kind"],
        status=row["status"],
        merged_into=row["merged_into"],
        given_name=row["given_name"],
        family_name=row["family_name"],
        email=row["email"],
        email_status=row["email_status"],
        phone=row["phone"],
        phone_status=row["phone_status"],
        birthday=customers.join_birthday(row),
        locale=row["locale"],
        notes=row["notes"],
        has_login=row["has_login"],
        enrolled_source=row["enrolled_source"],
        created_at=row["created_at"],
        redemption_held_until=row["redemption_held_until"],
        redemption_held_reason=row["redemption_held_reason"],
        contact_points=tuple(ContactPointView(**point) for point in await store.list_contact_points(customer_id)),
        memberships=await list_membership_views(customer_id, ctx.now),
        cards=tuple(CardView(**card) for card in await store.list_cards(customer_id)),
        consents=await get_consents(customer_id),
        audience=await list_contact_views(customer_id),
        email_changes=tuple(
            _email_change_view(change) for change in await store.list_email_changes(customer_id, ctx.now)
        ),
        last_order_at=row["last_order_at"],
        version=row["version"],
        merged_from=tuple(await store.list_merged_from(customer_id)),
        email_bouncing=row["email_bouncing"],
        postal_address=row["postal_address"],
        post_code=row["post_code"],
        invitation=await get_invitation(customer_id),
        shared_with=tuple(await store.list_shared_with(customer_id)),
    )


def _email_change_view(row: Row) -> EmailChangeView:
    return EmailChangeView(
        id=row["id"],
        mode=EmailChangeMode(row["mode"]),
        state=row["state"],
        old_email=row["old_email"],
        new_email=row["new_email"],
        requested_at=row["requested_at"],
        confirmed_at=row["confirmed_at"],
        undo_until=row["undo_until"],
        is_override=row["is_override"],
        execute_after=row["execute_after"],
    )
