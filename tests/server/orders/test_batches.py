"""A batch does what its sales would do one by one, each by itself."""

import json
from datetime import timedelta
from typing import Any

from server.db.engine import DB
from server.ledger import movements
from server.ledger.movements import Origin
from shared.limits import BATCH_BYTES_MAX, BODY_BYTES_MAX, ORDER_BATCH_MAX, ORDER_LINES_MAX
from shared.programmes import Expiry
from tests.app import SignedUp, World, expect, problem
from tests.ledgers import assert_verified, figures, locked
from tests.tills import add_rules, push, push_batch, sale


def told(answer: dict[str, Any]) -> list[tuple[int | None, str | None]]:
    """Return points and the code of the refusal of every sale."""
    return [
        (one["order"] and one["order"]["points"], one["problem"] and one["problem"]["code"])
        for one in answer["results"]
    ]


async def spend(world: World, member: SignedUp, points: int) -> None:
    async with locked(member.membership_id) as membership:
        await movements.spend(world.ctx, membership, points, Origin(source_key=f"test:{points}"))


async def test_every_sale_is_accepted_or_refused_by_itself(world: World) -> None:
    ana, ben = await world.sign_up("ana@shop.test"), await world.sign_up("ben@shop.test")
    key = await world.pos_key()
    bodies = [
        sale(world, card=ana.card_number),
        sale(world, card=ben.card_number, store="nowhere"),
        sale(world, customer={"email": "BEN@shop.test"}),
        sale(world),
        sale(world, card="29000000000000"),
        sale(world, card=ana.card_number, currency="EUR"),
        sale(world, card=ana.card_number, completed_at="2026-03-09T10:00:00Z"),
        sale(world, customer={"email": "no address"}),
        sale(world, card=ana.card_number, completed_at="2025-12-01T10:00:00Z"),
        sale(world, card=ana.card_number, state="open"),
        sale(world, card=ana.card_number),
    ]
    answer = expect(await push_batch(world, key, bodies), 200)
    assert told(answer) == [
        (12, None), (None, "NOT_PERMITTED"), (12, None), (0, None), (0, None), (None, "CURRENCY_MISMATCH"),
        (None, "TIME_OUT_OF_RANGE"), (None, "EMAIL_INVALID"), (0, None), (0, None), (12, None),
    ]  # fmt: skip
    assert (answer["accepted"], answer["refused"]) == (7, 4)
    reasons = [one["order"] and one["order"]["skipped_reason"] for one in answer["results"]]
    assert reasons == [
        None, None, None, "no_customer", "customer_unknown", None, None, None, "before_start", "open", None,
    ]  # fmt: skip
    assert answer["results"][7]["problem"]["errors"][0]["field"] == "customer.email"
    assert await figures(ana.membership_id) == (24, 24, 0, 0)
    assert await figures(ben.membership_id) == (12, 12, 0, 0)
    await assert_verified(world)


async def test_a_sale_that_is_not_as_described_is_refused_by_itself(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    line = {"line_id": "1", "net_minor": 1000}
    wrong: list[tuple[object, str]] = [
        (sale(world, lines=[line | {"line_id": str(number)} for number in range(ORDER_LINES_MAX + 1)]), "lines"),
        (sale(world, lines=[line, {"net_minor": 5}]), "lines[1].line_id"),
        (sale(world, lines=[line | {"net_minor": "5"}]), "lines[0].net_minor"),
        (sale(world, sneaky=1), "sneaky"),
        (sale(world, number="R\x1b[2J"), "number"),
        (sale(world, number="twice"), "number"),
        ({"number": "R-1"}, "external_id"),
        (sale(world, external_id="\u202eevil"), "external_id"),
        (5, ""),
    ]
    good = [sale(world, card=member.card_number), sale(world)]
    sent = [good[0], *(body for body, _ in wrong), good[1]]
    content = json.dumps({"orders": sent}).replace('"number": "twice"', '"number": "a", "number": "b"')
    headers = key | {"Content-Type": "application/json", "Idempotency-Key": "one-key-for-all-of-these"}
    first = await world.client.post("/v1/pos/orders/batch", content=content, headers=headers)
    results = expect(first, 200)["results"]
    assert [one["order"]["points"] for one in (results[0], results[-1])] == [12, 0]
    for index, ((body, field), result) in enumerate(zip(wrong, results[1:-1], strict=True), 1):
        told = result["problem"]
        assert (told["code"], told["errors"][0]["field"]) == ("INVALID_REQUEST", field)
        assert told["data"] == {"index": index}
        name = body.get("external_id", "") if isinstance(body, dict) else ""
        assert result["external_id"] == (name if field != "external_id" else "")
    again = await world.client.post("/v1/pos/orders/batch", content=content, headers=headers)
    assert (again.content, again.headers["Idempotency-Replayed"]) == (first.content, "true")
    alone = await push_batch(world, key, [wrong[0][0]])  # type: ignore[list-item]
    assert (expect(alone, 200)["accepted"], expect(alone, 200)["refused"]) == (0, 1)
    assert await figures(member.membership_id) == (12, 12, 0, 0)
    await assert_verified(world)


async def test_what_is_no_batch_is_refused_as_a_whole(world: World) -> None:
    headers = await world.pos_key() | {
        "Content-Type": "application/json",
        "Idempotency-Key": "one-key-for-all-of-these",
    }
    bad = json.dumps(sale(world, sneaky=1)).encode()
    for content, field in (
        (b'{"orders": [' + b", ".join([bad] * (ORDER_BATCH_MAX + 1)) + b"]}", "orders"),
        (b'{"orders": []}', "orders"),
        (b'{"orders": ' + bad + b"}", "orders"),
        (b'{"orders": [' + bad + b'], "sneaky": 1}', "sneaky"),
        (b'{"orders": [' + bad + b'], "orders": [' + bad + b"]}", "orders"),
        (b"[" + bad + b"]", ""),
        (b'{"orders": [' + bad, ""),
        (b'{"orders": [' + bad.replace(b"Coffee", b"Caf\xe9") + b"]}", ""),
        (b'{"orders": [' + bad.replace(b"Coffee", rb"\ud800") + b"]}", ""),
    ):
        answer = await world.client.post("/v1/pos/orders/batch", content=content, headers=headers)
        assert problem(answer)[:2] == (400, "INVALID_REQUEST")
        assert [one["field"] for one in answer.json()["errors"]] == [field]


async def test_a_batch_answers_as_its_sales_would_one_by_one(world: World) -> None:
    member = await world.sign_up()
    key, other = await world.pos_key(), await world.pos_key(connection="other-till")
    bodies = [sale(world, card=member.card_number), sale(world), sale(world, customer={"pos_customer_id": "7"})]
    batched = [one["order"] for one in expect(await push_batch(world, key, bodies), 200)["results"]]
    single = [expect(await push(world, other, body), 201) for body in bodies]
    assert [one | {"order_id": ""} for one in batched] == [one | {"order_id": ""} for one in single]


async def test_a_batch_sent_twice_has_one_effect(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    bodies = [sale(world, card=member.card_number) for _ in range(3)] + [sale(world)]
    first = await push_batch(world, key, bodies, key="the-very-same-key")
    again = await push_batch(world, key, bodies, key="the-very-same-key")
    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert expect(await push_batch(world, key, bodies), 200) == expect(first, 200)
    assert await figures(member.membership_id) == (36, 36, 0, 0)
    assert problem(await push_batch(world, key, bodies[:1], key="the-very-same-key"))[1] == "IDEMPOTENCY_CONFLICT"
    await assert_verified(world)


async def test_one_external_id_several_times_in_a_batch_is_one_order(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number, lines=[{"line_id": "1", "net_minor": 1000}])
    more = body | {"revision": 1, "lines": [{"line_id": "1", "net_minor": 1500}]}
    other = body | {"number": "R-other"}
    answer = expect(await push_batch(world, key, [body, body, other, more, body]), 200)
    assert told(answer) == [(10, None), (10, None), (None, "ORDER_CONFLICT"), (15, None), (15, None)]
    assert await figures(member.membership_id) == (15, 15, 0, 0)
    void = expect(await push_batch(world, key, [more, body | {"state": "voided"}]), 200)
    assert told(void) == [(15, None), (0, None)]
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_a_deficit_takes_its_part_of_a_batch_first(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number)
    expect(await push(world, key, body), 201)
    await spend(world, member, 12)
    expect(await push(world, key, body | {"state": "voided"}), 201)
    assert await figures(member.membership_id) == (-12, 0, 0, 12)
    expect(await push_batch(world, key, [sale(world, card=member.card_number) for _ in range(3)]), 200)
    assert await figures(member.membership_id) == (24, 24, 0, 0)
    await assert_verified(world)


async def test_figures_out_of_date_are_right_after_a_batch(world: World) -> None:
    await add_rules(world, points=1, per_minor=100, pending_days=1, expiry=Expiry(kind="days", days=10))
    member = await world.sign_up()
    key = await world.pos_key()
    expect(await push_batch(world, key, [sale(world, card=member.card_number)]), 200)
    assert await figures(member.membership_id) == (12, 0, 12, 0)
    world.advance(timedelta(days=5))
    expect(await push_batch(world, key, [sale(world, card=member.card_number)] * 2), 200)
    assert await figures(member.membership_id) == (24, 12, 12, 0)
    world.advance(timedelta(days=8))
    expect(await push_batch(world, key, [sale(world, card=member.card_number)]), 200)
    assert await figures(member.membership_id) == (36, 12, 12, 0)
    await assert_verified(world)


async def test_new_rules_hold_in_a_batch_at_once(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    expect(await push_batch(world, key, [sale(world, card=member.card_number)]), 200)
    await add_rules(world, points=3, per_minor=100)
    assert told(expect(await push_batch(world, key, [sale(world, card=member.card_number)]), 200)) == [(37, None)]


async def test_a_full_batch_of_many_members_sums_right(world: World) -> None:
    members = [await world.sign_up(f"m{number}@shop.test") for number in range(4)]
    key = await world.pos_key()
    bodies = [sale(world, card=members[number % 4].card_number) for number in range(ORDER_BATCH_MAX)]
    answer = expect(await push_batch(world, key, bodies), 200)
    assert (answer["accepted"], answer["refused"]) == (500, 0)
    for member in members:
        assert await figures(member.membership_id) == (125 * 12, 125 * 12, 0, 0)
    assert await DB.fetch_value("select count(*) from audit_entry where action = 'order.posted'") == 500
    await assert_verified(world)


async def test_the_larger_body_is_for_batches_only(world: World) -> None:
    key = await world.pos_key()
    blanks = " " * BODY_BYTES_MAX
    large = {"Content-Type": "application/json", "Idempotency-Key": "test-key-large-body"} | key
    single = await world.client.post("/v1/pos/orders", content=blanks + "{}", headers=large)
    assert problem(single)[:2] == (413, "BODY_TOO_LARGE")
    batch = await world.client.post("/v1/pos/orders/batch", content=blanks + "{}", headers=large)
    assert problem(batch)[:2] == (400, "INVALID_REQUEST")
    too_large = " " * (BATCH_BYTES_MAX + 1)
    refused = await world.client.post("/v1/pos/orders/batch", content=too_large, headers=large)
    assert problem(refused)[:2] == (413, "BODY_TOO_LARGE")
