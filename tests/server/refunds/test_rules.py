"""Whatever the parts and their order, what they take and give back adds up to the same, and to all at the end."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import Refused
from server.orders.returns import ReturnedLine, SoldLine, points_returned, spread_points, sum_shares
from server.refunds.rules import Paid, plan_refund, plan_restored
from shared.problems import Code

_POINTS = st.integers(-50, 500)


@st.composite
def sales_and_parts(draw: st.DrawFn) -> tuple[list[SoldLine], list[ReturnedLine]]:
    """Return a sale, and parts that make up all of it, in any order."""
    sold, parts = [], []
    for number in range(draw(st.integers(1, 4))):
        steps = draw(st.integers(1, 12))
        net = draw(st.integers(1, 40)) * steps
        line_id = str(number)
        points = draw(_POINTS) if number else draw(st.integers(200, 500))
        sold.append(SoldLine(line_id=line_id, quantity=Decimal(steps), net_minor=net, gross_minor=net, points=points))
        left = steps
        while left:
            some = draw(st.integers(1, left))
            left -= some
            if draw(st.booleans()):
                parts.append(ReturnedLine(line_id=line_id, quantity=Decimal(some), net_minor=net // steps * some))
            else:
                parts.append(ReturnedLine(line_id=line_id, net_minor=net // steps * some))
    return sold, draw(st.permutations(parts))


@given(sales_and_parts(), st.integers(1, 999), st.integers(1, 9_999))
def test_parts_in_any_order_take_all_that_was_earned_and_never_more(
    sale: tuple[list[SoldLine], list[ReturnedLine]], spent: int, amount: int
) -> None:
    sold, parts = sale
    earned = sum(spread_points([line.points for line in sold]))
    taken = restored = 0
    paid = Paid(points=spent, amount_minor=amount)
    for number, part in enumerate(parts):
        plan = plan_refund(sold, parts[:number], [part], points_before=taken)
        assert plan.points >= 0
        assert plan.back.is_whole is (number == len(parts) - 1)
        taken += plan.points
        assert plan.points_returned == taken <= earned
        now = plan_restored(sold, parts[: number + 1], paid)
        assert restored <= now <= spent
        restored = now
    assert (taken, restored) == (max(0, sum(line.points for line in sold)), spent)
    for one in parts:
        with pytest.raises(Refused) as refused:
            plan_refund(sold, parts, [one], points_before=taken)
        assert refused.value.code is Code.OVER_REFUND


@given(sales_and_parts(), st.data())
def test_what_came_back_counts_whatever_the_order_it_came_in(
    sale: tuple[list[SoldLine], list[ReturnedLine]], data: st.DataObject
) -> None:
    sold, parts = sale
    some = parts[: data.draw(st.integers(0, len(parts)))]
    assert points_returned(sold, some) == points_returned(sold, data.draw(st.permutations(some)))


@given(st.lists(_POINTS, min_size=1, max_size=8))
def test_spread_points_keep_their_sum_and_none_is_negative(points: list[int]) -> None:
    spread = spread_points(points)
    assert sum(spread) == max(0, sum(points))
    assert all(0 <= after <= max(0, before) for before, after in zip(points, spread, strict=True))


def test_a_line_without_discounts_keeps_its_share() -> None:
    assert spread_points([3, 0, 7]) == [3, 0, 7]
    assert spread_points([10, 10, -5]) == [7, 8, 0]
    assert spread_points([0, -5]) == [0, 0]


def test_what_the_sale_has_not_is_more_than_was_sold() -> None:
    gift = SoldLine(line_id="1", quantity=Decimal(0), net_minor=0, points=0)
    for returned in (ReturnedLine(line_id="1", quantity=Decimal(1)), ReturnedLine(line_id="1", net_minor=1)):
        assert sum_shares([gift], [returned])["1"] > 1
    nothing = ReturnedLine(line_id="1", net_minor=0)
    assert sum_shares([gift], [nothing, ReturnedLine(line_id="9", net_minor=5)]) == {"1": Fraction(0)}
