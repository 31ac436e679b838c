"""`verify` finds a refund that took more, or less, than it should have."""

import pytest

from server.db.engine import DB
from server.ledger.verification import verify
from tests.app import World
from tests.ledgers import assert_verified
from tests.server.refunds.till import money, pieces, sell, take

EXACT = "what came back of an order takes at most what it earned, and all of it exactly that"
LINES = "a refund took exactly what its lines say"
ENTRIES = "an order's points are those of its entries, in its own membership only"


@pytest.fixture
async def shop(world: World) -> World:
    member, key = await world.sign_up(), await world.pos_key()
    whole = await sell(world, key, member.card_number, 1_000, quantity=3)
    for part in (pieces("1"), pieces("1", "0.999"), money("1", 0), pieces("1", "1.001")):
        await take(world, key, whole, part)
    part_of = await sell(world, key, member.card_number, 999, 500, quantity=3)
    for part in (money("1", 333), pieces("1"), money("1", 333)):
        await take(world, key, part_of, part)
    await sell(world, key, member.card_number, 700)
    await take(world, key, None, pieces("1"))
    return world


@pytest.mark.parametrize(
    ("tampering", "check"),
    [
        ("update orders set points_returned = points_returned + 1 where points_returned > 0", ENTRIES),
        ("update orders set points_returned = 8 where points = 14", ENTRIES),
        ("update orders set points_returned = points + 1 where points = 14", EXACT),
        ("update orders set points_returned = -1 where points = 7", EXACT),
        ("update orders set points_returned = 7 where points = 7", EXACT),
        (
            'update refund_line set quantity = 3, net_minor = null where "order" = (select id from orders where points = 14)'
            ";update refund_line set line_id = '2' where id = (select max(l.id::text)::uuid from refund_line l join orders o"
            ' on o.id = l."order" where o.points = 14)',
            EXACT,
        ),
        ("update refund set points_taken = points_taken + 1 where points_taken > 0", LINES),
        ("update refund_line set points = points + 1 where points > 0", LINES),
        ("update refund set points_restored = 5 where state = 'blind'", LINES),
        ("update refund set points_written_off = 1 where points_taken > 0", LINES),
        (
            "update ledger_entry set source_key = 'refund:' || gen_random_uuid() where id ="
            " (select max(id::text)::uuid from ledger_entry where kind = 'CLAWBACK')",
            LINES,
        ),
    ],
)
async def test_tampering_is_found_by_its_check(shop: World, tampering: str, check: str) -> None:
    await assert_verified(shop)
    await DB.run_script(f"set session_replication_role = replica; {tampering}; reset session_replication_role")
    wrong = {outcome.name: outcome.wrong_row async for outcome in verify(shop.clock.now()) if not outcome.is_right}
    assert wrong.get(check, "").split()[:1] in (["orders"], ["refund"], ["ledger_entry"]), wrong
