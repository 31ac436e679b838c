"""Registering at the till: who is alike is seen while typing, the sale that is going on counts, and a till may be late."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from server.db.engine import DB
from server.db.ids import new_id
from shared.enums import Role
from shared.programmes import BonusRules
from tests.app import World, expect, problem
from tests.ledgers import figures
from tests.tills import add_rules, push, sale

_numbers = itertools.count(1)
PHONE = "+44 20 7946 0001"


async def register(world: World, headers: dict[str, str], **fields: Any) -> httpx.Response:  # noqa: ANN401 - JSON
    """Send the form under a key of its own."""
    form = {"given_name": "Bea", "family_name": "Okafor", **fields}
    key = {"Idempotency-Key": f"registering-{next(_numbers):012}"}
    return await world.client.post("/v1/staff/customers", json=form, headers=headers | key)


async def check(world: World, headers: dict[str, str], **typed: str) -> dict[str, Any]:
    """Ask who is alike."""
    answer = await world.client.get("/v1/staff/duplicate-check", params=typed, headers=headers)
    found: dict[str, Any] = expect(answer, 200)
    return found


async def test_the_sale_that_is_going_on_counts_for_whom_it_registers(world: World) -> None:
    headers, till = await world.staff_headers(), await world.pos_key()
    cart = sale(world, state="open")
    opened = expect(await push(world, till, cart), 201)
    world.advance(timedelta(minutes=5))
    done = expect(await register(world, headers, phone=PHONE, order_id=opened["order_id"]), 201)
    assert done["order_points"] == 12
    paid = expect(await push(world, till, cart | {"state": "completed"}), 201)
    assert (paid["points"], paid["skipped_reason"]) == (12, None), "the till knows nobody, and that takes nothing away"
    # A sale of before midnight counts too, but none of another day.
    late = expect(await push(world, till, sale(world)), 201)
    world.advance(timedelta(hours=20))
    headers = await world.staff_headers()
    done = expect(await register(world, headers, phone="+442079460002", order_id=late["order_id"]), 201)
    assert done["order_points"] == 12
    again = await register(world, headers, phone="+442079460003", order_id=late["order_id"])
    assert problem(again)[:2] == (409, "ASSIGNMENT_SAME")
    old = expect(await push(world, till, sale(world)), 201)
    world.advance(timedelta(hours=25))
    headers = await world.staff_headers()
    refused = await register(world, headers, phone="+442079460003", order_id=old["order_id"])
    assert problem(refused)[:2] == (409, "ASSIGNMENT_WINDOW")
    assert await DB.fetch_value("select count(*) from customer") == 2, "what is refused leaves nobody behind"


async def test_a_large_sale_is_for_a_manager(world: World) -> None:
    cashier, till = await world.staff_headers(), await world.pos_key()
    lines = [{"line_id": "1", "description": "Bicycle", "net_minor": 60_000}]
    sold = expect(await push(world, till, sale(world, lines=lines)), 201)
    form = {"phone": PHONE, "order_id": sold["order_id"]}
    assert problem(await register(world, cashier, **form))[:2] == (403, "NOT_PERMITTED")
    assert expect(await register(world, await world.staff_headers(Role.MANAGER), **form), 201)["order_points"] == 600


async def test_a_registration_that_comes_again_under_its_own_id_registers_once(world: World) -> None:
    headers = await world.staff_headers()
    client_id = str(new_id())
    first = expect(await register(world, headers, phone=PHONE, id=client_id), 201)
    assert first["id"] == client_id
    again = expect(await register(world, headers, phone=PHONE, id=client_id), 201)
    assert (again["id"], again["card_number"], again["was_known"]) == (client_id, first["card_number"], True)
    other = await register(world, headers, given_name="Cy", phone="+442079460002", id=client_id)
    assert problem(other) == (400, "INVALID_REQUEST", ["id"])
    assert await DB.fetch_value("select count(*) from customer") == 1


async def test_a_till_that_was_offline_registers_as_of_then_and_never_a_second_time(world: World) -> None:
    headers, till = await world.staff_headers(), await world.pos_key()
    then = world.clock.now()
    sold = expect(await push(world, till, sale(world)), 201)
    world.advance(timedelta(days=2))
    headers = await world.staff_headers()
    late = {"registered_at": then.isoformat(), "consents": {"sms": True}}
    done = expect(await register(world, headers, phone=PHONE, **late), 201)
    event = await DB.fetch_row("select * from consent_event")
    assert event is not None
    assert (event["at"], event["state"], event["source"]) == (then, "opted_in", "till")
    assert event["wording_version"]
    assert event["store"] is not None
    assert event["actor_kind"] == "staff"
    # Another till took down the same person, with the sale: that is one customer, and a note for whoever looks.
    form = {"given_name": "Beatrice", "registered_at": then.isoformat(), "order_id": sold["order_id"]}
    await add_rules(world, points=1, per_minor=100, bonuses=BonusRules(sign_up=50))
    await DB.fetch("update membership_person set left_at = $1, left_reason = 'left'", world.clock.now())
    await DB.fetch("update membership set status = 'closed', closed_at = $1", world.clock.now())
    known = expect(await register(world, headers, phone=PHONE, **form), 201)
    assert (known["id"], known["was_known"], known["order_points"]) == (done["id"], True, 12)
    # A new member by that, who is welcomed like any other.
    assert (await figures(UUID(known["membership_id"])))[0] == 62
    noted = await DB.fetch("select 1 from audit_entry where action = 'customer.registered_again'")
    assert len(noted) == 1
    again = expect(await register(world, headers, phone=PHONE, **form), 201)
    assert again["order_problem"] == "This sale was given to somebody already."
    # An older sale is given by the rules for giving sales, however the person was taken down.
    early = sale(world, completed_at=(then - timedelta(hours=25)).isoformat())
    old = expect(await push(world, till, early), 201)["order_id"]
    told = expect(await register(world, headers, phone=PHONE, **form | {"order_id": old}), 201)
    assert (told["order_points"], "older than 24 hours" in told["order_problem"]) == (None, True)
    ages = await register(world, headers, phone=PHONE, registered_at=(then - timedelta(days=8)).isoformat())
    assert problem(ages) == (400, "TIME_OUT_OF_RANGE", ["registered_at"])


async def test_a_proven_address_or_a_card_is_one_persons_and_an_unproven_one_may_be_a_familys(world: World) -> None:
    headers = await world.staff_headers()
    ana = await world.sign_up("ana@shop.test")
    for fields in ({"email": "Ana@Shop.test"}, {"card_number": ana.card_number}):
        refused = await register(world, headers, **fields, is_another_person=True)
        assert problem(refused)[:2] == (409, "DUPLICATE_CONTACT")
        assert refused.json()["data"] == {"customer_id": str(ana.customer_id), "is_certain": True}
    first = expect(await register(world, headers, phone=PHONE), 201)
    refused = await register(world, headers, given_name="Ben", phone=PHONE)
    assert refused.json()["data"] == {"customer_id": first["id"], "is_certain": False}
    second = expect(await register(world, headers, given_name="Ben", phone=PHONE, is_another_person=True), 201)
    assert second["id"] != first["id"]


async def test_consent_obeys_its_address_and_is_off_unless_said(world: World) -> None:
    headers = await world.staff_headers()
    assert problem(await register(world, headers, phone=PHONE, consents={"email": True}))[1] == "CONSENT_NEEDS_EMAIL"
    refused = await register(world, headers, email="bea@shop.test", consents={"sms": True})
    assert problem(refused)[1] == "CONSENT_NEEDS_PHONE"
    expect(await register(world, headers, phone=PHONE), 201)
    assert await DB.fetch_value("select count(*) from consent_event") == 0


async def test_who_is_alike_is_shown_while_typing(world: World) -> None:
    headers = await world.staff_headers()
    ana = await world.sign_up("ana@shop.test")
    fields = {"post_code": "SW1A 1AA", "postal_address": "1 High Street, London", "birthday": {"month": 5, "day": 17}}
    bea = expect(await register(world, headers, phone=PHONE, **fields), 201)
    shown = expect(await world.client.get(f"/v1/staff/customers/{bea['id']}", headers=headers), 200)
    assert (shown["post_code"], shown["postal_address"]) == ("SW1A 1AA", "1 High Street, London")
    exact = (await check(world, headers, email="ANA@shop.test", phone="020 7946 0001"))["exact"]
    assert [(one["id"], one["reasons"], one["is_certain"]) for one in exact] == [
        (str(ana.customer_id), ["email"], True),
        (bea["id"], ["phone"], False),
    ]
    assert exact[0]["email_masked"] == "a…@shop.test"
    for typed, reasons in (
        ({"name": "Beatrix Okafor", "post_code": "sw1a1aa"}, ["similar_name", "post_code"]),
        ({"name": "okafor bea"}, ["name"]),
        ({"name": "Bea Okafr", "birthday": "05-17"}, ["similar_name", "birthday"]),
        ({"name": "Bea Oka", "post_code": "SW1A 1AA"}, ["similar_name", "post_code"]),
    ):
        assert [(one["id"], one["reasons"]) for one in (await check(world, headers, **typed))["near"]] == [
            (bea["id"], reasons)
        ], typed
    for nobody in (
        {"name": "Carl Meyer", "post_code": "SW1A 1AA"},
        {"name": "Bea Okafr"},
        {"post_code": "SW1A 1AA"},
        {"email": "ana@", "phone": "0", "birthday": "99-99", "name": "%_'"},
    ):
        assert await check(world, headers, **nobody) == {"exact": [], "near": []}, nobody
    auditor = await world.staff_headers(Role.AUDITOR)
    refused = await world.client.get("/v1/staff/duplicate-check", headers=auditor)
    assert problem(refused)[:2] == (403, "NOT_PERMITTED")


async def test_one_registration_sent_by_many_at_once_registers_once(world: World) -> None:
    headers = await world.staff_headers()
    client_id = str(new_id())
    answers = await asyncio.gather(*(register(world, headers, phone=PHONE, id=client_id) for _ in range(32)))
    assert {answer.status_code for answer in answers} <= {201, 503}
    assert {answer.json()["id"] for answer in answers if answer.status_code == 201} == {client_id}
    assert await DB.fetch_value("select count(*) from customer") == 1
    assert await DB.fetch_value("select count(*) from membership") == 1
