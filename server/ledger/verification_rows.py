"""Checks of `verification` that look at each row and what it points at: references, forms, dates, whose it is."""

from collections.abc import Iterator

from piccolo.columns import ForeignKey

from server.db.tables import TABLES


def _references() -> Iterator[str]:
    for table in TABLES:
        name, key = table._meta.tablename, table._meta.primary_key._meta.db_column_name
        for column in table._meta.columns:
            if isinstance(column, ForeignKey):
                target, reference = column._foreign_key_meta.resolved_references._meta, column._meta.db_column_name
                target_key = target.primary_key._meta.db_column_name
                yield f"""
select '{name} ' || t."{key}"::text as row, '{reference} ' || t."{reference}"::text as found, 'a row of {target.tablename}' as expected
from "{name}" t left join "{target.tablename}" r on r."{target_key}" = t."{reference}"
where t."{reference}" is not null and r."{target_key}" is null
"""  # noqa: S608 - names of our own tables


# The database refuses others, but a copy that was put together by hand, or a broken disk, is asked nothing.
REFERENCES = "union all".join(_references())

# Of a sale all but the time are the sale's; whoever did something is named, and what was not earned or lapsed happened when
# it was written. What is taken back of points that went along with somebody names where they are; they were earned before.
FORM = """
with recursive back as (
    select id, "order", rule_version, related_entry as credit from ledger_entry where kind in ('CLAWBACK', 'CORRECTION')
    union all
    select b.id, b."order", b.rule_version, o.related_entry
    from back b
    join ledger_entry i on i.id = b.credit and i.kind = 'TRANSFER_IN'
    join ledger_entry o on o.id = i.related_entry
)
select 'ledger_entry ' || e.id as row, e.kind || ' of ' || e.source_key || ' at ' || e.occurred_at as found,
       'what, when and by whom as of its kind' as expected
from ledger_entry e
where e.actor_kind not in ('system', 'staff', 'member', 'key') or (e.actor_kind = 'system') <> (e.actor_id is null)
   or case when e.kind in ('EARN', 'CORRECTION')
           then e.rule_version is null or e.customer is null or e.source_key not like 'order:' || e."order" || ':%'
           when e.kind = 'CLAWBACK' then e.related_entry is null and (e."order" is not null or e.source_key like 'bonus:%')
               or e."order" is not null and e.source_key not like 'order:' || e."order" || ':%' and e.source_key not like 'refund:%'
           when e.kind = 'ADJUST' then e.rule_version is not null or (e."order" is not null and e.reason_code <> 'points_spent')
           else e."order" is not null or e.rule_version is not null end
   or e.kind in ('OPENING', 'EARN', 'BONUS', 'REDEEM', 'EXPIRE', 'FORFEIT') and e.related_entry is not null
   or e.kind = 'RESTORE' and e.source_key not like e.related_entry || ':%'
   or e.kind = 'BONUS' and e.customer is null
   or e.occurred_at <> e.posted_at and (e.points < 0 and e.kind <> 'EXPIRE' or e.kind in ('ADJUST', 'BONUS'))
union all
select 'ledger_entry ' || b.id, 'of order ' || coalesce(b."order"::text, 'none') || ', rules ' || coalesce(b.rule_version::text, 'none'),
       'those of the points that it takes back, ' || coalesce(c."order"::text, 'none') || ', ' || coalesce(c.rule_version::text, 'none')
from back b join ledger_entry c on c.id = b.credit
where c.kind <> 'TRANSFER_IN' and (b."order", b.rule_version) is distinct from (c."order", c.rule_version)
union all
select 'ledger_entry ' || e.id, 'of customer ' || e.customer, 'of somebody who is or was in membership ' || e.membership
from ledger_entry e left join (select distinct membership, customer from membership_person) p using (membership, customer)
where e.customer is not null and p.customer is null and e.kind not in ('TRANSFER_IN', 'TRANSFER_OUT')
"""


def _dated(name: str, causes: str, first_day: str) -> str:
    """Return a query `name` of lots with the last day that rules give them, from entries joined with `ruled r`."""
    return f"""
{name}_from as (
    select l.entry, l.available_at, l.expires_at, l.idle_days, e.occurred_at, r.*, {first_day} as first_day,
           (e.occurred_at at time zone g.zone)::date as earned_day, (l.expires_at at time zone g.zone)::date as over_day
    from ledger_entry e join lot l on l.entry = e.id
    join membership m on m.id = e.membership join programme g on g.id = m.programme {causes}
), {name}_until as (
    select e.*, case e.kind
        when 'days' then e.first_day + e.days
        when 'month_end' then (date_trunc('month', e.first_day) + (e.months + 1) * interval '1 month')::date - 1
        when 'year_end' then make_date(extract(year from e.first_day)::int + e.years, 12, 31)
        when 'fixed_day' then least(d.month + e.day - 1, (d.month + interval '1 month')::date - 1)
        end as last_day
    from {name}_from e
    cross join lateral (
        select extract(year from e.first_day)::int as year, make_date(extract(year from e.first_day)::int, e.month, 1) as month
    ) t
    cross join lateral (
        select make_date(t.year + e.years + (least(t.month + e.day - 1, (t.month + interval '1 month')::date - 1) < e.first_day)::int,
                         e.month, 1) as month
    ) d
), {name} as (
    select *, case when kind = 'inactivity' then idle_days is distinct from days
                   else idle_days is not null or over_day is distinct from last_day + 1 end as is_wrong
    from {name}_until
)"""  # noqa: S608 - SQL of ours


_EARNED = _dated("earned", "join ruled r on r.id = e.rule_version", "(l.available_at at time zone g.zone)::date")
_GIVEN = _dated(
    "given",
    """left join ruled r on r.programme = m.programme and e.occurred_at >= r.from_at - interval '5 minutes'
                          and (r.until_at is null or e.occurred_at < r.until_at + interval '5 minutes')
    where e.points > 0 and (e.kind = 'BONUS' or e.kind = 'ADJUST' and e.source_key like 'adjustment%')""",
    """(e.occurred_at at time zone g.zone)::date
           + case when e.kind = 'ADJUST' then coalesce(r.pending_days, 0) else 0 end""",
)

# Worked out from the rules that the entry names, day by day of the programme's zone; for bonuses and adjustments, which name
# none, from those in force when they were given, and within minutes of new rules from either; adjustments last as a sale's
# points would, and can be spent at once. `verification` proves what moves with the member's activity, what a transfer took
# along, and what was brought in with dates of its own.
LOT_DATES = f"""
with ruled as materialized (
    select v.id, v.programme, v.valid_from, greatest(v.valid_from, v.created_at) as from_at,
           (select min(greatest(w.valid_from, w.created_at)) from rule_version w
            where w.programme = v.programme and (w.valid_from, w.version) > (v.valid_from, v.version)) as until_at,
           coalesce((v.body ->> 'pending_days')::int, 0) as pending_days, x.*
    from rule_version v
    cross join lateral (
        select coalesce(v.body #>> '{{expiry,kind}}', 'never') as kind, coalesce((v.body #>> '{{expiry,days}}')::int, 0) as days,
               coalesce((v.body #>> '{{expiry,months}}')::int, 0) as months, coalesce((v.body #>> '{{expiry,years}}')::int, 0) as years,
               coalesce((v.body #>> '{{expiry,month}}')::int, 1) as month, coalesce((v.body #>> '{{expiry,day}}')::int, 1) as day
    ) x
), {_EARNED}, {_GIVEN}
select 'lot ' || l.entry as row, 'earned at ' || l.earned_at as found, e.occurred_at::text as expected
from lot l join ledger_entry e on e.id = l.entry where e.kind <> 'TRANSFER_IN' and l.earned_at <> e.occurred_at
union all
select 'lot ' || l.entry, 'available at ' || l.available_at, 'at once'
from lot l join ledger_entry e on e.id = l.entry where e.kind in ('ADJUST', 'BONUS') and l.available_at <> e.occurred_at
union all
select 'lot ' || n.entry, n.earned_at || ', ' || n.available_at || ' to ' || coalesce(n.expires_at::text, 'ever'),
       l.earned_at || ', ' || l.available_at || ' to ' || coalesce(l.expires_at::text, 'ever')
from ledger_entry e join lot n on n.entry = e.id
join allocation a on a.debit_entry = e.related_entry and a.lot_entry::text = split_part(e.source_key, ':', 3)
join lot l on l.entry = a.lot_entry
where e.kind = 'RESTORE' and ((n.earned_at, n.available_at) <> (l.earned_at, l.available_at)
    or l.idle_days is null and n.expires_at is distinct from l.expires_at and coalesce(l.expires_at > e.posted_at, true))
union all
select 'lot ' || entry, 'earned at ' || occurred_at, 'by rules from ' || valid_from || ' on'
from earned where valid_from > occurred_at
union all
select 'lot ' || entry, 'available at ' || available_at, pending_days || ' days after ' || occurred_at
from earned
where case when pending_days = 0 then available_at <> occurred_at else first_day <> earned_day + pending_days end
union all
select 'lot ' || entry, 'until ' || coalesce(expires_at::text, 'ever'), 'until the end of ' || coalesce(last_day::text, 'nothing')
from earned where is_wrong
union all
select 'lot ' || entry, 'until ' || coalesce(expires_at::text, 'ever'), 'until the end of ' || coalesce(max(last_day)::text, 'nothing')
from given group by entry, expires_at having bool_and(is_wrong)
"""  # noqa: S608 - SQL of ours

# What stands by an order: the money of its lines, whom it counts for, and why it earns nothing.
ORDERS = """
select 'orders ' || o.id as row, o.net_minor || ' and tax ' || o.tax_minor as found, l.net_minor || ' and tax ' || l.tax_minor as expected
from orders o
join (select "order", sum(net_minor) as net_minor, sum(tax_minor) as tax_minor from order_line group by "order") l on l."order" = o.id
where (o.net_minor, o.tax_minor) <> (l.net_minor, l.tax_minor)
union all
select 'orders ' || o.id, o.points || ' points, ' || o.state || ', ' || coalesce(o.skipped_reason, 'not skipped'),
       'points where it is completed, somebody''s, by rules, and not skipped'
from orders o left join membership m on m.id = o.membership left join programme g on g.id = m.programme
where o.points < 0 or (o.points = 0) <> (o.skipped_reason is not null)
   or o.state <> 'completed' and o.skipped_reason is distinct from o.state or o.state = 'completed' and o.skipped_reason in ('open', 'voided')
   or o.points > 0 and (o.state <> 'completed' or o.customer is null or o.rule_version is null or g.currency is distinct from o.currency)
union all
select 'orders ' || a.id, 'version ' || a.version || ' of ' || coalesce(a.customer::text, 'nobody') || ' in ' || coalesce(a.membership::text, 'none'),
       e.customer || ' in ' || e.membership
from (select id, assignment_version as version, customer, membership from orders
      union all select "order", version, customer, membership from assignment) a
join ledger_entry e on e."order" = a.id and e.kind = 'EARN' and e.source_key = 'order:' || a.id || ':' || a.version
where (a.customer, a.membership) is distinct from (e.customer, e.membership)
union all
select 'orders ' || o.id, 'by rules from ' || v.valid_from || ' on', 'by those of ' || o.completed_at
from orders o join rule_version v on v.id = o.rule_version where v.valid_from > o.completed_at
union all
select 'order_line ' || l.id, l.points || ' points', 'none, as it is paid for already'
from order_line l
where l.points <> 0
  and (l.stored_value or l.points_paid_minor > 0 and l.points_paid_minor >= abs(l.net_minor + l.tax_minor))
"""
