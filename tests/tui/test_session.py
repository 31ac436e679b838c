"""Signing in, locking, lost connections and lost sessions: work is kept for whom it belongs to."""

import asyncio
import time
from dataclasses import replace as change

import httpx
import pytest
from textual import _time

from shared.problems import Code
from tests.tui.desk import Till, open_till, signed_in
from tests.tui.fake import PASSWORD, FakeService, Refusal, card_number, make_customer

BEN = make_customer(1, "Ben", "Scorpio")


async def fill_a_form(till: Till) -> None:
    await till.press("f3")
    await till.until(lambda: till.page == "register")
    await till.fill("given_name", "Hank")
    await till.fill("email", "hank@example.com")


async def sign_in_again(till: Till, login: str, password: str = PASSWORD) -> None:
    await till.fill("login", login)
    await till.fill("password", password)
    await till.press("enter")
    await till.until(lambda: till.console.session is not None, "signed in again")
    await till.until(lambda: till.page != "lock", "desk is back")


async def test_a_wrong_password_says_so_and_keeps_the_name() -> None:
    async with open_till(FakeService()) as till:
        await till.until(lambda: till.console.connection == "online")
        await till.fill("login", "manager")
        await till.fill("password", "wrong")
        await till.press("enter")
        await till.shows("The name or the password is wrong.", "manager")
        assert till.console.screen.query_one("#password").value == ""


async def test_the_password_is_never_on_the_screen() -> None:
    async with open_till(FakeService()) as till:
        await till.fill("password", PASSWORD)
        assert PASSWORD not in till.screen_text()


async def test_staff_may_type_before_the_service_is_reached() -> None:
    service = FakeService(BEN)
    service.held["health_live"] = asyncio.Event()
    async with open_till(service) as till:
        await till.fill("login", "manager")
        await till.fill("password", PASSWORD)
        await till.press("enter")
        await till.shows("Starting; you will be signed in")
        service.held["health_live"].set()
        await till.until(lambda: till.page == "find")


async def test_a_service_that_cannot_start_is_told_on_the_lock_screen() -> None:
    async def connect() -> httpx.AsyncClient:
        raise RuntimeError("the database does not start")

    from tests.tui.desk import OPTIONS
    from tui.app import Console

    console = Console(connect, OPTIONS)
    async with console.run_test(size=(80, 24)) as pilot:
        await Till(console, pilot).shows("The service could not be started: the database")


async def test_a_scan_on_the_lock_screen_is_not_used() -> None:
    async with open_till(FakeService(BEN)) as till:
        await till.scan(card_number(1))
        await till.shows("Sign in first; the scan was not used.")
        assert till.console.screen.query_one("#login").value == ""


async def test_a_password_manager_may_type_as_fast_as_a_scanner() -> None:
    from textual import events

    async with open_till(FakeService(BEN)) as till:
        await till.until(lambda: till.console.connection == "online")
        for key in ("manager", "tab", "wrong-1234-5678", "enter"):
            for name in [key] if key in {"tab", "enter"} else key:
                till.console.post_message(events.Key(name, name if len(name) == 1 else None))
        await till.shows("The name or the password is wrong.", "manager")
        assert till.console.screen.query_one("#login").value == "manager"


async def test_nothing_works_before_signing_in() -> None:
    async with open_till(FakeService(BEN)) as till:
        await till.until(lambda: till.console.connection == "online")
        for key in ("f2", "f3", "f6", "f7", "f8"):
            await till.press(key)
            assert till.page == "lock"


async def test_locking_hides_everything_ends_the_session_and_keeps_work_for_the_same_person() -> None:
    service = FakeService(BEN)
    async with signed_in(service) as till:
        await fill_a_form(till)
        await till.press("ctrl+l")
        await till.shows("There is unsaved work")
        assert "Hank" not in till.screen_text()
        await till.until(lambda: service.count("end_staff_session") == 1)
        await sign_in_again(till, "manager")
        assert till.page == "register"
        assert till.console.screen.query_one("#given_name").value == "Hank"


async def test_another_persons_sign_in_throws_the_work_away_and_says_so() -> None:
    async with signed_in(FakeService(BEN)) as till:
        await fill_a_form(till)
        await till.press("ctrl+l")
        await till.shows("There is unsaved work")
        await till.press("shift+tab", "m")
        assert till.console.screen.query_one("#login").value == "m", "the next person's name replaces the last one's"
        await sign_in_again(till, "manager-two")
        await till.until(lambda: till.page == "find")
        await till.shows("What the other person had typed was thrown away.")


async def test_another_person_does_not_see_what_the_first_looked_at() -> None:
    async with signed_in(FakeService(BEN)) as till:
        await till.open("ben")
        await till.press("ctrl+l")
        await sign_in_again(till, "cashier")
        await till.until(lambda: till.page == "find")
        assert "Scorpio" not in till.screen_text()


async def test_a_session_that_is_over_locks_and_the_form_is_saved_after_signing_in_again() -> None:
    service = FakeService()
    async with signed_in(service) as till:
        await fill_a_form(till)
        service.sessions.clear()
        await till.press("ctrl+s")
        await till.shows("Your session is over")
        await sign_in_again(till, "manager")
        await till.until(lambda: till.page == "register")
        await till.press("ctrl+s")
        await till.shows("Find › Hank")
        assert len(service.customers) == 1
        assert len(set(service.keys)) == 1


async def test_without_a_connection_nothing_is_lost_and_it_comes_back_by_itself() -> None:
    service = FakeService()
    async with signed_in(service, retry_connection_seconds=0.2) as till:
        await fill_a_form(till)
        service.is_down = True
        await till.press("ctrl+s")
        await till.shows("○ offline", "Not connected. Looking up and saving do not work.")
        assert till.console.screen.query_one("#given_name").value == "Hank"
        service.is_down = False
        await till.shows("● online", "Connected again.")
        await till.press("ctrl+s")
        await till.shows("Find › Hank")
        assert len(service.customers) == 1


async def test_a_pause_ends_though_the_machine_stops_the_console_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with signed_in(FakeService()) as till:
        rung: list[str] = []
        # Ten seconds go by between two looks at the clock, but not for ever: a timer that repeats would never stop looking.
        late = iter(range(0, 1000, 10))
        monkeypatch.setattr(_time, "get_time", lambda: time.monotonic() + next(late, 1000))
        till.console.set_timer(0.01, lambda: rung.append("console"))
        till.console.screen.set_timer(0.01, lambda: rung.append("page"))
        await till.eventually(lambda: sorted(rung) == ["console", "page"])
        monkeypatch.undo()


async def test_a_search_without_a_connection_says_so_and_works_again_later() -> None:
    service = FakeService(BEN)
    async with signed_in(service) as till:
        service.is_down = True
        await till.fill("search", "ben")
        await till.shows("Not connected", "○ offline")
        service.is_down = False
        await till.press("f5")
        await till.shows("● online", "1 found")


async def test_a_slow_answer_is_told_and_can_be_stopped() -> None:
    service = FakeService(BEN)
    async with signed_in(service) as till:
        await till.open("ben")
        await till.shows("Order R-2000")
        service.held["list_customer_orders"] = asyncio.Event()
        await till.press("2")
        waits = ("Asking the service…", "Still waiting for the service")
        # The first words stand for three seconds, which a busy machine may pass over.
        await till.until(lambda: any(words in till.screen_text() for words in waits))
        await till.shows(waits[1])
        await till.press("escape")
        await till.shows("Stopped. F5 asks again.")
        assert till.page == "customer"
        service.held["get_report"] = asyncio.Event()
        await till.press("ctrl+g")
        await till.shows(waits[1], "Esc stops")
        await till.press("escape")
        await till.shows("Stopped. F5 asks again.")
        assert till.page == "reports"


async def test_a_busy_service_says_how_long_to_wait_for() -> None:
    service = FakeService(BEN)
    service.broken["search_customers"] = [Refusal(Code.BUSY)]
    async with signed_in(service) as till:
        await till.fill("search", "ben")
        await till.shows("The service is busy.")
        await till.press("f5")
        await till.shows("1 found")


async def test_a_console_that_nobody_uses_locks_itself() -> None:
    async with signed_in(FakeService(BEN)) as till:
        # Not before somebody is in, which takes a busy machine longer.
        till.console.options = change(till.console.options, lock_after_minutes=0.02)
        await till.shows("Locked, as nothing was typed for a while.")


async def test_leaving_with_unsaved_work_asks_once() -> None:
    async with signed_in(FakeService()) as till:
        await fill_a_form(till)
        await till.press("ctrl+q")
        await till.shows("Ctrl+Q again leaves anyway")
        assert till.console.is_running
        await till.press("ctrl+q")
        await till.until(lambda: till.console.return_code == 0)


async def test_an_unexpected_error_is_reported_without_personal_data_and_the_console_goes_on(tmp_path) -> None:  # type: ignore[no-untyped-def]
    report = tmp_path / "reports.txt"
    async with signed_in(FakeService(BEN), recovers=True, report_path=report) as till:
        await till.open("ben")

        def broken() -> None:
            raise RuntimeError("secret: ben@example.com")

        till.console.screen.call_later(broken)
        await till.eventually(lambda: till.console.session is None)
        await till.shows("Something went wrong (report")
        written = report.read_text()
        assert "RuntimeError" in written
        assert "ben@example.com" not in written
        await sign_in_again(till, "manager")
        await till.until(lambda: till.page == "find")
        await till.open("ben")


async def test_an_unexpected_answer_ends_in_a_report_and_not_in_the_end(tmp_path) -> None:  # type: ignore[no-untyped-def]
    service = FakeService(BEN)
    service.broken["search_customers"] = [RuntimeError("a bug")]
    async with signed_in(service, recovers=True, report_path=tmp_path / "reports.txt") as till:
        await till.fill("search", "ben")
        await till.shows("Something went wrong (report")
        await till.press("f5")
        await till.shows("1 found")
