"""SQL of what is to be done in tills."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id

# The records that came along with a merge, each beside the one that the survivor had longest in the same till system.
_PAIRS = """
select distinct on (b.record) a.record as kept, b.record as absorbed
from pos_link b
join pos_record rb on rb.id = b.record and not rb.made_here and rb.removed_at is null
join pos_link a on a.customer = $1 and a.state = 'linked' and not a.id = any($2::uuid[])
join pos_record ra on ra.id = a.record and ra.connection = rb.connection and not ra.made_here and ra.removed_at is null
where b.id = any($2::uuid[]) and b.state = 'linked'
order by b.record, a.linked_at, a.id
"""
_INSERT = """
insert into pos_todo (id, kind, customer, kept_record, absorbed_record, state, created_at, error, note)
values ($1, 'merge', $2, $3, $4, 'open', $5, '', '') on conflict do nothing returning id
"""
_TODO = """
select t.*, ka.code as connection, k.connection as connection_id, k.external_id as kept_id, a.external_id as absorbed_id,
       trim(c.given_name || ' ' || c.family_name) as name, coalesce(s.name, '') as done_by_name
from pos_todo t
join customer c on c.id = t.customer
join pos_record k on k.id = t.kept_record
join pos_record a on a.id = t.absorbed_record
join pos_connection ka on ka.id = k.connection
left join staff_member s on s.id = t.done_by
"""
_ONE = f"{_TODO} where t.id = $1"
_OPEN = f"""
{_TODO} where t.state = 'open' and ($1::timestamptz is null or (t.created_at, t.id) > ($1, $2::uuid))
order by t.created_at, t.id limit $3
"""
_DONE = f"""
{_TODO} where t.state = 'done' and ($1::timestamptz is null or (t.done_at, t.id) < ($1, $2::uuid))
order by t.done_at desc, t.id desc limit $3
"""
_OF_CUSTOMER = f"{_TODO} where t.customer = $1 and t.state = 'open' order by t.created_at, t.id limit $2"
# Whether the two records are still two, and both of them the customer's.
_BOTH = """
    coalesce(k.merged_into, k.id) <> coalesce(a.merged_into, a.id)
    and exists (select from pos_link l where l.record = coalesce(k.merged_into, k.id) and l.state = 'linked'
                                         and l.customer = t.customer)
    and exists (select from pos_link l where l.record = coalesce(a.merged_into, a.id) and l.state = 'linked'
                                         and l.customer = t.customer)
"""
_FINISH = """
update pos_todo set state = 'done', done_at = $2, done_by = $3, note = $4, error = ''
where id = $1 and state = 'open' returning customer
"""
_REOPEN = f"""
update pos_todo t set state = 'open', done_at = null, done_by = null, note = ''
from pos_record k, pos_record a
where t.id = $1 and t.state = 'done' and k.id = t.kept_record and a.id = t.absorbed_record and {_BOTH}
returning t.customer
"""
_FAIL = "update pos_todo set error = $2 where id = $1 and state = 'open'"
# Both are one record of the till by now.
_FINISH_MERGED = """
update pos_todo t set state = 'done', done_at = $2, note = 'the till tells of one record', error = ''
from pos_record k, pos_record a
where t.state = 'open' and k.id = t.kept_record and a.id = t.absorbed_record
  and coalesce(k.merged_into, k.id) = coalesce(a.merged_into, a.id) and coalesce(k.merged_into, k.id) = $1
returning t.id, t.customer
"""
_DROP_STALE = f"""
update pos_todo t set state = 'dropped', done_at = $2, note = 'no longer of one customer'
from pos_record k, pos_record a
where t.state = 'open' and k.id = t.kept_record and a.id = t.absorbed_record
  and ($1 in (k.id, k.merged_into) or $1 in (a.id, a.merged_into)) and not ({_BOTH})
"""
# What is about two records that go back goes with them; of one that stays and one that goes, nothing is to be done.
_GIVE_BACK = """
with moved as (
    select record from pos_link where id = any($2::uuid[])
), found as (
    select t.id, t.kept_record in (select record from moved) and t.absorbed_record in (select record from moved) as is_both
    from pos_todo t
    where t.state = 'open'
      and (t.kept_record in (select record from moved) or t.absorbed_record in (select record from moved))
)
update pos_todo t
set customer = case when f.is_both then $1 else t.customer end, state = case when f.is_both then t.state else 'dropped' end,
    done_at = case when not f.is_both then $3::timestamptz end,
    note = case when f.is_both then t.note else 'the merge was undone' end
from found f where t.id = f.id
"""
_FOLLOW = "update pos_todo set customer = $2 where customer = $1 and state = 'open'"


async def list_pairs(customer_id: UUID, moved_links: Sequence[UUID]) -> list[Row]:
    """Return the records, kept and absorbed, that a customer has twice in one till system since some links moved."""
    return await DB.fetch(_PAIRS, customer_id, list(moved_links))


async def insert_todo(ctx: Context, *, customer_id: UUID, kept: UUID, absorbed: UUID) -> UUID | None:
    """Add a to-do and return its id; None if the same is open already."""
    row = await DB.fetch_row(_INSERT, new_id(), customer_id, kept, absorbed, ctx.now)
    return row["id"] if row else None


async def find_todo(todo_id: UUID) -> Row | None:
    """Return a to-do with its records' ids in the till."""
    return await DB.fetch_row(_ONE, todo_id)


async def list_open(*, after: tuple[datetime, UUID] | None, limit: int) -> list[Row]:
    """Return what is to be done, oldest first."""
    return await DB.fetch(_OPEN, *(after or (None, None)), limit)


async def list_done(*, before: tuple[datetime, UUID] | None, limit: int) -> list[Row]:
    """Return what was done, newest first."""
    return await DB.fetch(_DONE, *(before or (None, None)), limit)


async def list_of_customer(customer_id: UUID, limit: int) -> list[Row]:
    """Return what is to be done about a customer's records."""
    return await DB.fetch(_OF_CUSTOMER, customer_id, limit)


async def finish(todo_id: UUID, *, now: datetime, staff_id: UUID | None, note: str) -> UUID | None:
    """Note that one is done and return its customer; None if it is not open."""
    row = await DB.fetch_row(_FINISH, todo_id, now, staff_id, note)
    return row["customer"] if row else None


async def reopen(todo_id: UUID) -> UUID | None:
    """Note that one is not done after all and return its customer; None if it is not done, or nothing is left to do.

    Raises:
        asyncpg.UniqueViolationError: The same is open.
    """
    row = await DB.fetch_row(_REOPEN, todo_id)
    return row["customer"] if row else None


async def keep_error(todo_id: UUID, error: str) -> None:
    """Note why the till system did not do it."""
    await DB.fetch(_FAIL, todo_id, error[:500])


async def finish_merged(ctx: Context, record_id: UUID) -> list[Row]:
    """Note as done what the till tells is one record now; return ids and customers."""
    return await DB.fetch(_FINISH_MERGED, record_id, ctx.now)


async def drop_stale(ctx: Context, record_id: UUID) -> None:
    """Let go of what was to be done about a record that is no longer the customer's."""
    await DB.fetch(_DROP_STALE, record_id, ctx.now)


async def give_back(ctx: Context, customer_id: UUID, links: Sequence[UUID]) -> None:
    """Let go of what was to be done because of links that go back to a customer; what is about them alone goes along."""
    await DB.fetch(_GIVE_BACK, customer_id, list(links), ctx.now)


async def follow(from_customer: UUID, to_customer: UUID) -> None:
    """Let what is to be done about one customer be about another."""
    await DB.fetch(_FOLLOW, from_customer, to_customer)
