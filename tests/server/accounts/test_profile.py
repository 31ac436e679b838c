"""The own profile: seen and changed by its member alone, a phone number only with the password."""

from datetime import timedelta
from typing import Any

import pytest

from server.db.engine import DB
from shared.limits import REDEMPTION_HOLD, STEP_UP_LIFE
from tests.app import PASSWORD, World, expect, problem


async def patch(world: World, headers: dict[str, str], **fields: object) -> Any:  # noqa: ANN401 - a response
    return await world.client.patch("/v1/me", json=fields, headers=headers)


async def test_fields_that_are_named_change_and_the_others_stay(world: World) -> None:
    headers = await world.member_headers(birthday={"month": 5, "day": 6, "year": 1990})
    me = expect(await patch(world, headers, given_name=" Anna  María ", locale="es"), 200)
    assert (me["given_name"], me["family_name"], me["locale"]) == ("Anna María", "Flores", "es")
    assert me["birthday"] == {"month": 5, "day": 6, "year": 1990}
    assert expect(await world.client.get("/v1/me", headers=headers), 200) == me


async def test_null_empties_a_field(world: World) -> None:
    headers = await world.member_headers(birthday={"month": 5, "day": 6}, phone="020 7946 0000")
    me = expect(await patch(world, headers, birthday=None, phone=None, family_name=""), 200)
    assert (me["birthday"], me["phone"], me["family_name"]) == (None, None, "")


async def test_a_new_name_is_found_and_the_old_one_is_not(world: World) -> None:
    headers = await world.member_headers()
    expect(await patch(world, headers, family_name="López"), 200)
    keys = await DB.fetch("select key from customer_name_key order by key")
    assert [row["key"] for row in keys] == ["ana lopez", "lopez ana"]


async def test_a_change_is_on_record_and_marks_the_contact(world: World) -> None:
    headers = await world.member_headers()
    marked = await DB.fetch_value("select dirty_seq from audience_contact")
    expect(await patch(world, headers, given_name="Anna"), 200)
    assert await DB.fetch_value("select dirty_seq from audience_contact") == int(str(marked)) + 1
    details = await DB.fetch_value("select details::text from audit_entry where action = 'customer.changed'")
    assert details == '{"fields": ["given_name"]}'


async def test_a_change_to_the_same_writes_nothing(world: World) -> None:
    headers = await world.member_headers()
    assert expect(await patch(world, headers, given_name="Ana"), 200)["version"] == 1
    assert await DB.fetch_value("select count(*) from audit_entry where action = 'customer.changed'") == 0


async def test_a_phone_number_needs_a_password_that_was_proved_lately(world: World) -> None:
    headers = await world.member_headers()
    world.advance(STEP_UP_LIFE + timedelta(seconds=1))
    assert problem(await patch(world, headers, phone="020 7946 0000"))[:2] == (403, "REAUTH_REQUIRED")
    assert problem(await patch(world, headers, phone="020 7946 0000", password="wrong"))[:2] == (403, "REAUTH_REQUIRED")
    me = expect(await patch(world, headers, phone="020 7946 0000", password=PASSWORD), 200)
    assert me["phone"] == "+44 20 7946 0000"


async def test_a_new_phone_number_is_told_by_mail_and_holds_spending(world: World) -> None:
    headers = await world.member_headers(phone="020 7946 0000")
    me = expect(await patch(world, headers, phone="020 7946 0001"), 200)
    assert me["redemption_held_until"] == (world.clock.now() + REDEMPTION_HOLD).isoformat().replace("+00:00", "Z")
    assert (await world.mails_to("ana@shop.test"))[-1].subject == "Your phone number was changed"
    rows = await DB.fetch("select value, status, is_primary from contact_point where kind = 'phone' order by value")
    assert [tuple(row) for row in rows] == [
        ("+44 20 7946 0000", "retired", False),
        ("+44 20 7946 0001", "unverified", True),
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"given_name": ""}, "given_name"),
        ({"given_name": "..."}, "given_name"),
        ({"given_name": None}, "given_name"),
        ({"birthday": {"month": 2, "day": 30}}, "birthday"),
        ({"birthday": "1990-05-06"}, "birthday"),
        ({"phone": "12"}, "phone"),
        ({"locale": "english"}, "locale"),
        ({"email": "bob@shop.test"}, "email"),
        ({"status": "blocked"}, "status"),
        ({"id": "01a20166-d3fe-7695-a60b-3e08b8b6fdde"}, "id"),
    ],
)
async def test_a_wrong_change_is_refused_whole_and_the_field_named(
    world: World, fields: dict[str, object], expected: str
) -> None:
    headers = await world.member_headers()
    status, _, named = problem(await patch(world, headers, **{"family_name": "López", **fields}))
    assert (status, named) == (400, [expected])
    assert expect(await world.client.get("/v1/me", headers=headers), 200)["family_name"] == "Flores"


async def test_nobody_sees_a_profile_without_a_session_of_their_own(world: World) -> None:
    staff = await world.staff_headers()
    key = await world.pos_key()
    for headers in ({}, staff, key):
        assert problem(await world.client.get("/v1/me", headers=headers))[:2] == (401, "NOT_SIGNED_IN")


async def test_a_blocked_customer_is_signed_out_at_once(world: World) -> None:
    member = await world.sign_up()
    await DB.fetch("update customer set status = 'blocked' where id = $1", member.customer_id)
    expect(await world.client.get("/v1/me", headers=member.headers), 401)
