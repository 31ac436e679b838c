"""One of a few ways to go on, each with the sentence that says what it means."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.safe import fit, join, lines


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A way to go on; `refused_because` says why it cannot be chosen."""

    value: str
    title: str
    meaning: str
    refused_because: str = ""


class Picker(Widget, can_focus=True):
    """Numbered ways, two lines each; the chosen one has brackets around its number."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(-1)", show=False),
        Binding("down", "step(1)", show=False),
        Binding("enter", "go_on", show=False),
    ]

    class Changed(Message):
        """Another way was chosen."""

        def __init__(self, value: str) -> None:
            super().__init__()
            self.value = value

    value: reactive[str] = reactive("")

    def __init__(self, ways: Sequence[Way], *, value: str, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._ways = tuple(ways)
        self.set_reactive(Picker.value, value)
        self.styles.height = len(ways) * 2

    def render(self) -> Content:
        told: list[Content] = []
        for number, way in enumerate(self._ways, start=1):
            chosen = way.value == self.value
            style = "$text-disabled" if way.refused_because else "bold $foreground" if chosen else "$foreground"
            mark = f"[{number}]" if chosen else f" {number} "
            meaning = f"not possible: {way.refused_because}" if way.refused_because else way.meaning
            told.append(join((f"{mark} {way.title}", style)))
            told.append(join((fit(f"    {meaning}", self.size.width), "$text-muted")))
        return lines(*told)

    def choose(self, index: int) -> None:
        """Choose a way by its place, unless it is refused."""
        if 0 <= index < len(self._ways) and not self._ways[index].refused_because:
            self.value = self._ways[index].value
            self.post_message(self.Changed(self.value))

    def action_step(self, step: int) -> None:
        index = next((place for place, way in enumerate(self._ways) if way.value == self.value), -1) + step
        while 0 <= index < len(self._ways) and self._ways[index].refused_because:
            index += step
        self.choose(index)

    def action_go_on(self) -> None:
        self.screen.focus_next()

    def on_key(self, event: events.Key) -> None:
        if event.character is not None and event.character in "123456789":
            event.stop()
            self.choose(int(event.character) - 1)

    def on_click(self, event: events.Click) -> None:
        self.choose(event.y // 2)
