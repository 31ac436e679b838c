"""Another address for a customer who has proven the present one and cannot reach it any more.

Nobody can be asked at the old mailbox, so it takes two of the staff and time: one asks, another approves, and 72 hours later
the worker carries it out, unless somebody stops it by the link that the old address and a proven phone number get.
"""

from functools import partial
from uuid import UUID

import msgspec

from server import jobs
from server.auth import Staff
from server.context import Context, Tools, system_context
from server.cursors import cut_page, decode_cursor
from server.customers import store as customers
from server.db.engine import DB, Row
from server.email_changes import mails, override_store, store
from server.email_changes.apply import apply_change, record_step, supersede
from server.email_changes.rules import PROVEN, Command
from server.email_changes.service import lock_customer
from server.email_changes.staff_service import (
    ask_to_prove,
    get_previewed,
    preview_command,
)
from server.email_changes.store import Change
from server.errors import Invalid, NotFound, NotPermitted, Refused
from server.idempotency import IdempotentCall, StoredReply, find_reply, once
from server.logs import get_logger
from server.memberships.service import check_not_self
from server.staff.service import step_up
from shared.enums import EmailChangeMode, Permission, Role
from shared.limits import OVERRIDE_DELAY, OVERRIDE_LATE_MAX, OVERRIDE_REQUEST_LIFE, REDEMPTION_HOLD
from shared.permissions import may
from shared.problems import Code, FieldProblem
from shared.staff import (
    EmailChangePreview,
    EmailOverrideDecision,
    EmailOverridePage,
    EmailOverrideRequest,
    EmailOverrideState,
    EmailOverrideView,
)

log = get_logger()

OVERRIDE_JOB = "email.override"
_DUE_AT_ONCE = 200
_COMMAND = Command(operation="override", mode=EmailChangeMode.KEEP)


class CarryOut(msgspec.Struct, frozen=True, kw_only=True):
    """The job's payload."""

    change_id: UUID


# Asking ---------------------------------------------------------------------------------------------------------------


async def preview(ctx: Context, staff: Staff, customer_id: UUID, form: EmailOverrideRequest) -> EmailChangePreview:
    """Return what a correction of the proven address would do.

    Raises:
        Invalid: EMAIL_INVALID.
        Refused: NOT_FOUND, EMAIL_SAME or SELF_DEALING.
    """
    return await preview_command(ctx, staff, customer_id, _COMMAND, form.new_email)


async def request(ctx: Context, staff: Staff, customer_id: UUID, form: EmailOverrideRequest) -> EmailOverrideView:
    """Ask for it, in the caller's transaction; a wish that waits is replaced.

    Raises:
        Invalid: EMAIL_INVALID, or the identity was not attested.
        Refused: PREVIEW_STALE, or what the preview listed as a blocker.
    """
    if not form.identity_attested:
        raise Invalid(FieldProblem(field="identity_attested", detail="Check who stands before you first."))
    customer = await lock_customer(customer_id)
    situation = await get_previewed(ctx, staff, customer, _COMMAND, form.new_email, preview_hash=form.preview_hash)
    await supersede(ctx, customer)
    change = await store.insert_change(
        ctx,
        customer,
        new_email=situation.new_email,
        new_key=situation.new_key,
        mode=EmailChangeMode.KEEP,
        life=OVERRIDE_REQUEST_LIFE,
        is_override=True,
        reason=form.reason,
    )
    await record_step(ctx, "email_override.requested", change, reason=form.reason)
    return await _get_view(ctx, change.id)


# Deciding -------------------------------------------------------------------------------------------------------------


async def approve(
    ctx: Context, staff: Staff, call: IdempotentCall, *, change_id: UUID, form: EmailOverrideDecision
) -> StoredReply:
    """Let the 72 hours begin, once; the approver proves who they are.

    Raises:
        Throttled: Too many wrong passwords.
        Refused: REAUTH_REQUIRED, or as in `_approve`.
    """
    if await find_reply(call) is None:
        await step_up(ctx, staff, form.password)
    return await once(ctx, call, 200, partial(_approve, ctx, staff, change_id, form))


async def _approve(ctx: Context, staff: Staff, change_id: UUID, form: EmailOverrideDecision) -> EmailOverrideView:
    """Approve a wish of somebody else, in the caller's transaction.

    Raises:
        NotPermitted: One of the two has lost the role.
        Refused: NOT_FOUND, REQUEST_CLOSED, APPROVAL_REQUIRED (it is one's own), SELF_DEALING, PREVIEW_STALE, or what stands
            against it.
    """
    found = await _find(change_id)
    customer = await lock_customer(found.customer_id)
    change = await _find(change_id)
    await _check_decision(ctx, staff, change)
    await get_previewed(
        ctx, staff, customer, _COMMAND, change.new_email, preview_hash=form.preview_hash, deciding=change.id
    )
    execute_after = ctx.now + OVERRIDE_DELAY
    await override_store.approve(
        ctx,
        change.id,
        staff_id=staff.staff_id,
        execute_after=execute_after,
        expires_at=execute_after + OVERRIDE_LATE_MAX,
    )
    # Whoever stands in the shop may be a thief, who would spend first; the worker may come late, so no moment is left open.
    held_until = execute_after + REDEMPTION_HOLD
    await customers.hold_redemption(ctx, customer["id"], until=held_until, reason="email_override")
    await mails.warn_of_override(ctx, customer, change)
    await record_step(ctx, "email_override.approved", change, reason=form.note or None)
    return await _get_view(ctx, change.id)


async def _check_decision(ctx: Context, staff: Staff, change: Change) -> None:
    """Refuse an approval by its state, by who asked, who may not, or who profits."""
    if change.state != "pending" or change.execute_after is not None or change.expires_at <= ctx.now:
        raise Refused(Code.REQUEST_CLOSED)
    if change.requested_by_id in (None, staff.staff_id):
        raise Refused(Code.APPROVAL_REQUIRED)
    assert change.requested_by_id is not None
    people = await override_store.lock_staff([change.requested_by_id, staff.staff_id])
    requester, approver = people[change.requested_by_id], people[staff.staff_id]
    if requester["status"] != "active" or not may(Role(requester["role"]), Permission.EMAIL_CORRECT):
        raise NotPermitted("Whoever asked for this may not do so any more.")
    if approver["status"] != "active" or not may(Role(approver["role"]), Permission.EMAIL_CHANGE):
        raise NotPermitted("You may not approve this any more.")
    for person in (requester, approver):
        await check_not_self(person["customer"], change.customer_id)


# Reading --------------------------------------------------------------------------------------------------------------


async def get_override(ctx: Context, staff: Staff, change_id: UUID) -> EmailOverrideView:
    """Return a correction; of one that waits, what it would do now, with the hash that its approval must present.

    Raises:
        NotFound: There is no such correction.
        Refused: SELF_DEALING.
    """
    change = await _find(change_id)
    view = await _get_view(ctx, change_id)
    if view.state is not EmailOverrideState.WAITING:
        return view
    shown = await preview_command(ctx, staff, change.customer_id, _COMMAND, change.new_email, deciding=change.id)
    return msgspec.structs.replace(view, preview=shown)


async def list_overrides(
    ctx: Context, state: str, customer_id: UUID | None, *, cursor: str, limit: int
) -> EmailOverridePage:
    """Return a page of corrections, newest first.

    Raises:
        Invalid: The cursor is not one of ours.
    """
    before = decode_cursor(cursor)
    rows = await override_store.list_views(
        ctx.now, state=state, customer_id=customer_id, before=before, limit=limit + 1
    )
    page, next_cursor = cut_page(rows, limit, at="requested_at")
    return EmailOverridePage(
        items=tuple(_view(row) for row in page),
        next_cursor=next_cursor,
    )


# Carrying out ---------------------------------------------------------------------------------------------------------


async def sweep_overrides(tools: Tools) -> None:
    """Enqueue what is due; the worker's sweep."""
    for change_id in await override_store.list_due(tools.clock.now(), limit=_DUE_AT_ONCE):
        await jobs.enqueue(OVERRIDE_JOB, CarryOut(change_id=change_id), dedupe_key=f"{OVERRIDE_JOB}:{change_id}")


async def carry_out_due(tools: Tools, payload: bytes) -> None:
    """Change one address whose time has come; the worker's handler of `OVERRIDE_JOB`."""
    await carry_out(system_context(tools), msgspec.json.decode(payload, type=CarryOut).change_id)


async def carry_out(ctx: Context, change_id: UUID) -> bool:
    """Change the address if it is time and nothing stands against it, once however often it is called; else False."""
    try:
        async with DB.transaction():
            return await _carry_out(ctx, await _find(change_id))
    except Refused as refusal:
        if refusal.code is Code.OPEN_HOLD:
            return False  # Over in minutes; the sweep comes back.
        log.warning("email_override_failed", change_id=str(change_id), reason=refusal.code)
        await _give_up(ctx, change_id, refusal.code)
        return False


async def _carry_out(ctx: Context, found: Change) -> bool:
    customer, change = await _lock(found)
    if not _is_due(ctx, change):
        return False
    if ctx.now >= change.expires_at:
        # The worker was away for so long that nobody expects the change any more.
        raise Refused(Code.REQUEST_CLOSED)
    if customer["email_key"] != change.old_key:
        raise Refused(Code.PREVIEW_STALE)
    if customer["status"] != "active":
        raise Refused(Code.CUSTOMER_BLOCKED)
    owner_id = await customers.find_customer_by_verified_email(change.new_key)
    if owner_id not in (None, change.customer_id):
        raise Refused(Code.EMAIL_TAKEN)
    applied = await apply_change(
        ctx,
        customer,
        change,
        is_verified=False,
        renews_vouchers=customer["email_status"] in PROVEN,
        reason=change.reason,
    )
    await mails.tell_applied(ctx, customer, change, applied)
    await ask_to_prove(ctx, customer, change)
    return True


async def _give_up(ctx: Context, change_id: UUID, code: Code) -> None:
    """Close a correction that cannot be carried out; staff see why and may ask anew, and the customer is told."""
    async with DB.transaction():
        customer, change = await _lock(await _find(change_id))
        if _is_due(ctx, change):
            await store.close_change(ctx, change, state="cancelled")
            await override_store.note_failure(change.id, code)
            await record_step(ctx, "email_override.failed", change, reason=code)
            await mails.tell_override_off(ctx, customer, change)


def _is_due(ctx: Context, change: Change) -> bool:
    return change.state == "pending" and change.execute_after is not None and change.execute_after <= ctx.now


async def _lock(found: Change) -> tuple[Row, Change]:
    customer = await lock_customer(found.customer_id)
    return customer, await _find(found.id)


async def _find(change_id: UUID) -> Change:
    change = await store.find_change(change_id)
    if change is None or not change.is_override:
        raise NotFound
    return change


async def _get_view(ctx: Context, change_id: UUID) -> EmailOverrideView:
    row = await override_store.find_view(change_id, ctx.now)
    assert row is not None
    return _view(row)


def _view(row: Row) -> EmailOverrideView:
    return msgspec.convert(dict(row), EmailOverrideView)
