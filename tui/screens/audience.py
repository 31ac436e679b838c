"""How the link to Mailchimp is doing, and what waits for a person."""

from datetime import timedelta

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from shared.enums import Permission
from shared.staff import AudienceContactView, AudienceStatus
from tui.calls import call
from tui.errors import ConsoleError
from tui.formatting import audience_row, audience_why, points, span
from tui.pages import Handlers, Page, bindings_for
from tui.safe import join
from tui.waiting import WaitingLine, ask_what_waits
from tui.widgets.line_list import Column, LineList

REFRESH_SECONDS = 2.0
_COLUMNS = (
    Column("State", -2),
    Column("Address", -3),
    Column("At Mailchimp", 12, from_width=76),
    Column("Tries", 5, right=True),
    Column("Next try", 15, from_width=90),
    Column("Why", -4, from_width=110),
)
_MODES = {"none": "Mailchimp off", "mailchimp": "Mailchimp on"}


class AudiencePage(Page):
    """Counts, a pause and its reason, and the contacts that need a look, first those that are stuck."""

    PAGE = "audience"
    CSS_PATH = "audience.tcss"
    AUTO_FOCUS = "#contacts"
    BINDINGS = bindings_for("audience")

    def __init__(self) -> None:
        super().__init__()
        self._status: AudienceStatus | None = None

    def compose_body(self) -> ComposeResult:
        with Vertical(id="audience-head"):
            yield Static(id="audience-counts")
            yield Static(id="audience-pause")
        yield LineList(_COLUMNS, id="contacts")
        yield Static(id="audience-why")
        yield WaitingLine()

    def on_mount(self) -> None:
        self.set_interval(REFRESH_SECONDS, self._refresh_quietly)
        self.refresh_data()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        if self._status is not None:
            self.refresh_data()
        session = self.console.session
        # Whoever may search for customers has it on the first page, which is another one.
        if session is not None and not session.may(Permission.CUSTOMER_SEARCH) and self.console.connection == "online":
            ask_what_waits(self)

    def _refresh_quietly(self) -> None:
        # Only while somebody looks: a hidden page and a terminal in the background ask nothing.
        is_seen = self.is_active and self.app.app_focus and self.console.session is not None
        if (
            is_seen
            and self.console.connection == "online"
            and not any(wait.page is self for wait in self.console.waits)
        ):
            self.refresh_data()

    def refresh_data(self) -> None:
        call(self, "audience", lambda client: client.get_audience(), done=self._show)

    def _show(self, status: AudienceStatus) -> None:
        session = self.console.session
        if session is None:
            return
        self._status = status
        now = self.console.now()
        oldest = (
            ""
            if status.oldest_waiting_seconds is None
            else f"   oldest {span(timedelta(seconds=status.oldest_waiting_seconds))}"
        )
        parked = "bold $error" if status.parked else "$text-muted"
        self.query_one("#audience-counts", Static).update(
            join(
                (f" {_MODES.get(status.mode, status.mode)}", "bold"),
                f"   waiting {points(status.waiting)}   ",
                (f"need a look {points(status.parked)}", parked),
                f"   sent today {points(status.pushed_today)}{oldest}",
            )
        )
        pause = self.query_one("#audience-pause", Static)
        pause.display = status.paused_reason is not None
        pause.update(join((f" ! Paused: {status.paused_reason or ''}  R lets it go on.", "bold $warning")))
        contacts = self.query_one("#contacts", LineList)
        contacts.empty_words = (
            "Nothing waits and nothing is stuck."
            if not status.waiting
            else "Nothing is stuck; the rest goes out by itself."
        )
        contacts.set_rows([audience_row(contact, now=now, zone=session.zone) for contact in status.items])
        self.frame_changed()

    def _current(self) -> AudienceContactView | None:
        key = self.query_one("#contacts", LineList).current_key
        items = self._status.items if self._status else ()
        return next((contact for contact in items if str(contact.id) == key), None)

    @on(LineList.Highlighted, "#contacts")
    def _highlighted(self) -> None:
        contact = self._current()
        why = audience_why(contact) if contact else ""
        self.query_one("#audience-why", Static).update(join((f" {why}", "$warning")))
        self.frame_changed()

    @on(LineList.Chosen, "#contacts")
    def _chosen(self) -> None:
        self.console.perform("audience.open")

    def _open(self) -> None:
        contact = self._current()
        assert contact is not None
        self.console.open_customer(str(contact.customer_id))

    def _retry(self) -> None:
        contact = self._current()
        assert contact is not None
        contact_id = contact.id
        call(
            self,
            "retry",
            lambda client: client.retry_audience_contact(contact_id),
            done=self._retried,
            is_write=True,
            waiting="Putting it back into the queue…",
        )

    def _retried(self, contact: AudienceContactView) -> None:
        self.console.say(f"{contact.email} is in the queue again.", "good")
        self.refresh_data()

    def _resume(self) -> None:
        call(
            self,
            "resume",
            lambda client: client.resume_audience(),
            done=self._resumed,
            is_write=True,
            waiting="Letting the queue go on…",
        )

    def _resumed(self, status: AudienceStatus) -> None:
        self._show(status)
        self.console.say("The queue goes on.", "good")

    # The page ---------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return "Sync"

    def handlers(self) -> Handlers:
        return {
            "audience.open": self._open,
            "audience.retry": self._retry,
            "audience.resume": self._resume,
            "audience.tills": lambda: self.console.go("tills"),
            "app.back": self.console.go_home,
        }

    def unavailable(self, action_id: str) -> str | None:
        if action_id in {"audience.open", "audience.retry"} and self._current() is None:
            return "there is no row to do it with"
        if action_id == "audience.resume" and (self._status is None or self._status.paused_reason is None):
            return "the queue is not paused"
        return None

    def show_failure(self, error: ConsoleError) -> None:
        super().show_failure(error)
        contacts = self.query_one("#contacts", LineList)
        if not contacts.rows:
            contacts.empty_words = "This could not be fetched. F5 asks again."
