"""HTTP of the duplicate queue. Merging a pair is an operation of merges."""

from uuid import UUID

from server.duplicates import service
from server.errors import Invalid
from server.http import Call, operation
from shared.duplicates import DuplicateDismissal, DuplicatePage, DuplicateState, DuplicateView
from shared.problems import FieldProblem


@operation("list_duplicates")
async def list_duplicates(call: Call) -> DuplicatePage:
    """List pairs of customers who may be one person, the likeliest first; `state` (open) and `customer_id` narrow it."""
    state = call.query("state", default=DuplicateState.OPEN)
    if state not in {*DuplicateState}:
        raise Invalid(FieldProblem(field="state", detail=f"One of {', '.join(DuplicateState)}."))
    customer = call.query("customer_id")
    try:
        customer_id = UUID(customer) if customer else None
    except ValueError as error:
        raise Invalid(FieldProblem(field="customer_id", detail="This is not an id.")) from error
    return await service.list_duplicates(
        call.ctx, DuplicateState(state), customer_id, cursor=call.query("cursor"), limit=call.page_size()
    )


@operation("dismiss_duplicate")
async def dismiss_duplicate(call: Call) -> DuplicateView:
    """Say that two customers are two people; the pair does not come back."""
    return await service.dismiss(
        call.ctx, call.staff, call.path_id("duplicate_id"), call.message(DuplicateDismissal).note
    )


@operation("reopen_duplicate")
async def reopen_duplicate(call: Call) -> DuplicateView:
    """Take back that two customers are two people."""
    return await service.reopen(call.ctx, call.path_id("duplicate_id"))
