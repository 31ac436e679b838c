"""A copy of everything held: whole, readable both ways, for one person alone, and gone after a week."""

import asyncio
import contextvars
from datetime import timedelta
from uuid import UUID

from server.db.engine import DB
from server.privacy import export_store
from server.privacy.files import PIECE_BYTES
from tests.app import PASSWORD, World, expect, problem
from tests.server.merges.desk import MergeDesk
from tests.server.privacy.desk import full_life, keyed, unpack, work
from tests.server.sharing.desk import two_members
from tests.waiting import until_somebody_waits


async def test_a_copy_holds_everything_and_names_nobody_else(world: World) -> None:
    _, _, cards = await full_life(world)
    tokens = expect(await world.sign_in("ana@shop.test"), 201)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    asked = expect(await world.client.post("/v1/me/exports", json={}, headers=keyed(headers)), 202)
    assert asked["state"] == "waiting"
    early = await world.client.get(f"/v1/me/exports/{asked['id']}/file", headers=headers)
    assert problem(early)[0] == 404
    await work(world)
    listed = expect(await world.client.get("/v1/me/exports", headers=headers), 200)["items"]
    assert [(one["id"], one["state"]) for one in listed] == [(asked["id"], "ready")]

    mail = await world.mail_to("ana@shop.test", purpose="export")
    answer = await world.client.post("/v1/exports/download", json={"token": mail.token})
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["content-length"]) == len(answer.content) == listed[0]["bytes_count"]
    data, page = unpack(answer)

    assert data["profile"][0]["notes"] == "prefers oat milk"
    assert {one["value"] for one in data["contact_points"]} >= {"ana@shop.test", "anna.old@shop.test"}
    assert {one["channel"] for one in data["consents"]} == {"email", "sms"}
    assert sorted(one["code"] for one in data["cards"]) == sorted(cards)
    assert {one["points"] for one in data["entries"]} >= {250, 30, -100}
    assert sum(one["points"] for one in data["entries"]) == data["memberships"][0]["balance"]
    assert [len(one["lines"]) for one in data["orders"]] == [1, 2]
    assert data["adjustments"][0]["note"] == "for her broken cup"
    assert data["vouchers"][0]["reward"] == "1.00 off"
    assert data["links"][0]["external_id"] == "till-customer-77"
    assert data["email_changes"][0]["new_email"] == "zerlina.work@shop.test"
    assert {"customer.viewed", "customer.merged", "points.adjusted"} & {one["action"] for one in data["audit"]}
    assert {one["by"] for one in data["audit"]} >= {"you", "staff (manager)"}
    for text in ("Zerlina", "prefers oat milk", "for her broken cup", *cards):
        assert text in page
    assert "Sam Till" not in page, "staff are named by their role"
    assert "invited@friend.test" not in page, "the address of somebody else"
    assert "password_hash" not in page
    # The same file for a signed-in device; a link works again until it is over.
    again = await world.client.get(f"/v1/me/exports/{asked['id']}/file", headers=headers)
    assert again.content == answer.content
    assert (await world.client.post("/v1/exports/download", json={"token": mail.token})).content == answer.content


async def test_nobody_else_gets_it_and_it_is_gone_after_a_week(world: World) -> None:
    ana, ben = await two_members(world)
    asked = expect(
        await world.client.post("/v1/me/exports", json={"password": PASSWORD}, headers=keyed(ana.headers)), 202
    )
    await work(world)
    path = f"/v1/me/exports/{asked['id']}/file"
    assert problem(await world.client.get(path, headers=ben.headers))[0] == 404
    manager = await world.staff_headers("manager")
    assert problem(await world.client.get(f"/v1/staff/exports/{asked['id']}/file", headers=manager))[0] == 404
    mail = await world.mail_to(ana.email, purpose="export")
    stored = await DB.fetch_value("select token_hash from one_time_token where purpose = 'export'")
    assert isinstance(stored, bytes)
    assert mail.token.encode() not in stored
    wrong = await world.client.post("/v1/exports/download", json={"token": mail.token[:-1] + "x"})
    assert problem(wrong)[1] == "TOKEN_EXPIRED"
    world.advance(timedelta(minutes=11))
    assert problem(await world.client.get(path, headers=ana.headers))[1] == "REAUTH_REQUIRED"
    for _ in range(2):
        expect(await world.client.post("/v1/me/exports", json={"password": PASSWORD}, headers=keyed(ana.headers)), 202)
    throttled = await world.client.post("/v1/me/exports", json={"password": PASSWORD}, headers=keyed(ana.headers))
    assert problem(throttled)[1] == "RATE_LIMITED"
    await work(world)
    # Copies may be finished in any order: each mail's own link works, as it says.
    tokens = [mail.token, *(one.token for one in await world.mails_to(ana.email) if "/links/export#" in one.text)]
    assert len(set(tokens)) == 3
    for token in tokens:
        assert (await world.client.post("/v1/exports/download", json={"token": token})).status_code == 200
    world.advance(timedelta(days=7))
    assert problem(await world.client.post("/v1/exports/download", json={"token": mail.token}))[1] == "TOKEN_EXPIRED"
    await work(world)
    assert await DB.fetch_value("select count(*) from personal_export_part") == 0
    states = await DB.fetch("select distinct state from personal_export")
    assert [row["state"] for row in states] == ["expired"]


async def test_whoever_asks_to_be_forgotten_while_a_copy_is_made_waits_for_it(world: World) -> None:
    ana = await world.sign_up()
    asked = expect(await world.client.post("/v1/me/exports", json={}, headers=keyed(ana.headers)), 202)
    export_id = UUID(asked["id"])
    async with asyncio.TaskGroup() as group, DB.transaction():
        assert await export_store.lock_waiting(export_id)
        sent = world.client.post("/v1/me/erasure/preview", headers=ana.headers)
        # Not in this transaction.
        waiting = group.create_task(sent, context=contextvars.Context())
        await until_somebody_waits()
        await export_store.add_part(export_id, 0, b"the beginning")
    assert expect(waiting.result(), 200)["blockers"] == []


async def test_staff_hand_a_copy_to_whom_no_mail_reaches(world: World) -> None:
    desk = await MergeDesk.open(world)
    bea = expect(await desk.post("/v1/staff/customers", {"given_name": "Bea", "phone": "020 7946 0019"}), 201)
    path = f"/v1/staff/customers/{bea['id']}/exports"
    refused = await world.client.post(path, json={"reason": "asked for it"}, headers=keyed(desk.headers))
    assert problem(refused)[2] == ["identity_attested"]
    body = {"identity_attested": True, "reason": "asked for it, showed a passport"}
    assert (
        problem(await world.client.post(path, json=body, headers=keyed(await world.staff_headers("cashier"))))[0] == 403
    )
    asked = expect(await world.client.post(path, json=body, headers=keyed(desk.headers)), 202)
    await work(world)
    data, _ = unpack(await world.client.get(f"/v1/staff/exports/{asked['id']}/file", headers=desk.headers))
    assert data["profile"][0]["given_name"] == "Bea"
    trail = await DB.fetch("select action from audit_entry where subject_kind = 'personal_export' order by id")
    assert [row["action"] for row in trail] == ["export.requested", "export.made", "export.fetched"]


async def test_a_long_history_is_written_in_small_pieces(world: World) -> None:
    ana = await world.sign_up()
    sql = """
    insert into audit_entry (id, at, actor_kind, action, subject_kind, customer_id, reason)
    select regulars_new_id(), $2, 'system', 'test.' || md5(n::text), 'test', $1, md5(n::text) || md5((n + 1)::text)
    from generate_series(1, 6000) n
    """
    await DB.fetch(sql, ana.customer_id, world.clock.now())
    asked = expect(await world.client.post("/v1/me/exports", json={}, headers=keyed(ana.headers)), 202)
    await work(world)
    parts = await DB.fetch("select number, length(content) as size from personal_export_part order by number")
    assert len(parts) > 1
    assert {row["size"] for row in parts[:-1]} == {PIECE_BYTES}
    data, page = unpack(await world.client.get(f"/v1/me/exports/{asked['id']}/file", headers=ana.headers))
    assert sum(one["action"].startswith("test.") for one in data["audit"]) == 6000
    assert page.count("test.") == 6000
