"""Times and days as customers read them in mails, letters and copies of their data."""

from datetime import datetime, tzinfo


def say_day(at: datetime, zone: tzinfo) -> str:
    """Return the day of an instant in a zone: 2 March 2026."""
    local = at.astimezone(zone)
    return f"{local.day} {local:%B %Y}"


def say_time(at: datetime, zone: tzinfo) -> str:
    """Return an instant in a zone, which is named around it: 2 March 2026, 10:05."""
    return f"{say_day(at, zone)}, {at.astimezone(zone):%H:%M}"


def say_moment(at: datetime, zone: tzinfo) -> str:
    """Return an instant with the zone's name, where nothing around it says whose time it is."""
    return f"{say_time(at, zone)} ({zone})"
