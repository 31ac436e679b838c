"""Refunds that arrive at once: what was sold comes back once, and everything adds up."""

import asyncio

from server.db.engine import DB
from server.refunds.service import post_parked
from tests.app import World, expect
from tests.ledgers import assert_verified, figures
from tests.server.refunds.till import lines, pieces, refund, sell, send, take
from tests.tills import push, sale


async def test_64_refunds_of_40_pieces_at_once_have_40_winners(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 9_999, quantity=40)
    answers = await asyncio.gather(*(send(world, key, refund(world, sold, pieces("1"))) for _ in range(64)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201] * 40 + [409] * 24
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"OVER_REFUND"}
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    assert await DB.fetch_value("select sum(points_taken) from refund") == 99
    await assert_verified(world)


async def test_64_copies_of_one_refund_at_once_count_once(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 1_000, quantity=2)
    body = refund(world, sold, pieces("1"))
    same_key = [send(world, key, body, idempotency="one-key-for-all-of-them") for _ in range(32)]
    own_keys = [send(world, key, body) for _ in range(32)]
    answers = await asyncio.gather(*same_key, *own_keys)
    assert {expect(answer, 201)["refund_id"] for answer in answers} == {answers[0].json()["refund_id"]}
    assert await figures(member.membership_id) == (5, 5, 0, 0)
    await assert_verified(world)


async def test_refunds_and_revisions_of_one_sale_at_once_end_consistent(world: World) -> None:
    ana, ben = await world.sign_up(), await world.sign_up("ben@shop.test")
    key = await world.pos_key()
    body = sale(world, card=ana.card_number, lines=lines(8_000, quantity=32))
    expect(await push(world, key, body), 201)
    cards = (ana.card_number, ben.card_number)
    refunds = [send(world, key, refund(world, body["external_id"], pieces("1"))) for _ in range(16)]
    moves = [
        push(world, key, body | {"revision": number, "customer": {"card_number": cards[number % 2]}})
        for number in range(1, 9)
    ]
    answers = await asyncio.gather(*refunds, *moves)
    assert {answer.status_code for answer in answers} <= {201, 503}
    done = sum(answer.status_code == 201 for answer in answers[:16])
    assert done == await DB.fetch_value("select count(*) from refund where state = 'posted'")
    total = (await figures(ana.membership_id))[0] + (await figures(ben.membership_id))[0]
    assert total == 80 - int(80 * done / 32)
    await assert_verified(world)


async def test_two_sweeps_and_the_sale_itself_at_once_post_what_waited_once(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    bodies = [sale(world, card=member.card_number, lines=lines(1_000)) for _ in range(8)]
    for body in bodies:
        await take(world, key, body["external_id"], pieces("1"))
    pushes = [push(world, key, body) for body in bodies]
    await asyncio.gather(*pushes, *(post_parked(world.tools) for _ in range(4)))
    await asyncio.gather(*(post_parked(world.tools) for _ in range(4)))
    assert await DB.fetch_value("select count(*) from refund where state = 'posted'") == 8
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)
