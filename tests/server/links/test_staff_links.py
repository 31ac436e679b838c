"""Staff find POS records and link them: what they may do alone, what needs proof, and what needs a second person."""

import asyncio
import contextvars
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from server.db.engine import DB
from server.links import checks, service, store
from server.links.tills import Directory
from shared.limits import LINK_ORDERS_MAX, LINK_POINTS_ALONE_MAX, LINK_TAKE_BACK_MAX
from shared.programmes import BonusRules
from tests.app import SignedUp, World, expect, problem
from tests.ledgers import credit
from tests.server.links.shop import (
    Till,
    balance_of,
    grant,
    link,
    links_of,
    record,
    record_id,
    reviews_of,
    run_checks,
    settled_record,
    since,
    staff_post,
    state_of,
    wrong_rows,
)
from tests.server.merges.desk import MergeDesk
from tests.server.rewards.builders import Counter
from tests.tills import add_rules, push, sale
from tests.waiting import until_somebody_waits


async def test_a_record_is_found_by_any_part_that_staff_know(world: World) -> None:
    till = await Till.of(world)
    await till.send(record("p-1", phone="+44 20 7946 0018", card_number="STAMP-77", former_ids=["p-old"]))
    await till.send(record("x-2", given_name="Ben", family_name="Ode", email="ben@shop.test", phone="+44 20 7946 0099"))
    headers = await world.staff_headers()
    for text in (
        "ana@", "ANA@SHOP.TEST", "flo", "Flores An", "946 0018", "0018", "STAMP-77", "stamp77", "p-1", "p-old",
    ):  # fmt: skip
        found = expect(await world.client.get("/v1/staff/pos-records", params={"q": text}, headers=headers), 200)
        assert [one["external_id"] for one in found["items"]] == ["p-1"], text
        (hit,) = found["items"]
        assert (hit["email_masked"], hit["phone_ending"], hit["card_ending"]) == ("a…@shop.test", "0018", "MP77")
        assert "ana@shop.test" not in str(found)


async def test_too_little_text_finds_nothing_and_says_so(world: World) -> None:
    headers = await world.staff_headers()
    for text in ("", " ", "a", "%", "';--"):
        found = expect(await world.client.get("/v1/staff/pos-records", params={"q": text}, headers=headers), 200)
        assert (found["items"], bool(found["hint"])) == ([], True)
    for text in ("an' & !", "a:*b", "\\ \\\\", "(((", "12%45"):
        expect(await world.client.get("/v1/staff/pos-records", params={"q": text}, headers=headers), 200)


async def test_a_cashier_links_by_the_proven_address_and_by_the_card_and_a_manager_by_what_they_saw(
    world: World,
) -> None:
    till = await Till.of(world)
    ana = await world.sign_up()
    await run_checks(world)
    cashier, manager = await world.staff_headers(), await world.staff_headers("manager")
    await till.send(record("match"))
    await till.send(record("blank", email=None))
    await till.send(record("other", email="old.ana@shop.test", email_since=None))
    await till.sell("match")
    seen: dict[str, dict[str, Any]] = {}
    path = f"/v1/staff/customers/{ana.customer_id}/links"
    for name in ("match", "blank"):
        wish = {"record_id": str(await record_id(name))}
        seen[name] = expect(await world.client.post(f"{path}/preview", json=wish, headers=cashier), 200)
    assert (seen["match"]["method"], seen["match"]["effect"]["points"]) == ("staff_match", 12)
    assert await balance_of(ana) == 0
    assert seen["blank"]["blockers"] == ["LINK_NEEDS_PROOF"]
    made = expect(await link(world, cashier, ana.customer_id, {"record_id": str(await record_id("match"))}), 201)
    assert (made["link"]["state"], made["effect"]["orders_counted"]) == ("linked", 1)
    assert await balance_of(ana) == 12
    # Without a match a cashier needs the customer's card; what was seen is for a manager to say.
    wish = {"record_id": str(await record_id("blank")), "attestation": "saw_id"}
    refused = expect(await world.client.post(f"{path}/preview", json=wish, headers=cashier), 200)
    assert refused["blockers"] == ["Scan the customer's card, or ask a manager."]
    by_card = wish | {"attestation": "card_in_hand", "card_number": ana.card_number}
    expect(await link(world, cashier, ana.customer_id, by_card), 201)
    wrong_card = by_card | {"card_number": "2900000000000"}
    assert problem(await staff_post(world, manager, path, wrong_card | {"preview_hash": "x" * 64}))[1] == "LINK_TAKEN"
    wish = {"record_id": str(await record_id("other")), "attestation": "knows_last_purchase", "write_email": True}
    shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=manager), 200)
    assert any("another address" in words for words in shown["warnings"])
    assert "This till takes no address from here: type it there." in shown["warnings"]
    expect(await link(world, manager, ana.customer_id, wish), 201)
    # Whoever the record names otherwise is told, and the points are held.
    assert len(await world.mails_to("old.ana@shop.test")) == 1
    held = await DB.fetch_value("select redemption_held_until from customer where id = $1", ana.customer_id)
    assert held == world.clock.now() + timedelta(hours=72)
    assert [method for _, _, method in await links_of(ana.customer_id)] == [
        "staff_match",
        "staff_attest",
        "staff_attest",
    ]
    assert await wrong_rows(world) == []


async def test_nobody_links_to_themselves_to_others_or_to_who_is_gone(world: World) -> None:
    till = await Till.of(world)
    record_1 = await settled_record(world, till, "p-1")
    ana, ben = await world.sign_up(), await world.sign_up("ben@shop.test")
    manager_id = await world.add_staff("manager")
    manager = await world.staff_headers(staff_id=manager_id)
    wish = {"record_id": str(record_1), "attestation": "saw_id"}
    await DB.fetch("update staff_member set customer = $1 where id = $2", ben.customer_id, manager_id)
    path = f"/v1/staff/customers/{ben.customer_id}/links"
    for act in (f"{path}/preview", path):
        assert problem(await staff_post(world, manager, act, wish | {"preview_hash": "x" * 64}))[1] == "LINK_SELF"
    await run_checks(world)
    other = await world.staff_headers("manager")
    shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=other), 200)
    assert shown["blockers"] == ["LINK_TAKEN"]
    refused = await staff_post(world, other, path, wish | {"preview_hash": shown["preview_hash"]})
    assert refused.json()["data"]["customer_id"] == str(ana.customer_id)
    await DB.fetch("update customer set status = 'blocked' where id = $1", ben.customer_id)
    await till.send(record("p-2", email=None))
    wish = {"record_id": str(await record_id("p-2")), "attestation": "saw_id", "preview_hash": "x" * 64}
    assert problem(await staff_post(world, other, path, wish))[1] == "CUSTOMER_BLOCKED"


async def test_many_points_wait_for_a_second_person(world: World) -> None:
    till = await Till.of(world)
    ana = await world.sign_up()
    await run_checks(world)
    await till.send(record("rich", email=None))
    big = [{"line_id": "1", "net_minor": (LINK_POINTS_ALONE_MAX + 1) * 100}]
    await till.sell("rich", lines=big)
    first, second = await world.staff_headers("manager"), await world.staff_headers("manager")
    wish = {"record_id": str(await record_id("rich")), "attestation": "saw_id"}
    made = expect(await link(world, first, ana.customer_id, wish), 201)
    assert (made["link"]["state"], made["effect"], await balance_of(ana)) == ("waiting", None, 0)
    path = f"/v1/staff/links/{made['link']['id']}/approve"
    assert problem(await staff_post(world, first, path, {}))[1] == "APPROVAL_REQUIRED"
    own = expect(await world.client.post(f"{path}/preview", json={}, headers=first), 200)
    assert (own["blockers"], own["effect"]) == (["APPROVAL_REQUIRED"], None)
    seen = expect(await world.client.post(f"{path}/preview", json={}, headers=second), 200)
    brings = {"orders_found": 1, "orders_counted": 1, "points": LINK_POINTS_ALONE_MAX + 1}
    assert {name: seen["effect"][name] for name in brings} == brings
    assert (seen["needs_second_person"], await balance_of(ana), len(await world.mails_to(ana.email))) == (False, 0, 1)
    # What comes meanwhile was not looked at, nor was anything by whoever sends no hash.
    await till.sell("rich")
    for stale in ({}, {"preview_hash": seen["preview_hash"]}):
        assert problem(await staff_post(world, second, path, stale))[1] == "PREVIEW_STALE"
    granted = expect(await grant(world, second, made["link"]["id"], note="looked at it"), 200)
    assert granted["effect"]["points"] == LINK_POINTS_ALONE_MAX + 1 + 12
    assert await balance_of(ana) == LINK_POINTS_ALONE_MAX + 1 + 12
    assert problem(await staff_post(world, second, path, {}))[1] in ("LINK_OVER", "LINK_TAKEN")
    assert await wrong_rows(world) == []


async def test_a_record_that_the_till_merged_into_another_is_nobodys_by_itself(world: World) -> None:
    till = await Till.of(world)
    ana = await world.sign_up()
    await run_checks(world)
    first, second = await world.staff_headers("manager"), await world.staff_headers("manager")
    await till.send(record("rich", email=None))
    await till.sell("rich", lines=[{"line_id": "1", "net_minor": (LINK_POINTS_ALONE_MAX + 1) * 100}])
    wish = {"record_id": str(await record_id("rich")), "attestation": "saw_id"}
    made = expect(await link(world, first, ana.customer_id, wish), 201)
    await till.send(record("kept", email=None, former_ids=["rich"]))
    approval = await staff_post(world, second, f"/v1/staff/links/{made['link']['id']}/approve", {})
    taking = await staff_post(world, second, f"/v1/staff/pos-records/{wish['record_id']}/customer", {})
    assert [problem(answer)[1] for answer in (approval, taking)] == ["LINK_OVER"] * 2
    # What we made for a member stays a name of the till's own record, also when that is no longer theirs.
    bea = await world.sign_up("bea@shop.test")
    connection_id = await DB.fetch_value("select id from pos_connection")
    assert isinstance(connection_id, UUID)
    directory = Directory(world.tools, connection_id)
    assert await checks.push_customer(world.ctx, connection_id, directory, bea.customer_id)
    await till.send(record("blank", email=None))
    wish = {"record_id": str(await record_id("blank")), "attestation": "saw_id"}
    made = expect(await link(world, first, bea.customer_id, wish), 201)
    path = f"/v1/staff/links/{made['link']['id']}/end"
    ending = {"reason": "another Bea"}
    shown = expect(await world.client.post(f"{path}/preview", json=ending, headers=first), 200)
    expect(await staff_post(world, first, path, ending | {"preview_hash": shown["preview_hash"]}), 200)
    assert not await checks.push_customer(world.ctx, connection_id, directory, bea.customer_id)
    assert [state for _, state, _ in await links_of(bea.customer_id)] == ["ended", "ended"]
    assert await wrong_rows(world) == []


async def test_a_preview_that_is_no_longer_true_links_nothing(world: World) -> None:
    till = await Till.of(world)
    ana = await world.sign_up()
    await till.send(record("p-1", email=None))
    manager = await world.staff_headers("manager")
    wish = {"record_id": str(await record_id("p-1")), "attestation": "saw_id"}
    path = f"/v1/staff/customers/{ana.customer_id}/links"
    shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=manager), 200)
    await till.sell("p-1")
    late = await staff_post(world, manager, path, wish | {"preview_hash": shown["preview_hash"]})
    assert problem(late)[1] == "PREVIEW_STALE"
    assert await links_of(ana.customer_id) == []


@pytest.mark.parametrize("take_back", [False, True])
async def test_a_link_that_was_wrong_is_ended_and_stays_ended(world: World, take_back: bool) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "p-1")
    ana = await world.sign_up()
    await run_checks(world)
    await till.sell("p-1")
    by_card = sale(world, card=ana.card_number)
    expect(await till.post("/v1/pos/orders", by_card), 201)
    manager = await world.staff_headers("manager")
    links = expect(await world.client.get(f"/v1/staff/customers/{ana.customer_id}/links", headers=manager), 200)
    assert (links["state"], links["links"][0]["aliases"]) == ("linked", [])
    path = f"/v1/staff/links/{links['links'][0]['id']}/end"
    wish = {"reason": "another Ana", "take_back_orders": take_back}
    shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=manager), 200)
    assert (shown["orders"], shown["points_taken"]) == ((1, 12) if take_back else (0, 0))
    assert await balance_of(ana) == 24
    expect(await staff_post(world, manager, path, wish | {"preview_hash": shown["preview_hash"]}), 200)
    assert await balance_of(ana) == (12 if take_back else 24)
    # The address still fits, and yet it is not linked again by itself, but by staff, which brings everything back.
    await service.ask_check(world.ctx, ana.customer_id)
    await run_checks(world)
    assert (await state_of(ana.customer_id), await till.sell("p-1"))[1]["points"] == 0
    path = f"/v1/staff/customers/{ana.customer_id}/link-doctor"
    found = expect(await world.client.get(path, headers=manager), 200)["findings"]
    assert any("was taken from this customer" in one["detail"] for one in found)
    # Nor to whom the customer is merged into, whose the address is then.
    bea = await world.sign_up("bea@shop.test")
    async with DB.transaction():
        await DB.fetch(
            "update customer set status = 'merged', merged_into = $2 where id = $1", ana.customer_id, bea.customer_id
        )
        assert await store.list_candidates(["ana@shop.test"], bea.customer_id) == []
        await DB.fetch("update customer set status = 'active', merged_into = null where id = $1", ana.customer_id)
    expect(await link(world, manager, ana.customer_id, {"record_id": str(await record_id("p-1"))}), 201)
    assert await balance_of(ana) == 36
    assert await wrong_rows(world) == []


async def test_a_customer_is_made_of_a_free_record_with_nothing_proven(world: World) -> None:
    till = await Till.of(world)
    await add_rules(world, points=1, per_minor=100, bonuses=BonusRules(sign_up=50))
    await settled_record(world, till, "p-1", phone="+44 20 7946 0018")
    await till.sell("p-1")
    cashier = await world.staff_headers()
    path = f"/v1/staff/pos-records/{await record_id('p-1')}/customer"
    taken = expect(await staff_post(world, cashier, path, {"reason": "known for years"}), 201)
    assert (taken["effect"]["points"], bool(taken["card_number"])) == (12, True)
    rows = await DB.fetch(
        "select kind, status from contact_point where customer = $1 order by kind", taken["customer_id"]
    )
    assert [tuple(row) for row in rows] == [("email", "unverified"), ("phone", "unverified")]
    assert problem(await staff_post(world, cashier, path, {}))[1] == "LINK_TAKEN"
    # The person signs up with that address later, and everything is there; the welcome was given with the membership.
    ana = await world.sign_up()
    assert (str(ana.customer_id), await balance_of(ana)) == (taken["customer_id"], 62)
    await till.send(record("p-2"))
    path = f"/v1/staff/pos-records/{await record_id('p-2')}/customer"
    assert problem(await staff_post(world, cashier, path, {}))[1] == "DUPLICATE_CONTACT"
    # What is worth more than a cashier may link is for a manager to take.
    await till.send(record("rich", email=None))
    await till.sell("rich", lines=[{"line_id": "1", "net_minor": (LINK_POINTS_ALONE_MAX + 1) * 100}])
    path = f"/v1/staff/pos-records/{await record_id('rich')}/customer"
    assert problem(await staff_post(world, cashier, path, {}))[1] == "NOT_PERMITTED"
    expect(await staff_post(world, await world.staff_headers("manager"), path, {}), 201)


async def test_two_staff_at_once_link_a_record_to_one_customer_only(world: World) -> None:
    till = await Till.of(world)
    await till.send(record("p-1", email=None))
    await till.sell("p-1")
    people = [await world.sign_up(f"m{number}@shop.test") for number in range(4)]
    manager = await world.staff_headers("manager")
    wish = {"record_id": str(await record_id("p-1")), "attestation": "saw_id"}
    wishes = []
    for person in people:
        path = f"/v1/staff/customers/{person.customer_id}/links"
        shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=manager), 200)
        wishes += [(path, wish | {"preview_hash": shown["preview_hash"]})] * 2
    answers = await asyncio.gather(*(staff_post(world, manager, path, body) for path, body in wishes))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert sum([await balance_of(person) for person in people]) == 12
    assert await wrong_rows(world) == []


async def test_sales_that_come_while_their_record_is_linked_all_count(world: World) -> None:
    till = await Till.of(world)
    ana = await world.sign_up()
    await till.send(record("p-1", email=None))
    manager = await world.staff_headers("manager")
    wish = {"record_id": str(await record_id("p-1")), "attestation": "saw_id"}
    # No orders yet, so that the preview stays true until the first of them is there; a stale one is looked at again.

    async def link_it() -> None:
        for _ in range(30):
            if (await link(world, manager, ana.customer_id, wish)).status_code == 201:
                return
        raise AssertionError("never linked")

    batch = {"orders": [sale(world, customer={"pos_customer_id": "p-1"}) for _ in range(5)]}
    await asyncio.gather(
        *(till.sell("p-1") for _ in range(10)), link_it(), till.post("/v1/pos/orders/batch", batch),
        *(till.sell("p-1") for _ in range(10)),
    )  # fmt: skip
    assert await balance_of(ana) == 25 * 12
    assert await DB.fetch_value("select count(*) from orders where customer is null") == 0
    assert await wrong_rows(world) == []


async def test_what_a_person_decided_about_an_order_stays_when_its_record_is_linked(world: World) -> None:
    till = await Till.of(world)
    ana, ben = await world.sign_up(), await world.sign_up("ben@shop.test")
    await till.send(record("p-1", email=None))
    order = await till.sell("p-1")
    manager = await world.staff_headers("manager")
    path = f"/v1/staff/orders/{order['order_id']}/assignment"
    wish = {"customer_id": str(ben.customer_id), "reason": "Ben paid"}
    shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=manager), 200)
    expect(await staff_post(world, manager, path, wish | {"preview_hash": shown["preview_hash"]}), 200)
    await till.sell("p-1")
    await link(world, manager, ana.customer_id, {"record_id": str(await record_id("p-1")), "attestation": "saw_id"})
    assert (await balance_of(ana), await balance_of(ben)) == (12, 12)
    found = expect(await world.client.get(f"/v1/staff/customers/{ana.customer_id}/link-doctor", headers=manager), 200)[
        "findings"
    ]
    assert [(one["cause"], one["fix"]["action"]) for one in found] == [("elsewhere", "assign")]


async def test_refunds_before_the_link_are_minded_by_it(world: World) -> None:
    till = await Till.of(world)
    ana = await world.sign_up()
    await till.send(record("p-1", email=None))
    body = sale(world, customer={"pos_customer_id": "p-1"})
    expect(await till.post("/v1/pos/orders", body), 201)
    refund = {
        "external_id": "r-1", "original_order": body["external_id"], "store": "high-street", "currency": "GBP",
        "completed_at": world.clock.now().isoformat(), "lines": [{"line_id": "2", "quantity": "1.5"}],
    }  # fmt: skip
    expect(await till.post("/v1/pos/refunds", refund), 201)
    manager = await world.staff_headers("manager")
    await link(world, manager, ana.customer_id, {"record_id": str(await record_id("p-1")), "attestation": "saw_id"})
    assert await balance_of(ana) == 8
    assert await wrong_rows(world) == []


async def test_links_move_with_a_merge_and_back(world: World) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "p-1")
    await settled_record(world, till, "p-2", email="bea@shop.test")
    ana, bea = await world.sign_up(), await world.sign_up("bea@shop.test")
    await run_checks(world)
    async with DB.transaction():
        moved = await service.move_links(world.ctx, from_customer=bea.customer_id, to_customer=ana.customer_id)
    assert len(moved.link_ids) == 1
    assert sorted(await links_of(ana.customer_id)) == [("p-1", "linked", "email"), ("p-2", "linked", "email")]
    await till.sell("p-2")
    assert (await balance_of(ana), await balance_of(bea)) == (12, 0)
    async with DB.transaction():
        await service.move_back(world.ctx, moved=moved, from_customer=ana.customer_id, to_customer=bea.customer_id)
    assert await links_of(bea.customer_id) == [("p-2", "linked", "email")]
    assert await reviews_of(ana.customer_id) == []


async def test_what_waited_for_a_person_waits_no_longer_for_who_was_merged(world: World) -> None:
    till = await Till.of(world)
    p_1 = await settled_record(world, till, "p-1")
    await till.send(record("rich", email=None))
    await till.sell("rich", lines=[{"line_id": "1", "net_minor": (LINK_POINTS_ALONE_MAX + 1) * 100}])
    manager = await world.staff_headers("manager")
    ben = await world.sign_up("ben@shop.test")
    expect(await link(world, manager, ben.customer_id, {"record_id": str(p_1), "attestation": "saw_id"}), 201)
    ana = await world.sign_up()
    await run_checks(world)
    assert await reviews_of(ana.customer_id) == ["taken"]
    rich = {"record_id": str(await record_id("rich")), "attestation": "saw_id"}
    for person in (ana, ben):
        expect(await link(world, manager, person.customer_id, rich), 201)
    async with DB.transaction():
        await service.move_links(world.ctx, from_customer=ana.customer_id, to_customer=ben.customer_id)
    # They are one person, as the review had asked, and one wish is enough.
    assert await reviews_of(ana.customer_id) == []
    assert await links_of(ana.customer_id) == [("rich", "ended", "staff_attest")]
    assert await links_of(ben.customer_id) == [("p-1", "linked", "staff_attest"), ("rich", "waiting", "staff_attest")]


async def test_a_batch_takes_each_record_by_itself_and_the_last_word_counts(world: World) -> None:
    till = await Till.of(world)
    future = (world.clock.now() + timedelta(days=1)).isoformat()
    batch = {
        "customers": [
            record("p-1", email="one@shop.test"),
            record("p-1", email="two@shop.test"),
            record("p-2", changed_at=future),
            record("p-3", former_ids=["p-3"]),
            record("p-4", former_ids=["p-1"], **since(world)),
        ]
    }
    answer = expect(await till.post("/v1/pos/customers/batch", batch), 200)
    assert (answer["accepted"], answer["refused"]) == (3, 2)
    told = [(one["record"] or {}).get("outcome") or one["problem"]["errors"][0]["field"] for one in answer["results"]]
    assert told == ["new", "changed", "changed_at", "former_ids", "new"]
    rows = await DB.fetch("select external_id, email_key, merged_into is not null as alias from pos_record order by 1")
    assert [tuple(row) for row in rows] == [("p-1", "two@shop.test", True), ("p-4", "ana@shop.test", False)]
    again = expect(await till.post("/v1/pos/customers/batch", {"customers": batch["customers"][4:]}), 200)
    assert again["results"][0]["record"]["outcome"] == "unchanged"
    # Another till system's id of the same text is another record.
    other = await Till.of(world, "second")
    assert (await other.send(record("p-4")))["outcome"] == "new"


async def test_what_somebodys_points_paid_for_changes_hands_by_no_link(world: World) -> None:
    till = await Till.of(world)
    manager = await world.staff_headers("manager")
    ana, ben = await world.sign_up(), await world.sign_up("ben@shop.test")
    await till.send(record("p-1", email=None))
    await till.sell("p-1")

    expect(await Counter(world, ana, till.headers, manager).put_terms(card_daily_points=100_000), 200)

    async def pay(member: SignedUp) -> None:
        counter = Counter(world, member, till.headers, manager)
        await credit(world, member.membership_id, 1_000)
        body = sale(world, customer={"pos_customer_id": "p-1"})
        hold = expect(await counter.hold(300, sale=body["external_id"], total=1_234), 201)
        expect(await push(world, till.headers, body), 201)
        expect(await counter.capture(hold, sale=body["external_id"]), 200)

    await pay(ben)
    await pay(ana)
    path = f"/v1/staff/customers/{ana.customer_id}/links"
    wish = {"record_id": str(await record_id("p-1")), "attestation": "saw_id"}
    shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=manager), 200)
    assert "1 order stays as it is, as somebody else's points or voucher paid." in shown["warnings"]
    made = expect(await staff_post(world, manager, path, wish | {"preview_hash": shown["preview_hash"]}), 201)
    assert made["effect"] == shown["effect"]
    assert (made["effect"]["orders_counted"], made["effect"]["points"]) == (2, 24)
    assert made["effect"]["skipped"] == [{"reason": "paid_by_others", "orders": 1}]
    assert (await balance_of(ana), await balance_of(ben)) == (724, 700)
    # What Ana paid with her own points is hers, whatever becomes of the link.
    path = f"/v1/staff/links/{made['link']['id']}/end"
    wish = {"reason": "another Ana", "take_back_orders": True}
    shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=manager), 200)
    assert (shown["orders"], shown["points_taken"]) == (1, 12)
    expect(await staff_post(world, manager, path, wish | {"preview_hash": shown["preview_hash"]}), 200)
    assert await balance_of(ana) == 712
    assert await wrong_rows(world) == []


async def test_whoever_is_told_of_a_link_can_end_it_and_what_came_with_it_is_held(world: World) -> None:
    till = await Till.of(world)
    manager = await world.staff_headers("manager")
    await settled_record(world, till, "p-1")
    await till.sell("p-1")
    ana = await world.sign_up()
    await run_checks(world)
    token = (await world.mail_to("ana@shop.test", purpose="link-not-me")).token
    assert "This was not me" in (await world.client.get("/links/link-not-me")).text
    assert await links_of(ana.customer_id) == [("p-1", "linked", "email")]
    answer = expect(await world.client.post("/v1/links/dispute", json={"token": token}), 200)
    assert answer == {
        "redemption_held_until": (world.clock.now() + timedelta(days=7)).isoformat().replace("+00:00", "Z")
    }
    again = await world.client.post("/v1/links/dispute", json={"token": token})
    assert problem(again)[1] == "TOKEN_EXPIRED"
    held = "select redemption_held_until from customer where id = $1"
    assert await DB.fetch_value(held, ana.customer_id) == world.clock.now() + timedelta(days=7)
    await service.ask_check(world.ctx, ana.customer_id)
    await run_checks(world)
    # It is over, stays over, and a person looks; until then the purchase stays where it is, and the next one is nobody's.
    assert await links_of(ana.customer_id) == [("p-1", "ended", "email")]
    assert (await reviews_of(ana.customer_id), await balance_of(ana)) == (["disputed"], 12)
    assert (await till.sell("p-1"))["points"] == 0
    links = expect(await world.client.get(f"/v1/staff/customers/{ana.customer_id}/links", headers=manager), 200)
    path = f"/v1/staff/links/{links['links'][0]['id']}/end"
    keep = {"reason": "not hers", "take_back_orders": False}
    assert problem(await staff_post(world, manager, f"{path}/preview", keep))[1] == "LINK_OVER"
    wish = {"reason": "not hers", "take_back_orders": True}
    # Of somebody who was merged meanwhile nothing could be taken, as the purchases went along.
    ben = await world.sign_up("ben@shop.test")
    merge = "update customer set status = $3, merged_into = $2 where id = $1"
    await DB.fetch(merge, ana.customer_id, ben.customer_id, "merged")
    assert problem(await world.client.post(f"{path}/preview", json=wish, headers=manager))[1] == "CUSTOMER_MERGED"
    await DB.fetch(merge, ana.customer_id, None, "active")
    shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=manager), 200)
    expect(await staff_post(world, manager, path, wish | {"preview_hash": shown["preview_hash"]}), 200)
    assert (await reviews_of(ana.customer_id), await balance_of(ana)) == ([], 0)
    # Linked again by staff, its orders are those of the new link, and the one that is over takes none of them.
    expect(await link(world, manager, ana.customer_id, {"record_id": str(await record_id("p-1"))}), 201)
    assert await balance_of(ana) == 24
    assert problem(await world.client.post(f"{path}/preview", json=wish, headers=manager))[1] == "LINK_OVER"
    assert await wrong_rows(world) == []


async def test_what_is_to_be_decided_goes_along_with_a_merge_and_back(world: World) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "p-1")
    await till.sell("p-1")
    ana, ben = await world.sign_up(), await world.sign_up("ben@shop.test")
    await settled_record(world, till, "p-2", email="cy@shop.test")
    await settled_record(world, till, "p-3", email="dee@shop.test")
    cy, dee = await world.sign_up("cy@shop.test"), await world.sign_up("dee@shop.test")
    await run_checks(world)
    token = (await world.mail_to(ana.email, purpose="link-not-me")).token
    expect(await world.client.post("/v1/links/dispute", json={"token": token}), 200)
    await till.send(record("p-2", email="cy@shop.test", former_ids=["p-3"]))
    assert (await reviews_of(ana.customer_id), await reviews_of(dee.customer_id)) == (["disputed"], ["merged_in_pos"])
    world.advance(timedelta(days=8))  # What is held is not merged.
    desk = await MergeDesk.open(world)

    done = await desk.merged(ben.customer_id, ana.customer_id)
    assert (await reviews_of(ana.customer_id), await reviews_of(ben.customer_id)) == ([], ["disputed"])
    assert await links_of(ben.customer_id) == [("p-1", "ended", "email")]
    expect(await desk.unmerge(done["id"]), 200)
    assert (await reviews_of(ana.customer_id), await reviews_of(ben.customer_id)) == (["disputed"], [])
    await desk.merged(ben.customer_id, ana.customer_id)
    # Whom it is decided for is who has the purchases now.
    links = expect(await world.client.get(f"/v1/staff/customers/{ben.customer_id}/links", headers=desk.headers), 200)
    path, wish = f"/v1/staff/links/{links['links'][0]['id']}/end", {"reason": "not hers", "take_back_orders": True}
    shown = expect(await desk.post(f"{path}/preview", wish), 200)
    assert (shown["orders"], shown["points_taken"]) == (1, 12)
    expect(await desk.post(path, wish | {"preview_hash": shown["preview_hash"]}), 200)
    assert (await reviews_of(ben.customer_id), await balance_of(ben)) == ([], 0)

    # The till was right: its two records are one person's.
    done = await desk.merged(cy.customer_id, dee.customer_id)
    assert (await reviews_of(cy.customer_id), await reviews_of(dee.customer_id)) == ([], [])
    expect(await desk.unmerge(done["id"]), 200)
    assert await reviews_of(dee.customer_id) == ["merged_in_pos"]
    assert await wrong_rows(world) == []


async def test_a_sale_that_races_the_end_of_its_link_counts_for_nobody_in_the_end(world: World) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "p-1")
    ana = await world.sign_up()
    await run_checks(world)
    await till.sell("p-1")
    manager = await world.staff_headers("manager")
    links = expect(await world.client.get(f"/v1/staff/customers/{ana.customer_id}/links", headers=manager), 200)
    path, wish = f"/v1/staff/links/{links['links'][0]['id']}/end", {"reason": "another Ana", "take_back_orders": True}
    shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=manager), 200)
    async with asyncio.TaskGroup() as group, DB.transaction():
        await DB.fetch("select from membership where id = $1 for update", ana.membership_id)
        sent = staff_post(world, manager, path, wish | {"preview_hash": shown["preview_hash"]})
        ending = group.create_task(sent, context=contextvars.Context())
        await until_somebody_waits()
        # The sale has looked at the link, and waits for whoever ends it.
        sale_task = group.create_task(till.sell("p-1"), context=contextvars.Context())
        await until_somebody_waits(2)
    expect(ending.result(), 200)
    assert sale_task.result()["order_id"]
    await run_checks(world)
    assert await balance_of(ana) == 0
    assert await DB.fetch_value("select count(*) from orders where customer is not null") == 0
    assert await wrong_rows(world) == []


async def test_a_link_with_very_many_orders_goes_on_in_steps_until_all_are_there_and_all_are_gone(world: World) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "p-1")
    first = await till.sell("p-1")
    many = LINK_ORDERS_MAX + 3
    await _multiply(first, many)
    ana = await world.sign_up()
    await run_checks(world)
    link_row = "select id, orders_found, orders_counted, points from pos_link"
    row = await DB.fetch_row(link_row)
    assert row is not None
    assert tuple(row)[1:] == (many, many, many * 12)
    assert await balance_of(ana) == many * 12
    # Taken back in smaller steps, of which the preview tells the whole; enough orders for two are left.
    await DB.fetch(
        "update orders set assignment_reason = 'staff' where completed_at > $1", await _nth(LINK_TAKE_BACK_MAX + 2)
    )
    manager = await world.staff_headers("manager")
    path = f"/v1/staff/links/{row['id']}/end"
    wish = {"reason": "another Ana", "take_back_orders": True}
    shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=manager), 200)
    assert (shown["orders"], shown["points_taken"]) == (LINK_TAKE_BACK_MAX + 2, (LINK_TAKE_BACK_MAX + 2) * 12)
    expect(await staff_post(world, manager, path, wish | {"preview_hash": shown["preview_hash"]}), 200)
    assert await balance_of(ana) == (many - LINK_TAKE_BACK_MAX) * 12
    await world.run_jobs()
    assert await balance_of(ana) == (many - LINK_TAKE_BACK_MAX - 2) * 12
    assert await wrong_rows(world) == []


async def test_of_more_orders_than_are_looked_at_two_people_decide_and_nobody_is_told_that_none_counts(
    world: World,
) -> None:
    till = await Till.of(world)
    manager, second = await world.staff_headers("manager"), await world.staff_headers("manager")
    ana, ben = await world.sign_up(), await world.sign_up("ben@shop.test")
    await run_checks(world)
    await till.send(record("p-1", email=None))
    # One of those that are looked at was paid for by somebody else, and so stays out of the sum.
    counter = Counter(world, ben, till.headers, manager)
    expect(await counter.put_terms(card_daily_points=100_000), 200)
    await credit(world, ben.membership_id, 1_000)
    before = (world.clock.now() - timedelta(days=30)).isoformat()
    body = sale(world, customer={"pos_customer_id": "p-1"}, completed_at=before)
    hold = expect(await counter.hold(300, sale=body["external_id"], total=1_234), 201)
    expect(await push(world, till.headers, body), 201)
    expect(await counter.capture(hold, sale=body["external_id"]), 200)
    await _multiply(await till.sell("p-1", completed_at=before), LINK_ORDERS_MAX)
    await till.sell("p-1")
    wish = {"record_id": str(await record_id("p-1")), "attestation": "saw_id"}
    made = expect(await link(world, manager, ana.customer_id, wish), 201)
    assert made["link"]["state"] == "waiting"
    expect(await grant(world, second, made["link"]["id"]), 200)
    await run_checks(world)
    assert await balance_of(ana) == 12
    (told,) = [mail.text for mail in await world.mails_to("ana@shop.test") if "purchases" in mail.subject]
    assert "Points so far: 0." in " ".join(told.split())
    assert await wrong_rows(world) == []


async def _multiply(order: dict[str, Any], number: int) -> None:
    """Let there be so many orders like one, a millisecond apart."""
    sql = """
    with made as (
        insert into orders
        select (jsonb_populate_record(o, jsonb_build_object(
            'id', gen_random_uuid(), 'external_id', 'o-' || n, 'completed_at', o.completed_at + n * interval '1 ms'))).*
        from orders o, generate_series(2, $2::int) n where o.id = $1
        returning id
    )
    insert into order_line
    select (jsonb_populate_record(l, jsonb_build_object('id', gen_random_uuid(), 'order', made.id))).*
    from made, order_line l where l."order" = $1
    """
    await DB.fetch(sql, UUID(order["order_id"]), number)


async def _nth(number: int) -> datetime:
    found = await DB.fetch_value("select completed_at from orders order by completed_at offset $1 limit 1", number - 1)
    assert isinstance(found, datetime)
    return found
