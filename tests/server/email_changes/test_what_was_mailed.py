"""What was mailed to an address is dead once the address is not the customer's any more: links, codes, and what waits to leave."""

from datetime import timedelta
from uuid import UUID

from server.db.engine import DB
from server.db.ids import new_id
from server.links.writing import WRITE_EMAIL_JOB
from server.messages.service import queue_mail
from server.privacy.exports import EXPORT_JOB, make_export
from shared.enums import Role
from tests.app import PASSWORD, World, expect, problem
from tests.ledgers import assert_verified, credit
from tests.server.email_changes.builders import NEW, OLD, add_voucher, change, confirm, keyed, not_me
from tests.server.email_changes.test_staff import TYPO, change_by_staff, correct, register, undo


async def vouchers_of(customer_id: UUID) -> list[tuple[str, str | None]]:
    """Return status and reason of a customer's vouchers, oldest first."""
    rows = await DB.fetch("select status, void_reason from voucher where customer = $1 order by id", customer_id)
    return [(row["status"], row["void_reason"]) for row in rows]


async def link_record(world: World, customer_id: UUID) -> UUID:
    """Let a till know the customer."""
    form = {"external_id": "till-42", "given_name": "Ana"}
    headers = keyed(await world.pos_key())
    expect(await world.client.post("/v1/pos/customers", json=form, headers=headers), 200)
    link_id = new_id()
    await DB.fetch(
        "insert into pos_link (id, record, customer, state, method, actor_kind, created_at, linked_at) "
        "select $1, id, $2, 'linked', 'email', 'system', $3, $3 from pos_record",
        link_id, customer_id, world.clock.now(),
    )  # fmt: skip
    return link_id


async def writes_to_tills() -> list[bytes]:
    sql = "delete from pgqueuer where entrypoint = $1 returning payload"
    return [row["payload"] for row in await DB.fetch(sql, WRITE_EMAIL_JOB)]


async def test_a_mistyped_address_gets_nothing_more_and_opens_nothing(world: World) -> None:
    cashier = await world.staff_headers(Role.CASHIER)
    customer = await register(world, cashier, email=TYPO)
    invitation = await world.mail_to(TYPO, purpose="invitation")
    # The stranger whose address it is begins to sign up, and mails about the customer wait to leave.
    expect(await world.request_sign_up(TYPO), 202)
    sign_up = await world.mail_to(TYPO, purpose="signup")
    async with DB.transaction():
        await queue_mail(
            world.ctx, to=TYPO, template="sharing_left", customer_id=UUID(customer["id"]),
            parameters={"given_name": "Ana", "about": "Ben"},
        )  # fmt: skip
    sent = len(list(world.settings.mail_folder.glob("*.eml")))
    claim = await world.client.post(
        f"/v1/staff/customers/{customer['id']}/claim-codes", json={}, headers=keyed(cashier)
    )
    expect(claim, 201)
    expect(await correct(world, cashier, customer["id"]), 201)
    await world.run_jobs()
    to_wrong = [mail.subject for mail in await world.mails_to(TYPO)]
    assert to_wrong == [invitation.subject, sign_up.subject], "nothing about Ben"
    assert len(list(world.settings.mail_folder.glob("*.eml"))) == sent + 1, "the invitation to the right address"

    chosen = {"token": invitation.token, "new_password": PASSWORD}
    assert problem(await world.client.post("/v1/password-resets/confirm", json=chosen))[:2] == (410, "TOKEN_EXPIRED")
    stranger = expect(await world.client.post("/v1/signup/confirm", json={"token": sign_up.token}), 201)
    assert stranger["customer_id"] != customer["id"], "whoever proves that address is a customer of their own"
    assert stranger["card_number"] != customer["card_number"]
    assert await DB.fetch_value("select count(*) from claim_code where revoked_at is null") == 1, "it was handed over"


async def test_codes_in_a_mailbox_that_is_lost_are_renewed_and_told_to_the_new_one_when_it_is_proven(
    world: World,
) -> None:
    member = await world.sign_up(OLD)
    await add_voucher(member)
    await DB.fetch("update contact_point set bounced_at = now() where key = $1", OLD)
    cashier = await world.staff_headers(Role.CASHIER)
    form = {"new_email": NEW, "reason": "typo"}
    path = f"/v1/staff/customers/{member.customer_id}/corrections"
    shown = expect(await world.client.post(f"{path}/preview", json=form, headers=cashier), 200)
    assert shown["vouchers_reissued"] == 1
    body = form | {"preview_hash": shown["preview_hash"], "identity_attested": True}
    done = expect(await world.client.post(path, json=body, headers=keyed(cashier)), 201)
    assert await vouchers_of(member.customer_id) == [("void", "email_change"), ("issued", None)]
    subjects = [mail.subject for mail in await world.mails_to(NEW)]
    assert "Your vouchers have new codes" not in subjects, "nobody has proven that mailbox yet"
    expect(await confirm(world), 200)
    (told,) = [mail for mail in await world.mails_to(NEW) if "new codes" in mail.subject]
    code = await DB.fetch_value("select code_last4 from voucher where status = 'issued'")
    assert isinstance(code, str)
    assert code in told.text.replace("-", "")

    # Taken back, those of the mailbox that is left now are dead as well.
    manager = await world.staff_headers(Role.MANAGER)
    expect(await undo(world, manager, done["id"]), 200)
    assert "Your email address was changed" in [mail.subject for mail in await world.mails_to(OLD)]
    states = await vouchers_of(member.customer_id)
    assert states == [("void", "email_change")] * 2 + [("void", "email_change_undone"), ("issued", None)]
    value = "select sum(value_minor) from voucher where status = 'issued'"
    assert await DB.fetch_value(value) == 500


async def test_codes_renewed_for_an_address_that_was_never_proven_are_told_to_the_one_that_comes_back(
    world: World,
) -> None:
    member = await world.sign_up(OLD)
    await add_voucher(member)
    await DB.fetch("update contact_point set bounced_at = now() where key = $1", OLD)
    cashier, manager = await world.staff_headers(Role.CASHIER), await world.staff_headers(Role.MANAGER)
    form = {"new_email": NEW, "reason": "typo", "identity_attested": True}
    path = f"/v1/staff/customers/{member.customer_id}/corrections"
    shown = expect(await world.client.post(f"{path}/preview", json=form, headers=cashier), 200)
    async with DB.transaction():
        await queue_mail(
            world.ctx, to=OLD, template="sharing_left", customer_id=member.customer_id,
            parameters={"given_name": "Ana", "about": "Ben"},
        )  # fmt: skip
    body = form | {"preview_hash": shown["preview_hash"]}
    done = expect(await world.client.post(path, json=body, headers=keyed(cashier)), 201)
    assert "Ben" in str([mail.text for mail in await world.mails_to(OLD)]), "it is no stranger's mailbox"
    expect(await undo(world, manager, done["id"]), 200)
    (told,) = [mail for mail in await world.mails_to(OLD) if "new codes" in mail.subject]
    code = await DB.fetch_value("select code_last4 from voucher where status = 'issued'")
    assert isinstance(code, str)
    assert code in told.text.replace("-", "")


async def test_a_not_me_after_a_plain_change_kills_the_codes_that_the_thief_has_seen(world: World) -> None:
    member = await world.sign_up(OLD)
    await add_voucher(member)
    await change(world, member)
    assert await vouchers_of(member.customer_id) == [("issued", None)], "the owner's own change keeps them"
    expect(await not_me(world), 200)
    assert await vouchers_of(member.customer_id) == [("void", "email_change_undone"), ("issued", None)]
    assert [mail.subject for mail in await world.mails_to(OLD)][-1] == "Your vouchers have new codes"


async def test_a_copy_of_all_data_cannot_be_fetched_from_the_former_mailbox(world: World) -> None:
    member = await world.sign_up(OLD)
    world.jobs[EXPORT_JOB] = make_export
    path, headers = "/v1/me/exports", keyed(member.headers)
    asked = await world.client.post(path, json={"password": PASSWORD}, headers=headers)
    export_id = expect(asked, 202)["id"]
    link = await world.mail_to(OLD, purpose="export")
    await change(world, member)
    answer = await world.client.post("/v1/exports/download", json={"token": link.token})
    assert problem(answer)[:2] == (410, "TOKEN_EXPIRED")
    tokens = expect(await world.sign_in(NEW), 201)
    own = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await world.client.get(f"{path}/{export_id}/file", headers=own)).status_code == 200


async def test_a_code_handed_over_before_a_reissue_brings_everything_after_it(world: World) -> None:
    manager = await world.staff_headers(Role.MANAGER)
    customer = await register(world, manager, phone="07911 123456")
    await credit(world, UUID(customer["membership_id"]), 120)
    path = f"/v1/staff/customers/{customer['id']}/claim-codes"
    code = expect(await world.client.post(path, json={}, headers=keyed(manager)), 201)["code"]
    await change_by_staff(world, manager, customer["id"], NEW, "reissue")
    ana = await world.sign_up(OLD)
    early = await world.client.post("/v1/me/claims", json={"code": code}, headers=keyed(ana.headers))
    assert problem(early)[:2] == (409, "REDEMPTION_HELD"), "the points are held for a day, so they do not move either"
    world.advance(timedelta(hours=24, seconds=1))
    tokens = expect(await world.sign_in(OLD), 201)
    own = {"Authorization": f"Bearer {tokens['access_token']}"}
    expect(await world.client.post("/v1/me/claims", json={"code": code}, headers=keyed(own)), 201)
    (membership,) = expect(await world.client.get("/v1/me/memberships", headers=own), 200)["items"]
    assert membership["balance"]["available"] == 120
    await assert_verified(world)


async def test_tills_that_know_the_customer_get_every_new_address_when_it_is_proven(world: World) -> None:
    member = await world.sign_up(OLD)
    link_id = await link_record(world, member.customer_id)
    await writes_to_tills()
    await change(world, member)
    assert [str(link_id).encode() in payload for payload in await writes_to_tills()] == [True]
    world.advance(timedelta(minutes=5))
    expect(await not_me(world), 200)
    assert [str(link_id).encode() in payload for payload in await writes_to_tills()] == [True]
