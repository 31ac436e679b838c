"""Email changes by members: request, proof, and "not me"."""

from uuid import UUID

import msgspec

from server.accounts.service import AddressProven
from server.audience.marks import mark_customers
from server.auth import Member
from server.context import Context, Tools, system_context
from server.customers import store as customers
from server.customers.service import read_email
from server.db.engine import DB, Row
from server.email_changes import account_store, mails, store
from server.email_changes.apply import apply_change, ask_pos_write, carry_consent, record_step, supersede, undo_change
from server.email_changes.reissue import renew_vouchers
from server.email_changes.rules import PROVEN
from server.email_changes.store import Change
from server.errors import Refused, Throttled
from server.links.service import ask_check
from server.sessions.links import Link, Purpose, find_link, use_link, void_links, void_links_about
from server.sessions.service import end_sessions, prove_password
from shared.enums import EmailChangeMode
from shared.limits import EMAIL_CHANGE_LINK_LIFE, EMAIL_CHANGES_MAX, EMAIL_CHANGES_WINDOW
from shared.members import Accepted, EmailChangeDone, EmailChangeRequest
from shared.problems import Code

ALIVE = ("active", "blocked")
"""Statuses of customers whose address can still be given back; the merged and the erased have none."""

_ACCEPTED = Accepted(detail="We have sent a link to the new address. Nothing changes until it is used.")


async def request_change(ctx: Context, member: Member, form: EmailChangeRequest) -> Accepted:
    """Write a wish for another address down and mail a link to it, and a notice to the old one.

    An address that another member has proven gets the same answer and the same work; only its owner is told.

    Raises:
        Invalid: EMAIL_INVALID.
        Refused: REAUTH_REQUIRED or EMAIL_SAME.
        Throttled: Too many wrong passwords; CHANGE_LIMIT after EMAIL_CHANGES_MAX in EMAIL_CHANGES_WINDOW.
    """
    email = read_email(ctx, form.new_email, "new_email")
    proven = await prove_password(ctx, member.customer_id, form.password)
    async with DB.transaction():
        customer = await lock_customer(member.customer_id)
        if customer["password_version"] != proven.password_version or customer["email_key"] != proven.email_key:
            raise Refused(Code.REAUTH_REQUIRED)
        if email.key == proven.email_key:
            raise Refused(Code.EMAIL_SAME)
        await _check_limit(ctx, customer["id"])
        owner_id = await customers.find_customer_by_verified_email(email.key)
        await supersede(ctx, customer)
        change = await store.insert_change(
            ctx,
            customer,
            new_email=email.value,
            new_key=email.key,
            mode=form.mode,
            life=EMAIL_CHANGE_LINK_LIFE,
        )
        await mails.ask_for_proof(ctx, change, is_taken=owner_id not in (None, customer["id"]))
        await mails.warn_of_request(ctx, customer, change)
        await record_step(ctx, "email_change.requested", change)
    return _ACCEPTED


async def _check_limit(ctx: Context, customer_id: UUID) -> None:
    requested_at = await store.list_request_times(customer_id, ctx.now - EMAIL_CHANGES_WINDOW)
    if len(requested_at) >= EMAIL_CHANGES_MAX:
        wait = requested_at[-EMAIL_CHANGES_MAX] + EMAIL_CHANGES_WINDOW - ctx.now
        raise Throttled(wait, Code.CHANGE_LIMIT)


async def confirm_change(ctx: Context, token: str) -> EmailChangeDone:
    """Carry a change out for whoever proves the new address with its link; everything is checked again.

    Raises:
        Refused: TOKEN_EXPIRED, or EMAIL_TAKEN if another member proved the address first.
    """
    async with DB.transaction():
        change, customer, link = await _open(ctx, Purpose.EMAIL_CHANGE, token)
        ctx = ctx.acting_as("member", change.customer_id)
        await use_link(ctx, purpose=Purpose.EMAIL_CHANGE, token=token)
        if change.new_key != link.email_key or customer["status"] != "active":
            raise Refused(Code.TOKEN_EXPIRED)
        if change.state == "confirmed":
            return await _verify(ctx, change, customer)
        if change.state != "pending" or customer["email_key"] != change.old_key or link.state != change.old_key:
            raise Refused(Code.TOKEN_EXPIRED)
        applied = await apply_change(ctx, customer, change, is_verified=True)
        await mails.tell_applied(ctx, customer, change, applied)
        await ask_check(ctx, change.customer_id)
        return EmailChangeDone(
            mode=change.mode,
            state="confirmed",
            card_number=await account_store.find_card_number(change.customer_id),
            redemption_held_until=applied.held_until,
            undo_until=applied.undo_until,
        )


async def _verify(ctx: Context, change: Change, customer: Row) -> EmailChangeDone:
    """Mark the address that staff have set as proven, and do what had to wait for it."""
    point_id = change.effects.new_point_id
    if point_id is None or customer["point_id"] != point_id or customer["email_status"] != "unverified":
        raise Refused(Code.TOKEN_EXPIRED)
    await customers.verify_contact_point(ctx, point_id, customer_id=change.customer_id)
    await store.touch_customer(ctx, change.customer_id)
    await carry_consent(ctx, change, is_correction=change.effects.is_correction)
    await ask_check(ctx, change.customer_id)
    await mark_customers(ctx, [change.customer_id])
    if change.mode is EmailChangeMode.REISSUE or change.effects.vouchers_renewed:
        # Those made before the address was proven were told to nobody.
        await mails.send_codes(ctx, customer, change.new_email, await renew_vouchers(ctx, change.customer_id))
    await ask_pos_write(change.customer_id)
    await record_step(ctx, "email_change.verified", change)
    return EmailChangeDone(
        mode=change.mode,
        state="verified",
        card_number=await account_store.find_card_number(change.customer_id),
        redemption_held_until=customer["redemption_held_until"],
        undo_until=change.undo_until,
    )


async def tell_codes(tools: Tools, payload: bytes) -> None:
    """Mail the codes that an email change made for somebody who had proven no address; the worker's handler of `PROVEN_JOB`.

    Staff see no codes, and an address that is not proven may be a stranger's, so until the proof nobody could be told.
    """
    ctx = system_context(tools)
    customer_id = msgspec.json.decode(payload, type=AddressProven).customer_id
    async with DB.transaction():
        customer = await lock_customer(customer_id)
        if customer["email_status"] in PROVEN:
            voucher_ids = await account_store.list_reissued_vouchers(customer_id)
            await mails.send_codes(ctx, customer, customer["email"], voucher_ids)


async def cancel_change(ctx: Context, token: str) -> EmailChangeDone:
    """Let whoever holds the old mailbox stop a change, or take it back, with all that was built on it since.

    What was asked for from this request on is cancelled; what was carried out is undone, newest first. All sessions end.

    Raises:
        Refused: TOKEN_EXPIRED; UNDO_EXPIRED; UNDO_NOT_LAST, the account was shared or merged since; or EMAIL_TAKEN.
    """
    async with DB.transaction():
        change, customer, _ = await _open(ctx, Purpose.NOT_ME, token)
        if customer["status"] not in ALIVE:
            raise Refused(Code.TOKEN_EXPIRED)
        ctx = ctx.acting_as("member", change.customer_id)
        await use_link(ctx, purpose=Purpose.NOT_ME, token=token)
        done = None
        for later in await store.list_open_since(change.customer_id, change.requested_at):
            done = await _take_back(ctx, customer, later, is_target=later.id == change.id)
            customer = await lock_customer(change.customer_id)
        if done is None:
            raise Refused(Code.TOKEN_EXPIRED)
        return done


async def _take_back(ctx: Context, customer: Row, change: Change, *, is_target: bool) -> EmailChangeDone:
    held_until = customer["redemption_held_until"]
    if change.state == "pending":
        await cancel_pending(ctx, customer, change)
    else:
        # What was built on the change goes with it, however short its own time was.
        if is_target and (change.undo_until is None or ctx.now > change.undo_until):
            raise Refused(Code.UNDO_EXPIRED)
        held_until = (await undo_change(ctx, customer, change)).held_until
    return EmailChangeDone(
        mode=change.mode,
        state="cancelled" if change.state == "pending" else "undone",
        card_number=await account_store.find_card_number(change.customer_id),
        redemption_held_until=held_until,
    )


async def cancel_pending(ctx: Context, customer: Row, change: Change, *, reason: str | None = None) -> None:
    """Cancel a change that was not confirmed yet, in the caller's transaction; sessions end, as a thief may have one."""
    await store.close_change(ctx, change, state="cancelled")
    if change.is_override and change.execute_after is None:
        # Nobody was told of it yet.
        await record_step(ctx, "email_change.cancelled", change, reason=reason)
        return
    await void_links(ctx, customer_id=change.customer_id, purposes=[Purpose.EMAIL_CHANGE])
    await void_links_about(ctx, subjects=[change.id], purpose=Purpose.NOT_ME)
    await end_sessions(ctx, change.customer_id, reason="email_change_cancelled")
    await record_step(ctx, "email_change.cancelled", change, reason=reason)
    await mails.tell_cancelled(ctx, customer, change)


async def lock_customer(customer_id: UUID) -> Row:
    """Lock a customer and return the row as it is under the lock.

    Raises:
        Refused: NOT_FOUND.
    """
    await customers.lock_customers([customer_id])
    customer = await store.find_customer(customer_id)
    if customer is None:
        raise Refused(Code.NOT_FOUND)
    return customer


async def _open(ctx: Context, purpose: Purpose, token: str) -> tuple[Change, Row, Link]:
    """Return the change of a link with its customer locked; the link is looked at first, as customers lock before links.

    Raises:
        Refused: TOKEN_EXPIRED.
    """
    link = await find_link(ctx, purposes=[purpose], token=token)
    assert link.subject is not None
    found = await store.find_change(link.subject)
    assert found is not None, "a link's email change is never deleted"
    customer = await lock_customer(found.customer_id)
    change = await store.find_change(found.id)
    assert change is not None
    return change, customer, link
