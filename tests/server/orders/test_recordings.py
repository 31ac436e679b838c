"""A sale that staff write down earns as one from a till would, once, and not more than the role may make."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx

from server.db.engine import DB
from server.db.ids import new_id
from server.orders.replacing import replace_written_down
from shared.enums import Role
from tests.app import World, expect, problem
from tests.ledgers import assert_verified, figures
from tests.server.refunds.till import pieces, take
from tests.server.reports.test_reports import report
from tests.tills import push, sale


class Desk:
    """Staff who write sales down."""

    def __init__(self, world: World, headers: dict[str, str]) -> None:
        self.world = world
        self.headers = headers

    async def preview(self, **form: object) -> httpx.Response:
        return await self.world.client.post("/v1/staff/orders/preview", json=form, headers=self.headers)

    async def execute(self, **form: object) -> httpx.Response:
        headers = self.headers | {"Idempotency-Key": f"test-{new_id()}"}
        return await self.world.client.post("/v1/staff/orders", json=form, headers=headers)

    async def record(self, **form: object) -> dict[str, Any]:
        shown = expect(await self.preview(**form), 200)
        assert shown["blockers"] == []
        done: dict[str, Any] = expect(await self.execute(**form, preview_hash=shown["preview_hash"]), 201)
        assert done["order"]["points"] == shown["points"]
        assert done["balances"] == shown["balances"]
        return done


async def test_a_sale_written_down_earns_what_was_shown_and_a_known_receipt_is_given_instead(world: World) -> None:
    ana = await world.sign_up("ana@shop.test")
    desk = Desk(world, await world.staff_headers(Role.CASHIER))
    key = await world.pos_key()
    pushed = expect(await push(world, key, sale(world, number="R-7")), 201)
    form = {"customer_id": str(ana.customer_id), "net_minor": 4210}
    done = await desk.record(**form, number="R-2051")
    assert (done["order"]["number"], done["order"]["points"], done["order"]["customer_name"]) == (
        "R-2051",
        42,
        "Ana Flores",
    )
    (balance,) = done["balances"]
    assert (balance["available_before"], balance["available_after"]) == (0, 42)
    detail = expect(await world.client.get(f"/v1/staff/orders/{done['order']['id']}", headers=desk.headers), 200)
    assert [(line["points"], line["net_minor"]) for line in detail["lines"]] == [(42, 4210)]
    # What a till or a colleague has told of already is named, and nothing is written down twice.
    for number, order_id in (("R-7", pushed["order_id"]), ("R-2051", done["order"]["id"])):
        shown = expect(await desk.preview(**form, number=number), 200)
        assert shown["known_order"]["id"] == order_id
        assert f"Receipt {number} is here already" in shown["blockers"][0]
        refused = await desk.execute(**form, number=number, preview_hash="x" * 64)
        assert problem(refused)[:2] == (409, "ORDER_CONFLICT")
    # Two without a receipt are two sales.
    numbers = {(await desk.record(**form))["order"]["number"] for _ in range(2)}
    assert len(numbers) == 2
    assert await figures(ana.membership_id) == (126, 126, 0, 0)
    shown = expect(await desk.preview(**form), 200)
    assert (
        problem(await desk.execute(**form | {"net_minor": 9900}, preview_hash=shown["preview_hash"]))[1]
        == "PREVIEW_STALE"
    )
    await assert_verified(world)


async def test_of_many_consoles_that_write_one_receipt_down_one_does(world: World) -> None:
    ana = await world.sign_up("ana@shop.test")
    desk = Desk(world, await world.staff_headers(Role.MANAGER))
    form = {"customer_id": str(ana.customer_id), "net_minor": 1000, "number": "R-1"}
    preview_hash = expect(await desk.preview(**form), 200)["preview_hash"]
    answers = await asyncio.gather(*(desk.execute(**form, preview_hash=preview_hash) for _ in range(64)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 63
    assert await figures(ana.membership_id) == (10, 10, 0, 0)
    await assert_verified(world)


async def test_a_cashier_writes_down_no_more_than_the_role_may_nor_for_themselves(world: World) -> None:
    ana = await world.sign_up("ana@shop.test")
    cashier_id = await world.add_staff(Role.CASHIER)
    desk = Desk(world, await world.staff_headers(staff_id=cashier_id))
    manager = Desk(world, await world.staff_headers(Role.MANAGER))
    form = {"customer_id": str(ana.customer_id)}
    # Each, and all of a day together.
    too_large = expect(await desk.preview(**form, net_minor=50_100), 200)
    assert "for a manager" in too_large["blockers"][0]
    for _ in range(4):
        await desk.record(**form, net_minor=50_000)
    assert "2000 points in 24 hours" in expect(await desk.preview(**form, net_minor=100), 200)["blockers"][0]
    assert problem(await desk.execute(**form, net_minor=100, preview_hash="x" * 64))[1] == "NOT_PERMITTED"
    await manager.record(**form, net_minor=50_100)
    # Of long ago, of tomorrow, of a store or a customer that there is not.
    old = (world.clock.now() - timedelta(days=40)).isoformat()
    assert "ask a manager" in expect(await desk.preview(**form, net_minor=100, completed_at=old), 200)["blockers"][0]
    ahead = (world.clock.now() + timedelta(days=1)).isoformat()
    assert problem(await desk.preview(**form, net_minor=100, completed_at=ahead))[1] == "TIME_OUT_OF_RANGE"
    for end in ("0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"):
        wrong = await desk.preview(**form, net_minor=100, number="R-1", completed_at=end)
        assert [one["field"] for one in expect(wrong, 400)["errors"]] == ["completed_at"]
    assert problem(await desk.preview(**form, net_minor=100, store="nowhere"))[1] == "STORE_UNKNOWN"
    assert problem(await desk.preview(customer_id=str(new_id()), net_minor=100))[1] == "NOT_FOUND"
    for wrong in ({"net_minor": 0}, {"net_minor": -5}, {"net_minor": 10**12}, {"net_minor": 1, "tax_minor": -1}):
        assert problem(await desk.preview(**form, **wrong))[0] == 400
    await DB.fetch("update staff_member set customer = $1 where id = $2", ana.customer_id, cashier_id)
    assert problem(await desk.preview(**form, net_minor=100))[1] == "SELF_DEALING"
    auditor = Desk(world, await world.staff_headers(Role.AUDITOR))
    assert problem(await auditor.preview(**form, net_minor=100))[1] == "NOT_PERMITTED"
    await assert_verified(world)


async def test_what_a_till_sends_after_all_takes_the_place_of_what_was_written_down(world: World) -> None:
    ana = await world.sign_up("ana@shop.test")
    desk, key = Desk(world, await world.staff_headers(Role.CASHIER)), await world.pos_key()
    for number, card in (("R-1", ana.card_number), ("R-2", None)):
        await desk.record(customer_id=str(ana.customer_id), net_minor=1234, number=number)
        sent = sale(world, card=card, number=number)
        expect(await push(world, key, sent), 201)
        assert await replace_written_down(world.tools) == 1
        assert await replace_written_down(world.tools) == 0
        assert await figures(ana.membership_id) == (12, 12, 0, 0)
        # Goods that come back take the points with them, as they could not from what was written down.
        await take(world, key, sent["external_id"], pieces("1", 2), pieces("2", "1.5"))
        assert await figures(ana.membership_id) == (0, 0, 0, 0)
    found = expect(await world.client.get("/v1/staff/orders?number=R-1", headers=desk.headers), 200)["items"]
    assert {(one["state"], one["customer_id"], one["points"]) for one in found} == {
        ("completed", str(ana.customer_id), 12),
        ("voided", str(ana.customer_id), 0),
    }
    await assert_verified(world)


async def test_where_it_is_doubtful_both_stay_and_what_counts_twice_is_a_signal(world: World) -> None:
    ana, ben = await world.sign_up("ana@shop.test"), await world.sign_up("ben@shop.test")
    world.advance(timedelta(days=1))
    desk, key = Desk(world, await world.staff_headers(Role.CASHIER)), await world.pos_key()
    earns_less = [{"line_id": "1", "net_minor": 1000}, {"line_id": "2", "net_minor": 234, "stored_value": True}]
    doubtful: dict[str, dict[str, Any]] = {
        "R-1": {"card": ben.card_number},
        "R-2": {"card": ana.card_number, "lines": [{"line_id": "1", "net_minor": 1200}]},
        "R-3": {"card": ana.card_number, "lines": earns_less},
        "R-4": {"lines": earns_less},
        "R-5": {"card": ana.card_number, "completed_at": (world.clock.now() - timedelta(days=1)).isoformat()},
        "R-6": {"card": ana.card_number, "state": "open"},
    }
    for number, fields in doubtful.items():
        await desk.record(customer_id=str(ana.customer_id), net_minor=1234, number=number)
        expect(await push(world, key, sale(world, number=number, **fields)), 201)
    assert await replace_written_down(world.tools) == 0
    world.advance(timedelta(days=1))
    rows = await report(world, "signals")
    told = [(row["signal"], row["points"]) for row in rows if row["signal"].startswith("receipt")]
    words = "receipt {} counts twice: it was written down, and a till sent it"
    assert told == [(words.format(number), 12) for number in ("R-1", "R-2", "R-3")]
    await assert_verified(world)


async def test_the_queue_counts_what_this_person_can_work_on(world: World) -> None:
    ana = await world.sign_up("ana@shop.test")
    cashier, manager = await world.staff_headers(Role.CASHIER), await world.staff_headers(Role.MANAGER)
    key = await world.pos_key()
    expect(await push(world, key, sale(world)), 201)
    expect(await push(world, key, sale(world, card=ana.card_number)), 201)
    wish = {"points": 400, "reason_code": "goodwill"}
    path = f"/v1/staff/customers/{ana.customer_id}/adjustments"
    shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=cashier), 200)
    keyed = cashier | {"Idempotency-Key": f"test-{new_id()}"}
    asked = await world.client.post(path, json=wish | {"preview_hash": shown["preview_hash"]}, headers=keyed)
    assert expect(asked, 201)["state"] == "waiting"
    refund = {
        "external_id": "back-1", "store": "high-street", "completed_at": world.clock.now().isoformat(),
        "currency": "GBP", "lines": [{"line_id": "1", "quantity": "1"}],
    }  # fmt: skip
    keyed = key | {"Idempotency-Key": f"test-{new_id()}"}
    expect(await world.client.post("/v1/pos/refunds", json=refund, headers=keyed), 201)
    for headers, counts in ((manager, (1, 1, 1)), (cashier, (0, 1, 1))):
        queue = expect(await world.client.get("/v1/staff/queue", headers=headers), 200)
        assert (queue["adjustments"], queue["refunds"], queue["orders"]) == counts
