"""A till for tests: builds sales and pushes them."""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx

from server.db.engine import DB
from server.programmes import store as programmes
from shared.programmes import EarningRules
from tests.app import World

_numbers = itertools.count(1)


def sale(world: World, *, card: str | None = None, **fields: object) -> dict[str, Any]:
    """Return a sale of 12.34, two lines, completed at the world's present; `fields` replace its own."""
    # As long as any other, so that the order of names is that of making, whatever ran before in this process.
    number = f"{next(_numbers):06}"
    completed_at: datetime = world.clock.now()
    return {
        "external_id": f"sale-{number}",
        "number": f"R-{number}",
        "store": "high-street",
        "completed_at": completed_at.isoformat(),
        "currency": "GBP",
        "customer": {"card_number": card} if card else None,
        "lines": [
            {"line_id": "1", "description": "Coffee", "category": "coffee", "quantity": 2, "net_minor": 834},
            {"line_id": "2", "description": "Bread", "category": "bakery", "quantity": "1.5", "net_minor": 400},
        ],
        **fields,
    }


async def push(
    world: World, headers: dict[str, str], body: dict[str, Any], *, key: str | None = None
) -> httpx.Response:
    """Send a sale, under a fresh Idempotency-Key unless one is given."""
    key = key or f"test-key-{next(_numbers):016}"
    return await world.client.post("/v1/pos/orders", json=body, headers=headers | {"Idempotency-Key": key})


async def push_batch(
    world: World, headers: dict[str, str], bodies: Sequence[dict[str, Any]], *, key: str | None = None
) -> httpx.Response:
    """Send sales at once, under a fresh Idempotency-Key unless one is given."""
    key = key or f"test-key-{next(_numbers):016}"
    return await world.client.post(
        "/v1/pos/orders/batch", json={"orders": list(bodies)}, headers=headers | {"Idempotency-Key": key}
    )


async def add_rules(world: World, **rules: Any) -> None:  # noqa: ANN401 - the fields of the rules
    """Put rules in force that count for every sale since yesterday."""
    programme = await programmes.find_default()
    assert programme is not None
    async with DB.transaction():
        await programmes.insert_rules(
            world.ctx, programme["id"], EarningRules(**rules), valid_from=world.clock.now() - timedelta(days=1)
        )
