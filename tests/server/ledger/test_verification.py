"""`verify` finds every kind of wrong figure and names the row."""

import pytest

from server.db.engine import DB
from server.ledger.verification import CHECKS, verify
from tests.app import World
from tests.tills import push, sale

# What tampering each check must notice. Append-only triggers are switched off for it, as somebody with the database's
# own rights could do.
TAMPERING = {
    "a balance is the sum of its entries": "update membership set balance = balance + 1",
    "what is left of a lot is its points less its allocations": "update lot set remaining = remaining - 1",
    "every credit has its lot, and no debit has one": "update lot set points = points + 1",
    "a deficit is what debits found no lot for": "update membership set available = 0, deficit = 3",
    "available and pending points are those of the live lots": "update membership set available = available + 1",
    "lifetime points are all points ever earned": "update membership set lifetime = lifetime + 1",
    "an order's points are the sum of its lines": "update order_line set points = points + 1 where position = 0",
    "every former assignment of an order is kept": "update orders set assignment_version = 2",
    "an order's points are those of its entries, in its own membership only": "update ledger_entry set points = points + 1",
    "nothing was earned before the membership began": "update membership_person set eligible_from = now() + interval '9 years'",
    "every active membership has one owner": "update membership_person set role = 'sharer'",
}


@pytest.fixture
async def shop(world: World) -> World:
    member = await world.sign_up()
    await push(world, await world.pos_key(), sale(world, card=member.card_number))
    return world


async def wrong(world: World) -> dict[str, str | None]:
    return {outcome.name: outcome.wrong_row async for outcome in verify(world.clock.now()) if not outcome.is_right}


async def test_a_shop_that_nobody_tampered_with_is_right(shop: World) -> None:
    outcomes = [outcome async for outcome in verify(shop.clock.now())]
    assert [outcome.name for outcome in outcomes] == [check.name for check in CHECKS]
    assert all(outcome.is_right for outcome in outcomes)


@pytest.mark.parametrize("check", TAMPERING)
async def test_tampering_is_found_and_the_row_is_named(shop: World, check: str) -> None:
    await DB.run_script(f"set session_replication_role = replica; {TAMPERING[check]}; reset session_replication_role")
    found = await wrong(shop)
    row = found.get(check)
    assert row is not None, f"found only {found}"
    table = row.split()[0]
    assert table in {"membership", "lot", "orders", "ledger_entry"}


async def test_entries_cannot_be_changed_or_deleted(shop: World) -> None:
    for statement in (
        "update ledger_entry set points = 99",
        "delete from ledger_entry",
        "truncate ledger_entry cascade",
    ):
        with pytest.raises(Exception, match="append-only"):
            await DB.run_script(statement)
