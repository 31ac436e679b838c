"""HTTP of adjustments."""

from uuid import UUID

from litestar import Response

from server.adjustments import service
from server.errors import Invalid
from server.http import Call, operation, reply_response
from shared.adjustments import (
    AdjustmentDecision,
    AdjustmentPage,
    AdjustmentPreview,
    AdjustmentRefusal,
    AdjustmentRequest,
    AdjustmentState,
    AdjustmentUndo,
    AdjustmentUndoPreview,
    AdjustmentView,
)
from shared.problems import FieldProblem


@operation("preview_adjustment")
async def preview_adjustment(call: Call) -> AdjustmentPreview:
    """Show what giving or taking points by hand would do, and whether somebody else must approve it."""
    return await service.preview(call.ctx, call.staff, call.path_id("customer_id"), call.message(AdjustmentRequest))


@operation("adjust_points")
async def adjust_points(call: Call) -> AdjustmentView:
    """Give or take points by hand, by a signed number; above the limits this asks for a second person."""
    return await service.adjust(call.ctx, call.staff, call.path_id("customer_id"), call.message(AdjustmentRequest))


@operation("list_adjustments")
async def list_adjustments(call: Call) -> AdjustmentPage:
    """List adjustments, newest first; `state` and `customer_id` narrow it, and cashiers see their own."""
    wanted = call.query("state")
    try:
        state = AdjustmentState(wanted) if wanted else None
    except ValueError as error:
        words = f"One of {', '.join(AdjustmentState)}."
        raise Invalid(FieldProblem(field="state", detail=words)) from error
    customer = call.query("customer_id")
    try:
        customer_id = UUID(customer) if customer else None
    except ValueError as error:
        raise Invalid(FieldProblem(field="customer_id", detail="This is not an id.")) from error
    return await service.list_page(
        call.ctx,
        call.staff,
        cursor=call.query("cursor"),
        limit=call.page_size(),
        state=state,
        customer_id=customer_id,
    )


@operation("approve_adjustment", checks_itself=True)
async def approve_adjustment(call: Call) -> Response[bytes]:
    """Approve what somebody else asked for; `preview_hash` says what was looked at, the password who looked."""
    await call.authenticate()
    identity = call.idempotent_call()
    form = call.message(AdjustmentDecision)
    return reply_response(
        await service.approve(call.ctx, call.staff, identity, adjustment_id=call.path_id("adjustment_id"), form=form)
    )


@operation("refuse_adjustment")
async def refuse_adjustment(call: Call) -> AdjustmentView:
    """Refuse what somebody else asked for."""
    return await service.refuse(
        call.ctx, call.staff, call.path_id("adjustment_id"), call.message(AdjustmentRefusal).reason
    )


@operation("preview_adjustment_undo")
async def preview_adjustment_undo(call: Call) -> AdjustmentUndoPreview:
    """Show what taking an adjustment back would do."""
    return await service.preview_undo(call.ctx, call.staff, call.path_id("adjustment_id"))


@operation("undo_adjustment")
async def undo_adjustment(call: Call) -> AdjustmentView:
    """Take an adjustment back: one's own within 60 seconds, as a manager within 24 hours."""
    return await service.undo(call.ctx, call.staff, call.path_id("adjustment_id"), call.message(AdjustmentUndo))
