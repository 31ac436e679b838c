"""A tier is reached with the sale that makes it full, multiplies the sales after it, and ends with its period only."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from server.db.engine import DB
from server.ledger.verification import verify
from server.memberships.service import list_membership_views
from server.programmes import store as programmes
from server.programmes.service import get_default_programme
from server.tiers import service as tiers
from shared.enums import Scope
from shared.programmes import BonusRules, EarningRules, Promotion, Tier, TierRules
from tests.app import SignedUp, World, expect
from tests.ledgers import assert_verified, locked
from tests.server.email_changes.builders import OLD, change, home_of, not_me
from tests.server.refunds.till import pieces, take
from tests.server.sharing import desk as sharing
from tests.tills import push, push_batch, sale

GOLD = TierRules(levels=(Tier(name="Silver", from_points=12), Tier(name="Gold", from_points=24, percent=200)))


async def set_rules(world: World, **rules: Any) -> None:  # noqa: ANN401
    programme = await programmes.find_default()
    assert programme is not None
    body = EarningRules(**{"points": 1, "per_minor": 100, **rules})
    await programmes.insert_rules(world.ctx, programme["id"], body, valid_from=world.clock.now() - timedelta(days=1))


async def buy(world: World, card: str, **fields: Any) -> int:  # noqa: ANN401
    points = expect(await push(world, await world.pos_key(), sale(world, card=card, **fields)), 201)["points"]
    assert isinstance(points, int)
    return points


async def tier_of(membership_id: UUID) -> str:
    return str(await DB.fetch_value("select tier from membership where id = $1", membership_id))


async def test_a_tier_is_reached_at_once_and_multiplies_from_the_next_sale_on(world: World) -> None:
    await set_rules(world, tiers=GOLD)
    member = await world.sign_up()
    assert await buy(world, member.card_number) == 12
    assert await tier_of(member.membership_id) == "Silver"
    world.advance(timedelta(minutes=1))
    assert await buy(world, member.card_number) == 12
    world.advance(timedelta(minutes=1))
    assert await buy(world, member.card_number) == 24
    (view,) = expect(await world.client.get("/v1/me/memberships", headers=member.headers), 200)["items"]
    assert view["tier"] == "Gold"
    await assert_verified(world)


async def test_a_sale_counts_in_the_tier_of_its_completion(world: World) -> None:
    await set_rules(world, tiers=GOLD)
    member = await world.sign_up()
    before = world.clock.now().isoformat()
    for _ in range(2):
        world.advance(timedelta(minutes=1))
        await buy(world, member.card_number)
    world.advance(timedelta(minutes=1))
    assert await buy(world, member.card_number, completed_at=before) == 12
    assert await buy(world, member.card_number) == 24


async def test_a_tier_ends_with_its_period_only_however_late_that_is_noticed(world: World) -> None:
    await set_rules(world, tiers=GOLD)
    member = await world.sign_up()
    for _ in range(2):
        await buy(world, member.card_number)
    # Reached in 2026, kept through 2027.
    world.clock.set(world.clock.now().replace(year=2027, month=12, day=31, hour=23))
    assert await tiers.settle_due(world.ctx) == 0
    assert await tier_of(member.membership_id) == "Gold"
    world.advance(timedelta(days=40))
    assert await tiers.settle_due(world.ctx) == 1
    assert await tier_of(member.membership_id) == ""
    assert await tiers.settle_due(world.ctx) == 0
    ended = await DB.fetch_row("select at, reason from tier_change order by id desc limit 1")
    assert ended is not None
    assert (ended["at"].isoformat(), ended["reason"]) == ("2028-01-01T00:00:00+00:00", "ended")


async def test_who_qualifies_again_keeps_the_tier(world: World) -> None:
    await set_rules(world, tiers=GOLD)
    member = await world.sign_up()
    for _ in range(2):
        await buy(world, member.card_number)
    world.clock.set(world.clock.now().replace(year=2027))
    await buy(world, member.card_number)
    world.clock.set(world.clock.now().replace(year=2028))
    await tiers.settle_due(world.ctx)
    assert await tier_of(member.membership_id) == "Gold"


async def test_new_rules_raise_members_for_what_they_bought_before_and_lower_nobody(world: World) -> None:
    ana, ben, cy = [await world.sign_up(f"{who}@shop.test") for who in ("ana", "ben", "cy")]
    for card in (ana.card_number, ana.card_number, ben.card_number):
        await buy(world, card)

    async def tiers_now() -> list[str]:
        # By two workers at once, in small steps.
        await asyncio.gather(*(tiers.raise_all(world.ctx, memberships_at_once=step) for step in (1, 2)))
        return [await tier_of(one.membership_id) for one in (ana, ben, cy)]

    assert await tiers_now() == ["", "", ""]
    await set_rules(world, tiers=GOLD)
    world.advance(timedelta(minutes=1))
    assert await tiers_now() == ["Gold", "Silver", ""]
    assert await tiers.raise_all(world.ctx) == 0
    assert [row["tier"] for row in await DB.fetch("select tier from tier_change order by tier")] == ["Gold", "Silver"]
    world.advance(timedelta(minutes=1))
    assert await buy(world, ana.card_number) == 24
    # A bar that comes down raises, one that goes up takes nothing away, and other new rules look at nobody again.
    low = TierRules(levels=(Tier(name="Silver", from_points=6), Tier(name="Gold", from_points=9)))
    await set_rules(world, tiers=low)
    assert await tiers_now() == ["Gold", "Gold", ""]
    await DB.fetch("update membership set tier = '', tier_until = null where id = $1", ben.membership_id)
    await set_rules(world, tiers=low, points=2)
    assert await tiers_now() == ["Gold", "", ""]
    await set_rules(world, tiers=TierRules(levels=(Tier(name="Gold", from_points=900),)))
    assert await tiers_now() == ["Gold", "", ""]


async def test_what_is_bought_under_older_rules_or_by_two_who_become_one_raises_at_once(world: World) -> None:
    ana, ben = [await world.sign_up(f"{who}@shop.test") for who in ("ana", "ben")]
    world.advance(timedelta(hours=1))
    early = world.clock.now().isoformat()
    world.advance(timedelta(days=3))
    await set_rules(world, tiers=GOLD)
    assert await tiers.raise_all(world.ctx) == 0
    # These come late, one by one and in a batch, and count by the rules of their time, which had no tiers.
    assert await buy(world, ana.card_number, completed_at=early) == 12
    sold = sale(world, card=ben.card_number, completed_at=early)
    assert expect(await push_batch(world, await world.pos_key(), [sold]), 200)["accepted"] == 1
    assert [await tier_of(one.membership_id) for one in (ana, ben)] == ["Silver", "Silver"]
    desk = await sharing.Desk.open(world)
    world.advance(timedelta(minutes=1))
    done = expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    assert await tier_of(ana.membership_id) == "Gold"
    # Taken back, it is as before; but for what the one has reached by itself.
    world.advance(timedelta(minutes=1))
    expect(await desk.undo(ana.membership_id, "combine", done["operation_id"]), 200)
    assert [await tier_of(one.membership_id) for one in (ana, ben)] == ["Silver", "Silver"]
    world.advance(timedelta(minutes=1))
    again = expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    assert await buy(world, ana.card_number) == 24
    world.advance(timedelta(minutes=1))
    expect(await desk.undo(ana.membership_id, "combine", again["operation_id"]), 200)
    assert [await tier_of(one.membership_id) for one in (ana, ben)] == ["Gold", "Silver"]
    await assert_verified(world)


async def inherit(world: World, source: SignedUp, target: SignedUp) -> None:
    programme = await get_default_programme(fresh=True)
    async with locked(target.membership_id):
        await tiers.inherit_tier(
            world.ctx,
            programme,
            from_membership=source.membership_id,
            to_membership=target.membership_id,
            with_sales=False,
        )


async def test_the_higher_tier_of_two_accounts_goes_on_and_of_two_like_ones_the_longer(world: World) -> None:
    await set_rules(world, tiers=GOLD)
    ana, ben, cy = [await world.sign_up(f"{who}@shop.test") for who in ("ana", "ben", "cy")]
    for card in (ana.card_number, ana.card_number, ben.card_number):
        await buy(world, card)
    for source, target in ((ben, ana), (ana, ben)):
        await inherit(world, source, target)
        assert await tier_of(target.membership_id) == "Gold"
    until = "select tier_until from membership where id = $1"
    world.clock.set(datetime(2027, 5, 1, 12, tzinfo=UTC))
    for _ in range(2):
        await buy(world, cy.card_number)
    await inherit(world, cy, ana)
    assert await DB.fetch_value(until, ana.membership_id) == datetime(2029, 1, 1, tzinfo=UTC)
    # What was over when nobody had looked yet is no tier that could go on.
    world.clock.set(datetime(2028, 3, 1, 12, tzinfo=UTC))
    dan = await world.sign_up("dan@shop.test")
    await inherit(world, ben, dan)
    assert [await tier_of(one.membership_id) for one in (ben, dan)] == ["", ""]
    await assert_verified(world)


async def test_a_tier_that_is_over_counts_for_no_sale_whether_or_not_anybody_has_looked(world: World) -> None:
    await set_rules(world, tiers=GOLD)
    ana, ben = await world.sign_up("ana@shop.test"), await world.sign_up("ben@shop.test")
    for card in (ana.card_number, ben.card_number) * 2:
        await buy(world, card)
    world.clock.set(datetime(2027, 12, 31, 23, 50, tzinfo=UTC))
    for _ in range(2):
        await buy(world, ben.card_number)
    # No worker has run since: Ana's year is over, and Ben has earned another one.
    world.clock.set(datetime(2028, 1, 1, 0, 10, tzinfo=UTC))
    eve = datetime(2027, 12, 31, 23, 55, tzinfo=UTC).isoformat()
    small = [{"line_id": "1", "net_minor": 300}]
    assert await buy(world, ana.card_number) == 12
    assert await buy(world, ana.card_number, completed_at=eve, lines=small) == 6
    assert await buy(world, ben.card_number) == 24
    await assert_verified(world)


async def test_of_two_tills_at_once_the_change_that_comes_last_is_the_tier(world: World) -> None:
    await set_rules(world, tiers=GOLD)
    member = await world.sign_up()
    waiting = world.ctx
    world.advance(timedelta(milliseconds=300))
    assert await buy(world, member.card_number) == 12
    # The other till's request came before, and had to wait for this one.
    programme = await get_default_programme(fresh=True)
    await DB.fetch("update orders set points = 24")
    async with locked(member.membership_id):
        await tiers.raise_tier(waiting, programme, member.membership_id)
    await DB.fetch("update orders set points = 12")
    world.advance(timedelta(minutes=1))
    assert await tier_of(member.membership_id) == "Gold"
    assert await buy(world, member.card_number) == 24
    await assert_verified(world)


async def test_a_reissued_account_goes_on_in_its_tier_and_brings_what_it_reached_back(world: World) -> None:
    await set_rules(world, tiers=GOLD)
    member = await world.sign_up(OLD)
    await buy(world, member.card_number)
    world.advance(timedelta(minutes=1))
    await change(world, member, mode="reissue")
    await assert_verified(world)
    home = await home_of(member.customer_id)
    assert (home != member.membership_id, await tier_of(home)) == (True, "Silver")
    card = str(await DB.fetch_value("select code from card where membership = $1 and status = 'active'", home))
    world.advance(timedelta(minutes=1))
    assert await buy(world, card) == 12
    world.advance(timedelta(minutes=1))
    expect(await not_me(world), 200)
    assert await tier_of(member.membership_id) == "Gold"
    assert await buy(world, member.card_number) == 24
    await assert_verified(world)


async def test_two_till_systems_may_give_two_sales_one_number(world: World) -> None:
    promotion = Promotion(code="double", name="Double", percent=200, member_points_max=15)
    await set_rules(world, promotions=(promotion,), day_points_max=40)
    member = await world.sign_up()
    sold = sale(world, card=member.card_number)
    earned = [
        expect(await push(world, await world.pos_key(connection=till), sold), 201)["points"]
        for till in ("till", "kiosk", "web")
    ]
    assert earned == [24, 15, 1]
    await assert_verified(world)


async def test_caps_of_a_day_and_of_a_promotion_hold_over_all_sales_of_a_member(world: World) -> None:
    promotion = Promotion(code="double", name="Double", percent=200, member_points_max=15)
    await set_rules(world, promotions=(promotion,), day_points_max=40)
    member = await world.sign_up()
    assert [await buy(world, member.card_number) for _ in range(4)] == [24, 15, 1, 0]
    world.advance(timedelta(days=1))
    assert await buy(world, member.card_number) == 12
    await assert_verified(world)


async def test_the_card_names_the_programme_that_counts(world: World) -> None:
    member = await world.sign_up()
    ctx = world.ctx
    other = await programmes.insert_programme(
        ctx, code="club", name="Club", zone="Europe/London", currency="GBP",
        launch_at=ctx.now - timedelta(days=10), is_default=False,
    )  # fmt: skip
    # The same number of versions as the shop's own programme has.
    await programmes.insert_rules(
        ctx, other, EarningRules(points=5, per_minor=100), valid_from=ctx.now - timedelta(days=9)
    )
    staff = await world.staff_headers("manager") | {"Idempotency-Key": "join-the-club-too"}
    path = f"/v1/staff/customers/{member.customer_id}/memberships"
    joined = expect(await world.client.post(path, json={"programme_code": "club"}, headers=staff), 201)
    assert await buy(world, joined["card_number"]) == 61
    assert await buy(world, member.card_number) == 12
    till = await world.pos_key()
    for card, points in ((joined["card_number"], 61), (member.card_number, 12)):
        greeted = expect(await world.client.get("/v1/pos/lookup", params={"card": card}, headers=till), 200)
        assert greeted["available"] == points
    again = await world.client.post(
        path, json={"programme_code": "club"}, headers=staff | {"Idempotency-Key": "join-the-club-again"}
    )
    assert (again.status_code, again.json()["code"]) == (409, "ALREADY_MEMBER")
    await assert_verified(world)


async def test_a_member_sees_what_counts_and_until_when_and_what_is_returned_counts_no_more(world: World) -> None:
    await set_rules(world, tiers=GOLD)
    member = await world.sign_up()
    sold = sale(world, card=member.card_number)
    expect(await push(world, await world.pos_key(), sold), 201)

    async def progress() -> tuple[object, ...]:
        (view,) = await list_membership_views(member.customer_id, world.clock.now())
        return view.tier, view.qualifying_points, view.next_tier, view.next_tier_points, view.tier_until

    # Until the end of the calendar year after the one it was reached in.
    until = datetime(world.clock.now().year + 2, 1, 1, tzinfo=UTC)
    assert await progress() == ("Silver", 12, "Gold", 12, until)
    world.advance(timedelta(minutes=5))
    key = await world.pos_key(scopes=[Scope.REFUNDS])
    await take(world, key, sold["external_id"], pieces("1", 2), pieces("2", "1.5"))
    # A tier that was reached is kept; the next one is as far as the points say, to staff too.
    assert await progress() == ("Silver", 0, "Gold", 24, until)
    path = f"/v1/staff/memberships/{member.membership_id}/tier"
    shown = expect(await world.client.get(path, headers=await world.staff_headers()), 200)
    assert (shown["tier"], shown["points"], shown["next_tier"], shown["next_points"]) == ("Silver", 0, "Gold", 24)
    world.clock.set(until)
    assert await tiers.settle_due(world.ctx) == 1
    assert await tiers.settle_due(world.ctx) == 0
    assert await progress() == ("", 0, "Silver", 12, None)
    await assert_verified(world)


async def test_a_changed_sale_gives_back_what_its_promotion_gave(world: World) -> None:
    promotion = Promotion(code="double", name="Double", percent=200, member_points_max=20)
    await set_rules(world, promotions=(promotion,))
    member = await world.sign_up()
    headers = await world.pos_key()
    sold = sale(world, card=member.card_number)
    assert expect(await push(world, headers, sold), 201)["points"] == 24
    changed = sold | {"revision": 1, "lines": [sold["lines"][1]]}
    assert expect(await push(world, headers, changed), 201)["points"] == 8
    # Of the twenty points, four are used.
    world.advance(timedelta(minutes=1))
    assert expect(await push(world, headers, sale(world, card=member.card_number)), 201)["points"] == 24
    last = sale(world, card=member.card_number)
    assert expect(await push(world, headers, last), 201)["points"] == 12 + 4
    # Also of a sale that came back whole before its till made it smaller.
    await take(world, headers, last["external_id"], pieces("1", 2), pieces("2", "1.5"))
    smaller = last | {"revision": 1, "lines": [last["lines"][1] | {"net_minor": 100}]}
    assert expect(await push(world, headers, smaller), 201)["points"] == 2
    await assert_verified(world)


async def test_verification_finds_tiers_bonuses_and_promotions_that_nobody_gave(world: World) -> None:
    promotion = Promotion(code="double", name="Double", percent=200, member_points_max=20)
    await set_rules(world, tiers=GOLD, promotions=(promotion,), bonuses=BonusRules(sign_up=5))
    member = await world.sign_up()
    await buy(world, member.card_number)
    await assert_verified(world)
    await DB.fetch("update membership set tier = 'Platinum'")
    await DB.fetch("update promotion_use set points = 21")
    await DB.run_script(
        "set session_replication_role = replica; update bonus_grant set points = 6; set session_replication_role = origin"
    )
    wrong = {outcome.name async for outcome in verify(world.clock.now()) if not outcome.is_right}
    assert wrong == {
        "a tier is the one that was given last",
        "every bonus was granted, and each grant paid once",
        "no promotion gave more than its caps",
    }
