"""HTTP of staff sessions."""

from server.http import Call, operation
from server.staff import service
from shared.staff import StaffInvitationUse, StaffSessionTokens, StaffSignIn, StaffView


@operation("staff_sign_in")
async def staff_sign_in(call: Call) -> StaffSessionTokens:
    """Sign in at a console."""
    return await service.sign_in(call.ctx, call.message(StaffSignIn))


@operation("accept_staff_invitation")
async def accept_staff_invitation(call: Call) -> None:
    """Choose a password with a set-up link."""
    form = call.message(StaffInvitationUse)
    await service.accept_invitation(call.ctx, form.token, form.new_password)


@operation("get_staff_session")
async def get_staff_session(call: Call) -> StaffView:
    """Show who is signed in and what they may do."""
    return await service.get_current(call.staff)


@operation("end_staff_session")
async def end_staff_session(call: Call) -> None:
    """Sign out."""
    await service.sign_out(call.ctx, call.staff)
