"""Proof of presence: the app's digits are good once and for a minute, the card alone for a little."""

from datetime import UTC, datetime, timedelta

from server.db.engine import DB
from tests.app import World, expect, problem
from tests.server.rewards.builders import Counter


async def test_the_card_alone_spends_a_little_a_day(world: World) -> None:
    counter = await Counter.open(world)
    expect(await counter.hold(150), 201)
    refused = await counter.hold(100, sale="cart-2")
    assert problem(refused)[:2] == (409, "PRESENCE_NEEDED")
    assert refused.json()["data"] == {"left_by_card": 50}
    expect(await counter.hold(100, sale="cart-2", code=await counter.digits()), 201)
    expect(await counter.hold(50, sale="cart-2"), 201)


async def test_what_the_card_alone_spent_counts_until_the_local_day_ends(world: World) -> None:
    # 10 o'clock in London, in summer: the day ends an hour before that of UTC.
    world.clock.set(datetime(2026, 7, 1, 9, tzinfo=UTC))
    counter = await Counter.open(world)
    expect(await counter.capture(expect(await counter.hold(200), 201)), 200)
    assert (await counter.quote(sale="cart-2"))["card_points"] == 0
    world.advance(timedelta(hours=14) - timedelta(seconds=1))
    assert problem(await counter.hold(50, sale="cart-2"))[:2] == (409, "PRESENCE_NEEDED")
    world.advance(timedelta(seconds=1))
    expect(await counter.hold(200, sale="cart-2"), 201)


async def test_a_released_hold_gives_the_day_back(world: World) -> None:
    counter = await Counter.open(world)
    expect(await counter.release(expect(await counter.hold(200), 201)), 200)
    expect(await counter.hold(200), 201)


async def test_digits_are_good_once(world: World) -> None:
    counter = await Counter.open(world)
    code = await counter.digits()
    expect(await counter.hold(300, code=code), 201)
    assert problem(await counter.hold(300, sale="cart-2", code=code))[:2] == (403, "PRESENCE_WRONG")
    world.advance(timedelta(seconds=30))
    expect(await counter.hold(300, sale="cart-2", code=await counter.digits()), 201)


async def test_older_digits_are_used_up_with_newer_ones(world: World) -> None:
    counter = await Counter.open(world)
    old = await counter.digits()
    world.advance(timedelta(seconds=30))
    expect(await counter.hold(300, code=await counter.digits()), 201)
    assert problem(await counter.hold(300, sale="cart-2", code=old))[:2] == (403, "PRESENCE_WRONG")


async def test_a_refused_hold_uses_no_digits_up(world: World) -> None:
    counter = await Counter.open(world)
    code = await counter.digits()
    assert problem(await counter.hold(5_000, total=100_000, code=code))[:2] == (409, "INSUFFICIENT_POINTS")
    expect(await counter.hold(300, code=code), 201)


async def test_digits_are_good_until_the_time_that_the_app_shows(world: World) -> None:
    counter = await Counter.open(world)
    shown = expect(await world.client.get("/v1/me/presence-code", headers=counter.member.headers), 200)
    assert shown["valid_until"] == "2026-03-02T10:01:00Z"
    world.advance(timedelta(seconds=60))
    assert problem(await counter.hold(300, code=shown["code"]))[:2] == (403, "PRESENCE_WRONG")
    world.advance(timedelta(seconds=-1))
    expect(await counter.hold(300, code=shown["code"]), 201)


async def test_another_members_digits_prove_nothing(world: World) -> None:
    counter = await Counter.open(world)
    ben = await world.sign_up("ben@shop.test")
    assert problem(await counter.hold(300, code=await counter.digits(ben)))[:2] == (403, "PRESENCE_WRONG")


async def test_one_scan_of_the_apps_code_is_enough(world: World) -> None:
    counter = await Counter.open(world)
    shown = expect(await world.client.get("/v1/me/presence-code", headers=counter.member.headers), 200)
    assert shown["qr_text"] == f"{counter.member.card_number}.{shown['code']}"
    expect(await counter.hold(300, card_number=shown["qr_text"]), 201)
    picture = await world.client.get("/v1/me/presence-code.svg", headers=counter.member.headers)
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/svg+xml")
    assert b"<svg" in picture.content


async def test_guessing_digits_is_stopped_and_the_stop_outlives_the_refusals(world: World) -> None:
    counter = await Counter.open(world)
    for number in range(10):
        answer = await counter.hold(300, code=f"{number:08}")
        assert problem(answer)[:2] == (403, "PRESENCE_WRONG")
    stopped = await counter.hold(300, code=await counter.digits())
    assert problem(stopped)[:2] == (429, "RATE_LIMITED")
    assert int(stopped.headers["retry-after"]) == 300
    expect(await counter.hold(100), 201)
    world.advance(timedelta(minutes=5))
    expect(await counter.hold(300, sale="cart-2", code=await counter.digits()), 201)
    assert await DB.fetch_value("select count(*) from throttle_counter where key like 'presence:%'") == 0


async def test_a_retry_is_no_new_try_and_needs_no_new_digits(world: World) -> None:
    counter = await Counter.open(world)
    body = counter.sale("cart-1", 10_000) | {"card_number": counter.member.card_number, "points": 300}
    body["presence_code"] = await counter.digits()
    first = await counter.send("POST", "/v1/pos/holds", body, key="one-key-for-all-of-them")
    world.advance(timedelta(minutes=5))
    for _ in range(12):
        again = await counter.send("POST", "/v1/pos/holds", body, key="one-key-for-all-of-them")
        assert (again.status_code, again.content) == (201, first.content)


async def test_the_secret_of_the_digits_lies_nowhere(world: World) -> None:
    counter = await Counter.open(world)
    code = await counter.digits()
    await counter.hold(300, code=code)
    for table in ("presence_use", "hold", "idempotency_key", "audit_entry"):
        assert not await DB.fetch(f"select 1 from {table} t where t::text like '%' || $1 || '%'", code), table
