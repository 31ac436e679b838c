"""HTTP of accounts."""

from litestar import Response

from server.accounts import phones, profile, recovery, service
from server.accounts.pages import read_file, render_page
from server.http import Call, operation
from shared.members import (
    Accepted,
    Me,
    PasswordResetConfirm,
    PasswordResetRequest,
    PhoneProof,
    ProfileChange,
    SignUp,
    SignUpConfirmed,
    UseToken,
)
from shared.rewards import PresenceTexted

_FILE_CACHE = {"Cache-Control": "public, max-age=3600"}
_NO_STORE = {"Cache-Control": "no-store"}


@operation("sign_up")
async def sign_up(call: Call) -> Accepted:
    """Sign up; a mail says how to go on."""
    return await service.sign_up(call.ctx, call.message(SignUp))


@operation("confirm_sign_up")
async def confirm_sign_up(call: Call) -> SignUpConfirmed:
    """Prove the address of a sign-up by its mailed token, which opens the account."""
    return await service.confirm_sign_up(call.ctx, call.message(UseToken).token)


@operation("request_password_reset")
async def request_password_reset(call: Call) -> Accepted:
    """Ask for a link to choose a new password."""
    return await recovery.request_reset(call.ctx, call.message(PasswordResetRequest))


@operation("confirm_password_reset")
async def confirm_password_reset(call: Call) -> None:
    """Choose a password by a mailed token; sign in afterwards."""
    await recovery.confirm_reset(call.ctx, call.message(PasswordResetConfirm))


@operation("get_me", checks_itself=True)
async def get_me(call: Call) -> Me:
    """Show the member's profile."""
    return await profile.get_me(call.ctx, call.bearer_token())


@operation("change_me")
async def change_me(call: Call) -> Me:
    """Change the member's profile."""
    return await profile.change_me(call.ctx, call.member, call.message(ProfileChange))


@operation("text_my_phone")
async def text_my_phone(call: Call) -> PresenceTexted:
    """Ask for the digits that prove the member's phone number."""
    return await phones.text_proof(call.ctx, call.member)


@operation("prove_my_phone")
async def prove_my_phone(call: Call) -> Me:
    """Prove the member's phone number by the digits texted to it."""
    return await phones.prove_phone(call.ctx, call.member, call.message(PhoneProof))


@operation("open_link_page")
async def open_link_page(call: Call) -> Response[bytes]:
    """Show the page of a mailed link; nothing happens before its button is pressed."""
    html = render_page(call.ctx.settings, call.request.path_params["purpose"])
    return Response(html, media_type="text/html", headers=_NO_STORE)


@operation("get_page_file")
async def get_page_file(call: Call) -> Response[bytes]:
    """Send the style or script of such a page."""
    media_type, content = read_file(call.request.path_params["name"])
    return Response(content, media_type=media_type, headers=_FILE_CACHE)
