"""SQL of programmes and their rule versions."""

import hashlib
from datetime import datetime
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id
from shared.programmes import EarningRules

_DEFAULT = "select * from programme where is_default"
_ALL = "select * from programme order by code limit 100"
_VERSIONS = (
    "select id, version, valid_from, body from rule_version where programme = $1 order by valid_from desc, version desc"
)
_INSERT = """
insert into programme (id, code, name, unit_one, unit_many, zone, currency, launch_at, is_default, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
# The row lock of the programme gives versions one after the other; whoever cached the old rules sees the new number.
_INSERT_VERSION = """
with changed as (update programme set version = version + 1 where id = $2 returning id)
insert into rule_version (id, programme, version, valid_from, body, checksum, created_at, created_by)
select $1, id, 1 + coalesce((select max(version) from rule_version where programme = $2), 0), $3, $4, $5, $6, $7
from changed
"""
_INSERT_STORE = "insert into store (id, code, name, zone, created_at) values ($1, $2, $3, $4, $5)"
_STORES = "select code, name, zone from store order by code limit 1000"


async def find_default() -> Row | None:
    """Return the programme that members join, if there is one."""
    return await DB.fetch_row(_DEFAULT)


async def list_programmes() -> list[Row]:
    """Return all programmes by code."""
    return await DB.fetch(_ALL)


async def list_versions(programme_id: UUID) -> list[Row]:
    """Return a programme's rule versions, newest first."""
    return await DB.fetch(_VERSIONS, programme_id)


async def insert_programme(
    ctx: Context,
    *,
    code: str,
    name: str,
    zone: str,
    currency: str,
    launch_at: datetime,
    unit_one: str = "point",
    unit_many: str = "points",
    is_default: bool = True,
) -> UUID:
    """Add a programme and return its id; it earns nothing before it has rules."""
    programme_id = new_id()
    await DB.fetch(
        _INSERT, programme_id, code, name, unit_one, unit_many, zone, currency, launch_at, is_default, ctx.now
    )
    return programme_id


async def insert_rules(ctx: Context, programme_id: UUID, rules: EarningRules, *, valid_from: datetime) -> UUID:
    """Add a rule version and return its id."""
    version_id = new_id()
    body = msgspec.json.encode(rules, order="deterministic")
    checksum = hashlib.sha256(body).hexdigest()
    await DB.fetch(
        _INSERT_VERSION, version_id, programme_id, valid_from, body.decode(), checksum, ctx.now, ctx.actor.id
    )
    return version_id


async def insert_store(ctx: Context, *, code: str, name: str, zone: str) -> UUID:
    """Add a store and return its id."""
    store_id = new_id()
    await DB.fetch(_INSERT_STORE, store_id, code, name, zone, ctx.now)
    return store_id


async def list_stores() -> list[Row]:
    """Return all stores by code."""
    return await DB.fetch(_STORES)
