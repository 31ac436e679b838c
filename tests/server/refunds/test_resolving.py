"""Refunds that do not come right by waiting are settled by a person, once; those that can are never held up by others."""

import asyncio
from typing import Any

import httpx

from server.db.engine import DB
from server.db.ids import new_id
from server.refunds.service import post_parked
from shared.enums import Role
from tests.app import World, expect, problem
from tests.ledgers import assert_verified, figures
from tests.server.refunds.till import money, pieces, refund, sell, send, take
from tests.server.rewards.builders import Counter
from tests.tills import add_rules, push, sale


async def preview(world: World, staff: dict[str, str], refund_id: str, order_id: object) -> dict[str, Any]:
    body = {"order_id": str(order_id), "reason": "The receipt says so."}
    path = f"/v1/staff/refunds/{refund_id}/attachment/preview"
    shown: dict[str, Any] = expect(await world.client.post(path, json=body, headers=staff), 200)
    return shown


async def attach(
    world: World, staff: dict[str, str], refund_id: str, order_id: object, preview_hash: str
) -> httpx.Response:
    body = {"order_id": str(order_id), "reason": "The receipt says so.", "preview_hash": preview_hash}
    headers = staff | {"Idempotency-Key": f"test-{new_id()}"}
    return await world.client.post(f"/v1/staff/refunds/{refund_id}/attachment", json=body, headers=headers)


async def act(world: World, staff: dict[str, str], refund_id: str, act: str) -> httpx.Response:
    return await world.client.post(
        f"/v1/staff/refunds/{refund_id}/{act}", json={"reason": "Looked into it."}, headers=staff
    )


async def order_of(external_id: str) -> object:
    return await DB.fetch_value("select id from orders where external_id = $1", external_id)


async def test_a_refund_without_its_sale_is_attached_as_previewed_and_once(world: World) -> None:
    member, key, manager = await world.sign_up(), await world.pos_key(), await world.staff_headers(Role.MANAGER)
    order_id = await order_of(await sell(world, key, member.card_number, 1000, 500))
    blind = (await take(world, key, None, pieces("1")))["refund_id"]
    shown = await preview(world, manager, blind, order_id)
    assert (shown["points_taken"], shown["blockers"], shown["refund"]["state"]) == (10, [], "blind")
    assert await figures(member.membership_id) == (15, 15, 0, 0)
    stale = await attach(world, manager, blind, order_id, "0" * 64)
    assert problem(stale)[:2] == (409, "PREVIEW_STALE")
    done = expect(await attach(world, manager, blind, order_id, shown["preview_hash"]), 200)
    assert (done["state"], done["points_taken"], done["resolved_reason"]) == ("posted", 10, "The receipt says so.")
    assert await figures(member.membership_id) == (5, 5, 0, 0)
    again = await attach(world, manager, blind, order_id, shown["preview_hash"])
    assert problem(again)[:2] == (409, "REQUEST_CLOSED")
    # What does not fit is said, and done by nobody; the till is not asked again either.
    wrong = (await take(world, key, "no-such-sale", pieces("9")))["refund_id"]
    assert (await preview(world, manager, wrong, order_id))["blockers"] == ["The sale has no such line."]
    over = (await take(world, key, None, pieces("1")))["refund_id"]
    assert "More of line 1" in (await preview(world, manager, over, order_id))["blockers"][0]
    cashier = await world.staff_headers(Role.CASHIER)
    assert problem(await attach(world, cashier, over, order_id, "0" * 64))[:2] == (403, "NOT_PERMITTED")
    await DB.fetch("update staff_member set customer = $1", member.customer_id)
    assert problem(await attach(world, manager, over, order_id, "0" * 64))[:2] == (403, "SELF_DEALING")
    await assert_verified(world)


async def test_a_dismissed_refund_has_no_effect_until_it_is_taken_up_again(world: World) -> None:
    member, key, manager = await world.sign_up(), await world.pos_key(), await world.staff_headers(Role.MANAGER)
    body = sale(world, card=member.card_number, lines=[{"line_id": "1", "net_minor": 1000}])
    parked = (await take(world, key, body["external_id"], pieces("1")))["refund_id"]
    assert expect(await act(world, manager, parked, "dismiss"), 200)["state"] == "dismissed"
    expect(await push(world, key, body), 201)
    assert await post_parked(world.tools) == 0
    assert problem(await act(world, manager, parked, "dismiss"))[:2] == (409, "REQUEST_CLOSED")
    assert expect(await act(world, manager, parked, "reopen"), 200)["state"] == "parked"
    assert problem(await act(world, manager, parked, "reopen"))[:2] == (409, "REQUEST_CLOSED")
    assert await post_parked(world.tools) == 1
    assert problem(await act(world, manager, parked, "dismiss"))[:2] == (409, "REQUEST_CLOSED")
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    blind = (await take(world, key, None, pieces("1")))["refund_id"]
    expect(await act(world, manager, blind, "dismiss"), 200)
    assert expect(await act(world, manager, blind, "reopen"), 200)["state"] == "blind"
    actions = await DB.fetch("select action, reason from audit_entry where subject_id = $1 order by id", blind)
    assert [(row["action"], row["reason"]) for row in actions][-2:] == [
        ("refund.dismissed", "Looked into it."),
        ("refund.reopened", "Looked into it."),
    ]
    await assert_verified(world)


async def test_one_bad_refund_is_refused_with_its_reason_and_the_others_go_on(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    bodies = [
        sale(world, card=member.card_number, lines=[{"line_id": "1", "net_minor": 1000, "quantity": 2}])
        for _ in range(4)
    ]
    ids = [(await take(world, key, body["external_id"], pieces("1")))["refund_id"] for body in bodies]
    wrong = (await take(world, key, bodies[0]["external_id"], pieces("7")))["refund_id"]
    for body in bodies:
        expect(await push(world, key, body), 201)
    # Something that nobody foresaw: the database refuses what the second one would write.
    await DB.fetch(
        "create function trip() returns trigger language plpgsql as "
        "$$ begin if new.source_key = 'refund:" + ids[1] + "' then raise 'tripped'; end if; return new; end $$"
    )
    await DB.fetch("create trigger trip before insert on ledger_entry for each row execute function trip()")
    assert await post_parked(world.tools) == 3
    rows = await DB.fetch("select id::text, state, refused_for from refund")
    states = {row["id"]: (row["state"], row["refused_for"]) for row in rows}
    assert states[ids[1]] == ("refused", "INTERNAL")
    assert states[wrong] == ("refused", "INVALID_REQUEST")
    assert [states[one] for one in (ids[0], ids[2], ids[3])] == [("posted", None)] * 3
    await DB.fetch("drop trigger trip on ledger_entry")
    manager = await world.staff_headers(Role.MANAGER)
    order_id = await order_of(bodies[1]["external_id"])
    shown = await preview(world, manager, ids[1], order_id)
    expect(await attach(world, manager, ids[1], order_id, shown["preview_hash"]), 200)
    assert await figures(member.membership_id) == (20, 20, 0, 0)
    await assert_verified(world)


async def test_64_who_settle_one_refund_at_once_have_one_effect(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    staff = [await world.staff_headers(Role.MANAGER) for _ in range(4)]
    orders = [await order_of(await sell(world, key, member.card_number, 1000)) for _ in range(2)]
    blind = (await take(world, key, None, pieces("1")))["refund_id"]
    shown = [(await preview(world, staff[0], blind, order_id))["preview_hash"] for order_id in orders]
    calls = [attach(world, staff[n % 4], blind, orders[n % 2], shown[n % 2]) for n in range(48)]
    calls += [act(world, staff[n % 4], blind, "dismiss") for n in range(16)]
    answers = await asyncio.gather(*calls)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 63
    posted = await DB.fetch_value("select count(*) from refund where state = 'posted'")
    assert (await figures(member.membership_id))[0] == 20 - 10 * posted  # type: ignore[operator]
    await assert_verified(world)


async def test_points_of_the_visit_go_when_too_little_is_left_or_with_the_last_piece(world: World) -> None:
    await add_rules(world, points=1, per_minor=100, visit_points=9, visit_minimum_minor=1500)
    member, key = await world.sign_up(), await world.pos_key()
    for claws, taken in ((True, [3, 17, 9]), (False, [3, 8, 18])):
        await DB.fetch("update programme set claw_visit_points = $1, version = version + 1", claws)
        sold = await sell(world, key, member.card_number, 1000, 1000)
        before = (await figures(member.membership_id))[0]
        parts = (money("1", 300), money("1", 700), pieces("2"))
        assert [(await take(world, key, sold, part))["points_taken"] for part in parts] == taken
        assert (await figures(member.membership_id))[0] == before - 29
        await assert_verified(world)


async def test_points_of_the_visit_go_once_though_the_setting_changes_between_two_returns(world: World) -> None:
    await add_rules(world, points=1, per_minor=100, visit_points=9, visit_minimum_minor=1500)
    member, key = await world.sign_up(), await world.pos_key()
    parts = (money("1", 300), money("1", 700), money("2", 500), money("2", 500))
    for claws, taken in ((True, [3, 17, 0, 9]), (False, [3, 8, 13, 5])):
        sold = await sell(world, key, member.card_number, 1000, 1000)
        for number, (part, points) in enumerate(zip(parts, taken, strict=True)):
            now = claws if number < 2 else not claws
            await DB.fetch("update programme set claw_visit_points = $1, version = version + 1", now)
            assert (await take(world, key, sold, part))["points_taken"] == points
            await assert_verified(world)
    assert await figures(member.membership_id) == (0, 0, 0, 0)


async def test_a_voucher_for_an_article_is_good_again_when_the_article_is_back(world: World) -> None:
    counter = await Counter.open(world)
    reward = await counter.add_reward(kind="product", sku="MUG", value_minor=400)
    code = await counter.take_code(reward)
    lines = [
        {"line_id": "1", "net_minor": 1000, "sku": "TEA"},
        {"line_id": "2", "net_minor": 400, "sku": "MUG", "quantity": 2},
    ]
    body = sale(world, card=counter.member.card_number, lines=lines)
    hold = expect(await counter.hold_voucher(code, sale=body["external_id"], total=1_400), 201)
    expect(await push(world, counter.key, body), 201)
    expect(await counter.capture(hold, sale=body["external_id"]), 200)
    states = []
    for part in (pieces("1"), pieces("2"), pieces("2")):
        expect(await send(world, counter.key, refund(world, body["external_id"], part)), 201)
        states.append(await DB.fetch_value("select status from voucher"))
    assert states == ["redeemed", "redeemed", "issued"]
    await assert_verified(world)
