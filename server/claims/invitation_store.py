"""SQL of invitations: who was asked to choose a password, by which way, and what became of it."""

from datetime import datetime
from uuid import UUID

from server.db.engine import DB, Row

# A mail that was refused for ever, or has not left for a while, of somebody with a phone number who has no sign-in and was
# not invited by another way since.
_DUE = """
select m.customer as id, p.key as phone
from message m
join customer c on c.id = m.customer and c.status in ('stub', 'active')
join contact_point p on p.customer = c.id and p.kind = 'phone' and p.is_primary
where m.template = 'invitation' and m.created_at > $1 and ($4::uuid is null or m.customer = $4)
  and (m.state = 'failed' and (m.last_error ~ '^smtp_5' or m.last_error = 'gave_up')
       or m.state = 'queued' and m.created_at <= $2)
  and not exists (select 1 from login l where l.customer = c.id)
  and not exists (
      select 1 from message n where n.customer = m.customer and n.template in ('invitation', 'sms_invitation')
      and (n.created_at, n.id) > (m.created_at, m.id))
order by m.created_at limit $3
"""
_LATEST = """
select case when m.template = 'invitation' then 'email' else 'sms' end as channel, m.state, m.created_at as at,
       m.last_error as reason, m.id
from message m where m.customer = $1 and m.template in ('invitation', 'sms_invitation')
union all
select 'code', case when k.used_at is not null then 'used' when k.revoked_at is not null then 'revoked' else 'handed_over' end,
       k.issued_at, k.revoked_reason, k.id
from claim_code k where k.customer = $1 and k.kind in ('till', 'letter')
order by at desc, id desc limit 1
"""
_PHONE = "select key from contact_point where customer = $1 and kind = 'phone' and is_primary"


async def list_due(
    *, since: datetime, queued_before: datetime, limit: int, customer_id: UUID | None = None
) -> list[Row]:
    """Return customers, or one if it is still so, whose mailed invitation has not arrived, with id and phone."""
    return await DB.fetch(_DUE, since, queued_before, limit, customer_id)


async def find_latest(customer_id: UUID) -> Row | None:
    """Return channel, state, at and reason of the latest way in which a customer was invited."""
    return await DB.fetch_row(_LATEST, customer_id)


async def find_phone(customer_id: UUID) -> str | None:
    """Return the number a customer is reached at, proven or not."""
    row = await DB.fetch_row(_PHONE, customer_id)
    return row["key"] if row else None
