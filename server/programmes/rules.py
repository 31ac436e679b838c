"""What a sale earns: pure functions over the programme's rules. Fractions of points are exact until the one rounding."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from fractions import Fraction
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

Percent = Annotated[int, Meta(ge=0, le=10_000)]

HUNDRED_PERCENT = 100


class CategoryRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A category that earns more, less or nothing: 200 doubles, 0 excludes."""

    category: str
    percent: Percent


class Expiry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When points lapse: never, or `days` after they were earned, at the end of that local day."""

    kind: Literal["never", "days"] = "never"
    days: Annotated[int, Meta(ge=0, le=36_500)] = 0


class EarningRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of one version.

    `points` are earned for every `per_minor` of the basis, which is the lines' money without tax (`net`) or with it
    (`gross`). The sum of the order is rounded once; the shares of its lines are whole and add up to it exactly.
    """

    points: Annotated[int, Meta(ge=0, le=1_000_000)]
    per_minor: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    basis: Literal["net", "gross"] = "gross"
    rounding: Literal["floor", "half_up"] = "floor"
    minimum_minor: Annotated[int, Meta(ge=0)] = 0
    categories: tuple[CategoryRule, ...] = ()
    pending_days: Annotated[int, Meta(ge=0, le=365)] = 0
    expiry: Expiry = Expiry()


class EarningLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules look at of one line of a sale; money in minor units, net without tax."""

    category: str
    net_minor: int
    tax_minor: int


class LineShare(msgspec.Struct, frozen=True):
    """A line's whole points and the rule in words."""

    points: int
    rule: str


class EarningPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a sale earns: the order's points and each line's share, in the order of the lines."""

    points: int
    lines: tuple[LineShare, ...]
    below_minimum: bool = False


class LotDates(msgspec.Struct, frozen=True, kw_only=True):
    """From when points can be spent, and until when (None: for ever)."""

    available_at: datetime
    expires_at: datetime | None


def plan_earning(lines: Sequence[EarningLine], rules: EarningRules, *, currency: str) -> EarningPlan:
    """Return what a sale earns under the rules.

    A sale below `minimum_minor`, or one whose money is not positive, earns nothing.
    """
    bases = [line.net_minor + (line.tax_minor if rules.basis == "gross" else 0) for line in lines]
    percents = [_percent_of(line.category, rules) for line in lines]
    below_minimum = sum(bases) < rules.minimum_minor
    if below_minimum:
        return EarningPlan(
            points=0, lines=tuple(LineShare(0, "sale below the minimum") for _ in lines), below_minimum=True
        )
    exact = [
        Fraction(basis * rules.points * percent, rules.per_minor * HUNDRED_PERCENT)
        for basis, percent in zip(bases, percents, strict=True)
    ]
    total = max(0, _round(sum(exact, Fraction(0)), rules.rounding))
    shares = spread(total, exact) if total else [0] * len(lines)
    words = _base_words(rules, currency)
    return EarningPlan(
        points=total,
        lines=tuple(
            LineShare(share, _rule_words(words, line.category, percent))
            for share, line, percent in zip(shares, lines, percents, strict=True)
        ),
    )


def spread(total: int, exact: Sequence[Fraction]) -> list[int]:
    """Return whole shares that add up to `total`, each as near to its exact value as can be (largest remainder)."""
    shares = [value.numerator // value.denominator for value in exact]
    missing = total - sum(shares)
    by_remainder = sorted(range(len(exact)), key=lambda i: (shares[i] - exact[i], i))
    step = 1 if missing > 0 else -1
    for i in range(abs(missing)):
        # Rounding half up can ask for one more than there are remainders, hence the turn-around.
        shares[by_remainder[i % len(exact)]] += step
    return shares


def start_of_local_day(at: datetime, zone: str) -> datetime:
    """Return the first instant of the local day that holds `at`."""
    return _local_midnight(at, zone, 0)


def eligible_from(enrolled_at: datetime, launch_at: datetime, zone: str) -> datetime:
    """Return the first instant at which a sale counts: the start of the later of both local days."""
    return start_of_local_day(max(enrolled_at, launch_at), zone)


def lot_dates(earned_at: datetime, rules: EarningRules, zone: str) -> LotDates:
    """Return when points earned at an instant become available and when they lapse.

    Days are local days, so that a lot lapses at midnight at the shop, summer time or not; lots of one day share their
    dates.
    """
    available_at = earned_at
    if rules.pending_days:
        available_at = _local_midnight(earned_at, zone, rules.pending_days)
    expires_at = None
    if rules.expiry.kind == "days":
        # The whole last day still counts, hence the midnight after it; never before they can be spent.
        expires_at = _local_midnight(max(earned_at, available_at), zone, rules.expiry.days + 1)
    return LotDates(available_at=available_at, expires_at=expires_at)


def _local_midnight(at: datetime, zone: str, days_later: int) -> datetime:
    tz = ZoneInfo(zone)
    midnight = datetime.combine(at.astimezone(tz).date() + timedelta(days=days_later), time(), tz)
    # In UTC, because Python compares two times of one zone by their clock faces, and a midnight that the change to
    # summer time skips equals nothing at all.
    return midnight.astimezone(UTC)


def _percent_of(category: str, rules: EarningRules) -> int:
    wanted = category.casefold()
    return next((rule.percent for rule in rules.categories if rule.category.casefold() == wanted), HUNDRED_PERCENT)


def _round(value: Fraction, rounding: str) -> int:
    half = Fraction(1, 2) if rounding == "half_up" else Fraction(0)
    shifted = value + half
    return shifted.numerator // shifted.denominator


def _base_words(rules: EarningRules, currency: str) -> str:
    money = f"{rules.per_minor // 100}.{rules.per_minor % 100:02}"
    unit = "point" if rules.points == 1 else "points"
    return f"{rules.points} {unit} per {money} {currency}"


def _rule_words(base: str, category: str, percent: int) -> str:
    if percent == HUNDRED_PERCENT:
        return base
    if percent == 0:
        return f"'{category}' earns no points"
    return f"{base}, {percent} % for '{category}'"
