"""Claim codes through the API: staff make them, members enter them."""

import itertools
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from shared.enums import Role
from tests.app import SignedUp, World, expect
from tests.tills import push, sale

_numbers = itertools.count(1)


class ClaimDesk:
    """A cashier at a console, and a till beside it."""

    def __init__(self, world: World, role: Role, headers: dict[str, str], till: dict[str, str]) -> None:
        self.world = world
        self.role = role
        self.headers = headers
        self.till = till

    @classmethod
    async def open(cls, world: World, role: Role = Role.CASHIER) -> "ClaimDesk":
        return cls(world, role, await world.staff_headers(role), await world.pos_key())

    async def wait(self, **step: float) -> None:
        """Let time pass, and sign in again."""
        self.world.advance(timedelta(**step))
        self.headers = await self.world.staff_headers(self.role)

    async def post(
        self,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        client: httpx.AsyncClient | None = None,
    ) -> httpx.Response:
        """Send something under a fresh Idempotency-Key."""
        key = {"Idempotency-Key": f"claims-key-{next(_numbers):016}"}
        client = client or self.world.client
        return await client.post(path, json=body, headers=key | (headers or self.headers))

    async def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Read something."""
        return expect(await self.world.client.get(path, headers=self.headers), 200)

    async def register(self, **fields: object) -> dict[str, Any]:
        """Register a customer at the till."""
        form = {"given_name": "Bea", "family_name": "Okafor", **fields}
        if not {"email", "phone", "card_number"} & set(form):
            form["phone"] = f"+4420794{next(_numbers):05}"
        registered: dict[str, Any] = expect(await self.post("/v1/staff/customers", form), 201)
        return registered

    async def stub(self, *, purchases: int = 1, **fields: object) -> dict[str, Any]:
        """Register a customer without an email who has bought for twelve points a time."""
        registered = await self.register(**fields)
        for _ in range(purchases):
            expect(await push(self.world, self.till, sale(self.world, card=registered["card_number"])), 201)
        return registered

    async def issue(self, customer_id: UUID | str) -> dict[str, Any]:
        """Make a code for a customer."""
        issued: dict[str, Any] = expect(await self.post(f"/v1/staff/customers/{customer_id}/claim-codes"), 201)
        return issued

    async def claim(
        self, member: SignedUp, code: str, *, client: httpx.AsyncClient | None = None, **fields: object
    ) -> httpx.Response:
        """Enter a code."""
        return await self.post("/v1/me/claims", {"code": code, **fields}, headers=member.headers, client=client)

    async def claimed(self, member: SignedUp, code: str, **fields: object) -> dict[str, Any]:
        """Enter a code that works."""
        done: dict[str, Any] = expect(await self.claim(member, code, **fields), 201)
        return done

    async def balance(self, customer_id: UUID | str) -> int:
        """Return the available points of a customer, of all memberships."""
        shown = await self.get(f"/v1/staff/customers/{customer_id}")
        return sum(one["balance"]["available"] for one in shown["memberships"] if one["status"] == "active")

    async def causes(self, customer_id: UUID | str) -> list[str]:
        """Return why a member's tries were refused, newest first, as staff see it."""
        shown = await self.get(f"/v1/staff/customers/{customer_id}/claim-codes")
        return [one["cause"] for one in shown["refusals"]]
