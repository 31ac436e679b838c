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
    link_reviews, links, pos_todos = await _count_links(staff)
    erasures, late_erasures = await _count_erasures(ctx, staff)
    return StaffQueue(
        adjustments=adjustments,
        refunds=refunds,
        orders=orders,
        duplicates=duplicates,
        merges=merges,
        overrides=overrides,
        link_reviews=link_reviews,
        links=links,
        pos_todos=pos_todos,
        erasures=erasures,
        late_erasures=late_erasures,
    )


async def _count_links(staff: Staff) -> tuple[int, int, int]:
    """Return the matches to decide on, the links to approve and what is to be done in tills."""
    reviews = links = todos = 0
    if may(staff.role, Permission.LINK_REVIEW):
        reviews = await queue_store.count_link_reviews()
        todos = await queue_store.count_pos_todos()
    if may(staff.role, Permission.LINK_ATTEST):
        links = await queue_store.count_links(not_by=staff.staff_id)
    return reviews, links, todos


async def _count_erasures(ctx: Context, staff: Staff) -> tuple[int, int]:
    """Return the wishes to be forgotten that wait for a yes, and those that are late."""
    waiting = late = 0
    if may(staff.role, Permission.ERASURE_APPROVE):
        waiting = await queue_store.count_erasures(not_by=staff.staff_id)
    if may(staff.role, Permission.ERASURE_READ):
        late = await queue_store.count_late_erasures(ctx.now)
    return waiting, late
