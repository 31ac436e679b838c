"""SQL of sales that staff write down."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from server.db.engine import DB, Row
from server.db.ids import new_id

WRITTEN_WITHIN: Final = timedelta(days=14)
"""For so long a till is waited for that sends what was written down."""

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
# Sales that staff wrote down and that count, with the day of their store on which they are.
_WRITTEN = """
with written as materialized (
    select w.*, a.actor_id as written_by, s.zone, day::date as day,
           day at time zone s.zone as day_from, (day + interval '1 day') at time zone s.zone as day_until
    from audit_entry a
    join orders w on w.id = a.subject_id and w.state = 'completed' and w.points > 0
    join store s on s.id = w.store
    cross join date_trunc('day', w.completed_at at time zone s.zone) day
    where a.actor_kind = 'staff' and a.action = 'order.recorded' and a.at >= {since}
)
"""
_SAME_RECEIPT = """
    o.number = w.number and o.store = w.store and o.connection <> w.connection and o.state <> 'voided'
    and (o.completed_at at time zone w.zone)::date = w.day
"""
# What staff enter is what the receipt says, mostly with the tax. A written one that a person gave to somebody else, or of
# which something came back, is left alone; so is a till's that counts for others, or that a person took from somebody.
# Looked for among the sales of a customer, and those of nobody, in a day, as some shops use each receipt number every day.
_SENT_TOO = (
    _WRITTEN.format(since="$1")
    + f"""
, same as materialized (
    select w.id, w.customer, w.connection, w.number, w.store, w.zone, w.day, (array_agg(o.id))[1] as sent, min(o.points) as points
    from written w
    cross join lateral (
        select * from orders where customer = w.customer and completed_at >= w.day_from and completed_at < w.day_until
        union all
        select * from orders
        where membership is null and customer is null and skipped_reason = 'no_customer' and assignment_reason = 'none'
          and store = w.store and completed_at >= w.day_from and completed_at < w.day_until
    ) as o
    where ($2::uuid is null or w.id = $2) and w.assignment_version = 1 and {_SAME_RECEIPT}
      and o.state = 'completed' and (o.customer is null or o.membership = w.membership)
      and o.currency = w.currency and w.net_minor + w.tax_minor in (o.net_minor, o.net_minor + o.tax_minor)
    group by w.id, w.customer, w.connection, w.number, w.store, w.zone, w.day having count(*) = 1
)
select w.id as written, w.customer, w.sent, w.points
from same w
where not exists (select from refund r where r."order" in (w.id, w.sent))
  and (select count(*) from orders o where {_SAME_RECEIPT}) = 1
order by w.id limit 200
"""
)
COUNTING_TWICE: Final = (
    _WRITTEN.format(since="$2 - interval '1 day'")
    + f"""
select w.number, w.customer, w.written_by, w.store, w.completed_at, w.points
from written w join orders o on {_SAME_RECEIPT} and o.points > 0
where w.completed_at >= $2 and w.completed_at < $3
"""
)
"""The sales that staff wrote down between $2 and $3, of which a till's counts, too."""
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
    """Return sales that staff wrote down lately, or one of them, with the one of a till that is the same beyond doubt."""
    return await DB.fetch(_SENT_TOO, now - WRITTEN_WITHIN, written_id)


async def lock_staff(staff_id: UUID) -> None:
    """Let what one person writes down at several consoles come one after the other."""
    await DB.fetch(_LOCK_STAFF, staff_id)


async def sum_recorded(staff_id: UUID, since: datetime) -> int:
    """Return the points of the sales that a person has written down since."""
    total = await DB.fetch_value(_RECORDED, staff_id, since)
    assert isinstance(total, int)
    return total
