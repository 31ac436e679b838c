"""Labelled values in as many columns as fit."""

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

from tui.formatting import Fact, Tone
from tui.safe import fit, join

TONE_STYLES: dict[Tone, str] = {
    "plain": "$foreground",
    "muted": "$text-muted",
    "strong": "bold $foreground",
    "good": "$success",
    "warn": "$warning",
    "bad": "bold $error",
}
_COLUMN_WIDTH_MIN = 38


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
        columns = max(1, min(4, self.size.width // _COLUMN_WIDTH_MIN))
        width = self.size.width // columns
        lines: list[Content] = []
        for row in range(self.size.height):
            facts = self._facts[row * columns : (row + 1) * columns]
            lines.append(Content("").join(self._fact(fact, width) for fact in facts))
        return Content("\n").join(lines)

    def _fact(self, fact: Fact, width: int) -> Content:
        room = max(0, width - self._label_width - 3)
        return join(
            (" " + fit(fact.label, self._label_width) + " ", "$text-muted"),
            (fit(fact.value.text, room), TONE_STYLES[fact.value.tone]),
            " ",
        )
