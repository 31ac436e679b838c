"""SQL of orders.

Posting a sale is the hottest write there is, so everything it does is one statement: two forms of it share their text.
`_POST` also checks the key, finds the member by card or link and stores the answer; it acts only in the plain case and
returns no row in every other, which the service then takes step by step and finishes with `_RECORD`.
"""

from datetime import date, datetime
from uuid import UUID

import asyncpg
import msgspec

from server.context import Actor
from server.db.engine import DB, Row
from server.db.ids import new_id

# Jobs that make a member who bought known to the till in which they bought, where it is told of members and has no record
# of this one. The job looks closer; here it is a look at two indexes.
UNKNOWN_BUYERS = """
    select 0, 'links.push_buyer',
           convert_to(json_build_object('connection_id', b.connection, 'customer_id', b.customer)::text, 'UTF8'),
           'links.push_buyer:' || b.connection || ':' || b.customer, 'queued'::pgqueuer_status, now()
    from (select distinct connection, customer from {sales}) b
    join pos_state known on known.connection = b.connection and known.knows_members
    where b.customer is not null and not exists (
        select from pos_link l join pos_record r on r.id = l.record
        where l.customer = b.customer and l.state in ('linked', 'waiting') and r.connection = b.connection)
"""
# The marks are those of `server.audience.marks`, whose manner of locking they keep.
# $1 order id, $2 now, $3 external id, $4 number, $5 store code, $6-$8 the target's, $9 completed at, $10 currency,
# $11 net, $12 tax, $13 content hash, $14 points, $15 skipped reason, $16 rule version, $17 assignment reason,
# $18 lines as JSON, $19 entry id, $20 available at, $21 expires at, $22 points that a deficit takes, $23 request id,
# $24 audit id, $25 state, $26 revision, $27 the till's own id of the customer, $28 actor.
_RECORD_PARTS = (
    """
, new_order as (
    insert into orders (id, connection, external_id, number, store, completed_at, currency, net_minor, tax_minor,
                        content_hash, customer, membership, points, skipped_reason, rule_version, assignment_reason,
                        state, revision, pos_customer_id, created_at)
    select $1, t.connection, $3, $4, t.store, $9, $10, $11, $12, $13, t.customer, t.membership, $14, $15, $16, $17,
           $25, $26, $27, $2
    from target t
    on conflict (connection, external_id) do nothing
    returning id, connection, customer, membership
), new_lines as (
    insert into order_line (id, "order", position, line_id, sku, description, category, quantity, net_minor, tax_minor,
                            points, rule, stored_value, points_paid_minor)
    select l.id, o.id, l.position, l.line_id, l.sku, l.description, l.category, l.quantity, l.net_minor, l.tax_minor,
           l.points, l.rule, l.stored_value, l.points_paid_minor
    from new_order o, json_to_recordset($18::json) as l(
        id uuid, position int2, line_id text, sku text, description text, category text, quantity numeric,
        net_minor int8, tax_minor int8, points int8, rule text, stored_value bool, points_paid_minor int8)
), entry as (
    insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, "order",
                              rule_version, actor_kind, actor_id)
    select $19, o.membership, 'EARN', $14, $9, $2, 'order:' || o.id || ':1', o.customer, o.id, $16, 'key', $28
    from new_order o where o.membership is not null and $14 > 0
    returning id
), new_lot as (
    insert into lot (entry, membership, points, remaining, earned_at, available_at, expires_at, idle_days)
    select e.id, o.membership, $14, $14 - $22::bigint, $9, $20, $21, null::int from entry e, new_order o
), raised as (
    update membership m
    set balance = balance + $14, lifetime = lifetime + $14, deficit = deficit - $22,
        available = available + case when $20 <= $2 and coalesce($21 > $2, true) then $14 - $22 else 0 end,
        pending = pending + case when $20 > $2 then $14 - $22 else 0 end,
        figures_until = least(figures_until, case when $20 > $2 then $20 end, case when $21 > $2 then $21 end),
        active_at = greatest(m.active_at, $9), version = version + 1
    from entry e, new_order o where m.id = o.membership
), marked as (
    update audience_contact contact
    set dirty_seq = contact.dirty_seq + 1,
        dirty_at = case when contact.dirty_seq > contact.pushed_seq then contact.dirty_at else $2 end
    from (
        select c.id
        from new_order o
        join membership_person p on p.membership = o.membership and p.left_at is null
        join audience_contact c on c.customer = p.customer and c.state = 'live'
        order by c.id for update of c
    ) chosen
    where contact.id = chosen.id
    returning contact.id
), woken as (
    insert into pgqueuer (priority, entrypoint, payload, dedupe_key, status, execute_after)
    (select 0, 'audience.push', null::bytea, 'audience.push:' || floor(extract(epoch from now())), 'queued'::pgqueuer_status,
            to_timestamp(floor(extract(epoch from now())) + 2)
     from marked limit 1)
    union all
    """
    + UNKNOWN_BUYERS.format(sales="new_order")
    + """
    on conflict (dedupe_key) where status in ('queued', 'picked') and dedupe_key is not null do nothing
), audited as (
    insert into audit_entry (id, at, actor_kind, actor_id, action, subject_kind, subject_id, customer_id, request_id)
    select $24, $2, 'key', $28, 'order.posted', 'order', o.id, o.customer, $23 from new_order o
)
"""
)
_KEY = """
with key as (
    select k.id, k.connection, s.id as store
    from api_key k join store s on s.code = $5
    where k.token_hash = $8 and k.revoked_at is null and k.expires_at > $2 and 'orders' = any(k.scopes)
      and (k.stores = '{}' or $5 = any(k.stores))
), target as (
    select k.connection, k.store, p.customer, m.id as membership
    from key k
"""
_BY_CARD = """
    join card c on c.code = $6 and c.status = 'active'
    join membership_person p on p.membership = c.membership and p.customer = c.customer and p.left_at is null
"""
# Records that were merged into another one are found by their old ids too.
_BY_LINK = """
    join pos_record r on r.connection = k.connection and r.external_id = $6
    join pos_link l on l.record = coalesce(r.merged_into, r.id) and l.state = 'linked'
    join membership_person p on p.customer = l.customer and p.left_at is null
"""
_POST = """
    join customer u on u.id = p.customer and u.status in ('active', 'stub')
    join membership m on m.id = p.membership
    join programme g on g.id = m.programme
    where m.status = 'active' and m.deficit = 0 and (m.figures_until is null or m.figures_until > $2)
      and g.is_default and g.version = $7::int and p.eligible_from <= $9
    for key share of u for no key update of m
)""" + (
    _RECORD_PARTS.replace("$28", "(select id from key)")
    + """, touched as (
    update api_key k set last_used_on = $2::timestamptz::date from key where k.id = key.id and k.last_used_on is distinct from $2::timestamptz::date
), remembered as (
    insert into idempotency_key (id, principal, operation, key, body_hash, status, reply, created_at)
    select $28, $29, 'push_order', $30, $31, 201, $32, $2 from new_order
)
select id from new_order
"""
)
_POST_BY_CARD = _KEY + _BY_CARD + _POST
_POST_BY_LINK = _KEY + _BY_LINK + _POST
_RECORD = (
    "with target as (select $6::uuid as connection, (select id from store where code = $5) as store, $7::uuid as customer, "
    "$8::uuid as membership)"
    + _RECORD_PARTS.replace("'key'", "$29::text").replace("null::int", "$30::int")
    + "select id from new_order"
)
_FIND_STORE = "select id from store where code = $1"
_LINE_POINTS = 'select line_id, points, rule from order_line where "order" = $1 order by position'
_RESOLVE_CARD = """
select c.membership, c.customer, c.status, u.status as customer_status
from card c left join customer u on u.id = c.customer where c.code = $1
"""
# A card names its programme; without one, sales count in the shop's own, else in the one joined first.
# Tills go on naming an address that somebody had proven before a merge kept their other one, until another proves it.
_RESOLVE_EMAIL = """
select p.customer, (select m.membership from membership_person m join membership s on s.id = m.membership and s.status = 'active'
                    join programme g on g.id = s.programme
                    where m.customer = p.customer and m.left_at is null
                    order by g.is_default desc, m.joined_at limit 1) as membership
from contact_point p join customer u on u.id = p.customer and u.status in ('active', 'stub')
where p.kind = 'email' and p.key = $1 and (p.status = 'verified' or p.retired_reason = 'merged' and p.verified_at is not null)
order by p.status = 'verified' desc, p.retired_at desc limit 1
"""
# The record is locked against being linked until the sale is there, so that a link that is made meanwhile finds it; after
# the customer, as in every act that locks both.
_HOLD_RECORD = """
with buyer as materialized (
    select u.id from pos_record r
    join pos_link l on l.record = coalesce(r.merged_into, r.id) and l.state = 'linked'
    join customer u on u.id = l.customer
    where r.connection = $1 and r.external_id = $2 for key share of u
)
select 1 from pos_record where connection = $1 and external_id = $2 and (select count(*) from buyer) >= 0 for key share
"""
# A member's sales count in the shop's own programme where there is a choice.
RESOLVE_RECORDS = """
select r.external_id as found_by, l.customer, m.membership, u.status as customer_status
from pos_record r
left join pos_link l on l.record = coalesce(r.merged_into, r.id) and l.state = 'linked'
left join customer u on u.id = l.customer
left join lateral (
    select n.membership from membership_person n
    join membership s on s.id = n.membership and s.status = 'active'
    join programme g on g.id = s.programme
    where n.customer = l.customer and n.left_at is null order by g.is_default desc, n.joined_at limit 1
) m on true
where r.connection = $1 and r.external_id = any($2::text[])
"""
# Customers come before the membership, as in every act that locks both; with the buyer whoever shares it, as marking their
# contacts twice locks them too.
_LOCK_TARGET = """
with buyer as materialized (
    select id, status from customer
    where id in (select $2::uuid union select customer from membership_person where membership = $1)
    order by id for key share
)
select m.id, m.programme, m.status, m.successor, m.deficit, p.eligible_from, (select status from buyer where id = $2) as customer_status
from membership m left join membership_person p on p.membership = m.id and p.customer = $2 and p.left_at is null
where m.id = $1 and (select count(*) from buyer) >= 0 for no key update of m
"""
_HOLD_CUSTOMER = """
with held as materialized (
    select id, status from customer
    where id in (
        select $1::uuid
        union
        select other.customer from membership_person own
        join membership_person other on other.membership = own.membership where own.customer = $1)
    order by id for key share
)
select status from held where id = $1
"""
_ORDERS = """
select o.*, s.name as store_name from orders o join store s on s.id = o.store
where o.customer = $1 and ($2::timestamptz is null or (o.completed_at, o.id) < ($2, $3::uuid))
order by o.completed_at desc, o.id desc limit $4
"""
_LINES = 'select * from order_line where "order" = any($1::uuid[]) order by "order", position'
_LOOKUP = """
select u.id, u.given_name, coalesce(m.tier, '') as tier,
       exists (select from contact_point c where c.customer = u.id and c.kind = 'email' and c.is_primary
                                             and c.bounced_at is not null) as email_bouncing,
       coalesce((select sum(l.remaining)::bigint from lot l where l.membership = m.id and l.remaining > 0
                 and l.available_at <= $2 and (l.expires_at is null or l.expires_at > $2)), 0) as available
from customer u left join membership m on m.id = $3 and m.status = 'active'
where u.id = $1 and u.status in ('active', 'stub')
"""
_TOUCH_KEY = "update api_key set last_used_on = $2 where id = $1 and last_used_on is distinct from $2"


class LineRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line to write, as the statement reads it from JSON; the quantity is decimal text.

    `order_id` is the order's own as long as it is new; whoever changes one that is known names that.
    """

    id: UUID
    order_id: UUID
    position: int
    line_id: str
    sku: str
    description: str
    category: str
    quantity: str
    net_minor: int
    tax_minor: int
    points: int
    rule: str
    stored_value: bool
    points_paid_minor: int


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A sale to write, with what it earns. Money in minor units; `points` is 0 when it was skipped."""

    id: UUID
    external_id: str
    number: str
    store_code: str
    completed_at: datetime
    currency: str
    net_minor: int
    tax_minor: int
    content_hash: bytes
    points: int
    skipped_reason: str | None
    rule_version_id: UUID | None
    assignment_reason: str
    state: str = "completed"
    revision: int = 0
    lines: tuple[LineRecord, ...]
    entry_id: UUID
    available_at: datetime
    expires_at: datetime | None
    idle_days: int | None = None
    filled: int = 0
    pos_customer_id: str | None = None


class PlainSale(msgspec.Struct, frozen=True, kw_only=True):
    """What the plain case needs beside the sale itself: who sends it, whose card or POS record, and the answer to keep."""

    token_hash: bytes
    found_by: str
    is_card: bool
    programme_version: int
    principal: str
    idempotency_key: str
    body_hash: bytes
    reply: bytes


async def post_plain(order: OrderRecord, sale: PlainSale, *, now: datetime, request_id: str | None) -> bool:
    """Do all that posting a plain sale means; False if anything about it was not plain, and nothing happened."""
    target = (sale.found_by, sale.programme_version, sale.token_hash)
    try:
        rows = await DB.fetch(
            _POST_BY_CARD if sale.is_card else _POST_BY_LINK,
            *_arguments(order, target, now=now, request_id=request_id),
            new_id(),
            sale.principal,
            sale.idempotency_key,
            sale.body_hash,
            sale.reply,
        )
    except asyncpg.UniqueViolationError:
        # The Idempotency-Key was used: the long way finds the first answer, or the conflict.
        return False
    return bool(rows)


async def record(
    order: OrderRecord,
    *,
    connection_id: UUID,
    customer_id: UUID | None,
    membership_id: UUID | None,
    now: datetime,
    request_id: str | None,
    actor: Actor,
) -> bool:
    """Write a sale whose customer and membership are decided; False if its external id exists."""
    target = (connection_id, customer_id, membership_id)
    arguments = _arguments(order, target, now=now, request_id=request_id)
    return bool(await DB.fetch(_RECORD, *arguments, actor.id, actor.kind, order.idle_days))


def _arguments(
    order: OrderRecord, target: tuple[object, object, object], *, now: datetime, request_id: str | None
) -> tuple[object, ...]:
    return (
        order.id,
        now,
        order.external_id,
        order.number,
        order.store_code,
        *target,
        order.completed_at,
        order.currency,
        order.net_minor,
        order.tax_minor,
        order.content_hash,
        order.points,
        order.skipped_reason,
        order.rule_version_id,
        order.assignment_reason,
        msgspec.json.encode(order.lines).decode(),
        order.entry_id,
        order.available_at,
        order.expires_at,
        order.filled,
        request_id,
        new_id(),
        order.state,
        order.revision,
        order.pos_customer_id,
    )


async def store_exists(code: str) -> bool:
    """Return whether there is a store of this code."""
    return await DB.fetch_row(_FIND_STORE, code) is not None


async def list_line_points(order_id: UUID) -> list[Row]:
    """Return what each line of an order earned."""
    return await DB.fetch(_LINE_POINTS, order_id)


async def resolve_card(code: str) -> Row | None:
    """Return the customer and membership of a card."""
    return await DB.fetch_row(_RESOLVE_CARD, code)


async def resolve_email(key: str) -> Row | None:
    """Return the customer who proved an address, and their membership."""
    return await DB.fetch_row(_RESOLVE_EMAIL, key)


async def resolve_record(connection_id: UUID, external_id: str) -> Row | None:
    """Return the customer and membership that a till's own customer id is linked to; holds both until the end."""
    await DB.fetch(_HOLD_RECORD, connection_id, external_id)
    # A look of its own, as whom we waited for may have made a link or ended it.
    return await DB.fetch_row(RESOLVE_RECORDS, connection_id, [external_id])


async def lock_target(membership_id: UUID, customer_id: UUID) -> Row | None:
    """Lock a membership and return its state, the person's own, and their start date in it."""
    return await DB.fetch_row(_LOCK_TARGET, membership_id, customer_id)


async def hold_customer(customer_id: UUID) -> str:
    """Keep a customer, and whom they share with, from being merged or forgotten until the end; return the former's status."""
    return str(await DB.fetch_value(_HOLD_CUSTOMER, customer_id))


async def list_orders(customer_id: UUID, *, before: tuple[datetime, UUID] | None, limit: int) -> list[Row]:
    """Return a customer's orders, newest first, from behind a cursor."""
    completed_at, order_id = before or (None, None)
    return await DB.fetch(_ORDERS, customer_id, completed_at, order_id, limit)


async def list_lines(order_ids: list[UUID]) -> list[Row]:
    """Return the lines of several orders."""
    return await DB.fetch(_LINES, order_ids)


async def look_up(customer_id: UUID, membership_id: UUID | None, now: datetime) -> Row | None:
    """Return what a till may know of a customer, with the points of one membership."""
    return await DB.fetch_row(_LOOKUP, customer_id, now, membership_id)


async def touch_key(key_id: UUID, today: date) -> None:
    """Note the day on which a key was last used."""
    await DB.fetch(_TOUCH_KEY, key_id, today)
