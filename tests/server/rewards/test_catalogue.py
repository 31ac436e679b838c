"""The catalogue and what points are worth: for managers to change, for members to see."""

from datetime import timedelta

import pytest

from server.db.engine import DB
from shared.enums import Role
from tests.app import START_AT, World, expect, problem
from tests.server.rewards.builders import Counter


async def test_a_reward_is_added_changed_and_retired_and_each_is_audited(world: World) -> None:
    counter = await Counter.open(world)
    reward = await counter.add_reward(stock=5)
    path = f"/v1/staff/rewards/{reward['id']}"
    changed = expect(
        await counter.send("PATCH", path, {"version": 1, "points_cost": 80, "stock": None}, headers=counter.manager),
        200,
    )
    assert (changed["points_cost"], changed["stock"], changed["version"]) == (80, None, 2)
    stale = await counter.send("PATCH", path, {"version": 1, "name": "Other"}, headers=counter.manager)
    assert problem(stale)[:2] == (409, "VERSION_CONFLICT")
    retired = {"version": 2, "status": "retired"}
    assert expect(await counter.send("PATCH", path, retired, headers=counter.manager), 200)["status"] == "retired"
    offers = expect(await world.client.get("/v1/me/rewards", headers=counter.member.headers), 200)
    assert offers == {"spendable": 1_000, "items": []}
    actions = await DB.fetch("select action, details from audit_entry where subject_kind = 'reward' order by id")
    assert [row["action"] for row in actions] == ["reward.created", "reward.changed", "reward.changed"]
    assert actions[1]["details"] == '{"fields": ["points_cost", "stock"]}'


async def test_two_rewards_cannot_have_one_code(world: World) -> None:
    counter = await Counter.open(world)
    reward = await counter.add_reward()
    again = {"code": reward["code"], "name": "x", "kind": "product", "sku": "BUN", "points_cost": 1, "value_minor": 1}
    answer = await counter.send("POST", "/v1/staff/rewards", again, headers=counter.manager)
    assert problem(answer)[:2] == (409, "REWARD_CODE_TAKEN")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"kind": "percent_off"}, "percent"),
        ({"percent": 10}, "percent"),
        ({"kind": "product"}, "sku"),
        ({"kind": "product", "sku": " "}, "sku"),
        ({"sku": "BUN"}, "sku"),
        ({"name": "  "}, "name"),
        ({"active_from": "2026-03-02T09:30:00"}, "active_from"),
        ({"active_until": "0001-01-01T00:00:00+14:00"}, "active_until"),
        ({"active_from": "2026-03-03T00:00:00Z", "active_until": "2026-03-03T00:00:00Z"}, "active_until"),
    ],
)
async def test_fields_that_contradict_each_other_are_named(world: World, fields: dict[str, object], wrong: str) -> None:
    form = {"code": "five", "name": "x", "kind": "amount_off", "points_cost": 1, "value_minor": 1} | fields
    answer = await world.client.post("/v1/staff/rewards", json=form, headers=await world.staff_headers(Role.MANAGER))
    assert problem(answer) == (400, "INVALID_REQUEST", [wrong])


async def test_members_see_what_they_can_take_now(world: World) -> None:
    counter = await Counter.open(world, points=150)
    later = (START_AT + timedelta(days=1)).isoformat()
    await counter.add_reward(name="dear", points_cost=300)
    await counter.add_reward(name="limited", member_limit=2, stock=5)
    await counter.add_reward(name="tomorrow", active_from=later)
    await counter.add_reward(name="gone", stock=0)
    offers = expect(await world.client.get("/v1/me/rewards", headers=counter.member.headers), 200)
    shown = [(offer["name"], offer["left"], offer["affordable"]) for offer in offers["items"]]
    assert shown == [("limited", 2, True), ("gone", 0, False), ("dear", None, False)]
    assert offers["spendable"] == 150
    expect(await counter.hold(100), 201)
    left = expect(await world.client.get("/v1/me/rewards", headers=counter.member.headers), 200)
    assert left["spendable"] == 50
    assert not any(offer["affordable"] for offer in left["items"])


async def test_terms_have_defaults_and_change_by_version(world: World) -> None:
    manager = await world.staff_headers(Role.MANAGER)
    first = expect(await world.client.get("/v1/staff/redemption-terms", headers=manager), 200)
    assert (first["version"], first["card_daily_points"], first["currency"]) == (0, 200, "GBP")
    form = {name: value for name, value in first.items() if name != "currency"} | {"cap_percent": 50}
    put = await world.client.put("/v1/staff/redemption-terms", json=form, headers=manager)
    assert (expect(put, 200)["version"], put.json()["cap_percent"]) == (1, 50)
    for version in (0, 2):
        stale = await world.client.put("/v1/staff/redemption-terms", json=form | {"version": version}, headers=manager)
        assert problem(stale)[:2] == (409, "VERSION_CONFLICT")
    details = await DB.fetch_value("select details from audit_entry where action = 'redemption_terms.changed'")
    assert details == '{"version": [0, 1], "cap_percent": [100, 50]}'


async def test_a_version_cannot_come_before_the_first(world: World) -> None:
    manager = await world.staff_headers(Role.MANAGER)
    form = {"step_points": 1, "step_minor": 1, "cap_percent": 1, "minimum_points": 1, "card_daily_points": 1}
    body = form | {"restore_grace_days": 1, "version": 3}
    answer = await world.client.put("/v1/staff/redemption-terms", json=body, headers=manager)
    assert problem(answer)[:2] == (409, "VERSION_CONFLICT")
