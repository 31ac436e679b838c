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
# With the proven address that they can be told a new one at.
_OWNER_OF_OLD_CODE = """
select v.customer, c.given_name, p.value as email
from voucher v join customer c on c.id = v.customer
left join contact_point p on p.customer = c.id and p.kind = 'email' and p.is_primary and p.status in ('verified', 'bouncing')
where v.id = $1 and exists (
    select from email_change e
    where e.customer in (select regulars_people(v.customer))
      and (e.undone_at > v.issued_at or e.confirmed_at > v.issued_at and (
           e.mode = 'reissue' or coalesce((e.effects ->> 'vouchers_renewed')::boolean, false))))
"""


async def lock_unspent(customer_id: UUID, membership_id: UUID) -> list[Row]:
    """Return a customer's unspent vouchers of a membership, locked in the order of their ids."""
    return await DB.fetch(_LOCK_UNSPENT, customer_id, membership_id)


async def find_owner_of_old_code(voucher_id: UUID) -> Row | None:
    """Return whose voucher has a code from before an email change that renewed their codes, None if it has not."""
    return await DB.fetch_row(_OWNER_OF_OLD_CODE, voucher_id)


async def copy_voucher(
    ctx: Context, voucher_id: UUID, copy_id: UUID, *, membership_id: UUID, code_hash: bytes, code_last4: str
) -> None:
    """Issue a voucher again under another code: same reward, value and validity."""
    await DB.fetch(_COPY, voucher_id, copy_id, membership_id, code_hash, code_last4, ctx.now)


async def void_voucher(ctx: Context, voucher_id: UUID, *, replaced_by: UUID, reason: str) -> None:
    """Void a locked voucher in favour of another."""
    row = await DB.fetch_row(_VOID, voucher_id, replaced_by, reason, ctx.now)
    assert row is not None, "the voucher is locked and unspent"
