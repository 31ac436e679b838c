"""Registering at the till: consent by word, duplicates beside their field, one customer however often it is sent."""

import asyncio

import httpx

from shared.problems import Code, FieldProblem
from tests.tui.desk import Till, signed_in
from tests.tui.fake import FakeService, Refusal, card_number, make_customer
from tui.widgets.choice import Choice
from tui.widgets.field import Field


async def open_form(till: Till) -> None:
    await till.press("f3")
    await till.until(lambda: till.page == "register")


async def fill_in(till: Till, email: str = "hank@example.com") -> None:
    await open_form(till)
    await till.fill("given_name", "Hank")
    await till.fill("email", email)


async def test_a_customer_is_registered_and_opened() -> None:
    service = FakeService()
    async with signed_in(service) as till:
        await fill_in(till)
        await till.press("ctrl+s")
        await till.shows("Find › Hank", "Registered. Card", "A link to choose a password was sent.")
        assert [customer.email for customer in service.customers] == ["hank@example.com"]


async def test_what_was_searched_for_is_kept_by_going_on_and_replaced_by_typing() -> None:
    async with signed_in(FakeService()) as till:
        await till.fill("search", "hank")
        await open_form(till)
        given = till.console.screen.query_one("#given_name", Field)
        await till.until(lambda: given.selected_text == "hank")
        await till.press("B", "o")
        assert given.value == "Bo"


async def test_pressing_save_twice_registers_once() -> None:
    service = FakeService()
    service.held["register_customer"] = asyncio.Event()
    async with signed_in(service) as till:
        await fill_in(till)
        await till.press("ctrl+s")
        await till.until(lambda: service.count("register_customer") == 1)
        await till.press("ctrl+s")
        # Where the machine is slow, the words of the wait have taken its place.
        waits = ("it is being sent", "Still waiting for the service")
        await till.until(lambda: any(words in till.screen_text() for words in waits), "told to wait")
        service.held["register_customer"].set()
        await till.shows("Find › Hank")
        assert service.count("register_customer") == 1
        assert len(service.customers) == 1


async def test_a_lost_answer_is_asked_for_again_and_registers_once() -> None:
    service = FakeService()
    service.after["register_customer"] = [httpx.ReadError("lost") for _ in range(3)]
    async with signed_in(service, size=(140, 32), retry_connection_seconds=0.2) as till:
        await fill_in(till)
        await till.press("ctrl+s")
        await till.shows("We do not know if this was saved", "cannot be saved twice")
        assert till.console.screen.query_one("#given_name").value == "Hank"
        # A try that certainly was not carried out says nothing of the one before it, and neither does the connection.
        service.is_down = True
        await till.press("ctrl+s")
        await till.until(lambda: not till.console.screen.is_sending)
        await till.shows("We do not know if this was saved", "○ offline")
        await till.press("escape")
        await till.shows("We do not know if this was saved", "Esc again leaves")
        service.is_down = False
        await till.shows("Connected again. We do not know if this was saved.", "● online")
        await till.press("ctrl+s")
        await till.shows("Find › Hank")
        assert len(service.customers) == 1
        assert len(set(service.keys)) == 1


async def test_each_opened_form_has_a_key_of_its_own() -> None:
    service = FakeService()
    async with signed_in(service) as till:
        for email in ("a@example.com", "b@example.com"):
            await fill_in(till, email)
            await till.press("ctrl+s")
            await till.shows("Find › Hank", email)
    assert len(set(service.keys)) == 2


async def test_consent_is_answered_in_words_and_locked_without_its_address() -> None:
    service = FakeService()
    async with signed_in(service, size=(80, 24)) as till:
        await open_form(till)
        await till.shows("not asked (needs an email address)", "not asked (needs a phone number)")
        await till.fill("email", "hank@example.com")
        await till.shows("[not asked]")
        till.console.screen.query_one("#consent-email").focus()
        await till.press("y")
        await till.shows("[yes]")
        await till.fill("email", "hank@")
        await till.shows("not asked (needs an email address)")
        assert till.console.screen.query_one("#consent-email", Choice).value == "not_asked"


async def test_a_locked_consent_cannot_be_given_by_key() -> None:
    async with signed_in(FakeService()) as till:
        await open_form(till)
        till.console.screen.query_one("#consent-sms").focus()
        await till.press("y")
        assert till.console.screen.query_one("#consent-sms", Choice).value == "not_asked"


async def test_an_address_that_is_taken_is_told_when_its_field_is_left_and_leads_to_its_owner() -> None:
    owner = make_customer(1, "Hank", "Scorpio", email="hank@example.com")
    async with signed_in(FakeService(owner)) as till:
        await fill_in(till)
        await till.press("tab")
        await till.shows("This is Hank Scorpio's. F2 opens that customer instead.", "F2 Open existing")
        await till.press("f2")
        await till.shows("Find › Hank Scorpio")


async def test_a_duplicate_that_only_the_service_knows_is_told_beside_the_field() -> None:
    owner = make_customer(1, "Hank", "Scorpio")
    service = FakeService(owner)
    refusal = Refusal(
        Code.DUPLICATE_CONTACT,
        detail="This phone number is a customer's.",
        data={"field": "phone", "customer_id": str(owner.id)},
    )
    service.broken["register_customer"] = [refusal]
    async with signed_in(service) as till:
        await fill_in(till)
        await till.fill("phone", "07700900211")
        await till.press("ctrl+s")
        await till.shows("This phone number is a customer's. F2 opens that customer instead.")
        assert till.console.focused.id == "phone"
        await till.press("f2")
        await till.shows("Find › Hank Scorpio")


async def test_the_services_field_errors_stand_under_their_fields_and_all_input_stays() -> None:
    service = FakeService()
    errors = (
        FieldProblem(field="phone", detail="This is not a phone number."),
        FieldProblem(field="card_number", detail="Wrong check digit."),
    )
    service.broken["register_customer"] = [Refusal(Code.INVALID_REQUEST, errors=errors)]
    async with signed_in(service) as till:
        await fill_in(till)
        await till.fill("phone", "12345")
        await till.press("ctrl+s")
        await till.shows(
            "This is not a phone number.", "Wrong check digit.", "2 fields need another look", "hank@example.com"
        )
        assert till.console.focused.id == "phone"


async def test_what_is_missing_is_said_before_anything_is_sent() -> None:
    service = FakeService()
    async with signed_in(service) as till:
        await open_form(till)
        await till.fill("birthday", "31.2.1990")
        await till.press("ctrl+s")
        await till.shows(
            "A name is needed.", "At least one of email, phone and card is needed.", "Not a day of the year"
        )
        assert service.count("register_customer") == 0


async def test_a_scanned_card_goes_into_its_field_wherever_the_cursor_is() -> None:
    async with signed_in(FakeService()) as till:
        await open_form(till)
        await till.fill("given_name", "Hank")
        await till.scan(card_number(7))
        form = till.console.screen
        await till.until(lambda: form.query_one("#card").value == card_number(7))
        assert form.query_one("#given_name").value == "Hank", "the first key of the scan was taken back"


async def test_a_phone_number_that_arrives_in_a_clump_stays_in_its_field() -> None:
    async with signed_in(FakeService()) as till:
        await open_form(till)
        till.console.screen.query_one("#phone").focus()
        await till.scan("07700900211", end="tab")
        await till.until(lambda: till.console.screen.query_one("#phone").value == "07700900211")


async def test_escape_asks_once_before_it_throws_work_away() -> None:
    async with signed_in(FakeService()) as till:
        await fill_in(till)
        await till.press("escape")
        await till.shows("Esc again throws it away")
        assert till.page == "register"
        await till.press("escape")
        await till.until(lambda: till.page == "find")


async def test_leaving_by_another_key_asks_as_well() -> None:
    async with signed_in(FakeService()) as till:
        await fill_in(till)
        await till.press("f2")
        await till.shows("The same again throws it away")
        assert till.page == "register"
        await till.press("f6")
        await till.until(lambda: till.page == "audience")
        await till.press("f2")
        await till.until(lambda: till.page == "register", "the form is still there")
        assert till.console.screen.query_one("#given_name").value == "Hank"


async def test_an_untouched_form_is_left_at_once() -> None:
    async with signed_in(FakeService()) as till:
        await open_form(till)
        await till.press("escape")
        await till.until(lambda: till.page == "find")


async def test_the_keys_of_the_budget_register_a_customer() -> None:
    """F3, the data with Tab between, y and n for the consents, Ctrl+S: nine control keys."""
    service = FakeService()
    async with signed_in(service) as till:
        await till.press("f3")
        await till.until(lambda: till.page == "register")
        await till.paste("Hank")
        await till.press("tab")
        await till.paste("Scorpio")
        await till.press("tab")
        await till.paste("hank@example.com")
        await till.press("tab")
        await till.paste("07700 900211")
        await till.press("tab", "y", "n", "ctrl+s")
        await till.shows("Find › Hank Scorpio")
        assert service.customers[0].phone == "07700900211"
