"""SQL of the codes on receipts."""

from datetime import datetime
from uuid import UUID

from server.context import Context
from server.db.engine import DB

_INSERT = """
insert into claim_code (id, code_hash, kind, "order", actor_kind, actor_id, issued_at, expires_at, wrong_checks)
values ($1, $2, 'receipt', $3, $4, $5, $6, $7, 0)
on conflict ("order") where used_at is null and revoked_at is null do nothing
"""
_FIND_LIVE = """
select id from claim_code where "order" = $1 and used_at is null and revoked_at is null and expires_at > $2
"""


async def insert_code(ctx: Context, code_id: UUID, code_hash: bytes, order_id: UUID, *, expires_at: datetime) -> None:
    """Keep a code for an order unless one is kept that was neither used nor revoked."""
    await DB.fetch(_INSERT, code_id, code_hash, order_id, ctx.actor.kind, ctx.actor.id, ctx.now, expires_at)


async def find_live(order_id: UUID, now: datetime) -> UUID | None:
    """Return the code of an order that can be used."""
    row = await DB.fetch_row(_FIND_LIVE, order_id, now)
    return row["id"] if row else None
