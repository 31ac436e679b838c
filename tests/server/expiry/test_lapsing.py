"""Points that lapse: the same result whenever the run comes, a schedule by month, and one notice for each group."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.db.engine import DB
from server.db.ids import new_id
from server.expiry.rules import is_quiet, say_day, say_schedule
from server.expiry.service import run_expiry, send_notices
from server.housekeeping import delete_outdated
from server.ledger.lapsing import expire_lapsed
from server.ledger.service import post_credit
from server.programmes.rules import lot_dates
from shared.enums import EntryKind, Role
from shared.programmes import EarningRules, Expiry
from tests.app import SignedUp, World, expect, problem
from tests.ledgers import assert_verified, credit, figures, locked

ZONES = (
    "Europe/London",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "Africa/Cairo",
)


@pytest.fixture
async def ana(world: World) -> SignedUp:
    return await world.sign_up()


async def open_twin(world: World, zone: str) -> UUID:
    """Return a membership of a programme in another zone."""
    programme_id, membership_id = new_id(), new_id()
    await DB.fetch(
        "insert into programme (id, code, name, zone, currency, launch_at, is_default, created_at) "
        "values ($1, $2, 'Twin', $3, 'GBP', $4, false, $4)",
        programme_id, str(programme_id), zone, world.clock.now(),
    )  # fmt: skip
    await DB.fetch(
        "insert into membership (id, programme, enrolled_at, created_at) values ($1, $2, $3, $3)",
        membership_id, programme_id, world.clock.now(),
    )  # fmt: skip
    customer_id = await DB.fetch_value("select id from customer limit 1")
    await DB.fetch(
        "insert into membership_person (id, membership, programme, customer, joined_at, eligible_from) "
        "values ($1, $2, $3, $4, $5, $5)",
        new_id(), membership_id, programme_id, customer_id, world.clock.now(),
    )  # fmt: skip
    return membership_id


async def post(
    world: World, membership_id: UUID, points: int, earned_at: datetime, expires_at: datetime | None
) -> None:
    async with locked(membership_id) as membership:
        await post_credit(
            world.ctx,
            membership_id=membership_id,
            deficit=membership["deficit"],
            kind=EntryKind.OPENING,
            points=points,
            source_key=f"test:{new_id()}",
            occurred_at=earned_at,
            available_at=earned_at,
            expires_at=expires_at,
            customer_id=None,
        )


async def booked(membership_id: UUID) -> list[tuple[object, ...]]:
    """Return what an expiry run is to leave behind: entries by date and points, and the figures."""
    entries = await DB.fetch(
        "select occurred_at, points from ledger_entry where membership = $1 and kind = 'EXPIRE' order by 1, 2",
        membership_id,
    )
    return [tuple(row) for row in entries] + [await figures(membership_id)]


lots = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 60 * 24), st.integers(0, 40)), min_size=1, max_size=6)
runs = st.lists(st.integers(0, 24 * 120), max_size=5)


@settings(max_examples=18, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lots=lots, runs=runs, zone=st.sampled_from(ZONES))
async def test_early_late_or_often_the_run_leaves_the_same(
    world: World, lots: list[tuple[int, int, int]], runs: list[int], zone: str
) -> None:
    if not await DB.fetch_value("select count(*) from customer"):
        await world.sign_up()
    # All of it lies around the changes of March, summer time beginning and ending.
    start = world.clock.now()
    often, late = await open_twin(world, zone), await open_twin(world, zone)
    expected = 0
    end = start + timedelta(days=130)
    for points, hours, days in lots:
        earned_at = start + timedelta(hours=hours % 24)
        dates = lot_dates(earned_at, EarningRules(points=1, per_minor=1, expiry=Expiry(kind="days", days=days)), zone)
        last_day = earned_at.astimezone(ZoneInfo(zone)).date() + timedelta(days=days)
        assert dates.expires_at is not None
        # The last instant that counts belongs to the last day, and the next one does not.
        assert (dates.expires_at - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date() == last_day
        assert dates.expires_at.astimezone(ZoneInfo(zone)).date() == last_day + timedelta(days=1)
        expected += points
        for membership_id in (often, late):
            await post(world, membership_id, points, earned_at, dates.expires_at)
    # The clock is the world's own, so it is moved by hand and put back for the next example.
    for hours in sorted(runs):
        world.clock.advance(start + timedelta(hours=hours) - world.clock.now())
        await DB.fetch("update lot set remaining = remaining where membership = $1", often)
        await expire_only(world, often)
    world.clock.advance(end - world.clock.now())
    await expire_lapsed(world.ctx)
    await expire_lapsed(world.ctx)
    found = await booked(often)
    assert found == await booked(late)
    assert found[-1] == (0, 0, 0, 0)
    assert -sum(row[1] for row in found[:-1]) == expected  # type: ignore[misc]
    await assert_verified(world)
    world.clock.advance(start - end)


async def expire_only(world: World, membership_id: UUID) -> None:
    """Run while all other memberships are in use, as they then wait for a later run."""
    async with DB.transaction():
        others = await DB.fetch("select id from membership where id <> $1 order by id for update", membership_id)
        assert others
        await asyncio.create_task(_in_own_transaction(world))


async def _in_own_transaction(world: World) -> None:
    DB.current_transaction.set(None)
    await expire_lapsed(world.ctx)


async def test_a_sale_in_progress_is_left_to_the_next_run(world: World, ana: SignedUp) -> None:
    await credit(world, ana.membership_id, 10, days=1)
    world.advance(timedelta(days=2))
    async with locked(ana.membership_id):
        task = asyncio.create_task(_in_own_transaction(world))
        await task
    assert (await figures(ana.membership_id))[0] == 10
    await expire_lapsed(world.ctx)
    assert await figures(ana.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_many_runs_at_once_book_each_lot_once(world: World, ana: SignedUp) -> None:
    ben = await world.sign_up("ben@shop.test")
    for member in (ana, ben):
        for days in (1, 2, 3, 90):
            await credit(world, member.membership_id, 10, days=days)
    world.advance(timedelta(days=5))
    runs = await asyncio.gather(*(expire_lapsed(world.ctx) for _ in range(8)))
    assert sum(run.points for run in runs) == 60
    assert await DB.fetch_value("select count(*) from ledger_entry where kind = 'EXPIRE'") == 6
    await assert_verified(world)


_MANY_LOTS = """
with entry as (
    insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, actor_kind)
    select regulars_new_id(), $1, 'OPENING', 1, $2, $2, 'many:' || n, 'system' from generate_series(1, $4::int) n
    returning id
), lots as (
    insert into lot (entry, membership, points, remaining, earned_at, available_at, expires_at)
    select id, $1, 1, 1, $2, $2, $3 from entry
)
update membership set balance = balance + $4, available = available + $4, figures_until = $3 where id = $1
"""


async def test_a_membership_in_use_with_more_lots_than_a_set_keeps_no_other_one_waiting(
    world: World, ana: SignedUp
) -> None:
    ben = await world.sign_up("ben@shop.test")
    now = world.clock.now()
    # Of one instant, so that a set ends in the middle of them, whichever membership comes first.
    for member in (ana, ben):
        await DB.fetch(_MANY_LOTS, member.membership_id, now, now + timedelta(days=1), 750)
    await credit(world, ben.membership_id, 5, days=2)
    world.advance(timedelta(days=3))
    async with locked(ana.membership_id):
        await asyncio.create_task(_in_own_transaction(world))
    assert await figures(ben.membership_id) == (0, 0, 0, 0)
    assert (await figures(ana.membership_id))[0] == 750
    expired = await expire_lapsed(world.ctx)
    assert (expired.lots, expired.memberships) == (750, 2)
    await assert_verified(world)


async def test_the_run_marks_the_contacts_of_those_whose_points_it_booked(world: World, ana: SignedUp) -> None:
    ben = await world.sign_up("ben@shop.test")
    await credit(world, ana.membership_id, 10, days=1)
    await credit(world, ben.membership_id, 10, days=90)
    world.advance(timedelta(days=2))
    marks = "select customer, dirty_seq from audience_contact where state = 'live'"
    before = {row["customer"]: row["dirty_seq"] for row in await DB.fetch(marks)}
    await run_expiry(world.ctx)
    after = {row["customer"]: row["dirty_seq"] for row in await DB.fetch(marks)}
    assert after == before | {ana.customer_id: before[ana.customer_id] + 1}


async def test_the_schedule_is_by_month_of_the_last_day_and_comes_in_pages(world: World, ana: SignedUp) -> None:
    now = world.clock.now()
    # Midnight after 31 March in London, which is summer time by then.
    march = datetime(2026, 3, 31, 23, 0, tzinfo=UTC)
    for points, expires_at in (
        (5, march),
        (7, march + timedelta(days=1)),
        (11, march + timedelta(days=60)),
        (13, None),
    ):
        await post(world, ana.membership_id, points, now, expires_at)
    path = f"/v1/me/memberships/{ana.membership_id}/expiry"
    page = expect(await world.client.get(f"{path}?limit=2", headers=ana.headers), 200)
    assert [(month["month"], month["points"]) for month in page["items"]] == [("2026-03-01", 5), ("2026-04-01", 7)]
    assert (page["never"], page["zone"]) == (13, "Europe/London")
    rest = expect(await world.client.get(path, params={"cursor": page["next_cursor"]}, headers=ana.headers), 200)
    assert [(month["month"], month["points"]) for month in rest["items"]] == [("2026-05-01", 11)]
    assert rest["next_cursor"] is None
    staff = await world.staff_headers(Role.CASHIER)
    seen = expect(await world.client.get(f"/v1/staff/memberships/{ana.membership_id}/expiry", headers=staff), 200)
    assert [month["points"] for month in seen["items"]] == [5, 7, 11]
    ben = await world.sign_up("ben@shop.test")
    assert problem(await world.client.get(path, headers=ben.headers))[:2] == (404, "NOT_FOUND")


async def lapse_mails(world: World, address: str) -> list[str]:
    return [mail.text for mail in await world.mails_to(address) if "lapse soon" in mail.subject]


async def test_members_are_told_once_30_and_7_days_ahead(world: World, ana: SignedUp) -> None:
    await credit(world, ana.membership_id, 50, days=31)
    await credit(world, ana.membership_id, 70, days=33)
    await credit(world, ana.membership_id, 500, days=90)
    assert await send_notices(world.ctx) == 0
    world.advance(timedelta(days=2))
    assert [await send_notices(world.ctx) for _ in range(3)] == [1, 0, 0]
    (text,) = await lapse_mails(world, ana.email)
    assert "50 after 2 April 2026, 70 after 4 April 2026" in text
    assert "500" not in text
    world.advance(timedelta(days=4))
    assert await send_notices(world.ctx) == 0
    world.advance(timedelta(days=19))
    assert [await send_notices(world.ctx) for _ in range(3)] == [1, 0, 0]
    world.advance(timedelta(days=5))
    assert (await run_expiry(world.ctx)).notices == 0
    assert len(await lapse_mails(world, ana.email)) == 2
    # What was told of is remembered for as long as it could be told again.
    for days, left in ((30, 4), (2, 2), (2, 0)):
        world.advance(timedelta(days=days))
        await delete_outdated(world.clock)
        assert await DB.fetch_value("select count(*) from expiry_notice") == left


async def test_who_hears_late_hears_once(world: World, ana: SignedUp) -> None:
    await credit(world, ana.membership_id, 50, days=3)
    assert [await send_notices(world.ctx) for _ in range(2)] == [1, 0]


async def test_nobody_is_disturbed_at_night(world: World, ana: SignedUp) -> None:
    await credit(world, ana.membership_id, 50, days=20)
    world.advance(timedelta(hours=10))
    assert await send_notices(world.ctx) == 0
    world.advance(timedelta(hours=13))
    assert await send_notices(world.ctx) == 1


async def test_runs_at_once_tell_once(world: World, ana: SignedUp) -> None:
    await credit(world, ana.membership_id, 50, days=20)
    assert sum(await asyncio.gather(*(send_notices(world.ctx) for _ in range(8)))) == 1


async def test_who_cannot_be_told_gets_no_notice_and_keeps_nobody_from_theirs(world: World, ana: SignedUp) -> None:
    ben, cy, dan = [await world.sign_up(f"{who}@shop.test") for who in ("ben", "cy", "dan")]
    for member, days in ((ana, 20), (ben, 20), (ben, 22), (cy, 21), (dan, 23)):
        await credit(world, member.membership_id, 50, days=days)
    await DB.fetch("update contact_point set status = 'unverified' where customer = $1", ana.customer_id)
    await DB.fetch("update customer set status = 'blocked' where id = $1", cy.customer_id)
    assert [await send_notices(world.ctx, memberships_at_once=1) for _ in range(2)] == [2, 0]
    assert [
        "50 after 22 March 2026, 50 after 24 March 2026" in text for text in await lapse_mails(world, ben.email)
    ] == [True]
    assert await DB.fetch_value("select count(*) from expiry_notice") == 3


def test_hours_are_those_of_the_place() -> None:
    noon = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    assert [is_quiet(noon, zone) for zone in ("Europe/London", "Pacific/Auckland", "America/Los_Angeles")] == [
        False,
        True,
        True,
    ]
    assert is_quiet(datetime(2026, 7, 1, 19, 0, tzinfo=UTC), "Europe/London")
    assert not is_quiet(datetime(2026, 7, 1, 8, 0, tzinfo=UTC), "Europe/London")


def test_a_day_is_the_last_on_which_points_count() -> None:
    midnight = datetime(2026, 4, 30, 23, 0, tzinfo=UTC)
    assert say_day(midnight, "Europe/London") == "30 April 2026"
    many = [(midnight + timedelta(days=day), 10) for day in range(6)]
    assert say_schedule(many, "Europe/London").endswith("10 after 3 May 2026, 20 in the days after")
