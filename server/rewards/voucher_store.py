"""SQL of issuing vouchers and showing them."""

from datetime import datetime
from uuid import UUID

from server.context import Context
from server.db.engine import DB, Row

_ISSUE = """
insert into voucher (id, reward, membership, customer, code_hash, code_last4, value_minor, currency, status, issued_at,
                     valid_until, kind, percent, sku, points_cost, issue_entry)
select $1, r.id, $3, $4, $5, $6, r.value_minor, p.currency, 'issued', $7, $8, r.kind, r.percent, r.sku, r.points_cost, $9
from reward r join programme p on p.id = r.programme where r.id = $2
"""
# A voucher whose time is over is shown so, whether or not the sweep has been by.
_VIEW = """
select v.*, r.name as reward_name,
       case when free.status = 'issued' and v.valid_until <= $2 then 'expired' else free.status end as status_now
from voucher v
join reward r on r.id = v.reward
cross join lateral (
    select case when v.status = 'held' and not exists (select from hold h where h.voucher = v.id and h.state = 'open'
                                                                          and h.expires_at > $2)
                then 'issued' else v.status end as status
) free
where {condition}
order by v.issued_at desc, v.id desc limit 100
"""
_LIST = _VIEW.format(condition="v.customer = $1")
_FIND = _VIEW.format(condition="v.id = $1")
_CANCEL = "update voucher set status = 'void', void_reason = 'cancelled', ended_at = $2 where id = $1"


async def insert_voucher(
    ctx: Context,
    voucher_id: UUID,
    reward_id: UUID,
    *,
    membership_id: UUID,
    customer_id: UUID,
    code_hash: bytes,
    code_last4: str,
    valid_until: datetime | None,
    entry_id: UUID,
) -> None:
    """Add a voucher with the reward's terms of now."""
    await DB.fetch(
        _ISSUE,
        voucher_id,
        reward_id,
        membership_id,
        customer_id,
        code_hash,
        code_last4,
        ctx.now,
        valid_until,
        entry_id,
    )


async def list_vouchers(customer_id: UUID, now: datetime) -> list[Row]:
    """Return a customer's newest vouchers with the reward's name."""
    return await DB.fetch(_LIST, customer_id, now)


async def find_voucher(voucher_id: UUID, now: datetime) -> Row | None:
    """Return a voucher with the reward's name."""
    return await DB.fetch_row(_FIND, voucher_id, now)


async def cancel_voucher(voucher_id: UUID, now: datetime) -> None:
    """Void a locked voucher that is free."""
    await DB.fetch(_CANCEL, voucher_id, now)
