"""HTTP of email changes."""

from uuid import UUID

from litestar import Response

from server.email_changes import overrides, service, staff_service
from server.errors import Invalid
from server.http import Call, operation, reply_response
from shared.email_hints import suggest_email
from shared.members import Accepted, EmailChangeDone, EmailChangeRequest, UseToken
from shared.problems import FieldProblem
from shared.staff import (
    EmailChangeApplied,
    EmailChangePreview,
    EmailCorrection,
    EmailHint,
    EmailOverrideDecision,
    EmailOverridePage,
    EmailOverrideRequest,
    EmailOverrideState,
    EmailOverrideView,
    StaffEmailChange,
    Undo,
)


@operation("request_email_change")
async def request_email_change(call: Call) -> Accepted:
    """Ask for another sign-in address, keeping the rewards account or having it reissued."""
    return await service.request_change(call.ctx, call.member, call.message(EmailChangeRequest))


@operation("confirm_email_change")
async def confirm_email_change(call: Call) -> EmailChangeDone:
    """Prove the new address with the mailed link."""
    return await service.confirm_change(call.ctx, call.message(UseToken).token)


@operation("cancel_email_change")
async def cancel_email_change(call: Call) -> EmailChangeDone:
    """Stop a change, or take it back, with the "not me" link of the old address."""
    return await service.cancel_change(call.ctx, call.message(UseToken).token)


@operation("preview_email_change")
async def preview_email_change(call: Call) -> EmailChangePreview:
    """Show what an email change would do."""
    form = call.message(StaffEmailChange)
    return await staff_service.preview_change(call.ctx, call.staff, call.path_id("customer_id"), form)


@operation("change_email")
async def change_email(call: Call) -> EmailChangeApplied:
    """Change the address of a customer who stands before the staff member."""
    form = call.message(StaffEmailChange)
    return await staff_service.change_email(call.ctx, call.staff, call.path_id("customer_id"), form)


@operation("preview_correction")
async def preview_correction(call: Call) -> EmailChangePreview:
    """Show what putting a typo right would do."""
    form = call.message(EmailCorrection)
    return await staff_service.preview_correction(call.ctx, call.staff, call.path_id("customer_id"), form)


@operation("correct_email")
async def correct_email(call: Call) -> EmailChangeApplied:
    """Put a typo right in an address that was never proven, or give one whose mail comes back another."""
    form = call.message(EmailCorrection)
    return await staff_service.correct_email(call.ctx, call.staff, call.path_id("customer_id"), form)


@operation("undo_email_change")
async def undo_email_change(call: Call) -> EmailChangeApplied:
    """Take an email change or correction back, or cancel one that waits."""
    return await staff_service.undo(call.ctx, call.staff, call.path_id("change_id"), call.message(Undo).reason)


@operation("preview_email_override")
async def preview_email_override(call: Call) -> EmailChangePreview:
    """Show what correcting a proven address that is out of reach would do."""
    return await overrides.preview(
        call.ctx, call.staff, call.path_id("customer_id"), call.message(EmailOverrideRequest)
    )


@operation("request_email_override")
async def request_email_override(call: Call) -> EmailOverrideView:
    """Ask for another address of a customer who stands before one and cannot reach the proven one any more.

    Somebody else approves it, and it is carried out 72 hours later, unless it is stopped.
    """
    return await overrides.request(
        call.ctx, call.staff, call.path_id("customer_id"), call.message(EmailOverrideRequest)
    )


@operation("list_email_overrides")
async def list_email_overrides(call: Call) -> EmailOverridePage:
    """List corrections of proven addresses, newest first; `state` and `customer_id` narrow it."""
    state = call.query("state")
    if state and state not in {*EmailOverrideState}:
        raise Invalid(FieldProblem(field="state", detail=f"One of {', '.join(EmailOverrideState)}."))
    customer = call.query("customer_id")
    try:
        customer_id = UUID(customer) if customer else None
    except ValueError as error:
        raise Invalid(FieldProblem(field="customer_id", detail="This is not an id.")) from error
    return await overrides.list_overrides(
        call.ctx, state, customer_id, cursor=call.query("cursor"), limit=call.page_size()
    )


@operation("get_email_override")
async def get_email_override(call: Call) -> EmailOverrideView:
    """Show a correction of a proven address; of one that waits, what it would do now."""
    return await overrides.get_override(call.ctx, call.staff, call.path_id("change_id"))


@operation("approve_email_override", checks_itself=True)
async def approve_email_override(call: Call) -> Response[bytes]:
    """Approve what somebody else asked for; `preview_hash` says what was looked at, the password who looked.

    Whoever reads the old mailbox can stop it for 72 hours; staff cancel it by `undo_email_change`.
    """
    await call.authenticate()
    identity = call.idempotent_call()
    form = call.message(EmailOverrideDecision)
    return reply_response(
        await overrides.approve(call.ctx, call.staff, identity, change_id=call.path_id("change_id"), form=form)
    )


@operation("hint_email")
async def hint_email(call: Call) -> EmailHint:
    """Say what somebody may have meant who types this address; whether anybody has it is not looked at."""
    return EmailHint(suggestion=suggest_email(call.query("email")))
