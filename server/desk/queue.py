"""What waits for a person, counted for the console's first page."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from server.auth import Staff
from server.context import Context
from server.desk import queue_store
from shared.enums import Permission
from shared.limits import REFUND_PARKED_MAX
from shared.permissions import may
from shared.staff import StaffQueue


async def get_queue(ctx: Context, staff: Staff) -> StaffQueue:
    """Return how much waits for somebody in this role; 0 for what the role may not work on."""
    adjustments = refunds = orders = duplicates = merges = overrides = 0
    if may(staff.role, Permission.POINTS_APPROVE):
        adjustments = await queue_store.count_adjustments(ctx.now, not_by=staff.staff_id)
    if may(staff.role, Permission.REFUND_READ):
        refunds = await queue_store.count_refunds(ctx.now - REFUND_PARKED_MAX)
    if may(staff.role, Permission.ORDER_ASSIGN) and staff.store_id is not None:
        zone = ZoneInfo(await queue_store.get_zone(staff.store_id))
        today = ctx.now.astimezone(zone).date()
        from_at, until_at = (datetime.combine(day, time(), zone) for day in (today, today + timedelta(days=1)))
        orders = await queue_store.count_orders(staff.store_id, from_at, until_at)
    if may(staff.role, Permission.CUSTOMER_MERGE):
        duplicates = await queue_store.count_duplicates()
    if may(staff.role, Permission.MERGE_APPROVE):
        merges = await queue_store.count_merges(ctx.now, not_by=staff.staff_id)
    if may(staff.role, Permission.EMAIL_CHANGE):
        overrides = await queue_store.count_overrides(ctx.now, not_by=staff.staff_id)
    return StaffQueue(
        adjustments=adjustments,
        refunds=refunds,
        orders=orders,
        duplicates=duplicates,
        merges=merges,
        overrides=overrides,
    )
