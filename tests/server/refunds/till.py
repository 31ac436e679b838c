"""A till that takes goods back: pushes sales and refunds of them."""

import itertools
from typing import Any

import httpx

from server.db.engine import DB
from tests.app import World, expect
from tests.tills import push, sale

_numbers = itertools.count(1)


def lines(*money: int, quantity: object = 1) -> list[dict[str, Any]]:
    """Return lines "1", "2" and so on of so much money."""
    return [{"line_id": str(number), "net_minor": minor, "quantity": quantity} for number, minor in enumerate(money, 1)]


def refund(world: World, original: str | None, *parts: dict[str, Any], **fields: object) -> dict[str, Any]:
    """Return a refund of parts of a sale; `fields` replace its own."""
    return {
        "external_id": f"refund-{next(_numbers):06}",
        "original_order": original,
        "store": "high-street",
        "completed_at": world.clock.now().isoformat(),
        "currency": "GBP",
        "lines": list(parts),
        **fields,
    }


def pieces(line_id: str, quantity: object = 1, **fields: object) -> dict[str, Any]:
    """Return pieces of a line."""
    return {"line_id": line_id, "quantity": quantity, **fields}


def money(line_id: str, minor: int, **fields: object) -> dict[str, Any]:
    """Return money of a line."""
    return {"line_id": line_id, "net_minor": minor, **fields}


async def send(world: World, key: dict[str, str], body: dict[str, Any], *, idempotency: str = "") -> httpx.Response:
    """Send a refund, under a fresh Idempotency-Key unless one is given."""
    headers = key | {"Idempotency-Key": idempotency or f"refund-key-{next(_numbers):016}"}
    return await world.client.post("/v1/pos/refunds", json=body, headers=headers)


async def sell(world: World, key: dict[str, str], card: str | None, *money: int, quantity: object = 1) -> str:
    """Push a sale of lines of so much money and return its external id."""
    body = sale(world, card=card, lines=lines(*money, quantity=quantity))
    expect(await push(world, key, body), 201)
    return str(body["external_id"])


async def take(world: World, key: dict[str, str], original: str | None, *parts: dict[str, Any]) -> dict[str, Any]:
    """Send a refund and return its good answer."""
    answer: dict[str, Any] = expect(await send(world, key, refund(world, original, *parts)), 201)
    return answer


async def entries(kind: str) -> list[int]:
    """Return the points of all entries of a kind, oldest first."""
    rows = await DB.fetch("select points from ledger_entry where kind = $1 order by posted_at, id", kind)
    return [row["points"] for row in rows]
