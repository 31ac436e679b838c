"""HTTP of consents: the member's own answers, and Mailchimp's webhook, which tells of people who said no there."""

from litestar import Response

from server.consents import hooks, service
from server.decoding import read_body
from server.http import Call, operation
from shared.base import ConsentChoices
from shared.limits import HOOK_BYTES_MAX
from shared.members import Consents

_FORM = "application/x-www-form-urlencoded"


@operation("get_my_consents")
async def get_my_consents(call: Call) -> Consents:
    """Show what marketing may do."""
    return await service.get_consents(call.member.customer_id)


@operation("put_my_consents")
async def put_my_consents(call: Call) -> Consents:
    """Say what marketing may do."""
    return await service.change_consents(call.ctx, call.member.customer_id, call.message(ConsentChoices))


@operation("check_mailchimp_hook")
async def check_mailchimp_hook(call: Call) -> Response[bytes]:
    """Answer Mailchimp's look at the address before it registers the webhook."""
    hooks.check_secret(call.ctx, call.request.path_params["secret"])
    return _ok()


@operation("mailchimp_hook")
async def mailchimp_hook(call: Call) -> Response[bytes]:
    """Take an event of Mailchimp; the last part of the address is the credential, and the body no more than a hint.

    Whoever unsubscribed there, or complained of a mail as unwanted, gets no more news and offers at that address. An address
    cleaned as it bounced for good is flagged wherever staff meet the customer. Everything else is let go.
    """
    hooks.check_secret(call.ctx, call.request.path_params["secret"])
    await hooks.take_event(call.ctx, await read_body(call.request, HOOK_BYTES_MAX, media_type=_FORM))
    return _ok()


def _ok() -> Response[bytes]:
    return Response(b"ok", media_type="text/plain", headers={"Cache-Control": "no-store"})
