"""Moving a membership's points keeps every lot's dates, and its debts."""

from datetime import timedelta
from uuid import UUID

from server.db.engine import DB
from server.db.ids import new_id
from server.ledger import service as ledger
from server.memberships import store as memberships
from server.memberships.service import open_membership
from shared.enums import EntryKind
from tests.app import World
from tests.ledgers import assert_verified, credit, figures


async def owe(world: World, membership_id: UUID, points: int) -> None:
    """Put a membership into deficit, as a clawback of spent points does."""
    sql = """
    with entry as (
        insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, actor_kind)
        values ($1, $2, 'CLAWBACK', -$3::bigint, $4, $4, 'test', 'system')
    )
    update membership set balance = balance - $3, deficit = deficit + $3 where id = $2
    """
    await DB.fetch(sql, new_id(), membership_id, points, world.clock.now())


async def live_lots(membership_id: UUID) -> list[tuple[object, ...]]:
    sql = "select remaining, available_at, expires_at from lot where membership = $1 and remaining > 0 order by 1, 2, 3"
    return [tuple(row) for row in await DB.fetch(sql, membership_id)]


async def move(world: World, source: UUID, target: UUID, *, operation_id: UUID | None = None) -> ledger.TransferResult:
    async with DB.transaction():
        rows = {row["id"]: row for row in await memberships.lock_memberships([source, target])}
        return await ledger.transfer_lots(
            world.ctx,
            from_membership=rows[source],
            to_membership=rows[target],
            operation_id=operation_id or new_id(),
            reason_code="email_change",
        )


async def second_membership(world: World) -> UUID:
    other = await world.sign_up("ben@shop.test")
    return other.membership_id


async def test_every_lot_moves_with_its_dates(world: World) -> None:
    source = (await world.sign_up()).membership_id
    target = await second_membership(world)
    await credit(world, source, 100, days=30)
    await credit(world, source, 50, days=30)
    await credit(world, source, 7, days=None)
    await credit(world, source, 20, days=90, pending=10)
    lots, before = await live_lots(source), await figures(source)
    assert before == (177, 157, 20, 0)
    moved = await move(world, source, target)
    assert (moved.lots, moved.points) == (4, 177)
    assert await live_lots(source) == []
    assert await live_lots(target) == lots
    assert await figures(source) == (0, 0, 0, 0)
    assert await figures(target) == before
    await assert_verified(world)


async def test_lapsed_points_that_no_run_has_booked_yet_do_not_come_back_to_life(world: World) -> None:
    source = (await world.sign_up()).membership_id
    target = await second_membership(world)
    await credit(world, source, 100, days=1)
    await credit(world, source, 5, days=9)
    world.advance(timedelta(days=2))
    await move(world, source, target)
    assert await figures(target) == (105, 5, 0, 0)
    await assert_verified(world)


async def test_a_deficit_moves_too(world: World) -> None:
    source = (await world.sign_up()).membership_id
    target = await second_membership(world)
    await owe(world, source, 40)
    moved = await move(world, source, target)
    assert moved.deficit == 40
    assert await figures(source) == (0, 0, 0, 0)
    assert await figures(target) == (-40, 0, 0, 40)
    await assert_verified(world)


async def test_debts_of_several_memberships_that_one_operation_moves_are_told_apart(world: World) -> None:
    homes = [(await world.sign_up(f"m{number}@shop.test")).membership_id for number in range(4)]
    operation_id = new_id()
    for points, source, target in ((40, homes[0], homes[1]), (7, homes[2], homes[3])):
        await owe(world, source, points)
        await move(world, source, target, operation_id=operation_id)
        assert await figures(target) == (-points, 0, 0, points)
    await assert_verified(world)


async def test_an_empty_membership_moves_nothing(world: World) -> None:
    source = (await world.sign_up()).membership_id
    assert (await move(world, source, await second_membership(world))).lots == 0
    await assert_verified(world)


async def test_new_points_fill_a_deficit_first(world: World) -> None:
    membership_id = (await world.sign_up()).membership_id
    await owe(world, membership_id, 40)
    await credit(world, membership_id, 25, days=30)
    assert await figures(membership_id) == (-15, 0, 0, 15)
    await assert_verified(world)
    await credit(world, membership_id, 25, days=30)
    assert await figures(membership_id) == (10, 10, 0, 0)
    await assert_verified(world)


async def test_the_same_source_posts_once(world: World) -> None:
    customer = await world.sign_up()
    posted = []
    async with DB.transaction():
        for _ in range(2):
            now = world.clock.now()
            entry = await ledger.post_credit(
                world.ctx, membership_id=customer.membership_id, deficit=0, kind=EntryKind.OPENING, points=10,
                source_key="sign-up", occurred_at=now, available_at=now, expires_at=None, customer_id=customer.customer_id,
            )  # fmt: skip
            posted.append(entry)
    assert posted[1] is None
    assert await figures(customer.membership_id) == (10, 10, 0, 0)
    await assert_verified(world)


async def test_a_membership_opens_with_the_printed_card_in_hand(world: World) -> None:
    await DB.fetch(
        "insert into card (id, code, status, issued_at) values ($1, '29000000000015', 'issued', $2)",
        new_id(),
        world.clock.now(),
    )
    customer = await world.sign_up()
    async with DB.transaction():
        await DB.fetch("update membership_person set left_at = now()")
        opened = await open_membership(
            world.ctx, customer_id=customer.customer_id, enrolled_at=world.clock.now(), card_number="2900 0000 0000 15"
        )
    assert opened.card_number == "29000000000015"
