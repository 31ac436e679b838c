"""Take back an email change while the service still allows it."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from shared import limits
from shared.enums import EmailChangeMode
from shared.staff import CustomerDetail, EmailChangeApplied, EmailChangeView, Undo
from tui.actions import Action
from tui.calls import call
from tui.errors import ConsoleError
from tui.formatting import moment, points
from tui.forms import FormPage, form_row
from tui.pages import bindings_for
from tui.safe import join, lines, safe
from tui.widgets.field import Field
from tui.wording import field_errors


class UndoPage(FormPage):
    """Says what comes back, asks why, and takes it back."""

    PAGE = "undo"
    CSS_PATH = "register.tcss"
    AUTO_FOCUS = "#reason"
    BINDINGS = bindings_for("undo")

    def __init__(self, detail: CustomerDetail, change: EmailChangeView) -> None:
        super().__init__()
        self._detail = detail
        self._change = change

    def compose_body(self) -> ComposeResult:
        with Vertical(id="undo-box", classes="box form"):
            yield Static(id="undo-words")
            yield Static(classes="gap")
            yield from form_row(
                "Reason", Field(id="reason", length_max=limits.REASON_LENGTH_MAX), beside="is kept in the audit"
            )

    def on_mount(self) -> None:
        self.query_one("#undo-box").border_title = "Take back an email change"
        self.query_one("#undo-words", Static).update(self._words())
        super().on_mount()

    def _words(self) -> Content:
        change, session = self._change, self.console.session
        assert session is not None
        at = moment(change.confirmed_at or change.requested_at, now=self.console.now(), zone=session.zone)
        back = (
            "Sign-in name, card and balance of the old rewards account come back; what was earned since is kept."
            if change.mode is EmailChangeMode.REISSUE
            else "The old address becomes the sign-in name again. Points, card and history stay as they are."
        )
        return lines(
            join(("Changed   ", "$text-muted"), at),
            join(("From      ", "$text-muted"), (change.old_email, "bold")),
            join(("To        ", "$text-muted"), change.new_email),
            Content(""),
            safe(back),
            safe("All sessions of this customer end, and both addresses are told."),
        )

    def commit(self) -> None:
        self.clear_notes()
        reason = self.text("reason")
        if len(reason) < 3:
            self.show_errors({"reason": "Say why, in a few words."})
            return
        change_id = self._change.id
        self.sent()
        call(
            self,
            "undo",
            lambda client: client.undo_email_change(change_id, Undo(reason=reason), key=self.key),
            done=self._undone,
            failed=self.save_failed,
            is_write=True,
            waiting="Taking it back…",
        )

    def _undone(self, applied: EmailChangeApplied) -> None:
        self.is_saved, self.is_sending = True, False
        balance = f" Balance {points(applied.balance.available)}." if applied.balance else ""
        self.console.say(f"Taken back: the address is {applied.email} again.{balance}", "good")
        self.dismiss()

    def show_failure(self, error: ConsoleError) -> None:
        if not self.show_errors(field_errors(error)):
            super().show_failure(error)

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Take it back"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"Find › {self._detail.given_name} {self._detail.family_name} › Undo"
