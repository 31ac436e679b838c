"""SQL of the signals: what somebody at a till who helps themselves to points leaves behind, and hardly anybody else.

Each finds a pattern that shops have lost points by. A signal accuses nobody: it is where somebody else should look.
"""

from typing import Final

from server.orders.recording_store import COUNTING_TWICE

# More than an honest member buys at one shop, unless it sells lunches.
_SALES_A_DAY: Final = 3
_SALES_A_WEEK: Final = 8
# A sale is refunded and rung up again at once, on a card of the cashier's.
_RERUNG_WITHIN: Final = "10 minutes"
# One adjustment just under what needs a second person is chance; three are a habit.
_NEAR_PERCENT: Final = 90
_NEAR_TIMES: Final = 3
# Spending rests for a day after a change of the address, so this is the day after that.
_SPENT_AFTER_CHANGE: Final = "48 hours"
_DORMANT: Final = "365 days"

# Orders are found by when they came in, which has an index and is never before they were made, but for a till's clock.
_IN_PERIOD: Final = """
o.completed_at >= $2 and o.completed_at < $3 and o.created_at >= $2 - interval '1 day' and o.points > 0
and o.customer is not null
"""


def _many_sales(name: str, unit: str, most: int) -> str:
    return f"""
    select '{name}' as signal, o.customer, null::uuid as staff, o.store, count(*) as times,
           min(o.completed_at) as first_at, max(o.completed_at) as last_at, sum(o.points)::bigint as points
    from orders o join store s on s.id = o.store
    where {_IN_PERIOD}
    group by o.customer, o.store, date_trunc('{unit}', o.completed_at at time zone s.zone)
    having count(*) > {most}
    """


_RERUNG = f"""
select 'sale rung up again after a refund', o.customer, null::uuid, o.store, count(*),
       min(o.completed_at), max(o.completed_at), sum(o.points)::bigint
from refund r
join orders x on x.id = r."order"
join orders o on o.store = r.store and o.net_minor = x.net_minor and o.id <> x.id
    and o.completed_at >= r.completed_at and o.completed_at < r.completed_at + interval '{_RERUNG_WITHIN}'
    and o.customer is distinct from x.customer
where {_IN_PERIOD} and r.created_at >= $2 - interval '1 day'
group by o.customer, o.store
"""
_NEAR_LIMIT = f"""
select 'adjustments just under the limit', null::uuid, a.requested_by, a.store, count(*),
       min(a.posted_at), max(a.posted_at), sum(a.points)::bigint
from adjustment a
where a.posted_at >= $2 and a.posted_at < $3 and a.decided_by is null and a.points > 0
  and a.points * 100 >= {_NEAR_PERCENT} * a.each_max
group by a.requested_by, a.store
having count(*) >= {_NEAR_TIMES}
"""
_SPENT_AFTER_CHANGE_SQL = f"""
select 'points spent soon after staff changed the contact or the link', a.customer_id, a.actor_id, h.store, count(distinct e.id),
       min(e.posted_at), max(e.posted_at), -sum(e.points)::bigint
from audit_entry a
join membership_person p on p.customer = a.customer_id and p.left_at is null
join ledger_entry e on e.membership = p.membership and e.kind = 'REDEEM'
    and e.posted_at >= a.at and e.posted_at < a.at + interval '{_SPENT_AFTER_CHANGE}'
left join hold h on h.entry = e.id
where e.posted_at >= $2 and e.posted_at < $3 and a.actor_kind = 'staff'
  and a.at >= $2 - interval '{_SPENT_AFTER_CHANGE}' and a.at < $3
  and a.action in ('email_change.corrected', 'email_change.confirmed', 'link.made')
group by a.customer_id, a.actor_id, h.store
"""
_WOKEN = f"""
select 'points spent after a year of rest', e.customer, null::uuid, h.store, count(*),
       min(e.posted_at), max(e.posted_at), -sum(e.points)::bigint
from ledger_entry e
cross join lateral (
    select posted_at from ledger_entry b
    where b.membership = e.membership and (b.posted_at, b.id) < (e.posted_at, e.id) and b.kind not in ('EXPIRE', 'FORFEIT')
    order by b.posted_at desc, b.id desc limit 1
) before
left join hold h on h.entry = e.id
where e.kind = 'REDEEM' and e.posted_at >= $2 and e.posted_at < $3
  and before.posted_at < e.posted_at - interval '{_DORMANT}'
group by e.customer, h.store
"""
# The manager finds both by their number and gives one of them to nobody.
_COUNTS_TWICE = f"""
select 'receipt ' || number || ' counts twice: it was written down, and a till sent it', customer, written_by, store,
       count(*), completed_at, completed_at, points
from ({COUNTING_TWICE}) twice
group by number, customer, written_by, store, completed_at, points
"""

SIGNALS: Final = f"""
select found.signal, coalesce(card.code, '') as card, coalesce(f.name, '') as staff, coalesce(s.name, '') as store,
       found.times, found.points, found.first_at, found.last_at
from (
    {_many_sales("many sales in a day", "day", _SALES_A_DAY)}
    union all {_many_sales("many sales in a week", "week", _SALES_A_WEEK)}
    union all {_RERUNG}
    union all {_NEAR_LIMIT}
    union all {_SPENT_AFTER_CHANGE_SQL}
    union all {_WOKEN}
    union all {_COUNTS_TWICE}
) found
left join staff_member f on f.id = found.staff
left join store s on s.id = found.store
left join lateral (
    select c.code from card c where c.customer = found.customer and c.status = 'active' order by c.issued_at, c.id limit 1
) card on true
where $1::timestamptz is not null
order by found.signal, found.times desc, found.last_at desc, card.code
"""
