"""SQL of merges. Everything but the reads is called with both customers and their memberships locked."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.merges.effects import PersonFields, PointState
from server.merges.rules import Address, Person

_CUSTOMER = """
select c.id, c.kind, c.status, c.given_name, c.family_name, c.birth_year, c.birth_month, c.birth_day, c.locale, c.notes,
       c.created_at, c.postal_address, c.post_code, c.redemption_held_until, c.redemption_held_reason, c.merged_into,
       exists (select 1 from login l where l.customer = c.id and l.disabled_at is null) as has_login
from customer c where c.id = $1
"""
_ADDRESSES = """
select id, customer, kind, value, key, status, is_primary from contact_point
where customer = $1 and status <> 'retired' order by is_primary desc, created_at, id
"""
_SUMMARY = """
select array(select code from card where customer = $1 and status = 'active' order by issued_at, id) as cards,
       (select count(*) from voucher where customer = $1 and status in ('issued', 'held'))::int as vouchers,
       (select count(*) from orders where customer = $1)::int as orders,
       (select count(*) from pos_link where customer = $1 and state = 'linked')::int as pos_links,
       (select count(*) from member_session where customer = $1 and ended_at is null)::int as sessions,
       (select count(*) from membership_person o join membership_person p on p.membership = o.membership
        where p.customer = $1 and p.left_at is null and o.left_at is null and o.customer <> $1)::int as sharers
"""
_HOMES = """
select p.membership, p.programme from membership_person p join membership m on m.id = p.membership
where p.customer = $1 and p.left_at is null and m.status = 'active' order by p.programme
"""
_STAFF_OF = "select id from staff_member where customer = any($1::uuid[]) and status <> 'disabled' order by id"
_PENDING_CHANGES = """
select id from email_change where customer = any($1::uuid[]) and state = 'pending' and expires_at > $2
"""
# Of a dormant customer the shop wishes to let go, and a merge says that they have come: it calls that off when it is due.
_OPEN_REQUESTS = """
select 1 from erasure
where customer = any($1::uuid[]) and state in ('waiting', 'cooling') and cause <> 'dormant' limit 1
"""
_CANCEL_CHANGES = "update email_change set state = 'cancelled' where customer = any($1::uuid[]) and state = 'pending'"
_SET_PERSON = """
update customer
set birth_year = $2, birth_month = $3, birth_day = $4, locale = $5, notes = $6, status = $7, created_at = $8,
    redemption_held_until = $9, redemption_held_reason = $10, updated_at = $11, postal_address = $12, post_code = $13,
    version = version + 1
where id = $1
"""
_BURY = """
update customer set status = 'merged', merged_into = $2, updated_at = $3, version = version + 1
where id = $1 and status in ('stub', 'active', 'blocked') returning id
"""
_REVIVE = """
update customer set status = $2, merged_into = null, updated_at = $3, version = version + 1
where id = $1 and status = 'merged' returning id
"""
_POINT_STATES = """
select id, customer, status, is_primary, retired_at, retired_reason from contact_point where id = any($1::uuid[])
"""
_STEP_BACK = "update contact_point set is_primary = false where id = any($1::uuid[])"
_SET_POINT = """
update contact_point set customer = $2, status = $3, is_primary = $4, retired_at = $5, retired_reason = $6 where id = $1
"""
_MOVE_CARDS = "update card set customer = $2 where customer = $1 returning id, code, status"
_RETURN_CARDS = "update card set customer = $2 where id = any($1::uuid[]) and customer = $3 returning code"
_MOVE_VOUCHERS = """
with locked as (select id from voucher where customer = $1 order by id for update)
update voucher set customer = $2 where id in (select id from locked) returning id, status
"""
_RETURN_VOUCHERS = """
with locked as (select id from voucher where id = any($1::uuid[]) and customer = $3 order by id for update)
update voucher set customer = $2 where id in (select id from locked) returning id
"""
# The former assignment is kept, and what promotions added goes on counting under the new one. What a person decided for an
# order stays so, whatever a till says later.
_MOVE_ORDERS = """
with chosen as (
    select * from orders where {condition} order by id for update
), kept as (
    insert into assignment (id, "order", version, customer, membership, reason, actor_kind, actor_id, at)
    select regulars_new_id(), id, assignment_version, customer, membership, assignment_reason, $3, $4, $5 from chosen
), uses as (
    insert into promotion_use (id, "order", assignment_version, code, points)
    select regulars_new_id(), u."order", u.assignment_version + 1, u.code, u.points
    from promotion_use u join chosen c on c.id = u."order" and c.assignment_version = u.assignment_version
)
update orders o
set customer = $2, assignment_version = o.assignment_version + 1,
    assignment_reason = case when o.assignment_reason in ('staff', 'claim') then o.assignment_reason else $6 end
from chosen c where o.id = c.id returning o.id
"""
_MOVE_ALL_ORDERS = _MOVE_ORDERS.format(condition="customer = $1")
_RETURN_ORDERS = _MOVE_ORDERS.format(condition="customer = $1 and id = any($7::uuid[])")
_COUNT_ORDERS_SINCE = (
    "select count(*)::int from orders where customer = $1 and not id = any($2::uuid[]) and created_at >= $3"
)
_OLDER_ORDERS = """
select o.id from orders o
where o.customer = $1 and o.state = 'completed' and o.skipped_reason in ('before_start', 'not_member')
  and o.completed_at >= $2 and o.points = 0
order by o.completed_at, o.id limit $3
"""
_MOVE_LOGIN = "update login set customer = $2 where customer = $1 returning id"
_DISABLE_LOGIN = "update login set disabled_at = $2 where customer = $1 and disabled_at is null returning id"
_ENABLE_LOGIN = "update login set disabled_at = null where customer = $1 and disabled_at is not null returning id"
_VOID_LINKS = """
update one_time_token set voided_at = $2 where customer = $1 and used_at is null and voided_at is null and purpose <> all($3::text[])
"""
_REVOKE_CODES = """
update claim_code set revoked_at = $2, revoked_reason = 'merged' where customer = $1 and used_at is null and revoked_at is null
"""
_WITHDRAW = """
update sharing_invitation set state = 'withdrawn', decided_at = $2 where invited_by = $1 and state = 'open'
"""
_MOVE_STAFF = "update staff_member set customer = $2, version = version + 1 where customer = $1 returning id"
_RETURN_STAFF = (
    "update staff_member set customer = $2, version = version + 1 where id = any($1::uuid[]) and customer = $3"
)
_MOVE_REFERRER = """
update referral set referrer = $2 where referrer = $1 and referred <> $2 returning id
"""
_MOVE_REFERRED = """
update referral r set referred = $2 where r.referred = $1 and r.referrer <> $2
  and not exists (select 1 from referral o where o.programme = r.programme and o.referred = $2)
returning id
"""
_RETURN_REFERRALS = """
update referral set referrer = case when id = any($1::uuid[]) then $3 else referrer end,
                    referred = case when id = any($2::uuid[]) then $3 else referred end
where id = any($1::uuid[]) or id = any($2::uuid[])
"""
_MOVE_CODES = """
update referral_code c set customer = $2 where c.customer = $1
  and not exists (select 1 from referral_code o where o.programme = c.programme and o.customer = $2)
returning code
"""
_RETURN_CODES = "update referral_code set customer = $2 where code = any($1::text[])"
# Somebody who brought themselves: the bonuses of both sides, where they lie now.
_SELF_REFERRALS = """
select r.id, e.id as entry, e.points, regulars_heir(e.membership) as membership, e.customer
from referral r
left join ledger_entry e
  on e.kind = 'BONUS' and e.customer in ($1, $2)
 and e.source_key in (r.programme || ':referrer:' || r.referrer || ':' || r.id, r.programme || ':referred:' || r.referred)
where (r.referrer = $1 and r.referred = $2) or (r.referrer = $2 and r.referred = $1)
order by e.id
"""
_VOID_REFERRALS = """
update referral set completed_at = null where (referrer = $1 and referred = $2) or (referrer = $2 and referred = $1)
"""
_BONUSES_TWICE = """
select distinct a.code from bonus_grant a join bonus_grant b
  on b.programme = a.programme and b.code = a.code and b.occasion = a.occasion and b.customer = $2
where a.customer = $1 and a.code in ('sign_up', 'first_purchase', 'birthday', 'referred') order by 1
"""
_CONSENTS = """
select distinct on (customer) customer, id, state, at, wording_version, source from consent_event
where customer = any($1::uuid[]) and channel = $2 and address_key = $3 order by customer, at desc, id desc
"""
_WRITE_CONSENT = """
insert into consent_event (id, customer, channel, address_key, state, source, wording_version, actor_kind, actor_id, at)
values ($1, $2, $3, $4, $5, 'merge', $6, $7, $8, $9)
"""
_CONTACTS = "select email_key from audience_contact where customer = $1 and state = 'live' order by email_key"
_INSERT = """
insert into merge (id, survivor, absorbed, method, state, reason, choices, needs, preview_hash, requested_by, requested_at,
                   lapses_at, done_at, undo_until, effects)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""
_FINISH = """
update merge set state = 'done', decided_by = $2, decided_at = $3, decision_note = $4, done_at = $3, undo_until = $5,
                 effects = $6, lapses_at = null
where id = $1 and state = 'waiting' returning id
"""
_REFUSE = """
update merge set state = 'refused', decided_by = $2, decided_at = $3, decision_note = $4 where id = $1 and state = 'waiting'
returning id
"""
_UNDO = """
update merge set state = 'undone', undone_at = $2, undone_by = $3, undo_note = $4 where id = $1 and state = 'done' returning id
"""
_CLOSE_LAPSED = """
update merge set state = 'refused' where survivor = $1 and absorbed = $2 and state = 'waiting' and lapses_at <= $3
"""
_FOLLOW_CARDS = """
update card set customer = $3 where membership = $1 and customer = $2 and status = 'active'
"""
_FOLLOW_VOUCHERS = """
with locked as (
    select id from voucher where membership = $1 and customer = $2 and status in ('issued', 'held') order by id for update
)
update voucher set customer = $3 where id in (select id from locked)
"""
_FIND = "select * from merge where id = $1"
_LOCK = "select * from merge where id = $1 for update"
_HAS_LATER = """
select 1 from merge where state = 'done' and (done_at, id) > ($1, $2)
  and (survivor = any($3::uuid[]) or absorbed = any($3::uuid[])) limit 1
"""
_DISPUTE = "update merge set disputed_at = coalesce(disputed_at, $2) where id = $1"
_VIEWS = """
select m.*, trim(s.given_name || ' ' || s.family_name) as survivor_name,
       trim(a.given_name || ' ' || a.family_name) as absorbed_name, r.name as requested_name, d.name as decided_name
from merge m join customer s on s.id = m.survivor join customer a on a.id = m.absorbed
left join staff_member r on r.id = m.requested_by left join staff_member d on d.id = m.decided_by
where {condition} and ($1::timestamptz is null or (m.requested_at, m.id) < ($1, $2::uuid))
order by m.requested_at desc, m.id desc limit $3
"""
_ALL = _VIEWS.format(condition="true")
_OF_STATE = _VIEWS.format(condition="m.state = $4")
_OF_CUSTOMER = _VIEWS.format(condition="(m.survivor = $4 or m.absorbed = $4)")
_ONE = _VIEWS.format(condition="m.id = $4")
_PLACE = "select id, role, eligible_from, joined_at from membership_person where membership = $1 and customer = $2 and left_at is null"
_SET_ELIGIBLE = "update membership_person set eligible_from = least(eligible_from, $2) where id = $1"
_STAFF = "select id, role, status, customer from staff_member where id = any($1::uuid[]) order by id for share"


async def find_person(customer_id: UUID) -> Person | None:
    """Return a customer with all addresses in use."""
    row = await DB.fetch_row(_CUSTOMER, customer_id)
    if row is None:
        return None
    addresses = tuple(Address(**one) for one in await DB.fetch(_ADDRESSES, customer_id))
    return Person(**row, addresses=addresses)


async def get_summary(customer_id: UUID) -> Row:
    """Return a customer's cards and how many vouchers, orders, POS links, sessions and sharers there are."""
    row = await DB.fetch_row(_SUMMARY, customer_id)
    assert row is not None
    return row


async def list_homes(customer_id: UUID) -> dict[UUID, UUID]:
    """Return the active memberships of a customer by programme."""
    return {row["programme"]: row["membership"] for row in await DB.fetch(_HOMES, customer_id)}


async def list_staff_of(customer_ids: Sequence[UUID]) -> list[UUID]:
    """Return the staff members who are one of these customers."""
    return [row["id"] for row in await DB.fetch(_STAFF_OF, list(customer_ids))]


async def has_pending_change(customer_ids: Sequence[UUID], now: datetime) -> bool:
    """Return whether a change of address waits for its proof."""
    return bool(await DB.fetch(_PENDING_CHANGES, list(customer_ids), now))


async def cancel_changes(customer_ids: Sequence[UUID]) -> None:
    """Give up changes of address that wait for their proof."""
    await DB.fetch(_CANCEL_CHANGES, list(customer_ids))


async def has_open_erasure(customer_ids: Sequence[UUID]) -> bool:
    """Return whether one of these customers has asked to be forgotten, and is not yet."""
    return await DB.fetch_row(_OPEN_REQUESTS, list(customer_ids)) is not None


async def set_person(ctx: Context, customer_id: UUID, fields: PersonFields) -> None:
    """Write a customer's fields, but for the names."""
    await DB.fetch(
        _SET_PERSON,
        customer_id,
        fields.birth_year,
        fields.birth_month,
        fields.birth_day,
        fields.locale,
        fields.notes,
        fields.status,
        fields.created_at,
        fields.redemption_held_until,
        fields.redemption_held_reason,
        ctx.now,
        fields.postal_address,
        fields.post_code,
    )


async def bury(ctx: Context, absorbed_id: UUID, survivor_id: UUID) -> None:
    """Make a customer a tombstone that points at the survivor."""
    row = await DB.fetch_row(_BURY, absorbed_id, survivor_id, ctx.now)
    assert row is not None, "the customer is locked"


async def revive(ctx: Context, absorbed_id: UUID, status: str) -> None:
    """Let a tombstone be a customer again."""
    row = await DB.fetch_row(_REVIVE, absorbed_id, status, ctx.now)
    assert row is not None, "the customer is locked"


async def list_point_states(point_ids: Sequence[UUID]) -> dict[UUID, PointState]:
    """Return where addresses stand."""
    rows = await DB.fetch(_POINT_STATES, list(point_ids))
    names = PointState.__struct_fields__
    return {row["id"]: PointState(**{name: row[name] for name in names}) for row in rows}


async def write_points(points: Sequence[tuple[UUID, PointState]]) -> None:
    """Write where addresses stand; none is primary in between, as a customer has one of a kind."""
    await DB.fetch(_STEP_BACK, [point_id for point_id, _ in points])
    for point_id, state in sorted(points, key=lambda one: one[1].is_primary):
        await DB.fetch(
            _SET_POINT,
            point_id,
            state.customer,
            state.status,
            state.is_primary,
            state.retired_at,
            state.retired_reason,
        )


async def move_cards(from_id: UUID, to_id: UUID) -> list[Row]:
    """Let all cards of a customer be another's and return them."""
    return await DB.fetch(_MOVE_CARDS, from_id, to_id)


async def return_cards(card_ids: Sequence[UUID], to_id: UUID, from_id: UUID) -> list[str]:
    """Let cards be the former customer's again and return their codes."""
    return [row["code"] for row in await DB.fetch(_RETURN_CARDS, list(card_ids), to_id, from_id)]


async def move_vouchers(from_id: UUID, to_id: UUID) -> list[Row]:
    """Let all vouchers of a customer be another's and return them."""
    return await DB.fetch(_MOVE_VOUCHERS, from_id, to_id)


async def return_vouchers(voucher_ids: Sequence[UUID], to_id: UUID, from_id: UUID) -> None:
    """Let vouchers be the former customer's again."""
    await DB.fetch(_RETURN_VOUCHERS, list(voucher_ids), to_id, from_id)


async def move_orders(ctx: Context, from_id: UUID, to_id: UUID) -> list[UUID]:
    """Assign all orders of a customer to another and return their ids; no points move."""
    rows = await DB.fetch(_MOVE_ALL_ORDERS, from_id, to_id, ctx.actor.kind, ctx.actor.id, ctx.now, "merge")
    return [row["id"] for row in rows]


async def return_orders(ctx: Context, order_ids: Sequence[UUID], to_id: UUID, from_id: UUID) -> int:
    """Assign orders back, those that went to somebody else meanwhile left alone, and return how many."""
    rows = await DB.fetch(
        _RETURN_ORDERS, from_id, to_id, ctx.actor.kind, ctx.actor.id, ctx.now, "undo", list(order_ids)
    )
    return len(rows)


async def count_orders_since(customer_id: UUID, at: datetime, *, but: Sequence[UUID]) -> int:
    """Return how many orders came to a customer since an instant."""
    count = await DB.fetch_value(_COUNT_ORDERS_SINCE, customer_id, list(but), at)
    assert isinstance(count, int)
    return count


async def list_older_orders(customer_id: UUID, since: datetime, limit: int) -> list[UUID]:
    """Return orders that were skipped for being from before the membership, oldest first."""
    return [row["id"] for row in await DB.fetch(_OLDER_ORDERS, customer_id, since, limit)]


async def move_login(from_id: UUID, to_id: UUID) -> bool:
    """Let a login be another customer's; False if there is none."""
    return await DB.fetch_row(_MOVE_LOGIN, from_id, to_id) is not None


async def has_any_login(customer_id: UUID) -> bool:
    """Return whether a customer has a login, disabled or not."""
    return await DB.fetch_row("select 1 from login where customer = $1", customer_id) is not None


async def disable_login(ctx: Context, customer_id: UUID) -> bool:
    """Let nobody sign in by a customer's login; False if there is none."""
    return await DB.fetch_row(_DISABLE_LOGIN, customer_id, ctx.now) is not None


async def enable_login(customer_id: UUID) -> None:
    """Let a disabled login work again."""
    await DB.fetch(_ENABLE_LOGIN, customer_id)


async def void_all_links(ctx: Context, customer_id: UUID, *, but: Sequence[str]) -> None:
    """Void a customer's open links but for those of some purposes, and withdraw the invitations to share."""
    await DB.fetch(_VOID_LINKS, customer_id, ctx.now, list(but))
    await DB.fetch(_WITHDRAW, customer_id, ctx.now)


async def revoke_claim_codes(ctx: Context, customer_id: UUID) -> None:
    """Let nobody claim a customer who was merged."""
    await DB.fetch(_REVOKE_CODES, customer_id, ctx.now)


async def move_staff(from_id: UUID, to_id: UUID) -> list[UUID]:
    """Let staff who are one customer be another; their permissions stay. Return their ids."""
    return [row["id"] for row in await DB.fetch(_MOVE_STAFF, from_id, to_id)]


async def return_staff(staff_ids: Sequence[UUID], to_id: UUID, from_id: UUID) -> None:
    """Point staff at the former customer again."""
    await DB.fetch(_RETURN_STAFF, list(staff_ids), to_id, from_id)


async def move_referrals(from_id: UUID, to_id: UUID) -> tuple[list[UUID], list[UUID], list[str]]:
    """Let whom a customer brought, who brought them, and the code be another's; return the ids and codes."""
    referrals = [row["id"] for row in await DB.fetch(_MOVE_REFERRER, from_id, to_id)]
    referred = [row["id"] for row in await DB.fetch(_MOVE_REFERRED, from_id, to_id)]
    codes = [row["code"] for row in await DB.fetch(_MOVE_CODES, from_id, to_id)]
    return referrals, referred, codes


async def return_referrals(
    referrals: Sequence[UUID], referred: Sequence[UUID], codes: Sequence[str], to_id: UUID
) -> None:
    """Take that back."""
    await DB.fetch(_RETURN_REFERRALS, list(referrals), list(referred), to_id)
    await DB.fetch(_RETURN_CODES, list(codes), to_id)


async def list_self_referrals(one_id: UUID, other_id: UUID) -> list[Row]:
    """Return the bonuses of two customers for one having brought the other."""
    return await DB.fetch(_SELF_REFERRALS, one_id, other_id)


async def void_self_referrals(one_id: UUID, other_id: UUID) -> None:
    """Let nothing more be paid for one having brought the other."""
    await DB.fetch(_VOID_REFERRALS, one_id, other_id)


async def list_bonuses_twice(one_id: UUID, other_id: UUID) -> list[str]:
    """Return the codes of one-time bonuses that both have had."""
    return [row["code"] for row in await DB.fetch(_BONUSES_TWICE, one_id, other_id)]


async def list_consents(customer_ids: Sequence[UUID], channel: str, address_key: str) -> list[Row]:
    """Return the latest answer of each customer about an address."""
    return await DB.fetch(_CONSENTS, list(customer_ids), channel, address_key)


async def write_consent(
    ctx: Context, customer_id: UUID, channel: str, address_key: str, *, state: str, wording_version: str | None
) -> None:
    """Write down what holds for an address after a merge."""
    await DB.fetch(
        _WRITE_CONSENT, new_id(), customer_id, channel, address_key, state, wording_version, ctx.actor.kind,
        ctx.actor.id, ctx.now,
    )  # fmt: skip


async def list_contact_emails(customer_id: UUID) -> list[str]:
    """Return the addresses of a customer's live audience contacts."""
    return [row["email_key"] for row in await DB.fetch(_CONTACTS, customer_id)]


async def hand_over_contact(from_id: UUID, to_id: UUID, email_key: str) -> None:
    """Let the audience contact of an address be another customer's."""
    sql = "update audience_contact set customer = $2, dirty_seq = dirty_seq + 1 where customer = $1 and email_key = $3"
    await DB.fetch(sql, from_id, to_id, email_key)


class NewMerge(msgspec.Struct, frozen=True, kw_only=True):
    """A merge, or a wish for one, to write down."""

    id: UUID
    survivor_id: UUID
    absorbed_id: UUID
    method: str
    state: str
    reason: str
    choices: msgspec.Struct
    needs: tuple[str, ...] = ()
    preview_hash: str = ""
    requested_by: UUID | None = None
    lapses_at: datetime | None = None
    done_at: datetime | None = None
    undo_until: datetime | None = None
    effects: msgspec.Struct | None = None


async def insert_merge(ctx: Context, merge: NewMerge) -> None:
    """Add a merge."""
    await DB.fetch(
        _INSERT,
        merge.id,
        merge.survivor_id,
        merge.absorbed_id,
        merge.method,
        merge.state,
        merge.reason,
        msgspec.json.encode(merge.choices).decode(),
        [str(need) for need in merge.needs],
        merge.preview_hash,
        merge.requested_by,
        ctx.now,
        merge.lapses_at,
        merge.done_at,
        merge.undo_until,
        msgspec.json.encode(merge.effects).decode() if merge.effects else "{}",
    )


async def close_lapsed(ctx: Context, survivor_id: UUID, absorbed_id: UUID) -> None:
    """Close a wish for the same merge whose time is over."""
    await DB.fetch(_CLOSE_LAPSED, survivor_id, absorbed_id, ctx.now)


async def follow_place(membership_id: UUID, from_id: UUID, to_id: UUID) -> None:
    """Let the cards and unspent vouchers of somebody in a membership be those of whoever takes the place."""
    await DB.fetch(_FOLLOW_CARDS, membership_id, from_id, to_id)
    await DB.fetch(_FOLLOW_VOUCHERS, membership_id, from_id, to_id)


async def finish_waiting(
    ctx: Context, merge_id: UUID, *, staff_id: UUID, note: str, undo_until: datetime, effects: msgspec.Struct
) -> None:
    """Mark a merge that waited as carried out."""
    encoded = msgspec.json.encode(effects).decode()
    row = await DB.fetch_row(_FINISH, merge_id, staff_id, ctx.now, note, undo_until, encoded)
    assert row is not None, "the merge is locked"


async def refuse_waiting(ctx: Context, merge_id: UUID, *, staff_id: UUID, note: str) -> None:
    """Mark a merge that waited as refused."""
    row = await DB.fetch_row(_REFUSE, merge_id, staff_id, ctx.now, note)
    assert row is not None, "the merge is locked"


async def mark_undone(ctx: Context, merge_id: UUID, note: str) -> None:
    """Mark a merge as taken back."""
    row = await DB.fetch_row(_UNDO, merge_id, ctx.now, ctx.actor.id, note)
    assert row is not None, "the merge is locked"


async def find_waiting(survivor_id: UUID, absorbed_id: UUID) -> UUID | None:
    """Return the wish for this merge that waits for a second person; both customers are locked."""
    sql = "select id from merge where survivor = $1 and absorbed = $2 and state = 'waiting'"
    row = await DB.fetch_row(sql, survivor_id, absorbed_id)
    return row["id"] if row else None


async def find_merge(merge_id: UUID) -> Row | None:
    """Return a merge."""
    return await DB.fetch_row(_FIND, merge_id)


async def lock_merge(merge_id: UUID) -> Row:
    """Lock a merge and return it; customers and memberships are locked before."""
    row = await DB.fetch_row(_LOCK, merge_id)
    assert row is not None, "merges are never deleted"
    return row


async def has_later(merge: Row) -> bool:
    """Return whether one of the two was in another merge since."""
    ids = [merge["survivor"], merge["absorbed"]]
    return await DB.fetch_row(_HAS_LATER, merge["done_at"], merge["id"], ids) is not None


async def dispute(ctx: Context, merge_id: UUID) -> None:
    """Note that one of the two says that they are not the other."""
    await DB.fetch(_DISPUTE, merge_id, ctx.now)


async def list_views(
    *, state: str, customer_id: UUID | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[Row]:
    """Return merges, newest first."""
    page = (*(before or (None, None)), limit)
    if customer_id is not None:
        return await DB.fetch(_OF_CUSTOMER, *page, customer_id)
    return await DB.fetch(_OF_STATE, *page, state) if state else await DB.fetch(_ALL, *page)


async def get_view(merge_id: UUID) -> Row:
    """Return a merge with the names of everybody."""
    row = await DB.fetch_row(_ONE, None, None, 1, merge_id)
    assert row is not None
    return row


async def find_place(membership_id: UUID, customer_id: UUID) -> Row | None:
    """Return a customer's place in a membership."""
    return await DB.fetch_row(_PLACE, membership_id, customer_id)


async def set_eligible(person_id: UUID, since: datetime) -> None:
    """Let a person's earlier start count."""
    await DB.fetch(_SET_ELIGIBLE, person_id, since)


async def lock_staff(staff_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Return staff members as they are now, so that roles hold until the end of the transaction."""
    return {row["id"]: row for row in await DB.fetch(_STAFF, list(staff_ids))}
