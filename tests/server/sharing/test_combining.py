"""Two memberships become one without losing a point or a date, and can be taken apart again."""

from datetime import timedelta
from uuid import UUID

from server.db.engine import DB
from shared.enums import Role
from tests.app import World, expect, problem
from tests.ledgers import assert_verified, credit, figures
from tests.server.ledger.test_transfer import owe
from tests.server.merges.desk import MergeDesk
from tests.server.sharing.desk import Desk, lots, two_members
from tests.tills import push, sale


async def test_250_and_157_are_407_with_every_date_and_both_cards_alive(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    await credit(world, ana.membership_id, 250, days=30)
    await credit(world, ben.membership_id, 100, days=10)
    await credit(world, ben.membership_id, 50, days=None)
    await credit(world, ben.membership_id, 7, pending=5)
    before = await lots(ana.membership_id, ben.membership_id)

    done = expect(await desk.combine(ana.membership_id, ben.membership_id), 201)

    effect = done["effect"]
    assert (effect["kept_before"]["available"], effect["other_before"]["available"]) == (250, 150)
    assert (effect["after"]["available"], effect["after"]["pending"]) == (400, 7)
    assert effect["lots_before"] == effect["lots_after"]
    assert await lots(ana.membership_id) == before
    assert await figures(ben.membership_id) == (0, 0, 0, 0)
    for card in (ana.card_number, ben.card_number):
        await desk.buy(card, 5)
    assert await figures(ana.membership_id) == (417, 410, 7, 0)
    mine = expect(await world.client.get("/v1/me/memberships", headers=ben.headers), 200)["items"]
    assert [(one["id"], one["card_number"], one["balance"]["available"]) for one in mine] == [
        (str(ana.membership_id), ben.card_number, 410)
    ]
    await assert_verified(world)


async def test_contributions_stay_visible_and_both_are_told(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    await desk.buy(ana.card_number, 30)
    await desk.buy(ben.card_number, 12)
    expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    await desk.buy(ben.card_number, 8)

    people = {one["customer_id"]: one for one in await desk.people(ana.membership_id)}
    assert people[str(ana.customer_id)]["points_earned"] == 30
    assert people[str(ben.customer_id)]["points_earned"] == 20
    assert people[str(ben.customer_id)]["points_left"] == 20
    assert [people[str(one.customer_id)]["role"] for one in (ana, ben)] == ["owner", "sharer"]
    for member in (ana, ben):
        assert "are one now" in (await world.mails_to(member.email))[-1].subject
    audit = await DB.fetch("select customer_id from audit_entry where action = 'membership.combined'")
    assert {row["customer_id"] for row in audit} == {ana.customer_id, ben.customer_id}
    await assert_verified(world)


async def test_what_one_owes_is_paid_by_the_other_and_goes_back_in_full(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    await credit(world, ana.membership_id, 100, days=30)
    await owe(world, ben.membership_id, 40)

    done = expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    assert done["effect"]["debt_paid"] == 40
    assert await figures(ana.membership_id) == (60, 60, 0, 0)

    undone = expect(await desk.undo(ana.membership_id, "combine", done["operation_id"]), 200)
    assert undone["effect"]["deficit_going"] == 40
    assert await figures(ana.membership_id) == (100, 100, 0, 0)
    assert await figures(ben.membership_id) == (-40, 0, 0, 40)
    (dated,) = await lots(ana.membership_id)
    assert dated[0] == 100
    await assert_verified(world)


async def test_the_others_points_fill_what_the_kept_one_owes(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    await owe(world, ana.membership_id, 40)
    await credit(world, ben.membership_id, 30, pending=3)
    await credit(world, ben.membership_id, 25, days=9)
    done = expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    # Available points pay first, then pending ones.
    assert await figures(ana.membership_id) == (15, 0, 15, 0)
    assert done["effect"]["debt_paid"] == 40
    undone = expect(await desk.undo(ana.membership_id, "combine", done["operation_id"]), 200)
    assert undone["effect"]["shortfall"] == 40
    assert await figures(ben.membership_id) == (15, 0, 15, 0)
    assert await figures(ana.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_taking_it_back_returns_what_is_left_with_its_dates_and_names_the_shortfall(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    await credit(world, ana.membership_id, 100, days=90)
    await credit(world, ben.membership_id, 60, days=20)
    await credit(world, ben.membership_id, 40, days=120)
    sold = await desk.buy(ben.card_number, 10)
    done = expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    # A refund of Ben's purchase from before, and a purchase of his since.
    await desk.refund(sold["external_id"], 1_000)
    await desk.buy(ben.card_number, 5)
    assert (await figures(ana.membership_id))[0] == 205

    undone = expect(await desk.undo(ana.membership_id, "combine", done["operation_id"]), 200)

    assert undone["effect"]["shortfall"] == 10
    assert (await figures(ana.membership_id))[0] == 105
    assert (await figures(ben.membership_id))[0] == 100
    dates = [(points, until) for points, _, until in await lots(ben.membership_id)]
    now = world.clock.now()
    # The refund took the points of that very purchase, and no others.
    assert sorted(dates) == [(40, now + timedelta(days=120)), (60, now + timedelta(days=20))]
    assert {one["customer_id"] for one in await desk.people(ana.membership_id)} == {str(ana.customer_id)}
    await desk.buy(ben.card_number, 3)
    assert (await figures(ben.membership_id))[0] == 103
    assert "taken back" in (await world.mails_to(ben.email))[-1].subject
    await assert_verified(world)


async def test_it_is_taken_back_once_within_30_days_and_in_order(world: World) -> None:
    ana, ben = await two_members(world)
    cy = await world.sign_up("cy@shop.test", given_name="Cy")
    desk = await Desk.open(world)
    first = expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    second = expect(await desk.combine(ana.membership_id, cy.membership_id), 201)
    path = f"/v1/staff/memberships/{ana.membership_id}/combine/{first['operation_id']}/undo"
    refused = await desk.post(path, {"reason": "not wanted", "preview_hash": "0" * 64})
    assert problem(refused)[1] == "UNDO_NOT_LAST"
    expect(await desk.undo(ana.membership_id, "combine", second["operation_id"]), 200)
    again = await desk.undo(ana.membership_id, "combine", second["operation_id"])
    assert problem(again)[1] == "UNDO_EXPIRED"
    world.advance(timedelta(days=30))
    desk.headers = await world.staff_headers()
    assert problem(await desk.undo(ana.membership_id, "combine", first["operation_id"]))[1] == "UNDO_EXPIRED"
    await assert_verified(world)


async def test_it_is_refused_without_everybodys_yes_in_a_sale_and_by_who_is_in_it(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    body = {"other_membership_id": str(ben.membership_id), "reason": "one household"}
    path = f"/v1/staff/memberships/{ana.membership_id}/combine"
    refused = await desk.post(path, body | {"agreed_by": [str(ana.customer_id)]})
    assert problem(refused)[1] == "CONSENT_MISSING"
    assert refused.json()["data"] == {"missing": [str(ben.customer_id)]}
    same = await desk.post(path, body | {"other_membership_id": str(ana.membership_id)})
    assert problem(same)[1] == "MEMBERSHIP_SAME"
    agreed = body | {"agreed_by": [str(ana.customer_id), str(ben.customer_id)], "preview_hash": "0" * 64}
    assert problem(await desk.post(path, agreed))[1] == "PREVIEW_STALE"

    staff_id = await world.add_staff()
    await DB.fetch("update staff_member set customer = $1 where id = $2", ben.customer_id, staff_id)
    own = await desk.post(path, agreed, headers=await world.staff_headers(staff_id=staff_id))
    assert problem(own)[1] == "SELF_DEALING"

    await DB.fetch("update customer set status = 'blocked' where id = $1", ben.customer_id)
    assert problem(await desk.post(path, agreed))[1] == "CUSTOMER_BLOCKED"
    shown = expect(await desk.post(f"{path}/preview", body), 200)
    assert (shown["effect"], len(shown["blockers"])) == (None, 1)
    assert await figures(ana.membership_id) == (0, 0, 0, 0)


async def test_a_till_that_holds_points_stops_it_and_a_purchase_makes_the_preview_stale(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    await credit(world, ben.membership_id, 500)
    path = f"/v1/staff/memberships/{ana.membership_id}/combine"
    body = {"other_membership_id": str(ben.membership_id), "reason": "one household"}
    shown = expect(await desk.post(f"{path}/preview", body), 200)
    await desk.buy(ben.card_number, 5)
    agreed = body | {"agreed_by": shown["must_agree"], "preview_hash": shown["preview_hash"]}
    assert problem(await desk.post(path, agreed))[1] == "PREVIEW_STALE"
    held = {
        "card_number": ben.card_number, "points": 100, "store": "high-street", "currency": "GBP",
        "order_reference": "cart-1", "order_total_minor": 10_000,
    }  # fmt: skip
    expect(await desk.post("/v1/pos/holds", held, headers=desk.key), 201)
    assert problem(await desk.post(path, agreed))[1] == "OPEN_HOLD"
    shown = expect(await desk.post(f"{path}/preview", body), 200)
    assert "cart-1" in shown["blockers"][0]


async def test_vouchers_move_with_their_codes_and_a_cancelled_one_gives_points_to_the_common_balance(
    world: World,
) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world, Role.MANAGER)
    await credit(world, ben.membership_id, 300)
    form = {"code": "one-off", "name": "1.00 off", "kind": "amount_off", "points_cost": 100, "value_minor": 100}
    reward = expect(await desk.post("/v1/staff/rewards", form), 201)
    path = f"/v1/staff/customers/{ben.customer_id}/vouchers"
    taken = expect(await desk.post(path, {"reward_id": reward["id"]}), 201)
    done = expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    assert done["effect"]["vouchers"] == 1
    cancel = f"/v1/staff/vouchers/{taken['voucher']['id']}/cancel"
    expect(await desk.post(cancel, {"reason": "wrong one"}), 200)
    assert await figures(ana.membership_id) == (300, 300, 0, 0)
    await assert_verified(world)
    # What was given back of Ben's points goes with him.
    undone = expect(await desk.undo(ana.membership_id, "combine", done["operation_id"]), 200)
    assert undone["effect"]["going"]["available"] == 200
    await assert_verified(world)


async def test_an_order_that_moved_while_they_were_one_stays_right_after_the_split(world: World) -> None:
    ana, ben = await two_members(world)
    cy = await world.sign_up("cy@shop.test", given_name="Cy")
    desk = await Desk.open(world)
    body = sale(world, card=ben.card_number, lines=[{"line_id": "1", "net_minor": 2_000}])
    expect(await push(world, desk.key, body), 201)
    done = expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    moved = body | {"revision": 1, "customer": {"card_number": cy.card_number}}
    expect(await push(world, desk.key, moved), 201)
    assert (await figures(cy.membership_id))[0] == 20
    expect(await desk.undo(ana.membership_id, "combine", done["operation_id"]), 200)
    await assert_verified(world)
    expect(await push(world, desk.key, moved | {"revision": 2, "customer": {"card_number": ben.card_number}}), 201)
    assert [(await figures(UUID(str(one.membership_id))))[0] for one in (ana, ben, cy)] == [0, 20, 0]
    await assert_verified(world)


async def test_the_history_from_before_stays_readable_for_whoever_was_in_it(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    await desk.buy(ben.card_number, 12)
    done = expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    path = f"/v1/me/memberships/{ben.membership_id}/entries"
    kinds = [one["kind"] for one in expect(await world.client.get(path, headers=ben.headers), 200)["items"]]
    assert kinds == ["TRANSFER_OUT", "EARN"]
    assert problem(await world.client.get(path, headers=ana.headers))[0] == 404
    mine = expect(await world.client.get("/v1/me/memberships", headers=ben.headers), 200)["items"]
    assert [one["former_id"] for one in mine] == [str(ben.membership_id)]
    reasons = expect(
        await world.client.get(f"/v1/me/memberships/{ana.membership_id}/entries", headers=ana.headers), 200
    )["items"]
    assert [(one["reason"], one["by_name"]) for one in reasons] == [("Two accounts became one", "Ben")]
    expect(await desk.undo(ana.membership_id, "combine", done["operation_id"]), 200)
    assert len(expect(await world.client.get(path, headers=ben.headers), 200)["items"]) == 3
    # Also for whoever they were merged into, and into whom that one was.
    merging = await MergeDesk.open(world)
    once, twice = [await merging.register(name) for name in ("Benny", "Benno")]
    await merging.merged(twice["id"], once["id"])
    await merging.merged(ben.customer_id, twice["id"])
    for former in (once, twice):
        path = f"/v1/me/memberships/{former['membership_id']}/entries"
        assert (await world.client.get(path, headers=ben.headers)).status_code == 200
        assert (await world.client.get(path, headers=ana.headers)).status_code == 404
