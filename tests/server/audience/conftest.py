"""The shop of each test, and the service in front of one."""

from collections.abc import AsyncIterator

import pytest

from server.clock import ManualClock
from server.db.engine import DB
from tests.app import World
from tests.server.audience.builders import NOW, Shop, new_tools, shop_settings
from tests.standins.mailchimp import MailchimpStandIn


@pytest.fixture
async def shop(database_url: str, mailchimp: MailchimpStandIn, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    """A shop that pushes to the stand-in; `@pytest.mark.parametrize("shop", [{...}], indirect=True)` sets settings."""
    clock = ManualClock(NOW)
    tools = new_tools(shop_settings(database_url, mailchimp, **getattr(request, "param", {})), clock)
    await DB.open(database_url, size=8)
    try:
        shop = Shop(tools, clock, mailchimp)
        await shop.add_programme()
        yield shop
    finally:
        tools.passwords.close()
        await DB.close()


@pytest.fixture
def world(pushing: World) -> World:
    """All of it beside the stand-in."""
    return pushing
