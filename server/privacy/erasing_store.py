"""SQL that empties an erased person's rows. $1 is always the customer with everybody who was merged into them.

What explains balances and sales stays, under ids that name nobody: orders, lines, entries, lots, memberships. What names the
person goes, or is emptied where other rows point at it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB, Row
from server.privacy.names import Names
from server.privacy.trace_store import forget_elsewhere

_FAMILY = "select id from customer where id in (select regulars_people($1)) order by id"
_PLACES = """
select p.id, p.membership, p.role, m.status,
       array(select o.customer from membership_person o
             where o.membership = p.membership and o.left_at is null and o.customer <> p.customer
             order by o.joined_at, o.id) as others
from membership_person p join membership m on m.id = p.membership
where p.customer = any($1::uuid[]) and p.left_at is null order by p.membership
"""
_LAPSED = "select entry from lot where membership = $1 and remaining > 0 and expires_at <= $2 order by entry"
_LEFT = "select coalesce(sum(remaining), 0)::bigint from lot where membership = $1"
_CLOSE = """
update membership set status = 'forfeited', closed_at = coalesce(closed_at, $2), version = version + 1
where id = $1 and status in ('active', 'closed') returning id
"""
_LEAVE = "update membership_person set left_at = $2, left_reason = 'erased' where id = $1 and left_at is null"

# What somebody else has proven to be theirs names them and nobody else: their mails, links and imports go on.
_ADDRESSES = """
select p.kind, p.value, p.key, p.status, p.retired_reason from contact_point p
where p.customer = any($1::uuid[]) and not exists (
    select from contact_point o
    where o.kind = p.kind and o.key = p.key and o.status in ('verified', 'bouncing') and not o.customer = any($1::uuid[]))
"""
_CARDS = "select code from card where customer = any($1::uuid[])"
# Records that are or were this person's, the aliases of those, and records of nobody with an address the person has proven.
_RECORDS = """
with own as (
    select l.record as id from pos_link l
    where l.customer = any($1::uuid[]) and (l.state <> 'ended' or not exists (
        select from pos_link k where k.record = l.record and k.state = 'linked' and not k.customer = any($1::uuid[])))
    union
    select r.id from pos_record r
    where (r.email_key = any($2::text[]) or r.card_number = any($3::text[]))
      and not exists (select from pos_link k where k.record = r.id and k.state = 'linked')
)
select r.id, r.connection, k.code, r.external_id, r.made_here, r.merged_into, r.removed_at, r.email_key, r.phone_key,
       r.card_number
from pos_record r join pos_connection k on k.id = r.connection
where r.external_id not like 'erased:%' and (r.id in (select id from own) or r.merged_into in (select id from own))
order by r.id for update of r
"""

# Sign-in, links, mail, forms, codes: gone. In an order in which nothing points at what goes.
_GONE = (
    "delete from customer_name_key where customer = any($1::uuid[])",
    "delete from contact_point where customer = any($1::uuid[])",
    "delete from refresh_token where session in (select id from member_session where customer = any($1::uuid[]))",
    "delete from member_session where customer = any($1::uuid[])",
    "delete from login where customer = any($1::uuid[])",
    "delete from known_network where customer = any($1::uuid[])",
    "delete from presence_use where customer = any($1::uuid[])",
    "delete from sms_code where customer = any($1::uuid[])",
    "delete from link_check where customer = any($1::uuid[])",
    "delete from pos_todo where customer = any($1::uuid[])",
    "delete from link_review where customer = any($1::uuid[]) or other_customer = any($1::uuid[])",
    "delete from referral_code where customer = any($1::uuid[])",
    "delete from duplicate_profile where customer = any($1::uuid[])",
    "delete from duplicate_mark where customer = any($1::uuid[])",
    "delete from duplicate_candidate where one = any($1::uuid[]) or other = any($1::uuid[])",
    "delete from personal_export_part where export in (select id from personal_export where customer = any($1::uuid[]))",
    "delete from personal_export where customer = any($1::uuid[])",
    """
    delete from one_time_token
    where customer = any($1::uuid[]) or subject in (select id from email_change where customer = any($1::uuid[]))
       or subject in (select id from merge where survivor = any($1::uuid[]) or absorbed = any($1::uuid[]))
    """,
)
_FORGET_FORMS = "delete from signup_intent where email_key = any($1::text[])"
_FORGET_LINKS = "delete from one_time_token where email_key = any($1::text[])"
_FORGET_MESSAGES = "delete from message where customer = any($1::uuid[]) or to_address = any($2::text[])"
_FORGET_INVITATIONS = """
update sharing_invitation
set email = '', email_key = '', state = case when state = 'open' then 'withdrawn' else state end,
    decided_at = coalesce(decided_at, $3)
where invited_by = any($1::uuid[]) or email_key = any($2::text[]) or email = any($2::text[])
"""
# $2, where there is one: the present.
_EMPTIED = (
    """
    update customer
    set status = 'erased', merged_into = null, given_name = '', family_name = '', birth_year = null, birth_month = null,
        birth_day = null, locale = 'en', notes = '', postal_address = '', post_code = '', redemption_held_until = null, redemption_held_reason = null,
        version = version + 1, updated_at = $2
    where id = any($1::uuid[])
    """,
    """
    update card
    set code = 'erased:' || id, customer = null, reason = 'erased', ended_at = coalesce(ended_at, $2),
        status = case when status = 'replaced' then status else 'blocked' end
    where customer = any($1::uuid[])
    """,
    """
    update voucher
    set code_last4 = '', ended_at = coalesce(ended_at, $2),
        void_reason = case when status in ('issued', 'held') then 'erased' else void_reason end,
        status = case when status in ('issued', 'held') then 'void' else status end
    where customer = any($1::uuid[])
    """,
    """
    update claim_code set revoked_at = $2, revoked_reason = 'erased'
    where customer = any($1::uuid[]) and used_at is null and revoked_at is null
    """,
    """
    update pos_link
    set state = 'ended', ended_at = coalesce(ended_at, $2), ended_reason = coalesce(ended_reason, 'erased'),
        evidence = '', reason = ''
    where customer = any($1::uuid[])
    """,
    """
    update email_change
    set old_email = '', old_email_key = '', new_email = '', new_email_key = '', reason = '',
        state = case when state = 'pending' then 'cancelled' else state end, undo_until = least(undo_until, $2)
    where customer = any($1::uuid[])
    """,
    """
    update merge
    set reason = '', decision_note = '', undo_note = '', effects = '{}', undo_until = least(undo_until, $2)
    where survivor = any($1::uuid[]) or absorbed = any($1::uuid[])
    """,
    # Staff may have written of this person in whatever was done with their memberships. Nobody can come back by an undo: what was
    # done while this person was there stays as it is.
    """
    update sharing_operation s
    set reason = '', undo_until = case when found.was_there then least(undo_until, $2) else undo_until end,
        effects = case when found.was_there and kind = 'combine' then '{}' else effects end
    from (
        select o.id, bool_or(p.joined_at <= o.at and (p.left_at is null or p.left_at >= o.at)) as was_there
        from membership_person p join sharing_operation o on o.membership = p.membership or o.other = p.membership
        where p.customer = any($1::uuid[]) group by o.id
    ) found
    where s.id = found.id
    """,
    """
    update adjustment set note = '', decision_note = '', undo_note = ''
    where customer = any($1::uuid[])
    """,
    """
    update staff_member set customer = null, version = version + 1
    where customer = any($1::uuid[])
    """,
    """
    update erasure set reason = '' where customer = any($1::uuid[])
    """,
)
# Append-only rows, of which the database lets nothing change but this, and only of erased customers. What is left of an audit
# entry's details are ids, numbers and truth values.
_SCRUBBED = (
    """
    update audit_entry a
    set reason = null, details = coalesce((
        select jsonb_object_agg(d.key, d.value) from jsonb_each(a.details) d
        where jsonb_typeof(d.value) in ('number', 'boolean')
           or jsonb_typeof(d.value) = 'string'
              and d.value #>> '{}' ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'), '{}')
    where a.customer_id = any($1::uuid[])
    """,
    "update consent_event set address_key = '', network = null where customer = any($1::uuid[])",
    "update ledger_entry set note = '' where customer = any($1::uuid[]) and note <> ''",
)
_EMPTY_RECORDS = """
update pos_record
set external_id = 'erased:' || id, given_name = '', family_name = '', name_key = '', email = null, email_key = null,
    email_since_at = null, former_emails = '{}', phone = null, phone_key = null, card_number = null,
    removed_at = coalesce(removed_at, $2), content_hash = ''::bytea, changed_at = $2
where id = any($1::uuid[])
"""
_FORGET_AT_TILLS = """
update orders o set pos_customer_id = null
from unnest($1::uuid[], $2::text[]) as n(connection, external_id)
where o.connection = n.connection and o.pos_customer_id = n.external_id
"""
_UNSTAGE = """
delete from pos_staged s using unnest($1::uuid[], $2::text[]) as n(connection, external_id)
where s.connection = n.connection and s.kind = 'customer' and s.external_id = n.external_id
"""
# Answers that are kept for a repeated call; those of tills hold ids and points only, but for customers' records.
_FORGET_REPLIES = """
delete from idempotency_key k
where k.principal = any($1::text[])
   or (k.principal >= 'staff:' and k.principal < 'staff;' or k.operation in ('push_pos_customer', 'push_pos_customers'))
      and exists (select from unnest($2::bytea[]) n(needle) where position(n.needle in k.reply) > 0)
"""
_COUNT_ORDERS = "select count(*)::int from orders where customer = any($1::uuid[])"
_COUNTS = """
select (select count(*) from card where customer = any($1::uuid[]) and status = 'active')::int as cards,
       (select count(*) from voucher where customer = any($1::uuid[]) and status in ('issued', 'held'))::int as vouchers,
       (select count(*) from contact_point where customer = any($1::uuid[]) and status <> 'retired')::int as addresses
"""


async def list_family(customer_id: UUID) -> list[UUID]:
    """Return a customer and everybody who was merged into them, by id."""
    return [row["id"] for row in await DB.fetch(_FAMILY, customer_id)]


async def list_places(customer_ids: Sequence[UUID]) -> list[Row]:
    """Return the memberships these customers are in, with the others in them, longest there first."""
    return await DB.fetch(_PLACES, list(customer_ids))


async def list_lapsed(membership_id: UUID, now: datetime) -> list[UUID]:
    """Return a membership's lots whose points have lapsed and are not booked so yet."""
    return [row["entry"] for row in await DB.fetch(_LAPSED, membership_id, now)]


async def get_points_left(membership_id: UUID) -> int:
    """Return how many points are left in a membership's lots."""
    points = await DB.fetch_value(_LEFT, membership_id)
    assert isinstance(points, int)
    return points


async def close_membership(membership_id: UUID, now: datetime) -> None:
    """Close a membership whose points were given up."""
    await DB.fetch(_CLOSE, membership_id, now)


async def leave(person_id: UUID, now: datetime) -> None:
    """End somebody's place in a membership."""
    await DB.fetch(_LEAVE, person_id, now)


async def read_names(customer_ids: Sequence[UUID]) -> Names:
    """Return everything these customers go by, and lock their records at tills."""
    ids = list(customer_ids)
    addresses = await DB.fetch(_ADDRESSES, ids)
    cards = [row["code"] for row in await DB.fetch(_CARDS, ids)]
    proven = [row["key"] for row in addresses if row["kind"] == "email" and row["status"] in ("verified", "bouncing")]
    records = await DB.fetch(_RECORDS, ids, proven, cards)
    return Names(addresses=tuple(addresses), cards=tuple(cards), records=tuple(records))


async def count_things(customer_ids: Sequence[UUID]) -> Row:
    """Return how many active cards, unspent vouchers and addresses there are."""
    row = await DB.fetch_row(_COUNTS, list(customer_ids))
    assert row is not None
    return row


async def count_orders(customer_ids: Sequence[UUID]) -> int:
    """Return how many orders stay under the customers' ids."""
    count = await DB.fetch_value(_COUNT_ORDERS, list(customer_ids))
    assert isinstance(count, int)
    return count


async def empty_rows(ctx: Context, customer_ids: Sequence[UUID], names: Names) -> None:
    """Delete or empty everything that names these customers; they are `erased` from here on."""
    ids = list(customer_ids)
    await _forget_records(ctx, names.records)
    for sql in _GONE:
        await DB.fetch(sql, ids)
    texts = [*names.keys, *names.values]
    await DB.fetch(_FORGET_FORMS, names.keys)
    await DB.fetch(_FORGET_LINKS, names.keys)
    await DB.fetch(_FORGET_MESSAGES, ids, texts)
    for sql in _EMPTIED:
        await DB.fetch(sql, *((ids, ctx.now) if "$2" in sql else (ids,)))
    await forget_elsewhere(ctx, ids, names)
    await DB.fetch(_FORGET_INVITATIONS, ids, texts, ctx.now)
    for sql in _SCRUBBED:
        await DB.fetch(sql, ids)
    principals = [f"member:{customer_id}" for customer_id in ids]
    await DB.fetch(_FORGET_REPLIES, principals, _needles(ids, names))


async def _forget_records(ctx: Context, records: Collection[Row]) -> None:
    connections = [row["connection"] for row in records]
    external_ids = [row["external_id"] for row in records]
    await DB.fetch(_FORGET_AT_TILLS, connections, external_ids)
    await DB.fetch(_UNSTAGE, connections, external_ids)
    await DB.fetch(_EMPTY_RECORDS, [row["id"] for row in records], ctx.now)


def _needles(ids: Sequence[UUID], names: Names) -> list[bytes]:
    texts = {str(one) for one in ids} | set(names.keys) | set(names.values) | set(names.cards)
    # As JSON writes them, quotes left out; a till's id may be short, and is told from other numbers by its quotes.
    inner = [msgspec.json.encode(text)[1:-1] for text in sorted(texts) if text]
    return inner + [msgspec.json.encode(text) for text in sorted(names.external_ids)]
