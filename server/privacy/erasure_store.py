"""SQL of wishes to be forgotten."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB, Row
from server.privacy.rules import one_month_after
from shared.privacy import ErasureEffect, ErasureNeed

_AT_ONCE: Final = 100

_INSERT = """
insert into erasure (id, customer, state, requested_by_kind, requested_by_id, requested_at, answer_by, reason, needs,
                     execute_after)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_FIND = "select * from erasure where id = $1"
_LOCK = "select * from erasure where id = $1 for update"
_FIND_OPEN = "select id from erasure where customer = $1 and state in ('waiting', 'cooling')"
_APPROVE = """
update erasure set state = 'cooling', approved_by = $2, approved_at = $3, execute_after = $4
where id = $1 and state = 'waiting' returning id
"""
_CANCEL = """
update erasure set state = 'cancelled', ended_at = $2, blocked_by = null
where id = $1 and state in ('waiting', 'cooling') returning id
"""
_BLOCK = "update erasure set blocked_by = $2 where id = $1 and state = 'cooling'"
_FINISH = """
update erasure set state = 'executed', executed_at = $2, blocked_by = null, effects = $3, pos_records = $4
where id = $1 and state = 'cooling' returning id
"""
_DUE = "select id from erasure where state = 'cooling' and execute_after <= $1 order by execute_after limit $2"
_UNWRITTEN = """
select id, customer, requested_at, executed_at from erasure
where state in ('executed', 'done') and journalled_at is null order by executed_at limit $1
"""
_WRITTEN = "update erasure set journalled_at = $2 where id = any($1::uuid[])"
# Done when the audience has forgotten the person too, and nothing is left to be removed by hand.
_COMPLETE = """
update erasure e set state = 'done', done_at = $1
where e.state = 'executed' and cardinality(e.pos_records) = 0
  and not exists (select from audience_contact a where a.customer = e.customer and a.state = 'erasing')
returning e.id
"""
_SETTLE = "update erasure set pos_records = '{}' where id = $1 and state = 'executed' returning id"
_WAITING_MERGES = """
select id from merge
where state = 'waiting' and lapses_at > $2 and (survivor = any($1::uuid[]) or absorbed = any($1::uuid[]))
"""
_REFUSE_MERGES = """
update merge set state = 'refused', decided_at = $2
where state = 'waiting' and (survivor = any($1::uuid[]) or absorbed = any($1::uuid[]))
"""
_VIEWS = """
select e.*, s.name as requester_name, a.name as approver_name,
       case when c.status = 'erased' then '' else trim(c.given_name || ' ' || c.family_name) end as customer_name
from (select * from erasure e where {condition} order by e.requested_at desc, e.id desc limit $3) e
join customer c on c.id = e.customer
left join staff_member s on e.requested_by_kind = 'staff' and s.id = e.requested_by_id
left join staff_member a on a.id = e.approved_by
order by e.requested_at desc, e.id desc
"""
_PAGE = "($1::timestamptz is null or (e.requested_at, e.id) < ($1, $2::uuid))"
_ALL = _VIEWS.format(condition=_PAGE)
_OF_STATE = _VIEWS.format(condition=f"{_PAGE} and e.state = $4")
_OF_CUSTOMER = _VIEWS.format(condition=f"{_PAGE} and e.customer = $4")
_ONE = _VIEWS.format(condition=f"{_PAGE} and e.id = $4")
_ADDRESSEE = """
select c.status, c.given_name, p.value as email, p.key as email_key,
       coalesce((select g.zone from programme g where g.is_default), 'UTC') as zone
from customer c
left join contact_point p on p.customer = c.id and p.kind = 'email' and p.is_primary and p.status = 'verified'
where c.id = $1
"""
# Restored from a backup that is older than the erasure: the wish is there, or not yet, but the person surely is.
_REVIVE = """
update erasure
set state = 'cooling', needs = '{}', execute_after = $2, ended_at = null, executed_at = null, done_at = null,
    journalled_at = $2
where id = $1 returning id
"""
_TO_REPLAY = """
select n.erasure, n.customer, n.requested_at
from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as n(erasure, customer, requested_at)
join customer c on c.id = n.customer and c.status <> 'erased'
order by n.requested_at, n.erasure
"""


class NewErasure(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to write down."""

    id: UUID
    customer_id: UUID
    state: str
    answer_by: datetime
    reason: str = ""
    needs: tuple[ErasureNeed, ...] = ()
    execute_after: datetime | None = None

    @classmethod
    def cooling(cls, ctx: Context, erasure_id: UUID, customer_id: UUID, *, days: int) -> "NewErasure":
        """Return a wish that needs nobody, and can be taken back for so many days from now."""
        return cls(
            id=erasure_id,
            customer_id=customer_id,
            state="cooling",
            answer_by=one_month_after(ctx.now),
            execute_after=ctx.now + timedelta(days=days),
        )


async def insert_erasure(ctx: Context, erasure: NewErasure, *, requested_at: datetime | None = None) -> None:
    """Add a wish; the customer is locked."""
    await DB.fetch(
        _INSERT,
        erasure.id,
        erasure.customer_id,
        erasure.state,
        ctx.actor.kind,
        ctx.actor.id,
        requested_at or ctx.now,
        erasure.answer_by,
        erasure.reason,
        [str(need) for need in erasure.needs],
        erasure.execute_after,
    )


async def find_erasure(erasure_id: UUID) -> Row | None:
    """Return a wish."""
    return await DB.fetch_row(_FIND, erasure_id)


async def lock_erasure(erasure_id: UUID) -> Row:
    """Lock a wish and return it; its customer is locked before."""
    row = await DB.fetch_row(_LOCK, erasure_id)
    assert row is not None, "wishes are never deleted"
    return row


async def find_open(customer_id: UUID) -> UUID | None:
    """Return the wish of a customer that is not carried out yet."""
    row = await DB.fetch_row(_FIND_OPEN, customer_id)
    return row["id"] if row else None


async def approve(ctx: Context, erasure_id: UUID, *, staff_id: UUID, execute_after: datetime) -> None:
    """Let the time begin in which it can be taken back."""
    row = await DB.fetch_row(_APPROVE, erasure_id, staff_id, ctx.now, execute_after)
    assert row is not None, "the wish is locked"


async def cancel(ctx: Context, erasure_id: UUID) -> bool:
    """Give a wish up; False if it was carried out or given up before."""
    return await DB.fetch_row(_CANCEL, erasure_id, ctx.now) is not None


async def note_blocked(erasure_id: UUID, code: str) -> None:
    """Write down why it could not be carried out."""
    await DB.fetch(_BLOCK, erasure_id, code)


async def finish(ctx: Context, erasure_id: UUID, effect: ErasureEffect) -> None:
    """Mark a wish as carried out; what names a record at a till is kept apart, until it is removed there."""
    bare = msgspec.structs.replace(effect, pos_records=())
    encoded = msgspec.json.encode(bare).decode()
    row = await DB.fetch_row(_FINISH, erasure_id, ctx.now, encoded, list(effect.pos_records))
    assert row is not None, "the wish is locked"


async def list_due(now: datetime) -> list[UUID]:
    """Return the wishes whose time to take them back is over, the oldest first."""
    return [row["id"] for row in await DB.fetch(_DUE, now, _AT_ONCE)]


async def list_unwritten() -> list[Row]:
    """Return what was carried out and is not in the journal yet."""
    return await DB.fetch(_UNWRITTEN, _AT_ONCE)


async def note_written(erasure_ids: Sequence[UUID], now: datetime) -> None:
    """Mark wishes as written in the journal."""
    await DB.fetch(_WRITTEN, list(erasure_ids), now)


async def complete(now: datetime) -> int:
    """Mark as done what is done everywhere, and return how many."""
    return len(await DB.fetch(_COMPLETE, now))


async def settle(erasure_id: UUID) -> bool:
    """Note that what names the person at tills was removed there; False if it was not carried out here yet."""
    return await DB.fetch_row(_SETTLE, erasure_id) is not None


async def has_waiting_merge(customer_ids: Sequence[UUID], now: datetime) -> bool:
    """Return whether a merge of one of these customers waits for a second person."""
    return bool(await DB.fetch(_WAITING_MERGES, list(customer_ids), now))


async def refuse_merges(ctx: Context, customer_ids: Sequence[UUID]) -> None:
    """Give up merges that wait for a second person."""
    await DB.fetch(_REFUSE_MERGES, list(customer_ids), ctx.now)


async def list_views(
    *, state: str, customer_id: UUID | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[Row]:
    """Return wishes with the names of who asked and approved, newest first."""
    page = (*(before or (None, None)), limit)
    if customer_id is not None:
        return await DB.fetch(_OF_CUSTOMER, *page, customer_id)
    return await DB.fetch(_OF_STATE, *page, state) if state else await DB.fetch(_ALL, *page)


async def get_view(erasure_id: UUID) -> Row:
    """Return a wish with the names of who asked and approved."""
    row = await DB.fetch_row(_ONE, None, None, 1, erasure_id)
    assert row is not None
    return row


async def find_addressee(customer_id: UUID) -> Row | None:
    """Return a customer's status, first name and the shop's zone, with the proven address as `email` and `email_key`, or None
    there.
    """
    return await DB.fetch_row(_ADDRESSEE, customer_id)


async def list_to_replay(
    erasure_ids: Sequence[UUID], customer_ids: Sequence[UUID], requested_at: Sequence[datetime]
) -> list[Row]:
    """Return which of the journal's erasures are not in this database: their customers are there and not erased."""
    return await DB.fetch(_TO_REPLAY, list(erasure_ids), list(customer_ids), list(requested_at))


async def revive(ctx: Context, erasure_id: UUID) -> bool:
    """Let a wish that a restored database holds be carried out again; False if it holds none."""
    return await DB.fetch_row(_REVIVE, erasure_id, ctx.now) is not None
