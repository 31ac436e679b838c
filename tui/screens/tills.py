"""The exchange with till systems: what each run brought, what was set aside, and matches that somebody must decide."""

from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import partial
from typing import TypeVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from shared.enums import Permission
from shared.links import (
    CycleAsked,
    CycleRequest,
    Cycles,
    CycleView,
    LinkReviewPage,
    LinkReviewView,
    QuarantinedItem,
    QuarantinePage,
    ReviewSettling,
)
from shared.members import Accepted
from shared.staff import CustomerDetail
from tui.calls import call
from tui.errors import ConsoleError
from tui.formatting import Cell, Row
from tui.link_words import (
    connection_words,
    cycle_notes,
    cycle_row,
    quarantine_notes,
    quarantine_row,
    record_words,
    review_notes,
    review_row,
)
from tui.pages import Handlers, Page, bindings_for
from tui.safe import lines, safe
from tui.screens.reason import Question, ReasonPage
from tui.widgets.facts import TONE_STYLES
from tui.widgets.line_list import Column, LineList
from tui.widgets.tab_line import TabLine


class Tab(IntEnum):
    """The lists in their order."""

    RUNS = 0
    ASIDE = 1
    DECIDE = 2


ItemT = TypeVar("ItemT", CycleView, QuarantinedItem, LinkReviewView)

REFRESH_SECONDS = 2.0
TITLES = ("Runs", "Set aside", "To decide")
_COLUMNS = (
    (
        Column("Began", 15),
        Column("Till system", -1),
        Column("State", 8),
        Column("New sales", 9, right=True),
        Column("Points", 8, right=True),
        Column("Linked", 6, right=True),
        Column("Aside", 5, right=True),
        Column("Why", 14, from_width=90),
    ),
    (
        Column("Set aside", 15),
        Column("Till system", -1),
        Column("What", 9),
        Column("Its id", -1),
        Column("Reason", -3),
    ),
    (Column("Since", 15), Column("Customer", -2), Column("POS record", -2), Column("Why", -3)),
)
_EMPTY = (
    "Nothing was fetched from a till system yet. Tills that send by themselves need no run.",
    "Nothing is set aside: everything that tills told was posted.",
    "No match waits for a person.",
)
_REVIEWING = {"tills.link", "tills.settle", "tills.customer"}


class TillsPage(Page):
    """Lists that refresh by themselves while a run is under way; Enter tells more."""

    PAGE = "tills"
    CSS_PATH = "tills.tcss"
    AUTO_FOCUS = "#rows"
    BINDINGS = bindings_for("tills")

    def __init__(self) -> None:
        super().__init__()
        self._cycles: Cycles | None = None
        self._aside: list[QuarantinedItem] = []
        self._reviews: list[LinkReviewView] = []
        self._next_cursor: str | None = None
        self._opened: set[str] = set()

    def compose_body(self) -> ComposeResult:
        yield Static(id="tills-head")
        yield TabLine(TITLES)
        with Horizontal(id="tills-found"):
            yield LineList(_COLUMNS[Tab.RUNS], id="rows")
            yield Static(id="detail")

    def on_mount(self) -> None:
        self.set_interval(REFRESH_SECONDS, self._refresh_quietly)

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        session = self.console.session
        if session is None:
            return
        if not session.may(Permission.CYCLE_READ):
            self.query_one(TabLine).active = Tab.DECIDE
            self.query_one("#rows", LineList).set_columns(_COLUMNS[Tab.DECIDE])
        self.refresh_data()

    # Data -------------------------------------------------------------------------------------------------------------

    @property
    def tab(self) -> Tab:
        return Tab(self.query_one(TabLine).active)

    def _refresh_quietly(self) -> None:
        # Only while somebody watches a run: otherwise nothing on the page changes by itself.
        is_running = self._cycles is not None and any(one.is_running for one in self._cycles.connections)
        is_seen = self.app.screen is self and self.app.app_focus and self.console.session is not None
        if is_seen and is_running and self.console.connection == "online" and not self._is_waiting():
            self.refresh_data()

    def _is_waiting(self) -> bool:
        return any(wait.page is self for wait in self.console.waits)

    def refresh_data(self) -> None:
        session = self.console.session
        if session is not None and session.may(Permission.CYCLE_READ):
            call(self, "cycles", lambda client: client.list_cycles(), done=self._cycles_came)
        if self.tab is not Tab.RUNS:
            self._fetch(None)

    def _cycles_came(self, cycles: Cycles) -> None:
        self._cycles = cycles
        self._show()

    def _fetch(self, cursor: str | None) -> None:
        if self.tab is Tab.ASIDE:
            call(
                self,
                "tills",
                lambda client: client.list_quarantined(cursor=cursor),
                done=partial(self._aside_came, cursor),
            )
        elif self.tab is Tab.DECIDE:
            call(
                self,
                "tills",
                lambda client: client.list_link_reviews(cursor=cursor),
                done=partial(self._reviews_came, cursor),
            )

    def _aside_came(self, cursor: str | None, page: QuarantinePage) -> None:
        if self.tab is Tab.ASIDE:
            self._aside = [*(self._aside if cursor else ()), *page.items]
            self._next_cursor = page.next_cursor
            self._show()

    def _reviews_came(self, cursor: str | None, page: LinkReviewPage) -> None:
        if self.tab is Tab.DECIDE:
            self._reviews = [*(self._reviews if cursor else ()), *page.items]
            self._next_cursor = page.next_cursor
            self._show()

    def _show(self) -> None:
        session = self.console.session
        if session is None:
            return
        self._show_head()
        listed = self.query_one("#rows", LineList)
        listed.empty_words = _EMPTY[self.tab]
        listed.set_rows(self._rows())
        count = sum(not row.is_note for row in listed.rows)
        more = "+" if self._next_cursor else ""
        self.query_one(TabLine).note = f"{count}{more} {'row' if count == 1 else 'rows'}" if count else ""
        self.frame_changed()

    def _show_head(self) -> None:
        session = self.console.session
        assert session is not None
        if self._cycles is None:
            return
        now = self.console.now()
        cells = [connection_words(one, now=now, zone=session.zone) for one in self._cycles.connections]
        told = [safe(f" {cell.text}", TONE_STYLES[cell.tone]) for cell in cells]
        self.query_one("#tills-head", Static).update(lines(*told) if told else safe(" No till system yet."))

    def _rows(self) -> list[Row]:
        session = self.console.session
        assert session is not None
        now, zone = self.console.now(), session.zone
        match self.tab:
            case Tab.RUNS:
                runs = self._cycles.items if self._cycles is not None else ()
                return self._with_notes(runs, partial(cycle_row, now=now, zone=zone))
            case Tab.ASIDE:
                return self._with_notes(self._aside, partial(quarantine_row, now=now, zone=zone))
            case _:
                return self._with_notes(self._reviews, partial(review_row, now=now, zone=zone))

    def _with_notes(self, items: Sequence[ItemT], to_row: Callable[[ItemT], Row]) -> list[Row]:
        rows: list[Row] = []
        for item in items:
            row = to_row(item)
            rows.append(row)
            if row.key in self._opened:
                rows += [
                    Row(key=f"{row.key}/{index}", cells=(Cell(note),), is_note=True)
                    for index, note in enumerate(self._notes(item))
                ]
        return rows

    def _notes(self, item: CycleView | QuarantinedItem | LinkReviewView | None) -> list[str]:
        session = self.console.session
        if session is None or item is None:
            return []
        now, zone = self.console.now(), session.zone
        match item:
            case CycleView():
                return cycle_notes(item)
            case QuarantinedItem():
                return quarantine_notes(item, now=now, zone=zone)
            case LinkReviewView():
                return review_notes(item, now=now, zone=zone)

    def _current(self) -> CycleView | QuarantinedItem | LinkReviewView | None:
        key = self.query_one("#rows", LineList).current_key
        items: Sequence[CycleView | QuarantinedItem | LinkReviewView]
        match self.tab:
            case Tab.RUNS:
                items = self._cycles.items if self._cycles is not None else ()
            case Tab.ASIDE:
                items = self._aside
            case _:
                items = self._reviews
        return next((item for item in items if str(item.id) == key), None)

    def _review(self) -> LinkReviewView | None:
        found = self._current()
        return found if isinstance(found, LinkReviewView) else None

    @on(LineList.Chosen, "#rows")
    def _toggle(self, message: LineList.Chosen) -> None:
        self._opened ^= {message.key}
        self._show()

    @on(LineList.Highlighted, "#rows")
    def _highlighted(self) -> None:
        self.query_one("#detail", Static).update(lines(*map(safe, self._notes(self._current()))))
        self.frame_changed()

    @on(LineList.EndReached, "#rows")
    def _end_reached(self) -> None:
        if self._next_cursor is not None and not self._is_waiting():
            self._fetch(self._next_cursor)

    def show_tab(self, index: int) -> None:
        """Show one of the lists."""
        self.query_one(TabLine).active = index % len(TITLES)
        self._opened.clear()
        self._aside, self._reviews, self._next_cursor = [], [], None
        listed = self.query_one("#rows", LineList)
        listed.empty_words = ""
        listed.set_columns(_COLUMNS[self.tab])
        listed.set_rows(())
        listed.focus()
        self.refresh_data()

    @on(TabLine.Picked)
    def _picked(self, message: TabLine.Picked) -> None:
        self.console.perform(f"tills.tab{message.index + 1}")

    # What staff do ----------------------------------------------------------------------------------------------------

    def _sync(self) -> None:
        call(
            self,
            "sync now",
            lambda client: client.run_cycle(CycleRequest()),
            done=self._asked,
            is_write=True,
            waiting="Asking the tills…",
        )

    def _asked(self, answer: CycleAsked) -> None:
        tills = ", ".join(answer.connections)
        words = f"Asked for: {tills}. F5 shows what came." if tills else "There is no till system to ask."
        self.console.say(words, "good" if tills else "warn")
        self.refresh_data()

    def _customer(self) -> None:
        review = self._review()
        assert review is not None
        self.console.open_customer(str(review.customer_id), name=review.customer_name)

    def _link(self) -> None:
        """Open the link form with the customer as they stand now."""
        review = self._review()
        assert review is not None
        call(
            self,
            "customer",
            lambda client: client.get_customer(review.customer_id),
            done=partial(self._customer_came, review),
            waiting="Opening…",
        )

    def _customer_came(self, review: LinkReviewView, detail: CustomerDetail) -> None:
        from tui.screens.link import LinkPage

        self.app.push_screen(LinkPage(detail, record_id=review.record.id))

    def _settle(self) -> None:
        review = self._review()
        assert review is not None
        question = Question(
            title="Leave a match as it is",
            crumb="Tills › Leave as it is",
            facts=(("Customer", review.customer_name), ("Record", record_words(review.record))),
            sentences=("Nothing is linked; this match is not shown again.",),
            commit_words="Leave it",
            waiting_words="Putting it aside…",
        )
        page = ReasonPage(
            question,
            send=lambda client, typed, _: client.settle_link_review(review.id, ReviewSettling(note=typed.reason)),
            done=self._settled,
        )
        self.app.push_screen(page)

    def _settled(self, answer: Accepted) -> None:
        self.console.say(answer.detail, "good")

    # The page ---------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return "Sync › Tills"

    def handlers(self) -> Handlers:
        tabs: Handlers = {f"tills.tab{index + 1}": partial(self.show_tab, index) for index in range(len(TITLES))}
        return tabs | {
            "tills.detail": self.query_one("#rows", LineList).action_choose,
            "tills.sync": self._sync,
            "tills.customer": self._customer,
            "tills.link": self._link,
            "tills.settle": self._settle,
            "tills.tab_next": partial(self._step_tab, 1),
            "tills.tab_back": partial(self._step_tab, -1),
            "app.back": self._back,
        }

    def _step_tab(self, step: int) -> None:
        self.console.perform(f"tills.tab{(self.tab + step) % len(TITLES) + 1}")

    def _back(self) -> None:
        if not self.console.stop_waiting(self):
            self.console.go_home()

    def unavailable(self, action_id: str) -> str | None:
        if action_id in _REVIEWING and self._review() is None:
            return "choose a match in tab 3 first"
        return None

    def show_failure(self, error: ConsoleError) -> None:
        super().show_failure(error)
        rows = self.query_one("#rows", LineList)
        if not rows.rows:
            rows.empty_words = "This could not be fetched. F5 asks again."
