"""`verify` finds holds and vouchers that do not agree with the entries."""

import pytest

from tests.app import World, expect
from tests.ledgers import assert_tampering_found, assert_verified
from tests.server.rewards.builders import Counter

SPENDING = "spending, lapsing and giving up are covered by lots and never make a debt"
HOLDS = "a captured hold spent exactly its points"
VOUCHERS = "a voucher stands for the points that it cost"
STATES = "a voucher is held or used where a hold says so"
HOMES = "an unspent voucher is in a membership of its owner"

TAMPERING = [
    (SPENDING, "delete from allocation where debit_entry in (select id from ledger_entry where kind = 'REDEEM')"),
    (SPENDING, "update allocation set points = points - 1"),
    (HOLDS, "update hold set points = points + 50 where voucher is null"),
    (HOLDS, "update hold set state = 'released', entry = null where voucher is null"),
    (HOLDS, "update ledger_entry set points = points - 1 where source_key like 'hold:%'"),
    (VOUCHERS, "update voucher set points_cost = 0"),
    (VOUCHERS, "update voucher set issue_entry = null where status = 'redeemed'"),
    (VOUCHERS, "update voucher set status = 'void', void_reason = 'cancelled' where status = 'issued'"),
    (
        VOUCHERS,
        "update voucher set issue_entry = (select issue_entry from voucher where status = 'redeemed') "
        "where status = 'issued'",
    ),
    (STATES, "update voucher set status = 'issued'"),
    (STATES, "update voucher set status = 'redeemed'"),
    (STATES, "update voucher set status = 'held'"),
    (STATES, "update hold set state = 'released' where voucher is not null"),
    (HOMES, "update membership_person set left_at = now(), left_reason = 'left'"),
]


@pytest.fixture
async def counter(world: World) -> Counter:
    counter = await Counter.open(world)
    reward = await counter.add_reward()
    await counter.take_code(reward)
    code = await counter.take_code(reward)
    expect(await counter.capture(expect(await counter.hold_voucher(code), 201)), 200)
    expect(await counter.capture(await counter.hold_proven(300), sale="sale-2"), 200)
    await assert_verified(world)
    return counter


async def test_tampering_is_found_and_the_row_is_named(counter: Counter) -> None:
    for check, tampering in TAMPERING:
        await assert_tampering_found(counter.world, check, tampering, {"ledger_entry", "hold", "voucher"})
    await assert_verified(counter.world)
