"""Staff accounts: set-up links, sign-in, sessions, disabling."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from server.db.engine import DB
from server.errors import Invalid, NotFound, Refused
from server.staff import service
from shared.enums import Role
from tests.app import PASSWORD, World, expect, problem

ANOTHER = "another-kettle-92-swans"


async def sign_in(world: World, login: str = "jo", password: str = PASSWORD) -> httpx.Response:
    body = {"login": login, "password": password, "terminal": "till 2"}
    return await world.client.post("/v1/staff/sessions", json=body)


async def accept(world: World, token: str, password: str = PASSWORD) -> httpx.Response:
    body = {"token": token, "new_password": password}
    return await world.client.post("/v1/staff/invitations/accept", json=body)


async def invite(world: World, login: str = "jo", role: Role = Role.CASHIER) -> str:
    await world.add_store()
    return await service.invite_staff(world.ctx, login=login, name="Jo Till", role=role, store_code="high-street")


async def current(world: World, token: str) -> httpx.Response:
    return await world.client.get("/v1/staff/sessions/current", headers={"Authorization": f"Bearer {token}"})


async def add_jo(world: World, role: Role = Role.CASHIER) -> None:
    expect(await accept(world, await invite(world, role=role)), 204)


async def test_a_fresh_service_has_no_sign_in_at_all(world: World) -> None:
    assert await DB.fetch_value("select count(*) from staff_member") == 0
    assert problem(await sign_in(world, "admin", "admin"))[:2] == (401, "SIGN_IN_FAILED")


async def test_a_set_up_link_lets_a_person_choose_a_password_once(world: World) -> None:
    token = await invite(world)
    assert problem(await sign_in(world))[:2] == (401, "SIGN_IN_FAILED"), "an invitation is no password"
    expect(await accept(world, token), 204)
    session = expect(await sign_in(world, " JO "), 201)
    assert (session["staff"]["role"], session["staff"]["store_code"]) == ("cashier", "high-street")
    assert problem(await accept(world, token, ANOTHER))[:2] == (410, "TOKEN_EXPIRED")


async def test_two_uses_of_one_set_up_link_at_once_set_one_password(world: World) -> None:
    token = await invite(world)
    answers = await asyncio.gather(accept(world, token), accept(world, token, ANOTHER))
    assert sorted(answer.status_code for answer in answers) == [204, 410]
    signed_in = [(await sign_in(world, password=password)).status_code for password in (PASSWORD, ANOTHER)]
    assert sorted(signed_in) == [201, 401]


async def test_a_set_up_link_is_over_after_seven_days(world: World) -> None:
    token = await invite(world)
    world.advance(timedelta(days=7))
    assert problem(await accept(world, token))[:2] == (410, "TOKEN_EXPIRED")


async def test_a_weak_password_leaves_the_set_up_link_open(world: World) -> None:
    token = await invite(world)
    assert problem(await accept(world, token, "password1234"))[:2] == (400, "PASSWORD_WEAK")
    expect(await accept(world, token), 204)


async def test_a_renewed_link_voids_the_older_one_and_ends_sessions_when_used(world: World) -> None:
    first = await invite(world)
    second = await service.renew_invitation(world.ctx, "jo")
    assert problem(await accept(world, first))[:2] == (410, "TOKEN_EXPIRED")
    expect(await accept(world, second), 204)
    session = expect(await sign_in(world), 201)
    expect(await accept(world, await service.renew_invitation(world.ctx, "jo"), ANOTHER), 204)
    assert (await current(world, session["access_token"])).status_code == 401
    assert (await sign_in(world)).status_code == 401
    expect(await sign_in(world, password=ANOTHER), 201)


async def test_a_members_link_is_no_set_up_link(world: World) -> None:
    await world.request_sign_up("ana@shop.test")
    mail = await world.mail_to("ana@shop.test", purpose="signup")
    assert problem(await accept(world, mail.token))[:2] == (410, "TOKEN_EXPIRED")


async def test_unknown_names_and_wrong_passwords_get_the_same_answer(world: World) -> None:
    await add_jo(world)
    wrong, unknown = await sign_in(world, password=ANOTHER), await sign_in(world, "nobody", ANOTHER)
    same = {"type", "title", "status", "code", "detail"}
    assert {name: wrong.json().get(name) for name in same} == {name: unknown.json().get(name) for name in same}
    assert set(wrong.headers) == set(unknown.headers)


async def test_ten_wrong_tries_make_the_next_one_wait_even_if_it_is_right(world: World) -> None:
    await add_jo(world)
    for _ in range(10):
        assert (await sign_in(world, password=ANOTHER)).status_code == 401
    slowed = await sign_in(world)
    assert problem(slowed)[:2] == (429, "RATE_LIMITED")
    assert int(slowed.headers["retry-after"]) > 0
    world.advance(timedelta(minutes=5, seconds=1))
    expect(await sign_in(world), 201)


async def test_a_session_ends_after_an_hour_without_use_and_after_eight_in_any_case(world: World) -> None:
    await add_jo(world)
    idle = expect(await sign_in(world), 201)["access_token"]
    world.advance(timedelta(minutes=60))
    assert (await current(world, idle)).status_code == 401
    used = expect(await sign_in(world), 201)["access_token"]
    for _ in range(15):
        world.advance(timedelta(minutes=31))
        expect(await current(world, used), 200)
    world.advance(timedelta(minutes=15))
    assert (await current(world, used)).status_code == 401


async def test_signing_out_ends_the_session_at_once(world: World) -> None:
    await add_jo(world)
    one = expect(await sign_in(world), 201)["access_token"]
    other = expect(await sign_in(world), 201)["access_token"]
    answer = await world.client.delete("/v1/staff/sessions/current", headers={"Authorization": f"Bearer {one}"})
    assert answer.status_code == 204
    assert (await current(world, one)).status_code == 401
    expect(await current(world, other), 200)


async def test_a_disabled_person_is_out_at_the_next_request_and_cannot_come_back(world: World) -> None:
    await add_jo(world)
    token = expect(await sign_in(world), 201)["access_token"]
    link = await service.renew_invitation(world.ctx, "jo")
    await service.disable_staff(world.ctx, "jo")
    assert (await current(world, token)).status_code == 401
    assert problem(await sign_in(world))[:2] == (401, "SIGN_IN_FAILED")
    assert problem(await accept(world, link))[:2] == (410, "TOKEN_EXPIRED")
    with pytest.raises(NotFound):
        await service.renew_invitation(world.ctx, "jo")
    with pytest.raises(NotFound):
        await service.disable_staff(world.ctx, "jo")


async def test_a_changed_role_counts_from_the_next_request(world: World) -> None:
    await add_jo(world, Role.MANAGER)
    token = expect(await sign_in(world), 201)["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    expect(await world.client.get("/v1/staff/audit", headers=headers), 200)
    await DB.fetch("update staff_member set role = 'cashier'")
    assert problem(await world.client.get("/v1/staff/audit", headers=headers))[:2] == (403, "NOT_PERMITTED")


@pytest.mark.parametrize("login", ["", "j", "jo jo", "jo\u202e", "-jo", "x" * 41, "jö"])
async def test_sign_in_names_are_plain(world: World, login: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await invite(world, login)
    assert [field.field for field in refusal.value.fields] == ["login"]


async def test_a_taken_name_and_an_unknown_store_are_refused(world: World) -> None:
    await invite(world)
    with pytest.raises(Invalid):
        await invite(world, "JO")
    with pytest.raises(Refused, match="STORE_UNKNOWN"):
        await service.invite_staff(world.ctx, login="al", name="Al", role=Role.ADMIN, store_code="nowhere")
    assert [one.login for one in await service.list_staff()] == ["jo"]


async def test_no_password_or_token_lies_in_the_database(world: World) -> None:
    token = await invite(world)
    expect(await accept(world, token), 204)
    session = expect(await sign_in(world), 201)["access_token"]
    for table in ("staff_member", "staff_session", "one_time_token", "audit_entry"):
        for row in await DB.fetch(f"select t::text as text from {table} t"):
            for secret in (token, session, PASSWORD):
                assert secret not in row["text"]


async def test_each_act_on_a_staff_account_is_in_the_audit_trail(world: World) -> None:
    await add_jo(world)
    token = expect(await sign_in(world), 201)["access_token"]
    await world.client.delete("/v1/staff/sessions/current", headers={"Authorization": f"Bearer {token}"})
    await service.disable_staff(world.ctx, "jo")
    rows = await DB.fetch("select action, actor_kind from audit_entry order by id")
    assert [tuple(row) for row in rows] == [
        ("staff.invited", "system"),
        ("staff.password_set", "staff"),
        ("staff.signed_in", "staff"),
        ("staff.signed_out", "staff"),
        ("staff.disabled", "system"),
    ]
