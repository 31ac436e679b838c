"""Tabs as one line of words."""

from collections.abc import Sequence

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.safe import join

_SHORT = 4  # Letters of a tab's word in the narrowest window.


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
        """Return the tabs' words, as long as they fit into one line."""
        first_words = [title.split()[0] for title in self.titles]
        shortened = [word[:_SHORT] for word in first_words]
        for words, end in ((self.titles, " "), (first_words, " "), (first_words, ""), (shortened, "")):
            labels = [
                f"[{index + 1} {word}]" if index == self.active else f" {index + 1} {word}{end}"
                for index, word in enumerate(words)
            ]
            if sum(len(label) + 1 for label in labels) + 1 <= self.size.width:
                break
        return labels

    def render(self) -> Content:
        parts: list[tuple[str, str]] = [("─", "$text-muted")]
        for index, label in enumerate(self._labels()):
            parts.append((label, "bold $accent" if index == self.active else "$foreground"))
            parts.append(("─", "$text-muted"))
        rest = self.size.width - sum(len(text) for text, _ in parts)
        # In a narrow window the first word, the number, has to do.
        notes = (f" {words} " for words in (self.note, self.note.split(" ")[0]) if words)
        note = next((words for words in notes if len(words) <= rest), "")
        return join(*parts, ("─" * max(0, rest - len(note)) + note, "$text-muted"))

    def on_click(self, event: events.Click) -> None:
        start = 1
        for index, label in enumerate(self._labels()):
            if start <= event.x < start + len(label):
                self.post_message(self.Picked(index))
            start += len(label) + 1
