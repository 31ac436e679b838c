"""What staff do at many consoles at once: each act has its effect once, and limits hold exactly."""

import asyncio

from server.db.engine import DB
from server.db.ids import new_id
from shared.enums import Role
from tests.app import World, expect
from tests.concurrency.test_redemption import AT_ONCE, race
from tests.ledgers import assert_verified, figures
from tests.server.adjustments.desk import act, adjust
from tests.server.orders.test_assignments import LINES, REASON
from tests.server.orders.test_what_follows import open_shop
from tests.server.rewards.builders import Counter
from tests.tills import sale


async def test_64_vouchers_at_the_till_at_once_take_exactly_the_stock(world: World) -> None:
    counter = await Counter.open(world, points=10_000, card_daily_points=100_000)
    reward = await counter.add_reward(stock=7)
    path = f"/v1/staff/customers/{counter.member.customer_id}/vouchers"
    cashiers = [await world.staff_headers(Role.CASHIER) for _ in range(4)]
    body = {"reward_id": reward["id"]}
    calls = [counter.send("POST", path, body, headers=cashiers[n % 4]) for n in range(AT_ONCE)]
    assert await race(calls) == {"won": 7, "REWARD_UNAVAILABLE": 57}
    assert await counter.balance() == (9_300, 0)
    await assert_verified(world)


async def test_64_who_take_one_adjustment_back_at_once_take_it_back_once(world: World) -> None:
    member = await world.sign_up()
    managers = [await world.staff_headers(Role.MANAGER) for _ in range(4)]
    for points in (80, -30):
        done = await adjust(world, managers[0], member.customer_id, points)
        calls = [act(world, managers[n % 4], done["id"], "undo", {"reason": "a mistake"}) for n in range(AT_ONCE)]
        assert await race(calls) == {"won": 1, "UNDO_EXPIRED": 63}
        assert (await figures(member.membership_id))[0] == 0
    await assert_verified(world)


async def test_64_moves_that_give_a_payment_back_give_it_back_once(world: World) -> None:
    shop = await open_shop(world)
    order_id = await shop.pay(sale(world, card=shop.ana.card_number, lines=LINES))
    shown = expect(await shop.preview_with(order_id, shop.ben, "return", Role.MANAGER), 200)
    body = {
        "customer_id": str(shop.ben.customer_id), "reason": REASON, "redemption": "return",
        "preview_hash": shown["preview_hash"],
    }  # fmt: skip
    path, manager = f"/v1/staff/orders/{order_id}/assignment", shop.staff[Role.MANAGER]
    answers = await asyncio.gather(
        *(
            world.client.post(path, json=body, headers=manager | {"Idempotency-Key": f"test-{new_id()}"})
            for _ in range(AT_ONCE)
        )
    )
    assert sum(answer.is_success for answer in answers) == 1
    assert {answer.status_code for answer in answers} <= {200, 409, 503}
    assert await figures(shop.ana.membership_id) == (900, 900, 0, 0)
    assert await figures(shop.ben.membership_id) == (10, 10, 0, 0)
    assert await DB.fetch_value("select count(*) from ledger_entry where kind = 'RESTORE'") == 1
    assert await DB.fetch_value("select status from voucher") == "issued"
    await assert_verified(world)


async def test_the_loser_of_a_race_is_told_the_fresh_balance(world: World) -> None:
    counter = await Counter.open(world, points=1_000, card_daily_points=100_000)
    answers = await asyncio.gather(*(counter.hold(100, sale=f"cart-{n}") for n in range(16)))
    losers = [answer for answer in answers if not answer.is_success]
    assert [answer.status_code for answer in losers] == [409] * 6
    assert {str(answer.json()["data"]) for answer in losers} == {
        str({"available": 1_000, "held": 1_000, "spendable": 0})
    }
