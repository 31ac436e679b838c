"""What a sale earns: pure functions over the programme's rules. Fractions of points are exact until the one rounding."""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import assert_never
from zoneinfo import ZoneInfo

import msgspec

from shared.enums import SkippedReason
from shared.money import money
from shared.pos import PosLine
from shared.programmes import WEEKDAYS, CategoryRule, EarningRules, Expiry, Promotion, SkuRule

HUNDRED_PERCENT = 100

_MONTHS = 12
_LONGEST_MONTH = 31

_STORED_VALUE_WORDS = "gift cards and other stored value earn no points"
_POINT_PAID_WORDS = "what is paid with points earns no points"

_RULEBOOKS_MAX = 16
_MIDNIGHTS_MAX = 4_096


class EarningLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules look at of one line of a sale, named as on a till's line; money in minor units, net without tax.

    `stored_value` marks a gift card or the like, `points_paid_minor` is the money of the line, tax included, that was
    paid with points.
    """

    category: str
    net_minor: int
    tax_minor: int
    sku: str = ""
    quantity: Decimal = Decimal(1)
    stored_value: bool = False
    points_paid_minor: int = 0


class Occasion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """When and where a sale was made, and by whom.

    `day_points` are those of the member's other sales of the same local day, `promotion_points` what each promotion has
    given the member before.
    """

    completed_at: datetime
    zone: str
    store_code: str
    tier: str = ""
    day_points: int = 0
    promotion_points: Mapping[str, int] = {}


class LineShare(msgspec.Struct, frozen=True, gc=False):
    """A line's whole points and the rule in words."""

    points: int
    rule: str


class PromotionPoints(msgspec.Struct, frozen=True):
    """What a promotion added to a sale."""

    code: str
    points: int


class EarningPlan(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a sale earns: the order's points, each line's share in the order of the lines, and of it the promotions' part.

    `skipped` says why there is nothing, if there is nothing.
    """

    points: int
    lines: tuple[LineShare, ...]
    promotions: tuple[PromotionPoints, ...] = ()
    skipped: SkippedReason | None = None

    @property
    def below_minimum(self) -> bool:
        """Whether the sale is too small to earn anything."""
        return self.skipped is SkippedReason.BELOW_MINIMUM


class LotDates(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """From when points can be spent, and until when (None: for ever).

    With `idle_days` they lapse so many days after the member was last active, and `expires_at` is the earliest time.
    """

    available_at: datetime
    expires_at: datetime | None
    idle_days: int | None = None


def needs_history(rules: EarningRules) -> bool:
    """Return whether what a sale earns, or sets off, depends on more of the member than the sale itself."""
    bonuses = rules.bonuses
    return bool(
        rules.day_points_max is not None
        or rules.tiers.levels
        or bonuses.first_purchase
        or bonuses.referrer
        or bonuses.referred
        or any(promotion.member_points_max is not None or promotion.tiers for promotion in rules.promotions)
    )


def plan_earning(
    lines: Sequence[EarningLine | PosLine], rules: EarningRules, *, currency: str, occasion: Occasion | None = None
) -> EarningPlan:
    """Return what a sale earns under the rules.

    A sale below `minimum_minor`, or one whose money is not positive, earns nothing. Money, visit, category and article
    come first, the tier multiplies them, promotions come on top in their order, the caps are last; one rounding of the
    sum, whose shares by line are those of the exact values.

    Args:
        occasion: None leaves tiers and promotions out.
    """
    bases = [_basis_of(line, rules.basis) for line in lines]
    money = sum(bases)
    # Where no line counts at all, each says why; where what came back makes up for what was bought, nothing was.
    if money < rules.minimum_minor or (money <= 0 and any(bases)):
        nothing = tuple(LineShare(0, "sale below the minimum") for _ in lines)
        return EarningPlan(points=0, lines=nothing, skipped=SkippedReason.BELOW_MINIMUM)
    sums = _Sums(lines, bases, rules, currency)
    if rules.visit_points:
        sums.add_visit(rules)
    promotions: list[PromotionPoints] = []
    if occasion is not None:
        sums.multiply_by_tier(rules, occasion.tier)
        promotions = sums.add_promotions(rules, occasion)
    return sums.close(rules, promotions, day_points=occasion.day_points if occasion else 0)


_Chosen = tuple[CategoryRule | SkuRule | None, ...]
_BY_MONEY: _Chosen = (None,)


class _Rulebook:
    """Rules made ready for many lines: which of them count for an article, and the words that say so."""

    __slots__ = ("_base_words", "_categories", "_said", "_skus", "by_money", "rules")

    def __init__(self, rules: EarningRules, currency: str) -> None:
        self.rules = rules
        self.by_money = rules.points * HUNDRED_PERCENT
        self._base_words = _base_words(rules, currency)
        # Of two rules of one name the first counts.
        self._skus = {rule.sku: rule for rule in reversed(rules.skus)}
        self._categories = {rule.category.casefold(): rule for rule in reversed(rules.categories)}
        self._said: dict[_Chosen, tuple[str, bool]] = {}

    def choose(self, line: EarningLine | PosLine, basis: int | Fraction) -> _Chosen:
        """Return the rules whose points a line earns, added up; None is the plain rule by money."""
        article = self._skus.get(line.sku)
        if article is not None and self.rules.overlap == "article":
            return (article,)
        category = self._categories.get(line.category.casefold()) if self._categories else None
        if article is None or category is None:
            only = article or category
            return _BY_MONEY if only is None else (only,)
        both: tuple[CategoryRule | SkuRule, ...] = (article, category)
        for rule in both:
            if _excludes(rule):
                return (rule,)
        if self.rules.overlap == "sum":
            return both
        # Whatever the sign of the line's money, so that a piece that comes back takes what it brought.
        sign = -1 if basis < 0 else 1
        return (max(both, key=lambda rule: sign * _amount_of(line, basis, self.rules, rule)),)

    def say(self, chosen: _Chosen) -> tuple[str, bool]:
        """Return the words of the rules that count for a line, and whether they exclude it."""
        said = self._said.get(chosen)
        if said is None:
            words = " and ".join(
                self._base_words if rule is None else _special_words(self._base_words, rule) for rule in chosen
            )
            said = self._said[chosen] = (words, any(rule is not None and _excludes(rule) for rule in chosen))
        return said


# The last few rules in use. Each is held by what was made of it, so that no other can come to have its identity.
_rulebooks: dict[tuple[int, str], _Rulebook] = {}


def _open_rulebook(rules: EarningRules, currency: str) -> _Rulebook:
    book = _rulebooks.get((id(rules), currency))
    if book is None:
        if len(_rulebooks) >= _RULEBOOKS_MAX:
            _rulebooks.clear()
        book = _rulebooks[id(rules), currency] = _Rulebook(rules, currency)
    return book


class _Sums:
    """The exact points of each line while the rules act on them one after the other, and the words that say so.

    They are counted in parts of a point, `parts` to one, so that money by plain rules stays in whole numbers: fractions
    cost ten times as much.
    """

    __slots__ = ("amounts", "bases", "earns", "excluded", "lines", "parts", "words")

    def __init__(
        self,
        lines: Sequence[EarningLine | PosLine],
        bases: Sequence[int | Fraction],
        rules: EarningRules,
        currency: str,
    ) -> None:
        self.lines = lines
        self.bases = bases
        self.parts = rules.per_minor * HUNDRED_PERCENT
        self.amounts: list[int | Fraction] = []
        self.words: list[str] = []
        self.excluded: list[SkippedReason | None] = []
        # Lines that the points of a visit or a promotion can be spread over: paid for, and not excluded.
        self.earns: list[bool] = []
        book = _open_rulebook(rules, currency)
        for line, basis in zip(lines, bases, strict=True):
            chosen = book.choose(line, basis)
            words, is_excluded = book.say(chosen)
            excluded = SkippedReason.EXCLUDED_ITEMS if is_excluded else None
            if line.stored_value:
                words, excluded = _STORED_VALUE_WORDS, SkippedReason.STORED_VALUE
            elif _is_point_paid(line):
                words, excluded = _POINT_PAID_WORDS, SkippedReason.PAID_WITH_POINTS
            elif line.points_paid_minor:
                words = f"{words}, without what was paid with points"
            self.amounts.append(
                basis * book.by_money
                if chosen is _BY_MONEY
                else sum(_amount_of(line, basis, rules, rule) for rule in chosen)
            )
            self.words.append(words)
            self.excluded.append(excluded)
            self.earns.append(basis > 0 and excluded is None)

    @property
    def whole(self) -> int | Fraction:
        return sum(self.amounts)

    def add_visit(self, rules: EarningRules) -> None:
        chosen = [place for place, earns in enumerate(self.earns) if earns]
        # What a discount or a piece that came back takes off the sale was not spent on it.
        spent = min(sum(self.bases), sum(self.bases[place] for place in chosen))
        if chosen and spent >= rules.visit_minimum_minor:
            self._add(rules.visit_points, chosen)
            self._say(chosen, f"plus {_points_words(rules.visit_points)} for the visit")

    def multiply_by_tier(self, rules: EarningRules, tier: str) -> None:
        percent = next((level.percent for level in rules.tiers.levels if level.name == tier), HUNDRED_PERCENT)
        if percent != HUNDRED_PERCENT:
            self.amounts = [Fraction(amount * percent, HUNDRED_PERCENT) for amount in self.amounts]
            self._say(range(len(self.lines)), f"{percent} % for {tier}")

    def add_promotions(self, rules: EarningRules, occasion: Occasion) -> list[PromotionPoints]:
        given = []
        local = occasion.completed_at.astimezone(ZoneInfo(occasion.zone)) if rules.promotions else None
        for promotion in rules.promotions:
            assert local is not None
            if not _is_on(promotion, occasion, local):
                continue
            before = self.whole
            if not self._add_promotion(promotion, occasion.promotion_points.get(promotion.code, 0)):
                continue
            points = _round_total(self.whole, rules) - _round_total(before, rules)
            given.append(PromotionPoints(promotion.code, points))
            if promotion.stop:
                break
        return given

    def close(self, rules: EarningRules, promotions: list[PromotionPoints], *, day_points: int) -> EarningPlan:
        exact = self.whole
        total = _round_total(exact, rules)
        capped = self._cap(total, rules, day_points)
        if capped < total:
            promotions = _cut(promotions, total - capped)
            # In proportion, so that the cap takes from every line alike.
            self.amounts = [Fraction(amount * capped * self.parts, exact) for amount in self.amounts]
        shares = spread(capped, self.amounts, self.parts) if capped else [0] * len(self.lines)
        return EarningPlan(
            points=capped,
            lines=tuple(LineShare(share, words) for share, words in zip(shares, self.words, strict=True)),
            promotions=tuple(given for given in promotions if given.points),
            skipped=None if capped else self._why_nothing(total),
        )

    def _add(self, points: int | Fraction, chosen: Sequence[int]) -> None:
        """Spread points over lines in proportion to their money."""
        whole = sum(self.bases[place] for place in chosen)
        for place in chosen:
            self.amounts[place] += Fraction(points * self.parts * self.bases[place], whole)

    def _add_promotion(self, promotion: Promotion, given_before: int) -> bool:
        wanted = {category.casefold() for category in promotion.categories}
        chosen = [
            place
            for place, line in enumerate(self.lines)
            if self.earns[place] and (not wanted or line.category.casefold() in wanted)
        ]
        if not chosen:
            return False
        limits = [promotion.order_points_max]
        if promotion.member_points_max is not None:
            limits.append(max(0, promotion.member_points_max - given_before))
        cap = min((limit for limit in limits if limit is not None), default=None)
        # One that the member has used up does not act, and so keeps none after it from acting.
        if cap == 0:
            return False
        if promotion.points:
            self._add(promotion.points if cap is None else min(promotion.points, cap), chosen)
            words = f"plus {_points_words(promotion.points)} for '{promotion.name}'"
        else:
            self._multiply(promotion.percent, chosen, cap)
            words = f"{promotion.percent} % for '{promotion.name}'"
        self._say(chosen, words if cap is None else f"{words}, at most {cap}")
        return True

    def _multiply(self, percent: int, chosen: Sequence[int], cap: int | None) -> None:
        extra = {
            place: Fraction(self.amounts[place] * (percent - HUNDRED_PERCENT), HUNDRED_PERCENT) for place in chosen
        }
        whole = sum(extra.values())
        most = None if cap is None else cap * self.parts
        part = Fraction(most, whole) if most is not None and whole > most else 1
        for place in chosen:
            self.amounts[place] += extra[place] * part

    def _cap(self, total: int, rules: EarningRules, day_points: int) -> int:
        everywhere = range(len(self.lines))
        if rules.order_points_max is not None and total > rules.order_points_max:
            total = rules.order_points_max
            self._say(everywhere, f"no more than {_points_words(total)} for one sale")
        if rules.day_points_max is not None and total > rules.day_points_max - day_points:
            total = max(0, rules.day_points_max - day_points)
            self._say(everywhere, f"no more than {_points_words(rules.day_points_max)} a day")
        return total

    def _say(self, chosen: Sequence[int], words: str) -> None:
        for place in chosen:
            self.words[place] += f", {words}"

    def _why_nothing(self, before_caps: int) -> SkippedReason:
        if before_caps:
            return SkippedReason.CAP_REACHED
        reasons = {reason or SkippedReason.BELOW_MINIMUM for reason in self.excluded}
        if len(reasons) == 1:
            return reasons.pop()
        is_excluded = SkippedReason.BELOW_MINIMUM not in reasons
        return SkippedReason.EXCLUDED_ITEMS if is_excluded else SkippedReason.BELOW_MINIMUM


def spread(total: int, exact: Sequence[int | Fraction], parts: int = 1) -> list[int]:
    """Return whole shares that add up to `total`, each as near to its exact value as can be (largest remainder).

    Args:
        exact: The exact values, in parts of which `parts` make one.
    """
    shares = [value // parts for value in exact]
    missing = total - sum(shares)
    if not missing:
        return shares
    by_remainder = sorted(range(len(exact)), key=lambda i: (shares[i] * parts - exact[i], i))
    step = 1 if missing > 0 else -1
    for i in range(abs(missing)):
        # Rounding half up can ask for one more than there are remainders, hence the turn-around.
        shares[by_remainder[i % len(exact)]] += step
    return shares


def start_of_local_day(at: datetime, zone: str) -> datetime:
    """Return the first instant of the local day that holds `at`."""
    return _local_midnight(at, zone, 0)


def eligible_from(enrolled_at: datetime, launch_at: datetime, zone: str, *, grace_days: int = 0) -> datetime:
    """Return the first instant at which a sale counts: the start of the later of both local days.

    Args:
        grace_days: So many days earlier for the member, though never before the launch.
    """
    return max(_local_midnight(enrolled_at, zone, -grace_days), start_of_local_day(launch_at, zone))


def lot_dates(earned_at: datetime, rules: EarningRules, zone: str) -> LotDates:
    """Return when points earned at an instant become available and when they lapse.

    Days are local days, so that a lot lapses at midnight at the shop, summer time or not; lots of one day share their
    dates.
    """
    available_at = earned_at
    if rules.pending_days:
        available_at = _local_midnight(earned_at, zone, rules.pending_days)
    # Never before they can be spent.
    first_day = max(earned_at, available_at).astimezone(ZoneInfo(zone)).date()
    last_day = _last_day(first_day, rules.expiry)
    return LotDates(
        available_at=available_at,
        # The whole last day still counts, hence the midnight after it.
        expires_at=None if last_day is None else midnight(last_day + timedelta(days=1), zone),
        idle_days=rules.expiry.days if rules.expiry.kind == "inactivity" else None,
    )


def idle_until(active_at: datetime, idle_days: int, zone: str) -> datetime:
    """Return when points under inactivity lapse if nothing more is bought or spent: at the end of a local day."""
    return _local_midnight(active_at, zone, idle_days + 1)


def _last_day(day: date, expiry: Expiry) -> date | None:
    """Return the last day on which points of a day can be spent, None if there is none."""
    match expiry.kind:
        case "never":
            return None
        case "days" | "inactivity":
            return day + timedelta(days=expiry.days)
        case "month_end":
            years, month = divmod(day.month - 1 + expiry.months, _MONTHS)
            return _day_of_month(day.year + years, month + 1, _LONGEST_MONTH)
        case "year_end":
            return date(day.year + expiry.years, _MONTHS, _LONGEST_MONTH)
        case "fixed_day":
            assert expiry.month is not None
            assert expiry.day is not None
            this_year = _day_of_month(day.year, expiry.month, expiry.day)
            years = expiry.years + (this_year < day)
            return _day_of_month(day.year + years, expiry.month, expiry.day)
        case _:
            assert_never(expiry.kind)


def _day_of_month(year: int, month: int, day: int) -> date:
    """Return a day, or the month's last if it is shorter."""
    return date(year, month, min(day, monthrange(year, month)[1]))


def _local_midnight(at: datetime, zone: str, days_later: int) -> datetime:
    return midnight(at.astimezone(ZoneInfo(zone)).date() + timedelta(days=days_later), zone)


@lru_cache(_MIDNIGHTS_MAX)
def midnight(day: date, zone: str) -> datetime:
    """Return the first instant of a local day."""
    # In UTC, because Python compares two times of one zone by their clock faces, and a midnight that the change to
    # summer time skips equals nothing at all.
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def _basis_of(line: EarningLine | PosLine, basis: str) -> int | Fraction:
    """Return the money of a line that counts, in minor units."""
    if line.stored_value:
        return 0
    gross = line.net_minor + line.tax_minor
    money = gross if basis == "gross" else line.net_minor
    if not line.points_paid_minor or not gross:
        return money
    # Points pay tax and price alike.
    left = max(0, abs(gross) - line.points_paid_minor)
    return Fraction(money * left, abs(gross))


def _excludes(rule: CategoryRule | SkuRule) -> bool:
    return not (rule.percent if rule.points is None else rule.points)


def _is_point_paid(line: EarningLine | PosLine) -> bool:
    return line.points_paid_minor > 0 and line.points_paid_minor >= abs(line.net_minor + line.tax_minor)


def _amount_of(
    line: EarningLine | PosLine, basis: int | Fraction, rules: EarningRules, rule: CategoryRule | SkuRule | None
) -> int | Fraction:
    """Return what a line earns by money, category or article, in parts of a point as `_Sums` counts them."""
    if rule is not None and rule.points is not None:
        if not basis:
            return 0
        # A piece that comes back within the sale takes its points along; one that was given away brings none, and one
        # that points have paid for in part brings the rest.
        whole = line.net_minor + line.tax_minor if rules.basis == "gross" else line.net_minor
        pieces = abs(Fraction(line.quantity)) * Fraction(basis, abs(whole))
        return rule.points * pieces * rules.per_minor * HUNDRED_PERCENT
    percent = HUNDRED_PERCENT if rule is None else rule.percent
    return basis * rules.points * percent


def _is_on(promotion: Promotion, occasion: Occasion, local: datetime) -> bool:
    return (
        (promotion.from_at is None or promotion.from_at <= occasion.completed_at)
        and (promotion.until_at is None or occasion.completed_at < promotion.until_at)
        and (not promotion.weekdays or WEEKDAYS[local.weekday()] in promotion.weekdays)
        and promotion.from_hour <= local.hour < promotion.until_hour
        and (not promotion.stores or occasion.store_code in promotion.stores)
        and (not promotion.tiers or occasion.tier in promotion.tiers)
    )


def _cut(promotions: list[PromotionPoints], excess: int) -> list[PromotionPoints]:
    """Return what is left of the promotions' points when a cap takes `excess`: the last one gives first."""
    left = []
    for given in reversed(promotions):
        part = min(excess, max(0, given.points))
        excess -= part
        left.append(PromotionPoints(given.code, given.points - part))
    return left[::-1]


def _round_total(exact: int | Fraction, rules: EarningRules) -> int:
    """Return whole points of an exact sum in parts of a point."""
    parts = rules.per_minor * HUNDRED_PERCENT
    half = parts if rules.rounding == "half_up" else 0
    return max(0, (2 * exact + half) // (2 * parts))


def _points_words(points: int) -> str:
    return "1 point" if points == 1 else f"{points} points"


def _base_words(rules: EarningRules, currency: str) -> str:
    if not rules.points:
        return "no points for money"
    return f"{_points_words(rules.points)} per {money(rules.per_minor, currency)}"


def _special_words(base: str, rule: CategoryRule | SkuRule) -> str:
    name = rule.sku if isinstance(rule, SkuRule) else rule.category
    if rule.points is not None:
        return f"{_points_words(rule.points)} a piece for '{name}'" if rule.points else f"'{name}' earns no points"
    if rule.percent == HUNDRED_PERCENT:
        return base
    return f"{base}, {rule.percent} % for '{name}'" if rule.percent else f"'{name}' earns no points"
