"""Carrying an email change out, and taking it back: all of it, in the caller's transaction, or nothing.

The caller has locked the customer. What is done is written down as ids in `Effects`, so that the way back needs no guess.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from server.audience.marks import close_contact, move_contact
from server.audit.store import record
from server.consents.service import record_choice
from server.context import Context
from server.customers import store as customers
from server.db.engine import Row
from server.email_changes import mails, store
from server.email_changes.effects import Effects
from server.email_changes.reissue import (
    Reissue,
    reissue_account,
    renew_unheld_vouchers,
    restore_account,
    take_vouchers_back,
)
from server.email_changes.rules import PROVEN, plan_email_consent
from server.email_changes.store import Change
from server.errors import Refused
from server.links.writing import ask_email_write
from server.messages.service import withdraw_mails
from server.sessions.links import Purpose, void_links, void_links_about
from server.sessions.service import end_sessions
from shared.enums import EmailChangeMode
from shared.limits import CORRECTION_UNDO, EMAIL_CHANGE_UNDO, REDEMPTION_HOLD
from shared.problems import Code

# Links that were issued to the address before, or against it; "not me" links stay, as they are the way back.
_VOIDED = (Purpose.SIGN_UP, Purpose.PASSWORD_RESET, Purpose.INVITATION, Purpose.EMAIL_CHANGE, Purpose.EXPORT)


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """A change that was carried out. `held_until` is the end of the hold on spending, if there is one."""

    effects: Effects
    undo_until: datetime
    held_until: datetime | None
    voucher_ids: tuple[UUID, ...] = ()


async def apply_change(
    ctx: Context,
    customer: Row,
    change: Change,
    *,
    is_verified: bool,
    is_correction: bool = False,
    renews_vouchers: bool = False,
    reason: str | None = None,
) -> Applied:
    """Make the new address the customer's, in the way that the change's mode says.

    Args:
        customer: Row of `store.find_customer`, read under the lock.
        is_verified: The new address was just proven; else it counts for nothing until it is.
        renews_vouchers: Unspent vouchers get new codes, as somebody else may read the mails that told the old ones.
        reason: Why staff did it.

    Raises:
        AddressTaken: Another customer has proven it; the transaction is lost.
        Refused: OPEN_HOLD, where cards or codes are replaced; a sale is being paid with them just now.
    """
    if customer["point_id"] is not None:
        old_reason = "correction" if is_correction else "email_change"
        await customers.retire_contact_point(ctx, customer["point_id"], reason=old_reason)
    await store.retire_same(ctx, change.customer_id, change.new_key)
    # The unique index decides, as somebody else may prove the address between the look and the write.
    point_id = await customers.insert_contact_point(
        ctx,
        customer_id=change.customer_id,
        kind="email",
        value=change.new_email,
        key=change.new_key,
        verified=is_verified,
    )
    reissue = Reissue()
    if change.mode is EmailChangeMode.REISSUE:
        reissue = await reissue_account(ctx, change.customer_id, change.id)
    elif renews_vouchers:
        reissue = Reissue(voucher_ids=await renew_unheld_vouchers(ctx, change.customer_id))
    # Whoever has proven the old address is told, and has time to object, whatever staff call the change.
    is_typo = is_correction and customer["email_status"] not in PROVEN
    held_until = await _secure(ctx, change, hold_reason=None if is_typo else "email_change")
    if is_typo:
        # It may be a stranger's mailbox: what has not left yet does not go there.
        await withdraw_mails(change.customer_id, to=change.old_email)
    await carry_consent(ctx, change, is_correction=is_correction)
    await move_contact(
        ctx,
        customer_id=change.customer_id,
        old_email_key=change.old_key,
        new_email=change.new_email,
        new_email_key=change.new_key,
    )
    effects = Effects(
        old_point_id=customer["point_id"],
        new_point_id=point_id,
        old_status=customer["email_status"] or "unverified",
        is_correction=is_correction,
        applied_by_staff=not is_verified,
        memberships=reissue.memberships,
        shared_ids=reissue.shared_ids,
        cards=reissue.cards,
        vouchers_renewed=renews_vouchers,
    )
    undo_until = ctx.now + (CORRECTION_UNDO if is_typo else EMAIL_CHANGE_UNDO)
    await store.confirm_change(ctx, change.id, effects=effects, undo_until=undo_until)
    action = "email_change.corrected" if is_correction else "email_change.confirmed"
    await record_step(ctx, action, change, reason=reason, effects=effects)
    await ask_pos_write(change.customer_id)
    return Applied(effects=effects, undo_until=undo_until, held_until=held_until, voucher_ids=reissue.voucher_ids)


async def undo_change(ctx: Context, customer: Row, change: Change, *, reason: str | None = None) -> Applied:
    """Take a confirmed change back: address, cards, membership, points, vouchers, audience.

    Raises:
        Refused: UNDO_NOT_LAST, or EMAIL_TAKEN if another customer has proven the old address; the transaction is lost.
    """
    effects = change.effects
    assert change.undo_until is not None
    if effects.new_point_id is None or customer["point_id"] != effects.new_point_id:
        # The address was replaced by something other than an email change.
        raise Refused(Code.UNDO_NOT_LAST)
    await customers.retire_contact_point(ctx, effects.new_point_id, reason="email_change_undone")
    if effects.old_point_id is not None:
        await store.restore_point(effects.old_point_id, status=effects.old_status)
    reissue = Reissue()
    if change.mode is EmailChangeMode.REISSUE:
        reissue = await restore_account(ctx, change)
    elif customer["email_status"] in PROVEN or effects.vouchers_renewed:
        # Whoever was signed in by that address has seen the codes; those of an address never proven were told to nobody.
        reissue = Reissue(voucher_ids=await take_vouchers_back(ctx, change.customer_id))
    is_typo = effects.is_correction and effects.old_status not in PROVEN
    held_until = await _secure(ctx, change, hold_reason=None if is_typo else "email_change_undone")
    await _carry_opt_out_back(ctx, change)
    await _move_contact_back(ctx, change)
    # What the member asked for since was about the address that goes.
    restored = await store.find_customer(change.customer_id)
    assert restored is not None
    await supersede(ctx, restored)
    await store.close_change(ctx, change, state="undone")
    await void_links_about(ctx, subjects=[change.id], purpose=Purpose.NOT_ME)
    await record_step(ctx, "email_change.undone", change, reason=reason, effects=effects)
    applied = Applied(
        effects=effects,
        undo_until=change.undo_until,
        held_until=held_until,
        voucher_ids=reissue.voucher_ids,
    )
    await mails.tell_undone(ctx, customer, change, applied)
    await ask_pos_write(change.customer_id)
    return applied


async def give_up_changes(ctx: Context, customer_ids: Iterable[UUID]) -> None:
    """Cancel whatever changes of locked customers wait, as before a merge."""
    for customer_id in customer_ids:
        customer = await store.find_customer(customer_id)
        assert customer is not None
        await supersede(ctx, customer, state="cancelled")


async def supersede(ctx: Context, customer: Row, *, state: str = "superseded") -> None:
    """Put a change aside that waits, in the caller's transaction; whoever was told that it comes is told that it does not."""
    change_id = await store.supersede_pending(customer["id"], state=state)
    change = await store.find_change(change_id) if change_id is not None else None
    if change is not None and change.is_override and change.execute_after is not None:
        await mails.tell_override_off(ctx, customer, change)


async def ask_pos_write(customer_id: UUID) -> None:
    """Let a job put the customer's proven address onto the linked records of tills that take it."""
    for link_id in await store.list_links(customer_id):
        await ask_email_write(link_id)


async def _move_contact_back(ctx: Context, change: Change) -> None:
    if change.old_key:
        await move_contact(
            ctx,
            customer_id=change.customer_id,
            old_email_key=change.new_key,
            new_email=change.old_email,
            new_email_key=change.old_key,
        )
    else:
        await close_contact(ctx, customer_id=change.customer_id, email_key=change.new_key)


async def _secure(ctx: Context, change: Change, *, hold_reason: str | None) -> datetime | None:
    """End sessions, void open links, hold spending, and return until when spending is held."""
    await end_sessions(ctx, change.customer_id, reason="email_change")
    await void_links(ctx, customer_id=change.customer_id, purposes=_VOIDED)
    if hold_reason is not None:
        until = ctx.now + REDEMPTION_HOLD
        await customers.hold_redemption(ctx, change.customer_id, until=until, reason=hold_reason)
    return await store.touch_customer(ctx, change.customer_id)


async def carry_consent(ctx: Context, change: Change, *, is_correction: bool) -> None:
    """Record for the new address what follows from what was said about the old one."""
    old = await store.get_consent(change.customer_id, change.old_key)
    new = await store.get_consent(change.customer_id, change.new_key)
    choice = plan_email_consent(mode=change.mode, old=old.answer, new=new.answer, is_correction=is_correction)
    if choice is not None:
        await record_choice(
            ctx,
            customer_id=change.customer_id,
            channel="email",
            address_key=change.new_key,
            opted_in=choice,
            source="correction" if is_correction else "email_change",
            wording_version=old.wording_version,
        )


async def _carry_opt_out_back(ctx: Context, change: Change) -> None:
    """Let the old address's own answer stand, unless the person has said no since."""
    if not change.old_key:
        return
    since = await store.get_consent(change.customer_id, change.new_key)
    before = await store.get_consent(change.customer_id, change.old_key)
    choice = plan_email_consent(mode=EmailChangeMode.REISSUE, old=since.answer, new=before.answer, is_correction=False)
    if choice is not None:
        await record_choice(
            ctx,
            customer_id=change.customer_id,
            channel="email",
            address_key=change.old_key,
            opted_in=choice,
            source="email_change",
            wording_version=since.wording_version,
        )


async def record_step(
    ctx: Context, action: str, change: Change, *, reason: str | None = None, effects: Effects | None = None
) -> None:
    """Write a step of a change to the audit trail."""
    await record(
        ctx,
        action,
        subject_kind="email_change",
        subject_id=change.id,
        customer_id=change.customer_id,
        reason=reason,
        details={"mode": change.mode} | ({} if effects is None else {"effects": effects}),
    )
