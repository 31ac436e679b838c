"""SQL of customers, their names and contact points."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from asyncpg import UniqueViolationError

from server.context import Context
from server.customers.rules import name_keys
from server.customers.suppression import lift
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import Refused
from shared.base import Birthday
from shared.problems import Code


class AddressTaken(Refused):
    """Another customer has proved this address; only staff may learn that."""

    def __init__(self) -> None:
        super().__init__(Code.EMAIL_TAKEN)


ContactKind = Literal["email", "phone"]

_INSERT_CUSTOMER = """
with added as (
    insert into customer (id, kind, status, given_name, family_name, birth_year, birth_month, birth_day, locale, notes,
                          enrolled_source, created_at, updated_at)
    values ($1, 'person', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
)
insert into customer_name_key (id, customer, key)
select k.id, $1, k.key from unnest($12::uuid[], $13::text[]) as k(id, key)
"""
_INSERT_CONTACT_POINT = """
insert into contact_point (id, customer, kind, value, key, status, is_primary, created_at, verified_at)
values ($1, $2, $3, $4, $5, case when $6 then 'verified' else 'unverified' end, $7, $8, case when $6 then $8::timestamptz end)
"""
_FIND_VERIFIED = """
select customer from contact_point where kind = 'email' and key = $1 and status in ('verified', 'bouncing')
"""
# Who has this address on file and is still somebody; whom a till knows comes first, then the oldest.
_LIST_BY_EMAIL = """
select c.id as customer, c.status as customer_status, p.id as contact_point, p.status, p.is_primary, p.value,
       exists (select 1 from login l where l.customer = c.id) as has_login
from contact_point p join customer c on c.id = p.customer
where p.kind = 'email' and p.key = $1 and p.status <> 'retired' and c.status in ('stub', 'active', 'blocked')
order by exists (select 1 from pos_link l where l.customer = c.id and l.state = 'linked') desc, c.created_at, c.id
"""
_EXISTS = "select 1 from customer where id = $1"
# Whoever shares or shared a membership with them comes along, as who locks that one locks everybody in it.
_LOCK = """
select id, status, version from customer
where id in (
    select unnest($1::uuid[])
    union
    select other.customer from membership_person own
    join membership_person other on other.membership = own.membership where own.customer = any($1::uuid[])
)
order by id for update
"""
_RETIRE = """
update contact_point set status = 'retired', is_primary = false, retired_at = $2, retired_reason = $3
where id = $1 and status <> 'retired'
returning id
"""
# The proven address becomes the primary one, so the former primary steps back first.
_STEP_BACK = "update contact_point set is_primary = false where customer = $1 and kind = $2 and is_primary and id <> $3"
_VERIFY = """
update contact_point set status = 'verified', verified_at = $2, is_primary = true, bounced_at = null
where id = $1 and status in ('unverified', 'verified', 'bouncing')
returning key
"""
# Reports come late and in any order, so the time of what is told decides: whoever proved the address, or got a mail there,
# after the other mail had come back is reached there.
_BOUNCE = """
with found as (
    select p.id, n.at, p.bounced_at is null as is_new
    from contact_point p join unnest($1::text[], $2::timestamptz[]) as n(key, at) on n.key = p.key
    where p.kind = 'email' and p.status <> 'retired' and coalesce(p.bounced_at < n.at, true)
      and coalesce(p.verified_at <= n.at, true) and coalesce(p.delivered_at <= n.at, true)
    order by p.id for update of p
)
update contact_point p set bounced_at = found.at from found where p.id = found.id
returning p.id, p.customer, found.is_new
"""
_ARRIVE = """
with found as (
    select p.id, n.at, coalesce(p.bounced_at < n.at, false) as is_back
    from contact_point p join unnest($1::text[], $2::timestamptz[]) as n(key, at) on n.key = p.key
    where p.kind = 'email' and coalesce(p.delivered_at < n.at, true)
    order by p.id for update of p
)
update contact_point p
set delivered_at = found.at, bounced_at = case when not found.is_back then p.bounced_at end
from found where p.id = found.id
returning p.id, p.customer, found.is_back
"""
_HEIR = "select regulars_person($1)"
_PRIMARY = """
select id, value, key, status from contact_point where customer = $1 and kind = $2 and is_primary
"""
_UPDATE_PERSON = """
with gone as (
    delete from customer_name_key
    where customer = $1 and key <> all($9::text[]) and exists (select 1 from customer where id = $1)
), added as (
    insert into customer_name_key (id, customer, key)
    select k.id, $1, k.key from unnest($8::uuid[], $9::text[]) as k(id, key)
    where not exists (select 1 from customer_name_key n where n.customer = $1 and n.key = k.key)
)
update customer set given_name = $2, family_name = $3, birth_year = $4, birth_month = $5, birth_day = $6,
                    locale = $7, version = version + 1, updated_at = $10
where id = $1
"""
_ACTIVATE = (
    "update customer set status = 'active', updated_at = $2 where id = $1 and status in ('stub', 'active') returning id"
)
_HOLD = """
update customer set redemption_held_until = $2, redemption_held_reason = $3, updated_at = $4
where id = $1 and (redemption_held_until is null or redemption_held_until < $2)
"""
_LIFT = "update customer set redemption_held_until = null, redemption_held_reason = null, updated_at = $2 where id = $1"


async def lift_hold(ctx: Context, customer_id: UUID) -> None:
    """Let a customer spend points again at once."""
    await DB.fetch(_LIFT, customer_id, ctx.now)


async def insert_customer(
    ctx: Context,
    *,
    given_name: str,
    family_name: str,
    source: str,
    status: str = "active",
    birthday: Birthday | None = None,
    locale: str = "en",
    notes: str = "",
    customer_id: UUID | None = None,
) -> UUID:
    """Add a customer with the keys of the name and return the id, which is made here unless it is given."""
    customer_id = customer_id or new_id()
    keys = name_keys(given_name, family_name)
    await DB.fetch(
        _INSERT_CUSTOMER,
        customer_id,
        status,
        given_name,
        family_name,
        *split_birthday(birthday),
        locale,
        notes,
        source,
        ctx.now,
        [new_id() for _ in keys],
        list(keys),
    )
    return customer_id


async def insert_contact_point(
    ctx: Context,
    *,
    customer_id: UUID,
    kind: ContactKind,
    value: str,
    key: str,
    verified: bool,
    is_primary: bool = True,
) -> UUID:
    """Add an address and return its id.

    Raises:
        AddressTaken: Another customer has proved it.
    """
    point_id = new_id()
    try:
        await DB.fetch(_INSERT_CONTACT_POINT, point_id, customer_id, kind, value, key, verified, is_primary, ctx.now)
    except UniqueViolationError as error:
        raise AddressTaken from error
    if verified and kind == "email":
        await lift(ctx, key)
    return point_id


async def find_customer_by_verified_email(key: str) -> UUID | None:
    """Return the customer who has proved an address."""
    row = await DB.fetch_row(_FIND_VERIFIED, key)
    return row["customer"] if row else None


async def list_customers_by_email(key: str) -> list[Row]:
    """Return who has an address on file, proven or not: whom a till knows first, then the oldest.

    Columns: customer, customer_status, contact_point, status, is_primary, value, has_login.
    """
    return await DB.fetch(_LIST_BY_EMAIL, key)


async def exists(customer_id: UUID) -> bool:
    """Return whether there is such a customer."""
    return await DB.fetch_row(_EXISTS, customer_id) is not None


async def lock_customers(customer_ids: Iterable[UUID]) -> list[Row]:
    """Lock customers, and whom they share with, in the order of their ids; return id, status and version of the former."""
    wanted = set(customer_ids)
    return [row for row in await DB.fetch(_LOCK, list(wanted)) if row["id"] in wanted]


async def retire_contact_point(ctx: Context, contact_point_id: UUID, *, reason: str) -> bool:
    """Retire an address; it stays on file. False if it was retired before."""
    return await DB.fetch_row(_RETIRE, contact_point_id, ctx.now, reason) is not None


async def verify_contact_point(
    ctx: Context, contact_point_id: UUID, *, customer_id: UUID, kind: ContactKind = "email"
) -> bool:
    """Mark an address as proven and primary; False if it was retired.

    Raises:
        AddressTaken: Another customer has proved it.
    """
    await DB.fetch(_STEP_BACK, customer_id, kind, contact_point_id)
    try:
        row = await DB.fetch_row(_VERIFY, contact_point_id, ctx.now)
    except UniqueViolationError as error:
        raise AddressTaken from error
    if row is not None and kind == "email":
        # Whoever was erased at this address, and proves it anew, has come back of their own will.
        await lift(ctx, row["key"])
    return row is not None


async def mark_bouncing(bounced: Mapping[str, datetime]) -> list[Row]:
    """Note that mail comes back for good; return `id` and `customer` of the addresses that were not known for it.

    Args:
        bounced: By the address's key, when it came back.
    """
    rows = await DB.fetch(_BOUNCE, list(bounced), list(bounced.values()))
    return [row for row in rows if row["is_new"]]


async def mark_arriving(delivered: Mapping[str, datetime]) -> list[Row]:
    """Note that mail arrives, when by the address's key; return `id` and `customer` of those that were flagged."""
    rows = await DB.fetch(_ARRIVE, list(delivered), list(delivered.values()))
    return [row for row in rows if row["is_back"]]


async def find_heir(customer_id: UUID) -> UUID | None:
    """Return who a customer is today: the one into whom all merges led."""
    heir = await DB.fetch_value(_HEIR, customer_id)
    assert heir is None or isinstance(heir, UUID)
    return heir


async def get_primary(customer_id: UUID, kind: ContactKind) -> Row | None:
    """Return id, value, key and status of the address a customer is reached at, None without one."""
    return await DB.fetch_row(_PRIMARY, customer_id, kind)


async def update_person(
    ctx: Context,
    customer_id: UUID,
    *,
    given_name: str,
    family_name: str,
    birthday: Birthday | None,
    locale: str,
) -> None:
    """Write names, birthday and locale, with the keys of the name."""
    keys: Sequence[str] = name_keys(given_name, family_name)
    await DB.fetch(
        _UPDATE_PERSON,
        customer_id,
        given_name,
        family_name,
        *split_birthday(birthday),
        locale,
        [new_id() for _ in keys],
        list(keys),
        ctx.now,
    )


async def activate(ctx: Context, customer_id: UUID) -> bool:
    """Make a customer active; False if the customer may not become it."""
    return await DB.fetch_row(_ACTIVATE, customer_id, ctx.now) is not None


async def hold_redemption(ctx: Context, customer_id: UUID, *, until: datetime, reason: str) -> None:
    """Keep points from being spent until an instant; a longer hold stays as it is."""
    await DB.fetch(_HOLD, customer_id, until, reason, ctx.now)


def split_birthday(birthday: Birthday | None) -> tuple[int | None, int | None, int | None]:
    """Return year, month and day as the columns have them."""
    return (birthday.year, birthday.month, birthday.day) if birthday else (None, None, None)


def join_birthday(row: Row) -> Birthday | None:
    """Return the birthday in birth_year, birth_month and birth_day of a row."""
    if row["birth_month"] is None:
        return None
    return Birthday(year=row["birth_year"], month=row["birth_month"], day=row["birth_day"])
