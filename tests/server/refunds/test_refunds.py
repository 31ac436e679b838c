"""A refund takes back exactly what the returned part earned, once, and never more than was sold."""

from datetime import timedelta, timezone
from typing import Any

import pytest

from server.db.engine import DB
from server.ledger import movements
from server.ledger.movements import Origin
from shared.enums import Role, Scope
from shared.programmes import Expiry
from tests.app import SignedUp, World, expect, problem
from tests.ledgers import assert_verified, figures, locked
from tests.server.refunds.till import entries, lines, money, pieces, refund, sell, send, take
from tests.tills import add_rules, push, sale


async def spend(world: World, member: SignedUp, points: int) -> None:
    async with locked(member.membership_id) as membership:
        await movements.spend(world.ctx, membership, points, Origin(source_key=f"test:{points}"))


async def test_a_line_that_comes_back_takes_its_own_points(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 1000, 500)
    result = await take(world, key, sold, pieces("1"))
    assert (result["state"], result["points_taken"], result["lines"]) == (
        "posted",
        10,
        [{"line_id": "1", "points": 10}],
    )
    assert await figures(member.membership_id) == (5, 5, 0, 0)
    await assert_verified(world)


async def test_pieces_of_a_line_add_up_to_all_its_points(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 1000, quantity=3)
    taken = [(await take(world, key, sold, pieces("1")))["points_taken"] for _ in range(3)]
    assert taken == [3, 3, 4]
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_money_alone_and_pieces_mix_up_to_the_whole_and_are_told_with_their_sale(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 999, quantity=3)
    assert (await take(world, key, sold, money("1", 333)))["points_taken"] == 3
    order = expect(await world.client.get("/v1/me/orders", headers=member.headers), 200)["items"][0]
    back = {"line_id": "1", "description": "", "quantity": None, "net_minor": 333, "points": 3}
    assert (order["points"], order["points_returned"]) == (9, 3)
    at = world.clock.now().isoformat().replace("+00:00", "Z")
    assert order["returns"] == [{"completed_at": at, "points_restored": 0, "lines": [back]}]
    assert (await take(world, key, sold, pieces("1", 2, net_minor=600)))["points_taken"] == 6
    staff = await world.staff_headers(Role.AUDITOR)
    detail = expect(await world.client.get(f"/v1/staff/orders/{order['id']}", headers=staff), 200)
    assert detail["order"]["points_returned"] == 9
    again = {"quantity": "2", "net_minor": 600, "points": 6}
    assert [part["lines"] for part in detail["returns"]] == [[back], [back | again]]
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_the_whole_sale_with_its_spread_visit_points_takes_exactly_what_was_earned(world: World) -> None:
    await add_rules(world, points=1, per_minor=100, visit_points=10)
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 333, 333, 334)
    assert await figures(member.membership_id) == (20, 20, 0, 0)
    result = await take(world, key, sold, pieces("1"), pieces("2"), pieces("3"))
    assert result["points_taken"] == 20
    await assert_verified(world)


async def test_a_discount_line_never_lets_more_be_taken_than_was_earned(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 1000, 1000, -500)
    assert (await figures(member.membership_id))[0] == 15
    assert (await take(world, key, sold, pieces("1")))["points_taken"] == 7
    assert (await take(world, key, sold, pieces("2"), money("3", -500)))["points_taken"] == 8
    await assert_verified(world)


async def test_what_had_lapsed_is_not_taken_again_and_is_told(world: World) -> None:
    await add_rules(world, points=1, per_minor=100, expiry=Expiry(kind="days", days=30))
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 1000)
    world.advance(timedelta(days=40))
    await sell(world, key, member.card_number, 700)
    result = await take(world, key, sold, pieces("1"))
    assert (result["points_taken"], result["points_exempt"]) == (0, 10)
    assert (await figures(member.membership_id))[1] == 7
    await assert_verified(world)


async def test_spent_points_become_a_debt(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 1000)
    await spend(world, member, 8)
    result = await take(world, key, sold, pieces("1"))
    assert (result["points_taken"], result["points_owed"]) == (10, 8)
    assert await figures(member.membership_id) == (-8, 0, 0, 8)
    await assert_verified(world)


async def test_spent_points_are_written_off_where_the_programme_says_so(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 1000)
    await spend(world, member, 8)
    await DB.fetch("update programme set clawback_policy = 'available_only'")
    result = await take(world, key, sold, pieces("1"))
    assert (result["points_owed"], result["points_written_off"]) == (8, 8)
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_the_same_refund_twice_has_one_effect(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 1000, quantity=2)
    body = refund(world, sold, pieces("1"))
    first = expect(await send(world, key, body, idempotency="one-key-for-both-of-them"), 201)
    again = await send(world, key, body, idempotency="one-key-for-both-of-them")
    assert (expect(again, 201), again.headers["Idempotency-Replayed"]) == (first, "true")
    assert expect(await send(world, key, body), 201) == first
    at = world.clock.now().astimezone(timezone(timedelta(hours=2))).isoformat()
    assert expect(await send(world, key, body | {"completed_at": at, "lines": [pieces("1", "1.0")]}), 201) == first
    assert await figures(member.membership_id) == (5, 5, 0, 0)
    assert problem(await send(world, key, body | {"lines": [pieces("1", 2)]}))[:2] == (409, "REFUND_CONFLICT")
    assert await entries("CLAWBACK") == [-5]
    await assert_verified(world)


@pytest.mark.parametrize(
    "parts",
    [
        [pieces("1", 3)],
        [pieces("1", "2.001")],
        [money("1", 1001)],
        [money("1", -1)],
        [pieces("1", 1, net_minor=1001)],
        [pieces("1", 2), pieces("2", 1)],
        [money("2", 1)],
        [pieces("1", 1, points_part=1)],
    ],
)
async def test_more_than_was_sold_never_comes_back(world: World, parts: list[dict[str, Any]]) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    body = sale(
        world,
        card=member.card_number,
        lines=[*lines(1000, quantity=2), {"line_id": "2", "net_minor": 0, "quantity": 0}],
    )
    expect(await push(world, key, body), 201)
    assert problem(await send(world, key, refund(world, body["external_id"], *parts)))[:2] == (409, "OVER_REFUND")
    assert await DB.fetch_value("select count(*) from refund") == 0
    assert await figures(member.membership_id) == (10, 10, 0, 0)


async def test_the_sum_of_refunds_is_what_counts(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 1000, quantity=2)
    await take(world, key, sold, pieces("1", "1.5"))
    for part in (pieces("1", "0.501"), money("1", 251)):
        assert problem(await send(world, key, refund(world, sold, part)))[:2] == (409, "OVER_REFUND")
    await take(world, key, sold, money("1", 250))
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_wrong_fields_are_named(world: World) -> None:
    key = await world.pos_key()
    sold = await sell(world, key, None, 1000)
    late = (world.clock.now() + timedelta(hours=1)).isoformat()
    for body, code, field in (
        (refund(world, sold, pieces("9")), "INVALID_REQUEST", "lines[0].line_id"),
        (refund(world, sold, pieces("1"), pieces("1")), "INVALID_REQUEST", "lines[1].line_id"),
        (refund(world, sold, pieces("1"), customer={"email": "no address"}), "EMAIL_INVALID", "customer.email"),
        (refund(world, sold, {"line_id": "1"}), "INVALID_REQUEST", "lines[0].quantity"),
        (refund(world, sold, pieces("1", 0)), "INVALID_REQUEST", "lines[0].quantity"),
        (refund(world, sold, pieces("1", "0.0001")), "INVALID_REQUEST", "lines[0].quantity"),
        (refund(world, sold, pieces("1"), currency="EUR"), "CURRENCY_MISMATCH", "currency"),
        (refund(world, sold, pieces("1"), completed_at=late), "TIME_OUT_OF_RANGE", "completed_at"),
    ):
        answer = await send(world, key, body)
        assert answer.status_code == 400
        assert (answer.json()["code"], answer.json()["errors"][0]["field"]) == (code, field)
    assert await DB.fetch_value("select count(*) from refund") == 0


async def test_a_key_needs_the_scope_and_the_store(world: World) -> None:
    narrow = await world.pos_key(scopes=(Scope.ORDERS,))
    assert problem(await send(world, narrow, refund(world, None, pieces("1"))))[:2] == (403, "NOT_PERMITTED")
    await world.add_store("low-street")
    elsewhere = refund(world, None, pieces("1"), store="low-street")
    assert problem(await send(world, await world.pos_key(), elsewhere))[:2] == (403, "NOT_PERMITTED")


async def test_the_sale_of_another_till_system_is_not_found(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 1000)
    other = await world.pos_key(connection="other")
    assert (await take(world, other, sold, pieces("1")))["state"] == "parked"
    assert await figures(member.membership_id) == (10, 10, 0, 0)


async def test_a_sale_of_nobody_comes_back_without_points(world: World) -> None:
    key = await world.pos_key()
    sold = await sell(world, key, None, 1000)
    result = await take(world, key, sold, pieces("1"))
    assert (result["state"], result["points_taken"]) == ("posted", 0)
    assert problem(await send(world, key, refund(world, sold, pieces("1"))))[:2] == (409, "OVER_REFUND")
    await assert_verified(world)


async def test_a_sale_given_to_a_member_after_a_return_earns_only_what_stayed(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    body = sale(world, lines=lines(1000, 500))
    expect(await push(world, key, body), 201)
    await take(world, key, body["external_id"], pieces("1"))
    expect(await push(world, key, body | {"revision": 1, "customer": {"card_number": member.card_number}}), 201)
    assert await figures(member.membership_id) == (5, 5, 0, 0)
    await take(world, key, body["external_id"], pieces("2"))
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_a_sale_that_moves_or_changes_after_a_return_keeps_only_what_stayed(world: World) -> None:
    ana, ben = await world.sign_up(), await world.sign_up("ben@shop.test")
    key = await world.pos_key()
    body = sale(world, card=ana.card_number, lines=lines(1000, 500))
    expect(await push(world, key, body), 201)
    await take(world, key, body["external_id"], pieces("1"))
    expect(await push(world, key, body | {"revision": 1, "customer": {"card_number": ben.card_number}}), 201)
    assert (await figures(ana.membership_id), await figures(ben.membership_id)) == ((0, 0, 0, 0), (5, 5, 0, 0))
    await assert_verified(world)
    fewer = body | {"revision": 2, "customer": {"card_number": ben.card_number}, "lines": lines(1000, 300)}
    expect(await push(world, key, fewer), 201)
    assert await figures(ben.membership_id) == (3, 3, 0, 0)
    await assert_verified(world)
    expect(await push(world, key, fewer | {"revision": 3, "lines": lines(2000, 300)[1:]}), 201)
    assert await figures(ben.membership_id) == (3, 3, 0, 0)
    await assert_verified(world)


async def test_a_voided_sale_has_nothing_left_to_come_back(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    body = sale(world, card=member.card_number, lines=lines(1000, 500))
    expect(await push(world, key, body), 201)
    await take(world, key, body["external_id"], pieces("1"))
    expect(await push(world, key, body | {"state": "voided"}), 201)
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    assert problem(await send(world, key, refund(world, body["external_id"], pieces("2"))))[:2] == (409, "OVER_REFUND")
    await assert_verified(world)


@pytest.mark.parametrize(
    ("table", "event"),
    [("refund", "insert"), ("refund", "update"), ("refund_line", "insert"), ("refund_line", "update"), ("orders", "update"),
     ("ledger_entry", "insert"), ("allocation", "insert"), ("membership", "update"), ("audit_entry", "insert"),
     ("idempotency_key", "insert")],
)  # fmt: skip
async def test_a_refund_that_breaks_off_leaves_nothing_behind(world: World, table: str, event: str) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 1000)
    body = refund(world, sold, pieces("1"))
    await DB.run_script(
        "create function fail() returns trigger language plpgsql as $$ begin raise exception 'broken'; end $$;"
        f"create trigger fail before {event} on {table} for each row execute function fail();"
    )
    assert (await send(world, key, body, idempotency="one-key-for-both-of-them")).status_code == 500
    assert await DB.fetch_value("select count(*) from refund") == 0
    assert await figures(member.membership_id) == (10, 10, 0, 0)
    await DB.run_script(f"drop trigger fail on {table}")
    await assert_verified(world)
    assert expect(await send(world, key, body, idempotency="one-key-for-both-of-them"), 201)["points_taken"] == 10
    await assert_verified(world)


async def test_points_of_a_reissued_membership_are_taken_in_its_heir(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    sold = await sell(world, key, member.card_number, 1000, 500)
    form = {"new_email": "ana.new@shop.test", "mode": "reissue", "password": member.password}
    expect(await world.client.post("/v1/me/email-changes", json=form, headers=member.headers), 202)
    link = await world.mail_to("ana.new@shop.test", purpose="email-change")
    expect(await world.client.post("/v1/email-changes/confirm", json={"token": link.token}), 200)
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    assert (await take(world, key, sold, pieces("1")))["points_taken"] == 10
    heir = await DB.fetch_value("select successor from membership where id = $1", member.membership_id)
    assert await figures(heir) == (5, 5, 0, 0)  # type: ignore[arg-type]
    await assert_verified(world)
