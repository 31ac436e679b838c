"""How much of a sale has come back and how many of its points go with that: pure functions over plain values."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import floor

import msgspec

# More of a line than there is: pieces of one that was sold without any, money of one that cost nothing.
_TOO_MUCH = Fraction(2)


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """What of an order's points it earned as a visit: they do not belong to any line.

    They are kept until everything has come back; with `is_clawed` also no longer than the lines that earn are worth
    `minimum_minor`, by their net or gross money.
    """

    points: int
    minimum_minor: int = 0
    is_clawed: bool = True
    is_gross: bool = False


class SoldLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an order as it stands; `points` is its whole-point share of what the order earned."""

    line_id: str
    sku: str = ""
    quantity: Decimal
    net_minor: int
    gross_minor: int = 0
    points: int
    points_paid_minor: int = 0


class ReturnedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a line that came back: so many pieces, or so much of its money where no quantity is given.

    `points_part_minor` is how much of it was repaid as points, None for a part in proportion.
    """

    line_id: str
    quantity: Decimal | None = None
    net_minor: int | None = None
    points_part_minor: int | None = None


def share_of(line: SoldLine, returned: ReturnedLine) -> Fraction:
    """Return which part of a line came back with one return: 1 is all of it, more is more than was sold."""
    if returned.quantity is not None:
        return Fraction(returned.quantity) / Fraction(line.quantity) if line.quantity > 0 else _TOO_MUCH
    money = returned.net_minor or 0
    if not money:
        return Fraction(0)
    share = Fraction(money, line.net_minor) if line.net_minor else _TOO_MUCH
    return share if share > 0 else _TOO_MUCH


def sum_shares(lines: Sequence[SoldLine], returned: Sequence[ReturnedLine]) -> dict[str, Fraction]:
    """Return by line which part of it came back in all. Returns of lines that the order has no more are left out."""
    shares = {line.line_id: Fraction(0) for line in lines}
    by_id = {line.line_id: line for line in lines}
    for one in returned:
        if one.line_id in by_id:
            shares[one.line_id] += share_of(by_id[one.line_id], one)
    return shares


def points_returned(
    lines: Sequence[SoldLine], returned: Sequence[ReturnedLine], visit: Visit | None = None
) -> dict[str, int]:
    """Return by line how many points go with all that came back: the share rounded down, all with the last piece.

    It is worked out from the sum of all returns, so that their order and number do not matter.

    Args:
        visit: The part of the points that goes with the visit and not with the lines it was spread over.
    """
    shares = {line_id: min(share, Fraction(1)) for line_id, share in sum_shares(lines, returned).items()}
    spread = spread_points([line.points for line in lines])
    of_visit = _part_of(spread, visit.points) if visit else [0] * len(lines)
    is_over = visit is not None and _is_visit_over(lines, shares, visit)
    return {
        line.line_id: floor((points - part) * shares[line.line_id]) + (part if is_over else 0)
        for line, points, part in zip(lines, spread, of_visit, strict=True)
    }


def _is_visit_over(lines: Sequence[SoldLine], shares: dict[str, Fraction], visit: Visit) -> bool:
    earning = [line for line in lines if line.points > 0]
    if all(shares[line.line_id] == 1 for line in earning):
        return True
    money = sum(
        ((line.gross_minor if visit.is_gross else line.net_minor) * (1 - shares[line.line_id]) for line in earning),
        Fraction(0),
    )
    return visit.is_clawed and money < visit.minimum_minor


def _part_of(points: Sequence[int], part: int) -> list[int]:
    """Return how a part of points lies among them, in proportion."""
    total, before, parts = sum(points), 0, []
    part = min(part, total)
    for one in points:
        after = before + one
        parts.append(after * part // total - before * part // total if total else 0)
        before = after
    return parts


def spread_points(points: Sequence[int]) -> list[int]:
    """Return shares with the same sum of which none is negative: a discount's line lowers the others in proportion.

    Else the discounted goods would take more points back than the sale earned.
    """
    positive, total = sum(one for one in points if one > 0), max(0, sum(points))
    spread, before = [], 0
    for one in points:
        after = before + max(0, one)
        spread.append(after * total // positive - before * total // positive if positive else 0)
        before = after
    return spread
