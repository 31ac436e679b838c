"""An address that mail does not reach is flagged wherever staff meet the customer, put right at once, and free of it when proven."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from server.db.engine import DB
from shared.email_hints import suggest_email
from tests.app import World, expect, open_world, problem
from tests.standins.smtp import SmtpSink

HOOK_KEY = "5f0c7a1e94d24b8f9a3d6c2b7e81f045"
HOOK_SECRET = "a97d3c5e1f8b4a6290d7c3e5b1f2a486"


@pytest.fixture
async def hooked(database_url: str, data_dir: Path) -> AsyncIterator[World]:
    hooks: dict[str, Any] = {
        "mail_hook_key": HOOK_KEY,
        "mailchimp_hook_secret": HOOK_SECRET,
        "mailchimp_list_id": "list1",
    }
    async with open_world(database_url, data_dir, **hooks) as world:
        yield world


async def _register(world: World, headers: dict[str, str], email: str) -> dict[str, Any]:
    keyed = headers | {"Idempotency-Key": f"register-{email.replace('@', '-').replace('.', '-')}"}
    body = {"given_name": "Bea", "email": email}
    registered: dict[str, Any] = expect(await world.client.post("/v1/staff/customers", json=body, headers=keyed), 201)
    return registered


async def test_a_hard_bounce_flags_the_address_and_nothing_else_does(mailing: World, sink: SmtpSink) -> None:
    cashier = await mailing.staff_headers("cashier")
    sink.refuse("bea@shop.test", code=550)
    sink.refuse("full@shop.test", code=552)
    sink.refuse("later@shop.test", code=451)
    flagged = {}
    for email in ("bea@shop.test", "full@shop.test", "fine@shop.test"):
        registered = await _register(mailing, cashier, email)
        await mailing.run_jobs()
        path = f"/v1/staff/customers/{registered['id']}"
        shown = expect(await mailing.client.get(path, headers=cashier), 200)
        hits = await mailing.client.get("/v1/staff/customers", params={"q": email}, headers=cashier)
        (hit,) = expect(hits, 200)["items"]
        card = {"card": registered["card_number"]}
        looked = expect(await mailing.client.get("/v1/pos/lookup", params=card, headers=await mailing.pos_key()), 200)
        flags = {shown["email_bouncing"], hit["email_bouncing"], looked["email_bouncing"]}
        assert len(flags) == 1
        flagged[email] = flags.pop()
        assert shown["email_status"] == "unverified", "flagged is not proven"
    assert flagged == {"bea@shop.test": True, "full@shop.test": False, "fine@shop.test": False}
    trail = await DB.fetch("select details from audit_entry where action = 'email.bounced'")
    assert len(trail) == 1
    assert "shop.test" not in trail[0]["details"]


async def test_a_bouncing_address_is_corrected_at_once_even_if_it_was_proven_and_a_new_proof_clears_it(
    mailing: World, sink: SmtpSink
) -> None:
    cashier = await mailing.staff_headers("cashier")
    registered = await _register(mailing, cashier, "bea@shop.test")
    sink.refuse("bea@shop.test", code=550)
    await mailing.run_jobs()
    sql = "update contact_point set status = 'verified', verified_at = now() where customer::text = $1"
    await DB.fetch(sql, registered["id"])
    path = f"/v1/staff/customers/{registered['id']}/corrections"
    wish = {"new_email": "bee@shop.test", "reason": "one letter"}
    shown = expect(await mailing.client.post(f"{path}/preview", json=wish, headers=cashier), 200)
    assert (shown["blockers"], shown["looks_like_typo"], shown["merge_with"]) == ([], True, None)
    body = wish | {"preview_hash": shown["preview_hash"]}
    keyed = cashier | {"Idempotency-Key": "correct-000000000001"}
    unsure = await mailing.client.post(path, json=body, headers=keyed)
    assert problem(unsure) == (400, "INVALID_REQUEST", ["identity_attested"])
    keyed |= {"Idempotency-Key": "correct-000000000003"}
    done = expect(await mailing.client.post(path, json=body | {"identity_attested": True}, headers=keyed), 201)
    assert done["redemption_held_until"] is not None, "as after every change of an address that was proven"
    detail = f"/v1/staff/customers/{registered['id']}"
    assert expect(await mailing.client.get(detail, headers=cashier), 200)["email_bouncing"] is False

    # The same mailbox may work again; whoever proves it is reached there.
    await DB.fetch("update contact_point set bounced_at = now() where key = 'bee@shop.test'")
    assert expect(await mailing.client.get(detail, headers=cashier), 200)["email_bouncing"] is True
    await DB.fetch("update message set state = 'failed' where state = 'queued'")
    sink.accept("bee@shop.test")
    expect(await mailing.client.post(f"{detail}/invitations", headers=cashier), 202)
    await mailing.run_jobs()
    text = sink.wait_for("bee@shop.test")[-1].text
    token = text.partition("#")[2].split()[0]
    answer = {"token": token, "new_password": "seven-lanterns-over-quay-9"}
    expect(await mailing.client.post("/v1/password-resets/confirm", json=answer), 204)
    shown = expect(await mailing.client.get(detail, headers=cashier), 200)
    assert (shown["email_status"], shown["email_bouncing"]) == ("verified", False)


async def _report(
    world: World, *events: dict[str, object], key: str = HOOK_KEY, at: datetime | None = None
) -> httpx.Response:
    """Send a provider's report, signed as documented."""
    body = msgspec.json.encode({"events": events})
    seconds = int((at or world.clock.now()).timestamp())
    digest = hmac.new(key.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"Regulars-Signature": f"t={seconds},v1={digest}", "Content-Type": "application/json"}
    return await world.client.post("/hooks/mail", content=body, headers=headers)


def _event(event_id: str, kind: str, at: datetime, email: str = "ana@shop.test") -> dict[str, object]:
    return {"id": event_id, "kind": kind, "email": email, "at": at.isoformat()}


async def _flags(world: World, customer_id: object) -> bool:
    """Return whether staff see the address flagged, the same wherever they meet the customer."""
    headers = await world.staff_headers("cashier")
    shown = expect(await world.client.get(f"/v1/staff/customers/{customer_id}", headers=headers), 200)
    (hit,) = expect(await world.client.get("/v1/staff/customers", params={"q": shown["email"]}, headers=headers), 200)[
        "items"
    ]
    card = {"card": shown["cards"][0]["code"]}
    looked = expect(await world.client.get("/v1/pos/lookup", params=card, headers=await world.pos_key()), 200)
    (flag,) = {shown["email_bouncing"], hit["email_bouncing"], looked["email_bouncing"]}
    return bool(flag)


async def test_a_provider_reports_late_bounces_in_any_order_and_only_what_is_newest_counts(hooked: World) -> None:
    ana = await hooked.sign_up()
    proven_at = hooked.clock.now()
    hooked.advance(timedelta(days=2))
    now = hooked.clock.now()
    silent = (
        _event("before-the-proof", "hard_bounce", proven_at - timedelta(hours=1)),
        _event("full", "soft_bounce", now),
        _event("stranger", "hard_bounce", now, "nobody@else.test"),
        _event("no-address", "hard_bounce", now, "not an address"),
        _event("no-day", "hard_bounce", datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))),
    )
    for event in silent:
        answer = await _report(hooked, event)
        assert (answer.status_code, answer.content) == (204, b"")
    assert await _flags(hooked, ana.customer_id) is False
    bounce = _event("gone", "hard_bounce", now - timedelta(hours=1), "ANA@shop.test")
    for _ in range(2):
        answer = await _report(hooked, bounce)
        assert (answer.status_code, answer.content) == (204, b""), "as for a stranger"
    assert await _flags(hooked, ana.customer_id) is True
    assert await DB.fetch_value("select count(*) from audit_entry where action = 'email.bounced'") == 1

    # A delivery from before the bounce says nothing; a later one does, and the bounce sent again stays known.
    expect(await _report(hooked, _event("was-fine", "delivered", now - timedelta(hours=2))), 204)
    assert await _flags(hooked, ana.customer_id) is True
    expect(await _report(hooked, _event("arrived", "delivered", now)), 204)
    expect(await _report(hooked, bounce), 204)
    assert await _flags(hooked, ana.customer_id) is False
    assert await DB.fetch_value("select count(*) from audit_entry where action = 'email.delivered'") == 1

    # What bounced before that and is told only now is over; so it is where nothing had bounced before.
    expect(await _report(hooked, _event("late", "hard_bounce", now - timedelta(minutes=5))), 204)
    assert await _flags(hooked, ana.customer_id) is False
    ben = await hooked.sign_up("ben@shop.test")
    hooked.advance(timedelta(days=2))
    now = hooked.clock.now()
    events = (("fine", "delivered", now), ("late-too", "hard_bounce", now - timedelta(hours=1)))
    for name, kind, at in (*events, ("fine-before", "delivered", now - timedelta(hours=2))):
        expect(await _report(hooked, _event(name, kind, at, ben.email)), 204)
    assert await _flags(hooked, ben.customer_id) is False
    hooked.advance(timedelta(minutes=1))
    expect(await _report(hooked, _event("gone-at-last", "hard_bounce", hooked.clock.now(), ben.email)), 204)
    assert await _flags(hooked, ben.customer_id) is True


async def test_only_reports_signed_with_the_key_just_now_are_taken(hooked: World) -> None:
    event = _event("gone", "hard_bounce", hooked.clock.now())
    forged = [
        await _report(hooked, event, key="x" * 40),
        await _report(hooked, event, at=hooked.clock.now() - timedelta(minutes=6)),
        await _report(hooked, event, at=hooked.clock.now() + timedelta(minutes=6)),
        await hooked.client.post("/hooks/mail", json={"events": [event]}),
        await hooked.client.post("/hooks/mail", json={"events": [event]}, headers={"Regulars-Signature": "t=,v1="}),
    ]
    assert {problem(answer)[:2] for answer in forged} == {(403, "HOOK_REFUSED")}
    good = await _report(hooked, event)
    assert good.status_code == 204
    assert await DB.fetch_value("select count(*) from hook_event") == 1


async def test_a_shop_without_the_key_takes_no_reports(world: World) -> None:
    answer = await _report(world, _event("gone", "hard_bounce", world.clock.now()))
    assert problem(answer)[:2] == (404, "NOT_FOUND")


async def test_an_address_that_mailchimp_cleaned_is_flagged_but_a_complaint_is_no_bounce(hooked: World) -> None:
    ana, ben = await hooked.sign_up(), await hooked.sign_up("ben@shop.test")
    hooked.advance(timedelta(hours=1))
    path = f"/hooks/mailchimp/{HOOK_SECRET}"
    form = {"type": "cleaned", "fired_at": f"{hooked.clock.now():%Y-%m-%d %H:%M:%S}", "data[list_id]": "list1"}
    assert (await hooked.client.get(path)).status_code == 200, "Mailchimp looks before it registers"
    assert problem(await hooked.client.get("/hooks/mailchimp/guessed"))[:2] == (404, "NOT_FOUND")
    for wrong in (
        {"data[email]": ben.email, "data[reason]": "abuse"},
        {"data[email]": ben.email, "data[reason]": "hard", "data[list_id]": "another"},
        {"data[email]": ben.email, "data[reason]": "hard", "type": "upemail"},
        {"data[email]": "nobody@else.test", "data[reason]": "hard"},
    ):
        answer = await hooked.client.post(path, data=form | wrong)
        assert (answer.status_code, answer.content) == (200, b"ok")
    cleaned = form | {"data[email]": ana.email, "data[reason]": "hard"}
    assert problem(await hooked.client.post("/hooks/mailchimp/guessed", data=cleaned))[0] == 404
    for _ in range(2):
        assert (await hooked.client.post(path, data=cleaned)).status_code == 200
    form_type = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await hooked.client.post(path, content=b"\xff\xfe=&&=", headers=form_type)).status_code == 200
    assert (await _flags(hooked, ana.customer_id), await _flags(hooked, ben.customer_id)) == (True, False)
    assert await DB.fetch_value("select count(*) from audit_entry where action = 'email.bounced'") == 1


async def test_a_taken_address_offers_the_merge(world: World) -> None:
    ana = await world.sign_up()
    cashier = await world.staff_headers("cashier")
    registered = await _register(world, cashier, "anna@shop.test")
    path = f"/v1/staff/customers/{registered['id']}/corrections"
    wish = {"new_email": ana.email, "reason": "one letter too many"}
    shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=cashier), 200)
    assert (shown["merge_with"], len(shown["blockers"])) == (str(ana.customer_id), 1)
    keyed = cashier | {"Idempotency-Key": "correct-000000000002"}
    refused = await world.client.post(path, json=wish | {"preview_hash": shown["preview_hash"]}, headers=keyed)
    assert problem(refused)[:2] == (409, "EMAIL_TAKEN")
    assert refused.json()["data"]["customer_id"] == str(ana.customer_id)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ana@gmial.com", "ana@gmail.com"),
        ("ana@gmail.con", "ana@gmail.com"),
        ("ana@gmail.cm", "ana@gmail.com"),
        ("Ana.Flores@Hotmial.com", "Ana.Flores@hotmail.com"),
        ("ana@hotmail.co.k", "ana@hotmail.co.uk"),
        ("ana@outlok.com", "ana@outlook.com"),
        ("ana@yaho.com", "ana@yahoo.com"),
        ("ana@iclod.com", "ana@icloud.com"),
    ],
)
def test_a_slip_in_a_large_providers_domain_is_hinted_at(typed: str, meant: str) -> None:
    assert suggest_email(typed) == meant


async def test_the_service_gives_the_same_hint(world: World) -> None:
    cashier = await world.staff_headers("cashier")
    for typed, meant in (("ana@gmial.com", "ana@gmail.com"), ("ana@shop.test", None)):
        answer = await world.client.get("/v1/staff/email-hint", params={"email": typed}, headers=cashier)
        assert expect(answer, 200) == {"suggestion": meant}


@pytest.mark.parametrize(
    "right",
    [
        "ana@gmail.com", "ana@mail.com", "ana@ymail.com", "ana@email.com", "ana@me.com", "ana@mac.com", "ana@aol.com", "ana@gmx.net",
        "ana@gmx.de", "ana@web.de", "ana@live.com", "ana@line.com", "ana@shop.test", "ana@hotmail.fr", "ana@yahoo.fr",
        "ana@outlook.de", "ana@cloud.com", "ana@proton.me", "ana@protonmail.com", "ana@company.co.uk", "ana@gmail", "ana@", "ana",
        "", "@gmial.com", "a@b@gmial.com",
    ],
)  # fmt: skip
def test_nobody_is_asked_about_an_address_that_may_well_be_right(right: str) -> None:
    assert suggest_email(right) is None
