"""What staff do for a customer: register, look, edit, invite."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from server.db.engine import DB
from server.db.ids import new_id
from server.memberships.service import print_cards
from shared.enums import Role
from shared.limits import VIEWS_MAX
from tests.app import PASSWORD, START_AT, World, expect, problem
from tests.server.email_changes.builders import dump, keyed

PHONE = "07911 123456"


async def register(world: World, headers: dict[str, str], **fields: object) -> httpx.Response:
    form = {"given_name": "Ana", "family_name": "Flores", **fields}
    return await world.client.post("/v1/staff/customers", json=form, headers=keyed(headers))


async def detail_of(world: World, customer_id: object, headers: dict[str, str] | None = None) -> dict[str, Any]:
    headers = headers or await world.staff_headers(Role.MANAGER)
    shown: dict[str, Any] = expect(await world.client.get(f"/v1/staff/customers/{customer_id}", headers=headers), 200)
    return shown


async def edit(world: World, customer_id: object, headers: dict[str, str], **fields: object) -> httpx.Response:
    return await world.client.patch(f"/v1/staff/customers/{customer_id}", json=fields, headers=headers)


async def invite(world: World, customer_id: object, headers: dict[str, str]) -> httpx.Response:
    return await world.client.post(f"/v1/staff/customers/{customer_id}/invitations", headers=headers)


# Registration ---------------------------------------------------------------------------------------------------------


async def test_a_registered_customer_has_a_membership_and_a_card_that_scans(world: World) -> None:
    headers = await world.staff_headers(Role.CASHIER)
    done = expect(await register(world, headers, phone=PHONE, notes=" likes oat milk "), 201)
    till = await world.pos_key()
    scanned = await world.client.get("/v1/pos/lookup", params={"card": done["card_number"]}, headers=till)
    assert expect(scanned, 200)["customer_id"] == done["id"]
    shown = await detail_of(world, done["id"])
    assert (shown["status"], shown["has_login"], shown["enrolled_source"]) == ("active", False, "till")
    assert (shown["email"], shown["phone_status"], shown["notes"]) == (None, "unverified", "likes oat milk")
    assert [membership["id"] for membership in shown["memberships"]] == [done["membership_id"]]
    assert done["invited_by"] == "sms"


async def test_an_email_address_gets_an_invitation_and_nobody_else_chooses_the_password(world: World) -> None:
    headers = await world.staff_headers(Role.CASHIER)
    done = expect(await register(world, headers, email="ana@shop.test"), 201)
    assert done["invited_by"] == "email"
    mail = await world.mail_to("ana@shop.test", purpose="invitation")
    form = {"token": mail.token, "new_password": PASSWORD}
    expect(await world.client.post("/v1/password-resets/confirm", json=form), 204)
    tokens = expect(await world.sign_in("ana@shop.test"), 201)
    me = await world.client.get("/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert expect(me, 200)["id"] == done["id"], "the same customer, no second account"


async def test_a_printed_card_is_registered_and_an_unknown_one_refused(world: World) -> None:
    headers = await world.staff_headers(Role.CASHIER)
    assert problem(await register(world, headers, card_number="29000000000001"))[:2] == (400, "CARD_UNKNOWN")
    await DB.fetch(
        "insert into card (id, code, status, issued_at) values ($1, '29000000000001', 'issued', $2)", new_id(), START_AT
    )
    done = expect(await register(world, headers, card_number="2900-0000 000001"), 201)
    assert done["card_number"] == "29000000000001"


async def test_at_least_one_of_email_phone_and_card_is_needed(world: World) -> None:
    answer = await register(world, await world.staff_headers(Role.CASHIER))
    assert problem(answer) == (400, "INVALID_REQUEST", ["email"])


@pytest.mark.parametrize("known", ["email", "phone", "card_number"])
async def test_whoever_is_known_already_is_not_registered_twice(world: World, known: str) -> None:
    headers = await world.staff_headers(Role.CASHIER)
    first = expect(await register(world, headers, email="ana@shop.test", phone=PHONE), 201)
    again = {"email": "ANA@shop.test", "phone": "+44 7911 123 456", "card_number": first["card_number"]}[known]
    before = await dump(world)
    answer = await register(world, headers, **{known: again})
    assert problem(answer)[:2] == (409, "DUPLICATE_CONTACT")
    assert answer.json()["data"]["customer_id"] == first["id"]
    assert await dump(world) == before


async def test_eight_tills_registering_one_person_at_once_make_one_customer(world: World) -> None:
    headers = await world.staff_headers(Role.CASHIER)
    answers = await asyncio.gather(
        *(register(world, headers, email="ana@shop.test", phone=PHONE) for _ in range(4)),
        *(register(world, headers, phone=PHONE) for _ in range(4)),
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert await DB.fetch_value("select count(*) from customer") == 1


async def test_the_same_form_sent_twice_with_one_key_makes_one_customer(world: World) -> None:
    headers = keyed(await world.staff_headers(Role.CASHIER))
    form = {"given_name": "Ana", "phone": PHONE}
    answers = [await world.client.post("/v1/staff/customers", json=form, headers=headers) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert await DB.fetch_value("select count(*) from customer") == 1


async def test_a_yes_is_kept_with_staff_store_words_and_time_and_silence_is_no_answer(world: World) -> None:
    staff_id = await world.add_staff(Role.CASHIER)
    headers = await world.staff_headers(staff_id=staff_id)
    consents = {"email": True, "sms": True}
    expect(await register(world, headers, email="ana@shop.test", phone=PHONE, consents=consents), 201)
    expect(await register(world, headers, email="ben@shop.test"), 201)
    rows = await DB.fetch(
        "select e.channel, state, source, actor_kind, actor_id, s.code, e.at, w.wording is not null as worded "
        "from consent_event e join store s on s.id = e.store join consent_wording w on w.version = e.wording_version "
        "order by e.channel"
    )
    who = ("till", "staff", staff_id, "high-street", world.clock.now(), True)
    assert [tuple(row) for row in rows] == [("email", "pending", *who), ("sms", "opted_in", *who)]


async def test_a_spoken_no_is_kept_too_and_cannot_stand_beside_a_yes(world: World) -> None:
    headers = await world.staff_headers(Role.CASHIER)
    both = {"consents": {"email": True}, "declined": {"email": True}}
    assert problem(await register(world, headers, email="ana@shop.test", **both))[2] == ["declined.email"]
    declined = {"email": True, "sms": True}
    expect(await register(world, headers, email="ana@shop.test", declined=declined), 201)
    rows = await DB.fetch("select channel, state, source from consent_event")
    assert [tuple(row) for row in rows] == [("email", "opted_out", "till")]


@pytest.mark.parametrize(
    ("contact", "consent", "code"),
    [
        ({"phone": PHONE}, {"email": True}, "CONSENT_NEEDS_EMAIL"),
        ({"email": "ana@shop.test"}, {"sms": True}, "CONSENT_NEEDS_PHONE"),
    ],
)
async def test_consent_needs_its_address(
    world: World, contact: dict[str, str], consent: dict[str, bool], code: str
) -> None:
    headers = await world.staff_headers(Role.CASHIER)
    assert problem(await register(world, headers, **contact, consents=consent))[:2] == (400, code)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"given_name": ""}, "given_name"),
        ({"given_name": "  "}, "given_name"),
        ({"given_name": "A\x1b[2Jna"}, "given_name"),
        ({"given_name": "A\u202ena"}, "given_name"),
        ({"given_name": "x" * 81}, "given_name"),
        ({"email": "ana at shop"}, "email"),
        ({"phone": "12"}, "phone"),
        ({"phone": "not a phone"}, "phone"),
        ({"birthday": {"month": 2, "day": 30}}, "birthday"),
        ({"notes": "x" * 501}, "notes"),
        ({"locale": "english"}, "locale"),
        ({"password": PASSWORD}, "password"),
        ({"status": "active"}, "status"),
        ({"balance": 5}, "balance"),
        ({"consents": {"email": "yes"}}, "consents.email"),
    ],
)
async def test_every_wrong_field_is_named_and_nothing_is_written(
    world: World, fields: dict[str, object], named: str
) -> None:
    headers = await world.staff_headers(Role.CASHIER)
    status, _, found = problem(await register(world, headers, **({"phone": PHONE} | fields)))
    assert (status, list(found)) == (400, [named])
    assert await DB.fetch_value("select count(*) from customer") == 0


async def test_markup_in_a_name_is_kept_as_typed(world: World) -> None:
    headers = await world.staff_headers(Role.CASHIER)
    done = expect(await register(world, headers, given_name="[red]<b>Ana</b>[/]", phone=PHONE), 201)
    assert (await detail_of(world, done["id"]))["given_name"] == "[red]<b>Ana</b>[/]"


# Detail ---------------------------------------------------------------------------------------------------------------


async def test_opening_a_customer_is_written_down(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    staff_id = await world.add_staff(Role.AUDITOR)
    shown = await detail_of(world, member.customer_id, await world.staff_headers(staff_id=staff_id))
    assert (shown["email"], shown["email_status"], shown["has_login"]) == ("ana@shop.test", "verified", True)
    assert [card["code"] for card in shown["cards"]] == [member.card_number]
    row = await DB.fetch_row("select actor_id, customer_id from audit_entry where action = 'customer.viewed'")
    assert row is not None
    assert tuple(row) == (staff_id, member.customer_id)


async def test_a_customer_who_does_not_exist_is_not_found_and_not_written_down(world: World) -> None:
    headers = await world.staff_headers(Role.MANAGER)
    for path in (new_id(), "nonsense"):
        assert (await world.client.get(f"/v1/staff/customers/{path}", headers=headers)).status_code == 404
    assert await DB.fetch_value("select count(*) from audit_entry") == 0


async def test_a_cashier_opens_no_more_customers_within_an_hour_than_anybody_serves(world: World) -> None:
    cashier_id = await world.add_staff(Role.CASHIER)
    cashier = await world.staff_headers(staff_id=cashier_id)
    seen = await world.sign_up("seen@shop.test")
    new = await world.sign_up("new@shop.test")
    await detail_of(world, seen.customer_id, cashier)
    world.advance(timedelta(minutes=10))
    await DB.fetch(
        "insert into audit_entry (id, at, actor_kind, actor_id, action, subject_kind, subject_id) "
        "select regulars_new_id(), $1, 'staff', $2, 'customer.viewed', 'customer', regulars_new_id() "
        "from generate_series(1, $3)",
        world.clock.now(), cashier_id, VIEWS_MAX - 1,
    )  # fmt: skip
    answer = await world.client.get(f"/v1/staff/customers/{new.customer_id}", headers=cashier)
    assert problem(answer)[:2] == (429, "VIEWS_LIMIT")
    assert int(answer.headers["retry-after"]) == 50 * 60
    await detail_of(world, seen.customer_id, cashier)
    await detail_of(world, new.customer_id, await world.staff_headers(Role.MANAGER))
    world.advance(timedelta(hours=1))
    await detail_of(world, new.customer_id, await world.staff_headers(staff_id=cashier_id))


# Edit -----------------------------------------------------------------------------------------------------------------


async def test_an_edit_changes_what_it_names_and_nothing_else(world: World) -> None:
    member = await world.sign_up("ana@shop.test", birthday={"month": 5, "day": 2})
    headers = await world.staff_headers(Role.MANAGER)
    before = await detail_of(world, member.customer_id)
    after = expect(
        await edit(world, member.customer_id, headers, version=before["version"], family_name="Núñez", notes="VIP"), 200
    )
    assert (after["given_name"], after["family_name"], after["notes"]) == ("Ana", "Núñez", "VIP")
    assert after["birthday"]["day"] == 2
    assert after["version"] > before["version"]
    found = await world.client.get("/v1/staff/customers", params={"q": "nunez"}, headers=headers)
    assert [hit["id"] for hit in expect(found, 200)["items"]] == [str(member.customer_id)]


async def test_an_edit_of_what_somebody_else_changed_meanwhile_is_refused(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    headers = await world.staff_headers(Role.MANAGER)
    version = (await detail_of(world, member.customer_id))["version"]
    answers = await asyncio.gather(
        *(edit(world, member.customer_id, headers, version=version, notes=note) for note in ("one", "two"))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert problem(refused)[1] == "VERSION_CONFLICT"


@pytest.mark.parametrize("field", ["email", "phone", "status", "has_login", "password", "redemption_held_until"])
async def test_an_edit_cannot_touch_addresses_credentials_or_status(world: World, field: str) -> None:
    member = await world.sign_up("ana@shop.test")
    headers = await world.staff_headers(Role.MANAGER)
    answer = await edit(world, member.customer_id, headers, version=1, **{field: "x"})
    assert problem(answer) == (400, "INVALID_REQUEST", [field])


async def test_staff_may_not_edit_the_customer_they_are(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    staff_id = await world.add_staff(Role.MANAGER)
    await DB.fetch("update staff_member set customer = $2 where id = $1", staff_id, member.customer_id)
    headers = await world.staff_headers(staff_id=staff_id)
    answer = await edit(world, member.customer_id, headers, version=1, notes="me")
    assert problem(answer)[:2] == (403, "SELF_DEALING")


async def test_a_cashier_edits_nobody(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    headers = await world.staff_headers(Role.CASHIER)
    assert problem(await edit(world, member.customer_id, headers, version=1))[:2] == (403, "NOT_PERMITTED")


# Invitation -----------------------------------------------------------------------------------------------------------


async def test_a_new_invitation_voids_the_older_one(world: World) -> None:
    headers = await world.staff_headers(Role.CASHIER)
    done = expect(await register(world, headers, email="ana@shop.test"), 201)
    first = await world.mail_to("ana@shop.test", purpose="invitation")
    expect(await invite(world, done["id"], headers), 202)
    second = await world.mail_to("ana@shop.test", purpose="invitation")
    answers = [
        await world.client.post("/v1/password-resets/confirm", json={"token": token, "new_password": PASSWORD})
        for token in (first.token, second.token)
    ]
    assert [answer.status_code for answer in answers] == [410, 204]


async def test_a_member_gets_a_reset_link_once_the_address_is_a_day_old(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    headers = await world.staff_headers(Role.CASHIER)
    assert problem(await invite(world, member.customer_id, headers))[:2] == (403, "NOT_PERMITTED")
    world.advance(timedelta(hours=24))
    headers = await world.staff_headers(Role.CASHIER)
    expect(await invite(world, member.customer_id, headers), 202)
    mail = await world.mail_to("ana@shop.test", purpose="password-reset")
    form = {"token": mail.token, "new_password": "another-kettle-92-swans"}
    expect(await world.client.post("/v1/password-resets/confirm", json=form), 204)


async def test_invitations_to_one_address_are_limited(world: World) -> None:
    headers = await world.staff_headers(Role.CASHIER)
    done = expect(await register(world, headers, email="ana@shop.test"), 201)
    statuses = [(await invite(world, done["id"], headers)).status_code for _ in range(6)]
    assert statuses == [202] * 5 + [429]


async def test_a_customer_without_an_address_cannot_be_invited(world: World) -> None:
    headers = await world.staff_headers(Role.CASHIER)
    (card,) = await print_cards(world.ctx, 1)
    done = expect(await register(world, headers, card_number=card), 201)
    assert done["invited_by"] is None
    assert problem(await invite(world, done["id"], headers))[:2] == (404, "NOT_FOUND")
