"""HTTP of sessions."""

from server.http import Call, operation
from server.sessions import service
from shared.members import PasswordChange, RefreshSession, SessionList, SessionTokens, SignIn


@operation("sign_in")
async def sign_in(call: Call) -> SessionTokens:
    """Sign in with email and password."""
    return await service.sign_in(call.ctx, call.message(SignIn))


@operation("refresh_session")
async def refresh_session(call: Call) -> SessionTokens:
    """Exchange a refresh token for the next pair of tokens."""
    return await service.refresh(call.ctx, call.message(RefreshSession).refresh_token)


@operation("list_my_sessions")
async def list_my_sessions(call: Call) -> SessionList:
    """List the signed-in devices."""
    return await service.list_sessions(call.ctx, call.member)


@operation("end_my_session")
async def end_my_session(call: Call) -> None:
    """Sign one device out."""
    await service.end_own_session(call.ctx, call.member, call.path_id("session_id"))


@operation("end_my_sessions")
async def end_my_sessions(call: Call) -> None:
    """Sign all devices out."""
    await service.end_own_sessions(call.ctx, call.member)


@operation("change_my_password")
async def change_my_password(call: Call) -> None:
    """Choose a new password; the other devices are signed out."""
    await service.change_password(call.ctx, call.member, call.message(PasswordChange))
