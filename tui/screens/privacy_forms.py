"""Asking for a copy of everything held about a customer, and for a customer to be forgotten."""

from collections.abc import Awaitable

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from shared import limits
from shared.privacy import ErasurePreview, ErasureView, ExportView, StaffErasureRequest, StaffExportRequest
from shared.staff import CustomerDetail
from tui.actions import Action
from tui.calls import call
from tui.client import Client
from tui.errors import ConsoleError
from tui.formatting import full_name
from tui.forms import FormPage, form_row
from tui.obstacles import obstacles
from tui.pages import bindings_for
from tui.privacy_words import NEEDS, effect_words, erasure_said
from tui.safe import join, lines, safe
from tui.screens.danger import Danger, make_sure
from tui.screens.preview_form import PreviewForm
from tui.widgets.choice import NO_YES, Choice
from tui.widgets.field import Field
from tui.wording import blocker_words, field_errors

_REASON_LENGTH_MIN = 3
_SURE_OF = "they stand here, I am sure"
_ATTEST = "Only for a customer who stands here and whom you are sure of."
_WHY = "Say why, in a few words; it is kept in the audit."


class CopyPage(FormPage):
    """Who vouches that it is the customer who asks, and why; the copy is made in the background."""

    PAGE = "copy"
    CSS_PATH = "privacy.tcss"
    AUTO_FOCUS = "#attested"
    BINDINGS = bindings_for("copy")

    def __init__(self, detail: CustomerDetail) -> None:
        super().__init__()
        self._detail = detail
        self._who = full_name(detail.given_name, detail.family_name)

    def compose_body(self) -> ComposeResult:
        to = self._detail.email if self._detail.email_status == "verified" else None
        words = (
            f"A link to it is mailed to {to}."
            if to
            else "No mail reaches them: write it to a file here once it is ready."
        )
        with Vertical(id="copy-box", classes="box form"):
            yield Static(safe("Everything held about the customer, for programs and to read, as one file."))
            yield Static(safe(words), id="copy-words")
            yield Static(classes="gap")
            yield from form_row("Identity", Choice(NO_YES, value="no", id="attested"), beside=_SURE_OF)
            yield from form_row("Reason", Field(id="reason", length_max=limits.REASON_LENGTH_MAX))

    def on_mount(self) -> None:
        self.query_one("#copy-box").border_title = safe(f"A copy of everything held about {self._who}")
        super().on_mount()

    def commit(self) -> None:
        self.clear_notes()
        missing = _missing(self)
        if missing:
            self.show_errors(missing)
            return
        wish = StaffExportRequest(identity_attested=True, reason=self.text("reason"))
        customer_id = self._detail.id
        self.sent()
        call(
            self,
            "copy",
            lambda client: client.request_export(customer_id, wish, key=self.key),
            done=self._asked,
            failed=self.save_failed,
            is_write=True,
            waiting="Asking for the copy…",
        )

    def _asked(self, _: ExportView) -> None:
        self.is_saved, self.is_sending = True, False
        self.console.say("The copy is being made. F5 shows when it is ready.", "good")
        self.dismiss()

    def show_failure(self, error: ConsoleError) -> None:
        errors = {_FIELD_OF.get(field, field): words for field, words in field_errors(error).items()}
        if not self.show_errors(errors):
            super().show_failure(error)

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Make the copy"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"{self._who} › Copy of everything"


class ErasePage(PreviewForm[StaffErasureRequest, ErasurePreview, ErasureView]):
    """What will be gone stands there before anything is asked for; a second person and a few days stand before it happens."""

    PAGE = "erase"
    AUTO_FOCUS = "#attested"
    BINDINGS = bindings_for("erase")
    WAITING_WORDS = "Asking for it…"
    FIELD_OF = {"identity_attested": "attested"}

    def __init__(self, detail: CustomerDetail) -> None:
        super().__init__()
        self._detail = detail
        self._who = full_name(detail.given_name, detail.family_name)
        self.TITLE_WORDS = f"Let {self._who} be forgotten"

    def compose_form(self) -> ComposeResult:
        yield from form_row("Identity", Choice(NO_YES, value="no", id="attested"), beside=_SURE_OF)
        yield from form_row("Reason", Field(id="reason", length_max=limits.REASON_LENGTH_MAX))

    def missing(self) -> dict[str, str]:
        return _missing(self)

    def wish(self) -> StaffErasureRequest | None:
        if self.missing():
            return None
        return StaffErasureRequest(identity_attested=True, reason=self.text("reason"))

    def ask(self, client: Client, wish: StaffErasureRequest) -> Awaitable[ErasurePreview]:
        del wish  # The effect is the same for every reason.
        return client.preview_erasure(self._detail.id)

    def send(self, client: Client, wish: StaffErasureRequest, preview: ErasurePreview) -> Awaitable[ErasureView]:
        return client.request_erasure(self._detail.id, replace(wish, preview_hash=preview.preview_hash), key=self.key)

    def blockers(self, preview: ErasurePreview) -> tuple[str, ...]:
        return tuple(map(blocker_words, preview.blockers))

    def told(self, preview: ErasurePreview) -> Content:
        told = obstacles(preview.blockers, preview.warnings)
        told += [join(("! ", "bold $warning"), (NEEDS[need], "$warning")) for need in preview.needs]
        if preview.effect is not None:
            told += [safe(f"· {words}") for words in effect_words(preview.effect)]
        return lines(*told)

    def confirmed(self) -> None:
        card = next((card.code for card in self._detail.cards if card.status == "active"), "")
        preview = self.preview
        told = effect_words(preview.effect) if preview is not None and preview.effect is not None else []
        danger = Danger(
            title="Be forgotten",
            words=" ".join([f"{self._who} is forgotten for good.", *told]),
            code=card,
            code_words="the card",
            commit_words="Ask for it",
        )
        make_sure(self, danger, self.send_now)

    def applied(self, answer: ErasureView) -> None:
        session = self.console.session
        if session is not None:
            self.console.say(erasure_said(answer, now=self.console.now(), zone=session.zone), "warn")
        self.dismiss()

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Ask for it"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"{self._who} › Be forgotten"


_FIELD_OF = {"identity_attested": "attested"}


def _missing(form: FormPage) -> dict[str, str]:
    """Return what both forms need and do not have yet."""
    missing = {} if form.answer("attested") == "yes" else {"attested": _ATTEST}
    return missing if len(form.text("reason")) >= _REASON_LENGTH_MIN else missing | {"reason": _WHY}
