"""A member's email change that keeps the rewards account (DESIGN 6, keep)."""

import asyncio
from datetime import timedelta

import pytest

from server.db.engine import DB
from tests.app import PASSWORD, World, expect, problem
from tests.server.email_changes.builders import (
    NEW,
    OLD,
    add_voucher,
    change,
    confirm,
    dump,
    give_points,
    not_me,
    request,
    snapshot,
)


async def test_nothing_changes_until_the_new_address_is_proven(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    before = await snapshot(member.customer_id)
    expect(await request(world, member), 202)
    assert await snapshot(member.customer_id) == before
    assert expect(await world.client.get("/v1/me", headers=member.headers), 200)["email"] == OLD
    assert (await world.sign_in(NEW)).status_code == 401


async def test_keep_changes_the_address_and_nothing_of_the_rewards_account(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    await add_voucher(member)
    before = await snapshot(member.customer_id)
    entries = await DB.fetch_value("select count(*) from ledger_entry")
    done = await change(world, member)
    assert done["state"] == "confirmed"
    assert done["card_number"] == member.card_number
    assert await snapshot(member.customer_id) == before
    assert await DB.fetch_value("select count(*) from ledger_entry") == entries, "I10: keep writes no ledger entry"


async def test_after_the_change_only_the_new_address_signs_in_with_the_same_password(world: World) -> None:
    member = await world.sign_up(OLD)
    await change(world, member)
    assert (await world.sign_in(OLD)).status_code == 401
    tokens = expect(await world.sign_in(NEW), 201)
    me = expect(await world.client.get("/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"}), 200)
    assert me["id"] == str(member.customer_id)
    assert me["email"] == NEW


async def test_every_session_ends_with_the_change(world: World) -> None:
    member = await world.sign_up(OLD)
    other = expect(await world.sign_in(OLD), 201)
    await change(world, member)
    for token in (member.tokens["access_token"], other["access_token"]):
        answer = await world.client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401
    refreshed = await world.client.post("/v1/sessions/refresh", json={"refresh_token": other["refresh_token"]})
    assert refreshed.status_code == 401


async def test_a_reset_link_asked_for_before_the_change_opens_nothing_after_it(world: World) -> None:
    member = await world.sign_up(OLD)
    expect(await world.client.post("/v1/password-resets", json={"email": OLD}), 202)
    reset = await world.mail_to(OLD, purpose="password-reset")
    await change(world, member)
    answer = await world.client.post(
        "/v1/password-resets/confirm", json={"token": reset.token, "new_password": "another-kettle-92-swans"}
    )
    assert problem(answer)[:2] == (410, "TOKEN_EXPIRED")


async def test_spending_is_held_for_a_day_after_the_change(world: World) -> None:
    member = await world.sign_up(OLD)
    done = await change(world, member)
    assert done["redemption_held_until"] == (world.clock.now() + timedelta(hours=24)).isoformat().replace("+00:00", "Z")


async def test_the_request_needs_the_right_password(world: World) -> None:
    member = await world.sign_up(OLD)
    before = await dump(world)
    answer = await request(world, member, password="not-my-password-at-all")
    assert problem(answer)[:2] == (403, "REAUTH_REQUIRED")
    assert await dump(world) == before


@pytest.mark.parametrize(
    ("new_email", "code"),
    [("ANA@shop.test", "EMAIL_SAME"), ("ana at shop", "EMAIL_INVALID"), ("ana@\u202eshop.test", "INVALID_REQUEST")],
)
async def test_an_address_that_is_the_same_or_none_is_refused(world: World, new_email: str, code: str) -> None:
    member = await world.sign_up(OLD)
    before = await dump(world)
    status, found, _ = problem(await request(world, member, new_email))
    assert (status, found) == (400, code)
    assert await dump(world) == before


async def test_another_members_address_gets_the_same_answer_and_only_its_owner_is_told(world: World) -> None:
    other = await world.sign_up("ben@shop.test")
    member = await world.sign_up(OLD)
    free = await request(world, member, NEW)
    taken = await request(world, member, "ben@shop.test")
    assert (free.status_code, free.content) == (taken.status_code, taken.content)
    assert set(free.headers) == set(taken.headers)
    (told,) = [mail for mail in await world.mails_to("ben@shop.test") if "already has an account" in mail.subject]
    assert "/links/email-change" not in told.text
    assert OLD not in told.text
    assert "Ana" not in told.text
    assert expect(await world.client.get("/v1/me", headers=other.headers), 200)["email"] == "ben@shop.test"
    assert expect(await world.client.get("/v1/me", headers=member.headers), 200)["email"] == OLD


async def test_taken_and_free_addresses_count_alike_towards_the_limit(world: World) -> None:
    await world.sign_up("ben@shop.test")
    member = await world.sign_up(OLD)
    for _ in range(3):
        expect(await request(world, member, "ben@shop.test"), 202)
    assert problem(await request(world, member, "ben@shop.test"))[:2] == (429, "CHANGE_LIMIT")
    refused = await request(world, member, NEW)
    assert problem(refused)[:2] == (429, "CHANGE_LIMIT")
    assert int(refused.headers["retry-after"]) == timedelta(days=30).total_seconds()
    world.advance(timedelta(days=30, seconds=1))
    tokens = expect(await world.sign_in(OLD), 201)
    body = {"new_email": NEW, "mode": "keep", "password": PASSWORD}
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    expect(await world.client.post("/v1/me/email-changes", json=body, headers=headers), 202)


async def test_a_newer_request_supersedes_the_older_one(world: World) -> None:
    member = await world.sign_up(OLD)
    expect(await request(world, member, "first@shop.test"), 202)
    first = await world.mail_to("first@shop.test", purpose="email-change")
    expect(await request(world, member, NEW), 202)
    answer = await world.client.post("/v1/email-changes/confirm", json={"token": first.token})
    assert problem(answer)[:2] == (410, "TOKEN_EXPIRED")
    expect(await confirm(world, NEW), 200)
    states = await DB.fetch("select new_email, state from email_change order by id")
    assert [tuple(row) for row in states] == [("first@shop.test", "superseded"), (NEW, "confirmed")]


async def test_a_link_is_over_after_a_day(world: World) -> None:
    member = await world.sign_up(OLD)
    expect(await request(world, member), 202)
    mail = await world.mail_to(NEW, purpose="email-change")
    world.advance(timedelta(hours=24))
    answer = await world.client.post("/v1/email-changes/confirm", json={"token": mail.token})
    assert problem(answer)[:2] == (410, "TOKEN_EXPIRED")


async def test_a_link_works_once(world: World) -> None:
    member = await world.sign_up(OLD)
    await change(world, member)
    before = await dump(world)
    assert problem(await confirm(world))[:2] == (410, "TOKEN_EXPIRED")
    assert await dump(world) == before


async def test_a_new_password_voids_the_link(world: World) -> None:
    member = await world.sign_up(OLD)
    expect(await request(world, member), 202)
    body = {"password": PASSWORD, "new_password": "another-kettle-92-swans"}
    expect(await world.client.post("/v1/me/password", json=body, headers=member.headers), 204)
    with pytest.raises(AssertionError, match="no mail"):
        await world.mail_to(NEW, purpose="email-change")


async def test_an_address_that_another_member_proved_in_between_is_refused(world: World) -> None:
    member = await world.sign_up(OLD)
    expect(await request(world, member), 202)
    mail = await world.mail_to(NEW, purpose="email-change")
    await world.sign_up(NEW)
    before = await dump(world)
    answer = await world.client.post("/v1/email-changes/confirm", json={"token": mail.token})
    assert problem(answer)[:2] == (409, "EMAIL_TAKEN")
    assert "customer_id" not in answer.json().get("data", {})
    assert await dump(world) == before


async def test_sixty_four_confirmations_at_once_have_one_effect(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    expect(await request(world, member, mode="reissue"), 202)
    mail = await world.mail_to(NEW, purpose="email-change")
    before = await snapshot(member.customer_id)
    answers = await asyncio.gather(
        *(world.client.post("/v1/email-changes/confirm", json={"token": mail.token}) for _ in range(64))
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] + [410] * 63
    after = await snapshot(member.customer_id)
    assert after["lots"] == before["lots"]
    assert await DB.fetch_value("select count(*) from membership") == 2
    assert await DB.fetch_value("select count(*) from card where status = 'active'") == 1


async def test_two_members_racing_for_one_address_end_with_one_owner(world: World) -> None:
    one = await world.sign_up(OLD)
    other = await world.sign_up("ben@shop.test")
    expect(await request(world, one, NEW), 202)
    first = await world.mail_to(NEW, purpose="email-change")
    expect(await request(world, other, NEW), 202)
    second = await world.mail_to(NEW, purpose="email-change")
    assert first.token != second.token
    answers = await asyncio.gather(
        *(world.client.post("/v1/email-changes/confirm", json={"token": mail.token}) for mail in (first, second))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    owners = await DB.fetch("select customer from contact_point where key = $1 and status = 'verified'", NEW)
    assert len(owners) == 1


async def test_a_request_and_a_confirmation_at_once_never_lose_the_account(world: World) -> None:
    member = await world.sign_up(OLD)
    expect(await request(world, member, "first@shop.test"), 202)
    first = await world.mail_to("first@shop.test", purpose="email-change")
    answers = await asyncio.gather(
        world.client.post("/v1/email-changes/confirm", json={"token": first.token}), request(world, member, NEW)
    )
    outcome = tuple(answer.status_code for answer in answers)
    # Whichever is first: a request on the way while its session ends still had the password.
    assert outcome in ((200, 401), (200, 403), (200, 202), (410, 202)), [answer.text for answer in answers]
    primary = await DB.fetch("select key from contact_point where customer = $1 and is_primary", member.customer_id)
    assert [row["key"] for row in primary] == ["first@shop.test" if outcome[0] == 200 else OLD]


async def test_a_member_may_go_back_to_an_address_of_their_own(world: World) -> None:
    member = await world.sign_up(OLD)
    await change(world, member)
    tokens = expect(await world.sign_in(NEW), 201)
    await DB.fetch(
        "insert into contact_point (id, customer, kind, value, key, status, is_primary, created_at, verified_at) "
        "select gen_random_uuid(), customer, kind, value, key, 'verified', false, created_at, created_at "
        "from contact_point where key = $1",
        OLD,
    )
    body = {"new_email": OLD, "mode": "keep", "password": PASSWORD}
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    expect(await world.client.post("/v1/me/email-changes", json=body, headers=headers), 202)
    expect(await confirm(world, OLD), 200)
    expect(await world.sign_in(OLD), 201)


async def test_opening_the_link_changes_nothing(world: World) -> None:
    member = await world.sign_up(OLD)
    expect(await request(world, member), 202)
    await world.mails_to(NEW)
    before = await dump(world)
    page = await world.client.get("/links/email-change")
    assert page.status_code == 200
    assert await dump(world) == before


async def test_the_notices_go_to_both_addresses_and_hide_the_other(world: World) -> None:
    member = await world.sign_up(OLD)
    await change(world, member)
    subjects = [mail.subject for mail in await world.mails_to(OLD)]
    assert "Somebody wants to change your email address" in subjects
    assert "Your email address was changed" in subjects
    assert "Your new email address is in use" in [mail.subject for mail in await world.mails_to(NEW)]
    for mail in await world.mails_to(OLD):
        assert NEW not in mail.text


async def test_consent_goes_along_with_its_words_and_a_no_stays_a_no(world: World) -> None:
    yes = await world.sign_up(OLD, consents={"email": True, "sms": False})
    no = await world.sign_up("ben@shop.test")
    await world.client.put("/v1/me/consents", json={"email": False, "sms": False}, headers=no.headers)
    await change(world, yes, NEW)
    await change(world, no, "ben.new@shop.test")
    sql = """
    select address_key, state, source, wording_version is not null as worded from consent_event
    where source = 'email_change' order by address_key
    """
    assert [tuple(row) for row in await DB.fetch(sql)] == [
        (NEW, "opted_in", "email_change", True),
        ("ben.new@shop.test", "opted_out", "email_change", True),
    ]


async def test_before_its_proof_the_old_address_can_stop_the_change(world: World) -> None:
    member = await world.sign_up(OLD)
    expect(await request(world, member), 202)
    mail = await world.mail_to(NEW, purpose="email-change")
    done = expect(await not_me(world), 200)
    assert done["state"] == "cancelled"
    assert (await world.client.get("/v1/me", headers=member.headers)).status_code == 401, "all sessions end"
    answer = await world.client.post("/v1/email-changes/confirm", json={"token": mail.token})
    assert problem(answer)[:2] == (410, "TOKEN_EXPIRED")
    expect(await world.sign_in(OLD), 201)


async def test_after_its_proof_the_old_address_takes_the_change_back(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    before = await snapshot(member.customer_id)
    await change(world, member)
    thief = expect(await world.sign_in(NEW), 201)
    done = expect(await not_me(world), 200)
    assert done["state"] == "undone"
    assert await snapshot(member.customer_id) == before
    headers = {"Authorization": f"Bearer {thief['access_token']}"}
    assert (await world.client.get("/v1/me", headers=headers)).status_code == 401
    assert (await world.sign_in(NEW)).status_code == 401
    expect(await world.sign_in(OLD), 201)


async def test_not_me_works_once_and_for_seven_days(world: World) -> None:
    member = await world.sign_up(OLD)
    await change(world, member)
    mails = [mail for mail in await world.mails_to(OLD) if "/links/not-me#" in mail.text]
    world.advance(timedelta(days=7))
    for mail in mails:
        answer = await world.client.post("/v1/email-changes/cancel", json={"token": mail.token})
        assert problem(answer)[:2] == (410, "TOKEN_EXPIRED")
    world.advance(timedelta(days=-1))
    expect(await not_me(world), 200)
    for which in range(len(mails)):
        assert problem(await not_me(world, which=which))[:2] == (410, "TOKEN_EXPIRED")


async def test_the_notice_of_a_superseded_request_stops_what_came_after_it(world: World) -> None:
    member = await world.sign_up(OLD)
    expect(await request(world, member, "first@shop.test"), 202)
    world.advance(timedelta(minutes=1))
    expect(await request(world, member, NEW), 202)
    expect(await confirm(world), 200)
    assert expect(await not_me(world, which=0), 200)["state"] == "undone"
    expect(await world.sign_in(OLD), 201)


async def test_the_first_address_takes_back_a_chain_of_changes(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    before = await snapshot(member.customer_id)
    await change(world, member, NEW, "reissue")
    world.advance(timedelta(hours=1))
    tokens = expect(await world.sign_in(NEW), 201)
    body = {"new_email": "third@shop.test", "mode": "reissue", "password": PASSWORD}
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    expect(await world.client.post("/v1/me/email-changes", json=body, headers=headers), 202)
    expect(await confirm(world, "third@shop.test"), 200)
    expect(await not_me(world, OLD), 200)
    assert await snapshot(member.customer_id) == before
    expect(await world.sign_in(OLD), 201)
    for address in (NEW, "third@shop.test"):
        assert (await world.sign_in(address)).status_code == 401


async def test_every_step_is_in_the_audit_trail(world: World) -> None:
    member = await world.sign_up(OLD)
    await change(world, member)
    expect(await not_me(world), 200)
    rows = await DB.fetch(
        "select action, actor_kind, actor_id from audit_entry where action like 'email_change.%' order by id"
    )
    assert [tuple(row) for row in rows] == [
        (action, "member", member.customer_id)
        for action in ("email_change.requested", "email_change.confirmed", "email_change.undone")
    ]
