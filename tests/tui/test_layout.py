"""What is on the screen at each size, in each theme and without colour."""

import asyncio
import importlib
import pkgutil
from itertools import product

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.color import Color

from tests.tui.desk import PATIENCE_SECONDS, Till, signed_in
from tests.tui.fake import FakeService, make_customer, parked_contact
from tests.tui.test_hostile import key_bar
from tui import screens
from tui.formatting import Cell, Row
from tui.themes import THEMES
from tui.widgets.line_list import Column, LineList, column_widths

BEN = make_customer(1, "Ben", "Scorpio", points=1_234_567)
SIZES = [(60, 20), (80, 24), (100, 30), (130, 40), (160, 50)]


def service() -> FakeService:
    fake = FakeService(BEN, make_customer(2, "Quinn", "Scorpio"))
    fake.parked = (parked_contact(2, "exists under another address"),)
    return fake


async def every_page(till: Till):  # type: ignore[no-untyped-def]
    """Go through all pages and yield the name of each."""
    yield "find"
    await till.fill("search", "scorpio")
    await till.shows("2 found")
    yield "results"
    await till.open("ben")
    await till.shows("Order R-2000")
    yield "customer"
    await till.press("E")
    await till.until(lambda: till.page == "email")
    yield "email"
    await till.press("escape", "f3")
    await till.until(lambda: till.page == "register")
    yield "register"
    for key, page in (
        ("f4", "orders"),
        ("ctrl+r", "queue"),
        ("ctrl+d", "duplicates"),
        ("f6", "audience"),
        ("f7", "audit"),
        ("f8", "programmes"),
        ("f1", "help"),
    ):
        await till.press(key)
        await till.until(lambda: till.page == page)  # noqa: B023  # Waited for before the next round.
        yield page
    await till.press("escape", "f8", "enter")
    await till.shows("1 point for every")
    yield "programme"
    await till.press("e")
    await till.until(lambda: till.page == "rules")
    yield "rules"
    await till.press("ctrl+g")
    await till.shows("can be spent", "never")
    yield "reports"
    till.console.perform("app.rewards")
    await till.shows("Free [/] coff")
    yield "rewards"


@pytest.mark.parametrize("size", SIZES)
async def test_palette_and_help_are_in_the_key_bar_of_every_page_at_every_size(size: tuple[int, int]) -> None:
    async with signed_in(service(), size=size) as till:
        async for page in every_page(till):
            await till.until(lambda: key_bar(till).rstrip().endswith("^P Do…  F1 Help"), f"the key bar of {page}")
            assert cell_len(key_bar(till)) == size[0]


@pytest.mark.parametrize("size", SIZES)
async def test_points_and_card_are_never_cut(size: tuple[int, int]) -> None:
    async with signed_in(service(), size=size) as till:
        await till.open("ben")
        await till.shows("1,234,567 points", BEN.cards[0].code)
        await till.shows("Order R-2000", "3,000")


@pytest.mark.parametrize("size", [(59, 24), (80, 19)])
async def test_a_window_that_is_too_small_asks_for_more_and_keeps_what_was_typed(size: tuple[int, int]) -> None:
    async with signed_in(service()) as till:
        await till.press("f3")
        await till.until(lambda: till.page == "register")
        await till.fill("given_name", "Hank")
        await till.pilot.resize_terminal(*size)
        await till.shows("This window is too small.")
        await till.pilot.resize_terminal(80, 24)
        await till.shows("Hank")


async def test_a_wide_window_shows_the_row_under_the_cursor_beside_the_list() -> None:
    async with signed_in(service(), size=(160, 50)) as till:
        await till.fill("search", "scorpio")
        await till.shows("Birthday")
        await till.open("ben")
        await till.press("2")
        await till.shows("1 × Novel")


@pytest.mark.parametrize("theme", [theme.name for theme in THEMES])
async def test_every_text_stands_out_from_its_ground(theme: str) -> None:
    async with signed_in(service(), theme=theme, size=(100, 32)) as till:
        async for page in every_page(till):
            for strip in till.console.screen._compositor.render_strips():
                for segment in strip:
                    style = segment.style
                    if (
                        not segment.text.strip(" ─│╭╮╰╯━┃▁▂▃▄▅▆▇█")
                        or style is None
                        or not style.color
                        or not style.bgcolor
                    ):
                        continue
                    front, ground = Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor)
                    assert contrast(front, ground) >= 4.5, (page, segment.text, front.hex, ground.hex)


def contrast(one: Color, other: Color) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2, relative luminance)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: Color) -> float:
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


async def test_without_colour_choice_cursor_and_tab_can_be_told_from_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with signed_in(service(), size=(80, 24)) as till:
        await till.open("ben")
        await till.shows("[1 Activity]", "▸ 10:30 today")
        await till.press("E")
        await till.shows("[1] Same person", "[no]")


def test_each_theme_has_every_role() -> None:
    keys = {frozenset(theme.variables) for theme in THEMES}
    assert len(keys) == 1
    for theme, role in product(
        THEMES, ("success", "warning", "error", "accent", "foreground", "background", "surface", "panel")
    ):
        assert getattr(theme, role), (theme.name, role)


def _lists() -> dict[str, tuple[Column, ...]]:
    """Return the columns of every list of the console, by the place in which they are defined."""
    modules = [
        importlib.import_module(f"tui.screens.{module.name}") for module in pkgutil.iter_modules(screens.__path__)
    ]
    named = {f"{module.__name__}.{name}": value for module in modules for name, value in vars(module).items()}
    return {
        name: value
        for name, value in named.items()
        if isinstance(value, tuple) and value and all(isinstance(column, Column) for column in value)
    }


def test_no_list_cuts_a_figure_or_squeezes_out_a_name_in_the_smallest_window() -> None:
    lists = _lists()
    assert len(lists) > 20
    for total in (57, 77):  # A frame and a scrollbar take three cells.
        for name, columns in lists.items():
            shown = [width for width in column_widths(columns, total) if width]
            assert len("▸ ") + sum(shown) + 2 * (len(shown) - 1) <= total, (name, total)
            shares = [width for column, width in zip(columns, column_widths(columns, total), strict=True)
                      if column.width < 0 and total >= column.from_width]  # fmt: skip
            assert min(shares, default=6) >= 6, (name, total)


class OneList(App[None]):
    def compose(self) -> ComposeResult:
        yield LineList((Column("What", -1),))


async def test_a_long_note_is_read_whole_in_a_narrow_list_and_the_cursor_keeps_its_row() -> None:
    note = "From somebody.with.a.long.name@example.com to nobody.has.a.shorter.one@example.com"
    rows = [Row(key="a", cells=(Cell("one"),)), Row(key="a/0", cells=(Cell(note),), is_note=True)]
    async with OneList().run_test(size=(60, 10)) as pilot:
        listed = pilot.app.query_one(LineList)
        listed.set_rows([*rows, Row(key="b", cells=(Cell("two"),))])
        await pilot.press("down")
        assert listed.current_key == "b"
        for width in (60, 100, 40):
            await pilot.resize_terminal(width, 10)
            drawn = ""
            async with asyncio.timeout(PATIENCE_SECONDS):
                while listed.size.width != width or "".join(note.split()) not in "".join(drawn.split()):
                    await pilot.pause()
                    drawn = "".join(segment.text for y in range(8) for segment in listed.render_line(y))
            assert listed.current_key == "b"
