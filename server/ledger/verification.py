"""Proof that every balance is right: everything cached is worked out again from the entries.

Each check is one set-based query that returns wrong rows; all of them see the same snapshot, so the shop may go on
selling meanwhile. A check reads only entries and allocations on the one side and the figure it proves on the other.
"""

from collections.abc import AsyncIterator
from datetime import datetime

import msgspec

from server.db.engine import DB
from server.ledger.verification_rows import FORM, LOT_DATES, ORDERS, REFERENCES
from shared.limits import ADJUST_CASHIER_EACH, ADJUST_MANAGER_EACH


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A rule and the query for rows that break it: `row` names one, `found` and `expected` say how."""

    name: str
    sql: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found: how many rows it looked at is not counted, the first wrong one is named."""

    name: str
    wrong_row: str | None = None
    found: str | None = None
    expected: str | None = None

    @property
    def is_right(self) -> bool:
        return self.wrong_row is None


_LOT_OF_EVERY_CREDIT = """
select 'ledger_entry ' || e.id as row, coalesce(l.points::text, 'no lot') as found, e.points::text as expected
from ledger_entry e left join lot l on l.entry = e.id and l.membership = e.membership
where e.points > 0 and l.points is distinct from e.points
union all
select 'lot ' || l.entry, l.points::text, 'no lot, as the entry is a debit'
from lot l join ledger_entry e on e.id = l.entry where e.points < 0
"""
_LOT_REMAINDER = """
select 'lot ' || l.entry as row, l.remaining::text as found, (e.points - coalesce(a.points, 0))::text as expected
from lot l join ledger_entry e on e.id = l.entry
left join (select lot_entry, sum(points) as points from allocation group by lot_entry) a on a.lot_entry = l.entry
where l.remaining is distinct from e.points - coalesce(a.points, 0)
"""
_ALLOCATIONS = """
select 'allocation ' || a.id as row, a.membership::text as found, d.membership || ' and ' || c.membership as expected
from allocation a join ledger_entry d on d.id = a.debit_entry join ledger_entry c on c.id = a.lot_entry
where d.points >= 0 or c.points <= 0 or a.membership <> d.membership or a.membership <> c.membership
"""
_DEBITS = """
select 'ledger_entry ' || e.id as row, a.points::text || ' allocated' as found, 'at most ' || -e.points as expected
from ledger_entry e
join (select debit_entry, sum(points) as points from allocation group by debit_entry) a on a.debit_entry = e.id
where a.points > -e.points
"""
_BALANCE = """
select 'membership ' || m.id as row, m.balance::text as found, coalesce(e.points, 0)::text as expected
from membership m
left join (select membership, sum(points) as points from ledger_entry group by membership) e on e.membership = m.id
where m.balance is distinct from coalesce(e.points, 0)
"""
_DEFICIT = """
select 'membership ' || m.id as row, m.deficit::text as found, coalesce(d.points, 0)::text as expected
from membership m
left join (
    select e.membership, sum(-e.points - coalesce(a.points, 0)) as points
    from ledger_entry e
    left join (select debit_entry, sum(points) as points from allocation group by debit_entry) a on a.debit_entry = e.id
    where e.points < 0 group by e.membership
) d on d.membership = m.id
where m.deficit is distinct from coalesce(d.points, 0)
"""
# The figures were right when written and stay so until `figures_until`; they are proven at the last such instant.
_FIGURES = """
select 'membership ' || m.id as row,
       m.available || ' available, ' || m.pending || ' pending, until ' || coalesce(m.figures_until::text, 'ever') as found,
       f.available || ' available, ' || f.pending || ' pending, until ' || coalesce(f.until::text, 'ever') as expected
from membership m
cross join lateral (select least($1::timestamptz, m.figures_until - interval '1 microsecond') as at) t
cross join lateral (
    select coalesce(sum(l.remaining) filter (where l.available_at <= t.at and (l.expires_at is null or l.expires_at > t.at)), 0) as available,
           coalesce(sum(l.remaining) filter (where l.available_at > t.at), 0) as pending,
           least(min(l.available_at) filter (where l.available_at > t.at), min(l.expires_at) filter (where l.expires_at > t.at)) as until
    from lot l where l.membership = m.id and l.remaining > 0
) f
where (m.available, m.pending) is distinct from (f.available, f.pending)
   or m.figures_until is distinct from f.until
"""
_LIFETIME = """
select 'membership (all)' as row, m.points::text as found, e.points::text as expected
from (select coalesce(sum(lifetime), 0) as points from membership) m,
     (select coalesce(sum(points), 0) as points from ledger_entry where kind in ('EARN', 'BONUS', 'CORRECTION')) e
where m.points <> e.points
"""
_ORDER_LINES = """
select 'orders ' || o.id as row, coalesce(l.points, 0)::text as found, o.points::text as expected
from orders o left join (select "order", sum(points) as points from order_line group by "order") l on l."order" = o.id
where o.points is distinct from coalesce(l.points, 0)
"""
# An order has points in one membership, or in the heir of that; what was let be because it had lapsed is listed. Two
# memberships that were one for a while count as one here, as what came back in that time was taken from the one; and so
# does what a leaver was given, as what went along is taken from there.
_ORDER_ENTRIES = """
with recursive live as (
    select id, case when successor is null then id else regulars_heir(id) end as heir from membership
), step as (
    select a.heir as one, b.heir as other from sharing_operation s
    join live a on a.id = s.membership join live b on b.id = s.other
    where a.heir <> b.heir and (s.kind = 'leave' or s.state = 'undone')
), reach as (
    select one, other from step union select other, one from step
    union select r.one, t.other from reach r join (select one, other from step union select other, one from step) t
                                                 on t.one = r.other
), heir as (
    select l.id, coalesce(least(min(r.other::text), l.heir::text)::uuid, l.heir) as heir
    from live l left join reach r on r.one = l.heir group by l.id, l.heir
), found as (
    select e."order", h.heir, sum(e.points) as points
    from ledger_entry e join heir h on h.id = e.membership
    where e."order" is not null and e.kind in ('EARN', 'CORRECTION', 'CLAWBACK') group by e."order", h.heir
), exempt as (
    select x."order", h.heir, sum(x.points) as points
    from exemption x join heir h on h.id = x.membership group by x."order", h.heir
), expected as (
    select o.id as "order", h.heir, o.points - o.points_returned as points
    from orders o left join heir h on h.id = o.membership where o.points <> o.points_returned
)
select 'orders ' || "order" as row, (coalesce(f.points, 0) - coalesce(x.points, 0)) || ' in ' || coalesce(heir::text, 'none') as found,
       coalesce(e.points, 0)::text as expected
from found f full join expected e using ("order", heir) left join exempt x using ("order", heir)
where coalesce(f.points, 0) - coalesce(x.points, 0) <> coalesce(e.points, 0)
"""
# A line is all back when its pieces, or its money, or parts of both make up the whole; multiplied out, as thirds are no
# decimals. A sale may have been changed after a return, so more than all counts as all.
_RETURNED = """
with back as (
    select "order", line_id, coalesce(sum(quantity), 0) as pieces,
           coalesce(sum(net_minor) filter (where quantity is null), 0) as money
    from refund_line where "order" is not null group by "order", line_id
), line as (
    select l."order", b.line_id is not null as is_touched, l.points <= 0 or coalesce(case
               when l.quantity <= 0 and b.pieces > 0 or l.net_minor = 0 and b.money <> 0 then true
               when l.quantity <= 0 then b.money * sign(l.net_minor) >= abs(l.net_minor)
               when l.net_minor = 0 then b.pieces >= l.quantity
               else b.pieces * abs(l.net_minor) + b.money * sign(l.net_minor) * l.quantity >= l.quantity * abs(l.net_minor)
           end, false) as is_back
    from order_line l left join back b on b."order" = l."order" and b.line_id = l.line_id
    where l."order" in (select "order" from back)
), returned as (
    select "order", bool_and(is_back) as is_all, bool_or(is_touched) as is_touched from line group by "order"
)
select 'orders ' || o.id as row, o.points_returned || ' returned' as found,
       case when r.is_all then 'all ' || o.points when r.is_touched then 'at most ' || o.points else 'none' end as expected
from orders o left join returned r on r."order" = o.id
where o.points_returned < 0 or o.points_returned > o.points
   or (r.is_all and o.points_returned <> o.points)
   or (r.is_touched is not true and o.points_returned <> 0)
"""
_REFUNDS = """
select 'refund ' || r.id as row, r.points_taken || ' taken and ' || r.points_exempt || ' exempt' as found,
       coalesce(e.points, 0) || ' taken, ' || coalesce(l.points, 0) || ' by its lines' as expected
from refund r
left join (select split_part(source_key, ':', 2) as refund, -sum(points) as points from ledger_entry
           where kind = 'CLAWBACK' and source_key like 'refund:%' group by 1) e on e.refund = r.id::text
left join (select refund, sum(points) as points from refund_line group by refund) l on l.refund = r.id
where r.points_taken <> coalesce(e.points, 0) or r.points_taken + r.points_exempt <> coalesce(l.points, 0)
   or (r.state <> 'posted' and r.points_taken + r.points_exempt + r.points_restored <> 0)
union all
select 'refund ' || r.id, r.points_written_off || ' written off', coalesce(e.points, 0) || ' forgiven'
from refund r
left join (select split_part(source_key, ':', 2) as refund, sum(points) as points from ledger_entry
           where kind = 'ADJUST' and source_key like 'refund:%:written-off' and source_key not like 'refund:%:bonus:written-off'
           group by 1) e on e.refund = r.id::text
where r.points_written_off <> coalesce(e.points, 0)
union all
select 'refund_line ' || l.id, 'of order ' || coalesce(l."order"::text, 'none'), 'of ' || coalesce(r."order"::text, 'none')
from refund_line l join refund r on r.id = l.refund where l."order" is distinct from r."order"
union all
select 'ledger_entry ' || c.id, 'a refund ' || c.source_key, 'one that is known, of that order'
from ledger_entry c
where c.kind = 'CLAWBACK' and c.source_key like 'refund:%'
  and not exists (select from refund r where r.id::text = split_part(c.source_key, ':', 2) and r."order" = c."order")
"""
_ASSIGNMENTS = """
select 'orders ' || o.id as row, coalesce(a.former, 0) || ' former assignments' as found,
       (o.assignment_version - 1)::text as expected
from orders o left join (select "order", count(*) as former, max(version) as newest from assignment group by "order") a on a."order" = o.id
where o.assignment_version - 1 <> coalesce(a.former, 0) or a.newest >= o.assignment_version
"""
_START_DATE = """
select 'ledger_entry ' || e.id as row, e.occurred_at::text as found,
       coalesce('on or after ' || p.eligible_from, 'a person of the membership') as expected
from ledger_entry e
left join (select membership, customer, min(eligible_from) as eligible_from from membership_person
           group by membership, customer) p on p.membership = e.membership and p.customer = e.customer
where e.kind = 'EARN' and (p.eligible_from is null or e.occurred_at < p.eligible_from)
"""
# One operation may move several memberships' debts, so that its key alone does not make a pair.
_TRANSFERS = """
with pair as (
    select o.id as out, i.id as "in", o.points as points_out, i.points as points_in, o.related_entry as lot, i.related_entry = o.id as is_lot,
           o.customer is not distinct from i.customer as is_one
    from ledger_entry o join ledger_entry i on i.source_key = o.source_key and i.kind = 'TRANSFER_IN'
                                            and (i.related_entry = o.id or o.related_entry = i.id)
    where o.kind = 'TRANSFER_OUT'
)
select 'ledger_entry ' || out as row, points_out::text as found, (-points_in)::text as expected
from pair where points_in <> -points_out or not is_one
union all
select 'ledger_entry ' || e.id, e.points::text, 'another entry of the same transfer'
from ledger_entry e left join (select out as id from pair union all select "in" from pair) p on p.id = e.id
where e.kind in ('TRANSFER_OUT', 'TRANSFER_IN') and p.id is null
union all
select 'lot ' || n.entry, n.available_at || ' to ' || coalesce(n.expires_at::text, 'ever'),
       coalesce(l.available_at || ' to ' || coalesce(l.expires_at::text, 'ever'), 'another lot')
from pair join lot n on n.entry = pair."in"
left join lot l on l.entry = pair.lot and exists (select from allocation a where a.debit_entry = pair.out and a.lot_entry = l.entry)
where pair.is_lot and (n.earned_at, n.available_at, n.idle_days, case when n.idle_days is null then n.expires_at end)
      is distinct from (l.earned_at, l.available_at, l.idle_days, case when l.idle_days is null then l.expires_at end)
"""
_OWNERS = """
select 'membership ' || m.id as row, count(p.id)::text || ' owners' as found, '1 owner' as expected
from membership m left join membership_person p on p.membership = m.id and p.role = 'owner' and p.left_at is null
where m.status = 'active' group by m.id having count(p.id) <> 1
"""
_GONE = """
select 'customer ' || c.id as row, 'a live membership, session, login, card or contact' as found, c.status as expected
from customer c
where c.status in ('merged', 'erased') and (
    exists (select 1 from member_session s where s.customer = c.id and s.ended_at is null)
    or exists (select 1 from login l where l.customer = c.id and l.disabled_at is null)
    or exists (select 1 from card k where k.customer = c.id and k.status = 'active')
    or exists (select 1 from audience_contact a where a.customer = c.id and a.state = 'live')
    or exists (select 1 from membership_person p where p.customer = c.id and p.left_at is null)
    or exists (select 1 from voucher v where v.customer = c.id and v.status in ('issued', 'held'))
    or exists (select 1 from pos_link l where l.customer = c.id and l.state = 'linked')
    or exists (select 1 from claim_code q where q.customer = c.id and q.used_at is null and q.revoked_at is null)
    or exists (select 1 from contact_point t where t.customer = c.id and t.status <> 'retired'))
"""
# Former records of the same person go with it; the wish is the survivor's.
_ERASED = """
select 'customer ' || c.id as row, 'a name, address, number, card, sign-in or mail' as found, 'nothing that names anybody' as expected
from customer c
where c.status = 'erased' and (
    c.given_name <> '' or c.family_name <> '' or c.notes <> '' or c.birth_month is not null
    or c.postal_address <> '' or c.post_code <> ''
    or exists (select from orders o where o.customer = c.id and o.pos_customer_id is not null)
    or exists (select from balance_row b where b.customer = c.id and b.identifier <> '')
    or exists (select from customer_name_key k where k.customer = c.id)
    or exists (select from contact_point t where t.customer = c.id)
    or exists (select from card k where k.customer = c.id)
    or exists (select from login l where l.customer = c.id)
    or exists (select from member_session s where s.customer = c.id)
    or exists (select from consent_event e where e.customer = c.id and e.address_key <> '')
    or exists (select from email_change e where e.customer = c.id and e.new_email || e.old_email || e.reason <> '')
    or exists (select from message m where m.customer = c.id and m.to_address <> ''))
union all
select 'customer ' || c.id, 'no erasure', 'one that was carried out'
from customer c
where c.status = 'erased'
  and not exists (select from erasure e where e.customer = c.id and e.state in ('executed', 'done'))
  and not exists (select from merge m where m.absorbed = c.id and m.state = 'done')
union all
select 'erasure ' || e.id, 'carried out, of a customer who is ' || c.status, 'erased'
from erasure e join customer c on c.id = e.customer where e.state in ('executed', 'done') and c.status <> 'erased'
union all
select 'erasure ' || e.id, 'points left in membership ' || m.id, 'none'
from erasure e join membership_person p on p.customer = e.customer and p.left_reason = 'erased'
join membership m on m.id = p.membership where m.status = 'forfeited' and (m.balance <> 0 or m.deficit <> 0)
"""
# A merge in force left a tombstone that points at the survivor, and a merge taken back none.
_MERGES = """
select 'merge ' || m.id as row, a.status || coalesce(' into ' || a.merged_into, '') as found, 'merged into ' || m.survivor as expected
from merge m join customer a on a.id = m.absorbed
where m.state = 'done' and a.status <> 'erased' and (a.status <> 'merged' or a.merged_into <> m.survivor)
union all
select 'customer ' || c.id, 'merged into ' || c.merged_into, 'a merge in force'
from customer c
where c.status = 'merged' and not exists (
    select from merge m where m.absorbed = c.id and m.survivor = c.merged_into and m.state = 'done')
union all
select 'orders ' || o.id, 'of customer ' || c.id, 'of whoever that customer was merged into'
from orders o join customer c on c.id = o.customer where c.status = 'merged'
"""
_CONTACTS = """
select 'customer ' || customer as row, count(*)::text || ' live contacts' as found, '1 at most' as expected
from audience_contact where state = 'live' group by customer having count(*) > 1
"""

# None of these may owe: their lots were there at once, and those that were spent were neither pending nor over.
_SPENDING = """
with debit as (
    select id, kind, points, posted_at from ledger_entry where kind in ('REDEEM', 'EXPIRE', 'FORFEIT')
), taken as (
    select d.id, sum(a.points) as points
    from debit d join allocation a on a.debit_entry = d.id and a.posted_at = d.posted_at join lot l on l.entry = a.lot_entry
    where d.kind <> 'REDEEM' or (l.available_at <= d.posted_at and (l.expires_at is null or l.expires_at > d.posted_at))
    group by d.id
)
select 'ledger_entry ' || d.id as row, coalesce(t.points, 0) || ' from lots that were there' as found, (-d.points)::text as expected
from debit d left join taken t using (id) where t.points is distinct from -d.points
"""
_HOLDS = """
select 'hold ' || h.id as row, coalesce((-e.points)::text, 'no REDEEM') as found, h.points::text as expected
from hold h
left join ledger_entry e
  on e.id = h.entry and e.kind = 'REDEEM' and e.membership = h.membership and e.customer = h.customer
     and e.source_key = 'hold:' || h.id
where h.voucher is null and h.state in ('captured', 'undone') and -e.points is distinct from h.points
union all
select 'ledger_entry ' || e.id, -e.points || ' spent', 'a captured hold'
from ledger_entry e left join hold h on h.entry = e.id
where e.kind = 'REDEEM' and e.source_key like 'hold:%' and h.id is null
"""
# A reissued voucher is void and its successor names the same entry; so one at most is alive for what was spent once.
_VOUCHERS = """
select 'voucher ' || v.id as row, (-e.points)::text as found, v.points_cost::text as expected
from voucher v join ledger_entry e on e.id = v.issue_entry
where e.kind <> 'REDEEM' or e.points <> -v.points_cost
union all
select 'voucher ' || v.id, v.status || ' since ' || coalesce(v.ended_at::text, 'no time') || coalesce(', ' || v.void_reason, ''),
       'an end where it is over, and why where it is void'
from voucher v
where (v.status in ('issued', 'held')) <> (v.ended_at is null) or (v.status = 'void') <> (v.void_reason is not null)
union all
select 'ledger_entry ' || e.id, count(v.id) || ' vouchers', '1 voucher, or all of them void'
from ledger_entry e left join voucher v on v.issue_entry = e.id
where e.kind = 'REDEEM' and e.source_key like 'voucher:%'
group by e.id having count(v.id) = 0 or count(v.id) filter (where v.status <> 'void') > 1
union all
select 'voucher ' || v.id, coalesce(sum(r.points), 0) || ' given back', v.points_cost::text
from voucher v left join ledger_entry r on r.related_entry = v.issue_entry and r.kind = 'RESTORE'
where v.void_reason = 'cancelled' and v.issue_entry is not null
group by v.id, v.points_cost having coalesce(sum(r.points), 0) <> v.points_cost
"""
_VOUCHER_STATES = """
select 'voucher ' || v.id as row, v.status as found, h.state || ' by hold ' || h.id as expected
from hold h join voucher v on v.id = h.voucher
where (h.state = 'open' and v.status <> 'held') or (h.state = 'captured' and v.status <> 'redeemed')
union all
select 'voucher ' || v.id, v.status, 'a hold that says so'
from voucher v
where v.issue_entry is not null and v.status in ('held', 'redeemed')
  and not exists (select from hold h where h.voucher = v.id
                  and h.state = case v.status when 'held' then 'open' else 'captured' end)
"""

_ADJUSTMENTS = """
select 'adjustment ' || a.id as row, coalesce(e.points::text, 'no entry') as found, a.points::text as expected
from adjustment a
left join ledger_entry e on e.id = a.entry and e.kind = 'ADJUST' and e.membership = a.membership and e.customer = a.customer
                            and e.source_key = 'adjustment:' || a.id and e.posted_at = a.posted_at
                            and e.reason_code = 'adjust_' || a.reason_code
where a.state in ('posted', 'undone') and e.points is distinct from a.points
union all
select 'ledger_entry ' || e.id, e.points::text, 'an adjustment that somebody made'
from ledger_entry e
where e.kind = 'ADJUST' and e.source_key like 'adjustment:%' and not exists (select from adjustment a where a.entry = e.id)
"""
# Points that were given and have lapsed meanwhile are not taken twice; points that were taken come back whole.
_UNDONE = """
select 'adjustment ' || a.id as row, coalesce(e.points, 0)::text as found, (-a.points)::text as expected
from adjustment a
left join lateral (
    select sum(e.points) as points from ledger_entry e
    where e.membership = a.membership and e.reason_code = 'adjust_undone'
      and (e.related_entry = a.entry or e.source_key = 'adjustment-undo:' || a.id)
) e on true
where a.state = 'undone' and case when a.points < 0 then coalesce(e.points, 0) <> -a.points
                                  else coalesce(e.points, 0) not between -a.points and 0 end
"""
_BY_TWO = f"""
select 'adjustment ' || a.id as row, a.points || ' by one ' || a.requested_role as found, 'a second person' as expected
from adjustment a
where a.posted_at is not null and a.decided_by is null
  and abs(a.points) > coalesce(a.each_max, case a.requested_role when 'manager' then {ADJUST_MANAGER_EACH}
                                                                 else {ADJUST_CASHIER_EACH} end)
"""  # noqa: S608 - whole numbers of ours
_EXPIRED = """
select 'ledger_entry ' || e.id as row, e.occurred_at || ', booked ' || e.posted_at as found,
       'when its lot lapsed, ' || coalesce(l.expires_at::text, 'never') as expected
from ledger_entry e join allocation a on a.debit_entry = e.id join lot l on l.entry = a.lot_entry
where e.kind = 'EXPIRE' and (e.occurred_at is distinct from l.expires_at or e.posted_at < l.expires_at
                             or e.source_key <> 'lot:' || l.entry)
"""
_IMPORTED = """
select 'balance_row ' || b.id as row,
       coalesce(e.points || ' earned ' || e.occurred_at || ' until ' || coalesce(l.expires_at::text, 'ever'), 'no entry') as found,
       b.points || ' earned ' || b.earned_at || ' until ' || coalesce(b.expires_at::text, 'ever') as expected
from balance_row b
left join ledger_entry e on e.id = b.entry and e.kind = 'OPENING' and e.source_key = 'import:' || b.id
left join lot l on l.entry = e.id
where b.state = 'posted' and (b.points, b.earned_at, b.expires_at, b.membership, b.customer)
                             is distinct from (e.points, e.occurred_at, l.expires_at, e.membership, e.customer)
"""

_PEOPLE = """
select 'membership_person ' || p.id as row, 'in a membership that is ' || m.status as found, 'one that is active' as expected
from membership_person p join membership m on m.id = p.membership
where p.left_at is null and m.status <> 'active'
union all
select 'membership_person ' || p.id, 'programme ' || p.programme, m.programme::text
from membership_person p join membership m on m.id = p.membership where p.programme <> m.programme
union all
select 'membership ' || m.id, 'nobody', 'somebody'
from membership m where m.status = 'active'
  and not exists (select from membership_person p where p.membership = m.id and p.left_at is null)
"""
# All of it is in the successor: points, what was owed, what was ever earned, cards.
_COMBINED = """
select 'membership ' || m.id as row,
       m.balance || ' points, ' || m.deficit || ' owed, ' || m.lifetime || ' ever' as found, 'nothing left' as expected
from membership m
where m.status <> 'active' and (m.balance <> 0 or m.deficit <> 0)
   or m.status in ('combined', 'reissued') and m.lifetime <> 0
union all
select 'card ' || k.id, 'scans for membership ' || m.id, 'one that is active'
from card k join membership m on m.id = k.membership where k.status = 'active' and m.status in ('combined', 'reissued')
"""
_VOUCHER_HOMES = """
select 'voucher ' || v.id as row, 'in membership ' || v.membership as found, 'one that its owner is in' as expected
from voucher v
where v.status in ('issued', 'held') and not exists (
    select from membership_person p where p.membership = v.membership and p.customer = v.customer and p.left_at is null)
"""
_OPERATIONS = """
select 'sharing_operation ' || s.id as row, coalesce(e.points, 0) || ' moved' as found, s.points::text as expected
from sharing_operation s
left join lateral (
    select sum(e.points) as points from ledger_entry e
    where e.membership = case s.kind when 'combine' then s.membership else s.other end and e.kind = 'TRANSFER_IN'
      and e.source_key like s.id || ':%' and e.source_key not like s.id || ':deficit%'
) e on true
where s.points <> coalesce(e.points, 0)
union all
select 'sharing_operation ' || s.id, 'membership ' || m.id || ' is ' || m.status, 'combined into ' || s.membership
from sharing_operation s join membership m on m.id = s.other
where s.kind = 'combine' and s.state = 'done' and (m.status <> 'combined' or m.successor <> s.membership)
"""
_TIERS = """
select 'membership ' || m.id as row, m.tier || ' until ' || coalesce(m.tier_until::text, 'ever') as found,
       coalesce(t.tier, '') || ' until ' || coalesce(t.until::text, 'ever') as expected
from membership m
left join (select distinct on (membership) membership, tier, until from tier_change
           order by membership, at desc, id desc) t on t.membership = m.id
where (m.tier, m.tier_until) is distinct from (coalesce(t.tier, ''), t.until)
"""
_BONUSES = """
with given as (
    select 'bonus_grant ' || id as row, points, concat_ws(':', programme, code, customer, nullif(occasion, '')) as source_key,
           membership, customer, at
    from bonus_grant
), paid as (
    select 'ledger_entry ' || id as row, points, source_key, membership, customer, posted_at as at from ledger_entry where kind = 'BONUS'
)
select coalesce(g.row, p.row) as row, coalesce(p.points::text, 'no BONUS') as found, coalesce(g.points::text, 'no grant') as expected
from given g full join paid p using (source_key, membership, customer, at)
where g.points is distinct from p.points
union all
select min(row), count(*) || ' times', 'once' from paid group by source_key having count(*) > 1
union all
select 'referral ' || r.id, coalesce('paid ' || r.paid_at, 'not paid'), coalesce('granted ' || g.at, 'not granted')
from referral r left join bonus_grant g on g.code = 'referrer' and g.occasion = r.id::text
where (r.paid_at is null) <> (g.id is null)
union all
select 'bonus_grant ' || g.id, 'for referral ' || g.occasion, 'one that is known'
from bonus_grant g where g.code = 'referrer' and not exists (select from referral r where r.id::text = g.occasion)
"""
# By a refund, a void, a move or a cancellation, in parts or at once: never more than was spent, also of each lot, and as much
# as is told. What a refund is told to have paid late has a source that begins with the refund's own.
_GIVEN_BACK = """
select 'ledger_entry ' || e.id as row, sum(r.points) || ' given back' as found, 'at most ' || -e.points as expected
from ledger_entry r join ledger_entry e on e.id = r.related_entry
where r.kind = 'RESTORE' group by e.id, e.points having sum(r.points) > -e.points
union all
select 'ledger_entry ' || r.debit, r.points || ' of lot ' || r.lot || ' given back', 'at most ' || coalesce(sum(a.points), 0)
from (select related_entry as debit, split_part(source_key, ':', 3) as lot, sum(points) as points from ledger_entry
      where kind = 'RESTORE' group by 1, 2) r
left join allocation a on a.debit_entry = r.debit and a.lot_entry::text = r.lot
group by r.debit, r.lot, r.points having r.points > coalesce(sum(a.points), 0)
union all
select 'refund ' || r.id, r.points_restored || ' told', coalesce(e.points, 0) || ' given back'
from refund r
left join (select left(split_part(source_key, ':', 2), 43) as source, sum(points) as points from ledger_entry
           where kind = 'RESTORE' and split_part(source_key, ':', 2) like 'refund-%' group by 1) e on e.source = 'refund-' || r.id
where r.points_restored <> coalesce(e.points, 0)
union all
select 'bonus_return ' || b.bonus, b.points || ' told', coalesce(-e.points, 0) || ' taken back'
from bonus_return b
left join (select split_part(source_key, ':', 2) as bonus, sum(points) as points from ledger_entry
           where kind = 'CLAWBACK' and source_key like 'bonus:%' group by 1) e on e.bonus = b.bonus::text
where b.points <> coalesce(-e.points, 0)
union all
select 'ledger_entry ' || e.id, 'a bonus ' || e.source_key || ' taken back', 'one that was given'
from ledger_entry e
where e.kind = 'CLAWBACK' and e.source_key like 'bonus:%'
  and not exists (select from bonus_return b where b.bonus::text = split_part(e.source_key, ':', 2))
"""
# Caps may change with the rules: the highest one counts, under which any of the sales was made.
_PROMOTIONS = """
with used as (
    select u.id, u.code, u.points, o.id as "order", o.membership, o.points as order_points,
           (p.value ->> 'order_points_max')::bigint as order_max, (p.value ->> 'member_points_max')::bigint as member_max,
           p.value is not null as is_known
    from promotion_use u
    join orders o on o.id = u."order" and o.assignment_version = u.assignment_version and o.state = 'completed'
                  and o.skipped_reason is null
    join rule_version v on v.id = o.rule_version
    left join lateral jsonb_array_elements(v.body -> 'promotions') p on p.value ->> 'code' = u.code
)
select 'promotion_use ' || id as row, points || ' points' as found, coalesce('at most ' || order_max, 'a promotion of those rules') as expected
from used where points > order_max or not is_known
union all
select 'orders ' || "order", sum(points) || ' by promotions', 'at most ' || order_points
from used group by "order", order_points having sum(points) > order_points
union all
select 'membership ' || membership, sum(points) || ' by ' || code, 'at most ' || max(member_max)
from used where membership is not null
group by membership, code having bool_and(member_max is not null) and sum(points) > max(member_max)
"""
_ACTIVITY = """
select 'membership ' || m.id as row, coalesce(m.active_at::text, 'never') as found, e.at::text as expected
from membership m
join (select membership, max(occurred_at) as at from ledger_entry where kind in ('EARN', 'REDEEM') group by membership) e
  on e.membership = m.id
where coalesce(m.active_at < e.at, true)
"""
# Compared as days of the programme's zone: midnights that a change of the clock skips or doubles are no single instants.
_IDLE = """
select 'lot ' || l.entry as row, d.found::text, d.expected::text
from lot l join membership m on m.id = l.membership join programme g on g.id = m.programme
cross join lateral (
    select (l.expires_at at time zone g.zone)::date as found,
           (greatest(l.earned_at, l.available_at, m.active_at) at time zone g.zone)::date + l.idle_days + 1 as expected
) d
where l.idle_days is not null and l.remaining > 0 and l.expires_at > $1 and d.found <> d.expected
"""
# Points come from nowhere but a sale, a file, a bonus, a person, or points that went before; bonuses, adjustments and
# transfers are matched by checks of their own.
_CAUSES = """
select 'ledger_entry ' || e.id as row, e.kind || ' of ' || e.source_key as found, 'a sale' as expected
from ledger_entry e where e.kind in ('EARN', 'CORRECTION') and e."order" is null
union all
select 'ledger_entry ' || e.id, 'OPENING of ' || e.source_key, 'a row of a file'
from ledger_entry e left join balance_row b on b.entry = e.id
where e.kind = 'OPENING' and e.source_key like 'import:%' and b.id is null
union all
select 'ledger_entry ' || e.id, 'RESTORE of ' || e.source_key, 'points that went before'
from ledger_entry e left join ledger_entry s on s.id = e.related_entry and s.points < 0
where e.kind = 'RESTORE' and s.id is null
union all
select 'ledger_entry ' || e.id, 'FORFEIT of ' || e.source_key, 'an erasure'
from ledger_entry e where e.kind = 'FORFEIT' and not exists (select from erasure x where e.source_key = 'erasure:' || x.id)
"""
# What the program does by itself is told by what it did it for.
_AUDITED = """
select 'ledger_entry ' || e.id as row, e.kind || ' by ' || e.actor_kind as found, 'an audit entry of that act' as expected
from ledger_entry e
where e.actor_kind in ('staff', 'member', 'key')
  and not exists (select from audit_entry a
                  where a.actor_id = e.actor_id and a.actor_kind = e.actor_kind and a.at = e.posted_at)
"""
_CONSENTS = """
select 'consent_event ' || e.id as row, e.channel || ' to something else' as found,
       case e.channel when 'email' then 'an address' else 'a phone number' end as expected
from consent_event e
where e.state <> 'opted_out' and e.address_key <> ''
  and case e.channel when 'email' then position('@' in e.address_key) = 0 else e.address_key !~ '^[+][0-9]+$' end
union all
select 'consent_event ' || e.id, e.channel || ' to nothing', 'an address or a phone number'
from consent_event e join customer c on c.id = e.customer
where e.state <> 'opted_out' and e.address_key = '' and c.status not in ('erased', 'merged')
"""
# What the database itself refuses is proven by its refusing: this is there, and switched on.
_IN_FORCE = """
with kept as (
    select unnest('{ledger_entry, allocation, exemption, bonus_grant, bonus_return, tier_change, rule_version, assignment,
                    audit_entry, consent_event, consent_wording}'::text[]) as name
), single as (
    select unnest('{ledger_entry_source_once, idempotency_key_once, orders_external_once, assignment_once, card_code_key,
                    membership_person_once, membership_person_one_owner, contact_point_verified_once, pos_link_once,
                    hold_voucher_open, hold_voucher_captured, merge_absorbed_once}'::text[]) as name
)
select 'trigger ' || name || what as row, 'missing or switched off' as found, 'in force' as expected
from kept cross join (values ('_append_only'), ('_no_truncate')) w (what)
where not exists (select from pg_trigger t where t.tgname = name || what and t.tgenabled in ('O', 'A'))
union all
select 'index ' || name, 'missing or not unique', 'in force'
from single
where not exists (select from pg_index i join pg_class c on c.oid = i.indexrelid
                  where c.relname = name and i.indisunique and i.indisvalid)
"""

# Apart from the limit: knowing that one row is enough, the planner would look for it row by row in the whole base, which has
# none, and never end.
_FIRST_WRONG_ROW = "with wrong as materialized ({}) select * from wrong order by row limit 1"

# One link in force for each record, none for an alias, and none for whoever is no customer any more. Orders that the
# till names by a linked record count for its customer, or a person or an unlinking decided otherwise.
_LINKS = """
select 'pos_record ' || l.record as row, count(*) || ' links in force' as found, 'at most one' as expected
from pos_link l where l.state = 'linked' group by l.record having count(*) > 1
union all
select 'pos_link ' || l.id, 'in force, of a record that was merged into another one', 'ended, or of that one'
from pos_link l join pos_record r on r.id = l.record where l.state = 'linked' and r.merged_into is not null
union all
select 'pos_record ' || r.id, 'an alias of an alias', 'an alias of the record itself'
from pos_record r join pos_record k on k.id = r.merged_into where k.merged_into is not null
union all
select 'pos_link ' || l.id, 'in force, of a customer who is ' || c.status, 'none'
from pos_link l join customer c on c.id = l.customer where l.state <> 'ended' and c.status in ('merged', 'erased')
"""
_TODOS = """
select 'pos_todo ' || t.id as row, 'to merge ' || k.external_id || ' and ' || a.external_id as found,
       'two records of one till, both of ' || t.customer as expected
from pos_todo t join pos_record k on k.id = t.kept_record join pos_record a on a.id = t.absorbed_record
where t.state = 'open' and (
    k.connection <> a.connection or coalesce(k.merged_into, k.id) = coalesce(a.merged_into, a.id)
    or 2 > (select count(*) from pos_link l
            where l.record in (coalesce(k.merged_into, k.id), coalesce(a.merged_into, a.id)) and l.state = 'linked'
              and l.customer = t.customer))
"""
# A code that was used made two customers one, or gave an order to whoever used it, then or in a former assignment.
_CLAIMS = """
select 'claim_code ' || k.id as row, coalesce(m.method || ' of ' || m.absorbed || ' by ' || m.survivor, 'no merge') as found,
       'a claim of ' || k.customer || ' by ' || k.used_by as expected
from claim_code k left join merge m on m.id = k.merge
where k.used_at is not null and k.customer is not null
  and (m.id is null or m.method <> 'claim' or m.absorbed <> k.customer or m.survivor <> k.used_by)
union all
select 'claim_code ' || k.id, 'no such assignment', 'order ' || k."order" || ' given to ' || k.used_by
from claim_code k join orders o on o.id = k."order"
where k.used_at is not null and not (o.assignment_reason = 'claim' and o.assignment_version > 1)
  and not exists (select 1 from assignment a where a."order" = o.id and a.reason = 'claim' and a.customer = k.used_by)
"""
# What the search has not looked at yet may still be wrong, as long as there is a mark that it will; marks are dated by the
# database. What staff said of a pair is the last word until they take it back, or merge the two after all.
_DUPLICATES = """
with said as (
    select distinct on (subject_id) subject_id as pair, action from audit_entry where subject_kind = 'duplicate'
    order by subject_id, id desc
), wrong as (
    select d.one, d.other, 'duplicate_candidate ' || d.id as row, d.state || ', with a customer who is ' || c.status as found,
           'no pair, or a merged one' as expected
    from duplicate_candidate d cross join lateral (values (d.one), (d.other)) v(customer) join customer c on c.id = v.customer
    where d.state = 'open' and c.status in ('merged', 'erased')
    union all
    select d.one, d.other, 'duplicate_candidate ' || d.id, 'merged', 'as long as there is a merge of the two'
    from duplicate_candidate d
    left join merge m on m.state = 'done' and least(m.survivor, m.absorbed) = d.one and greatest(m.survivor, m.absorbed) = d.other
    where d.state = 'merged' and m.id is null
    union all
    select p.customer, p.customer, 'duplicate_profile ' || p.customer, 'keys of a customer who is ' || c.status, 'none'
    from duplicate_profile p join customer c on c.id = p.customer where c.status in ('merged', 'erased')
)
select row, found, expected from wrong w
where not exists (select from duplicate_mark m where m.customer is null or m.customer = w.one or m.customer = w.other)
union all
select 'duplicate_candidate ' || id, one || ' and ' || other, 'two customers, the smaller id first'
from duplicate_candidate where one >= other
union all
select 'duplicate_candidate ' || s.pair, coalesce(d.state, 'gone'), 'dismissed, as staff said'
from said s left join duplicate_candidate d on d.id = s.pair
where s.action = 'duplicate.dismissed' and coalesce(d.state not in ('dismissed', 'merged'), true)
  and not exists (select from audit_entry e join customer c on c.id = e.customer_id and c.status = 'erased'
                  where e.subject_kind = 'duplicate' and e.subject_id = s.pair)
union all
select 'duplicate_candidate ' || d.id, 'dismissed', 'what staff dismissed, or a merge that was taken back'
from duplicate_candidate d
left join said s on s.pair = d.id and s.action = 'duplicate.dismissed'
left join merge m on m.state = 'undone' and least(m.survivor, m.absorbed) = d.one and greatest(m.survivor, m.absorbed) = d.other
where d.state = 'dismissed' and s.pair is null and m.id is null
union all
select 'duplicate_mark ' || id, 'of ' || marked_at, 'looked at within a day'
from duplicate_mark where marked_at < now() - interval '1 day'
"""
CHECKS: tuple[Check, ...] = (
    Check(name="every credit has its lot, and no debit has one", sql=_LOT_OF_EVERY_CREDIT),
    Check(name="every reference leads to a row", sql=REFERENCES),
    Check(name="an entry says what its kind says", sql=FORM),
    Check(name="a lot has the dates that its entry and the rules give it", sql=LOT_DATES),
    Check(name="what is left of a lot is its points less its allocations", sql=_LOT_REMAINDER),
    Check(name="an allocation joins a debit and a lot of one membership", sql=_ALLOCATIONS),
    Check(name="no debit uses more than its points", sql=_DEBITS),
    Check(name="a balance is the sum of its entries", sql=_BALANCE),
    Check(name="a deficit is what debits found no lot for", sql=_DEFICIT),
    Check(name="available and pending points are those of the live lots", sql=_FIGURES),
    Check(name="lifetime points are all points ever earned", sql=_LIFETIME),
    Check(name="an order's points are the sum of its lines", sql=_ORDER_LINES),
    Check(name="an order is the sum of its lines, and earns only what counts", sql=ORDERS),
    Check(name="an order's points are those of its entries, in its own membership only", sql=_ORDER_ENTRIES),
    Check(name="what came back of an order takes at most what it earned, and all of it exactly that", sql=_RETURNED),
    Check(name="a refund took exactly what its lines say", sql=_REFUNDS),
    Check(name="every former assignment of an order is kept", sql=_ASSIGNMENTS),
    Check(name="nothing was earned before the membership began", sql=_START_DATE),
    Check(name="transfers come in pairs of equal points and dates", sql=_TRANSFERS),
    Check(name="spending, lapsing and giving up are covered by lots and never make a debt", sql=_SPENDING),
    Check(name="a captured hold spent exactly its points", sql=_HOLDS),
    Check(name="a voucher stands for the points that it cost", sql=_VOUCHERS),
    Check(name="a voucher is held or used where a hold says so", sql=_VOUCHER_STATES),
    Check(name="an unspent voucher is in a membership of its owner", sql=_VOUCHER_HOMES),
    Check(name="every active membership has one owner", sql=_OWNERS),
    Check(name="people are in memberships that are active, and those have people", sql=_PEOPLE),
    Check(name="a membership that became another one has nothing left", sql=_COMBINED),
    Check(name="combining and leaving moved what is written of them", sql=_OPERATIONS),
    Check(name="a POS record is one customer's at most", sql=_LINKS),
    Check(name="what is to be merged in a till are two records of one customer", sql=_TODOS),
    Check(name="merged and erased customers have no way in", sql=_GONE),
    Check(name="nothing names anybody who was erased", sql=_ERASED),
    Check(name="whoever was merged points at the survivor, and so do their orders", sql=_MERGES),
    Check(name="a claim code that was used has brought what it stood for", sql=_CLAIMS),
    Check(name="possible duplicates are pairs of two customers, as staff and the search left them", sql=_DUPLICATES),
    Check(name="a customer has one live audience contact at most", sql=_CONTACTS),
    Check(name="every adjustment has its entry, and every such entry its adjustment", sql=_ADJUSTMENTS),
    Check(name="an adjustment that was taken back has left nothing", sql=_UNDONE),
    Check(name="no large adjustment was made by one person", sql=_BY_TWO),
    Check(name="points lapsed when their lot did", sql=_EXPIRED),
    Check(name="an opening balance was posted as it was read", sql=_IMPORTED),
    Check(name="a tier is the one that was given last", sql=_TIERS),
    Check(name="every bonus was granted, and each grant paid once", sql=_BONUSES),
    Check(name="what went back was spent or given before, once", sql=_GIVEN_BACK),
    Check(name="no promotion gave more than its caps", sql=_PROMOTIONS),
    Check(name="a membership was active when it last earned or redeemed", sql=_ACTIVITY),
    Check(name="points under inactivity lapse so long after the last activity", sql=_IDLE),
    Check(name="every entry has its cause", sql=_CAUSES),
    Check(name="nobody moved points without a trace", sql=_AUDITED),
    Check(name="a yes is for an address or a number", sql=_CONSENTS),
    Check(name="what must not change or be there twice is refused by the database", sql=_IN_FORCE),
)


async def verify(now: datetime) -> AsyncIterator[Outcome]:
    """Run every check in one snapshot and yield its outcome as soon as it is known.

    Args:
        now: The instant at which lots are available, pending or lapsed.
    """
    async with DB.transaction(isolation="repeatable_read"):
        async for outcome in run_checks(now):
            yield outcome


async def run_checks(now: datetime) -> AsyncIterator[Outcome]:
    """Do likewise in the caller's transaction."""
    for check in CHECKS:
        yield await run_check(check, now)


async def run_check(check: Check, now: datetime) -> Outcome:
    """Run one check in the caller's transaction."""
    arguments = (now,) if "$1" in check.sql else ()
    row = await DB.fetch_row(_FIRST_WRONG_ROW.format(check.sql), *arguments)
    if row is None:
        return Outcome(name=check.name)
    return Outcome(name=check.name, wrong_row=row["row"], found=row["found"], expected=row["expected"])
