"""Pages of the audit trail: newest first, complete, for those who may."""

import pytest

from server.audit.store import record
from server.db.engine import DB
from shared.enums import Role
from tests.app import World, expect, problem


async def write(world: World, count: int) -> None:
    for number in range(count):
        await record(world.ctx, f"thing.done_{number}", subject_kind="thing", subject_id=None)


async def pages(world: World, headers: dict[str, str], limit: int) -> list[list[str]]:
    found, cursor = [], ""
    while True:
        params: dict[str, str | int] = {"limit": limit, "cursor": cursor}
        page = expect(await world.client.get("/v1/staff/audit", params=params, headers=headers), 200)
        found.append([item["action"] for item in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def test_pages_hold_every_entry_once_newest_first(world: World) -> None:
    headers = await world.staff_headers(Role.AUDITOR)
    await write(world, 7)
    found = await pages(world, headers, 3)
    assert [len(page) for page in found] == [3, 3, 1]
    assert sum(found, []) == [f"thing.done_{number}" for number in reversed(range(7))]  # noqa: RUF017 - seven rows


async def test_a_page_that_ends_exactly_has_no_next_one(world: World) -> None:
    headers = await world.staff_headers(Role.AUDITOR)
    await write(world, 4)
    assert [len(page) for page in await pages(world, headers, 4)] == [4]


async def test_the_trail_of_one_customer_or_one_actor_holds_only_theirs(world: World) -> None:
    headers = await world.staff_headers(Role.AUDITOR)
    ana, ben = await world.sign_up("ana@shop.test"), await world.sign_up("ben@shop.test")
    for query in ({"customer_id": str(ana.customer_id)}, {"actor_id": str(ana.customer_id)}):
        page = expect(await world.client.get("/v1/staff/audit", params=query, headers=headers), 200)
        assert page["items"]
        assert {item["customer_id"] for item in page["items"]} == {str(ana.customer_id)}
        assert {item["actor"] for item in page["items"]} == {"customer"}
    path = f"/v1/staff/customers/{ben.customer_id}/audit"
    items = expect(await world.client.get(path, headers=headers), 200)["items"]
    assert {item["customer_id"] for item in items} == {str(ben.customer_id)}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"cursor": "nonsense"}, "cursor"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"customer_id": "x"}, "customer_id"),
    ],
)
async def test_bad_parameters_are_named(world: World, query: dict[str, str], field: str) -> None:
    headers = await world.staff_headers(Role.AUDITOR)
    answer = await world.client.get("/v1/staff/audit", params=query, headers=headers)
    assert problem(answer) == (400, "INVALID_REQUEST", [field])


@pytest.mark.parametrize("role", [Role.CASHIER, Role.MARKETING])
async def test_the_trail_is_not_for_everybody(world: World, role: Role) -> None:
    answer = await world.client.get("/v1/staff/audit", headers=await world.staff_headers(role))
    assert problem(answer)[:2] == (403, "NOT_PERMITTED")


@pytest.mark.parametrize(
    "statement", ["update audit_entry set action = 'x'", "delete from audit_entry", "truncate audit_entry"]
)
async def test_no_entry_is_ever_changed(world: World, statement: str) -> None:
    await write(world, 1)
    with pytest.raises(Exception, match="append-only"):
        await DB.fetch(statement)
