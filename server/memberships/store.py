"""SQL of memberships, people and cards."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.db.engine import DB, Row
from server.db.ids import new_id

_OPEN = """
with opened as (
    insert into membership (id, programme, enrolled_at, created_at) values ($1, $2, $4, $6) returning id
)
insert into membership_person (id, membership, programme, customer, joined_at, eligible_from)
select $7, id, $2, $3, $4, $5 from opened
"""
_LOCK_CARD = "select id, membership, customer, status from card where code = $1 for update"
_ISSUE_CARD = """
insert into card (id, code, membership, customer, status, issued_at) values ($1, $2, $3, $4, 'active', $5)
on conflict (code) do nothing
returning id
"""
_UNREGISTERED_CARDS = """
insert into card (id, code, status, issued_at)
select c.id, c.code, 'issued', $3 from unnest($1::uuid[], $2::text[]) as c(id, code)
on conflict (code) do nothing
returning code
"""
_ADOPT_CARD = """
update card set membership = $2, customer = $3, status = 'active', issued_at = $4 where id = $1 and status = 'issued'
returning id
"""
# What is written next names the people, which locks them against being deleted; without their locks first, whoever
# has locked a customer and waits for the membership would be waited for in turn. Points of somebody who has left name
# them still.
_LOCK = """
with people as materialized (
    select c.id from customer c join membership_person p on p.customer = c.id
    where p.membership = any($1::uuid[]) order by c.id for key share of c
)
select * from membership where id = any($1::uuid[]) and (select count(*) from people) >= 0 order by id for update
"""
# Balance figures are cached on the membership and hold until `figures_until`; after that the live lots are summed.
_VIEWS = """
select m.id, m.status, m.tier, m.tier_until, m.enrolled_at, p.role, m.deficit, m.lifetime,
       m.programme, g.version as programme_version,
       (select min(l.expires_at) from lot l
        where l.membership = m.id and l.idle_days is not null and l.remaining > 0 and l.expires_at > $2) as idle_until,
       g.code as programme_code, g.name as programme_name, g.unit_one, g.unit_many,
       coalesce(f.available, m.available) as available, coalesce(f.pending, m.pending) as pending,
       coalesce((select sum(h.points) from hold h
                 where h.membership = m.id and h.state = 'open' and h.expires_at > $2), 0)::bigint as held,
       (select c.code from card c
        where c.membership = m.id and c.customer = p.customer and c.status = 'active'
        order by c.issued_at desc limit 1) as card_number,
       (select f.id from membership f join membership_person q on q.membership = f.id and q.customer = p.customer
        where f.successor = m.id order by f.closed_at desc limit 1) as former_id,
       (select coalesce(array_agg(x order by x.at), '{}') from (
            select l.available_at as at, sum(l.remaining)::bigint as points from lot l
            where l.membership = m.id and l.remaining > 0 and l.available_at > $2
            group by l.available_at order by l.available_at limit 12) x) as maturing,
       (select coalesce(array_agg(x order by x.at), '{}') from (
            select l.expires_at as at, sum(l.remaining)::bigint as points from lot l
            where l.membership = m.id and l.remaining > 0 and l.expires_at > $2
            group by l.expires_at order by l.expires_at limit 12) x) as expiring
from membership_person p
join membership m on m.id = p.membership
join programme g on g.id = m.programme
left join lateral (
    select coalesce(sum(l.remaining) filter (where l.available_at <= $2), 0)::bigint as available,
           coalesce(sum(l.remaining) filter (where l.available_at > $2), 0)::bigint as pending
    from lot l
    where l.membership = m.id and l.remaining > 0 and (l.expires_at is null or l.expires_at > $2)
) f on m.figures_until <= $2
where p.customer = $1 and p.left_at is null
order by m.enrolled_at
"""
# What the sales of a time earned and have not lost again by returns, wherever their points have gone since.
_QUALIFYING = """
select coalesce(sum(o.points - o.points_returned), 0)::bigint from orders o
where o.membership in (select regulars_family($1)) and o.state = 'completed' and o.completed_at >= $2 and o.completed_at < $3
"""
# The same person, somebody in the same membership, or somebody with an address or number that this person has proven.
_SHARES_WITH = """
select 1 where $1::uuid = $2::uuid or exists (
    select from membership_person mine join membership_person theirs on theirs.membership = mine.membership
    where mine.customer = $1 and theirs.customer = $2 and mine.left_at is null and theirs.left_at is null
) or exists (
    select from contact_point mine
    join contact_point theirs on theirs.kind = mine.kind and theirs.key = mine.key and theirs.status <> 'retired'
    where mine.customer = $1 and theirs.customer = $2 and mine.status = 'verified'
)
"""


async def open_membership(
    membership_id: UUID,
    *,
    programme_id: UUID,
    customer_id: UUID,
    enrolled_at: datetime,
    eligible_from: datetime,
    now: datetime,
) -> None:
    """Add a membership with its owner."""
    await DB.fetch(_OPEN, membership_id, programme_id, customer_id, enrolled_at, eligible_from, now, new_id())


async def shares_with(customer_id: UUID, other_id: UUID) -> bool:
    """Return whether what is done for a customer may profit another: for staff, whom the rules keep from themselves."""
    return await DB.fetch_row(_SHARES_WITH, customer_id, other_id) is not None


async def lock_card(code: str) -> Row | None:
    """Return a card and lock it."""
    return await DB.fetch_row(_LOCK_CARD, code)


async def issue_card(code: str, *, membership_id: UUID, customer_id: UUID, now: datetime) -> UUID | None:
    """Add an active card; None if the code exists already."""
    row = await DB.fetch_row(_ISSUE_CARD, new_id(), code, membership_id, customer_id, now)
    return row["id"] if row else None


async def insert_unregistered_cards(codes: Sequence[str], now: datetime) -> list[str]:
    """Add cards that belong to nobody yet and return the codes that were free."""
    return [row["code"] for row in await DB.fetch(_UNREGISTERED_CARDS, [new_id() for _ in codes], list(codes), now)]


async def adopt_card(card_id: UUID, *, membership_id: UUID, customer_id: UUID, now: datetime) -> bool:
    """Give an issued, unregistered card to a membership; False if it is no longer free."""
    return await DB.fetch_row(_ADOPT_CARD, card_id, membership_id, customer_id, now) is not None


async def lock_memberships(membership_ids: list[UUID]) -> list[Row]:
    """Return memberships, locked in the order of their ids."""
    return await DB.fetch(_LOCK, membership_ids)


async def list_views(customer_id: UUID, now: datetime) -> list[Row]:
    """Return a customer's memberships with card and balance at an instant."""
    return await DB.fetch(_VIEWS, customer_id, now)


async def get_qualifying_points(membership_id: UUID, since: datetime, until: datetime) -> int:
    """Return what the membership's sales of a time count for its tier."""
    points = await DB.fetch_value(_QUALIFYING, membership_id, since, until)
    assert isinstance(points, int)
    return points
