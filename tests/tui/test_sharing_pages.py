"""Sharing at the till: joining, combining, leaving and taking it back, against the real service."""


from shared.enums import Role
from tests.app import World
from tests.ledgers import assert_verified, credit, figures
from tests.server.sharing.desk import two_members
from tests.tui.desk import Till
from tests.tui.test_till_flows import a_till, choose, previewed
from tui.screens.danger import DangerDialog


async def share_with(till: Till, who: str, key: str = "s") -> None:
    """Open the form and choose the other customer."""
    await till.press(key)
    await till.until(lambda: till.page == "share")
    await till.fill("customer", who)
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
