"""Consent flows down from what a person said, once, and never against what Mailchimp knows better."""

import pytest

from server.db.engine import DB
from tests.server.audience.builders import Shop
from tests.standins.mailchimp import MailchimpStandIn
from tests.standins.mailchimp.service import Settings as StandInSettings

SYNC_ALL = {"mailchimp_sync_without_consent": True}


def statuses_sent(shop: Shop) -> list[object]:
    """Return every `status` that was asked for, as against `status_if_new`."""
    bodies = [one.body for one in shop.mailchimp.requests() if isinstance(one.body, dict)]
    members = [member for body in bodies for member in body.get("members", [body])]
    return [member["status"] for member in members if "status" in member]


async def test_routine_pushes_never_send_a_status(shop: Shop) -> None:
    ana = await shop.add_customer()
    await shop.push()
    for points in (1, 2, 3):
        await shop.set_points(ana, points)
        await shop.push()

    assert statuses_sent(shop) == []


async def test_an_opt_out_unsubscribes_and_later_changes_are_not_sent(shop: Shop) -> None:
    ana = await shop.add_customer()
    await shop.push()
    await shop.choose(ana, "ana@shop.test", opted_in=False)
    await shop.push()
    shop.mailchimp.clear_requests()
    await shop.set_points(ana, 999)
    await shop.push()

    assert shop.mailchimp.contact("ana@shop.test").status == "unsubscribed"
    assert shop.mailchimp.requests() == []


async def test_an_opt_out_goes_ahead_of_everything_that_waits(shop: Shop) -> None:
    zoe = await shop.add_customer("zoe@shop.test")
    await shop.push()
    for number in range(5):
        await shop.add_customer(f"m{number}@shop.test")
    await shop.choose(zoe, "zoe@shop.test", opted_in=False)
    shop.mailchimp.clear_requests()
    await shop.push()

    assert shop.writes()[0][0] == "PATCH"
    assert statuses_sent(shop) == ["unsubscribed"]


async def test_an_opt_out_and_an_opt_in_in_one_go_leave_what_was_said_last(shop: Shop) -> None:
    ana = await shop.add_customer()
    await shop.push()
    await shop.choose(ana, "ana@shop.test", opted_in=True)
    await shop.choose(ana, "ana@shop.test", opted_in=False)
    await shop.push()
    assert shop.mailchimp.contact("ana@shop.test").status == "unsubscribed"

    await shop.choose(ana, "ana@shop.test", opted_in=False)
    await shop.choose(ana, "ana@shop.test", opted_in=True)
    await shop.push()
    assert shop.mailchimp.contact("ana@shop.test").status == "subscribed"


@pytest.mark.parametrize("shop", [SYNC_ALL], indirect=True)
async def test_an_opt_in_raises_a_contact_that_had_none(shop: Shop) -> None:
    ana = await shop.add_customer(opted_in=None)
    await shop.push()
    assert shop.mailchimp.contact("ana@shop.test").status == "transactional"
    await shop.choose(ana, "ana@shop.test", opted_in=True)
    await shop.push()

    assert shop.mailchimp.contact("ana@shop.test").status == "subscribed"


async def test_who_left_by_a_link_in_a_mail_is_asked_again_only_after_a_fresh_yes(shop: Shop) -> None:
    ana = await shop.add_customer()
    await shop.push()
    shop.mailchimp.act("unsubscribe", "ana@shop.test")
    await shop.set_points(ana, 5)
    await shop.push()
    assert shop.mailchimp.contact("ana@shop.test").status == "unsubscribed"
    assert (await shop.row("ana@shop.test"))["remote_status"] == "unsubscribed"

    await shop.choose(ana, "ana@shop.test", opted_in=True)
    await shop.push()
    contact = shop.mailchimp.contact("ana@shop.test")
    assert (contact.status, contact.confirmations_sent) == ("pending", 1)

    await shop.set_points(ana, 6)
    await shop.push()
    assert shop.mailchimp.contact("ana@shop.test").confirmations_sent == 1


async def test_who_opted_out_at_mailchimp_before_we_knew_them_stays_out(shop: Shop) -> None:
    shop.mailchimp.act("subscribe", "ana@shop.test")
    shop.mailchimp.act("unsubscribe", "ana@shop.test")
    await shop.add_customer()
    await shop.push()

    contact = shop.mailchimp.contact("ana@shop.test")
    assert (contact.status, contact.merge_fields["POINTS"]) == ("unsubscribed", 120)
    assert statuses_sent(shop) == []


async def test_a_contact_that_staff_archived_there_stays_archived(shop: Shop) -> None:
    ana = await shop.add_customer()
    await shop.push()
    shop.mailchimp.act("archive", "ana@shop.test")
    await shop.set_points(ana, 5)
    await shop.push()

    assert shop.mailchimp.contact("ana@shop.test").status == "archived"
    assert (await shop.row("ana@shop.test"))["remote_status"] == "archived"


async def test_a_contact_archived_before_we_knew_it_comes_back_without_consent(shop: Shop) -> None:
    # Archiving hides whether this person had opted out.
    shop.mailchimp.act("subscribe", "ana@shop.test")
    shop.mailchimp.act("archive", "ana@shop.test")
    await shop.add_customer()
    await shop.push()

    assert shop.mailchimp.contact("ana@shop.test").status == "transactional"


async def test_a_bounced_address_is_set_aside_with_its_reason(shop: Shop) -> None:
    ana = await shop.add_customer()
    await shop.push()
    shop.mailchimp.act("bounce", "ana@shop.test")
    await shop.set_points(ana, 5)
    await shop.push()

    row = await shop.row("ana@shop.test")
    assert row["remote_status"] == "cleaned"
    assert "cleaned" in row["parked_reason"]
    assert await DB.fetch_value("select count(*) from contact_point where bounced_at is not null") == 1, "staff see it"


async def test_an_opt_out_of_somebody_mailchimp_does_not_know_is_done(shop: Shop) -> None:
    ana = await shop.add_customer(opted_in=None)
    await shop.push()
    await shop.choose(ana, "ana@shop.test", opted_in=False)
    await shop.push()

    assert shop.mailchimp.contacts() == []
    assert not (await shop.row("ana@shop.test"))["is_dirty"]


async def test_consent_for_another_address_counts_for_nothing(shop: Shop) -> None:
    ana = await shop.add_customer(opted_in=None)
    await shop.choose(ana, "other@shop.test", opted_in=True)
    await shop.push()

    assert shop.mailchimp.contacts() == []


class TestDoubleOptin:
    @pytest.fixture
    def mailchimp(self):
        with MailchimpStandIn(StandInSettings(double_optin=True)) as standin:
            yield standin

    async def test_a_new_contact_is_asked_to_confirm_once(self, shop: Shop) -> None:
        ana = await shop.add_customer()
        await shop.add_customer("ben@shop.test")
        await shop.push()
        await shop.set_points(ana, 5)
        await shop.push()

        contact = shop.mailchimp.contact("ana@shop.test")
        assert (contact.status, contact.confirmations_sent) == ("pending", 1)

    async def test_a_fresh_yes_does_not_put_a_subscriber_back_to_waiting(self, shop: Shop) -> None:
        ana = await shop.add_customer()
        await shop.push()
        shop.mailchimp.act("subscribe", "ana@shop.test")
        await shop.choose(ana, "ana@shop.test", opted_in=True)
        await shop.push()

        assert shop.mailchimp.contact("ana@shop.test").status == "subscribed"


async def test_a_consent_event_is_carried_out_once(shop: Shop) -> None:
    ana = await shop.add_customer()
    await shop.push()
    event_id = await DB.fetch_value("select id from consent_event where customer = $1", ana)

    assert (await shop.row("ana@shop.test"))["pushed_consent"] == event_id
