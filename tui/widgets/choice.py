"""A choice in words: the chosen answer stands in brackets, so that it can be told apart without colour."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.safe import join


class Option(msgspec.Struct, frozen=True):
    """An answer, its words, and the key that gives it."""

    value: str
    words: str
    key: str


YES_NO_NOT_ASKED = (Option("yes", "yes", "y"), Option("no", "no", "n"), Option("not_asked", "not asked", "a"))
NO_YES = (Option("no", "no", "n"), Option("yes", "yes", "y"))


class Choice(Widget, can_focus=True):
    """One of a few answers on one line. A key gives an answer and moves on; left and right look through them.

    With an empty value nothing is chosen yet.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", show=False),
        Binding("right,space", "step(1)", show=False),
        Binding("enter", "go_on", show=False),
    ]

    class Changed(Message):
        """Another answer was given."""

        def __init__(self, choice: "Choice", value: str) -> None:
            super().__init__()
            self.choice = choice
            self.value = value

        @property
        def control(self) -> "Choice":
            return self.choice

    value: reactive[str] = reactive("")
    locked_because: reactive[str] = reactive("")

    def __init__(self, options: Sequence[Option], *, value: str, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._options = tuple(options)
        self.set_reactive(Choice.value, value)

    def render(self) -> Content:
        if self.locked_because:
            words = self._options[max(0, self._index)].words
            return join((f"{words} ({self.locked_because})", "$text-muted"))
        parts: list[tuple[str, str]] = []
        for option in self._options:
            chosen = option.value == self.value
            words = f"[{option.words}]" if chosen else f" {option.words} "
            parts.append((words, "bold $foreground" if chosen else "$text-muted"))
            parts.append(("  ", ""))
        return join(*parts)

    def offer(self, options: Sequence[Option], *, value: str) -> None:
        """Offer other answers, of which one, or none yet, is chosen."""
        self._options = tuple(options)
        self.value = value
        self.refresh(layout=True)

    @property
    def _index(self) -> int:
        """The place of the chosen answer; -1 while nothing is chosen."""
        return next((place for place, option in enumerate(self._options) if option.value == self.value), -1)

    def choose(self, value: str) -> None:
        """Give an answer, unless the choice is locked."""
        if self.locked_because or value == self.value:
            return
        self.value = value
        self.post_message(self.Changed(self, value))

    def action_step(self, step: int) -> None:
        index = max(self._index + step, 0) if self._index < 0 else self._index + step
        self.choose(self._options[index % len(self._options)].value)

    def action_go_on(self) -> None:
        self.screen.focus_next()

    def on_key(self, event: events.Key) -> None:
        for option in self._options:
            if event.character == option.key:
                event.stop()
                self.choose(option.value)
                self.action_go_on()

    def on_click(self, event: events.Click) -> None:
        start = 0
        for option in self._options:
            end = start + len(option.words) + 2
            if start <= event.x < end:
                self.choose(option.value)
            start = end + 2
