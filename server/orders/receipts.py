"""The claim code on the receipt of a sale to nobody: whoever has the receipt can take its points later.

The code is made from its row's id when the answer leaves, so that no stored answer holds it.
"""

from datetime import timedelta
from uuid import UUID

import msgspec

from server.context import Context
from server.db.ids import new_id
from server.idempotency import StoredReply
from server.orders import receipt_store as store
from server.tokens import claim_code, hash_claim_code
from shared.codes import normalise_claim_code
from shared.enums import SkippedReason
from shared.pos import PosOrder, PosOrderResult


async def issue_code(ctx: Context, order: PosOrder, result: PosOrderResult) -> None:
    """Keep a code for a completed sale to nobody where the shop wants that, in the caller's transaction."""
    if (
        ctx.settings.receipt_claim_days
        and order.customer is None
        and result.skipped_reason is SkippedReason.NO_CUSTOMER
    ):
        await keep_code(ctx, result.order_id, days=ctx.settings.receipt_claim_days)


async def keep_code(ctx: Context, order_id: UUID, *, days: int) -> None:
    """Keep a code for an order unless a live one is kept, in the caller's transaction."""
    code_id = new_id()
    code_hash = hash_claim_code(ctx.tokens, normalise_claim_code(claim_code(ctx.tokens, code_id)))
    await store.insert_code(ctx, code_id, code_hash, order_id, expires_at=ctx.now + timedelta(days=days))


async def add_code(ctx: Context, order: PosOrder, reply: StoredReply) -> StoredReply:
    """Return the answer for a sale with its code, if it has one that can be used."""
    if not ctx.settings.receipt_claim_days or order.customer is not None:
        return reply
    result = msgspec.json.decode(reply.body, type=PosOrderResult)
    code_id = await store.find_live(result.order_id, ctx.now)
    if code_id is None:
        return reply
    result = msgspec.structs.replace(result, claim_code=claim_code(ctx.tokens, code_id))
    return msgspec.structs.replace(reply, body=msgspec.json.encode(result))
