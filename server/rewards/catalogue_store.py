"""SQL of the catalogue and of what points are worth."""

from datetime import datetime
from uuid import UUID

import asyncpg

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.rewards.rules import Terms
from shared.limits import REWARDS_MAX
from shared.rewards import NewReward, RedemptionSettings

# Reissued vouchers are void and their copies count; cancelled ones give their place back.
_ISSUED = "(select count(*) from voucher v where v.reward = r.id and v.status <> 'void')::int"
# Members ask often, and only want to know whether any is left: that takes no more counting than there is stock.
_ISSUED_OF_STOCK = """
case when r.stock is not null then
    (select count(*) from (select from voucher v where v.reward = r.id and v.status <> 'void' limit r.stock) taken)
end::int
"""
_REWARDS = f"""
select r.*, p.currency, p.code as programme_code, {_ISSUED} as issued
from reward r join programme p on p.id = r.programme
where {{condition}}
order by p.is_default desc, p.code, r.points_cost, r.code limit {REWARDS_MAX}
"""
_LIST = _REWARDS.format(condition="true")
_FIND = _REWARDS.format(condition="r.id = $1")
_OFFERS = f"""
select r.*, p.currency, p.zone, {_ISSUED_OF_STOCK} as issued,
       case when r.member_limit is not null then
           (select count(*) from voucher v where v.reward = r.id and v.customer = $1::uuid and v.status <> 'void')
       end::int as issued_to_customer
from reward r join programme p on p.id = r.programme
where {{condition}}
order by r.points_cost, r.code limit {REWARDS_MAX}
"""
_LIST_OFFERS = _OFFERS.format(condition="r.programme = $2 and r.status = 'active'")
_FIND_OFFER = _OFFERS.format(condition="r.id = $2")
_LOCK = "select 1 from reward where id = $1 for update"
_INSERT = """
insert into reward (id, programme, code, name, points_cost, value_minor, created_at, kind, description, percent, sku,
                    valid_days, stock, member_limit, active_from, active_until)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""
_UPDATE = """
update reward
set name = $3, points_cost = $4, value_minor = $5, description = $6, valid_days = $7, stock = $8, member_limit = $9,
    active_from = $10, active_until = $11, status = $12, version = version + 1
where id = $1 and version = $2
returning id
"""
_TERMS = """
select step_points, step_minor, cap_percent, minimum_points, card_daily_points, restore_grace_days, version
from redemption_terms where programme = $1
"""
# Version 0 is the row that is not there yet.
_PUT_TERMS = """
insert into redemption_terms as t (programme, step_points, step_minor, cap_percent, minimum_points, card_daily_points,
                                   restore_grace_days, version, changed_at)
select $1, $3, $4, $5, $6, $7, $8, 1, $9
where $2 = 0 or exists (select from redemption_terms where programme = $1)
on conflict (programme) do update
set step_points = excluded.step_points, step_minor = excluded.step_minor, cap_percent = excluded.cap_percent,
    minimum_points = excluded.minimum_points, card_daily_points = excluded.card_daily_points,
    restore_grace_days = excluded.restore_grace_days, version = t.version + 1, changed_at = excluded.changed_at
where t.version = $2
returning version
"""
CHANGEABLE = (
    "name",
    "points_cost",
    "value_minor",
    "description",
    "valid_days",
    "stock",
    "member_limit",
    "active_from",
    "active_until",
    "status",
)
"""Columns of a reward that may change, in the order of `_UPDATE`."""


class RewardCodeTaken(Exception):
    """Another reward has the code."""


async def list_rewards() -> list[Row]:
    """Return the rewards of all programmes, each programme's cheapest first, with how many vouchers were issued."""
    return await DB.fetch(_LIST)


async def find_reward(reward_id: UUID) -> Row | None:
    """Return a reward likewise."""
    return await DB.fetch_row(_FIND, reward_id)


async def list_offers(programme_id: UUID, customer_id: UUID) -> list[Row]:
    """Return a programme's rewards that are not retired, cheapest first, with the vouchers that count against stock and limit."""
    return await DB.fetch(_LIST_OFFERS, customer_id, programme_id)


async def get_offer(reward_id: UUID, customer_id: UUID) -> Row:
    """Return any reward likewise, with its programme's zone."""
    row = await DB.fetch_row(_FIND_OFFER, customer_id, reward_id)
    assert row is not None, "rewards are never deleted"
    return row


async def find_programme_of(reward_id: UUID) -> UUID | None:
    """Return the programme of a reward, None if there is no such reward."""
    row = await DB.fetch_row("select programme from reward where id = $1", reward_id)
    return row["programme"] if row else None


async def lock_reward(reward_id: UUID) -> None:
    """Let nobody else issue or change a reward until the transaction ends."""
    await DB.fetch(_LOCK, reward_id)


async def insert_reward(ctx: Context, programme_id: UUID, form: NewReward) -> UUID:
    """Add a reward and return its id.

    Raises:
        RewardCodeTaken: Another one has the code.
    """
    reward_id = new_id()
    try:
        await DB.fetch(
            _INSERT,
            reward_id,
            programme_id,
            form.code,
            form.name,
            form.points_cost,
            form.value_minor,
            ctx.now,
            form.kind,
            form.description,
            form.percent,
            form.sku,
            form.valid_days,
            form.stock,
            form.member_limit,
            form.active_from,
            form.active_until,
        )
    except asyncpg.UniqueViolationError as error:
        raise RewardCodeTaken from error
    return reward_id


async def update_reward(reward_id: UUID, version: int, values: dict[str, object]) -> bool:
    """Write the changeable columns of a reward; False if it is no longer of this version."""
    row = await DB.fetch_row(_UPDATE, reward_id, version, *(values[name] for name in CHANGEABLE))
    return row is not None


async def get_terms(programme_id: UUID) -> Terms:
    """Return what a programme's points are worth, the defaults where nobody has said so."""
    row = await DB.fetch_row(_TERMS, programme_id)
    return Terms(**dict(row)) if row else Terms()


async def put_terms(programme_id: UUID, form: RedemptionSettings, now: datetime) -> bool:
    """Write a programme's settings; False if they are no longer of the form's version."""
    row = await DB.fetch_row(
        _PUT_TERMS,
        programme_id,
        form.version,
        form.step_points,
        form.step_minor,
        form.cap_percent,
        form.minimum_points,
        form.card_daily_points,
        form.restore_grace_days,
        now,
    )
    return row is not None
