"""Points going out and coming back, rule by rule."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from server.db.engine import DB
from server.errors import Refused
from server.ledger.lapsing import expire_lapsed
from server.ledger.movements import Origin, claw_back, give_back, spend, take
from shared.enums import EntryKind
from shared.problems import Code
from tests.app import World
from tests.ledgers import assert_verified, credit, figures, left_in, locked

GRACE = timedelta(days=30)


@pytest.fixture
async def membership_id(world: World) -> UUID:
    return (await world.sign_up()).membership_id


async def spend_points(world: World, membership_id: UUID, points: int, key: str = "redeem:1") -> UUID:
    async with locked(membership_id) as membership:
        return await spend(world.ctx, membership, points, Origin(source_key=key))


async def test_points_that_lapse_first_are_spent_first_and_lasting_ones_last(world: World, membership_id: UUID) -> None:
    lasting = await credit(world, membership_id, 10, days=None)
    late = await credit(world, membership_id, 10, days=90)
    soon = await credit(world, membership_id, 10, days=30)
    await spend_points(world, membership_id, 15)
    assert (await left_in(soon), await left_in(late), await left_in(lasting)) == (0, 5, 10)
    assert await figures(membership_id) == (15, 15, 0, 0)
    await assert_verified(world)


async def test_spending_never_makes_a_deficit_and_says_what_is_there(world: World, membership_id: UUID) -> None:
    await credit(world, membership_id, 10)
    await credit(world, membership_id, 90, pending=3)
    with pytest.raises(Refused) as refusal:
        await spend_points(world, membership_id, 11)
    assert (refusal.value.code, refusal.value.data) == (Code.INSUFFICIENT_POINTS, {"available": 10})
    assert await figures(membership_id) == (100, 10, 90, 0)
    await assert_verified(world)


async def test_a_membership_with_more_lots_or_debts_than_one_read_can_use_all_of_them(
    world: World, membership_id: UUID
) -> None:
    for _ in range(130):
        await credit(world, membership_id, 1)
    await spend_points(world, membership_id, 130)
    assert await figures(membership_id) == (0, 0, 0, 0)
    async with locked(membership_id) as membership:
        for number in range(130):
            await take(world.ctx, membership, 1, Origin(source_key=f"adjust:{number}"), kind=EntryKind.ADJUST)
    await credit(world, membership_id, 120)
    assert await figures(membership_id) == (-10, 0, 0, 10)
    await credit(world, membership_id, 30)
    assert await figures(membership_id) == (20, 20, 0, 0)
    await assert_verified(world)


async def test_a_claw_back_takes_its_own_lot_then_others_then_pending_then_owes(
    world: World, membership_id: UUID
) -> None:
    own = await credit(world, membership_id, 20, days=90)
    other = await credit(world, membership_id, 10, days=30)
    pending = await credit(world, membership_id, 5, pending=5)
    # Twelve of the own lot are left after this: the other lot lapses sooner and goes first.
    await spend_points(world, membership_id, 18)
    async with locked(membership_id) as membership:
        taken = await claw_back(world.ctx, membership["id"], 20, Origin(source_key="test:1"), own_entry_id=own)
    assert (taken.points, taken.exempt, taken.owed) == (20, 0, 3)
    assert (await left_in(own), await left_in(other), await left_in(pending)) == (0, 0, 0)
    assert await figures(membership_id) == (-3, 0, 0, 3)
    await assert_verified(world)


@pytest.mark.parametrize("is_booked", [False, True])
async def test_points_that_lapsed_are_not_taken_twice(world: World, membership_id: UUID, *, is_booked: bool) -> None:
    own = await credit(world, membership_id, 20, days=10)
    await credit(world, membership_id, 50, days=90)
    world.advance(timedelta(days=11))
    if is_booked:
        await expire_lapsed(world.ctx)
    async with locked(membership_id) as membership:
        first = await claw_back(world.ctx, membership["id"], 15, Origin(source_key="test:1"), own_entry_id=own)
    assert (first.points, first.exempt) == (0, 15)
    async with locked(membership_id) as membership:
        rest = await claw_back(
            world.ctx, membership["id"], 15, Origin(source_key="test:2"), own_entry_id=own, exempted_before=15
        )
    assert (rest.points, rest.exempt) == (10, 5)
    await assert_verified(world)


async def test_points_given_back_have_their_old_dates_and_the_last_to_lapse_come_first(
    world: World, membership_id: UUID
) -> None:
    await credit(world, membership_id, 10, days=30)
    await credit(world, membership_id, 10, days=90)
    spent = await spend_points(world, membership_id, 15)
    async with locked(membership_id) as membership:
        given = await give_back(
            world.ctx, membership, 8, Origin(source_key="cancel:1"), spent_entry_id=spent, grace=GRACE
        )
    assert given == 8
    sql = (
        "select points, expires_at from lot l join ledger_entry e on e.id = l.entry where e.kind = 'RESTORE' order by 2"
    )
    now = world.clock.now()
    rows = [(entry["points"], entry["expires_at"] - now) for entry in await DB.fetch(sql.replace("points", "l.points"))]
    assert rows == [(3, timedelta(days=30)), (5, timedelta(days=90))]
    async with locked(membership_id) as membership:
        again = await give_back(
            world.ctx, membership, 99, Origin(source_key="cancel:2"), spent_entry_id=spent, grace=GRACE
        )
    assert again == 7
    assert await figures(membership_id) == (20, 20, 0, 0)
    await assert_verified(world)


async def test_points_given_back_after_they_lapsed_get_a_grace(world: World, membership_id: UUID) -> None:
    await credit(world, membership_id, 10, days=5)
    spent = await spend_points(world, membership_id, 10)
    world.advance(timedelta(days=6))
    async with locked(membership_id) as membership:
        await give_back(world.ctx, membership, 10, Origin(source_key="cancel:1"), spent_entry_id=spent, grace=GRACE)
    assert await figures(membership_id) == (10, 10, 0, 0)
    world.advance(GRACE)
    await expire_lapsed(world.ctx)
    assert await figures(membership_id) == (10, 10, 0, 0)
    # Whole days of the place, as a notice names the last day on which they can be spent; it is summer by now.
    world.clock.set(datetime(2026, 4, 7, 22, 59, 59, tzinfo=UTC))
    await expire_lapsed(world.ctx)
    assert (await figures(membership_id))[0] == 10
    world.advance(timedelta(seconds=1))
    await expire_lapsed(world.ctx)
    assert await figures(membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_points_given_back_fill_a_deficit_first(world: World, membership_id: UUID) -> None:
    own = await credit(world, membership_id, 10)
    spent = await spend_points(world, membership_id, 10)
    async with locked(membership_id) as membership:
        await claw_back(world.ctx, membership["id"], 10, Origin(source_key="test:1"), own_entry_id=own)
    assert await figures(membership_id) == (-10, 0, 0, 10)
    async with locked(membership_id) as membership:
        await give_back(world.ctx, membership, 10, Origin(source_key="cancel:1"), spent_entry_id=spent, grace=GRACE)
    assert await figures(membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_an_expiry_run_may_come_late_and_often_and_changes_no_visible_balance(
    world: World, membership_id: UUID
) -> None:
    await credit(world, membership_id, 10, days=5)
    await credit(world, membership_id, 7, days=50)
    world.advance(timedelta(days=20))
    headers = {"Authorization": f"Bearer {(await world.sign_in('ana@shop.test')).json()['access_token']}"}
    before = (await world.client.get("/v1/me/memberships", headers=headers)).json()["items"][0]["balance"]
    first, second = await expire_lapsed(world.ctx), await expire_lapsed(world.ctx)
    after = (await world.client.get("/v1/me/memberships", headers=headers)).json()["items"][0]["balance"]
    assert (first.lots, first.memberships, first.points) == (1, 1, 10)
    assert second.lots == 0
    assert before == after
    assert before["available"] == 7
    assert await figures(membership_id) == (7, 7, 0, 0)
    await assert_verified(world)
