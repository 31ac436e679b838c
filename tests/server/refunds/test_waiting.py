"""A refund that comes before its sale waits for it; one without a sale is for a person."""

from datetime import timedelta
from typing import Any

from server.db.engine import DB
from server.refunds.service import post_parked
from shared.enums import Role
from tests.app import World, expect, problem
from tests.ledgers import assert_verified, figures
from tests.server.refunds.till import lines, pieces, refund, send, take
from tests.tills import push, push_batch, sale


async def listed(world: World, **query: str) -> list[dict[str, Any]]:
    headers = await world.staff_headers(Role.MANAGER)
    page = expect(await world.client.get("/v1/staff/refunds", params=query, headers=headers), 200)
    items: list[dict[str, Any]] = page["items"]
    return items


async def test_a_refund_waits_and_is_posted_once_its_sale_comes(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    body = sale(world, card=member.card_number, lines=lines(1000, 500))
    back = refund(world, body["external_id"], pieces("1"))
    first = expect(await send(world, key, back), 201)
    assert (first["state"], first["points_taken"], first["order_id"]) == ("parked", 0, None)
    assert await post_parked(world.tools) == 0
    expect(await push(world, key, body), 201)
    assert (await post_parked(world.tools), await post_parked(world.tools)) == (1, 0)
    assert await figures(member.membership_id) == (5, 5, 0, 0)
    again = expect(await send(world, key, back), 201)
    assert (again["refund_id"], again["state"], again["points_taken"]) == (first["refund_id"], "posted", 10)
    await assert_verified(world)


async def test_a_sale_that_goes_step_by_step_wakes_what_waits_for_it(world: World) -> None:
    key = await world.pos_key()
    body = sale(world, lines=lines(1000))
    await take(world, key, body["external_id"], pieces("1"))
    expect(await push(world, key, sale(world)), 201)
    sql = "select count(*) from pgqueuer where entrypoint = 'refunds.post'"
    assert await DB.fetch_value(sql) == 0
    expect(await push(world, key, body), 201)
    assert await DB.fetch_value(sql) == 1
    ran = []

    async def post(tools: Any, _: bytes) -> None:  # noqa: ANN401 - as every job
        ran.append(await post_parked(tools))

    world.jobs["refunds.post"] = post
    await world.run_jobs()
    assert ran == [1]


async def test_a_sale_of_a_batch_or_an_open_one_completed_is_found_by_the_sweep(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    open_sale = sale(world, card=member.card_number, lines=lines(1000), state="open")
    batched = sale(world, card=member.card_number, lines=lines(700))
    expect(await push(world, key, open_sale), 201)
    for body in (open_sale, batched):
        assert (await take(world, key, body["external_id"], pieces("1")))["state"] == "parked"
    assert await post_parked(world.tools) == 0
    expect(await push_batch(world, key, [batched, open_sale | {"state": "completed"}]), 200)
    assert await figures(member.membership_id) == (17, 17, 0, 0)
    assert await post_parked(world.tools) == 2
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_one_that_does_not_fit_its_sale_is_left_for_a_person_and_stops_no_other(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    body = sale(world, card=member.card_number, lines=lines(1000))
    for parts in (pieces("1", 2), pieces("9"), pieces("1")):
        await take(world, key, body["external_id"], parts)
    expect(await push(world, key, body), 201)
    assert await post_parked(world.tools) == 1
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    found = {(item["state"], item["needs_person"], item["refused_for"]) for item in await listed(world)}
    assert found == {("refused", True, "OVER_REFUND"), ("refused", True, "INVALID_REQUEST"), ("posted", False, None)}
    await assert_verified(world)


async def test_staff_see_what_waits_and_what_needs_them(world: World) -> None:
    key = await world.pos_key()
    parked = await take(world, key, "never-seen", pieces("1"))
    blind = await take(world, key, None, pieces("1"))
    assert blind["state"] == "blind"
    waiting = await listed(world, state="parked")
    assert [(item["id"], item["original_order"], item["needs_person"]) for item in waiting] == [
        (parked["refund_id"], "never-seen", False)
    ]
    assert [(item["id"], item["needs_person"]) for item in await listed(world, state="blind")] == [
        (blind["refund_id"], True)
    ]
    assert [item["id"] for item in await listed(world, needs_person="true")] == [blind["refund_id"]]
    world.advance(timedelta(days=7, seconds=1))
    assert [item["needs_person"] for item in await listed(world, state="parked")] == [True]
    both = {item["id"] for item in await listed(world, needs_person="true")}
    assert both == {blind["refund_id"], parked["refund_id"]}
    assert await DB.fetch_value("select count(*) from ledger_entry") == 0
    await assert_verified(world)


async def test_a_refund_of_another_customer_than_the_sales_goes_by_the_sale_and_is_listed(world: World) -> None:
    ana, ben, key = await world.sign_up(), await world.sign_up("ben@shop.test"), await world.pos_key()
    body = sale(world, card=ana.card_number, lines=lines(1000, 500))
    by_ben, by_ana = ({"customer": {"card_number": one.card_number}} for one in (ben, ana))
    early = refund(world, body["external_id"], pieces("1"), **by_ben)
    parked = expect(await send(world, key, early), 201)
    expect(await push(world, key, body), 201)
    assert await post_parked(world.tools) == 1
    expect(await send(world, key, refund(world, body["external_id"], pieces("2"), **by_ana)), 201)
    assert [(item["id"], item["customer_differs"]) for item in await listed(world, differs="true")] == [
        (parked["refund_id"], True)
    ]
    assert (await figures(ana.membership_id), await figures(ben.membership_id)) == ((0, 0, 0, 0), (0, 0, 0, 0))
    assert problem(await send(world, key, early | {"customer": None}))[:2] == (409, "REFUND_CONFLICT")
    await assert_verified(world)


async def test_the_list_is_paged_and_guarded(world: World) -> None:
    key = await world.pos_key()
    sent = [(await take(world, key, None, pieces("1")))["refund_id"] for _ in range(5)]
    headers = await world.staff_headers(Role.AUDITOR)
    seen, cursor = [], ""
    while True:
        query = {"limit": "2", "cursor": cursor, "state": "blind"}
        page = expect(await world.client.get("/v1/staff/refunds", params=query, headers=headers), 200)
        seen += [item["id"] for item in page["items"]]
        if not (cursor := page["next_cursor"]):
            break
    assert seen == sent[::-1]
    wrong = await world.client.get("/v1/staff/refunds", params={"state": "lost"}, headers=headers)
    assert problem(wrong)[:2] == (400, "INVALID_REQUEST")
    marketing = await world.staff_headers(Role.MARKETING)
    assert (await world.client.get("/v1/staff/refunds", headers=marketing)).status_code == 403
