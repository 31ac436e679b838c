"""`regulars verify` names claim codes that were used and brought nothing."""

import pytest

from server.db.engine import DB
from server.ledger.verification import verify
from tests.app import World, expect
from tests.server.claims.desk import ClaimDesk
from tests.tills import push, sale

_CHECK = "a claim code that was used has brought what it stood for"


@pytest.mark.parametrize(
    "sql",
    [
        "update claim_code set merge = null where customer is not null",
        "update merge set method = 'staff'",
        "update claim_code set used_by = customer where customer is not null and used_at is not null",
        "update orders set assignment_reason = 'card' where assignment_reason = 'claim'",
    ],
)
async def test_what_was_tampered_with_is_named(world: World, sql: str) -> None:
    desk = await ClaimDesk.open(world)
    ana = await world.sign_up("ana@shop.test")
    await desk.claimed(ana, (await desk.issue((await desk.stub())["id"]))["code"])
    sold = expect(await push(world, desk.till, sale(world)), 201)
    receipt = expect(await desk.post(f"/v1/staff/orders/{sold['order_id']}/claim-codes"), 201)
    await desk.claimed(ana, receipt["code"])
    assert [one.name async for one in verify(world.clock.now()) if not one.is_right] == []
    await DB.fetch(sql)
    assert _CHECK in [one.name async for one in verify(world.clock.now()) if not one.is_right]
