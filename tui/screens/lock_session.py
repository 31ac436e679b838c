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
    zone = next((programme.zone for programme in programmes.items if programme.status == "active"), "UTC")
    return Session(staff=tokens.staff, shop_name=tokens.shop_name, zone=zone_named(zone))


def zone_named(name: str) -> tzinfo:
    """Return a time zone; UTC for a name that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
