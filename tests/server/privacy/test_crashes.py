"""Forgetting is whole or has not happened, wherever it breaks off; and Mailchimp forgets, however often it is asked."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from server.audience.gateway import Mailchimp
from server.audience.pusher import Pusher
from server.db.engine import DB
from server.errors import DatabaseBusy
from server.privacy import service
from tests.app import World, open_world
from tests.invariants.brittle_shop import BrittleConnection, Fuse
from tests.ledgers import assert_verified, credit
from tests.server.audience.builders import CutGateway, Killed
from tests.server.merges.desk import MergeDesk
from tests.server.privacy.desk import ask, erasure_of, find_everywhere, forget, status_of, work
from tests.server.sharing.desk import two_members
from tests.standins.mailchimp import MailchimpStandIn

_STRIDE = 9
"""Every so many statements it breaks off in the short form of the test."""


async def test_a_crash_between_any_two_statements_leaves_all_or_nothing(
    world: World, request: pytest.FixtureRequest
) -> None:
    ana, ben = await two_members(world)
    desk = await MergeDesk.open(world)
    await credit(world, ana.membership_id, 100)
    await desk.combine(ben.membership_id, ana.membership_id)
    asked = await ask(world, ana)
    world.advance(timedelta(days=8))
    assert world.settings.database_url is not None
    await DB.close()
    await DB.open(world.settings.database_url, size=4, connection_class=BrittleConnection)
    stride = 1 if request.config.getoption("--soak") else _STRIDE
    before, broken = await _everything(), 0
    for statement in range(1, 1_000, stride):
        fuse = BrittleConnection.fuse = Fuse(after_statement=statement)
        try:
            assert await service.execute(world.ctx, UUID(asked["id"]))
        except DatabaseBusy:
            assert fuse.has_burnt
            broken += 1
            assert await _everything() == before
        else:
            break
        finally:
            BrittleConnection.fuse = None
    assert broken >= 60 / stride
    assert await status_of(ana.customer_id) == "erased"
    assert not await service.execute(world.ctx, UUID(asked["id"]))
    await assert_verified(world)


async def _everything() -> dict[str, object]:
    names = await DB.fetch("select tablename from pg_tables where schemaname = 'public' order by tablename")
    sql = " union all ".join(
        f"select '{row['tablename']}' as name, md5(string_agg(t::text, '|' order by t::text)) as sum "
        f'from "{row["tablename"]}" t'
        for row in names
    )
    return {row["name"]: row["sum"] for row in await DB.fetch(sql)}


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
