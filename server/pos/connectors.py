"""The connectors to systems elsewhere that the settings name. Tills without one send by themselves, or by files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from server.pos.protocol import Connector
from server.settings import Settings

SQUARE_CONNECTION: Final = "square"
"""The code of the till system that Square's orders and customers belong to."""


def store_codes(settings: Settings) -> dict[str, str]:
    """Return our store codes by Square's location ids."""
    return dict(pair.split("=", 1) for pair in settings.square_locations)


@asynccontextmanager
async def open_connectors(settings: Settings) -> AsyncIterator[dict[str, Connector]]:
    """Yield the connectors by the codes of their till systems."""
    if settings.pos != "square":
        yield {}
        return
    # Imported here, as a shop without it need not wait for the HTTP client.
    from server.pos.square import Square

    assert settings.square_access_token is not None, "the settings were checked"
    async with Square(
        token=settings.square_access_token, base_url=settings.square_base_url, stores=store_codes(settings)
    ) as square:
        yield {SQUARE_CONNECTION: square}
