"""The member sees the signed-in devices and ends one or all; a new password ends the others."""

from uuid import uuid4

import pytest

from server.db.engine import DB
from shared.limits import REDEMPTION_HOLD, SIGN_IN_TRIES
from tests.app import PASSWORD, World, expect, problem

NEW_PASSWORD = "nine-otters-juggle-91"


async def test_devices_are_listed_latest_first_with_the_current_one_marked(world: World) -> None:
    member = await world.sign_up()
    expect(await world.sign_in(member.email, device="a phone"), 201)
    items = expect(await world.client.get("/v1/me/sessions", headers=member.headers), 200)["items"]
    assert [(item["device"], item["network"], item["current"]) for item in items] == [
        ("a phone", "198.51.100.0/24", False),
        ("", "198.51.100.0/24", True),
    ]


async def test_one_device_can_be_signed_out(world: World) -> None:
    member = await world.sign_up()
    other = expect(await world.sign_in(member.email), 201)
    answer = await world.client.delete(f"/v1/me/sessions/{other['session_id']}", headers=member.headers)
    assert (answer.status_code, answer.content) == (204, b"")
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    expect(await world.client.get("/v1/me", headers=headers), 401)
    expect(await world.client.get("/v1/me", headers=member.headers), 200)


async def test_all_devices_can_be_signed_out(world: World) -> None:
    member = await world.sign_up()
    expect(await world.client.delete("/v1/me/sessions", headers=member.headers), 204)
    expect(await world.client.get("/v1/me", headers=member.headers), 401)
    refresh = {"refresh_token": member.tokens["refresh_token"]}
    expect(await world.client.post("/v1/sessions/refresh", json=refresh), 401)


async def test_nobody_can_sign_others_out_or_learn_of_their_devices(world: World) -> None:
    ana, bob = await world.sign_up("ana@shop.test"), await world.sign_up("bob@shop.test")
    for session_id in (ana.tokens["session_id"], uuid4(), "not-an-id"):
        answer = await world.client.delete(f"/v1/me/sessions/{session_id}", headers=bob.headers)
        assert problem(answer)[:2] == (404, "NOT_FOUND")
    expect(await world.client.get("/v1/me", headers=ana.headers), 200)


async def test_a_new_password_signs_the_others_out_and_is_told(world: World) -> None:
    member = await world.sign_up()
    other = expect(await world.sign_in(member.email), 201)
    form = {"password": PASSWORD, "new_password": NEW_PASSWORD}
    expect(await world.client.post("/v1/me/password", json=form, headers=member.headers), 204)
    me = expect(await world.client.get("/v1/me", headers=member.headers), 200)
    assert me["redemption_held_until"] == (world.clock.now() + REDEMPTION_HOLD).isoformat().replace("+00:00", "Z")
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    expect(await world.client.get("/v1/me", headers=headers), 401)
    expect(await world.sign_in(member.email, PASSWORD), 401)
    expect(await world.sign_in(member.email, NEW_PASSWORD), 201)
    assert "Your password was changed" in [mail.subject for mail in await world.mails_to(member.email)]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"password": "not-the-password-77", "new_password": NEW_PASSWORD}, (403, "REAUTH_REQUIRED", [])),
        ({"password": PASSWORD, "new_password": "password1234"}, (400, "PASSWORD_WEAK", ["new_password"])),
        ({"password": PASSWORD, "new_password": "ana.flores.2026"}, (400, "PASSWORD_WEAK", ["new_password"])),
        ({"new_password": NEW_PASSWORD}, (400, "INVALID_REQUEST", ["password"])),
    ],
)
async def test_a_refused_new_password_changes_nothing(
    world: World, form: dict[str, str], expected: tuple[int, str, list[str]]
) -> None:
    member = await world.sign_up()
    assert problem(await world.client.post("/v1/me/password", json=form, headers=member.headers)) == expected
    expect(await world.sign_in(member.email), 201)
    assert await DB.fetch_value("select max(password_version) from login") == 1


async def test_a_stolen_session_is_no_way_around_the_limit_of_guesses(world: World) -> None:
    member = await world.sign_up()
    form = {"password": "not-the-password-77", "new_password": NEW_PASSWORD}
    statuses = [
        (await world.client.post("/v1/me/password", json=form, headers=member.headers)).status_code
        for _ in range(SIGN_IN_TRIES + 1)
    ]
    assert statuses == [403] * SIGN_IN_TRIES + [429]
