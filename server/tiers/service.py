"""Use cases of tiers. All but the sweep run in the caller's transaction with the membership locked."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from time import perf_counter
from uuid import UUID
from zoneinfo import ZoneInfo

from server.audience.marks import mark_membership
from server.audit.store import record
from server.context import Context
from server.db.engine import DB, Row
from server.errors import NotFound
from server.programmes.rules import Occasion, PromotionPoints, midnight
from server.programmes.service import Programme, get_programme
from server.programmes.standings import Standing, list_windows, next_level, plan_standing, rank
from server.programmes.store import list_programmes
from server.tiers import store
from shared.limits import ORDER_AHEAD_MAX
from shared.programmes import EarningRules, TierRules, TierView

_DUE_AT_ONCE = 200
_RAISED_AT_ONCE = 500
_FIRST = UUID(int=0)  # Before any other.


async def get_occasion(
    programme: Programme,
    rules: EarningRules,
    *,
    membership_id: UUID,
    completed_at: datetime,
    store_code: str,
    order_id: UUID,
) -> Occasion:
    """Return what the rules need to know of a member for one sale: the tier at its completion and what caps have left.

    Args:
        order_id: The sale's own; what it earned itself does not count against it.
    """
    tier = await get_tier_at(programme, membership_id, completed_at) if rules.tiers.levels else ""
    day_points = 0
    if rules.day_points_max is not None:
        today = completed_at.astimezone(ZoneInfo(programme.zone)).date()
        since, until = (midnight(day, programme.zone) for day in (today, today + timedelta(days=1)))
        day_points = await store.get_day_points(membership_id, since, until, order_id)
    capped = [promotion.code for promotion in rules.promotions if promotion.member_points_max is not None]
    return Occasion(
        completed_at=completed_at,
        zone=programme.zone,
        store_code=store_code,
        tier=tier,
        day_points=day_points,
        promotion_points=await store.get_promotion_points(membership_id, capped, order_id) if capped else {},
    )


async def get_tier_at(programme: Programme, membership_id: UUID, at: datetime) -> str:
    """Return the tier that a membership is in at an instant, "" for none.

    A tier that was over by then has ended, or was kept, whether or not anybody has looked since.
    """
    change = await store.find_change(membership_id, at)
    if change is None:
        return ""
    standing = Standing(tier=change["tier"], until=change["until"])
    while standing.until is not None and standing.until <= at:
        standing = await _stand_again(programme, membership_id, standing.until)
    return standing.tier


async def note_uses(order_id: UUID, assignment_version: int, uses: tuple[PromotionPoints, ...]) -> None:
    """Note what promotions added to an order, and no others, so that their caps for a member hold."""
    await store.set_uses(order_id, assignment_version, [(use.code, use.points) for use in uses])


async def raise_tier(ctx: Context, programme: Programme, membership_id: UUID) -> bool:
    """Give a membership the tier that its sales have reached by now, never a lower one; return whether it rose."""
    tiers = _tiers_at(programme, ctx.now)
    membership = await store.lock(membership_id) if tiers.levels else None
    if membership is None:
        return False
    current = await _settle(ctx, programme, membership)
    # A till's clock may run ahead a little.
    standing = await _stand(tiers, (membership_id,), ctx.now + ORDER_AHEAD_MAX, programme.zone)
    is_higher = rank(tiers, standing.tier) > rank(tiers, current.tier)
    if is_higher:
        await _change(ctx, membership_id, standing, at=ctx.now, reason="reached")
    return is_higher


async def settle_due(ctx: Context) -> int:
    """Look again at every membership whose tier's time is over, each in a transaction of its own; return how many.

    What comes out depends on when the time was over and not on when this runs.
    """
    count = 0
    while True:
        due = await store.list_due(ctx.now, _DUE_AT_ONCE)
        for membership_id in due:
            async with DB.transaction():
                membership = await store.lock(membership_id)
                if membership is not None:
                    # Another process may have published rules since this one looked.
                    programme = await get_programme(membership["programme"], fresh=True)
                    await _settle(ctx, programme, membership)
                    await mark_membership(ctx, membership_id)
            count += 1
        if len(due) < _DUE_AT_ONCE:
            return count


async def raise_all(ctx: Context, *, memberships_at_once: int = _RAISED_AT_ONCE) -> int:
    """Give memberships the tiers that new rules bring them for what they have bought before; return how many rose.

    Rules that leave the tiers as they were cost nothing. A run goes on where the last one broke off, may be one of
    several, and rests half of the time.
    """
    count = 0
    for row in await list_programmes():
        started_at = perf_counter()
        while (raised := await _raise_page(ctx, row["id"], memberships_at_once)) is not None:
            count += raised
            await asyncio.sleep(perf_counter() - started_at)
            started_at = perf_counter()
    return count


async def _raise_page(ctx: Context, programme_id: UUID, at_once: int) -> int | None:
    """Look at the next memberships by the rules in force; return how many rose, None where all were looked at."""
    programme = await get_programme(programme_id, fresh=True)
    version = programme.rules_at(ctx.now)
    review = await store.find_review(programme_id)
    if version is None or (review is None and not version.rules.tiers.levels):
        return None
    tiers = version.rules.tiers
    place = review["place"] if review else _FIRST
    if review is None or review["rule_version"] != version.id:
        known = review and next(one for one in programme.rule_versions if one.id == review["rule_version"])
        if not known or known.rules.tiers != tiers:
            place = _FIRST
        await store.set_review(programme_id, version.id, place)
    if place is None:
        return None
    windows = list_windows(tiers, ctx.now + ORDER_AHEAD_MAX, programme.zone)
    page = await store.list_next(programme_id, place, at_once, windows=windows) if windows else []
    count = 0
    for row in page:
        reached = plan_standing(tiers, windows, row["points"] or [0] * len(windows)).tier
        if rank(tiers, reached) > rank(tiers, row["tier"]):
            async with DB.transaction():
                count += await raise_tier(ctx, programme, row["id"])
                await mark_membership(ctx, row["id"])
    await store.move_review(programme_id, version.id, place, page[-1]["id"] if len(page) == at_once else None)
    return count


async def get_tier(ctx: Context, membership_id: UUID) -> TierView:
    """Return a membership's tier, the points that qualify for it, and what the next one takes.

    Raises:
        NotFound: There is no such membership.
    """
    membership = await store.find(membership_id)
    if membership is None:
        raise NotFound
    programme = await get_programme(membership["programme"], fresh=True)
    tiers = _tiers_at(programme, ctx.now)
    windows = list_windows(tiers, ctx.now, programme.zone)[:1]
    points = (await store.list_qualifying((membership_id,), windows))[0] if windows else 0
    following = next_level(tiers, membership["tier"], points)
    return TierView(
        tier=membership["tier"],
        until=membership["tier_until"],
        points=points,
        since=windows[0].since if windows else None,
        next_tier=following.name if following else None,
        next_points=following.from_points if following else None,
    )


async def inherit_tier(
    ctx: Context, programme: Programme, *, from_membership: UUID, to_membership: UUID, with_sales: bool
) -> None:
    """Let a membership that takes over another's points keep the higher tier of both, and the longer; both are locked.

    Args:
        with_sales: All that was bought with the other counts here from now on; let that raise the tier, too.
    """
    source, target = await store.lock(from_membership), await store.lock(to_membership)
    if source is None or target is None:
        return
    tiers = _tiers_at(programme, ctx.now)
    theirs, ours = await _settle(ctx, programme, source), await _settle(ctx, programme, target)
    best = ours
    is_longer = theirs.tier == ours.tier and theirs.until and ours.until and theirs.until > ours.until
    if is_longer or rank(tiers, theirs.tier) > rank(tiers, ours.tier):
        best = theirs
    if with_sales:
        together = await _stand(tiers, (from_membership, to_membership), ctx.now + ORDER_AHEAD_MAX, programme.zone)
        best = together if rank(tiers, together.tier) > rank(tiers, best.tier) else best
    if best is not ours:
        await _change(ctx, to_membership, best, at=ctx.now, reason="inherited")


async def return_tier(ctx: Context, programme: Programme, membership_id: UUID, *, inherited_at: datetime) -> None:
    """Take back the tier that a locked membership inherited by what is undone now, unless it has changed since.

    What its own sales have reached meanwhile is kept.
    """
    before = await store.find_before_inherited(membership_id, inherited_at)
    if before is None:
        return
    standing = Standing(tier=before["tier"], until=before["until"])
    await _change(ctx, membership_id, standing, at=ctx.now, reason="ended")
    await raise_tier(ctx, programme, membership_id)


async def _settle(ctx: Context, programme: Programme, membership: Row) -> Standing:
    """Bring a locked membership's tier up to now, period by period, and return it."""
    standing = Standing(tier=membership["tier"], until=membership["tier_until"])
    while standing.until is not None and standing.until <= ctx.now:
        before, at = standing.tier, standing.until
        standing = await _stand_again(programme, membership["id"], at)
        await _change(ctx, membership["id"], standing, at=at, reason="kept" if standing.tier == before else "ended")
    return standing


async def _stand_again(programme: Programme, membership_id: UUID, at: datetime) -> Standing:
    """Return where a membership stands when the time of its tier is over, by the rules of that instant."""
    return await _stand(_tiers_at(programme, at), (membership_id,), at, programme.zone)


def _tiers_at(programme: Programme, at: datetime) -> TierRules:
    version = programme.rules_at(at)
    return version.rules.tiers if version else TierRules()


async def _stand(tiers: TierRules, membership_ids: Sequence[UUID], at: datetime, zone: str) -> Standing:
    windows = list_windows(tiers, at, zone)
    points = await store.list_qualifying(membership_ids, windows) if windows else []
    return plan_standing(tiers, windows, points)


async def _change(ctx: Context, membership_id: UUID, standing: Standing, *, at: datetime, reason: str) -> None:
    await store.set_tier(membership_id, standing, at, reason)
    await record(
        ctx, f"tier.{reason}", subject_kind="membership", subject_id=membership_id,
        details={"tier": standing.tier, "until": standing.until, "points": standing.points},
    )  # fmt: skip
