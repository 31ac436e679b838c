"""`verify` finds every kind of wrong figure and names the row."""

from datetime import timedelta

import pytest

from server.db.engine import DB
from server.ledger.lapsing import expire_lapsed
from server.ledger.movements import Origin, give_back, spend
from server.ledger.verification import CHECKS, verify
from tests.app import World, expect
from tests.ledgers import assert_tampering_found, assert_verified, credit, locked
from tests.server.sharing.desk import Desk, two_members
from tests.tills import push, sale

SPENDING = "spending, lapsing and giving up are covered by lots and never make a debt"
TRANSFERS = "transfers come in pairs of equal points and dates"
CAUSES = "every entry has its cause"
IN_FORCE = "what must not change or be there twice is refused by the database"
ORDERS = "an order's points are those of its entries, in its own membership only"
FORGED = """
insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, related_entry,
                          actor_kind, actor_id)
select regulars_new_id(), membership, '{kind}', 5, occurred_at, posted_at, '{key}', customer, null, '{actor}', {by}
from ledger_entry where kind = 'EARN' limit 1
"""
CONSENT = """
insert into consent_event (id, customer, channel, address_key, state, source, actor_kind, at)
select regulars_new_id(), id, 'sms', 'ana@shop.test', 'opted_in', 'app', 'system', now() from customer
"""

# What tampering each check must notice.
TAMPERING = [
    ("a balance is the sum of its entries", "update membership set balance = balance + 1"),
    ("what is left of a lot is its points less its allocations", "update lot set remaining = remaining - 1 where remaining > 0"),
    ("every credit has its lot, and no debit has one", "update lot set points = points + 1"),
    ("a deficit is what debits found no lot for", "update membership set available = 0, pending = 0, deficit = 3"),
    ("available and pending points are those of the live lots", "update membership set available = available + 1"),
    ("lifetime points are all points ever earned", "update membership set lifetime = lifetime + 1"),
    ("an order's points are the sum of its lines", "update order_line set points = points + 1 where position = 0"),
    ("every former assignment of an order is kept", "update orders set assignment_version = 2"),
    (ORDERS, "update ledger_entry set points = points + 1 where kind = 'EARN'"),
    ("nothing was earned before the membership began", "update membership_person set eligible_from = now() + interval '9 years'"),
    ("every active membership has one owner", "update membership_person set role = 'sharer'"),
    (SPENDING, "delete from allocation where debit_entry in (select id from ledger_entry where kind = 'EXPIRE')"),
    (SPENDING, "update allocation set posted_at = posted_at + interval '1 day'"),
    (SPENDING, "update lot set available_at = '2027-01-01', expires_at = null"),
    (TRANSFERS, "update ledger_entry set source_key = id::text where kind = 'TRANSFER_OUT'"),
    (TRANSFERS, "delete from ledger_entry where kind = 'TRANSFER_OUT'"),
    (TRANSFERS, FORGED.format(kind="TRANSFER_IN", key="forged", actor="system", by="null")),
    (TRANSFERS, "update lot set earned_at = earned_at - interval '1 day' where entry in (select id from ledger_entry where kind = 'TRANSFER_IN')"),
    (CAUSES, FORGED.format(kind="EARN", key="forged", actor="system", by="null")),
    (CAUSES, FORGED.format(kind="OPENING", key="import:forged", actor="system", by="null")),
    (CAUSES, FORGED.format(kind="RESTORE", key="forged", actor="system", by="null")),
    ("nobody moved points without a trace", FORGED.format(kind="ADJUST", key="forged", actor="staff", by="regulars_new_id()")),
    ("a yes is for an address or a number", CONSENT),
    (IN_FORCE, "alter table ledger_entry disable trigger ledger_entry_append_only"),
    (IN_FORCE, "drop index membership_person_once"),
]  # fmt: skip
GRACE = timedelta(days=30)
TABLES = {"membership", "lot", "orders", "ledger_entry", "consent_event", "trigger", "index"}


@pytest.fixture
async def shop(world: World) -> World:
    """Points that were earned, spent, given back, moved and lapsed."""
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    await push(world, desk.key, sale(world, card=ana.card_number))
    await credit(world, ben.membership_id, 20)
    async with locked(ben.membership_id) as membership:
        spent = await spend(world.ctx, membership, 15, Origin(source_key="test:1"))
        await give_back(world.ctx, membership, 1, Origin(source_key="test:2"), spent_entry_id=spent, grace=GRACE)
    await credit(world, ben.membership_id, 10, days=1)
    expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    world.advance(GRACE)
    await expire_lapsed(world.ctx)
    await assert_verified(world)
    return world


async def test_a_shop_that_nobody_tampered_with_is_right(shop: World) -> None:
    outcomes = [outcome async for outcome in verify(shop.clock.now())]
    assert [outcome.name for outcome in outcomes] == [check.name for check in CHECKS]
    assert all(outcome.is_right for outcome in outcomes)


async def test_tampering_is_found_and_the_row_is_named(shop: World) -> None:
    for check, tampering in TAMPERING:
        await assert_tampering_found(shop, check, tampering, TABLES)
    await assert_verified(shop)


async def test_entries_cannot_be_changed_or_deleted(shop: World) -> None:
    for statement in (
        "update ledger_entry set points = 99",
        "delete from ledger_entry",
        "truncate ledger_entry cascade",
    ):
        with pytest.raises(Exception, match="append-only"):
            await DB.run_script(statement)
