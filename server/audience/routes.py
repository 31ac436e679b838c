"""HTTP of the audience: how the link to Mailchimp is doing, and its two repairs."""

from server.audience import service
from server.http import Call, operation
from shared.staff import AudienceContactView, AudienceStatus


@operation("get_audience")
async def get_audience(call: Call) -> AudienceStatus:
    """Show the queue to Mailchimp and the contacts that need a person."""
    return await service.get_status(call.ctx)


@operation("retry_audience_contact")
async def retry_audience_contact(call: Call) -> AudienceContactView:
    """Try a contact again that Mailchimp refused."""
    return await service.retry_contact(call.ctx, call.path_id("contact_id"))


@operation("resume_audience")
async def resume_audience(call: Call) -> AudienceStatus:
    """Let the queue run again after its cause of stopping was repaired."""
    return await service.resume(call.ctx)
