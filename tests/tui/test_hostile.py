"""Whatever a customer is called, the console shows it as text: no action, no crash, no control byte."""

import unicodedata
from itertools import cycle

import pytest
from rich.cells import cell_len

from tests.app import World
from tests.tui.desk import Till, signed_in
from tests.tui.fake import FakeService, make_customer, parked_contact
from tests.tui.shop import a_till, add_reward, ask_for_points, sell
from tests.tui.test_safe import HOSTILE_NAMES


def key_bar(till: Till) -> str:
    """Return the last line of the screen, which names the keys."""
    return till.screen_text().split("\n")[-1]


def assert_harmless(till: Till, width: int) -> None:
    text = till.screen_text()
    assert not [
        character for character in text if unicodedata.category(character) in {"Cc", "Cs"} and character != "\n"
    ]
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(text)
    assert {cell_len(line) for line in text.split("\n")} == {width}


@pytest.mark.parametrize(("name", "size"), [*zip(HOSTILE_NAMES, cycle([(80, 24), (160, 50)]), strict=False)])
async def test_a_hostile_name_is_harmless_on_every_page(name: str, size: tuple[int, int]) -> None:
    # JSON cannot carry lone surrogates, so over the wire they arrive as what the decoder makes of them.
    name = name.encode("utf-8", "replace").decode()
    hostile = make_customer(1, name, name, email=f"{name[:40]}@x.test", notes=name, redemption_held_until=None)
    service = FakeService(hostile)
    service.parked = (parked_contact(1, name),)
    async with signed_in(service, size=size) as till:
        await till.fill("search", "customer")
        await till.fill("search", hostile.cards[0].code)
        await till.shows("1 found")
        assert_harmless(till, size[0])
        await till.pilot.click("#results", offset=(4, 1))
        await till.until(lambda: till.page == "customer")
        await till.shows("1,001 points")
        assert_harmless(till, size[0])
        for offset in ((2, 1), (6, 1)):
            await till.pilot.click(offset=offset)
        for key in ("2", "3", "4", "5", "6"):
            await till.press(key)
            assert_harmless(till, size[0])
        await till.press("E")
        await till.until(lambda: till.page == "email")
        assert_harmless(till, size[0])
        await till.press("escape", "e")
        await till.until(lambda: till.page == "edit")
        assert_harmless(till, size[0])
        await till.press("escape", "f6")
        await till.shows("need a look 1")
        assert_harmless(till, size[0])
        assert till.console.is_running
        assert till.console.session is not None, "a name that holds an action ran nothing"


async def test_a_hostile_name_and_receipt_are_only_text_on_every_new_page(world: World) -> None:
    evil = "O[/]Brien[@click=app.quit()]"
    member = await world.sign_up("ana@shop.test", given_name=evil, family_name="[bold")
    await sell(world, number="[/]R[red]1")
    await add_reward(world, name="[@click=app.quit()]Mug[/]")
    await ask_for_points(world, member, 400)
    async with a_till(world, size=(100, 34)) as till:
        await till.press("ctrl+r")
        await till.shows(evil[:24])
        await till.pilot.click("#rows", offset=(20, 1))
        await till.press("f4")
        await till.shows("[/]R[red]1")
        await till.pilot.click("#orders", offset=(20, 1))
        await till.open("ana@shop.test")
        for key, page in (("a", "assign"), ("o", "record"), ("p", "adjust"), ("w", "take")):
            await till.press(key)
            await till.until(lambda page=page: till.page == page)
            await till.shows(evil)
            await till.press("escape")
            await till.until(lambda: till.page == "customer")
        assert till.console.is_running
