"""Mailchimp forgets an erased person, however often it is asked and wherever that breaks off."""

from datetime import timedelta

import pytest

from server.audience.gateway import Mailchimp
from server.audience.pusher import Pusher
from server.db.engine import DB
from tests.app import World
from tests.server.audience.builders import CutGateway, Killed
from tests.server.privacy.desk import erasure_of, find_everywhere, forget, work
from tests.standins.mailchimp import MailchimpStandIn


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "before its answer"])
async def test_mailchimp_deletes_the_person_for_good_though_the_process_dies(
    pushing: World, mailchimp: MailchimpStandIn, *, after: bool
) -> None:
    ana = await pushing.sign_up("ana@pushing.test", consents={"email": True, "sms": False})
    await Pusher(pushing.tools, Mailchimp(pushing.settings)).push_due()
    assert [one.email_address for one in mailchimp.contacts()] == ["ana@pushing.test"]
    await forget(pushing, ana)
    erasure = await erasure_of(ana.customer_id)
    assert erasure["state"] == "executed", "not done before Mailchimp has forgotten her too"
    assert await find_everywhere("ana@pushing.test") == ["audience_contact"]

    gateway = CutGateway(pushing.settings, cut="erase_contact", after=after)
    with pytest.raises(Killed):
        await Pusher(pushing.tools, gateway).push_due()
    pushing.advance(timedelta(minutes=5))
    await Pusher(pushing.tools, Mailchimp(pushing.settings)).push_due()
    await work(pushing)

    assert mailchimp.contacts() == []
    deletions = [one for one in mailchimp.requests() if one.path.endswith("/actions/delete-permanent")]
    assert len(deletions) == (2 if after else 1)
    assert await find_everywhere("ana@pushing.test") == []
    assert (await erasure_of(ana.customer_id))["state"] == "done"
    # Signing up again puts her in the audience no more than Mailchimp lets it: only she herself can come back there.
    await pushing.sign_up("ana@pushing.test", consents={"email": True, "sms": False})
    await Pusher(pushing.tools, Mailchimp(pushing.settings)).push_due()
    assert mailchimp.contacts() == []
    state = await DB.fetch_value("select state from audience_contact where email_key = 'ana@pushing.test'")
    assert state == "forgotten"
