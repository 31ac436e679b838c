"""Email changes and corrections by staff: preview, execution, undo."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from server.accounts.service import PROVEN_JOB
from server.db.engine import DB
from server.email_changes.service import tell_codes
from shared.enums import Role
from tests.app import PASSWORD, World, expect, problem
from tests.server.email_changes.builders import (
    NEW,
    OLD,
    add_sharer,
    add_voucher,
    change,
    confirm,
    dump,
    give_points,
    keyed,
    not_me,
    request,
    snapshot,
    staff_with,
    without_ids,
)

TYPO, RIGHT = "ana@gmial.com", "ana@gmail.com"


async def register(world: World, headers: dict[str, str], **fields: object) -> dict[str, Any]:
    """Register a customer at the till."""
    form = {"given_name": "Ana", "family_name": "Flores", **fields}
    registered: dict[str, Any] = expect(
        await world.client.post("/v1/staff/customers", json=form, headers=keyed(headers)), 201
    )
    return registered


def body(new_email: str = NEW, mode: str = "keep", **fields: object) -> dict[str, object]:
    return {"new_email": new_email, "mode": mode, "reason": "asked in the shop", "identity_attested": True, **fields}


async def preview(
    world: World, headers: dict[str, str], customer_id: object, form: dict[str, object]
) -> dict[str, Any]:
    path = f"/v1/staff/customers/{customer_id}/email-changes/preview"
    shown: dict[str, Any] = expect(await world.client.post(path, json=form, headers=headers), 200)
    return shown


async def execute(
    world: World, headers: dict[str, str], customer_id: object, form: dict[str, object]
) -> httpx.Response:
    path = f"/v1/staff/customers/{customer_id}/email-changes"
    return await world.client.post(path, json=form, headers=headers)


async def change_by_staff(
    world: World, headers: dict[str, str], customer_id: object, new_email: str = NEW, mode: str = "keep"
) -> dict[str, Any]:
    shown = await preview(world, headers, customer_id, body(new_email, mode))
    form = body(new_email, mode, preview_hash=shown["preview_hash"])
    done: dict[str, Any] = expect(await execute(world, keyed(headers), customer_id, form), 201)
    return done


async def correct(world: World, headers: dict[str, str], customer_id: object, new_email: str = RIGHT) -> httpx.Response:
    form = {"new_email": new_email, "reason": "typo"}
    path = f"/v1/staff/customers/{customer_id}/corrections"
    shown = expect(await world.client.post(f"{path}/preview", json=form, headers=headers), 200)
    return await world.client.post(path, json=form | {"preview_hash": shown["preview_hash"]}, headers=keyed(headers))


async def undo(world: World, headers: dict[str, str], change_id: object) -> httpx.Response:
    path = f"/v1/staff/email-changes/{change_id}/undo"
    return await world.client.post(path, json={"reason": "a mistake"}, headers=keyed(headers))


# Preview --------------------------------------------------------------------------------------------------------------


async def test_a_preview_changes_nothing_and_tells_what_will_happen(world: World) -> None:
    member = await world.sign_up(OLD)
    total = await give_points(world, member)
    await add_voucher(member)
    headers = await world.staff_headers(Role.MANAGER)
    before = await dump(world)
    shown = await preview(world, headers, member.customer_id, body(mode="reissue"))
    assert await dump(world) == before
    assert (shown["old_email"], shown["new_email"], shown["mode"]) == (OLD, NEW, "reissue")
    assert shown["blockers"] == []
    assert sum(lot["points"] for lot in shown["lots"]) == total
    assert shown["cards_retired"] == [member.card_number]
    assert (shown["sessions_ended"], shown["vouchers_reissued"]) == (1, 1)
    assert shown["balance_after"] == shown["balance_before"]


async def test_the_preview_warns_of_a_shared_membership(world: World) -> None:
    member = await world.sign_up(OLD)
    await add_sharer(world, member)
    shown = await preview(world, await world.staff_headers("manager"), member.customer_id, body(mode="reissue"))
    assert any("shared" in warning for warning in shown["warnings"])
    assert shown["lots"] == []


async def test_the_preview_hints_at_a_mistyped_domain(world: World) -> None:
    member = await world.sign_up(OLD)
    shown = await preview(world, await world.staff_headers("manager"), member.customer_id, body("ana@gmial.com"))
    assert "Did you mean …@gmail.com?" in shown["warnings"]


async def test_another_customers_proven_address_blocks_and_is_named_on_execution(world: World) -> None:
    other = await world.sign_up(NEW)
    member = await world.sign_up(OLD)
    headers = await staff_with(world)
    shown = await preview(world, headers, member.customer_id, body())
    assert shown["blockers"] == ["Another customer has proven this address."]
    answer = await execute(world, headers, member.customer_id, body(preview_hash=shown["preview_hash"]))
    assert problem(answer)[:2] == (409, "EMAIL_TAKEN")
    assert answer.json()["data"]["customer_id"] == str(other.customer_id)


@pytest.mark.parametrize("given", [None, "0" * 64])
async def test_without_the_hash_of_the_preview_nothing_is_done(world: World, given: str | None) -> None:
    member = await world.sign_up(OLD)
    headers = await staff_with(world)
    before = await dump(world)
    answer = await execute(world, headers, member.customer_id, body(preview_hash=given))
    assert problem(answer)[:2] == (409, "PREVIEW_STALE")
    assert await dump(world) == before


async def test_points_that_came_in_since_make_the_preview_of_a_reissue_stale(world: World) -> None:
    member = await world.sign_up(OLD)
    headers = await staff_with(world)
    shown = await preview(world, headers, member.customer_id, body(mode="reissue"))
    await give_points(world, member)
    form = body(mode="reissue", preview_hash=shown["preview_hash"])
    assert problem(await execute(world, headers, member.customer_id, form))[:2] == (409, "PREVIEW_STALE")
    expect(await execute(world, headers, member.customer_id, form | {"mode": "keep"}), 409)


async def test_a_preview_for_another_address_or_mode_does_not_count(world: World) -> None:
    member = await world.sign_up(OLD)
    headers = await staff_with(world)
    hash_of_keep = (await preview(world, headers, member.customer_id, body()))["preview_hash"]
    for form in (body(mode="reissue"), body("other@shop.test")):
        answer = await execute(world, headers, member.customer_id, form | {"preview_hash": hash_of_keep})
        assert problem(answer)[:2] == (409, "PREVIEW_STALE")


# Change ---------------------------------------------------------------------------------------------------------------


async def test_a_change_by_staff_applies_at_once_and_counts_for_signing_in_when_proven(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    before = await snapshot(member.customer_id)
    done = await change_by_staff(world, await world.staff_headers("manager"), member.customer_id)
    assert (done["mode"], done["email"]) == ("keep", NEW)
    assert await snapshot(member.customer_id) == before
    assert (await world.client.get("/v1/me", headers=member.headers)).status_code == 401
    assert (await world.sign_in(OLD)).status_code == 401
    assert (await world.sign_in(NEW)).status_code == 401
    assert expect(await confirm(world), 200)["state"] == "verified"
    expect(await world.sign_in(NEW), 201)


async def test_the_proof_of_an_address_set_by_staff_works_once(world: World) -> None:
    member = await world.sign_up(OLD)
    await change_by_staff(world, await world.staff_headers("manager"), member.customer_id)
    expect(await confirm(world), 200)
    assert problem(await confirm(world))[:2] == (410, "TOKEN_EXPIRED")


async def test_a_reissue_by_staff_moves_every_point(world: World) -> None:
    member = await world.sign_up(OLD)
    total = await give_points(world, member)
    before = await snapshot(member.customer_id)
    done = await change_by_staff(world, await world.staff_headers("manager"), member.customer_id, mode="reissue")
    assert without_ids(await snapshot(member.customer_id)) == without_ids(before)
    assert done["balance"]["available"] + done["balance"]["pending"] == total
    assert done["card_number"] != member.card_number


async def test_voucher_codes_are_mailed_only_once_the_address_is_proven(world: World) -> None:
    member = await world.sign_up(OLD)
    await add_voucher(member)
    await change_by_staff(world, await world.staff_headers("manager"), member.customer_id, mode="reissue")
    subject = "Your vouchers have new codes"
    assert subject not in [mail.subject for mail in await world.mails_to(NEW)]
    expect(await confirm(world), 200)
    (mail,) = [mail for mail in await world.mails_to(NEW) if mail.subject == subject]
    (last4,) = [row["code_last4"] for row in await DB.fetch("select code_last4 from voucher where status = 'issued'")]
    assert last4 in mail.text


async def test_a_proven_old_address_gets_a_notice_whose_link_takes_the_change_back(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    before = await snapshot(member.customer_id)
    await change_by_staff(world, await world.staff_headers("manager"), member.customer_id, mode="reissue")
    expect(await not_me(world), 200)
    assert await snapshot(member.customer_id) == before
    expect(await world.sign_in(OLD), 201)


async def test_staff_must_attest_who_stands_before_them(world: World) -> None:
    member = await world.sign_up(OLD)
    headers = await staff_with(world)
    shown = await preview(world, headers, member.customer_id, body())
    form = body(identity_attested=False, preview_hash=shown["preview_hash"])
    status, code, fields = problem(await execute(world, headers, member.customer_id, form))
    assert (status, code, list(fields)) == (400, "INVALID_REQUEST", ["identity_attested"])


@pytest.mark.parametrize("role", [Role.CASHIER, Role.MARKETING, Role.ADMIN, Role.AUDITOR])
async def test_only_managers_change_proven_addresses(world: World, role: Role) -> None:
    member = await world.sign_up(OLD)
    headers = await staff_with(world, role)
    assert problem(await execute(world, headers, member.customer_id, body()))[:2] == (403, "NOT_PERMITTED")


async def test_staff_may_not_change_their_own_customer(world: World) -> None:
    member = await world.sign_up(OLD)
    staff_id = await world.add_staff(Role.MANAGER)
    await DB.fetch("update staff_member set customer = $2 where id = $1", staff_id, member.customer_id)
    headers = keyed(await world.staff_headers(Role.MANAGER, staff_id=staff_id))
    for suffix in ("/preview", ""):
        path = f"/v1/staff/customers/{member.customer_id}/email-changes{suffix}"
        answer = await world.client.post(path, json=body(), headers=headers)
        assert problem(answer)[:2] == (403, "SELF_DEALING")
    await change(world, member)
    change_id = await DB.fetch_value("select id from email_change")
    assert problem(await undo(world, headers, change_id))[:2] == (403, "SELF_DEALING")


async def test_the_same_command_sent_twice_has_one_effect_and_one_answer(world: World) -> None:
    member = await world.sign_up(OLD)
    headers = await staff_with(world)
    shown = await preview(world, headers, member.customer_id, body(mode="reissue"))
    form = body(mode="reissue", preview_hash=shown["preview_hash"])
    answers = await asyncio.gather(*(execute(world, headers, member.customer_id, form) for _ in range(8)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert await DB.fetch_value("select count(*) from email_change") == 1
    assert await DB.fetch_value("select count(*) from membership") == 2


async def test_two_managers_at_once_give_one_effect(world: World) -> None:
    member = await world.sign_up(OLD)
    both = [await staff_with(world), await staff_with(world)]
    forms = []
    for headers, address in zip(both, (NEW, "other@shop.test"), strict=True):
        shown = await preview(world, headers, member.customer_id, body(address))
        forms.append(body(address, preview_hash=shown["preview_hash"]))
    answers = await asyncio.gather(
        *(execute(world, headers, member.customer_id, form) for headers, form in zip(both, forms, strict=True))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_a_change_by_staff_replaces_one_that_waits_for_its_proof(world: World) -> None:
    member = await world.sign_up(OLD)
    expect(await request(world, member, "first@shop.test"), 202)
    waiting = await world.mail_to("first@shop.test", purpose="email-change")
    headers = await world.staff_headers("manager")
    shown = await preview(world, headers, member.customer_id, body())
    assert any("waits for its proof" in warning for warning in shown["warnings"])
    await change_by_staff(world, headers, member.customer_id)
    answer = await world.client.post("/v1/email-changes/confirm", json={"token": waiting.token})
    assert problem(answer)[:2] == (410, "TOKEN_EXPIRED")


async def test_a_customer_without_a_login_gets_the_invitation_at_the_new_address_and_then_the_codes(
    world: World,
) -> None:
    world.jobs[PROVEN_JOB] = tell_codes
    headers = await world.staff_headers("manager")
    customer = await register(world, headers, email=OLD, phone="07911 123456")
    await add_voucher(UUID(customer["id"]))
    shown = await preview(world, headers, customer["id"], body(mode="reissue"))
    assert "Unspent vouchers get new codes, which are mailed once the new address is proven." in shown["effects"]
    await change_by_staff(world, headers, customer["id"], mode="reissue")
    mail = await world.mail_to(NEW, purpose="invitation")
    assert [told.subject for told in await world.mails_to(NEW)] == [mail.subject], "a stranger may read that mailbox"
    form = {"token": mail.token, "new_password": PASSWORD}
    expect(await world.client.post("/v1/password-resets/confirm", json=form), 204)
    expect(await world.sign_in(NEW), 201)
    (told,) = [mail for mail in await world.mails_to(NEW) if mail.subject == "Your vouchers have new codes"]
    (last4,) = [row["code_last4"] for row in await DB.fetch("select code_last4 from voucher where status = 'issued'")]
    assert last4 in told.text
    assert "new codes" not in " ".join(mail.subject for mail in await world.mails_to(OLD))


async def test_a_customer_without_an_address_gets_one_and_loses_it_by_undo(world: World) -> None:
    headers = await world.staff_headers("manager")
    customer = await register(world, headers, phone="07911 123456")
    done = await change_by_staff(world, headers, customer["id"])
    undone = expect(await undo(world, headers, done["id"]), 200)
    assert undone["email"] == ""
    detail = expect(await world.client.get(f"/v1/staff/customers/{customer['id']}", headers=headers), 200)
    assert detail["email"] is None
    assert await DB.fetch_value("select count(*) from audience_contact where state = 'live'") == 0


# Correction -----------------------------------------------------------------------------------------------------------


async def test_a_typo_is_put_right_at_once_and_its_mailbox_gets_nothing_more(world: World) -> None:
    headers = await world.staff_headers("cashier")
    customer = await register(world, headers, email=TYPO)
    await world.run_jobs()
    sent = len(await world.mails_to(TYPO))
    done = expect(await correct(world, headers, customer["id"]), 201)
    assert (done["mode"], done["email"]) == ("correction", RIGHT)
    assert (done["card_number"], done["redemption_held_until"]) == (customer["card_number"], None)
    assert len(await world.mails_to(TYPO)) == sent
    mail = await world.mail_to(RIGHT, purpose="invitation")
    expect(
        await world.client.post("/v1/password-resets/confirm", json={"token": mail.token, "new_password": PASSWORD}),
        204,
    )
    expect(await world.sign_in(RIGHT), 201)


async def test_the_invitation_at_the_mistyped_address_opens_nothing_afterwards(world: World) -> None:
    headers = await world.staff_headers("cashier")
    customer = await register(world, headers, email=TYPO)
    mail = await world.mail_to(TYPO, purpose="invitation")
    expect(await correct(world, headers, customer["id"]), 201)
    form = {"token": mail.token, "new_password": PASSWORD}
    answer = await world.client.post("/v1/password-resets/confirm", json=form)
    assert problem(answer)[:2] == (410, "TOKEN_EXPIRED")


async def test_a_correction_writes_no_ledger_entry_and_touches_no_card(world: World) -> None:
    headers = await world.staff_headers("cashier")
    customer = await register(world, headers, email=TYPO)
    before = await snapshot(UUID(customer["id"]))
    expect(await correct(world, headers, customer["id"]), 201)
    assert await snapshot(UUID(customer["id"])) == before
    assert await DB.fetch_value("select count(*) from ledger_entry") == 0


async def test_an_address_that_was_proven_is_not_corrected(world: World) -> None:
    member = await world.sign_up(OLD)
    headers = await world.staff_headers("cashier")
    assert problem(await correct(world, headers, member.customer_id))[:2] == (409, "EMAIL_VERIFIED")


async def test_a_correction_to_another_customers_proven_address_names_that_customer(world: World) -> None:
    other = await world.sign_up(RIGHT)
    headers = await world.staff_headers("cashier")
    customer = await register(world, headers, email=TYPO)
    answer = await correct(world, headers, customer["id"])
    assert problem(answer)[:2] == (409, "EMAIL_TAKEN")
    assert answer.json()["data"]["customer_id"] == str(other.customer_id)


async def test_consent_given_at_the_till_follows_the_corrected_address(world: World) -> None:
    headers = await world.staff_headers("cashier")
    customer = await register(world, headers, email=TYPO, consents={"email": True, "sms": False})
    expect(await correct(world, headers, customer["id"]), 201)
    detail = expect(await world.client.get(f"/v1/staff/customers/{customer['id']}", headers=headers), 200)
    assert detail["consents"]["email"]["state"] == "pending", "a yes counts when the address is proven"
    row = await DB.fetch_row("select source, state from consent_event where address_key = $1", RIGHT)
    assert row is not None
    assert tuple(row) == ("correction", "pending")


# Undo -----------------------------------------------------------------------------------------------------------------


async def test_staff_take_a_correction_back_within_a_day(world: World) -> None:
    cashier, manager = await world.staff_headers("cashier"), await world.staff_headers("manager")
    customer = await register(world, cashier, email=TYPO)
    done = expect(await correct(world, cashier, customer["id"]), 201)
    world.advance(timedelta(minutes=30))
    undone = expect(await undo(world, manager, done["id"]), 200)
    assert (undone["mode"], undone["email"]) == ("correction", TYPO)
    assert problem(await undo(world, manager, done["id"]))[:2] == (409, "UNDO_EXPIRED")


async def test_a_correction_stands_after_a_day_and_a_change_after_seven(world: World) -> None:
    cashier = await world.staff_headers("cashier")
    customer = await register(world, cashier, email=TYPO)
    member = await world.sign_up(OLD)
    correction = expect(await correct(world, cashier, customer["id"]), 201)
    await change(world, member)
    change_id = await DB.fetch_value("select id from email_change where customer = $1", member.customer_id)
    world.advance(timedelta(hours=24, seconds=1))
    manager = await world.staff_headers("manager")
    assert problem(await undo(world, manager, correction["id"]))[:2] == (409, "UNDO_EXPIRED")
    world.advance(timedelta(days=6))
    manager = await world.staff_headers("manager")
    assert problem(await undo(world, manager, change_id))[:2] == (409, "UNDO_EXPIRED")


async def test_staff_undo_only_the_last_change(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    before = await snapshot(member.customer_id)
    headers = await world.staff_headers("manager")
    first = await change_by_staff(world, headers, member.customer_id, NEW, "reissue")
    second = await change_by_staff(world, headers, member.customer_id, "third@shop.test", "reissue")
    assert problem(await undo(world, headers, first["id"]))[:2] == (409, "UNDO_NOT_LAST")
    expect(await undo(world, headers, second["id"]), 200)
    undone = expect(await undo(world, headers, first["id"]), 200)
    assert undone["card_number"] == member.card_number
    assert await snapshot(member.customer_id) == before


async def test_staff_cancel_a_request_that_waits(world: World) -> None:
    member = await world.sign_up(OLD)
    expect(await request(world, member), 202)
    change_id = await DB.fetch_value("select id from email_change")
    mail = await world.mail_to(NEW, purpose="email-change")
    expect(await undo(world, await world.staff_headers("manager"), change_id), 200)
    answer = await world.client.post("/v1/email-changes/confirm", json={"token": mail.token})
    assert problem(answer)[:2] == (410, "TOKEN_EXPIRED")


async def test_two_undos_at_once_give_one_effect(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    before = await snapshot(member.customer_id)
    headers = await world.staff_headers("manager")
    done = await change_by_staff(world, headers, member.customer_id, mode="reissue")
    await world.mails_to(OLD)
    answers = await asyncio.gather(undo(world, headers, done["id"]), not_me(world))
    assert sorted(answer.status_code for answer in answers) in ([200, 409], [200, 410])
    assert await snapshot(member.customer_id) == before


async def test_reasons_and_actors_are_in_the_audit_trail(world: World) -> None:
    member = await world.sign_up(OLD)
    headers = await world.staff_headers("manager")
    done = await change_by_staff(world, headers, member.customer_id)
    expect(await undo(world, headers, done["id"]), 200)
    page = expect(await world.client.get(f"/v1/staff/customers/{member.customer_id}/audit", headers=headers), 200)
    found = [(item["action"], item["reason"], item["actor"]) for item in page["items"] if item["reason"]]
    assert found == [
        ("email_change.undone", "a mistake", "Sam Till"),
        ("email_change.confirmed", "asked in the shop", "Sam Till"),
    ]


async def test_an_unknown_change_or_customer_is_not_found(world: World) -> None:
    headers = await staff_with(world)
    nobody = "01890000-0000-7000-8000-000000000000"
    assert problem(await undo(world, headers, nobody))[0] == 404
    assert problem(await execute(world, headers, nobody, body()))[0] == 404


@pytest.mark.parametrize(
    ("status", "code"), [("blocked", "CUSTOMER_BLOCKED"), ("merged", "CUSTOMER_MERGED"), ("erased", "CUSTOMER_ERASED")]
)
async def test_customers_who_are_blocked_or_gone_keep_their_address(world: World, status: str, code: str) -> None:
    member = await world.sign_up(OLD)
    survivor = await world.sign_up("ben@shop.test")
    await DB.fetch(
        "update customer set status = $2, merged_into = case when $2 = 'merged' then $3::uuid end where id = $1",
        member.customer_id, status, survivor.customer_id,
    )  # fmt: skip
    headers = await staff_with(world)
    shown = await preview(world, headers, member.customer_id, body())
    assert shown["blockers"] == [f"This customer is {status}."]
    answer = await execute(world, headers, member.customer_id, body(preview_hash=shown["preview_hash"]))
    assert problem(answer)[1] == code


async def test_what_was_changed_before_a_merge_is_not_taken_back_after_it(world: World) -> None:
    member = await world.sign_up(OLD)
    survivor = await world.sign_up("ben@shop.test")
    await change(world, member)
    change_id = await DB.fetch_value("select id from email_change")
    await DB.fetch(
        "update customer set status = 'merged', merged_into = $2 where id = $1",
        member.customer_id,
        survivor.customer_id,
    )
    assert problem(await not_me(world))[:2] == (410, "TOKEN_EXPIRED")
    assert problem(await undo(world, await world.staff_headers("manager"), change_id))[:2] == (409, "CUSTOMER_MERGED")


async def test_an_old_address_that_another_member_has_proven_since_is_not_taken_from_them(world: World) -> None:
    member = await world.sign_up(OLD)
    await change(world, member)
    await world.sign_up(OLD)
    before = await dump(world)
    change_id = await DB.fetch_value("select id from email_change")
    assert problem(await undo(world, await world.staff_headers("manager"), change_id))[:2] == (409, "EMAIL_TAKEN")
    assert await dump(world) == before


async def test_the_proof_of_an_address_set_by_staff_can_be_sent_again(world: World) -> None:
    member = await world.sign_up(OLD)
    headers = await world.staff_headers("manager")
    await change_by_staff(world, headers, member.customer_id)
    first = await world.mail_to(NEW, purpose="email-change")
    world.advance(timedelta(hours=25))
    headers = await world.staff_headers("manager")
    answer = await world.client.post("/v1/email-changes/confirm", json={"token": first.token})
    assert problem(answer)[:2] == (410, "TOKEN_EXPIRED")
    expect(await world.client.post(f"/v1/staff/customers/{member.customer_id}/invitations", headers=headers), 202)
    assert expect(await confirm(world), 200)["state"] == "verified"
    expect(await world.sign_in(NEW), 201)


async def test_an_undo_puts_a_request_aside_that_built_on_the_change(world: World) -> None:
    member = await world.sign_up(OLD)
    await change(world, member)
    tokens = expect(await world.sign_in(NEW), 201)
    form = {"new_email": "third@shop.test", "mode": "keep", "password": PASSWORD}
    member_headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    expect(await world.client.post("/v1/me/email-changes", json=form, headers=member_headers), 202)
    waiting = await world.mail_to("third@shop.test", purpose="email-change")
    change_id = await DB.fetch_value("select id from email_change where state = 'confirmed'")
    expect(await undo(world, await world.staff_headers("manager"), change_id), 200)
    answer = await world.client.post("/v1/email-changes/confirm", json={"token": waiting.token})
    assert problem(answer)[:2] == (410, "TOKEN_EXPIRED")
    assert await DB.fetch_value("select count(*) from email_change where state = 'pending'") == 0
