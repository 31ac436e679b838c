"""What all forms share: rows with a note under each field, one key for all tries, and no way to lose what was typed."""

from collections.abc import Mapping
from time import monotonic

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input, Label, Static

from shared.email_hints import suggest_email
from tui.client import new_key
from tui.errors import AnswerNotUnderstood, ConsoleError, NoAnswer, Unreachable
from tui.pages import Handlers, Page
from tui.safe import safe
from tui.widgets.bars import StatusTone
from tui.widgets.choice import Choice
from tui.widgets.field import Field
from tui.wording import MAYBE_SAVED

_SURE_SECONDS = 8.0


def form_row(label: str, widget: Widget, *, beside: str = "") -> ComposeResult:
    """Yield a labelled widget with room beside it, and a line below it for what is wrong."""
    with Horizontal(classes="row -with-beside" if beside else "row"):
        yield Label(label, classes="label", markup=False)
        yield widget
        yield Static(safe(beside), classes="beside", id=f"beside-{widget.id}")
    yield Static(classes="note", id=f"note-{widget.id}")


class FormPage(Page):
    """A form. Ctrl+S commits it, Esc leaves it and asks once when something is unsaved."""

    def __init__(self) -> None:
        super().__init__()
        # Made when the form is opened and kept through all tries, so that no try can be carried out twice.
        self.key = new_key()
        self.is_sending = False
        self.is_saved = False
        self.may_be_saved = False
        self._at_first: dict[str, str] = {}
        self._escaped_at = 0.0

    def on_mount(self) -> None:
        self._at_first = self.values()

    # Values and notes -------------------------------------------------------------------------------------------------

    def values(self) -> dict[str, str]:
        """Return what stands in the form, by the widget's id."""
        found = {field.id or "": field.value for field in self.query(Field)}
        return found | {choice.id or "": choice.value for choice in self.query(Choice)}

    def text(self, field_id: str) -> str:
        return self.query_one(f"#{field_id}", Field).value.strip()

    def answer(self, choice_id: str) -> str:
        return self.query_one(f"#{choice_id}", Choice).value

    def has_unsaved_work(self) -> bool:
        return not self.is_saved and bool(self._at_first) and self.values() != self._at_first

    def note(self, field_id: str, words: str, tone: StatusTone = "bad") -> None:
        """Put words under a field; empty words clear them."""
        note = self.query_one(f"#note-{field_id}", Static)
        mark = {"bad": "✗ ", "warn": "! "}.get(tone, "")
        note.update(safe(f"{mark}{words}" if words else ""))
        note.set_class(bool(words), "-shown")
        note.set_class(tone == "bad", "-bad")
        note.set_class(tone == "warn", "-warn")

    def beside(self, field_id: str, words: str) -> None:
        self.query_one(f"#beside-{field_id}", Static).update(safe(words))

    def clear_notes(self) -> None:
        for note in self.query(".note").results(Static):
            note.update("")
            note.set_class(False, "-shown")

    def show_errors(self, errors: Mapping[str, str]) -> bool:
        """Show what is wrong under each field and go to the first of them; False when no field is named."""
        known = [widget.id or "" for widget in self.query("Field, Choice") if widget.id in errors]
        for field_id in known:
            self.note(field_id, errors[field_id])
        if known:
            self.query_one(f"#{known[0]}").focus()
            count = len(known)
            self.console.say(
                "One field needs another look." if count == 1 else f"{count} fields need another look.", "bad"
            )
        return bool(known)

    # A slip in an address -----------------------------------------------------------------------------------------------

    def hint_email(self) -> None:
        """Show beside the email field what may have been meant; it is an offer, and what was typed stays."""
        meant = suggest_email(self.text("email"))
        self.beside("email", f"{meant.rpartition('@')[2]}? F9 takes it" if meant else "")

    def take_hint(self) -> None:
        """Write the suggested address into the email field."""
        meant = suggest_email(self.text("email"))
        if meant is not None:
            field = self.query_one("#email", Field)
            field.value = meant
            field.cursor_position = len(meant)
            self.console.say(f"The address is {meant} now.", "good")

    # Moving, committing, leaving ----------------------------------------------------------------------------------------

    @on(Input.Submitted)
    def _next_field(self) -> None:
        self.focus_next()

    def commit(self) -> None:
        """Check the form and send it."""
        raise NotImplementedError

    def _commit_once(self) -> None:
        if self.is_sending:
            self.console.say("It is being sent; one moment.", "info")
            return
        self.commit()

    def sent(self) -> None:
        """Call this when a request that saves has been sent: until its answer nothing is sent again."""
        self.is_sending = True
        self.frame_changed()

    def save_failed(self, error: ConsoleError) -> None:
        """Keep everything as it is and say what the service said."""
        self.came_back(error)
        self.frame_changed()
        self.show_failure(error)

    def came_back(self, error: ConsoleError) -> None:
        """Take up that sending failed. Once a try may have been carried out, a later one that is lost proves nothing."""
        self.is_sending = False
        if isinstance(error, Unreachable | NoAnswer | AnswerNotUnderstood):
            self.may_be_saved = error.maybe_done = error.maybe_done or self.may_be_saved

    def reconnected(self) -> None:
        super().reconnected()
        if self.may_be_saved:
            self.console.say(f"Connected again. {MAYBE_SAVED}", "warn")

    def show_failure(self, error: ConsoleError) -> None:
        self.console.say_failure(error, in_form=True)

    def leave_form(self) -> None:
        if self.console.stop_waiting(self):
            return
        if self.has_unsaved_work() and monotonic() - self._escaped_at > _SURE_SECONDS:
            self._escaped_at = monotonic()
            unsaved = "This is not saved. Esc again throws it away, Ctrl+S saves it."
            self.console.say(f"{MAYBE_SAVED} Esc again leaves." if self.may_be_saved else unsaved, "warn")
            return
        self.is_saved = True
        self.dismiss()

    def handlers(self) -> Handlers:
        return {"form.commit": self._commit_once, "app.back": self.leave_form}

    def unavailable(self, action_id: str) -> str | None:
        if action_id == "form.commit" and self.is_sending:
            return "it is being sent"
        if action_id == "form.hint" and suggest_email(self.text("email")) is None:
            return "no other address is suggested"
        return None

    def scan_words(self) -> str:
        return "A scan is written into the field with the cursor."

    def take_scan(self, code: str) -> None:
        if not self.put_scan_in_focus(code):
            self.console.say("The scan was not used: no field has the cursor.", "warn")
