"""Tabs as one line of words."""

from collections.abc import Sequence

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.safe import join


class TabLine(Widget):
    """Numbered words; the one in brackets is shown below."""

    class Picked(Message):
        """A tab was clicked; `index` counts from 0."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    active: reactive[int] = reactive(0)
    titles: reactive[tuple[str, ...]] = reactive(())
    note: reactive[str] = reactive("")

    def __init__(self, titles: Sequence[str]) -> None:
        super().__init__()
        self.set_reactive(TabLine.titles, tuple(titles))

    def _labels(self) -> list[str]:
        wide = self.size.width >= sum(len(title) + 6 for title in self.titles) + 2
        labels = []
        for index, title in enumerate(self.titles):
            short = title if wide else title.split()[0]
            labels.append(f"[{index + 1} {short}]" if index == self.active else f" {index + 1} {short} ")
        return labels

    def render(self) -> Content:
        parts: list[tuple[str, str]] = [("─", "$text-muted")]
        for index, label in enumerate(self._labels()):
            parts.append((label, "bold $accent" if index == self.active else "$foreground"))
            parts.append(("─", "$text-muted"))
        rest = self.size.width - sum(len(text) for text, _ in parts)
        note = f" {self.note} " if self.note and len(self.note) + 2 <= rest else ""
        return join(*parts, ("─" * max(0, rest - len(note)) + note, "$text-muted"))

    def on_click(self, event: events.Click) -> None:
        start = 1
        for index, label in enumerate(self._labels()):
            if start <= event.x < start + len(label):
                self.post_message(self.Picked(index))
            start += len(label) + 1
