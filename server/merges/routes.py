"""HTTP of merges."""

from uuid import UUID

from server.errors import Invalid
from server.http import Call, operation
from server.merges import service
from shared.merges import (
    MergeDecision,
    MergeDispute,
    MergeDisputed,
    MergePage,
    MergePreview,
    MergeRefusal,
    MergeRequest,
    MergeState,
    MergeUndo,
    MergeUndone,
    MergeUndoPreview,
    MergeView,
)
from shared.problems import FieldProblem


@operation("preview_merge")
async def preview_merge(call: Call) -> MergePreview:
    """Show two customers side by side, whose fields stay, and what making them one would do."""
    return await service.preview(call.ctx, call.staff, call.message(MergeRequest))


@operation("merge_customers")
async def merge_customers(call: Call) -> MergeView:
    """Make two customers one, or ask a second person where that is needed."""
    return await service.merge(call.ctx, call.staff, call.message(MergeRequest))


@operation("list_merges")
async def list_merges(call: Call) -> MergePage:
    """List merges, newest first; `state` or `customer_id` narrows it."""
    state = call.query("state")
    if state and state not in {*MergeState}:
        raise Invalid(FieldProblem(field="state", detail=f"One of {', '.join(MergeState)}."))
    customer = call.query("customer_id")
    try:
        customer_id = UUID(customer) if customer else None
    except ValueError as error:
        raise Invalid(FieldProblem(field="customer_id", detail="This is not an id.")) from error
    return await service.list_merges(state, customer_id, cursor=call.query("cursor"), limit=call.page_size())


@operation("get_merge")
async def get_merge(call: Call) -> MergeView:
    """Show a merge; of one that waits, what it would do now."""
    return await service.get_merge(call.ctx, call.path_id("merge_id"))


@operation("approve_merge")
async def approve_merge(call: Call) -> MergeView:
    """Carry out a merge that somebody else asked for."""
    return await service.approve(call.ctx, call.staff, call.path_id("merge_id"), call.message(MergeDecision))


@operation("refuse_merge")
async def refuse_merge(call: Call) -> MergeView:
    """Refuse a merge that somebody else asked for."""
    return await service.refuse(call.ctx, call.staff, call.path_id("merge_id"), call.message(MergeRefusal).reason)


@operation("preview_undo_merge")
async def preview_undo_merge(call: Call) -> MergeUndoPreview:
    """Show what taking a merge back would do, and what does not come back."""
    return await service.preview_undo(call.ctx, call.staff, call.path_id("merge_id"), call.message(MergeUndo))


@operation("undo_merge")
async def undo_merge(call: Call) -> MergeUndone:
    """Make two customers of one again, within 30 days."""
    return await service.undo(call.ctx, call.staff, call.path_id("merge_id"), call.message(MergeUndo))


@operation("dispute_merge")
async def dispute_merge(call: Call) -> MergeDisputed:
    """Say with the mailed link that the other customer is somebody else; no points are spent until staff have looked."""
    return await service.dispute(call.ctx, call.message(MergeDispute).token)
