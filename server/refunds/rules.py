"""What a refund must look like, what it takes back and what it gives back: pure functions."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from math import floor

import msgspec

from server.errors import Invalid, Refused
from server.orders.returns import ReturnedLine, SoldLine, Visit, points_returned, share_of, sum_shares
from server.orders.rules import customer_problems
from shared.limits import ORDER_AHEAD_MAX, ORDER_COMPLETED_FROM
from shared.problems import Code, FieldProblem
from shared.refunds import PosRefund, RefundLine

_QUANTITY_MAX = Decimal(1_000_000)
_QUANTITY_STEP = Decimal("0.001")


class Back(msgspec.Struct, frozen=True, kw_only=True):
    """What of an order is back: all of it or not; `skus` are articles of which nothing of the order is left."""

    is_whole: bool
    skus: frozenset[str]


class RefundPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What one more refund does to an order: points by line that it takes, points of all refunds, what is back then."""

    points_by_line: tuple[tuple[str, int], ...]
    points_returned: int
    back: Back

    @property
    def points(self) -> int:
        """The points that this refund takes."""
        return sum(points for _, points in self.points_by_line)


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """How an order was paid with points: how many, and how much money they stood for."""

    points: int
    amount_minor: int


def check_refund(form: PosRefund, now: datetime) -> None:
    """Refuse a refund whose fields are wrong by themselves.

    Raises:
        Invalid: With every wrong field; TIME_OUT_OF_RANGE for one from the future.
    """
    problems = [*customer_problems(form.customer), *_line_problems(form.lines)]
    if form.completed_at.tzinfo is None:
        problems.append(FieldProblem(field="completed_at", detail="Give the time with its offset from UTC."))
    elif form.completed_at < ORDER_COMPLETED_FROM:
        problems.append(FieldProblem(field="completed_at", detail="This is too long ago."))
    if problems:
        raise Invalid(*problems)
    if form.completed_at > now + ORDER_AHEAD_MAX:
        field = FieldProblem(field="completed_at", detail="This is in the future.")
        raise Invalid(field, code=Code.TIME_OUT_OF_RANGE)


def plan_refund(
    sold: Sequence[SoldLine],
    before: Sequence[ReturnedLine],
    refunded: Sequence[ReturnedLine],
    *,
    points_before: int,
    visit: Visit | None = None,
) -> RefundPlan:
    """Return what one more refund of an order does.

    Args:
        before: All that came back with refunds that are posted.
        refunded: What comes back with this one.
        points_before: The points that have gone with what came back before. They stand, although by the settings of today
            more or fewer would have gone; this refund makes up for what is missing.
        visit: The points that the order earned as a visit; where they go, the first line that comes back bears them.

    Raises:
        Invalid: A line is not one of the order.
        Refused: OVER_REFUND, more would have come back than was sold.
    """
    by_id = {line.line_id: line for line in sold}
    for number, one in enumerate(refunded):
        if one.line_id not in by_id:
            raise Invalid(FieldProblem(field=f"lines[{number}].line_id", detail="The sale has no such line."))
    after = [*before, *refunded]
    shares = sum_shares(sold, after)
    for one in refunded:
        _check_not_over(by_id[one.line_id], after, shares[one.line_id])
    had, has = points_returned(sold, before, visit), points_returned(sold, after, visit)
    points = max(0, sum(has.values()) - points_before)
    return RefundPlan(
        points_by_line=_spread([(one.line_id, has[one.line_id] - had[one.line_id]) for one in refunded], points),
        points_returned=points_before + points,
        back=list_back(sold, after),
    )


def list_back(sold: Sequence[SoldLine], returned: Sequence[ReturnedLine]) -> Back:
    """Return what of an order is back when all these returns are done."""
    shares = sum_shares(sold, returned)
    paid = [line for line in sold if line.gross_minor > 0] or sold
    left = {line.sku for line in sold if shares[line.line_id] < 1}
    return Back(
        is_whole=all(shares[line.line_id] >= 1 for line in paid),
        skus=frozenset({line.sku for line in sold} - left - {""}),
    )


def plan_restored(sold: Sequence[SoldLine], returned: Sequence[ReturnedLine], paid: Paid) -> int:
    """Return how many of the points that paid for an order are back when all these returns are done.

    Each returned part brings back what the till says, else its part of what the points paid: in proportion to what each
    line says was paid with points, or to its money where no line says so.

    Raises:
        Refused: OVER_REFUND, the till would repay more as points than was paid with them.
    """
    if sum(one.points_part_minor or 0 for one in returned) > paid.amount_minor:
        detail = "More would be repaid as points than was paid with them."
        raise Refused(Code.OVER_REFUND, detail, data={"paid_minor": paid.amount_minor})
    if not paid.amount_minor:
        return 0
    weights = {line.line_id: line.points_paid_minor for line in sold}
    if not any(weights.values()):
        weights = {line.line_id: max(0, line.gross_minor) for line in sold}
    whole = sum(weights.values())
    by_id = {line.line_id: line for line in sold}
    value = Fraction(0)
    for one in returned:
        if one.points_part_minor is not None:
            value += one.points_part_minor
        elif one.line_id in by_id and whole:
            value += share_of(by_id[one.line_id], one) * weights[one.line_id] * paid.amount_minor / whole
    return min(paid.points, floor(paid.points * value / paid.amount_minor))


def _spread(shares: Sequence[tuple[str, int]], points: int) -> tuple[tuple[str, int], ...]:
    """Return so many points by line, each line's own as far as they go; the first line bears what is over."""
    spread, left = [], points
    for line_id, share in shares:
        part = min(max(0, share), left)
        spread.append((line_id, part))
        left -= part
    first_id, first = spread[0]
    return ((first_id, first + left), *spread[1:])


def _check_not_over(line: SoldLine, returned: Sequence[ReturnedLine], share: Fraction) -> None:
    money = sum(one.net_minor or 0 for one in returned if one.line_id == line.line_id)
    is_over = money < line.net_minor or money > 0 if line.net_minor < 0 else money > line.net_minor or money < 0
    if share > 1 or is_over:
        detail = f"More of line {line.line_id} would have come back than was sold."
        raise Refused(Code.OVER_REFUND, detail, data={"line_id": line.line_id})


def _line_problems(lines: Sequence[RefundLine]) -> list[FieldProblem]:
    problems = []
    seen: set[str] = set()
    for number, line in enumerate(lines):
        if line.line_id in seen:
            problems.append(FieldProblem(field=f"lines[{number}].line_id", detail="This line is given twice."))
        seen.add(line.line_id)
        if line.quantity is None and line.net_minor is None:
            problems.append(FieldProblem(field=f"lines[{number}].quantity", detail="Give quantity or net_minor."))
        if line.quantity is not None and not _is_quantity(line.quantity):
            detail = "A number above nought and below a million with three decimals at most."
            problems.append(FieldProblem(field=f"lines[{number}].quantity", detail=detail))
    return problems


def _is_quantity(value: Decimal) -> bool:
    # The size is checked first: quantize overflows on 1e999999.
    return value.is_finite() and 0 < value < _QUANTITY_MAX and value == value.quantize(_QUANTITY_STEP)
