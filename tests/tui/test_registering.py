"""Registering at the till against the real service: who is there already, the sale that is going on, who shares a phone."""

from datetime import timedelta

from shared.enums import Role
from tests.app import World
from tests.tui.desk import Till
from tests.tui.test_till_flows import a_till, choose, sell


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
        await desk.shows("A customer with this exists. F2 opens them.", "Say so below.")
        assert desk.page == "register"
        await choose(desk, "another", "y")
        await desk.press("ctrl+s")
        await desk.shows("Find › Bea Flores", "Registered. Card")


async def test_the_scanned_receipt_counts_for_the_new_customer_and_the_only_young_sale_is_offered(world: World) -> None:
    await sell(world, number="R-2044")
    world.advance(timedelta(minutes=2))
    async with a_till(world, Role.CASHIER, size=(100, 34)) as desk:
        await open_form(desk)
        await desk.fill("given_name", "Hank [@click=app.quit]x[/]")
        await desk.fill("email", "hank@shop.test")
        await desk.scan("R-2044")
        await desk.shows("Sale R-2044 will count for them.", "12.34", "2 min ago")
        await desk.press("ctrl+s")
        await desk.shows(
            "Registered. Card", "A link to choose a password was sent.", "The sale brings 12 points.", "[/]"
        )
