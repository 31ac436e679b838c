"""The lock screen: painted before anything else is imported, and again whenever the console is locked."""

from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label, Static
from textual.widgets.input import Selection

from shared import limits
from shared.codes import is_card_number
from tui.actions import BY_ID, Action
from tui.pages import Handlers, Page, bindings_for
from tui.safe import safe
from tui.widgets.bars import StatusTone
from tui.widgets.field import Field
from tui.workers import start

if TYPE_CHECKING:
    from tui.errors import ConsoleError

_STYLES: dict[StatusTone, str] = {"info": "$text-muted", "good": "$success", "warn": "$warning", "bad": "bold $error"}


class LockPage(Page):
    """Name and password. Staff may type before the service is reached; Enter then waits for it."""

    PAGE = "lock"
    CSS_PATH = "lock.tcss"
    AUTO_FOCUS = "#login"
    BINDINGS = bindings_for("lock")

    def __init__(self) -> None:
        super().__init__()
        self._is_ready = False
        self._is_asked_for = False
        self._is_sending = False

    def compose_body(self) -> ComposeResult:
        with Vertical(id="lock-box", classes="box"):
            with Horizontal(classes="row"):
                yield Label("Staff name", classes="label")
                yield Field(id="login", length_max=limits.NAME_LENGTH_MAX)
            with Horizontal(classes="row"):
                yield Label("Password", classes="label")
                yield Field(id="password", length_max=limits.PASSWORD_LENGTH_MAX, is_password=True)
            yield Static(id="lock-reason")
            yield Static(safe("⏎ sign in     F1 help     ^Q leave", "$text-muted"), id="lock-keys")
        yield Static(id="lock-foot")

    def on_mount(self) -> None:
        options = self.console.options
        title = " · ".join(part for part in ("Regulars", options.terminal) if part)
        self.query_one("#lock-box").border_title = safe(title)
        self.query_one("#lock-foot", Static).update(safe(self._foot("starting…"), "$text-muted"))

    def _foot(self, state: str) -> str:
        options = self.console.options
        return "\n".join(part for part in (f"{options.service_label} {state}".strip(), options.sign_in_hint) if part)

    # What the console tells it ----------------------------------------------------------------------------------------

    def service_ready(self) -> None:
        """The service has been looked for; sign in if that was asked for meanwhile."""
        self._is_ready = True
        state = "is ready" if self.console.connection == "online" else "does not answer; trying again every 5 s"
        self.query_one("#lock-foot", Static).update(safe(self._foot(state), "$text-muted"))
        if self._is_asked_for:
            self._sign_in()

    def service_failed(self, error: BaseException) -> None:
        """The service in this process could not be started."""
        words = str(error).strip().splitlines()
        reason = words[-1] if words else type(error).__name__
        self._tell(f"The service could not be started: {reason}", "bad")
        self.query_one("#lock-foot", Static).update(safe(self._foot("not running"), "$text-muted"))

    def locked(self, reason: str, *, login: str) -> None:
        """Wait for the next sign-in, most likely by the same person."""
        self._is_sending = False
        words = reason
        if self.console.has_unsaved_work():
            words += " There is unsaved work: it is kept for the same person, another sign-in throws it away."
        self._tell(words, "info")
        name = self.query_one("#login", Field)
        name.value = login
        name.selection = Selection(0, len(login))  # Whoever comes next writes over it.
        password = self.query_one("#password", Field)
        password.value = ""
        password.focus()

    def _tell(self, words: str, tone: StatusTone) -> None:
        self.query_one("#lock-reason", Static).update(safe(words, _STYLES[tone]))

    # What staff do ----------------------------------------------------------------------------------------------------

    @on(Input.Submitted, "#login")
    def _to_password(self) -> None:
        self.query_one("#password", Field).focus()

    @on(Input.Submitted, "#password")
    def _sign_in(self) -> None:
        if not self._is_ready:
            self._is_asked_for = True
            self._tell("Starting; you will be signed in as soon as the service answers.", "info")
            return
        login, password = self.query_one("#login", Field).value.strip(), self.query_one("#password", Field).value
        if not login or not password or self._is_sending:
            self._tell("Type your name and your password.", "warn")
            return
        self._is_asked_for, self._is_sending = False, True
        self._tell("Signing in…", "info")
        start(self, partial(self._try, login, password), group="sign in", replaces=True)

    async def _try(self, login: str, password: str) -> None:
        from tui.errors import ConsoleError
        from tui.screens.lock_session import open_session

        try:
            session = await open_session(self.console.client, login, password, terminal=self.console.options.terminal)
        except ConsoleError as error:
            self._refused(error)
        else:
            self.console.note_connected()
            self.query_one("#password", Field).value = ""
            self._tell("", "info")
            await self.console.signed_in(session)
        finally:
            self._is_sending = False

    def _refused(self, error: "ConsoleError") -> None:
        from tui.wording import sentence

        self.console.note_failure(error)
        self._tell(sentence(error), "bad")
        password = self.query_one("#password", Field)
        password.value = ""
        password.focus()

    # The page ---------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return "Sign in"

    def handlers(self) -> Handlers:
        return {}

    def bar_actions(self) -> list[tuple[Action, str]]:
        return [(BY_ID["app.quit"], "Leave")]

    def scan_words(self) -> str:
        return "Scans do nothing until somebody is signed in."

    def take_scan(self, code: str) -> None:
        focused = self.focused
        if isinstance(focused, Field) and not is_card_number(code):
            # A password manager types as fast as a scanner; what it types is no card.
            self.put_scan_in_focus(code)
            focused.post_message(Input.Submitted(focused, focused.value))
            return
        self._tell("Sign in first; the scan was not used.", "warn")
