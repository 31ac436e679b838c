"""HTTP of refunds: the till's push and the list that staff work through."""

from server.errors import Invalid
from server.http import Call, operation
from server.refunds import service
from shared.problems import FieldProblem
from shared.refunds import PosRefund, PosRefundResult, RefundPage, RefundState


@operation("push_refund")
async def push_refund(call: Call) -> PosRefundResult:
    """Take a refund and answer how many points it took back, line by line, and how many it gave back."""
    return await service.take_refund(call.ctx, call.key, call.message(PosRefund))


@operation("list_refunds")
async def list_refunds(call: Call) -> RefundPage:
    """List refunds, newest first; `state` narrows it, as to those that wait for their sale."""
    state = call.query("state")
    if state and state not in {*RefundState}:
        raise Invalid(FieldProblem(field="state", detail=f"One of {', '.join(RefundState)}."))
    return await service.list_refunds(call.ctx, state, cursor=call.query("cursor"), limit=call.page_size())
