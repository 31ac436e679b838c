"""Choosing a password by a mailed link: neutral to ask, single use, and it ends what a thief may have begun."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import httpx

from server.accounts import store
from server.customers import store as customers
from server.db.engine import DB
from server.messages.service import queue_mail
from server.sessions.links import Purpose, create_link
from shared.limits import INVITATION_LINK_LIFE, MAILS_PER_ADDRESS, PASSWORD_RESET_LINK_LIFE, SIGN_IN_TRIES
from tests.app import PASSWORD, World, expect, problem
from tests.waiting import until_somebody_waits

NEW_PASSWORD = "nine-otters-juggle-91"


async def ask(world: World, email: str = "ana@shop.test") -> httpx.Response:
    return await world.client.post("/v1/password-resets", json={"email": email})


async def choose(world: World, token: str, password: str = NEW_PASSWORD) -> httpx.Response:
    return await world.client.post("/v1/password-resets/confirm", json={"token": token, "new_password": password})


async def reset_token(world: World, email: str = "ana@shop.test") -> str:
    expect(await ask(world, email), 202)
    return (await world.mail_to(email, purpose="password-reset")).token


async def count(table: str) -> int:
    return int(str(await DB.fetch_value(f"select count(*) from {table}")))


async def test_a_reset_sets_the_password_and_signs_nobody_in(world: World) -> None:
    member = await world.sign_up()
    answer = await choose(world, await reset_token(world))
    assert (answer.status_code, answer.content) == (204, b"")
    expect(await world.client.get("/v1/me", headers=member.headers), 401)
    expect(await world.sign_in(member.email, PASSWORD), 401)
    expect(await world.sign_in(member.email, NEW_PASSWORD), 201)
    assert "Your password was changed" in [mail.subject for mail in await world.mails_to(member.email)]


async def test_asking_gets_the_same_answer_at_the_same_cost_for_every_address(world: World) -> None:
    await world.sign_up("member@shop.test")
    await world.request_sign_up("waiting@shop.test")
    answers, costs = [], []
    for email in ("member@shop.test", "waiting@shop.test", "nobody@shop.test"):
        tables = ("one_time_token", "message", "pgqueuer", "throttle_counter")
        before = [await count(table) for table in tables]
        answers.append(await ask(world, email))
        costs.append([await count(table) - old for table, old in zip(tables, before, strict=True)])
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert costs[1:] == [[1, 1, 1, 1]] * 2
    assert costs[0][:3] == [1, 1, 1]


async def test_an_address_without_account_gets_no_mail(world: World) -> None:
    expect(await ask(world, "nobody@shop.test"), 202)
    assert await world.mails_to("nobody@shop.test") == []
    row = await DB.fetch_row("select to_address, state, last_error from message")
    assert row is not None
    assert tuple(row) == ("", "failed", "no_account")


async def test_the_mail_goes_to_the_stored_address_not_to_the_typed_one(world: World) -> None:
    await world.sign_up("Ana@shop.test")
    expect(await ask(world, "aNA@SHOP.test"), 202)
    assert str((await world.mail_to("ana@shop.test", purpose="password-reset")).message["To"]) == "Ana@shop.test"


async def test_an_address_gets_a_few_reset_mails_a_day_and_the_last_one_keeps_working(world: World) -> None:
    member = await world.sign_up()
    for _ in range(MAILS_PER_ADDRESS - 1):
        expect(await ask(world), 202)
    token = await reset_token(world)
    expect(await ask(world), 202)
    expect(await choose(world, token), 204)
    expect(await world.sign_in(member.email, NEW_PASSWORD), 201)


async def test_a_reset_gets_past_wrong_guesses(world: World) -> None:
    member = await world.sign_up()
    for _ in range(SIGN_IN_TRIES):
        expect(await world.sign_in(member.email, "not-the-password-77"), 401)
    expect(await world.sign_in(member.email), 429)
    expect(await choose(world, await reset_token(world)), 204)
    expect(await world.sign_in(member.email, NEW_PASSWORD), 201)


async def test_a_link_works_once(world: World) -> None:
    await world.sign_up()
    token = await reset_token(world)
    expect(await choose(world, token), 204)
    assert problem(await choose(world, token, "another-word-for-otters-3")) == (410, "TOKEN_EXPIRED", [])


async def test_two_uses_at_once_have_one_effect(world: World) -> None:
    member = await world.sign_up()
    token = await reset_token(world)
    passwords = [f"nine-otters-juggle-{number}-plums" for number in range(5)]
    answers = await asyncio.gather(*(choose(world, token, password) for password in passwords))
    assert sorted(answer.status_code for answer in answers) == [204, 410, 410, 410, 410]
    winner = passwords[[answer.status_code for answer in answers].index(204)]
    expect(await world.sign_in(member.email, winner), 201)
    assert await DB.fetch_value("select password_version from login") == 2


async def test_a_newer_link_replaces_the_older_one(world: World) -> None:
    await world.sign_up()
    older, newer = await reset_token(world), await reset_token(world)
    assert problem(await choose(world, older))[1] == "TOKEN_EXPIRED"
    expect(await choose(world, newer), 204)


async def test_a_link_is_over_after_half_an_hour(world: World) -> None:
    await world.sign_up()
    token = await reset_token(world)
    world.advance(PASSWORD_RESET_LINK_LIFE)
    assert problem(await choose(world, token))[1] == "TOKEN_EXPIRED"


async def test_a_link_goes_with_the_password_it_was_asked_for(world: World) -> None:
    member = await world.sign_up()
    token = await reset_token(world)
    form = {"password": PASSWORD, "new_password": NEW_PASSWORD}
    expect(await world.client.post("/v1/me/password", json=form, headers=member.headers), 204)
    assert problem(await choose(world, token, "another-word-for-otters-3"))[1] == "TOKEN_EXPIRED"


async def test_a_link_goes_with_the_address_it_was_mailed_to(world: World) -> None:
    member = await world.sign_up()
    token = await reset_token(world)
    await DB.fetch(
        "update contact_point set value = 'new@shop.test', key = 'new@shop.test' where customer = $1",
        member.customer_id,
    )
    assert problem(await choose(world, token))[1] == "TOKEN_EXPIRED"


async def test_a_weak_password_is_refused_and_the_link_stays_open(world: World) -> None:
    await world.sign_up()
    token = await reset_token(world)
    assert problem(await choose(world, token, "password1234")) == (400, "PASSWORD_WEAK", ["new_password"])
    assert problem(await choose(world, token, "flores-ana-2026")) == (400, "PASSWORD_WEAK", ["new_password"])
    expect(await choose(world, token), 204)


async def test_a_sign_in_that_overlaps_a_reset_opens_no_session(world: World) -> None:
    """The old password is being checked while the reset commits; its session must not outlive it."""
    member = await world.sign_up()
    token = await reset_token(world)
    results = await asyncio.gather(world.sign_in(member.email), choose(world, token), world.sign_in(member.email))
    assert results[1].status_code == 204
    live = await DB.fetch_value("select count(*) from member_session where ended_at is null")
    assert live == 0


async def test_whoever_a_link_or_login_is_about_is_locked_before_it_as_an_email_change_does(world: World) -> None:
    ana = await world.sign_up()
    reset = await reset_token(world)
    bea_id, invitation = await invite(world, "bea@shop.test")
    expect(await world.request_sign_up("cy@shop.test"), 202)
    sign_up = (await world.mail_to("cy@shop.test", purpose="signup")).token
    touch_all = (
        "with links as (update one_time_token set voided_at = voided_at where used_at is null)"
        " update login set disabled_at = disabled_at"
    )
    calls: tuple[tuple[UUID | str, Callable[[], Awaitable[httpx.Response]], int], ...] = (
        (ana.customer_id, lambda: world.sign_in(ana.email), 201),
        (ana.customer_id, lambda: choose(world, reset), 204),
        (ana.customer_id, lambda: ask(world), 202),
        (ana.customer_id, lambda: world.request_sign_up(ana.email), 202),
        (bea_id, lambda: choose(world, invitation), 204),
        # Two forms, or a form and its proof, of one address take turns.
        ("cy@shop.test", lambda: world.client.post("/v1/signup/confirm", json={"token": sign_up}), 201),
    )
    for locked, call, status in calls:
        async with asyncio.TaskGroup() as group, DB.transaction():
            await (store.lock_address(locked) if isinstance(locked, str) else customers.lock_customers([locked]))
            waiting = group.create_task(_await(call), context=contextvars.Context())
            await until_somebody_waits()
            await DB.fetch("set local lock_timeout = '200ms'")
            await DB.fetch(touch_all)
        assert waiting.result().status_code == status, waiting.result().text


async def _await(call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    return await call()


# Invitations ------------------------------------------------------------------------------------------------------------


async def invite(world: World, email: str = "ana@shop.test", *, status: str = "active") -> tuple[UUID, str]:
    """Do what staff do for a customer at the till; return the customer and the mailed token."""
    ctx = world.ctx
    async with DB.transaction():
        customer_id = await customers.insert_customer(
            ctx, given_name="Ana", family_name="Flores", source="till", status=status
        )
        await customers.insert_contact_point(
            ctx, customer_id=customer_id, kind="email", value=email, key=email, verified=False
        )
        token = await create_link(
            ctx, purpose=Purpose.INVITATION, customer_id=customer_id, email_key=email, life=INVITATION_LINK_LIFE
        )
        await queue_mail(
            ctx,
            to=email,
            template="invitation",
            customer_id=customer_id,
            token=token,
            parameters={"given_name": "Ana"},
        )
    return customer_id, (await world.mail_to(email, purpose="invitation")).token


async def test_an_invited_customer_chooses_the_first_password(world: World) -> None:
    customer_id, token = await invite(world)
    expect(await choose(world, token), 204)
    tokens = expect(await world.sign_in("ana@shop.test", NEW_PASSWORD), 201)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert expect(await world.client.get("/v1/me", headers=headers), 200)["id"] == str(customer_id)
    assert len(expect(await world.client.get("/v1/me/memberships", headers=headers), 200)["items"]) == 1


async def test_an_invitation_works_once_and_only_until_the_address_is_proved_otherwise(world: World) -> None:
    _, token = await invite(world)
    await world.sign_up("ana@shop.test")
    assert problem(await choose(world, token))[1] == "TOKEN_EXPIRED"
    assert await count("customer") == 1


async def test_an_invitation_to_an_address_that_somebody_else_has_proved_since_is_void(world: World) -> None:
    await world.sign_up("ana@shop.test")
    _, token = await invite(world)
    assert problem(await choose(world, token))[1] == "TOKEN_EXPIRED"
    assert await count("login") == 1


async def test_an_invitation_does_not_unblock(world: World) -> None:
    customer_id, token = await invite(world)
    await DB.fetch("update customer set status = 'blocked' where id = $1", customer_id)
    assert problem(await choose(world, token))[1] == "TOKEN_EXPIRED"


async def test_an_invitation_is_over_after_a_week(world: World) -> None:
    _, token = await invite(world)
    world.advance(INVITATION_LINK_LIFE + timedelta(seconds=1))
    assert problem(await choose(world, token))[1] == "TOKEN_EXPIRED"
