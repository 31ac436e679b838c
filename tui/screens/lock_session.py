"""Signing in, with what the console must know of the shop from then on."""

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.enums import Permission
from tui.client import Client
from tui.errors import Refused
from tui.session import Session


async def open_session(client: Client, login: str, password: str, *, terminal: str) -> Session:
    """Sign in and learn the shop's time zone.

    Raises:
        ConsoleError: The service refused, or did not answer.
    """
    tokens = await client.sign_in(login, password, terminal=terminal)
    session = Session(staff=tokens.staff, shop_name=tokens.shop_name)
    if not session.may(Permission.PROGRAMME_READ):
        return session
    try:
        programmes = await client.list_programmes()
    except Refused:
        # Times in UTC are better than no sign-in.
        return session
    # A further programme may count its days elsewhere; the shop's own clock is that of the one customers join.
    chosen = sorted(programmes.items, key=lambda programme: (not programme.is_default, programme.status != "active"))
    zone = chosen[0].zone if chosen else "UTC"
    return Session(staff=tokens.staff, shop_name=tokens.shop_name, zone=zone_named(zone))


def zone_named(name: str) -> tzinfo:
    """Return a time zone; UTC for a name that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
