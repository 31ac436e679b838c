"""SQL of the search for duplicates: marks, keys, pairs and the queue."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.duplicates.rules import Birth, KnownAddress, Person

Pair = tuple[UUID, UUID]
"""Two customers, the smaller id first."""

_RUNNER: Final = 0x6475_706C
_LOCK = "select pg_try_advisory_lock($1)"
_UNLOCK = "select pg_advisory_unlock($1)"

_MARKS = "select id, customer from duplicate_mark order by id limit $1"
_COUNT_MARKS = "select count(*) from (select from duplicate_mark limit $1) found"
_DELETE_MARKS = "delete from duplicate_mark where id = any($1::uuid[])"
# What is not committed yet stays, and is compared afterwards.
_MARK_EVERYBODY = """
with gone as (delete from duplicate_mark)
insert into duplicate_mark (id, customer, marked_at) values ($1, null, clock_timestamp())
"""

# A mistyped address that was put right was never the customer's.
_PEOPLE = """
select c.id, c.kind, c.given_name, c.family_name, c.birth_year, c.birth_month, c.birth_day, c.post_code, c.postal_address,
       array(select p.kind || ' ' || (p.status in ('verified', 'bouncing'))::int || ' ' || p.key from contact_point p
             where p.customer = c.id and p.retired_reason is distinct from 'correction') as addresses,
       array(select m.membership from membership_person m where m.customer = c.id and m.left_at is null) as memberships,
       array(select l.record from pos_link l where l.customer = c.id and l.state = 'linked'
             union select r.record from link_review r where r.customer = c.id and r.state = 'open') as records
from customer c where c.id = any($1::uuid[]) and c.status in ('stub', 'active', 'blocked')
"""
_NEXT_CUSTOMERS = "select id from customer where id > $1 order by id limit $2"
_PUT_PROFILES = """
insert into duplicate_profile (customer, keys, made_at)
select p.customer, string_to_array(p.keys, ' ')::bigint[], $3 from unnest($1::uuid[], $2::text[]) as p(customer, keys)
on conflict (customer) do update set keys = excluded.keys, made_at = excluded.made_at
where duplicate_profile.keys <> excluded.keys
"""
_DROP_PROFILES = "delete from duplicate_profile where customer = any($1::uuid[])"
# Without a limit on each key's people, as that would let the planner think that reading the whole table ends soon.
_BLOCKS_OF = """
select b.people
from (select distinct unnest(keys) as key from duplicate_profile where customer = any($1::uuid[])) k
cross join lateral (select array_agg(p.customer) as people from duplicate_profile p where p.keys @> array[k.key]) b
where cardinality(b.people) between 2 and $2
"""
# Each pair once, however many keys it shares, and in an order in which one of the two is read for all its pairs at once.
# Open pairs are among them, as they may have been found under other rules. The server keeps the result in a file when the
# transaction ends, so that neither this process has to hold it nor does a snapshot stay open while pairs are weighed.
_SORT_MEMORY = "set local work_mem = '64MB'"
_OPEN_ALL_PAIRS = """
declare duplicate_pairs no scroll cursor with hold for
with held as (
    select unnest(keys) as key, customer from duplicate_profile
), shared as (
    select array_agg(customer order by customer) as people from held group by key having count(*) between 2 and {people_max}
)
select distinct one, other from (
    select a.customer as one, b.customer as other
    from shared, unnest(people) with ordinality a(customer, place), unnest(people) with ordinality b(customer, place)
    where a.place < b.place
    union all
    select one, other from duplicate_candidate where state = 'open'
) found
order by one, other
"""
_NEXT_OF_ALL_PAIRS = "fetch {at_once} from duplicate_pairs"
_CLOSE_ALL_PAIRS = "close duplicate_pairs"
# The order is that of the index, which is so used whatever the planner knows of the words.
_BEARERS = """
select w.word, (
    select count(*) from (
        select from customer_name_key n where n.key ~>=~ w.word and n.key ~<~ (w.word || '!') order by n.key using ~<~ limit $2
    ) found
) as bearers
from unnest($1::text[]) as w(word)
"""
_OPEN_PAIRS_OF = """
select one, other from duplicate_candidate where state = 'open' and (one = any($1::uuid[]) or other = any($1::uuid[]))
"""
_PUT_PAIRS = """
insert into duplicate_candidate (id, one, other, score, signs, state, found_at, note)
select p.id, p.one, p.other, p.score, string_to_array(p.signs, ' '), 'open', $6, ''
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::text[]) as p(id, one, other, score, signs)
on conflict (one, other) do update set score = excluded.score, signs = excluded.signs
where duplicate_candidate.state = 'open'
  and (duplicate_candidate.score, duplicate_candidate.signs) is distinct from (excluded.score, excluded.signs)
"""
_DROP_PAIRS = """
delete from duplicate_candidate d using unnest($1::uuid[], $2::uuid[]) as p(one, other)
where d.one = p.one and d.other = p.other and d.state = 'open'
"""
_NOTE_MERGES = """
update duplicate_candidate d set state = 'merged', decided_by = coalesce(m.decided_by, m.requested_by), decided_at = m.done_at
from merge m
where m.state = 'done' and (m.absorbed = any($1::uuid[]) or m.survivor = any($1::uuid[]))
  and d.one = least(m.survivor, m.absorbed) and d.other = greatest(m.survivor, m.absorbed) and d.state <> 'merged'
"""
# Whoever took a merge back has said that the two are two, the search need not ask again.
_NOTE_UNDONE = """
update duplicate_candidate d
set state = 'dismissed', decided_at = m.undone_at, note = $2,
    decided_by = (select s.id from staff_member s where s.id = m.undone_by)
from (
    select distinct on (survivor, absorbed) * from merge
    where state in ('done', 'undone') and (absorbed = any($1::uuid[]) or survivor = any($1::uuid[]))
    order by survivor, absorbed, done_at desc
) m
where m.state = 'undone' and d.state = 'merged'
  and d.one = least(m.survivor, m.absorbed) and d.other = greatest(m.survivor, m.absorbed)
"""

# The queue ------------------------------------------------------------------------------------------------------------

# Between a merge and the next look at its two customers the pair is open no more.
_PAIRS = """
with page as (
    select d.* from duplicate_candidate d
    join customer a on a.id = d.one join customer b on b.id = d.other
    where {condition} and ($1::int is null or (d.score, d.found_at, d.id) < ($1, $2::timestamptz, $3::uuid))
    order by d.score desc, d.found_at desc, d.id desc limit $4
)
select d.id, d.state, d.score, d.signs, d.one, d.other, d.found_at, d.decided_at, d.note, s.name as decided_by
from page d left join staff_member s on s.id = d.decided_by
order by d.score desc, d.found_at desc, d.id desc
"""
_LIVE = "a.status in ('stub', 'active', 'blocked') and b.status in ('stub', 'active', 'blocked')"
_OPEN_OF_CUSTOMER = _PAIRS.format(condition=f"d.state = 'open' and {_LIVE} and (d.one = $5 or d.other = $5)")
_OPEN = _PAIRS.format(condition=f"d.state = 'open' and {_LIVE}")
_DISMISSED = _PAIRS.format(condition="d.state = 'dismissed'")
_MERGED = _PAIRS.format(condition="d.state = 'merged'")
_OF_CUSTOMER = _PAIRS.format(condition="d.state = $6 and (d.one = $5 or d.other = $5)")
_FACES = """
select c.id, c.given_name, c.family_name, c.kind, c.status, c.birth_year, c.birth_month, c.birth_day, c.post_code, c.created_at,
       e.value as email, e.status as email_status,
       (select p.key from contact_point p where p.customer = c.id and p.kind = 'phone' and p.is_primary) as phone,
       (select k.code from card k where k.customer = c.id and k.status = 'active' order by k.issued_at desc limit 1)
           as card_code,
       exists (select from login l where l.customer = c.id and l.disabled_at is null) as has_login,
       exists (select from pos_link l where l.customer = c.id and l.state = 'linked') as pos_linked,
       o.completed_at as last_order_at, m.zone, m.membership is not null as has_membership, coalesce(m.available, 0) as available
from customer c
left join contact_point e on e.customer = c.id and e.kind = 'email' and e.is_primary
left join lateral (
    select o.completed_at from orders o where o.customer = c.id order by o.completed_at desc, o.id desc limit 1
) o on true
left join lateral (
    select m.id as membership, g.zone,
           case when m.figures_until <= $2 then (
               select coalesce(sum(l.remaining), 0)::bigint from lot l
               where l.membership = m.id and l.remaining > 0 and l.available_at <= $2
                 and (l.expires_at is null or l.expires_at > $2))
           else m.available end as available
    from membership_person p join membership m on m.id = p.membership join programme g on g.id = p.programme
    where p.customer = c.id and p.left_at is null and m.status = 'active'
    order by p.joined_at limit 1
) m on true
where c.id = any($1::uuid[])
"""
_FIND = """
select d.id, d.state, d.score, d.signs, d.one, d.other, d.found_at, d.decided_at, d.note, s.name as decided_by
from duplicate_candidate d left join staff_member s on s.id = d.decided_by where d.id = $1
"""
_LOCK_ONE = "select id, state, one, other from duplicate_candidate where id = $1 for update"
_DISMISS = """
update duplicate_candidate set state = 'dismissed', decided_by = $2, decided_at = $3, note = $4
where id = $1 and state = 'open' returning id
"""
_REOPEN = """
update duplicate_candidate set state = 'open', decided_by = null, decided_at = null, note = ''
where id = $1 and state = 'dismissed' returning id
"""
# Dated by the database, as triggers make most of the marks.
_MARK = """
insert into duplicate_mark (id, customer, marked_at)
select m.id, m.customer, clock_timestamp() from unnest($1::uuid[], $2::uuid[]) as m(id, customer)
"""


@asynccontextmanager
async def only_one_runs() -> AsyncIterator[bool]:
    """Yield whether this is the only one that compares customers now; whoever dies is the one no more."""
    async with DB.connection() as connection:
        is_alone = bool(await connection.fetchval(_LOCK, _RUNNER))
        try:
            yield is_alone
        finally:
            if is_alone and not connection.is_closed():
                await connection.execute(_UNLOCK, _RUNNER)


async def list_marks(limit: int) -> list[Row]:
    """Return the oldest marks: id and customer, which is null for everybody."""
    return await DB.fetch(_MARKS, limit)


async def count_marks(limit: int) -> int:
    """Return how many marks there are, counted up to a limit."""
    return _number(await DB.fetch_value(_COUNT_MARKS, limit))


async def delete_marks(mark_ids: Sequence[UUID]) -> None:
    """Delete marks that were served."""
    await DB.fetch(_DELETE_MARKS, list(mark_ids))


async def mark_everybody() -> UUID:
    """Let one mark of everybody stand for all that there are, and return its id."""
    mark_id = new_id()
    await DB.fetch(_MARK_EVERYBODY, mark_id)
    return mark_id


async def mark(customer_ids: Sequence[UUID]) -> None:
    """Mark customers."""
    await DB.fetch(_MARK, [new_id() for _ in customer_ids], list(customer_ids))


async def list_people(customer_ids: Collection[UUID]) -> list[Person]:
    """Return what is known of those of some customers who are somebody still."""
    return [_person(row) for row in await DB.fetch(_PEOPLE, list(customer_ids))]


def _person(row: Row) -> Person:
    birth = None
    if row["birth_month"] is not None:
        birth = Birth(row["birth_year"], row["birth_month"], row["birth_day"])
    addresses = (text.split(" ", 2) for text in row["addresses"])
    return Person(
        id=row["id"],
        kind=row["kind"],
        given_name=row["given_name"],
        family_name=row["family_name"],
        birth=birth,
        addresses=tuple(KnownAddress(kind, key, verified == "1") for kind, verified, key in addresses),
        post_code=row["post_code"],
        postal_address=row["postal_address"],
        memberships=frozenset(row["memberships"]),
        records=frozenset(row["records"]),
    )


async def list_next_customers(after: UUID, limit: int) -> list[UUID]:
    """Return the ids of customers in their order."""
    return [row["id"] for row in await DB.fetch(_NEXT_CUSTOMERS, after, limit)]


async def put_profiles(ctx: Context, profiles: Sequence[tuple[UUID, Sequence[int]]]) -> None:
    """Write the keys of customers."""
    keys = [" ".join(map(str, each)) for _, each in profiles]
    await DB.fetch(_PUT_PROFILES, [customer for customer, _ in profiles], keys, ctx.now)


async def drop_profiles(customer_ids: Collection[UUID]) -> None:
    """Forget the keys of customers."""
    await DB.fetch(_DROP_PROFILES, list(customer_ids))


async def list_blocks_of(customer_ids: Collection[UUID], people_max: int) -> list[list[UUID]]:
    """Return for each key of some customers everybody who shares it, keys of too many left out."""
    return [row["people"] for row in await DB.fetch(_BLOCKS_OF, list(customer_ids), people_max)]


async def all_pairs(people_max: int, at_once: int) -> AsyncGenerator[list[Pair], None]:
    """Yield all pairs who share a key, those of too many left out, and all open pairs, so many at a time."""
    async with DB.connection() as connection:
        async with connection.transaction():
            await connection.execute(_SORT_MEMORY)
            await connection.execute(_OPEN_ALL_PAIRS.format(people_max=people_max))
        try:
            while rows := await connection.fetch(_NEXT_OF_ALL_PAIRS.format(at_once=at_once)):
                yield [(row["one"], row["other"]) for row in rows]
        finally:
            if not connection.is_closed():
                await connection.execute(_CLOSE_ALL_PAIRS)


async def count_bearers(words: Collection[str], limit: int) -> dict[str, int]:
    """Return how many customers bear words or whole names, folded, counted up to a limit."""
    return {row["word"]: row["bearers"] for row in await DB.fetch(_BEARERS, list(words), limit)}


async def list_open_pairs_of(customer_ids: Collection[UUID]) -> list[Pair]:
    """Return the open pairs of customers."""
    return [(row["one"], row["other"]) for row in await DB.fetch(_OPEN_PAIRS_OF, list(customer_ids))]


async def put_pairs(ctx: Context, pairs: Sequence[tuple[Pair, int, Iterable[str]]]) -> None:
    """Add pairs to the queue or write their new evidence; what staff decided stays as it is."""
    if not pairs:
        return
    # In one order, so that no two writers wait for each other.
    pairs = sorted(pairs, key=lambda found: found[0])
    await DB.fetch(
        _PUT_PAIRS,
        [new_id() for _ in pairs],
        [pair[0] for pair, _, _ in pairs],
        [pair[1] for pair, _, _ in pairs],
        [score for _, score, _ in pairs],
        [" ".join(signs) for _, _, signs in pairs],
        ctx.now,
    )


async def drop_pairs(pairs: Sequence[Pair]) -> None:
    """Take pairs that are alike no more out of the queue; what staff decided stays."""
    if pairs:
        await DB.fetch(_DROP_PAIRS, [one for one, _ in pairs], [other for _, other in pairs])


async def note_merges(customer_ids: Collection[UUID], undone_note: str) -> None:
    """Write down which pairs of some customers were merged, and which of these were made two again."""
    await DB.fetch(_NOTE_MERGES, list(customer_ids))
    await DB.fetch(_NOTE_UNDONE, list(customer_ids), undone_note)


# The queue ------------------------------------------------------------------------------------------------------------


async def list_pairs(
    *, state: str, customer_id: UUID | None, after: tuple[int, datetime, UUID] | None, limit: int
) -> list[Row]:
    """Return a page of pairs of a state, the likeliest first."""
    page = (*(after or (None, None, None)), limit)
    if customer_id is None:
        return await DB.fetch({"open": _OPEN, "dismissed": _DISMISSED, "merged": _MERGED}[state], *page)
    if state == "open":
        return await DB.fetch(_OPEN_OF_CUSTOMER, *page, customer_id)
    return await DB.fetch(_OF_CUSTOMER, *page, customer_id, state)


async def list_faces(customer_ids: Collection[UUID], now: datetime) -> dict[UUID, Row]:
    """Return what tells customers apart."""
    return {row["id"]: row for row in await DB.fetch(_FACES, list(customer_ids), now)}


async def find_pair(pair_id: UUID) -> Row | None:
    """Return a pair."""
    return await DB.fetch_row(_FIND, pair_id)


async def lock_pair(pair_id: UUID) -> Row | None:
    """Lock a pair and return its state and its two customers."""
    return await DB.fetch_row(_LOCK_ONE, pair_id)


async def dismiss(ctx: Context, pair_id: UUID, *, staff_id: UUID, note: str) -> None:
    """Write down that the two are two people."""
    row = await DB.fetch_row(_DISMISS, pair_id, staff_id, ctx.now, note)
    assert row is not None, "the pair is locked"


async def reopen(pair_id: UUID) -> None:
    """Let a dismissed pair be open again."""
    row = await DB.fetch_row(_REOPEN, pair_id)
    assert row is not None, "the pair is locked"


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value
