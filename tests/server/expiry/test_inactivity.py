"""Points under inactivity: every sale and redemption moves their date, whoever books lapses when."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from server.db.engine import DB
from server.db.ids import new_id
from server.expiry.service import run_expiry
from server.ledger.lapsing import expire_lapsed
from server.ledger.movements import Origin, give_back, spend
from server.ledger.rules import Take
from server.ledger.transfers import Transfer, list_live_lots, move_points
from server.ledger.verification import verify
from server.memberships.service import list_membership_views
from server.memberships.store import lock_memberships
from shared.enums import Role
from shared.programmes import Expiry
from tests.app import SignedUp, World, expect
from tests.ledgers import assert_verified, figures, locked
from tests.tills import add_rules, push, push_batch, sale

DAYS = 60
LONDON = ZoneInfo("Europe/London")


@pytest.fixture
async def ana(world: World) -> SignedUp:
    ana = await world.sign_up()
    await add_rules(world, points=1, per_minor=100, expiry=Expiry(kind="inactivity", days=DAYS))
    return ana


def end_of(at: datetime, days: int = DAYS) -> datetime:
    """Return the midnight in London after so many days."""
    day = at.astimezone(LONDON).date() + timedelta(days=days + 1)
    return datetime(day.year, day.month, day.day, tzinfo=LONDON).astimezone(UTC)


async def ends(membership_id: UUID) -> list[datetime]:
    rows = await DB.fetch("select expires_at from lot where membership = $1 order by earned_at, entry", membership_id)
    return [row["expires_at"] for row in rows]


async def buy(world: World, ana: SignedUp, **fields: object) -> Any:  # noqa: ANN401 - JSON
    return expect(await push(world, await world.pos_key(), sale(world, card=ana.card_number, **fields)), 201)


async def available(world: World, ana: SignedUp) -> int:
    (view,) = await list_membership_views(ana.customer_id, world.clock.now())
    return view.balance.available


async def test_sales_one_by_one_and_in_batches_and_redemptions_move_all_points(world: World, ana: SignedUp) -> None:
    headers = await world.pos_key()
    await buy(world, ana)
    assert await ends(ana.membership_id) == [end_of(world.clock.now())]
    world.advance(timedelta(days=40))
    bodies = [sale(world, card=ana.card_number) for _ in range(3)]
    expect(await push_batch(world, headers, bodies), 200)
    assert set(await ends(ana.membership_id)) == {end_of(world.clock.now())}
    world.advance(timedelta(days=40))
    async with locked(ana.membership_id) as membership:
        entry_id = await spend(world.ctx, membership, 5, Origin(source_key="spent"))
    spent_at = world.clock.now()
    assert set(await ends(ana.membership_id)) == {end_of(spent_at)}
    world.advance(timedelta(days=30))
    # What comes back lapses with the rest, as giving back is nothing that the member did.
    async with locked(ana.membership_id) as membership:
        await give_back(
            world.ctx, membership, 5, Origin(source_key="back"), spent_entry_id=entry_id, grace=timedelta(days=30)
        )
    assert set(await ends(ana.membership_id)) == {end_of(spent_at)}
    (view,) = await list_membership_views(ana.customer_id, world.clock.now())
    assert view.idle_until == end_of(spent_at)
    assert view.balance.available == 4 * 12
    await assert_verified(world)


@pytest.mark.parametrize("is_booked", [True, False])
async def test_what_has_lapsed_stays_lapsed_whether_or_not_the_run_came(
    world: World, ana: SignedUp, *, is_booked: bool
) -> None:
    bought_at = world.clock.now()
    await buy(world, ana)
    world.advance(end_of(bought_at) - bought_at - timedelta(seconds=1))
    assert await available(world, ana) == 12
    world.advance(timedelta(seconds=1))
    assert await available(world, ana) == 0
    if is_booked:
        await run_expiry(world.ctx)
    # A till that was offline tells late of a sale from before; it cannot bring back what members saw lapse.
    late_at = end_of(bought_at) - timedelta(days=2)
    await buy(world, ana, completed_at=late_at.isoformat())
    assert await available(world, ana) == 12
    await run_expiry(world.ctx)
    await run_expiry(world.ctx)
    assert await figures(ana.membership_id) == (12, 12, 0, 0)
    assert (await ends(ana.membership_id))[-1] == end_of(late_at)
    await assert_verified(world)


async def test_an_old_sale_that_comes_late_lapses_with_the_points_of_today(world: World, ana: SignedUp) -> None:
    world.advance(timedelta(days=DAYS + 20))
    await buy(world, ana)
    await buy(world, ana, completed_at=(world.clock.now() - timedelta(days=DAYS + 10)).isoformat())
    assert set(await ends(ana.membership_id)) == {end_of(world.clock.now())}
    assert await available(world, ana) == 24
    await assert_verified(world)


async def test_a_new_policy_is_for_new_points_and_old_ones_go_on_moving(world: World, ana: SignedUp) -> None:
    await buy(world, ana)
    world.advance(timedelta(days=2))
    await add_rules(world, points=1, per_minor=100, expiry=Expiry(kind="year_end"))
    await buy(world, ana)
    old, new = await ends(ana.membership_id)
    assert old == end_of(world.clock.now())
    assert new == datetime(world.clock.now().year + 1, 1, 1, tzinfo=UTC)
    world.advance(timedelta(days=3))
    await buy(world, ana)
    assert await ends(ana.membership_id) == [end_of(world.clock.now()), new, new]
    await assert_verified(world)


async def test_adjustments_keep_nothing_alive_and_lapse_by_themselves(world: World, ana: SignedUp) -> None:
    await buy(world, ana)
    bought_at = world.clock.now()
    world.advance(timedelta(days=20))
    headers = await world.staff_headers(Role.MANAGER)
    path = f"/v1/staff/customers/{ana.customer_id}/adjustments"
    form = {"points": 30, "reason_code": "goodwill"}
    shown = expect(await world.client.post(f"{path}/preview", json=form, headers=headers), 200)
    assert datetime.fromisoformat(shown["expires_at"]) == end_of(world.clock.now())
    form["preview_hash"] = shown["preview_hash"]
    expect(await world.client.post(path, json=form, headers=headers | {"Idempotency-Key": "adjust-ana-once-1"}), 201)
    assert await ends(ana.membership_id) == [end_of(bought_at), end_of(world.clock.now())]
    await assert_verified(world)


async def test_members_are_told_before_and_what_they_do_puts_it_off(world: World, ana: SignedUp) -> None:
    await buy(world, ana)
    bought_at = world.clock.now()
    world.advance(timedelta(days=DAYS - 25))
    assert (await run_expiry(world.ctx)).notices == 1
    assert (await run_expiry(world.ctx)).notices == 0
    await world.run_jobs()
    assert "buy or redeem before then keeps" in (await world.mails_to("ana@shop.test"))[-1].text
    await buy(world, ana)
    world.advance(timedelta(days=DAYS - 25))
    # The points have another date, of which nobody was told.
    assert (await run_expiry(world.ctx)).notices == 1
    assert end_of(bought_at) < world.clock.now()
    assert await available(world, ana) == 24


async def test_points_that_move_lapse_as_late_as_the_later_of_both_accounts(world: World, ana: SignedUp) -> None:
    ben = await world.sign_up("ben@shop.test")
    await buy(world, ben)
    world.advance(timedelta(days=10))
    await buy(world, ana)
    (lot,) = await list_live_lots(ben.membership_id)
    transfer = Transfer(
        operation_id=new_id(), from_id=ben.membership_id, to_id=ana.membership_id, reason_code="combined"
    )
    async with DB.transaction():
        await lock_memberships([ana.membership_id, ben.membership_id])
        await move_points(world.ctx, transfer, [Take(lot_entry_id=lot.entry_id, points=12)])
    assert set(await ends(ana.membership_id)) == {end_of(world.clock.now())}
    assert await available(world, ana) == 24
    await assert_verified(world)


async def test_a_sale_and_the_run_at_once_leave_one_of_two_results(world: World, ana: SignedUp) -> None:
    headers = await world.pos_key()
    await buy(world, ana)
    world.advance(timedelta(days=DAYS - 10))
    bodies = [sale(world, card=ana.card_number) for _ in range(8)]
    await asyncio.gather(
        *(push(world, headers, body) for body in bodies), *(expire_lapsed(world.ctx) for _ in range(4))
    )
    assert set(await ends(ana.membership_id)) == {end_of(world.clock.now())}
    assert await figures(ana.membership_id) == (9 * 12, 9 * 12, 0, 0)
    await assert_verified(world)


async def test_verification_finds_dates_and_activity_that_nobody_made(world: World, ana: SignedUp) -> None:
    await buy(world, ana)
    await DB.fetch("update lot set expires_at = expires_at + interval '3 days'")
    await DB.fetch("update membership set active_at = active_at - interval '1 day'")
    wrong = {outcome.name async for outcome in verify(world.clock.now()) if not outcome.is_right}
    assert "points under inactivity lapse so long after the last activity" in wrong
    assert "a membership was active when it last earned or redeemed" in wrong
