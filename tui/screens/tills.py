"""The exchange with till systems: what each run brought, what was set aside, matches to decide, and what to do in a till."""

import asyncio
from datetime import UTC, datetime, tzinfo
from enum import IntEnum
from functools import partial

from textual.app import ComposeResult
from textual.widgets import Static

from shared.enums import Permission
from shared.links import (
    Cycles,
    CycleView,
    LinkReviewView,
    PosTodoDone,
    PosTodoState,
    PosTodoView,
    QuarantinedItem,
    ReviewSettling,
    WaitingLink,
)
from shared.members import Accepted
from shared.staff import CustomerDetail
from tui.calls import call
from tui.client import Client
from tui.formatting import Row
from tui.link_words import (
    connection_words,
    cycle_notes,
    cycle_row,
    quarantine_notes,
    quarantine_row,
    record_words,
    review_notes,
    review_row,
    todo_notes,
    todo_row,
    waiting_notes,
    waiting_row,
)
from tui.pages import Handlers, bindings_for
from tui.safe import lines, safe
from tui.screens.choosing import Chosen
from tui.screens.list_page import Listed, Listing, ListPage, ListTab
from tui.screens.reason import Question, ReasonPage
from tui.widgets.facts import TONE_STYLES
from tui.widgets.line_list import Column
from tui.widgets.tab_line import TabLine


class Tab(IntEnum):
    """The lists in their order."""

    RUNS = 0
    ASIDE = 1
    DECIDE = 2
    LINKS = 3
    TODO = 4
    DONE = 5


REFRESH_SECONDS = 2.0
_RUNS = (
    Column("Began", 15),
    Column("Till system", -1),
    Column("State", 8),
    Column("New sales", 9, right=True),
    Column("Points", 8, right=True, from_width=70),
    Column("Linked", 6, right=True, from_width=70),
    Column("Aside", 5, right=True),
    Column("Why", 14, from_width=90),
)
_ASIDE = (
    Column("Set aside", 15),
    Column("Till system", -1, from_width=70),
    Column("What", 9),
    Column("Its id", -1),
    Column("Reason", -3),
)
_DECIDE = (Column("Since", 15), Column("Customer", -2), Column("POS record", -2), Column("Why", -3))
_LINKS = (Column("Asked", 15), Column("Customer", -2), Column("POS record", -2), Column("Asked by", -1))
_TODO = (
    Column("Since", 15, from_width=70),
    Column("Customer", -2),
    Column("Make one record of", -3),
    Column("State", 20),
)
_REVIEWING = {"tills.link", "tills.settle"}
TillItem = CycleView | QuarantinedItem | LinkReviewView | WaitingLink | PosTodoView


class TillsPage(ListPage[TillItem]):
    """Lists that refresh by themselves while a run is under way; Enter tells more."""

    PAGE = "tills"
    CSS_PATH = "tills.tcss"
    BINDINGS = bindings_for("tills")
    TABS = (
        ListTab(
            title="Runs",
            columns=_RUNS,
            empty="Nothing was fetched from a till system yet. Tills that send by themselves need no run.",
        ),
        ListTab(
            title="Set aside",
            columns=_ASIDE,
            empty="Nothing is set aside: everything that tills told was posted.",
        ),
        ListTab(title="Matches", columns=_DECIDE, empty="No match waits for a person."),
        ListTab(title="Links", columns=_LINKS, empty="No link waits for a second person."),
        ListTab(title="To do", columns=_TODO, empty="Nothing is left to do in a till."),
        ListTab(title="Done", columns=_TODO, empty="Nothing was done in a till yet."),
    )

    def __init__(self) -> None:
        super().__init__()
        self._cycles: Cycles | None = None

    def compose_head(self) -> ComposeResult:
        yield Static(id="tills-head")

    def on_mount(self) -> None:
        self.set_interval(REFRESH_SECONDS, self._refresh_quietly)

    def on_screen_resume(self) -> None:
        session = self.console.session
        if session is not None and not session.may(Permission.CYCLE_READ) and self.tab < Tab.DECIDE:
            self.query_one(TabLine).active = Tab.DECIDE
            self.listed.set_columns(_DECIDE)
        super().on_screen_resume()

    # Data -------------------------------------------------------------------------------------------------------------

    def _refresh_quietly(self) -> None:
        # Only while somebody watches a run: otherwise nothing on the page changes by itself. Who has gone on to further pages
        # of a list is left there: asked for anew, it would begin at its first row, under the cursor of who is deciding.
        is_running = self._cycles is not None and any(one.is_running for one in self._cycles.connections)
        is_seen = self.is_active and self.app.app_focus and self.console.session is not None
        if is_seen and is_running and self.console.connection == "online" and not (self.is_waiting() or self.is_paged):
            self.refresh_data()

    async def ask(self, client: Client, tab: int, cursor: str | None) -> Listed[TillItem]:
        """Ask for a list and, for who may see it, how it stands with the till systems."""
        session = self.console.session
        if session is None or not session.may(Permission.CYCLE_READ):
            return await self._ask_list(client, tab, cursor)
        if tab == Tab.RUNS:
            self._cycles = await client.list_cycles()
            return Listing(items=self._cycles.items)
        listed, self._cycles = await asyncio.gather(self._ask_list(client, tab, cursor), client.list_cycles())
        return listed

    async def _ask_list(self, client: Client, tab: int, cursor: str | None) -> Listed[TillItem]:
        match tab:
            case Tab.ASIDE:
                return await client.list_quarantined(cursor=cursor)
            case Tab.LINKS:
                return await client.list_waiting_links(cursor=cursor)
            case Tab.TODO | Tab.DONE:
                state = PosTodoState.OPEN if tab == Tab.TODO else PosTodoState.DONE
                return await client.list_pos_todos(state=state, cursor=cursor)
            case _:
                return await client.list_link_reviews(cursor=cursor)

    def show_head(self, *, now: datetime, zone: tzinfo) -> None:
        if self._cycles is None:
            return
        cells = [connection_words(one, now=now, zone=zone) for one in self._cycles.connections]
        told = [safe(f" {cell.text}", TONE_STYLES[cell.tone]) for cell in cells]
        self.query_one("#tills-head", Static).update(lines(*told) if told else safe(" No till system yet."))

    def row(self, item: TillItem, *, now: datetime, zone: tzinfo) -> Row:
        match item:
            case CycleView():
                return cycle_row(item, now=now, zone=zone)
            case QuarantinedItem():
                return quarantine_row(item, now=now, zone=zone)
            case LinkReviewView():
                return review_row(item, now=now, zone=zone)
            case WaitingLink():
                return waiting_row(item, now=now, zone=zone)
            case PosTodoView():
                return todo_row(item, now=now, zone=zone)

    def notes(self, item: TillItem, *, now: datetime, zone: tzinfo) -> list[str]:
        match item:
            case CycleView():
                return cycle_notes(item)
            case QuarantinedItem():
                return quarantine_notes(item, now=now, zone=zone)
            case LinkReviewView():
                return review_notes(item, now=now, zone=zone)
            case WaitingLink():
                return waiting_notes(item, now=now, zone=zone)
            case PosTodoView():
                return todo_notes(item, now=now, zone=zone)

    def _review(self) -> LinkReviewView | None:
        return self.current if isinstance(self.current, LinkReviewView) else None

    # What staff do ----------------------------------------------------------------------------------------------------

    def _sync(self) -> None:
        from tui.screens.links import ask_tills

        ask_tills(self)

    def _todo(self) -> PosTodoView | None:
        return self.current if isinstance(self.current, PosTodoView) else None

    def _waiting(self) -> WaitingLink | None:
        return self.current if isinstance(self.current, WaitingLink) else None

    def _approve(self) -> None:
        from tui.screens.links import approved_words, ask_approval

        waiting = self._waiting()
        assert waiting is not None
        ask_approval(
            self,
            waiting.link,
            who=waiting.customer_name,
            done=lambda answer: self.console.say(approved_words(answer), "good"),
        )

    def _refuse(self) -> None:
        from tui.screens.unlink import UnlinkPage

        waiting = self._waiting()
        assert waiting is not None
        self.app.push_screen(UnlinkPage(waiting.link, name=waiting.customer_name))

    def _customer(self) -> None:
        item = self._review() or self._waiting() or self._todo()
        assert item is not None
        self.console.open_customer(str(item.customer_id), name=item.customer_name)

    def _finish(self) -> None:
        todo = self._todo()
        assert todo is not None
        now, zone = self.console.now(), self.console.session.zone if self.console.session else UTC
        question = Question(
            title="Done in the till",
            crumb="Tills › Done",
            facts=(("Customer", todo.customer_name), ("Till", todo.connection)),
            sentences=tuple(todo_notes(todo, now=now, zone=zone)[:2]),
            commit_words="It is done",
            waiting_words="Writing it down…",
            needs_reason=False,
        )
        page = ReasonPage(
            question,
            send=lambda client, typed, _: client.finish_pos_todo(todo.id, PosTodoDone(note=typed.reason)),
            done=lambda _: self.console.say("Written down as done. Tab 6 shows it; u there takes it back.", "good"),
        )
        self.app.push_screen(page)

    def _reopen(self) -> None:
        todo = self._todo()
        assert todo is not None
        call(
            self,
            "reopen",
            lambda client: client.reopen_pos_todo(todo.id),
            done=self._reopened,
            is_write=True,
            waiting="Taking it up again…",
        )

    def _reopened(self, _: PosTodoView) -> None:
        self.console.say("It is to be done again: tab 5.", "good")
        self.refresh_data()

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

    def _merge(self) -> None:
        from tui.screens.merge import MergePage

        review = self._review()
        assert review is not None
        assert review.other_customer_id is not None
        own = Chosen(id=str(review.customer_id), name=review.customer_name)
        other = Chosen(id=str(review.other_customer_id), name=review.record.customer_name or "the other one")
        self.app.push_screen(MergePage(own, other))

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
        return super().handlers() | {
            "tills.sync": self._sync,
            "tills.customer": self._customer,
            "tills.link": self._link,
            "tills.merge": self._merge,
            "tills.settle": self._settle,
            "tills.approve": self._approve,
            "tills.refuse": self._refuse,
            "tills.done": self._finish,
            "tills.reopen": self._reopen,
        }

    def unavailable(self, action_id: str) -> str | None:
        if action_id in _REVIEWING and self._review() is None:
            return "choose a match in tab 3 first"
        review, todo = self._review(), self._todo()
        if action_id == "tills.customer" and not (review or self._waiting() or todo):
            return "choose a row with a customer first (tabs 3 to 6)"
        if action_id in {"tills.approve", "tills.refuse"} and self._waiting() is None:
            return "choose a link in tab 4 first"
        if action_id == "tills.done" and (todo is None or todo.state is not PosTodoState.OPEN):
            return "choose what was done in tab 5 first"
        if action_id == "tills.reopen" and (todo is None or todo.state is not PosTodoState.DONE):
            return "choose what is not done in tab 6 first"
        if action_id == "tills.merge" and (review is None or review.other_customer_id is None):
            return "choose a match with another customer in tab 3 first"
        return None
