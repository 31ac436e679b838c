"""Adjusting through the API, as the console does: preview, then the command with its hash."""

from typing import Any
from uuid import UUID

import httpx

from server.db.ids import new_id
from tests.app import World, expect


def wish(points: int, **fields: object) -> dict[str, Any]:
    """Return a body for goodwill."""
    return {"points": points, "reason_code": "goodwill", **fields}


def keyed(headers: dict[str, str]) -> dict[str, str]:
    """Return headers with an Idempotency-Key of their own."""
    return headers | {"Idempotency-Key": f"test-{new_id()}"}


async def preview(world: World, headers: dict[str, str], customer_id: UUID, body: dict[str, Any]) -> httpx.Response:
    """Ask what it would do."""
    return await world.client.post(f"/v1/staff/customers/{customer_id}/adjustments/preview", json=body, headers=headers)


async def execute(world: World, headers: dict[str, str], customer_id: UUID, body: dict[str, Any]) -> httpx.Response:
    """Carry it out."""
    return await world.client.post(f"/v1/staff/customers/{customer_id}/adjustments", json=body, headers=keyed(headers))


async def adjust(
    world: World, headers: dict[str, str], customer_id: UUID, points: int, **fields: object
) -> dict[str, Any]:
    """Preview and carry out; return the adjustment."""
    body = wish(points, **fields)
    seen = expect(await preview(world, headers, customer_id, body), 200)
    done: dict[str, Any] = expect(
        await execute(world, headers, customer_id, body | {"preview_hash": seen["preview_hash"]}), 201
    )
    return done


async def act(
    world: World, headers: dict[str, str], adjustment_id: str, act: str, body: dict[str, Any]
) -> httpx.Response:
    """Approve, refuse or undo; what can be taken back is looked at first."""
    if act == "undo" and "preview_hash" not in body:
        shown = await world.client.post(
            f"/v1/staff/adjustments/{adjustment_id}/undo/preview", json=body, headers=headers
        )
        if not shown.is_success:
            return shown
        body = body | {"preview_hash": shown.json()["preview_hash"]}
    return await world.client.post(f"/v1/staff/adjustments/{adjustment_id}/{act}", json=body, headers=keyed(headers))
