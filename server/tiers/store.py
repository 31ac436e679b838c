"""SQL of tiers."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.db.engine import DB, Row
from server.db.ids import new_id
from server.programmes.standings import Standing, Window

# What the sales of each window earned and have not lost again by returns, lapsed points included, wherever their points
# have gone since.
_QUALIFYING = """
select coalesce(sum(o.points - o.points_returned), 0)::bigint as points
from unnest($2::timestamptz[], $3::timestamptz[]) with ordinality as w(since, until, n)
left join orders o on o.membership in (select regulars_family(m) from unnest($1::uuid[]) m) and o.state = 'completed'
                      and o.completed_at >= w.since and o.completed_at < w.until
group by w.n order by w.n
"""
# Whoever waited for the lock may have looked at the clock before whoever had it; the later change is the later one still.
_SET = """
with changed as (update membership set tier = $2, tier_until = $3, version = version + 1 where id = $1)
insert into tier_change (id, membership, tier, until, at, qualifying_points, reason)
select $4, $1, $2, $3, greatest($5, (select max(at) + interval '1 microsecond' from tier_change where membership = $1)), $6, $7
"""
# A membership's own tiers first; one that was reissued has none of its own from before.
_CHANGE_AT = """
select tier, until from tier_change
where membership in (select regulars_family($1)) and at <= $2
order by (membership = $1) desc, at desc, id desc limit 1
"""
# What a membership had before the tier that it inherited at an instant, unless that has changed since.
_BEFORE_INHERITED = """
select coalesce(b.tier, '') as tier, b.until
from (select id, at, reason from tier_change where membership = $1 order by at desc, id desc limit 1) c
left join lateral (
    select tier, until from tier_change where membership = $1 and (at, id) < (c.at, c.id) order by at desc, id desc limit 1
) b on true
where c.reason = 'inherited' and c.at = $2
"""
# The next memberships by id, whatever they are, so that a page costs the same everywhere; with the points of each window
# where they are active in the programme.
_NEXT = """
select p.id, p.tier, q.points
from (select id, programme, status, tier from membership where id > $2 order by id limit $3) p
left join lateral (
    select array_agg(s.points order by w.n) as points
    from unnest($4::timestamptz[], $5::timestamptz[]) with ordinality as w(since, until, n)
    cross join lateral (
        select coalesce(sum(o.points - o.points_returned), 0)::bigint as points from orders o
        where o.membership in (select regulars_family(p.id)) and o.state = 'completed'
          and o.completed_at >= w.since and o.completed_at < w.until
    ) s
) q on p.programme = $1 and p.status = 'active'
order by p.id
"""
_REVIEW = "select rule_version, place from tier_review where programme = $1"
_SET_REVIEW = """
insert into tier_review (programme, rule_version, place) values ($1, $2, $3)
on conflict (programme) do update set rule_version = excluded.rule_version, place = excluded.place
"""
# Of two workers at the same page the second changes nothing.
_MOVE_REVIEW = """
update tier_review set place = $4 where programme = $1 and rule_version = $2 and place = $3
"""
_DUE = "select id from membership where tier_until <= $1 and status = 'active' order by tier_until limit $2"
_LOCK = "select id, programme, tier, tier_until from membership where id = $1 and status = 'active' for no key update"
_FIND = "select id, programme, tier, tier_until from membership where id = $1"
_DAY_POINTS = """
select coalesce(sum(points), 0)::bigint from orders
where membership in (select regulars_family($1)) and completed_at >= $2 and completed_at < $3
  and state = 'completed' and id <> $4
"""
_PROMOTION_POINTS = """
select p.code, sum(p.points)::bigint as points
from promotion_use p join orders o on o.id = p."order" and o.assignment_version = p.assignment_version
where o.membership in (select regulars_family($1)) and p.code = any($2::text[]) and o.id <> $3
  and o.state = 'completed' and o.skipped_reason is null
group by p.code
"""
# A changed sale may use other promotions than before.
_USE = """
with dropped as (
    delete from promotion_use where "order" = $1 and assignment_version = $2 and code <> all($4::text[])
)
insert into promotion_use (id, "order", assignment_version, code, points)
select u.id, $1, $2, u.code, u.points from unnest($3::uuid[], $4::text[], $5::bigint[]) as u(id, code, points)
on conflict ("order", assignment_version, code) do update set points = excluded.points
"""


async def find(membership_id: UUID) -> Row | None:
    """Return a membership with its tier, in whatever state it is."""
    return await DB.fetch_row(_FIND, membership_id)


async def list_qualifying(membership_ids: Sequence[UUID], windows: Sequence[Window]) -> list[int]:
    """Return the points that the sales of each window earned and kept, of these memberships together."""
    since, until = [window.since for window in windows], [window.until for window in windows]
    return [row["points"] for row in await DB.fetch(_QUALIFYING, list(membership_ids), since, until)]


async def set_tier(membership_id: UUID, standing: Standing, at: datetime, reason: str) -> None:
    """Give a locked membership a tier from an instant on."""
    await DB.fetch(_SET, membership_id, standing.tier, standing.until, new_id(), at, standing.points, reason)


async def find_change(membership_id: UUID, at: datetime) -> Row | None:
    """Return the tier that a membership was last given at an instant, and until when; it may be over by then."""
    return await DB.fetch_row(_CHANGE_AT, membership_id, at)


async def find_before_inherited(membership_id: UUID, at: datetime) -> Row | None:
    """Return the tier that a membership had before it inherited its present one at an instant; None if it did not."""
    return await DB.fetch_row(_BEFORE_INHERITED, membership_id, at)


async def list_due(now: datetime, limit: int) -> list[UUID]:
    """Return memberships whose tier's time is over, the longest over first."""
    return [row["id"] for row in await DB.fetch(_DUE, now, limit)]


async def list_next(programme_id: UUID, place: UUID, limit: int, *, windows: Sequence[Window]) -> list[Row]:
    """Return memberships behind a place by id, with the points of each window where they are active in the programme."""
    since, until = [window.since for window in windows], [window.until for window in windows]
    return await DB.fetch(_NEXT, programme_id, place, limit, since, until)


async def find_review(programme_id: UUID) -> Row | None:
    """Return by which version of the rules a programme's memberships are or were looked at, and how far that has come."""
    return await DB.fetch_row(_REVIEW, programme_id)


async def set_review(programme_id: UUID, version_id: UUID, place: UUID | None) -> None:
    """Note by which version a programme's memberships are looked at from a place on; None: all of them were."""
    await DB.fetch(_SET_REVIEW, programme_id, version_id, place)


async def move_review(programme_id: UUID, version_id: UUID, place: UUID, to_place: UUID | None) -> None:
    """Note how far that has come, unless somebody else has got further."""
    await DB.fetch(_MOVE_REVIEW, programme_id, version_id, place, to_place)


async def lock(membership_id: UUID) -> Row | None:
    """Lock an active membership and return its tier."""
    return await DB.fetch_row(_LOCK, membership_id)


async def get_day_points(membership_id: UUID, since: datetime, until: datetime, order_id: UUID) -> int:
    """Return what the membership's other sales of a time earned."""
    points = await DB.fetch_value(_DAY_POINTS, membership_id, since, until, order_id)
    assert isinstance(points, int)
    return points


async def get_promotion_points(membership_id: UUID, codes: Sequence[str], order_id: UUID) -> dict[str, int]:
    """Return what each promotion has given the membership in other sales."""
    rows = await DB.fetch(_PROMOTION_POINTS, membership_id, list(codes), order_id)
    return {row["code"]: row["points"] for row in rows}


async def set_uses(order_id: UUID, assignment_version: int, uses: Sequence[tuple[str, int]]) -> None:
    """Note what promotions added to an order under an assignment, and nothing else."""
    codes, points = [code for code, _ in uses], [points for _, points in uses]
    await DB.fetch(_USE, order_id, assignment_version, [new_id() for _ in uses], codes, points)
