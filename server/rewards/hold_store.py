"""SQL of holds, of what can be spent, and of used presence codes.

Locks are taken in this order: the sale (an advisory lock), memberships, rewards, vouchers, holds.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB, Row
from server.rewards.rules import Sale, Standing

# Two tills, or two cards, that pay for one sale see each other's part of it.
_LOCK_SALE = "select pg_advisory_xact_lock(hashtextextended('sale:' || $1::uuid || ':' || $2::text, 0))"
_SALE = """
select coalesce(sum(amount_minor) filter (where voucher is null), 0)::bigint as points_minor,
       coalesce(sum(amount_minor) filter (where voucher is not null), 0)::bigint as vouchers_minor
from hold
where connection = $1 and order_reference = $2 and (state = 'captured' or (state = 'open' and expires_at > $3))
"""
_CARD = """
select c.customer, c.membership, m.programme
from card c join customer u on u.id = c.customer join membership m on m.id = c.membership
where c.code = $1 and c.status = 'active' and c.membership is not null and u.status in ('active', 'stub')
"""
# The programme that members join comes first.
_HOMES = """
select p.membership, p.programme,
       (select c.code from card c where c.membership = p.membership and c.customer = p.customer and c.status = 'active'
        order by c.issued_at desc limit 1) as code
from membership_person p
join membership m on m.id = p.membership and m.status = 'active'
join programme g on g.id = p.programme
where p.customer = $1 and p.left_at is null
order by g.is_default desc, m.enrolled_at, m.id
"""
_STORE = "select id from store where code = $1"
# Summed from the lots themselves, as the cached figures hold only until `figures_until`. What was spent and given back on
# one day stays counted for that day. $4 is the start of the local day.
_STANDING = """
select m.status, u.redemption_held_until, p.redeem_limit,
       case coalesce(m.redeem_policy, g.redeem_policy) when 'owner' then case p.role when 'owner' then null else 0 end
                                                       when 'daily_cap' then m.redeem_daily_points end as shared_limit,
       coalesce((select sum(l.remaining) from lot l where l.membership = m.id and l.remaining > 0
                 and l.available_at <= $3 and (l.expires_at is null or l.expires_at > $3)), 0)::bigint as available,
       h.held, h.mine + e.spent as spent_today, h.unproven + e.unproven as unproven_today
from membership m
join membership_person p on p.membership = m.id and p.customer = $2 and p.left_at is null
join customer u on u.id = p.customer and u.status in ('active', 'stub')
join programme g on g.id = m.programme
cross join lateral (
    select coalesce(sum(points), 0)::bigint as held,
           coalesce(sum(points) filter (where customer = $2), 0)::bigint as mine,
           coalesce(sum(points) filter (where customer = $2 and proof = 'card'), 0)::bigint as unproven
    from hold where membership = m.id and state = 'open' and expires_at > $3
) h
cross join lateral (
    select coalesce(-sum(points), 0)::bigint as spent,
           coalesce(-sum(points) filter (where reason_code = 'spent_by_card'), 0)::bigint as unproven
    from ledger_entry
    where membership = m.id and kind = 'REDEEM' and customer = $2 and posted_at >= $4
) e
where m.id = $1
"""
_INSERT = """
insert into hold (id, membership, customer, points, voucher, amount_minor, currency, connection, store, order_reference,
                  proof, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""
_FIND = """
select h.*, m.programme, v.code_last4, v.kind, v.sku
from hold h join membership m on m.id = h.membership left join voucher v on v.id = h.voucher where h.id = $1
"""
_LOCK = "select 1 from hold where id = $1 for update"
_END = """
update hold set state = $2, ended_at = $3, entry = coalesce($4, entry), order_reference = coalesce($5, order_reference)
where id = $1
"""
_LOCK_VOUCHER = "select * from voucher where id = $1 for update"
_FIND_VOUCHER = """
select v.id, v.membership, v.customer, v.currency, m.programme
from voucher v join membership m on m.id = v.membership where v.code_hash = $1
"""
_MOVE_VOUCHER = """
update voucher set status = $3, ended_at = case when $3 in ('issued', 'held') then null else $4::timestamptz end
where id = $1 and status = $2 returning id
"""
_GIVE_VOUCHER_BACK = """
update voucher
set status = 'issued', ended_at = null, membership = $2,
    valid_until = case when valid_until <= $3 then $4 else valid_until end
where id = $1 and status = 'redeemed'
"""
_LAPSE_OF_VOUCHER = """
with lapsed as (
    update hold set state = 'lapsed', ended_at = $2
    where voucher = $1 and state = 'open' and expires_at <= $2 returning voucher
)
update voucher set status = 'issued' from lapsed where voucher.id = lapsed.voucher and status = 'held' returning voucher.id
"""
# Counted by time everywhere, so this only tidies up. Memberships in use are left for the next run.
_LAPSE_ALL = """
with locked as (
    select m.id from membership m
    where m.id in (select membership from hold where state = 'open' and expires_at <= $1 order by expires_at limit $2)
    order by m.id for no key update skip locked
), vouchers as (
    select v.id from voucher v
    where v.id in (select h.voucher from hold h join locked on locked.id = h.membership
                   where h.state = 'open' and h.expires_at <= $1)
    order by v.id for update
), lapsed as (
    update hold set state = 'lapsed', ended_at = $1 from locked
    where hold.membership = locked.id and hold.state = 'open' and hold.expires_at <= $1
      and (hold.voucher is null or hold.voucher in (select id from vouchers))
    returning hold.voucher
), freed as (
    update voucher set status = 'issued' from lapsed where voucher.id = lapsed.voucher and voucher.status = 'held'
)
select count(*)::int as holds from lapsed
"""
_EXPIRE_VOUCHERS = """
update voucher set status = 'expired', ended_at = valid_until
where id in (select id from voucher where status = 'issued' and valid_until <= $1
             order by valid_until limit $2 for update skip locked)
returning id
"""
_OPEN_OF = """
select h.id, h.voucher, h.order_reference, s.name as store_name, h.expires_at
from hold h join store s on s.id = h.store
where h.membership = any($1::uuid[]) and h.state = 'open' and ($2::uuid is null or h.customer = $2) order by h.id
"""
# Where a voucher's owner is a member of the same programme now, who may have left, merged, or got a new account since.
_VOUCHER_HOME = """
select p.membership from voucher v
join membership was on was.id = v.membership
join membership_person p on p.customer = v.customer and p.programme = was.programme and p.left_at is null
where v.id = {voucher}
"""
_FIND_VOUCHER_HOME = _VOUCHER_HOME.format(voucher="$1")
# What paid, or is about to pay, for a sale, with the membership to which it would go back now and what of the points is
# still spent. Points belong to the membership that they came from, a voucher to its owner.
_OF_SALES = f"""
select h.id, h.order_reference, h.customer, h.voucher, h.state, h.points, h.amount_minor,
       coalesce(home.membership, regulars_heir(h.membership)) as heir,
       v.kind, v.sku, (h.points - coalesce(back.points, 0))::bigint as points_left
from hold h
left join voucher v on v.id = h.voucher
left join lateral ({_VOUCHER_HOME.format(voucher="h.voucher")}) home on true
left join lateral (
    select sum(points) as points from ledger_entry where related_entry = h.entry and kind = 'RESTORE'
) back on true
where h.connection = $1 and h.order_reference = any($2::text[])
  and (h.state = 'captured' or (h.state = 'open' and h.expires_at > $3))
order by h.id
"""
# The share lock makes a void of the sale wait, which then finds what was captured.
_LOCK_PAID = "select id, state from orders where connection = $1 and external_id = $2 for share"
_HAS_RETURNS = 'select 1 from refund_line where "order" = $1 limit 1'
# Not one in its last seconds, as another till may have counted its points as free by now.
_PROLONG = """
update hold set expires_at = greatest(expires_at, $4)
where connection = $1 and order_reference = $2 and state = 'open' and expires_at > $3
"""
_USE_STEP = """
insert into presence_use as p (customer, last_step, used_at) values ($1, $2, $3)
on conflict (customer) do update set last_step = excluded.last_step, used_at = excluded.used_at
where p.last_step < excluded.last_step
returning customer
"""
# The newest code takes the place of the one before. The text names the customer, who comes before the code.
_PUT_SMS_CODE = """
with person as materialized (select id from customer where id = $1 for key share)
insert into sms_code (customer, code_id, code_hash, created_at, expires_at) select id, $2, $3, $4, $5 from person
on conflict (customer) do update
set code_id = excluded.code_id, code_hash = excluded.code_hash, created_at = excluded.created_at,
    expires_at = excluded.expires_at, tries = 0, used_at = null
"""
# The right digits are no guess, however many tills send them at once.
_TRY_SMS_CODE = """
update sms_code set tries = tries + 1 where customer = $1 and used_at is null and code_hash <> $2
"""
_USE_SMS_CODE = """
update sms_code set used_at = $3
where customer = $1 and code_hash = $2 and used_at is null and expires_at > $3 and tries <= $4 returning customer
"""
_PHONE = """
select value, key from contact_point
where customer = $1 and kind = 'phone' and status = 'verified' order by is_primary desc, verified_at desc limit 1
"""
_SET_LIMIT = """
update membership_person set redeem_limit = $3
where customer = $1 and membership = $2 and left_at is null returning id
"""


class NewHoldRow(msgspec.Struct, frozen=True, kw_only=True):
    """A hold to write; `points` is 0 where a voucher is held."""

    id: UUID
    membership_id: UUID
    customer_id: UUID
    points: int = 0
    voucher_id: UUID | None = None
    amount_minor: int
    currency: str
    connection_id: UUID
    store_id: UUID
    order_reference: str
    proof: str
    expires_at: datetime


async def lock_sale(connection_id: UUID, order_reference: str) -> None:
    """Let nobody else set anything aside for a sale until the transaction ends."""
    await DB.fetch(_LOCK_SALE, connection_id, order_reference)


async def get_sale(connection_id: UUID, order_reference: str, total_minor: int, now: datetime) -> Sale:
    """Return a sale with what holds take off it."""
    row = await DB.fetch_row(_SALE, connection_id, order_reference, now)
    assert row is not None
    return Sale(total_minor=total_minor, points_minor=row["points_minor"], vouchers_minor=row["vouchers_minor"])


async def find_card(code: str) -> Row | None:
    """Return customer, membership and programme of an active card."""
    return await DB.fetch_row(_CARD, code)


async def list_homes(customer_id: UUID) -> list[Row]:
    """Return a customer's active memberships with programme and newest card's code; that which members join first."""
    return await DB.fetch(_HOMES, customer_id)


async def find_store(code: str) -> UUID | None:
    """Return the id of a store."""
    row = await DB.fetch_row(_STORE, code)
    return row["id"] if row else None


async def find_standing(
    membership_id: UUID, customer_id: UUID, now: datetime, day_starts_at: datetime
) -> tuple[str, Standing] | None:
    """Return a membership's status and what a customer in it can spend; None if the customer is not in it."""
    row = await DB.fetch_row(_STANDING, membership_id, customer_id, now, day_starts_at)
    if row is None:
        return None
    return row["status"], Standing(
        available=row["available"],
        held=row["held"],
        spent_today=row["spent_today"],
        unproven_today=row["unproven_today"],
        own_limit=row["redeem_limit"],
        shared_limit=row["shared_limit"],
        redemption_held_until=row["redemption_held_until"],
    )


async def insert_hold(hold: NewHoldRow, now: datetime) -> None:
    """Add an open hold."""
    await DB.fetch(
        _INSERT,
        hold.id,
        hold.membership_id,
        hold.customer_id,
        hold.points,
        hold.voucher_id,
        hold.amount_minor,
        hold.currency,
        hold.connection_id,
        hold.store_id,
        hold.order_reference,
        hold.proof,
        now,
        hold.expires_at,
    )


async def find_hold(hold_id: UUID) -> Row | None:
    """Return a hold with its programme and its voucher's ending, kind and sku."""
    return await DB.fetch_row(_FIND, hold_id)


async def lock_hold(hold_id: UUID) -> Row:
    """Lock a hold and return it as `find_hold` does, as it is under the lock."""
    await DB.fetch(_LOCK, hold_id)
    row = await find_hold(hold_id)
    assert row is not None, "holds are never deleted"
    return row


async def end_hold(
    hold_id: UUID, state: str, now: datetime, *, entry_id: UUID | None = None, order_reference: str | None = None
) -> None:
    """Move a locked hold to another state."""
    await DB.fetch(_END, hold_id, state, now, entry_id, order_reference)


async def find_voucher(code_hash: bytes) -> Row | None:
    """Return id, membership, programme, customer and currency of the voucher with a code."""
    return await DB.fetch_row(_FIND_VOUCHER, code_hash)


async def lock_voucher(voucher_id: UUID) -> Row:
    """Lock a voucher and return it."""
    row = await DB.fetch_row(_LOCK_VOUCHER, voucher_id)
    assert row is not None, "vouchers are never deleted"
    return row


async def move_voucher(voucher_id: UUID, *, status: str, to: str, now: datetime) -> bool:
    """Move a locked voucher from one state to another; False if it is not in the first."""
    return await DB.fetch_row(_MOVE_VOUCHER, voucher_id, status, to, now) is not None


async def find_voucher_home(voucher_id: UUID) -> UUID | None:
    """Return the membership in which a voucher's owner is now, None if they are in none of its programme."""
    row = await DB.fetch_row(_FIND_VOUCHER_HOME, voucher_id)
    return row["membership"] if row else None


async def give_voucher_back(
    voucher_id: UUID, membership_id: UUID, now: datetime, *, good_until: datetime | None
) -> None:
    """Let a locked voucher that was used be good again in a locked membership; one that is over meanwhile for a while."""
    await DB.fetch(_GIVE_VOUCHER_BACK, voucher_id, membership_id, now, good_until)


async def lapse_holds_of_voucher(voucher_id: UUID, now: datetime) -> bool:
    """End a locked voucher's hold whose time is over; False if there is none."""
    return await DB.fetch_row(_LAPSE_OF_VOUCHER, voucher_id, now) is not None


async def lapse_holds(now: datetime, at_once: int) -> int:
    """End some of the holds whose time is over and return how many."""
    count = await DB.fetch_value(_LAPSE_ALL, now, at_once)
    assert isinstance(count, int)
    return count


async def expire_vouchers(now: datetime, at_once: int) -> int:
    """End some of the vouchers whose time is over and return how many."""
    return len(await DB.fetch(_EXPIRE_VOUCHERS, now, at_once))


async def lock_open_holds(membership_ids: list[UUID], customer_id: UUID | None) -> list[Row]:
    """Lock and return a customer's, or everybody's, holds in memberships that nobody has ended, lapsed ones included."""
    return await DB.fetch(_OPEN_OF + "for update of h", membership_ids, customer_id)


async def list_open_holds(membership_ids: list[UUID], customer_id: UUID | None) -> list[Row]:
    """Return the same holds without locking them."""
    return await DB.fetch(_OPEN_OF, membership_ids, customer_id)


async def list_of_sales(connection_id: UUID, order_references: Sequence[str], now: datetime) -> list[Row]:
    """Return the captured and the open holds of some sales."""
    return await DB.fetch(_OF_SALES, connection_id, list(order_references), now)


async def lock_paid(connection_id: UUID, order_reference: str) -> Row | None:
    """Return id and state of a sale, which stays as it is until the transaction ends; None if it has not come yet."""
    return await DB.fetch_row(_LOCK_PAID, connection_id, order_reference)


async def has_returns(order_id: UUID) -> bool:
    """Return whether anything of a locked sale came back."""
    return await DB.fetch_row(_HAS_RETURNS, order_id) is not None


async def prolong(connection_id: UUID, order_reference: str, *, alive_at: datetime, until: datetime) -> None:
    """Let the open holds of a sale that are alive at an instant last until another one, or longer."""
    await DB.fetch(_PROLONG, connection_id, order_reference, alive_at, until)


async def use_presence_step(ctx: Context, customer_id: UUID, step: int) -> bool:
    """Use a step of a member's code up, and all before it; False if it was used up before."""
    return await DB.fetch_row(_USE_STEP, customer_id, step, ctx.now) is not None


async def find_phone(customer_id: UUID) -> str | None:
    """Return the number that a customer has proven, in the form of E.164."""
    row = await DB.fetch_row(_PHONE, customer_id)
    return row["key"] if row else None


async def put_sms_code(
    customer_id: UUID, code_id: UUID, code_hash: bytes, *, now: datetime, expires_at: datetime
) -> None:
    """Let this be the one code that is good for a customer."""
    await DB.fetch(_PUT_SMS_CODE, customer_id, code_id, code_hash, now, expires_at)


async def count_sms_guess(customer_id: UUID, code_hash: bytes) -> None:
    """Count digits that are not a customer's texted code."""
    await DB.fetch(_TRY_SMS_CODE, customer_id, code_hash)


async def use_sms_code(ctx: Context, customer_id: UUID, code_hash: bytes, *, tries_max: int) -> bool:
    """Use a texted code up; False if it is wrong, over, used, or was guessed at too often."""
    return await DB.fetch_row(_USE_SMS_CODE, customer_id, code_hash, ctx.now, tries_max) is not None


async def set_limit(customer_id: UUID, membership_id: UUID, points: int | None) -> None:
    """Write how many points a member wants to be spent in a day at most."""
    await DB.fetch(_SET_LIMIT, customer_id, membership_id, points)
