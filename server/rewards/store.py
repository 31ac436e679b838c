"""SQL of vouchers."""

from uuid import UUID

from server.context import Context
from server.db.engine import DB, Row

_LOCK_UNSPENT = """
select * from voucher where customer = $1 and membership = $2 and status = 'issued' order by id for update
"""
_COPY = """
insert into voucher (id, reward, membership, customer, code_hash, code_last4, value_minor, currency, status, issued_at,
                     valid_until, kind, percent, sku, points_cost, issue_entry)
select $2, reward, $3, customer, $4, $5, value_minor, currency, 'issued', $6, valid_until, kind, percent, sku, points_cost,
       issue_entry
from voucher where id = $1
"""
_VOID = """
update voucher set status = 'void', void_reason = $3, replaced_by = $2, ended_at = $4
where id = $1 and status = 'issued'
returning value_minor
"""


async def lock_unspent(customer_id: UUID, membership_id: UUID) -> list[Row]:
    """Return a customer's unspent vouchers of a membership, locked in the order of their ids."""
    return await DB.fetch(_LOCK_UNSPENT, customer_id, membership_id)


async def copy_voucher(
    ctx: Context, voucher_id: UUID, copy_id: UUID, *, membership_id: UUID, code_hash: bytes, code_last4: str
) -> None:
    """Issue a voucher again under another code: same reward, value and validity."""
    await DB.fetch(_COPY, voucher_id, copy_id, membership_id, code_hash, code_last4, ctx.now)


async def void_voucher(ctx: Context, voucher_id: UUID, *, replaced_by: UUID, reason: str) -> None:
    """Void a locked voucher in favour of another."""
    row = await DB.fetch_row(_VOID, voucher_id, replaced_by, reason, ctx.now)
    assert row is not None, "the voucher is locked and unspent"
