"""What a preview says is what publishing the rules and posting the same sales again would have given."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from server.db.engine import DB
from server.programmes import editing
from server.programmes import store as programmes
from server.tiers.service import raise_all
from shared.programmes import EarningRules, RulesProposal
from tests.app import SignedUp, World, expect
from tests.tills import push, sale

OLD: dict[str, Any] = {"points": 1, "per_minor": 100}
# Everything that one sale does to the next: tiers that are reached and lost, caps of a day, of a sale and of a member.
NEW: dict[str, Any] = {
    "points": 3,
    "per_minor": 200,
    "rounding": "half_up",
    "visit_points": 4,
    "overlap": "sum",
    "categories": ({"category": "coffee", "percent": 150},),
    "order_points_max": 120,
    "day_points_max": 130,
    "promotions": (
        {"code": "once", "name": "Once", "percent": 200, "member_points_max": 60},
        {"code": "gold", "name": "For gold", "points": 10, "tiers": ("Gold",)},
    ),
    "tiers": {
        "levels": (
            {"name": "Silver", "from_points": 40, "percent": 120},
            {"name": "Gold", "from_points": 150, "percent": 200},
        ),
        "period": "rolling_year",
    },
}
# Who buys after how many hours for how much: on one day, at one instant, days later, and enough to reach each tier.
BEFORE = ((0, 0, 2_000), (1, 1, 900), (0, 30, 1_250), (1, 75, 4_900))
DURING = (
    (0, 0, 999), (1, 0, 1_750), (0, 3, 6_000), (1, 5, 5_150), (0, 5, 350), (0, 5, 777),
    (0, 26, 3_333), (1, 30, 100), (1, 50, 2_999), (0, 75, 4_100), (1, 99, 5_995), (0, 120, 1_501),
)  # fmt: skip


async def sell(world: World, people: list[SignedUp], sold: tuple[tuple[int, int, int], ...]) -> list[str]:
    """Post sales one by one as they happen and return their ids."""
    start, headers, ids = world.clock.now(), await world.pos_key(), []
    for who, hours, net_minor in sold:
        at: datetime = start + timedelta(hours=hours)
        world.advance(max(timedelta(0), at - world.clock.now()))
        line = {"line_id": "1", "category": "coffee", "quantity": 1, "net_minor": net_minor}
        body = sale(world, card=people[who].card_number, lines=[line])
        expect(await push(world, headers, body), 201)
        ids.append(body["external_id"])
    return ids


async def put_in_force(world: World, rules: dict[str, Any]) -> None:
    programme = await programmes.find_default()
    assert programme is not None
    async with DB.transaction():
        await programmes.insert_rules(
            world.ctx, programme["id"], msgspec.convert(rules, EarningRules), valid_from=world.clock.now()
        )
    await raise_all(world.ctx)


@pytest.mark.parametrize(("old", "period"), [(OLD, "rolling_year"), (NEW | {"points": 2}, "calendar_year")])
async def test_a_preview_is_what_posting_again_gives(world: World, old: dict[str, Any], period: str) -> None:
    new = NEW | {"tiers": NEW["tiers"] | {"period": period}}
    told, given = None, []
    # The same twice, with other people: under the old rules all along, and with the new ones in force meanwhile.
    for is_published in (False, True):
        people = [await world.sign_up(f"m{one}-{is_published}@shop.test".lower()) for one in range(2)]
        await put_in_force(world, old)
        await sell(world, people, BEFORE)
        world.advance(timedelta(days=3))
        since = world.clock.now()
        if is_published:
            await put_in_force(world, new)
        ids = await sell(world, people, DURING)
        world.advance(timedelta(days=1))
        if is_published:
            rows = await DB.fetch("select points from orders where external_id = any($1::text[])", ids)
            given = [row["points"] for row in rows]
        else:
            programme_id = await DB.fetch_value("select id from programme")
            proposal = RulesProposal(rules=msgspec.convert(new, EarningRules), since=since)
            told = await editing.preview_rules(world.ctx, programme_id, proposal)  # type: ignore[arg-type]
        world.advance(timedelta(days=20))
    assert told is not None
    assert (told.is_complete, told.orders, told.points_now) == (True, len(DURING), sum(given))
    assert sum(part.points for part in told.parts) == sum(effect.points_now for effect in told.effects) == sum(given)
    assert [part.points > 0 for part in told.parts] == [True, True, True]
