"""What a sale earns is exact, whole, fair to each line, and dated by the shop's own days."""

import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.programmes.rules import (
    EarningLine,
    eligible_from,
    lot_dates,
    plan_earning,
    spread,
    start_of_local_day,
)
from shared.programmes import CategoryRule, EarningRules, Expiry, SkuRule

# Summer time in both hemispheres, half-hour zones, a half-hour change, a midnight change, a day skipped altogether.
ZONES = (
    "UTC",
    "Europe/London",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Santiago",
    "America/Havana",
    "Africa/Cairo",
    "Pacific/Apia",
    "Pacific/Kiritimati",
)
SKIPPED_IN_APIA = date(2011, 12, 30)
CATEGORIES = ("shoes", "Gift cards", "SALE", "")

instants = st.datetimes(datetime(2005, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds are naive
zones = st.sampled_from(ZONES)
money = st.integers(-1_000_000, 1_000_000)
lines = st.builds(EarningLine, category=st.sampled_from(CATEGORIES), net_minor=money, tax_minor=money)
baskets = st.lists(lines, min_size=1, max_size=12)
rule_sets = st.builds(
    EarningRules,
    points=st.integers(0, 1000),
    per_minor=st.integers(1, 10_000),
    basis=st.sampled_from(["net", "gross"]),
    rounding=st.sampled_from(["floor", "half_up"]),
    categories=st.lists(
        st.builds(CategoryRule, category=st.sampled_from(CATEGORIES), percent=st.integers(0, 1000)),
        max_size=3,
        unique_by=lambda rule: rule.category,
    ).map(tuple),
)


def exact_points(basket: list[EarningLine], rules: EarningRules) -> Fraction:
    """Add up a sale by the rule's own words, line by line."""
    percents = {rule.category.casefold(): rule.percent for rule in rules.categories}
    total = Fraction(0)
    for line in basket:
        money_minor = line.net_minor + (line.tax_minor if rules.basis == "gross" else 0)
        percent = percents.get(line.category.casefold(), 100)
        total += Fraction(money_minor, rules.per_minor) * rules.points * Fraction(percent, 100)
    return total


def rounded(value: Fraction, rounding: str) -> int:
    """Round with the decimal module, which is none of ours; 80 digits are far more than these sums have."""
    with localcontext(prec=80):
        number = Decimal(value.numerator) / Decimal(value.denominator)
        return int(number.quantize(Decimal(1), rounding=ROUND_FLOOR if rounding == "floor" else ROUND_HALF_UP))


@given(basket=baskets, rules=rule_sets)
def test_the_shares_of_the_lines_are_whole_and_add_up_to_the_total(
    basket: list[EarningLine], rules: EarningRules
) -> None:
    plan = plan_earning(basket, rules, currency="GBP")
    assert len(plan.lines) == len(basket)
    assert all(type(share.points) is int for share in plan.lines)
    assert sum(share.points for share in plan.lines) == plan.points >= 0


@given(basket=baskets, rules=rule_sets)
def test_the_total_is_the_exact_sum_rounded_once(basket: list[EarningLine], rules: EarningRules) -> None:
    plan = plan_earning(basket, rules, currency="GBP")
    if plan.below_minimum:
        assert plan.points == 0
    else:
        assert plan.points == max(0, rounded(exact_points(basket, rules), rules.rounding))


@given(basket=baskets, rules=rule_sets, seed=st.randoms(use_true_random=False))
def test_the_order_of_the_lines_does_not_change_the_total(
    basket: list[EarningLine], rules: EarningRules, seed: random.Random
) -> None:
    shuffled = list(basket)
    seed.shuffle(shuffled)
    assert plan_earning(basket, rules, currency="GBP").points == plan_earning(shuffled, rules, currency="GBP").points


@given(
    total=st.integers(-50, 5000), shares=st.lists(st.fractions(-500, 500, max_denominator=97), min_size=1, max_size=9)
)
def test_shares_always_add_up(total: int, shares: list[Fraction]) -> None:
    assert sum(spread(total, shares)) == total


@given(shares=st.lists(st.fractions(0, 500, max_denominator=97), min_size=1, max_size=9), half_up=st.booleans())
@example(shares=[Fraction(1, 2)] * 3, half_up=True)
def test_a_share_is_less_than_one_point_from_its_exact_value(shares: list[Fraction], half_up: bool) -> None:
    total = int(sum(shares) + (Fraction(1, 2) if half_up else 0))
    for whole, exact in zip(spread(total, shares), shares, strict=True):
        assert abs(whole - exact) < 1 or (half_up and abs(whole - exact) <= 1)


@given(basket=baskets, category=st.sampled_from(CATEGORIES))
def test_an_excluded_category_adds_nothing(basket: list[EarningLine], category: str) -> None:
    rules = EarningRules(points=3, per_minor=100, categories=(CategoryRule(category=category.upper(), percent=0),))
    others = [line for line in basket if line.category.casefold() != category.casefold()]
    plan = plan_earning(basket, rules, currency="GBP")
    if not plan.below_minimum:
        assert plan.points == max(0, rounded(exact_points(others, EarningRules(points=3, per_minor=100)), "floor"))


@given(net_minor=st.integers(0, 10**9), percent=st.integers(0, 10_000))
def test_a_multiplier_multiplies_before_the_rounding(net_minor: int, percent: int) -> None:
    rules = EarningRules(points=1, per_minor=100, categories=(CategoryRule(category="Shoes", percent=percent),))
    line = EarningLine(category="SHOES", net_minor=net_minor, tax_minor=0)
    assert plan_earning([line], rules, currency="GBP").points == net_minor * percent // 10_000


@given(net_minor=st.integers(0, 10**9), minimum_minor=st.integers(0, 10**9))
def test_a_sale_below_the_minimum_earns_nothing_and_says_so(net_minor: int, minimum_minor: int) -> None:
    rules = EarningRules(points=1, per_minor=1, minimum_minor=minimum_minor)
    plan = plan_earning([EarningLine(category="", net_minor=net_minor, tax_minor=0)], rules, currency="GBP")
    assert (plan.lines[0].rule == "sale below the minimum") == (net_minor < minimum_minor)
    assert plan.points == (0 if net_minor < minimum_minor else net_minor)


@given(line=lines)
def test_the_basis_says_whether_tax_counts(line: EarningLine) -> None:
    earned = {
        basis: plan_earning([line], EarningRules(points=1, per_minor=1, basis=basis), currency="GBP").points
        for basis in ("net", "gross")
    }
    assert earned == {"net": max(0, line.net_minor), "gross": max(0, line.net_minor + line.tax_minor)}


def expected_midnight(day: date, zone: str) -> datetime:
    """Find the first instant of a local day by walking it in UTC, minute by minute around where it must be."""
    tz = ZoneInfo(zone)
    guess = datetime.combine(day, time(), UTC) - timedelta(hours=15)
    at = next(
        guess + timedelta(minutes=30 * i)
        for i in range(100)
        if (guess + timedelta(minutes=30 * i)).astimezone(tz).date() >= day
    )
    while (at - timedelta(minutes=1)).astimezone(tz).date() >= day:
        at -= timedelta(minutes=1)
    return at


@given(at=instants, zone=zones)
@example(at=datetime(2026, 9, 6, 12, tzinfo=UTC), zone="America/Santiago")
@example(at=datetime(2026, 4, 24, 12, tzinfo=UTC), zone="Africa/Cairo")
@example(at=datetime(2026, 10, 25, 0, 30, tzinfo=UTC), zone="Europe/London")
def test_a_local_day_starts_at_its_first_instant(at: datetime, zone: str) -> None:
    start = start_of_local_day(at, zone)
    day = at.astimezone(ZoneInfo(zone)).date()
    assert start.tzinfo is UTC
    assert start <= at
    assert start == expected_midnight(day, zone)
    # The same day all along, and the day before just before it.
    assert start.astimezone(ZoneInfo(zone)).date() == day
    assert (start - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date() < day


@given(enrolled_at=instants, launch_at=instants, zone=zones)
def test_sales_of_the_day_of_enrolment_count_but_none_before_the_launch_day(
    enrolled_at: datetime, launch_at: datetime, zone: str
) -> None:
    start = eligible_from(enrolled_at, launch_at, zone)
    later = max(enrolled_at, launch_at)
    assert start <= later
    assert start.astimezone(ZoneInfo(zone)).date() == later.astimezone(ZoneInfo(zone)).date()


@given(at=instants, zone=zones, pending_days=st.integers(0, 60), expiry_days=st.integers(0, 800))
def test_points_can_be_spent_before_they_lapse_and_for_as_many_whole_days_as_promised(
    at: datetime, zone: str, pending_days: int, expiry_days: int
) -> None:
    rules = EarningRules(points=1, per_minor=1, pending_days=pending_days, expiry=Expiry(kind="days", days=expiry_days))
    dates = lot_dates(at, rules, zone)
    tz = ZoneInfo(zone)
    assert dates.expires_at is not None
    assert dates.expires_at > dates.available_at >= at
    last_moment = (dates.expires_at - timedelta(microseconds=1)).astimezone(tz).date()
    available_on = dates.available_at.astimezone(tz).date()
    promised_on = at.astimezone(tz).date() + timedelta(days=pending_days)
    last_on = promised_on + timedelta(days=expiry_days)
    if zone == "Pacific/Apia" and SKIPPED_IN_APIA in (promised_on, last_on, last_on + timedelta(days=1)):
        return  # Nobody can wait for a day that the calendar left out.
    assert available_on == promised_on
    assert last_moment == last_on


@pytest.mark.parametrize("pending_days", [0, 14])
def test_points_that_never_lapse_have_no_end(pending_days: int) -> None:
    rules = EarningRules(points=1, per_minor=1, pending_days=pending_days)
    assert lot_dates(datetime(2026, 3, 2, tzinfo=UTC), rules, "Europe/London").expires_at is None


def test_sales_of_one_day_share_their_dates_across_the_change_of_clocks() -> None:
    rules = EarningRules(points=1, per_minor=1, pending_days=1, expiry=Expiry(kind="days", days=365))
    # Clocks go back at 01:00 UTC on 25 October 2026, so this local day has 25 hours.
    first, last = datetime(2026, 10, 24, 23, 0, tzinfo=UTC), datetime(2026, 10, 25, 23, 59, tzinfo=UTC)
    assert lot_dates(first, rules, "Europe/London") == lot_dates(last, rules, "Europe/London")
    assert lot_dates(first, rules, "Europe/London").available_at == datetime(2026, 10, 26, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("overlap", "article", "category", "points"),
    [
        ("article", {"percent": 150}, {"percent": 200}, 15),
        ("best", {"percent": 150}, {"percent": 200}, 20),
        ("best", {"points": 30}, {"percent": 200}, 30),
        ("best", {"points": 12}, {"percent": 200}, 20),
        ("sum", {"percent": 150}, {"percent": 200}, 35),
        ("sum", {"points": 7}, {"percent": 200}, 27),
        ("article", {"percent": 150}, {"percent": 0}, 15),
        ("best", {"percent": 150}, {"percent": 0}, 0),
        ("sum", {"percent": 0}, {"percent": 200}, 0),
    ],
)
def test_rules_of_an_article_and_its_category_are_joined_as_the_shop_says(
    overlap: Literal["article", "best", "sum"], article: dict[str, int], category: dict[str, int], points: int
) -> None:
    rules = EarningRules(
        points=1, per_minor=100, basis="net", overlap=overlap,
        categories=(CategoryRule(category="shoes", **category),), skus=(SkuRule(sku="RUN-1", **article),),
    )  # fmt: skip
    line = EarningLine(category="Shoes", sku="RUN-1", net_minor=1_000, tax_minor=0)
    back = EarningLine(category="Shoes", sku="RUN-1", net_minor=-1_000, tax_minor=0, quantity=Decimal(-1))
    plan = plan_earning([line], rules, currency="GBP")
    assert plan.points == points
    assert ("earns no points" in plan.lines[0].rule) == (points == 0)
    # What comes back within the sale takes its points along.
    assert plan_earning([line, back, line], rules, currency="GBP").points == points


@pytest.mark.parametrize(
    ("currency", "per_minor", "words"),
    [("GBP", 150, "1 point per 1.50 GBP"), ("JPY", 100, "1 point per 100 JPY"), ("KWD", 1000, "1 point per 1.000 KWD")],
)
def test_a_rule_says_its_amount_in_the_digits_of_the_currency(currency: str, per_minor: int, words: str) -> None:
    sold = [EarningLine(category="", net_minor=5000, tax_minor=0)]
    plan = plan_earning(sold, EarningRules(points=1, per_minor=per_minor), currency=currency)
    assert plan.lines[0].rule == words
