"""Use cases of managers who change rules: try them on past sales, put them in force, look back."""

import asyncio
import hashlib
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from server.audit.store import record
from server.context import Context
from server.db.engine import DB
from server.errors import Busy, DatabaseBusy, Invalid, NotFound, Refused
from server.programmes import drafts, store
from server.programmes.rules import start_of_local_day
from server.programmes.service import Programme, get_programme
from server.programmes.standings import look_back_from
from server.programmes.trial import Trial, cost_of
from shared.problems import Code, FieldProblem
from shared.programmes import (
    EarningRules,
    RulesPreview,
    RulesProposal,
    RulesPublication,
    RuleVersionList,
    RuleVersionView,
)

TRIAL_SECONDS = 20.0
_TOO_MANY = "There are too many sales in this time to count; choose a shorter one."
_trials = asyncio.Semaphore(1)


async def list_rule_versions(programme_id: UUID, now: datetime) -> RuleVersionList:
    """Return all versions of a programme's rules.

    Raises:
        NotFound: There is no such programme.
    """
    programme = await get_programme(programme_id, fresh=True)
    current = programme.rules_at(now)
    items = []
    for row in await store.list_history(programme_id):
        state: Literal["past", "current", "future"] = "future" if row["valid_from"] > now else "past"
        if current is not None and row["id"] == current.id:
            state = "current"
        items.append(
            RuleVersionView(
                id=row["id"],
                version=row["version"],
                state=state,
                valid_from=row["valid_from"],
                created_at=row["created_at"],
                created_by=row["created_by"],
                rules=msgspec.json.decode(row["body"], type=EarningRules),
            )
        )
    return RuleVersionList(items=tuple(items))


async def preview_rules(
    ctx: Context, programme_id: UUID, proposal: RulesProposal, *, seconds: float = TRIAL_SECONDS
) -> RulesPreview:
    """Return what the sales of a period would have earned under new rules; changes nothing.

    One preview runs at a time in a process, so that tills do not feel it.

    Args:
        seconds: Time after which it stops and says how far it came.

    Raises:
        NotFound: There is no such programme or version.
        Invalid: With every wrong field; `since` where there is too much to count in time.
        Busy: Another preview is running.
    """
    programme = await get_programme(programme_id, fresh=True)
    rules = await _check(ctx, programme, proposal)
    until = proposal.until or ctx.now
    _check_period(proposal.since, until)
    if _trials.locked():
        raise Busy
    async with _trials:
        try:
            return await _try(programme, rules, proposal, until, seconds)
        except DatabaseBusy as error:
            # Time that ran out within a statement is none of those reasons for which trying again would help.
            if isinstance(error.__cause__, asyncpg.QueryCanceledError):
                raise Invalid(FieldProblem(field="since", detail=_TOO_MANY)) from error
            raise


async def publish_rules(ctx: Context, programme_id: UUID, publication: RulesPublication) -> RuleVersionView:
    """Put rules in force as a new version, in the caller's transaction. What was earned before stays as it was.

    Raises:
        NotFound: There is no such programme or version.
        Invalid: With every wrong field.
        Refused: PREVIEW_STALE, the rules or the programme changed since they were previewed.
    """
    await store.lock_programme(programme_id)
    programme = await get_programme(programme_id, fresh=True)
    rules = await _check(ctx, programme, publication)
    if publication.preview_hash != _hash(programme, rules, publication.valid_from):
        raise Refused(Code.PREVIEW_STALE)
    version_id = await store.insert_rules(
        ctx, programme_id, rules, valid_from=max(publication.valid_from or ctx.now, ctx.now)
    )
    await record(
        ctx, "programme.rules_changed", subject_kind="rule_version", subject_id=version_id, reason=publication.reason,
        details={"programme": programme.code, "from_version": publication.from_version},
    )  # fmt: skip
    versions = await list_rule_versions(programme_id, ctx.now)
    return next(version for version in versions.items if version.id == version_id)


async def _try(
    programme: Programme, rules: EarningRules, proposal: RulesProposal, until: datetime, seconds: float
) -> RulesPreview:
    trial = Trial(rules, since=proposal.since, zone=programme.zone, currency=programme.currency)
    ends = asyncio.get_running_loop().time() + seconds
    counted_until, orders = until, 0
    last: datetime | None = None
    # One snapshot, so that sales that arrive meanwhile are counted nowhere.
    async with DB.transaction(isolation="repeatable_read"):
        await store.begin_reading(seconds)
        total = await store.count_past_orders(programme.id, proposal.since, until)
        await _look_back(trial, programme, rules, proposal.since, ends=ends)
        async for order in store.stream_past_orders(programme.id, proposal.since, until):
            # Stopping between two sales of one instant would leave some of them uncounted for ever.
            if asyncio.get_running_loop().time() > ends and order.completed_at != last:
                counted_until = order.completed_at
                break
            trial.add(order)
            orders += 1
            last = order.completed_at
        point_value = await store.get_point_value(programme.id)
    effects = trial.effects(point_value)
    then, now = sum(effect.points_then for effect in effects), sum(effect.points_now for effect in effects)
    return RulesPreview(
        rules=rules,
        warnings=tuple(drafts.list_warnings(rules)),
        orders=orders,
        orders_changed=trial.orders_changed,
        points_then=then,
        points_now=now,
        cost_minor=cost_of(now - then, point_value),
        currency=programme.currency,
        effects=effects,
        parts=trial.parts(point_value),
        is_complete=orders == total,
        counted_until=counted_until,
        orders_left=total - orders,
        preview_hash=_hash(programme, rules, proposal.valid_from),
    )


async def _look_back(trial: Trial, programme: Programme, rules: EarningRules, since: datetime, *, ends: float) -> None:
    """Tell a trial what counts of the time before it, if its rules look back; out of time, nothing is counted anyway."""
    clock = asyncio.get_running_loop().time
    if rules.tiers.levels:
        async for row in store.stream_tiers_at(programme.id, since):
            trial.remember_tier(row["membership"], row["tier"], row["until"])
            if clock() > ends:
                return
        look_back = look_back_from(rules.tiers, since, programme.zone)
        by: Literal["year", "day"] = "year" if rules.tiers.period == "calendar_year" else "day"
        async for row in store.stream_bought_before(programme.id, look_back, since, by=by):
            trial.remember(row["membership"], row["day"], row["kept"])
            if clock() > ends:
                return
    if rules.day_points_max is not None:
        first = start_of_local_day(since, programme.zone)
        async for row in store.stream_bought_before(programme.id, first, since, by="day"):
            trial.remember_day(row["membership"], since, row["earned"])
    if codes := [one.code for one in rules.promotions if one.member_points_max is not None]:
        for row in await store.list_used_before(programme.id, since, codes):
            trial.remember_use(row["membership"], row["code"], row["points"])


async def _check(ctx: Context, programme: Programme, asked: RulesProposal | RulesPublication) -> EarningRules:
    """Return the rules that are meant, checked."""
    problems = drafts.list_valid_from_problems(asked.valid_from, ctx.now)
    if (asked.rules is None) == (asked.from_version is None):
        raise Invalid(
            FieldProblem(field="rules", detail="Give either rules or the version to take them from."), *problems
        )
    rules = asked.rules or _rules_of(programme, asked.from_version)
    codes = {row["code"] for row in await store.list_stores()}
    problems += drafts.list_problems(rules, store_codes=codes)
    if problems:
        raise Invalid(*problems)
    return rules


def _rules_of(programme: Programme, number: int | None) -> EarningRules:
    found = next((version.rules for version in programme.rule_versions if version.version == number), None)
    if found is None:
        raise NotFound("The programme has no such version of its rules.")
    return found


def _check_period(since: datetime, until: datetime) -> None:
    for name, at in (("since", since), ("until", until)):
        if problem := drafts.time_problem(name, at):
            raise Invalid(problem)
    if until <= since:
        raise Invalid(FieldProblem(field="since", detail="The period ends after it begins."))


def _hash(programme: Programme, rules: EarningRules, valid_from: datetime | None) -> str:
    body = msgspec.json.encode((programme.id, programme.version, rules, valid_from), order="deterministic")
    return hashlib.sha256(body).hexdigest()[:32]
