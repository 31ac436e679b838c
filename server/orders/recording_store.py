"""SQL of sales that staff write down."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from server.db.engine import DB, Row
from server.db.ids import new_id

WRITTEN_WITHIN: Final = timedelta(days=14)
SENT_WITHIN: Final = timedelta(hours=26)

CONNECTION = "console"
_CONNECTION = """
insert into pos_connection (id, code, name, created_at) values ($1, $2, 'Console', $3)
on conflict (code) do update set code = excluded.code returning id
"""
_STORE = """
select id, code, name, zone from store where case when $1::text is null then id = $2 else code = $1 end
"""
_KNOWN = """
select o.id from orders o join store s on s.id = o.store
where o.number = $1 and s.code = $2 and o.completed_at >= $3 and o.completed_at < $4
order by o.completed_at desc limit 1
"""
_LOCK_STAFF = "select id from staff_member where id = $1 for update"
# Sales that staff wrote down (w) and sales of tills (o) that have the same receipt.
SENT_TOO = """
audit_entry a
join orders w on w.id = a.subject_id and w.state = 'completed'
join store s on s.id = w.store
join orders o on o.number = w.number and o.store = w.store and o.connection <> w.connection and o.state <> 'voided'
    and (o.completed_at at time zone s.zone)::date = (w.completed_at at time zone s.zone)::date
"""
# What staff enter is what the receipt says, mostly with the tax. A written one that a person gave to somebody else, or of
# which something came back, is left alone; so is a till's that counts for others, or that a person took from somebody.
_SENT_TOO = f"""
select w.id as written, w.customer, (array_agg(o.id))[1] as sent, min(o.points) as points
from {SENT_TOO}
where a.actor_kind = 'staff' and a.action = 'order.recorded' and a.at >= $1 and o.created_at >= $2
  and ($3::uuid is null or w.id = $3) and w.customer is not null and w.assignment_version = 1
group by w.id
having count(*) = 1 and bool_and(
    o.state = 'completed' and o.currency = w.currency and w.net_minor + w.tax_minor in (o.net_minor, o.net_minor + o.tax_minor)
    and (o.customer = w.customer and o.membership = w.membership
         or o.customer is null and o.skipped_reason = 'no_customer' and o.assignment_reason = 'none')
    and not exists (select from refund r where r."order" in (w.id, o.id)))
order by w.id limit 200
"""
# The newest entries of one person, from the end of an index; nobody does more in a day.
_RECORDED = """
select coalesce(sum((details ->> 'points')::bigint), 0)::bigint
from (select * from audit_entry where actor_id = $1 order by id desc limit 20000) newest
where actor_kind = 'staff' and action = 'order.recorded' and at > $2
"""


async def get_connection(now: datetime) -> UUID:
    """Return the connection that stands for the console; it is made at its first use."""
    row = await DB.fetch_row(_CONNECTION, new_id(), CONNECTION, now)
    assert row is not None
    return UUID(str(row["id"]))


async def find_store(code: str | None, store_id: UUID | None) -> Row | None:
    """Return a store by its code, or the staff member's own without one."""
    return await DB.fetch_row(_STORE, code, store_id)


async def find_known(number: str, store_code: str, from_at: datetime, until_at: datetime) -> UUID | None:
    """Return the newest order of a store with this receipt number in a time."""
    row = await DB.fetch_row(_KNOWN, number, store_code, from_at, until_at)
    return UUID(str(row["id"])) if row is not None else None


async def list_sent_too(now: datetime, written_id: UUID | None = None) -> list[Row]:
    """Return sales of the last weeks that staff wrote down, or one of them, that a till sent in the last hours beyond doubt."""
    return await DB.fetch(_SENT_TOO, now - WRITTEN_WITHIN, now - SENT_WITHIN, written_id)


async def lock_staff(staff_id: UUID) -> None:
    """Let what one person writes down at several consoles come one after the other."""
    await DB.fetch(_LOCK_STAFF, staff_id)


async def sum_recorded(staff_id: UUID, since: datetime) -> int:
    """Return the points of the sales that a person has written down since."""
    total = await DB.fetch_value(_RECORDED, staff_id, since)
    assert isinstance(total, int)
    return total
