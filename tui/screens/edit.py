"""Change a customer's name, birthday, postal address or notes."""

from msgspec import UNSET
from textual.app import ComposeResult
from textual.containers import Vertical

from shared import limits
from shared.problems import Code
from shared.staff import CustomerChange, CustomerDetail
from tui.calls import call
from tui.errors import ConsoleError, Refused
from tui.formatting import birthday, parse_birthday
from tui.forms import FormPage, form_row
from tui.pages import bindings_for
from tui.safe import plain
from tui.widgets.field import Field
from tui.wording import field_errors

_FIELDS = ("given_name", "family_name", "birthday", "postal_address", "post_code", "notes")


def _texts(detail: CustomerDetail) -> dict[str, str]:
    """Return a customer's fields as they stand in the form."""
    return {
        "given_name": plain(detail.given_name),
        "family_name": plain(detail.family_name),
        "birthday": "" if detail.birthday is None else birthday(detail.birthday),
        "postal_address": plain(detail.postal_address),
        "post_code": plain(detail.post_code),
        "notes": plain(detail.notes),
    }


class EditPage(FormPage):
    """Only what was changed is sent, with the version it was changed on."""

    PAGE = "edit"
    CSS_PATH = "register.tcss"
    AUTO_FOCUS = "#given_name"
    BINDINGS = bindings_for("edit")

    def __init__(self, detail: CustomerDetail) -> None:
        super().__init__()
        self._detail = detail

    def compose_body(self) -> ComposeResult:
        with Vertical(id="edit-box", classes="box form"):
            yield from form_row("Given name", Field(id="given_name", length_max=limits.NAME_LENGTH_MAX))
            yield from form_row("Family name", Field(id="family_name", length_max=limits.NAME_LENGTH_MAX))
            yield from form_row("Birthday", Field(id="birthday", length_max=20), beside="like 2.5.1961 or 2 May")
            address = Field(id="postal_address", length_max=limits.POSTAL_ADDRESS_LENGTH_MAX)
            yield from form_row("Address", address, beside="street, town; for letters")
            yield from form_row("Post code", Field(id="post_code", length_max=limits.POST_CODE_LENGTH_MAX))
            yield from form_row("Note", Field(id="notes", length_max=limits.REASON_LENGTH_MAX))

    def on_mount(self) -> None:
        self.query_one("#edit-box").border_title = "Change name, birthday, postal address or notes"
        self._fill(self._detail)
        super().on_mount()

    def _fill(self, detail: CustomerDetail) -> None:
        for field_id, text in _texts(detail).items():
            self.query_one(f"#{field_id}", Field).value = text

    def commit(self) -> None:
        self.clear_notes()
        try:
            day = parse_birthday(self.text("birthday"))
        except ValueError:
            self.show_errors({"birthday": "Not a day of the year. Write it like 2.5.1961 or 2 May."})
            return
        before = _texts(self._detail)
        changed = {field_id for field_id in _FIELDS if self.text(field_id) != before[field_id].strip()}
        if not self.text("given_name"):
            self.show_errors({"given_name": "A name is needed."})
            return
        if not changed:
            self.console.say("Nothing was changed.", "info")
            return
        change = CustomerChange(
            version=self._detail.version,
            given_name=self.text("given_name") if "given_name" in changed else UNSET,
            family_name=self.text("family_name") if "family_name" in changed else UNSET,
            birthday=day if "birthday" in changed else UNSET,
            postal_address=self.text("postal_address") if "postal_address" in changed else UNSET,
            post_code=self.text("post_code") if "post_code" in changed else UNSET,
            notes=self.text("notes") if "notes" in changed else UNSET,
        )
        customer_id = self._detail.id
        self.sent()
        call(
            self,
            "edit",
            lambda client: client.change_customer(customer_id, change),
            done=self._changed,
            failed=self.save_failed,
            is_write=True,
            waiting="Saving…",
        )

    def _changed(self, detail: CustomerDetail) -> None:
        del detail  # The customer's page asks for itself when it is shown again.
        self.is_saved, self.is_sending = True, False
        self.console.say("Saved.", "good")
        self.dismiss()

    def show_failure(self, error: ConsoleError) -> None:
        if isinstance(error, Refused) and error.problem.code is Code.VERSION_CONFLICT:
            self._look_at_theirs()
        elif not self.show_errors(field_errors(error)):
            super().show_failure(error)

    def _look_at_theirs(self) -> None:
        customer_id = self._detail.id
        call(self, "theirs", lambda client: client.get_customer(customer_id), done=self._show_theirs)

    def _show_theirs(self, detail: CustomerDetail) -> None:
        """Show what somebody else saved beside what is typed here; the next Ctrl+S is made on their version."""
        theirs, before = _texts(detail), _texts(self._detail)
        for field_id in _FIELDS:
            if theirs[field_id] != before[field_id]:
                self.note(field_id, f"somebody else saved: {theirs[field_id] or 'nothing'}", "warn")
        self._detail = detail
        self.console.say("Somebody changed this meanwhile. Ctrl+S keeps yours, F5 takes theirs.", "warn")

    def refresh_data(self) -> None:
        """Take what the service has, in place of what was typed."""
        self.clear_notes()
        self._fill(self._detail)

    def crumbs(self) -> str:
        return f"Find › {self._detail.given_name} {self._detail.family_name} › Edit"
