"""Signing in: one answer for every failure, limits that strangers cannot turn against a member."""

import asyncio
from datetime import timedelta

import pytest

from server.db.engine import DB
from server.passwords import Passwords
from server.tokens import hash_token
from shared.limits import ACCESS_TOKEN_LIFE, SIGN_IN_TRIES, SIGN_IN_WINDOW
from tests.app import PASSWORD, World, expect, problem
from tests.server.sessions.counting import CountingPasswords

WRONG = "not-the-password-77"


async def test_the_right_password_opens_a_session(world: World) -> None:
    member = await world.sign_up()
    tokens = expect(await world.sign_in(member.email, device="Ana's phone"), 201)
    answer = await world.client.get("/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert expect(answer, 200)["id"] == str(member.customer_id)
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_address_may_be_written_in_any_case(world: World) -> None:
    await world.sign_up("ana@shop.test")
    expect(await world.sign_in(" Ana@SHOP.test"), 201)


async def test_a_password_in_another_unicode_form_is_the_same(world: World) -> None:
    await world.sign_up(password="le café près de la gare")
    expect(await world.sign_in("ana@shop.test", "le cafe\u0301 pre\u0300s de la gare"), 201)


async def test_a_session_ends_after_its_life(world: World) -> None:
    member = await world.sign_up()
    world.advance(ACCESS_TOKEN_LIFE - timedelta(seconds=1))
    expect(await world.client.get("/v1/me", headers=member.headers), 200)
    world.advance(timedelta(seconds=1))
    assert problem(await world.client.get("/v1/me", headers=member.headers))[:2] == (401, "NOT_SIGNED_IN")


async def test_every_failure_has_the_same_answer(world: World) -> None:
    member = await world.sign_up()
    await world.request_sign_up("waiting@shop.test")
    blocked = await world.sign_up("blocked@shop.test")
    disabled = await world.sign_up("disabled@shop.test")
    await DB.fetch("update customer set status = 'blocked' where id = $1", blocked.customer_id)
    await DB.fetch("update login set disabled_at = now() where customer = $1", disabled.customer_id)
    answers = [
        await world.sign_in(member.email, WRONG),
        await world.sign_in("nobody@shop.test", WRONG),
        await world.sign_in("waiting@shop.test"),
        await world.sign_in(blocked.email),
        await world.sign_in(disabled.email),
    ]
    bodies = [{**answer.json(), "instance": ""} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert {(answer.status_code, len(answer.content)) for answer in answers} == {(401, len(answers[0].content))}
    assert bodies[0]["code"] == "SIGN_IN_FAILED"
    assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1


@pytest.fixture
def counting(world: World) -> CountingPasswords:
    passwords = CountingPasswords()
    world.replace_tools(passwords=passwords)
    return passwords


async def test_a_failure_costs_one_hash_whether_or_not_the_address_is_known(
    world: World, counting: CountingPasswords
) -> None:
    member = await world.sign_up()
    costs = []
    for email in (member.email, "nobody@shop.test"):
        before = counting.count
        expect(await world.sign_in(email, WRONG), 401)
        costs.append(counting.count - before)
    assert costs == [1, 1]


async def test_a_hash_of_weaker_settings_is_renewed_at_the_next_sign_in(world: World) -> None:
    member = await world.sign_up()
    stronger = Passwords(time_cost=2, memory_kib=16, parallelism=1, threads=1)
    world.replace_tools(passwords=stronger)
    expect(await world.sign_in(member.email), 201)
    stored = str(await DB.fetch_value("select password_hash from login where customer = $1", member.customer_id))
    assert "m=16,t=2,p=1" in stored
    expect(await world.sign_in(member.email), 201)


async def test_too_many_wrong_passwords_are_refused_with_a_time_to_wait(world: World) -> None:
    member = await world.sign_up()
    for _ in range(SIGN_IN_TRIES):
        expect(await world.sign_in(member.email, WRONG), 401)
    answer = await world.sign_in(member.email)
    assert problem(answer)[:2] == (429, "RATE_LIMITED")
    assert int(answer.headers["Retry-After"]) == SIGN_IN_WINDOW.total_seconds()
    world.advance(SIGN_IN_WINDOW)
    expect(await world.sign_in(member.email), 201)


async def test_the_limit_is_the_same_for_an_address_without_an_account(world: World) -> None:
    statuses = [(await world.sign_in("nobody@shop.test", WRONG)).status_code for _ in range(SIGN_IN_TRIES + 1)]
    assert statuses == [401] * SIGN_IN_TRIES + [429]


async def test_a_stranger_elsewhere_cannot_lock_a_member_out(world: World) -> None:
    member = await world.sign_up()
    async with world.client_at("203.0.113.9") as stranger:
        guess = {"email": member.email, "password": WRONG}
        while (await stranger.post("/v1/sessions", json=guess)).status_code != 429:
            pass
    expect(await world.sign_in(member.email), 201)
    expect(await world.client.get("/v1/me", headers=member.headers), 200)


async def test_wrong_passwords_at_the_same_moment_are_all_counted(world: World) -> None:
    member = await world.sign_up()
    answers = await asyncio.gather(*(world.sign_in(member.email, WRONG) for _ in range(SIGN_IN_TRIES * 2)))
    assert sorted(answer.status_code for answer in answers) == [401] * SIGN_IN_TRIES + [429] * SIGN_IN_TRIES


async def test_only_hashes_of_tokens_are_stored(world: World) -> None:
    member = await world.sign_up()
    row = await DB.fetch_row("select * from member_session where customer = $1", member.customer_id)
    assert row is not None
    assert row["access_hash"] == hash_token(member.tokens["access_token"])
    assert await DB.fetch_value("select token_hash from refresh_token") == hash_token(member.tokens["refresh_token"])


@pytest.mark.parametrize("credential", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer made-up", "Bearer " + "x" * 300])
async def test_a_credential_that_we_did_not_issue_is_worth_nothing(world: World, credential: str) -> None:
    await world.sign_up()
    answer = await world.client.get("/v1/me", headers={"Authorization": credential})
    assert problem(answer)[:2] == (401, "NOT_SIGNED_IN")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "made-up" not in answer.text


async def test_a_sign_in_from_a_new_network_is_told_by_mail(world: World) -> None:
    member = await world.sign_up()
    expect(await world.sign_in(member.email), 201)
    assert [mail.subject for mail in await world.mails_to(member.email)][1:] == []
    async with world.client_at("203.0.113.9") as client:
        form = {"email": member.email, "password": PASSWORD, "device": "a laptop"}
        expect(await client.post("/v1/sessions", json=form), 201)
        expect(await client.post("/v1/sessions", json=form), 201)
    notices = (await world.mails_to(member.email))[1:]
    assert [notice.subject for notice in notices] == ["New sign-in to your account"]
    assert "a laptop" in notices[0].text


async def test_a_sign_in_with_a_new_device_is_told_by_mail(world: World) -> None:
    member = await world.sign_up()
    expect(await world.sign_in(member.email, device="a phone"), 201)
    assert (await world.mails_to(member.email))[-1].subject == "New sign-in to your account"


async def test_signing_in_is_on_record(world: World) -> None:
    member = await world.sign_up()
    rows = await DB.fetch("select actor_kind, actor_id from audit_entry where action = 'session.opened'")
    assert [(row["actor_kind"], row["actor_id"]) for row in rows] == [("member", member.customer_id)]


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"password": PASSWORD}, "email"),
        ({"email": "ana@shop.test"}, "password"),
        ({"email": "ana", "password": PASSWORD}, "email"),
        ({"email": "a@", "password": PASSWORD}, "email"),
        ({"email": "ana@shop.test", "password": ""}, "password"),
        ({"email": "ana@shop.test", "password": "x" * 257}, "password"),
        ({"email": "ana@shop.test", "password": PASSWORD, "device": "x" * 121}, "device"),
        ({"email": "ana@shop.test", "password": PASSWORD, "device": "\x1b[2J"}, "device"),
        ({"email": "ana@shop.test", "password": PASSWORD, "admin": True}, "admin"),
        ({"email": ["ana@shop.test"], "password": PASSWORD}, "email"),
    ],
)
async def test_a_malformed_form_is_refused_and_the_field_named(
    world: World, form: dict[str, object], field: str
) -> None:
    status, _, fields = problem(await world.client.post("/v1/sessions", json=form))
    assert (status, fields) == (400, [field])
