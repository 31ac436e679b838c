"""What stands against a merge, whom it takes, and the "not me" of whoever is told."""

from datetime import timedelta
from uuid import UUID

from server.db.engine import DB
from server.db.ids import new_id
from server.errors import Refused
from server.merges.service import merge_customers
from shared.enums import Role
from shared.merges import MergeChoices
from shared.problems import Code
from tests.app import PASSWORD, World, expect, problem
from tests.ledgers import assert_verified, credit, figures
from tests.server.merges.desk import MergeDesk
from tests.server.privacy.desk import forget
from tests.server.sharing.desk import two_members


async def test_two_sign_ins_take_two_people_and_both_are_told_with_a_way_to_object(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await MergeDesk.open(world)
    await credit(world, ben.membership_id, 40)
    asked = expect(await desk.merge(ana.customer_id, ben.customer_id), 201)
    assert (asked["state"], asked["needs"]) == ("waiting", ["both_have_logins"])
    assert await figures(ana.membership_id) == (0, 0, 0, 0)
    path = f"/v1/staff/merges/{asked['id']}"
    body = {"preview_hash": asked["preview_hash"]}
    assert problem(await desk.post(f"{path}/approve", body))[1] == "APPROVAL_REQUIRED"
    assert problem(await desk.post(f"{path}/approve", body, headers=await world.staff_headers("cashier")))[0] == 403
    other = await world.staff_headers("manager")
    wrong = await desk.post(f"{path}/approve", {"preview_hash": "0" * 64}, headers=other)
    assert problem(wrong)[1] == "PREVIEW_STALE"
    done = expect(await desk.approve(asked["id"]), 200)
    assert (done["state"], done["effect"]["sessions_ended"]) == ("done", 1)
    assert problem(await world.client.get("/v1/me", headers=ben.headers))[0] == 401
    assert problem(await world.sign_in(ben.email))[1] == "SIGN_IN_FAILED"
    assert await figures(ana.membership_id) == (40, 40, 0, 0)
    audit = await DB.fetch("select customer_id from audit_entry where action = 'customer.merged'")
    assert {row["customer_id"] for row in audit} == {ana.customer_id, ben.customer_id}

    mail = await world.mail_to(ben.email, purpose="merge-not-me")
    page = await world.client.get(f"/links/{mail.purpose}")
    assert "not mine" in page.text
    held = expect(await world.client.post("/v1/account-merges/dispute", json={"token": mail.token}), 200)
    assert held["redemption_held_until"].startswith((world.clock.now() + timedelta(days=7)).date().isoformat())
    assert (
        problem(await world.client.post("/v1/account-merges/dispute", json={"token": mail.token}))[1] == "TOKEN_EXPIRED"
    )
    shown = expect(await world.client.get(path, headers=other), 200)
    assert shown["disputed_at"] is not None
    listed = await world.client.get("/v1/staff/merges", params={"customer_id": str(ben.customer_id)}, headers=other)
    assert [one["id"] for one in expect(listed, 200)["items"]] == [asked["id"]]
    await assert_verified(world)
    expect(await desk.unmerge(asked["id"]), 200)
    assert (await desk.customer(ana.customer_id))["redemption_held_until"] is None
    expect(await world.sign_in(ben.email), 201)
    assert await figures(ben.membership_id) == (40, 40, 0, 0)
    await assert_verified(world)


async def test_a_dispute_holds_the_points_where_they_are_by_now(world: World) -> None:
    ana, ben = await two_members(world)
    cy = await world.sign_up("cy@shop.test")
    desk = await MergeDesk.open(world)
    await desk.merged(ana.customer_id, ben.customer_id)
    mail = await world.mail_to(ben.email, purpose="merge-not-me")
    await desk.merged(cy.customer_id, ana.customer_id)
    expect(await world.client.post("/v1/account-merges/dispute", json={"token": mail.token}), 200)
    assert (await desk.customer(cy.customer_id))["redemption_held_reason"] == "merge_disputed"


async def test_a_wish_lapses_after_a_day_and_can_be_refused_by_another_person(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await MergeDesk.open(world)
    asked = expect(await desk.merge(ana.customer_id, ben.customer_id), 201)
    path = f"/v1/staff/merges/{asked['id']}/refuse"
    assert problem(await desk.post(path, {"reason": "two people"}))[1] == "APPROVAL_REQUIRED"
    other = await world.staff_headers("manager")
    assert expect(await desk.post(path, {"reason": "two people"}, headers=other), 200)["state"] == "refused"
    change = {"new_email": "new@shop.test", "mode": "keep", "password": PASSWORD}
    expect(await world.client.post("/v1/me/email-changes", json=change, headers=ana.headers), 202)
    again = expect(await desk.merge(ana.customer_id, ben.customer_id, cancel_email_changes=True), 201)
    # Asked for twice it waits once, and what it would give up goes on until it is decided.
    twice = expect(await desk.merge(ana.customer_id, ben.customer_id, cancel_email_changes=True), 201)
    assert twice["id"] == again["id"]
    assert await DB.fetch_value("select state from email_change") == "pending"
    world.advance(timedelta(hours=24))
    late = await desk.post(
        f"/v1/staff/merges/{again['id']}/approve",
        {"preview_hash": "0" * 64},
        headers=await world.staff_headers("manager"),
    )
    assert problem(late)[1] == "REQUEST_CLOSED"


async def test_a_staff_members_own_record_is_for_an_administrator_who_is_not_that_person(world: World) -> None:
    ana = await world.sign_up()
    desk = await MergeDesk.open(world)
    stub = await desk.register("Anna")
    staff_id = await world.add_staff(Role.CASHIER)
    await DB.fetch("update staff_member set customer = $1 where id = $2", UUID(stub["id"]), staff_id)
    shown = await desk.preview(ana.customer_id, stub["id"])
    assert shown["needs_second_person"] == ["staff_linked"]
    assert "better cancel" in shown["warnings"][0]
    asked = expect(await desk.merge(ana.customer_id, stub["id"]), 201)
    refused = await desk.approve(asked["id"], Role.MANAGER)
    assert problem(refused)[1] == "MERGE_STAFF_LINKED"
    done = expect(await desk.approve(asked["id"], Role.ADMIN), 200)
    assert done["state"] == "done"
    row = await DB.fetch_row("select customer, role from staff_member where id = $1", staff_id)
    assert row is not None
    assert (row["customer"], row["role"]) == (ana.customer_id, "cashier")
    expect(await desk.unmerge(done["id"]), 200)
    assert await DB.fetch_value("select customer from staff_member where id = $1", staff_id) == UUID(stub["id"])
    with_claim = None
    try:
        async with DB.transaction():
            await merge_customers(
                world.ctx, survivor_id=ana.customer_id, absorbed_id=UUID(stub["id"]), method="claim",
                choices=MergeChoices(), reason="claimed",
            )  # fmt: skip
    except Refused as refusal:
        with_claim = refusal.code
    assert with_claim is Code.MERGE_STAFF_LINKED


async def test_nobody_merges_their_own_record_nor_one_that_is_gone(world: World) -> None:
    ana = await world.sign_up()
    desk = await MergeDesk.open(world)
    stub = await desk.register("Anna")
    path = "/v1/staff/merges/preview"
    assert problem(await desk.post(path, desk.wish(ana.customer_id, ana.customer_id)))[1] == "MERGE_SAME"
    assert problem(await desk.post(path, desk.wish(ana.customer_id, new_id())))[0] == 404
    staff_id = await world.add_staff(Role.MANAGER)
    await DB.fetch("update staff_member set customer = $1 where id = $2", ana.customer_id, staff_id)
    own = await desk.post(
        path, desk.wish(ana.customer_id, stub["id"]), headers=await world.staff_headers(staff_id=staff_id)
    )
    assert problem(own)[1] == "SELF_DEALING"
    await DB.fetch("update staff_member set customer = null")
    other = await desk.register("Anny")
    await desk.merged(other["id"], stub["id"])
    gone = await desk.post(path, desk.wish(ana.customer_id, stub["id"]))
    assert (problem(gone)[1], gone.json()["data"]) == ("CUSTOMER_MERGED", {"customer_id": other["id"]})


async def test_sales_kinds_and_changes_in_the_making_stop_it(world: World) -> None:
    ana = await world.sign_up()
    desk = await MergeDesk.open(world)
    stub = await desk.register("Anna")
    await credit(world, ana.membership_id, 500)
    held = {
        "card_number": ana.card_number, "points": 100, "store": "high-street", "currency": "GBP",
        "order_reference": "cart-1", "order_total_minor": 10_000,
    }  # fmt: skip
    hold = expect(await desk.post("/v1/pos/holds", held, headers=desk.key), 201)
    assert "cart-1" in (await desk.preview(ana.customer_id, stub["id"]))["blockers"][0]
    assert problem(await desk.post("/v1/staff/merges", desk.wish(ana.customer_id, stub["id"])))[1] == "OPEN_HOLD"
    expect(await desk.post(f"/v1/pos/holds/{hold['id']}/release", None, headers=desk.key), 200)

    change = {"new_email": "new@shop.test", "mode": "keep", "password": PASSWORD}
    expect(await world.client.post("/v1/me/email-changes", json=change, headers=ana.headers), 202)
    body = desk.wish(ana.customer_id, stub["id"])
    assert problem(await desk.post("/v1/staff/merges", body))[1] == "EMAIL_CHANGE_PENDING"
    await DB.fetch("update customer set kind = 'business' where id = $1", UUID(stub["id"]))
    choices = {"cancel_email_changes": True}
    assert problem(await desk.post("/v1/staff/merges", body | {"choices": choices}))[1] == "MERGE_KIND_MISMATCH"
    await DB.fetch("update customer set kind = 'person'")
    done = await desk.merged(ana.customer_id, stub["id"], cancel_email_changes=True)
    assert done["state"] == "done"
    assert await DB.fetch_value("select state from email_change") == "cancelled"


async def test_whoever_asked_to_be_forgotten_is_not_merged_and_claim_codes_of_the_merged_are_void(world: World) -> None:
    ana = await world.sign_up()
    desk = await MergeDesk.open(world)
    stub = await desk.register("Anna")
    now = world.clock.now()
    await DB.fetch(
        """
        insert into erasure (id, customer, state, requested_by_kind, requested_at, answer_by, execute_after)
        values ($1, $2, 'cooling', 'member', $3, $4, $4)
        """,
        new_id(), ana.customer_id, now, now + timedelta(days=30),
    )  # fmt: skip
    refused = await desk.post("/v1/staff/merges", desk.wish(ana.customer_id, stub["id"]))
    assert problem(refused)[1] == "PRIVACY_REQUEST_OPEN"
    await DB.fetch("update erasure set state = 'cancelled', ended_at = $1", now)
    await DB.fetch(
        """
        insert into claim_code (id, code_hash, kind, customer, actor_kind, issued_at, expires_at, wrong_checks)
        values ($1, 'x', 'till', $2, 'system', $3, $4, 0)
        """,
        new_id(), UUID(stub["id"]), now, now + timedelta(days=30),
    )  # fmt: skip
    await desk.merged(ana.customer_id, stub["id"])
    assert await DB.fetch_value("select revoked_reason from claim_code") == "merged"
    await assert_verified(world)


async def test_a_blocked_one_blocks_both_and_many_points_take_two(world: World) -> None:
    ana = await world.sign_up()
    desk = await MergeDesk.open(world)
    stub = await desk.register("Anna")
    await credit(world, UUID(stub["membership_id"]), 5_001)
    await DB.fetch("update customer set status = 'blocked' where id = $1", UUID(stub["id"]))
    shown = await desk.preview(ana.customer_id, stub["id"])
    assert shown["needs_second_person"] == ["blocked", "many_points"]
    await desk.merged(ana.customer_id, stub["id"])
    assert (await desk.customer(ana.customer_id))["status"] == "blocked"
    await assert_verified(world)


async def test_what_was_kept_of_somebody_who_was_forgotten_is_not_there_to_undo_a_merge(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await MergeDesk.open(world)
    expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    expect(await desk.leave(ana.membership_id, ben.customer_id), 201)
    double = await desk.register("Anna")
    merged = await desk.merged(ana.customer_id, double["id"])
    await forget(world, ben)
    desk.headers = await world.staff_headers("manager")
    path = f"/v1/staff/merges/{merged['id']}/undo"
    shown = expect(await desk.post(f"{path}/preview", {"reason": "two people"}), 200)
    assert "was forgotten since" in shown["blockers"][0]
    refused = await desk.post(path, {"reason": "two people", "preview_hash": shown["preview_hash"]})
    assert problem(refused)[:2] == (409, "UNDO_EXPIRED")
