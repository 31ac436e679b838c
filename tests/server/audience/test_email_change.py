"""An email change at Mailchimp: every state of both addresses, and every place to die in."""

import pytest

from tests.server.audience.builders import CutGateway, Killed, Shop

SYNC_ALL = {"mailchimp_sync_without_consent": True}
OLD, NEW = "old@shop.test", "new@shop.test"


async def moved(shop: Shop, *, carried: bool | None = True, old: str = OLD, new: str = NEW) -> None:
    customer_id = (await shop.row(old))["customer"]
    await shop.move(customer_id, old, new, carried=carried)
    await shop.push()


async def assert_settled(shop: Shop, *, new: str = NEW, old: str = OLD) -> None:
    here, there = await shop.row(new), await shop.row(old)
    assert (here["state"], here["is_dirty"], here["parked_reason"]) == ("live", False, None)
    assert (there["state"], there["is_dirty"]) == ("closed", False)


async def test_a_subscriber_is_renamed_and_keeps_the_history(shop: Shop) -> None:
    await shop.add_customer(OLD)
    await shop.push()
    before = shop.mailchimp.contact(OLD)
    await moved(shop)

    after = shop.mailchimp.contact(NEW)
    assert after.contact_id == before.contact_id
    assert (after.status, after.merge_fields["POINTS"], after.merge_fields["LASTSEEN"]) == (
        "subscribed", 120, before.merge_fields["LASTSEEN"],
    )  # fmt: skip
    assert shop.mailchimp.find_contact(OLD) is None
    assert len(shop.live()) == 1
    await assert_settled(shop)
    assert (await shop.row(NEW))["remote_id"] == before.contact_id


async def test_who_opted_out_there_stays_out_at_the_new_address_and_the_old_one_remains_the_proof(shop: Shop) -> None:
    await shop.add_customer(OLD)
    await shop.push()
    shop.mailchimp.act("unsubscribe", OLD)
    await moved(shop)

    old, new = shop.mailchimp.contact(OLD), shop.mailchimp.contact(NEW)
    assert (old.status, old.merge_fields["POINTS"], old.merge_fields["STATE"]) == ("unsubscribed", "", "moved")
    assert (new.status, new.merge_fields["POINTS"]) == ("unsubscribed", 120)
    assert shop.live() == []
    await assert_settled(shop)


async def test_a_bounced_old_address_is_left_and_the_new_one_is_live_without_consent(shop: Shop) -> None:
    await shop.add_customer(OLD)
    await shop.push()
    shop.mailchimp.act("bounce", OLD)
    await moved(shop)

    assert shop.mailchimp.contact(OLD).status == "cleaned"
    assert [(one.email_address, one.status) for one in shop.live()] == [(NEW, "transactional")]
    await assert_settled(shop)


@pytest.mark.parametrize("shop", [SYNC_ALL], indirect=True)
async def test_a_contact_without_consent_is_replaced_and_archived(shop: Shop) -> None:
    await shop.add_customer(OLD, opted_in=None)
    await shop.push()
    await moved(shop, carried=None)

    old = shop.mailchimp.contact(OLD)
    assert (old.status, old.merge_fields["POINTS"], old.merge_fields["STATE"], old.tags) == (
        "archived", "", "moved", ("address-changed",),
    )  # fmt: skip
    assert [(one.email_address, one.status) for one in shop.live()] == [(NEW, "transactional")]
    await assert_settled(shop)


async def test_who_has_not_confirmed_yet_is_not_left_confirming_at_the_old_address(shop: Shop) -> None:
    ana = await shop.add_customer(OLD)
    await shop.push()
    shop.mailchimp.act("unsubscribe", OLD)
    await shop.choose(ana, OLD, opted_in=True)
    await shop.push()
    assert shop.mailchimp.contact(OLD).status == "pending"
    await moved(shop)

    assert shop.mailchimp.contact(OLD).status == "archived"
    assert [(one.email_address, one.status) for one in shop.live()] == [(NEW, "transactional")]


async def test_a_new_address_that_is_there_already_is_taken_as_it_is(shop: Shop) -> None:
    await shop.add_customer(OLD)
    await shop.push()
    shop.mailchimp.act("subscribe", NEW)
    await moved(shop)

    assert shop.mailchimp.contact(OLD).status == "archived"
    assert [(one.email_address, one.status, one.merge_fields["POINTS"]) for one in shop.live()] == [
        (NEW, "subscribed", 120)
    ]
    await assert_settled(shop)


async def test_a_new_address_that_opted_out_stays_out(shop: Shop) -> None:
    await shop.add_customer(OLD)
    await shop.push()
    shop.mailchimp.act("subscribe", NEW)
    shop.mailchimp.act("unsubscribe", NEW)
    await moved(shop)

    new = shop.mailchimp.contact(NEW)
    assert (new.status, new.merge_fields["POINTS"]) == ("unsubscribed", 120)
    assert shop.mailchimp.contact(OLD).status == "archived"


@pytest.mark.parametrize("archived", [False, True])
async def test_an_opt_out_at_the_old_address_lowers_the_new_one_that_is_there(shop: Shop, archived: bool) -> None:
    await shop.add_customer(OLD)
    await shop.push()
    shop.mailchimp.act("subscribe", NEW)
    if archived:
        shop.mailchimp.act("archive", NEW)
    shop.mailchimp.act("unsubscribe", OLD)
    await moved(shop)

    assert shop.mailchimp.contact(NEW).status == "unsubscribed"
    assert shop.mailchimp.contact(OLD).status == "unsubscribed"


async def test_an_archived_new_address_comes_back_without_consent(shop: Shop) -> None:
    await shop.add_customer(OLD)
    await shop.push()
    shop.mailchimp.act("subscribe", NEW)
    shop.mailchimp.act("archive", NEW)
    await moved(shop)

    assert [(one.email_address, one.status) for one in shop.live()] == [(NEW, "transactional")]


async def test_an_old_address_that_mailchimp_never_had_is_a_plain_push(shop: Shop) -> None:
    await shop.add_customer(OLD)
    await moved(shop)

    assert [(one.email_address, one.status) for one in shop.mailchimp.contacts()] == [(NEW, "subscribed")]
    await assert_settled(shop)


async def test_another_spelling_of_the_same_address_is_no_move(shop: Shop) -> None:
    await shop.add_customer(OLD)
    await shop.push()
    await moved(shop, new="Old@Shop.test")

    contacts = shop.mailchimp.contacts()
    assert [(one.email_address, one.status) for one in contacts] == [("Old@Shop.test", "subscribed")]


async def test_of_several_changes_only_the_ends_count(shop: Shop) -> None:
    ana = await shop.add_customer(OLD)
    await shop.push()
    before = shop.mailchimp.contact(OLD)
    await shop.move(ana, OLD, "between@shop.test")
    await shop.move(ana, "between@shop.test", NEW)
    await shop.push()

    assert [(one.email_address, one.contact_id) for one in shop.mailchimp.contacts()] == [(NEW, before.contact_id)]
    await assert_settled(shop)
    assert (await shop.row("between@shop.test"))["state"] == "closed"


@pytest.mark.parametrize("pushed_between", [False, True])
async def test_there_and_back_again_leaves_what_was(shop: Shop, pushed_between: bool) -> None:
    ana = await shop.add_customer(OLD)
    await shop.push()
    before = shop.mailchimp.contact(OLD)
    await shop.move(ana, OLD, NEW)
    if pushed_between:
        await shop.push()
    await shop.move(ana, NEW, OLD)
    await shop.push()

    assert [(one.email_address, one.contact_id, one.status) for one in shop.mailchimp.contacts()] == [
        (OLD, before.contact_id, "subscribed")
    ]
    await assert_settled(shop, new=OLD, old=NEW)


@pytest.mark.parametrize("shop", [SYNC_ALL], indirect=True)
async def test_a_contact_that_we_archived_is_live_again_when_its_address_is(shop: Shop) -> None:
    ana = await shop.add_customer(OLD, opted_in=None)
    await shop.push()
    await moved(shop, carried=None)
    await shop.move(ana, NEW, OLD, carried=None)
    await shop.push()

    assert [(one.email_address, one.status, one.merge_fields["POINTS"]) for one in shop.live()] == [
        (OLD, "transactional", 120)
    ]
    await assert_settled(shop, new=OLD, old=NEW)


async def test_an_opt_out_that_comes_with_the_change_wins_over_it(shop: Shop) -> None:
    await shop.add_customer(OLD)
    await shop.push()
    await moved(shop, carried=False)

    old = shop.mailchimp.contact(OLD)
    assert (old.status, old.merge_fields["POINTS"]) == ("unsubscribed", "")
    assert shop.mailchimp.find_contact(NEW) is None
    await assert_settled(shop)


async def test_without_consent_for_the_new_address_its_contact_is_live_in_step_and_gets_no_mail(shop: Shop) -> None:
    ana = await shop.add_customer(OLD)
    await shop.push()
    await moved(shop, carried=None)

    assert shop.mailchimp.contact(OLD).status == "archived"
    assert [(one.email_address, one.status) for one in shop.live()] == [(NEW, "transactional")]
    await assert_settled(shop)
    await shop.set_points(ana, 5)
    await shop.push()
    assert shop.mailchimp.contact(NEW).merge_fields["POINTS"] == 5


async def test_who_never_was_in_the_audience_does_not_get_there_by_an_email_change(shop: Shop) -> None:
    await shop.add_customer(OLD, opted_in=None)
    await shop.push()
    await moved(shop, carried=None)

    assert shop.mailchimp.contacts() == []
    await assert_settled(shop)


async def test_a_new_address_that_was_deleted_for_good_is_noted_and_the_old_one_retired(shop: Shop) -> None:
    await shop.add_customer(OLD)
    gateway = shop.gateway()
    await shop.push()
    shop.mailchimp.act("subscribe", NEW)
    gateway._client.lists.delete_list_member_permanent(shop.mailchimp.list_id, _hash(NEW))
    await moved(shop)

    row = await shop.row(NEW)
    assert row["state"] == "forgotten"
    assert "only the person" in row["parked_reason"]
    assert shop.mailchimp.contact(OLD).status == "archived"
    assert (await shop.row(OLD))["state"] == "closed"


async def test_a_new_address_that_is_refused_is_set_aside_and_the_old_one_retired(shop: Shop) -> None:
    await shop.add_customer(OLD)
    await shop.push()
    shop.mailchimp.refuse_address(NEW, "fake")
    await moved(shop)

    assert "fake or invalid" in (await shop.row(NEW))["parked_reason"]
    assert shop.live() == []


async def test_an_old_address_waits_for_the_new_one_rather_than_being_retired_before_it(shop: Shop) -> None:
    ana = await shop.add_customer(OLD)
    await shop.push()
    await shop.move(ana, OLD, NEW)
    shop.mailchimp.fail_next("empty", status=503, count=1)
    await shop.push()
    assert shop.mailchimp.contact(OLD).status == "subscribed"
    shop.clock.set((await shop.state())["retry_at"])
    await shop.push()

    assert [one.email_address for one in shop.live()] == [NEW]


def _hash(email: str) -> str:
    from server.audience.rules import subscriber_hash

    return subscriber_hash(email)


async def prepare_rename(shop: Shop, old: str, new: str) -> None:
    await shop.add_customer(old)


async def prepare_merge(shop: Shop, old: str, new: str) -> None:
    await shop.add_customer(old)
    shop.mailchimp.act("subscribe", new)


async def prepare_replace(shop: Shop, old: str, new: str) -> None:
    await shop.add_customer(old)
    await shop.push()
    shop.mailchimp.act("bounce", old)


async def prepare_pending(shop: Shop, old: str, new: str) -> None:
    ana = await shop.add_customer(old)
    await shop.push()
    shop.mailchimp.act("unsubscribe", old)
    await shop.choose(ana, old, opted_in=True)


@pytest.mark.parametrize("prepare", [prepare_rename, prepare_merge, prepare_replace, prepare_pending])
async def test_a_worker_that_dies_between_any_two_calls_leaves_one_live_contact_in_the_end(shop: Shop, prepare) -> None:
    await shop.push()

    async def run(number: int, gateway: CutGateway) -> None:
        old, new = f"old{number}@shop.test", f"new{number}@shop.test"
        await prepare(shop, old, new)
        await shop.push()
        await shop.move((await shop.row(old))["customer"], old, new)
        try:
            await shop.push(gateway)
        except Killed:
            await shop.push()
        live = [one.email_address for one in shop.live() if one.email_address in (old, new)]
        assert live == [new], (gateway.cut, gateway.count, gateway.after)
        await assert_settled(shop, new=new, old=old)

    whole = CutGateway(shop.tools.settings)
    await run(0, whole)
    places = [(name, whole.calls[: index + 1].count(name)) for index, name in enumerate(whole.calls)]
    assert len(places) > 4
    for number, (name, count) in enumerate(places):
        for after in (False, True):
            gateway = CutGateway(shop.tools.settings, cut=name, count=count, after=after)
            await run(1 + 2 * number + after, gateway)
            assert gateway.calls.count(name) >= count, "the place to die in was reached"
