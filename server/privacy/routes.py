"""HTTP of privacy."""

from typing import cast
from uuid import UUID

from litestar import Response
from litestar.response import Stream

from server.errors import Invalid
from server.http import Call, operation, reply_response
from server.privacy import erasure_requests, exports, retention
from server.privacy.exports import ExportFile
from shared.privacy import (
    DormantBatch,
    DormantErasing,
    DormantPreview,
    DormantSearch,
    ErasureCancelling,
    ErasureDecision,
    ErasureLink,
    ErasurePage,
    ErasurePreview,
    ErasureRequest,
    ErasureSettling,
    ErasureState,
    ErasureView,
    ExportDownload,
    ExportList,
    ExportRequest,
    ExportView,
    MyErasure,
    StaffErasureRequest,
    StaffExportRequest,
)
from shared.problems import FieldProblem

# Exports --------------------------------------------------------------------------------------------------------------


@operation("request_my_export", checks_itself=True)
async def request_my_export(call: Call) -> Response[bytes]:
    """Ask for a copy of everything held about the member; a mail tells when it is ready."""
    await call.authenticate()
    form = call.message(ExportRequest)
    return reply_response(await exports.request_mine(call.ctx, call.member, call.idempotent_call(), form))


@operation("list_my_exports")
async def list_my_exports(call: Call) -> ExportList:
    """List the member's copies, newest first."""
    return await exports.list_exports(call.ctx, call.member.customer_id)


@operation("get_my_export_file")
async def get_my_export_file(call: Call) -> Response[bytes]:
    """Send a copy as a ZIP, to a device on which the password was entered in the last ten minutes."""
    return _file(await exports.open_mine(call.ctx, call.member, call.path_id("export_id")))


@operation("download_export")
async def download_export(call: Call) -> Response[bytes]:
    """Send the copy that a mailed link is for, as a ZIP."""
    return _file(await exports.open_by_link(call.ctx, call.message(ExportDownload).token))


@operation("request_customer_export")
async def request_customer_export(call: Call) -> ExportView:
    """Ask for a copy of everything held about a customer who stands before the staff member."""
    form = call.message(StaffExportRequest)
    return await exports.request(call.ctx, call.staff, call.path_id("customer_id"), form)


@operation("list_customer_exports")
async def list_customer_exports(call: Call) -> ExportList:
    """List a customer's copies, newest first."""
    return await exports.list_exports(call.ctx, call.path_id("customer_id"))


@operation("get_customer_export_file")
async def get_customer_export_file(call: Call) -> Response[bytes]:
    """Send a copy that staff asked for as a ZIP, to hand over at the counter."""
    return _file(await exports.open_for(call.ctx, call.staff, call.path_id("export_id")))


# Erasures -------------------------------------------------------------------------------------------------------------


@operation("preview_my_erasure")
async def preview_my_erasure(call: Call) -> ErasurePreview:
    """Show what being forgotten would do to the member."""
    return await erasure_requests.preview_mine(call.ctx, call.member)


@operation("request_my_erasure", checks_itself=True)
async def request_my_erasure(call: Call) -> Response[bytes]:
    """Ask to be forgotten; it can be taken back for some days."""
    await call.authenticate()
    form = call.message(ErasureRequest)
    return reply_response(await erasure_requests.request_mine(call.ctx, call.member, call.idempotent_call(), form))


@operation("get_my_erasure")
async def get_my_erasure(call: Call) -> MyErasure:
    """Show whether the member is about to be forgotten, and when."""
    return await erasure_requests.get_mine(call.ctx, call.member)


@operation("cancel_my_erasure")
async def cancel_my_erasure(call: Call) -> MyErasure:
    """Take the wish to be forgotten back."""
    return await erasure_requests.cancel_mine(call.ctx, call.member)


@operation("cancel_erasure_by_link")
async def cancel_erasure_by_link(call: Call) -> MyErasure:
    """Take the wish to be forgotten back with the mailed link."""
    return await erasure_requests.cancel_by_link(call.ctx, call.message(ErasureLink).token)


@operation("preview_customer_erasure")
async def preview_customer_erasure(call: Call) -> ErasurePreview:
    """Show what being forgotten would do to a customer."""
    return await erasure_requests.preview(call.ctx, call.staff, call.path_id("customer_id"))


@operation("request_customer_erasure", checks_itself=True)
async def request_customer_erasure(call: Call) -> Response[bytes]:
    """Ask for a customer, who stands before the staff member, to be forgotten; another person has to approve."""
    await call.authenticate()
    customer_id = call.path_id("customer_id")
    form = call.message(StaffErasureRequest)
    return reply_response(
        await erasure_requests.request(call.ctx, call.staff, customer_id, call.idempotent_call(), form)
    )


@operation("list_erasures")
async def list_erasures(call: Call) -> ErasurePage:
    """List wishes to be forgotten, newest first; `state` or `customer_id` narrows it."""
    state = call.query("state")
    if state and state not in {*ErasureState}:
        raise Invalid(FieldProblem(field="state", detail=f"One of {', '.join(ErasureState)}."))
    customer = call.query("customer_id")
    try:
        customer_id = UUID(customer) if customer else None
    except ValueError as error:
        raise Invalid(FieldProblem(field="customer_id", detail="This is not an id.")) from error
    return await erasure_requests.list_erasures(
        call.ctx, state, customer_id, cursor=call.query("cursor"), limit=call.page_size()
    )


@operation("preview_dormant")
async def preview_dormant(call: Call) -> DormantPreview:
    """Show who has not come for years, has no sign-in and no points, and whom one batch would begin to let go of."""
    return await retention.preview(call.ctx, call.message(DormantSearch).years)


@operation("erase_dormant")
async def erase_dormant(call: Call) -> DormantBatch:
    """Begin to let go of the batch that was shown; they are told by mail, and stay if they come in the next three weeks."""
    return await retention.begin(call.ctx, call.message(DormantErasing))


@operation("get_erasure")
async def get_erasure(call: Call) -> ErasureView:
    """Show a wish to be forgotten; of one that waits, what it would do now."""
    return await erasure_requests.get_erasure(call.ctx, call.path_id("erasure_id"))


@operation("approve_erasure", checks_itself=True)
async def approve_erasure(call: Call) -> Response[bytes]:
    """Approve a wish that somebody else wrote down; it can be taken back for some days."""
    await call.authenticate()
    form = call.message(ErasureDecision)
    return reply_response(
        await erasure_requests.approve(call.ctx, call.staff, call.path_id("erasure_id"), call.idempotent_call(), form)
    )


@operation("cancel_erasure")
async def cancel_erasure(call: Call) -> ErasureView:
    """Refuse a wish that waits, or take it back for the customer."""
    return await erasure_requests.cancel(call.ctx, call.path_id("erasure_id"), call.message(ErasureCancelling))


@operation("settle_erasure")
async def settle_erasure(call: Call) -> ErasureView:
    """Note that an erased person was removed at the till by hand."""
    return await erasure_requests.settle(call.ctx, call.path_id("erasure_id"), call.message(ErasureSettling).note)


def _file(file: ExportFile) -> Response[bytes]:
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "Content-Length": str(file.bytes_count),
    }
    # Litestar types what is streamed by its source, and ours are bytes.
    return cast("Response[bytes]", Stream(file.pieces, media_type="application/zip", headers=headers))
