"""A form whose effect the service shows while it is filled in: nothing is sent that was not shown."""

from collections.abc import Awaitable
from functools import partial
from typing import ClassVar, Generic, TypeVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.types import CSSPathType
from textual.widgets import Input, Static

from shared.problems import Code
from tui.calls import call
from tui.changes import CHANGED, Changes
from tui.client import Client
from tui.errors import ConsoleError, Refused
from tui.forms import FormPage
from tui.safe import join, safe
from tui.widgets.choice import Choice
from tui.wording import field_errors

WishT = TypeVar("WishT", bound=msgspec.Struct)
PreviewT = TypeVar("PreviewT", bound=msgspec.Struct)
AnswerT = TypeVar("AnswerT", bound=msgspec.Struct)

INTRODUCTION = "Nothing changes before you confirm. Once the form is complete, the effects show here."


class PreviewForm(FormPage, Generic[WishT, PreviewT, AnswerT]):
    """Fields, then the service's preview of exactly what stands in them, then Ctrl+S."""

    CSS_PATH: ClassVar[CSSPathType | None] = "preview_form.tcss"
    TITLE_WORDS = ""
    WAITING_WORDS = "Saving…"
    # Where the service calls a field otherwise than the form does.
    FIELD_OF: dict[str, str] = {}

    def __init__(self) -> None:
        super().__init__()
        self.preview: PreviewT | None = None
        self._preview_of: WishT | None = None
        self._soon: Timer | None = None
        self._refusal: tuple[WishT, str] | None = None
        self._changes = Changes()

    # What each form says of itself --------------------------------------------------------------------------------------

    def compose_form(self) -> ComposeResult:
        """Yield the form's rows."""
        raise NotImplementedError

    def missing(self) -> dict[str, str]:
        """Return what must still be filled in, by field."""
        raise NotImplementedError

    def wish(self) -> WishT | None:
        """Return what would be sent; None while something is missing."""
        raise NotImplementedError

    def ask(self, client: Client, wish: WishT) -> Awaitable[PreviewT]:
        raise NotImplementedError

    def send(self, client: Client, wish: WishT, preview: PreviewT) -> Awaitable[AnswerT]:
        """Send the command with the hash of the preview."""
        raise NotImplementedError

    def applied(self, answer: AnswerT) -> None:
        """Say what it came to and leave."""
        raise NotImplementedError

    def told(self, preview: PreviewT) -> Content:
        """Return the preview in words."""
        raise NotImplementedError

    def told_lines(self, preview: PreviewT) -> list[str]:
        """Return all that staff read of a preview, to tell it from the next one."""
        return self.told(preview).plain.splitlines()

    def blockers(self, preview: PreviewT) -> tuple[str, ...]:  # noqa: ARG002  # Forms that know any look at it.
        """Return why what was previewed cannot be carried out."""
        return ()

    def ask_anew(self) -> None:
        """Look up again what could not be had and the form needs besides its preview."""

    # Drawing ------------------------------------------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        with Container(classes="preview-page"):
            with VerticalScroll(classes="box preview-form", can_focus=False):
                yield from self.compose_form()
            with VerticalScroll(classes="box preview-box"), Vertical():
                yield Static(id="preview")

    def on_mount(self) -> None:
        self.query_one(".preview-form").border_title = safe(self.TITLE_WORDS)
        self.query_one(".preview-box").border_title = "What will happen"
        super().on_mount()
        self.preview_soon()  # A form that opens complete shows at once what it will do.

    def show_preview(self) -> None:
        if self.console.session is not None:
            self.query_one("#preview", Static).update(self._words())
            self.frame_changed()

    def _words(self) -> Content:
        wish = self.wish()
        if self.preview is not None and self.has_preview():
            return self._changes.above(self.told(self.preview))
        if wish is not None and self._refusal is not None and self._refusal[0] == wish:
            return join(("✗ ", "bold $error"), (self._refusal[1], "$error"))
        return join(("Asking the service…" if wish is not None else INTRODUCTION, "$text-muted"))

    # Preview ------------------------------------------------------------------------------------------------------------

    @on(Input.Changed)
    @on(Choice.Changed)
    def _edited(self, event: Input.Changed | Choice.Changed) -> None:
        if event.control.id and self.query(f"#note-{event.control.id}"):
            self.note(event.control.id, "")
        self._changes.forget()
        self.edited(event.control.id or "")
        self.preview_soon()

    def edited(self, field_id: str) -> None:
        """Bring the rest of the form in line with what was changed."""

    def preview_soon(self) -> None:
        """Ask for a preview once nothing was changed for a moment."""
        self.show_preview()
        if self._soon is not None:
            self._soon.stop()
        wish = self.wish()
        if wish is not None and not self.has_preview():
            self._soon = self.set_timer(self.console.options.typing_pause_seconds, self.ask_preview)

    def refresh_data(self) -> None:
        """Ask again for what could not be shown. What was read stays, as it may be what a lost answer was about."""
        self.ask_anew()
        if not self.has_preview():
            self._refusal = None
            self.show_preview()
            self.ask_preview()

    def ask_preview(self) -> None:
        wish = self.wish()
        if wish is None or self.is_sending:
            return
        call(
            self,
            "preview",
            lambda client: self.ask(client, wish),
            done=partial(self._previewed, wish),
            failed=partial(self._not_previewed, wish),
            waiting="Asking what will happen…",
        )

    def _previewed(self, wish: WishT, preview: PreviewT) -> None:
        if wish == self.wish():
            self.preview, self._preview_of, self._refusal = preview, wish, None
            if self._changes.came(self.told_lines(preview)):
                self.console.say(CHANGED, "warn")
            self.show_preview()

    def _not_previewed(self, wish: WishT, error: ConsoleError) -> None:
        from tui.wording import sentence

        self._refusal = (wish, sentence(error, in_form=True))
        self.show_failure(error)
        self.show_preview()

    def has_preview(self) -> bool:
        """Return whether what is shown is the preview of what stands in the form."""
        return self.preview is not None and self._preview_of == self.wish()

    # Saving -------------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        self.clear_notes()
        missing = self.missing()
        if missing:
            if not self.show_errors(missing):
                self.console.say(next(iter(missing.values())), "warn")
        elif not self.has_preview() or self.preview is None:
            self.ask_preview()
            self.console.say("Read what will happen, then Ctrl+S again.", "info")
        elif blockers := self.blockers(self.preview):
            self.console.say(f"This cannot be done: {blockers[0]}", "bad")
        else:
            self.confirmed()

    def confirmed(self) -> None:
        """Send what was shown; a form with something dangerous asks first."""
        self.send_now()

    def send_now(self) -> None:
        wish, preview = self.wish(), self.preview
        assert wish is not None
        assert preview is not None
        self.sent()
        call(
            self,
            self.PAGE,
            lambda client: self.send(client, wish, preview),
            done=self._applied,
            failed=self.save_failed,
            is_write=True,
            waiting=self.WAITING_WORDS,
        )

    def _applied(self, answer: AnswerT) -> None:
        self.is_saved, self.is_sending = True, False
        self.applied(answer)

    def show_failure(self, error: ConsoleError) -> None:
        if isinstance(error, Refused) and error.problem.code is Code.PREVIEW_STALE:
            if self.preview is not None:
                self._changes.stale(self.told_lines(self.preview))
            self.preview = self._preview_of = None
            super().show_failure(error)
            self.ask_preview()
            return
        errors = {self.FIELD_OF.get(field, field): words for field, words in field_errors(error).items()}
        if not self.show_errors(errors):
            super().show_failure(error)

    def unavailable(self, action_id: str) -> str | None:
        if action_id == "form.commit" and self.preview is not None and self.has_preview():
            blockers = self.blockers(self.preview)
            if blockers:
                return blockers[0].rstrip(".")
        return super().unavailable(action_id)
