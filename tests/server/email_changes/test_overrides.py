"""A proven address that the customer cannot reach any more: two of the staff, three days, and links that stop it."""

import asyncio
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from asyncpg import CheckViolationError

from server.db.engine import DB
from server.db.ids import new_id
from server.email_changes.overrides import OVERRIDE_JOB, carry_out, carry_out_due, sweep_overrides
from shared.enums import Role
from shared.limits import OVERRIDE_LATE_MAX
from tests.app import PASSWORD, SignedUp, World, expect, problem
from tests.server.email_changes.builders import NEW, OLD, change, dump, give_points, keyed, not_me, request, snapshot

DELAY = timedelta(hours=72)
_TEXT_LINK = re.compile(r"/links/not-me#(\S+)")


def wish(new_email: str = NEW, **fields: object) -> dict[str, Any]:
    return {"new_email": new_email, "reason": "left that firm", "identity_attested": True, **fields}


async def ask(world: World, headers: dict[str, str], customer_id: object, new_email: str = NEW) -> dict[str, Any]:
    """Let a staff member ask for it, as previewed."""
    path = f"/v1/staff/customers/{customer_id}/email-overrides"
    shown = expect(await world.client.post(f"{path}/preview", json=wish(new_email), headers=headers), 200)
    form = wish(new_email, preview_hash=shown["preview_hash"])
    asked: dict[str, Any] = expect(await world.client.post(path, json=form, headers=keyed(headers)), 201)
    return asked


async def approve(world: World, headers: dict[str, str], change_id: object, **fields: object) -> httpx.Response:
    """Let a staff member look at it and say yes."""
    path = f"/v1/staff/email-overrides/{change_id}"
    shown = expect(await world.client.get(path, headers=headers), 200)
    form = {"preview_hash": (shown["preview"] or {}).get("preview_hash", "0" * 64), **fields}
    return await world.client.post(f"{path}/approve", json=form, headers=keyed(headers))


async def planned(world: World, member: SignedUp, new_email: str = NEW) -> dict[str, Any]:
    """Let two of the staff ask and approve."""
    asked = await ask(world, await world.staff_headers(Role.CASHIER), member.customer_id, new_email)
    done: dict[str, Any] = expect(await approve(world, await world.staff_headers(Role.MANAGER), asked["id"]), 200)
    return done


async def prove_phone(world: World, member: SignedUp, number: str = "+447700900123") -> None:
    await DB.fetch(
        "insert into contact_point (id, customer, kind, value, key, status, is_primary, created_at, verified_at) "
        "values ($1, $2, 'phone', $3, $3, 'verified', true, $4, $4)",
        new_id(), member.customer_id, number, world.clock.now(),
    )  # fmt: skip


async def texted_token(world: World) -> str:
    """Return the token of the one text that was sent."""
    await world.run_jobs()
    (text,) = [path.read_text() for path in world.settings.mail_folder.glob("*.sms")]
    found = _TEXT_LINK.search(text)
    assert found, text
    return found[1]


async def carry_out_all(world: World) -> None:
    """Do what the worker does every minute."""
    world.jobs[OVERRIDE_JOB] = carry_out_due
    await sweep_overrides(world.tools)
    await world.run_jobs()


async def states(world: World, **query: object) -> list[str]:
    headers = await world.staff_headers(Role.MANAGER)
    answer = await world.client.get("/v1/staff/email-overrides", params=query, headers=headers)  # type: ignore[arg-type]
    return [item["state"] for item in expect(answer, 200)["items"]]


async def test_two_of_the_staff_and_three_days_give_another_address_with_everything_as_it_was(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    await prove_phone(world, member)
    before = await snapshot(member.customer_id)
    cashier, manager = await world.staff_headers(Role.CASHIER), await world.staff_headers(Role.MANAGER)
    asked = await ask(world, cashier, member.customer_id)
    assert (asked["state"], asked["old_email"], asked["requested_by"]) == ("waiting", OLD, "Sam Till")
    queue = expect(await world.client.get("/v1/staff/queue", headers=manager), 200)
    assert queue["overrides"] == 1
    sent = len(await world.mails_to(OLD))

    asking = expect(await world.client.get(f"/v1/staff/email-overrides/{asked['id']}", headers=manager), 200)
    (warning,) = asking["preview"]["warnings"]
    assert "until the new address is proven" in warning, "what waits is this very wish, and replaces none"
    approved = expect(await approve(world, manager, asked["id"], password=PASSWORD), 200)
    due_at = world.clock.now() + DELAY
    assert (approved["state"], approved["execute_after"]) == ("delayed", due_at.isoformat().replace("+00:00", "Z"))
    notices = (await world.mails_to(OLD))[sent:]
    assert [(mail.subject, mail.purpose) for mail in notices] == [("Your email address is about to change", "not-me")]
    assert NEW not in notices[0].text, "the new address is masked"
    await texted_token(world)
    detail = f"/v1/staff/customers/{member.customer_id}"
    shown = expect(await world.client.get(detail, headers=cashier), 200)
    (waiting,) = shown["email_changes"]
    assert (waiting["is_override"], waiting["execute_after"]) == (True, approved["execute_after"])
    held_until = (due_at + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    held = (shown["redemption_held_reason"], shown["redemption_held_until"])
    assert held == ("email_override", held_until), "a worker that comes late leaves no moment to spend in"

    world.advance(DELAY - timedelta(seconds=1))
    await carry_out_all(world)
    assert await states(world) == ["delayed"]
    expect(await world.sign_in(OLD), 201)
    world.advance(timedelta(seconds=1))
    await carry_out_all(world)
    assert await states(world, state="done", customer_id=member.customer_id) == ["done"]
    assert problem(await world.sign_in(OLD))[1] == "SIGN_IN_FAILED"
    proof = await world.mail_to(NEW, purpose="email-change")
    done = expect(await world.client.post("/v1/email-changes/confirm", json={"token": proof.token}), 200)
    assert done["state"] == "verified"
    expect(await world.sign_in(NEW), 201)
    assert await snapshot(member.customer_id) == before
    trail = await DB.fetch(
        "select action, actor_kind from audit_entry where action like 'email_%' and customer_id = $1 order by id",
        member.customer_id,
    )
    assert [tuple(entry) for entry in trail] == [
        ("email_override.requested", "staff"),
        ("email_override.approved", "staff"),
        ("email_change.confirmed", "system"),
        ("email_change.verified", "member"),
    ]
    assert expect(await not_me(world), 200)["state"] == "undone", "the old address has seven days more"
    assert await snapshot(member.customer_id) == before


async def test_whoever_reads_the_old_mailbox_or_the_phone_stops_it(world: World) -> None:
    for number, address in enumerate((OLD, "ben@shop.test")):
        member = await world.sign_up(address)
        await prove_phone(world, member, f"+4477009001{number}1")
        await planned(world, member, f"other{number}@shop.test")
        if address == OLD:
            token = await texted_token(world)
        else:
            token = (await world.mail_to(address, purpose="not-me")).token
        stopped = await world.client.post("/v1/email-changes/cancel", json={"token": token})
        assert expect(stopped, 200)["state"] == "cancelled"
        assert problem(await world.client.get("/v1/me", headers=member.headers))[0] == 401
        told = (await world.mails_to(address))[-1]
        assert told.subject == "Your email address stays as it is"
        assert "Points cannot be spent until" in told.text
    world.advance(DELAY)
    await carry_out_all(world)
    assert await states(world) == ["cancelled", "cancelled"]
    expect(await world.sign_in(OLD), 201)
    assert await world.mails_to("other0@shop.test") == [], "the new address never heard of it"


async def test_one_person_alone_a_stale_look_or_a_lost_role_approves_nothing(world: World) -> None:
    member = await world.sign_up(OLD)
    manager_id = await world.add_staff(Role.MANAGER)
    manager = await world.staff_headers(staff_id=manager_id)
    other, cashier = await world.staff_headers(Role.MANAGER), await world.staff_headers(Role.CASHIER)
    path = f"/v1/staff/customers/{member.customer_id}/email-overrides"
    unsure = wish(identity_attested=False, preview_hash="0" * 64)
    assert problem(await world.client.post(path, json=unsure, headers=keyed(cashier)))[2] == ["identity_attested"]
    asked = await ask(world, manager, member.customer_id)
    before = await dump(world)
    approval = f"/v1/staff/email-overrides/{asked['id']}/approve"
    stale = {"preview_hash": "0" * 64}
    assert problem(await approve(world, manager, asked["id"]))[:2] == (403, "APPROVAL_REQUIRED")
    assert problem(await world.client.post(approval, json=stale, headers=keyed(cashier)))[0] == 403
    assert problem(await world.client.post(approval, json=stale, headers=keyed(other)))[1] == "PREVIEW_STALE"
    assert problem(await approve(world, other, asked["id"], password="not-mine-at-all"))[1] == "REAUTH_REQUIRED"
    assert await dump(world) == before
    await DB.fetch("update staff_member set role = 'marketing' where id = $1", manager_id)
    assert problem(await approve(world, other, asked["id"]))[:2] == (403, "NOT_PERMITTED")
    await DB.fetch(
        "update staff_member set role = 'manager', customer = $2 where id = $1", manager_id, member.customer_id
    )
    assert problem(await approve(world, other, asked["id"]))[1] == "SELF_DEALING"
    await DB.fetch("update staff_member set customer = null where id = $1", manager_id)
    world.advance(timedelta(hours=24))
    late = await world.staff_headers(Role.MANAGER)
    assert problem(await approve(world, late, asked["id"]))[:2] == (409, "REQUEST_CLOSED")
    assert await states(world, state="lapsed") == ["lapsed"]


async def test_staff_and_the_member_cancel_it_and_what_was_taken_meanwhile_is_not_taken_again(world: World) -> None:
    member = await world.sign_up(OLD)
    manager = await world.staff_headers(Role.MANAGER)
    sent = len(await world.mails_to(OLD))
    asked = await ask(world, manager, member.customer_id)
    undo = {"reason": "found the mailbox"}
    path = f"/v1/staff/email-changes/{asked['id']}/undo"
    expect(await world.client.post(path, json=undo, headers=keyed(manager)), 200)
    expect(await world.client.get("/v1/me", headers=member.headers), 200)
    assert len(await world.mails_to(OLD)) == sent, "nobody was told of it, so nobody is told of its end"

    approved = await planned(world, member)
    path = f"/v1/staff/email-changes/{approved['id']}/undo"
    expect(await world.client.post(path, json=undo, headers=keyed(manager)), 200)
    expect(tokens := await world.sign_in(OLD), 201)
    await planned(world, member)
    signed_in = SignedUp(
        email=OLD, password=PASSWORD, customer_id=member.customer_id, membership_id=member.membership_id,
        card_number=member.card_number, tokens=tokens.json(),
    )  # fmt: skip
    expect(await request(world, signed_in, "third@shop.test"), 202)
    await planned(world, await world.sign_up("cy@shop.test"), "taken@shop.test")
    await world.sign_up("taken@shop.test")
    world.advance(DELAY)
    await carry_out_all(world)
    assert await states(world) == ["cancelled"] * 4
    failed = await DB.fetch("select failed_because from email_change where failed_because is not null")
    assert [row["failed_because"] for row in failed] == ["EMAIL_TAKEN"]
    expect(await world.sign_in(OLD), 201)


async def test_whoever_was_told_that_the_address_changes_is_told_that_it_does_not(world: World) -> None:
    # Taken by somebody else meanwhile; too late, as no worker ran; replaced by another wish.
    ana, ben, cy = [await world.sign_up(f"{name}@shop.test") for name in ("ana", "ben", "cy")]
    for number, member in enumerate((ana, ben, cy)):
        await prove_phone(world, member, f"+44770090010{number}")
    await planned(world, ana, "taken@shop.test")
    await world.sign_up("taken@shop.test")
    await planned(world, cy, "third@shop.test")
    await ask(world, await world.staff_headers(Role.CASHIER), cy.customer_id, "fourth@shop.test")
    world.advance(DELAY)
    await carry_out_all(world)
    await planned(world, ben, "other@shop.test")
    world.advance(DELAY + OVERRIDE_LATE_MAX)
    await carry_out_all(world)
    for member, held_until in ((ana, "6 March 2026, 10:00"), (ben, None), (cy, "6 March 2026, 10:00")):
        (told,) = [
            mail for mail in await world.mails_to(member.email) if mail.subject == "Your email address is not changed"
        ]
        held = f"Points cannot be spent until {held_until} (Europe/London); collecting goes on."
        assert (held in " ".join(told.text.split())) == (held_until is not None), told.text
    texts = [path.read_text() for path in world.settings.mail_folder.glob("*.sms")]
    assert sum("stays as it is" in text for text in texts) == 3, "the mailbox is said to be out of reach"
    failed = await DB.fetch("select failed_because from email_change where failed_because is not null order by id")
    assert [row["failed_because"] for row in failed] == ["EMAIL_TAKEN", "REQUEST_CLOSED"]


async def test_a_manager_lifts_the_hold_that_a_cancelled_correction_leaves(world: World) -> None:
    member = await world.sign_up(OLD)
    approved = await planned(world, member)
    manager = await world.staff_headers(Role.MANAGER)
    path = f"/v1/staff/customers/{member.customer_id}"
    shown = expect(await world.client.get(path, headers=manager), 200)
    form = {"held_until": shown["redemption_held_until"], "identity_attested": True, "reason": "was a mistake"}

    async def lift(headers: dict[str, str] = manager, **fields: object) -> httpx.Response:
        return await world.client.post(f"{path}/redemption-hold/lift", json=form | fields, headers=keyed(headers))

    assert problem(await lift())[1] == "EMAIL_CHANGE_PENDING", "it is what the hold is for"
    undo = {"reason": "found the mailbox"}
    cancel = f"/v1/staff/email-changes/{approved['id']}/undo"
    expect(await world.client.post(cancel, json=undo, headers=keyed(manager)), 200)
    assert problem(await lift(await world.staff_headers(Role.CASHIER)))[0] == 403
    assert problem(await lift(identity_attested=False))[2] == ["identity_attested"]
    assert problem(await lift(held_until="2026-03-09T10:00:00Z"))[1] == "PREVIEW_STALE"
    own = await world.add_staff(Role.MANAGER)
    await DB.fetch("update staff_member set customer = $2 where id = $1", own, member.customer_id)
    assert problem(await lift(await world.staff_headers(staff_id=own)))[1] == "SELF_DEALING"
    assert expect(await lift(), 200)["held_until"] == shown["redemption_held_until"]
    shown = expect(await world.client.get(path, headers=manager), 200)
    assert (shown["redemption_held_until"], shown["redemption_held_reason"]) == (None, None)
    assert problem(await lift())[1] == "PREVIEW_STALE", "there is none any more"
    assert (await world.mails_to(OLD))[-1].subject == "Your points can be spent again"
    entry = await DB.fetch_row("select * from audit_entry where action = 'redemption_hold.lifted'")
    assert entry is not None
    assert (entry["actor_kind"], entry["reason"], entry["customer_id"]) == (
        "staff",
        "was a mistake",
        member.customer_id,
    )


async def test_an_address_that_nobody_has_proven_is_told_nothing_about_its_customer(world: World) -> None:
    member = await world.sign_up(OLD)
    await DB.fetch("update contact_point set status = 'unverified', verified_at = null where key = $1", OLD)
    sent = len(await world.mails_to(OLD))
    approved = await planned(world, member)
    path = f"/v1/staff/email-changes/{approved['id']}/undo"
    undo = {"reason": "found the mailbox"}
    expect(await world.client.post(path, json=undo, headers=keyed(await world.staff_headers(Role.MANAGER))), 200)
    assert len(await world.mails_to(OLD)) == sent, "it may be a stranger's mailbox"


async def test_many_approvals_workers_and_a_stop_at_once_give_one_effect(world: World) -> None:
    member = await world.sign_up(OLD)
    asked = await ask(world, await world.staff_headers(Role.CASHIER), member.customer_id)
    managers = [await world.staff_headers(Role.MANAGER) for _ in range(2)]
    answers = await asyncio.gather(*(approve(world, managers[number % 2], asked["id"]) for number in range(16)))
    assert sorted({answer.status_code for answer in answers}) == [200, 409]
    assert [answer.status_code for answer in answers].count(200) == 1
    stop = (await world.mail_to(OLD, purpose="not-me")).token
    world.advance(DELAY)
    change_id = UUID(asked["id"])
    ran, stopped = await asyncio.gather(
        asyncio.gather(*(carry_out(world.ctx, change_id) for _ in range(64))),
        world.client.post("/v1/email-changes/cancel", json={"token": stop}),
    )
    # Either the change came first and was taken back, or it never came.
    assert sum(ran) == (1 if expect(stopped, 200)["state"] == "undone" else 0)
    expect(await world.sign_in(OLD), 201)
    assert await DB.fetch_value("select count(*) from contact_point where is_primary and kind = 'email'") == 1


async def test_the_database_refuses_one_person_for_two_and_a_change_before_its_time(world: World) -> None:
    member = await world.sign_up(OLD)
    await change(world, member)
    asked = await ask(world, await world.staff_headers(Role.CASHIER), member.customer_id, "third@shop.test")
    own = "approved_by = requested_by_id, approved_at = now(), execute_after = now()"
    for tampering in (own, "state = 'confirmed', confirmed_at = now()"):
        with pytest.raises(CheckViolationError):
            await DB.fetch(f"update email_change set {tampering} where id = $1", UUID(asked["id"]))
