"""What rules must look like before they can be put in force: pure functions."""

from calendar import monthrange
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

from shared.problems import FieldProblem
from shared.programmes import CategoryRule, EarningRules, ProgrammeSettings, Promotion, SkuRule

_LEAP_YEAR = 2024
_EXPIRY_FIELDS: dict[str, tuple[str, ...]] = {
    "never": (),
    "days": ("days",),
    "month_end": ("months",),
    "year_end": ("years",),
    "fixed_day": ("month", "day", "years"),
    "inactivity": ("days",),
}
_ZONES_OF_MACHINES = {"localtime", "Factory"}
_TWICE = "This is given twice."
_YEAR_MIN = 2000
FIRST_RULES_FROM = datetime(_YEAR_MIN, 1, 1, tzinfo=UTC)
_YEAR_MAX = 2200
_VALID_FROM_SLACK = timedelta(minutes=10)  # Whoever chose "now" in a form may send it a while later.
_VALID_FROM_AHEAD = timedelta(days=731)


def list_problems(rules: EarningRules, *, store_codes: Collection[str]) -> list[FieldProblem]:
    """Return everything that is wrong with rules beyond the form of their fields, each by its path below `rules`."""
    return [
        *_repeated("categories", "category", (rule.category.casefold() for rule in rules.categories)),
        *_repeated("skus", "sku", (rule.sku for rule in rules.skus)),
        *_two_ways("categories", rules.categories),
        *_two_ways("skus", rules.skus),
        *_tier_problems(rules),
        *_repeated("promotions", "code", (promotion.code for promotion in rules.promotions)),
        *(
            problem
            for place, promotion in enumerate(rules.promotions)
            for problem in _promotion_problems(f"rules.promotions[{place}]", promotion, rules, store_codes)
        ),
        *_expiry_problems(rules),
    ]


def list_setting_problems(settings: ProgrammeSettings) -> list[FieldProblem]:
    """Return what contradicts itself in the settings of a programme."""
    problems = []
    for name in ("late_attach_days", "reassign_days"):
        if getattr(settings, f"manager_{name}") < getattr(settings, name):
            detail = "Managers may do at least what cashiers may."
            problems.append(FieldProblem(field=f"settings.manager_{name}", detail=detail))
    for role in ("cashier", "manager"):
        allowed = getattr(settings.adjustment_limits, role)
        for wide, narrow in (("month", "day"), ("member_month", "member_day")):
            if getattr(allowed, wide) < getattr(allowed, narrow):
                detail = "30 days allow at least what 24 hours do."
                problems.append(FieldProblem(field=f"settings.adjustment_limits.{role}.{wide}", detail=detail))
    return problems


def list_warnings(rules: EarningRules) -> list[str]:
    """Return what is allowed and worth a second look."""
    warnings = []
    if not (
        rules.points
        or rules.visit_points
        or any(rule.points for rule in rules.categories)
        or any(rule.points for rule in rules.skus)
    ):
        warnings.append("No sale earns anything under these rules.")
    if rules.order_points_max == 0 or rules.day_points_max == 0:
        warnings.append("A cap of 0 points lets nobody earn anything.")
    if rules.expiry.kind == "days" and not rules.expiry.days:
        warnings.append("Points lapse at the end of the day on which they can first be spent.")
    return warnings


def is_zone(name: str) -> bool:
    """Return whether a time zone has this name wherever the program runs, and in its database."""
    return name in available_timezones() and name not in _ZONES_OF_MACHINES


def time_problem(field: str, at: datetime) -> FieldProblem | None:
    """Return what is wrong with a time, None if nothing is."""
    if at.tzinfo is None:
        return FieldProblem(field=field, detail="Give the time with its offset from UTC.")
    # Years near the ends of the calendar have no UTC.
    if not _YEAR_MIN <= at.year <= _YEAR_MAX:
        return FieldProblem(field=field, detail=f"A time of the years {_YEAR_MIN} to {_YEAR_MAX}.")
    return None


def list_valid_from_problems(valid_from: datetime | None, now: datetime) -> list[FieldProblem]:
    """Return what is wrong with the time from which rules are to hold; None is at once."""
    if valid_from is None:
        return []
    if problem := time_problem("valid_from", valid_from):
        return [problem]
    detail = None
    if valid_from < now - _VALID_FROM_SLACK:
        detail = "New rules cannot begin in the past: what was earned stays as it was explained."
    elif valid_from > now + _VALID_FROM_AHEAD:
        detail = "This is too far ahead."
    return [FieldProblem(field="valid_from", detail=detail)] if detail else []


def _repeated(where: str, field: str, keys: Iterable[str]) -> Iterator[FieldProblem]:
    seen: set[str] = set()
    for place, key in enumerate(keys):
        if key in seen:
            yield FieldProblem(field=f"rules.{where}[{place}].{field}", detail=_TWICE)
        seen.add(key)


def _two_ways(where: str, rules: Iterable[CategoryRule | SkuRule]) -> Iterator[FieldProblem]:
    for place, rule in enumerate(rules):
        if rule.points is not None and rule.percent != 100:
            detail = "Give either a percentage or points a piece."
            yield FieldProblem(field=f"rules.{where}[{place}].points", detail=detail)


def _tier_problems(rules: EarningRules) -> Iterator[FieldProblem]:
    levels = rules.tiers.levels
    yield from _repeated("tiers.levels", "name", (level.name for level in levels))
    for place in range(1, len(levels)):
        if levels[place].from_points <= levels[place - 1].from_points:
            detail = "Tiers are listed from the lowest to the highest."
            yield FieldProblem(field=f"rules.tiers.levels[{place}].from_points", detail=detail)


def _promotion_problems(
    path: str, promotion: Promotion, rules: EarningRules, store_codes: Collection[str]
) -> Iterator[FieldProblem]:
    if (promotion.percent != 100) == (promotion.points > 0):
        yield FieldProblem(field=f"{path}.percent", detail="Give either a percentage other than 100 or points to add.")
    for name, at in (("from_at", promotion.from_at), ("until_at", promotion.until_at)):
        if at is not None and (problem := time_problem(f"{path}.{name}", at)):
            yield problem
            return
    if promotion.from_at and promotion.until_at and promotion.until_at <= promotion.from_at:
        yield FieldProblem(field=f"{path}.until_at", detail="A promotion ends after it begins.")
    if promotion.until_hour <= promotion.from_hour:
        yield FieldProblem(field=f"{path}.until_hour", detail="The last hour comes after the first, on the same day.")
    tiers = {level.name for level in rules.tiers.levels}
    for place, code in enumerate(promotion.stores):
        if code not in store_codes:
            yield FieldProblem(field=f"{path}.stores[{place}]", detail="We do not know this store.")
    for place, tier in enumerate(promotion.tiers):
        if tier not in tiers:
            yield FieldProblem(field=f"{path}.tiers[{place}]", detail="There is no such tier in these rules.")


def _expiry_problems(rules: EarningRules) -> Iterator[FieldProblem]:
    expiry = rules.expiry
    uses = _EXPIRY_FIELDS[expiry.kind]
    for name in ("days", "months", "years", "month", "day"):
        if getattr(expiry, name) and name not in uses:
            detail = f"Expiry of this kind has no {name}."
            if expiry.kind == "never":
                detail = "Points that never lapse have none."
            yield FieldProblem(field=f"rules.expiry.{name}", detail=detail)
    if expiry.kind == "inactivity" and not expiry.days:
        yield FieldProblem(field="rules.expiry.days", detail="Say after how many days without a purchase.")
    if expiry.kind == "fixed_day":
        if not expiry.month or not expiry.day:
            missing = "day" if expiry.month else "month"
            yield FieldProblem(field=f"rules.expiry.{missing}", detail="Give the month and the day.")
        elif expiry.day > monthrange(_LEAP_YEAR, expiry.month)[1]:
            yield FieldProblem(field="rules.expiry.day", detail="The month has no such day.")
