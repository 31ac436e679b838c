"""When notices may leave, and how they say what lapses."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from server import time_words
from shared.limits import QUIET_FROM_HOUR, QUIET_UNTIL_HOUR

_SHOWN_MAX = 4
_INSTANT = timedelta(microseconds=1)


def is_quiet(now: datetime, zone: str) -> bool:
    """Return whether people of a zone are not to be disturbed."""
    hour = now.astimezone(ZoneInfo(zone)).hour
    return hour >= QUIET_FROM_HOUR or hour < QUIET_UNTIL_HOUR


def say_points(points: int, unit_one: str, unit_many: str) -> str:
    """Return a number of points with its unit."""
    return f"{points:,} {unit_one if points == 1 else unit_many}"


def say_day(expires_at: datetime, zone: str) -> str:
    """Return the last day on which points can be spent, in words."""
    return time_words.say_day(expires_at - _INSTANT, ZoneInfo(zone))


def say_schedule(lots: Sequence[tuple[datetime, int]], zone: str) -> str:
    """Return what lapses after which day, soonest first; the rest of a long list is summed."""
    by_day: dict[str, int] = {}
    for expires_at, points in sorted(lots):
        day = say_day(expires_at, zone)
        by_day[day] = by_day.get(day, 0) + points
    days = list(by_day.items())
    words = [f"{points:,} after {day}" for day, points in days[:_SHOWN_MAX]]
    if rest := sum(points for _, points in days[_SHOWN_MAX:]):
        words.append(f"{rest:,} in the days after")
    return ", ".join(words)
