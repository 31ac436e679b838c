"""Two records of one person become one: everything moves, the old id still answers, and it can be taken back."""

from datetime import timedelta
from uuid import UUID

from server.bonuses.service import grant_due
from server.db.engine import DB
from tests.app import World, expect, problem
from tests.ledgers import assert_verified, credit, figures
from tests.server.links.shop import Till, links_of, run_checks, settled_record
from tests.server.merges.desk import MergeDesk
from tests.server.sharing.desk import lots, two_members
from tests.tills import add_rules, push, push_batch, sale


async def test_a_till_record_becomes_part_of_the_member_with_points_cards_and_purchases(world: World) -> None:
    ana = await world.sign_up()
    desk = await MergeDesk.open(world)
    stub = await desk.register("Anna")
    await credit(world, ana.membership_id, 100, days=30)
    await desk.buy(stub["card_number"], 57)
    before = await lots(ana.membership_id, stub["membership_id"])

    shown = await desk.preview(ana.customer_id, stub["id"])
    assert (shown["survivor"]["available"], shown["absorbed"]["available"]) == (100, 57)
    assert shown["effect"]["available_after"] == 157
    assert {field["name"]: field["after"] for field in shown["effect"]["fields"]}["name"] == "Ana Flores"
    assert (shown["blockers"], shown["needs_second_person"]) == ([], [])
    done = await desk.merged(ana.customer_id, stub["id"])

    assert (done["effect"]["orders"], done["effect"]["cards"]) == (1, [stub["card_number"]])
    assert await lots(ana.membership_id) == before
    await desk.buy(stub["card_number"], 3)
    orders = expect(await world.client.get("/v1/me/orders", headers=ana.headers), 200)["items"]
    assert [order["points"] for order in orders] == [3, 57]
    assert (await figures(ana.membership_id))[0] == 160
    # The old id answers with the survivor, and the old address finds them.
    found = await desk.customer(stub["id"])
    assert (found["id"], found["merged_from"]) == (str(ana.customer_id), [stub["id"]])
    hits = await world.client.get("/v1/staff/customers", params={"q": "anna@shop.test"}, headers=desk.headers)
    assert [hit["id"] for hit in expect(hits, 200)["items"]] == [str(ana.customer_id)]
    assert "are one now" in (await world.mails_to(ana.email))[-1].subject
    earned = await DB.fetch("select kind from ledger_entry where kind in ('EARN', 'CLAWBACK')")
    assert [row["kind"] for row in earned] == ["EARN", "EARN"]
    await assert_verified(world)


async def test_taking_it_back_makes_two_again_and_names_what_was_used(world: World) -> None:
    ana = await world.sign_up()
    desk = await MergeDesk.open(world)
    stub = await desk.register("Anna")
    await credit(world, UUID(stub["membership_id"]), 60, days=10)
    await credit(world, ana.membership_id, 100, days=300)
    old = await desk.buy(stub["card_number"], 20)
    done = await desk.merged(ana.customer_id, stub["id"])
    await desk.refund(old["external_id"], 2_000)
    await desk.buy(ana.card_number, 5)

    undone = expect(await desk.unmerge(done["id"]), 200)["effect"]

    assert (undone["shortfall"], undone["orders_back"], undone["orders_staying"]) == (20, 1, 1)
    assert (await figures(ana.membership_id))[0] == 105
    assert (await figures(UUID(stub["membership_id"])))[0] == 60
    again = await desk.customer(stub["id"])
    assert (again["id"], again["status"], again["email"]) == (stub["id"], "active", "anna@shop.test")
    await desk.buy(stub["card_number"], 4)
    assert (await figures(UUID(stub["membership_id"])))[0] == 64
    assert problem(await desk.unmerge(done["id"]))[1] == "UNDO_EXPIRED"
    await assert_verified(world)


async def test_a_survivor_without_a_membership_or_a_sign_in_gets_the_others(world: World) -> None:
    ben = await world.sign_up("ben@shop.test", given_name="Ben")
    desk = await MergeDesk.open(world)
    stub = await desk.outsider("Benny")
    await desk.buy(ben.card_number, 40)
    done = await desk.merged(stub, ben.customer_id, name="absorbed")
    assert done["effect"]["memberships_moved"] == [str(ben.membership_id)]
    assert problem(await world.client.get("/v1/me", headers=ben.headers))[0] == 401
    signed_in = expect(await world.sign_in(ben.email), 201)
    headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
    me = expect(await world.client.get("/v1/me", headers=headers), 200)
    assert (me["id"], me["given_name"]) == (stub, "Ben")
    await desk.buy(ben.card_number, 2)
    assert (await figures(ben.membership_id))[0] == 42
    await assert_verified(world)

    undone = expect(await desk.unmerge(done["id"]), 200)["effect"]
    assert undone["memberships_back"] == [str(ben.membership_id)]
    back = expect(await world.sign_in(ben.email), 201)
    me = expect(await world.client.get("/v1/me", headers={"Authorization": f"Bearer {back['access_token']}"}), 200)
    assert me["id"] == str(ben.customer_id)
    await desk.buy(ben.card_number, 1)
    await assert_verified(world)


async def test_fields_are_chosen_by_side_and_blanks_are_filled(world: World) -> None:
    ana = await world.sign_up(birthday={"month": 5, "day": 17})
    desk = await MergeDesk.open(world)
    form = {"given_name": "Anita", "family_name": "Flor", "phone": "+44 20 7946 0018", "notes": "likes oat milk",
            "birthday": {"month": 6, "day": 18, "year": 1990}}  # fmt: skip
    stub = expect(await desk.post("/v1/staff/customers", form), 201)
    shown = await desk.preview(ana.customer_id, stub["id"], name="absorbed")
    fields = {
        field["name"]: (field["after"], field["may_choose"], field["differs"]) for field in shown["effect"]["fields"]
    }
    assert fields["name"] == ("Anita Flor", True, True)
    assert fields["birthday"] == ("05-17", True, True)
    assert fields["phone"][0] == "+44 20 7946 0018"
    assert "The birthdays differ." in shown["warnings"]
    done = await desk.merged(ana.customer_id, stub["id"], name="absorbed")
    after = await desk.customer(ana.customer_id)
    assert (after["given_name"], after["phone"], after["birthday"]) == (
        "Anita",
        "+44 20 7946 0018",
        {"month": 5, "day": 17, "year": None},
    )
    assert "likes oat milk" in after["notes"]
    await DB.fetch("update customer set notes = 'changed since' where id = $1", ana.customer_id)
    expect(await desk.unmerge(done["id"]), 200)
    after = await desk.customer(ana.customer_id)
    assert (after["given_name"], after["phone"], after["notes"]) == ("Ana", None, "changed since")
    assert (await desk.customer(stub["id"]))["phone"] == "+44 20 7946 0018"


async def test_consent_stays_with_the_address_and_is_never_raised(world: World) -> None:
    ana = await world.sign_up(consents={"email": False, "sms": False})
    desk = await MergeDesk.open(world)
    form = {"given_name": "Anna", "email": "anna@shop.test", "consents": {"email": True, "sms": False}}
    stub = expect(await desk.post("/v1/staff/customers", form), 201)
    await desk.merged(ana.customer_id, stub["id"])
    after = await desk.customer(ana.customer_id)
    assert after["email"] == ana.email
    assert after["consents"]["email"]["state"] != "opted_in"
    contacts = await DB.fetch("select customer, email_key, state from audience_contact order by email_key")
    assert [(row["customer"], row["email_key"], row["state"]) for row in contacts if row["state"] == "live"] == [
        (ana.customer_id, ana.email, "live")
    ]
    await assert_verified(world)


async def test_older_orders_count_only_when_ticked(world: World) -> None:
    desk = await MergeDesk.open(world)
    old = await desk.register("Anna")
    world.advance(timedelta(days=10))
    desk.headers = await world.staff_headers("manager")
    ana = await world.sign_up()
    early = (world.clock.now() - timedelta(days=5)).isoformat()
    skipped = expect(await push(world, desk.key, sale(world, card=ana.card_number, completed_at=early)), 201)
    assert skipped["skipped_reason"] == "before_start"
    await DB.fetch("update orders set assignment_reason = 'staff' where id = $1", UUID(skipped["order_id"]))
    shown = await desk.preview(ana.customer_id, old["id"])
    assert (shown["effect"]["older_orders"], shown["effect"]["older_points"]) == (1, 12)
    assert any("+12 points" in warning for warning in shown["warnings"])
    done = await desk.merged(ana.customer_id, old["id"], count_older_orders=True)
    assert (done["effect"]["older_counted"], done["effect"]["available_after"]) == (True, 12)
    # What a person decided stays a person's word.
    assert await DB.fetch_value("select assignment_reason from orders") == "staff"
    assert (await figures(ana.membership_id))[0] == 12
    await assert_verified(world)
    expect(await desk.unmerge(done["id"]), 200)
    await assert_verified(world)


async def test_the_sale_of_a_merged_customer_goes_on_with_the_survivor(world: World) -> None:
    ana = await world.sign_up()
    desk = await MergeDesk.open(world)
    stub = await desk.register("Anna")
    body = sale(world, card=stub["card_number"], lines=[{"line_id": "1", "net_minor": 2_000}])
    expect(await push(world, desk.key, body), 201)
    await desk.merged(ana.customer_id, stub["id"])
    more = body | {"revision": 1, "lines": [{"line_id": "1", "net_minor": 3_500}]}
    expect(await push(world, desk.key, more), 201)
    assert (await figures(ana.membership_id))[0] == 35
    await desk.refund(body["external_id"], 3_500)
    assert await figures(ana.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_both_in_one_shared_membership_and_the_owner_goes(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await MergeDesk.open(world)
    combined = expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    await desk.buy(ana.card_number, 30)
    done = await desk.merged(ben.customer_id, ana.customer_id)
    (person,) = await desk.people(ana.membership_id)
    assert (person["customer_id"], person["role"]) == (str(ben.customer_id), "owner")
    await assert_verified(world)
    # The membership would be left without anybody; the merge has to be taken back first.
    path = f"/v1/staff/memberships/{ana.membership_id}/combine/{combined['operation_id']}/undo"
    shown = expect(await desk.post(f"{path}/preview", {"reason": "not wanted"}), 200)
    assert shown["blockers"]
    refused = await desk.post(path, {"reason": "not wanted", "preview_hash": shown["preview_hash"]})
    assert problem(refused)[:2] == (409, "UNDO_NOT_LAST")
    expect(await desk.unmerge(done["id"]), 200)
    roles = {one["customer_id"]: one["role"] for one in await desk.people(ana.membership_id)}
    assert roles == {str(ana.customer_id): "owner", str(ben.customer_id): "sharer"}
    await assert_verified(world)


async def test_whoever_shares_with_a_third_person_has_to_choose(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await MergeDesk.open(world)
    await credit(world, ana.membership_id, 70)
    expect(await desk.combine(ben.membership_id, (await desk.register("Cy"))["membership_id"]), 201)
    await desk.buy(ben.card_number, 30)
    stub = await desk.register("Anna")
    expect(await desk.combine(ben.membership_id, stub["membership_id"]), 201)
    shown = await desk.preview(ana.customer_id, stub["id"])
    assert (shown["effect"], len(shown["blockers"])) == (None, 1)

    leaves = await desk.preview(ana.customer_id, stub["id"], shared_membership="leave")
    assert leaves["effect"]["available_after"] == 70
    done = await desk.merged(ana.customer_id, stub["id"], shared_membership="combine")
    assert done["effect"]["available_after"] == 100
    roles = {one["customer_id"]: one["role"] for one in await desk.people(ben.membership_id)}
    assert roles[str(ana.customer_id)] == "sharer"
    await desk.buy(ana.card_number, 5)
    assert (await figures(ben.membership_id))[0] == 105
    await assert_verified(world)
    expect(await desk.unmerge(done["id"]), 200)
    assert (await figures(ana.membership_id))[0] == 70
    assert (await figures(ben.membership_id))[0] == 35
    await assert_verified(world)
    again = await desk.merged(ana.customer_id, stub["id"], shared_membership="leave")
    assert again["effect"]["available_after"] == 70
    await assert_verified(world)


async def test_the_way_back_is_open_30_days_in_order(world: World) -> None:
    ana = await world.sign_up()
    desk = await MergeDesk.open(world)
    one, two = await desk.register("Anna"), await desk.register("Anny")
    first = await desk.merged(one["id"], two["id"])
    second = await desk.merged(ana.customer_id, one["id"])
    assert (await desk.customer(two["id"]))["id"] == str(ana.customer_id)
    shown = expect(await desk.post(f"/v1/staff/merges/{first['id']}/undo/preview", {"reason": "two people"}), 200)
    assert shown["effect"] is None
    path = f"/v1/staff/merges/{first['id']}/undo"
    assert problem(await desk.post(path, {"reason": "two people"}))[1] == "UNDO_NOT_LAST"
    expect(await desk.unmerge(second["id"]), 200)
    expect(await desk.unmerge(first["id"]), 200)
    assert (await desk.customer(two["id"]))["id"] == two["id"]
    last = await desk.merged(ana.customer_id, one["id"])
    world.advance(timedelta(days=30))
    desk.headers = await world.staff_headers("manager")
    assert problem(await desk.unmerge(last["id"]))[1] == "UNDO_EXPIRED"
    await assert_verified(world)


async def test_somebody_who_brought_themselves_gives_the_bonus_back(world: World) -> None:
    await add_rules(world, points=1, per_minor=100, bonuses={"referrer": 50, "referred": 20})
    ana, ben = await two_members(world)
    desk = await MergeDesk.open(world)
    code = expect(
        await world.client.post(f"/v1/me/memberships/{ana.membership_id}/referral-code", headers=ana.headers), 200
    )["code"]
    expect(
        await world.client.post(
            f"/v1/me/memberships/{ben.membership_id}/referrer", json={"code": code}, headers=ben.headers
        ),
        200,
    )
    await desk.buy(ben.card_number, 10)
    await grant_due(world.ctx)
    assert ((await figures(ana.membership_id))[0], (await figures(ben.membership_id))[0]) == (50, 30)
    done = await desk.merged(ana.customer_id, ben.customer_id)
    assert (done["effect"]["referrals_void"], done["effect"]["available_after"]) == (70, 10)
    assert await grant_due(world.ctx) == 0
    await assert_verified(world)


async def test_a_sign_in_needs_a_proven_address(world: World) -> None:
    ana = await world.sign_up()
    desk = await MergeDesk.open(world)
    stub = await desk.register("Anna")
    refused = await desk.post("/v1/staff/merges/preview", desk.wish(ana.customer_id, stub["id"], email="absorbed"))
    assert problem(refused) == (400, "INVALID_REQUEST", ["choices.email"])


async def test_the_till_record_of_the_absorbed_one_counts_for_the_survivor_and_goes_back(world: World) -> None:
    till = await Till.of(world)
    await add_rules(world, points=1, per_minor=100, bonuses={"sign_up": 5})
    await settled_record(world, till, "p-1", email="ben@shop.test")
    ana, ben = await two_members(world)
    await run_checks(world)
    assert [one[0] for one in await links_of(ben.customer_id)] == ["p-1"]
    desk = await MergeDesk.open(world)
    done = await desk.merged(ana.customer_id, ben.customer_id)
    assert (done["effect"]["pos_links"], done["effect"]["bonuses_twice"]) == (1, ["sign_up"])
    # A till that knows Ben by the address he had proven still finds whom it belongs to.
    named = sale(world, customer={"email": ben.email})
    assert expect(await push(world, desk.key, named), 201)["points"] == 12
    batch = await push_batch(world, desk.key, [sale(world, customer={"email": ben.email})])
    assert expect(batch, 200)["accepted"] == 1
    assert (await till.sell("p-1"))["points"] == 12
    assert (await figures(ana.membership_id))[0] == 46
    await assert_verified(world)
    expect(await desk.unmerge(done["id"]), 200)
    assert [one[0] for one in await links_of(ben.customer_id)] == ["p-1"]
    assert await links_of(ana.customer_id) == []
    assert (await till.sell("p-1"))["points"] == 12
    assert ((await figures(ana.membership_id))[0], (await figures(ben.membership_id))[0]) == (41, 17)
    await assert_verified(world)


async def test_vouchers_keep_their_codes_and_can_be_used_by_the_survivor(world: World) -> None:
    ana = await world.sign_up()
    desk = await MergeDesk.open(world)
    stub = await desk.register("Anna")
    await credit(world, UUID(stub["membership_id"]), 150)
    form = {"code": "one-off", "name": "1.00 off", "kind": "amount_off", "points_cost": 100, "value_minor": 100}
    reward = expect(await desk.post("/v1/staff/rewards", form), 201)
    path = f"/v1/staff/customers/{stub['id']}/vouchers"
    taken = expect(await desk.post(path, {"reward_id": reward["id"]}), 201)
    done = await desk.merged(ana.customer_id, stub["id"])
    assert done["effect"]["vouchers"] == 1
    mine = expect(await world.client.get("/v1/me/vouchers", headers=ana.headers), 200)["items"]
    assert [one["code_ending"] for one in mine] == [taken["code"][-4:]]
    hold = {
        "voucher_code": taken["code"], "store": "high-street", "currency": "GBP", "order_reference": "cart-1",
        "order_total_minor": 10_000,
    }  # fmt: skip
    held = expect(await desk.post("/v1/pos/holds", hold, headers=desk.key), 201)
    body = {"order_reference": "cart-1"}
    expect(await desk.post(f"/v1/pos/holds/{held['id']}/capture", body, headers=desk.key), 200)
    await assert_verified(world)
    expect(await desk.unmerge(done["id"]), 200)
    assert (await figures(UUID(stub["membership_id"])))[0] == 50
    await assert_verified(world)
