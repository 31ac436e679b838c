"""The mails around an email change. Each goes to an address on file, except the one whose point is to prove a new one.

What goes to an address that is not proven names nobody and nothing: it may be a stranger's mailbox.
"""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from server.context import Context
from server.customers.rules import mask_email
from server.customers.store import get_primary
from server.db.engine import Row
from server.email_changes.rules import PROVEN
from server.email_changes.store import Change
from server.messages.service import queue_mail, queue_text
from server.messages.texts import EMAIL_OVERRIDE, EMAIL_OVERRIDE_OVER
from server.programmes.service import get_shop_zone
from server.sessions.links import Purpose, create_link
from server.time_words import say_moment
from shared.limits import EMAIL_CHANGE_LINK_LIFE, NOT_ME_LINK_LIFE

if TYPE_CHECKING:
    from server.email_changes.apply import Applied

_CODES_PER_MAIL = 8  # A mail's parameter holds 254 characters; more vouchers go into more mails.


async def ask_for_proof(ctx: Context, change: Change, *, is_taken: bool) -> None:
    """Mail the link that proves the new address; to its owner, if another member has it, that nothing was changed.

    The link is made in both cases, and opens nothing in the second, so that the work is the same.
    """
    token = await create_link(
        ctx,
        purpose=Purpose.EMAIL_CHANGE,
        customer_id=change.customer_id,
        email_key=change.new_key,
        subject=change.id,
        state=change.old_key,
        life=EMAIL_CHANGE_LINK_LIFE,
        is_void=is_taken,
    )
    await queue_mail(
        ctx,
        to=change.new_email,
        template="email_change_taken" if is_taken else "email_change_confirm",
        customer_id=None if is_taken else change.customer_id,
        token=None if is_taken else token,
    )


async def ask_to_verify(ctx: Context, change: Change) -> None:
    """Mail the link that proves an address which staff have set."""
    token = await create_link(
        ctx,
        purpose=Purpose.EMAIL_CHANGE,
        customer_id=change.customer_id,
        email_key=change.new_key,
        subject=change.id,
        state=change.new_key,
        life=EMAIL_CHANGE_LINK_LIFE,
    )
    await queue_mail(
        ctx, to=change.new_email, template="email_change_verify", customer_id=change.customer_id, token=token
    )


async def warn_of_request(ctx: Context, customer: Row, change: Change) -> None:
    """Tell the old address that a change was asked for, with the "not me" link."""
    if customer["email_status"] in PROVEN:
        await _to_old(ctx, customer, change, "email_change_requested")


async def tell_applied(ctx: Context, customer: Row, change: Change, applied: "Applied") -> None:
    """Tell the old address, if it was proven, with a fresh "not me" link, and the new one, if it is."""
    if applied.effects.old_status in PROVEN:
        await _to_old(ctx, customer, change, f"email_changed_{change.mode}")
    if not applied.effects.applied_by_staff:
        parameters = {"given_name": customer["given_name"], "old_email": mask_email(change.old_email)}
        await queue_mail(
            ctx,
            to=change.new_email,
            template=f"email_changed_welcome_{change.mode}",
            customer_id=change.customer_id,
            parameters=parameters,
        )
        await send_codes(ctx, customer, change.new_email, applied.voucher_ids)


async def warn_of_override(ctx: Context, customer: Row, change: Change) -> None:
    """Tell the address that is said to be out of reach and a proven phone number, as far as proven, how to stop it."""
    if customer["email_status"] in PROVEN:
        await _to_old(ctx, customer, change, "email_override_planned")
    phone = await _proven_phone(change.customer_id)
    if phone is None:
        return
    token = await create_link(
        ctx, purpose=Purpose.NOT_ME, customer_id=None, email_key="", subject=change.id, life=NOT_ME_LINK_LIFE
    )
    await queue_text(ctx, to=phone, template=EMAIL_OVERRIDE, customer_id=change.customer_id, code_id=token.token_id)


async def tell_cancelled(ctx: Context, customer: Row, change: Change) -> None:
    """Tell the address in use, if it was proven, that the change will not happen; of an override the phone as well."""
    if change.is_override:
        await _tell_override_over(ctx, customer, change, "email_override_stopped")
    elif customer["email_status"] in PROVEN:
        await queue_mail(
            ctx,
            to=change.old_email,
            template="email_change_cancelled",
            customer_id=change.customer_id,
            parameters={"given_name": customer["given_name"]},
        )


async def tell_override_off(ctx: Context, customer: Row, change: Change) -> None:
    """Tell whoever was told that the address will be changed that it will not: something stood against it, or came first."""
    await _tell_override_over(ctx, customer, change, "email_override_off")


async def _tell_override_over(ctx: Context, customer: Row, change: Change, template: str) -> None:
    """Tell the proven address of today and a proven phone number: the old mailbox is said to be out of reach."""
    if customer["email_status"] in PROVEN:
        await queue_mail(
            ctx,
            to=customer["email"],
            template=template,
            customer_id=change.customer_id,
            parameters={
                "given_name": customer["given_name"],
                "new_email": mask_email(change.new_email),
                "held": await _hold_words(customer["redemption_held_until"], ctx.now),
            },
        )
    if phone := await _proven_phone(change.customer_id):
        await queue_text(ctx, to=phone, template=EMAIL_OVERRIDE_OVER, customer_id=change.customer_id, code_id=change.id)


async def _proven_phone(customer_id: UUID) -> str | None:
    phone = await get_primary(customer_id, "phone")
    return phone["key"] if phone is not None and phone["status"] in PROVEN else None


async def _hold_words(held_until: datetime | None, now: datetime) -> str:
    if held_until is None or held_until <= now:
        return ""
    return f" Points cannot be spent until {say_moment(held_until, await get_shop_zone())}; collecting goes on."


async def tell_undone(ctx: Context, customer: Row, change: Change, applied: "Applied") -> None:
    """Tell both addresses, as far as they were proven, that all is as it was."""
    effects = applied.effects
    if effects.old_status in PROVEN:
        await queue_mail(
            ctx,
            to=change.old_email,
            template="email_change_undone",
            customer_id=change.customer_id,
            parameters={"given_name": customer["given_name"]},
        )
        await send_codes(ctx, customer, change.old_email, applied.voucher_ids)
    if customer["email_key"] == change.new_key and customer["email_status"] in PROVEN:
        await queue_mail(ctx, to=change.new_email, template="email_change_undone_new", customer_id=change.customer_id)


async def _to_old(ctx: Context, customer: Row, change: Change, template: str) -> None:
    # Made without the customer's name on it: a second change must not void the way back from the first.
    token = await create_link(
        ctx,
        purpose=Purpose.NOT_ME,
        customer_id=None,
        email_key=change.old_key,
        subject=change.id,
        life=NOT_ME_LINK_LIFE,
    )
    await queue_mail(
        ctx,
        to=change.old_email,
        template=template,
        customer_id=change.customer_id,
        token=token,
        parameters={"given_name": customer["given_name"], "new_email": mask_email(change.new_email)},
        priority=1,
    )


async def send_codes(ctx: Context, customer: Row, to: str, voucher_ids: tuple[UUID, ...]) -> None:
    """Mail the codes of reissued vouchers; only to a proven address, as they are worth money."""
    for start in range(0, len(voucher_ids), _CODES_PER_MAIL):
        await queue_mail(
            ctx,
            to=to,
            template="vouchers_reissued",
            customer_id=customer["id"],
            parameters={"given_name": customer["given_name"]},
            voucher_ids=voucher_ids[start : start + _CODES_PER_MAIL],
        )
