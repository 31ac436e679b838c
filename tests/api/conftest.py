"""The shop that the API's tests share: filled once a run, then copied with its database for each test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.api.shop import Shop
from tests.app import open_world
from tests.conftest import Databases, temporary_folder


@pytest.fixture(scope="session")
def filled_shop(databases: Databases, template_database: str) -> Iterator[tuple[Shop, str]]:
    """A shop with everybody in it, whose world has ended, and the name of its database."""
    name = databases.create(template=template_database)
    with temporary_folder() as folder:
        shop = asyncio.run(_fill_shop(databases.dsn(name), folder))
    yield shop, name
    databases.drop(name)


async def _fill_shop(database_url: str, folder: Path) -> Shop:
    async with open_world(database_url, folder) as world:
        shop = Shop(world)
        await shop.fill()
        return shop


@pytest.fixture
def shop_database_url(databases: Databases, filled_shop: tuple[Shop, str]) -> Iterator[str]:
    """A database of the test's own in which the shop is."""
    name = databases.create(template=filled_shop[1])
    yield databases.dsn(name)
    databases.drop(name)


@pytest.fixture
async def shop(filled_shop: tuple[Shop, str], shop_database_url: str, data_dir: Path) -> AsyncIterator[Shop]:
    """A shop with everybody in it, every answer of which is checked."""
    async with open_world(shop_database_url, data_dir, is_new=False) as world:
        yield filled_shop[0].copied_to(world)
