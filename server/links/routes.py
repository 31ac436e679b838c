"""HTTP of POS records, links, the exchange with till systems, and its webhooks."""

from typing import Annotated

import msgspec
from litestar import Response

from server.decoding import Pieces, read_body
from server.http import Call, operation
from server.links import desk, directory, disputes, doctor, finding, hooks, reports, todos
from server.problems import problem_in_batch
from shared.limits import HOOK_BYTES_MAX, POS_RECORD_BATCH_MAX
from shared.links import (
    CustomerLinks,
    CycleAsked,
    CycleRequest,
    Cycles,
    LinkApproval,
    LinkDiagnosis,
    LinkDispute,
    LinkDisputed,
    LinkEnding,
    LinkEndingPreview,
    LinkMade,
    LinkPreview,
    LinkRequest,
    LinkReviewPage,
    MyLinkDiagnosis,
    PosRecord,
    PosRecordBatchOutcome,
    PosRecordBatchResult,
    PosRecordResult,
    PosTodoDone,
    PosTodoPage,
    PosTodoView,
    QuarantinePage,
    RecordHits,
    RecordTaken,
    RecordTaking,
    ReviewSettling,
    WaitingLinkPage,
)


@operation("push_pos_customer")
async def push_pos_customer(call: Call) -> PosRecordResult:
    """Take what a till knows of a customer; sent again it changes nothing, an older state neither."""
    (taken,) = await directory.push_records(call.ctx, call.key, [call.message(PosRecord)])
    if taken.refusal is not None:
        raise taken.refusal
    assert taken.result is not None
    return taken.result


class _RecordPieces(Pieces, frozen=True, kw_only=True):
    customers: Annotated[tuple[msgspec.Raw, ...], msgspec.Meta(min_length=1, max_length=POS_RECORD_BATCH_MAX)]


@operation("push_pos_customers", each=(_RecordPieces, PosRecord))
async def push_pos_customers(call: Call) -> PosRecordBatchResult:
    """Take up to 500 customer records of a till; each is accepted or refused by itself, and the answer says which.

    One that is not as described is refused like any other: its problem names the field within it, and its place in the
    batch as `data.index`.
    """
    taken = await directory.push_records(call.ctx, call.key, call.sent(PosRecord))
    results = tuple(
        PosRecordBatchOutcome(
            external_id=one.external_id,
            record=one.result,
            problem=problem_in_batch(one.refusal, index) if one.refusal else None,
        )
        for index, one in enumerate(taken)
    )
    refused = sum(result.problem is not None for result in results)
    return PosRecordBatchResult(accepted=len(results) - refused, refused=refused, results=results)


@operation("search_pos_records")
async def search_pos_records(call: Call) -> RecordHits:
    """Find POS records by a part of an address, a name, a number, a card or the till's own id."""
    return await finding.search(call.ctx, call.query("q"))


@operation("take_pos_record")
async def take_pos_record(call: Call) -> RecordTaken:
    """Make a customer of a POS record that is nobody's; address and number stay unproven."""
    return await desk.take_record(call.ctx, call.staff, call.path_id("record_id"), call.message(RecordTaking))


@operation("get_customer_links")
async def get_customer_links(call: Call) -> CustomerLinks:
    """Show a customer's POS records: those in force, those that wait, those that are over, those to decide about."""
    return await finding.get_links(call.path_id("customer_id"))


@operation("preview_link")
async def preview_link(call: Call) -> LinkPreview:
    """Show what linking a POS record to a customer would do."""
    return await desk.preview_link(call.ctx, call.staff, call.path_id("customer_id"), call.message(LinkRequest))


@operation("make_link")
async def make_link(call: Call) -> LinkMade:
    """Link a POS record to a customer and post its former orders; what is large waits for a second person."""
    return await desk.make_link(call.ctx, call.staff, call.path_id("customer_id"), call.message(LinkRequest))


@operation("preview_link_approval")
async def preview_link_approval(call: Call) -> LinkPreview:
    """Show what granting a link that somebody else asked for would do now."""
    return await desk.preview_approval(call.ctx, call.staff, call.path_id("link_id"))


@operation("approve_link")
async def approve_link(call: Call) -> LinkMade:
    """Grant a link that somebody else asked for; `preview_hash` says what was looked at."""
    return await desk.approve_link(call.ctx, call.staff, call.path_id("link_id"), call.message(LinkApproval))


@operation("preview_link_end")
async def preview_link_end(call: Call) -> LinkEndingPreview:
    """Show what ending a link would do."""
    return await desk.preview_ending(call.ctx, call.staff, call.path_id("link_id"), call.message(LinkEnding))


@operation("end_link")
async def end_link(call: Call) -> LinkMade:
    """End a link; its orders stay with the customer unless they are taken back."""
    return await desk.end_link(call.ctx, call.staff, call.path_id("link_id"), call.message(LinkEnding))


@operation("list_waiting_links")
async def list_waiting_links(call: Call) -> WaitingLinkPage:
    """List the links that wait for a second person, oldest first."""
    return await finding.list_waiting(cursor=call.query("cursor"), limit=call.page_size())


@operation("list_link_reviews")
async def list_link_reviews(call: Call) -> LinkReviewPage:
    """List the matches that only a person may decide, oldest first."""
    return await finding.list_reviews(cursor=call.query("cursor"), limit=call.page_size())


@operation("settle_link_review")
async def settle_link_review(call: Call) -> None:
    """Close a match that needs nobody any more."""
    await finding.settle_review(call.ctx, call.path_id("review_id"), call.message(ReviewSettling))


@operation("list_pos_todos")
async def list_pos_todos(call: Call) -> PosTodoPage:
    """List what is to be done in tills, oldest first; with `state=done` what was done, newest first."""
    return await todos.list_todos(state=call.query("state"), cursor=call.query("cursor"), limit=call.page_size())


@operation("finish_pos_todo")
async def finish_pos_todo(call: Call) -> PosTodoView:
    """Note that something was done in the till."""
    return await todos.mark_done(call.ctx, call.path_id("todo_id"), call.message(PosTodoDone))


@operation("reopen_pos_todo")
async def reopen_pos_todo(call: Call) -> PosTodoView:
    """Note that something was not done in the till after all."""
    return await todos.mark_open(call.ctx, call.path_id("todo_id"))


@operation("dispute_link")
async def dispute_link(call: Call) -> LinkDisputed:
    """End a link with the mailed "not me" link; no points of the account are spent until staff have looked."""
    return await disputes.dispute(call.ctx, call.message(LinkDispute).token)


@operation("diagnose_links")
async def diagnose_links(call: Call) -> LinkDiagnosis:
    """Say why a customer's purchases are missing, and what puts it right."""
    return await doctor.diagnose(call.ctx, call.path_id("customer_id"))


@operation("diagnose_my_links")
async def diagnose_my_links(call: Call) -> MyLinkDiagnosis:
    """Say why the member's purchases are missing."""
    return await doctor.diagnose_mine(call.ctx, call.member.customer_id)


@operation("list_cycles")
async def list_cycles(call: Call) -> Cycles:
    """Show how the exchange with every till system is doing, and its latest runs."""
    return await reports.list_cycles(call.ctx)


@operation("run_cycle")
async def run_cycle(call: Call) -> CycleAsked:
    """Let the exchange with till systems run now."""
    return await reports.ask(call.ctx, call.message(CycleRequest))


@operation("list_quarantined")
async def list_quarantined(call: Call) -> QuarantinePage:
    """List what was fetched and could not be posted, newest first, with the reason."""
    return await reports.list_quarantined(cursor=call.query("cursor"), limit=call.page_size())


@operation("square_hook")
async def square_hook(call: Call) -> Response[bytes]:
    """Take an event of Square; its signature is the credential, and what it says is fetched later."""
    body = await read_body(call.request, HOOK_BYTES_MAX)
    signature = call.request.headers.get("x-square-hmacsha256-signature", "")
    await hooks.take_square_event(call.ctx, body=body, signature=signature)
    return Response(b"", status_code=204, headers={"Cache-Control": "no-store"})
