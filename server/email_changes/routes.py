"""HTTP of email changes."""

from uuid import UUID

from server.email_changes import service, staff_service
from server.http import Call, operation
from shared.email_hints import suggest_email
from shared.members import Accepted, EmailChangeDone, EmailChangeRequest, UseToken
from shared.staff import EmailChangeApplied, EmailChangePreview, EmailCorrection, EmailHint, StaffEmailChange, Undo


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
    return await staff_service.preview_change(call.ctx, call.staff, _customer_id(call), form)


@operation("change_email")
async def change_email(call: Call) -> EmailChangeApplied:
    """Change the address of a customer who stands before the staff member."""
    form = call.message(StaffEmailChange)
    return await staff_service.change_email(call.ctx, call.staff, _customer_id(call), form)


@operation("preview_correction")
async def preview_correction(call: Call) -> EmailChangePreview:
    """Show what putting a typo right would do."""
    form = call.message(EmailCorrection)
    return await staff_service.preview_correction(call.ctx, call.staff, _customer_id(call), form)


@operation("correct_email")
async def correct_email(call: Call) -> EmailChangeApplied:
    """Put a typo right in an address that was never proven."""
    form = call.message(EmailCorrection)
    return await staff_service.correct_email(call.ctx, call.staff, _customer_id(call), form)


@operation("undo_email_change")
async def undo_email_change(call: Call) -> EmailChangeApplied:
    """Take an email change or correction back."""
    change_id: UUID = call.request.path_params["change_id"]
    return await staff_service.undo(call.ctx, call.staff, change_id, call.message(Undo).reason)


@operation("hint_email")
async def hint_email(call: Call) -> EmailHint:
    """Say what somebody may have meant who types this address; whether anybody has it is not looked at."""
    return EmailHint(suggestion=suggest_email(call.query("email")))


def _customer_id(call: Call) -> UUID:
    customer_id: UUID = call.request.path_params["customer_id"]
    return customer_id
