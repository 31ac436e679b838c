"""Finding people: Enter belongs to the text, a scan opens its customer from anywhere."""

import asyncio

from tests.tui.desk import signed_in
from tests.tui.fake import FakeService, card_number, make_customer

SCORPIOS = (make_customer(1, "Ben", "Scorpio"), make_customer(2, "Quinn", "Scorpio"))
ANN = make_customer(3, "Ann", "Bright")


async def test_typing_lists_who_matches_and_says_how_the_text_was_read() -> None:
    async with signed_in(FakeService(*SCORPIOS, ANN)) as till:
        await till.press("s", "c", "o")
        await till.shows("Ben Scorpio", "Quinn Scorpio", "2 found", "read as a name")
        assert "Ann Bright" not in till.screen_text()


async def test_enter_waits_for_the_answer_to_exactly_the_typed_text() -> None:
    service = FakeService(*SCORPIOS, ANN)
    async with signed_in(service) as till:
        await till.fill("search", "scorpio")
        await till.shows("2 found")
        service.held["search_customers"] = asyncio.Event()
        await till.fill("search", "ann")
        await till.press("enter")
        assert till.page == "find", "the list on the screen is still the one for the earlier text"
        service.held["search_customers"].set()
        await till.shows("Find › Ann Bright")


async def test_an_answer_to_an_earlier_text_is_dropped() -> None:
    service = FakeService(*SCORPIOS, ANN)
    async with signed_in(service) as till:
        service.held["search_customers"] = asyncio.Event()
        await till.fill("search", "scorpio")
        await till.until(lambda: ("search_customers", "scorpio") in service.calls)
        await till.fill("search", "ann")
        service.held["search_customers"].set()
        await till.shows("Ann Bright", "1 found")
        assert "Scorpio" not in till.screen_text()


async def test_the_answer_to_a_text_that_was_taken_back_is_dropped() -> None:
    service = FakeService(*SCORPIOS)
    async with signed_in(service) as till:
        await till.fill("search", "scorpio")
        await till.shows("2 found")
        service.held["search_customers"] = asyncio.Event()
        asked = service.count("search_customers")
        await till.fill("search", "scorpio x")
        await till.until(lambda: service.count("search_customers") > asked)
        await till.fill("search", "scorpio")
        service.held["search_customers"].set()
        await till.until(lambda: not till.console.waits)
        await till.shows("2 found", "Quinn Scorpio")


async def test_enter_never_picks_one_of_several_people() -> None:
    async with signed_in(FakeService(*SCORPIOS)) as till:
        await till.fill("search", "scorpio")
        await till.press("enter")
        await till.shows("2 people match: choose with ↓")
        await till.press("down", "down", "enter")
        await till.shows("Find › Quinn Scorpio")


async def test_the_first_step_down_takes_the_first_row() -> None:
    async with signed_in(FakeService(*SCORPIOS)) as till:
        await till.fill("search", "scorpio")
        await till.shows("2 found")
        await till.press("down", "enter")
        await till.shows("Find › Ben Scorpio")


async def test_a_move_among_earlier_rows_does_not_count_for_the_next_text() -> None:
    service = FakeService(*SCORPIOS, make_customer(4, "Scott", "Ang"))
    async with signed_in(service) as till:
        await till.fill("search", "scorpio")
        await till.shows("2 found")
        await till.press("down")
        await till.fill("search", "sco")
        await till.press("enter")
        await till.shows("3 people match")


async def test_an_exact_identifier_opens_at_once() -> None:
    service = FakeService(*SCORPIOS, make_customer(5, "customer1@example.com"))
    async with signed_in(service) as till:
        await till.fill("search", "customer1@example.com")
        await till.press("enter")
        await till.shows("Find › Ben Scorpio")


async def test_nobody_found_offers_to_register_them_with_what_was_typed() -> None:
    async with signed_in(FakeService(ANN)) as till:
        await till.fill("search", "new@example.com")
        await till.press("enter")
        await till.shows("F3 registers “new@example.com”")
        await till.press("f3")
        await till.until(lambda: till.page == "register")
        assert till.console.screen.query_one("#email").value == "new@example.com"


async def test_a_scan_opens_its_customer_and_leaves_no_letter_in_the_field() -> None:
    async with signed_in(FakeService(*SCORPIOS, ANN)) as till:
        await till.fill("search", "bri")
        await till.scan(card_number(2))
        await till.shows("Find › Quinn Scorpio")


async def test_a_scan_on_a_customer_opens_the_other_one_and_runs_no_command() -> None:
    async with signed_in(FakeService(*SCORPIOS, ANN)) as till:
        await till.open("ann")
        await till.scan(card_number(1))
        await till.shows("Find › Ben Scorpio")
        assert till.console.screen.tab == 0, "the digits of the card did not switch tabs"


async def test_a_scan_nobody_owns_says_so() -> None:
    async with signed_in(FakeService(ANN)) as till:
        await till.scan(card_number(77))
        await till.shows(f"F3 registers “{card_number(77)}”")


async def test_a_click_on_a_row_opens_it() -> None:
    async with signed_in(FakeService(*SCORPIOS)) as till:
        await till.fill("search", "scorpio")
        await till.shows("2 found")
        await till.pilot.click("#results", offset=(5, 2))
        await till.shows("Find › Quinn Scorpio")


async def test_too_short_a_text_asks_nothing_and_says_what_is_needed() -> None:
    service = FakeService(ANN)
    async with signed_in(service) as till:
        await till.fill("search", "a")
        await till.shows("at least 2 letters or 3 digits")
        assert service.count("search_customers") == 0


async def test_coming_back_the_text_is_selected_and_the_next_name_replaces_it() -> None:
    async with signed_in(FakeService(*SCORPIOS, ANN)) as till:
        await till.open("ann")
        await till.press("f2")
        await till.until(lambda: till.page == "find")
        await till.press("q", "u", "i")
        await till.shows("Quinn Scorpio")


async def test_whom_this_terminal_opened_last_is_at_hand() -> None:
    async with signed_in(FakeService(*SCORPIOS, ANN)) as till:
        await till.open("ann")
        await till.press("escape")
        await till.fill("search", "")
        await till.shows("opened last at this terminal", "Ann Bright")


async def test_fast_typing_asks_only_for_what_stays() -> None:
    service = FakeService(*SCORPIOS)
    async with signed_in(service) as till:
        field = till.console.screen.query_one("#search")
        for length in range(2, 8):
            field.value = "scorpio"[:length]
        await till.shows("2 found")
        assert service.count("search_customers") <= 3


async def test_a_paste_is_cleaned() -> None:
    async with signed_in(FakeService(ANN)) as till:
        await till.paste("\n  ann\t bright \x1b[2J\nsecond line")
        await till.until(lambda: till.console.screen.query_one("#search").value == "ann bright [2J")
