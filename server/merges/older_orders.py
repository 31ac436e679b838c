"""Sales that were skipped for being older than a membership count once the earlier enrolment holds; only when asked for."""

from uuid import UUID

import msgspec

from server.context import Context
from server.merges import store
from server.orders import attaching_store, change_store, changes, sales
from server.orders.attaching import stored_sale
from server.orders.fitting import fit_to_member
from server.programmes.service import get_default_programme
from shared.limits import MERGE_OLDER_ORDERS_MAX


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How many sales count now, and for how many points."""

    orders: int
    points: int


NONE = Counted(orders=0, points=0)


async def count(ctx: Context, customer_id: UUID) -> Counted:
    """Let a customer's skipped sales since the start of the membership count, each by the rules of its time."""
    programme = await get_default_programme(fresh=True)
    home = (await store.list_homes(customer_id)).get(programme.id)
    if home is None:
        return NONE
    place = await store.find_place(home, customer_id)
    assert place is not None
    order_ids = await store.list_older_orders(customer_id, place["eligible_from"], MERGE_OLDER_ORDERS_MAX)
    lines = await attaching_store.list_lines(order_ids)
    orders = points = 0
    for order_id in order_ids:
        found = await change_store.find_order(order_id)
        assert found is not None, "orders are never deleted"
        order = await changes.lock_whole(found, home)
        sale = stored_sale(programme, order, lines[order_id])
        # What a person decided stays a person's word, whatever a till says later.
        reason = order["assignment_reason"] if order["assignment_reason"] in changes.EXPLICIT else "merge"
        target = await sales.lock_target(sale, customer_id, home, reason)
        sale, target = await fit_to_member(sale, target)
        if target.skipped is None:
            await changes.settle(ctx, order, sale, target, reason_code="merged")
            orders += 1
            points += sale.plan.points
    return Counted(orders=orders, points=points)
