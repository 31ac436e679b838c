"""A shop that prints claim codes on the receipts of sales to nobody."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app import World, open_world


@pytest.fixture
async def open_shop_with_receipts(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database_url, tmp_path, receipt_claim_days=30) as world:
        yield world
