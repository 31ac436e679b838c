"""One call that 64 send at once under one key; those under keys of their own are in `tests/api/test_idempotency.py`."""

import asyncio
from collections import Counter as Tally
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.db.engine import DB
from server.db.ids import new_id
from tests.app import World, expect
from tests.ledgers import assert_verified
from tests.server.rewards.builders import Counter
from tests.tills import push, sale

AT_ONCE = 64


class Race:
    """A counter with a manager, and one path to which everybody sends at once."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.world = counter.world
        self.path = ""
        self.body: dict[str, Any] = {}

    async def preview(self, path: str, body: dict[str, Any]) -> None:
        """Look at what a command would do, so that all carry out the same."""
        seen = expect(await self.counter.send("POST", f"{path}/preview", body, headers=self.counter.manager), 200)
        self.path, self.body = path, body | {"preview_hash": seen["preview_hash"]}

    async def run(self, *, key: str) -> Tally[str]:
        """Send it 64 times under one key; whom the service was too busy for asks again."""
        outcome: Tally[str] = Tally()
        waiting = AT_ONCE
        while waiting:
            calls = (
                self.counter.send("POST", self.path, self.body, headers=self.counter.manager, key=key)
                for _ in range(waiting)
            )
            answers = await asyncio.gather(*calls)
            codes = Tally("won" if answer.is_success else answer.json()["code"] for answer in answers)
            waiting = codes.pop("BUSY", 0)
            outcome += codes
        return outcome


async def give(race: Race) -> None:
    body = {"points": 10, "reason_code": "goodwill"}
    await race.preview(f"/v1/staff/customers/{race.counter.member.customer_id}/adjustments", body)


async def take_a_reward(race: Race) -> None:
    reward = await race.counter.add_reward()
    race.path = f"/v1/staff/customers/{race.counter.member.customer_id}/vouchers"
    race.body = {"reward_id": reward["id"]}


async def give_an_order_away(race: Race) -> None:
    world, ana = race.world, race.counter.member
    ben = await world.sign_up("ben@shop.test")
    sold = expect(await push(world, race.counter.key, sale(world, card=ana.card_number)), 201)
    body = {"customer_id": str(ben.customer_id), "reason": "It was Ben."}
    await race.preview(f"/v1/staff/orders/{sold['order_id']}/assignment", body)


Prepare = Callable[[Race], Awaitable[None]]


@pytest.mark.parametrize(("prepare", "left"), [(give, 1_010), (take_a_reward, 900), (give_an_order_away, 1_012)])
async def test_64_copies_of_one_call_have_one_effect_and_one_answer(world: World, prepare: Prepare, left: int) -> None:
    race = Race(await Counter.open(world, card_daily_points=100_000))
    await prepare(race)
    assert await race.run(key=f"one-key-for-all-{new_id()}") == {"won": AT_ONCE}
    assert await DB.fetch_value("select sum(balance)::int from membership") == left
    await assert_verified(world)
