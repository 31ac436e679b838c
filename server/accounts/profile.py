"""The member's own profile."""

from msgspec import UNSET

from server.accounts import store
from server.audience.marks import mark_customers
from server.audit.store import record
from server.auth import Member, check_stepped_up
from server.context import Context
from server.customers import store as customers
from server.customers.rules import PhoneNumber, check_birthday, clean_name, parse_phone
from server.db.engine import DB, Row
from server.errors import NotSignedIn
from server.messages.service import queue_mail
from server.programmes.service import get_shop_zone
from server.sessions.service import prove_password
from server.time_words import say_moment
from server.tokens import hash_token
from shared.limits import REDEMPTION_HOLD
from shared.members import Me, ProfileChange


async def get_me(ctx: Context, access_token: str) -> Me:
    """Return the profile of whoever holds an access token.

    Raises:
        NotSignedIn: Nobody does.
    """
    row = await store.find_my_profile(hash_token(access_token), ctx.now)
    if row is None:
        raise NotSignedIn
    return view_of(row)


async def change_me(ctx: Context, member: Member, form: ProfileChange) -> Me:
    """Change what a form names and return the profile. A phone number needs the password, now or in the last minutes.

    Raises:
        Invalid: A field is wrong.
        Refused: REAUTH_REQUIRED.
    """
    phone = None
    if form.phone is not UNSET and form.phone is not None:
        phone = parse_phone(form.phone, ctx.settings.default_country)
    if form.password is not None:
        await prove_password(ctx, member.customer_id, form.password)
    elif form.phone is not UNSET:
        check_stepped_up(ctx, member)
    async with DB.transaction():
        row = await store.lock_profile(member.customer_id, ctx.now)
        changed = await _change_person(ctx, row, form)
        if form.phone is not UNSET and (phone.key if phone else None) != row["phone_key"]:
            await _change_phone(ctx, row, phone)
            changed.append("phone")
        if not changed:
            return view_of(row)
        await record(
            ctx,
            "customer.changed",
            subject_kind="customer",
            subject_id=member.customer_id,
            customer_id=member.customer_id,
            details={"fields": changed},
        )
        await mark_customers(ctx, [member.customer_id])
        return view_of(await store.lock_profile(member.customer_id, ctx.now))


async def _change_person(ctx: Context, row: Row, form: ProfileChange) -> list[str]:
    """Write the fields that differ and return their names."""
    wanted: dict[str, object] = {
        "given_name": row["given_name"],
        "family_name": row["family_name"],
        "birthday": customers.join_birthday(row),
        "locale": row["locale"],
    }
    before = dict(wanted)
    if form.given_name is not UNSET:
        wanted["given_name"] = clean_name(form.given_name, "given_name", required=True)
    if form.family_name is not UNSET:
        wanted["family_name"] = clean_name(form.family_name, "family_name")
    if form.birthday is not UNSET:
        if form.birthday is not None:
            check_birthday(form.birthday, ctx.now.date())
        wanted["birthday"] = form.birthday
    if form.locale is not UNSET:
        wanted["locale"] = form.locale
    changed = [name for name, value in wanted.items() if value != before[name]]
    if changed:
        await customers.update_person(ctx, row["id"], **wanted)  # type: ignore[arg-type]
    return changed


async def _change_phone(ctx: Context, row: Row, phone: PhoneNumber | None) -> None:
    if row["phone_id"] is not None:
        await customers.retire_contact_point(ctx, row["phone_id"], reason="changed_by_member")
    if phone is not None:
        await customers.insert_contact_point(
            ctx, customer_id=row["id"], kind="phone", value=phone.value, key=phone.key, verified=False
        )
    await customers.hold_redemption(ctx, row["id"], until=ctx.now + REDEMPTION_HOLD, reason="phone_changed")
    if row["email"] is not None:
        parameters = {"given_name": row["given_name"], "at": say_moment(ctx.now, await get_shop_zone())}
        await queue_mail(ctx, to=row["email"], template="phone_changed", customer_id=row["id"], parameters=parameters)


def view_of(row: Row) -> Me:
    """Return what a row of `store` says."""
    return Me(
        id=row["id"],
        given_name=row["given_name"],
        family_name=row["family_name"],
        email=row["email"],
        phone=row["phone"],
        phone_proven=row["phone_proven"],
        birthday=customers.join_birthday(row),
        locale=row["locale"],
        member_since=row["member_since"],
        redemption_held_until=row["redemption_held_until"],
        version=row["version"],
    )
