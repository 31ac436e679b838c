"""Points and vouchers that paid for what comes back are the member's again, in proportion, with their dates."""

from datetime import timedelta
from typing import Any

from server.db.engine import DB
from server.programmes.rules import idle_until
from server.refunds.service import give_back_late
from server.rewards.holds import LATE_PAYMENT_JOB
from server.tokens import voucher_code
from tests.app import World, expect, problem
from tests.ledgers import assert_verified, figures
from tests.server.privacy.desk import forget
from tests.server.refunds.till import entries, lines, money, pieces, refund, send, take
from tests.server.rewards.builders import Counter, voucher_status
from tests.server.sharing.desk import Desk
from tests.tills import push, sale


async def pay(counter: Counter, points: int, *parts: int, paid: tuple[int, ...] = ()) -> str:
    """Sell lines of so much money, of which the points pay their worth; return the sale's external id."""
    world = counter.world
    body = sale(world, card=counter.member.card_number, lines=lines(*parts))
    for line, minor in zip(body["lines"], paid, strict=False):
        line["points_paid_minor"] = minor
    hold = await counter.hold_proven(points, sale=body["external_id"], total=sum(parts))
    expect(await counter.capture(hold, sale=body["external_id"]), 200)
    expect(await push(world, counter.key, body), 201)
    return str(body["external_id"])


async def test_points_come_back_in_proportion_to_the_value_that_came_back(world: World) -> None:
    counter = await Counter.open(world)
    expires_at = await DB.fetch_value("select expires_at from lot")
    sold = await pay(counter, 600, 1_000, 2_000)
    first = await take(world, counter.key, sold, pieces("1"))
    assert (first["points_restored"], first["points_taken"]) == (200, 10)
    second = await take(world, counter.key, sold, pieces("2"))
    assert (second["points_restored"], second["points_taken"]) == (400, 20)
    assert (await figures(counter.member.membership_id))[:2] == (1_000, 1_000)
    assert await DB.fetch_value("select count(distinct expires_at) from lot where remaining > 0") == 1
    assert await DB.fetch_value("select max(expires_at) from lot where remaining > 0") == expires_at
    await assert_verified(world)


async def test_where_lines_say_what_points_paid_only_those_bring_points_back(world: World) -> None:
    counter = await Counter.open(world)
    sold = await pay(counter, 600, 1_000, 2_000, paid=(0, 1_200))
    assert (await take(world, counter.key, sold, pieces("1")))["points_restored"] == 0
    assert (await take(world, counter.key, sold, money("2", 1_000)))["points_restored"] == 300
    assert (await take(world, counter.key, sold, money("2", 1_000)))["points_restored"] == 300
    await assert_verified(world)


async def test_what_the_till_repays_as_points_comes_back_and_no_more_than_was_paid(world: World) -> None:
    counter = await Counter.open(world)
    sold = await pay(counter, 600, 1_000, 2_000)
    assert (await take(world, counter.key, sold, pieces("1", points_part=500)))["points_restored"] == 250
    over = refund(world, sold, pieces("2", points_part=701))
    assert problem(await send(world, counter.key, over))[:2] == (409, "OVER_REFUND")
    assert (await take(world, counter.key, sold, pieces("2", points_part=700)))["points_restored"] == 350
    assert sum(await entries("RESTORE")) == 600
    await assert_verified(world)


async def test_thirds_add_up_to_all_that_was_spent(world: World) -> None:
    counter = await Counter.open(world)
    sold = await pay(counter, 50, 1_000, 1_000, 1_000)
    back = [(await take(world, counter.key, sold, pieces(str(line))))["points_restored"] for line in (1, 2, 3)]
    assert back == [16, 17, 17]
    await assert_verified(world)


async def test_points_that_lapsed_meanwhile_get_the_grace(world: World) -> None:
    counter = await Counter.open(world)
    sold = await pay(counter, 600, 3_000)
    world.advance(timedelta(days=400))
    # The key of before has lapsed as well.
    result = await take(world, await world.pos_key(), sold, pieces("1"))
    assert result["points_restored"] == 600
    until = idle_until(world.clock.now(), 30, "Europe/London")
    assert await DB.fetch_value("select count(*) from lot where remaining > 0 and expires_at = $1", until) == 1
    await assert_verified(world)


async def test_a_voucher_is_good_again_once_nothing_of_the_sale_is_left(world: World) -> None:
    counter = await Counter.open(world)
    code = await counter.take_code(await counter.add_reward(kind="product", sku="TEA"))
    # For any article, as vouchers once could be: goods without a number are no more that one than the others.
    voucher_id = await DB.fetch_value("update voucher set sku = '' returning id")
    body = sale(world, card=counter.member.card_number, lines=lines(1_000, 2_000))
    body["lines"][1]["sku"] = "TEA"
    hold = expect(await counter.hold_voucher(code, sale=body["external_id"], total=3_000), 201)
    expect(await counter.capture(hold, sale=body["external_id"]), 200)
    expect(await push(world, counter.key, body), 201)
    for line, status in (("1", "redeemed"), ("2", "issued")):
        await take(world, counter.key, body["external_id"], pieces(line))
        assert await voucher_status(str(voucher_id)) == status
    await assert_verified(world)


async def test_points_of_several_holds_come_back_together(world: World) -> None:
    counter = await Counter.open(world)
    body = sale(world, card=counter.member.card_number, lines=lines(3_000))
    for points in (100, 150):
        hold: dict[str, Any] = await counter.hold_proven(points, sale=body["external_id"], total=3_000)
        expect(await counter.capture(hold, sale=body["external_id"]), 200)
        world.advance(timedelta(seconds=60))
    expect(await push(world, counter.key, body), 201)
    assert (await take(world, counter.key, body["external_id"], money("1", 1_800)))["points_restored"] == 150
    assert (await take(world, counter.key, body["external_id"], money("1", 1_200)))["points_restored"] == 100
    await assert_verified(world)


async def test_what_is_captured_after_its_goods_came_back_is_given_back_too(world: World) -> None:
    counter = await Counter.open(world)
    world.jobs[LATE_PAYMENT_JOB] = give_back_late
    early, late = await counter.hold_proven(200), expect(await counter.hold(100, sale="cart-2"), 201)
    code = await counter.take_code(await counter.add_reward())
    voucher = expect(await counter.hold_voucher(code, sale="cart-3"), 201)
    body = sale(world, card=counter.member.card_number, lines=lines(1_000, 1_000))
    sold = body["external_id"]
    expect(await counter.capture(early, sale=sold), 200)
    expect(await push(world, counter.key, body), 201)
    # A till that was offline sends what it remembers in another order.
    assert (await take(world, counter.key, sold, pieces("1")))["points_restored"] == 100
    expect(await counter.capture(late, sale=sold), 200)
    assert await world.run_jobs() == 1
    assert await DB.fetch_value("select points_restored from refund") == 150
    assert (await take(world, counter.key, sold, pieces("2")))["points_restored"] == 150
    expect(await counter.capture(voucher, sale=sold), 200)
    assert await world.run_jobs() == 1
    assert await DB.fetch_value("select status from voucher") == "issued"
    assert (await figures(counter.member.membership_id))[1] == 900
    await assert_verified(world)


# Whose voucher it is by then ------------------------------------------------------------------------------------------


async def pay_by_voucher(counter: Counter, reward: dict[str, Any]) -> tuple[str, str]:
    """Sell something that a voucher pays in part; return the sale's external id and the voucher's code."""
    code = await counter.take_code(reward)
    body = sale(counter.world, card=counter.member.card_number, lines=lines(1_000))
    hold = expect(await counter.hold_voucher(code, sale=body["external_id"], total=1_000), 201)
    expect(await counter.capture(hold, sale=body["external_id"]), 200)
    expect(await push(counter.world, counter.key, body), 201)
    return str(body["external_id"]), code


async def limit_of(counter: Counter) -> object:
    """Return the most that Ana wants to be spent in a day, in the membership where she is."""
    sql = "select redeem_limit from membership_person where customer = $1 and left_at is null"
    return await DB.fetch_value(sql, counter.member.customer_id)


async def test_a_voucher_and_the_days_limit_are_where_their_owner_is_by_then(world: World) -> None:
    counter, desk = await Counter.open(world), await Desk.open(world)
    ana, ben = counter.member, await world.sign_up("ben@shop.test", given_name="Ben")
    reward = await counter.add_reward()
    sold = [await pay_by_voucher(counter, reward) for _ in range(3)]
    limit = {"points": 350}
    expect(await world.client.put("/v1/me/redemption-limit", json=limit, headers=ana.headers), 200)

    # Her membership becomes a part of Ben's.
    expect(await desk.combine(ben.membership_id, ana.membership_id), 201)
    await take(world, counter.key, sold[0][0], pieces("1"))
    expect(await counter.release(expect(await counter.hold_voucher(sold[0][1]), 201)), 200)
    assert await limit_of(counter) == 350
    # She leaves it for one of her own.
    expect(await desk.leave(ben.membership_id, ana.customer_id), 201)
    await take(world, counter.key, sold[1][0], pieces("1"))
    expect(await counter.release(expect(await counter.hold_voucher(sold[1][1]), 201)), 200)
    assert await limit_of(counter) == 350
    # She gets a new account.
    world.advance(timedelta(minutes=1))
    form = {"new_email": "ana.new@shop.test", "mode": "reissue", "password": ana.password}
    expect(await world.client.post("/v1/me/email-changes", json=form, headers=ana.headers), 202)
    link = await world.mail_to("ana.new@shop.test", purpose="email-change")
    expect(await world.client.post("/v1/email-changes/confirm", json={"token": link.token}), 200)
    await take(world, counter.key, sold[2][0], pieces("1"))
    assert await limit_of(counter) == 350
    await assert_verified(world)
    world.advance(timedelta(hours=25))
    # Whoever still reads the old mails cannot use it: there is a new code, told at the address that she has now.
    assert problem(await counter.hold_voucher(sold[2][1]))[1] == "VOUCHER_USED"
    replaced = "select n.id from voucher v join voucher n on n.id = v.replaced_by order by n.id desc limit 1"
    code = voucher_code(world.tools.tokens, await DB.fetch_value(replaced))
    told = [
        mail for mail in await world.mails_to("ana.new@shop.test") if mail.subject == "Your vouchers have new codes"
    ]
    assert [code in mail.text for mail in told] == [False, True]
    expect(await counter.hold_voucher(code), 201)
    await assert_verified(world)


async def test_a_voucher_of_somebody_who_was_forgotten_does_not_come_back(world: World) -> None:
    counter, desk = await Counter.open(world), await Desk.open(world)
    ben = await world.sign_up("ben@shop.test", given_name="Ben")
    sold, _ = await pay_by_voucher(counter, await counter.add_reward())
    expect(await desk.combine(ben.membership_id, counter.member.membership_id), 201)
    await forget(world, counter.member)
    assert (await take(world, counter.key, sold, pieces("1")))["state"] == "posted"
    assert await DB.fetch_value("select status from voucher") == "redeemed"
    await assert_verified(world)
