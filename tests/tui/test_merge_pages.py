"""Merging at the till: side by side, with choices, and taken back, against the real service."""

from datetime import timedelta
from typing import Any

import pytest

from server.db.engine import DB
from shared.enums import Role
from tests.app import World, expect
from tests.ledgers import assert_verified, credit, figures
from tests.server.duplicates.people import add, compare
from tests.server.duplicates.test_queue import BOB, ROBERT
from tests.server.merges.desk import MergeDesk
from tests.server.sharing.desk import two_members
from tests.tui.desk import Till
from tests.tui.shop import a_till, previewed
from tests.tui.test_hostile import assert_harmless, key_bar
from tests.tui.test_sharing_pages import confirm, share_with
from tui.widgets.line_list import LineList


async def register_twice(world: World) -> tuple[dict[str, Any], dict[str, Any]]:
    """Register Hank at the till, and later once more under another address."""
    desk = await MergeDesk.open(world)
    first = await desk.register("Hank")
    world.advance(timedelta(minutes=5))
    answer = await desk.post("/v1/staff/customers", {"given_name": "H[/]ank", "phone": "+442079460123"})
    return first, expect(answer, 201)


async def merge_with(till: Till, who: str) -> None:
    await till.press("m")
    await till.until(lambda: till.page == "merge")
    await till.fill("customer", who)
    await previewed(till)


async def test_two_customers_are_merged_side_by_side_and_are_two_again(world: World) -> None:
    first, second = await register_twice(world)
    await credit(world, first["membership_id"], 250)
    await credit(world, second["membership_id"], 157)
    async with a_till(world, size=(80, 24)) as till:
        # From the younger one: the older one is kept, and it says why.
        await till.open(second["card_number"])
        await merge_with(till, first["card_number"])
        await till.shows("Hank is kept (known longer); H[/]ank is folded into this customer.", "KEEP", "FOLD IN", "407")
        await till.shows("! Name", "[Hank]", "fields the same:")
        till.console.screen.query_one("#fields").focus()
        await till.press("right")
        await till.shows("[H[/]ank]", "← → choose")
        await till.until(till.console.screen.has_preview)
        await till.press("ctrl+s")
        await confirm(till, second["card_number"])
        await till.shows("Merged: H[/]ank is part of", "H[/]ank was merged and is now part of H[/]ank.", "407 points")
        await till.press("u")
        await till.until(lambda: till.page == "take-back")
        await previewed(till)
        await till.shows("157 of their own", "Signed-in devices stay signed out")
        await till.press("ctrl+s")
        await till.shows("is a customer again.", "250 points")
        await till.until(lambda: "was merged" not in till.screen_text())
        await till.press("u")
        await till.shows("there is no change that can")
    assert (await figures(second["membership_id"]))[0] == 157
    await assert_verified(world)


async def test_two_are_marked_in_the_search_and_the_first_one_is_kept(world: World) -> None:
    first, second = await register_twice(world)
    async with a_till(world) as till:
        await till.fill("search", second["card_number"])
        await till.shows("1 found")
        await till.press("tab", "m")
        await till.shows("mark two customers with Space first")
        await till.press("space")
        await till.shows("[1] H[/]ank")
        # Marks stay through another search, so that two of different names can be marked.
        await till.fill("search", first["card_number"])
        await till.until(lambda: "hank@shop" in till.screen_text() or "Hank" in till.screen_text())
        await till.press("tab", "space")
        await till.shows("m merges: Hank becomes a part of H[/]ank.")
        await till.press("m")
        await till.until(lambda: till.page == "merge")
        await previewed(till)
        await till.shows("H[/]ank is kept; Hank is folded into this customer.", "(filled)")
        await till.press("x")
        await previewed(till)
        await till.shows("Hank is kept; H[/]ank is folded into this customer.")
        await till.press("ctrl+s")
        await confirm(till, second["card_number"])
        await till.until(lambda: till.page == "customer")
        await till.shows("Find › Hank", "H[/]ank is part of this customer; u undoes it")


async def test_shared_points_stand_against_a_merge_until_it_is_said_what_becomes_of_them(world: World) -> None:
    first, second = await register_twice(world)
    desk = await MergeDesk.open(world)
    await desk.combine(second["membership_id"], (await desk.register("Ben"))["membership_id"])
    async with a_till(world, size=(80, 24)) as till:
        await till.open(first["card_number"])
        await merge_with(till, second["card_number"])
        await till.shows("shares a membership", "! Shares with", "1 other", "choose with ← →")
        await till.press("ctrl+s")
        await till.shows("Merge: The customer who is folded in shares")
        assert till.page == "merge", "nothing is asked that cannot be done"
        fields = till.console.screen.query_one("#fields", LineList)
        fields.focus()
        while fields.current_key != "sharing":
            await till.press("down")
        await till.press("left")
        await previewed(till)
        await till.shows("KEEP comes into it", "^S Merge…")


async def test_a_merge_of_two_who_sign_in_waits_for_a_second_person(world: World) -> None:
    ana, ben = await two_members(world)
    async with a_till(world) as till:
        await till.open("ana@shop.test")
        await merge_with(till, "ben@shop.test")
        await till.shows("Somebody else must approve this: both can sign in.", "^S Ask for approval…")
        await till.press("ctrl+s")
        await confirm(till, ben.card_number)
        await till.shows("Asked. Nothing has changed yet; somebody else must approve it.")
        await till.press("ctrl+d", "3")
        await till.shows("Ben Flores", "Mara", "waits")
        await till.press("a")
        await till.until(lambda: till.page == "reason")
        await till.press("ctrl+s")
        await till.shows("You asked for this yourself: somebody else must decide.")
    async with a_till(world, login="nora") as till:
        await till.shows("1 merge waits for approval (^D)")
        await till.press("ctrl+d", "3")
        await till.shows("Ben Flores", "waits")
        await till.press("a")
        await till.until(lambda: till.page == "reason")
        await till.shows("Approve a merge", "both can sign in")
        await credit(world, ana.membership_id, 30)
        await till.press("ctrl+s")
        await till.shows("This changed since you looked", "! was Points 0 together", "! now Points 30 together")
        await till.press("ctrl+s")
        await till.shows("Approved: Ben Flores into Ana Flores.", "No merge waits for a second person.")
        await till.press("4")
        await till.shows("Ben Flores", "done", "u takes it back until")


async def test_possible_duplicates_are_listed_with_reasons_and_dismissed_or_merged(world: World) -> None:
    robert, _ = await add(world.ctx, ROBERT), await add(world.ctx, BOB)
    await compare(world)
    async with a_till(world, size=(80, 24)) as till:
        await till.shows("1 possible duplicate (^D)")
        till.console.open_customer(str(robert))
        await till.shows("Perhaps here twice")
        await till.press("ctrl+d")
        await till.shows("Robert Okonkwo", "born 6 May 1970", "One given name is a form of the other.")
        await till.press("i")
        await till.until(lambda: till.page == "reason")
        await till.press("ctrl+s")
        await till.shows("Remembered: these are two people.", "Nobody seems to be there twice.")
        await till.press("2")
        await till.shows("Bob Okonkwo", "Mara")
        await till.press("i")
        await till.shows("They are looked at again.")
        await till.press("1")
        await till.shows("Bob Okonkwo", "known since")
        await till.press("enter")
        await till.until(lambda: till.page == "merge")
        await previewed(till)
        await till.shows("Robert Okonkwo-Hale is kept; Bob Okonkwo Hale is folded into this customer.")


async def test_a_cashier_shares_but_merges_nobody(world: World) -> None:
    first, _ = await register_twice(world)
    async with a_till(world, Role.CASHIER) as till:
        await till.open(first["card_number"])
        await till.press("m")
        await till.shows("needs a manager")
        await till.press("ctrl+d")
        await till.shows("needs a manager")
        assert till.page == "customer"


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_hostile_names_are_harmless_beside_each_other(world: World, size: tuple[int, int]) -> None:
    first, second = await register_twice(world)
    hostile = "\x1b]0;x\x07[@click=app.quit()]O[/]Brien[/]\u202e" + "W" * 90
    await DB.fetch("update customer set given_name = $1", hostile)
    desk = await MergeDesk.open(world)
    await desk.combine(first["membership_id"], (await desk.register("Ben"))["membership_id"])
    async with a_till(world, size=size) as till:

        async def check() -> None:
            await till.until(lambda: key_bar(till).rstrip().endswith("^P Do…  F1 Help"))
            assert_harmless(till, size[0])

        await till.open(first["card_number"])
        await till.press("4")
        await till.shows("Shares (owner)")
        await check()
        await till.press("v")
        await till.until(lambda: till.page == "leave")
        await previewed(till)
        await check()
        await till.press("escape")
        await share_with(till, second["card_number"])
        await check()
        await till.press("escape", "escape")
        await merge_with(till, second["card_number"])
        await check()
        await till.press("escape", "escape", "ctrl+d")
        await till.until(lambda: till.page == "duplicates")
        await check()
        assert till.console.session is not None, "a name that holds an action ran nothing"
