"""From the front door to Mailchimp: what members and tills do arrives there."""

from datetime import timedelta

import pytest

from server.audience.gateway import Mailchimp
from server.audience.marks import OPT_OUT_JOB
from server.audience.pusher import Pusher
from server.consents.hooks import take_unsubscribed
from server.db.engine import DB
from tests.app import SignedUp, World, expect
from tests.server.audience.builders import LIVE
from tests.standins.mailchimp import ContactView, MailchimpStandIn

CONSENTS = {"consents": {"email": True, "sms": False}}


async def pushed(world: World, mailchimp: MailchimpStandIn) -> list[ContactView]:
    """Run a worker's round and return the live contacts."""
    world.advance(timedelta(seconds=2))
    await Pusher(world.tools, Mailchimp(world.settings)).push_due()
    return [one for one in mailchimp.contacts() if one.status in LIVE]


async def buy(world: World, member: SignedUp, *, pounds: int) -> None:
    headers = {**await world.pos_key(), "Idempotency-Key": f"order-number-{pounds:08d}"}
    order = {
        "external_id": f"r{pounds}", "number": f"{pounds}", "store": "high-street", "currency": "GBP",
        "completed_at": world.clock.now().isoformat(), "customer": {"card_number": member.card_number},
        "lines": [{"line_id": "1", "net_minor": pounds * 100}],
    }  # fmt: skip
    answer = await world.client.post("/v1/pos/orders", json=order, headers=headers)
    assert answer.status_code < 300, answer.text


async def change_email(world: World, member: SignedUp, new: str, mode: str) -> None:
    body = {"new_email": new, "mode": mode, "password": member.password}
    expect(await world.client.post("/v1/me/email-changes", json=body, headers=member.headers), 202)
    mails = await world.mails_to(new)
    token = next(mail.token for mail in reversed(mails) if "#" in mail.text)
    answer = await world.client.post("/v1/email-changes/confirm", json={"token": token})
    assert answer.status_code < 300, answer.text


async def test_a_sign_up_with_consent_becomes_a_contact_and_a_sale_moves_it(
    world: World, mailchimp: MailchimpStandIn
) -> None:
    member = await world.sign_up("ana@shop.test", **CONSENTS)
    (contact,) = await pushed(world, mailchimp)
    assert (contact.status, contact.merge_fields["CARDNO"]) == ("subscribed", member.card_number)
    world.advance(timedelta(days=1))
    await buy(world, member, pounds=40)
    (contact,) = await pushed(world, mailchimp)

    assert contact.merge_fields["POINTS"] == 40
    assert contact.merge_fields["LASTSEEN"] == world.clock.now().date().isoformat()


async def test_a_sign_up_without_consent_is_not_sent(world: World, mailchimp: MailchimpStandIn) -> None:
    await world.sign_up("ana@shop.test")
    assert await pushed(world, mailchimp) == []


@pytest.mark.parametrize("mode", ["keep", "reissue"])
async def test_an_email_change_leaves_one_live_contact_with_the_whole_balance(
    world: World, mailchimp: MailchimpStandIn, mode: str
) -> None:
    member = await world.sign_up("ana@shop.test", **CONSENTS)
    await buy(world, member, pounds=40)
    await pushed(world, mailchimp)
    await change_email(world, member, "ana.new@shop.test", mode)
    (contact,) = await pushed(world, mailchimp)

    assert (contact.email_address, contact.merge_fields["POINTS"]) == ("ana.new@shop.test", 40)
    # A reissued account has not been asked yet at its new address.
    assert contact.status == ("subscribed" if mode == "keep" else "transactional")
    assert (contact.merge_fields["CARDNO"] == member.card_number) == (mode == "keep")


async def test_a_member_who_withdraws_consent_is_unsubscribed(world: World, mailchimp: MailchimpStandIn) -> None:
    member = await world.sign_up("ana@shop.test", **CONSENTS)
    await pushed(world, mailchimp)
    body = {"email": False, "sms": False}
    expect(await world.client.put("/v1/me/consents", json=body, headers=member.headers), 200)

    assert await pushed(world, mailchimp) == []
    assert mailchimp.contact("ana@shop.test").status == "unsubscribed"


async def test_whoever_unsubscribed_there_is_opted_out_here_even_if_no_webhook_told(
    world: World, mailchimp: MailchimpStandIn
) -> None:
    world.jobs[OPT_OUT_JOB] = take_unsubscribed
    member = await world.sign_up("ana@shop.test", **CONSENTS)
    await pushed(world, mailchimp)
    mailchimp.act("unsubscribe", "ana@shop.test")
    for pounds in (40, 50):
        await buy(world, member, pounds=pounds)
        assert await pushed(world, mailchimp) == []
        await world.run_jobs()
    stands = expect(await world.client.get("/v1/me/consents", headers=member.headers), 200)["email"]
    assert (stands["state"], stands["source"]) == ("opted_out", "mailchimp_unsubscribed")
    assert await DB.fetch_value("select count(*) from consent_event") == 2
    # A yes that comes later is asked for there once more, and stands here.
    body = {"email": True, "sms": False}
    expect(await world.client.put("/v1/me/consents", json=body, headers=member.headers), 200)
    assert [one.status for one in await pushed(world, mailchimp)] == ["pending"]
    await world.run_jobs()
    stands = expect(await world.client.get("/v1/me/consents", headers=member.headers), 200)["email"]
    assert stands["state"] == "opted_in"
