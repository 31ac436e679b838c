"""The console against the real service on a real database, in this process: the flows that staff live from."""

import re
from datetime import timedelta
from uuid import UUID

from shared.enums import Role
from tests.app import World
from tests.ledgers import figures
from tests.tills import push, sale
from tests.tui.desk import Till
from tests.tui.shop import a_till, adjust
from tui.widgets.picker import Picker


async def register(till: Till, given: str, email: str, **fields: str) -> None:
    await till.press("f3")
    await till.until(lambda: till.page == "register")
    for field_id, text in {"given_name": given, "email": email, **fields}.items():
        await till.fill(field_id, text)
    await till.press("ctrl+s")
    await till.until(lambda: till.page == "customer")
    await till.shows("Registered. Card", given)
    await till.until(lambda: till.console.screen.detail is not None, "the customer's own data")


async def open_wizard(till: Till, way: str, email: str) -> None:
    await till.press("E")
    await till.until(lambda: till.page == "email")
    page = till.console.screen
    await till.fill("email", email)
    picker = page.query_one("#way", Picker)
    picker.focus()
    await till.press(str(1 + [choice.value for choice in picker._ways].index(way)))
    if way != "correction":
        page.query_one("#attested").focus()
        await till.press("y")
    await till.fill("reason", "asked at the till")
    await till.until(page._has_preview, "the preview")


def customer_id(till: Till) -> UUID:
    return till.console.screen.detail.id


async def test_a_customer_is_registered_found_by_everything_and_earns(world: World) -> None:
    async with a_till(world, Role.CASHIER, size=(80, 24)) as till:
        await register(till, "Zoë", "zoe@shop.test", family_name="Müller", phone="+44 20 7946 0123")
        card = till.console.screen.detail.cards[0].code
        key = await world.pos_key()
        assert (await push(world, key, sale(world, card=card, number="R-777"))).status_code == 201
        await till.press("f5")
        await till.shows("12 points", "R-777")
        await till.press("2")
        await till.shows("R-777", "12.34 GBP")
        await till.press("enter")
        await till.shows("Coffee", "Bread")
        for text in (card, "zoe@shop.test", "+44 20 7946 0123", "zoe mul"):
            await till.open(text)
            await till.shows("Zoë Müller")


async def test_a_second_customer_with_the_same_address_is_led_to_the_first(world: World) -> None:
    async with a_till(world, Role.CASHIER) as till:
        await register(till, "Zoë", "zoe@shop.test")
        await till.press("f2", "f3")
        await till.until(lambda: till.page == "register")
        await till.fill("given_name", "Zo")
        await till.fill("email", "zoe@shop.test")
        await till.press("ctrl+s")
        await till.shows("F2 opens")
        await till.press("f2")
        await till.until(lambda: till.page == "customer")
        await till.shows("Find › Zoë")


async def test_a_typo_is_corrected_by_a_cashier(world: World) -> None:
    async with a_till(world, Role.CASHIER) as till:
        await register(till, "Hank", "hnak@shop.test")
        await open_wizard(till, "correction", "hank@shop.test")
        await till.press("ctrl+s")
        await till.shows("The address is hank@shop.test now.", "Find › Hank")


async def test_an_address_is_changed_and_the_change_taken_back(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    async with a_till(world) as till:
        await till.open("ana@shop.test")
        await open_wizard(till, "keep", "ana.new@shop.test")
        await till.press("ctrl+s")
        await till.shows("The address is ana.new@shop.test now.", "u takes the change back")
        assert customer_id(till) == member.customer_id
        await till.press("u")
        await till.until(lambda: till.page == "undo")
        await till.fill("reason", "it was a mistake")
        await till.press("ctrl+s")
        await till.shows("Taken back: the address is ana@shop.test again.")


async def test_a_reissue_moves_every_point_to_a_new_card_and_the_old_card_leads_to_it(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    key = await world.pos_key()
    assert (await push(world, key, sale(world, card=member.card_number))).status_code == 201
    async with a_till(world) as till:
        await till.open("ana@shop.test")
        await till.shows("12 points")
        await open_wizard(till, "reissue", "ana.new@shop.test")
        await till.shows("12 → 12 (unchanged)")
        await till.press("ctrl+s")
        await till.shows("DANGER")
        await till.press(*member.card_number[-4:], "ctrl+s")
        await till.shows("New card", "12 points", "cannot be spent until")
        new_card = next(card.code for card in till.console.screen.detail.cards if card.status == "active")
        assert new_card != member.card_number
        await till.press("f2")
        await till.until(lambda: till.page == "find")
        await till.fill("search", member.card_number)
        await till.shows(f"This card was replaced by {new_card}.")


async def test_the_same_form_sent_twice_has_one_effect(world: World) -> None:
    async with a_till(world) as till:
        await register(till, "Zoë", "zoe@shop.test")
        audit = (await till.console.client.list_customer_audit(customer_id(till))).items
        assert sum("register" in entry.action for entry in audit) == 1


async def test_a_hostile_name_is_shown_as_text_or_refused(world: World) -> None:
    async with a_till(world) as till:
        await register(till, "[@click=app.quit()]Ben[/]", "ben@shop.test", family_name="O[/]Brien [bold]")
        await till.shows("[@click=app.quit()]Ben[/] O[/]Brien")
        await till.press("f2")
        await till.fill("search", "ben@shop.test")
        await till.shows("[@click")
        await till.pilot.click("#results", offset=(6, 1))
        await till.until(lambda: till.page == "customer")
        assert till.console.is_running


async def test_a_service_that_ends_the_session_locks_the_console(world: World) -> None:
    async with a_till(world) as till:
        world.advance(timedelta(hours=9))
        await till.fill("search", "anybody")
        await till.shows("Your session is over")


async def test_marketing_sees_the_link_to_mailchimp_and_no_customer(world: World) -> None:
    async with a_till(world, Role.MARKETING) as till:
        await till.until(lambda: till.page == "audience")
        await till.shows("Mailchimp")
        await till.press("f2")
        await till.shows("needs a cashier, manager or auditor")


async def test_the_audit_and_the_programme_are_read(world: World) -> None:
    async with a_till(world) as till:
        await register(till, "Zoë", "zoe@shop.test")
        await till.press("f7")
        await till.until(lambda: re.search("customer: registered", till.screen_text()), "the registration")
        await till.press("f8")
        await till.shows("Rewards", "Europe/London")


async def test_a_scan_of_a_replaced_card_opens_its_customer(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    async with a_till(world) as till:
        await till.open("ana@shop.test")
        await open_wizard(till, "reissue", "ana.new@shop.test")
        await till.press("ctrl+s")
        await till.shows("DANGER")
        await till.press(*member.card_number[-4:], "ctrl+s")
        await till.shows("New card")
        await till.press("f2")
        await till.until(lambda: till.page == "find")
        await till.scan(member.card_number)
        await till.until(lambda: till.page == "customer")


async def test_a_service_that_is_gone_keeps_the_form_and_posts_it_once_it_is_back(world: World) -> None:
    import httpx

    member = await world.sign_up("ana@shop.test")
    async with a_till(world, Role.CASHIER) as till:
        await till.open("ana@shop.test")
        await adjust(till, "+5", "g")
        real = till.console.client._http

        async def refuse(_: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("gone")

        till.console.client._http = httpx.AsyncClient(
            transport=httpx.MockTransport(refuse), base_url="http://localhost"
        )
        await till.press("ctrl+s")
        await till.shows("Not connected. Looking up and saving do not work.", "○ offline")
        till.console.client._http = real
        assert till.console.screen.text("points") == "+5"
        await till.press("ctrl+s")
        await till.shows("balance 5", "● online")
        # Neither a preview that was not had nor the currency is missing for good.
        await till.until(lambda: till.page == "customer")
        till.console.client._http = httpx.AsyncClient(
            transport=httpx.MockTransport(refuse), base_url="http://localhost"
        )
        await till.press("o")
        await till.until(lambda: till.page == "record")
        await till.fill("amount", "5")
        await till.press("ctrl+s")
        await till.shows("Not connected. Looking up and saving do not work.")
        till.console.client._http = real
        await till.press("f5")
        await till.shows("= 5.00 GBP", "Earns 5")
        await till.press("escape", "escape")
        await till.until(lambda: till.page == "customer")
        till.console.client._http = httpx.AsyncClient(
            transport=httpx.MockTransport(refuse), base_url="http://localhost"
        )
        await till.press("a")
        await till.shows("Not connected. Looking up and saving do not work.")
        till.console.client._http = real
        await till.press("f5")
        await till.shows("No sale of today waits for a customer.")
    assert await figures(member.membership_id) == (5, 5, 0, 0)
