"""SQL of corrections of proven addresses: approval, what is due, and how staff see them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.context import Context
from server.db.engine import DB, Row

_APPROVE = """
update email_change set approved_by = $2, approved_at = $3, execute_after = $4, expires_at = $5
where id = $1 and state = 'pending' and is_override and approved_by is null
returning id
"""
_FAIL = "update email_change set failed_because = $2 where id = $1"
_DUE = """
select id from email_change
where state = 'pending' and execute_after <= $1
order by execute_after limit $2
"""
_LOCK_STAFF = "select id, role, status, customer from staff_member where id = any($1::uuid[]) order by id for share"
# Staff see one word for what the row says in several; $4 is the present.
_VIEWS = """
select * from (
    select e.id, e.customer as customer_id, trim(c.given_name || ' ' || c.family_name) as customer_name,
           case when e.state in ('confirmed', 'undone') then 'done'
                when e.state <> 'pending' then 'cancelled'
                when e.expires_at <= $4 then 'lapsed'
                when e.approved_by is null then 'waiting' else 'delayed' end as state,
           e.old_email, e.new_email, e.reason, coalesce(r.name, '') as requested_by, e.requested_at,
           e.expires_at as lapses_at, a.name as approved_by, e.approved_at, e.execute_after, e.failed_because
    from email_change e join customer c on c.id = e.customer
    left join staff_member r on r.id = e.requested_by_id left join staff_member a on a.id = e.approved_by
    where e.is_override and ($1::timestamptz is null or (e.requested_at, e.id) < ($1, $2::uuid))
) e
where {condition}
order by e.requested_at desc, e.id desc limit $3
"""
_PAGE = _VIEWS.format(condition="($5::text is null or e.state = $5) and ($6::uuid is null or e.customer_id = $6)")
_ONE = _VIEWS.format(condition="e.id = $5")


async def approve(
    ctx: Context, change_id: UUID, *, staff_id: UUID, execute_after: datetime, expires_at: datetime
) -> None:
    """Let the time begin after which a correction is carried out."""
    row = await DB.fetch_row(_APPROVE, change_id, staff_id, ctx.now, execute_after, expires_at)
    assert row is not None, "the customer's row is locked, so the change cannot have been decided meanwhile"


async def note_failure(change_id: UUID, code: str) -> None:
    """Write down what stood against a correction when it was due."""
    await DB.fetch(_FAIL, change_id, code)


async def list_due(now: datetime, *, limit: int) -> list[UUID]:
    """Return the approved corrections whose time has come, or is over."""
    return [row["id"] for row in await DB.fetch(_DUE, now, limit)]


async def lock_staff(staff_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Return staff members as they are now, so that roles hold until the end of the transaction."""
    return {row["id"]: row for row in await DB.fetch(_LOCK_STAFF, list(staff_ids))}


async def list_views(
    now: datetime, *, state: str, customer_id: UUID | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[Row]:
    """Return corrections as staff see them, newest first."""
    return await DB.fetch(_PAGE, *(before or (None, None)), limit, now, state or None, customer_id)


async def find_view(change_id: UUID, now: datetime) -> Row | None:
    """Return a correction as staff see it."""
    return await DB.fetch_row(_ONE, None, None, 1, now, change_id)
