"""Reports in the console: figures, bars, days, and a file that replaces nothing by accident."""

import asyncio
import csv
import io
from datetime import timedelta
from pathlib import Path

import pytest

from shared.enums import Role
from tests.app import World, expect
from tests.ledgers import credit
from tests.server.adjustments.desk import adjust
from tests.server.rewards.builders import Counter
from tests.tills import push, sale
from tests.tui.desk import Till, signed_in
from tests.tui.fake import FakeService
from tests.tui.shop import a_till
from tests.tui.test_hostile import assert_harmless

HOSTILE_STAFF = "=cmd|' /C calc'!A0 [@click=app.quit()]x[/]"


async def open_reports(till: Till, tab: str = "1") -> None:
    await till.press("ctrl+g")
    await till.until(lambda: till.page == "reports")
    await till.press(tab)
    await till.until(lambda: getattr(till.console.screen, "report", None) is not None)


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_each_report_shows_its_figures_and_bars(world: World, size: tuple[int, int]) -> None:
    counter = await Counter.open(world, points=0)
    await credit(world, counter.member.membership_id, 1_000, days=20)
    await credit(world, counter.member.membership_id, 500, days=None)
    expect(await counter.capture(await counter.hold_proven(300)), 200)
    expect(await push(world, await world.pos_key(), sale(world, card=counter.member.card_number)), 201)
    staff_id = await world.add_staff(Role.MANAGER, name=HOSTILE_STAFF)
    await adjust(world, await world.staff_headers(staff_id=staff_id), counter.member.customer_id, 40)
    async with a_till(world, size=size) as till:
        await open_reports(till)
        await till.shows("can be spent", "2026-03", "700", "never", "552", "together", "1,252")
        await till.press("2")
        await till.shows("used", "300", "What became of points", "1,552")
        await till.press("3")
        await till.shows("High Street", "redeemed", "earned", "version 1", "300", "12")
        await till.press("4")
        await till.shows("There is nothing in these days. p chooses others.")
        await till.press("5")
        await till.shows("=cmd|' /C", "given", "40")
        assert_harmless(till, size[0])
        assert "█" in till.screen_text()
        await till.press("6")
        await till.shows("Patterns by which shops have lost points", "There is nothing in these days.")
        await till.press("7")
        await till.shows("1 point per 1.00 GBP", "12")
        await till.press("5")
        await till.shows("█ given")
        await till.press("v")
        await till.until(lambda: "█ given" not in till.screen_text())
        await till.press("v")
        await till.until(lambda: "█ given" in till.screen_text() and "Near limit" not in till.screen_text())


async def test_the_days_are_chosen_and_kept_for_the_next_report(world: World) -> None:
    ana = await world.sign_up()
    key = await world.pos_key()
    expect(await push(world, key, sale(world, card=ana.card_number)), 201)
    world.advance(timedelta(days=40))
    async with a_till(world, size=(80, 24)) as till:
        await open_reports(till, "1")
        await till.press("p")
        await till.shows("this report is about now")
        await till.press("3")
        await till.shows("High Street")
        await till.press("p")
        await till.until(lambda: till.page == "period")
        await till.fill("since", "10.4.2026")
        await till.fill("until", "1.4.2026")
        await till.press("ctrl+s")
        await till.shows("The days end before they begin.")
        await till.fill("since", "1.4.2026")
        await till.fill("until", "30.4.2026")
        await till.press("ctrl+s")
        await till.until(lambda: till.page == "reports")
        await till.shows("1 Apr to 30", "There is nothing in these days.")
        await till.press("4")
        await till.shows("1 Apr to 30 Apr")
        await till.press("3", "p")
        await till.until(lambda: till.page == "period")
        await till.press("y", "ctrl+s")
        await till.shows("1 Jan to", "High Street", "12")


async def test_a_report_is_written_to_a_file_that_replaces_nothing_unasked(world: World, tmp_path: Path) -> None:
    ana = await world.sign_up()
    staff_id = await world.add_staff(Role.MANAGER, name=HOSTILE_STAFF)
    headers = await world.staff_headers(staff_id=staff_id)
    await adjust(world, headers, ana.customer_id, 40)
    async with a_till(world) as till:
        await open_reports(till, "5")

        async def export(path: Path) -> None:
            await till.press("x")
            await till.until(lambda: till.page == "export")
            await till.fill("path", str(path))
            await till.press("ctrl+s")

        await export(tmp_path)
        await till.shows("This is a folder; name a file in it.")
        await till.fill("path", str(tmp_path / "nowhere" / "report.csv"))
        await till.press("ctrl+s")
        await till.shows("It cannot be written there: No such file or directory.")
        report = tmp_path / "by hand.csv"
        await till.fill("path", str(report))
        await till.press("ctrl+s")
        await till.until(lambda: till.page == "reports")
        await till.shows("1 row written to")
        (titles, row) = csv.reader(io.StringIO(report.read_text()))
        assert row[titles.index("staff")] == f"'{HOSTILE_STAFF}"
        assert row[titles.index("given")] == "40"
        report.write_text("somebody's own notes")
        await export(report)
        await till.shows("There is a file of this name. Ctrl+S again replaces it.")
        await till.press("escape")
        await till.until(lambda: till.page == "reports")
        assert report.read_text() == "somebody's own notes"
        await export(report)
        await till.shows("There is a file of this name.")
        await till.press("ctrl+s")
        await till.until(lambda: till.page == "reports")
        assert report.read_text().startswith("staff,")
        left = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
        assert left == [report], "nothing half-written is left"


async def test_without_the_service_the_pages_say_so_and_come_back() -> None:
    service = FakeService()
    async with signed_in(service, size=(80, 24)) as till:
        till.console.perform("app.rewards")
        await till.shows("Free [/] coff", "A [@click=app.quit()]coffee[/]")
        assert_harmless(till, 80)
        await till.press("f8", "enter")
        await till.shows("1 point for every", "Promotion Spring")
        assert_harmless(till, 80)
        await till.press("e")
        await till.until(lambda: till.page == "rules")
        await till.fill("visit_points", "7")
        service.is_down = True
        await till.press("ctrl+s")
        await till.shows("Not connected", "○ offline")
        await till.press("escape")
        await till.until(lambda: till.page == "rules")
        assert till.console.screen.text("visit_points") == "7"
        for key, page in (("ctrl+g", "reports"), ("f8", "rules")):
            await till.press(key)
            await till.until(lambda: till.page == page)  # noqa: B023  # Waited for before the next round.
        await till.press("ctrl+g")
        await till.shows("This could not be fetched. F5 asks again.")
        service.is_down = False
        await till.press("f5")
        await till.shows("● online", "can be spent", "together", "1,500")
        await till.press("f4")
        await till.shows("R-2000")
        service.is_down = True
        await till.press("slash")
        await till.fill("receipt", "R-77")
        await till.press("enter")
        await till.shows("receipt R-77", "This could not be fetched. F5 asks again.")
        assert "R-2000" not in till.screen_text(), "rows of an earlier question do not stand under this one"
