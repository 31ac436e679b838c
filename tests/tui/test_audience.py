"""The Mailchimp page and the audit."""

from tests.tui.desk import signed_in
from tests.tui.fake import FakeService, make_customer, parked_contact

BEN = make_customer(1, "Ben", "Scorpio")


async def test_what_is_stuck_says_why_and_is_retried() -> None:
    service = FakeService(BEN)
    service.parked = (parked_contact(1, "exists under another address"),)
    async with signed_in(service, size=(80, 24)) as till:
        await till.shows("sync 3 !1")
        await till.press("f6")
        await till.shows("waiting 3", "need a look 1", "exists under another address (field BIRTHDAY)")
        await till.press("r")
        await till.shows("customer1@example.com is in the queue again.", "Nothing is stuck")
        assert service.count("retry_audience_contact") == 1


async def test_a_paused_queue_says_why_and_goes_on() -> None:
    service = FakeService(BEN)
    service.paused_reason = "the API key was refused"
    async with signed_in(service) as till:
        await till.press("f6")
        await till.shows("Paused: the API key was refused", "R lets it go on")
        await till.press("R")
        await till.shows("The queue goes on.")
        await till.until(lambda: "Paused" not in till.screen_text())


async def test_a_queue_that_runs_cannot_be_resumed() -> None:
    async with signed_in(FakeService(BEN)) as till:
        await till.press("f6")
        await till.shows("Nothing is stuck")
        await till.press("R")
        await till.shows("the queue is not paused")


async def test_a_row_leads_to_its_customer_and_escape_home() -> None:
    service = FakeService(BEN)
    service.parked = (parked_contact(1, "why"),)
    async with signed_in(service) as till:
        await till.press("f6")
        await till.shows("needs a look")
        await till.press("enter")
        await till.shows("Find › Ben Scorpio")
        await till.press("f6")
        await till.press("escape")
        await till.until(lambda: till.console.current_mode == "find")


async def test_the_page_keeps_itself_up_to_date_while_it_is_seen() -> None:
    service = FakeService(BEN)
    async with signed_in(service) as till:
        await till.press("f6")
        await till.shows("Nothing is stuck")
        service.parked = (parked_contact(1, "why"),)
        await till.shows("needs a look")


async def test_the_audit_unfolds_an_entry() -> None:
    async with signed_in(FakeService(BEN)) as till:
        await till.press("f7")
        await till.shows("email: change", "asked for")
        await till.press("enter")
        await till.shows("mode: keep")


async def test_the_programme_is_shown_with_its_rules() -> None:
    async with signed_in(FakeService(BEN)) as till:
        await till.press("f8")
        await till.shows("Corner Club", "1 point for every 1.00 GBP, tax included, rounded down")
