"""Customers who may be there twice, with what speaks for it and against it; and the merges that were made or asked for."""

from enum import IntEnum
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.widgets import Static

from shared.duplicates import DuplicateDismissal, DuplicatePage, DuplicateState, DuplicateView
from shared.merges import MergeDecision, MergeRefusal, MergeState, MergeView
from shared.merges import MergePage as MergeList
from tui.calls import call
from tui.errors import ConsoleError
from tui.formatting import points
from tui.merge_words import (
    NEEDS,
    duplicate_notes,
    duplicate_row,
    is_merge_undoable,
    merge_row,
    merge_view_notes,
    ordered,
)
from tui.pages import Handlers, Page, bindings_for
from tui.safe import lines, safe
from tui.screens.choosing import Chosen
from tui.screens.reason import Question, ReasonPage
from tui.widgets.line_list import Column, LineList
from tui.widgets.tab_line import TabLine


class Tab(IntEnum):
    """The lists in their order."""

    OPEN = 0
    DISMISSED = 1
    WAITING = 2
    MERGES = 3


TITLES = ("Duplicates", "Not the same", "To approve", "All merges")
_PAIRS = (
    Column("Score", 5, right=True),
    Column("One", -2),
    Column("The other", -2),
    Column("Why", -4),
    Column("By", -1, from_width=110),
)
_MERGES = (
    Column("When", 15),
    Column("Kept", -2),
    Column("Folded in", -2),
    Column("Asked by", -1),
    Column("State", 10),
)
_EMPTY = (
    "Nobody seems to be there twice.",
    "No pair was said to be two people.",
    "No merge waits for a second person.",
    "No merges yet.",
)
_ON_PAIRS = {"duplicates.merge", "duplicates.dismiss"}
_ON_MERGES = {"duplicates.approve", "duplicates.refuse", "duplicates.undo"}
_STATES = {Tab.OPEN: DuplicateState.OPEN, Tab.DISMISSED: DuplicateState.DISMISSED}


class DuplicatesPage(Page):
    """Four lists; what is known of the row under the cursor stands beside or below them."""

    PAGE = "duplicates"
    CSS_PATH = "duplicates.tcss"
    AUTO_FOCUS = "#rows"
    BINDINGS = bindings_for("duplicates")

    def __init__(self) -> None:
        super().__init__()
        self._pairs: list[DuplicateView] = []
        self._merges: list[MergeView] = []
        self._next_cursor: str | None = None

    def compose_body(self) -> ComposeResult:
        yield TabLine(TITLES)
        with Container(id="pairs-found"):
            yield LineList(_PAIRS, id="rows")
            yield Static(id="detail")

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        if self.console.session is not None:
            self.refresh_data()

    # Data -------------------------------------------------------------------------------------------------------------

    @property
    def tab(self) -> Tab:
        return Tab(self.query_one(TabLine).active)

    def refresh_data(self) -> None:
        self._fetch(None)

    def _fetch(self, cursor: str | None) -> None:
        tab = self.tab
        if tab in _STATES:
            state = _STATES[tab].value
            call(
                self,
                "duplicates",
                lambda client: client.list_duplicates(state=state, cursor=cursor),
                done=partial(self._pairs_came, tab, cursor),
            )
            return
        state = MergeState.WAITING.value if tab is Tab.WAITING else ""
        call(
            self,
            "duplicates",
            lambda client: client.list_merges(state=state, cursor=cursor),
            done=partial(self._merges_came, tab, cursor),
        )

    def _pairs_came(self, tab: Tab, cursor: str | None, page: DuplicatePage) -> None:
        if tab is self.tab:
            self._pairs = [*(self._pairs if cursor else ()), *page.items]
            self._next_cursor = page.next_cursor
            self._show()

    def _merges_came(self, tab: Tab, cursor: str | None, page: MergeList) -> None:
        if tab is self.tab:
            self._merges = [*(self._merges if cursor else ()), *page.items]
            self._next_cursor = page.next_cursor
            self._show()

    def _show(self) -> None:
        session = self.console.session
        if session is None:
            return
        now, zone = self.console.now(), session.zone
        listed = self.query_one("#rows", LineList)
        listed.empty_words = _EMPTY[self.tab]
        if self.tab in _STATES:
            rows = [duplicate_row(pair) for pair in self._pairs]
        else:
            rows = [merge_row(merge, now=now, zone=zone) for merge in self._merges]
        listed.set_rows(rows)
        more = "+" if self._next_cursor else ""
        self.query_one(TabLine).note = f"{len(rows)}{more}" if rows else ""
        self.frame_changed()

    def _pair(self) -> DuplicateView | None:
        key = self.query_one("#rows", LineList).current_key
        return next((pair for pair in self._pairs if str(pair.id) == key), None) if self.tab in _STATES else None

    def _merge(self) -> MergeView | None:
        key = self.query_one("#rows", LineList).current_key
        return next((one for one in self._merges if str(one.id) == key), None) if self.tab not in _STATES else None

    @on(LineList.Highlighted, "#rows")
    def _highlighted(self) -> None:
        session, pair, merge = self.console.session, self._pair(), self._merge()
        if session is None:
            return
        now, zone = self.console.now(), session.zone
        told: list[str] = []
        if pair is not None:
            told = duplicate_notes(pair, now=now, zone=zone)
        elif merge is not None:
            told = merge_view_notes(merge, now=now, zone=zone)
        self.query_one("#detail", Static).update(lines(*map(safe, told)))
        self.frame_changed()

    @on(LineList.Chosen, "#rows")
    def _chosen(self) -> None:
        self.console.perform("duplicates.merge" if self.tab in _STATES else "duplicates.customer")

    @on(LineList.EndReached, "#rows")
    def _end_reached(self) -> None:
        if self._next_cursor is not None and not any(wait.page is self for wait in self.console.waits):
            self._fetch(self._next_cursor)

    def show_tab(self, index: int) -> None:
        """Show one of the lists."""
        self.query_one(TabLine).active = index % len(TITLES)
        self._pairs, self._merges, self._next_cursor = [], [], None
        listed = self.query_one("#rows", LineList)
        listed.empty_words = ""
        listed.set_columns(_PAIRS if self.tab in _STATES else _MERGES)
        listed.set_rows(())
        listed.focus()
        self.refresh_data()

    @on(TabLine.Picked)
    def _picked(self, message: TabLine.Picked) -> None:
        self.console.perform(f"duplicates.tab{message.index + 1}")

    # Deciding on pairs ------------------------------------------------------------------------------------------------

    def _open_merge(self) -> None:
        from tui.screens.merge import MergePage

        pair = self._pair()
        assert pair is not None
        keep, fold = (Chosen(id=str(person.id), name=person.name) for person in ordered(pair))
        self.app.push_screen(MergePage(keep, fold, in_order=True))

    def _dismiss(self) -> None:
        pair = self._pair()
        assert pair is not None
        if pair.state is DuplicateState.DISMISSED:
            call(
                self,
                "reopen",
                lambda client: client.reopen_duplicate(pair.id),
                done=partial(self._decided, "They are looked at again."),
                is_write=True,
            )
            return
        question = Question(
            title="Not the same person",
            crumb="Duplicates › Not the same",
            facts=(("One", pair.one.name), ("The other", pair.other.name)),
            sentences=("The pair is remembered and does not come back. It can be looked at again later.",),
            commit_words="Two people",
            waiting_words="Remembering it…",
            needs_reason=False,
        )
        page = ReasonPage(
            question,
            send=lambda client, typed, _: client.dismiss_duplicate(pair.id, DuplicateDismissal(note=typed.reason)),
            done=partial(self._decided, "Remembered: these are two people."),
        )
        self.app.push_screen(page)

    def _decided(self, words: str, pair: DuplicateView) -> None:
        del pair
        self.console.say(words, "good")
        self.refresh_data()

    # Deciding on merges -----------------------------------------------------------------------------------------------

    def _approve(self) -> None:
        """Ask how the merge stands now: what it does may have changed since it was asked for."""
        merge = self._merge()
        assert merge is not None
        call(self, "merge", lambda client: client.get_merge(merge.id), done=self._ask_approval)

    def _ask_approval(self, merge: MergeView) -> None:
        effect = merge.effect
        if effect is None:
            self.console.say("This merge cannot be carried out as things stand. Refuse it, or let it lapse.", "warn")
            return
        facts = [*_facts(merge), ("Points", f"{points(effect.available_after)} together")]
        facts.append(("Comes along", f"{effect.orders} sales, {effect.vouchers} vouchers, {len(effect.cards)} cards"))
        question = Question(
            title="Approve a merge",
            crumb="Duplicates › Approve",
            facts=tuple(facts),
            sentences=("The two become one at once; it can be taken back for 30 days. Both names are kept with it.",),
            commit_words="Approve",
            waiting_words="Merging…",
            needs_reason=False,
        )
        page = ReasonPage(
            question,
            send=lambda client, typed, key: client.approve_merge(
                merge.id, MergeDecision(preview_hash=merge.preview_hash, note=typed.reason), key=key
            ),
            done=partial(self._told, "Approved"),
        )
        self.app.push_screen(page)

    def _refuse(self) -> None:
        merge = self._merge()
        assert merge is not None
        question = Question(
            title="Refuse a merge",
            crumb="Duplicates › Refuse",
            facts=_facts(merge),
            sentences=("Nothing changes. Who asked reads your reason.",),
            commit_words="Refuse",
            waiting_words="Sending the decision…",
        )
        page = ReasonPage(
            question,
            send=lambda client, typed, _: client.refuse_merge(merge.id, MergeRefusal(reason=typed.reason)),
            done=partial(self._told, "Refused"),
        )
        self.app.push_screen(page)

    def _told(self, word: str, merge: MergeView) -> None:
        self.console.say(f"{word}: {merge.absorbed_name} into {merge.survivor_name}.", "good")
        self.refresh_data()

    def _undo(self) -> None:
        from tui.screens.take_back import UnmergePage

        merge = self._merge()
        assert merge is not None
        self.app.push_screen(UnmergePage(merge))

    def _open_customer(self) -> None:
        pair, merge = self._pair(), self._merge()
        if pair is not None:
            keep, _ = ordered(pair)
            self.console.open_customer(str(keep.id), name=keep.name)
        elif merge is not None:
            self.console.open_customer(str(merge.survivor_id), name=merge.survivor_name)

    # The page ---------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return f"Duplicates › {TITLES[self.tab]}" if self.tab else "Duplicates"

    def handlers(self) -> Handlers:
        tabs: Handlers = {f"duplicates.tab{index + 1}": partial(self.show_tab, index) for index in range(len(TITLES))}
        return tabs | {
            "duplicates.merge": self._open_merge,
            "duplicates.dismiss": self._dismiss,
            "duplicates.approve": self._approve,
            "duplicates.refuse": self._refuse,
            "duplicates.undo": self._undo,
            "duplicates.customer": self._open_customer,
            "duplicates.tab_next": partial(self._step_tab, 1),
            "duplicates.tab_back": partial(self._step_tab, -1),
            "app.back": self._back,
        }

    def _step_tab(self, step: int) -> None:
        self.console.perform(f"duplicates.tab{(self.tab + step) % len(TITLES) + 1}")

    def _back(self) -> None:
        if not self.console.stop_waiting(self):
            self.console.go_home()

    def unavailable(self, action_id: str) -> str | None:
        pair, merge = self._pair(), self._merge()
        if action_id in _ON_PAIRS and pair is None:
            return "choose a pair in tab 1 first"
        if action_id == "duplicates.customer" and pair is None and merge is None:
            return "there is none here"
        if action_id not in _ON_MERGES:
            return None
        if merge is None:
            return "choose a merge in tab 3 or 4 first"
        if action_id == "duplicates.undo":
            return (
                None if is_merge_undoable(merge, now=self.console.now()) else "this one cannot be taken back any more"
            )
        return None if merge.state is MergeState.WAITING else "this one does not wait any more"

    def show_failure(self, error: ConsoleError) -> None:
        super().show_failure(error)
        listed = self.query_one("#rows", LineList)
        if not listed.rows:
            listed.empty_words = "This could not be fetched. F5 asks again."


def _facts(merge: MergeView) -> tuple[tuple[str, str], ...]:
    """Return a merge as the facts of a question."""
    facts = [("Kept", merge.survivor_name), ("Folded in", merge.absorbed_name)]
    facts += [("Asked by", merge.requested_by or "nobody"), ("Reason", merge.reason)]
    return (*facts, *(("Why two", NEEDS.get(need, need.value)) for need in merge.needs))
