"""`regulars verify` names what does not fit of combinations and merges."""

from uuid import UUID

import pytest

from server.db.engine import DB
from server.ledger.verification import verify
from tests.app import World, expect
from tests.server.merges.desk import MergeDesk
from tests.server.sharing.desk import two_members

_MOVED = "combining and leaving moved what is written of them"
_NOTHING_LEFT = "a membership that became another one has nothing left"
_PEOPLE = "people are in memberships that are active, and those have people"
_POINTS_AT = "whoever was merged points at the survivor, and so do their orders"
_NO_WAY_IN = "merged and erased customers have no way in"


@pytest.mark.parametrize(
    ("sql", "check"),
    [
        ("update sharing_operation set points = points + 1 where id = $1", _MOVED),
        ("update card set membership = o.other from sharing_operation o where o.id = $1 and card.membership = o.membership", _NOTHING_LEFT),
        (
            "update membership_person p set left_at = null from sharing_operation o where o.id = $1 "
            "and p.membership = o.other and p.customer not in (select customer from membership_person where left_at is null)",
            _PEOPLE,
        ),
        ("update customer set status = 'active', merged_into = null where status = 'merged' and $1::uuid is not null", _POINTS_AT),
        ("update orders set customer = m.absorbed from merge m where $1::uuid is not null", _POINTS_AT),
        (
            "update card set customer = m.absorbed from merge m where $1::uuid is not null and card.customer = m.survivor",
            _NO_WAY_IN,
        ),
    ],
)  # fmt: skip
async def test_what_was_tampered_with_is_named(world: World, sql: str, check: str) -> None:
    ana, ben = await two_members(world)
    desk = await MergeDesk.open(world)
    await desk.buy(ben.card_number, 20)
    done = expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    stub = await desk.register("Anna")
    await desk.buy(stub["card_number"], 10)
    await desk.merged(ana.customer_id, stub["id"])
    if check == _PEOPLE:
        await DB.fetch(
            "update membership_person set left_at = $2 where customer = $1", ben.customer_id, world.clock.now()
        )
    await DB.fetch(sql, UUID(done["operation_id"]))
    wrong = {outcome.name for outcome in [one async for one in verify(world.clock.now())] if not outcome.is_right}
    assert check in wrong
