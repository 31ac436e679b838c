"""What stands against being forgotten, and who has to agree to it."""

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from server.db.engine import DB
from server.privacy import erasure_execution
from tests.app import PASSWORD, World, expect, open_world, problem
from tests.ledgers import assert_verified, credit, figures
from tests.server.merges.desk import MergeDesk
from tests.server.privacy.desk import ask, ask_by_staff, erasure_of, forget, keyed, let_days_pass, status_of, work
from tests.server.sharing.desk import two_members


async def test_what_is_under_way_has_to_end_first_and_is_waited_for(world: World) -> None:
    ana = await world.sign_up()
    await credit(world, ana.membership_id, 500)
    wish = {"new_email": "new@shop.test", "mode": "keep", "password": PASSWORD}
    expect(await world.client.post("/v1/me/email-changes", json=wish, headers=ana.headers), 202)
    refused = await world.client.post("/v1/me/erasure", json={"password": PASSWORD}, headers=keyed(ana.headers))
    assert problem(refused)[:2] == (409, "EMAIL_CHANGE_PENDING")
    shown = expect(await world.client.post("/v1/me/erasure/preview", headers=ana.headers), 200)
    assert shown["effect"] is None
    assert "waits for its proof" in shown["blockers"][0]
    world.advance(timedelta(hours=25))
    tokens = expect(await world.sign_in(ana.email), 201)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    asked = expect(await world.client.post("/v1/me/erasure", json={}, headers=keyed(headers)), 202)

    # A sale that is being paid at the very minute is let through first.
    world.advance(timedelta(days=7, minutes=1))
    await _hold(world, ana.card_number)
    await work(world)
    assert await status_of(ana.customer_id) == "active"
    manager = await world.staff_headers("manager")
    listed = expect(await world.client.get("/v1/staff/erasures?state=cooling", headers=manager), 200)["items"]
    assert [(one["id"], one["blocked_by"]) for one in listed] == [(asked["id"], "OPEN_HOLD")]
    world.advance(timedelta(minutes=16))
    await work(world)
    assert await status_of(ana.customer_id) == "erased"
    await assert_verified(world)


async def _hold(world: World, card: str) -> None:
    manager = await world.staff_headers("manager")
    terms = {
        "version": 0, "step_points": 100, "step_minor": 100, "cap_percent": 50, "minimum_points": 100,
        "card_daily_points": 200, "restore_grace_days": 30,
    }  # fmt: skip
    expect(await world.client.put("/v1/staff/redemption-terms", json=terms, headers=manager), 200)
    wish = {
        "card_number": card, "points": 100, "store": "high-street", "order_reference": "cart-1",
        "order_total_minor": 4_250, "currency": "GBP",
    }  # fmt: skip
    key = await world.pos_key()
    held = await world.client.post("/v1/pos/holds", json=wish, headers=key | {"Idempotency-Key": "test-hold-000000001"})
    expect(held, 201)


async def test_staff_need_the_customer_before_them_and_a_second_person(world: World) -> None:
    ana = await world.sign_up()
    desk = await MergeDesk.open(world)
    assert problem(await ask_by_staff(desk, ana.customer_id, identity_attested=False))[2] == ["identity_attested"]
    assert problem(await ask_by_staff(desk, ana.customer_id, preview_hash="0" * 64))[1] == "PREVIEW_STALE"
    cashier = await world.staff_headers("cashier")
    path = f"/v1/staff/customers/{ana.customer_id}/erasure"
    assert problem(await world.client.post(f"{path}/preview", headers=cashier))[0] == 403
    asked = expect(await ask_by_staff(desk, ana.customer_id), 202)
    assert asked["state"] == "waiting"
    assert problem(await ask_by_staff(desk, ana.customer_id))[:2] == (409, "ERASURE_RUNNING")
    own = expect(await world.client.get(f"/v1/staff/erasures/{asked['id']}", headers=desk.headers), 200)
    approve = f"/v1/staff/erasures/{asked['id']}/approve"
    body = {"preview_hash": own["preview_hash"]}
    assert problem(await world.client.post(approve, json=body, headers=keyed(desk.headers)))[1] == "APPROVAL_REQUIRED"
    other = await world.staff_headers("manager")
    await credit(world, ana.membership_id, 5)
    assert problem(await world.client.post(approve, json=body, headers=keyed(other)))[1] == "PREVIEW_STALE"
    shown = expect(await world.client.get(f"/v1/staff/erasures/{asked['id']}", headers=other), 200)
    body = {"preview_hash": shown["preview_hash"]}
    approved = expect(await world.client.post(approve, json=body, headers=keyed(other)), 200)
    assert (approved["state"], approved["execute_after"][:10]) == ("cooling", "2026-03-09")
    assert problem(await world.client.post(approve, json=body, headers=keyed(other)))[1] == "REQUEST_CLOSED"
    # The customer is told, and can stop it.
    assert (await world.mail_to(ana.email, purpose="erasure-cancel")).subject.endswith("forget you on 9 March 2026")


async def test_an_administrator_decides_where_the_customer_is_a_staff_member(world: World) -> None:
    ana = await world.sign_up()
    staff_id = await world.add_staff("cashier")
    await DB.fetch("update staff_member set customer = $2 where id = $1", staff_id, ana.customer_id)
    asked = await ask(world, ana)
    assert (asked["state"], asked["needs"]) == ("waiting", ["staff_linked"])
    await let_days_pass(world)
    assert await status_of(ana.customer_id) == "active"
    path = f"/v1/staff/erasures/{asked['id']}"
    manager, admin = await world.staff_headers("manager"), await world.staff_headers("admin")
    shown = expect(await world.client.get(path, headers=admin), 200)
    body = {"preview_hash": shown["preview_hash"]}
    refused = await world.client.post(f"{path}/approve", json=body, headers=keyed(manager))
    assert problem(refused)[1] == "APPROVAL_REQUIRED"
    expect(await world.client.post(f"{path}/approve", json=body, headers=keyed(admin)), 200)
    await let_days_pass(world)
    assert await status_of(ana.customer_id) == "erased"
    assert await DB.fetch_value("select customer from staff_member where id = $1", staff_id) is None
    # Late is what is not done within a month.
    late = expect(await world.client.get("/v1/staff/erasures", headers=await world.staff_headers("auditor")), 200)
    assert late["items"][0]["is_late"] is False


async def test_nobody_is_merged_or_brought_back_by_an_undo_while_or_after_being_forgotten(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await MergeDesk.open(world)
    await desk.buy(ana.card_number, 10)
    combined = expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    stub = await desk.register("Anna")
    merged = await desk.merged(ben.customer_id, stub["id"])
    third = await desk.register("Cy")
    await ask(world, ben)
    body = desk.wish(ben.customer_id, third["id"])
    assert problem(await desk.post("/v1/staff/merges", body))[1] == "PRIVACY_REQUEST_OPEN"
    await let_days_pass(world)
    desk = await MergeDesk.open(world)
    undo = f"/v1/staff/merges/{merged['id']}/undo/preview"
    assert "CUSTOMER_ERASED" in (await desk.post(undo, {"reason": "two people"})).text
    path = f"/v1/staff/memberships/{ana.membership_id}/combine/{combined['operation_id']}/undo"
    refused = await desk.post(f"{path}/preview", {"reason": "not wanted"})
    assert expect(refused, 200)["effect"] is None
    assert (await figures(ana.membership_id))[1] == 10
    views = expect(await world.client.get("/v1/staff/merges", headers=desk.headers), 200)["items"]
    assert views[0]["effect"] is None
    await assert_verified(world)


async def test_what_was_combined_after_the_forgotten_person_had_left_can_be_taken_back(world: World) -> None:
    ana, ben = await two_members(world)
    cy = await world.sign_up("cy@shop.test", given_name="Cy")
    desk = await MergeDesk.open(world)
    expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    world.advance(timedelta(minutes=1))
    expect(await desk.leave(ana.membership_id, ben.customer_id, policy="leave_all"), 201)
    world.advance(timedelta(minutes=1))
    await desk.buy(cy.card_number, 30)
    combined = expect(await desk.combine(ana.membership_id, cy.membership_id), 201)
    stub = await desk.register("Anna")
    await desk.buy(stub["card_number"], 4)
    merged = await desk.merged(ana.customer_id, stub["id"])
    await forget(world, ben)
    desk = await MergeDesk.open(world)
    expect(await desk.unmerge(merged["id"]), 200)
    expect(await desk.undo(ana.membership_id, "combine", combined["operation_id"]), 200)
    assert [(await figures(one))[1] for one in (ana.membership_id, cy.membership_id)] == [0, 30]
    await assert_verified(world)


async def test_64_who_ask_carry_out_and_take_back_at_once_leave_one_outcome(world: World) -> None:
    ana = await world.sign_up()
    await credit(world, ana.membership_id, 100)
    asks = [world.client.post("/v1/me/erasure", json={"password": None}, headers=keyed(ana.headers)) for _ in range(16)]
    answers = await asyncio.gather(*asks)
    ids = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    assert len(ids) == 1
    assert {problem(answer)[1] for answer in answers if answer.status_code != 202} <= {"ERASURE_RUNNING", "BUSY"}
    (erasure_id,) = ids
    world.advance(timedelta(days=7, minutes=1))
    manager = await world.staff_headers("manager")
    path = f"/v1/staff/erasures/{erasure_id}/cancel"
    done = await asyncio.gather(
        *(erasure_execution.execute(world.ctx, UUID(erasure_id)) for _ in range(32)),
        *(world.client.post(path, json={"reason": "stays"}, headers=keyed(manager)) for _ in range(16)),
        return_exceptions=True,
    )
    executed = sum(one is True for one in done)
    cancelled = sum(getattr(one, "status_code", 0) == 200 for one in done)
    assert executed + cancelled == 1
    assert await status_of(ana.customer_id) == ("erased" if executed else "active")
    assert (await erasure_of(ana.customer_id))["state"] in ("executed", "done", "cancelled")
    await assert_verified(world)


async def test_without_days_to_take_it_back_it_is_done_by_the_next_job(database_url: str, data_dir: Path) -> None:
    async with open_world(database_url, data_dir, erasure_cooling_days=0) as world:
        ana = await world.sign_up()
        await ask(world, ana)
        await work(world)
        assert await status_of(ana.customer_id) == "erased"
