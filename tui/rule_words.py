"""The rules of a programme in words, what one version changed, and the short way to write lists of them. Pure."""

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, tzinfo
from typing import TypeVar

import msgspec

from shared.money import money
from shared.programmes import CategoryRule, EarningRules, Expiry, Promotion, SkuRule, Tier
from tui.formatting import NOTHING, counted, points

ItemT = TypeVar("ItemT")

_DOUBLE = {200: "double points", 300: "triple points", 0: "no points", 100: "points as usual"}
_OVERLAPS = {
    "best": "the rule that gives more counts",
    "sum": "both rules add up",
}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PERIODS = {"calendar_year": "the calendar year", "rolling_year": "the last twelve months"}
_BONUSES = {
    "sign_up": "signing up",
    "birthday": "the birthday",
    "first_purchase": "the first purchase",
    "referrer": "bringing a friend",
    "referred": "being brought by a friend",
}


# Reading ----------------------------------------------------------------------------------------------------------


def headline(rules: EarningRules, currency: str) -> str:
    """Return the rules in one line: 1 point per 1.00 GBP, Silver ×1.5, no points on gift cards."""
    parts = [f"{counted(rules.points, 'point', 'points')} per {money(rules.per_minor, currency)}"]
    if rules.visit_points:
        parts.append(f"{points(rules.visit_points)} for each sale")
    parts += [f"{level.name} {_times(level.percent)}" for level in rules.tiers.levels if level.percent != 100]
    nothing = [rule.category or "goods without a category" for rule in rules.categories if not _earns(rule)]
    nothing += [rule.sku for rule in rules.skus if not _earns(rule)]
    if nothing:
        parts.append(f"no points on {_listed(nothing)}")
    if rules.promotions:
        parts.append(counted(len(rules.promotions), "promotion", "promotions"))
    return ", ".join(parts)


def rule_readings(rules: EarningRules, *, currency: str, zone: tzinfo) -> list[tuple[str, str]]:
    """Return everything the rules say as (what, how), in the order in which the rules act."""
    tax = "tax included" if rules.basis == "gross" else "without tax"
    rounding = "rounded down" if rules.rounding == "floor" else "rounded to the nearest point"
    earns = (
        f"{counted(rules.points, 'point', 'points')} for every {money(rules.per_minor, currency)}, {tax}, {rounding}"
    )
    told = [("Money", earns)]
    if rules.minimum_minor:
        told.append(("Smallest sale", f"{money(rules.minimum_minor, currency)}; smaller ones earn nothing"))
    if rules.visit_points:
        least = f" of at least {money(rules.visit_minimum_minor, currency)}" if rules.visit_minimum_minor else ""
        told.append(("Visit", f"{counted(rules.visit_points, 'point', 'points')} more for each sale{least}"))
    told += [(f"Category {rule.category or '(none)'}", _goods_words(rule)) for rule in rules.categories]
    told += [(f"Article {rule.sku}", _goods_words(rule)) for rule in rules.skus]
    if rules.overlap in _OVERLAPS:
        told.append(("Article, category", f"where both have a rule, {_OVERLAPS[rules.overlap]}"))
    told += _tier_readings(rules)
    told += [(f"Promotion {rule.name}", promotion_words(rule, zone=zone)) for rule in rules.promotions]
    if rules.order_points_max is not None:
        told.append(("Most per sale", counted(rules.order_points_max, "point", "points")))
    if rules.day_points_max is not None:
        told.append(("Most per day", f"{counted(rules.day_points_max, 'point', 'points')} for each member"))
    for name, words in _BONUSES.items():
        given = getattr(rules.bonuses, name)
        if given:
            often = "once a year" if name == "birthday" else "once"
            told.append(("Bonus", f"{counted(given, 'point', 'points')} for {words}, {often}"))
    wait = "at once" if not rules.pending_days else f"after {counted(rules.pending_days, 'day', 'days')}"
    told += [("Can be spent", wait), ("Lapse", expiry_words(rules.expiry))]
    return told


def differences(
    before: EarningRules, after: EarningRules, *, currency: str, zone: tzinfo
) -> list[tuple[str, str, str]]:
    """Return what changed between two versions, as (what, how it was, how it is)."""
    then = _by_name(rule_readings(before, currency=currency, zone=zone))
    now = _by_name(rule_readings(after, currency=currency, zone=zone))
    return [
        (name, then.get(name, NOTHING), now.get(name, NOTHING))
        for name in dict.fromkeys((*then, *now))
        if then.get(name) != now.get(name)
    ]


def _by_name(readings: Sequence[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, words in readings:
        found[name] = f"{found[name]}; {words}" if name in found else words
    return found


def expiry_words(expiry: Expiry) -> str:
    """Return when points lapse."""
    match expiry.kind:
        case "days":
            return f"{counted(expiry.days, 'day', 'days')} after they were earned"
        case "inactivity":
            return f"{counted(expiry.days, 'day', 'days')} after the member last bought or redeemed"
        case "month_end":
            later = f" {counted(expiry.months, 'month', 'months')} after that" if expiry.months else ""
            return f"at the end of the month{later} in which they were earned"
        case "year_end":
            later = f" {counted(expiry.years, 'year', 'years')} after that" if expiry.years else ""
            return f"at the end of the year{later} in which they were earned"
        case "fixed_day":
            later = f", {counted(expiry.years, 'year', 'years')} later" if expiry.years else ""
            return f"on the next {expiry.day} {_MONTHS[(expiry.month or 1) - 1]}{later}"
        case _:
            return "never"


def promotion_words(promotion: Promotion, *, zone: tzinfo) -> str:
    """Return what a promotion gives, when, where, to whom and how much at most."""
    gives = f"{points(promotion.points)} points more" if promotion.points else _share(promotion.percent)
    parts = [gives]
    if promotion.from_at is not None:
        parts.append(f"from {_instant(promotion.from_at, zone)}")
    if promotion.until_at is not None:
        parts.append(f"until {_instant(promotion.until_at, zone)}")
    if promotion.weekdays:
        parts.append(f"on {_listed([weekday.capitalize() for weekday in promotion.weekdays])}")
    if (promotion.from_hour, promotion.until_hour) != (0, 24):
        parts.append(f"from {promotion.from_hour}:00 to {promotion.until_hour}:00")
    for word, names in (("in", promotion.stores), ("for", promotion.tiers), ("on", promotion.categories)):
        if names:
            parts.append(f"{word} {_listed(names)}")
    if promotion.order_points_max is not None:
        parts.append(f"at most {points(promotion.order_points_max)} a sale")
    if promotion.member_points_max is not None:
        parts.append(f"at most {points(promotion.member_points_max)} a member")
    if promotion.stop:
        parts.append("then no further promotion")
    return ", ".join(parts)


def _tier_readings(rules: EarningRules) -> list[tuple[str, str]]:
    told = [
        (f"Tier {level.name}", f"from {points(level.from_points)} points, {_share(level.percent)}")
        for level in rules.tiers.levels
    ]
    if told:
        kept = counted(rules.tiers.kept_years, "year", "years")
        told.append(("Tiers", f"by the points of sales in {_PERIODS[rules.tiers.period]}, kept for {kept}"))
    return told


def _goods_words(rule: CategoryRule | SkuRule) -> str:
    if rule.points is None:
        return _share(rule.percent)
    return f"{counted(rule.points, 'point', 'points')} for each piece" if rule.points else "no points"


def _earns(rule: CategoryRule | SkuRule) -> bool:
    return bool(rule.percent if rule.points is None else rule.points)


def _share(percent: int) -> str:
    return _DOUBLE.get(percent, f"points {_times(percent)}")


def _times(percent: int) -> str:
    return f"×{percent / 100:g}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _instant(at: datetime, zone: tzinfo) -> str:
    local = at.astimezone(zone)
    return f"{local:%Y-%m-%d}" if local.time() == time() else f"{local:%Y-%m-%d %H:%M}"


# Writing ----------------------------------------------------------------------------------------------------------

_GOODS = re.compile(r"(?P<name>.+?)\s+(?:(?P<percent>\d{1,5})\s*%|(?P<points>\d{1,7})\s*points?)")
_TIER = re.compile(r"(?P<name>.+?)\s+from\s+(?P<from>\d{1,10})(?:\s+at\s+(?P<percent>\d{1,5})\s*%)?")


def write_goods(rules: Sequence[CategoryRule | SkuRule]) -> str:
    """Return rules of categories or articles in the short way: books 200 %; gift cards 0 %; sandwich 5 points."""
    return "; ".join(
        f"{_name_of(rule)} {f'{rule.percent} %' if rule.points is None else f'{rule.points} points'}" for rule in rules
    )


def read_categories(text: str) -> tuple[CategoryRule, ...]:
    """Read what `write_goods` writes.

    Raises:
        ValueError: With a sentence that names the part which cannot be read.
    """
    return tuple(CategoryRule(category=name, percent=percent, points=each) for name, percent, each in _goods(text))


def read_skus(text: str) -> tuple[SkuRule, ...]:
    """Read what `write_goods` writes of articles.

    Raises:
        ValueError: With a sentence that names the part which cannot be read.
    """
    return tuple(SkuRule(sku=name, percent=percent, points=each) for name, percent, each in _goods(text))


def write_tiers(levels: Sequence[Tier]) -> str:
    """Return tiers in the short way: Silver from 500 at 150 %; Gold from 2000 at 200 %."""
    return "; ".join(f"{level.name} from {level.from_points} at {level.percent} %" for level in levels)


def read_tiers(text: str) -> tuple[Tier, ...]:
    """Read what `write_tiers` writes; without a percentage a tier earns as usual.

    Raises:
        ValueError: With a sentence that names the part which cannot be read.
    """
    levels = []
    for part in _parts(text):
        found = _TIER.fullmatch(part)
        if found is None:
            raise ValueError(f"“{part}” is not like Silver from 500 at 150 %.")
        levels.append(Tier(name=found["name"], from_points=int(found["from"]), percent=int(found["percent"] or 100)))
    return tuple(levels)


def survives(written: str, read: Callable[[str], ItemT], rules: ItemT) -> bool:
    """Return whether rules can be written in the short way without losing anything: no name has a semicolon in it."""
    try:
        return read(written) == rules
    except ValueError:
        return False


def _goods(text: str) -> list[tuple[str, int, int | None]]:
    found = []
    for part in _parts(text):
        match = _GOODS.fullmatch(part)
        if match is None:
            raise ValueError(f"“{part}” is not like books 200 % or sandwich 5 points.")
        each = None if match["points"] is None else int(match["points"])
        found.append((match["name"], int(match["percent"] or 100), each))
    return found


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def _name_of(rule: CategoryRule | SkuRule) -> str:
    return rule.category if isinstance(rule, CategoryRule) else rule.sku


_EXPIRIES = (
    ("days", re.compile(r"(?P<days>\d{1,5}) days?")),
    ("inactivity", re.compile(r"(?P<days>\d{1,5}) days? inactive")),
    ("month_end", re.compile(r"month end(?: ?\+ ?(?P<months>\d{1,3}))?")),
    ("year_end", re.compile(r"year end(?: ?\+ ?(?P<years>\d{1,2}))?")),
    ("fixed_day", re.compile(r"(?P<day>\d{1,2})\. ?(?P<month>\d{1,2})\.(?: ?\+ ?(?P<years>\d{1,2}))?")),
)


def write_expiry(expiry: Expiry) -> str:
    """Return when points lapse in the short way: never, 365 days, 180 days inactive, month end +12, 31.3. +1."""
    years = f" +{expiry.years}" if expiry.years else ""
    match expiry.kind:
        case "days":
            return f"{expiry.days} days"
        case "inactivity":
            return f"{expiry.days} days inactive"
        case "month_end":
            return "month end" + (f" +{expiry.months}" if expiry.months else "")
        case "year_end":
            return f"year end{years}"
        case "fixed_day":
            return f"{expiry.day}.{expiry.month}.{years}"
        case _:
            return "never"


def read_expiry(text: str) -> Expiry:
    """Read what `write_expiry` writes.

    Raises:
        ValueError: It is none of these.
    """
    words = " ".join(text.lower().split())
    if words in {"", "never"}:
        return Expiry()
    for kind, pattern in _EXPIRIES:
        if found := pattern.fullmatch(words):
            numbers = {name: int(digits) for name, digits in found.groupdict().items() if digits is not None}
            try:
                return msgspec.convert({"kind": kind, **numbers}, Expiry)
            except msgspec.ValidationError as error:
                raise ValueError("There is no such day, or it is too far off.") from error
    raise ValueError("Type never, 365 days, 180 days inactive, month end +12, year end +1 or 31.3. +1.")


def plain_words(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return what is out of bounds as (path, sentence): ("tiers.levels[0].percent", "Expected a number <= 10000.")."""
    words, _, path = str(error).partition(" - at `$.")
    return path.rstrip("`"), words.replace("`int`", "a number").replace("`str`", "text") + "."


# Numbers, money and days as they are typed --------------------------------------------------------------------------


def read_count(text: str) -> int:
    """Read a whole number of zero or more, with or without marks between thousands.

    Raises:
        ValueError: It is none.
    """
    digits = text.replace(",", "").replace(" ", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
        raise ValueError("Type a whole number.")
    return int(digits)


def write_money(minor: int, digits: int) -> str:
    """Return an amount as `read_money` reads it: 12.50."""
    return f"{minor // 10**digits}.{minor % 10**digits:0{digits}}" if digits else str(minor)


def read_money(text: str, digits: int) -> int:
    """Read an amount with a point or a comma before its minor units, of which the currency has `digits`.

    Raises:
        ValueError: It is none, or has more decimals than the currency.
    """
    whole, _, minor = text.strip().replace(",", ".").partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 12) or (minor and not minor.isdigit()):
        raise ValueError("Type an amount like 12.50." if digits else "Type a whole amount.")
    if len(minor) > digits:
        raise ValueError(f"This currency has {digits} decimals." if digits else "This currency has no decimals.")
    return int(whole + minor.ljust(digits, "0"))


def read_day(text: str) -> date:
    """Read a day: 2026-04-01, 1.4.2026 or 1/4/2026; day before month.

    Raises:
        ValueError: It is none.
    """
    words = re.split(r"[.\-/]", text.strip())
    if len(words) == 3 and len(words[0]) == 4:
        words.reverse()
    if len(words) != 3 or len(words[2]) != 4 or not all(word.isascii() and word.isdigit() for word in words):
        raise ValueError("Type a day like 2026-04-01 or 1.4.2026.")
    try:
        return date(int(words[2]), int(words[1]), int(words[0]))
    except ValueError as error:
        raise ValueError("There is no such day.") from error


def read_instant(text: str, zone: tzinfo) -> datetime:
    """Read a day, perhaps with a time after it, of the programme's zone; without a time its midnight.

    Raises:
        ValueError: It is none.
    """
    day_text, _, time_text = text.strip().partition(" ")
    found = re.fullmatch(r"(\d{1,2}):(\d{2})", time_text.strip() or "0:00")
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise ValueError("Type the time like 6:00.")
    return datetime.combine(read_day(day_text), time(int(found[1]), int(found[2])), zone)
