"""The chart: what its bars say without any colour, and that it fits where it is put."""

import asyncio

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from tests.tui.desk import PATIENCE_SECONDS
from tests.tui.test_safe import HOSTILE_NAMES
from tui.widgets.chart import Bar, Chart


class _ChartApp(App[None]):
    CSS = "Chart { height: 1fr; width: 100%; }"

    def compose(self) -> ComposeResult:
        yield Chart(id="chart")


async def drawn(bars: list[Bar], kinds: tuple[str, ...], *, size: tuple[int, int] = (60, 8), **ways: bool) -> list[str]:
    app = _ChartApp()
    async with app.run_test(size=size) as pilot:
        app.query_one(Chart).show(bars, kinds, **ways)
        lines: list[str] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not "".join(lines).strip():
                await pilot.pause()
                strips = app.screen._compositor.render_strips()
                lines = ["".join(segment.text for segment in strip) for strip in strips]
        return lines


async def test_bars_are_as_long_as_their_values_and_say_them() -> None:
    lines = await drawn([Bar("a", (100, 0)), Bar("b", (50, 1))], ("issued", "taken"))
    assert "█ issued" in lines[0]
    assert "▒ taken" in lines[0]
    full, half = lines[1].count("█"), lines[3].count("█")
    assert full == pytest.approx(2 * half, abs=1)
    assert lines[1].rstrip().endswith(" 100")
    assert "▒" not in lines[2], "nothing is no bar"
    assert lines[4].count("▒") == 1, "the least there is can be seen"


async def test_parts_of_a_whole_add_up_to_its_length() -> None:
    lines = await drawn([Bar("a", (1, 1, 2)), Bar("b", (4, 0, 0))], ("used", "lapsed", "live"), is_whole=True)
    assert sum(lines[1].count(pattern) for pattern in "█▒░") == lines[2].count("█")
    assert lines[1].count("░") == pytest.approx(2 * lines[1].count("▒"), abs=1)
    assert lines[1].rstrip().endswith(" 4")


async def test_what_has_no_room_is_said_to_be_left_out() -> None:
    bars = [Bar(f"2026-{month:02}", (month,)) for month in range(1, 13)]
    first = await drawn(bars, ("points",), size=(60, 5))
    assert "8 more below" in first[0]
    assert "2026-01" in first[1]
    last = await drawn(bars, ("points",), size=(60, 5), keeps_last=True)
    assert "8 more above" in last[0]
    assert "2026-12" in last[4]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_labels_are_text_and_no_line_is_longer_than_the_screen(name: str) -> None:
    name = name.encode("utf-8", "replace").decode()
    lines = await drawn([Bar(name, (10**12, -5)), Bar("b", (0, 0))], ("one", "two"))
    assert {cell_len(line) for line in lines} == {60}
    assert not [
        character for line in lines for character in line if ord(character) < 32 or 0x7F <= ord(character) < 0xA0
    ]
