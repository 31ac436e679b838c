"""A counter for tests: a member with points, a till that asks, holds and captures, and a manager's catalogue."""

import itertools
from typing import Any
from uuid import UUID

import httpx
import msgspec

from server.db.engine import DB
from shared.enums import Role
from tests.app import SignedUp, World, expect
from tests.ledgers import credit

_numbers = itertools.count(1)

TERMS = {
    "version": 0,
    "step_points": 50,
    "step_minor": 100,
    "cap_percent": 100,
    "minimum_points": 50,
    "card_daily_points": 200,
    "restore_grace_days": 30,
}


class Counter:
    """The shop's counter: Ana with her points before it, a till and a manager behind it."""

    def __init__(self, world: World, member: SignedUp, key: dict[str, str], manager: dict[str, str]) -> None:
        self.world = world
        self.member = member
        self.key = key
        self.manager = manager

    @classmethod
    async def open(cls, world: World, *, points: int = 1_000, **terms: int) -> "Counter":
        """Let Ana in with so many points; 50 of them are worth 1.00 unless `terms` say otherwise."""
        member = await world.sign_up()
        counter = cls(world, member, await world.pos_key(), await world.staff_headers(Role.MANAGER))
        if points:
            await credit(world, member.membership_id, points)
        expect(await counter.put_terms(**terms), 200)
        return counter

    async def send(
        self, method: str, path: str, body: object = None, *, headers: dict[str, str] | None = None, key: str = ""
    ) -> httpx.Response:
        """Send a request as the till, under a fresh Idempotency-Key unless one is given."""
        named = {"Idempotency-Key": key or f"counter-key-{next(_numbers):016}"}
        return await self.world.client.request(method, path, json=body, headers=named | (headers or self.key))

    async def put_terms(self, **terms: int) -> httpx.Response:
        """Say what points are worth."""
        return await self.send("PUT", "/v1/staff/redemption-terms", TERMS | terms, headers=self.manager)

    async def digits(self, member: SignedUp | None = None) -> str:
        """Return what the member's app shows now."""
        shown = await self.world.client.get("/v1/me/presence-code", headers=(member or self.member).headers)
        return str(expect(shown, 200)["code"])

    async def quote(self, *, sale: str = "cart-1", total: int = 10_000) -> dict[str, Any]:
        """Ask how many points may go towards a sale."""
        body = self.sale(sale, total) | {"card_number": self.member.card_number}
        answer: dict[str, Any] = expect(await self.send("POST", "/v1/pos/quotes", body), 200)
        return answer

    async def hold(
        self, points: int, *, sale: str = "cart-1", total: int = 10_000, code: str | None = None, **fields: object
    ) -> httpx.Response:
        """Set points aside, with the app's digits or by the card alone."""
        body = self.sale(sale, total) | {"card_number": self.member.card_number, "points": points}
        if code is not None:
            body["presence_code"] = code
        return await self.send("POST", "/v1/pos/holds", body | fields)

    async def hold_proven(self, points: int, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - of `hold`
        """Set points aside with the digits of now; the clock goes on, as each step is good once."""
        held: dict[str, Any] = expect(await self.hold(points, code=await self.digits(), **fields), 201)
        return held

    async def hold_voucher(self, code: str, *, sale: str = "cart-1", total: int = 10_000) -> httpx.Response:
        """Set a voucher aside."""
        return await self.send("POST", "/v1/pos/holds", self.sale(sale, total) | {"voucher_code": code})

    async def capture(self, hold: dict[str, Any], *, sale: str = "sale-1") -> httpx.Response:
        """Say that the sale was paid."""
        return await self.send("POST", f"/v1/pos/holds/{hold['id']}/capture", {"order_reference": sale})

    async def release(self, hold: dict[str, Any]) -> httpx.Response:
        """Say that the sale was given up."""
        return await self.send("POST", f"/v1/pos/holds/{hold['id']}/release")

    async def add_reward(self, **fields: object) -> dict[str, Any]:
        """Add a reward: 5.00 off for 100 points unless `fields` say otherwise."""
        form = {"name": "5.00 off", "kind": "amount_off", "points_cost": 100, "value_minor": 500} | fields
        path, code = "/v1/staff/rewards", {"code": f"reward-{next(_numbers):06}"}
        reward: dict[str, Any] = expect(await self.send("POST", path, code | form, headers=self.manager), 201)
        return reward

    async def take(self, reward: dict[str, Any], **fields: object) -> httpx.Response:
        """Take a reward in the app."""
        body = {"reward_id": reward["id"], **fields}
        return await self.send("POST", "/v1/me/vouchers", body, headers=self.member.headers)

    async def take_code(self, reward: dict[str, Any]) -> str:
        """Take a reward in the app and return the voucher's code."""
        return str(expect(await self.take(reward), 201)["code"])

    async def sign_in_again(self) -> None:
        """Give the member a session of now, as one lasts as long as a hold."""
        tokens = expect(await self.world.sign_in(self.member.email), 201)
        self.member = msgspec.structs.replace(self.member, tokens=tokens)

    async def balance(self) -> tuple[int, int]:
        """Return the available points and those on hold, as the member sees them."""
        answer = await self.world.client.get("/v1/me/memberships", headers=self.member.headers)
        balance = expect(answer, 200)["items"][0]["balance"]
        return balance["available"], balance["held"]

    @staticmethod
    def sale(order_reference: str, total: int) -> dict[str, Any]:
        """Return the fields that name a sale."""
        return {
            "store": "high-street",
            "order_reference": order_reference,
            "order_total_minor": total,
            "currency": "GBP",
        }


async def voucher_status(voucher_id: str | UUID) -> str:
    """Return the status that stands in the row."""
    return str(await DB.fetch_value("select status from voucher where id = $1", UUID(str(voucher_id))))
