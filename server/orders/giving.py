"""An order that counts for nobody comes to count for a customer: one who has its receipt, or who registers at the till.

Everything here runs in the caller's transaction, with the customer locked.
"""

from typing import Literal
from uuid import UUID

import msgspec

from server.audit.store import record
from server.context import Context
from server.db.engine import Row
from server.errors import NotFound, NotPermitted, Refused
from server.orders import assignment_store, attaching_store, change_store, changes, payments, sales
from server.orders.attaching import stored_sale
from server.orders.fitting import fit_to_member
from server.orders.rules import name_action
from server.programmes.service import get_default_programme
from shared.enums import OrderState, SkippedReason
from shared.problems import Code


class OrderTaken(Refused):
    """The order counts for somebody, somebody else's points paid for it, or staff have decided that it counts for nobody."""

    def __init__(self, detail: str = "This sale was given to somebody already.") -> None:
        super().__init__(Code.ASSIGNMENT_SAME, detail)


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """An order that counts for a customer now, the points it brought, or why it brought none."""

    order: Row
    points: int
    points_expected: int
    skipped_reason: SkippedReason | None


async def give_order(
    ctx: Context,
    order_id: UUID,
    customer_id: UUID,
    *,
    reason: Literal["claim", "staff"],
    late_points_max: int | None = None,
) -> Given:
    """Let an order count for a customer by the rules of its time, if it counts for nobody.

    Args:
        late_points_max: Refuse a completed sale of more points.

    Raises:
        NotPermitted: The sale is completed and brings more points than that; nothing was written.
        NotFound: There is no such order or customer, or the sale was voided.
        OrderTaken: It counts for somebody, or somebody else paid for it with points or a voucher.
        OrderMoved: Somebody else changed it just now.
    """
    found = await change_store.find_order(order_id)
    if found is None or found["state"] == OrderState.VOIDED:
        raise NotFound("There is no such sale.")
    if found["customer"] is not None or found["assignment_reason"] in changes.EXPLICIT:
        raise OrderTaken
    customer = await assignment_store.find_customer(customer_id)
    if customer is None:
        raise NotFound("There is no such customer.")
    order = await changes.lock_whole(found, customer["membership"])
    paid = await payments.list_payments(ctx, order)
    by_others = payments.by_others(paid, customer_id=customer_id, membership_id=customer["membership"])
    if not all(one.is_open for one in by_others):
        raise OrderTaken("Points or a voucher of somebody else paid for this sale.")
    lines = await attaching_store.list_lines([order_id])
    sale = stored_sale(await get_default_programme(fresh=True), order, lines[order_id])
    target = await sales.lock_target(sale, customer_id, customer["membership"], reason)
    sale, target = await fit_to_member(sale, target)
    is_late = order["state"] != OrderState.OPEN and target.skipped is None
    if late_points_max is not None and is_late and sale.plan.points > late_points_max:
        raise NotPermitted(f"Sales of more than {late_points_max} points are for a manager.")
    settled = await changes.settle(
        ctx, order, sale, target, reason_code="claimed" if reason == "claim" else "reassigned"
    )
    await record(
        ctx,
        "order.claimed" if reason == "claim" else f"order.{name_action(had=False, has=True)}",
        subject_kind="order",
        subject_id=order_id,
        customer_id=customer_id,
        details={"assignment_version": order["assignment_version"] + 1, "points_earned": settled.earned},
    )
    await changes.mark_memberships(ctx, target.membership_id)
    return Given(
        order=order,
        points=settled.earned,
        points_expected=sales.expected_points(sale, target),
        skipped_reason=target.skipped,
    )
