"""Two staff on one customer, and tills that go on selling: one effect, and every point where it belongs."""

import asyncio
from collections import Counter
from uuid import UUID

import httpx

from tests.app import World, expect
from tests.ledgers import assert_verified, figures
from tests.server.merges.desk import MergeDesk
from tests.server.sharing.desk import Desk, two_members
from tests.tills import push, sale

# Who comes too late is told so, or asked to come again.
LATE = {409, 503}


def codes(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


async def test_tills_go_on_selling_while_memberships_become_one_and_two_again(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    sales = [sale(world, card=card, lines=[{"line_id": "1", "net_minor": 100}]) for card in (ana.card_number, ben.card_number) * 16]  # fmt: skip

    async def to_and_fro() -> None:
        for _ in range(3):
            done = await desk.combine(ana.membership_id, ben.membership_id)
            if done.status_code == 201:
                await asyncio.sleep(0)
                path = f"/v1/staff/memberships/{ana.membership_id}/combine/{done.json()['operation_id']}/undo"
                shown = expect(await desk.post(f"{path}/preview", {"reason": "not wanted"}), 200)
                await desk.post(path, {"reason": "not wanted", "preview_hash": shown["preview_hash"]})

    results = await asyncio.gather(to_and_fro(), *(push(world, desk.key, body) for body in sales))
    answers = [one for one in results if isinstance(one, httpx.Response)]
    assert set(codes(answers)) <= {201, 503}
    again = [await push(world, desk.key, body) for body in sales]
    assert set(codes(again)) == {201}
    total = [(await figures(one.membership_id))[0] for one in (ana, ben)]
    assert sum(total) == 32
    await assert_verified(world)


async def test_64_leavings_undoings_and_purchases_at_once_end_consistent(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await MergeDesk.open(world)
    await desk.buy(ben.card_number, 60)
    expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    leave = f"/v1/staff/memberships/{ana.membership_id}/leave"
    body = {"customer_id": str(ben.customer_id), "reason": "moved out"}
    shown = expect(await desk.post(f"{leave}/preview", body), 200)
    agreed = body | {"agreed_by": shown["must_agree"], "preview_hash": shown["preview_hash"]}
    answers = await asyncio.gather(*(desk.post(leave, agreed) for _ in range(64)))
    done = [answer.json() for answer in answers if answer.status_code == 201]
    assert len(done) == 1
    assert set(codes(answers)) <= {201, 404, *LATE}
    assert (await figures(UUID(done[0]["new_membership_id"])))[0] == 60
    undo = f"{leave}/{done[0]['operation_id']}/undo"
    back = await asyncio.gather(*(desk.post(undo, {"reason": "came back"}) for _ in range(32)))
    assert codes(back)[200] == 1
    assert (await figures(ana.membership_id))[0] == 60
    await assert_verified(world)
