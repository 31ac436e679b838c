"""The frame that all pages share, and what each may say about itself."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.timer import Timer, TimerCallback
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from tui.actions import Action, actions_on
from tui.widgets.bars import KeyBar, StatusLine, TopBar
from tui.widgets.field import Field
from tui.workers import surely

if TYPE_CHECKING:
    from tui.app import Console
    from tui.errors import ConsoleError

TOO_SMALL = "This window is too small.\nThe console needs 60 columns and 20 rows.\nWhat you typed is kept."
Handlers = dict[str, Callable[[], None]]


def bindings_for(page: str) -> list[BindingType]:
    """Return a page's own keys, made from the list of actions."""
    return [
        Binding(key, f"app.act('{action.id}')", action.sentence, id=f"{action.id}.{key}", show=False)
        for action in actions_on(page)
        if page in action.pages
        for key in action.keys
    ]


class Page(Screen[None]):
    """A full screen: top bar, body, status line, key bar.

    A page talks to the service through `tui.calls.call` only and updates its widgets in place.
    """

    PAGE: ClassVar[str]
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny-width"), (60, "-narrow"), (100, "-wide"), (130, "-extra-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-tiny-height"), (20, "-short"), (30, "-tall")]

    @property
    def console(self) -> "Console":
        return cast("Console", self.app)

    def set_timer(
        self, delay: float, callback: TimerCallback | None = None, *, name: str | None = None, pause: bool = False
    ) -> Timer:
        return surely(super().set_timer(delay, callback, name=name, pause=pause))

    def compose(self) -> ComposeResult:
        yield TopBar()
        with Vertical(id="body"):
            yield from self.compose_body()
        yield Static(Content(TOO_SMALL), id="too-small")
        yield StatusLine()
        yield KeyBar()

    # What a page says about itself ----------------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        """Yield what stands between the bars."""
        raise NotImplementedError

    def crumbs(self) -> str:
        """Return where we are, in words."""
        raise NotImplementedError

    def handlers(self) -> Handlers:
        """Return what the page's own actions do, by the action's id."""
        return {}

    def unavailable(self, action_id: str) -> str | None:  # noqa: ARG002  # Pages that know a reason look at it.
        """Return why an action cannot be done just now, None when it can."""
        return None

    def has_unsaved_work(self) -> bool:
        return False

    def refresh_data(self) -> None:
        """Ask the service again for what is shown."""

    def reconnected(self) -> None:
        """Go on after a time without a connection."""
        self.refresh_data()

    def scan_words(self) -> str:
        """Return what a scan does here, for the help."""
        return "A scanned card opens its customer, a receipt its sale, and a claim code is looked up."

    def take_scan(self, code: str) -> None:
        """Do what a scan means here."""
        self.console.find_code(code)

    # The frame --------------------------------------------------------------------------------------------------------

    def bar_actions(self) -> list[tuple[Action, str]]:
        """Return the key bar's actions with their words, most useful first."""
        # The way to where one is already is left out.
        here = f"app.{self.PAGE}"
        actions = [action for action in actions_on(self.PAGE) if action.label and action.keys and action.id != here]
        # What cannot be done now goes last: it is the first to fall off a narrow bar.
        actions.sort(key=lambda action: self.console.why_not(action, self) is not None)
        return [(action, action.label) for action in actions]

    def on_screen_resume(self) -> None:
        self.console.refresh_frame()

    def frame_changed(self) -> None:
        """Draw the bars again: a permission, the page's state or the connection is another."""
        try:
            self.query_one(KeyBar).refresh()
            self.query_one(TopBar).crumbs = self.crumbs()
        except NoMatches:
            return  # Not composed yet, or just removed; the bars read the same things when they are drawn.

    def show_failure(self, error: "ConsoleError") -> None:
        """Say what went wrong; the page stays as it is."""
        self.console.say_failure(error)

    def on_field_shortened(self) -> None:
        self.console.say("The pasted text was too long and was cut.", "warn")

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.console.report(event.worker.error)

    def put_scan_in_focus(self, code: str) -> bool:
        """Write a code into the focused field, as if it had been typed; False when no field has the focus."""
        field = self.focused
        if not isinstance(field, Field):
            return False
        field.replace(code, *field.selection)
        return True
