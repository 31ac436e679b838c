"""HTTP of schedules."""

from server.expiry import service
from server.http import Call, operation
from shared.reports import ExpirySchedule


@operation("get_my_expiry")
async def get_my_expiry(call: Call) -> ExpirySchedule:
    """Tell month by month which of the member's points lapse when; `limit` counts months."""
    membership_id = call.path_id("membership_id")
    return await service.get_own_schedule(
        call.ctx, call.member.customer_id, membership_id, cursor=call.query("cursor"), limit=call.page_size()
    )


@operation("get_customer_expiry")
async def get_customer_expiry(call: Call) -> ExpirySchedule:
    """Tell month by month which points of a membership lapse when, for staff."""
    membership_id = call.path_id("membership_id")
    return await service.get_schedule(call.ctx, membership_id, cursor=call.query("cursor"), limit=call.page_size())
