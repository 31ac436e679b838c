"""Each role sees what it may do; what it may not is dim, says who may, and asks the service for nothing."""

import pytest

from shared.enums import Role
from shared.permissions import PERMISSIONS
from tests.app import World
from tests.tui.desk import signed_in
from tests.tui.fake import FakeService, make_customer
from tests.tui.shop import a_till, sell
from tui.actions import ACTIONS

BEN = make_customer(1, "Ben", "Scorpio")
START = {
    Role.CASHIER: "find",
    Role.MANAGER: "find",
    Role.AUDITOR: "find",
    Role.MARKETING: "audience",
    Role.ADMIN: "audience",
}
GLOBAL = [action for action in ACTIONS if action.needs and action.keys and not action.pages]
ON_CUSTOMER = [
    action
    for action in ACTIONS
    if action.needs and "customer" in action.pages and not action.id.startswith("customer.tab")
]


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_starts_where_it_can_work_and_is_refused_in_words_elsewhere(role: Role) -> None:
    service = FakeService(BEN)
    async with signed_in(service, login=role.value) as till:
        await till.until(lambda: till.page == START[role])
        for action in GLOBAL:
            asked = len(service.calls)
            await till.press(action.keys[0])
            if set(action.needs) & PERMISSIONS[role]:
                assert " needs " not in till.status
            else:
                await till.shows(": needs ")
                assert {call[0] for call in service.calls[asked:]} <= {"get_audience", "get_queue"}
            await till.press("escape")


@pytest.mark.parametrize("role", [role for role in Role if START[role] == "find"])
async def test_each_role_does_to_a_customer_only_what_it_may(role: Role) -> None:
    async with signed_in(FakeService(BEN), login=role.value) as till:
        await till.open("ben")
        page = till.console.screen
        for action in ON_CUSTOMER:
            reason = till.console.why_not(action, page)
            is_refused_for_role = reason is not None and reason.startswith("needs ")
            assert is_refused_for_role is not bool(set(action.needs) & PERMISSIONS[role]), action.id


async def test_the_arrows_pass_over_a_list_that_the_role_may_not_see() -> None:
    async with signed_in(FakeService(BEN), login="cashier") as till:
        till.console.perform("app.tills")
        await till.shows("[3 Matches]")
        await till.press("right")
        await till.shows("[5 To do]", "Nothing is left to do in a till.")
        await till.press("left")
        await till.shows("[3 Matches]")


async def test_the_palette_lists_what_can_be_done_first_and_the_rest_with_the_reason() -> None:
    async with signed_in(FakeService(BEN), login="cashier", size=(80, 24)) as till:
        await till.press("ctrl+p")
        await till.shows("▸ Find a customer by name, phone, email or card")
        await till.fill("palette-search", "merge")
        # A narrow list cuts the sentence; below it stands whole.
        await till.shows("the first one mark…", "kept: needs a manager")
        await till.pilot.press("escape")


async def test_the_palette_does_what_is_chosen_by_words() -> None:
    async with signed_in(FakeService(BEN)) as till:
        await till.press("ctrl+p")
        await till.fill("palette-search", "register new")
        await till.press("enter")
        await till.until(lambda: till.page == "register")


async def test_the_palette_finds_people_too() -> None:
    async with signed_in(FakeService(BEN)) as till:
        await till.press("f6", "ctrl+p")
        await till.fill("palette-search", "ben scorpio")
        await till.shows("Find “ben scorpio”")
        await till.press("enter")
        await till.shows("Find › Ben Scorpio")


async def test_help_explains_the_page_and_tests_the_scanner() -> None:
    from tests.tui.fake import card_number

    async with signed_in(FakeService(BEN), size=(100, 52)) as till:
        await till.open("ben")
        await till.press("question_mark")
        await till.shows(
            "One customer: points, orders, cards", "Change or correct the customer's email address", "Everywhere"
        )
        await till.scan(card_number(1))
        await till.press("end")
        await till.shows("a card of ours, check digit right")
        await till.press("escape")
        await till.until(lambda: till.page == "customer")


async def test_the_auditor_reads_everything_and_moves_nothing(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await sell(world, member.card_number, number="R-5")
    async with a_till(world, Role.AUDITOR) as till:
        await till.open("ana@shop.test")
        for key in ("p", "o", "a", "g", "d", "w", "W"):
            await till.press(key)
            await till.shows(": needs a ")
            assert till.page == "customer"
        await till.press("4")
        await till.shows("Rewards")
        await till.press("ctrl+r")
        await till.shows("Nothing waits for a second person.")
        await till.press("f4")
        await till.shows("Every sale of this day counts for somebody.")
