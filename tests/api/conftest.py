"""The shop that the API's tests share."""

import pytest

from tests.api.shop import Shop
from tests.app import World


@pytest.fixture
async def shop(world: World) -> Shop:
    """A shop with everybody in it."""
    shop = Shop(world)
    await shop.fill()
    return shop
