"""A proven address that is out of reach: asked for at the till, approved by somebody else, and stopped again."""

from server.db.engine import DB
from shared.enums import Role
from tests.app import World
from tests.tui.shop import a_till
from tests.tui.test_against_service import open_wizard


async def test_one_asks_another_approves_and_either_manager_stops_it(world: World) -> None:
    ana = await world.sign_up("ana@shop.test")
    async with a_till(world, Role.CASHIER, login="cleo", size=(80, 24)) as till:
        await till.open("ana")
        await open_wizard(till, "override", "ana@home.test")
        await till.shows("Somebody else has to approve this within 24 hours")
        await till.press("ctrl+s")
        await till.shows("ana@home.test was asked for. Nothing has changed yet.")
        await till.shows("Correcting the email to ana@home.test needs a second person")
    async with a_till(world, Role.MANAGER, login="mara", size=(160, 50)) as desk:
        await desk.shows("1 email correction waits for approval")
        desk.console.perform("app.overrides")
        await desk.until(lambda: desk.page == "overrides")
        await desk.shows("Ana Flores", "ana@home.test", "needs a yes", "Reason: asked at the till")
        await desk.press("a")
        await desk.shows("Approve an email correction", "72 hours after that the address changes.")
        await desk.press("ctrl+s")
        await desk.shows("Approved. It changes in 3 days, unless somebody stops it.")
        assert await DB.fetch_value("select count(*) from email_change where execute_after is not null") == 1
        await desk.press("2")
        await desk.shows("will happen", "Changes by itself on")
        await desk.press("c")
        await desk.until(lambda: desk.page == "reason")
        await desk.fill("reason", "found the old mailbox")
        await desk.press("ctrl+s")
        await desk.shows("Cancelled. The address stays as it is.")
        await desk.press("o")
        await desk.until(lambda: desk.page == "customer")
        await desk.shows("Points cannot be spent until", "email is about to change")
        await desk.press("H")
        await desk.until(lambda: desk.page == "reason")
        await desk.shows("With Ctrl+S you say that you have checked who stands before you.")
        await desk.fill("reason", "it was called off")
        await desk.press("ctrl+s")
        await desk.shows("Points can be spent again.")
    assert await DB.fetch_value("select count(*) from customer where redemption_held_until is not null") == 0
    assert await DB.fetch_value("select key from contact_point where customer = $1", ana.customer_id) == ana.email
