"""SQL of batches of claim codes."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.claims.store import TAKEN
from server.context import Context
from server.db.engine import DB, Row

_LIVE = """
exists (select 1 from claim_code k where k.customer = c.id and k.used_at is null and k.revoked_at is null
        and k.expires_at > $1)
"""
# Everybody whom no email reaches and who might not know of the service yet. Staff take part by their own sign-up.
_WITHOUT_EMAIL = f"""
c.status in ('stub', 'active') and not {TAKEN}
and not exists (select 1 from contact_point p where p.customer = c.id and p.kind = 'email' and p.status <> 'retired')
and not exists (select 1 from staff_member s where s.customer = c.id and s.status <> 'disabled')
"""
_COUNT = f"""
select count(*) filter (where reissue or not has_live)::int as customers,
       count(*) filter (where has_live)::int as with_live_code,
       count(*) filter (where (reissue or not has_live) and postal_address = '')::int as without_address
from (select c.postal_address, {_LIVE} as has_live, $2::boolean as reissue from customer c where {_WITHOUT_EMAIL}) found
"""
_CHOSEN = f"{_WITHOUT_EMAIL} and ($2::boolean or not {_LIVE})"
_HOLD = f"select c.id from customer c where {_CHOSEN} and c.id > $3 order by c.id limit $4 for key share of c"
_STILL_CHOSEN = f"select c.id from customer c where {_CHOSEN} and c.id = any($3::uuid[]) order by c.id"
_LOCK = "select pg_advisory_xact_lock(hashtextextended('claim batch', 0))"
_INSERT = "insert into claim_batch (id, created_at, codes) values ($1, $2, 0)"
_FINISH = "update claim_batch set codes = $2, requested_by = $3 where id = $1"
_VIEWS = """
select b.id, b.codes, b.created_at, b.csv_at as csv_written_at, b.pdf_at as pdf_written_at, b.revoked_at,
       s.name as requested_by, k.used::int as used, k.expires_at
from claim_batch b
left join staff_member s on s.id = b.requested_by
left join lateral (
    select count(*) filter (where used_at is not null) as used, min(expires_at) as expires_at
    from claim_code where batch = b.id
) k on true
"""
_ONE = _VIEWS + "where b.id = $1"
_PAGE = _VIEWS + (
    "where $1::timestamptz is null or (b.created_at, b.id) < ($1, $2::uuid) order by b.created_at desc, b.id desc limit $3"
)
_TAKE_CSV = """
update claim_batch set csv_at = $2 where id = $1 and csv_at is null and revoked_at is null and created_at > $3 returning id
"""
_TAKE_PDF = """
update claim_batch set pdf_at = $2 where id = $1 and pdf_at is null and revoked_at is null and created_at > $3 returning id
"""
_REVOKE = "update claim_batch set revoked_at = $2 where id = $1 and revoked_at is null returning id"
_REVOKE_CODES = """
update claim_code set revoked_at = $2, revoked_reason = 'batch'
where id in (select id from claim_code where batch = $1 and used_at is null and revoked_at is null order by id for update)
returning 1
"""
_LETTERS = """
select k.id, k.expires_at, trim(c.given_name || ' ' || c.family_name) as name, c.given_name, c.family_name,
       c.postal_address, c.post_code, p.key as phone_key,
       coalesce((select g.zone from programme g where g.is_default), 'UTC') as zone
from claim_code k join customer c on c.id = k.customer
left join contact_point p on p.customer = c.id and p.kind = 'phone' and p.is_primary
where k.batch = $1 and k.id > $2 and k.used_at is null and k.revoked_at is null
order by k.id limit $3
"""


async def count_customers(now: datetime, *, reissue: bool) -> Row:
    """Return how many customers, with_live_code and without_address there are."""
    row = await DB.fetch_row(_COUNT, now, reissue)
    assert row is not None
    return row


async def lock_batches() -> None:
    """Let nobody else make or void a batch before this transaction is over."""
    await DB.fetch(_LOCK)


async def hold_customers(now: datetime, *, reissue: bool, after: UUID, limit: int) -> list[UUID]:
    """Keep the next to get a letter as they are before this transaction is over; return them in the order of ids."""
    return [row["id"] for row in await DB.fetch(_HOLD, now, reissue, after, limit)]


async def list_customers(now: datetime, held: Sequence[UUID], *, reissue: bool) -> list[UUID]:
    """Return who of those that are held still gets a letter, as some were waited for."""
    return [row["id"] for row in await DB.fetch(_STILL_CHOSEN, now, reissue, list(held))]


async def insert_batch(ctx: Context, batch_id: UUID) -> None:
    """Add a batch without codes, and of nobody yet: whom it names is locked, and customers come before staff."""
    await DB.fetch(_INSERT, batch_id, ctx.now)


async def finish_batch(batch_id: UUID, codes: int, staff_id: UUID | None) -> None:
    """Note how many codes a batch has, and who asked for it."""
    await DB.fetch(_FINISH, batch_id, codes, staff_id)


async def find_batch(batch_id: UUID) -> Row | None:
    """Return a batch as staff see it."""
    return await DB.fetch_row(_ONE, batch_id)


async def list_batches(*, before: tuple[datetime, UUID] | None, limit: int) -> list[Row]:
    """Return batches, newest first."""
    at, batch_id = before or (None, None)
    return await DB.fetch(_PAGE, at, batch_id, limit)


async def take_csv(ctx: Context, batch_id: UUID, *, made_after: datetime) -> bool:
    """Note that the batch's list is written; False if it was, or it is too late."""
    return await DB.fetch_row(_TAKE_CSV, batch_id, ctx.now, made_after) is not None


async def take_pdf(ctx: Context, batch_id: UUID, *, made_after: datetime) -> bool:
    """Note that the batch's letters are written; False if they were, or it is too late."""
    return await DB.fetch_row(_TAKE_PDF, batch_id, ctx.now, made_after) is not None


async def revoke(ctx: Context, batch_id: UUID) -> int | None:
    """Void a batch with all codes that are live and return how many; None if it was void."""
    if await DB.fetch_row(_REVOKE, batch_id, ctx.now) is None:
        return None
    return len(await DB.fetch(_REVOKE_CODES, batch_id, ctx.now))


async def list_letters(batch_id: UUID, *, after: UUID, limit: int) -> Sequence[Row]:
    """Return the live codes of a batch with the people's names and addresses and the shop's zone, in the order of ids."""
    return await DB.fetch(_LETTERS, batch_id, after, limit)
