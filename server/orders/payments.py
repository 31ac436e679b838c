"""What a member's points and vouchers paid of an order, and what becomes of it when the order changes hands or is voided.

Everything here runs in the caller's transaction, with the memberships of `list_payments` locked.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import Row
from server.errors import Busy, Refused
from server.orders.change_store import get_membership
from server.rewards import hold_store
from server.rewards.holds import undo_capture
from server.rewards.service import end_hold
from shared.problems import Code
from shared.rewards import HoldState, RewardKind


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A hold of an order: whose it is, where its points or voucher belong today, and how many points are still spent."""

    hold_id: UUID
    customer_id: UUID
    membership_id: UUID
    is_open: bool
    voucher_id: UUID | None
    sku: str
    points: int
    amount_minor: int

    @property
    def is_live(self) -> bool:
        """Whether anything of it is spent or set aside still."""
        return self.is_open or self.voucher_id is not None or self.points > 0


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """What went back to those who had paid: points, vouchers, and holds that were set aside only; and to which memberships."""

    points: int = 0
    vouchers: int = 0
    holds: int = 0
    membership_ids: tuple[UUID, ...] = ()


async def list_payments(ctx: Context, order: Row) -> tuple[Payment, ...]:
    """Return what pays for an order, in the order of the holds' ids."""
    rows = await hold_store.list_of_sales(order["connection"], [order["external_id"]], ctx.now)
    return tuple(payment for payment in map(_payment, rows) if payment.is_live)


def by_others(payments: Sequence[Payment], *, customer_id: UUID | None, membership_id: UUID | None) -> list[Payment]:
    """Return what others paid than whom an order is to count for: that keeps it from changing hands by itself."""
    return [one for one in payments if one.customer_id != customer_id and one.membership_id != membership_id]


def check_none(payments: Sequence[Payment]) -> None:
    """Refuse while somebody's points or voucher are in the way of an order's changing hands.

    Raises:
        Refused: REWARD_USED, with the points and vouchers that paid in `data`.
    """
    if payments:
        points, vouchers = sum(one.points for one in payments), sum(one.voucher_id is not None for one in payments)
        detail = "Points or a voucher of somebody else paid for this order: give them back first, or let a manager keep that."
        raise Refused(Code.REWARD_USED, detail, data={"points": points, "vouchers": vouchers})


async def list_paid_by_others(
    ctx: Context,
    connection_id: UUID,
    external_ids: Sequence[str],
    *,
    customer_id: UUID | None,
    membership_id: UUID | None,
) -> set[str]:
    """Return the external ids of the orders among these for which others paid with points or a voucher."""
    rows = await hold_store.list_of_sales(connection_id, external_ids, ctx.now)
    paid = [(row["order_reference"], _payment(row)) for row in rows]
    return {
        name
        for name, payment in paid
        if payment.is_live and by_others([payment], customer_id=customer_id, membership_id=membership_id)
    }


def _payment(row: Row) -> Payment:
    return Payment(
        hold_id=row["id"],
        customer_id=row["customer"],
        membership_id=row["heir"],
        is_open=row["state"] == HoldState.OPEN,
        voucher_id=row["voucher"],
        sku=row["sku"] if row["kind"] == RewardKind.PRODUCT else "",
        points=row["points_left"],
        amount_minor=row["amount_minor"],
    )


async def list_locked(ctx: Context, order: Row, seen: Sequence[Payment]) -> tuple[Payment, ...]:
    """Return what pays for a locked order, now that the memberships of what was seen before are locked.

    Raises:
        Busy: Somebody whose membership is not locked has begun to pay meanwhile.
    """
    payments = await list_payments(ctx, order)
    if {one.membership_id for one in payments} - {one.membership_id for one in seen}:
        raise Busy
    return payments


async def give_back(ctx: Context, payments: Sequence[Payment], *, source_key: str) -> Returned:
    """Give back what was spent, with its dates, and free what was set aside; vouchers are good again.

    Args:
        source_key: What takes the payments back; the same one does so once.
    """
    points = vouchers = holds = 0
    # Vouchers are locked in the order of their ids.
    for payment in sorted(payments, key=lambda one: (one.voucher_id is not None, one.voucher_id or one.hold_id)):
        if payment.is_open:
            await _release(ctx, payment)
            holds += 1
            continue
        membership = await get_membership(payment.membership_id)
        given = await undo_capture(ctx, membership, payment.hold_id, source_key=source_key, points=payment.points)
        points += given
        vouchers += payment.voucher_id is not None
    membership_ids = tuple(payment.membership_id for payment in payments)
    return Returned(points=points, vouchers=vouchers, holds=holds, membership_ids=membership_ids)


async def _release(ctx: Context, payment: Payment) -> None:
    if payment.voucher_id is not None:
        await hold_store.lock_voucher(payment.voucher_id)
    hold = await hold_store.lock_hold(payment.hold_id)
    if hold["state"] == HoldState.OPEN:
        await end_hold(ctx, hold, HoldState.RELEASED)
