"""The console itself: its pages, its keys, who is signed in and whether the service answers."""

import asyncio
import contextlib
import importlib
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import App, ScreenStackError
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.timer import Timer, TimerCallback
from textual.worker import Worker, WorkerState

from shared.codes import card_of
from tui.actions import ACTIONS, BY_ID, Action
from tui.gate import Gate
from tui.pages import Handlers, Page
from tui.screens.lock import LockPage
from tui.themes import THEMES
from tui.widgets.bars import StatusLine, StatusTone, TopBar
from tui.workers import start, surely

# Only what paints the lock screen is imported here; the rest comes in `_prepare`, while staff type their name.
if TYPE_CHECKING:
    import httpx

    from tui.calls import Wait
    from tui.client import Client
    from tui.errors import ConsoleError
    from tui.screens.find import FindPage
    from tui.session import Session
    from tui.transport import OpenHttp

SYNC_POLL_SECONDS = 15.0
TICK_SECONDS = 0.25
_CRASHES_MAX = 3
_CRASH_WINDOW_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a console is set up.

    `sign_in_hint` is shown on the lock screen (a demo shop names its sign-ins there); a zero `lock_after_minutes`
    never locks by itself; without `recovers` an unexpected error ends the console, as tests want it. An answer that
    takes longer than `answer_seconds` counts as lost. A form asks the service once nothing was typed in it for
    `typing_pause_seconds`.
    """

    terminal: str = ""
    theme: str = "regulars-dark"
    service_label: str = ""
    sign_in_hint: str = ""
    lock_after_minutes: float = 3.0
    scan_gap_seconds_max: float = 0.035
    answer_seconds: float = 10.0
    typing_pause_seconds: float = 0.3
    retry_connection_seconds: float = 5.0
    has_bell: bool = True
    report_path: Path | None = None
    recovers: bool = True
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


def _app_bindings() -> list[BindingType]:
    # Taken before any widget, so that keys which come in one clump after Tab already go to the next field.
    moves: list[BindingType] = [
        Binding("tab", "app.focus_next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", show=False, priority=True),
    ]
    return moves + [
        Binding(
            key,
            f"app.act('{action.id}')",
            action.sentence,
            id=f"{action.id}.{key}",
            show=False,
            priority=action.is_priority,
        )
        for action in ACTIONS
        if not action.pages
        for key in action.keys
    ]


class Console(App[int], inherit_bindings=False):
    """The staff console."""

    TITLE = "Regulars"
    CSS_PATH = "common.tcss"
    BINDINGS: ClassVar[list[BindingType]] = _app_bindings()
    DEFAULT_MODE = "lock"
    MODES = {"lock": LockPage}
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, connect: Callable[[], Awaitable["httpx.AsyncClient"]], options: Options) -> None:
        super().__init__()
        self.animation_level = "none"
        self.options = options
        self.waits: list[Wait] = []
        self.session: Session | None = None
        self.connection = "starting"
        self._connect = connect
        self._client: Client | None = None
        self.gate = Gate(self, gap_seconds_max=options.scan_gap_seconds_max)
        self._status: tuple[str, StatusTone] = ("", "info")
        self._sync_words = ""
        self._mode_before_lock: str | None = None
        self._last_input_at = monotonic()
        self._crashed_at: list[float] = []
        self._asked = ""  # The action that was refused once because something is unsaved.
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = options.theme

    # Starting ---------------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.set_interval(TICK_SECONDS, self._tick)
        self.set_interval(SYNC_POLL_SECONDS, self.poll_sync)
        self.set_interval(self.options.retry_connection_seconds, self._retry_connection)
        self.call_after_refresh(lambda: start(self, self._prepare, group="prepare"))

    async def _prepare(self) -> None:
        """Import the rest and connect, while the lock screen is already there to be typed into."""
        desk = await asyncio.to_thread(importlib.import_module, "tui.desk")
        for mode, page in desk.MODES.items():
            self.add_mode(mode, page)
        self._client = desk.Client(await self._connect(), answer_seconds=self.options.answer_seconds)
        self.connection = "online" if await self.client.is_alive() else "offline"
        self.refresh_frame()
        if self.get_screen_stack("lock"):  # Empty once the console was ended meanwhile.
            self.lock_page.service_ready()

    @property
    def client(self) -> "Client":
        assert self._client is not None, "pages that ask are reached by signing in, which needs the client"
        return self._client

    @property
    def lock_page(self) -> LockPage:
        page = self.get_screen_stack("lock")[0]
        assert isinstance(page, LockPage)
        return page

    def now(self) -> datetime:
        return self.options.now()

    def set_timer(
        self, delay: float, callback: TimerCallback | None = None, *, name: str | None = None, pause: bool = False
    ) -> Timer:
        return surely(super().set_timer(delay, callback, name=name, pause=pause))

    # Keys and scans ---------------------------------------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.InputEvent | events.Paste):
            self._last_input_at = monotonic()
        # Keys that bubbled up from a widget have been through the gate before.
        if isinstance(event, events.Key) and not event.is_forwarded:
            await self.gate.take(event)
            return
        await super().on_event(event)

    async def pass_key(self, event: events.Key) -> None:
        """Give a key to whoever has the focus now."""
        await super().on_event(event)

    def take_scan(self, code: str) -> None:
        """Ask the dialog or the page in front what a scan means."""
        taker = getattr(self.screen, "take_scan", None)
        if taker is not None:
            taker(code)

    # Actions ----------------------------------------------------------------------------------------------------------

    def action_act(self, action_id: str) -> None:
        self.perform(action_id)

    def perform(self, action_id: str) -> None:
        """Do an action, or say why it cannot be done."""
        page = self.screen
        if not isinstance(page, Page):
            # A dialog is open: it must be answered first. Locking and leaving always work.
            if action_id in {"app.lock", "app.quit"}:
                self._own_handlers()[action_id]()
            return
        action = BY_ID[action_id]
        self.say("")
        if action_id != self._asked:
            self._asked = ""
        reason = self.why_not(action, page)
        if reason is not None:
            self.say(f"{_named(action, page)}: {reason}.", "warn")
            return
        handler = page.handlers().get(action_id) or self._own_handlers().get(action_id)
        assert handler is not None, f"{action_id} has no handler on {page.PAGE}"
        handler()

    def why_not(self, action: Action, page: Page) -> str | None:
        """Return why an action cannot be done on a page now: the role, or the page's state. None when it can."""
        if self.session is None:
            return None if action.id in {"app.quit", "app.help", *page.handlers()} else "sign in first"
        if action.needs and not any(self.session.may(permission) for permission in action.needs):
            from tui.wording import WHO_MAY

            return WHO_MAY[action.needs[0]]
        return page.unavailable(action.id)

    def _own_handlers(self) -> Handlers:
        return {
            "app.find": self.go_find,
            "app.register": self.go_register,
            "app.refresh": self._refresh_page,
            "app.orders": lambda: self.go("orders"),
            "app.queue": lambda: self.go("queue"),
            "app.duplicates": lambda: self.go("duplicates"),
            "app.audience": lambda: self.go("audience"),
            "app.audit": lambda: self.go("audit"),
            "app.tills": lambda: self.go("tills"),
            "app.overrides": lambda: self.go("overrides"),
            "app.privacy": lambda: self.go("privacy"),
            "app.claim": self.look_up_claim,
            "app.claim_letters": lambda: self.go("claim-batches"),
            "app.programmes": lambda: self.go("programmes"),
            "app.rewards": lambda: self.go("rewards"),
            "app.reports": lambda: self.go("reports"),
            "app.dark": lambda: self.use_theme("regulars-dark"),
            "app.light": lambda: self.use_theme("regulars-light"),
            "app.contrast": lambda: self.use_theme("regulars-contrast"),
            "app.lock": lambda: self.lock("Locked. What was typed is kept."),
            "app.quit": self.leave,
            "app.help": self._open_help,
            "app.palette": self._open_palette,
        }

    def _refresh_page(self) -> None:
        if self.connection == "offline":
            self._retry_connection()
        page = self.screen
        if isinstance(page, Page):
            page.refresh_data()

    def use_theme(self, name: str) -> None:
        self.theme = name

    def look_up_claim(self, code: str = "") -> None:
        """Show whose a claim code is, and whether it can be used; one that was scanned at once."""
        from tui.screens.claims import ClaimLookupPage

        self.push_screen(ClaimLookupPage(code))

    def _open_help(self) -> None:
        page = self.screen
        if isinstance(page, Page) and page.PAGE != "help":
            from tui.screens.help import HelpPage

            self.push_screen(HelpPage(page))

    def _open_palette(self) -> None:
        page = self.screen
        if isinstance(page, Page):
            from tui.screens.palette import PaletteDialog

            self.push_screen(PaletteDialog(page), self._palette_chosen)

    def _palette_chosen(self, action_id: str | None) -> None:
        if action_id is not None and action_id.startswith("find:"):
            self.find_code(action_id.removeprefix("find:"))
        elif action_id is not None:
            self.perform(action_id)

    def leave(self) -> None:
        """Leave the console; with something unsaved, only when asked twice."""
        if self.session is None or self._is_sure("app.quit", "There is something unsaved. Ctrl+Q again leaves anyway."):
            self.exit(0)

    def _is_sure(self, question: str, words: str) -> bool:
        """Return whether nothing is unsaved, or the same was asked for just before with nothing in between."""
        asked_before, self._asked = self._asked, question
        if asked_before == question or not self.has_unsaved_work():
            self._asked = ""
            return True
        self.say(words, "warn")
        return False

    def has_unsaved_work(self) -> bool:
        """Return whether any open form holds something that is not saved."""
        return any(
            isinstance(screen, Page) and screen.has_unsaved_work()
            for stack in self._screen_stacks.values()
            for screen in stack
        )

    # Going places -----------------------------------------------------------------------------------------------------

    def go(self, mode: str) -> None:
        """Show one of the top-level pages; the others stay as they are."""
        self.switch_mode(mode)

    def go_home(self) -> None:
        """Go back to the search, as it was left; to the role's own first page where it has no search."""
        assert self.session is not None
        self.switch_mode(session_start(self.session))

    def go_find(self) -> None:
        """Show the search with its text selected, closing what lies on it."""
        self._to_find(lambda page: page.start_over())

    def find_code(self, code: str) -> None:
        """Search for a scanned code and open the customer it belongs to; the app's code names a card."""
        code = card_of(code)
        self._to_find(lambda page: page.search_and_open(code), by=f"scan {code}")

    def show_sale(self, number: str) -> None:
        """Show the sales of a receipt."""

        async def arrive() -> None:
            await self.switch_mode("orders")
            self.take_scan(number)

        start(self, arrive, group="arrive")

    def go_register(self) -> None:
        """Open the form for a new customer, filled with what was searched for."""
        from tui.screens.register import RegisterPage

        if isinstance(self.screen, RegisterPage):
            return
        self._to_find(lambda page: self.push_screen(RegisterPage(page.typed_text())), by="app.register")

    def _to_find(self, then: Callable[["FindPage"], object], *, by: str = "app.find") -> None:
        """Close everything above the search, unless a form would be lost that way, and go on there.

        Args:
            then: What to do there.
            by: The action that asks for it; asked for twice in a row it may throw a form away.
        """
        from tui.screens.find import FindPage

        stack = self.get_screen_stack("find") if "find" in self._screen_stacks else []
        is_unsaved = any(isinstance(screen, Page) and screen.has_unsaved_work() for screen in stack[1:])
        if is_unsaved and not self._is_sure(by, "This form is not saved. The same again throws it away."):
            if self.current_mode != "find":
                self.switch_mode("find")
            return

        async def arrive() -> None:
            await self.switch_mode("find")
            while len(self.screen_stack) > 1:
                await self.pop_screen()
            page = self.screen
            assert isinstance(page, FindPage)
            then(page)

        start(self, arrive, group="arrive")

    def open_customer(self, customer_id: str, *, name: str = "") -> None:
        """Open a customer above the search."""
        from tui.screens.customer import CustomerPage

        self._to_find(lambda _: self.push_screen(CustomerPage(customer_id, name=name)), by=f"open {customer_id}")

    # Signing in and locking -------------------------------------------------------------------------------------------

    async def signed_in(self, session: "Session") -> None:
        """Open the desk for a person who has just signed in; another person's unsaved work is thrown away."""
        is_other = self.session_before is not None and self.session_before.staff.id != session.staff.id
        threw_away = is_other and self.has_unsaved_work()
        if is_other:
            await self._clear_desk()
        self.session = session
        self._last_input_at = monotonic()
        await self.switch_mode(self._mode_before_lock or session_start(session))
        self.say("What the other person had typed was thrown away." if threw_away else "", "warn")
        self.refresh_frame()
        self.poll_sync()

    session_before: "Session | None" = None

    async def _clear_desk(self) -> None:
        from tui.desk import MODES

        self._mode_before_lock = None
        for mode, page in MODES.items():
            if mode != self.current_mode:
                await self.remove_mode(mode)
                self.add_mode(mode, page)

    def lock(self, reason: str) -> None:
        """Cover everything and end the session. What is typed stays for the same person."""
        if self.session is None:
            return
        self.session_before, self.session = self.session, None
        self._sync_words = ""
        self._mode_before_lock = self.current_mode
        self.switch_mode("lock")
        self.lock_page.locked(reason, login=self.session_before.staff.login)
        start(self, self._end_session, group="sign out")

    async def _end_session(self) -> None:
        from tui.errors import ConsoleError

        # Without an answer the session ends by itself at the service; the token is forgotten here in any case.
        with contextlib.suppress(ConsoleError):
            await self.client.sign_out()

    # Status and connection --------------------------------------------------------------------------------------------

    def say(self, words: str, tone: StatusTone = "info") -> None:
        """Put the result of an action on the status line, where it stays until the next action."""
        self._status = (words, tone)
        self._show_status()
        if words and tone in {"warn", "bad"} and self.options.has_bell:
            self.bell()

    def say_failure(self, error: "ConsoleError", *, in_form: bool = False) -> None:
        from tui.wording import sentence

        self.say(sentence(error, in_form=in_form), "bad")

    def note_failure(self, error: "ConsoleError") -> None:
        """Draw what a failure means for all pages: no connection, or a session that is over."""
        from tui.errors import SignedOut, Unreachable
        from tui.wording import sentence

        if isinstance(error, SignedOut) and self.session is not None:
            self.lock(sentence(error))
        elif isinstance(error, Unreachable):
            self.connection = "offline"
            self.refresh_frame()

    def note_connected(self) -> None:
        if self.connection != "online":
            self.connection = "online"
            self.refresh_frame()

    def _retry_connection(self) -> None:
        if self.connection == "offline" and self._client is not None:
            start(self, self._try_connection, group="connection", replaces=True)

    async def _try_connection(self) -> None:
        # Another answer may have come first, and what it says stays on the status line.
        if await self.client.is_alive() and self.connection == "offline":
            self.note_connected()
            self.say("Connected again.", "good")
            page = self.screen
            if isinstance(page, Page):
                page.reconnected()

    def poll_sync(self) -> None:
        """Look how the Mailchimp queue is doing, for the top bar."""
        from shared.enums import Permission

        if self.session is None or not self.session.may(Permission.AUDIENCE_READ):
            return
        if self.connection == "online" and self.app_focus:
            start(self, self._look_at_sync, group="sync", replaces=True)

    async def _look_at_sync(self) -> None:
        from tui.errors import ConsoleError

        try:
            status = await self.client.get_audience()
        except ConsoleError as error:
            # Nobody asked for this, so nothing is said beyond the connection's own mark.
            self.note_failure(error)
            return
        self._sync_words = f"sync {status.waiting}" + (f" !{status.parked}" if status.parked else "")
        if status.paused_reason:
            self._sync_words += " !paused"
        self.refresh_frame()

    def _front(self) -> Screen[object] | None:
        """Return what is in front; None for the moment in which a page that was never shown is being made."""
        try:
            return self.screen
        except ScreenStackError:
            return None

    def refresh_frame(self) -> None:
        """Bring the bars of the page in front up to date."""
        page = self._front()
        if not isinstance(page, Page):
            return
        with contextlib.suppress(NoMatches):  # A page that is just being composed asks again when it is shown.
            bar = page.query_one(TopBar)
            bar.connection, bar.sync = self.connection, self._sync_words
            bar.shop = self.session.shop_name if self.session else ""
            names = (self.options.terminal, self.session.staff.name if self.session else "")
            bar.who = "  ".join(name for name in names if name)
        page.frame_changed()
        self._show_status()

    def _show_status(self) -> None:
        page = self._front()
        if page is None:
            return
        with contextlib.suppress(NoMatches):
            line = page.query_one(StatusLine)
            words, tone = self._status
            if not words and self.connection == "offline" and self.session is not None:
                from tui.wording import NOT_CONNECTED

                words, tone = (
                    f"{NOT_CONNECTED} Trying every {self.options.retry_connection_seconds:.0f} s (F5 now).",
                    "bad",
                )
            line.words, line.tone = words, tone

    def show_waiting(self) -> None:
        """Say what the page in front waits for, once it has been a while."""
        page = self._front()
        if page is None:
            return
        words = next((wait.words() for wait in self.waits if wait.page is page), "")
        with contextlib.suppress(NoMatches):
            page.query_one(StatusLine).waiting = words

    def stop_waiting(self, page: Page) -> bool:
        """Give up slow reads of a page; False when there are none."""
        slow = [wait for wait in self.waits if wait.page is page and wait.can_stop and wait.is_slow]
        if slow:
            page.workers.cancel_node(page)
            self.say("Stopped. F5 asks again.", "warn")
        return bool(slow)

    def _tick(self) -> None:
        if self.waits:
            self.show_waiting()
        limit_seconds = self.options.lock_after_minutes * 60
        if limit_seconds and self.session is not None and monotonic() - self._last_input_at > limit_seconds:
            self.lock("Locked, as nothing was typed for a while. What was typed is kept.")

    # When something unexpected happens --------------------------------------------------------------------------------

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is not WorkerState.ERROR or event.worker.error is None:
            return
        if event.worker.name != "prepare":
            self.report(event.worker.error)
        elif self.get_screen_stack("lock"):
            self.lock_page.service_failed(event.worker.error)

    def report(self, error: BaseException) -> None:
        """Write down an unexpected error and say so; the console goes on."""
        from tui.crash import write_report

        if not self.options.recovers:
            raise error
        code = write_report(error, self.options.report_path, at=self.now())
        self.say(f"Something went wrong (report {code}). Nothing more was saved; look before you try again.", "bad")

    def _handle_exception(self, error: Exception) -> None:
        """Start over with a fresh desk instead of ending; a broken widget is thrown away with its page.

        Textual's own way prints the local variables of the failed call, and with them customers' data.
        """
        self._crashed_at = [at for at in self._crashed_at if monotonic() - at < _CRASH_WINDOW_SECONDS]
        self._crashed_at.append(monotonic())
        if not self.options.recovers:
            super()._handle_exception(error)
            return
        from tui.crash import write_report

        code = write_report(error, self.options.report_path, at=self.now())
        if len(self._crashed_at) > _CRASHES_MAX or self.session is None:
            self._return_code = 1
            self.panic(f"Something went wrong and the console had to end (report {code}).")
            return
        self.lock(f"Something went wrong (report {code}); unsaved work is lost. Please sign in again.")
        start(self, self._clear_desk, group="clear")


def _named(action: Action, page: Page) -> str:
    """Return an action in words; what a form commits by the word that its own key bar has for it."""
    words = dict(page.bar_actions()).get(action) if action.id == "form.commit" else None
    return words.rstrip("…") if words else action.sentence


def session_start(session: "Session") -> str:
    """Return the page a role starts on."""
    from shared.enums import Permission

    if session.may(Permission.CUSTOMER_SEARCH):
        return "find"
    return "audience" if session.may(Permission.AUDIENCE_READ) else "programmes"


def run(open_http: "OpenHttp", options: Options) -> int:
    """Run the console until it is left and return its exit code.

    `open_http` is entered after the first paint and left after the last, so that a service in this process is stopped
    in order, also on SIGTERM and when the terminal window is closed.
    """
    return asyncio.run(_run(open_http, options))


async def _run(open_http: "OpenHttp", options: Options) -> int:
    async with contextlib.AsyncExitStack() as stack:
        console = Console(lambda: stack.enter_async_context(open_http()), options)
        for name in ("SIGTERM", "SIGHUP"):
            # Neither exists everywhere; without it the terminal's own end does the same.
            with contextlib.suppress(AttributeError, NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(getattr(signal, name), lambda: console.exit(0))
        await console.run_async()
        return console.return_code or 0
