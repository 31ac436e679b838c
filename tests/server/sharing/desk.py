"""Sharing through the API, as the console does: preview, then the command with its hash."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx

from server.db.engine import DB
from server.db.ids import new_id
from shared.enums import Role
from tests.app import SignedUp, World, expect
from tests.tills import push, sale


class Desk:
    """A staff member at a console, and a till beside it."""

    def __init__(self, world: World, headers: dict[str, str], key: dict[str, str]) -> None:
        self.world = world
        self.headers = headers
        self.key = key

    @classmethod
    async def open(cls, world: World, role: Role = Role.CASHIER) -> "Desk":
        return cls(world, await world.staff_headers(role), await world.pos_key())

    async def post(self, path: str, body: object, *, headers: dict[str, str] | None = None) -> httpx.Response:
        """Send a command under a fresh Idempotency-Key."""
        named = {"Idempotency-Key": f"test-{new_id()}"}
        return await self.world.client.post(path, json=body, headers=(headers or self.headers) | named)

    async def command(self, membership_id: UUID | str, act: str, body: dict[str, Any]) -> httpx.Response:
        """Preview and carry out, agreed to by whoever must; a body with `agreed_by` keeps its own."""
        path = f"/v1/staff/memberships/{membership_id}/{act}"
        body = {"reason": "one household"} | body
        shown = expect(await self.post(f"{path}/preview", body), 200)
        agreed = {} if act.endswith("undo") else {"agreed_by": shown["must_agree"]}
        return await self.post(path, agreed | body | {"preview_hash": shown["preview_hash"]})

    async def join(self, membership_id: UUID | str, customer_id: UUID | str, **fields: object) -> httpx.Response:
        return await self.command(membership_id, "join", {"customer_id": str(customer_id), **fields})

    async def combine(self, membership_id: UUID | str, other_id: UUID | str, **fields: object) -> httpx.Response:
        return await self.command(membership_id, "combine", {"other_membership_id": str(other_id), **fields})

    async def leave(self, membership_id: UUID | str, customer_id: UUID | str, **fields: object) -> httpx.Response:
        return await self.command(membership_id, "leave", {"customer_id": str(customer_id), **fields})

    async def undo(self, membership_id: UUID | str, act: str, operation_id: str) -> httpx.Response:
        if act == "combine":
            return await self.command(membership_id, f"combine/{operation_id}/undo", {"reason": "not wanted"})
        path = f"/v1/staff/memberships/{membership_id}/{act}/{operation_id}/undo"
        return await self.post(path, {"reason": "not wanted"})

    async def buy(self, card: str, points: int, **fields: object) -> dict[str, Any]:
        """Let a card buy for so many points."""
        body = sale(self.world, card=card, lines=[{"line_id": "1", "net_minor": points * 100}], **fields)
        sold: dict[str, Any] = expect(await push(self.world, self.key, body), 201)
        assert sold["points"] == points
        return sold | {"external_id": body["external_id"]}

    async def refund(self, external_id: str, net_minor: int) -> dict[str, Any]:
        """Let goods of a sale of one line come back."""
        body = {
            "external_id": f"return-{new_id()}",
            "original_order": external_id,
            "store": "high-street",
            "completed_at": self.world.clock.now().isoformat(),
            "currency": "GBP",
            "lines": [{"line_id": "1", "net_minor": net_minor}],
        }
        done: dict[str, Any] = expect(await self.post("/v1/pos/refunds", body, headers=self.key), 201)
        return done

    async def register(self, name: str) -> dict[str, Any]:
        """Register a customer at the till."""
        done: dict[str, Any] = expect(
            await self.post("/v1/staff/customers", {"given_name": name, "email": f"{name.lower()}@shop.test"}), 201
        )
        return done

    async def outsider(self, name: str) -> str:
        """Return a customer who is in no membership."""
        done = await self.register(name)
        sql = "update membership_person set left_at = joined_at, left_reason = 'test' where customer = $1"
        await DB.fetch(sql, UUID(done["id"]))
        await DB.fetch("update card set status = 'blocked' where customer = $1", UUID(done["id"]))
        await DB.fetch("update membership set status = 'closed' where id = $1", UUID(done["membership_id"]))
        return str(done["id"])

    async def people(self, membership_id: UUID | str) -> list[dict[str, Any]]:
        path = f"/v1/staff/memberships/{membership_id}/people"
        shown: list[dict[str, Any]] = expect(await self.world.client.get(path, headers=self.headers), 200)["people"]
        return shown


async def two_members(world: World) -> tuple[SignedUp, SignedUp]:
    """Ana and Ben, each with a membership."""
    return await world.sign_up("ana@shop.test"), await world.sign_up("ben@shop.test", given_name="Ben")


async def lots(*membership_ids: UUID | str) -> list[tuple[int, object, object]]:
    """Return the points left of every date in some memberships."""
    sql = """
    select sum(remaining)::int as points, available_at, expires_at from lot
    where membership = any($1::uuid[]) and remaining > 0 group by 2, 3 order by 2, 3
    """
    ids = [UUID(str(one)) for one in membership_ids]
    return [(row["points"], row["available_at"], row["expires_at"]) for row in await DB.fetch(sql, ids)]


def names_of(people: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the people's roles by customer."""
    return {person["customer_id"]: person["role"] for person in people}
