"""Staff give an order to a customer, to another one, or to nobody; its points follow.

A preview is the execution, taken back: both run the same steps, so that what was shown is what happens.
"""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from server.audit.store import record as audit
from server.auth import Staff
from server.context import Context
from server.cursors import cut_page, decode_cursor
from server.customers.store import lock_customers
from server.db.engine import Row
from server.db.rehearsal import rehearse
from server.errors import Invalid, NotFound, NotPermitted, Refused
from server.memberships.store import shares_with
from server.orders import assignment_store, balances, change_store, changes, payments, sales
from server.orders.attaching import stored_sale
from server.orders.changes import Settled
from server.orders.fitting import fit_to_member
from server.orders.rules import AssignmentAction, name_action, window_of
from server.orders.sales import Sale, Target
from server.programmes.service import get_default_programme
from shared.enums import OrderState, Permission, SkippedReason
from shared.limits import LATE_POINTS_MAX, ORDER_COMPLETED_FROM
from shared.orders import (
    AssignmentApplied,
    AssignmentEffect,
    AssignmentPreview,
    OrderAssignment,
    RedemptionChoice,
    StaffOrder,
    StaffOrderPage,
)
from shared.permissions import may
from shared.problems import Code, FieldProblem

_STATUS_BLOCKS = {
    "blocked": Code.CUSTOMER_BLOCKED,
    "merged": Code.CUSTOMER_MERGED,
    "erased": Code.CUSTOMER_ERASED,
}


class _Locked(msgspec.Struct, frozen=True, kw_only=True):
    """An order, whom it is to go to, and what pays for it, all locked against anybody else's acts."""

    order: Row
    customer: Row | None
    paid: tuple[payments.Payment, ...]


class _Move(msgspec.Struct, frozen=True, kw_only=True):
    """An order before, whom it goes to, and what that did."""

    order: Row
    action: AssignmentAction
    customer: Row | None
    target: Target
    sale: Sale
    settled: Settled
    returned: payments.Returned
    choice: RedemptionChoice

    @property
    def hash(self) -> str:
        """What must be the same at the execution: the order as it was, the target, and every figure of the effect."""
        order = self.order
        seen = (
            order["id"], order["assignment_version"], order["revision"], order["state"], order["heir"],
            self.target.customer_id, self.target.membership_id, self.effect, self.choice,
        )  # fmt: skip
        return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()

    @property
    def effect(self) -> AssignmentEffect:
        result = sales.result_of(self.sale, self.target)
        return AssignmentEffect(
            action=self.action,
            points_taken=self.settled.taken,
            points_exempt=self.settled.exempt,
            points_owed=self.settled.owed,
            points_written_off=self.settled.written_off,
            points_earned=self.settled.earned,
            is_shared=self.settled.is_shared,
            skipped_reason=self.target.skipped,
            lines=result.lines,
            points_expected=result.points_expected,
            bonus_points_taken=self.settled.bonus_taken,
            points_restored=self.returned.points,
            vouchers_restored=self.returned.vouchers,
            holds_released=self.returned.holds,
        )


async def list_orders(*, number: str, store_code: str, day: str, cursor: str, limit: int) -> StaffOrderPage:
    """Return a page of orders: those of a receipt number, else those of a store's day that count for nobody.

    Raises:
        Invalid: Neither is given, or the day or the cursor is none.
    """
    before = decode_cursor(cursor)
    if number:
        rows = await assignment_store.list_by_number(number, store_code, before=before, limit=limit + 1)
    else:
        from_at, until_at = await _local_day(store_code, day)
        rows = await assignment_store.list_unassigned(store_code, from_at, until_at, before=before, limit=limit + 1)
    page, next_cursor = cut_page(rows, limit, at="completed_at")
    return StaffOrderPage(items=tuple(staff_order(row) for row in page), next_cursor=next_cursor)


async def preview(ctx: Context, staff: Staff, order_id: UUID, form: OrderAssignment) -> AssignmentPreview:
    """Return what an assignment would do.

    Raises:
        NotFound: There is no such order or customer.
        Refused: SELF_DEALING.
    """
    return await rehearse(_try(ctx, staff, order_id, form))


async def assign(ctx: Context, staff: Staff, order_id: UUID, form: OrderAssignment) -> AssignmentApplied:
    """Move an order and its points, in the caller's transaction.

    Raises:
        NotFound: There is no such order or customer.
        Refused: PREVIEW_STALE, SELF_DEALING, or what the preview listed as a blocker.
    """
    try:
        move = await _carry_out(ctx, staff, await _lock(ctx, staff, order_id, form), form)
    except changes.OrderMoved as error:
        raise Refused(Code.PREVIEW_STALE) from error
    if form.preview_hash != move.hash:
        raise Refused(Code.PREVIEW_STALE)
    await _audit(ctx, move, form.reason)
    ids = move.returned.membership_ids
    await changes.mark_memberships(ctx, move.order["heir"], *move.order["away"], move.target.membership_id, *ids)
    return AssignmentApplied(order=staff_order(await assignment_store.get_view(order_id)), effect=move.effect)


async def _try(ctx: Context, staff: Staff, order_id: UUID, form: OrderAssignment) -> AssignmentPreview:
    view = staff_order(await _get_view(order_id))
    try:
        locked = await _lock(ctx, staff, order_id, form)
        people = (locked.order["customer"], form.customer_id)
        before = await balances.read(ctx, people)
        move = await _carry_out(ctx, staff, locked, form)
    except Refused as refusal:
        if refusal.code in (Code.NOT_FOUND, Code.SELF_DEALING):
            raise
        # Nothing can be carried out with this; the hash is one that no execution has.
        return AssignmentPreview(
            order=view, customer_name=None, effect=None, blockers=(refusal.detail or refusal.code,), warnings=(),
            preview_hash=hashlib.sha256(b"blocked").hexdigest(), asks_redemption=refusal.code is Code.REWARD_USED,
        )  # fmt: skip
    return AssignmentPreview(
        order=view,
        customer_name=move.customer["name"] if move.customer else None,
        effect=move.effect,
        blockers=(),
        warnings=tuple(_list_warnings(move)),
        preview_hash=move.hash,
        balances=balances.compare(before, await balances.read(ctx, people)),
    )


async def _lock(ctx: Context, staff: Staff, order_id: UUID, form: OrderAssignment) -> _Locked:
    found = await change_store.find_order(order_id)
    if found is None:
        raise NotFound
    # Locked first, so that nobody is merged, blocked or forgotten, and nobody joins or leaves, after they were looked at.
    paid = await payments.list_payments(ctx, found)
    people = {found["customer"], form.customer_id, *(one.customer_id for one in paid)}
    await lock_customers([one for one in people if one is not None])
    customer = await find_customer_on_file(form.customer_id)
    membership_id = customer["membership"] if customer else None
    await check_not_self(staff, found, form.customer_id, membership_id)
    order = await changes.lock_whole(found, membership_id, *(one.membership_id for one in paid))
    return _Locked(order=order, customer=customer, paid=await payments.list_locked(ctx, order, paid))


async def _carry_out(ctx: Context, staff: Staff, locked: _Locked, form: OrderAssignment) -> _Move:
    order, customer = locked.order, locked.customer
    sale = stored_sale(await get_default_programme(fresh=True), order, await assignment_store.list_lines(order["id"]))
    action = name_action(had=order["customer"] is not None, has=form.customer_id is not None)
    # What was bought in a membership stays there when its buyer leaves, as in an order that its till changes.
    has_membership = customer is not None and customer["membership"] is not None
    if order["customer"] == form.customer_id and (order["heir"] is not None or not has_membership):
        detail = "The order counts for this customer already." if customer else "The order counts for nobody."
        raise Refused(Code.ASSIGNMENT_SAME, detail)
    await _check_window(ctx, staff, order, sale, action)
    sale, target = await fit_to_member(sale, await _lock_target(sale, customer))
    if target.membership_id and not target.skipped:
        _check_size(staff, sale)
    returned = await _free_payments(ctx, staff, order, target, paid=locked.paid, choice=form.redemption)
    settled = await changes.settle(ctx, order, sale, target, reason_code="reassigned")
    return _Move(
        order=order, action=action, customer=customer, target=target, sale=sale, settled=settled, returned=returned,
        choice=form.redemption,
    )  # fmt: skip


async def _free_payments(
    ctx: Context,
    staff: Staff,
    order: Row,
    target: Target,
    *,
    paid: Sequence[payments.Payment],
    choice: RedemptionChoice,
) -> payments.Returned:
    """Do with what others paid of the order as staff chose; what is only set aside for an open cart is set free.

    Raises:
        Refused: REWARD_USED, others paid with points or a voucher, and staff have not chosen.
        NotPermitted: Leaving them spent is for a manager.
    """
    theirs = payments.by_others(paid, customer_id=target.customer_id, membership_id=target.membership_id)
    is_cart = order["state"] == OrderState.OPEN and all(one.is_open for one in theirs)
    if is_cart or choice is RedemptionChoice.RETURN:
        version = order["assignment_version"]
        return await payments.give_back(ctx, theirs, source_key=f"assignment:{order['id']}:{version}")
    if theirs and choice is RedemptionChoice.KEEP:
        if not may(staff.role, Permission.ORDER_ASSIGN_LATE):
            raise NotPermitted("Leaving somebody's points or voucher spent on this order is for a manager.")
        return payments.Returned()
    payments.check_none(theirs)
    return payments.Returned()


async def find_customer_on_file(customer_id: UUID | None) -> Row | None:
    """Return a customer whom an order may be given to, None for nobody.

    Raises:
        NotFound: There is no such customer.
        Refused: CUSTOMER_BLOCKED, CUSTOMER_MERGED or CUSTOMER_ERASED.
    """
    if customer_id is None:
        return None
    customer = await assignment_store.find_customer(customer_id)
    if customer is None:
        raise NotFound("There is no such customer.")
    if code := _STATUS_BLOCKS.get(customer["status"]):
        data = {"customer_id": customer["merged_into"]} if customer["merged_into"] else None
        raise Refused(code, f"This customer is {customer['status']}.", data=data)
    return customer


async def check_not_self(staff: Staff, order: Row, customer_id: UUID | None, membership_id: UUID | None) -> None:
    """Refuse staff who are one of the customers, or share points, a proven address or number with one."""
    if staff.customer_id is None:
        return
    memberships = [one for one in (order["heir"], membership_id) if one is not None]
    concerned = {one for one in (order["customer"], customer_id) if one is not None}
    is_self = any([await shares_with(staff.customer_id, one) for one in concerned])
    if is_self or await assignment_store.is_in(staff.customer_id, memberships):
        raise Refused(Code.SELF_DEALING)


async def _check_window(ctx: Context, staff: Staff, order: Row, sale: Sale, action: AssignmentAction) -> None:
    if order["state"] == OrderState.OPEN:
        return
    is_manager = may(staff.role, Permission.ORDER_ASSIGN_LATE)
    late_attach_days, reassign_days = await assignment_store.get_windows(sale.programme.id, is_manager=is_manager)
    days = window_of(action, late_attach_days=late_attach_days, reassign_days=reassign_days)
    if ctx.now - order["completed_at"] > timedelta(days=days):
        detail = f"This order is older than {days} days" + ("." if is_manager else "; ask a manager.")
        raise Refused(Code.ASSIGNMENT_WINDOW, detail, data={"days": days})


def _check_size(staff: Staff, sale: Sale) -> None:
    if sale.plan.points > LATE_POINTS_MAX and not may(staff.role, Permission.ORDER_ASSIGN_LATE):
        raise Refused(Code.NOT_PERMITTED, f"Orders of more than {LATE_POINTS_MAX} points are for a manager.")


async def _lock_target(sale: Sale, customer: Row | None) -> Target:
    # The reason stays even when nobody is left on the order: what the till says later must not bring them back.
    if customer is None:
        return Target(reason="staff", skipped=sale.skipped or SkippedReason.NO_CUSTOMER)
    return await sales.lock_target(sale, customer["id"], customer["membership"], "staff")


async def _audit(ctx: Context, move: _Move, reason: str) -> None:
    """Write the act down for both customers, each of whom it concerns."""
    details = {
        "from_customer": move.order["customer"],
        "to_customer": move.target.customer_id,
        "assignment_version": move.order["assignment_version"] + 1,
        "points_taken": move.settled.taken,
        "points_earned": move.effect.points_earned,
        "points_restored": move.effect.points_restored,
        "vouchers_restored": move.effect.vouchers_restored,
    }
    for customer_id in dict.fromkeys((move.order["customer"], move.target.customer_id)):
        if customer_id is not None:
            await audit(
                ctx,
                f"order.{move.action}",
                subject_kind="order",
                subject_id=move.order["id"],
                customer_id=customer_id,
                reason=reason,
                details=details,
            )


def _list_warnings(move: _Move) -> list[str]:
    warnings = []
    effect = move.effect
    if effect.points_owed and not effect.points_written_off:
        warnings.append(f"{effect.points_owed} of the points have been spent: the balance goes below zero by that.")
    if effect.points_written_off:
        warnings.append(f"{effect.points_written_off} of the points have been spent and are written off.")
    if effect.points_exempt:
        warnings.append(f"{effect.points_exempt} of the points have lapsed and are not taken again.")
    if effect.bonus_points_taken:
        warnings.append(
            f"{effect.bonus_points_taken} points of a bonus that this order set off are taken back with it."
        )
    if effect.points_restored or effect.vouchers_restored:
        paid = [f"{effect.points_restored} points"] if effect.points_restored else []
        paid += [f"vouchers: {effect.vouchers_restored}"] if effect.vouchers_restored else []
        warnings.append(
            f"What paid for the order goes back ({', '.join(paid)}); the customer has to pay that part otherwise."
        )
    if effect.skipped_reason is SkippedReason.BEFORE_START:
        warnings.append("The order is from before the membership began: it is kept for the history and earns nothing.")
    if effect.skipped_reason is SkippedReason.NOT_MEMBER:
        warnings.append("The customer has no membership: the order is kept for the history and earns nothing.")
    return warnings


async def _get_view(order_id: UUID) -> Row:
    if await change_store.find_order(order_id) is None:
        raise NotFound
    return await assignment_store.get_view(order_id)


async def _local_day(store_code: str, day: str) -> tuple[datetime, datetime]:
    """Return the instants at which a store's day begins and ends."""
    try:
        first = date.fromisoformat(day)
        after = first + timedelta(days=1)
        if first < ORDER_COMPLETED_FROM.date():
            raise ValueError("no sale is as old as that, and years near 1 have no UTC")
    except (ValueError, OverflowError) as error:
        detail = "Give a receipt number, or a store and a day as YYYY-MM-DD."
        raise Invalid(FieldProblem(field="day", detail=detail)) from error
    zone = await assignment_store.find_zone(store_code)
    if zone is None:
        raise Invalid(FieldProblem(field="store", detail="We do not know this store."), code=Code.STORE_UNKNOWN)
    return (datetime.combine(first, time(), ZoneInfo(zone)), datetime.combine(after, time(), ZoneInfo(zone)))


def staff_order(row: Row) -> StaffOrder:
    """Return an order's row as staff see it."""
    values = {name: row[name] for name in StaffOrder.__struct_fields__}
    skipped = row["skipped_reason"]
    return StaffOrder(
        **values | {"state": OrderState(row["state"]), "skipped_reason": SkippedReason(skipped) if skipped else None}
    )
