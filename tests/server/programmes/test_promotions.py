"""Visits, articles, tiers, promotions and caps: what each adds, when, up to where, and that shares stay exact."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.programmes.rules import EarningLine, EarningPlan, Occasion, needs_history, plan_earning
from shared.enums import SkippedReason
from shared.programmes import (
    WEEKDAYS,
    BonusRules,
    CategoryRule,
    EarningRules,
    Promotion,
    SkuRule,
    Tier,
    TierRules,
)

TUESDAY_NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
CATEGORIES = ("shoes", "Gift cards", "")
SKUS = ("A-1", "B-2", "")
GOLD = TierRules(levels=(Tier(name="Silver", from_points=100), Tier(name="Gold", from_points=500, percent=150)))


def line(net_minor: int = 1000, **fields: Any) -> EarningLine:  # noqa: ANN401
    return EarningLine(**{"category": "shoes", "net_minor": net_minor, "tax_minor": 0, **fields})


def earned(
    *lines: EarningLine,
    occasion: dict[str, Any] | None = None,
    **rules: Any,  # noqa: ANN401
) -> EarningPlan:
    """Plan a sale of a Tuesday noon under a point per 1.00 and more."""
    when = {"completed_at": TUESDAY_NOON, "zone": "Europe/London", "store_code": "high-street", **(occasion or {})}
    rules = {"points": 1, "per_minor": 100, **rules}
    return plan_earning(lines or (line(),), EarningRules(**rules), currency="GBP", occasion=Occasion(**when))


def promotion(**fields: Any) -> tuple[Promotion, ...]:  # noqa: ANN401
    return (Promotion(**{"code": "promo", "name": "Promo", **fields}),)


lines = st.builds(
    EarningLine,
    category=st.sampled_from(CATEGORIES),
    sku=st.sampled_from(SKUS),
    net_minor=st.integers(-200_000, 1_000_000),
    tax_minor=st.integers(0, 100_000),
    quantity=st.decimals(-9, 9, places=3),
    stored_value=st.booleans(),
    points_paid_minor=st.integers(0, 300_000),
)
caps = st.none() | st.integers(0, 2_000)
promotions = st.builds(
    Promotion,
    code=st.sampled_from(["one", "two", "three"]),
    name=st.sampled_from(["Promotion", "Another"]),
    percent=st.integers(0, 500),
    points=st.sampled_from([0, 0, 7, 50]),
    weekdays=st.lists(st.sampled_from(WEEKDAYS), max_size=4).map(tuple),
    from_hour=st.integers(0, 12),
    until_hour=st.integers(12, 24),
    stores=st.sampled_from([(), ("high-street",), ("harbour",)]),
    tiers=st.sampled_from([(), ("Gold",)]),
    categories=st.sampled_from([(), ("SHOES",)]),
    order_points_max=caps,
    member_points_max=caps,
    stop=st.booleans(),
)
rule_sets = st.builds(
    EarningRules,
    points=st.integers(0, 20),
    per_minor=st.integers(1, 1000),
    basis=st.sampled_from(["net", "gross"]),
    rounding=st.sampled_from(["floor", "half_up"]),
    visit_points=st.integers(0, 50),
    visit_minimum_minor=st.integers(0, 100_000),
    categories=st.sampled_from(
        [(), (CategoryRule(category="Shoes", points=3),), (CategoryRule(category="", percent=0),)]
    ),
    skus=st.sampled_from([(), (SkuRule(sku="A-1", percent=250),), (SkuRule(sku="B-2", points=11),)]),
    promotions=st.lists(promotions, max_size=3, unique_by=lambda each: each.code).map(tuple),
    order_points_max=caps,
    day_points_max=caps,
    tiers=st.sampled_from([TierRules(), GOLD]),
)
occasions = st.builds(
    Occasion,
    completed_at=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    zone=st.sampled_from(["UTC", "Europe/London", "Pacific/Kiritimati"]),
    store_code=st.just("high-street"),
    tier=st.sampled_from(["", "Gold"]),
    day_points=st.integers(0, 3_000),
    promotion_points=st.dictionaries(st.sampled_from(["one", "two"]), st.integers(0, 3_000), max_size=2),
)


@given(basket=st.lists(lines, min_size=1, max_size=8), rules=rule_sets, occasion=occasions)
def test_whatever_acts_the_shares_are_whole_and_add_up_and_no_cap_is_passed(
    basket: list[EarningLine], rules: EarningRules, occasion: Occasion
) -> None:
    plan = plan_earning(basket, rules, currency="GBP", occasion=occasion)
    assert all(type(share.points) is int for share in plan.lines)
    assert sum(share.points for share in plan.lines) == plan.points >= 0
    assert (plan.skipped is None) == (plan.points > 0)
    assert all(share.rule for share in plan.lines)
    if rules.order_points_max is not None:
        assert plan.points <= rules.order_points_max
    if rules.day_points_max is not None:
        assert plan.points <= max(0, rules.day_points_max - occasion.day_points)
    by_code = {each.code: each for each in rules.promotions}
    for given_points in plan.promotions:
        acted = by_code[given_points.code]
        if acted.order_points_max is not None:
            assert given_points.points <= acted.order_points_max
        if acted.member_points_max is not None:
            before = occasion.promotion_points.get(acted.code, 0)
            assert given_points.points <= max(0, acted.member_points_max - before)


@given(basket=st.lists(lines, min_size=1, max_size=8), rules=rule_sets, occasion=occasions)
def test_without_caps_the_total_is_that_of_the_exact_rules(
    basket: list[EarningLine], rules: EarningRules, occasion: Occasion
) -> None:
    free = tuple(
        msgspec.structs.replace(each, order_points_max=None, member_points_max=None) for each in rules.promotions
    )
    rules = msgspec.structs.replace(rules, order_points_max=None, day_points_max=None, promotions=free)
    plan = plan_earning(basket, rules, currency="GBP", occasion=occasion)
    value = Fraction(0)
    if sum(counted(each, rules) for each in basket) > 0:
        value = exact_total(basket, rules, occasion) + (Fraction(1, 2) if rules.rounding == "half_up" else 0)
    assert plan.points == max(0, value.numerator // value.denominator)


def counted(sold: EarningLine, rules: EarningRules) -> Fraction:
    """Work out the money of a line that earns, by the words of the rule."""
    if sold.stored_value:
        return Fraction(0)
    gross = sold.net_minor + sold.tax_minor
    paid = Fraction(min(sold.points_paid_minor, abs(gross)), abs(gross)) if gross else Fraction(0)
    return (sold.net_minor if rules.basis == "net" else gross) * (1 - paid)


def exact_total(basket: list[EarningLine], rules: EarningRules, occasion: Occasion) -> Fraction:
    """Add up a sale without looking at how the program does it: line by line, then visit, tier, promotions."""
    bases = [counted(each, rules) for each in basket]
    amounts, sharing = [], []
    for sold, basis in zip(basket, bases, strict=True):
        special = next((each for each in rules.skus if each.sku == sold.sku), None) or next(
            (each for each in rules.categories if each.category.casefold() == sold.category.casefold()), None
        )
        percent = special.percent if special else 100
        amount = basis * rules.points / rules.per_minor * Fraction(percent, 100)
        if special and special.points is not None:
            percent = special.points
            price = sold.net_minor if rules.basis == "net" else sold.net_minor + sold.tax_minor
            amount = special.points * abs(Fraction(sold.quantity)) * (basis / abs(price) if price else 0)
        amounts.append(amount)
        sharing.append(basis > 0 and percent > 0)
    money = sum(basis for basis, shares in zip(bases, sharing, strict=True) if shares)
    if any(sharing) and min(money, sum(bases)) >= rules.visit_minimum_minor:
        amounts = [
            amount + (rules.visit_points * basis / money if shares else 0)
            for amount, basis, shares in zip(amounts, bases, sharing, strict=True)
        ]
    factor = next(
        (Fraction(level.percent, 100) for level in rules.tiers.levels if level.name == occasion.tier), Fraction(1)
    )
    amounts = [amount * factor for amount in amounts]
    local = occasion.completed_at.astimezone(ZoneInfo(occasion.zone))
    for each in rules.promotions:
        chosen = [
            shares and (not each.categories or sold.category.casefold() == "shoes")
            for sold, shares in zip(basket, sharing, strict=True)
        ]
        is_on = (
            any(chosen)
            and each.from_hour <= local.hour < each.until_hour
            and (not each.weekdays or local.strftime("%a").lower() in each.weekdays)
            and each.stores in ((), ("high-street",))
            and (not each.tiers or occasion.tier == "Gold")
        )
        if is_on:
            chosen_money = sum(basis for basis, mine in zip(bases, chosen, strict=True) if mine)
            amounts = [
                amount
                if not mine
                else amount + each.points * basis / chosen_money
                if each.points
                else amount * Fraction(each.percent, 100)
                for amount, basis, mine in zip(amounts, bases, chosen, strict=True)
            ]
            if each.stop:
                break
    return sum(amounts, Fraction(0))


def test_a_visit_earns_its_points_from_its_minimum_on() -> None:
    rules = {"points": 0, "visit_points": 10, "visit_minimum_minor": 500}
    assert earned(line(499), **rules).points == 0
    plan = earned(line(300), line(200), **rules)
    assert [share.points for share in plan.lines] == [6, 4]
    assert plan.lines[0].rule == "no points for money, plus 10 points for the visit"


def test_a_sale_that_came_to_nothing_earns_nothing_and_a_discount_counts_for_the_visit() -> None:
    rules = {"visit_points": 10, "promotions": promotion(points=50)}
    exchange = (line(1000), line(-1000))
    assert (earned(*exchange, **rules).points, earned(*exchange, **rules).skipped) == (0, SkippedReason.BELOW_MINIMUM)
    assert earned(line(1000), line(-400), **rules).points == 66
    rules = {"points": 0, "visit_points": 10, "visit_minimum_minor": 2000}
    assert earned(line(2200), line(-500), **rules).points == 0
    assert earned(line(2200), line(-200), **rules).points == 10


def test_points_of_a_piece_are_earned_by_the_part_that_money_paid() -> None:
    rules = {"points": 0, "skus": (SkuRule(sku="A-1", points=100),)}
    paid = line(1000, tax_minor=200, sku="A-1", quantity=Decimal(2), points_paid_minor=900)
    assert earned(paid, basis="gross", **rules).points == earned(paid, basis="net", **rules).points == 50
    assert earned(msgspec.structs.replace(paid, points_paid_minor=1200), **rules).points == 0


def test_a_promotion_that_a_member_has_used_up_lets_the_next_one_act() -> None:
    first = Promotion(code="first", name="First", percent=200, member_points_max=20, stop=True)
    last = Promotion(code="last", name="Last", points=5)
    assert earned(promotions=(first, last), occasion={"promotion_points": {"first": 19}}).points == 11
    plan = earned(promotions=(first, last), occasion={"promotion_points": {"first": 20}})
    assert (plan.points, plan.lines[0].rule) == (15, "1 point per 1.00 GBP, plus 5 points for 'Last'")


def test_an_article_goes_before_its_category() -> None:
    rules = {"skus": (SkuRule(sku="A-1", points=5),), "categories": (CategoryRule(category="shoes", percent=300),)}
    plan = earned(line(1000, sku="A-1", quantity=Decimal(3)), line(1000), **rules)
    assert [share.points for share in plan.lines] == [15, 30]
    assert plan.lines[0].rule == "5 points a piece for 'A-1'"
    assert plan.lines[1].rule == "1 point per 1.00 GBP, 300 % for 'shoes'"


def test_a_piece_that_comes_back_in_the_same_sale_takes_its_points_along() -> None:
    rules = {"points": 0, "skus": (SkuRule(sku="A-1", points=5),)}
    assert (
        earned(line(sku="A-1", quantity=Decimal(3)), line(-667, sku="A-1", quantity=Decimal(-2)), **rules).points == 5
    )


@pytest.mark.parametrize(
    ("sold", "skipped"),
    [
        (line(stored_value=True), SkippedReason.STORED_VALUE),
        (line(points_paid_minor=1000), SkippedReason.PAID_WITH_POINTS),
        (line(category="tobacco"), SkippedReason.EXCLUDED_ITEMS),
        (line(50), SkippedReason.BELOW_MINIMUM),
    ],
)
def test_what_never_earns_says_so(sold: EarningLine, skipped: SkippedReason) -> None:
    plan = earned(sold, categories=(CategoryRule(category="Tobacco", percent=0),), visit_points=0)
    assert (plan.points, plan.skipped) == (0, skipped)


def test_points_that_paid_a_part_pay_price_and_tax_alike() -> None:
    sold = line(1000, tax_minor=200, points_paid_minor=600)
    assert earned(sold, basis="gross").points == 6
    assert earned(sold, basis="net").points == 5
    assert earned(sold).lines[0].rule == "1 point per 1.00 GBP, without what was paid with points"


def test_the_tier_multiplies_and_says_so() -> None:
    plan = earned(tiers=GOLD, occasion={"tier": "Gold"})
    assert (plan.points, plan.lines[0].rule) == (15, "1 point per 1.00 GBP, 150 % for Gold")
    assert earned(tiers=GOLD, occasion={"tier": "Silver"}).points == 10
    assert earned(tiers=GOLD, occasion={"tier": "gone"}).points == 10


@pytest.mark.parametrize(
    ("fields", "at", "is_on"),
    [
        ({"from_at": TUESDAY_NOON}, TUESDAY_NOON, True),
        ({"from_at": TUESDAY_NOON}, TUESDAY_NOON - timedelta(microseconds=1), False),
        ({"until_at": TUESDAY_NOON}, TUESDAY_NOON, False),
        ({"until_at": TUESDAY_NOON}, TUESDAY_NOON - timedelta(microseconds=1), True),
        ({"weekdays": ("tue",)}, TUESDAY_NOON, True),
        ({"weekdays": ("mon", "wed")}, TUESDAY_NOON, False),
        # London is an hour ahead of UTC in July, so this is Wednesday there.
        ({"weekdays": ("wed",)}, datetime(2026, 7, 7, 23, 30, tzinfo=UTC), True),
        ({"from_hour": 13, "until_hour": 14}, datetime(2026, 7, 7, 12, 59, tzinfo=UTC), True),
        ({"from_hour": 13, "until_hour": 14}, datetime(2026, 7, 7, 13, 0, tzinfo=UTC), False),
        ({"stores": ("harbour",)}, TUESDAY_NOON, False),
        ({"tiers": ("Gold",)}, TUESDAY_NOON, False),
        ({"categories": ("hats",)}, TUESDAY_NOON, False),
    ],
)
def test_a_promotion_counts_in_its_window_only(fields: dict[str, Any], at: datetime, is_on: bool) -> None:
    plan = earned(promotions=promotion(percent=300, **fields), occasion={"completed_at": at})
    assert plan.points == (30 if is_on else 10)


def test_promotions_act_in_their_order_and_stop_where_one_says_so() -> None:
    double = Promotion(code="double", name="Double", percent=200)
    plus = Promotion(code="plus", name="Plus", points=5)
    assert earned(promotions=(double, plus)).points == 25
    assert earned(promotions=(plus, double)).points == 30
    first = msgspec.structs.replace(double, stop=True)
    plan = earned(promotions=(first, plus))
    assert (plan.points, [each.code for each in plan.promotions]) == (20, ["double"])
    assert plan.lines[0].rule == "1 point per 1.00 GBP, 200 % for 'Double'"


def test_a_promotion_gives_no_more_than_its_caps() -> None:
    capped = promotion(percent=300, order_points_max=12, member_points_max=20)
    assert earned(promotions=capped).points == 22
    plan = earned(promotions=capped, occasion={"promotion_points": {"promo": 15}})
    assert (plan.points, plan.promotions[0].points) == (15, 5)
    assert plan.lines[0].rule == "1 point per 1.00 GBP, 300 % for 'Promo', at most 5"
    assert earned(promotions=capped, occasion={"promotion_points": {"promo": 99}}).points == 10


def test_caps_of_sale_and_day_take_from_every_line_alike() -> None:
    plan = earned(line(3000), line(1000), order_points_max=20)
    assert [share.points for share in plan.lines] == [15, 5]
    assert plan.lines[0].rule == "1 point per 1.00 GBP, no more than 20 points for one sale"
    plan = earned(line(3000), line(1000), day_points_max=100, occasion={"day_points": 92})
    assert [share.points for share in plan.lines] == [6, 2]
    plan = earned(day_points_max=100, occasion={"day_points": 100})
    assert (plan.points, plan.skipped) == (0, SkippedReason.CAP_REACHED)


def test_what_a_cap_takes_is_not_counted_as_given_by_a_promotion() -> None:
    plan = earned(promotions=promotion(percent=300), order_points_max=12)
    assert (plan.points, plan.promotions[0].points) == (12, 2)


@pytest.mark.parametrize(
    "rules",
    [
        {"day_points_max": 10},
        {"tiers": GOLD},
        {"promotions": promotion(percent=200, member_points_max=10)},
        {"promotions": promotion(percent=200, tiers=("Gold",))},
        {"bonuses": BonusRules(first_purchase=10)},
        {"bonuses": BonusRules(referrer=10)},
    ],
)
def test_rules_that_look_at_the_member_say_so(rules: dict[str, Any]) -> None:
    assert needs_history(EarningRules(points=1, per_minor=100, **rules))


def test_rules_that_look_at_the_sale_alone_say_so() -> None:
    assert not needs_history(
        EarningRules(
            points=1,
            per_minor=100,
            promotions=promotion(percent=200),
            order_points_max=9,
            bonuses=BonusRules(sign_up=5, birthday=5),
        )
    )


def test_rules_stored_before_there_were_promotions_still_read() -> None:
    old = b'{"basis":"net","categories":[{"category":"coffee","percent":200}],"expiry":{"days":365,"kind":"days"},"minimum_minor":0,"pending_days":0,"per_minor":100,"points":1,"rounding":"floor"}'
    rules = msgspec.json.decode(old, type=EarningRules)
    assert rules.categories == (CategoryRule(category="coffee", percent=200),)
    assert rules.promotions == ()
    assert not needs_history(rules)
