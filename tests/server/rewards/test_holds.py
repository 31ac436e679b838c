"""Holds: what is set aside is nobody else's, is spent once, and comes back by itself."""

from datetime import UTC, datetime, timedelta

import pytest

from server.db.engine import DB
from server.rewards.holds import tidy, undo_capture
from tests.app import World, expect, problem
from tests.ledgers import assert_verified, figures, left_in, locked
from tests.server.rewards.builders import Counter, voucher_status
from tests.tills import push, sale

LAPSE = timedelta(minutes=15)


async def test_a_quote_is_the_most_that_points_cap_steps_and_sale_allow(world: World) -> None:
    counter = await Counter.open(world, points=1_037, cap_percent=50)
    quote = await counter.quote(total=3_000)
    assert (quote["max_points"], quote["max_minor"]) == (750, 1_500)
    assert (quote["default_points"], quote["default_minor"]) == (750, 1_500)
    assert (quote["card_points"], quote["card_minor"]) == (200, 400)
    assert (quote["available"], quote["held"]) == (1_037, 0)
    assert (await counter.quote(total=1_000_000))["max_points"] == 1_000
    assert (await counter.quote(total=100))["max_points"] == 0


async def test_a_hold_takes_points_out_of_reach_and_a_capture_spends_them(world: World) -> None:
    counter = await Counter.open(world)
    hold = await counter.hold_proven(600)
    assert (hold["state"], hold["points"], hold["amount_minor"]) == ("open", 600, 1_200)
    assert await counter.balance() == (1_000, 600)
    assert (await counter.quote(sale="cart-2"))["max_points"] == 400
    captured = expect(await counter.capture(hold), 200)
    assert (captured["state"], captured["order_reference"]) == ("captured", "sale-1")
    assert await counter.balance() == (400, 0)
    entry = await DB.fetch_row("select kind, points, source_key from ledger_entry where points < 0")
    assert entry is not None
    assert tuple(entry) == ("REDEEM", -600, f"hold:{hold['id']}")
    await assert_verified(world)


async def test_a_capture_sent_again_spends_once(world: World) -> None:
    counter = await Counter.open(world)
    hold = await counter.hold_proven(300)
    first = expect(await counter.capture(hold), 200)
    assert expect(await counter.capture(hold), 200) == first
    assert await counter.balance() == (700, 0)


async def test_a_released_hold_is_free_again_and_cannot_be_captured(world: World) -> None:
    counter = await Counter.open(world)
    hold = await counter.hold_proven(1_000)
    for _ in range(2):
        assert expect(await counter.release(hold), 200)["state"] == "released"
    assert await counter.balance() == (1_000, 0)
    assert problem(await counter.capture(hold))[:2] == (409, "HOLD_OVER")
    captured = await counter.hold(100)
    expect(await counter.capture(captured.json()), 200)
    assert problem(await counter.release(captured.json()))[:2] == (409, "HOLD_OVER")


@pytest.mark.parametrize("swept", [False, True])
async def test_a_hold_lapses_by_time_alone(world: World, swept: bool) -> None:
    counter = await Counter.open(world)
    await counter.hold_proven(1_000)
    world.advance(LAPSE - timedelta(seconds=1))
    if swept:
        await tidy(world.tools)
    assert (await counter.quote(sale="cart-2"))["max_points"] == 0
    world.advance(timedelta(seconds=1))
    if swept:
        await tidy(world.tools)
    assert (await counter.quote(sale="cart-2"))["max_points"] == 1_000
    states = await DB.fetch_value("select state from hold")
    assert states == ("lapsed" if swept else "open")


@pytest.mark.parametrize("swept", [False, True])
async def test_a_late_capture_gets_points_that_are_still_free(world: World, swept: bool) -> None:
    counter = await Counter.open(world)
    hold = await counter.hold_proven(600)
    world.advance(timedelta(hours=24))
    if swept:
        await tidy(world.tools)
    assert expect(await counter.capture(hold), 200)["state"] == "captured"
    await assert_verified(world)


async def test_a_late_capture_takes_nothing_from_another_sale(world: World) -> None:
    counter = await Counter.open(world, card_daily_points=1_000)
    late = expect(await counter.hold(600), 201)
    world.advance(LAPSE)
    other = expect(await counter.hold(500, sale="cart-2"), 201)
    refused = await counter.capture(late)
    assert problem(refused)[:2] == (409, "INSUFFICIENT_POINTS")
    assert refused.json()["data"] == {"available": 1_000, "held": 500, "spendable": 500}
    expect(await counter.capture(other, sale="sale-2"), 200)
    assert problem(await counter.capture(late))[:2] == (409, "INSUFFICIENT_POINTS")
    await assert_verified(world)


async def test_a_hold_pays_for_one_sale_and_for_none_that_was_voided(world: World) -> None:
    counter = await Counter.open(world)
    held, late = await counter.hold_proven(100), expect(await counter.hold(100, sale="cart-2"), 201)
    expect(await counter.capture(held, sale="sale-1"), 200)
    again = await counter.capture(held, sale="sale-2")
    assert problem(again)[:2] == (409, "HOLD_OVER")
    assert again.json()["detail"] == "It has paid for sale sale-1."
    world.advance(LAPSE)
    body = sale(world, card=counter.member.card_number)
    for state in ("completed", "voided"):
        expect(await push(world, counter.key, body | {"state": state}), 201)
    assert problem(await counter.capture(late, sale=body["external_id"]))[:2] == (409, "HOLD_OVER")
    assert (await figures(counter.member.membership_id))[1] == 900
    await assert_verified(world)


async def test_a_late_capture_counts_against_the_days_limits_like_a_new_hold(world: World) -> None:
    counter = await Counter.open(world)
    by_card, proven = expect(await counter.hold(150), 201), await counter.hold_proven(150, sale="cart-2")
    world.advance(LAPSE)
    expect(await counter.capture(expect(await counter.hold(100, sale="cart-3"), 201), sale="sale-3"), 200)
    refused = await counter.capture(by_card)
    assert problem(refused)[:2] == (409, "PRESENCE_NEEDED")
    assert refused.json()["data"] == {"left_by_card": 100}
    await DB.fetch("update membership_person set redeem_limit = 200")
    assert problem(await counter.capture(proven, sale="sale-2"))[:2] == (409, "REDEMPTION_LIMIT")
    await DB.fetch("update membership_person set redeem_limit = 250")
    expect(await counter.capture(proven, sale="sale-2"), 200)


async def test_a_capture_more_than_a_day_late_is_refused(world: World) -> None:
    counter = await Counter.open(world)
    hold = await counter.hold_proven(600)
    world.advance(LAPSE + timedelta(hours=24, seconds=1))
    assert problem(await counter.capture(hold))[:2] == (409, "HOLD_OVER")


async def test_the_loser_learns_the_fresh_balance(world: World) -> None:
    counter = await Counter.open(world, card_daily_points=5_000)
    expect(await counter.hold(800), 201)
    refused = await counter.hold(300, sale="cart-2")
    assert problem(refused)[:2] == (409, "INSUFFICIENT_POINTS")
    assert refused.json()["data"] == {"available": 1_000, "held": 800, "spendable": 200}


async def test_two_holds_share_one_sale_and_its_cap(world: World) -> None:
    counter = await Counter.open(world, cap_percent=50, card_daily_points=5_000)
    hold = expect(await counter.hold(400, total=2_000), 201)
    refused = await counter.hold(150, total=2_000)
    assert problem(refused)[:2] == (409, "REDEMPTION_CAP")
    assert refused.json()["data"] == {"max_points": 100}
    expect(await counter.hold(100, total=2_000), 201)
    expect(await counter.release(hold), 200)
    assert (await counter.quote(total=2_000))["max_points"] == 400


@pytest.mark.parametrize("points", [1, 49, 75, 999])
async def test_points_are_spent_in_whole_steps(world: World, points: int) -> None:
    counter = await Counter.open(world)
    assert problem(await counter.hold(points)) == (400, "INVALID_REQUEST", ["points"])


async def test_less_than_the_minimum_is_refused(world: World) -> None:
    counter = await Counter.open(world, minimum_points=100)
    assert problem(await counter.hold(50)) == (400, "INVALID_REQUEST", ["points"])


async def test_a_hold_names_what_is_wrong(world: World) -> None:
    counter = await Counter.open(world)
    assert problem(await counter.hold(50, card_number=None)) == (400, "INVALID_REQUEST", ["card_number"])
    assert problem(await counter.hold(50, voucher_code="0000-0000-0000")) == (400, "INVALID_REQUEST", ["points"])
    nothing = counter.sale("cart-1", 1_000) | {"card_number": counter.member.card_number}
    assert problem(await counter.send("POST", "/v1/pos/holds", nothing)) == (400, "INVALID_REQUEST", ["points"])
    assert problem(await counter.hold(50, card_number="29000000000018")) == (400, "CARD_UNKNOWN", ["card_number"])
    assert problem(await counter.hold(50, currency="EUR")) == (400, "CURRENCY_MISMATCH", ["currency"])
    elsewhere = await world.pos_key(stores=["market-hall"])
    body = counter.sale("cart-1", 1_000) | {"card_number": counter.member.card_number, "points": 50}
    assert problem(await counter.send("POST", "/v1/pos/holds", body, headers=elsewhere))[:2] == (403, "NOT_PERMITTED")


async def test_another_till_systems_hold_does_not_exist(world: World) -> None:
    counter = await Counter.open(world)
    hold = await counter.hold_proven(100)
    counter.key = await world.pos_key(connection="other")
    assert problem(await counter.capture(hold))[0] == 404
    assert problem(await counter.release(hold))[0] == 404


async def test_nothing_is_spent_while_spending_is_held(world: World) -> None:
    counter = await Counter.open(world)
    until = world.clock.now() + timedelta(hours=2)
    await DB.fetch("update customer set redemption_held_until = $1", until)
    refused = await counter.hold(50)
    assert problem(refused)[:2] == (409, "REDEMPTION_HELD")
    assert refused.json()["data"] == {"held_until": until.isoformat()}
    quote = await counter.quote()
    assert quote["max_points"] == 0
    assert quote["held_until"] == until.isoformat().replace("+00:00", "Z")
    world.advance(timedelta(hours=2))
    expect(await counter.hold(50), 201)


async def test_the_members_own_limit_counts_everything_of_the_local_day(world: World) -> None:
    counter = await Counter.open(world, points=2_000, card_daily_points=5_000)
    set_limit = await world.client.put("/v1/me/redemption-limit", json={"points": 300}, headers=counter.member.headers)
    assert expect(set_limit, 200) == {"points": 300}
    reward = await counter.add_reward()
    expect(await counter.take(reward), 201)
    expect(await counter.capture(expect(await counter.hold(150), 201)), 200)
    refused = await counter.hold(100, sale="cart-2")
    assert problem(refused)[:2] == (409, "REDEMPTION_LIMIT")
    assert refused.json()["data"] == {"left_today": 50}
    quote = await counter.quote(sale="cart-2")
    assert (quote["max_points"], quote["left_today"]) == (50, 50)
    # 10 o'clock in London, in winter: the next local day begins 14 hours later.
    world.advance(timedelta(hours=14) - timedelta(seconds=1))
    assert (await counter.quote(sale="cart-2"))["max_points"] == 50
    world.advance(timedelta(seconds=1))
    assert (await counter.quote(sale="cart-2"))["max_points"] == 300


async def test_a_limit_is_raised_with_the_password_only(world: World) -> None:
    counter = await Counter.open(world)
    headers, path = counter.member.headers, "/v1/me/redemption-limit"
    expect(await world.client.put(path, json={"points": 300}, headers=headers), 200)
    world.advance(timedelta(minutes=11))
    expect(await world.client.put(path, json={"points": 200}, headers=headers), 200)
    for raised in (201, None):
        answer = await world.client.put(path, json={"points": raised}, headers=headers)
        assert problem(answer)[:2] == (403, "REAUTH_REQUIRED")
    form = {"points": None, "password": counter.member.password}
    assert expect(await world.client.put(path, json=form, headers=headers), 200) == {"points": None}


async def test_points_that_lapse_or_go_back_while_held_are_not_spent(world: World) -> None:
    counter = await Counter.open(world, card_daily_points=5_000)
    hold = expect(await counter.hold(1_000), 201)
    await DB.fetch("update lot set expires_at = $1", world.clock.now() + timedelta(minutes=1))
    world.advance(timedelta(minutes=2))
    refused = await counter.capture(hold)
    assert problem(refused)[:2] == (409, "INSUFFICIENT_POINTS")
    assert refused.json()["data"]["available"] == 0


async def test_a_refund_gives_points_of_a_capture_back_with_their_dates(world: World) -> None:
    counter = await Counter.open(world)
    hold = await counter.hold_proven(600)
    expect(await counter.capture(hold), 200)
    expires_at = await DB.fetch_value("select expires_at from lot")
    async with locked(counter.member.membership_id) as membership:
        hold_id = await DB.fetch_value("select id from hold")
        assert await undo_capture(world.ctx, membership, hold_id, source_key="refund:1", points=200) == 200  # type: ignore[arg-type]
    assert (await figures(counter.member.membership_id))[:2] == (600, 600)
    assert await DB.fetch_value("select count(*) from lot where expires_at = $1", expires_at) == 2
    restored = await DB.fetch_value("select id from ledger_entry where kind = 'RESTORE'")
    assert await left_in(restored) == 200  # type: ignore[arg-type]
    await assert_verified(world)


async def test_a_voucher_pays_for_one_sale(world: World) -> None:
    counter = await Counter.open(world)
    code = await counter.take_code(await counter.add_reward())
    hold = expect(await counter.hold_voucher(code.lower().replace("-", " ")), 201)
    assert (hold["amount_minor"], hold["voucher_ending"], hold["kind"]) == (500, code[-4:], "amount_off")
    refused = await counter.hold_voucher(code, sale="cart-2")
    assert problem(refused)[:2] == (409, "VOUCHER_USED")
    expect(await counter.capture(hold), 200)
    assert problem(await counter.hold_voucher(code, sale="cart-2"))[:2] == (409, "VOUCHER_USED")
    (voucher,) = expect(await world.client.get("/v1/me/vouchers", headers=counter.member.headers), 200)["items"]
    assert (voucher["status"], voucher["code_ending"]) == ("redeemed", code[-4:])
    await assert_verified(world)


async def test_points_and_vouchers_never_take_off_more_than_the_sale(world: World) -> None:
    counter = await Counter.open(world)
    code = await counter.take_code(await counter.add_reward(value_minor=1_900))
    assert expect(await counter.hold_voucher(code, total=2_000), 201)["amount_minor"] == 1_900
    assert (await counter.quote(total=2_000))["max_points"] == 50
    expect(await counter.hold(50, total=2_000), 201)
    other = await counter.take_code(await counter.add_reward())
    assert problem(await counter.hold_voucher(other, total=2_000))[:2] == (409, "REDEMPTION_CAP")


@pytest.mark.parametrize("swept", [False, True])
async def test_a_voucher_of_a_lapsed_hold_is_free_again(world: World, swept: bool) -> None:
    counter = await Counter.open(world)
    code = await counter.take_code(await counter.add_reward())
    late = expect(await counter.hold_voucher(code), 201)
    world.advance(LAPSE)
    if swept:
        await tidy(world.tools)
    hold = expect(await counter.hold_voucher(code, sale="cart-2"), 201)
    assert problem(await counter.capture(late))[:2] == (409, "VOUCHER_USED")
    expect(await counter.capture(hold), 200)
    await assert_verified(world)


@pytest.mark.parametrize("swept", [False, True])
async def test_a_late_capture_gets_a_voucher_that_is_still_free(world: World, swept: bool) -> None:
    counter = await Counter.open(world)
    code = await counter.take_code(await counter.add_reward())
    late = expect(await counter.hold_voucher(code), 201)
    world.advance(LAPSE)
    # Another sale had it meanwhile, and let it go as well.
    expect(await counter.hold_voucher(code, sale="cart-2"), 201)
    world.advance(LAPSE)
    if swept:
        await tidy(world.tools)
    expect(await counter.capture(late), 200)
    await assert_verified(world)


async def test_a_released_voucher_is_free_again(world: World) -> None:
    counter = await Counter.open(world)
    code = await counter.take_code(await counter.add_reward())
    expect(await counter.release(expect(await counter.hold_voucher(code), 201)), 200)
    expect(await counter.hold_voucher(code, sale="cart-2"), 201)


async def test_a_refund_makes_a_voucher_good_again_for_a_while(world: World) -> None:
    counter = await Counter.open(world)
    code = await counter.take_code(await counter.add_reward(valid_days=1))
    expect(await counter.capture(expect(await counter.hold_voucher(code), 201)), 200)
    world.advance(timedelta(days=10))
    async with locked(counter.member.membership_id) as membership:
        hold_id = await DB.fetch_value("select id from hold")
        for _ in range(2):
            assert await undo_capture(world.ctx, membership, hold_id, source_key="refund:1") == 0  # type: ignore[arg-type]
    await assert_verified(world)
    # Thirty whole days of the shop, where clocks went forward meanwhile.
    good_until = datetime(2026, 4, 11, 23, tzinfo=UTC)
    assert await DB.fetch_value("select valid_until from voucher") == good_until
    world.clock.set(good_until - timedelta(seconds=1))
    expect(await counter.hold_voucher(code, sale="cart-2"), 201)


async def test_unknown_codes_and_typing_errors_are_told_alike(world: World) -> None:
    counter = await Counter.open(world)
    code = await counter.take_code(await counter.add_reward())
    typo = ("0" if code[0] != "0" else "1") + code[1:]
    for wrong in (typo, "0000-0000-0000", "ZZZZ-ZZZZ-ZZZZ", "UUUU-UUUU-UUUU", "éééééééééééé", "x" * 32):
        answer = await counter.hold_voucher(wrong)
        assert problem(answer) == (400, "VOUCHER_UNKNOWN", ["voucher_code"])


async def test_a_voucher_whose_time_is_over_pays_nothing(world: World) -> None:
    counter = await Counter.open(world)
    issued = expect(await counter.take(await counter.add_reward(valid_days=1)), 201)
    world.advance(timedelta(days=2))
    before = await counter.hold_voucher(issued["code"])
    assert await voucher_status(issued["voucher"]["id"]) == "issued"
    await tidy(world.tools)
    assert await voucher_status(issued["voucher"]["id"]) == "expired"
    after = await counter.hold_voucher(issued["code"])
    for refused in (before, after):
        assert (*problem(refused)[:2], refused.json()["detail"]) == (409, "VOUCHER_USED", "Its time is over.")
    await assert_verified(world)


@pytest.mark.parametrize(
    ("table", "event"),
    [("hold", "insert"), ("hold", "update"), ("ledger_entry", "insert"), ("membership", "update"),
     ("voucher", "insert"), ("voucher", "update"), ("audit_entry", "insert"), ("idempotency_key", "insert")],
)  # fmt: skip
async def test_what_breaks_off_halfway_leaves_nothing_behind(world: World, table: str, event: str) -> None:
    counter = await Counter.open(world)
    reward = await counter.add_reward()
    code = await counter.take_code(reward)
    hold = await counter.hold_proven(300)
    voucher_hold = expect(await counter.hold_voucher(await counter.take_code(reward)), 201)
    before = await everything()
    await DB.run_script(
        "create function fail() returns trigger language plpgsql as $$ begin raise exception 'broken'; end $$;"
        f"create trigger fail before {event} on {table} for each row execute function fail();"
    )
    calls = (
        counter.hold(50, sale="cart-2"),
        counter.hold_voucher(code, sale="cart-2"),
        counter.capture(hold),
        counter.capture(voucher_hold, sale="sale-2"),
        counter.take(reward),
    )
    outcomes = [(await call).status_code for call in calls]
    broken = [status for status in outcomes if status == 500]
    assert broken
    if len(broken) == len(outcomes):
        assert await everything() == before
    await DB.run_script(f"drop trigger fail on {table}")
    await assert_verified(world)


async def everything() -> dict[str, object]:
    """Return a checksum of what a redemption writes."""
    tables = ("hold", "voucher", "membership", "lot", "ledger_entry", "allocation", "audit_entry", "idempotency_key")
    sql = "select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {} t"
    return {table: await DB.fetch_value(sql.format(table)) for table in tables}
