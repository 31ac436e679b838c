"""The question before something that cannot simply be taken back. It cannot be answered by accident or by a scanner."""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import msgspec
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from tui.safe import join, safe

if TYPE_CHECKING:
    from tui.app import Console
    from tui.pages import Page

DIGITS = 4


class Danger(msgspec.Struct, frozen=True, kw_only=True):
    """What is dangerous, and the code whose last four characters must be typed; without a code the word YES."""

    title: str
    words: str
    code: str
    code_words: str
    commit_words: str

    @property
    def wanted(self) -> str:
        return self.code[-DIGITS:].upper() if self.code else "YES"


class Cancel(Widget, can_focus=True):
    """The way out, which has the focus."""

    def render(self) -> Content:
        return join(("[ Cancel ]", "bold"))

    def on_click(self) -> None:
        self.screen.dismiss(False)


class DangerDialog(ModalScreen[bool]):
    """Enter does nothing, Esc cancels, scans are swallowed; Ctrl+S commits once the characters are typed."""

    CSS_PATH = "danger.tcss"
    AUTO_FOCUS = "Cancel"
    BINDINGS = [
        Binding("escape", "cancel", show=False),
        Binding("ctrl+s", "commit", show=False),
        Binding("backspace", "rub_out", show=False),
    ]

    typed: reactive[str] = reactive("", init=False)

    def __init__(self, danger: Danger) -> None:
        super().__init__()
        self._danger = danger

    def compose(self) -> ComposeResult:
        with Vertical(id="danger-box"):
            yield Static(safe(self._danger.words), id="danger-words")
            yield Static(id="danger-digits")
            yield Static(id="danger-said")
            with Horizontal(id="danger-keys"):
                yield Cancel()
                yield Static(
                    safe(f"   Esc cancels   ^S {self._danger.commit_words}", "$text-muted"), id="danger-commit"
                )

    def on_mount(self) -> None:
        self.query_one("#danger-box").border_title = safe(f"DANGER: {self._danger.title}")
        self._show_typed()

    def watch_typed(self) -> None:
        self._show_typed()

    def _show_typed(self) -> None:
        danger, wanted = self._danger, self._danger.wanted
        what = f"the last {DIGITS} of {danger.code_words} {danger.code}" if danger.code else "the word YES"
        shown = self.typed + "_" * (len(wanted) - len(self.typed))
        self.query_one("#danger-digits", Static).update(join(f"Type {what}:  ", (shown, "bold")))

    def on_key(self, event: events.Key) -> None:
        character = event.character or ""
        if len(character) == 1 and character.isalnum():
            event.stop()
            self.typed = (self.typed + character.upper())[: len(self._danger.wanted)]

    def action_rub_out(self) -> None:
        self.typed = self.typed[:-1]

    def action_cancel(self) -> None:
        self.dismiss(False)

    def action_commit(self) -> None:
        if self.typed == self._danger.wanted:
            self.dismiss(True)
            return
        self._say("These are not the right characters." if self.typed else "Type them first.")
        self.typed = ""

    def _say(self, words: str) -> None:
        self.query_one("#danger-said", Static).update(safe(words, "$warning"))
        console = cast("Console", self.app)
        if console.options.has_bell:
            console.bell()

    def take_scan(self, code: str) -> None:
        """Swallow a scan: whoever scans here has not read the question."""
        del code
        self._say("The scan was not used. Answer this first.")


def make_sure(page: "Page", danger: Danger, then: Callable[[], None]) -> None:
    """Ask before something dangerous; only the typed yes goes on to `then`."""

    def answered(is_sure: bool | None) -> None:  # noqa: FBT001  # The dialog's result comes like this.
        if is_sure:
            then()
        else:
            page.console.say("Nothing was changed.", "info")

    page.app.push_screen(DangerDialog(danger), answered)
