"""Email changes and corrections by staff, for a customer who stands before them; and taking either back."""

from datetime import timedelta
from uuid import UUID

from server.accounts.invitations import send_invitation
from server.auth import Staff
from server.context import Context
from server.customers import store as customers
from server.customers.service import read_email
from server.db.engine import Row
from server.email_changes import account_store, mails, store
from server.email_changes.apply import Applied, apply_change, supersede, undo_change
from server.email_changes.rules import PROVEN, Command, Situation, hash_preview, is_typo_of
from server.email_changes.service import ALIVE, cancel_pending, lock_customer
from server.email_changes.store import Change
from server.errors import Invalid, NotFound, Refused
from server.memberships.service import check_not_self, list_membership_views
from server.rewards.service import find_open_hold
from shared.email_hints import suggest_domain
from shared.enums import EmailChangeMode
from shared.members import Balance
from shared.problems import Code, FieldProblem
from shared.staff import EmailChangeApplied, EmailChangePreview, EmailCorrection, LotView, StaffEmailChange

_STATUS_BLOCKS = {
    "blocked": Code.CUSTOMER_BLOCKED,
    "merged": Code.CUSTOMER_MERGED,
    "erased": Code.CUSTOMER_ERASED,
}
_OVERRIDE_EFFECTS = (
    "Somebody else has to approve this within 24 hours; nothing happens before.",
    "72 hours after that the address changes. Until then nobody but the old address signs in.",
    "With the approval the old address and a proven phone number get a notice with a link that stops it, valid 7 days.",
    "Spending points is held from the approval until a day after the change; earning goes on.",
    "The new address gets a link to prove it when it changes.",
    "Card, points and history stay; unspent vouchers get new codes, mailed with the proof. Email marketing: the customer's answer goes along.",
    "It can be taken back for 7 days after the change.",
)


async def preview_change(ctx: Context, staff: Staff, customer_id: UUID, form: StaffEmailChange) -> EmailChangePreview:
    """Return what an email change would do.

    Raises:
        Invalid: EMAIL_INVALID.
        Refused: NOT_FOUND, EMAIL_SAME or SELF_DEALING.
    """
    return await preview_command(ctx, staff, customer_id, Command(operation="change", mode=form.mode), form.new_email)


async def preview_correction(
    ctx: Context, staff: Staff, customer_id: UUID, form: EmailCorrection
) -> EmailChangePreview:
    """Return what putting a typo right would do.

    Raises:
        Invalid: EMAIL_INVALID.
        Refused: NOT_FOUND, EMAIL_SAME or SELF_DEALING.
    """
    command = Command(operation="correction", mode=EmailChangeMode.KEEP)
    return await preview_command(ctx, staff, customer_id, command, form.new_email)


async def change_email(ctx: Context, staff: Staff, customer_id: UUID, form: StaffEmailChange) -> EmailChangeApplied:
    """Change the address at once, in the caller's transaction; the new one counts for signing in when it is proven.

    Raises:
        Invalid: EMAIL_INVALID, or the identity was not attested.
        Refused: PREVIEW_STALE, or what the preview listed as a blocker.
    """
    if not form.identity_attested:
        raise Invalid(FieldProblem(field="identity_attested", detail="Check who stands before you first."))
    command = Command(operation="change", mode=form.mode)
    return await _execute(
        ctx, staff, customer_id, command, new_email=form.new_email, reason=form.reason, preview_hash=form.preview_hash
    )


async def correct_email(ctx: Context, staff: Staff, customer_id: UUID, form: EmailCorrection) -> EmailChangeApplied:
    """Put a typo right at once, in the caller's transaction. The mistyped address may be a stranger's: it gets no mail.

    Raises:
        Invalid: EMAIL_INVALID, or the identity was not attested and the address was proven once.
        Refused: PREVIEW_STALE, or what the preview listed as a blocker.
    """
    customer = await store.find_customer(customer_id)
    is_proven = customer is not None and customer["email_status"] in PROVEN and customer["email_bounces"]
    if is_proven and not form.identity_attested:
        detail = "The address was proven once: check who stands before you first."
        raise Invalid(FieldProblem(field="identity_attested", detail=detail))
    command = Command(operation="correction", mode=EmailChangeMode.KEEP)
    return await _execute(
        ctx, staff, customer_id, command, new_email=form.new_email, reason=form.reason, preview_hash=form.preview_hash
    )


async def send_verification(ctx: Context, customer_id: UUID, point_id: UUID) -> bool:
    """Mail the link again that proves an address set by staff, in the caller's transaction; False if none was."""
    change = await store.find_change_to(customer_id, point_id)
    if change is not None:
        await mails.ask_to_verify(ctx, change)
    return change is not None


async def undo(ctx: Context, staff: Staff, change_id: UUID, reason: str) -> EmailChangeApplied:
    """Take a change or correction back, or cancel one that waits for its proof, in the caller's transaction.

    Raises:
        Refused: NOT_FOUND, SELF_DEALING, UNDO_EXPIRED, UNDO_NOT_LAST or EMAIL_TAKEN.
    """
    found = await store.find_change(change_id)
    if found is None:
        raise NotFound
    await check_not_self(staff.customer_id, found.customer_id)
    customer = await lock_customer(found.customer_id)
    change = await store.find_change(change_id)
    assert change is not None
    if customer["status"] not in ALIVE:
        raise Refused(_STATUS_BLOCKS[customer["status"]])
    held_until = customer["redemption_held_until"]
    if change.state == "pending":
        await cancel_pending(ctx, customer, change, reason=reason)
    else:
        await _check_undoable(ctx, change)
        held_until = (await undo_change(ctx, customer, change, reason=reason)).held_until
    return EmailChangeApplied(
        id=change.id,
        mode=_mode_word(change),
        email=change.old_email,
        card_number=await account_store.find_card_number(change.customer_id),
        balance=await _balance(ctx, change.customer_id),
        undo_until=None,
        redemption_held_until=held_until,
    )


async def _check_undoable(ctx: Context, change: Change) -> None:
    if change.state != "confirmed":
        raise Refused(Code.UNDO_EXPIRED, "This change is not in force.")
    if change.undo_until is None or ctx.now > change.undo_until:
        raise Refused(Code.UNDO_EXPIRED)
    if await store.has_later_change(change):
        raise Refused(Code.UNDO_NOT_LAST)


async def preview_command(
    ctx: Context,
    staff: Staff,
    customer_id: UUID,
    command: Command,
    new_email: str,
    *,
    deciding: UUID | None = None,
) -> EmailChangePreview:
    """Return what a command of staff would do.

    Args:
        deciding: The change that waits for this very decision, which it does not replace.

    Raises:
        Invalid: EMAIL_INVALID.
        Refused: NOT_FOUND, EMAIL_SAME or SELF_DEALING.
    """
    customer = await store.find_customer(customer_id)
    if customer is None:
        raise NotFound
    situation = await _get_situation(ctx, staff, customer, command, new_email, deciding=deciding)
    balance = await _balance(ctx, customer_id)
    is_reissue = command.mode is EmailChangeMode.REISSUE
    renews_vouchers = is_reissue or _renews_vouchers(command, situation)
    sessions_count = await store.count_sessions(customer_id, ctx.now)
    return EmailChangePreview(
        mode=command.mode.value if command.operation == "change" else command.operation,
        old_email=situation.old_email,
        new_email=situation.new_email,
        blockers=(
            *(str(blocker.detail) for blocker in _list_blockers(command, situation)),
            *(await _list_sales(ctx, situation) if renews_vouchers else ()),
        ),
        warnings=tuple(await _list_warnings(command, situation)),
        effects=tuple(_list_effects(command, situation, sessions_count)),
        balance_before=balance,
        balance_after=balance,
        lots=tuple(
            LotView(points=lot.points, available_at=lot.available_at, expires_at=lot.expires_at)
            for lot in situation.lots
            if lot.expires_at is None or lot.expires_at > ctx.now
        ),
        cards_retired=tuple(card.code for card in situation.cards) if is_reissue else (),
        sessions_ended=sessions_count,
        vouchers_reissued=len(situation.voucher_ids) if renews_vouchers else 0,
        preview_hash=hash_preview(command, situation),
        looks_like_typo=is_typo_of(situation.old_key or "", situation.new_key),
        merge_with=situation.new_owner_id,
    )


async def _execute(
    ctx: Context,
    staff: Staff,
    customer_id: UUID,
    command: Command,
    *,
    new_email: str,
    reason: str,
    preview_hash: str | None,
) -> EmailChangeApplied:
    customer = await lock_customer(customer_id)
    situation = await get_previewed(ctx, staff, customer, command, new_email, preview_hash=preview_hash)
    is_correction = command.operation == "correction"
    await supersede(ctx, customer)
    change = await store.insert_change(
        ctx,
        customer,
        new_email=situation.new_email,
        new_key=situation.new_key,
        mode=command.mode,
        life=timedelta(0),  # Carried out at once; nothing waits.
    )
    applied = await apply_change(
        ctx,
        customer,
        change,
        is_verified=False,
        is_correction=is_correction,
        renews_vouchers=_renews_vouchers(command, situation),
        reason=reason,
    )
    await mails.tell_applied(ctx, customer, change, applied)
    await ask_to_prove(ctx, customer, change)
    return await _applied_view(ctx, change, applied)


def _renews_vouchers(command: Command, situation: Situation) -> bool:
    """Return whether codes may lie in a mailbox that others read; they are mailed to proven addresses only."""
    return command.operation in ("correction", "override") and situation.old_status in PROVEN


async def ask_to_prove(ctx: Context, customer: Row, change: Change) -> None:
    """Mail the new address a link that proves it; somebody without a login chooses a password with it too."""
    if customer["has_login"]:
        await mails.ask_to_verify(ctx, change)
    else:
        await send_invitation(
            ctx,
            customer_id=change.customer_id,
            given_name="",
            email=change.new_email,
            email_key=change.new_key,
        )


async def _applied_view(ctx: Context, change: Change, applied: Applied) -> EmailChangeApplied:
    return EmailChangeApplied(
        id=change.id,
        mode="correction" if applied.effects.is_correction else change.mode.value,
        email=change.new_email,
        card_number=await account_store.find_card_number(change.customer_id),
        balance=await _balance(ctx, change.customer_id),
        undo_until=applied.undo_until,
        redemption_held_until=applied.held_until,
    )


async def get_previewed(
    ctx: Context,
    staff: Staff,
    customer: Row,
    command: Command,
    new_email: str,
    *,
    preview_hash: str | None,
    deciding: UUID | None = None,
) -> Situation:
    """Return what decides the outcome of a locked customer's command, if it is still what a preview has shown.

    Args:
        deciding: As in `preview_command`.

    Raises:
        Invalid: EMAIL_INVALID.
        Refused: PREVIEW_STALE, or what the preview listed as a blocker.
    """
    situation = await _get_situation(ctx, staff, customer, command, new_email, deciding=deciding)
    for blocker in _list_blockers(command, situation):
        raise blocker
    if preview_hash != hash_preview(command, situation):
        raise Refused(Code.PREVIEW_STALE)
    return situation


async def _get_situation(
    ctx: Context, staff: Staff, customer: Row, command: Command, new_email: str, *, deciding: UUID | None = None
) -> Situation:
    """Return all that decides the outcome.

    Args:
        deciding: As in `preview_command`.

    Raises:
        Invalid: EMAIL_INVALID.
        Refused: SELF_DEALING; EMAIL_SAME; NOT_FOUND, there is no address to correct.
    """
    email = read_email(ctx, new_email, "new_email")
    customer_id: UUID = customer["id"]
    await check_not_self(staff.customer_id, customer_id)
    if email.key == customer["email_key"]:
        raise Refused(Code.EMAIL_SAME)
    if command.operation != "change" and customer["point_id"] is None:
        raise NotFound("This customer has no email address to correct.")
    memberships = await account_store.list_memberships(customer_id)
    moved = [one.id for one in memberships if not one.is_shared and command.mode is EmailChangeMode.REISSUE]
    owner_id = await customers.find_customer_by_verified_email(email.key)
    return Situation(
        customer_id=customer_id,
        status=customer["status"],
        old_point_id=customer["point_id"],
        old_email=customer["email"],
        old_key=customer["email_key"],
        old_status=customer["email_status"],
        old_bounces=customer["email_bounces"],
        new_email=email.value,
        new_key=email.key,
        new_owner_id=owner_id if owner_id != customer_id else None,
        memberships=memberships,
        cards=await account_store.list_cards(customer_id),
        voucher_ids=await account_store.list_unspent_vouchers(customer_id),
        lots=await account_store.list_lots(moved) if moved else (),
        has_login=customer["has_login"],
        pending_change_id=await store.find_pending(customer_id, ctx.now, other_than=deciding),
    )


def _list_blockers(command: Command, situation: Situation) -> list[Refused]:
    """Return what stands against a change, with its codes."""
    blockers = []
    if code := _STATUS_BLOCKS.get(situation.status):
        blockers.append(Refused(code, f"This customer is {situation.status}."))
    # Mail to a bouncing address reaches nobody, so there is nobody to be asked for it.
    if command.operation == "correction" and situation.old_status in PROVEN and not situation.old_bounces:
        blockers.append(Refused(Code.EMAIL_VERIFIED, "The customer has proven the present address; change it instead."))
    if situation.new_owner_id is not None:
        blockers.append(
            Refused(
                Code.EMAIL_TAKEN,
                "Another customer has proven this address.",
                data={"customer_id": situation.new_owner_id},
            )
        )
    return blockers


async def _list_sales(ctx: Context, situation: Situation) -> tuple[str, ...]:
    """Return the sale that new cards or codes have to wait for; not part of the situation, as it is over in minutes."""
    homes = [membership.id for membership in situation.memberships]
    words = await find_open_hold(ctx, homes, customer_id=situation.customer_id)
    return (words,) if words else ()


async def _list_warnings(command: Command, situation: Situation) -> list[str]:
    warnings = []
    others = await customers.list_customers_by_email(situation.new_key)
    if any(other["customer"] not in (situation.customer_id, situation.new_owner_id) for other in others):
        warnings.append("Another customer has this address on file too; nobody has proven it.")
    if domain := suggest_domain(situation.new_key.rpartition("@")[2]):
        warnings.append(f"Did you mean …@{domain}?")
    is_unproven = situation.old_key is not None and situation.old_status not in PROVEN
    if command.operation == "change" and is_unproven and is_typo_of(situation.old_key or "", situation.new_key):
        warnings.append("The present address was never proven and looks like a typo of this one: correct it instead.")
    if command.mode is EmailChangeMode.REISSUE and any(membership.is_shared for membership in situation.memberships):
        warnings.append("The membership is shared: its points stay, only this person's card and sign-in are replaced.")
    if situation.pending_change_id is not None:
        warnings.append("A change that was asked for before waits for its proof or its time; this one replaces it.")
    if command.operation == "override" and (is_unproven or situation.old_bounces):
        warnings.append("The present address was never proven, or mail to it comes back: correct it at once instead.")
    if situation.has_login:
        warnings.append("The customer cannot sign in until the new address is proven by the mailed link.")
    return warnings


def _list_effects(command: Command, situation: Situation, sessions_count: int) -> list[str]:
    effects = ["The new address gets a link to prove it."]
    if command.operation == "correction" and situation.old_status not in PROVEN:
        effects += ["The mistyped address gets no mail.", "Card, points and history stay."]
        effects.append("It can be taken back for 24 hours.")
        return effects
    if command.operation == "override":
        return [*_OVERRIDE_EFFECTS, f"Signed-in devices that are signed out then: {sessions_count}."]
    if situation.old_status in PROVEN:
        effects.append('The old address gets a notice with a "not me" link, valid 7 days.')
    if command.mode is EmailChangeMode.REISSUE:
        effects.append("The old card stops scanning; a new card takes its place.")
        if any(not membership.is_shared for membership in situation.memberships):
            effects.append("A new rewards account takes over every point with its dates; the old one is closed.")
        effects.append("Email marketing: the new address starts as not asked; a no stays a no.")
    else:
        effects.append("Card, points and history stay.")
        effects.append("Email marketing: the customer's answer goes along.")
    if situation.voucher_ids and (command.mode is EmailChangeMode.REISSUE or _renews_vouchers(command, situation)):
        effects.append("Unspent vouchers get new codes, which are mailed once the new address is proven.")
    if sessions_count:
        effects.append(f"Signed-in devices that are signed out: {sessions_count}.")
    effects.append("Spending points is held for 24 hours; earning goes on.")
    effects.append("It can be taken back for 7 days.")
    return effects


async def _balance(ctx: Context, customer_id: UUID) -> Balance | None:
    views = await list_membership_views(customer_id, ctx.now)
    return next((view.balance for view in views if view.status == "active"), None)


def _mode_word(change: Change) -> str:
    return "correction" if change.effects.is_correction else change.mode.value
