"""Consent: an event with its words for one exact address; the latest rules."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import httpx
import pytest

from server.consents.service import get_consents, record_choice
from server.consents.wordings import EDITION, list_wordings, version_of
from server.db.engine import DB
from shared.enums import ConsentAnswer
from tests.app import SignedUp, World, expect, problem


async def put(world: World, member: SignedUp, *, email: bool = False, sms: bool = False) -> httpx.Response:
    return await world.client.put("/v1/me/consents", json={"email": email, "sms": sms}, headers=member.headers)


async def events() -> list[tuple[str, str, str]]:
    rows = await DB.fetch("select channel, address_key, state from consent_event order by at, id")
    return [tuple(row) for row in rows]


async def test_nobody_has_consented_to_anything_by_joining(world: World) -> None:
    member = await world.sign_up()
    answer = expect(await world.client.get("/v1/me/consents", headers=member.headers), 200)
    nothing = {"state": "not_asked", "since": None, "source": None}
    assert answer == {"email": nothing, "sms": nothing}
    assert await events() == []


async def test_a_yes_and_a_no_are_events_with_who_where_and_which_words(world: World) -> None:
    member = await world.sign_up()
    expect(await put(world, member, email=True), 200)
    world.advance(timedelta(minutes=5))
    answer = expect(await put(world, member, email=False), 200)
    assert answer["email"]["state"] == "opted_out"
    assert await events() == [("email", "ana@shop.test", "opted_in"), ("email", "ana@shop.test", "opted_out")]
    row = await DB.fetch_row("select * from consent_event where state = 'opted_in'")
    assert row is not None
    assert (row["actor_kind"], row["actor_id"], row["source"]) == ("member", member.customer_id, "app")
    assert (row["network"], row["wording_version"]) == ("198.51.100.0/24", version_of("email"))


async def test_the_words_can_be_read_for_ever(world: World) -> None:
    rows = await DB.fetch("select version, channel, wording from consent_wording")
    assert {(row["version"], row["channel"], row["wording"]) for row in rows} == {
        (version, wording.channel, wording.text) for version, wording in list_wordings()
    }
    with pytest.raises(asyncpg.RestrictViolationError):
        await DB.fetch("update consent_wording set wording = 'something else'")


async def test_the_form_keeps_the_edition_that_it_showed(world: World) -> None:
    expect(await world.request_sign_up("ana@shop.test", consents={"email": True}), 202)
    await DB.fetch("update signup_intent set wording_version = 'an-older-edition'")
    expect(await world.confirm_sign_up("ana@shop.test"), 201)
    assert await DB.fetch_value("select wording_version from consent_event") == "an-older-edition.email"
    assert EDITION != "an-older-edition"


async def test_saying_the_same_again_writes_nothing(world: World) -> None:
    member = await world.sign_up()
    for _ in range(2):
        expect(await put(world, member, email=True), 200)
    assert len(await events()) == 1
    assert await DB.fetch_value("select count(*) from audit_entry where action = 'consent.changed'") == 1


async def test_a_change_marks_the_contact(world: World) -> None:
    member = await world.sign_up()
    before = int(str(await DB.fetch_value("select dirty_seq from audience_contact")))
    expect(await put(world, member, email=True), 200)
    assert await DB.fetch_value("select dirty_seq from audience_contact") == before + 1


async def test_text_messages_need_a_number(world: World) -> None:
    member = await world.sign_up()
    assert problem(await put(world, member, email=True, sms=True))[:2] == (400, "CONSENT_NEEDS_PHONE")
    assert await events() == []
    expect(await world.client.patch("/v1/me", json={"phone": "020 7946 0000"}, headers=member.headers), 200)
    answer = expect(await put(world, member, sms=True), 200)
    assert (answer["sms"]["state"], answer["email"]["state"]) == ("opted_in", "opted_out")


async def test_consent_belongs_to_the_address_it_was_given_for(world: World) -> None:
    member = await world.sign_up(phone="020 7946 0000", consents={"sms": True})
    expect(await world.client.patch("/v1/me", json={"phone": "020 7946 0001"}, headers=member.headers), 200)
    answer = expect(await world.client.get("/v1/me/consents", headers=member.headers), 200)
    assert answer["sms"]["state"] == "not_asked"


@pytest.mark.parametrize(
    ("source", "verified", "state"),
    [
        ("till", False, ConsentAnswer.PENDING),
        ("till", True, ConsentAnswer.OPTED_IN),
        ("app", False, ConsentAnswer.OPTED_IN),
    ],
)
async def test_a_yes_at_the_till_to_an_unproven_address_is_pending(
    world: World, source: str, verified: bool, state: ConsentAnswer
) -> None:
    member = await world.sign_up()
    if not verified:
        await DB.fetch("update contact_point set status = 'unverified'")
    await choose(world, member.customer_id, source)
    assert (await get_consents(member.customer_id)).email.state is state


async def choose(world: World, customer_id: UUID, source: str) -> None:
    async with DB.transaction():
        await record_choice(
            world.ctx,
            customer_id=customer_id,
            channel="email",
            address_key="ana@shop.test",
            opted_in=True,
            source=source,
        )


@pytest.mark.parametrize("body", [{"email": "yes"}, {"email": 1}, {"email": None}, {"post": True}, []])
async def test_a_choice_is_yes_or_no(world: World, body: object) -> None:
    member = await world.sign_up()
    answer = await world.client.put("/v1/me/consents", json=body, headers=member.headers)
    assert problem(answer)[:2] == (400, "INVALID_REQUEST")
    assert await events() == []


async def test_events_are_never_changed(world: World) -> None:
    member = await world.sign_up()
    expect(await put(world, member, email=True), 200)
    for statement in (
        "update consent_event set state = 'opted_out'",
        "delete from consent_event",
        "truncate consent_event",
    ):
        with pytest.raises(asyncpg.RestrictViolationError):
            await DB.fetch(statement)
