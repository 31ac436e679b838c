"""SQL of many sales at once."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from server.audience.marks import wake_worker
from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_ids
from server.orders.change_store import AWAY
from server.orders.sales import Sale, Target
from server.orders.store import RESOLVE_RECORDS, UNKNOWN_BUYERS
from shared.pos import PosOrderResult

_KNOWN = f"""
select id, external_id, state, revision, content_hash, points, skipped_reason, customer, assignment_reason, assignment_version,
       case when membership is not null then regulars_heir(membership) end as heir, {AWAY} as away
from orders o where connection = $1 and external_id = any($2::text[])
"""
_LINE_POINTS = """
select "order", line_id, points, rule from order_line where "order" = any($1::uuid[]) order by "order", position
"""
_STORES = "select code from store where code = any($1::text[])"
_CARDS = """
select c.code as found_by, c.membership, c.customer
from card c join customer u on u.id = c.customer and u.status in ('active', 'stub')
where c.code = any($1::text[]) and c.status = 'active'
"""
_EMAILS = """
select distinct on (p.key) p.key as found_by, p.customer, m.membership
from contact_point p
join customer u on u.id = p.customer and u.status in ('active', 'stub')
left join lateral (
    select n.membership from membership_person n
    join membership s on s.id = n.membership and s.status = 'active'
    join programme g on g.id = s.programme
    where n.customer = p.customer and n.left_at is null order by g.is_default desc, n.joined_at limit 1
) m on true
where p.kind = 'email' and p.key = any($1::text[])
  and (p.status = 'verified' or p.retired_reason = 'merged' and p.verified_at is not null)
order by p.key, p.status = 'verified' desc, p.retired_at desc
"""
_HOLD_RECORDS = """
select count(*) from (
    select id from pos_record where connection = $1 and external_id = any($2::text[]) order by id for key share
) held
"""
# The people come before the memberships, as in every act that locks both.
_HOLD_PEOPLE = """
with held as materialized (
    select c.id from customer c
    where c.id in (select unnest($1::uuid[])
                   union select customer from membership_person where membership = any($2::uuid[]))
    order by c.id for key share
)
select count(*) from held
"""
_LOCK = """
select id, programme, status, deficit, figures_until from membership
where id = any($1::uuid[]) order by id for no key update
"""
_PEOPLE = """
select membership, customer, eligible_from from membership_person
where membership = any($1::uuid[]) and left_at is null
"""
# The set form of what `store._RECORD_PARTS` does for one sale. Sales of one membership are summed before its row is
# raised, as an update may touch a row once only.
_RECORD_MANY = (
    """
with sent as (
    select * from json_to_recordset($3::json) as o(
        id uuid, external_id text, number text, store_code text, completed_at timestamptz, currency text, net_minor int8,
        tax_minor int8, content_hash bytea, points int8, skipped_reason text, rule_version_id uuid,
        assignment_reason text, state text, revision int4, pos_customer_id text, customer_id uuid, membership_id uuid, entry_id uuid,
        audit_id uuid, available_at timestamptz, expires_at timestamptz)
), new_orders as (
    insert into orders (id, connection, external_id, number, store, completed_at, currency, net_minor, tax_minor,
                        content_hash, customer, membership, points, skipped_reason, rule_version, assignment_reason,
                        state, revision, pos_customer_id, created_at)
    select o.id, $1, o.external_id, o.number, s.id, o.completed_at, o.currency, o.net_minor, o.tax_minor, o.content_hash,
           o.customer_id, o.membership_id, o.points, o.skipped_reason, o.rule_version_id, o.assignment_reason, o.state,
           o.revision, o.pos_customer_id, $2
    from sent o join store s on s.code = o.store_code
    order by o.external_id
    on conflict (connection, external_id) do nothing
    returning id, connection, customer
), posted as (
    select o.* from sent o join new_orders using (id)
), earning as (
    select * from posted where membership_id is not null and points > 0
), entries as (
    insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, "order",
                              rule_version, actor_kind, actor_id)
    select entry_id, membership_id, 'EARN', points, completed_at, $2, 'order:' || id || ':1', customer_id, id,
           rule_version_id, $4, $5::uuid
    from earning
), lots as (
    insert into lot (entry, membership, points, remaining, earned_at, available_at, expires_at)
    select entry_id, membership_id, points, points, completed_at, available_at, expires_at from earning
), sums as (
    select membership_id, sum(points)::bigint as points,
           coalesce(sum(points) filter (where available_at <= $2 and coalesce(expires_at > $2, true)), 0)::bigint as available,
           coalesce(sum(points) filter (where available_at > $2), 0)::bigint as pending,
           least(min(available_at) filter (where available_at > $2), min(expires_at) filter (where expires_at > $2)) as until,
           max(completed_at) as active_at
    from earning group by membership_id
), raised as (
    update membership m
    set balance = balance + s.points, lifetime = lifetime + s.points, available = m.available + s.available,
        pending = m.pending + s.pending, figures_until = least(m.figures_until, s.until),
        active_at = greatest(m.active_at, s.active_at), version = version + 1
    from sums s where m.id = s.membership_id
), marked as (
    update audience_contact contact
    set dirty_seq = contact.dirty_seq + 1,
        dirty_at = case when contact.dirty_seq > contact.pushed_seq then contact.dirty_at else $2 end
    from (
        select c.id from audience_contact c
        where c.state = 'live' and c.customer in (
            select p.customer from membership_person p
            where p.left_at is null and p.membership in (select membership_id from posted where membership_id is not null))
        order by c.id for update of c
    ) chosen
    where contact.id = chosen.id
), audited as (
    insert into audit_entry (id, at, actor_kind, actor_id, action, subject_kind, subject_id, customer_id, request_id)
    select audit_id, $2, $4, $5::uuid, 'order.posted', 'order', id, customer_id, $6 from posted
), asked as (
    insert into pgqueuer (priority, entrypoint, payload, dedupe_key, status, execute_after)
    """
    + UNKNOWN_BUYERS.format(sales="new_orders")
    + """
    on conflict (dedupe_key) where status in ('queued', 'picked') and dedupe_key is not null do nothing
)
select id from sent where id not in (select id from new_orders)
"""
)
_REFRESH_MANY = """
update membership m
set available = f.available, pending = f.pending, figures_until = f.until
from (
    select membership,
           coalesce(sum(remaining) filter (where available_at <= $2 and (expires_at is null or expires_at > $2)), 0) as available,
           coalesce(sum(remaining) filter (where available_at > $2), 0) as pending,
           least(min(available_at) filter (where available_at > $2), min(expires_at) filter (where expires_at > $2)) as until
    from lot where membership = any($1::uuid[]) and remaining > 0 group by membership
) f
where m.id = f.membership
"""


_LINE_COLUMNS = (
    "id",
    "order",
    "position",
    "line_id",
    "sku",
    "description",
    "category",
    "quantity",
    "net_minor",
    "tax_minor",
    "points",
    "rule",
    "stored_value",
    "points_paid_minor",
)
# A sale to write whose customer and membership are decided, and what the till is answered.
Decided = tuple[Sale, Target, PosOrderResult]


async def list_known(connection_id: UUID, external_ids: Sequence[str]) -> list[Row]:
    """Return the orders that this till system sent before, with the memberships in which their points live."""
    return await DB.fetch(_KNOWN, connection_id, list(external_ids))


async def list_line_points(order_ids: Collection[UUID]) -> list[Row]:
    """Return what each line of several orders earned."""
    return await DB.fetch(_LINE_POINTS, list(order_ids)) if order_ids else []


async def list_stores(codes: Collection[str]) -> set[str]:
    """Return those of the codes that are of a store."""
    return {row["code"] for row in await DB.fetch(_STORES, list(codes))}


async def list_zones() -> dict[str, str]:
    """Return the time zone of every store by its code."""
    return {row["code"]: row["zone"] for row in await DB.fetch("select code, zone from store")}


async def list_connections() -> dict[str, UUID]:
    """Return the till systems by their codes."""
    return {row["code"]: row["id"] for row in await DB.fetch("select code, id from pos_connection")}


async def resolve_cards(codes: Collection[str]) -> dict[str, Row]:
    """Return customer and membership by the code of an active card."""
    return {row["found_by"]: row for row in await DB.fetch(_CARDS, list(codes))} if codes else {}


async def resolve_emails(keys: Collection[str]) -> dict[str, Row]:
    """Return customer and membership by the key of a proven address."""
    return {row["found_by"]: row for row in await DB.fetch(_EMAILS, list(keys))} if keys else {}


async def resolve_records(connection_id: UUID, external_ids: Collection[str]) -> dict[str, Row]:
    """Return customer and membership by a till's own customer id, of those that are linked."""
    if not external_ids:
        return {}
    rows = await DB.fetch(RESOLVE_RECORDS, connection_id, list(external_ids))
    return {row["found_by"]: row for row in rows if row["customer_status"] in ("active", "stub")}


async def hold_records(connection_id: UUID, external_ids: Collection[str]) -> None:
    """Keep records from being linked, or their links from ending, until the end, as `store.resolve_record` does."""
    if external_ids:
        await DB.fetch(_HOLD_RECORDS, connection_id, list(external_ids))


async def hold_people(customer_ids: Collection[UUID], membership_ids: Collection[UUID]) -> None:
    """Keep customers, and all in these memberships, from being merged or forgotten until the end."""
    if customer_ids or membership_ids:
        await DB.fetch(_HOLD_PEOPLE, list(customer_ids), list(membership_ids))


async def lock_memberships(ids: Collection[UUID]) -> dict[UUID, Row]:
    """Lock memberships in the order of their ids and return their state."""
    return {row["id"]: row for row in await DB.fetch(_LOCK, list(ids))} if ids else {}


async def list_people(membership_ids: Collection[UUID]) -> list[Row]:
    """Return who is in these memberships, and from when their sales count."""
    return await DB.fetch(_PEOPLE, list(membership_ids)) if membership_ids else []


async def record_many(ctx: Context, connection_id: UUID, batch: Sequence[Decided]) -> set[UUID]:
    """Write sales and return those, mostly none, that somebody else has sent meanwhile; memberships are locked and owe nothing."""
    ids = iter(new_ids(2 * len(batch)))
    orders = [_order(one, entry_id=next(ids), audit_id=next(ids)) for one in batch]
    rows = await DB.fetch(
        _RECORD_MANY,
        connection_id,
        ctx.now,
        msgspec.json.encode(orders).decode(),
        ctx.actor.kind,
        ctx.actor.id,
        ctx.request_id,
    )
    late = {row["id"] for row in rows}
    new = [one for one in batch if one[0].order_id not in late] if late else batch
    # Two thirds of the rows are lines, and nothing is to be found out for them: COPY takes them at a third of the cost.
    await DB.copy("order_line", _list_lines(new), columns=_LINE_COLUMNS)
    await wake_worker(ctx)
    return late


async def refresh_many(membership_ids: Collection[UUID], now: datetime) -> None:
    """Sum the live lots of memberships into their cached figures."""
    if membership_ids:
        await DB.fetch(_REFRESH_MANY, list(membership_ids), now)


def _order(one: Decided, *, entry_id: UUID, audit_id: UUID) -> dict[str, object]:
    sale, target, result = one
    order = sale.order
    return {
        "id": sale.order_id,
        "external_id": order.external_id,
        "number": order.number,
        "store_code": order.store,
        "completed_at": order.completed_at,
        "currency": order.currency,
        "net_minor": sum([line.net_minor for line in order.lines]),
        "tax_minor": sum([line.tax_minor for line in order.lines]),
        "content_hash": f"\\x{sale.content_hash.hex()}",
        "points": result.points,
        "skipped_reason": target.skipped,
        "rule_version_id": sale.version.id if sale.version else None,
        "assignment_reason": target.reason,
        "state": order.state,
        "revision": order.revision,
        "pos_customer_id": order.customer.pos_customer_id if order.customer else None,
        "customer_id": target.customer_id,
        "membership_id": target.membership_id,
        "entry_id": entry_id,
        "audit_id": audit_id,
        "available_at": sale.dates.available_at,
        "expires_at": sale.dates.expires_at,
    }


def _list_lines(batch: Sequence[Decided]) -> list[tuple[object, ...]]:
    """Return the lines of sales in the order of `_LINE_COLUMNS`."""
    ids = iter(new_ids(sum(len(sale.order.lines) for sale, _, _ in batch)))
    return [
        (
            next(ids),
            sale.order_id,
            position,
            line.line_id,
            line.sku,
            line.description,
            line.category,
            line.quantity,
            line.net_minor,
            line.tax_minor,
            earned.points,
            earned.rule,
            line.stored_value,
            line.points_paid_minor,
        )
        for sale, _, result in batch
        for position, (line, earned) in enumerate(zip(sale.order.lines, result.lines, strict=True))
    ]
