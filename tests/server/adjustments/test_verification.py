"""`verify` finds tampered adjustments, lapses and opening balances, and names the row."""

from datetime import timedelta

import pytest

from server.imports.service import import_balances
from server.ledger.lapsing import expire_lapsed
from shared.enums import Role
from tests.app import World, expect
from tests.ledgers import assert_tampering_found, assert_verified, credit
from tests.server.adjustments.desk import act, adjust

TAMPERING = {
    "every adjustment has its entry, and every such entry its adjustment": "update adjustment set points = points + 1",
    "an adjustment that was taken back has left nothing": (
        "update ledger_entry set reason_code = 'gone' where reason_code = 'adjust_undone' and kind = 'RESTORE'"
    ),
    "no large adjustment was made by one person": "update adjustment set decided_by = null, needs = '{}'",
    "points lapsed when their lot did": (
        "update ledger_entry set occurred_at = occurred_at - interval '1 day' where kind = 'EXPIRE'"
    ),
    "an opening balance was posted as it was read": "update lot set expires_at = now() + interval '9 years'",
}


@pytest.fixture
async def shop(world: World) -> World:
    """Everything that these checks are about, once."""
    ana = await world.sign_up()
    cashier, manager = await world.staff_headers(Role.CASHIER), await world.staff_headers(Role.MANAGER)
    large = await adjust(world, cashier, ana.customer_id, 300)
    expect(await act(world, manager, large["id"], "approve", {"preview_hash": large["preview_hash"]}), 200)
    for points in (20, -30):
        done = await adjust(world, cashier, ana.customer_id, points)
        expect(await act(world, cashier, done["id"], "undo", {"reason": "Wrong member"}), 200)
    text = f"card,points,earned_at,expires_at\n{ana.card_number},40,2025-01-01,2026-12-31\n"
    await import_balances(world.ctx, text, name="old", on_progress=lambda _: None)
    await credit(world, ana.membership_id, 10, days=1)
    world.advance(timedelta(days=2))
    await expire_lapsed(world.ctx)
    await assert_verified(world)
    return world


async def test_tampering_is_found_and_the_row_is_named(shop: World) -> None:
    for check, tampering in TAMPERING.items():
        await assert_tampering_found(shop, check, tampering, {"adjustment", "ledger_entry", "balance_row"})
