"""Staff write down a sale that no till sends, for a customer who stands before them.

It is a sale like any other, sent over a connection of its own, with one line. A preview is the execution, taken back.
"""

import hashlib
from datetime import datetime, time, timedelta
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec

from server.audit.store import record as audit
from server.auth import Staff
from server.context import Context
from server.customers.store import lock_customers
from server.db.engine import Row
from server.db.ids import new_id
from server.db.rehearsal import rehearse
from server.errors import Invalid, NotPermitted, Refused
from server.orders import assignment_store, balances, changes, recording_store, sales
from server.orders.assignments import check_not_self, find_customer_on_file, staff_order
from server.orders.fitting import fit_to_member
from server.orders.rules import window_of
from server.orders.sales import Sale, Target
from server.programmes.service import get_default_programme
from shared.enums import Permission
from shared.limits import LATE_POINTS_MAX, RECORD_DAY_POINTS_MAX
from shared.orders import OrderRecorded, OrderRecording, RecordingPreview, StaffOrder
from shared.permissions import may
from shared.pos import PosLine, PosOrder
from shared.problems import Code, FieldProblem

_DAY = timedelta(hours=24)
_RECEIPTS = UUID("6f0c8f0e-54a1-4d0f-9d1b-8f3f6a2c9b17")  # The space of the ids that receipts stand for.


class _Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A sale that was written down, for whom, and the points there were before."""

    before: dict[UUID, balances.Standing]
    customer: Row
    store: Row
    sale: Sale
    target: Target

    @property
    def points(self) -> int:
        return sales.result_of(self.sale, self.target).points

    @property
    def hash(self) -> str:
        """What must be the same at the execution: whom it counts for and what it earns them."""
        lines = sales.result_of(self.sale, self.target).lines
        seen = (
            self.target.customer_id, self.target.membership_id, self.target.skipped, lines,
            self.store["code"], sum(line.net_minor + line.tax_minor for line in self.sale.order.lines),
        )  # fmt: skip
        return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()


class _Known(Refused):
    """The receipt belongs to a sale that is there already."""

    def __init__(self, number: str, order_id: UUID) -> None:
        detail = f"Receipt {number} is here already; give that sale to the customer instead."
        super().__init__(Code.ORDER_CONFLICT, detail, data={"order_id": order_id})
        self.order_id = order_id


async def preview(ctx: Context, staff: Staff, form: OrderRecording) -> RecordingPreview:
    """Return what writing a sale down would do.

    Raises:
        NotFound: There is no such customer.
        Invalid: STORE_UNKNOWN, TIME_OUT_OF_RANGE, or the sum is out of range.
        Refused: SELF_DEALING.
    """
    return await rehearse(_try(ctx, staff, form))


async def record_order(ctx: Context, staff: Staff, form: OrderRecording) -> OrderRecorded:
    """Write a sale down and post its points, in the caller's transaction.

    Raises:
        Refused: PREVIEW_STALE, ORDER_CONFLICT, ASSIGNMENT_WINDOW, NOT_PERMITTED above a cashier's limits, or as in
            `preview`.
    """
    recorded = await _carry_out(ctx, staff, form)
    if form.preview_hash != recorded.hash:
        raise Refused(Code.PREVIEW_STALE)
    order_id = recorded.sale.order_id
    await audit(
        ctx,
        "order.recorded",
        subject_kind="order",
        subject_id=order_id,
        customer_id=form.customer_id,
        details={"points": recorded.points, "net_minor": form.net_minor},
    )
    return OrderRecorded(
        order=staff_order(await assignment_store.get_view(order_id)),
        balances=balances.compare(recorded.before, await balances.read(ctx, [form.customer_id])),
    )


async def _try(ctx: Context, staff: Staff, form: OrderRecording) -> RecordingPreview:
    try:
        recorded = await _carry_out(ctx, staff, form)
    except Invalid:
        raise
    except Refused as refusal:
        if refusal.code in (Code.NOT_FOUND, Code.SELF_DEALING):
            raise
        return await _blocked(ctx, staff, form, refusal)
    result = sales.result_of(recorded.sale, recorded.target)
    return RecordingPreview(
        customer_name=recorded.customer["name"],
        store_name=recorded.store["name"],
        completed_at=recorded.sale.order.completed_at,
        currency=recorded.sale.order.currency,
        points=result.points,
        rule=result.lines[0].rule,
        skipped_reason=result.skipped_reason,
        balances=balances.compare(recorded.before, await balances.read(ctx, [form.customer_id])),
        known_order=None,
        blockers=(),
        preview_hash=recorded.hash,
    )


async def _blocked(ctx: Context, staff: Staff, form: OrderRecording, refusal: Refused) -> RecordingPreview:
    """Return the preview of what cannot be carried out; its hash is one that no execution has."""
    customer = await assignment_store.find_customer(form.customer_id)
    store = await _get_store(staff, form)
    known: StaffOrder | None = None
    if isinstance(refusal, _Known):
        known = staff_order(await assignment_store.get_view(refusal.order_id))
    return RecordingPreview(
        customer_name=customer["name"] if customer else "",
        store_name=store["name"],
        completed_at=form.completed_at or ctx.now,
        currency=(await get_default_programme()).currency,
        points=0,
        rule="",
        skipped_reason=None,
        balances=(),
        known_order=known,
        blockers=(refusal.detail or refusal.code,),
        preview_hash=hashlib.sha256(b"blocked").hexdigest(),
    )


async def _carry_out(ctx: Context, staff: Staff, form: OrderRecording) -> _Recorded:
    store = await _get_store(staff, form)
    # Locked before the look, so that nobody is merged or forgotten in between.
    await lock_customers([form.customer_id])
    customer = await find_customer_on_file(form.customer_id)
    assert customer is not None, "the message names a customer"
    await check_not_self(staff, {"customer": None, "heir": None}, customer["id"], customer["membership"])
    sale = await sales.prepare_sale(ctx, await _order_of(ctx, form, store), fresh=True)
    await _check_receipt(form.number, store, sale.order.completed_at)
    await _check_window(ctx, staff, sale)
    target = await sales.lock_target(sale, customer["id"], customer["membership"], "staff")
    sale, target = await fit_to_member(sale, target)
    if not may(staff.role, Permission.ORDER_ASSIGN_LATE) and target.membership_id and not target.skipped:
        await _check_size(ctx, staff, sale.plan.points)
    # Under the locks, so that the difference is this sale's alone.
    before = await balances.read(ctx, [customer["id"]])
    if not await changes.record_new(ctx, await recording_store.get_connection(ctx.now), sale, target):
        raise Refused(Code.ORDER_CONFLICT, f"Receipt {form.number} was written down before.")
    return _Recorded(before=before, customer=customer, store=store, sale=sale, target=target)


async def _get_store(staff: Staff, form: OrderRecording) -> Row:
    store = await recording_store.find_store(form.store, staff.store_id)
    if store is None:
        detail = "We do not know this store." if form.store else "You belong to no store; name one."
        raise Invalid(FieldProblem(field="store", detail=detail), code=Code.STORE_UNKNOWN)
    return store


async def _order_of(ctx: Context, form: OrderRecording, store: Row) -> PosOrder:
    completed_at = form.completed_at or ctx.now
    receipt = form.number.strip()
    external_id = _id_of(receipt, store, completed_at) if receipt else new_id()
    return PosOrder(
        external_id=str(external_id),
        number=receipt or f"H-{external_id.hex[-8:].upper()}",
        store=store["code"],
        completed_at=completed_at,
        currency=(await get_default_programme(fresh=True)).currency,
        lines=(
            PosLine(
                line_id="1",
                description="Written down at the till",
                category=form.category,
                net_minor=form.net_minor,
                tax_minor=form.tax_minor,
            ),
        ),
    )


def _id_of(receipt: str, store: Row, at: datetime) -> UUID:
    """Return the same id for the same receipt of a day, so that two people cannot write it down twice."""
    try:
        day = "" if at.tzinfo is None else at.astimezone(ZoneInfo(store["zone"])).date().isoformat()
    except OverflowError:
        day = ""  # At either end of the calendar, and refused with the sale.
    return uuid5(_RECEIPTS, f"{store['code']}/{day}/{receipt}")


async def _check_receipt(number: str, store: Row, at: datetime) -> None:
    """Refuse a receipt that a till or somebody at a console has told of on that day."""
    receipt = number.strip()
    if not receipt:
        return
    zone = ZoneInfo(store["zone"])
    day = at.astimezone(zone).date()
    from_at, until_at = (datetime.combine(one, time(), zone) for one in (day, day + timedelta(days=1)))
    known = await recording_store.find_known(receipt, store["code"], from_at, until_at)
    if known is not None:
        raise _Known(receipt, known)


async def _check_window(ctx: Context, staff: Staff, sale: Sale) -> None:
    is_manager = may(staff.role, Permission.ORDER_ASSIGN_LATE)
    late_attach_days, reassign_days = await assignment_store.get_windows(sale.programme.id, is_manager=is_manager)
    days = window_of("attached", late_attach_days=late_attach_days, reassign_days=reassign_days)
    if ctx.now - sale.order.completed_at > timedelta(days=days):
        detail = f"This sale is older than {days} days" + ("." if is_manager else "; ask a manager.")
        raise Refused(Code.ASSIGNMENT_WINDOW, detail, data={"days": days})


async def _check_size(ctx: Context, staff: Staff, points: int) -> None:
    """Refuse what is more than a cashier may write down: points can be made this way."""
    if points > LATE_POINTS_MAX:
        raise NotPermitted(f"Sales of more than {LATE_POINTS_MAX} points are for a manager.")
    await recording_store.lock_staff(staff.staff_id)
    if await recording_store.sum_recorded(staff.staff_id, ctx.now - _DAY) + points > RECORD_DAY_POINTS_MAX:
        raise NotPermitted(f"More than {RECORD_DAY_POINTS_MAX} points in 24 hours are for a manager to write down.")
