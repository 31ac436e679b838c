"""The email change: the right ways for the address and the role, a preview first, danger only on purpose, and undo."""

import asyncio

from msgspec.structs import replace

from shared.enums import Role
from shared.permissions import PERMISSIONS
from shared.problems import Code
from tests.tui.desk import Till, signed_in
from tests.tui.fake import FakeService, Refusal, card_number, make_customer
from tui.screens.danger import DangerDialog
from tui.screens.email_change import ways_for
from tui.widgets.picker import Picker

BEN = make_customer(1, "Ben", "Scorpio")
TYPO = make_customer(2, "Hank", "Scorpio", email="hnak@example.com", email_status="unverified")


async def open_wizard(till: Till, name: str = "ben") -> None:
    await till.open(name)
    await till.press("E")
    await till.until(lambda: till.page == "email")


async def ask_for(till: Till, way: str, email: str = "new@example.com") -> None:
    """Fill in the form for a way and wait for its preview."""
    page = till.console.screen
    await till.fill("email", email)
    picker = page.query_one("#way", Picker)
    picker.focus()
    await till.press(str(1 + [choice.value for choice in picker._ways].index(way)))
    if way != "correction":
        page.query_one("#attested").focus()
        await till.press("y")
    await till.fill("reason", "asked at the till")
    await till.shows("becomes the new address", "Balance")


async def test_keeping_changes_the_address_and_nothing_else() -> None:
    service = FakeService(BEN)
    async with signed_in(service, size=(80, 24)) as till:
        await open_wizard(till)
        await ask_for(till, "keep")
        await till.shows("1,001 → 1,001 (unchanged)", "2 sessions end", "Redemption is held")
        await till.press("ctrl+s")
        await till.shows("The address is new@example.com now.", "u takes it back until", "Find › Ben Scorpio")
        assert service.customers[0].email == "new@example.com"
        assert service.customers[0].cards == BEN.cards


async def test_a_preview_that_could_not_be_had_is_asked_for_again() -> None:
    service = FakeService(BEN)
    async with signed_in(service, size=(80, 24)) as till:
        await open_wizard(till)
        await ask_for(till, "keep")
        service.is_down = True
        await till.fill("email", "newer@example.com")
        await till.shows("Not connected")
        service.is_down = False
        await till.press("f5")
        await till.shows("● online", "1,001 → 1,001 (unchanged)")


async def test_nothing_is_sent_before_the_form_is_complete() -> None:
    service = FakeService(BEN)
    async with signed_in(service) as till:
        await open_wizard(till)
        await till.fill("email", "new@example.com")
        await till.press("ctrl+s")
        await till.shows("Only for a customer who stands here", "Say why, in a few words")
        assert service.count("preview_email_change") == service.count("change_email") == 0


async def test_saving_needs_the_preview_of_exactly_what_is_asked_for() -> None:
    service = FakeService(BEN)
    async with signed_in(service) as till:
        await open_wizard(till)
        await ask_for(till, "keep")
        service.held["preview_email_change"] = asyncio.Event()
        await till.fill("email", "other@example.com")
        await till.press("ctrl+s")
        await till.shows("Read what will happen, then Ctrl+S again.")
        assert service.count("change_email") == 0
        service.held["preview_email_change"].set()
        await till.shows("becomes the new address", "Balance")
        await till.press("ctrl+s")
        await till.shows("The address is other@example.com now.")


async def test_a_typo_in_an_address_that_was_never_proven_comes_first() -> None:
    service = FakeService(TYPO)
    async with signed_in(service) as till:
        await open_wizard(till, "hank")
        await till.shows("[1] Typo", "no (not needed for a typo)")
        await ask_for(till, "correction", "hank@example.com")
        await till.press("ctrl+s")
        await till.shows("The address is hank@example.com now.")
        assert service.count("correct_email") == 1


async def test_a_proven_address_is_no_typo() -> None:
    async with signed_in(FakeService(BEN)) as till:
        await open_wizard(till)
        await till.shows("[1] Same person", "They cannot reach the old address any more")
        assert "Typo" not in till.screen_text()


def test_correcting_an_address_that_was_proven_once_says_what_it_costs() -> None:
    permissions = PERMISSIONS[Role.MANAGER]
    for customer, words in (
        (TYPO, "Nothing else changes."),
        (replace(BEN, email_bouncing=True), "spending waits a day"),
    ):
        (way,) = (way for way in ways_for(customer, tuple(permissions)) if way.value == "correction")
        assert words in way.meaning


async def test_a_cashier_may_only_correct() -> None:
    async with signed_in(FakeService(TYPO), login="cashier") as till:
        await open_wizard(till, "hank")
        await till.shows("[1] Typo", "not possible: needs a manager")


async def test_reissue_is_done_only_on_purpose() -> None:
    service = FakeService(BEN)
    async with signed_in(service, size=(80, 24)) as till:
        await open_wizard(till)
        await ask_for(till, "reissue")
        await till.shows("1 lot moves with its dates", f"{BEN.cards[0].code} will no longer scan")
        await till.press("ctrl+s")
        await till.shows("DANGER: Close and reissue", f"the last 4 of the old card {BEN.cards[0].code}")
        await till.press("enter")
        await till.scan(card_number(1))
        await till.shows("The scan was not used")
        await till.press("ctrl+s")
        await till.shows("Type them first.")
        await till.press("9", "9", "9", "9", "ctrl+s")
        await till.shows("These are not the right characters.")
        assert service.count("change_email") == 0
        await till.press(*BEN.cards[0].code[-4:], "ctrl+s")
        await till.shows("New card", "Balance 1,001.", "Find › Ben Scorpio")
        assert [card.status for card in service.customers[0].cards] == ["active", "replaced"]


async def test_the_danger_box_has_cancel_in_focus_and_escape_leaves_everything_as_it_was() -> None:
    service = FakeService(BEN)
    async with signed_in(service) as till:
        await open_wizard(till)
        await ask_for(till, "reissue")
        await till.press("ctrl+s")
        await till.until(lambda: isinstance(till.console.screen, DangerDialog))
        assert type(till.console.focused).__name__ == "Cancel"
        await till.press("escape")
        await till.shows("Nothing was changed.")
        assert till.console.screen.query_one("#email").value == "new@example.com"
        assert service.count("change_email") == 0


async def test_a_blocker_stops_the_change_and_says_why() -> None:
    service = FakeService(BEN, make_customer(3, "Ann", email="ann@example.com"))
    async with signed_in(service) as till:
        await open_wizard(till)
        await ask_for(till, "keep", "ann@example.com")
        await till.shows("✗ Another customer has proven this address.")
        await till.press("ctrl+s")
        await till.shows("Save: Another customer has proven this address.")
        assert service.count("change_email") == 0


async def test_when_the_world_moved_the_preview_is_shown_anew_before_anything_happens() -> None:
    service = FakeService(BEN)
    service.broken["change_email"] = [Refusal(Code.PREVIEW_STALE)]
    async with signed_in(service) as till:
        await open_wizard(till)
        await ask_for(till, "keep")
        previews = service.count("preview_email_change")
        await till.press("ctrl+s")
        await till.shows("This changed since you looked", "becomes the new address")
        assert service.count("preview_email_change") == previews + 1
        await till.press("ctrl+s")
        await till.shows("The address is new@example.com now.")
        assert len(set(service.keys)) == 1


async def test_a_refused_address_is_told_beside_its_field() -> None:
    service = FakeService(BEN)
    service.broken["change_email"] = [Refusal(Code.EMAIL_INVALID)]
    async with signed_in(service) as till:
        await open_wizard(till)
        await ask_for(till, "keep")
        await till.press("ctrl+s")
        await till.shows("This is not an email address we can write to.")
        assert till.console.focused.id == "email"


async def test_a_scan_never_ends_up_in_an_address() -> None:
    async with signed_in(FakeService(BEN)) as till:
        await open_wizard(till)
        await till.fill("email", "new@")
        await till.scan(card_number(1))
        await till.shows("The scan was not used")
        assert till.console.screen.query_one("#email").value == "new@"


async def test_a_change_can_be_taken_back_while_the_service_allows_it() -> None:
    service = FakeService(BEN)
    async with signed_in(service) as till:
        await open_wizard(till)
        await ask_for(till, "keep")
        await till.press("ctrl+s")
        await till.shows("u takes the change back until")
        await till.press("u")
        await till.shows("Take back an email change", "customer1@example.com", "new@example.com")
        await till.press("ctrl+s")
        await till.shows("Say why, in a few words.")
        await till.fill("reason", "it was somebody else")
        await till.press("ctrl+s")
        await till.shows("Taken back: the address is customer1@example.com again.")
        assert service.customers[0].email == "customer1@example.com"


async def test_without_a_change_there_is_nothing_to_take_back() -> None:
    async with signed_in(FakeService(BEN)) as till:
        await till.open("ben")
        await till.press("u")
        await till.shows("there is no change that can still be taken back")
