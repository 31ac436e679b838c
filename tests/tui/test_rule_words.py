"""Rules in words, what changed between two, and the short ways to type them: what is read is what was written."""

import json
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.programmes import (
    BonusRules,
    CategoryRule,
    EarningRules,
    Expiry,
    Promotion,
    SkuRule,
    Tier,
    TierRules,
)
from tests.tui.test_safe import HOSTILE_NAMES
from tui.rule_words import (
    differences,
    headline,
    read_categories,
    read_count,
    read_day,
    read_expiry,
    read_instant,
    read_money,
    read_skus,
    read_tiers,
    rule_readings,
    survives,
    write_expiry,
    write_goods,
    write_money,
    write_tiers,
)
from tui.safe import plain
from tui.screens.rules_text import WrongText, read_rules, write_rules

LONDON = ZoneInfo("Europe/London")
PLAIN = EarningRules(points=1, per_minor=100)
RICH = EarningRules(
    points=2,
    per_minor=150,
    basis="net",
    rounding="half_up",
    minimum_minor=500,
    visit_points=5,
    visit_minimum_minor=1_000,
    categories=(CategoryRule(category="gift cards", percent=0), CategoryRule(category="books", percent=200)),
    skus=(SkuRule(sku="ART-17", points=10),),
    overlap="best",
    promotions=(
        Promotion(
            code="spring",
            name="Spring",
            percent=300,
            from_at=datetime(2026, 3, 31, 23, tzinfo=UTC),
            weekdays=("sat", "sun"),
            from_hour=9,
            until_hour=12,
            stores=("high-street",),
            tiers=("Silver",),
            order_points_max=100,
            member_points_max=500,
            stop=True,
        ),
    ),
    order_points_max=1_000,
    day_points_max=2_000,
    tiers=TierRules(levels=(Tier(name="Silver", from_points=500, percent=150),), kept_years=2),
    bonuses=BonusRules(sign_up=50, referrer=100),
    pending_days=14,
    expiry=Expiry(kind="fixed_day", month=3, day=31, years=1),
)


def test_rules_are_read_in_words() -> None:
    assert headline(PLAIN, "GBP") == "1 point per 1.00 GBP"
    assert headline(RICH, "GBP") == (
        "2 points per 1.50 GBP, 5 for each sale, Silver ×1.5, no points on gift cards, 1 promotion"
    )
    told = dict(rule_readings(RICH, currency="GBP", zone=LONDON))
    assert told["Money"] == "2 points for every 1.50 GBP, without tax, rounded to the nearest point"
    assert told["Visit"] == "5 points more for each sale of at least 10.00 GBP"
    assert told["Category books"] == "double points"
    assert told["Article ART-17"] == "10 points for each piece"
    # 23:00 UTC on 31 March is the beginning of 1 April in London, as it is summer there.
    assert told["Promotion Spring"] == (
        "triple points, from 2026-04-01, on Sat and Sun, from 9:00 to 12:00, in high-street, for Silver, "
        "at most 100 a sale, at most 500 a member, then no further promotion"
    )
    assert told["Tiers"] == "by the points of sales in the calendar year, kept for 2 years"
    assert told["Lapse"] == "on the next 31 Mar, 1 year later"
    assert told["Can be spent"] == "after 14 days"


def test_differences_name_what_changed_and_nothing_else() -> None:
    assert differences(RICH, RICH, currency="GBP", zone=LONDON) == []
    found = {what: (then, now) for what, then, now in differences(PLAIN, RICH, currency="GBP", zone=LONDON)}
    assert found["Category gift cards"] == ("–", "no points")
    assert found["Can be spent"] == ("at once", "after 14 days")
    assert found["Bonus"] == ("–", "50 points for signing up, once; 100 points for bringing a friend, once")


@pytest.mark.parametrize(
    "expiry",
    [
        Expiry(),
        Expiry(kind="days", days=365),
        Expiry(kind="inactivity", days=180),
        Expiry(kind="month_end"),
        Expiry(kind="month_end", months=12),
        Expiry(kind="year_end", years=1),
        Expiry(kind="fixed_day", month=3, day=31),
        Expiry(kind="fixed_day", month=12, day=1, years=2),
    ],
)
def test_every_way_to_lapse_is_read_as_it_is_written(expiry: Expiry) -> None:
    assert read_expiry(write_expiry(expiry)) == expiry


_NAMES = st.text(min_size=1, max_size=12)
_GOODS = st.builds(CategoryRule, category=_NAMES, percent=st.integers(0, 10_000)) | st.builds(
    CategoryRule, category=_NAMES, points=st.integers(0, 1_000_000)
)


@given(st.lists(_GOODS, max_size=4).map(tuple))
def test_the_short_way_loses_nothing_or_is_not_used(rules: tuple[CategoryRule, ...]) -> None:
    written = write_goods(rules)
    if survives(written, read_categories, rules):
        assert read_categories(written) == rules
    else:
        # Only names that the short way has no room for.
        assert any(
            ";" in rule.category or rule.category != rule.category.strip() or any(c.isspace() for c in rule.category)
            or "%" in rule.category
            for rule in rules
        )  # fmt: skip


def test_the_short_way_reads_what_people_type() -> None:
    assert read_categories("books 200%; gift cards 0 % ;sandwich 5 points;") == (
        CategoryRule(category="books", percent=200),
        CategoryRule(category="gift cards", percent=0),
        CategoryRule(category="sandwich", points=5),
    )
    assert read_skus("ART-17 1 point") == (SkuRule(sku="ART-17", points=1),)
    levels = (Tier(name="Silver", from_points=500, percent=150), Tier(name="Gold", from_points=2000))
    assert read_tiers("Silver from 500 at 150 %; Gold from 2000") == levels
    assert read_tiers(write_tiers(levels)) == levels
    for reader, text in ((read_categories, "books"), (read_tiers, "Silver 500"), (read_skus, "A-1 many points")):
        with pytest.raises(ValueError, match="is not like"):
            reader(text)


@given(st.integers(0, 10**9), st.sampled_from((0, 2, 3)))
def test_money_is_read_as_it_is_written(minor: int, digits: int) -> None:
    assert read_money(write_money(minor, digits), digits) == minor


def test_what_is_typed_is_read_or_refused() -> None:
    assert (read_money("12,5", 2), read_money("7", 2), read_count("1,200")) == (1250, 700, 1200)
    for text in ("12.345", "-1", "1e3", "", "٣", "1.2.3"):
        with pytest.raises(ValueError, match=r"amount|decimals"):
            read_money(text, 2)
    assert read_day("2026-04-01") == read_day("1.4.2026") == read_day("1/4/2026") == date(2026, 4, 1)
    for text in ("31.2.2026", "1.4.26", "tomorrow", ""):
        with pytest.raises(ValueError, match="day"):
            read_day(text)
    assert read_instant("1.4.2026", LONDON) == datetime(2026, 3, 31, 23, tzinfo=UTC)
    assert read_instant("1.12.2026 6:30", LONDON) == datetime(2026, 12, 1, 6, 30, tzinfo=UTC)
    with pytest.raises(ValueError, match="time"):
        read_instant("1.4.2026 25:00", LONDON)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_rules_as_text_say_the_same_and_hold_nothing_that_drives_a_terminal(name: str) -> None:
    name = name.encode("utf-8", "replace").decode()[:80]
    rules = EarningRules(
        points=1, per_minor=100, promotions=(Promotion(code="p", name=name, percent=200),), visit_points=3
    )
    text = write_rules(rules)
    assert read_rules(text) == rules
    assert all(plain(line) == line for line in text.split("\n"))


def test_text_that_is_no_rules_is_refused_with_its_field_and_line() -> None:
    text = write_rules(RICH)
    body = json.loads(text)
    body["promotions"].append({"code": "x", "name": "X", "percent": "double"})
    with pytest.raises(WrongText, match=r"promotions\[1\]\.percent: Expected `int`, got `str`") as caught:
        read_rules(json.dumps(body, indent=2))
    wrong_line = json.dumps(body, indent=2).split("\n")[caught.value.line - 1]
    assert wrong_line.strip() == '"percent": "double"'
    with pytest.raises(WrongText, match="Line 3 is no JSON") as caught:
        read_rules('{\n  "points": 1,\n  "per_minor" 100\n}')
    assert caught.value.line == 3
    with pytest.raises(WrongText, match="unknown field `bonus`"):
        read_rules('{"points": 1, "per_minor": 100, "bonus": 3}')
    with pytest.raises(WrongText, match="per_minor"):
        read_rules('{"points": 1, "per_minor": 0}')
