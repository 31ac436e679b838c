"""SQL of the directory of POS records."""

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.links.rules import RecordFacts, RecordQuery
from shared.limits import POS_FORMER_EMAILS_MAX, SEARCH_ROWS_MAX

_LAST_CHARACTER = "\U0010ffff"
# Whom records that come concern: by a link, or by a proven address. People come before records, as in every act that
# locks both.
_HOLD_PEOPLE = """
select count(*) from (
    select id from customer
    where id in (
        select l.customer from pos_record r
        join pos_link l on l.record = coalesce(r.merged_into, r.id) and l.state = 'linked'
        where r.connection = $1 and r.external_id = any($2::text[])
        union
        select customer from contact_point where kind = 'email' and status = 'verified' and key = any($3::text[]))
    order by id for key share
) held
"""
_KNOWN = """
select id, external_id, content_hash, source_changed_at, merged_into, email_key
from pos_record where connection = $1 and external_id = any($2::text[]) order by id for update
"""
# An address that comes with a record is as old as the till says, or as the record's last change; one that we see come
# onto a record we know is as old as what we saw.
_INSERT = """
insert into pos_record (id, connection, external_id, given_name, family_name, name_key, email, email_key, email_since_at,
                        phone, phone_key, card_number, removed_at, source_changed_at, content_hash, made_here,
                        created_at, changed_at)
select s.id, $1, s.external_id, s.given_name, s.family_name, s.name_key, s.email, s.email_key,
       case when s.email_key is not null then least(coalesce(s.email_since_at, s.changed_at, $3), $3) end,
       s.phone, s.phone_key, s.card_number, case when s.removed then $3 end, s.changed_at, s.content_hash, $4, $3, $3
from jsonb_to_recordset($2::jsonb) as s(
    id uuid, external_id text, given_name text, family_name text, name_key text, email text, email_key text,
    email_since_at timestamptz, phone text, phone_key text, card_number text, removed bool, changed_at timestamptz,
    content_hash bytea)
order by s.external_id
on conflict (connection, external_id) do nothing
returning id, external_id
"""
_UPDATE = f"""
update pos_record r
set given_name = s.given_name, family_name = s.family_name, name_key = s.name_key, email = s.email,
    email_key = s.email_key,
    email_since_at = case when s.email_key is null then null
                          when s.email_key = r.email_key then r.email_since_at else $2 end,
    former_emails = case when r.email is null or r.email_key is not distinct from s.email_key then r.former_emails
                         else (array_prepend(r.email, array_remove(r.former_emails, r.email)))[1:{POS_FORMER_EMAILS_MAX}]
                    end,
    phone = s.phone, phone_key = s.phone_key, card_number = s.card_number,
    removed_at = case when s.removed then coalesce(r.removed_at, $2) end,
    source_changed_at = coalesce(s.changed_at, r.source_changed_at), content_hash = s.content_hash, made_here = false,
    changed_at = $2
from jsonb_to_recordset($1::jsonb) as s(
    id uuid, given_name text, family_name text, name_key text, email text, email_key text, phone text, phone_key text,
    card_number text, removed bool, changed_at timestamptz, content_hash bytea)
where r.id = s.id
"""
_INSERT_ALIASES = """
insert into pos_record (id, connection, external_id, content_hash, merged_into, created_at, changed_at)
select a.id, $1, a.external_id, ''::bytea, $4, $5, $5
from unnest($2::uuid[], $3::text[]) as a(id, external_id)
on conflict (connection, external_id) do nothing
"""
_LOCK_FORMER = """
select r.id, l.id as link, l.customer
from pos_record r left join pos_link l on l.record = r.id and l.state = 'linked'
where r.connection = $1 and r.external_id = any($2::text[]) and r.id <> $3 and r.merged_into is distinct from $3
order by r.id for update of r
"""
_MAKE_ALIAS = "update pos_record set merged_into = $2, changed_at = $3 where id = $1 or merged_into = $1"
# Whoever has proven an address that came onto a record, or whose card is on it, is looked at again.
_WAKE = """
insert into link_check (customer, asked_at, next_check_at)
select distinct p.customer, $2::timestamptz, $2::timestamptz
from contact_point p join customer c on c.id = p.customer and c.status in ('active', 'stub')
where p.kind = 'email' and p.status = 'verified' and p.key = any($1::text[])
order by p.customer
on conflict (customer) do update
set next_check_at = least(coalesce(link_check.next_check_at, excluded.next_check_at), excluded.next_check_at)
returning customer
"""
HIT = """
select r.id, r.connection as connection_id, k.code as connection, r.external_id,
       trim(r.given_name || ' ' || r.family_name) as name, r.email, r.phone_key,
       r.card_number, r.email_key, r.merged_into, r.removed_at, o.last_order_at, o.orders,
       l.id as link, l.linked_at, c.id as customer_id, trim(c.given_name || ' ' || c.family_name) as customer_name
"""
HIT_JOINS = """
join pos_connection k on k.id = r.connection
left join pos_link l on l.record = r.id and l.state = 'linked'
left join customer c on c.id = l.customer
left join lateral (
    select max(o.completed_at) as last_order_at, count(*) as orders
    from pos_record a join orders o on o.connection = a.connection and o.pos_customer_id = a.external_id
    where a.id = r.id or a.merged_into = r.id
) o on true
"""
# Names are looked for by a step of their own: planned together with the limit, a scan of the whole table would seem cheap.
_SEARCH = f"""
with named as materialized (
    select id from pos_record where $9 <> '' and to_tsvector('simple', name_key) @@ to_tsquery('simple', $9)
), found as (
    (select id, 0 as rank from pos_record where $2 <> '' and card_number = $2 limit {SEARCH_ROWS_MAX})
    union all
    (select id, 1 from pos_record where $3 <> '' and email_key ~>=~ $3 and email_key ~<~ $4
     order by email_key using ~<~ limit {SEARCH_ROWS_MAX})
    union all
    (select coalesce(merged_into, id), 2 from pos_record where $5 <> '' and external_id ~>=~ $5 and external_id ~<~ $6
     order by external_id using ~<~ limit {SEARCH_ROWS_MAX})
    union all
    (select id, 3 from pos_record where $7 <> '' and reverse(phone_key) ~>=~ $7 and reverse(phone_key) ~<~ $8
     order by reverse(phone_key) using ~<~ limit {SEARCH_ROWS_MAX})
    union all
    (select id, 4 from named limit {SEARCH_ROWS_MAX})
), best as (
    select f.id, min(f.rank) as rank from found f group by f.id order by min(f.rank), f.id limit $1
)
{HIT} from best b join pos_record r on r.id = b.id and r.merged_into is null {HIT_JOINS}
order by b.rank, o.last_order_at desc nulls last, name, r.id
"""
_GET = f"{HIT} from pos_record r {HIT_JOINS} where r.id = $1"
_GET_MANY = f"{HIT} from pos_record r {HIT_JOINS} where r.id = any($1::uuid[])"
_CONNECTION = "select id, code from pos_connection where code = $1"
_CONNECTIONS = "select id, code from pos_connection order by code"
_RECORDS = "select * from pos_record where id = any($1::uuid[])"
_BY_EMAIL = """
select * from pos_record
where connection = $1 and email_key = $2 and merged_into is null and removed_at is null order by created_at, id limit 50
"""
_BY_EXTERNAL_ID = "select * from pos_record where connection = $1 and external_id = $2"


async def hold_people(connection_id: UUID, external_ids: Collection[str], email_keys: Collection[str]) -> None:
    """Keep whom these records concern from being merged or forgotten until the end."""
    await DB.fetch(_HOLD_PEOPLE, connection_id, list(external_ids), list(email_keys))


async def lock_known(connection_id: UUID, external_ids: Collection[str]) -> dict[str, Row]:
    """Lock the records of a till system that are known among these, in one order for everybody."""
    return {row["external_id"]: row for row in await DB.fetch(_KNOWN, connection_id, list(external_ids))}


async def insert_records(
    ctx: Context, connection_id: UUID, facts: Sequence[RecordFacts], *, made_here: bool = False
) -> dict[str, UUID]:
    """Add records and return ids by external id; one that somebody else has just added is missing."""
    rows = [_row(one, new_id()) for one in facts]
    added = await DB.fetch(_INSERT, connection_id, msgspec.json.encode(rows).decode(), ctx.now, made_here)
    return {row["external_id"]: row["id"] for row in added}


async def update_records(ctx: Context, facts: Sequence[tuple[UUID, RecordFacts]]) -> None:
    """Write what changed about locked records."""
    rows = [_row(one, record_id) for record_id, one in facts]
    await DB.fetch(_UPDATE, msgspec.json.encode(rows).decode(), ctx.now)


async def insert_aliases(ctx: Context, connection_id: UUID, external_ids: Sequence[str], *, record_id: UUID) -> None:
    """Add records that are known by nothing but having been merged into another one."""
    ids = [new_id() for _ in external_ids]
    await DB.fetch(_INSERT_ALIASES, connection_id, ids, list(external_ids), record_id, ctx.now)


async def lock_former(connection_id: UUID, external_ids: Sequence[str], *, record_id: UUID) -> list[Row]:
    """Lock the records that were merged into another one and are no aliases of it yet; with link and customer."""
    return await DB.fetch(_LOCK_FORMER, connection_id, list(external_ids), record_id)


async def make_alias(ctx: Context, record_id: UUID, *, of: UUID) -> None:
    """Make a record, and the aliases it has, aliases of another one."""
    await DB.fetch(_MAKE_ALIAS, record_id, of, ctx.now)


async def wake_members(ctx: Context, email_keys: Collection[str]) -> int:
    """Let everybody who has proven one of these addresses be looked at again, and return how many."""
    return len(await DB.fetch(_WAKE, list(email_keys), ctx.now)) if email_keys else 0


async def search(query: RecordQuery, limit: int) -> list[Row]:
    """Return the records that a text finds, best first."""
    return await DB.fetch(
        _SEARCH,
        limit,
        query.card,
        query.email_prefix,
        query.email_prefix + _LAST_CHARACTER,
        query.external_prefix,
        query.external_prefix + _LAST_CHARACTER,
        query.phone_reversed,
        query.phone_reversed + _LAST_CHARACTER,
        query.name_words,
    )


async def find_hit(record_id: UUID) -> Row | None:
    """Return a record as staff see it, with the keys it is compared by."""
    return await DB.fetch_row(_GET, record_id)


async def list_hits(record_ids: Sequence[UUID]) -> list[Row]:
    """Return records as staff see them."""
    return await DB.fetch(_GET_MANY, list(record_ids)) if record_ids else []


async def list_records(record_ids: Sequence[UUID]) -> list[Row]:
    """Return records as they are kept."""
    return await DB.fetch(_RECORDS, list(record_ids)) if record_ids else []


async def list_by_email(connection_id: UUID, email_key: str) -> list[Row]:
    """Return the records of a till system that bear an address."""
    return await DB.fetch(_BY_EMAIL, connection_id, email_key)


async def list_by_external_id(connection_id: UUID, external_id: str) -> list[Row]:
    """Return the record of a till system that has this id there, if there is one."""
    return await DB.fetch(_BY_EXTERNAL_ID, connection_id, external_id)


async def list_connections() -> list[Row]:
    """Return id and code of every till system."""
    return await DB.fetch(_CONNECTIONS)


async def find_connection(code: str) -> UUID | None:
    """Return the till system of a code."""
    row = await DB.fetch_row(_CONNECTION, code)
    return row["id"] if row else None


def _row(facts: RecordFacts, record_id: UUID) -> dict[str, object]:
    fields: dict[str, object] = msgspec.structs.asdict(facts)
    # The column is bytea, which JSON carries in its text form.
    return fields | {"id": record_id, "content_hash": f"\\x{facts.content_hash.hex()}"}
