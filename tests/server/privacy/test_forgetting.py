"""Whoever wishes is forgotten: nothing names them any more, the books stay right, and nothing brings them back."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from server.db.engine import DB
from server.ledger.movements import Origin, spend
from server.privacy import erasure_execution
from tests.app import PASSWORD, World, expect, problem
from tests.ledgers import assert_verified, credit, figures, locked
from tests.server.links.shop import Till, record, since
from tests.server.merges.desk import MergeDesk
from tests.server.privacy.desk import (
    ask,
    forget,
    keyed,
    let_days_pass,
    status_of,
    work,
)
from tests.server.sharing.desk import two_members


async def test_an_erased_member_cannot_sign_in_and_the_card_scans_for_nobody(world: World) -> None:
    ana = await world.sign_up()
    await forget(world, ana)
    desk = await MergeDesk.open(world)
    assert problem(await world.client.get("/v1/me", headers=ana.headers))[:2] == (401, "NOT_SIGNED_IN")
    assert (await world.sign_in(ana.email)).status_code == 401
    assert (
        problem(await world.client.get("/v1/pos/lookup", params={"card": ana.card_number}, headers=desk.key))[0] == 404
    )
    hits = await world.client.get("/v1/staff/customers", params={"q": ana.email}, headers=desk.headers)
    assert expect(hits, 200)["items"] == []
    shown = await desk.customer(ana.customer_id)
    assert (shown["status"], shown["given_name"], shown["contact_points"]) == ("erased", "", [])


async def test_points_are_given_up_and_a_debt_is_written_off(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await MergeDesk.open(world)
    await credit(world, ana.membership_id, 100, days=3)
    await credit(world, ana.membership_id, 60)
    await credit(world, ana.membership_id, 40, pending=30)
    sold = await desk.buy(ben.card_number, 50)
    await desk.buy(ben.card_number, 1)
    await _spend_all(world, ben.membership_id)
    await desk.refund(sold["external_id"], 5_000)
    owed = (await figures(ben.membership_id))[3]
    assert owed == 50
    await ask(world, ana)
    await ask(world, ben)
    await let_days_pass(world)

    # What lapsed in the days between lapsed; the rest was given up.
    rows = await DB.fetch(
        "select kind, sum(points)::int as points from ledger_entry where membership = $1 and points < 0 group by kind",
        ana.membership_id,
    )
    assert {row["kind"]: row["points"] for row in rows} == {"EXPIRE": -100, "FORFEIT": -100}
    written_off = await DB.fetch_value(
        "select points from ledger_entry where membership = $1 and kind = 'ADJUST' and reason_code = 'erased'",
        ben.membership_id,
    )
    assert written_off == owed
    for membership_id in (ana.membership_id, ben.membership_id):
        assert await figures(membership_id) == (0, 0, 0, 0)
        status = await DB.fetch_value("select status from membership where id = $1", membership_id)
        assert status == "forfeited"
    await assert_verified(world)


async def _spend_all(world: World, membership_id: UUID) -> None:
    async with locked(membership_id) as membership:
        await spend(world.ctx, membership, 51, Origin(source_key=f"hold-test:{membership_id}"))


async def test_points_of_a_shared_membership_stay_with_the_others(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await MergeDesk.open(world)
    await desk.buy(ana.card_number, 70)
    await desk.buy(ben.card_number, 30)
    expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    await forget(world, ana)

    assert await status_of(ana.customer_id) == "erased"
    assert (await figures(ana.membership_id))[1] == 100
    desk = await MergeDesk.open(world)
    people = await desk.people(ana.membership_id)
    assert [(one["customer_id"], one["role"]) for one in people] == [(str(ben.customer_id), "owner")]
    await desk.buy(ben.card_number, 5)
    assert (await figures(ana.membership_id))[1] == 105
    await assert_verified(world)


async def test_carrying_out_twice_has_one_effect(world: World) -> None:
    ana = await world.sign_up()
    await credit(world, ana.membership_id, 100)
    asked = await forget(world, ana)
    state = await DB.fetch("select * from ledger_entry order by id")
    world.advance(timedelta(days=1))
    assert not await erasure_execution.execute(world.ctx, UUID(asked["id"]))
    await work(world)
    assert await DB.fetch("select * from ledger_entry order by id") == state
    assert problem(await world.client.post(
        f"/v1/staff/customers/{ana.customer_id}/erasure/preview", headers=await world.staff_headers("manager")
    ))[:2] == (410, "CUSTOMER_ERASED")  # fmt: skip


async def test_no_till_and_no_file_brings_an_erased_person_back_but_the_person_can_come_back(world: World) -> None:
    ana = await world.sign_up(phone="020 7946 0018")
    till = await Till.of(world)
    await till.send(record("pos-1", **since(world)))
    await forget(world, ana)

    outcomes = [
        (await till.send(record("pos-1", email=None)))["outcome"],
        (await till.send(record("pos-2")))["outcome"],
        (await till.send(record("pos-3", email=None, card_number=ana.card_number)))["outcome"],
    ]
    assert outcomes == ["kept_out"] * 3
    batch = await till.post(
        "/v1/pos/customers/batch", {"customers": [record("pos-4"), record("pos-5", email="x@y.test")]}
    )
    assert [one["record"]["outcome"] for one in expect(batch, 200)["results"]] == ["kept_out", "new"]
    assert await DB.fetch_value("select count(*) from pos_record where email_key = 'ana@shop.test'") == 0
    sold = await till.sell("pos-1")
    assert (sold["points"], sold["skipped_reason"]) == (0, "customer_unknown")

    # A sign-up of her own will lifts the address, and begins anew.
    again = await world.sign_up(ana.email)
    assert again.customer_id != ana.customer_id
    assert (await figures(again.membership_id))[0] == 0
    assert (await till.send(record("pos-6")))["outcome"] == "new"
    await assert_verified(world)


async def test_the_database_lets_nothing_be_scrubbed_but_of_the_erased(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await MergeDesk.open(world)
    await desk.buy(ben.card_number, 5)
    await forget(world, ana)
    for sql in (
        "update audit_entry set reason = null, details = '{}' where customer_id = $1",
        "update ledger_entry set note = '' where customer = $1",
        "delete from audit_entry where customer_id = $1",
    ):
        await _refused(sql, ben.customer_id)
    for sql in (
        "update audit_entry set reason = 'something else' where customer_id = $1",
        "update audit_entry set details = '{\"more\": 1}' where customer_id = $1",
        "update audit_entry set action = 'customer.viewed' where customer_id = $1",
        "delete from audit_entry where customer_id = $1",
    ):
        await _refused(sql, ana.customer_id)


async def _refused(sql: str, customer_id: UUID) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await DB.fetch(sql, customer_id)


async def test_asking_takes_the_password_and_shows_what_it_does(world: World) -> None:
    ana = await world.sign_up()
    await credit(world, ana.membership_id, 120)
    world.advance(timedelta(minutes=14))
    refused = await world.client.post("/v1/me/erasure", json={}, headers=keyed(ana.headers))
    assert problem(refused)[:2] == (403, "REAUTH_REQUIRED")
    wrong = await world.client.post(
        "/v1/me/erasure", json={"password": "not this one at all"}, headers=keyed(ana.headers)
    )
    assert problem(wrong)[:2] == (403, "REAUTH_REQUIRED")
    shown = expect(await world.client.post("/v1/me/erasure/preview", headers=ana.headers), 200)
    assert (shown["effect"]["points_lost"], shown["effect"]["cards_ended"], shown["cooling_days"]) == (120, 1, 7)
    assert await status_of(ana.customer_id) == "active"
    await credit(world, ana.membership_id, 1)
    body = {"password": PASSWORD, "preview_hash": shown["preview_hash"]}
    stale = await world.client.post("/v1/me/erasure", json=body, headers=keyed(ana.headers))
    assert problem(stale)[:2] == (409, "PREVIEW_STALE")
    shown = expect(await world.client.post("/v1/me/erasure/preview", headers=ana.headers), 200)
    asked = await ask(world, ana, preview_hash=shown["preview_hash"])
    assert (asked["state"], asked["is_late"]) == ("cooling", False)
    assert asked["answer_by"].startswith("2026-04-02")
    # Asking again is the same wish.
    assert (await ask(world, ana))["id"] == asked["id"]
    await work(world)
    assert await status_of(ana.customer_id) == "active"


async def test_it_can_be_taken_back_by_link_by_the_member_and_by_staff(world: World) -> None:
    ana = await world.sign_up()
    await ask(world, ana)
    mail = await world.mail_to(ana.email, purpose="erasure-cancel")
    assert "9 March 2026" in mail.text
    assert "Keep my account" in (await world.client.get("/links/erasure-cancel")).text
    cancelled = expect(await world.client.post("/v1/erasures/cancel", json={"token": mail.token}), 200)
    assert cancelled["erasure"]["state"] == "cancelled"
    again = await world.client.post("/v1/erasures/cancel", json={"token": mail.token})
    assert problem(again)[1] == "TOKEN_EXPIRED"

    # The day is the shop's own: where it is still the 8th, nobody is told that there is time until the 9th.
    await DB.fetch("update programme set zone = 'Pacific/Pago_Pago'")
    await ask(world, ana)
    assert "8 March 2026" in (await world.mail_to(ana.email, purpose="erasure-cancel")).text
    gone = expect(await world.client.delete("/v1/me/erasure", headers=keyed(ana.headers)), 200)
    assert gone["erasure"]["state"] == "cancelled"
    assert problem(await world.client.delete("/v1/me/erasure", headers=keyed(ana.headers)))[0] == 404

    third = await ask(world, ana)
    manager = await world.staff_headers("manager")
    path = f"/v1/staff/erasures/{third['id']}/cancel"
    assert expect(await world.client.post(path, json={"reason": "rang up"}, headers=keyed(manager)), 200)[
        "cancelled_at"
    ]
    assert (
        problem(await world.client.post(path, json={"reason": "rang up"}, headers=keyed(manager)))[1]
        == "REQUEST_CLOSED"
    )
    world.advance(timedelta(days=30))
    await work(world)
    assert await status_of(ana.customer_id) == "active"
    mine = expect(await world.client.get("/v1/me/erasure", headers=(await _again(world, ana.email))), 200)
    assert mine == {"erasure": None}


async def _again(world: World, email: str) -> dict[str, str]:
    tokens = expect(await world.sign_in(email), 201)
    return {"Authorization": f"Bearer {tokens['access_token']}"}
