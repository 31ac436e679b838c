"""Staff settle refunds that will not come right by waiting: they name the sale, or dismiss the refund.

A preview is the execution, taken back: both run the same steps.
"""

import hashlib
from typing import Final
from uuid import UUID

import msgspec

from server.audit.store import record
from server.auth import Staff
from server.context import Context
from server.db.engine import DB, Row
from server.db.rehearsal import rehearse
from server.errors import Invalid, NotFound, Refused
from server.orders import assignment_store, change_store
from server.orders.assignments import check_not_self, staff_order
from server.refunds import service, store
from shared.enums import OrderState
from shared.orders import StaffOrder
from shared.problems import Code, FieldProblem
from shared.refunds import (
    RefundAttachment,
    RefundAttachmentPreview,
    RefundLinePoints,
    RefundState,
    RefundView,
)

_OPEN: Final = frozenset({RefundState.PARKED, RefundState.BLIND, RefundState.REFUSED})


async def preview(ctx: Context, staff: Staff, refund_id: UUID, form: RefundAttachment) -> RefundAttachmentPreview:
    """Return what a refund would do to a sale.

    Raises:
        NotFound: There is no such refund or sale.
        Refused: SELF_DEALING.
    """
    return await rehearse(_try(ctx, staff, refund_id, form.order_id))


async def attach(ctx: Context, staff: Staff, refund_id: UUID, form: RefundAttachment) -> RefundView:
    """Let a refund have its effect on the sale that a person has found, in the caller's transaction.

    There is no way back, as there is none from a refund that a till attaches: what it gave back may be spent or used at
    once, which no act may turn into a debt, and what later refunds of the sale took was worked out from it. A person who
    chose the wrong sale puts the points right by an adjustment.

    Raises:
        NotFound: There is no such refund or sale.
        Refused: PREVIEW_STALE, SELF_DEALING, REQUEST_CLOSED (it is settled already), or what the preview listed.
    """
    before = await _get(refund_id)
    order = await _get_order(staff, form.order_id)
    await _post(ctx, refund_id, order)
    if form.preview_hash != await _hash(before, order):
        raise Refused(Code.PREVIEW_STALE)
    await store.resolve(refund_id, staff.staff_id, form.reason, now=ctx.now)
    await record(
        ctx,
        "refund.attached",
        subject_kind="refund",
        subject_id=refund_id,
        customer_id=order["customer"],
        reason=form.reason,
        details={"order": order["id"], "state_before": before["state"]},
    )
    return service.refund_view(ctx, await store.get_view(refund_id))


async def dismiss(ctx: Context, staff: Staff, refund_id: UUID, reason: str) -> RefundView:
    """Say that a refund will have no effect; it can be taken up again.

    Raises:
        NotFound: There is no such refund.
        Refused: REQUEST_CLOSED, it is settled already.
    """
    async with DB.transaction():
        refund = await _lock(refund_id)
        if RefundState(refund["state"]) not in _OPEN:
            raise Refused(Code.REQUEST_CLOSED)
        await store.dismiss(refund_id, staff.staff_id, reason, now=ctx.now)
        await _record(ctx, "refund.dismissed", refund_id, reason)
        return service.refund_view(ctx, await store.get_view(refund_id))


async def reopen(ctx: Context, refund_id: UUID, reason: str) -> RefundView:
    """Take a dismissed refund up again, as it was before.

    Raises:
        NotFound: There is no such refund.
        Refused: REQUEST_CLOSED, it is not dismissed.
    """
    async with DB.transaction():
        refund = await _lock(refund_id)
        if refund["state"] != RefundState.DISMISSED:
            raise Refused(Code.REQUEST_CLOSED)
        await store.reopen(refund_id)
        await _record(ctx, "refund.reopened", refund_id, reason)
        return service.refund_view(ctx, await store.get_view(refund_id))


async def _try(ctx: Context, staff: Staff, refund_id: UUID, order_id: UUID) -> RefundAttachmentPreview:
    before = await _get(refund_id)
    order = await _get_order(staff, order_id)
    view = service.refund_view(ctx, await store.get_view(refund_id))
    shown = staff_order(await assignment_store.get_view(order_id))
    try:
        await _post(ctx, refund_id, order)
    except Refused as refusal:
        return _blocked(view, shown, refusal)
    done = await store.find_refund(refund_id)
    lines = await store.list_lines(refund_id)
    return RefundAttachmentPreview(
        refund=view,
        order=shown,
        points_taken=done["points_taken"],
        points_exempt=done["points_exempt"],
        points_owed=done["points_owed"],
        points_written_off=done["points_written_off"],
        points_restored=done["points_restored"],
        lines=tuple(RefundLinePoints(line_id=line["line_id"], points=line["points"]) for line in lines),
        blockers=(),
        preview_hash=await _hash(before, order),
    )


def _blocked(refund: RefundView, order: StaffOrder, refusal: Refused) -> RefundAttachmentPreview:
    words = [field.detail for field in refusal.fields] if isinstance(refusal, Invalid) else []
    return RefundAttachmentPreview(
        refund=refund,
        order=order,
        points_taken=0,
        points_exempt=0,
        points_owed=0,
        points_restored=0,
        lines=(),
        blockers=(refusal.detail or " ".join(words) or str(refusal.code),),
        # Nothing can be carried out with this; the hash is one that no execution has.
        preview_hash=hashlib.sha256(b"blocked").hexdigest(),
    )


async def _post(ctx: Context, refund_id: UUID, order: Row) -> None:
    if order["state"] == OrderState.OPEN:
        raise Invalid(FieldProblem(field="order_id", detail="This sale is not completed yet."))
    if not await service.post(ctx, refund_id, order, states=_OPEN):
        raise Refused(Code.REQUEST_CLOSED)


async def _get(refund_id: UUID) -> Row:
    if not await store.exists(refund_id):
        raise NotFound
    return await store.find_refund(refund_id)


async def _lock(refund_id: UUID) -> Row:
    refund = await store.lock_refund(refund_id)
    if refund is None:
        raise NotFound
    return refund


async def _get_order(staff: Staff, order_id: UUID) -> Row:
    order = await change_store.find_order(order_id)
    if order is None:
        raise NotFound("There is no such sale.")
    await check_not_self(staff, order, None, None)
    return order


async def _hash(before: Row, order: Row) -> str:
    """Return what must be the same at the execution: the refund and the sale as they were, and every figure."""
    done = await store.find_refund(before["id"])
    names = ("points_taken", "points_exempt", "points_owed", "points_written_off", "points_restored")
    figures = [done[name] for name in names]
    seen = (before["id"], before["state"], order["id"], order["revision"], order["assignment_version"], figures)
    return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()


async def _record(ctx: Context, action: str, refund_id: UUID, reason: str) -> None:
    await record(ctx, action, subject_kind="refund", subject_id=refund_id, reason=reason)
