"""Sharing at the till: joining, combining, leaving and taking it back, against the real service."""

from shared.enums import Role
from tests.app import World
from tests.ledgers import assert_verified, credit, figures
from tests.server.sharing.desk import Desk, two_members
from tests.tui.desk import Till
from tests.tui.shop import a_till, choose, lose_first_answer, previewed
from tui.screens.danger import DangerDialog


async def share(till: Till, who: str, key: str = "s") -> None:
    await till.press(key)
    await till.until(lambda: till.page == "share")
    await till.fill("customer", who)
    await till.until(lambda: till.console.screen.query_one("#note-customer").has_class("-shown"), "who it is")


async def share_with(till: Till, who: str, key: str = "s") -> None:
    """Open the form, choose the other customer and wait for what will happen."""
    await share(till, who, key)
    await previewed(till)


async def confirm(till: Till, card: str) -> None:
    await till.until(lambda: isinstance(till.console.screen, DangerDialog), "the question")
    await till.press(*card[-4:])
    await till.press("ctrl+s")


async def test_two_memberships_become_one_after_every_sum_was_shown_and_two_again(world: World) -> None:
    ana, ben = await two_members(world)
    await credit(world, ana.membership_id, 250)
    await credit(world, ben.membership_id, 157, days=90)
    async with a_till(world, Role.CASHIER, size=(80, 24)) as till:
        await till.open("ana@shop.test")
        await share_with(till, "ben@shop.test")
        await till.shows("Combine: Ana Flores 250 + Ben Flores 157 = 407", "157 → 407 (+250)", "407 → 407")
        # Nobody is combined who was not asked, and not by a scanner.
        await till.press("ctrl+s")
        await till.shows("Ask Ana Flores and Ben Flores, and say yes here for them.")
        await choose(till, "agreed", "y")
        await till.press("ctrl+s")
        await till.scan(ben.card_number)
        await till.shows("The scan was not used.")
        await confirm(till, ben.card_number)
        await till.shows("Combined: 407 common points.", "Shared with Ben Flores: the balance is common.")
        assert (await figures(ana.membership_id))[0] == 407
        await till.press("4")
        await till.shows("Shares (owner)", "Ben Flores", "157", "Two became one")
        await till.press("u")
        await till.until(lambda: till.page == "take-back")
        await previewed(till)
        await till.shows("407 → 250 (-157)", "The other one gets: 157 of their own")
        await till.press("ctrl+s")
        await till.shows("Taken back: two memberships again. 250 and 157 points.")
    assert (await figures(ben.membership_id))[0] == 157
    await assert_verified(world)


async def test_somebody_joins_and_leaves_again_with_an_agreed_number_and_comes_back(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    desk = await Desk.open(world)
    await desk.buy(member.card_number, 300)
    await desk.outsider("Cid")
    async with a_till(world, Role.CASHIER) as till:
        # From the one who has nothing: there is nothing to share, but a membership to join.
        await till.open("cid@shop.test")
        await till.press("s")
        await till.shows("this customer has no")
        await share_with(till, "ana@shop.test", key="j")
        await till.shows("Cid comes into the membership of:", "Cid joins Ana Flores. All see 300 points")
        await choose(till, "agreed", "y")
        await till.press("ctrl+s")
        await till.shows("Joined, card", "Shared with Ana Flores: the balance is common.")
        await till.press("S")
        await till.until(lambda: till.page == "spending")
        await till.shows("These share the points: Ana Flores and Cid.")
        await choose(till, "policy", "d")
        await till.press("ctrl+s")
        await till.shows("Type how many points each may spend a day", "Say why, in a few words")
        await till.fill("points", "50")
        await till.fill("reason", "they wished it")
        await till.press("ctrl+s")
        await till.shows("May spend: everybody → each up to 50 a day")
        await till.press("ctrl+s")
        await till.shows("May spend now: each up to 50 a day.")
        await till.press("v")
        await till.until(lambda: till.page == "leave")
        await choose(till, "policy", "g")
        await till.press("ctrl+s")
        await till.shows("Type how many points, like 150.")
        await till.fill("points", "1000")
        await till.shows("There are not enough points")
        await till.fill("points", "120")
        await previewed(till)
        await till.shows("Must agree: Cid and Ana Flores", "Ana Flores keeps: 300 → 180", "Cid gets: 120 of their own")
        await choose(till, "agreed", "y")
        await till.press("ctrl+s")
        await till.shows("Left with 120 points, card", "120 points")
        assert (await figures(member.membership_id))[0] == 180
        # What was done last is what u takes back.
        await till.press("u")
        await till.until(lambda: till.page == "reason")
        await till.fill("reason", "changed their mind")
        await till.press("ctrl+s")
        await till.shows("Taken back. 2 people have this membership.", "300 points")
        await till.press("4")
        await till.shows("Somebody joined")
        await till.press("down", "enter")
        await till.shows("Brought 300 in all, spent 0.")
    await assert_verified(world)


async def test_an_owner_names_the_next_one_and_what_stands_against_it_is_said(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    await desk.combine(ana.membership_id, ben.membership_id)
    async with a_till(world, Role.CASHIER, size=(80, 24)) as till:
        await till.open("ana@shop.test")
        # Oneself, and somebody who shares already.
        await share(till, ana.card_number)
        await till.press("ctrl+s")
        await till.shows("This is the same customer.")
        await till.fill("customer", ben.card_number)
        await previewed(till)
        await till.press("ctrl+s")
        await till.shows("They share points already")
        await till.press("escape", "escape")
        await till.press("v")
        await till.until(lambda: till.page == "leave")
        await previewed(till)
        await till.shows("[Ben Flores]", "Must agree: Ana Flores")
        await choose(till, "agreed", "y")
        await till.press("ctrl+s")
        await till.shows("Left with 0 points")
    people = await desk.people(ana.membership_id)
    assert [(person["name"], person["role"]) for person in people] == [("Ben Flores", "owner")]


async def test_a_lost_answer_is_asked_for_again_under_the_same_key_and_nothing_is_combined_twice(world: World) -> None:
    ana, ben = await two_members(world)
    async with a_till(world, Role.CASHIER) as till:
        await till.open("ana@shop.test")
        await share_with(till, "ben@shop.test")
        await choose(till, "agreed", "y")
        keys = lose_first_answer(till, world, "/combine")
        await till.press("ctrl+s")
        await confirm(till, ben.card_number)
        await till.shows("We do not know if this was saved. Ctrl+S asks again; it cannot be saved twice.")
        await till.press("ctrl+s")
        await confirm(till, ben.card_number)
        await till.shows("Combined: 0 common points.")
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(await (await Desk.open(world)).people(ana.membership_id)) == 2
