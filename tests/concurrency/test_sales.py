"""Sales that arrive at once: nothing is lost, nothing is doubled."""

import asyncio

from server.db.engine import DB
from server.ledger.verification import verify
from tests.app import World, expect
from tests.tills import push, sale


async def test_64_sales_at_once_all_count(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    sales = [sale(world, card=member.card_number) for _ in range(64)]
    answers = await asyncio.gather(*(push(world, key, body) for body in sales))
    assert [answer.status_code for answer in answers] == [201] * 64
    row = await DB.fetch_row("select balance, available, lifetime from membership")
    assert row is not None
    assert tuple(row) == (64 * 12, 64 * 12, 64 * 12)
    assert [outcome async for outcome in verify(world.clock.now()) if not outcome.is_right] == []


async def test_64_copies_of_one_sale_at_once_count_once(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number)
    same_key = [push(world, key, body, key="one-key-for-all-of-them") for _ in range(32)]
    own_keys = [push(world, key, body) for _ in range(32)]
    answers = await asyncio.gather(*same_key, *own_keys)
    assert {expect(answer, 201)["order_id"] for answer in answers} == {answers[0].json()["order_id"]}
    assert await DB.fetch_value("select balance from membership") == 12
    assert await DB.fetch_value("select count(*) from ledger_entry") == 1
