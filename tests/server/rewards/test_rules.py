"""What points are worth, and how codes are made: the pure rules."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rewards.rules import (
    Offer,
    Sale,
    Standing,
    Terms,
    find_presence_step,
    left_by_card,
    plan_most,
    presence_code,
    presence_step,
    presence_text,
    presence_valid_until,
    split_presence_text,
    voucher_amount,
    voucher_valid_until,
)
from shared.codes import CODE_ALPHABET, is_voucher_code, make_voucher_code, normalise_voucher_code
from shared.rewards import RewardKind, RewardStatus

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
money = st.integers(0, 1_000_000)
points = st.integers(0, 1_000_000)
terms = st.builds(
    Terms,
    step_points=st.integers(1, 1_000),
    step_minor=st.integers(1, 1_000),
    cap_percent=st.integers(0, 100),
    minimum_points=st.integers(0, 1_000),
)
sales = st.builds(Sale, total_minor=money, points_minor=money, vouchers_minor=money)
codes = st.text(CODE_ALPHABET, min_size=11, max_size=11)


@given(terms=terms, sale=sales, points=points)
def test_the_most_is_whole_steps_within_cap_remainder_and_points_or_nothing(
    terms: Terms, sale: Sale, points: int
) -> None:
    most = plan_most(terms, sale, points)
    assert most % terms.step_points == 0
    assert 0 <= most <= points
    assert most == 0 or most >= terms.minimum_points
    paid = terms.money_for(most)
    assert paid <= sale.remainder_minor
    assert paid == 0 or paid + sale.points_minor <= sale.total_minor * terms.cap_percent // 100


@given(terms=terms, sale=sales, points=points)
def test_one_step_more_than_the_most_would_break_a_rule(terms: Terms, sale: Sale, points: int) -> None:
    most = plan_most(terms, sale, points)
    more = max(most + terms.step_points, -(-terms.minimum_points // terms.step_points) * terms.step_points)
    paid = terms.money_for(more)
    cap = sale.total_minor * terms.cap_percent // 100 - sale.points_minor
    assert more > points or paid > sale.remainder_minor or paid > cap


def test_points_pay_exactly_their_share() -> None:
    half = Terms(step_points=50, step_minor=100, cap_percent=50, minimum_points=100)
    assert plan_most(half, Sale(total_minor=2_000), 5_000) == 500
    assert plan_most(half, Sale(total_minor=2_000, points_minor=900), 5_000) == 0
    assert plan_most(half, Sale(total_minor=2_000, vouchers_minor=1_500), 5_000) == 250
    assert plan_most(half, Sale(total_minor=2_000), 149) == 100
    assert plan_most(half, Sale(total_minor=2_000), 99) == 0


@pytest.mark.parametrize(
    ("kind", "value", "percent", "sale", "amount"),
    [
        (RewardKind.AMOUNT_OFF, 500, None, Sale(total_minor=2_000), 500),
        (RewardKind.AMOUNT_OFF, 500, None, Sale(total_minor=300), 300),
        (RewardKind.AMOUNT_OFF, 500, None, Sale(total_minor=2_000, points_minor=2_000), 0),
        (RewardKind.PERCENT_OFF, 500, 10, Sale(total_minor=2_005), 200),
        (RewardKind.PERCENT_OFF, 500, 10, Sale(total_minor=9_000), 500),
        (RewardKind.PRODUCT, 320, None, Sale(total_minor=2_000, vouchers_minor=1_900), 100),
    ],
)
def test_a_voucher_takes_off_its_value_and_never_more_than_is_left(
    kind: RewardKind, value: int, percent: int | None, sale: Sale, amount: int
) -> None:
    assert voucher_amount(kind, value, percent, sale) == amount


def test_what_is_free_is_available_less_held() -> None:
    standing = Standing(
        available=300, held=120, spent_today=150, unproven_today=150, own_limit=200, redemption_held_until=NOW
    )
    assert standing.spendable == 180
    assert standing.left_today == 50
    assert left_by_card(Terms(card_daily_points=200), standing) == 50
    assert not standing.is_held_at(NOW)
    assert standing.is_held_at(NOW - timedelta(microseconds=1))


def test_a_reward_is_offered_in_its_window_while_any_is_left() -> None:
    offer = Offer(
        status=RewardStatus.ACTIVE,
        active_from=NOW,
        active_until=NOW + timedelta(days=1),
        stock=10,
        member_limit=3,
        issued=9,
        issued_to_customer=1,
    )
    assert offer.left == 1
    assert offer.is_open_at(NOW)
    assert not offer.is_open_at(NOW - timedelta(microseconds=1))
    assert not offer.is_open_at(NOW + timedelta(days=1))


def test_a_voucher_is_good_to_the_end_of_its_last_local_day_across_summer_time() -> None:
    # Clocks go forward in London on 29 March 2026.
    evening = datetime(2026, 3, 20, 23, 30, tzinfo=UTC)
    assert voucher_valid_until(evening, 10, "Europe/London") == datetime(2026, 3, 30, 23, 0, tzinfo=UTC)
    assert voucher_valid_until(evening, 1, "Europe/London") == datetime(2026, 3, 22, 0, 0, tzinfo=UTC)
    assert voucher_valid_until(evening, None, "Europe/London") is None


# Codes ----------------------------------------------------------------------------------------------------------------


@given(random=codes)
def test_a_code_is_read_back_however_it_is_typed(random: str) -> None:
    code = make_voucher_code(random)
    plain = code.replace("-", "")
    assert [len(group) for group in code.split("-")] == [4, 4, 4]
    assert not set(plain) & set("ILOU")
    for typed in (code, code.lower(), f" {plain} ", plain.replace("0", "o").replace("1", "l"), plain.replace("1", "I")):
        assert normalise_voucher_code(typed) == plain
        assert is_voucher_code(normalise_voucher_code(typed))


@given(random=codes, place=st.integers(0, 11), other=st.sampled_from(CODE_ALPHABET))
def test_one_wrong_character_is_noticed(random: str, place: int, other: str) -> None:
    plain = make_voucher_code(random).replace("-", "")
    wrong = plain[:place] + other + plain[place + 1 :]
    assert is_voucher_code(wrong) == (wrong == plain)


@given(random=codes, places=st.tuples(st.integers(0, 11), st.integers(0, 11)))
def test_two_swapped_characters_are_noticed(random: str, places: tuple[int, int]) -> None:
    characters = list(make_voucher_code(random).replace("-", ""))
    plain = "".join(characters)
    first, second = places
    characters[first], characters[second] = characters[second], characters[first]
    swapped = "".join(characters)
    assert is_voucher_code(swapped) == (swapped == plain)


# Presence -------------------------------------------------------------------------------------------------------------


@given(secret=st.binary(min_size=32, max_size=32), seconds=st.integers(1_000_000, 4_000_000_000))
def test_digits_are_good_while_shown_and_as_long_again(secret: bytes, seconds: int) -> None:
    shown_at = datetime.fromtimestamp(seconds, UTC)
    step = presence_step(shown_at)
    code = presence_code(secret, step)
    assert len(code) == 8
    assert code.isdigit()
    until = presence_valid_until(step)
    assert timedelta(seconds=30) < until - shown_at <= timedelta(seconds=60)
    assert find_presence_step(secret, code, shown_at) == step
    assert find_presence_step(secret, code, until - timedelta(seconds=1)) == step
    # Other steps show other digits, but for one chance in fifty million.
    assert find_presence_step(secret, code, until) in (None, step + 1, step + 2)


def test_one_scan_holds_card_and_digits() -> None:
    assert split_presence_text(presence_text("29000000000018", "04719358")) == ("29000000000018", "04719358")
    for plain in ("29000000000018", "29000000000018.", "29000000000018.1234567", "2900.١٢٣٤٥٦٧٨", ".", "x.04719358x"):
        assert split_presence_text(plain) == (plain, None)
