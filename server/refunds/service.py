"""Use cases of refunds.

Locks are taken in the order of everything else: the refund's own row, people, memberships, the order, vouchers. All refunds
of an order pass through its lock, so their sum is exact whatever comes at once.
"""

import asyncio
import hashlib
from collections.abc import Container
from datetime import UTC
from uuid import UUID

import msgspec

from server.audit.store import record
from server.auth import Key
from server.context import Context, Tools, system_context
from server.cursors import cut_page, decode_cursor
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import Busy, Invalid, NotPermitted, Refused
from server.logs import get_logger
from server.memberships.store import lock_memberships
from server.orders import change_store, changes, return_store
from server.orders.batch_store import hold_people
from server.orders.differences import resolve
from server.orders.postings import Posting, TakenBack, take_back
from server.orders.returns import ReturnedLine, SoldLine
from server.orders.rules import plain_customer, plain_quantity
from server.orders.store import store_exists, touch_key
from server.orders.visits import find_visit
from server.refunds import rules, store
from server.refunds.rules import Back, Paid, RefundPlan
from server.rewards.hold_store import list_of_sales
from server.rewards.holds import LatePayment, undo_capture
from shared.enums import EntryKind, OrderState
from shared.limits import REFUND_PARKED_MAX
from shared.problems import Code, FieldProblem
from shared.refunds import PosRefund, PosRefundResult, RefundLinePoints, RefundPage, RefundState, RefundView
from shared.rewards import HoldState, RewardKind

log = get_logger()

_SWEEP_AT_ONCE = 200


async def take_refund(ctx: Context, key: Key, form: PosRefund) -> PosRefundResult:
    """Take a refund from a till, once, in the caller's transaction, and answer what it did.

    Raises:
        NotPermitted: The key is not for this store.
        Invalid: A field is wrong; it is named. STORE_UNKNOWN, CURRENCY_MISMATCH, TIME_OUT_OF_RANGE.
        Refused: OVER_REFUND, REFUND_CONFLICT.
        Busy: The order was changed by somebody else just now.
    """
    rules.check_refund(form, ctx.now)
    if key.stores and form.store not in key.stores:
        raise NotPermitted("This key is not for this store.")
    if not await store_exists(form.store):
        raise Invalid(FieldProblem(field="store", detail="We do not know this store."), code=Code.STORE_UNKNOWN)
    content_hash = _hash_content(form)
    order = await _find_original(key.connection_id, form.original_order)
    refund_id, customer_id = new_id(), await _hold_named(ctx, key, form, order)
    if not await store.insert_refund(
        refund_id, key.connection_id, form, customer_id=customer_id, content_hash=content_hash, now=ctx.now
    ):
        return await _first_result(key, form, content_hash)
    await touch_key(key.key_id, ctx.now.date())
    if order is None:
        await record(ctx, "refund.parked", subject_kind="refund", subject_id=refund_id)
    else:
        await post(ctx, refund_id, order)
    return await _result(refund_id)


async def post_parked(tools: Tools) -> int:
    """Post the refunds whose sale has come since, each in a transaction of its own, and return how many had an effect.

    One that does not fit its sale, or that fails for any other reason, is refused with that reason and left for a person;
    the others go on. It may run any time and any number of times.
    """
    ctx = system_context(tools)
    count, after = 0, None
    while due := await store.list_due(after, _SWEEP_AT_ONCE):
        for row in due:
            # Gathered, so that what nobody has foreseen about one refund does not keep the others waiting.
            (posted,) = await asyncio.gather(_post_one(ctx, row["id"], row["order"]), return_exceptions=True)
            if isinstance(posted, Exception):
                log.error("refund_failed", refund_id=str(row["id"]), exc_info=posted)
                await _refuse(ctx, row["id"], Code.INTERNAL)
            elif isinstance(posted, BaseException):
                raise posted
            else:
                count += posted
        after = due[-1]["id"]
    return count


async def give_back_late(tools: Tools, payload: bytes) -> None:
    """Give back what pays for goods that had come back before the till told that it pays; a handler of the worker.

    It may run any number of times, as what is back already counts.

    Raises:
        Busy: Somebody else changed the sale just now.
    """
    late = msgspec.json.decode(payload, type=LatePayment)
    ctx = system_context(tools)
    async with DB.transaction():
        found = await change_store.find_order(late.order_id)
        assert found is not None, "orders are never deleted"
        order, holds = await _lock_all(ctx, found)
        refund_id = await store.find_newest(order["id"])
        assert refund_id is not None, "something of the sale came back"
        sold, returned = await store.list_sold(order["id"]), await return_store.list_returned(order["id"])
        restored = await _restore(
            ctx,
            order,
            holds,
            _wanted(sold, returned, holds),
            rules.list_back(sold, returned),
            source_key=f"refund:{refund_id}:late:{late.hold_id}",
        )
        await store.add_restored(refund_id, restored)
        await record(
            ctx,
            "refund.paid_late",
            subject_kind="refund",
            subject_id=refund_id,
            customer_id=order["customer"],
            details={"order": order["id"], "points_restored": restored},
        )
        await changes.mark_memberships(ctx, *(hold["heir"] for hold in holds))


async def list_refunds(ctx: Context, which: str, *, cursor: str, limit: int) -> RefundPage:
    """Return a page of refunds, newest first; `which` is as in `store.list_refunds`.

    Raises:
        Invalid: The cursor is not one of ours.
    """
    rows = await store.list_refunds(
        which, parked_before=ctx.now - REFUND_PARKED_MAX, before=decode_cursor(cursor), limit=limit + 1
    )
    page, next_cursor = cut_page(rows, limit, at="created_at")
    return RefundPage(
        items=tuple(refund_view(ctx, row) for row in page),
        next_cursor=next_cursor,
    )


def _hash_content(form: PosRefund) -> bytes:
    """Return the SHA-256 of a refund, however it is written; of one that names nobody the same as before it could."""
    lines = [
        line if line.quantity is None else msgspec.structs.replace(line, quantity=plain_quantity(line.quantity))
        for line in form.lines
    ]
    fields = msgspec.structs.asdict(form) | {"completed_at": form.completed_at.astimezone(UTC), "lines": lines}
    if form.customer is None:
        del fields["customer"]
    else:
        fields["customer"] = plain_customer(form.customer)
    return hashlib.sha256(msgspec.json.encode(fields)).digest()


async def _hold_named(ctx: Context, key: Key, form: PosRefund, order: Row | None) -> UUID | None:
    """Return whom the till names; held with all others whom the refund concerns, as writing it locks them.

    It names nobody mostly; then the others are held with their memberships, in the same order.
    """
    if form.customer is None:
        return None
    (customer_id,) = await resolve(key.connection_id, [form.customer])
    if customer_id is not None and order is not None:
        await hold_people({customer_id}, await _list_touched(ctx, order))
    return customer_id


async def _first_result(key: Key, form: PosRefund, content_hash: bytes) -> PosRefundResult:
    sent = await store.find_sent(key.connection_id, form.external_id)
    assert sent is not None, "the insert conflicted with this refund, and refunds are never deleted"
    if sent["content_hash"] != content_hash:
        raise Refused(Code.REFUND_CONFLICT)
    return await _result(sent["id"])


async def _find_original(connection_id: UUID, external_id: str | None) -> Row | None:
    """Return the sale that goods came back from, None if it is not there or not completed yet."""
    if external_id is None:
        return None
    order = await change_store.find_by_external_id(connection_id, external_id)
    return None if order is None or order["state"] == OrderState.OPEN else order


async def _post_one(ctx: Context, refund_id: UUID, order_id: UUID) -> bool:
    try:
        async with DB.transaction():
            order = await change_store.find_order(order_id)
            assert order is not None, "orders are never deleted"
            return await post(ctx, refund_id, order)
    except Busy:
        # The next run finds it again.
        return False
    except Refused as refusal:
        await _refuse(ctx, refund_id, refusal.code)
        return False


async def _refuse(ctx: Context, refund_id: UUID, code: Code) -> None:
    async with DB.transaction():
        if await store.refuse_parked(refund_id, code):
            await record(ctx, "refund.refused", subject_kind="refund", subject_id=refund_id, details={"code": code})


async def post(
    ctx: Context, refund_id: UUID, found: Row, *, states: Container[RefundState] = (RefundState.PARKED,)
) -> bool:
    """Give a refund in one of these states its effect on an order, in the caller's transaction; False if it is in none.

    Raises:
        Invalid: A line is not one of the order; CURRENCY_MISMATCH.
        Refused: OVER_REFUND.
        Busy: The order was changed by somebody else just now.
    """
    locked = await store.lock_refund(refund_id)
    assert locked is not None, "refunds are never deleted"
    if RefundState(locked["state"]) not in states:
        return False
    order, holds = await _lock_all(ctx, found)
    _check_order(order, locked)
    sold, before = await store.list_sold(order["id"]), await return_store.list_returned(order["id"])
    refunded = [store.returned_line(row) for row in await store.list_lines(refund_id)]
    visit = await find_visit(order, sold)
    plan = rules.plan_refund(sold, before, refunded, points_before=order["points_returned"], visit=visit)
    wanted = _wanted(sold, [*before, *refunded], holds)
    restored = await _restore(ctx, order, holds, wanted, plan.back, source_key=f"refund:{refund_id}")
    posted = await _take_back(ctx, refund_id, order, plan, restored)
    await return_store.set_points_returned(order["id"], plan.points_returned)
    if order["points"] and plan.points_returned == order["points"]:
        await changes.take_bonuses_of_gone(ctx, order, source_key=f"refund:{refund_id}")
    await store.post_refund(refund_id, order["id"], posted, ctx.now)
    await record(
        ctx,
        "refund.posted",
        subject_kind="refund",
        subject_id=refund_id,
        customer_id=order["customer"],
        details={"order": order["id"], "points_taken": posted.taken, "points_restored": posted.restored},
    )
    await changes.mark_memberships(ctx, order["heir"], *order["away"], *(hold["heir"] for hold in holds))
    return True


async def _lock_all(ctx: Context, found: Row) -> tuple[Row, list[Row]]:
    """Lock the memberships of an order's points and of what paid for it, all at once, as they go by id; then the order.

    Returns:
        The order, and what paid for it, in the order in which it is given back: the points that were set aside last come
        first, vouchers by their ids.

    Raises:
        Busy: Somebody else changed one of them just now.
    """
    seen = await _list_touched(ctx, found)
    for membership in await lock_memberships(list(seen)):
        if membership["successor"] is not None:
            raise Busy
    order = await changes.lock_whole(found)
    # What paid is read again under the locks: a till may have captured, or a member left, between the look and the lock.
    holds = await _list_captured(ctx, order)
    if not {hold["heir"] for hold in holds} <= seen:
        raise Busy
    points = [hold for hold in holds if hold["voucher"] is None]
    vouchers = [hold for hold in holds if hold["voucher"] is not None]
    return order, [*reversed(points), *sorted(vouchers, key=lambda hold: hold["voucher"])]


async def _list_touched(ctx: Context, order: Row) -> set[UUID]:
    """Return the memberships of an order's points, and of what paid for it."""
    return {order["heir"], *order["away"], *(hold["heir"] for hold in await _list_captured(ctx, order))} - {None}


async def _list_captured(ctx: Context, order: Row) -> list[Row]:
    holds = await list_of_sales(order["connection"], [order["external_id"]], ctx.now)
    return [hold for hold in holds if hold["state"] == HoldState.CAPTURED]


def _check_order(order: Row, refund: Row) -> None:
    if order["state"] == OrderState.VOIDED:
        raise Refused(Code.OVER_REFUND, "The sale was voided: all of it has been taken back.")
    if order["currency"] != refund["currency"]:
        field = FieldProblem(field="currency", detail=f"The sale was in {order['currency']}.")
        raise Invalid(field, code=Code.CURRENCY_MISMATCH)


def _wanted(sold: list[SoldLine], returned: list[ReturnedLine], holds: list[Row]) -> int:
    """Return how many of the points that paid for the sale are back after this refund."""
    by_points = [hold for hold in holds if hold["voucher"] is None]
    paid = Paid(
        points=sum(hold["points"] for hold in by_points), amount_minor=sum(hold["amount_minor"] for hold in by_points)
    )
    return rules.plan_restored(sold, returned, paid)


async def _restore(ctx: Context, order: Row, holds: list[Row], wanted: int, back: Back, *, source_key: str) -> int:
    """Give back points that paid for what came back.

    A voucher is good again once nothing is left of the sale, or of the article that it stands for.
    """
    left = wanted - await store.get_restored(order["id"])
    restored = 0
    for hold in holds:
        # Read each time, as what is given back fills a deficit first.
        membership = await change_store.get_membership(hold["heir"])
        if hold["voucher"] is not None:
            is_product_back = hold["kind"] == RewardKind.PRODUCT and hold["sku"] in back.skus
            if back.is_whole or is_product_back:
                await undo_capture(ctx, membership, hold["id"], source_key=source_key)
        elif left > restored:
            given = await undo_capture(ctx, membership, hold["id"], source_key=source_key, points=left - restored)
            restored += given
    return restored


async def _take_back(ctx: Context, refund_id: UUID, order: Row, plan: RefundPlan, restored: int) -> store.Posted:
    back = TakenBack()
    if plan.points:
        posting = Posting(
            order_id=order["id"],
            customer_id=order["customer"],
            kind=EntryKind.CLAWBACK,
            source_key=f"refund:{refund_id}",
            reason_code="refunded",
        )
        back = await take_back(ctx, order["heir"], plan.points, posting)
    assert back.points + back.exempt == plan.points, "an order has in its membership what it earned and still has"
    return store.Posted(
        taken=back.points,
        exempt=back.exempt,
        owed=back.owed,
        written_off=back.written_off,
        restored=restored,
        points_by_line=plan.points_by_line,
    )


async def _result(refund_id: UUID) -> PosRefundResult:
    refund = await store.find_refund(refund_id)
    lines = await store.list_lines(refund_id)
    return PosRefundResult(
        refund_id=refund_id,
        state=RefundState(refund["state"]),
        order_id=refund["order"],
        points_taken=refund["points_taken"],
        points_exempt=refund["points_exempt"],
        points_owed=refund["points_owed"],
        points_written_off=refund["points_written_off"],
        points_restored=refund["points_restored"],
        lines=tuple(RefundLinePoints(line_id=row["line_id"], points=row["points"]) for row in lines),
    )


def refund_view(ctx: Context, row: Row) -> RefundView:
    """Return a row of `store.list_refunds` as staff see it."""
    state = RefundState(row["state"])
    is_late = state is RefundState.PARKED and ctx.now - row["created_at"] > REFUND_PARKED_MAX
    names = (
        "id", "external_id", "store_name", "order_number", "completed_at", "posted_at", "currency", "points_taken",
        "points_exempt", "points_owed", "points_written_off", "points_restored", "resolved_at", "resolved_reason",
        "customer_differs",
    )  # fmt: skip
    return RefundView(
        **{name: row[name] for name in names},
        original_order=row["original_external_id"],
        order_id=row["order"],
        received_at=row["created_at"],
        state=state,
        needs_person=is_late or state in (RefundState.BLIND, RefundState.REFUSED),
        refused_for=Code(row["refused_for"]) if row["refused_for"] else None,
    )
