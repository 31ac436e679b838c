"""Merging at the till: side by side, with choices, and taken back, against the real service."""

from datetime import timedelta
from typing import Any

from tests.app import World, expect
from tests.ledgers import assert_verified, credit, figures
from tests.server.merges.desk import MergeDesk
from tests.tui.desk import Till
from tests.tui.test_sharing_pages import confirm
from tests.tui.test_till_flows import a_till, previewed


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
        await till.shows("Hank is kept (known longer); H[/]ank becomes a part of it.", "KEEP", "FOLD IN", "407")
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
    assert (await figures(second["membership_id"]))[0] == 157
    await assert_verified(world)
