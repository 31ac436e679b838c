"""SQL of programmes and their rule versions."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.programmes.rules import EarningLine
from server.programmes.trial import PastOrder
from shared.enums import SkippedReason
from shared.limits import REDEMPTION_STEP_MINOR, REDEMPTION_STEP_POINTS
from shared.programmes import EarningRules, ProgrammeSettings, RoleLimits

DECIDED_BY_RULES = (
    SkippedReason.EXCLUDED_ITEMS,
    SkippedReason.BELOW_MINIMUM,
    SkippedReason.STORED_VALUE,
    SkippedReason.PAID_WITH_POINTS,
    SkippedReason.CAP_REACHED,
)
_SALES_AT_ONCE = 1000
_ORDERS_AT_ONCE = 100  # Few, as other requests wait while a batch is counted.

# Versions of rules are only ever added, so whoever knows the newest one knows them all.
_PROGRAMME = """
select p.*, (select v.id from rule_version v where v.programme = p.id order by v.version desc limit 1) as newest_rules
from programme p
"""
_DEFAULT = _PROGRAMME + "where is_default"
_ALL = _PROGRAMME + "order by code limit 100"
_BY_ID = _PROGRAMME + "where id = $1"
_VERSIONS = (
    "select id, version, valid_from, body from rule_version where programme = $1 order by valid_from desc, version desc"
)
_HISTORY = """
select r.id, r.version, r.valid_from, r.body, r.created_at, s.name as created_by
from rule_version r left join staff_member s on s.id = r.created_by
where r.programme = $1 order by r.version desc limit 1000
"""
# Sales that rules decided on: those skipped for other reasons (before the start, not a member) earn nothing under any.
_TRIED = """
from orders o
join membership m on m.id = o.membership and m.programme = $1
join store s on s.id = o.store
"""
_DECIDED = """
where o.completed_at >= $2 and o.completed_at < $3 and o.state = 'completed'
  and (o.skipped_reason is null or o.skipped_reason = any($4::text[]))
"""
_COUNT_TRIED = f"select count(*)::int {_TRIED} {_DECIDED}"
_PAST_ORDERS = f"""
select case when m.successor is null then m.id else regulars_heir(m.id) end as membership,
       o.completed_at, o.points, o.points_returned, s.code, s.name,
       array(select row(l.sku, l.category, l.quantity, l.net_minor, l.tax_minor, l.stored_value, l.points_paid_minor)
             from order_line l where l."order" = o.id order by l.position) as lines
{_TRIED} {_DECIDED}
order by o.completed_at, o.id
"""
# A membership's own tiers first; one that was reissued has none of its own from before.
_TIERS_AT = """
select distinct on (1) case when m.successor is null then m.id else regulars_heir(m.id) end as membership, c.tier, c.until
from tier_change c join membership m on m.id = c.membership and m.programme = $1
where c.at <= $2
order by 1, (m.successor is null) desc, c.at desc, c.id desc
"""
# Summed by year or day of the programme's zone, as nothing finer decides on a tier.
_BEFORE = """
select case when m.successor is null then m.id else regulars_heir(m.id) end as membership,
       date_trunc($4, o.completed_at at time zone g.zone)::date as day,
       sum(o.points)::bigint as earned, sum(o.points - o.points_returned)::bigint as kept
from orders o join membership m on m.id = o.membership and m.programme = $1 join programme g on g.id = m.programme
where o.completed_at >= $2 and o.completed_at < $3 and o.state = 'completed' and o.points > 0
group by 1, 2
"""
_USED_BEFORE = """
select case when m.successor is null then m.id else regulars_heir(m.id) end as membership, u.code,
       sum(u.points)::bigint as points
from promotion_use u
join orders o on o.id = u."order" and o.assignment_version = u.assignment_version and o.completed_at < $2
                 and o.state = 'completed' and o.skipped_reason is null
join membership m on m.id = o.membership and m.programme = $1
where u.code = any($3::text[])
group by 1, 2
"""
# The dearer of a reward and of points as money, which all are at the default step before somebody says otherwise.
_POINT_VALUE = """
select greatest(
    (select max(value_minor::numeric / points_cost) from reward
     where programme = $1 and status = 'active' and value_minor > 0 and points_cost > 0),
    (select case when coalesce(t.cap_percent, 100) > 0
                 then coalesce(t.step_minor::numeric / t.step_points, $2::numeric / $3) end
     from programme p left join redemption_terms t on t.programme = p.id where p.id = $1)
)
"""
_INSERT = """
insert into programme (id, code, name, unit_one, unit_many, zone, currency, launch_at, is_default, created_at,
                       grace_days, clawback_policy, late_attach_days, manager_late_attach_days, reassign_days,
                       manager_reassign_days, claw_visit_points, max_sharers, redeem_policy, adjustment_limits)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
"""
_CHANGE = """
update programme
set name = $3, unit_one = $4, unit_many = $5, zone = $6, currency = $7, launch_at = $8, grace_days = $9,
    clawback_policy = $10, late_attach_days = $11, manager_late_attach_days = $12, reassign_days = $13,
    manager_reassign_days = $14, claw_visit_points = $15, max_sharers = $16, redeem_policy = $17,
    adjustment_limits = $18, version = version + 1
where id = $1 and version = $2
returning id
"""
_SET_STATUS = "update programme set status = $3, version = version + 1 where id = $1 and version = $2 returning id"
_HAS_MEMBERS = "select 1 from membership where programme = $1 limit 1"
_STANDING = """
with mine as (
    select id from membership where programme = $1 and status = 'active'
), lots as (
    select coalesce(sum(l.remaining) filter (where l.available_at <= $2), 0)::bigint as points,
           coalesce(sum(l.remaining) filter (where l.available_at > $2), 0)::bigint as pending,
           max(l.expires_at) as last_lapses_at, coalesce(bool_or(l.expires_at is null), false) as has_points_for_ever
    from lot l join mine on mine.id = l.membership
    where l.remaining > 0 and (l.expires_at is null or l.expires_at > $2)
)
select (select count(*)::int from mine) as members, lots.*,
       (select count(*)::int from voucher v join mine on mine.id = v.membership
        where v.status in ('issued', 'held') and (v.valid_until is null or v.valid_until > $2)) as vouchers,
       (select count(*)::int from hold h join mine on mine.id = h.membership
        where h.state = 'open' and h.expires_at > $2) as open_holds
from lots
"""
# The row lock of the programme gives versions one after the other; whoever cached the old rules sees the new number.
_INSERT_VERSION = """
with changed as (update programme set version = version + 1 where id = $2 returning id)
insert into rule_version (id, programme, version, valid_from, body, checksum, created_at, created_by)
select $1, id, 1 + coalesce((select max(version) from rule_version where programme = $2), 0), $3, $4, $5, $6, $7
from changed
"""
_INSERT_STORE = "insert into store (id, code, name, zone, created_at) values ($1, $2, $3, $4, $5)"
_STORES = "select code, name, zone from store order by code limit 1000"


async def find_default() -> Row | None:
    """Return the programme that members join, if there is one."""
    return await DB.fetch_row(_DEFAULT)


async def list_programmes() -> list[Row]:
    """Return all programmes by code."""
    return await DB.fetch(_ALL)


async def find_programme(programme_id: UUID) -> Row | None:
    """Return a programme."""
    return await DB.fetch_row(_BY_ID, programme_id)


async def find_by_code(code: str) -> Row | None:
    """Return the programme of a code."""
    return await DB.fetch_row("select * from programme where code = $1", code)


async def lock_programme(programme_id: UUID) -> None:
    """Lock a programme, so that its rules change one after the other."""
    await DB.fetch("select 1 from programme where id = $1 for no key update", programme_id)


async def list_history(programme_id: UUID) -> list[Row]:
    """Return a programme's rule versions with who made them, newest first."""
    return await DB.fetch(_HISTORY, programme_id)


async def begin_reading(seconds: float) -> None:
    """Bind the transaction to reading, and every statement of it to a time."""
    await DB.fetch("set transaction read only")
    await DB.fetch(f"set local statement_timeout = {int(seconds * 1000)}")


async def count_past_orders(programme_id: UUID, since: datetime, until: datetime) -> int:
    """Return how many sales of a period rules decided on."""
    count = await DB.fetch_value(_COUNT_TRIED, programme_id, since, until, list(DECIDED_BY_RULES))
    assert isinstance(count, int)
    return count


async def stream_past_orders(programme_id: UUID, since: datetime, until: datetime) -> AsyncIterator[PastOrder]:
    """Yield those sales in the order of their completion, in the caller's transaction."""
    async with DB.connection() as connection:
        arguments = (programme_id, since, until, list(DECIDED_BY_RULES))
        async for row in connection.cursor(_PAST_ORDERS, *arguments, prefetch=_ORDERS_AT_ONCE):
            yield PastOrder(
                membership_id=row["membership"],
                store_code=row["code"],
                store_name=row["name"],
                completed_at=row["completed_at"],
                points=row["points"],
                points_returned=row["points_returned"],
                lines=tuple(past_line(*line) for line in row["lines"]),
            )


async def stream_tiers_at(programme_id: UUID, at: datetime) -> AsyncIterator[Row]:
    """Yield the tier that each membership was last given at an instant, and until when."""
    async with DB.connection() as connection:
        async for row in connection.cursor(_TIERS_AT, programme_id, at, prefetch=_SALES_AT_ONCE):
            yield row


async def stream_bought_before(
    programme_id: UUID, since: datetime, until: datetime, *, by: Literal["year", "day"]
) -> AsyncIterator[Row]:
    """Yield what the sales of each membership earned, and kept, by local year or day, which the first `day` of it names."""
    async with DB.connection() as connection:
        async for row in connection.cursor(_BEFORE, programme_id, since, until, by, prefetch=_SALES_AT_ONCE):
            yield row


async def list_used_before(programme_id: UUID, until: datetime, codes: Sequence[str]) -> list[Row]:
    """Return what promotions gave each membership in sales before an instant."""
    return await DB.fetch(_USED_BEFORE, programme_id, until, list(codes))


def past_line(sku: str, category: str, quantity: Decimal, net_minor: int, tax_minor: int, *rest: object) -> EarningLine:
    """Return a stored line as the rules look at it; `rest` is stored_value and points_paid_minor."""
    stored_value, points_paid_minor = rest
    assert isinstance(points_paid_minor, int)
    return EarningLine(
        sku=sku, category=category, quantity=quantity, net_minor=net_minor, tax_minor=tax_minor,
        stored_value=bool(stored_value), points_paid_minor=points_paid_minor,
    )  # fmt: skip


async def get_point_value(programme_id: UUID) -> Decimal | None:
    """Return what a point is worth at most, in a reward or as money, in minor units; None where it buys nothing."""
    value = await DB.fetch_value(_POINT_VALUE, programme_id, REDEMPTION_STEP_MINOR, REDEMPTION_STEP_POINTS)
    assert value is None or isinstance(value, Decimal)
    return value


async def list_versions(programme_id: UUID) -> list[Row]:
    """Return a programme's rule versions, newest first."""
    return await DB.fetch(_VERSIONS, programme_id)


async def insert_programme(
    ctx: Context,
    *,
    code: str,
    name: str,
    zone: str,
    currency: str,
    launch_at: datetime,
    unit_one: str = "point",
    unit_many: str = "points",
    is_default: bool = True,
    settings: ProgrammeSettings | None = None,
) -> UUID:
    """Add a programme and return its id; it earns nothing before it has rules."""
    programme_id = new_id()
    await DB.fetch(
        _INSERT,
        programme_id,
        code,
        name,
        unit_one,
        unit_many,
        zone,
        currency,
        launch_at,
        is_default,
        ctx.now,
        *_setting_values(settings or ProgrammeSettings()),
    )
    return programme_id


async def change_programme(
    programme_id: UUID,
    version: int,
    *,
    name: str,
    unit_one: str,
    unit_many: str,
    zone: str,
    currency: str,
    launch_at: datetime,
    settings: ProgrammeSettings,
) -> bool:
    """Write what a programme is and decides; False if it is of another version by now."""
    values = (name, unit_one, unit_many, zone, currency, launch_at, *_setting_values(settings))
    return await DB.fetch_row(_CHANGE, programme_id, version, *values) is not None


async def set_status(programme_id: UUID, version: int, status: str) -> bool:
    """Open or close a programme; False if it is of another version by now."""
    return await DB.fetch_row(_SET_STATUS, programme_id, version, status) is not None


async def has_members(programme_id: UUID) -> bool:
    """Return whether anybody has ever joined a programme."""
    return await DB.fetch_row(_HAS_MEMBERS, programme_id) is not None


async def get_standing(programme_id: UUID, now: datetime) -> Row:
    """Return what the members of a programme have."""
    (row,) = await DB.fetch(_STANDING, programme_id, now)
    return row


def settings_of(row: Row) -> ProgrammeSettings:
    """Return the settings in a programme's row."""
    plain = {name: row[name] for name in ProgrammeSettings.__struct_fields__ if name != "adjustment_limits"}
    return ProgrammeSettings(**plain, adjustment_limits=msgspec.json.decode(row["adjustment_limits"], type=RoleLimits))


def _setting_values(settings: ProgrammeSettings) -> tuple[object, ...]:
    """Return settings in the order of the columns, which is that of the struct."""
    plain = [getattr(settings, name) for name in ProgrammeSettings.__struct_fields__ if name != "adjustment_limits"]
    return (*plain, msgspec.json.encode(settings.adjustment_limits, order="deterministic").decode())


async def insert_rules(ctx: Context, programme_id: UUID, rules: EarningRules, *, valid_from: datetime) -> UUID:
    """Add a rule version and return its id."""
    version_id = new_id()
    body = msgspec.json.encode(rules, order="deterministic")
    checksum = hashlib.sha256(body).hexdigest()
    await DB.fetch(
        _INSERT_VERSION, version_id, programme_id, valid_from, body.decode(), checksum, ctx.now, ctx.actor.id
    )
    return version_id


async def insert_store(ctx: Context, *, code: str, name: str, zone: str) -> UUID:
    """Add a store and return its id."""
    store_id = new_id()
    await DB.fetch(_INSERT_STORE, store_id, code, name, zone, ctx.now)
    return store_id


async def list_stores() -> list[Row]:
    """Return all stores by code."""
    return await DB.fetch(_STORES)
