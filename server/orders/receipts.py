"""The claim code on the receipt of a sale to nobody: whoever has the receipt can take its points later.

The code is made from its row's id when the answer leaves, so that no stored answer holds it.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from server.context import Context
from server.db.ids import new_id
from server.decoding import Unread
from server.idempotency import StoredReply
from server.orders import receipt_store as store
from server.tokens import claim_code, hash_claim_code
from shared.codes import normalise_claim_code
from shared.enums import SkippedReason
from shared.pos import PosOrder, PosOrderBatchResult, PosOrderOutcome, PosOrderResult


async def issue_codes(ctx: Context, posted: Iterable[tuple[PosOrder, PosOrderResult | None]]) -> None:
    """Keep codes for completed sales to nobody where the shop wants that, in the caller's transaction."""
    order_ids = _list_to_nobody(posted)
    if ctx.settings.receipt_claim_days and order_ids:
        await keep_codes(ctx, order_ids, days=ctx.settings.receipt_claim_days)


async def keep_codes(ctx: Context, order_ids: Sequence[UUID], *, days: int) -> None:
    """Keep a code for each order that has no live one, in the caller's transaction."""
    codes = []
    for order_id in order_ids:
        code_id = new_id()
        code_hash = hash_claim_code(ctx.tokens, normalise_claim_code(claim_code(ctx.tokens, code_id)))
        codes.append((code_id, code_hash, order_id))
    await store.insert_codes(ctx, codes, expires_at=ctx.now + timedelta(days=days))


async def add_code(ctx: Context, order: PosOrder, reply: StoredReply) -> StoredReply:
    """Return the answer for a sale with its code, if it has one that can be used."""
    if not ctx.settings.receipt_claim_days or order.customer is not None:
        return reply
    result = msgspec.json.decode(reply.body, type=PosOrderResult)
    live = await store.list_live([result.order_id], ctx.now)
    if not live:
        return reply
    return msgspec.structs.replace(reply, body=msgspec.json.encode(_with_code(ctx, result, live)))


async def add_codes(ctx: Context, sent: Sequence[PosOrder | Unread], reply: StoredReply) -> StoredReply:
    """Return the answer for a batch of sales with the codes of those that have one that can be used."""
    if not ctx.settings.receipt_claim_days or not any(_is_to_nobody(one) for one in sent):
        return reply
    batch = msgspec.json.decode(reply.body, type=PosOrderBatchResult)
    to_nobody = _list_to_nobody(zip(sent, (outcome.order for outcome in batch.results), strict=True))
    live = await store.list_live(to_nobody, ctx.now) if to_nobody else {}
    if not live:
        return reply

    def whole(outcome: PosOrderOutcome) -> PosOrderOutcome:
        order = outcome.order
        return outcome if order is None else msgspec.structs.replace(outcome, order=_with_code(ctx, order, live))

    batch = msgspec.structs.replace(batch, results=tuple(map(whole, batch.results)))
    return msgspec.structs.replace(reply, body=msgspec.json.encode(batch))


def _list_to_nobody(posted: Iterable[tuple[PosOrder | Unread, PosOrderResult | None]]) -> list[UUID]:
    """Return the orders of which neither the till nor anybody since has said whose they are."""
    return [
        result.order_id
        for one, result in posted
        if result is not None and _is_to_nobody(one) and result.skipped_reason is SkippedReason.NO_CUSTOMER
    ]


def _is_to_nobody(sent: PosOrder | Unread) -> bool:
    return isinstance(sent, PosOrder) and sent.customer is None


def _with_code(ctx: Context, result: PosOrderResult, live: dict[UUID, UUID]) -> PosOrderResult:
    code_id = live.get(result.order_id)
    return msgspec.structs.replace(result, claim_code=claim_code(ctx.tokens, code_id)) if code_id else result
