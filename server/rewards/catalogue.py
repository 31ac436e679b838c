"""Use cases of the catalogue and of what points are worth; for managers, and read by everybody."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import UNSET

from server.audit.store import record
from server.context import Context
from server.db.engine import DB, Row
from server.errors import Invalid, NotFound, Refused
from server.programmes.service import Programme, get_default_programme, get_programme
from server.programmes.store import find_by_code
from server.rewards import catalogue_store as store
from server.rewards.rules import Terms
from shared.problems import Code, FieldProblem
from shared.rewards import (
    NewReward,
    RedemptionSettings,
    RedemptionTermsView,
    RewardChange,
    RewardKind,
    RewardList,
    RewardStatus,
    RewardView,
)

_WINDOW = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
_ZONES = timedelta(days=1)


async def list_rewards() -> RewardList:
    """Return the whole catalogue, retired rewards included."""
    return RewardList(items=tuple(_view(row) for row in await store.list_rewards()))


async def create_reward(ctx: Context, form: NewReward) -> RewardView:
    """Add a reward to the catalogue.

    Raises:
        Invalid: Fields contradict each other, or there is no such programme.
        Refused: REWARD_CODE_TAKEN.
    """
    _check(form.kind, form.percent, form.active_from, form.active_until)
    if (form.kind is RewardKind.PRODUCT) != bool(form.sku.strip()):
        raise Invalid(FieldProblem(field="sku", detail="Give the article of a product reward, and of no other."))
    programme = await _get_programme(form.programme_code, field="programme_code")
    try:
        async with DB.transaction():
            reward_id = await store.insert_reward(ctx, programme.id, form)
            await record(ctx, "reward.created", subject_kind="reward", subject_id=reward_id)
            return await _get(reward_id)
    except store.RewardCodeTaken as error:
        raise Refused(Code.REWARD_CODE_TAKEN) from error


async def change_reward(ctx: Context, reward_id: UUID, form: RewardChange) -> RewardView:
    """Change what a form names. Vouchers issued before stay as they are.

    Raises:
        NotFound: There is no such reward.
        Invalid: Fields contradict each other.
        Refused: VERSION_CONFLICT.
    """
    async with DB.transaction():
        await store.lock_reward(reward_id)
        row = await store.find_reward(reward_id)
        if row is None:
            raise NotFound
        wanted = {name: getattr(form, name) for name in store.CHANGEABLE}
        values = {name: row[name] if value is UNSET else value for name, value in wanted.items()}
        _check(RewardKind(row["kind"]), row["percent"], values["active_from"], values["active_until"])
        if not await store.update_reward(reward_id, form.version, values):
            raise Refused(Code.VERSION_CONFLICT)
        changed = sorted(name for name in values if values[name] != row[name])
        await record(ctx, "reward.changed", subject_kind="reward", subject_id=reward_id, details={"fields": changed})
        return await _get(reward_id)


async def get_terms(programme_code: str | None) -> RedemptionTermsView:
    """Return what points of a programme are worth now; of that which members join, without a code.

    Raises:
        Invalid: There is no such programme.
    """
    programme = await _get_programme(programme_code, field="programme")
    return _terms_view(await store.get_terms(programme.id), programme)


async def put_terms(ctx: Context, form: RedemptionSettings) -> RedemptionTermsView:
    """Say what points are worth from now on. Open holds keep the money they promised.

    Raises:
        Invalid: There is no such programme.
        Refused: VERSION_CONFLICT.
    """
    programme = await _get_programme(form.programme_code, field="programme_code")
    async with DB.transaction():
        before = await store.get_terms(programme.id)
        if not await store.put_terms(programme.id, form, ctx.now):
            raise Refused(Code.VERSION_CONFLICT)
        after = await store.get_terms(programme.id)
        changed = {
            name: [getattr(before, name), getattr(after, name)]
            for name in Terms.__struct_fields__
            if getattr(before, name) != getattr(after, name)
        }
        await record(
            ctx, "redemption_terms.changed", subject_kind="programme", subject_id=programme.id, details=changed
        )
    return _terms_view(after, programme)


async def _get_programme(code: str | None, *, field: str) -> Programme:
    if code is None:
        return await get_default_programme()
    found = await find_by_code(code)
    if found is None:
        raise Invalid(FieldProblem(field=field, detail="There is no such programme."))
    return await get_programme(found["id"])


async def _get(reward_id: UUID) -> RewardView:
    row = await store.find_reward(reward_id)
    assert row is not None, "it was written in this transaction, and rewards are never deleted"
    return _view(row)


def _check(kind: RewardKind, percent: int | None, begins: datetime | None, ends: datetime | None) -> None:
    problems = []
    if (kind is RewardKind.PERCENT_OFF) != (percent is not None):
        detail = "Give the percentage of a percent_off reward, and of no other."
        problems.append(FieldProblem(field="percent", detail=detail))
    wrong_times = [
        FieldProblem(field=name, detail="A time from 2000 to 2199 with its offset from UTC.")
        for name, at in (("active_from", begins), ("active_until", ends))
        if at is not None and (at.tzinfo is None or not _WINDOW[0] + _ZONES <= at <= _WINDOW[1] - _ZONES)
    ]
    problems += wrong_times
    if not wrong_times and begins is not None and ends is not None and begins >= ends:
        problems.append(FieldProblem(field="active_until", detail="This is not after active_from."))
    if problems:
        raise Invalid(*problems)


def _view(row: Row) -> RewardView:
    return RewardView(
        id=row["id"],
        code=row["code"],
        name=row["name"],
        kind=RewardKind(row["kind"]),
        description=row["description"],
        points_cost=row["points_cost"],
        value_minor=row["value_minor"],
        currency=row["currency"],
        percent=row["percent"],
        sku=row["sku"],
        valid_days=row["valid_days"],
        stock=row["stock"],
        issued=row["issued"],
        member_limit=row["member_limit"],
        active_from=row["active_from"],
        active_until=row["active_until"],
        status=RewardStatus(row["status"]),
        version=row["version"],
        programme_code=row["programme_code"],
    )


def _terms_view(terms: Terms, programme: Programme) -> RedemptionTermsView:
    values = {name: getattr(terms, name) for name in Terms.__struct_fields__}
    return RedemptionTermsView(**values, currency=programme.currency, programme_code=programme.code)
