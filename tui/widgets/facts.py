"""Labelled values in as many columns as fit."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from tui.formatting import Fact, Tone
from tui.safe import fit, join, lines, plain

TONE_STYLES: dict[Tone, str] = {
    "plain": "$foreground",
    "muted": "$text-muted",
    "strong": "bold $foreground",
    "good": "$success",
    "warn": "$warning",
    "bad": "bold $error",
}
_TWO_COLUMNS_FROM = 72
_COLUMN_WIDTH = 50


class Facts(Widget):
    """A grid of facts that never scrolls: what does not fit in its rows is left out, the most wanted stand first."""

    def __init__(self, *, id: str, label_width: int = 10) -> None:  # noqa: A002
        super().__init__(id=id)
        self._facts: tuple[Fact, ...] = ()
        self._label_width = label_width

    def show(self, facts: Sequence[Fact]) -> None:
        self._facts = tuple(facts)
        self.refresh()

    def render(self) -> Content:
        columns = 1 if self.size.width < _TWO_COLUMNS_FROM else max(2, self.size.width // _COLUMN_WIDTH)
        width = self.size.width // columns
        told: list[Content] = []
        for row in range(self.size.height):
            facts = self._facts[row * columns : (row + 1) * columns]
            told.append(Content("").join(self._fact(fact, width) for fact in facts))
        return lines(*told)

    def _fact(self, fact: Fact, width: int) -> Content:
        room = max(0, width - self._label_width - 3)
        tail = f" {fact.tail.text}" if fact.tail.text else ""
        # The value takes what the tail leaves, and the tail follows it directly.
        value = fit(fact.value.text, min(cell_len(plain(fact.value.text)), max(0, room - cell_len(tail))))
        padding = " " * max(0, room - cell_len(value) - cell_len(tail))
        return join(
            (" " + fit(fact.label, self._label_width) + " ", "$text-muted"),
            (value, TONE_STYLES[fact.value.tone]),
            (tail, TONE_STYLES[fact.tail.tone]),
            padding + " ",
        )
