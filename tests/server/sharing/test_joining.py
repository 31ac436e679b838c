"""A second person shares a membership: both agreed, one balance, own cards, and a say in who spends."""

from datetime import timedelta

import pytest

from server.db.engine import DB
from tests.app import World, expect, problem
from tests.ledgers import assert_verified, credit, figures
from tests.server.rewards.builders import Counter
from tests.server.sharing.desk import Desk, names_of, two_members
from tests.tills import push, sale


async def test_whoever_joins_sees_one_balance_scans_an_own_card_and_both_are_told(world: World) -> None:
    ana = await world.sign_up()
    desk = await Desk.open(world)
    await credit(world, ana.membership_id, 300)
    ben = await desk.outsider("Ben")
    await DB.fetch("update contact_point set status = 'verified' where customer = $1::uuid", ben)

    done = expect(await desk.join(ana.membership_id, ben), 201)

    assert done["account"]["available"] == 300
    assert names_of(done["people"]) == {str(ana.customer_id): "owner", ben: "sharer"}
    await desk.buy(done["card_number"], 50)
    assert await figures(ana.membership_id) == (350, 350, 0, 0)
    by = {one["customer_id"]: one["points_earned"] for one in await desk.people(ana.membership_id)}
    assert by == {str(ana.customer_id): 0, ben: 50}
    for address in (ana.email, "ben@shop.test"):
        assert "You share your rewards" in (await world.mails_to(address))[-1].subject
    entries = f"/v1/me/memberships/{ana.membership_id}/entries"
    newest = expect(await world.client.get(entries, headers=ana.headers), 200)["items"][0]
    assert (newest["points"], newest["by_name"]) == (50, "Ben")
    await assert_verified(world)


@pytest.mark.parametrize("grace_days", [0, 3])
async def test_what_was_bought_before_joining_day_counts_as_early_as_the_programme_says(
    world: World, grace_days: int
) -> None:
    ana = await world.sign_up()
    desk = await Desk.open(world)
    await DB.fetch("update programme set grace_days = $1", grace_days)
    done = expect(await desk.join(ana.membership_id, await desk.outsider("Ben")), 201)
    first = world.clock.now().replace(hour=0, minute=0) - timedelta(days=grace_days)
    for completed_at, reason in ((first, None), (first - timedelta(minutes=1), "before_start")):
        body = sale(world, card=done["card_number"], completed_at=completed_at.isoformat())
        assert expect(await push(world, desk.key, body), 201)["skipped_reason"] == reason
    await assert_verified(world)


async def test_somebody_with_a_membership_is_shown_with_card_and_balance_and_can_combine(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    await credit(world, ben.membership_id, 157)
    path = f"/v1/staff/memberships/{ana.membership_id}/join"
    body = {"customer_id": str(ben.customer_id), "reason": "one household"}
    shown = expect(await desk.post(f"{path}/preview", body), 200)
    existing = {
        "membership_id": str(ben.membership_id),
        "customer_id": str(ben.customer_id),
        "card_number": ben.card_number,
        "available": 157,
        "action": "combine",
    }
    assert shown["existing"] == existing
    assert len(shown["blockers"]) == 1
    refused = await desk.post(path, body | {"agreed_by": shown["must_agree"]})
    assert problem(refused)[:2] == (409, "MEMBERSHIP_EXISTS")
    assert refused.json()["data"] == existing


async def test_joining_needs_two_yeses_room_and_a_live_membership(world: World) -> None:
    ana = await world.sign_up()
    desk = await Desk.open(world)
    ben = await desk.outsider("Ben")
    path = f"/v1/staff/memberships/{ana.membership_id}/join"
    body = {"customer_id": ben, "reason": "one household"}
    half = await desk.post(path, body | {"agreed_by": [ben]})
    assert (problem(half)[1], half.json()["data"]) == ("CONSENT_MISSING", {"missing": [str(ana.customer_id)]})
    await DB.fetch("update programme set max_sharers = 0")
    both = body | {"agreed_by": [ben, str(ana.customer_id)]}
    full = await desk.post(path, both)
    assert (problem(full)[1], full.json()["data"]) == ("SHARER_LIMIT", {"sharers_max": 0})
    await DB.fetch("update programme set max_sharers = 1")
    assert problem(await desk.post(path, both))[1] == "PREVIEW_STALE"
    expect(await desk.join(ana.membership_id, ben), 201)
    cy = await desk.outsider("Cy")
    assert problem(await desk.join(ana.membership_id, cy))[1] == "SHARER_LIMIT"
    await DB.fetch("update customer set status = 'blocked' where id = $1::uuid", cy)
    assert problem(await desk.join(ana.membership_id, cy))[1] == "CUSTOMER_BLOCKED"
    staff_id = await world.add_staff()
    await DB.fetch("update staff_member set customer = $1 where id = $2", ana.customer_id, staff_id)
    own = await desk.post(path, both, headers=await world.staff_headers(staff_id=staff_id))
    assert problem(own)[1] == "SELF_DEALING"
    world.advance(timedelta(minutes=1))
    await DB.fetch("update membership set status = 'closed' where id = $1", ana.membership_id)
    assert problem(await desk.post(path, both))[1] == "MEMBERSHIP_CLOSED"


async def test_joining_is_taken_back_until_the_person_has_moved_points(world: World) -> None:
    ana = await world.sign_up()
    desk = await Desk.open(world)
    ben = await desk.outsider("Ben")
    done = expect(await desk.join(ana.membership_id, ben), 201)
    undone = expect(await desk.undo(ana.membership_id, "join", done["operation_id"]), 200)
    assert names_of(undone["people"]) == {str(ana.customer_id): "owner"}
    again = expect(await desk.join(ana.membership_id, ben), 201)
    assert again["card_number"] != done["card_number"]
    await desk.buy(again["card_number"], 5)
    refused = await desk.undo(ana.membership_id, "join", again["operation_id"])
    assert problem(refused)[1] == "UNDO_NOT_LAST"
    await assert_verified(world)


async def test_who_may_spend_is_said_by_the_owner_and_held_to_by_the_till(world: World) -> None:
    counter = await Counter.open(world, points=1_000)
    ana, ben = counter.member, await world.sign_up("ben@shop.test", given_name="Ben")
    desk = await Desk.open(world)
    expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    path = f"/v1/me/memberships/{ana.membership_id}/redeem-policy"
    put = world.client.put
    assert problem(await put(path, json={"policy": "owner"}, headers=ben.headers))[0] == 403
    expect(await put(path, json={"policy": "owner"}, headers=ana.headers), 200)
    refused = await counter.hold(100, card_number=ben.card_number)
    assert problem(refused)[1] == "REDEMPTION_LIMIT"
    assert "owner" in refused.json()["detail"]
    expect(await counter.hold(100, card_number=ana.card_number), 201)

    shown = expect(await put(path, json={"policy": "daily_cap", "daily_points": 150}, headers=ana.headers), 200)
    assert (shown["redeem_policy"], shown["daily_points"], shown["operations"]) == ("daily_cap", 150, [])
    expect(await counter.hold(100, sale="cart-2", card_number=ben.card_number), 201)
    refused = await counter.hold(100, sale="cart-3", card_number=ben.card_number)
    assert (problem(refused)[1], refused.json()["data"]) == ("REDEMPTION_LIMIT", {"left_today": 50})
    world.advance(timedelta(minutes=20))
    assert problem(await put(path, json={"policy": "anyone"}, headers=ana.headers))[0] in (401, 403)
    staff_path = f"/v1/staff/memberships/{ana.membership_id}/redeem-policy"
    wrong = await put(staff_path, json={"policy": "daily_cap", "reason": "asked for"}, headers=desk.headers)
    assert problem(wrong) == (400, "INVALID_REQUEST", ["daily_points"])
    expect(await put(staff_path, json={"policy": "anyone", "reason": "asked for"}, headers=desk.headers), 200)
    expect(await counter.hold(200, sale="cart-4", card_number=ben.card_number), 201)
