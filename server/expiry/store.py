"""SQL of schedules and notices."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from server.db.engine import DB, Row

# A lot lapses at the midnight after its last day, so the month is that of the instant before.
_MONTHS = """
with lots as (
    select l.expires_at as at, sum(l.remaining)::bigint as points,
           date_trunc('month', (l.expires_at - interval '1 microsecond') at time zone g.zone)::date as month
    from lot l join membership m on m.id = l.membership join programme g on g.id = m.programme
    where l.membership = $1 and l.remaining > 0 and l.expires_at > $2
    group by l.expires_at, g.zone
)
select month, sum(points)::bigint as points, array_agg((at, points) order by at) as lots
from lots where $3::date is null or month > $3
group by month order by month limit $4
"""
_HEAD = """
select g.zone, (select coalesce(sum(l.remaining), 0)::bigint from lot l
                where l.membership = m.id and l.remaining > 0 and l.expires_at is null) as never
from membership m join programme g on g.id = m.programme where m.id = $1
"""
_ZONES = "select id, zone from programme where status <> 'draft' order by id limit 1000"
# Memberships in which something lapses until $3 that nobody was told of so many ($4) days ahead, and somebody can be told,
# from behind a place on: whoever was told an instant ago is not looked at again.
_DUE = """
select distinct l.expires_at, l.membership
from lot l join membership m on m.id = l.membership and m.status = 'active' and m.programme = any($5::uuid[])
where l.remaining > 0 and (l.expires_at, l.membership) > ($1, $2) and l.expires_at <= $3
  and not exists (select from expiry_notice n
                  where n.membership = l.membership and n.expires_at = l.expires_at and n.days = $4)
  and exists (select from membership_person p
              join customer u on u.id = p.customer and u.status in ('stub', 'active')
              join contact_point c on c.customer = p.customer
              where p.membership = l.membership and p.left_at is null
                and c.kind = 'email' and c.is_primary and c.status = 'verified')
order by l.expires_at, l.membership limit $6
"""
# All that lapses in memberships between two instants, as far as nobody was told. The notices are noted first: who notes one,
# mails it. The mails name people, who come before their memberships, as in every act that locks both.
_NOTE = """
with people as materialized (
    select id from customer
    where id in (select customer from membership_person where membership = any($2::uuid[]) and left_at is null)
    order by id for key share
), lots as (
    select l.membership, l.expires_at, sum(l.remaining)::bigint as points, bool_or(l.idle_days is not null) as is_idle
    from lot l
    where l.membership = any($2::uuid[]) and l.remaining > 0 and l.expires_at > $3 and l.expires_at <= $4
    group by l.membership, l.expires_at
), noted as (
    insert into expiry_notice (id, membership, expires_at, days, at)
    select regulars_new_id(), membership, expires_at, $5, $1 from lots
    where (select count(*) from people) >= 0 order by membership, expires_at
    on conflict (membership, expires_at, days) do nothing
    returning membership, expires_at
), told as (
    select l.membership, sum(l.points)::bigint as points, min(l.expires_at) as first, bool_or(l.is_idle) as is_idle,
           array_agg((l.expires_at, l.points) order by l.expires_at) as lots
    from noted n join lots l on l.membership = n.membership and l.expires_at = n.expires_at
    group by l.membership
)
select t.points, t.first, t.is_idle, t.lots, g.zone, g.name as programme_name, g.unit_one, g.unit_many, p.customer, u.given_name,
       c.value as email
from told t
join membership m on m.id = t.membership
join programme g on g.id = m.programme
join membership_person p on p.membership = t.membership and p.left_at is null
join customer u on u.id = p.customer and u.status in ('stub', 'active')
join contact_point c on c.customer = p.customer and c.kind = 'email' and c.is_primary and c.status = 'verified'
order by t.membership, p.customer
"""


async def get_head(membership_id: UUID) -> Row | None:
    """Return a membership's time zone and the points that never lapse."""
    return await DB.fetch_row(_HEAD, membership_id)


async def list_months(membership_id: UUID, now: datetime, *, after: date | None, limit: int) -> list[Row]:
    """Return months in which something lapses, with its lots of equal dates."""
    return await DB.fetch(_MONTHS, membership_id, now, after, limit)


async def list_zones() -> list[Row]:
    """Return programmes with their zones."""
    return await DB.fetch(_ZONES)


async def list_due(
    place: tuple[datetime, UUID], *, until: datetime, days: int, programme_ids: Sequence[UUID], limit: int
) -> list[Row]:
    """Return memberships in which something lapses until an instant that nobody was told of so many days ahead.

    Args:
        place: The instant and the membership behind which to go on.
    """
    return await DB.fetch(_DUE, *place, until, days, list(programme_ids), limit)


async def note_notices(
    now: datetime, membership_ids: Sequence[UUID], *, after: datetime, until: datetime, days: int
) -> list[Row]:
    """Note what nobody was told of yet and return whom to tell, one row a person."""
    return await DB.fetch(_NOTE, now, list(membership_ids), after, until, days)
