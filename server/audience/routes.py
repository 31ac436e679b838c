"""HTTP of the audience: how the link to Mailchimp is doing, its two repairs, and Mailchimp's webhook."""

from litestar import Response

from server.audience import hooks, service
from server.decoding import read_body
from server.http import Call, operation
from shared.limits import HOOK_BYTES_MAX
from shared.staff import AudienceContactView, AudienceStatus

_FORM = "application/x-www-form-urlencoded"


@operation("get_audience")
async def get_audience(call: Call) -> AudienceStatus:
    """Show the queue to Mailchimp and the contacts that need a person."""
    return await service.get_status(call.ctx)


@operation("retry_audience_contact")
async def retry_audience_contact(call: Call) -> AudienceContactView:
    """Try a contact again that Mailchimp refused."""
    return await service.retry_contact(call.ctx, call.request.path_params["contact_id"])


@operation("resume_audience")
async def resume_audience(call: Call) -> AudienceStatus:
    """Let the queue run again after its cause of stopping was repaired."""
    return await service.resume(call.ctx)


@operation("check_mailchimp_hook")
async def check_mailchimp_hook(call: Call) -> Response[bytes]:
    """Answer Mailchimp's look at the address before it registers the webhook."""
    hooks.check_secret(call.ctx, call.request.path_params["secret"])
    return _ok()


@operation("mailchimp_hook")
async def mailchimp_hook(call: Call) -> Response[bytes]:
    """Take an event of Mailchimp; the last part of the address is the credential, and the body no more than a hint.

    An address cleaned as it bounced for good is flagged wherever staff meet the customer; everything else is let go.
    """
    hooks.check_secret(call.ctx, call.request.path_params["secret"])
    await hooks.take_event(call.ctx, await read_body(call.request, HOOK_BYTES_MAX, media_type=_FORM))
    return _ok()


def _ok() -> Response[bytes]:
    return Response(b"ok", media_type="text/plain", headers={"Cache-Control": "no-store"})
