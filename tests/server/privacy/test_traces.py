"""Nothing that names an erased person is left in any column of the database, in a log, or in what others are told."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from server.db.engine import DB
from server.db.ids import new_id
from server.imports import service as imports
from server.imports.service import BalancesImported
from server.privacy.names import Names
from server.privacy.trace_store import forget_elsewhere
from server.staff.store import ensure_connection
from shared.enums import Role
from tests.app import PASSWORD, SignedUp, World, expect
from tests.ledgers import assert_verified
from tests.server.merges.desk import MergeDesk
from tests.server.privacy.desk import (
    PLANTED,
    ask_by_staff,
    find_traces,
    full_life,
    keyed,
    let_days_pass,
    status_of,
    work,
)
from tests.tills import push, push_batch, sale

_FILE = """email,phone,points,earned_at,key
ana@shop.test,,10,2026-01-01,ana@shop.test
,+442079460018,5,2026-01-01,Zerlina Quagliarella
ben@shop.test,,7,2026-01-01,ben@shop.test
"""


async def test_no_column_log_or_mail_names_an_erased_person(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    ben = await world.sign_up("ben@shop.test", given_name="Ben")
    ana, _, cards = await full_life(world)
    world.advance(timedelta(days=2))
    desk = await MergeDesk.open(world)
    await _be_everywhere_else(world, desk, ana, ben)
    texts = (*PLANTED, "zerlina-77", *cards)
    planted = await find_traces(*texts)
    missing = {
        "balance_row.identifier", "balance_row.row_key", "pos_staged.payload", "pos_staged.detail", "orders.pos_customer_id",
        "refund.resolved_reason", "audit_entry.reason", "message.parameters", "message.to_address",
        "pgqueuer_log.traceback", "duplicate_candidate.note", "idempotency_key.reply", "sharing_operation.reason",
        "signup_intent.email", "one_time_token.email_key", "consent_event.address_key",
    } - {column for columns in planted.values() for column in columns}  # fmt: skip
    assert not missing, "planted where it could be left behind"
    trail = await _trail_of(ana)
    desk = await MergeDesk.open(world)
    capfd.readouterr()
    asked = await _let_be_forgotten(world, desk, ana)
    left = {text: columns for text, columns in (await find_traces(*texts)).items() if columns}
    # What has to be removed by hand at a till is named until somebody says that it is.
    assert left == {"till-customer-77": ["erasure.pos_records"]}
    logged = capfd.readouterr()
    assert [text for text in texts if text.lower() in (logged.out + logged.err).lower()] == []

    await _others_keep_what_is_theirs(world, ben)
    # What was sold, and who did what when, is all there.
    assert [after >= before for before, after in zip(trail, await _trail_of(ana), strict=True)] == [True] * 3
    again = await _bring(world)
    assert [(line.line, line.reason.partition(",")[0]) for line in again.refused] == [
        (2, "It was imported before"),
        (3, "Nobody has this phone number"),
    ]
    assert (again.posted, again.known) == (0, 1), "no row is posted twice"
    assert {text for text, columns in (await find_traces(*texts)).items() if columns} == {"till-customer-77"}
    await assert_verified(world)
    # The record at the till is removed by hand; then all is done, and the till's name of her is gone here too.
    done = await world.client.post(
        f"{asked}/settle", json={"note": "removed at the till"}, headers=await world.staff_headers("manager")
    )
    assert expect(done, 200)["state"] == "done"
    assert (await find_traces("till-customer-77"))["till-customer-77"] == []
    # The till may still have its record, and name her by it: that is not kept again, however the sale comes.
    name = {"pos_customer_id": "till-customer-77"}
    single, *others = (sale(world, customer=name, state=state) for state in ("open", "completed", "open"))
    key = await world.pos_key()
    expect(await push(world, key, single), 201)
    expect(await push_batch(world, key, others), 200)
    done = await push(world, key, single | {"state": "completed", "revision": 1})
    assert expect(done, 201)["skipped_reason"] == "customer_unknown"
    assert (await find_traces("till-customer-77"))["till-customer-77"] == []


async def test_a_short_id_at_one_till_takes_no_sale_of_another_till_along(world: World) -> None:
    staged = """
    insert into pos_staged (id, connection, kind, external_id, changed_at, payload, content_hash, state, reason, staged_at)
    values ($1, $2, 'order', 'sale', $3, $4, ''::bytea, 'quarantined', 'unreadable', $3)
    """
    async with DB.transaction():
        mine, other = [await ensure_connection(world.ctx, code) for code in ("mine", "other")]
        for connection, payload in ((mine, {"buyer": "7"}), (other, {"buyer": "8", "quantity": "7"})):
            await DB.fetch(staged, new_id(), connection, world.clock.now(), json.dumps(payload))
        record = await DB.fetch_row("select $1::uuid as connection, 'mine' as code, '7' as external_id", mine)
        assert record is not None
        await forget_elsewhere(world.ctx, [new_id()], Names(addresses=(), cards=(), records=(record,)))
    assert [row["connection"] for row in await DB.fetch("select connection from pos_staged")] == [other]


async def _trail_of(member: SignedUp) -> tuple[int, int, int]:
    sql = """
    select (select sum(net_minor) from orders where customer = $1), (select count(*) from ledger_entry where customer = $1),
           (select count(*) from audit_entry where customer_id = $1)
    """
    row = await DB.fetch_row(sql, member.customer_id)
    assert row is not None
    return int(row[0]), int(row[1]), int(row[2])


async def _let_be_forgotten(world: World, desk: MergeDesk, member: SignedUp) -> str:
    """Ask at the desk, let another person approve, and let the days go by; return the wish's path."""
    asked = expect(await ask_by_staff(desk, member.customer_id), 202)
    assert (asked["state"], asked["needs"]) == ("waiting", ["asked_by_staff"])
    path, approver = f"/v1/staff/erasures/{asked['id']}", await world.staff_headers("manager")
    shown = expect(await world.client.get(path, headers=approver), 200)
    assert shown["effect"]["records_merged"] == 1
    assert shown["effect"]["pos_records"] == ["till: till-customer-77"]
    body = {"preview_hash": shown["preview_hash"], "note": "told at the desk"}
    approved = await world.client.post(f"{path}/approve", json=body, headers=keyed(approver))
    assert expect(approved, 200)["state"] == "cooling"
    await let_days_pass(world)
    assert await status_of(member.customer_id) == "erased"
    return path


async def _bring(world: World) -> BalancesImported:
    return await imports.import_balances(world.ctx, _FILE, name="old system", on_progress=lambda _: None)


async def _be_everywhere_else(world: World, desk: MergeDesk, ana: SignedUp, ben: SignedUp) -> None:
    """Leave traces where they are not in a row of the person's own."""
    await _bring(world)
    signed_in = expect(await world.sign_in(ana.email), 201)
    headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
    invite = {"email": ben.email, "password": PASSWORD}
    path = f"/v1/me/memberships/{ana.membership_id}/sharing-invitations"
    expect(await world.client.post(path, json=invite, headers=headers), 202)
    together = "Zerlina Quagliarella and Ben are one household"
    expect(await desk.combine(ana.membership_id, ben.membership_id, reason=together), 201)
    sold = await desk.buy(ana.card_number, 20)
    back = await desk.refund((await desk.buy(ana.card_number, 30))["external_id"], 100)
    given = f"/v1/staff/orders/{sold['order_id']}/assignment"
    wish = {"customer_id": str(ben.customer_id), "reason": "Zerlina bought it for Ben"}
    shown = expect(await desk.post(f"{given}/preview", wish), 200)
    expect(await desk.post(given, wish | {"preview_hash": shown["preview_hash"]}), 200)
    sql = "update refund set resolved_reason = 'Quagliarella brought it' where id = $1"
    await DB.fetch(sql, UUID(str(back["refund_id"])))
    await DB.fetch("update orders set pos_customer_id = 'zerlina-77' where customer = $1", ana.customer_id)
    await _be_alike(world, desk, ana, ben)
    expect(await world.client.post("/v1/password-resets", json={"email": ana.email}), 202)
    await world.sign_in(ana.email, "a wrong password of hers")
    expect(await world.request_sign_up(ana.email, given_name="Zerlina"), 202)
    copy = {"identity_attested": True, "reason": "Zerlina asked for it"}
    expect(
        await world.client.post(
            f"/v1/staff/customers/{ana.customer_id}/exports",
            json=copy,
            headers=keyed(await world.staff_headers("manager")),
        ),
        202,
    )
    await work(world)
    await _be_in_the_machinery(world)


async def _be_in_the_machinery(world: World) -> None:
    """Be in a sale that was set aside, and in the error of a job; another person is in such a sale too."""
    sql = """
    insert into pos_staged (id, connection, kind, external_id, changed_at, payload, content_hash, state, reason, detail, staged_at)
    select $1, k.id, 'order', $2, $3, $4, ''::bytea, 'quarantined', 'unreadable', $5, $3
    from pos_connection k where k.code = 'till'
    """
    payloads = (
        ({"buyer": {"email": "Ana@Shop.test"}}, ""),
        ({"buyer": "till-customer-77"}, ""),
        ({"buyer": None}, "no such address: ana@shop.test"),
        ({"buyer": "till-customer-7"}, "no such address: zoe@shop.test"),
    )
    for number, (payload, detail) in enumerate(payloads):
        await DB.fetch(sql, new_id(), f"aside-{number}", world.clock.now(), json.dumps(payload), detail)
    # A mail that has not left yet; of one that has nothing is kept but to whom it went.
    queued = """
    insert into message (id, customer, purpose, to_address, template, parameters, created_at)
    select $1, customer, 'notice', value, 'sharing_left', '{"values": {"given_name": "Ben", "about": "Zerlina"}}', $2
    from contact_point where key = 'ben@shop.test'
    """
    await DB.fetch(queued, new_id(), world.clock.now())
    failed = """
    insert into pgqueuer_log (job_id, status, priority, entrypoint, traceback) values (1, 'exception', 0, 'mail.send', $1)
    """
    await DB.fetch(failed, json.dumps({"exception_message": "Key (email_key)=(ana@shop.test) exists"}))


async def _be_alike(world: World, desk: MergeDesk, ana: SignedUp, ben: SignedUp) -> None:
    """Be taken for somebody else, and not be after all."""
    pair = new_id()
    sql = "insert into duplicate_candidate (id, one, other, score, found_at) values ($1, $2, $3, 90, $4)"
    await DB.fetch(sql, pair, *sorted((ana.customer_id, ben.customer_id)), world.clock.now())
    expect(await desk.post(f"/v1/staff/duplicates/{pair}/dismiss", {"note": "Zerlina is not Ben"}), 200)
    path = f"/v1/staff/customers/{ben.customer_id}/adjustments"
    wish = {"points": 3, "reason_code": "goodwill", "note": "Ben's own", "visible": True}
    shown = expect(await desk.post(f"{path}/preview", wish), 200)
    expect(await desk.post(path, wish | {"preview_hash": shown["preview_hash"]}), 201)


async def _others_keep_what_is_theirs(world: World, ben: SignedUp) -> None:
    assert await DB.fetch_value("select count(*) from adjustment where note = 'Ben''s own'") == 1
    aside = await DB.fetch("select external_id, detail from pos_staged where state = 'quarantined'")
    assert [tuple(row) for row in aside] == [("aside-3", "no such address: zoe@shop.test")]
    acts = await DB.fetch(
        "select action, reason from audit_entry where customer_id = $1 and reason is distinct from 'erased'",
        ben.customer_id,
    )
    reasons = {row["action"]: row["reason"] for row in acts}
    assert reasons["membership.combined"] is None, "that it happened stays, and why goes with whom it named"
    assert reasons["adjustment.posted"] == "Ben's own"
    told = (await world.mails_to(ben.email))[-1]
    assert told.subject == f"A change to your shared rewards with {world.settings.shop_name}"
    assert "All points stay in the account" in " ".join(told.text.split()), told.text
    assert "You are its owner now" in told.text
    headers = await world.staff_headers(Role.MANAGER)
    shown = expect(await world.client.get(f"/v1/staff/customers/{ben.customer_id}", headers=headers), 200)
    assert [one["status"] for one in shown["memberships"] if one["status"] == "active"] == ["active"]
