"""HTTP of orders: the till's push and look-up, the lists of members and staff."""

from typing import Annotated

import msgspec
from litestar import Response

from server.decoding import Pieces
from server.errors import Invalid
from server.http import Call, operation, reply_response
from server.idempotency import StoredReply
from server.orders import assignments, differences, receipts, recording, service
from server.problems import problem_in_batch
from server.tokens import hash_token
from shared.limits import ORDER_BATCH_MAX
from shared.members import OrderPage
from shared.orders import (
    AssignmentApplied,
    AssignmentPreview,
    OrderAssignment,
    OrderDifferencePage,
    OrderRecorded,
    OrderRecording,
    RecordingPreview,
    StaffOrderDetail,
    StaffOrderPage,
)
from shared.pos import PosCustomer, PosLookup, PosOrder, PosOrderBatchResult, PosOrderOutcome
from shared.problems import FieldProblem


@operation("push_order", checks_itself=True)
async def push_order(call: Call) -> Response[bytes]:
    """Take a completed sale and answer how many points it earned and why, line by line."""
    token = call.bearer_token()
    reply = await service.push_order(
        call.ctx,
        token=token,
        call=call.idempotent_call(principal=f"key:{hash_token(token).hex()[:32]}"),
        order=call.message(PosOrder),
    )
    return reply_response(reply)


async def _with_codes(call: Call, reply: StoredReply) -> StoredReply:
    return await receipts.add_codes(call.ctx, call.sent(PosOrder), reply)


class _OrderPieces(Pieces, frozen=True, kw_only=True):
    orders: Annotated[tuple[msgspec.Raw, ...], msgspec.Meta(min_length=1, max_length=ORDER_BATCH_MAX)]


@operation("push_orders", complete=_with_codes, each=(_OrderPieces, PosOrder))
async def push_orders(call: Call) -> PosOrderBatchResult:
    """Take up to 500 sales at once; each is accepted or refused by itself, and the answer says which.

    A sale that is not as described (a line too many, a field of another type) is refused like any other: its problem names
    the field within it, and its place in the batch as `data.index`.
    """
    outcomes = await service.push_orders(call.ctx, call.key, call.sent(PosOrder))
    results = tuple(
        PosOrderOutcome(
            external_id=outcome.external_id,
            order=outcome.result,
            problem=problem_in_batch(outcome.refusal, index) if outcome.refusal else None,
        )
        for index, outcome in enumerate(outcomes)
    )
    accepted = sum(result.problem is None for result in results)
    return PosOrderBatchResult(accepted=accepted, refused=len(results) - accepted, results=results)


@operation("pos_lookup")
async def pos_lookup(call: Call) -> PosLookup:
    """Greet a customer by card or proven email: first name, tier, spendable points; nothing else."""
    card, email = call.query("card"), call.query("email")
    if bool(card) == bool(email):
        raise Invalid(FieldProblem(field="card", detail="Give exactly one of card and email."))
    return await service.look_up(call.ctx, PosCustomer(card_number=card or None, email=email or None))


@operation("list_my_orders")
async def list_my_orders(call: Call) -> OrderPage:
    """List the member's own orders, newest first, with what each line earned."""
    return await service.list_orders(call.member.customer_id, cursor=call.query("cursor"), limit=call.page_size())


@operation("list_customer_orders")
async def list_customer_orders(call: Call) -> OrderPage:
    """List a customer's orders, for staff."""
    customer_id = call.path_id("customer_id")
    return await service.list_orders(customer_id, cursor=call.query("cursor"), limit=call.page_size())


@operation("find_orders")
async def find_orders(call: Call) -> StaffOrderPage:
    """Find orders by receipt number, or list those of a store's day that count for nobody."""
    return await assignments.list_orders(
        number=call.query("number"),
        store_code=call.query("store"),
        day=call.query("day"),
        cursor=call.query("cursor"),
        limit=call.page_size(),
    )


@operation("get_order")
async def get_order(call: Call) -> StaffOrderDetail:
    """Show an order with its lines and why each earned what it earned."""
    order_id = call.path_id("order_id")
    return await service.get_order(order_id)


@operation("preview_recording")
async def preview_recording(call: Call) -> RecordingPreview:
    """Show what a sale written down by hand would earn its customer."""
    return await recording.preview(call.ctx, call.staff, call.message(OrderRecording))


@operation("record_order")
async def record_order(call: Call) -> OrderRecorded:
    """Write a sale down that no till sends; its points are posted at once.

    Should a till send it within two weeks, with the same receipt number, store, day, money and customer, or without a
    customer, that sale takes its place within the hour.
    """
    return await recording.record_order(call.ctx, call.staff, call.message(OrderRecording))


@operation("list_order_differences")
async def list_order_differences(call: Call) -> OrderDifferencePage:
    """List orders that a person gave to somebody, or took away, and that their till still sends for somebody else."""
    return await differences.list_page(cursor=call.query("cursor"), limit=call.page_size())


@operation("preview_assignment")
async def preview_assignment(call: Call) -> AssignmentPreview:
    """Show what giving an order to a customer, to another one or to nobody would do to points."""
    order_id = call.path_id("order_id")
    return await assignments.preview(call.ctx, call.staff, order_id, call.message(OrderAssignment))


@operation("assign_order")
async def assign_order(call: Call) -> AssignmentApplied:
    """Give an order to a customer, to another one or to nobody; its points follow by the rules of its time."""
    order_id = call.path_id("order_id")
    return await assignments.assign(call.ctx, call.staff, order_id, call.message(OrderAssignment))
