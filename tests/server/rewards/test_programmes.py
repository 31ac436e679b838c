"""Points of a further programme buy what that programme offers, by its own terms."""

from uuid import UUID

import msgspec

from server.db.ids import new_id
from server.programmes.store import get_point_value
from tests.app import World, expect, problem
from tests.ledgers import assert_verified, credit, figures
from tests.server.rewards.builders import TERMS, Counter

CLUB = {
    "code": "club", "name": "Running Club", "unit_one": "mile", "unit_many": "miles", "zone": "Europe/Athens",
    "currency": "GBP", "rules": {"points": 2, "per_minor": 100},
}  # fmt: skip


async def test_a_card_spends_by_the_terms_of_its_programme_and_buys_its_rewards(world: World) -> None:
    counter = await Counter.open(world)
    manager, client = counter.manager, world.client
    club = expect(await client.post("/v1/staff/programmes", json=CLUB, headers=manager), 201)
    path = f"/v1/staff/customers/{counter.member.customer_id}/memberships"
    joined = expect(await counter.send("POST", path, {"programme_code": "club"}, headers=manager), 201)
    await credit(world, joined["membership_id"], 500)

    in_shop, in_club = counter.member, msgspec.structs.replace(counter.member, card_number=joined["card_number"])
    # What points cost in a trial of rules is what a till takes off for them, before somebody says so, too.
    counter.member = in_club
    value = await get_point_value(UUID(club["id"]))
    assert value is not None
    assert (await counter.quote())["max_minor"] == 500 * value
    counter.member = in_shop

    terms = TERMS | {"step_points": 10, "minimum_points": 10, "card_daily_points": 30, "programme_code": "club"}
    put = await counter.send("PUT", "/v1/staff/redemption-terms", terms, headers=manager)
    assert (expect(put, 200)["version"], put.json()["programme_code"]) == (1, "club")
    for query, step in (("", 50), ("?programme=club", 10)):
        shown = await client.get(f"/v1/staff/redemption-terms{query}", headers=manager)
        assert expect(shown, 200)["step_points"] == step
    unknown = await client.get("/v1/staff/redemption-terms?programme=none", headers=manager)
    assert problem(unknown) == (400, "INVALID_REQUEST", ["programme"])

    for member, most, by_card in ((in_shop, 500, 200), (in_club, 100, 30)):
        counter.member = member
        quote = await counter.quote(total=1_000)
        assert (quote["max_points"], quote["card_points"]) == (most, by_card)
    assert problem(await counter.hold(40))[:2] == (409, "PRESENCE_NEEDED")
    held = expect(await counter.hold(30), 201)
    assert held["amount_minor"] == 300
    expect(await counter.capture(held), 200)

    await counter.add_reward(name="Mug")
    medal = await counter.add_reward(name="Medal", points_cost=70, programme_code="club")
    offers = expect(await client.get("/v1/me/rewards", headers=in_shop.headers), 200)
    shown_offers = [(one["name"], one["programme_code"], one["spendable"]) for one in offers["items"]]
    assert (offers["spendable"], shown_offers[1:]) == (1_000, [("Medal", "club", 470)])
    assert shown_offers[0][2] == 1_000
    expect(await counter.take(medal), 201)
    assert (await figures(joined["membership_id"]))[1] == 400
    assert (await figures(in_shop.membership_id))[1] == 1_000
    # Who is not in the programme cannot have it.
    ben = await world.sign_up("ben@shop.test")
    wish = await client.post(
        "/v1/me/vouchers",
        json={"reward_id": medal["id"]},
        headers=ben.headers | {"Idempotency-Key": f"ben-wants-{new_id()}"},
    )
    assert problem(wish)[:2] == (409, "REWARD_UNAVAILABLE")
    await assert_verified(world)
