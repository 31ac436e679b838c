"""Change or correct a customer's email address, with a preview of everything that will happen."""

from functools import partial
from typing import Literal
from uuid import UUID

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, Static

from shared import limits
from shared.enums import EmailChangeMode, Permission
from shared.problems import Code
from shared.staff import (
    CustomerDetail,
    EmailChangeApplied,
    EmailChangePreview,
    EmailCorrection,
    EmailOverrideRequest,
    EmailOverrideView,
    StaffEmailChange,
)
from tui.actions import Action
from tui.calls import call
from tui.changes import CHANGED, Changes
from tui.client import Client
from tui.errors import ConsoleError, Refused
from tui.formatting import contact_state, full_name, moment, points
from tui.forms import FormPage, form_row
from tui.pages import Handlers, bindings_for
from tui.safe import join
from tui.screens.danger import Danger, DangerDialog
from tui.screens.preview import preview_words
from tui.widgets.choice import NO_YES, Choice
from tui.widgets.field import Field
from tui.widgets.picker import Picker, Way
from tui.wording import WHO_MAY, existing_customer_id, field_errors

Mode = Literal["keep", "reissue", "correction", "override"]
EmailRequest = StaffEmailChange | EmailCorrection | EmailOverrideRequest

_TYPO = "Typing error"
_ONCE_PROVEN = ("verified", "bouncing")
_FIELD_OF = {"new_email": "email", "identity_attested": "attested"}


def ways_for(detail: CustomerDetail, permissions: tuple[Permission, ...]) -> list[Way]:
    """Return the ways to another address; a typo comes first while the old address was never proven, and is none after."""
    # Nobody reads what comes back, so nobody there can be asked.
    is_proven = detail.email_status == "verified" and not detail.email_bouncing
    no_change = "" if Permission.EMAIL_CHANGE in permissions else WHO_MAY[Permission.EMAIL_CHANGE]
    no_correction = "" if Permission.EMAIL_CORRECT in permissions else WHO_MAY[Permission.EMAIL_CORRECT]
    if detail.email is None:
        no_correction = no_correction or "there is no address to correct"
    keep = Way(
        value="keep",
        title="Same person, another address",
        meaning="The sign-in name changes. Points, card and history stay.",
        refused_because=no_change,
    )
    reissue = Way(
        value="reissue",
        title="No tie to the old address: close and reissue",
        meaning="Old rewards account closed; new one and new card with the same points.",
        refused_because=no_change,
    )
    override = Way(
        value="override",
        title="They cannot reach the old address any more",
        meaning="A second person approves; changed after 3 days unless somebody stops it.",
        refused_because=no_correction,
    )
    correction = Way(
        value="correction",
        title="Typo: the address was written down wrong",
        meaning=(
            "It was proven once: spending waits a day; 7 days to take it back."
            if detail.email_status in _ONCE_PROVEN
            else "The address is put right. Nothing else changes."
        ),
        refused_because=no_correction,
    )
    if is_proven:
        return [keep, reissue, override]
    return [keep, reissue, correction] if detail.email is None else [correction, keep, reissue]


class EmailPage(FormPage):
    """New address, way, who vouches and why; then the service's preview of exactly that; then Ctrl+S."""

    PAGE = "email"
    CSS_PATH = "email_change.tcss"
    AUTO_FOCUS = "#email"
    BINDINGS = bindings_for("email")

    def __init__(self, detail: CustomerDetail) -> None:
        super().__init__()
        self._detail = detail
        self._preview: EmailChangePreview | None = None
        self._preview_of: EmailRequest | None = None
        self._soon: Timer | None = None
        self._changes = Changes()

    def compose_body(self) -> ComposeResult:
        session = self.console.session
        assert session is not None
        ways = ways_for(self._detail, session.staff.permissions)
        first = next((way.value for way in ways if not way.refused_because), "")
        with Horizontal(id="email-page"):
            with VerticalScroll(id="email-box", classes="box", can_focus=False):
                yield Static(id="email-now")
                yield from form_row("New address", Field(id="email", length_max=limits.EMAIL_LENGTH_MAX), beside=" ")
                yield Picker(ways, value=first, id="way")
                yield from form_row(
                    "Identity", Choice(NO_YES, value="no", id="attested"), beside="they stand here, I am sure"
                )
                yield from form_row("Reason", Field(id="reason", length_max=limits.REASON_LENGTH_MAX))
            with VerticalScroll(id="preview-box", classes="box"), Vertical():
                yield Static(id="preview")

    def on_mount(self) -> None:
        self.query_one("#email-box").border_title = "Change the email address"
        self.query_one("#preview-box").border_title = "What will happen"
        detail = self._detail
        state = contact_state("bouncing" if detail.email_bouncing else detail.email_status)
        now = join(
            ("Address now     ", "$text-muted"),
            (detail.email or "none", "bold"),
            f"  {state.text}" if detail.email else "",
        )
        self.query_one("#email-now", Static).update(now)
        self._lock_identity()
        self._show_preview()
        super().on_mount()

    # What is asked for --------------------------------------------------------------------------------------------------

    @property
    def mode(self) -> Mode | None:
        value = self.query_one("#way", Picker).value
        return value if value in ("keep", "reissue", "correction", "override") else None  # type: ignore[return-value]  # Just compared.

    def values(self) -> dict[str, str]:
        return super().values() | {"way": self.query_one("#way", Picker).value}

    def _request(self) -> EmailRequest | None:
        """Return what would be sent, None while something is missing."""
        email, reason, mode = self.text("email"), self.text("reason"), self.mode
        if self._missing() or mode is None:
            return None
        if mode == "correction":
            return EmailCorrection(new_email=email, reason=reason, identity_attested=not self._is_mere_typo())
        if mode == "override":
            return EmailOverrideRequest(new_email=email, reason=reason, identity_attested=True)
        return StaffEmailChange(new_email=email, mode=EmailChangeMode(mode), reason=reason, identity_attested=True)

    def _missing(self) -> dict[str, str]:
        missing: dict[str, str] = {}
        if "@" not in self.text("email").strip("@"):
            missing["email"] = "Type the new address."
        if not self._is_mere_typo() and self.answer("attested") != "yes":
            missing["attested"] = "Only for a customer who stands here and whom you are sure of."
        if len(self.text("reason")) < 3:
            missing["reason"] = "Say why, in a few words; it is kept in the audit."
        return missing

    @on(Input.Changed)
    @on(Choice.Changed)
    @on(Picker.Changed)
    def _changed(self, event: Input.Changed | Choice.Changed | Picker.Changed) -> None:
        if not isinstance(event, Picker.Changed) and event.control.id:
            self.note(event.control.id, "")
        if isinstance(event, Picker.Changed):
            self._preselect_reason()
        self._changes.forget()
        self.hint_email()
        self._lock_identity()
        self._show_preview()
        if self._soon is not None:
            self._soon.stop()
        if self._request() is not None and self._request() != self._preview_of:
            self._soon = self.set_timer(self.console.options.typing_pause_seconds, self._ask_preview)

    def _preselect_reason(self) -> None:
        """A typo is its own reason; for anything else staff say why."""
        reason = self.query_one("#reason", Field)
        if self.mode == "correction" and not reason.value:
            reason.value = _TYPO
        elif self.mode != "correction" and reason.value == _TYPO:
            reason.value = ""

    def _lock_identity(self) -> None:
        locked = "not needed for a typo" if self._is_mere_typo() else ""
        self.query_one("#attested", Choice).locked_because = locked

    def _is_mere_typo(self) -> bool:
        """Return whether nobody has ever proven the address that is put right."""
        return self.mode == "correction" and self._detail.email_status not in _ONCE_PROVEN

    # Preview ------------------------------------------------------------------------------------------------------------

    def refresh_data(self) -> None:
        """Ask again for a preview that could not be had. One that was read stays, as a lost answer may be about it."""
        if not self._has_preview():
            self._ask_preview()

    def _ask_preview(self) -> None:
        request = self._request()
        if request is None or self.is_sending:
            return
        customer_id = self._detail.id
        call(
            self,
            "preview",
            lambda client: _preview(client, customer_id, request),
            done=partial(self._previewed, request),
            waiting="Asking what will happen…",
        )

    def _previewed(self, request: EmailRequest, preview: EmailChangePreview) -> None:
        if request == self._request():
            self._preview, self._preview_of = preview, request
            if self._changes.came(self._told(preview)):
                self.console.say(CHANGED, "warn")
            self._show_preview()

    def _has_preview(self) -> bool:
        return self._preview is not None and self._preview_of == self._request()

    def _show_preview(self) -> None:
        session = self.console.session
        if session is None:
            return
        self.query_one("#preview", Static).update(self._preview_words())
        self.frame_changed()

    def _preview_words(self) -> Content:
        if self._preview is not None and self._has_preview():
            return self._changes.above(self._told(self._preview))
        if self._request() is not None:
            return join(("Asking the service…", "$text-muted"))
        return join(
            ("Nothing changes before you confirm. Once the form is complete, the effects show here.", "$text-muted")
        )

    def _told(self, preview: EmailChangePreview) -> Content:
        session = self.console.session
        assert session is not None
        return preview_words(preview, now=self.console.now(), zone=session.zone)

    # Saving -------------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        self.clear_notes()
        missing = self._missing()
        if self.mode is None:
            self.console.say("Choose what kind of change it is.", "warn")
        elif missing:
            self.show_errors(missing)
        elif not self._has_preview():
            self._ask_preview()
            self.console.say("Read what will happen, then Ctrl+S again.", "info")
        elif self._preview is not None and self._preview.blockers:
            self.console.say(f"This cannot be done: {self._preview.blockers[0]}", "bad")
        elif self.mode == "reissue":
            self.app.push_screen(DangerDialog(self._danger()), self._danger_answered)
        else:
            self._send()

    def _danger(self) -> Danger:
        assert self._preview is not None
        name = full_name(self._detail.given_name, self._detail.family_name)
        cards = self._preview.cards_retired or tuple(
            card.code for card in self._detail.cards if card.status == "active"
        )
        balance = self._preview.balance_before
        points_words = f" {points(balance.available)} points move to the new one." if balance else ""
        return Danger(
            title="Close and reissue",
            words=f"The rewards account of {name} is closed and a new one is issued.{points_words} The old card stops scanning.",
            code=cards[0] if cards else "",
            code_words="the old card",
            commit_words="Reissue",
        )

    def _danger_answered(self, is_sure: bool | None) -> None:  # noqa: FBT001  # The dialog's result comes like this.
        if is_sure:
            self._send()
        else:
            self.console.say("Nothing was changed.", "info")

    def _send(self) -> None:
        request, preview, customer_id = self._request(), self._preview, self._detail.id
        assert request is not None
        assert preview is not None
        confirmed = replace(request, preview_hash=preview.preview_hash)
        self.sent()
        if isinstance(confirmed, EmailOverrideRequest):
            wish = confirmed
            call(
                self,
                "change email",
                lambda client: client.request_email_override(customer_id, wish, key=self.key),
                done=self._asked,
                failed=self.save_failed,
                is_write=True,
                waiting="Asking for it…",
            )
            return
        call(
            self,
            "change email",
            lambda client: (
                client.correct_email(customer_id, confirmed, key=self.key)
                if isinstance(confirmed, EmailCorrection)
                else client.change_email(customer_id, confirmed, key=self.key)
            ),
            done=self._applied,
            failed=self.save_failed,
            is_write=True,
            waiting="Changing the address…",
        )

    def _asked(self, asked: EmailOverrideView) -> None:
        self.is_saved, self.is_sending = True, False
        words = "Nothing has changed yet. A manager other than you approves it within 24 hours (^P email corrections)."
        self.console.say(f"{asked.new_email} was asked for. {words}", "good")
        self.dismiss()

    def _applied(self, applied: EmailChangeApplied) -> None:
        self.is_saved, self.is_sending = True, False
        session = self.console.session
        parts = [f"The address is {applied.email} now."]
        if applied.balance is not None:
            parts.append(f"Balance {points(applied.balance.available)}.")
        if applied.mode == "reissue" and applied.card_number:
            parts.append(f"New card {applied.card_number}.")
        if applied.undo_until is not None and session is not None:
            until = moment(applied.undo_until, now=self.console.now(), zone=session.zone)
            parts.append(f"u takes it back until {until}.")
        self.console.say(" ".join(parts), "good")
        self.dismiss()

    def show_failure(self, error: ConsoleError) -> None:
        if isinstance(error, Refused) and error.problem.code is Code.PREVIEW_STALE:
            if self._preview is not None:
                self._changes.stale(self._told(self._preview))
            self._preview = self._preview_of = None
            super().show_failure(error)
            self._ask_preview()
            return
        errors = {_FIELD_OF.get(field, field): words for field, words in field_errors(error).items()}
        if existing_customer_id(error) is not None and "email" in errors:
            errors["email"] += " F2 finds that customer."
        if not self.show_errors(errors):
            super().show_failure(error)

    # The page -----------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return f"Find › {full_name(self._detail.given_name, self._detail.family_name)} › Email"

    def handlers(self) -> Handlers:
        own = super().handlers() | {"form.hint": self.take_hint}
        if self._owner_id() is not None:
            own["app.find"] = self._open_owner
        return own

    def _owner_id(self) -> str | None:
        """Return who has proven the new address, and may be the same person."""
        preview = self._preview if self._has_preview() else None
        return str(preview.merge_with) if preview is not None and preview.merge_with is not None else None

    def _open_owner(self) -> None:
        owner_id = self._owner_id()
        assert owner_id is not None
        self.is_saved = True  # Staff chose to look at the other customer instead.
        self.console.open_customer(owner_id)

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"app.find": "Open owner"} if self._owner_id() is not None else {}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def unavailable(self, action_id: str) -> str | None:
        if action_id == "form.commit" and self._has_preview() and self._preview and self._preview.blockers:
            return self._preview.blockers[0].rstrip(".")
        return super().unavailable(action_id)

    def scan_words(self) -> str:
        return "A scan does nothing here, so that it cannot end up in an address."

    def take_scan(self, code: str) -> None:
        del code
        self.console.say("The scan was not used. Finish this change or leave it with Esc first.", "warn")


async def _preview(client: Client, customer_id: UUID, request: EmailRequest) -> EmailChangePreview:
    if isinstance(request, EmailCorrection):
        return await client.preview_correction(customer_id, request)
    if isinstance(request, EmailOverrideRequest):
        return await client.preview_email_override(customer_id, request)
    return await client.preview_email_change(customer_id, request)
