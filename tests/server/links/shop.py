"""A shop whose till keeps customers: records, sales that name them, and looks for whose they are."""

import itertools
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from server.context import Tools
from server.db.engine import DB
from server.db.ids import new_id
from server.ledger.verification import verify
from server.links import checks, cycle, resting, service, todos
from tests.app import SignedUp, World, expect
from tests.tills import push, sale

_numbers = itertools.count(1)
SETTLED = timedelta(days=40)
"""Since when a record has had its address, for links that nothing holds."""


async def run_checks(world: World) -> int:
    """Let the worker look for records of members who are due."""

    async def check(tools: Tools, _: bytes) -> None:
        await cycle.check_members(tools)

    world.jobs["links.check"] = check
    world.jobs["pos.cycle"] = cycle.run_asked
    world.jobs[checks.PUSH_BUYER_JOB] = checks.push_asked
    world.jobs[todos.MERGE_RECORDS_JOB] = todos.merge_asked
    world.jobs[service.REST_JOB] = resting.go_on
    return await world.run_jobs()


def record(external_id: str = "", **fields: object) -> dict[str, Any]:
    """Return a record of the till, Ana's unless it says otherwise."""
    return {
        "external_id": external_id or f"pos-{next(_numbers):06}",
        "given_name": "Ana",
        "family_name": "Flores",
        "email": "ana@shop.test",
        **fields,
    }


def since(world: World, age: timedelta = SETTLED) -> dict[str, str]:
    """Return the field that says how long the address has been on a record."""
    return {"email_since": (world.clock.now() - age).isoformat()}


class Till:
    """A till with its key."""

    def __init__(self, world: World, headers: Mapping[str, str]) -> None:
        self.world = world
        self.headers = dict(headers)

    @classmethod
    async def of(cls, world: World, connection: str = "till") -> "Till":
        return cls(world, await world.pos_key(connection=connection))

    async def post(self, path: str, body: Any) -> httpx.Response:  # noqa: ANN401 - JSON
        """Send something under a key of its own."""
        headers = self.headers | {"Idempotency-Key": f"test-{new_id()}"}
        return await self.world.client.post(path, json=body, headers=headers)

    async def send(self, body: dict[str, Any]) -> dict[str, Any]:
        """Send a record and return what became of it."""
        answer: dict[str, Any] = expect(await self.post("/v1/pos/customers", body), 200)
        return answer

    async def sell(self, pos_customer_id: str, **fields: object) -> dict[str, Any]:
        """Sell something for 12.34 to a customer of the till, and return what it earned."""
        body = sale(self.world, customer={"pos_customer_id": pos_customer_id}, **fields)
        answer: dict[str, Any] = expect(await push(self.world, self.headers, body), 201)
        return answer


async def settled_record(world: World, till: Till, external_id: str, **fields: object) -> UUID:
    """Send a record whose address is old enough to be beyond suspicion, and return its id."""
    body = record(external_id, **fields)
    if body["email"]:
        body = since(world) | body
    await till.send(body)
    return await record_id(external_id)


async def record_id(external_id: str) -> UUID:
    found = await DB.fetch_value("select id from pos_record where external_id = $1", external_id)
    assert isinstance(found, UUID)
    return found


async def links_of(customer_id: UUID) -> list[tuple[str, str, str]]:
    """Return external id, state and method of a customer's links, oldest first."""
    sql = """
    select r.external_id, l.state, l.method from pos_link l join pos_record r on r.id = l.record
    where l.customer = $1 order by l.created_at, l.id
    """
    return [tuple(row) for row in await DB.fetch(sql, customer_id)]


async def state_of(customer_id: UUID) -> str | None:
    found = await DB.fetch_value("select state from link_check where customer = $1", customer_id)
    return None if found is None else str(found)


async def reviews_of(customer_id: UUID) -> list[str]:
    sql = "select reason from link_review where customer = $1 and state = 'open' order by reason"
    return [row["reason"] for row in await DB.fetch(sql, customer_id)]


async def balance_of(member: SignedUp) -> int:
    found = await DB.fetch_value("select balance from membership where id = $1", member.membership_id)
    assert isinstance(found, int)
    return found


async def wrong_rows(world: World) -> list[str]:
    """Return what `regulars verify` finds wrong."""
    return [f"{one.name}: {one.wrong_row}" async for one in verify(world.clock.now()) if not one.is_right]


async def staff_post(
    world: World, headers: Mapping[str, str], path: str, body: Mapping[str, Any] | None = None
) -> httpx.Response:
    """Send something as staff, under a key of its own."""
    keyed = dict(headers) | {"Idempotency-Key": f"test-{new_id()}"}
    return await world.client.post(path, json=body, headers=keyed)


async def grant(world: World, headers: Mapping[str, str], link_id: object, **fields: object) -> httpx.Response:
    """Look at what a link that waits would bring and approve it."""
    path = f"/v1/staff/links/{link_id}/approve"
    seen = expect(await world.client.post(f"{path}/preview", json={}, headers=dict(headers)), 200)
    return await staff_post(world, headers, path, fields | {"preview_hash": seen["preview_hash"]})


async def link(world: World, headers: Mapping[str, str], customer_id: UUID, wish: dict[str, Any]) -> httpx.Response:
    """Preview a link and make it."""
    path = f"/v1/staff/customers/{customer_id}/links"
    seen = expect(await world.client.post(f"{path}/preview", json=wish, headers=dict(headers)), 200)
    return await staff_post(world, headers, path, wish | {"preview_hash": seen["preview_hash"]})
