"""SQL of sales that staff write down."""

from datetime import datetime
from uuid import UUID

from server.db.engine import DB, Row
from server.db.ids import new_id

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


async def lock_staff(staff_id: UUID) -> None:
    """Let what one person writes down at several consoles come one after the other."""
    await DB.fetch(_LOCK_STAFF, staff_id)


async def sum_recorded(staff_id: UUID, since: datetime) -> int:
    """Return the points of the sales that a person has written down since."""
    total = await DB.fetch_value(_RECORDED, staff_id, since)
    assert isinstance(total, int)
    return total
