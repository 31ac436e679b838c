"""SQL of imports: the staging table, whom a row is for, and the entries it becomes."""

from collections.abc import Sequence
from uuid import UUID

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.imports.rules import BalanceLine, Content

_HASH_DIGITS = 32
_FIND_BATCH = "select id from import_batch where kind = 'balances' and name = $1"
_OPEN_BATCH = """
insert into import_batch (id, kind, name, file_hash, started_at) values ($1, 'balances', $2, $3, $4)
on conflict (kind, name) do update set file_hash = excluded.file_hash, finished_at = null
returning id
"""
_SAME_FILE = """
select name from import_batch b
where kind = 'balances' and file_hash = $1 and name <> $2
  and exists (select from balance_row r where r.batch = b.id and r.entry is not null)
order by started_at limit 1
"""
_DROP_WAITING = "delete from balance_row where batch = $1 and entry is null"
_POSTED = """
select row_key, identified_by, identifier, points, earned_at, expires_at from balance_row
where batch = $1 and entry is not null
"""
_STAGE = """
insert into balance_row (id, batch, row_key, line, identified_by, identifier, points, earned_at, expires_at)
select r.id, $1, r.row_key, r.line, r.identified_by, r.identifier, r.points, r.earned_at, r.expires_at
from unnest($2::uuid[], $3::text[], $4::int[], $5::text[], $6::text[], $7::bigint[], $8::timestamptz[], $9::timestamptz[])
     as r(id, row_key, line, identified_by, identifier, points, earned_at, expires_at)
"""
_TO_DO = """
select id, row_key, line, identified_by, identifier, points, earned_at, expires_at from balance_row
where batch = $1 and state = 'new' order by line limit $2 for update skip locked
"""
# A card is one customer's, and so is a till system's record that is linked to one. An address counts for whoever has
# proven it, or else for those who cannot have typed it in themselves, as they have no login; so nobody gets points by
# naming another's address.
_RESOLVE = """
with wanted as (
    select * from unnest($1::int[], $2::text[], $3::text[]) as w(n, kind, key)
), found as (
    select w.n, c.customer, c.membership, true as proven
    from wanted w join card c on w.kind = 'card' and c.code = w.key and c.status = 'active'
    join membership m on m.id = c.membership and m.status = 'active'
    union
    select w.n, l.customer, null, true
    from wanted w
    join pos_connection k on w.kind = 'pos' and k.code = split_part(w.key, ':', 1)
    join pos_record r on r.connection = k.id and r.external_id = substr(w.key, strpos(w.key, ':') + 1)
    join pos_link l on l.record = coalesce(r.merged_into, r.id) and l.state = 'linked'
    union
    select w.n, p.customer, null, p.status <> 'unverified'
    from wanted w join contact_point p on p.kind = w.kind and p.key = w.key and p.status <> 'retired'
    where p.status <> 'unverified' or not exists (select from login l where l.customer = p.customer)
), people as (
    select f.n, f.customer, f.membership, c.status, count(*) over (partition by f.n) as people,
           row_number() over (partition by f.n order by f.customer) as place
    from found f join customer c on c.id = f.customer and c.status in ('stub', 'active', 'blocked')
    where f.proven or not exists (select from found p where p.n = f.n and p.proven)
)
select p.n, p.customer, p.status, p.people, coalesce(p.membership, (
           select m.id from membership_person x join membership m on m.id = x.membership and m.status = 'active'
           join programme g on g.id = m.programme
           where x.customer = p.customer and x.left_at is null
           order by g.is_default desc, x.joined_at limit 1)) as membership
from people p where p.place = 1
"""
_DROP = "delete from balance_row where id = any($1::uuid[])"
_POST = """
with rows as (
    select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::timestamptz[],
                         $7::timestamptz[], $8::text[])
        as r(id, entry, membership, customer, points, earned_at, expires_at, source_key)
), entries as (
    insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, actor_kind, actor_id)
    select entry, membership, 'OPENING', points, earned_at, $9, source_key, customer, $10, $11::uuid from rows
), lots as (
    insert into lot (entry, membership, points, remaining, earned_at, available_at, expires_at)
    select entry, membership, points, points, earned_at, earned_at, expires_at from rows
), done as (
    update balance_row b set state = 'posted', customer = r.customer, membership = r.membership, entry = r.entry
    from rows r where b.id = r.id
)
update membership m
set balance = m.balance + x.points, available = m.available + x.points, version = m.version + 1,
    figures_until = least(m.figures_until, x.until)
from (select membership, sum(points) as points, min(expires_at) as until from rows group by membership) x
where m.id = x.membership
"""
_MARK_POSTED = "update balance_row set state = 'posted', customer = $2, membership = $3, entry = $4 where id = $1"
_FINISH = "update import_batch set finished_at = $2 where id = $1"
_LET_GO = "delete from balance_row where entry is null and identifier = any($1::text[])"
_POSTED_FOR = """
select id, row_key from balance_row
where customer = any($1::uuid[]) and entry is not null and identifier <> '' order by id for update
"""
_EMPTY = """
update balance_row b set row_key = n.row_key, identifier = ''
from unnest($1::uuid[], $2::text[]) as n(id, row_key) where b.id = n.id
"""
_PEOPLE = """
select distinct customer from membership_person where membership = any($1::uuid[]) and left_at is null order by customer
"""


async def find_batch(name: str) -> UUID | None:
    """Return the batch of this name."""
    row = await DB.fetch_row(_FIND_BATCH, name)
    return None if row is None else UUID(str(row["id"]))


async def find_same_file(file_hash: bytes, *, but: str) -> str | None:
    """Return the name of a batch, other than one, in which the very same file was posted."""
    row = await DB.fetch_row(_SAME_FILE, file_hash, but)
    return None if row is None else str(row["name"])


async def open_batch(ctx: Context, *, name: str, file_hash: bytes) -> UUID:
    """Return the batch of this name, a new one unless there is one; it is locked, so that runs at once take turns."""
    row = await DB.fetch_row(_OPEN_BATCH, new_id(), name, file_hash, ctx.now)
    assert row is not None
    return UUID(str(row["id"]))


async def drop_waiting(batch_id: UUID) -> None:
    """Let go of rows that an earlier run has not come to: what counts is what the file says now."""
    await DB.fetch(_DROP_WAITING, batch_id)


async def list_posted(batch_id: UUID) -> dict[str, Content]:
    """Return what was posted, by key."""
    return {str(row[0]): tuple(row)[1:] for row in await DB.fetch(_POSTED, batch_id)}


async def stage(batch_id: UUID, lines: Sequence[BalanceLine]) -> None:
    """Write lines down to be posted."""
    await DB.fetch(
        _STAGE,
        batch_id,
        [new_id() for _ in lines],
        [line.row_key for line in lines],
        [line.line for line in lines],
        [line.identified_by for line in lines],
        [line.identifier for line in lines],
        [line.points for line in lines],
        [line.earned_at for line in lines],
        [line.expires_at for line in lines],
    )


async def lock_to_do(batch_id: UUID, limit: int) -> list[Row]:
    """Return rows to post, in the order of the file; those that another process has in hand are left out."""
    return await DB.fetch(_TO_DO, batch_id, limit)


async def resolve(people: Sequence[tuple[str, str]]) -> dict[int, Row]:
    """Return by place whom (kind, key) names: customer, status, membership, and how many people it could be."""
    rows = await DB.fetch(_RESOLVE, list(range(len(people))), [kind for kind, _ in people], [key for _, key in people])
    return {row["n"]: row for row in rows}


async def drop(row_ids: Sequence[UUID]) -> None:
    """Let go of rows that cannot be posted."""
    await DB.fetch(_DROP, list(row_ids))


async def post(ctx: Context, rows: Sequence[tuple[Row, Row]]) -> None:
    """Post staged rows, each with whom it is for, to locked memberships without a deficit."""
    await DB.fetch(
        _POST,
        [row["id"] for row, _ in rows],
        [new_id() for _ in rows],
        [found["membership"] for _, found in rows],
        [found["customer"] for _, found in rows],
        [row["points"] for row, _ in rows],
        [row["earned_at"] for row, _ in rows],
        [row["expires_at"] for row, _ in rows],
        [source_key(row) for row, _ in rows],
        ctx.now,
        ctx.actor.kind,
        ctx.actor.id,
    )


async def mark_posted(row_id: UUID, *, customer_id: UUID, membership_id: UUID, entry_id: UUID) -> None:
    """Write that a row was posted by itself."""
    await DB.fetch(_MARK_POSTED, row_id, customer_id, membership_id, entry_id)


async def list_people(membership_ids: Sequence[UUID]) -> list[UUID]:
    """Return everybody in these memberships."""
    return [row["customer"] for row in await DB.fetch(_PEOPLE, list(membership_ids))]


async def finish(ctx: Context, batch_id: UUID) -> None:
    """Note that nothing of a batch is left to do."""
    await DB.fetch(_FINISH, batch_id, ctx.now)


async def forget_rows(ctx: Context, customer_ids: Sequence[UUID], identifiers: Sequence[str]) -> None:
    """Empty what names these customers in the rows that were posted for them, and let go of rows that never were.

    A row's key is chosen by whoever writes the file and may be an address, so a keyed hash takes its place: the row is known
    when the file comes again.
    """
    await DB.fetch(_LET_GO, list(identifiers))
    posted = await DB.fetch(_POSTED_FOR, list(customer_ids))
    keys = [name_erased(ctx, row["row_key"]) for row in posted]
    await DB.fetch(_EMPTY, [row["id"] for row in posted], keys)


def source_key(row: Row) -> str:
    """Return the key under which a row's entry is posted once. It stays for ever, so it holds nothing of the file."""
    return f"import:{row['id']}"


def name_erased(ctx: Context, row_key: str) -> str:
    """Return the key that a row has once the person for whom it was posted was erased."""
    return f"erased:{ctx.tokens.keyed_hash('import-row', row_key).hex()[:_HASH_DIGITS]}"
