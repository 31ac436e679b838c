"""Tiers follow the points of sales, year by year; the best year that still counts decides."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.programmes.standings import Standing, list_windows, next_level, plan_standing, rank
from shared.programmes import Tier, TierRules

LEVELS = (Tier(name="Silver", from_points=100), Tier(name="Gold", from_points=500))
CALENDAR = TierRules(levels=LEVELS)
ROLLING = TierRules(levels=LEVELS, period="rolling_year")
JULY = datetime(2026, 7, 15, 9, 30, tzinfo=UTC)


def test_calendar_years_are_those_of_the_zone() -> None:
    this, last = list_windows(CALENDAR, JULY, "America/New_York")
    assert (this.since, this.until) == (datetime(2026, 1, 1, 5, tzinfo=UTC), datetime(2027, 1, 1, 5, tzinfo=UTC))
    assert this.kept_until == datetime(2028, 1, 1, 5, tzinfo=UTC)
    assert (last.since, last.kept_until) == (datetime(2025, 1, 1, 5, tzinfo=UTC), datetime(2027, 1, 1, 5, tzinfo=UTC))


def test_a_new_year_begins_at_local_midnight() -> None:
    last_moment = datetime(2026, 12, 31, 10, 59, 59, tzinfo=UTC)
    assert list_windows(CALENDAR, last_moment, "Pacific/Auckland")[0].since == datetime(2025, 12, 31, 11, tzinfo=UTC)
    assert list_windows(CALENDAR, datetime(2026, 12, 31, 11, tzinfo=UTC), "Pacific/Auckland")[0].since == datetime(
        2026, 12, 31, 11, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("at", "since", "kept_until"),
    [
        (JULY, datetime(2025, 7, 15, tzinfo=UTC), datetime(2027, 7, 16, tzinfo=UTC)),
        (datetime(2028, 2, 29, 8, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC), datetime(2029, 3, 2, tzinfo=UTC)),
    ],
)
def test_a_rolling_year_ends_now_and_keeps_for_whole_days(at: datetime, since: datetime, kept_until: datetime) -> None:
    (window,) = list_windows(ROLLING, at, "UTC")
    assert (window.since, window.until, window.kept_until) == (since, at, kept_until)


@pytest.mark.parametrize(
    ("points", "tier", "until"),
    [
        ([0, 0], "", None),
        ([99, 0], "", None),
        ([100, 0], "Silver", 2028),
        ([499, 500], "Gold", 2027),
        ([500, 500], "Gold", 2028),
        ([100, 100], "Silver", 2028),
        ([-50, 120], "Silver", 2027),
    ],
)
def test_the_best_year_decides_and_the_latest_of_them_keeps(points: list[int], tier: str, until: int | None) -> None:
    standing = plan_standing(CALENDAR, list_windows(CALENDAR, JULY, "UTC"), points)
    assert standing.tier == tier
    assert standing.until == (None if until is None else datetime(until, 1, 1, tzinfo=UTC))


@given(
    points=st.lists(st.integers(-10, 1000), min_size=3, max_size=3), more=st.integers(0, 1000), place=st.integers(0, 2)
)
def test_more_points_never_mean_a_lower_tier(points: list[int], more: int, place: int) -> None:
    tiers = TierRules(levels=LEVELS, kept_years=2)
    windows = list_windows(tiers, JULY, "Europe/London")
    better = list(points)
    better[place] += more
    before, after = (plan_standing(tiers, windows, each) for each in (points, better))
    assert rank(tiers, after.tier) >= rank(tiers, before.tier)
    assert all(standing.until is None or standing.until > JULY for standing in (before, after))


@pytest.mark.parametrize(
    ("tier", "points", "following"),
    [
        ("", 99, "Silver"),
        ("", 120, "Silver"),
        ("", 600, "Gold"),
        ("Silver", 0, "Gold"),
        ("Silver", 600, "Gold"),
        ("Gold", 0, None),
        ("Gold", 900, None),
    ],
)
def test_the_next_tier_is_above_the_one_of_today(tier: str, points: int, following: str | None) -> None:
    found = next_level(CALENDAR, tier, points)
    assert (found.name if found else None) == following


def test_rules_without_tiers_give_none() -> None:
    assert list_windows(TierRules(), JULY, "UTC") == ()
    assert plan_standing(TierRules(), (), ()) == Standing()
    assert rank(CALENDAR, "Platinum") == 0
