"""A form that says what will change and asks once more before it sends it."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from textual import on
from textual.widgets import Input, Static

from shared import limits
from shared.problems import Code
from tui.errors import ConsoleError, Refused
from tui.forms import FormPage
from tui.rule_words import read_instant
from tui.safe import join, lines
from tui.screens.lock_session import zone_named
from tui.widgets.choice import Choice
from tui.widgets.field import Field
from tui.wording import field_errors

ValueT = TypeVar("ValueT")

REASON_LENGTH_MIN = 3


class ConfirmedForm(FormPage):
    """Ctrl+S reads the form and shows what changes, Ctrl+S again sends it. Nothing typed is lost when it is refused."""

    # Where the service calls a field otherwise than the form does.
    FIELD_OF: dict[str, str] = {}

    def __init__(self) -> None:
        super().__init__()
        self._wrong: dict[str, str] = {}
        self._shown_for: dict[str, str] | None = None

    # Reading ------------------------------------------------------------------------------------------------------------

    def read(self, field_id: str, reader: Callable[[str], ValueT], *, empty: ValueT | None = None) -> ValueT | None:
        """Return what a field says; `empty` for an empty one, if that is allowed. What is wrong is kept for `wrong`."""
        text = self.text(field_id)
        if not text and empty is not None:
            return empty
        try:
            return reader(text)
        except ValueError as error:
            self._wrong[field_id] = str(error)
            return None

    def read_optional(self, field_id: str, reader: Callable[[str], ValueT]) -> ValueT | None:
        """Return what a field says, None for an empty one."""
        return self.read(field_id, reader) if self.text(field_id) else None

    def read_reason(self) -> str:
        reason = self.text("reason")
        if len(reason) < REASON_LENGTH_MIN:
            self._wrong["reason"] = "Say why, in a few words; it is kept in the audit."
        return reason[: limits.REASON_LENGTH_MAX]

    def wrong(self) -> dict[str, str]:
        """Return what could not be read since the last time this was asked, by field."""
        found, self._wrong = self._wrong, {}
        return found

    # Asking once more ---------------------------------------------------------------------------------------------------

    def confirms(self, changes: list[str], *, button: str = "saves it") -> bool:
        """Return whether exactly this was shown before; else show it and wait for another Ctrl+S."""
        values = self.values()
        if self._shown_for == values:
            self._shown_for = None
            return True
        self._shown_for = values
        told = [join(("What changes", "bold $accent")), *(join((f"  {change}", "")) for change in changes)]
        shown = self.query_one("#changes", Static)
        shown.update(lines(*told))
        # Only once it is laid out is it known how far down it goes.
        self.call_after_refresh(lambda: self.query_one(".manager").scroll_end(animate=False))
        self.console.say(f"Read what changes below, then Ctrl+S again {button}.", "info")
        return False

    @on(Input.Changed)
    @on(Choice.Changed)
    def _edited(self, event: Input.Changed | Choice.Changed) -> None:
        if self._shown_for is not None and self._shown_for != self.values():
            self._shown_for = None
            self.query_one("#changes", Static).update("")
        if event.control.id and self.query(f"#note-{event.control.id}"):
            self.note(event.control.id, "")

    # When somebody was faster -------------------------------------------------------------------------------------------

    def ask_theirs(self) -> None:
        """Fetch what somebody else has saved meanwhile, for `meet_theirs`."""
        raise NotImplementedError

    def meet_theirs(self, before: dict[str, str], theirs: dict[str, str]) -> None:
        """Take over what somebody else changed, and where both changed a field keep what is typed and show theirs."""
        typed = self.values()
        # What stands here already may have been saved by an earlier try of this very form, whose answer was lost.
        changed = [
            field_id for field_id, text in theirs.items() if text != before[field_id] and text != typed[field_id]
        ]
        notes: dict[str, str] = {}
        for field_id in changed:
            text = theirs[field_id]
            if typed[field_id] == before[field_id]:
                # An edit takes the note of its field away; this is none.
                with self.prevent(Input.Changed, Choice.Changed):
                    self.put_any(field_id, text)
                notes[field_id] = "somebody else changed this just now"
            else:
                notes[field_id] = f"somebody else saved: {text or 'nothing'}"
        self._at_first = self._at_first | theirs
        self.query_one("#changes", Static).update("")
        self._show_notes(notes)
        if not notes:
            self.console.say("It is saved as it stands here, by somebody or by the try before.", "good")
            return
        self.console.say("Somebody changed this meanwhile. Read the notes; Ctrl+S keeps what stands here.", "warn")

    def _show_notes(self, notes: dict[str, str]) -> None:
        for field_id, words in notes.items():
            self.note(field_id, words, "warn")
        first = next((self.query_one(f"#{field_id}") for field_id in notes), None)
        if first is not None:
            first.focus()
            self.call_after_refresh(lambda: first.scroll_visible(animate=False, top=True))

    def put_any(self, field_id: str, text: str) -> None:
        """Put a value into a field or a choice."""
        widget = self.query_one(f"#{field_id}")
        if isinstance(widget, Field | Choice):
            widget.value = text

    def show_failure(self, error: ConsoleError) -> None:
        if isinstance(error, Refused) and error.problem.code is Code.VERSION_CONFLICT:
            self.ask_theirs()
            return
        errors = {self.FIELD_OF.get(field, field): words for field, words in field_errors(error).items()}
        if not self.show_errors(errors):
            super().show_failure(error)

    def put(self, field_id: str, text: str) -> None:
        """Put a value into a field; in the one with the cursor all of it is selected, so that typing replaces it."""
        field = self.query_one(f"#{field_id}", Field)
        field.value = text
        if self.focused is field:
            field.action_select_all()


def instant_reader(zone: str) -> Callable[[str], datetime]:
    """Return a reader of times of a zone."""
    tz = zone_named(zone)
    return lambda text: read_instant(text, tz)


def write_instant(at: datetime | None, zone: str) -> str:
    """Return a time of a zone as a form shows it; empty for none."""
    return "" if at is None else f"{at.astimezone(zone_named(zone)):%Y-%m-%d %H:%M}"
