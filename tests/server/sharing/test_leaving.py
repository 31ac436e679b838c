"""A person leaves with a part of the points, by a policy that was shown, and may come back."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.db.engine import DB
from server.ledger.movements import Origin, spend
from server.orders.change_store import find_order
from server.sharing.rules import divide
from shared.enums import Role
from tests.app import SignedUp, World, expect, problem
from tests.ledgers import assert_verified, credit, figures, locked
from tests.server.merges.desk import MergeDesk
from tests.server.sharing.desk import Desk, lots, names_of, two_members
from tests.tills import add_rules, push, push_batch, sale


async def share(world: World) -> tuple[Desk, SignedUp, SignedUp]:
    """Ana owns 100 that lapse in 10 days and 200 of her purchases; Ben brought 60 and has bought for 30 since."""
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    await credit(world, ana.membership_id, 100, days=10)
    await desk.buy(ana.card_number, 200)
    await desk.buy(ben.card_number, 60)
    expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    await desk.buy(ben.card_number, 30)
    return desk, ana, ben


@pytest.mark.parametrize(("policy", "goes"), [("leave_all", 0), ("contribution", 90), ("agreed", 39)])
async def test_the_policy_says_what_goes_and_all_of_it_can_be_taken_back(world: World, policy: str, goes: int) -> None:
    desk, ana, ben = await share(world)
    before = await lots(ana.membership_id)
    points = {"points": goes} if policy == "agreed" else {}

    done = expect(await desk.leave(ana.membership_id, ben.customer_id, policy=policy, **points), 201)

    assert done["effect"]["going"]["available"] == goes
    assert (await figures(ana.membership_id))[0] == 390 - goes
    assert (await figures(UUID(done["new_membership_id"])))[0] == goes
    together = await lots(ana.membership_id, done["new_membership_id"])
    assert together == before
    if policy == "agreed":
        # A tenth of every date, so that what lapses soon is shared fairly.
        assert sorted(lot["points"] for lot in done["effect"]["lots_going"]) == [10, 29]
    assert done["card_number"] == ben.card_number
    # Also what was bought before, and comes late, counts from the day on which the leaver was first a member.
    await desk.buy(ben.card_number, 7, completed_at=(world.clock.now() - timedelta(hours=1)).isoformat())
    assert (await figures(UUID(done["new_membership_id"])))[0] == goes + 7
    await assert_verified(world)

    undone = expect(await desk.undo(ana.membership_id, "leave", done["operation_id"]), 200)
    assert names_of(undone["people"]) == {str(ana.customer_id): "owner", str(ben.customer_id): "sharer"}
    assert (await figures(ana.membership_id))[0] == 397
    await desk.buy(ben.card_number, 3)
    assert (await figures(ana.membership_id))[0] == 400
    await assert_verified(world)


async def test_a_voucher_goes_with_whoever_took_it_and_comes_back_with_them(world: World) -> None:
    desk, ana, ben = await share(world)
    form = {"code": "one-off", "name": "1.00 off", "kind": "amount_off", "points_cost": 100, "value_minor": 100}
    manager = await Desk.open(world, Role.MANAGER)
    reward = expect(await manager.post("/v1/staff/rewards", form), 201)
    for one in (ana, ben):
        path = f"/v1/staff/customers/{one.customer_id}/vouchers"
        expect(await desk.post(path, {"reward_id": reward["id"]}), 201)

    async def whose() -> list[UUID]:
        return [row["membership"] for row in await DB.fetch("select membership from voucher order by id")]

    done = expect(await desk.leave(ana.membership_id, ben.customer_id, policy="leave_all"), 201)
    assert await whose() == [ana.membership_id, UUID(done["new_membership_id"])]
    await assert_verified(world)
    expect(await desk.undo(ana.membership_id, "leave", done["operation_id"]), 200)
    assert await whose() == [ana.membership_id, ana.membership_id]
    await assert_verified(world)


async def test_what_nobody_brought_comes_back_as_what_nobody_brought(world: World) -> None:
    desk, ana, ben = await share(world)

    async def left_of_ben() -> int:
        (points,) = [
            one["points_left"]
            for one in await desk.people(ana.membership_id)
            if one["customer_id"] == str(ben.customer_id)
        ]
        return int(points)

    before = await left_of_ben()
    done = expect(await desk.leave(ana.membership_id, ben.customer_id, policy="agreed", points=300), 201)
    expect(await desk.undo(ana.membership_id, "leave", done["operation_id"]), 200)
    assert await left_of_ben() == before


async def test_an_owner_names_the_next_one_and_gets_the_place_back(world: World) -> None:
    desk, ana, ben = await share(world)
    refused = await desk.post(
        f"/v1/staff/memberships/{ana.membership_id}/leave/preview",
        {"customer_id": str(ana.customer_id), "reason": "moved out"},
    )
    assert problem(refused) == (400, "INVALID_REQUEST", ["new_owner_id"])
    done = expect(await desk.leave(ana.membership_id, ana.customer_id, new_owner_id=str(ben.customer_id)), 201)
    assert names_of(await desk.people(ana.membership_id)) == {str(ben.customer_id): "owner"}
    assert done["effect"]["going"]["available"] == 200
    expect(await desk.undo(ana.membership_id, "leave", done["operation_id"]), 200)
    assert names_of(await desk.people(ana.membership_id)) == {
        str(ana.customer_id): "owner",
        str(ben.customer_id): "sharer",
    }
    await assert_verified(world)


async def test_a_debt_stays_or_goes_with_who_made_it(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    sold = await desk.buy(ben.card_number, 40)
    await DB.fetch("update programme set clawback_policy = 'allow_negative'")
    expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    sql = "select entry from lot where membership = $1 and remaining > 0"
    (lot,) = await DB.fetch(sql, ana.membership_id)
    async with locked(ana.membership_id) as membership:
        await spend(world.ctx, membership, 40, Origin(source_key=f"test:{lot['entry']}", customer_id=ana.customer_id))
    await desk.refund(sold["external_id"], 4_000)
    assert await figures(ana.membership_id) == (-40, 0, 0, 40)
    stays = expect(
        await desk.post(
            f"/v1/staff/memberships/{ana.membership_id}/leave/preview",
            {"customer_id": str(ben.customer_id), "policy": "leave_all", "reason": "moved out"},
        ),
        200,
    )["effect"]
    assert (stays["staying"]["deficit"], stays["going"]["deficit"]) == (40, 0)
    done = expect(await desk.leave(ana.membership_id, ben.customer_id), 201)
    assert (done["effect"]["staying"]["deficit"], done["effect"]["going"]["deficit"]) == (0, 40)
    await assert_verified(world)
    expect(await desk.undo(ana.membership_id, "leave", done["operation_id"]), 200)
    assert await figures(ana.membership_id) == (-40, 0, 0, 40)
    await assert_verified(world)


async def test_leaving_is_refused_for_more_than_there_is_for_strangers_and_for_whoever_is_alone(world: World) -> None:
    desk, ana, ben = await share(world)
    path = f"/v1/staff/memberships/{ana.membership_id}/leave"
    body = {"customer_id": str(ben.customer_id), "reason": "moved out"}
    much = body | {"policy": "agreed", "points": 391}
    shown = expect(await desk.post(f"{path}/preview", much), 200)
    assert shown["must_agree"] == [str(ben.customer_id), str(ana.customer_id)]
    assert shown["blockers"]
    alone = await desk.post(path, much | {"points": 10, "agreed_by": [str(ben.customer_id)]})
    assert (problem(alone)[1], alone.json()["data"]) == ("CONSENT_MISSING", {"missing": [str(ana.customer_id)]})
    assert problem(await desk.post(path, body | {"points": 10}))[2] == ["points"]
    cy = await world.sign_up("cy@shop.test")
    stranger = await desk.post(path, body | {"customer_id": str(cy.customer_id)})
    assert problem(stranger)[0] == 404
    own = f"/v1/staff/memberships/{cy.membership_id}/leave"
    assert problem(await desk.post(own, body | {"customer_id": str(cy.customer_id)}))[0] == 404
    shown = expect(await desk.post(f"{path}/preview", body), 200)
    await desk.buy(ana.card_number, 1)
    stale = body | {"agreed_by": shown["must_agree"], "preview_hash": shown["preview_hash"]}
    assert problem(await desk.post(path, stale))[1] == "PREVIEW_STALE"


async def test_who_came_and_left_again_within_30_days_can_still_be_sorted_out_in_order(world: World) -> None:
    desk, ana, ben = await share(world)
    combined = expect(
        await world.client.get(f"/v1/staff/memberships/{ana.membership_id}/people", headers=desk.headers), 200
    )
    operation_id = combined["operations"][0]["id"]
    left = expect(await desk.leave(ana.membership_id, ben.customer_id), 201)
    refused = await desk.post(
        f"/v1/staff/memberships/{ana.membership_id}/combine/{operation_id}/undo",
        {"reason": "not wanted", "preview_hash": "0" * 64},
    )
    assert problem(refused)[1] == "UNDO_NOT_LAST"
    expect(await desk.undo(ana.membership_id, "leave", left["operation_id"]), 200)
    undone = expect(await desk.undo(ana.membership_id, "combine", operation_id), 200)
    assert undone["effect"]["going"]["available"] == 60
    assert (await figures(ana.membership_id))[0] == 330
    world.advance(timedelta(days=1))
    await assert_verified(world)


async def test_goods_that_come_back_cost_whoever_has_their_points(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world, Role.MANAGER)
    home = ana.membership_id
    expect(await desk.combine(home, ben.membership_id), 201)
    sold = [(await desk.buy(ben.card_number, 100))["external_id"] for _ in range(3)]
    async with locked(home) as membership:
        # Of the first sale, as it is the oldest.
        await spend(world.ctx, membership, 40, Origin(source_key="test:1", customer_id=ana.customer_id))
    await desk.buy(ana.card_number, 70)
    own = UUID(expect(await desk.leave(home, ben.customer_id), 201)["new_membership_id"])

    async def both() -> tuple[int, int]:
        return (await figures(home))[0], (await figures(own))[0]

    assert await both() == (70, 260)
    # What Ben took along is taken from him first, and what was spent before from those who spent it.
    await desk.refund(sold[0], 5_000)
    assert await both() == (70, 210)
    await desk.refund(sold[0], 5_000)
    assert await both() == (30, 200)
    # What he has spent since is his debt, not theirs.
    async with locked(own) as membership:
        await spend(world.ctx, membership, 200, Origin(source_key="test:2", customer_id=ben.customer_id))
    body = sale(
        world, card=ben.card_number, external_id=sold[1], revision=2, lines=[{"line_id": "1", "net_minor": 8_000}]
    )
    expect(await push_batch(world, desk.key, [body]), 200)
    assert await both() == (30, -20)
    voided = body | {"revision": 3, "state": "voided"}
    expect(await push(world, desk.key, voided), 201)
    assert await both() == (30, -100)
    # Given to Ana, the last sale leaves him and earns where it counted all along.
    order_id = await DB.fetch_value("select id from orders where external_id = $1", sold[2])
    wish: dict[str, object] = {"customer_id": str(ana.customer_id), "reason": "It was Ana's."}
    path = f"/v1/staff/orders/{order_id}/assignment"
    shown = expect(await desk.post(f"{path}/preview", wish), 200)
    assert (shown["effect"]["points_owed"], shown["effect"]["points_earned"]) == (100, 100)
    expect(await desk.post(path, wish | {"preview_hash": shown["preview_hash"]}), 200)
    assert await both() == (130, -200)
    lifetime = await DB.fetch("select lifetime from membership where id in ($1, $2) order by id", home, own)
    assert [row["lifetime"] for row in lifetime] == [170, 280]
    await assert_verified(world)


async def test_what_was_merged_into_somebody_is_theirs_when_they_leave_and_when_goods_come_back(world: World) -> None:
    _, ana, ben = await share(world)
    desk = await MergeDesk.open(world)
    home = ana.membership_id
    twice, thrice = [await desk.register(name) for name in ("Benny", "Benno")]
    sold = await desk.buy(thrice["card_number"], 30)
    await desk.merged(twice["id"], thrice["id"])
    await desk.merged(ben.customer_id, twice["id"])
    shown = {one["customer_id"]: (one["points_earned"], one["points_left"]) for one in await desk.people(home)}
    assert shown == {str(ana.customer_id): (200, 200), str(ben.customer_id): (120, 120)}

    own = UUID(expect(await desk.leave(home, ben.customer_id), 201)["new_membership_id"])

    sql = "select balance, lifetime from membership where id in ($1, $2) order by id"
    assert [tuple(row) for row in await DB.fetch(sql, home, own)] == [(300, 200), (120, 120)]
    # Also of whoever was merged twice over since they left, what went along is locked and taken.
    person_id = str(ben.customer_id)
    for name in ("Benedict", "Benjamin"):
        again = await desk.register(name)
        await desk.merged(again["id"], person_id)
        person_id, own = again["id"], UUID(again["membership_id"])
    order = await find_order(UUID(sold["order_id"]))
    assert order is not None
    assert order["away"] == [own]
    await desk.refund(sold["external_id"], 3_000)
    assert [(await figures(one))[0] for one in (home, own)] == [300, 90]
    await assert_verified(world)


async def test_a_bonus_that_went_along_is_taken_back_where_it_is(world: World) -> None:
    await add_rules(world, points=1, per_minor=100, bonuses={"first_purchase": 50})
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    sold = await desk.buy(ben.card_number, 100)
    async with locked(ana.membership_id) as membership:
        await spend(world.ctx, membership, 20, Origin(source_key="test:1", customer_id=ana.customer_id))
    own = UUID(expect(await desk.leave(ana.membership_id, ben.customer_id), 201)["new_membership_id"])
    assert (await figures(own))[0] == 130
    await desk.refund(sold["external_id"], 10_000)
    assert [(await figures(one))[0] for one in (ana.membership_id, own)] == [-20, 0]
    await assert_verified(world)


async def test_an_agreed_number_stays_with_the_leaver_whatever_others_bring_back(world: World) -> None:
    desk, ana, ben = await share(world)
    sold = await desk.buy(ana.card_number, 410)
    left = expect(await desk.leave(ana.membership_id, ben.customer_id, policy="agreed", points=400), 201)
    assert await figures(ana.membership_id) == (400, 400, 0, 0)
    await desk.refund(sold["external_id"], 41_000)
    assert await figures(ana.membership_id) == (-10, 0, 0, 10)
    assert (await figures(UUID(left["new_membership_id"])))[0] == 400
    await assert_verified(world)


@given(st.lists(st.integers(0, 10_000), max_size=30), st.randoms())
def test_a_number_is_cut_fairly_and_whole(weights: list[int], random: object) -> None:
    points = random.randint(0, sum(weights))  # type: ignore[attr-defined]
    parts = divide(points, weights)
    assert sum(parts) == points
    for part, weight in zip(parts, weights, strict=True):
        assert 0 <= part <= weight
        assert abs(part * sum(weights) - points * weight) < max(1, sum(weights))
