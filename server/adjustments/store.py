"""SQL of adjustments."""

from datetime import datetime
from uuid import UUID

from server.adjustments.rules import Usage, Wish
from server.context import Context
from server.db.engine import DB, Row
from shared.adjustments import AdjustmentState
from shared.limits import ADJUST_DAY, ADJUST_MONTH

# The named membership, or the one the customer joined first.
_MEMBERSHIP = """
select p.membership
from membership_person p join membership m on m.id = p.membership
where p.customer = $1 and p.left_at is null and ($2::uuid is null or p.membership = $2)
order by m.status = 'active' desc, p.joined_at, p.membership limit 1
"""
# Everybody who adjusts in a store waits here for the one before, so that each sees what the others have used.
_LOCK_STORE = "select pg_advisory_xact_lock(hashtextextended('adjustments:' || coalesce($1::uuid::text, ''), 0))"
_LOCK_STAFF = """
select id, role, status, store, customer from staff_member where id = any($1::uuid[]) order by id for no key update
"""
# What was approved by a second person has used nobody's limit; what was taken back has. Each of the three is found by an
# index of its own.
_USAGE = """
select own.day, own.month, member.day as member_day, member.month as member_month, store.day as store_day
from (
    select coalesce(sum(abs(points)) filter (where posted_at > $6), 0)::bigint as day,
           coalesce(sum(abs(points)), 0)::bigint as month
    from adjustment where requested_by = $1 and posted_at > $7 and decided_by is null
) own, (
    select coalesce(sum(abs(points)) filter (where posted_at > $6), 0)::bigint as day,
           coalesce(sum(abs(points)), 0)::bigint as month
    from adjustment where (membership = $2 or customer = $3) and posted_at > $7 and decided_by is null
) member, (
    select coalesce(sum(abs(points)), 0)::bigint as day
    from adjustment
    where (store = $4 or ($4::uuid is null and store is null)) and requested_role = $5 and posted_at > $6
      and decided_by is null
) store
"""
_INSERT = """
insert into adjustment (id, customer, membership, store, points, reason_code, note, visible, state, needs, requested_by,
                        requested_role, requested_at, lapses_at, entry, posted_at, each_max)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
"""
_LOCK = "select * from adjustment where id = $1 for update"
_FIND = "select customer, membership from adjustment where id = $1"
_DECIDE = """
update adjustment set state = $2, decided_by = $3, decided_at = $4::timestamptz, decision_note = $5, entry = $6::uuid,
                      posted_at = case when $6::uuid is null then null else $4::timestamptz end
where id = $1 and state = 'waiting' returning id
"""
_UNDO = """
update adjustment set state = 'undone', undone_by = $2, undone_at = $3, undo_note = $4
where id = $1 and state = 'posted' returning id
"""
_VIEW = """
select a.*, trim(c.given_name || ' ' || c.family_name) as customer_name, r.name as requester_name,
       d.name as decider_name, u.name as undoer_name, f.available, f.pending, m.deficit,
       case when a.state = 'waiting' and a.lapses_at <= $1 then 'lapsed' else a.state end as shown_state
from (
    select * from adjustment a where {condition}
) a
join customer c on c.id = a.customer
join membership m on m.id = a.membership
join staff_member r on r.id = a.requested_by
left join staff_member d on d.id = a.decided_by
left join staff_member u on u.id = a.undone_by
cross join lateral (
    select coalesce(sum(l.remaining) filter (where l.available_at <= $1), 0)::bigint as available,
           coalesce(sum(l.remaining) filter (where l.available_at > $1), 0)::bigint as pending
    from lot l
    where l.membership = a.membership and l.remaining > 0 and (l.expires_at is null or l.expires_at > $1)
) f
order by a.requested_at desc, a.id desc
"""
_VIEW_ONE = _VIEW.format(condition="a.id = $2")
# Only what is asked for stands in a page's statement, as one with `$3 is null or ...` would be planned without the indexes.
_VIEW_PAGE = "{conditions} order by a.requested_at desc, a.id desc limit $2"
_IN_STATE = {
    AdjustmentState.WAITING: "a.state = 'waiting' and a.lapses_at > $1",
    AdjustmentState.LAPSED: "a.state = 'waiting' and a.lapses_at <= $1",
    AdjustmentState.POSTED: "a.state = 'posted'",
    AdjustmentState.REFUSED: "a.state = 'refused'",
    AdjustmentState.UNDONE: "a.state = 'undone'",
}


async def find_membership(customer_id: UUID, membership_id: UUID | None) -> UUID | None:
    """Return the membership to adjust, None if the customer has none or is not in the named one."""
    row = await DB.fetch_row(_MEMBERSHIP, customer_id, membership_id)
    return row["membership"] if row else None


async def lock_store(store_id: UUID | None) -> None:
    """Let adjustments of one store, or of staff without one, happen one after the other."""
    await DB.fetch(_LOCK_STORE, store_id)


async def lock_staff(staff_ids: list[UUID]) -> dict[UUID, Row]:
    """Return staff members as they are now, by id, and lock them in the order of their ids."""
    return {row["id"]: row for row in await DB.fetch(_LOCK_STAFF, staff_ids)}


async def get_usage(
    ctx: Context, *, staff_id: UUID, role: str, store_id: UUID | None, customer_id: UUID, membership_id: UUID
) -> Usage:
    """Return what was adjusted lately without a second person."""
    row = await DB.fetch_row(
        _USAGE, staff_id, membership_id, customer_id, store_id, role, ctx.now - ADJUST_DAY, ctx.now - ADJUST_MONTH
    )
    assert row is not None
    return Usage(**dict(row))


async def insert_adjustment(
    ctx: Context,
    wish: Wish,
    *,
    adjustment_id: UUID,
    customer_id: UUID,
    membership_id: UUID,
    staff: Row,
    each_max: int,
    needs: tuple[str, ...],
    lapses_at: datetime | None,
    entry_id: UUID | None,
) -> None:
    """Write an adjustment that was posted, or one that waits for a second person."""
    await DB.fetch(
        _INSERT, adjustment_id, customer_id, membership_id, staff["store"], wish.points, wish.reason_code, wish.note,
        wish.visible, "waiting" if entry_id is None else "posted", list(needs), staff["id"], staff["role"], ctx.now,
        lapses_at, entry_id, None if entry_id is None else ctx.now, each_max,
    )  # fmt: skip


async def find_owner(adjustment_id: UUID) -> Row | None:
    """Return customer and membership of an adjustment, to lock them before it."""
    return await DB.fetch_row(_FIND, adjustment_id)


async def lock_adjustment(adjustment_id: UUID) -> Row:
    """Return an adjustment and lock it."""
    row = await DB.fetch_row(_LOCK, adjustment_id)
    assert row is not None, "adjustments are never deleted"
    return row


async def decide(ctx: Context, adjustment_id: UUID, *, staff_id: UUID, note: str, entry_id: UUID | None) -> None:
    """Write who approved (with the entry) or refused a waiting adjustment."""
    state = "refused" if entry_id is None else "posted"
    row = await DB.fetch_row(_DECIDE, adjustment_id, state, staff_id, ctx.now, note, entry_id)
    assert row is not None, "the caller has locked it and seen it waiting"


async def mark_undone(ctx: Context, adjustment_id: UUID, *, staff_id: UUID, note: str) -> None:
    """Write who took a posted adjustment back."""
    row = await DB.fetch_row(_UNDO, adjustment_id, staff_id, ctx.now, note)
    assert row is not None, "the caller has locked it and seen it posted"


async def get_view(adjustment_id: UUID, now: datetime) -> Row:
    """Return an adjustment with names and the membership's points."""
    row = await DB.fetch_row(_VIEW_ONE, now, adjustment_id)
    assert row is not None, "adjustments are never deleted"
    return row


async def list_views(
    now: datetime,
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
    state: AdjustmentState | None,
    requested_by: UUID | None,
    customer_id: UUID | None,
) -> list[Row]:
    """Return adjustments, newest first, narrowed by state, requester and customer where these are given."""
    conditions = ["true" if state is None else _IN_STATE[state]]
    values: list[object] = [now, limit]
    for column, value in (("requested_by", requested_by), ("customer", customer_id)):
        if value is not None:
            values.append(value)
            conditions.append(f"a.{column} = ${len(values)}")
    if before is not None:
        values += before
        conditions.append(f"(a.requested_at, a.id) < (${len(values) - 1}, ${len(values)})")
    page = _VIEW_PAGE.format(conditions=" and ".join(conditions))
    return await DB.fetch(_VIEW.format(condition=page), *values)
