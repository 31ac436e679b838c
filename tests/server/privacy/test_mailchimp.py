"""Mailchimp forgets an erased person, however often it is asked and wherever that breaks off."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from server.audience.gateway import Mailchimp
from server.audience.pusher import Pusher
from server.db.engine import DB
from tests.app import World, open_world
from tests.server.audience.builders import CutGateway, Killed
from tests.server.privacy.desk import erasure_of, find_everywhere, forget, work
from tests.standins.mailchimp import MailchimpStandIn


@pytest.fixture
def mailchimp() -> Iterator[MailchimpStandIn]:
    with MailchimpStandIn() as standin:
        yield standin


@pytest.fixture
async def shop(database_url: str, data_dir: Path, mailchimp: MailchimpStandIn) -> AsyncIterator[World]:
    settings = {
        "audience": "mailchimp",
        "mailchimp_api_key": mailchimp.api_key,
        "mailchimp_list_id": mailchimp.list_id,
        "mailchimp_base_url": mailchimp.url,
    }
    async with open_world(database_url, data_dir, **settings) as world:
        yield world


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "before its answer"])
async def test_mailchimp_deletes_the_person_for_good_though_the_process_dies(
    shop: World, mailchimp: MailchimpStandIn, *, after: bool
) -> None:
    ana = await shop.sign_up("ana@shop.test", consents={"email": True, "sms": False})
    await Pusher(shop.tools, Mailchimp(shop.settings)).push_due()
    assert [one.email_address for one in mailchimp.contacts()] == ["ana@shop.test"]
    await forget(shop, ana)
    erasure = await erasure_of(ana.customer_id)
    assert erasure["state"] == "executed", "not done before Mailchimp has forgotten her too"
    assert await find_everywhere("ana@shop.test") == ["audience_contact"]

    gateway = CutGateway(shop.settings, cut="erase_contact", after=after)
    with pytest.raises(Killed):
        await Pusher(shop.tools, gateway).push_due()
    shop.advance(timedelta(minutes=5))
    await Pusher(shop.tools, Mailchimp(shop.settings)).push_due()
    await work(shop)

    assert mailchimp.contacts() == []
    deletions = [one for one in mailchimp.requests() if one.path.endswith("/actions/delete-permanent")]
    assert len(deletions) == (2 if after else 1)
    assert await find_everywhere("ana@shop.test") == []
    assert (await erasure_of(ana.customer_id))["state"] == "done"
    # Signing up again puts her in the audience no more than Mailchimp lets it: only she herself can come back there.
    await shop.sign_up("ana@shop.test", consents={"email": True, "sms": False})
    await Pusher(shop.tools, Mailchimp(shop.settings)).push_due()
    assert mailchimp.contacts() == []
    state = await DB.fetch_value("select state from audience_contact where email_key = 'ana@shop.test'")
    assert state == "forgotten"
