"""A box for text of many lines that takes nothing in which could drive the terminal."""

from textual import events
from textual.widgets import TextArea

from tui.safe import plain

_MARKS_SEEN = 8  # Characters before one that decide whether it piles up; more than any pile that is let through.


def clean_text(text: str) -> str:
    """Return text of many lines without control characters and bidi overrides; tabs become blanks."""
    return "\n".join(plain(line.expandtabs(2)) for line in text.splitlines())


def escape_json(text: str) -> str:
    r"""Return JSON in which every character that may not be shown is written as \uXXXX, which means the same."""
    return "\n".join(map(_escape_line, text.split("\n")))


def _escape_line(line: str) -> str:
    shown = ""
    for character in line:
        # Asked of the line so far, as a pile of accents is harmful where each of them is not.
        is_safe = plain(shown[-_MARKS_SEEN:] + character).endswith(shown[-_MARKS_SEEN:] + character)
        shown += character if is_safe else _escaped(character)
    return shown


def _escaped(character: str) -> str:
    encoded = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{encoded[place : place + 4]}" for place in range(0, len(encoded), 4))


class TextBox(TextArea):
    """Tab leaves it, as it does everywhere."""

    def __init__(self, text: str, *, id: str) -> None:  # noqa: A002
        super().__init__(text, id=id, soft_wrap=True, show_line_numbers=True, compact=True)
        self.cursor_blink = False

    def on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        self.replace(clean_text(event.text), *self.selection)

    def go_to_line(self, line: int) -> None:
        """Put the cursor on a line, counted from 1."""
        self.move_cursor((max(0, line - 1), 0))
