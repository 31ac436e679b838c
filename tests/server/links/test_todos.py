"""What customers' merging leaves to do in the till: done by the till where it can, else kept in mind until it is done."""

from typing import Any
from uuid import UUID

import pytest

from server.db.engine import DB
from server.links import service, todos
from server.pos.protocol import Capability, Limited, PosRefused, PosUnavailable
from tests.app import SignedUp, World, expect, problem
from tests.server.links.shop import (
    Till,
    link,
    links_of,
    record,
    record_id,
    run_checks,
    settled_record,
    staff_post,
    wrong_rows,
)


class MergingTill(Limited):
    """A till system that merges its records when it is asked to."""

    name = "merging"
    is_remote = True
    capabilities = frozenset({Capability.MERGE})

    def __init__(self) -> None:
        self.merged: list[tuple[str, str]] = []
        self.trouble: Exception | None = None

    async def merge(self, kept_id: str, absorbed_id: str) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.merged.append((kept_id, absorbed_id))


async def _merged(world: World, till: Till) -> tuple[SignedUp, SignedUp, service.Moved]:
    """Let two members with a record each, in one till, be one customer; return them and the links that moved."""
    await settled_record(world, till, "p-1")
    await settled_record(world, till, "p-2", email="bea@shop.test")
    ana, bea = await world.sign_up(), await world.sign_up("bea@shop.test")
    await run_checks(world)
    async with DB.transaction():
        moved = await service.move_links(world.ctx, from_customer=bea.customer_id, to_customer=ana.customer_id)
    return ana, bea, moved


async def _todos(world: World, state: str = "open") -> list[dict[str, Any]]:
    headers = await world.staff_headers("auditor")
    answer = await world.client.get("/v1/staff/pos-todos", params={"state": state}, headers=headers)
    items: list[dict[str, Any]] = expect(answer, 200)["items"]
    return items


async def test_records_of_a_till_that_cannot_merge_wait_for_somebody_to_say_that_it_is_done(world: World) -> None:
    till = await Till.of(world)
    ana, _, _ = await _merged(world, till)
    await run_checks(world)
    (todo,) = await _todos(world)
    shown = (todo["kind"], todo["connection"], todo["kept"]["external_id"], todo["absorbed"]["external_id"])
    assert shown == ("merge", "till", "p-1", "p-2")
    assert (todo["customer_id"], todo["done_at"], todo["error"]) == (str(ana.customer_id), None, "")
    manager = await world.staff_headers("manager")
    links = expect(await world.client.get(f"/v1/staff/customers/{ana.customer_id}/links", headers=manager), 200)
    assert [one["id"] for one in links["todos"]] == [todo["id"]]
    path = f"/v1/staff/pos-todos/{todo['id']}"
    assert problem(await staff_post(world, await world.staff_headers("auditor"), f"{path}/done", {}))[0] == 403
    for _ in range(2):
        done = expect(await staff_post(world, manager, f"{path}/done", {"note": "In the back office"}), 200)
        assert (done["state"], done["note"], bool(done["done_by"])) == ("done", "In the back office", True)
    assert (await _todos(world), [one["id"] for one in await _todos(world, "done")]) == ([], [todo["id"]])
    for _ in range(2):
        assert expect(await staff_post(world, manager, f"{path}/reopen"), 200)["state"] == "open"
    acts = await DB.fetch("select action from audit_entry where subject_id = $1 order by id", UUID(todo["id"]))
    assert [row["action"] for row in acts] == ["pos_todo.done", "pos_todo.reopened"]
    assert (
        problem(await staff_post(world, manager, path.replace(todo["id"], str(ana.customer_id)) + "/done", {}))[0]
        == 404
    )
    bad = await world.client.get("/v1/staff/pos-todos", params={"state": "late"}, headers=manager)
    assert problem(bad)[0] == 400
    # The till tells of one record, and so it is done.
    await till.send(record("p-1", former_ids=["p-2"]))
    assert await _todos(world) == []
    assert [one["done_by"] for one in await _todos(world, "done")] == [""]
    # There is one record now, so that nothing can be left to do about two.
    assert problem(await staff_post(world, manager, f"{path}/reopen"))[1] == "LINK_OVER"
    assert await wrong_rows(world) == []
    await DB.fetch("update pos_todo set state = 'open', done_at = null")
    (wrong,) = await wrong_rows(world)
    assert wrong.startswith("what is to be merged in a till are two records of one customer: pos_todo ")


async def test_what_a_merge_left_to_do_is_nothing_to_do_once_the_merge_is_undone(world: World) -> None:
    till = await Till.of(world)
    ana, bea, moved = await _merged(world, till)
    assert len(await _todos(world)) == 1
    async with DB.transaction():
        await service.move_back(world.ctx, moved=moved, from_customer=ana.customer_id, to_customer=bea.customer_id)
    assert (await _todos(world), await _todos(world, "done")) == ([], [])
    assert await links_of(bea.customer_id) == [("p-2", "linked", "email")]
    # Nor once one of the two records is somebody else's after all.
    async with DB.transaction():
        await service.move_links(world.ctx, from_customer=bea.customer_id, to_customer=ana.customer_id)
    assert len(await _todos(world)) == 1
    manager = await world.staff_headers("manager")
    links = expect(await world.client.get(f"/v1/staff/customers/{ana.customer_id}/links", headers=manager), 200)
    path = f"/v1/staff/links/{links['links'][1]['id']}/end"
    shown = expect(await world.client.post(f"{path}/preview", json={"reason": "Bea's own"}, headers=manager), 200)
    wish = {"reason": "Bea's own", "preview_hash": shown["preview_hash"]}
    expect(await staff_post(world, manager, path, wish), 200)
    assert await _todos(world) == []
    expect(await link(world, manager, bea.customer_id, {"record_id": str(await record_id("p-2"))}), 201)
    assert await wrong_rows(world) == []


async def test_a_till_that_can_merge_does_so_by_itself_and_what_it_refuses_stays_with_its_reason(world: World) -> None:
    till, merging = await Till.of(world), MergingTill()
    ana, _, _ = await _merged(world, till)
    todo_id = UUID((await _todos(world))[0]["id"])
    connection_id = await DB.fetch_value("select connection from pos_record limit 1")
    assert isinstance(connection_id, UUID)
    merging.trouble = PosUnavailable("it is being updated")
    with pytest.raises(PosUnavailable):
        await todos.merge_in_till(world.ctx, todo_id, {connection_id: merging})
    merging.trouble = PosRefused("the second record has an unpaid invoice")
    await todos.merge_in_till(world.ctx, todo_id, {connection_id: merging})
    (todo,) = await _todos(world)
    assert todo["error"] == "the second record has an unpaid invoice"
    merging.trouble = None
    for _ in range(2):
        await todos.merge_in_till(world.ctx, todo_id, {connection_id: merging})
    assert merging.merged == [("p-1", "p-2")]
    assert await _todos(world) == []
    (done,) = await _todos(world, "done")
    assert (done["done_by"], done["error"]) == ("", "")
    # One record is left in our directory too, and a sale under either id counts.
    assert await links_of(ana.customer_id) == [("p-1", "linked", "email"), ("p-2", "ended", "email")]
    for name in ("p-1", "p-2"):
        assert (await till.sell(name))["points"] == 12
