"""A text box that cleans what is pasted and can take back the first key of a scan."""

import re
from collections import deque
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input
from textual.widgets.input import Selection

from tui.safe import SHOWN_INSTEAD, plain

_HISTORY = 8  # More than a burst can leak before it is known to be one.
_UNDIALABLE = re.compile(r"[^0-9+]")


def clean_paste(text: str, *, length_max: int | None, phone: bool = False) -> tuple[str, bool]:
    """Return the first line of a paste without controls and doubled blanks, and whether it was cut to length."""
    line = next((found for found in text.splitlines() if found.strip()), "")
    cleaned = " ".join(plain(line).replace(SHOWN_INSTEAD, "").split())
    if phone:
        cleaned = _UNDIALABLE.sub("", cleaned)
    if length_max is not None and len(cleaned) > length_max:
        return cleaned[:length_max], True
    return cleaned, False


class Field(Input):
    """A one-line input: one row high, a steady cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # Enter goes on to the next field, as on a till; a page may use the message instead.
        Binding("enter", "submit", show=False),
    ]

    class Retract(Message, bubble=False):
        """Take the last `count` typed characters back: they were the beginning of a scan."""

        def __init__(self, count: int) -> None:
            super().__init__()
            self.count = count

    class Shortened(Message):
        """Pasted text was longer than the field."""

    def __init__(
        self,
        *,
        id: str,  # noqa: A002
        length_max: int,
        placeholder: str = "",
        is_password: bool = False,
        is_phone: bool = False,
    ) -> None:
        super().__init__(
            id=id,
            max_length=length_max,
            placeholder=placeholder,
            password=is_password,
            compact=True,
            select_on_focus=False,
        )
        self.cursor_blink = False
        self._is_phone = is_phone
        self._history: deque[tuple[str, Selection]] = deque(maxlen=_HISTORY)

    def on_key(self, event: events.Key) -> None:
        if event.is_printable:
            self._history.append((self.value, self.selection))

    def validate_value(self, value: str) -> str:
        """Keep what could drive the terminal out of the field, however it got there."""
        return plain(value)

    def on_field_retract(self, message: Retract) -> None:
        if not 0 < message.count <= len(self._history):
            return
        value, selection = self._history[-message.count]
        start, end = sorted(selection)
        self._history.clear()
        # Only while the field still holds what the keys left there; what was put there since stays.
        if len(self.value) == len(value) - (end - start) + message.count:
            self.value = value
            self.selection = selection

    def on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        room = None
        if self.max_length is not None:
            room = self.max_length - len(self.value) + len(self.selected_text)
        cleaned, was_cut = clean_paste(event.text, length_max=room, phone=self._is_phone)
        if cleaned:
            self.replace(cleaned, *self.selection)
        if was_cut:
            self.post_message(self.Shortened())
