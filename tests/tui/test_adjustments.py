"""Points given and taken by hand at the till, against the real service."""

from datetime import timedelta

from shared.enums import Role
from tests.app import World
from tests.ledgers import credit, figures
from tests.tui.shop import a_till, adjust, choose, lose_first_answer, previewed, sell


async def test_points_are_given_after_a_look_at_the_balance_and_taken_back_from_the_status_line(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await credit(world, member.membership_id, 1240)
    async with a_till(world, Role.CASHIER, size=(80, 24)) as till:
        await till.open("ana@shop.test")
        await adjust(till, "+50", "g")
        await till.shows("1,240 → 1,290 (+50)", "100 at a time, 500 left in these 24 hours", "^S Post")
        await till.press("ctrl+s")
        await till.shows("+50 for Ana Flores, balance 1,290. u takes it back (60 s).", "1,290 points")
        await till.press("u")
        await till.until(lambda: till.page == "take-back")
        await till.shows("Take back an adjustment", "+50 for Ana Flores, goodwill")
        await choose(till, "why", "m")
        await previewed(till)
        await till.shows("1,290 → 1,240 (-50)")
        await till.press("ctrl+s")
        await till.shows("Taken back: +50 for Ana Flores, balance 1,240.", "1,240 points")
        assert await figures(member.membership_id) == (1240, 1240, 0, 0)
        # What is left of the minute is over.
        await adjust(till, "=1300", "g")
        await till.shows("that is +60", "1,240 → 1,300")
        await till.press("ctrl+s")
        await till.shows("balance 1,300")
        world.advance(timedelta(seconds=61))
        await till.press("u")
        await till.shows("there is no change that can")
        assert till.page == "customer"


async def test_above_the_limit_it_becomes_a_request_and_its_author_cannot_approve_it(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    async with a_till(world, Role.CASHIER) as till:
        await till.open("ana@shop.test")
        await adjust(till, "+500", "c")
        await till.shows("Somebody else must approve this", "More than 100 points at a time.", "^S Ask for approval")
        await till.press("ctrl+s")
        await till.shows("Nothing has changed yet; somebody else must approve it.", "0 points")
        await till.press("ctrl+r")
        await till.shows("Ana Flores", "+500", "waits")
        await till.press("a")
        await till.shows("needs a manager")
    assert await figures(member.membership_id) == (0, 0, 0, 0)


async def test_what_is_wrong_in_an_adjustment_is_said_beside_it_and_nothing_is_sent(world: World) -> None:
    await world.sign_up("ana@shop.test")
    async with a_till(world, Role.CASHIER) as till:
        await till.open("ana@shop.test")
        await till.press("p")
        await till.until(lambda: till.page == "adjust")
        await till.press("ctrl+s")
        await till.shows("Type how many, like +50 or -20.", "Choose why.")
        await till.fill("points", "fifty")
        await till.press("ctrl+s")
        await till.shows("Type how many, like +50 or -20.")
        await till.fill("points", "-20")
        await choose(till, "reason_code", "o")
        await till.press("ctrl+s")
        await till.shows("This reason needs a note of 10 letters or more.")
        # Nobody at the till makes a debt: that is for a manager.
        await till.fill("note", "the machine was out of order")
        await till.shows("a deficit needs a manager", "Owed")
        await till.press("escape", "escape")
        await till.until(lambda: till.page == "customer")


async def test_what_moved_since_the_preview_is_asked_for_again(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    async with a_till(world) as till:
        await till.open("ana@shop.test")
        await adjust(till, "+10", "g")
        await sell(world, member.card_number)
        await till.press("ctrl+s")
        await till.shows("This changed since you looked", "! was Can spend 0 → 10", "! now Can spend 12 → 22 (+10)")
        await till.press("ctrl+s")
        await till.shows("balance 22")
        # A wanted total is reached from where the balance is by now.
        await adjust(till, "=50", "g")
        await till.shows("that is +28")
        await sell(world, member.card_number)
        await till.press("ctrl+s")
        await till.shows("that is +16", "34 → 50 (+16)", "This changed since you looked")
        await till.press("ctrl+s")
        await till.shows("balance 50")


async def test_an_answer_that_is_lost_is_asked_for_again_under_the_same_key(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    async with a_till(world) as till:
        await till.open("ana@shop.test")
        await adjust(till, "+10", "g")
        keys = lose_first_answer(till, world, "/adjustments")
        await till.press("ctrl+s")
        await till.shows("We do not know if this was saved. Ctrl+S asks again; it cannot be saved twice.")
        await till.press("ctrl+s")
        await till.shows("balance 10")
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert await figures(member.membership_id) == (10, 10, 0, 0)
