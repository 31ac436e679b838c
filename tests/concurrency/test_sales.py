"""Sales that arrive at once: nothing is lost, nothing is doubled."""

import asyncio
import contextvars
from typing import Any

import httpx
import pytest

from server.db.engine import DB
from server.db.ids import new_id
from server.ledger.verification import verify
from server.sharing.combining import Combination, combine_memberships
from server.sharing.groups import lock_group
from server.sharing.leaving import leave_membership
from shared.sharing import LeavePolicy, Leaving
from tests.app import World, expect
from tests.ledgers import assert_verified
from tests.tills import push, push_batch, sale
from tests.waiting import until_somebody_waits


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


async def test_overlapping_batches_at_once_count_every_sale_once(world: World) -> None:
    members = [await world.sign_up(f"m{number}@shop.test") for number in range(5)]
    key = await world.pos_key()
    sales = [sale(world, card=members[number % 5].card_number) for number in range(60)]
    batches = [sales[start : start + 30] for start in range(0, 40, 5)] + [sales[::-1]] * 4 + [sales] * 4
    answers = await asyncio.gather(*(push_batch(world, key, batch) for batch in batches))
    singles = await asyncio.gather(*(push(world, key, body) for body in sales[::3]))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.status_code for answer in singles} == {201}
    assert await DB.fetch_value("select count(*) from orders") == 60
    assert await DB.fetch_value("select sum(balance) from membership") == 60 * 12
    assert [outcome async for outcome in verify(world.clock.now()) if not outcome.is_right] == []


async def test_64_revisions_at_once_end_with_the_highest(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number)
    expect(await push(world, key, body), 201)
    lines = [[{"line_id": "1", "net_minor": 100 * revision}] for revision in range(65)]
    waiting = [body | {"revision": revision, "lines": lines[revision]} for revision in range(1, 65)]
    while waiting:
        answers = await asyncio.gather(*(push(world, key, sent) for sent in waiting))
        assert {answer.status_code for answer in answers} <= {201, 503}
        # A till does as it is told: it sends again what the service was too busy for.
        waiting = [sent for sent, answer in zip(waiting, answers, strict=True) if answer.status_code == 503]
    assert await DB.fetch_value("select balance from membership") == 64
    assert [outcome async for outcome in verify(world.clock.now()) if not outcome.is_right] == []


async def test_64_voids_at_once_take_back_once(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number)
    expect(await push(world, key, body), 201)
    answers = await asyncio.gather(*(push(world, key, body | {"state": "voided"}) for _ in range(64)))
    assert {answer.status_code for answer in answers} <= {201, 503}
    assert await DB.fetch_value("select balance from membership") == 0
    assert await DB.fetch_value("select count(*) from ledger_entry where kind = 'CLAWBACK'") == 1


@pytest.mark.parametrize("how", ["batch", "email"])
async def test_a_sale_counts_where_its_buyer_went_while_it_was_on_its_way(world: World, how: str) -> None:
    ana, ben = await world.sign_up("ana@shop.test"), await world.sign_up("ben@shop.test")
    key = await world.pos_key()
    both = Combination(
        operation_id=new_id(), kept_id=ana.membership_id, other_id=ben.membership_id, reason="one household"
    )
    form = Leaving(
        customer_id=ben.customer_id, policy=LeavePolicy.LEAVE_ALL, agreed_by=(ben.customer_id,), reason="moved out"
    )

    async def combine() -> object:
        return await combine_memberships(world.ctx, both)

    async def leave() -> object:
        return await leave_membership(world.ctx, await lock_group([ana.membership_id]), ana.membership_id, form)

    bodies = [sale(world, card=ben.card_number), sale(world, card=ben.card_number)]
    if how == "email":
        bodies = [body | {"customer": {"email": ben.email}} for body in bodies]

    async def send(body: dict[str, Any]) -> httpx.Response:
        return await (push_batch(world, key, [body]) if how == "batch" else push(world, key, body))

    for move, body in zip((combine, leave), bodies, strict=True):
        async with asyncio.TaskGroup() as group, DB.transaction():
            await move()
            waiting = group.create_task(send(body), context=contextvars.Context())
            await until_somebody_waits()
        answer = waiting.result()
        # A till does as it is told: it sends again what the service was too busy for.
        assert (answer if answer.is_success else await send(body)).is_success
    homes = await DB.fetch("select balance from membership where status = 'active' order by id")
    assert [row["balance"] for row in homes] == [12, 12]
    await assert_verified(world)
