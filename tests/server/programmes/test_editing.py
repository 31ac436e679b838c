"""Managers try rules on past sales before they put them in force; trying changes nothing."""

import asyncio
import contextvars
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from server.db.engine import DB
from server.errors import Invalid
from server.programmes import editing
from shared.enums import Role
from shared.programmes import EarningRules, Promotion, RulesProposal, Tier, TierRules
from tests.app import World, expect, problem
from tests.tills import push, sale

DOUBLE = {"points": 2, "per_minor": 100}


async def checksum() -> dict[str, str]:
    """Return a checksum of every table."""
    tables = await DB.fetch("select tablename from pg_tables where schemaname = 'public' order by tablename")
    parts = (
        f"select '{row['tablename']}' as name, md5(string_agg(t::text, '|' order by t::text)) as sum"
        f' from "{row["tablename"]}" t'
        for row in tables
    )
    return {row["name"]: row["sum"] for row in await DB.fetch(" union all ".join(parts))}


async def path_of(world: World, suffix: str = "") -> str:
    return f"/v1/staff/programmes/{await DB.fetch_value('select id from programme')}/rules{suffix}"


class Desk:
    """A manager who previews and publishes."""

    def __init__(self, world: World, headers: dict[str, str]) -> None:
        self.world = world
        self.headers = headers

    async def preview(self, **fields: Any) -> Any:  # noqa: ANN401
        body = {"since": (self.world.clock.now() - timedelta(days=60)).isoformat(), **fields}
        return await self.world.client.post(await path_of(self.world, "/preview"), json=body, headers=self.headers)

    async def publish(self, key: str = "publish-these-rules", **fields: Any) -> Any:  # noqa: ANN401
        body = {"reason": "Agreed with the owner", **fields}
        headers = self.headers | {"Idempotency-Key": key}
        return await self.world.client.post(await path_of(self.world), json=body, headers=headers)


@pytest.fixture
async def desk(world: World) -> Desk:
    return Desk(world, await world.staff_headers(Role.MANAGER))


async def sell(world: World, *, days_ago: int, card: str | None) -> None:
    completed_at = (world.clock.now() - timedelta(days=days_ago)).isoformat()
    expect(await push(world, await world.pos_key(), sale(world, card=card, completed_at=completed_at)), 201)


@pytest.fixture
async def card(world: World) -> str:
    """A member who joined two months ago and bought three times for 12.34 since; a stranger bought once."""
    member = await world.sign_up()
    world.advance(timedelta(days=60))
    for days_ago in (40, 10, 1):
        await sell(world, days_ago=days_ago, card=member.card_number)
    await sell(world, days_ago=5, card=None)
    return member.card_number


async def test_a_preview_counts_then_and_now_by_store_and_month_and_changes_nothing(desk: Desk, card: str) -> None:
    desk.headers = await desk.world.staff_headers(Role.MANAGER)
    await desk.preview(rules=DOUBLE)
    before = await checksum()
    told = expect(await desk.preview(rules=DOUBLE), 200)
    assert await checksum() == before
    assert (told["orders"], told["orders_changed"], told["points_then"], told["points_now"]) == (3, 3, 36, 72)
    assert [(e["month"], e["store_code"], e["orders"], e["points_now"]) for e in told["effects"]] == [
        ("2026-03", "high-street", 1, 24),
        ("2026-04", "high-street", 2, 48),
    ]
    # Without any reward a point is worth what it takes off a sale, until nothing of one may be paid with points.
    assert (told["is_complete"], told["orders_left"], told["cost_minor"]) == (True, 0, 36)
    terms = {
        "version": 0, "step_points": 50, "step_minor": 100, "cap_percent": 50, "minimum_points": 0,
        "card_daily_points": 0, "restore_grace_days": 0,
    }  # fmt: skip
    for cap_percent, cost_minor in ((50, 72), (0, None)):
        terms["cap_percent"] = cap_percent
        put = await desk.world.client.put("/v1/staff/redemption-terms", json=terms, headers=desk.headers)
        terms["version"] = expect(put, 200)["version"]
        assert expect(await desk.preview(rules=DOUBLE), 200)["cost_minor"] == cost_minor


async def test_the_rules_in_force_would_have_earned_what_was_earned(desk: Desk, card: str) -> None:
    desk.headers = await desk.world.staff_headers(Role.MANAGER)
    told = expect(await desk.preview(from_version=1), 200)
    assert (told["orders_changed"], told["points_then"]) == (0, told["points_now"])


async def test_a_preview_lets_caps_run_along(desk: Desk, card: str) -> None:
    desk.headers = await desk.world.staff_headers(Role.MANAGER)
    promotion = {"code": "more", "name": "More", "percent": 200, "member_points_max": 15}
    told = expect(await desk.preview(rules=DOUBLE | {"points": 1, "promotions": [promotion]}), 200)
    assert told["points_now"] == 36 + 15


async def test_a_preview_out_of_time_says_how_far_it_came(world: World, card: str) -> None:
    programme = await editing.get_programme((await DB.fetch("select id from programme"))[0]["id"])
    proposal = RulesProposal(rules=EarningRules(points=2, per_minor=100), since=world.clock.now() - timedelta(days=60))
    told = await editing.preview_rules(world.ctx, programme.id, proposal, seconds=0.0)
    assert (told.is_complete, told.orders, told.orders_left) == (False, 0, 3)
    assert told.counted_until == world.clock.now() - timedelta(days=40)


async def test_a_preview_that_cannot_even_be_begun_in_time_says_which_time_is_too_long(world: World, card: str) -> None:
    programme = await editing.get_programme((await DB.fetch("select id from programme"))[0]["id"])
    proposal = RulesProposal(rules=EarningRules(points=2, per_minor=100), since=world.clock.now() - timedelta(days=60))
    async with asyncio.TaskGroup() as group, DB.transaction():
        await DB.fetch("lock table orders in access exclusive mode")
        told = editing.preview_rules(world.ctx, programme.id, proposal, seconds=0.1)
        tried = group.create_task(_refusal_of(told), context=contextvars.Context())
        assert [field.field for field in (await tried).fields] == ["since"]


async def _refusal_of(preview: Awaitable[object]) -> Invalid:
    with pytest.raises(Invalid) as refused:
        await preview
    return refused.value


async def test_rules_are_put_in_force_as_previewed_for_sales_from_then_on(desk: Desk, card: str) -> None:
    desk.headers = await desk.world.staff_headers(Role.MANAGER)
    preview_hash = expect(await desk.preview(rules=DOUBLE), 200)["preview_hash"]
    version = expect(await desk.publish(rules=DOUBLE, preview_hash=preview_hash), 201)
    assert (version["version"], version["state"], version["created_by"]) == (2, "current", "Sam Till")
    late = sale(desk.world, card=card, completed_at=(desk.world.clock.now() - timedelta(hours=1)).isoformat())
    key = await desk.world.pos_key()
    assert expect(await push(desk.world, key, late), 201)["points"] == 12
    assert expect(await push(desk.world, key, sale(desk.world, card=card)), 201)["points"] == 24
    audited = await DB.fetch_row("select * from audit_entry where action = 'programme.rules_changed'")
    assert audited is not None
    assert audited["reason"] == "Agreed with the owner"


async def test_rules_of_tomorrow_wait_for_tomorrow(desk: Desk) -> None:
    tomorrow = (desk.world.clock.now() + timedelta(days=1)).isoformat()
    preview_hash = expect(await desk.preview(rules=DOUBLE, valid_from=tomorrow), 200)["preview_hash"]
    version = expect(await desk.publish(rules=DOUBLE, valid_from=tomorrow, preview_hash=preview_hash), 201)
    assert version["state"] == "future"
    listed = expect(await desk.world.client.get(await path_of(desk.world), headers=desk.headers), 200)["items"]
    assert [(each["version"], each["state"]) for each in listed] == [(2, "future"), (1, "current")]


async def test_an_old_version_comes_back_as_a_new_one(desk: Desk) -> None:
    first = expect(await desk.preview(rules=DOUBLE), 200)["preview_hash"]
    expect(await desk.publish(rules=DOUBLE, preview_hash=first), 201)
    desk.world.advance(timedelta(minutes=1))
    again = expect(await desk.preview(from_version=1), 200)["preview_hash"]
    version = expect(await desk.publish("back-to-the-first", from_version=1, preview_hash=again), 201)
    assert (version["version"], version["state"], version["rules"]["points"]) == (3, "current", 1)


@pytest.mark.parametrize("changed", [{"rules": {"points": 3, "per_minor": 100}}, {"preview_hash": "0" * 32}])
async def test_other_rules_than_those_previewed_are_refused(desk: Desk, changed: dict[str, Any]) -> None:
    preview_hash = expect(await desk.preview(rules=DOUBLE), 200)["preview_hash"]
    answer = await desk.publish(**{"rules": DOUBLE, "preview_hash": preview_hash, **changed})
    assert problem(answer)[:2] == (409, "PREVIEW_STALE")


async def test_a_preview_is_stale_once_somebody_else_changed_the_rules(desk: Desk) -> None:
    mine = expect(await desk.preview(rules=DOUBLE), 200)["preview_hash"]
    other = {"points": 5, "per_minor": 100}
    theirs = expect(await desk.preview(rules=other), 200)["preview_hash"]
    expect(await desk.publish("theirs-is-the-first", rules=other, preview_hash=theirs), 201)
    assert problem(await desk.publish("mine-is-the-second", rules=DOUBLE, preview_hash=mine))[1] == "PREVIEW_STALE"


async def test_of_two_managers_who_publish_at_once_one_is_told_that_the_rules_changed(desk: Desk) -> None:
    bodies = [{"points": points, "per_minor": 100} for points in range(2, 10)]
    hashes = [expect(await desk.preview(rules=body), 200)["preview_hash"] for body in bodies]
    answers = await asyncio.gather(
        *(
            desk.publish(f"all-of-them-at-once-{place}", rules=body, preview_hash=hashes[place])
            for place, body in enumerate(bodies)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert await DB.fetch_value("select count(*) from rule_version") == 2


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"categories": [{"category": "a"}, {"category": "A"}]}, "rules.categories[1].category"),
        ({"skus": [{"sku": "a"}, {"sku": "a"}]}, "rules.skus[1].sku"),
        ({"skus": [{"sku": "a", "percent": 50, "points": 3}]}, "rules.skus[0].points"),
        ({"promotions": [{"code": "a", "name": "A"}]}, "rules.promotions[0].percent"),
        ({"promotions": [{"code": "a", "name": "A", "percent": 200, "points": 1}]}, "rules.promotions[0].percent"),
        (
            {"promotions": [{"code": "a", "name": "A", "points": 1, "from_hour": 12, "until_hour": 12}]},
            "rules.promotions[0].until_hour",
        ),
        (
            {"promotions": [{"code": "a", "name": "A", "points": 1, "from_at": "2026-03-02T10:00:00"}]},
            "rules.promotions[0].from_at",
        ),
        (
            {
                "promotions": [
                    {
                        "code": "a",
                        "name": "A",
                        "points": 1,
                        "from_at": "2026-03-02T10:00:00Z",
                        "until_at": "2026-03-02T10:00:00Z",
                    }
                ]
            },
            "rules.promotions[0].until_at",
        ),
        ({"promotions": [{"code": "a", "name": "A", "points": 1, "stores": ["x"]}]}, "rules.promotions[0].stores[0]"),
        ({"promotions": [{"code": "a", "name": "A", "points": 1, "tiers": ["x"]}]}, "rules.promotions[0].tiers[0]"),
        (
            {"tiers": {"levels": [{"name": "A", "from_points": 5}, {"name": "B", "from_points": 5}]}},
            "rules.tiers.levels[1].from_points",
        ),
        ({"expiry": {"kind": "never", "days": 3}}, "rules.expiry.days"),
        ({"points": -1}, "rules.points"),
    ],
)
async def test_a_wrong_field_is_named(desk: Desk, rules: dict[str, Any], field: str) -> None:
    assert problem(await desk.preview(rules=DOUBLE | rules)) == (400, "INVALID_REQUEST", [field])
    assert problem(await desk.publish(rules=DOUBLE | rules)) == (400, "INVALID_REQUEST", [field])


async def test_every_wrong_field_is_named_at_once(desk: Desk) -> None:
    wrong = DOUBLE | {"skus": [{"sku": "a"}, {"sku": "a"}], "promotions": [{"code": "a", "name": "A"}]}
    fields = problem(await desk.preview(rules=wrong, valid_from="2020-01-01T00:00:00Z"))[2]
    assert fields == ["valid_from", "rules.skus[1].sku", "rules.promotions[0].percent"]


@pytest.mark.parametrize("fields", [{}, {"rules": DOUBLE, "from_version": 1}])
async def test_rules_come_from_one_place(desk: Desk, fields: dict[str, Any]) -> None:
    assert problem(await desk.preview(**fields)) == (400, "INVALID_REQUEST", ["rules"])


async def test_a_version_that_never_was_cannot_come_back(desk: Desk) -> None:
    assert problem(await desk.preview(from_version=9))[:2] == (404, "NOT_FOUND")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.MANAGER])
async def test_only_managers_change_rules(world: World, role: Role) -> None:
    desk = Desk(world, await world.staff_headers(role))
    assert (await desk.preview(rules=DOUBLE)).status_code == 403
    assert (await desk.publish(rules=DOUBLE)).status_code == 403


def test_good_rules_have_no_problems() -> None:
    rules = EarningRules(
        points=1,
        per_minor=100,
        tiers=TierRules(levels=(Tier(name="A", from_points=1), Tier(name="B", from_points=2))),
        promotions=(Promotion(code="a", name="A", percent=200, tiers=("B",), stores=("high-street",)),),
    )
    assert editing.drafts.list_problems(rules, store_codes={"high-street"}) == []
