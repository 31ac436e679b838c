"""A till's sale earns its points once, and the answer says how many and why."""

from datetime import timedelta
from typing import Any

import pytest

from server.db.engine import DB
from server.ledger.verification import verify
from shared.programmes import CategoryRule, Expiry
from tests.app import World, expect, problem
from tests.tills import add_rules, push, push_batch, sale


async def available(world: World, headers: dict[str, str]) -> int:
    memberships = expect(await world.client.get("/v1/me/memberships", headers=headers), 200)["items"]
    return int(memberships[0]["balance"]["available"])


async def assert_verified(world: World) -> None:
    wrong = [outcome async for outcome in verify(world.clock.now()) if not outcome.is_right]
    assert wrong == []


async def test_a_sale_by_card_earns_points_line_by_line(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    result = expect(await push(world, key, sale(world, card=member.card_number)), 201)
    assert result["points"] == 12
    assert [(line["line_id"], line["points"]) for line in result["lines"]] == [("1", 8), ("2", 4)]
    assert result["lines"][0]["rule"] == "1 point per 1.00 GBP"
    assert result["skipped_reason"] is None
    assert await available(world, member.headers) == 12
    await assert_verified(world)


async def test_a_card_number_may_be_typed_with_blanks_and_dashes(world: World) -> None:
    member = await world.sign_up()
    card = f"{member.card_number[:4]} {member.card_number[4:9]}-{member.card_number[9:]}"
    assert expect(await push(world, await world.pos_key(), sale(world, card=card)), 201)["points"] == 12


async def test_the_same_key_and_body_get_the_same_answer_and_one_effect(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number)
    first = await push(world, key, body, key="the-very-same-key")
    again = await push(world, key, body, key="the-very-same-key")
    assert first.content == again.content
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await available(world, member.headers) == 12


async def test_the_same_receipt_under_another_key_has_one_effect_however_it_is_written(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    body = sale(world, card=member.card_number, completed_at="2026-03-02T09:00:00Z")
    card = f"{member.card_number[:4]} {member.card_number[4:]}"
    again = {
        "customer": {"card_number": card},
        "completed_at": "2026-03-02T10:00:00.000+01:00",
        "lines": [body["lines"][0] | {"quantity": 2.0}, body["lines"][1] | {"quantity": "1.500"}],
    }
    first = expect(await push(world, key, body), 201)
    for same in (body, body | again):
        assert expect(await push(world, key, same), 201) == first
    batch = expect(await push_batch(world, key, [body | again | {"completed_at": "2026-03-02T09:00:00-00:00"}]), 200)
    assert batch["results"][0]["order"] == first
    assert await available(world, member.headers) == 12


async def test_a_receipt_with_other_content_is_refused(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number)
    expect(await push(world, key, body), 201)
    assert problem(await push(world, key, body | {"number": "R-other"})) == (409, "ORDER_CONFLICT", [])
    assert await available(world, member.headers) == 12


async def test_a_key_used_for_another_sale_is_refused(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    expect(await push(world, key, sale(world, card=member.card_number), key="the-very-same-key"), 201)
    other = await push(world, key, sale(world, card=member.card_number), key="the-very-same-key")
    assert problem(other) == (422, "IDEMPOTENCY_CONFLICT", [])
    assert await available(world, member.headers) == 12


async def test_two_till_systems_may_use_the_same_receipt_id(world: World) -> None:
    member = await world.sign_up()
    body = sale(world, card=member.card_number)
    for connection in ("till", "webshop"):
        expect(await push(world, await world.pos_key(connection=connection), body), 201)
    assert await available(world, member.headers) == 24


async def test_a_proven_email_finds_the_member(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    body = sale(world, customer={"email": "ANA@shop.test"})
    assert expect(await push(world, await world.pos_key(), body), 201)["points"] == 12
    assert await available(world, member.headers) == 12


@pytest.mark.parametrize(
    ("customer", "reason"),
    [
        (None, "no_customer"),
        ({"card_number": "29000000000000"}, "customer_unknown"),
        ({"email": "nobody@shop.test"}, "customer_unknown"),
        ({"pos_customer_id": "P-1"}, "customer_unknown"),
    ],
)
async def test_a_sale_without_a_known_member_is_kept_and_says_why_it_earned_nothing(
    world: World, customer: dict[str, str] | None, reason: str
) -> None:
    result = expect(await push(world, await world.pos_key(), sale(world, customer=customer)), 201)
    assert (result["points"], result["skipped_reason"]) == (0, reason)
    assert await DB.fetch_value("select count(*) from orders where skipped_reason = $1", reason) == 1
    assert await DB.fetch_value("select count(*) from ledger_entry") == 0


async def test_the_whole_day_of_joining_counts_and_the_day_before_does_not(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    # The world begins at ten in the morning in London.
    midnight = world.clock.now().replace(hour=0)
    today = sale(world, card=member.card_number, completed_at=midnight.isoformat())
    before = sale(world, card=member.card_number, completed_at=(midnight - timedelta(seconds=1)).isoformat())
    assert expect(await push(world, key, today), 201)["points"] == 12
    skipped = expect(await push(world, key, before), 201)
    assert (skipped["points"], skipped["skipped_reason"]) == (0, "before_start")
    await assert_verified(world)


async def test_new_rules_hold_at_once_for_a_service_that_remembered_the_old(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    assert expect(await push(world, key, sale(world, card=member.card_number)), 201)["points"] == 12
    await add_rules(world, points=3, per_minor=100, categories=(CategoryRule(category="Coffee", percent=0),))
    result = expect(await push(world, key, sale(world, card=member.card_number)), 201)
    assert [line["points"] for line in result["lines"]] == [0, 12]
    assert result["lines"][0]["rule"] == "'Coffee' earns no points"


async def test_points_wait_their_pending_days_and_lapse_at_the_end_of_a_local_day(world: World) -> None:
    await add_rules(world, points=1, per_minor=100, pending_days=1, expiry=Expiry(kind="days", days=30))
    member = await world.sign_up()
    key = await world.pos_key()
    expect(await push(world, key, sale(world, card=member.card_number)), 201)
    membership = "/v1/me/memberships"

    async def balance() -> dict[str, Any]:
        signed_in = expect(await world.sign_in(member.email), 201)
        headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
        found: dict[str, Any] = expect(await world.client.get(membership, headers=headers), 200)["items"][0]["balance"]
        return found

    now = await balance()
    assert (now["available"], now["pending"]) == (0, 12)
    # The third of March begins in London, which keeps winter time.
    assert now["maturing"] == [{"points": 12, "at": "2026-03-03T00:00:00Z"}]
    # The second of April ends in London, which keeps summer time by then.
    assert now["expiring"] == [{"points": 12, "at": "2026-04-02T23:00:00Z"}]
    await assert_verified(world)
    world.advance(timedelta(hours=14))
    assert ((await balance())["available"], (await balance())["pending"]) == (12, 0)
    await assert_verified(world)
    world.advance(timedelta(days=31))
    assert ((await balance())["available"], (await balance())["expiring"]) == (0, [])
    await assert_verified(world)


async def test_a_sale_after_figures_went_out_of_date_leaves_them_right(world: World) -> None:
    await add_rules(world, points=1, per_minor=100, expiry=Expiry(kind="days", days=1))
    member = await world.sign_up()
    key = await world.pos_key()
    expect(await push(world, key, sale(world, card=member.card_number)), 201)
    world.advance(timedelta(days=3))
    expect(await push(world, key, sale(world, card=member.card_number)), 201)
    row = await DB.fetch_row("select balance, available from membership")
    assert row is not None
    assert (row["balance"], row["available"]) == (24, 12)
    await assert_verified(world)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"completed_at": "2026-03-02T10:00:00"}, "completed_at"),
        ({"completed_at": "2026-03-02T11:00:00Z"}, "completed_at"),
        ({"currency": "EUR"}, "currency"),
        ({"store": "nowhere"}, "store"),
        ({"customer": {}}, "customer"),
        ({"customer": {"card_number": "29000000000000", "email": "a@shop.test"}}, "customer"),
        ({"lines": []}, "lines"),
        ({"lines": [{"line_id": "1", "net_minor": 1}, {"line_id": "1", "net_minor": 1}]}, "lines[1].line_id"),
        ({"lines": [{"line_id": "1", "net_minor": 1, "quantity": "0.0001"}]}, "lines[0].quantity"),
        ({"lines": [{"line_id": "1", "net_minor": 1, "quantity": "1e999999"}]}, "lines[0].quantity"),
        ({"lines": [{"line_id": "1", "net_minor": 1, "quantity": "NaN"}]}, "lines[0].quantity"),
        ({"lines": [{"line_id": "1", "net_minor": 1.5}]}, "lines[0].net_minor"),
        ({"lines": [{"line_id": "1", "net_minor": 10**12}]}, "lines[0].net_minor"),
        ({"points": 5}, "points"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_kept(world: World, change: dict[str, Any], field: str) -> None:
    answer = await push(world, await world.pos_key(stores=()), sale(world) | change)
    status, _, fields = problem(answer)
    assert (status, fields) == (400, [field])
    assert await DB.fetch_value("select count(*) from orders") == 0


async def test_a_key_posts_for_its_own_stores_only(world: World) -> None:
    await world.add_store("market")
    member = await world.sign_up()
    body = sale(world, card=member.card_number, store="market")
    assert problem(await push(world, await world.pos_key(), body))[:2] == (403, "NOT_PERMITTED")
    assert await available(world, member.headers) == 0


async def test_a_key_without_the_scope_or_after_its_end_posts_nothing(world: World) -> None:
    member = await world.sign_up()
    body = sale(world, card=member.card_number)
    key = await world.pos_key(scopes=())
    assert problem(await push(world, key, body))[:2] == (403, "NOT_PERMITTED")
    key = await world.pos_key()
    await DB.fetch("update api_key set revoked_at = now()")
    assert problem(await push(world, key, body))[:2] == (401, "NOT_SIGNED_IN")
    assert await DB.fetch_value("select count(*) from orders") == 0


async def test_the_member_sees_the_sale_and_why_each_line_earned_what_it_did(world: World) -> None:
    member = await world.sign_up()
    await push(world, await world.pos_key(), sale(world, card=member.card_number, number="R-77"))
    orders = expect(await world.client.get("/v1/me/orders", headers=member.headers), 200)
    (order,) = orders["items"]
    assert (order["number"], order["net_minor"], order["points"]) == ("R-77", 1234, 12)
    assert [(line["description"], line["quantity"], line["points"]) for line in order["lines"]] == [
        ("Coffee", "2", 8),
        ("Bread", "1.5", 4),
    ]
    path = f"/v1/me/memberships/{member.membership_id}/entries"
    (entry,) = expect(await world.client.get(path, headers=member.headers), 200)["items"]
    assert (entry["reason"], entry["points"], entry["balance_after"], entry["order_number"]) == (
        "Purchase",
        12,
        12,
        "R-77",
    )


async def test_pages_of_entries_join_without_gap_or_repeat(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    for _ in range(7):
        expect(await push(world, key, sale(world, card=member.card_number)), 201)
    path = f"/v1/me/memberships/{member.membership_id}/entries"
    seen, cursor = [], ""
    while True:
        page = expect(await world.client.get(path, params={"limit": 3, "cursor": cursor}, headers=member.headers), 200)
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert len({entry["id"] for entry in seen}) == 7
    assert [entry["balance_after"] for entry in seen] == [84, 72, 60, 48, 36, 24, 12]


async def test_a_page_that_follows_a_sale_posted_meanwhile_still_has_the_right_balances(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    for _ in range(5):
        expect(await push(world, key, sale(world, card=member.card_number)), 201)
    path = f"/v1/me/memberships/{member.membership_id}/entries"
    first = expect(await world.client.get(path, params={"limit": 2}, headers=member.headers), 200)
    behind = {"limit": 5, "cursor": first["next_cursor"]}
    before = expect(await world.client.get(path, params=behind, headers=member.headers), 200)
    expect(await push(world, key, sale(world, card=member.card_number)), 201)
    after = expect(await world.client.get(path, params=behind, headers=member.headers), 200)
    assert [entry["balance_after"] for entry in before["items"]] == [36, 24, 12]
    assert after["items"] == before["items"]


async def test_a_till_may_greet_a_customer_but_learns_no_more(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    await push(world, key, sale(world, card=member.card_number))
    found = expect(await world.client.get("/v1/pos/lookup", params={"card": member.card_number}, headers=key), 200)
    assert found == {
        "customer_id": str(member.customer_id), "given_name": "Ana", "tier": "", "available": 12, "email_bouncing": False,
    }  # fmt: skip
    nobody = await world.client.get("/v1/pos/lookup", params={"card": "29000000000000"}, headers=key)
    assert problem(nobody)[:2] == (404, "NOT_FOUND")


async def test_a_cap_counts_what_another_till_system_sold_under_the_same_receipt_id(world: World) -> None:
    await add_rules(world, points=1, per_minor=100, day_points_max=20)
    member = await world.sign_up()
    body = sale(world, card=member.card_number)
    keys = [await world.pos_key(connection=connection) for connection in ("till", "webshop")]
    assert [expect(await push(world, key, body), 201)["points"] for key in keys] == [12, 8]
