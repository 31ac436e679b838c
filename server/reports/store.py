"""SQL of the reports: set-based statements, months and days in the programme's zone."""

from collections import defaultdict
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Final

import msgspec

from server.db.engine import DB, Row
from server.programmes.store import past_line
from server.reports.rules import PromotedSale, Ruled, divide
from server.reports.signal_store import SIGNALS
from shared.limits import ADJUST_CASHIER_EACH, ADJUST_MANAGER_EACH
from shared.programmes import EarningRules

_ROWS_AT_ONCE: Final = 500
_SALES_AT_ONCE: Final = 100  # Few, as other requests wait while a batch is divided.
_NEAR_PERCENT: Final = 90


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report: its statement takes the present ($1) and, where it is about a period, its bounds ($2 and $3).

    None is the report by rule, whose parts are added up here.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    sql: str | None
    has_period: bool = True


# Lots of equal dates are summed first, as there are few dates and many lots. A lot lapses at the midnight after its last
# day, so its month is that of the instant before.
_LIABILITY = """
select programme, coalesce(to_char((expires_at - interval '1 microsecond') at time zone zone, 'YYYY-MM'), 'never') as month,
       sum(points)::bigint as points, sum(pending)::bigint as pending, sum(lots)::bigint as lots
from (
    select g.code as programme, g.zone, l.expires_at, sum(l.remaining) as points,
           coalesce(sum(l.remaining) filter (where l.available_at > $1), 0) as pending, count(*) as lots
    from lot l join membership m on m.id = l.membership join programme g on g.id = m.programme
    where l.remaining > 0 and (l.expires_at is null or l.expires_at > $1)
    group by g.code, g.zone, l.expires_at
) dated
group by 1, 2 order by 1, 2
"""
# By the month in which points were earned, which transferred and restored points keep: so what was issued once is spread
# over used, lapsed, live, given up with an account, and taken back by returns or by hand, whatever accounts it passed through.
_BREAKAGE = """
select programme, month, issued, used, lapsed, live,
       case when issued > 0 then round(100.0 * lapsed / issued, 1)::float8 end as lapsed_percent,
       issued - used - lapsed - live - given_up as taken_back, given_up
from (
    select g.code as programme, to_char(l.earned_at at time zone g.zone, 'YYYY-MM') as month,
           coalesce(sum(l.points) filter (where e.kind not in ('TRANSFER_IN', 'RESTORE')), 0)::bigint as issued,
           (coalesce(sum(x.used), 0) - coalesce(sum(l.points) filter (where s.kind = 'REDEEM'), 0))::bigint as used,
           (coalesce(sum(x.lapsed), 0) + coalesce(sum(l.remaining) filter (where l.expires_at <= $1), 0))::bigint as lapsed,
           coalesce(sum(l.remaining) filter (where l.expires_at is null or l.expires_at > $1), 0)::bigint as live,
           coalesce(sum(x.given_up), 0)::bigint as given_up
    from lot l
    join ledger_entry e on e.id = l.entry
    join membership m on m.id = l.membership
    join programme g on g.id = m.programme
    left join ledger_entry s on e.kind = 'RESTORE' and s.id = e.related_entry
    left join (
        select a.lot_entry, sum(a.points) filter (where d.kind = 'REDEEM') as used,
               sum(a.points) filter (where d.kind = 'EXPIRE') as lapsed,
               sum(a.points) filter (where d.kind = 'FORFEIT') as given_up
        from allocation a join ledger_entry d on d.id = a.debit_entry
        where d.kind in ('REDEEM', 'EXPIRE', 'FORFEIT') group by a.lot_entry
    ) x on x.lot_entry = l.entry
    group by 1, 2
) cohort
order by 1, 2
"""
# Transfers move points between accounts of one shop; they are neither issued nor used. What was spent belongs to the store
# of its hold, and so does what a refund gave back of it; an adjustment that was taken back is of the store where it was made.
_POINTS = """
select g.code as programme, coalesce(s.name, '') as store, e.kind, coalesce('version ' || r.version, '') as rule,
       count(*) as entries, coalesce(sum(e.points) filter (where e.points > 0), 0)::bigint as issued,
       coalesce(-sum(e.points) filter (where e.points < 0), 0)::bigint as taken
from ledger_entry e
join membership m on m.id = e.membership
join programme g on g.id = m.programme
left join orders o on o.id = e."order"
left join adjustment a on a.entry = case e.reason_code when 'adjust_undone' then e.related_entry else e.id end
left join hold h on h.entry = case e.kind when 'RESTORE' then e.related_entry else e.id end
left join store s on s.id = coalesce(o.store, a.store, h.store)
left join rule_version r on r.id = e.rule_version
where e.posted_at >= $2 and e.posted_at < $3 and e.kind not in ('TRANSFER_IN', 'TRANSFER_OUT') and $1::timestamptz is not null
group by g.code, s.name, e.kind, r.version
order by g.code, s.name nulls first, e.kind, r.version
"""
# A sale whose lines name a promotion of its rules is divided by `rules.divide`.
_SALES = """
with named as materialized (
    select v.id, format('for ''%s''', p.value ->> 'name') as words
    from rule_version v cross join lateral jsonb_array_elements(v.body -> 'promotions') p
), sale as (
    select o.*, o.rule_version in (select id from named) and exists (
               select from order_line l join named n on n.id = o.rule_version and position(n.words in l.rule) > 0
               where l."order" = o.id) as is_promoted
    from orders o
    where o.completed_at >= $1 and o.completed_at < $2 and o.state = 'completed' and o.points <> 0
)
"""
# What the sales of these days earned as they stand today, by the rules in the words that receipt and buyer are told of each
# line, which name category, article, visit, tier and caps; what bonuses gave; and what rewards took, less what was given
# back of it. The shares of the lines are whole and add up to the sale, and so all of this to what was issued.
_BY_RULE = f"""
{_SALES}
select g.code as programme, coalesce(s.name, '') as store, found.rule, count(*) as times,
       sum(found.points)::bigint as points, sum(found.redeemed)::bigint as redeemed
from (
    select m.programme, o.store, l.rule, l.points, 0 as redeemed
    from sale o join membership m on m.id = o.membership join order_line l on l."order" = o.id
    where l.points <> 0 and not o.is_promoted
    union all
    select m.programme, o.store, 'bonus: ' || e.note, e.points, 0
    from ledger_entry e
    join membership m on m.id = e.membership
    join bonus_grant b on e.source_key = concat_ws(':', b.programme, b.code, b.customer, nullif(b.occasion, ''))
    left join orders o on o.id = b."order"
    where e.kind = 'BONUS' and e.posted_at >= $1 and e.posted_at < $2
    union all
    select m.programme, h.store, 'redeemed: ' || coalesce(w.name, 'points as money'), 0, -e.points - coalesce(r.points, 0)
    from ledger_entry e
    join membership m on m.id = e.membership
    left join hold h on h.entry = e.id
    left join lateral (select w.name from voucher v join reward w on w.id = v.reward where v.issue_entry = e.id limit 1) w on true
    left join lateral (select sum(r.points) as points from ledger_entry r
                       where r.related_entry = e.id and r.kind = 'RESTORE') r on true
    where e.kind = 'REDEEM' and e.posted_at >= $1 and e.posted_at < $2 and -e.points > coalesce(r.points, 0)
) found
join programme g on g.id = found.programme
left join store s on s.id = found.store
group by 1, 2, 3
"""
_PROMOTED = f"""
{_SALES}
select o.rule_version, coalesce(s.name, '') as store, s.code, o.completed_at, o.points,
       array(select row(l.sku, l.category, l.quantity, l.net_minor, l.tax_minor, l.stored_value, l.points_paid_minor)
             from order_line l where l."order" = o.id order by l.position) as lines,
       array(select l.rule from order_line l where l."order" = o.id order by l.position) as words,
       array(select row(u.code, u.points) from promotion_use u
             where u."order" = o.id and u.assignment_version = o.assignment_version order by u.code) as noted
from sale o join store s on s.id = o.store
where o.is_promoted
"""
_RULED = """
select v.id, v.body, g.code, g.zone, g.currency from rule_version v join programme g on g.id = v.programme
where jsonb_array_length(v.body -> 'promotions') > 0
"""
# An order that changes hands is in the trail once for each of the two customers, at one instant.
_LATE_ATTACHES = """
select f.name as staff, f.role, coalesce(s.name, '') as store,
       count(*) filter (where a.action = 'order.attached') as attached,
       count(*) filter (where a.action = 'order.reassigned') as reassigned,
       count(*) filter (where a.action = 'order.detached') as detached,
       count(*) filter (where a.at > o.completed_at + interval '24 hours') as after_a_day,
       count(distinct a.details ->> 'to_customer') as customers,
       coalesce(sum((a.details ->> 'points_earned')::bigint), 0)::bigint as points_given,
       coalesce(sum((a.details ->> 'points_taken')::bigint), 0)::bigint as points_taken
from (
    select distinct on (actor_id, at, subject_id, details ->> 'assignment_version') action, actor_id, at, subject_id, details from audit_entry
    where actor_kind = 'staff' and action in ('order.attached', 'order.reassigned', 'order.detached')
      and at >= $2 and at < $3 and $1::timestamptz is not null
    order by actor_id, at, subject_id, details ->> 'assignment_version', id
) a
join staff_member f on f.id = a.actor_id
left join store s on s.id = f.store
left join orders o on o.id = a.subject_id
group by f.id, f.name, f.role, s.name
order by points_given desc, f.name, f.id
"""
_ADJUSTMENTS = f"""
select f.name as staff, a.requested_role as role, coalesce(s.name, '') as store, a.reason_code as reason,
       count(*) filter (where a.posted_at is not null) as posted,
       coalesce(sum(a.points) filter (where a.posted_at is not null and a.points > 0), 0)::bigint as given,
       coalesce(-sum(a.points) filter (where a.posted_at is not null and a.points < 0), 0)::bigint as taken,
       count(*) filter (where a.posted_at is not null and a.decided_by is not null) as by_two,
       count(*) filter (where a.undone_at is not null) as undone,
       count(*) filter (where a.state = 'refused') as refused,
       count(*) filter (where a.state = 'waiting' and a.lapses_at <= $1) as lapsed,
       count(*) filter (where a.decided_by is null and a.posted_at is not null
                          and abs(a.points) * 100 >= {_NEAR_PERCENT} * coalesce(a.each_max, case a.requested_role
                              when 'manager' then {ADJUST_MANAGER_EACH} else {ADJUST_CASHIER_EACH} end)) as near_limit
from adjustment a
join staff_member f on f.id = a.requested_by
left join store s on s.id = a.store
where a.requested_at >= $2 and a.requested_at < $3
group by f.id, f.name, a.requested_role, s.name, a.reason_code
order by given desc, f.name, f.id, a.requested_role, s.name, a.reason_code
"""

REPORTS: Final = {
    report.name: report
    for report in (
        Report(
            name="liability",
            title="Points that can still be spent, by the month in which they lapse",
            columns=("programme", "month", "points", "pending", "lots"),
            sql=_LIABILITY,
            has_period=False,
        ),
        Report(
            name="breakage",
            title="What became of points, by the month in which they were earned",
            columns=(
                "programme", "month", "issued", "used", "lapsed", "live", "lapsed_percent", "taken_back", "given_up",
            ),
            sql=_BREAKAGE,
            has_period=False,
        ),
        Report(
            name="points",
            title="Points issued and taken, by store, kind and version of the rules",
            columns=("programme", "store", "kind", "rule", "entries", "issued", "taken"),
            sql=_POINTS,
        ),
        Report(
            name="late-attaches",
            title="Sales given to a customer after the event, by staff member",
            columns=(
                "staff", "role", "store", "attached", "reassigned", "detached", "after_a_day", "customers",
                "points_given", "points_taken",
            ),
            sql=_LATE_ATTACHES,
        ),
        Report(
            name="adjustments",
            title="Points given and taken by hand, by staff member",
            columns=(
                "staff", "role", "store", "reason", "posted", "given", "taken", "by_two", "undone", "refused", "lapsed",
                "near_limit",
            ),
            sql=_ADJUSTMENTS,
        ),
        Report(
            name="signals",
            title="Patterns by which shops have lost points: where somebody else should look",
            columns=("signal", "card", "staff", "store", "times", "points", "first_at", "last_at"),
            sql=SIGNALS,
        ),
        Report(
            name="rules",
            title="Points that sales of these days earned, bonuses gave and rewards took, by store and rule",
            columns=("programme", "store", "rule", "times", "points", "redeemed"),
            sql=None,
        ),
    )
}  # fmt: skip


async def iterate_rows(
    report: Report, now: datetime, since: datetime, until: datetime
) -> AsyncGenerator[Row | tuple[str | int, ...], None]:
    """Yield a report's rows as the database finds them, few of them held at a time."""
    if report.sql is None:
        for part in await _list_by_rule(since, until):
            yield part
        return
    arguments = (now, since, until) if report.has_period else (now,)
    async with DB.transaction(), DB.connection() as connection:
        async for row in connection.cursor(report.sql, *arguments, prefetch=_ROWS_AT_ONCE):
            yield row


async def _list_by_rule(since: datetime, until: datetime) -> list[tuple[str, str, str, int, int, int]]:
    """Return programme, store, rule, times, points and redeemed points, of each store what gave most first."""
    sums: dict[tuple[str, str, str], tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    async with DB.transaction(isolation="repeatable_read"), DB.connection() as connection:
        for row in await DB.fetch(_BY_RULE, since, until):
            sums[row["programme"], row["store"], row["rule"]] = (row["times"], row["points"], row["redeemed"])
        ruled = {row["id"]: _ruled(row) for row in await DB.fetch(_RULED)}
        async for row in connection.cursor(_PROMOTED, since, until, prefetch=_SALES_AT_ONCE):
            by = ruled[row["rule_version"]]
            for share in divide(_promoted_sale(row), by):
                key = by.programme, row["store"], share.rule
                times, points, redeemed = sums[key]
                sums[key] = times + 1, points + share.points, redeemed
    rows = [(*key, *found) for key, found in sums.items()]
    return sorted(rows, key=lambda row: (row[0], row[1], -row[4], -row[5], row[2]))


def _ruled(row: Row) -> Ruled:
    rules = msgspec.json.decode(row["body"], type=EarningRules)
    return Ruled(
        programme=row["code"],
        zone=row["zone"],
        currency=row["currency"],
        rules=rules,
        plain=msgspec.structs.replace(rules, promotions=()),
    )


def _promoted_sale(row: Row) -> PromotedSale:
    return PromotedSale(
        completed_at=row["completed_at"],
        store_code=row["code"],
        points=row["points"],
        lines=tuple(past_line(*line) for line in row["lines"]),
        words=tuple(row["words"]),
        noted=dict(tuple(use) for use in row["noted"]),
    )
