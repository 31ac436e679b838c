"""A console over the real service, and what its tests do there again and again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
from msgspec import to_builtins

from server.db.ids import new_id
from shared.enums import Role
from shared.programmes import EarningRules
from tests.app import PASSWORD, SignedUp, World, expect
from tests.tills import push, sale
from tests.tui.desk import OPTIONS, Till, run_console
from tui.widgets.choice import Choice

TERMS = {
    "version": 0, "step_points": 100, "step_minor": 100, "cap_percent": 100, "minimum_points": 0,
    "card_daily_points": 2_000, "restore_grace_days": 30,
}  # fmt: skip


@asynccontextmanager
async def a_till(
    world: World, role: Role = Role.MANAGER, *, login: str = "mara", size: tuple[int, int] = (100, 34)
) -> AsyncIterator[Till]:
    """Run a console over the world's service, signed in as a new staff member."""
    await world.add_staff(role, login=login, name=login.capitalize())
    async with run_console(world.client, replace(OPTIONS, now=world.clock.now), size) as till:
        await till.sign_in(login, PASSWORD)
        yield till


def lose_first_answer(till: Till, world: World, path: str) -> list[str]:
    """Let the first answer to a command get lost on its way; return the keys under which the command came."""
    keys: list[str] = []

    async def lose(request: httpx.Request) -> httpx.Response:
        answer = await world.client.send(request)
        if request.url.path.endswith(path):
            keys.append(request.headers["Idempotency-Key"])
            if len(keys) == 1:
                raise TimeoutError
        return answer

    losing = {"__getattr__": lambda _, name: getattr(world.client, name), "send": staticmethod(lose)}
    till.console.client._http = type("Losing", (), losing)()
    return keys


async def previewed(till: Till) -> None:
    """Wait until the form in front shows the preview of what stands in it."""
    await till.until(till.console.screen.has_preview, "the preview")


async def choose(till: Till, choice_id: str, key: str) -> None:
    till.console.screen.query_one(f"#{choice_id}", Choice).focus()
    await till.press(key)


async def adjust(till: Till, points: str, reason: str, note: str = "") -> None:
    await till.press("p")
    await till.until(lambda: till.page == "adjust")
    await till.fill("points", points)
    await choose(till, "reason_code", reason)
    if note:
        await till.fill("note", note)
    await previewed(till)


async def sell(world: World, card: str | None = None, **fields: object) -> dict[str, Any]:
    key = await world.pos_key()
    answer: dict[str, Any] = expect(await push(world, key, sale(world, card=card, **fields)), 201)
    return answer


async def ask_for_points(world: World, member: SignedUp, points: int) -> None:
    """Ask for points as a cashier of another till, above what a cashier may give."""
    headers = await world.staff_headers(staff_id=await world.add_staff(Role.CASHIER, login="carl", name="Carl"))
    path = f"/v1/staff/customers/{member.customer_id}/adjustments"
    wish = {"points": points, "reason_code": "complaint", "note": "The kettle leaked twice."}
    shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=headers), 200)
    keyed = headers | {"Idempotency-Key": f"test-{new_id()}"}
    asked = await world.client.post(path, json=wish | {"preview_hash": shown["preview_hash"]}, headers=keyed)
    assert expect(asked, 201)["state"] == "waiting"


async def add_reward(world: World, **fields: object) -> None:
    headers = await world.staff_headers(Role.MANAGER)
    reward = {"code": "off", "name": "5.00 off", "kind": "amount_off", "points_cost": 100, "value_minor": 500}
    expect(await world.client.post("/v1/staff/rewards", json=reward | fields, headers=headers), 201)


async def add_programme(world: World, *, currency: str = "GBP") -> None:
    """Start a further programme, Alpha Club with its stars, in another zone than the shop's."""
    further = {
        "code": "alpha", "name": "Alpha Club", "unit_one": "star", "unit_many": "stars", "zone": "Asia/Tokyo",
        "currency": currency, "rules": to_builtins(EarningRules(points=1, per_minor=100)),
    }  # fmt: skip
    manager = await world.staff_headers(Role.MANAGER)
    expect(await world.client.post("/v1/staff/programmes", json=further, headers=manager), 201)
