"""HTTP of claim codes."""

from typing import cast

from litestar import Response
from litestar.response import Stream

from server.claims import batches, issuing, service
from server.http import Call, operation, reply_response
from server.idempotency import StoredReply
from shared.claims import (
    Claim,
    ClaimBatchPage,
    ClaimBatchPreview,
    ClaimBatchRequest,
    ClaimBatchView,
    ClaimCodeIssued,
    ClaimCodeView,
    ClaimFound,
    ClaimLookup,
    ClaimRevocation,
    CustomerClaims,
)
from shared.limits import CLAIM_BATCH_MAX

_NO_STORE = {"Cache-Control": "no-store"}


@operation("claim", checks_itself=True)
async def claim(call: Call) -> Response[bytes]:
    """Enter a claim code: points kept for the customer on it, or those of the receipt, become the member's."""
    await call.authenticate()
    identity = call.idempotent_call()
    return reply_response(await service.claim(call.ctx, call.member, identity, call.message(Claim)))


async def _with_code(call: Call, reply: StoredReply) -> StoredReply:
    return await issuing.show_code(call.ctx, reply)


@operation("issue_claim_code", complete=_with_code)
async def issue_claim_code(call: Call) -> ClaimCodeIssued:
    """Make a claim code for a customer without a sign-in; it is shown this once, and voids the former one."""
    return await issuing.issue_for_customer(call.ctx, call.staff, call.path_id("customer_id"))


@operation("list_claim_codes")
async def list_claim_codes(call: Call) -> CustomerClaims:
    """List the claim codes for a customer, those the customer has used, and refused tries with their causes."""
    return await issuing.list_codes(call.ctx, call.path_id("customer_id"))


@operation("issue_receipt_code", complete=_with_code)
async def issue_receipt_code(call: Call) -> ClaimCodeIssued:
    """Make a claim code for the receipt of a sale that counts for nobody."""
    return await issuing.issue_for_order(call.ctx, call.staff, call.path_id("order_id"))


@operation("find_claim_code")
async def find_claim_code(call: Call) -> ClaimFound:
    """Say what a claim code that somebody shows stands for, and why it would be refused."""
    return await issuing.look_up(call.ctx, call.message(ClaimLookup).code)


@operation("revoke_claim_code")
async def revoke_claim_code(call: Call) -> ClaimCodeView:
    """Void a claim code."""
    return await issuing.revoke(call.ctx, call.path_id("code_id"), call.message(ClaimRevocation).reason)


@operation("preview_claim_batch")
async def preview_claim_batch(call: Call) -> ClaimBatchPreview:
    """Count the people whom no email reaches, who would get a letter."""
    return await batches.preview(call.ctx, reissue=call.message(ClaimBatchRequest).reissue)


@operation("create_claim_batch")
async def create_claim_batch(call: Call) -> ClaimBatchView:
    """Make a claim code for everybody whom no email reaches."""
    reissue = call.message(ClaimBatchRequest).reissue
    return await batches.make(call.ctx, call.staff, reissue=reissue, most=CLAIM_BATCH_MAX)


@operation("list_claim_batches")
async def list_claim_batches(call: Call) -> ClaimBatchPage:
    """List batches of claim codes, newest first."""
    return await batches.list_page(cursor=call.query("cursor"), limit=call.page_size())


@operation("revoke_claim_batch")
async def revoke_claim_batch(call: Call) -> ClaimBatchView:
    """Void all codes of a batch that were not used."""
    return await batches.revoke(call.ctx, call.path_id("batch_id"), call.message(ClaimRevocation).reason)


@operation("write_claim_csv")
async def write_claim_csv(call: Call) -> Response[bytes]:
    """Write the list of a batch with codes, names and addresses, once."""
    lines = await batches.open_csv(call.ctx, call.path_id("batch_id"))
    headers = _NO_STORE | {"Content-Disposition": 'attachment; filename="claim-codes.csv"'}
    # Litestar types what is streamed by its source, and ours are bytes.
    return cast("Response[bytes]", Stream(lines, media_type="text/csv", headers=headers))


@operation("write_claim_letters")
async def write_claim_letters(call: Call) -> Response[bytes]:
    """Write the letters of a batch as PDF, once."""
    pdf = await batches.write_letters(call.ctx, call.path_id("batch_id"))
    headers = _NO_STORE | {"Content-Disposition": 'attachment; filename="claim-letters.pdf"'}
    return Response(pdf, media_type="application/pdf", headers=headers)
