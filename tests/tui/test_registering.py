"""Registering at the till against the real service: who is there already, the sale that is going on, who shares a phone."""

from datetime import timedelta

from server.db.engine import DB
from shared.enums import Role
from tests.app import World
from tests.tui.desk import Till
from tests.tui.shop import a_till, choose, sell


async def open_form(desk: Till) -> None:
    await desk.press("f3")
    await desk.until(lambda: desk.page == "register")


async def test_whoever_is_there_is_named_while_typing_and_family_may_share_a_phone(world: World) -> None:
    await world.sign_up("ana@shop.test", phone="+44 20 7946 0018")
    async with a_till(world, Role.CASHIER, size=(80, 24)) as desk:
        await open_form(desk)
        await desk.fill("given_name", "Ana")
        await desk.fill("family_name", "Flores")
        await desk.shows("Perhaps known: Ana Flores (same name", "F2 Find")
        await desk.fill("email", "ana@shop.test")
        await desk.shows("This is Ana Flores's. F2 opens that customer instead.", "F2 Open existing")
        await desk.fill("email", "")
        await desk.fill("given_name", "Bea")
        await desk.fill("phone", "020 7946 0018")
        await desk.shows("Ana Flores has this too, not proven.", "Someone else")
        await desk.press("ctrl+s")
        await desk.shows("Nobody was registered", "Ana Flores has this too, not proven.", "Say so below.")
        assert desk.page == "register"
        await desk.press("y", "ctrl+s")  # The cursor is where it has to be said.
        await desk.shows("Find › Bea Flores", "Registered. Card")


async def test_a_slip_in_an_address_is_hinted_and_an_address_of_another_leads_to_them(world: World) -> None:
    ana = await world.sign_up("ana@shop.test")
    await world.sign_up("ben@shop.test", given_name="Ben", family_name="Ode")
    sql = "update contact_point set bounced_at = $2 where customer = $1 and kind = 'email'"
    await DB.fetch(sql, ana.customer_id, world.clock.now())
    async with a_till(world, Role.MANAGER, size=(80, 24)) as desk:
        await open_form(desk)
        await desk.fill("given_name", "Hank")
        await desk.press("f9")
        await desk.shows("no other address is suggested")
        await desk.fill("email", "hank@gmial.com")
        await desk.shows("gmail.com? F9 takes it")
        await desk.press("f9")
        await desk.shows("hank@gmail.com", "The address is hank@gmail.com now.")
        await desk.press("escape", "escape")
        await desk.open(ana.card_number)
        await desk.shows("bounces", "Mail to ana@shop.test comes back: ask for another address (E).")
        await desk.press("E")
        await desk.until(lambda: desk.page == "email")
        await desk.fill("email", "ben@shop.test")
        await desk.press("tab", "2")
        await choose(desk, "attested", "y")
        await desk.fill("reason", "asked for it")
        await desk.shows("F2 Open owner")
        await desk.press("f2")
        await desk.shows("Find › Ben Ode")


async def test_the_scanned_receipt_counts_for_the_new_customer_and_the_only_young_sale_is_offered(world: World) -> None:
    await sell(world, number="R-2044")
    world.advance(timedelta(minutes=2))
    async with a_till(world, Role.CASHIER, size=(100, 34)) as desk:
        await open_form(desk)
        await desk.fill("given_name", "Hank [@click=app.quit]x[/]")
        await desk.fill("email", "hank@shop.test")
        desk.console.screen.query_one("#consent-email").focus()  # Wherever the cursor is, it is a receipt and no card.
        await desk.scan("R-2044")
        await desk.shows("Sale R-2044 will count for them.", "12.34", "2 min ago")
        await desk.press("ctrl+s")
        await desk.shows(
            "Registered. Card", "A link to choose a password was sent.", "The sale brings 12 points.", "[/]"
        )
