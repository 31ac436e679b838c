"""Sign-up: the same answer for every address, nothing counts before the proof, one person stays one customer."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from server.customers import store as customers
from server.db.engine import DB
from server.memberships.service import open_membership
from shared.limits import FORMS_PER_NETWORK, MAILS_PER_ADDRESS, SIGNUP_LINK_LIFE
from tests.app import PASSWORD, World, expect, problem
from tests.server.sessions.counting import CountingPasswords

OTHER_PASSWORD = "nine-otters-juggle-91"


async def known_customer(world: World, email: str = "ana@shop.test", *, status: str = "active") -> UUID:
    """Register a customer as staff do at the till: an address that nobody has proved."""
    async with DB.transaction():
        customer_id = await customers.insert_customer(
            world.ctx, given_name="Anna", family_name="Flores", source="till", status=status
        )
        await customers.insert_contact_point(
            world.ctx, customer_id=customer_id, kind="email", value=email, key=email, verified=False
        )
    return customer_id


async def count(table: str) -> int:
    return int(str(await DB.fetch_value(f"select count(*) from {table}")))


async def confirm(world: World, token: str) -> httpx.Response:
    return await world.client.post("/v1/signup/confirm", json={"token": token})


# The form ---------------------------------------------------------------------------------------------------------------


async def test_the_answer_and_its_size_are_the_same_for_every_address(world: World) -> None:
    await world.sign_up("member@shop.test")
    await known_customer(world, "till@shop.test")
    await world.request_sign_up("waiting@shop.test")
    emails = ("member@shop.test", "till@shop.test", "waiting@shop.test", "nobody@shop.test")
    answers = [await world.request_sign_up(email) for email in emails]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1


async def test_known_and_unknown_addresses_cost_the_same_work(world: World) -> None:
    await world.sign_up("member@shop.test")
    passwords = CountingPasswords()
    world.replace_tools(passwords=passwords)
    costs = []
    for email in ("member@shop.test", "nobody@shop.test"):
        before = [await count(table) for table in ("signup_intent", "one_time_token", "message", "pgqueuer")]
        hashes = passwords.count
        expect(await world.request_sign_up(email), 202)
        after = [await count(table) for table in ("signup_intent", "one_time_token", "message", "pgqueuer")]
        costs.append((passwords.count - hashes, [new - old for new, old in zip(after, before, strict=True)]))
    assert costs == [(1, [1, 1, 1, 1])] * 2


async def test_before_the_proof_there_is_no_account(world: World) -> None:
    expect(await world.request_sign_up("ana@shop.test"), 202)
    assert await count("customer") == await count("login") == await count("contact_point") == 0
    expect(await world.sign_in("ana@shop.test"), 401)


async def test_the_owner_of_a_known_address_is_told_and_nothing_changes(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    expect(await world.request_sign_up("ANA@shop.test", OTHER_PASSWORD, given_name="Mallory"), 202)
    mail = (await world.mails_to(member.email))[-1]
    assert mail.subject == "You already have an account with Our shop"
    assert mail.purpose == "password-reset"
    assert str(mail.message["To"]) == "ana@shop.test"
    assert "Mallory" not in mail.text
    assert problem(await confirm(world, mail.token))[1] == "TOKEN_EXPIRED"
    expect(await world.sign_in(member.email, OTHER_PASSWORD), 401)
    expect(await world.sign_in(member.email), 201)
    me = expect(await world.client.get("/v1/me", headers=member.headers), 200)
    assert me["given_name"] == "Ana"


async def test_signing_up_again_replaces_the_form_that_waits(world: World) -> None:
    expect(await world.request_sign_up("ana@shop.test", PASSWORD, given_name="First"), 202)
    first = await world.mail_to("ana@shop.test", purpose="signup")
    expect(await world.request_sign_up("ana@shop.test", OTHER_PASSWORD, given_name="Second"), 202)
    second = await world.mail_to("ana@shop.test", purpose="signup")
    assert problem(await confirm(world, first.token))[:2] == (410, "TOKEN_EXPIRED")
    expect(await confirm(world, second.token), 201)
    expect(await world.sign_in("ana@shop.test", PASSWORD), 401)
    expect(await world.sign_in("ana@shop.test", OTHER_PASSWORD), 201)


async def test_an_address_gets_a_few_mails_a_day_and_the_answer_stays_the_same(world: World) -> None:
    answers = [await world.request_sign_up("ana@shop.test") for _ in range(MAILS_PER_ADDRESS + 2)]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    mails = await world.mails_to("ana@shop.test")
    # The first ones were replaced before they left; those over the limit left nothing and replaced nothing.
    expect(await confirm(world, mails[-1].token), 201)
    failures = await DB.fetch("select to_address, parameters::text from message where last_error = 'too_many'")
    assert [row["to_address"] for row in failures] == ["", ""]
    assert not any("Ana" in row["parameters"] for row in failures)


async def test_a_network_can_send_so_many_forms(world: World) -> None:
    statuses = [
        (await world.client.post("/v1/password-resets", json={"email": f"{n}@shop.test"})).status_code
        for n in range(FORMS_PER_NETWORK)
    ]
    assert set(statuses) == {202}
    answer = await world.request_sign_up("ana@shop.test")
    assert (problem(answer)[:2], "Retry-After" in answer.headers) == ((429, "RATE_LIMITED"), True)
    async with world.client_at("203.0.113.9") as elsewhere:
        expect(await elsewhere.post("/v1/password-resets", json={"email": "ana@shop.test"}), 202)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"email": "ana"}, (400, "EMAIL_INVALID", ["email"])),
        ({"email": "ana@shop.test\n"}, (400, "INVALID_REQUEST", ["email"])),
        ({"email": "ﬁona@shop.test"}, (400, "EMAIL_INVALID", ["email"])),
        ({"email": "x" * 255}, (400, "INVALID_REQUEST", ["email"])),
        ({"password": "short"}, (400, "PASSWORD_WEAK", ["password"])),
        ({"password": "ana@shop.test"}, (400, "PASSWORD_WEAK", ["password"])),
        ({"password": 123456789012}, (400, "INVALID_REQUEST", ["password"])),
        ({"given_name": ""}, (400, "INVALID_REQUEST", ["given_name"])),
        ({"given_name": "   "}, (400, "INVALID_REQUEST", ["given_name"])),
        ({"given_name": "x" * 81}, (400, "INVALID_REQUEST", ["given_name"])),
        ({"given_name": "Ana\x1b[2J"}, (400, "INVALID_REQUEST", ["given_name"])),
        ({"given_name": "Ana\u202e"}, (400, "INVALID_REQUEST", ["given_name"])),
        ({"given_name": None}, (400, "INVALID_REQUEST", ["given_name"])),
        ({"family_name": 7}, (400, "INVALID_REQUEST", ["family_name"])),
        ({"phone": "call me"}, (400, "INVALID_REQUEST", ["phone"])),
        ({"phone": "1" * 33}, (400, "INVALID_REQUEST", ["phone"])),
        ({"birthday": {"month": 2, "day": 30}}, (400, "INVALID_REQUEST", ["birthday"])),
        ({"birthday": {"month": 13, "day": 1}}, (400, "INVALID_REQUEST", ["birthday.month"])),
        ({"birthday": {"month": 1, "day": 1, "year": 2027}}, (400, "INVALID_REQUEST", ["birthday.year"])),
        ({"birthday": {"month": 1.0, "day": "1"}}, (400, "INVALID_REQUEST", ["birthday.month"])),
        ({"consents": {"email": "yes"}}, (400, "INVALID_REQUEST", ["consents.email"])),
        ({"consents": {"post": True}}, (400, "INVALID_REQUEST", ["consents.post"])),
        ({"consents": {"sms": True}}, (400, "CONSENT_NEEDS_PHONE", [])),
        ({"card_number": "29000000000000"}, (400, "INVALID_REQUEST", ["card_number"])),
        ({"card_number": "abc"}, (400, "INVALID_REQUEST", ["card_number"])),
        ({"points": 100}, (400, "INVALID_REQUEST", ["points"])),
    ],
)
async def test_a_form_that_is_wrong_is_refused_and_the_field_named(
    world: World, fields: dict[str, Any], expected: tuple[int, str, list[str]]
) -> None:
    form: dict[str, Any] = {"email": "ana@shop.test", "password": PASSWORD, "given_name": "Ana", **fields}
    answer = await world.client.post("/v1/signup", json=form)
    assert problem(answer) == expected
    assert await count("signup_intent") == await count("message") == 0


HOSTILE_TEXTS = (
    '"\\ud800"',
    '"\\u0000"',
    '"' + "\\u0301" * 60 + '"',
    '"' + "\U0001f9f5" * 200 + '"',
    '"%s%n{{7*7}}${x}\' or 1=1 --"',
    '"[@click=app.quit]x[/]"',
    "[]",
    "{}",
    "1e400",
)


@pytest.mark.parametrize("field", ["email", "password", "given_name", "family_name", "phone", "card_number"])
async def test_hostile_text_never_breaks_the_form(world: World, field: str) -> None:
    for value in HOSTILE_TEXTS:
        form = {"email": '"ana@shop.test"', "password": f'"{PASSWORD}"', "given_name": '"Ana"', field: value}
        body = "{" + ",".join(f'"{name}":{text}' for name, text in form.items()) + "}"
        headers = {"Content-Type": "application/json"}
        answer = await world.client.post("/v1/signup", content=body.encode(), headers=headers)
        assert answer.status_code in (202, 400), value
        if answer.status_code == 202:
            assert await count("signup_intent") == 1, value
            await DB.fetch("delete from signup_intent")
        else:
            assert problem(answer)[2] in ([field], [""]), value
            assert await count("signup_intent") == 0, value


async def test_an_address_for_tests_is_refused_in_production(world: World) -> None:
    import msgspec

    world.replace_tools(settings=msgspec.structs.replace(world.settings, test_profile=False))
    assert problem(await world.request_sign_up("ana@shop.test"))[1] == "EMAIL_INVALID"
    expect(await world.request_sign_up("ana@shop.example"), 202)


# The proof --------------------------------------------------------------------------------------------------------------


async def test_the_proof_opens_customer_login_membership_and_card_together(world: World) -> None:
    asked_at = world.clock.now()
    form = {
        "phone": "020 7946 0000",
        "birthday": {"month": 2, "day": 29},
        "consents": {"email": True, "sms": True},
    }
    expect(await world.request_sign_up("Ana.Flores@Shop.test", **form), 202)
    world.advance(timedelta(hours=20))
    confirmed = expect(await world.confirm_sign_up("ana.flores@shop.test"), 201)
    tokens = expect(await world.sign_in("ana.flores@shop.test"), 201)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    me = expect(await world.client.get("/v1/me", headers=headers), 200)
    assert me == {
        "id": confirmed["customer_id"],
        "given_name": "Ana",
        "family_name": "Flores",
        "email": "Ana.Flores@Shop.test",
        "phone": "+44 20 7946 0000",
        "birthday": {"month": 2, "day": 29, "year": None},
        "locale": "en",
        "member_since": asked_at.isoformat().replace("+00:00", "Z"),
        "redemption_held_until": None,
        "phone_proven": False,
        "version": 1,
    }
    [membership] = expect(await world.client.get("/v1/me/memberships", headers=headers), 200)["items"]
    assert membership["id"] == confirmed["membership_id"]
    assert membership["card_number"] == confirmed["card_number"]
    consents = expect(await world.client.get("/v1/me/consents", headers=headers), 200)
    assert [consents[channel]["state"] for channel in ("email", "sms")] == ["opted_in", "opted_in"]
    contact = await DB.fetch_row("select customer, email_key, state from audience_contact")
    assert contact is not None
    assert (str(contact["customer"]), contact["email_key"]) == (confirmed["customer_id"], "ana.flores@shop.test")
    audit = await DB.fetch_row("select actor_kind, actor_id from audit_entry where action = 'customer.signed_up'")
    assert audit is not None
    assert (audit["actor_kind"], str(audit["actor_id"])) == ("member", confirmed["customer_id"])


async def test_enrolment_counts_from_the_form_and_not_from_the_proof(world: World) -> None:
    asked_at = world.clock.now()
    expect(await world.request_sign_up("ana@shop.test"), 202)
    world.advance(timedelta(hours=23))
    expect(await world.confirm_sign_up("ana@shop.test"), 201)
    row = await DB.fetch_row("select m.enrolled_at, m.created_at from membership m")
    assert row is not None
    assert (row["enrolled_at"], row["created_at"]) == (asked_at, world.clock.now())


async def test_a_box_left_empty_is_no_answer(world: World) -> None:
    headers = await world.member_headers(phone="020 7946 0000")
    consents = expect(await world.client.get("/v1/me/consents", headers=headers), 200)
    assert {consents[channel]["state"] for channel in ("email", "sms")} == {"not_asked"}


async def test_a_token_works_once(world: World) -> None:
    expect(await world.request_sign_up("ana@shop.test"), 202)
    mail = await world.mail_to("ana@shop.test", purpose="signup")
    expect(await confirm(world, mail.token), 201)
    assert problem(await confirm(world, mail.token)) == (410, "TOKEN_EXPIRED", [])
    assert await count("customer") == 1


async def test_a_token_is_over_after_a_day(world: World) -> None:
    expect(await world.request_sign_up("ana@shop.test"), 202)
    mail = await world.mail_to("ana@shop.test", purpose="signup")
    world.advance(SIGNUP_LINK_LIFE)
    assert problem(await confirm(world, mail.token)) == (410, "TOKEN_EXPIRED", [])
    assert await count("customer") == 0


async def test_a_token_opens_only_what_it_was_made_for(world: World) -> None:
    expect(await world.request_sign_up("ana@shop.test"), 202)
    token = (await world.mail_to("ana@shop.test", purpose="signup")).token
    for path, body in (
        ("/v1/password-resets/confirm", {"token": token, "new_password": OTHER_PASSWORD}),
        ("/v1/sessions/refresh", {"refresh_token": token}),
    ):
        assert (await world.client.post(path, json=body)).status_code in (401, 410)
    expect(await confirm(world, token), 201)


@pytest.mark.parametrize("token", ["x" * 43, "../../../etc/passwd", "%00%00%00%00%00%00%00%00", "🫖" * 16])
async def test_a_token_that_we_did_not_issue_is_refused(world: World, token: str) -> None:
    assert problem(await confirm(world, token))[:2] == (410, "TOKEN_EXPIRED")


async def test_two_confirmations_at_once_have_one_effect(world: World) -> None:
    expect(await world.request_sign_up("ana@shop.test"), 202)
    mail = await world.mail_to("ana@shop.test", purpose="signup")
    answers = await asyncio.gather(*(confirm(world, mail.token) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 410, 410, 410, 410, 410]
    counts = [await count(table) for table in ("customer", "login", "membership", "card", "contact_point")]
    assert counts == [1, 1, 1, 1, 1]


async def test_two_forms_for_one_address_proved_at_once_make_one_account(world: World) -> None:
    answers = await asyncio.gather(*(world.request_sign_up("ana@shop.test") for _ in range(2)))
    assert [answer.status_code for answer in answers] == [202, 202]
    tokens = [mail.token for mail in await world.mails_to("ana@shop.test")]
    outcomes = await asyncio.gather(*(confirm(world, token) for token in tokens))
    assert [outcome.status_code for outcome in outcomes].count(201) == 1
    assert await count("customer") == 1


async def test_a_customer_from_the_till_becomes_the_member(world: World) -> None:
    customer_id = await known_customer(world)
    async with DB.transaction():
        opened = await open_membership(world.ctx, customer_id=customer_id, enrolled_at=world.clock.now())
    world.advance(timedelta(days=3))
    member = await world.sign_up("ana@shop.test", birthday={"month": 5, "day": 6}, phone="020 7946 0000")
    assert (member.customer_id, member.membership_id) == (customer_id, opened.membership_id)
    assert member.card_number == opened.card_number
    assert [await count("customer"), await count("membership"), await count("card")] == [1, 1, 1]
    me = expect(await world.client.get("/v1/me", headers=member.headers), 200)
    assert (me["given_name"], me["birthday"]["day"], me["phone"]) == ("Ana", 6, "+44 20 7946 0000")
    keys = await DB.fetch("select key from customer_name_key order by key")
    assert [row["key"] for row in keys] == ["ana flores", "flores ana"]


async def test_a_stub_without_membership_becomes_an_active_member(world: World) -> None:
    customer_id = await known_customer(world, status="stub")
    member = await world.sign_up("ana@shop.test")
    assert member.customer_id == customer_id
    row = await DB.fetch_row("select status from customer where id = $1", customer_id)
    assert row is not None
    assert row["status"] == "active"


async def test_of_several_customers_with_the_address_the_oldest_becomes_the_member(world: World) -> None:
    first = await known_customer(world)
    world.advance(timedelta(days=1))
    second = await known_customer(world)
    member = await world.sign_up("ana@shop.test")
    assert member.customer_id == first
    rows = await DB.fetch("select customer, status from contact_point order by created_at")
    assert [(row["customer"], row["status"]) for row in rows] == [(first, "verified"), (second, "unverified")]
    assert await count("customer") == 2


async def test_a_blocked_customer_is_not_let_in_by_signing_up(world: World) -> None:
    customer_id = await known_customer(world, status="blocked")
    member = await world.sign_up("ana@shop.test")
    assert member.customer_id != customer_id
    status = await DB.fetch_value("select status from customer where id = $1", customer_id)
    assert status == "blocked"


async def test_what_the_till_heard_about_marketing_is_not_taken_back_by_an_empty_box(world: World) -> None:
    from server.consents.service import record_choice

    customer_id = await known_customer(world)
    async with DB.transaction():
        await record_choice(
            world.ctx,
            customer_id=customer_id,
            channel="email",
            address_key="ana@shop.test",
            opted_in=True,
            source="till",
        )
    member = await world.sign_up("ana@shop.test")
    consents = expect(await world.client.get("/v1/me/consents", headers=member.headers), 200)
    assert consents["email"]["state"] == "pending"


# A card in the hand -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def printed_card(world: World) -> str:
    from server.db.ids import new_id
    from shared.codes import make_card_number

    code = make_card_number("12345678901")
    await DB.fetch("insert into card (id, code, status, issued_at) values ($1, $2, 'issued', now())", new_id(), code)
    return code


async def test_a_printed_card_becomes_the_members(world: World, printed_card: str) -> None:
    spaced = f"{printed_card[:4]} {printed_card[4:9]}-{printed_card[9:]}"
    assert (await world.sign_up(card_number=spaced)).card_number == printed_card
    assert await count("card") == 1


async def test_a_card_that_is_taken_or_unknown_is_passed_over(world: World, printed_card: str) -> None:
    first = await world.sign_up("ana@shop.test", card_number=printed_card)
    second = await world.sign_up("bob@shop.test", card_number=printed_card)
    assert first.card_number == printed_card != second.card_number


async def test_a_printed_card_is_added_to_the_membership_from_the_till(world: World, printed_card: str) -> None:
    customer_id = await known_customer(world)
    async with DB.transaction():
        opened = await open_membership(world.ctx, customer_id=customer_id, enrolled_at=world.clock.now())
    member = await world.sign_up("ana@shop.test", card_number=printed_card)
    assert member.membership_id == opened.membership_id
    assert member.card_number == printed_card
    assert await count("card") == 2
