"""Mailchimp tells who said no there; that is all it can do to what somebody agreed to."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from server.db.engine import DB
from tests.app import SignedUp, World, expect, open_world

HOOK_SECRET = "a97d3c5e1f8b4a6290d7c3e5b1f2a486"


@pytest.fixture
async def world(database_url: str, data_dir: Path) -> AsyncIterator[World]:
    async with open_world(
        database_url, data_dir, mailchimp_hook_secret=HOOK_SECRET, mailchimp_list_id="list1"
    ) as world:
        yield world


async def tell(world: World, kind: str, member: SignedUp, *, at: datetime | None = None, **data: str) -> None:
    """Send an event as Mailchimp does, twice, as it may."""
    form = {"type": kind, "fired_at": f"{at or world.clock.now():%Y-%m-%d %H:%M:%S}", "data[list_id]": "list1"}
    form |= {"data[email]": member.email.upper()} | {f"data[{name}]": value for name, value in data.items()}
    for _ in range(2):
        answer = await world.client.post(f"/hooks/mailchimp/{HOOK_SECRET}", data=form)
        assert (answer.status_code, answer.content) == (200, b"ok")


async def say(world: World, member: SignedUp, *, email: bool) -> None:
    body = {"email": email, "sms": False}
    expect(await world.client.put("/v1/me/consents", json=body, headers=member.headers), 200)


async def stands(world: World, member: SignedUp) -> tuple[str, str | None]:
    """Return what the member said about offers by mail, and where."""
    answer = expect(await world.client.get("/v1/me/consents", headers=member.headers), 200)["email"]
    return answer["state"], answer["source"]


async def test_whoever_unsubscribes_or_complains_at_mailchimp_is_sent_nothing_more_and_it_says_why(
    world: World,
) -> None:
    events = (
        ("unsubscribe", {"action": "unsub", "reason": "manual"}, "mailchimp_unsubscribed"),
        ("unsubscribe", {"action": "unsub", "reason": "abuse"}, "mailchimp_complaint"),
        ("cleaned", {"reason": "abuse"}, "mailchimp_complaint"),
    )
    for number, (kind, data, source) in enumerate(events):
        member = await world.sign_up(f"m{number}@shop.test")
        if number:
            await say(world, member, email=True)
        world.advance(timedelta(minutes=1))
        # Somebody who was never asked may have been on Mailchimp's list before we knew them: a no is a no.
        await tell(world, kind, member, **data)
        assert await stands(world, member) == ("opted_out", source)
        dirty = "select dirty_seq > pushed_seq from audience_contact where customer = $1"
        assert await DB.fetch_value(dirty, member.customer_id) is True, "it goes to Mailchimp ahead of all else"
    rows = await DB.fetch("select details from audit_entry where action = 'consent.changed' and actor_kind <> 'member'")
    assert len(rows) == 3, "each once, however often it is told"
    headers = await world.staff_headers("cashier")
    shown = expect(await world.client.get(f"/v1/staff/customers/{member.customer_id}", headers=headers), 200)
    assert shown["consents"]["email"]["source"] == "mailchimp_complaint"
    assert shown["email_bouncing"] is False, "mail does arrive there"


async def test_nothing_else_that_mailchimp_says_changes_what_somebody_agreed_to(world: World) -> None:
    ana = await world.sign_up()
    asked_at = world.clock.now()
    world.advance(timedelta(minutes=1))
    await say(world, ana, email=True)
    await tell(world, "unsubscribe", ana, at=asked_at, action="unsub", reason="manual")
    assert await stands(world, ana) == ("opted_in", "app"), "a yes that came later stands"
    world.advance(timedelta(minutes=1))
    await tell(world, "unsubscribe", ana, action="delete", reason="manual")
    await tell(world, "unsubscribe", ana, action="unsub", reason="manual", list_id="another")
    await tell(world, "profile", ana)
    assert await stands(world, ana) == ("opted_in", "app"), "archiving a contact is nobody's no"
    await say(world, ana, email=False)
    world.advance(timedelta(minutes=1))
    await tell(world, "subscribe", ana)
    await tell(world, "cleaned", ana, reason="abuse")
    assert await stands(world, ana) == ("opted_out", "app"), "nothing that comes this way grants consent"
    assert await DB.fetch_value("select count(*) from consent_event") == 2
