"""SQL of the exchange with till systems: who is at it, how far it is, what was fetched, what it came to."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from server.db.engine import DB, Row
from server.db.ids import new_id

_CONNECTIONS = """
select k.id, k.code, s.customers_until_at, s.orders_until_at, s.last_success_at, s.lease_until,
       (select count(*) from pos_staged g where g.connection = k.id and g.state = 'quarantined') as quarantined,
       (select c.started_at from pos_cycle c where c.connection = k.id order by c.started_at desc limit 1) as last_started_at
from pos_connection k left join pos_state s on s.connection = k.id
order by k.code
"""
_ENSURE_CONNECTION = """
insert into pos_connection (id, code, name, created_at) values ($1, $2, $3, $4)
on conflict (code) do update set code = excluded.code returning id
"""
_ENSURE_STATE = "insert into pos_state (connection, created_at) values ($1, $2) on conflict do nothing"
_TAKE_LEASE = """
update pos_state set lease_holder = $2, lease_until = $3
where connection = $1 and (lease_until is null or lease_until <= $4 or lease_holder = $2)
returning *
"""
_DROP_LEASE = """
update pos_state set lease_holder = null, lease_until = null where connection = $1 and lease_holder = $2
"""
_MOVE_CURSOR = """
update pos_state set {column} = greatest({column}, $2) where connection = $1 and lease_holder = $3 returning 1
"""
_MOVE_CUSTOMERS = _MOVE_CURSOR.format(column="customers_until_at")
_MOVE_ORDERS = _MOVE_CURSOR.format(column="orders_until_at")
_MEMBERS_UNTIL = "update pos_state set members_until_at = greatest(members_until_at, $2) where connection = $1"
_BEGIN = """
insert into pos_cycle (id, connection, cause, started_at) values ($1, $2, $3, $4)
"""
_FINISH = """
with success as (
    update pos_state set last_success_at = $2 where connection = $6 and $3 = 'done'
)
update pos_cycle set state = $3, finished_at = $2, error = $4, figures = $5 where id = $1
"""
_GIVE_UP = """
update pos_cycle set state = 'failed', finished_at = $2, error = 'broken off'
where connection = $1 and state = 'running' and id <> $3
"""
_CYCLES = """
select c.*, k.code from pos_cycle c join pos_connection k on k.id = c.connection order by c.started_at desc, c.id desc limit $1
"""
# What comes again unchanged and was done needs nothing; what was set aside is tried again.
_STAGE = """
insert into pos_staged (id, connection, kind, external_id, changed_at, payload, content_hash, staged_at)
select s.id, $1, 'order', s.external_id, s.changed_at, s.payload::jsonb, s.content_hash, $6
from unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $7::bytea[])
     as s(id, external_id, changed_at, payload, content_hash)
order by s.external_id
on conflict (connection, kind, external_id) do update
set changed_at = excluded.changed_at, payload = excluded.payload, content_hash = excluded.content_hash, state = 'new',
    reason = null, detail = '', staged_at = excluded.staged_at
where pos_staged.content_hash <> excluded.content_hash and pos_staged.changed_at <= excluded.changed_at
returning id
"""
_STAGED = """
select id, external_id, payload::text as payload from pos_staged
where connection = $1 and kind = 'order' and external_id = any($2::text[]) and state <> 'done'
order by changed_at, external_id
"""
_ASIDE = """
select id, external_id, payload::text as payload from pos_staged
where connection = $1 and kind = 'order' and state = 'quarantined' order by changed_at, external_id limit $2
"""
_DONE = """
update pos_staged set state = 'done', payload = '{}', reason = null, detail = '' where id = any($1::uuid[])
"""
_QUARANTINE = """
update pos_staged set state = 'quarantined', reason = $2, detail = $3 where id = $1
"""
_QUARANTINE_CUSTOMER = """
insert into pos_staged (id, connection, kind, external_id, changed_at, content_hash, state, reason, detail, staged_at)
values ($1, $2, 'customer', $3, $4, ''::bytea, 'quarantined', $5, $6, $7)
on conflict (connection, kind, external_id) do update
set changed_at = excluded.changed_at, state = 'quarantined', reason = excluded.reason, detail = excluded.detail
"""
_RELEASE_CUSTOMERS = """
update pos_staged set state = 'done', reason = null, detail = ''
where connection = $1 and kind = 'customer' and external_id = any($2::text[]) and state = 'quarantined'
"""
_QUARANTINED = """
select g.*, k.code from pos_staged g join pos_connection k on k.id = g.connection
where g.state = 'quarantined' and ($1::timestamptz is null or (g.staged_at, g.id) < ($1, $2::uuid))
order by g.staged_at desc, g.id desc limit $3
"""
_KNOWS_MEMBERS = """
update pos_state
set knows_members = $2 and ($3 or exists (select from pos_record r where r.connection = $1 and not r.made_here))
where connection = $1 returning knows_members
"""
_NOT_KNOWN = """
    not exists (select from pos_link l join pos_record r on r.id = l.record
                where l.customer = c.id and l.state in ('linked', 'waiting') and r.connection = $1)
    and not exists (select from link_review v join pos_record r on r.id = v.record
                    where v.customer = c.id and v.state = 'open' and r.connection = $1)
"""
_BUYERS = f"""
select distinct o.customer
from orders o join customer c on c.id = o.customer and c.status in ('active', 'stub')
where o.connection = $1 and ($3::uuid is null or o.customer > $3)
  and o.created_at >= coalesce((select members_until_at from pos_state where connection = $1) - $2::interval, '-infinity')
  and {_NOT_KNOWN}
order by o.customer limit $4
"""
_IS_UNKNOWN = f"select 1 from customer c where c.id = $2 and c.status in ('active', 'stub') and {_NOT_KNOWN}"
_MISSED = """
select distinct l.record, l.customer
from pos_link l
join pos_record k on k.id = l.record and k.connection = $1
join pos_record r on r.id = k.id or r.merged_into = k.id
join orders o on o.connection = r.connection and o.pos_customer_id = r.external_id
where l.state = 'linked' and l.linked_at >= $2 and o.customer is null and o.assignment_reason not in ('staff', 'claim')
order by l.customer limit 500
"""
_HOOK = "insert into hook_event (event_id, received_at) values ($1, $2) on conflict do nothing returning event_id"
_LAST_SUCCESSES = """
select k.code, s.last_success_at, s.created_at from pos_state s join pos_connection k on k.id = s.connection order by k.code
"""


async def list_connections() -> list[Row]:
    """Return the till systems with how far the exchange with each is."""
    return await DB.fetch(_CONNECTIONS)


async def ensure_connection(code: str, name: str, now: datetime) -> UUID:
    """Return the till system of a code, added unless it is there."""
    row = await DB.fetch_row(_ENSURE_CONNECTION, new_id(), code, name, now)
    assert row is not None
    return UUID(str(row["id"]))


async def take_lease(connection_id: UUID, holder: UUID, *, until: datetime, now: datetime) -> Row | None:
    """Become, or stay, the one who exchanges with a till system; None while somebody else is."""
    await DB.fetch(_ENSURE_STATE, connection_id, now)
    return await DB.fetch_row(_TAKE_LEASE, connection_id, holder, until, now)


async def drop_lease(connection_id: UUID, holder: UUID) -> None:
    """Let others exchange with the till system."""
    await DB.fetch(_DROP_LEASE, connection_id, holder)


async def move_customers_cursor(connection_id: UUID, at: datetime, holder: UUID) -> bool:
    """Note up to which change records have come; False if somebody else has the lease."""
    return await DB.fetch_row(_MOVE_CUSTOMERS, connection_id, at, holder) is not None


async def move_orders_cursor(connection_id: UUID, at: datetime, holder: UUID) -> bool:
    """Note up to which change orders have come; False if somebody else has the lease."""
    return await DB.fetch_row(_MOVE_ORDERS, connection_id, at, holder) is not None


async def set_members_until(connection_id: UUID, at: datetime) -> None:
    """Note up to when members who bought have been made known."""
    await DB.fetch(_MEMBERS_UNTIL, connection_id, at)


async def begin_cycle(connection_id: UUID, *, cause: str, now: datetime) -> UUID:
    """Note that a run begins; whoever was at it before and did not end has been broken off."""
    cycle_id = new_id()
    await DB.fetch(_BEGIN, cycle_id, connection_id, cause, now)
    await DB.fetch(_GIVE_UP, connection_id, now, cycle_id)
    return cycle_id


async def finish_cycle(
    cycle_id: UUID, connection_id: UUID, *, state: str, error: str | None, figures: Mapping[str, int], now: datetime
) -> None:
    """Keep what a run came to."""
    text = msgspec.json.encode(figures).decode()
    await DB.fetch(_FINISH, cycle_id, now, state, error, text, connection_id)


async def list_cycles(limit: int) -> list[Row]:
    """Return the latest runs, newest first."""
    return await DB.fetch(_CYCLES, limit)


async def stage_orders(connection_id: UUID, items: Sequence[tuple[str, datetime, bytes, bytes]], now: datetime) -> int:
    """Keep fetched orders (id, time of change, content, hash) that are new or have changed, and return how many."""
    if not items:
        return 0
    ids, changes, payloads, hashes = zip(*items, strict=True)
    texts = [payload.decode() for payload in payloads]
    staged = await DB.fetch(
        _STAGE, connection_id, [new_id() for _ in ids], list(ids), list(changes), texts, now, list(hashes)
    )
    return len(staged)


async def list_staged(connection_id: UUID, external_ids: Sequence[str]) -> list[Row]:
    """Return those of these orders that have not been posted, in the order of their changes."""
    return await DB.fetch(_STAGED, connection_id, list(external_ids))


async def list_set_aside(connection_id: UUID, limit: int) -> list[Row]:
    """Return orders that could not be posted, in the order of their changes."""
    return await DB.fetch(_ASIDE, connection_id, limit)


async def finish_staged(staged_ids: Sequence[UUID]) -> None:
    """Note that these are posted, and let go of their content."""
    await DB.fetch(_DONE, list(staged_ids))


async def set_aside(staged_id: UUID, *, reason: str, detail: str) -> None:
    """Note why one cannot be posted."""
    await DB.fetch(_QUARANTINE, staged_id, reason, detail[:500])


async def set_customer_aside(
    connection_id: UUID, external_id: str, *, changed_at: datetime, reason: str, detail: str, now: datetime
) -> None:
    """Note why a fetched record cannot be kept; its content is not."""
    await DB.fetch(
        _QUARANTINE_CUSTOMER, new_id(), connection_id, external_id[:64], changed_at, reason, detail[:500], now
    )


async def release_customers(connection_id: UUID, external_ids: Sequence[str]) -> None:
    """Note that these records can be kept now."""
    await DB.fetch(_RELEASE_CUSTOMERS, connection_id, list(external_ids))


async def list_quarantined(*, before: tuple[datetime, UUID] | None, limit: int) -> list[Row]:
    """Return what could not be posted, newest first."""
    return await DB.fetch(_QUARANTINED, *(before or (None, None)), limit)


async def set_knows_members(connection_id: UUID, *, can_create: bool, is_remote: bool) -> bool:
    """Note and return whether members who buy are made known to a till system: if it can, and is elsewhere or in use."""
    row = await DB.fetch_row(_KNOWS_MEMBERS, connection_id, can_create, is_remote)
    return row is not None and bool(row["knows_members"])


async def list_unknown_buyers(connection_id: UUID, *, lag: timedelta, after: UUID | None, limit: int) -> list[UUID]:
    """Return customers who bought lately and whom the till system does not know, nor a person has to decide about."""
    rows = await DB.fetch(_BUYERS, connection_id, lag, after, limit)
    return [row["customer"] for row in rows]


async def is_unknown(connection_id: UUID, customer_id: UUID) -> bool:
    """Return whether a customer is not known to the till system, nor waits for a person to decide."""
    return await DB.fetch_row(_IS_UNKNOWN, connection_id, customer_id) is not None


async def list_links_with_missed_orders(connection_id: UUID, since: datetime) -> list[Row]:
    """Return record and customer of links made since an instant whose record has orders that count for nobody."""
    return await DB.fetch(_MISSED, connection_id, since)


async def is_new_event(event_id: str, now: datetime) -> bool:
    """Keep the id of an event; False if it is known."""
    return await DB.fetch_row(_HOOK, event_id, now) is not None


async def list_last_successes() -> list[Row]:
    """Return when the exchange with each till system last went well."""
    return await DB.fetch(_LAST_SUCCESSES)
