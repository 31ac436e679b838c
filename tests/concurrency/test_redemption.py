"""Points that many want to spend at once: exactly as many win as there are points."""

import asyncio
from collections import Counter as Tally
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any

import httpx

from server.db.engine import DB
from server.rewards.holds import tidy
from tests.app import World, expect
from tests.ledgers import assert_verified
from tests.server.rewards.builders import Counter
from tests.tills import push, sale

AT_ONCE = 64


async def race(calls: Sequence[Coroutine[Any, Any, httpx.Response]]) -> Tally[str]:
    """Send everything at once and count the answers: "won", or the code of the refusal."""
    answers = await asyncio.gather(*calls)
    return Tally("won" if answer.is_success else answer.json()["code"] for answer in answers)


async def test_64_holds_at_once_take_exactly_what_is_there(world: World) -> None:
    counter = await Counter.open(world, points=1_000, card_daily_points=100_000)
    outcome = await race([counter.hold(50, sale=f"cart-{n}") for n in range(AT_ONCE)])
    assert outcome == {"won": 20, "INSUFFICIENT_POINTS": 44}
    assert await counter.balance() == (1_000, 1_000)
    await assert_verified(world)


async def test_64_holds_of_one_sale_take_exactly_its_cap(world: World) -> None:
    counter = await Counter.open(world, points=10_000, card_daily_points=100_000, cap_percent=50)
    outcome = await race([counter.hold(50, total=2_000) for _ in range(AT_ONCE)])
    assert outcome == {"won": 10, "REDEMPTION_CAP": 54}


async def test_64_holds_by_card_take_exactly_the_days_limit(world: World) -> None:
    counter = await Counter.open(world, points=10_000)
    outcome = await race([counter.hold(50, sale=f"cart-{n}") for n in range(AT_ONCE)])
    assert outcome == {"won": 4, "PRESENCE_NEEDED": 60}


async def test_digits_sent_by_many_tills_at_once_are_good_once(world: World) -> None:
    counter = await Counter.open(world, points=10_000)
    code = await counter.digits()
    outcome = await race([counter.hold(300, sale=f"cart-{n}", code=code) for n in range(AT_ONCE)])
    assert outcome.pop("won") == 1
    assert set(outcome) == {"PRESENCE_WRONG", "RATE_LIMITED"}
    assert await counter.balance() == (10_000, 300)


async def test_64_captures_of_one_hold_spend_once(world: World) -> None:
    counter = await Counter.open(world)
    hold = await counter.hold_proven(600)
    assert await race([counter.capture(hold) for _ in range(AT_ONCE)]) == {"won": AT_ONCE}
    assert await counter.balance() == (400, 0)
    assert await DB.fetch_value("select count(*) from ledger_entry where kind = 'REDEEM'") == 1
    await assert_verified(world)


async def test_capture_and_release_at_once_do_one_of_the_two(world: World) -> None:
    counter = await Counter.open(world, points=640, card_daily_points=100_000, step_points=10, minimum_points=10)
    holds = [expect(await counter.hold(10, sale=f"cart-{n}"), 201) for n in range(AT_ONCE)]
    calls = [call(hold) for hold in holds for call in (counter.capture, counter.release)]
    assert await race(calls) == {"won": AT_ONCE, "HOLD_OVER": AT_ONCE}
    captured = await DB.fetch_value("select count(*) from hold where state = 'captured'")
    assert await counter.balance() == (640 - 10 * captured, 0)  # type: ignore[operator]
    await assert_verified(world)


async def test_late_captures_and_new_holds_at_once_never_spend_a_point_twice(world: World) -> None:
    counter = await Counter.open(world, points=1_600, card_daily_points=100_000)
    late = [expect(await counter.hold(50, sale=f"late-{n}"), 201) for n in range(32)]
    world.advance(timedelta(minutes=15))
    calls = [counter.capture(hold, sale=f"sale-{n}") for n, hold in enumerate(late)]
    calls += [counter.hold(50, sale=f"cart-{n}") for n in range(32)]
    swept, outcome = await asyncio.gather(tidy(world.tools), race(calls))
    assert swept is None
    assert outcome == {"won": 32, "INSUFFICIENT_POINTS": 32}
    await counter.sign_in_again()
    available, held = await counter.balance()
    assert available == held
    await assert_verified(world)


async def test_late_captures_and_voids_of_their_sales_at_once_leave_nothing_spent(world: World) -> None:
    counter = await Counter.open(world, points=1_600, card_daily_points=100_000)
    sales = [sale(world, card=counter.member.card_number) for _ in range(32)]
    for body in sales:
        expect(await push(world, counter.key, body), 201)
    holds = [expect(await counter.hold(50, sale=f"cart-{n}"), 201) for n in range(32)]
    # The voids cannot see what will be paid with: it lapsed.
    world.advance(timedelta(minutes=15))
    calls = [counter.capture(hold, sale=body["external_id"]) for hold, body in zip(holds, sales, strict=True)]
    calls += [push(world, counter.key, body | {"state": "voided"}) for body in sales]
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} <= {200, 201, 409, 503}
    for body in sales:
        expect(await push(world, counter.key, body | {"state": "voided"}), 201)
    spent = await DB.fetch_value(
        "select coalesce(sum(points), 0)::int from ledger_entry where kind in ('REDEEM', 'RESTORE')"
    )
    assert spent == 0
    await assert_verified(world)


async def test_64_takings_of_a_reward_at_once_take_exactly_its_stock(world: World) -> None:
    counter = await Counter.open(world, points=10_000)
    reward = await counter.add_reward(stock=7)
    assert await race([counter.take(reward) for _ in range(AT_ONCE)]) == {"won": 7, "REWARD_UNAVAILABLE": 57}
    assert await counter.balance() == (9_300, 0)
    await assert_verified(world)


async def test_64_takings_and_holds_at_once_take_exactly_the_points(world: World) -> None:
    counter = await Counter.open(world, points=1_000, card_daily_points=100_000)
    reward = await counter.add_reward()
    calls = [counter.take(reward) for _ in range(32)] + [counter.hold(100, sale=f"cart-{n}") for n in range(32)]
    assert await race(calls) == {"won": 10, "INSUFFICIENT_POINTS": 54}
    available, held = await counter.balance()
    assert available == held
    await assert_verified(world)


async def test_64_tills_with_one_voucher_let_one_sale_have_it(world: World) -> None:
    counter = await Counter.open(world)
    code = await counter.take_code(await counter.add_reward())
    outcome = await race([counter.hold_voucher(code, sale=f"cart-{n}") for n in range(AT_ONCE)])
    assert outcome == {"won": 1, "VOUCHER_USED": 63}
    await assert_verified(world)


async def test_a_voucher_cancelled_and_used_at_once_is_one_of_the_two(world: World) -> None:
    counter = await Counter.open(world, points=3_200)
    reward = await counter.add_reward()
    issued = [expect(await counter.take(reward), 201) for _ in range(32)]
    paths = [f"/v1/staff/vouchers/{one['voucher']['id']}/cancel" for one in issued]
    calls = [counter.send("POST", path, {"reason": "wrong one"}, headers=counter.manager) for path in paths]
    calls += [counter.hold_voucher(one["code"], sale=f"cart-{n}") for n, one in enumerate(issued)]
    assert await race(calls) == {"won": 32, "VOUCHER_USED": 32}
    held = await DB.fetch_value("select count(*) from voucher where status = 'held'")
    assert await counter.balance() == (3_200 - 100 * held, 0)  # type: ignore[operator]
    await assert_verified(world)
