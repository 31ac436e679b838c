"""Which tier a membership stands in: pure functions over the points of its sales."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from server.programmes.rules import midnight
from shared.programmes import Tier, TierRules


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A tier ("" is none) and until when it is kept; None where there is nothing to lose."""

    tier: str = ""
    until: datetime | None = None
    points: int = 0


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A time whose sales qualify, and until when a tier reached by them is kept."""

    since: datetime
    until: datetime
    kept_until: datetime


def list_windows(rules: TierRules, at: datetime, zone: str) -> tuple[Window, ...]:
    """Return the times whose sales decide on the tier at an instant.

    In calendar years these are the running one and those before it whose tiers are still kept; else it is the year up
    to the instant.
    """
    if not rules.levels:
        return ()
    today = at.astimezone(ZoneInfo(zone)).date()
    if rules.period == "rolling_year":
        kept_until = midnight(_years_later(today, rules.kept_years) + timedelta(days=1), zone)
        return (Window(since=midnight(_years_later(today, -1), zone), until=at, kept_until=kept_until),)
    years = range(today.year, today.year - rules.kept_years - 1, -1)
    return tuple(
        Window(
            since=midnight(date(year, 1, 1), zone),
            until=midnight(date(year + 1, 1, 1), zone),
            kept_until=midnight(date(year + rules.kept_years + 1, 1, 1), zone),
        )
        for year in years
    )


def look_back_from(rules: TierRules, at: datetime, zone: str) -> datetime:
    """Return from when on sales can decide on a tier at an instant or later."""
    today = at.astimezone(ZoneInfo(zone)).date()
    if rules.period == "rolling_year":
        return midnight(_years_later(today, -1), zone)
    return midnight(date(today.year - rules.kept_years, 1, 1), zone)


def plan_standing(rules: TierRules, windows: Sequence[Window], points: Sequence[int]) -> Standing:
    """Return the best tier that any window gives, for as long as any of them keeps it."""
    best = Standing(points=points[0] if points else 0)
    for window, reached in zip(windows, points, strict=True):
        tier = next((level.name for level in reversed(rules.levels) if reached >= level.from_points), "")
        if tier and rank(rules, tier) > rank(rules, best.tier):
            best = Standing(tier=tier, until=window.kept_until, points=reached)
        # Windows go back in time, so the first that gives a tier keeps it longest.
    return best


def next_level(rules: TierRules, tier: str, points: int) -> Tier | None:
    """Return the next tier above one, None if there is none.

    Whoever has the points of a higher one, as the rules have just changed, is about to come to it.
    """
    above = rules.levels[rank(rules, tier) :]
    reached = [level for level in above if level.from_points <= points]
    return reached[-1] if reached else next(iter(above), None)


def rank(rules: TierRules, tier: str) -> int:
    """Return a tier's height; 0 for none and for one that the rules do not know any more."""
    return next((place for place, level in enumerate(rules.levels, start=1) if level.name == tier), 0)


def _years_later(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)  # Of a 29 February.
