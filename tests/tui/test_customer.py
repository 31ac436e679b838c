"""One customer: facts that stay, tabs that are asked for once they are shown, commands that fit the customer."""

from datetime import datetime, timedelta

from shared.enums import EmailChangeMode
from shared.problems import Code
from shared.staff import EmailChangeView
from tests.tui.desk import signed_in
from tests.tui.fake import NOW, FakeService, Refusal, made_id, make_customer


def an_email_change(state: str, *, undo_until: datetime | None) -> EmailChangeView:
    return EmailChangeView(
        id=made_id(f"change {state}"),
        mode=EmailChangeMode.KEEP,
        state=state,
        old_email="old@example.com",
        new_email="new@example.com",
        requested_at=NOW - timedelta(hours=1),
        confirmed_at=NOW,
        undo_until=undo_until,
    )


async def test_the_header_shows_balance_card_contact_consent_and_hold() -> None:
    customer = make_customer(1, "Ben", "Scorpio", redemption_held_until=NOW + timedelta(hours=20))
    async with signed_in(FakeService(customer), size=(80, 24)) as till:
        await till.open("ben")
        await till.shows(
            "1,001 points", customer.cards[0].code, "customer1@example", "proven", "email yes", "cannot be spent until"
        )


async def test_the_header_stays_while_the_ledger_scrolls_and_more_is_fetched_at_its_end() -> None:
    service = FakeService(make_customer(1, "Ben", "Scorpio"))
    service.entries_count = 120
    async with signed_in(service, size=(80, 24)) as till:
        await till.open("ben")
        await till.shows("50+")
        await till.press("end")
        await till.until(lambda: len(till.console.screen.query_one("#rows").rows) == 100)
        await till.press("end")
        await till.until(lambda: len(till.console.screen.query_one("#rows").rows) == 120)
        await till.press("end")
        await till.shows("1,001 points", "Order R-2119")
        assert service.count("list_customer_entries") == 3


async def test_tabs_are_fetched_when_they_are_first_shown() -> None:
    service = FakeService(make_customer(1, "Ben", "Scorpio"))
    async with signed_in(service) as till:
        await till.open("ben")
        await till.shows("Order R-2000")
        assert service.count("list_customer_orders") == 0
        await till.press("2")
        await till.shows("17.40 GBP")
        await till.press("1", "2")
        await till.shows("17.40 GBP")
        assert service.count("list_customer_orders") == 1


async def test_enter_tells_why_an_order_earned_what_it_earned() -> None:
    async with signed_in(FakeService(make_customer(1, "Ben")), size=(80, 24)) as till:
        await till.open("ben")
        await till.press("2")
        await till.shows("R-2000")
        await till.press("enter")
        await till.shows("1 × Novel", "1 point for each 1.00")
        await till.press("enter")
        await till.until(lambda: "Novel" not in till.screen_text())


async def test_every_tab_is_reached_by_its_number_by_arrows_and_by_mouse() -> None:
    async with signed_in(FakeService(make_customer(1, "Ben", notes="likes poetry"))) as till:
        await till.open("ben")
        for key, text in (
            ("3", "Issued"),
            ("4", "Voucher …4F2K"),
            ("5", "Offers by email"),
            ("6", "likes poetry"),
            ("7", "email: change"),
        ):
            await till.press(key)
            await till.shows(text)
        await till.press("left")
        await till.shows("likes poetry")
        await till.pilot.click("TabLine", offset=(30, 0))
        await till.shows("Issued")


async def test_a_customer_without_entries_says_what_will_be_there() -> None:
    service = FakeService(make_customer(1, "Ben"))
    service.entries_count = 0
    async with signed_in(service) as till:
        await till.open("ben")
        await till.shows("No points have moved yet")


async def test_what_cannot_be_done_says_why() -> None:
    customer = make_customer(1, "Ben", has_login=True, status="blocked")
    async with signed_in(FakeService(customer)) as till:
        await till.open("ben")
        await till.press("E")
        await till.shows("this customer is blocked")
        assert till.page == "customer"


async def test_an_invitation_is_sent_and_confirmed() -> None:
    service = FakeService(make_customer(1, "Ben"))
    async with signed_in(service) as till:
        await till.open("ben")
        await till.press("i")
        await till.shows("The invitation is on its way.")
        assert service.count("invite_customer") == 1


async def test_a_merged_customer_is_read_only_and_leads_to_the_survivor() -> None:
    survivor = make_customer(2, "Quinn")
    merged = make_customer(1, "Ben", status="merged", merged_into=survivor.id)
    async with signed_in(FakeService(merged, survivor)) as till:
        await till.open("ben")
        await till.shows("Merged into another customer")
        await till.press("enter")
        await till.shows("Find › Quinn")


async def test_a_failed_tab_says_how_to_ask_again_and_f5_does() -> None:
    service = FakeService(make_customer(1, "Ben"))
    service.broken["list_customer_entries"] = [Refusal(Code.INTERNAL)]
    async with signed_in(service) as till:
        await till.open("ben")
        await till.shows("Something went wrong at the service", "F5 asks again")
        await till.press("f5")
        await till.shows("Order R-2000")


async def test_editing_saves_only_what_was_changed() -> None:
    service = FakeService(make_customer(1, "Ben", "Scorpio", notes="likes poetry"))
    async with signed_in(service) as till:
        await till.open("ben")
        await till.press("e")
        await till.until(lambda: till.page == "edit")
        await till.fill("family_name", "Skorpio")
        await till.fill("postal_address", "1 Quay Street, Galway")
        await till.press("ctrl+s")
        await till.shows("Saved.", "Ben Skorpio")
        assert service.customers[0].notes == "likes poetry"
        await till.press("6")
        await till.shows("postal address", "1 Quay Street, Galway")


async def test_a_faster_colleagues_change_is_shown_beside_ours_and_nothing_is_lost() -> None:
    from msgspec.structs import replace

    service = FakeService(make_customer(1, "Ben", "Scorpio"))
    async with signed_in(service) as till:
        await till.open("ben")
        await till.press("e")
        await till.until(lambda: till.page == "edit")
        await till.fill("family_name", "Skorpio")
        service.put(replace(service.customers[0], family_name="Scorpion", version=2))
        await till.press("ctrl+s")
        await till.shows("Somebody changed this meanwhile", "somebody else saved: Scorpion")
        assert till.console.screen.query_one("#family_name").value == "Skorpio"
        await till.press("ctrl+s")
        await till.shows("Saved.", "Ben Skorpio")
