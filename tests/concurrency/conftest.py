"""A service in which everybody waits for their turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app import World, open_world


@pytest.fixture
async def world(database_url: str, data_dir: Path) -> AsyncIterator[World]:
    """As elsewhere, but that nobody of many is sent away because the machine that runs the tests is slow."""
    async with open_world(database_url, data_dir, database_wait_seconds=60.0) as world:
        yield world
