"""A bar chart drawn in characters, in which each kind of bar has a pattern of its own besides its colour."""

from collections.abc import Sequence

import msgspec
from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from tui.formatting import points
from tui.safe import fit, join, lines, plain

PATTERNS = ("█", "▒", "░")
_STYLES = ("$accent", "$warning", "$text-muted")
_PARTS = " ▏▎▍▌▋▊▉█"
_LABEL_MAX = 24


class Bar(msgspec.Struct, frozen=True):
    """What is counted, and one value for each kind."""

    label: str
    values: tuple[int, ...]


class Chart(Widget):
    """Horizontal bars. The parts of a whole lie behind each other; other kinds have a line each.

    As many bars are drawn as there is room for, and it is said how many are left out.
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._bars: tuple[Bar, ...] = ()
        self._kinds: tuple[str, ...] = ()
        self._is_whole = False
        self._keeps_last = False

    def show(
        self, bars: Sequence[Bar], kinds: Sequence[str], *, is_whole: bool = False, keeps_last: bool = False
    ) -> None:
        """Draw other bars.

        Args:
            bars: In the order in which they are drawn.
            kinds: The words for each value of a bar, three at most.
            is_whole: The values of a bar are parts of a whole.
            keeps_last: Where there is not room for all, the first ones are left out and not the last.
        """
        self._bars, self._kinds, self._is_whole, self._keeps_last = tuple(bars), tuple(kinds), is_whole, keeps_last
        self.refresh()

    @property
    def height_wanted(self) -> int:
        """Lines that it takes to draw everything."""
        return 1 + len(self._bars) * self._lines_each if self._bars else 0

    @property
    def _lines_each(self) -> int:
        return 1 if self._is_whole else max(1, len(self._kinds))

    def render(self) -> Content:
        if not self._bars:
            return Content("")
        room = max(1, (self.size.height - 1) // self._lines_each)
        shown = self._bars[-room:] if self._keeps_last else self._bars[:room]
        label_width = min(_LABEL_MAX, max(cell_len(plain(bar.label)) for bar in shown))
        number_width = max(len(self._number(bar)) for bar in shown)
        width = max(1, self.size.width - label_width - number_width - 4)
        most = max((sum(bar.values) if self._is_whole else max(bar.values) for bar in shown), default=0)
        told = [self._legend(len(self._bars) - len(shown))]
        for bar in shown:
            told += self._lines_of(bar, most, width=width, label_width=label_width)
        return lines(*told)

    def _legend(self, left_out: int) -> Content:
        parts: list[tuple[str, str]] = [(" ", "")]
        for place, kind in enumerate(self._kinds):
            parts.append((f"{PATTERNS[place]} {kind}   ", _STYLES[place]))
        if left_out:
            where = "above" if self._keeps_last else "below"
            parts.append((f"({left_out} more {where}: see the table)", "$text-muted"))
        return join(*parts)

    def _number(self, bar: Bar) -> str:
        return points(sum(bar.values)) if self._is_whole else max((points(value) for value in bar.values), key=len)

    def _lines_of(self, bar: Bar, most: int, *, width: int, label_width: int) -> list[Content]:
        label = f" {fit(bar.label, label_width)} "
        if self._is_whole:
            parts: list[tuple[str, str]] = [(label, "$foreground")]
            drawn = 0
            so_far = 0
            for place, value in enumerate(bar.values):
                # Ends are rounded and not lengths, so that the whole is as long as it should be.
                so_far += max(0, value)
                end = round(width * so_far / most) if most else 0
                parts.append((PATTERNS[place] * (end - drawn), _STYLES[place]))
                drawn = end
            return [join(*parts, (f" {points(sum(bar.values))}", "bold"))]
        return [
            join(
                (label if place == 0 else " " * (label_width + 2), "$foreground"),
                (_bar(value, most, width=width, pattern=PATTERNS[place]), _STYLES[place]),
                (f" {points(value)}", "bold"),
            )
            for place, value in enumerate(bar.values)
        ]


def _bar(value: int, most: int, *, width: int, pattern: str) -> str:
    """Return a bar; one of blocks ends in eighths of a cell. What is there at all is seen."""
    if most <= 0 or value <= 0:
        return ""
    eighths = max(1, round(8 * width * value / most))
    if pattern != PATTERNS[0]:
        return pattern * max(1, round(eighths / 8))
    whole, rest = divmod(eighths, 8)
    return pattern * whole + (_PARTS[rest] if rest else "")
