"""SQL of the codes on receipts."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.context import Context
from server.db.engine import DB

_INSERT = """
insert into claim_code (id, code_hash, kind, "order", actor_kind, actor_id, issued_at, expires_at, wrong_checks)
select c.id, c.code_hash, 'receipt', c.order_id, $4, $5, $6, $7, 0
from unnest($1::uuid[], $2::bytea[], $3::uuid[]) as c(id, code_hash, order_id)
order by c.order_id
on conflict ("order") where used_at is null and revoked_at is null do nothing
"""
_LIST_LIVE = """
select id, "order" as order_id from claim_code
where "order" = any($1::uuid[]) and used_at is null and revoked_at is null and expires_at > $2
"""


async def insert_codes(ctx: Context, codes: Sequence[tuple[UUID, bytes, UUID]], *, expires_at: datetime) -> None:
    """Keep codes as (id, hash, order); an order with one that was neither used nor revoked gets no other."""
    ids, hashes, orders = zip(*codes, strict=True)
    await DB.fetch(_INSERT, list(ids), list(hashes), list(orders), ctx.actor.kind, ctx.actor.id, ctx.now, expires_at)


async def list_live(order_ids: Sequence[UUID], now: datetime) -> dict[UUID, UUID]:
    """Return by order the codes that can be used."""
    return {row["order_id"]: row["id"] for row in await DB.fetch(_LIST_LIVE, list(order_ids), now)}
