"""What waits for a person: adjustments that need a second one, and refunds that will not come right by waiting."""

from collections.abc import Callable
from enum import IntEnum
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from shared.adjustments import (
    AdjustmentDecision,
    AdjustmentPage,
    AdjustmentRefusal,
    AdjustmentState,
    AdjustmentView,
)
from shared.refunds import RefundNote, RefundPage, RefundState, RefundView
from shared.staff import Undo
from tui.calls import call
from tui.errors import ConsoleError
from tui.formatting import Cell, Row, points, signed
from tui.pages import Handlers, Page, bindings_for
from tui.safe import lines, safe
from tui.screens.reason import Question, ReasonPage
from tui.value_words import (
    REASONS,
    adjustment_notes,
    adjustment_row,
    can_take_back,
    change_words,
    refund_notes,
    refund_row,
)
from tui.widgets.line_list import Column, LineList
from tui.widgets.tab_line import TabLine


class Tab(IntEnum):
    """The lists in their order."""

    WAITING = 0
    DECIDED = 1
    REFUNDS = 2


TITLES = ("To approve", "All adjustments", "Refunds")
_ADJUSTMENTS = (
    Column("When", 15),
    Column("Customer", -2),
    Column("Points", 9, right=True),
    Column("Reason", 12, from_width=70),
    Column("Asked by", -1),
    Column("State", 10),
)
_REFUNDS = (
    Column("Arrived", 15),
    Column("Refund", -2),
    Column("Sale", -1),
    Column("Store", -1, from_width=90),
    Column("Points", 7, right=True),
    Column("State", 18),
)
_EMPTY = (
    "Nothing waits for a second person.",
    "Nobody has given or taken points by hand yet.",
    "No refunds yet.",
)
_DECIDING = {"queue.approve", "queue.refuse"}


class QueuePage(Page):
    """Lists of adjustments and refunds; Enter says what each is about."""

    PAGE = "queue"
    CSS_PATH = "queue.tcss"
    AUTO_FOCUS = "#rows"
    BINDINGS = bindings_for("queue")

    def __init__(self) -> None:
        super().__init__()
        self._adjustments: list[AdjustmentView] = []
        self._refunds: list[RefundView] = []
        self._next_cursor: str | None = None
        self._opened: set[str] = set()

    def compose_body(self) -> ComposeResult:
        yield TabLine(TITLES)
        with Horizontal(id="queue-found"):
            yield LineList(_ADJUSTMENTS, id="rows")
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
        if tab is Tab.REFUNDS:
            call(
                self,
                "queue",
                lambda client: client.list_refunds(cursor=cursor),
                done=partial(self._refunds_came, cursor),
            )
            return
        state = AdjustmentState.WAITING.value if tab is Tab.WAITING else ""
        call(
            self,
            "queue",
            lambda client: client.list_adjustments(state=state, cursor=cursor),
            done=partial(self._adjustments_came, tab, cursor),
        )

    def _adjustments_came(self, tab: Tab, cursor: str | None, page: AdjustmentPage) -> None:
        if tab is self.tab:
            self._adjustments = [*(self._adjustments if cursor else ()), *page.items]
            self._next_cursor = page.next_cursor
            self._show()

    def _refunds_came(self, cursor: str | None, page: RefundPage) -> None:
        if self.tab is Tab.REFUNDS:
            self._refunds = [*(self._refunds if cursor else ()), *page.items]
            self._next_cursor = page.next_cursor
            self._show()

    def _show(self) -> None:
        session = self.console.session
        if session is None:
            return
        now, zone = self.console.now(), session.zone
        listed = self.query_one("#rows", LineList)
        listed.empty_words = _EMPTY[self.tab]
        if self.tab is Tab.REFUNDS:
            # What needs a person comes first; the rest is history.
            items = sorted(self._refunds, key=lambda refund: not refund.needs_person)
            rows = [refund_row(refund, now=now, zone=zone) for refund in items]
        else:
            rows = [adjustment_row(adjustment, now=now, zone=zone) for adjustment in self._adjustments]
        listed.set_rows([row for row in rows for row in self._with_notes(row)])
        more = "+" if self._next_cursor else ""
        self.query_one(TabLine).note = f"{len(rows)}{more} {'row' if len(rows) == 1 else 'rows'}" if rows else ""
        self.frame_changed()

    def _with_notes(self, row: Row) -> list[Row]:
        if row.key not in self._opened:
            return [row]
        notes = [
            Row(key=f"{row.key}/{index}", cells=(Cell(note),), is_note=True)
            for index, note in enumerate(self._notes(row.key))
        ]
        return [row, *notes]

    def _notes(self, key: str | None) -> list[str]:
        session = self.console.session
        if session is None:
            return []
        now, zone = self.console.now(), session.zone
        if self.tab is Tab.REFUNDS:
            refund = next((refund for refund in self._refunds if str(refund.id) == key), None)
            return refund_notes(refund, now=now, zone=zone) if refund is not None else []
        adjustment = next((found for found in self._adjustments if str(found.id) == key), None)
        return adjustment_notes(adjustment, now=now, zone=zone) if adjustment is not None else []

    def _adjustment(self) -> AdjustmentView | None:
        if self.tab is Tab.REFUNDS:
            return None
        key = self.query_one("#rows", LineList).current_key
        return next((found for found in self._adjustments if str(found.id) == key), None)

    @on(LineList.Chosen, "#rows")
    def _toggle(self, message: LineList.Chosen) -> None:
        self._opened ^= {message.key}
        self._show()

    @on(LineList.Highlighted, "#rows")
    def _highlighted(self, message: LineList.Highlighted) -> None:
        self.query_one("#detail", Static).update(lines(*map(safe, self._notes(message.key))))
        self.frame_changed()

    @on(LineList.EndReached, "#rows")
    def _end_reached(self) -> None:
        if self._next_cursor is not None and not any(wait.page is self for wait in self.console.waits):
            self._fetch(self._next_cursor)

    def show_tab(self, index: int) -> None:
        """Show one of the lists."""
        self.query_one(TabLine).active = index % len(TITLES)
        self._opened.clear()
        self._adjustments, self._refunds, self._next_cursor = [], [], None
        listed = self.query_one("#rows", LineList)
        listed.empty_words = ""
        listed.set_columns(_REFUNDS if self.tab is Tab.REFUNDS else _ADJUSTMENTS)
        listed.set_rows(())
        listed.focus()
        self.refresh_data()

    @on(TabLine.Picked)
    def _picked(self, message: TabLine.Picked) -> None:
        self.console.perform(f"queue.tab{message.index + 1}")

    # Deciding ---------------------------------------------------------------------------------------------------------

    def _approve(self) -> None:
        adjustment = self._adjustment()
        assert adjustment is not None
        assert adjustment.preview_hash is not None
        preview_hash = adjustment.preview_hash
        self._ask(
            adjustment,
            title="Approve an adjustment",
            sentences=("The points are posted at once, and both names are kept with them.",),
            commit_words="Approve",
            needs_reason=False,
            page=lambda question: ReasonPage(
                question,
                send=lambda client, typed, key: client.approve_adjustment(
                    adjustment.id,
                    AdjustmentDecision(preview_hash=preview_hash, note=typed.reason, password=typed.password),
                    key=key,
                ),
                done=lambda answer: self._told("Approved", answer),
            ),
        )

    def _refuse(self) -> None:
        adjustment = self._adjustment()
        assert adjustment is not None
        self._ask(
            adjustment,
            title="Refuse an adjustment",
            sentences=("Nothing is posted. Who asked reads your reason.",),
            commit_words="Refuse",
            page=lambda question: ReasonPage(
                question,
                send=lambda client, typed, _: client.refuse_adjustment(
                    adjustment.id, AdjustmentRefusal(reason=typed.reason)
                ),
                done=lambda answer: self._told("Refused", answer),
            ),
        )

    def _undo(self) -> None:
        adjustment = self._adjustment()
        assert adjustment is not None
        self.app.push_screen(
            undo_page(adjustment, crumb="Queue › Take back", done=lambda answer: self._told("Taken back", answer))
        )

    def _refund(self) -> RefundView | None:
        if self.tab is not Tab.REFUNDS:
            return None
        key = self.query_one("#rows", LineList).current_key
        return next((found for found in self._refunds if str(found.id) == key), None)

    def _attach_sale(self) -> None:
        from tui.screens.returned import ReturnedPage

        refund = self._refund()
        assert refund is not None
        self.app.push_screen(ReturnedPage(refund))

    def _dismiss_or_reopen(self) -> None:
        refund = self._refund()
        assert refund is not None
        is_dismissed = refund.state is RefundState.DISMISSED
        question = Question(
            title="Take a refund up again" if is_dismissed else "Dismiss a refund",
            crumb="Queue › Refund",
            facts=(("Refund", refund.external_id), ("Store", refund.store_name)),
            sentences=(
                "It waits for its sale, or for a person, as it did before."
                if is_dismissed
                else "No points go back for it. It can be taken up again later.",
            ),
            commit_words="Take it up" if is_dismissed else "Dismiss",
            waiting_words="Settling the refund…",
        )
        self.app.push_screen(
            ReasonPage(
                question,
                send=lambda client, typed, _: (
                    client.reopen_refund(refund.id, RefundNote(reason=typed.reason))
                    if is_dismissed
                    else client.dismiss_refund(refund.id, RefundNote(reason=typed.reason))
                ),
                done=lambda answer: self.console.say(
                    f"{'Taken up again' if is_dismissed else 'Dismissed'}: {answer.external_id}.", "good"
                ),
            )
        )

    def _ask(
        self,
        adjustment: AdjustmentView,
        *,
        title: str,
        sentences: tuple[str, ...],
        commit_words: str,
        page: Callable[[Question], "ReasonPage[AdjustmentView]"],
        needs_reason: bool = True,
    ) -> None:
        question = Question(
            title=title,
            crumb=f"Queue › {commit_words}",
            facts=(*adjustment_facts(adjustment), *(("Why two", words) for words in adjustment.needs_second_person)),
            sentences=sentences,
            commit_words=commit_words,
            waiting_words="Sending the decision…",
            needs_reason=needs_reason,
        )
        self.app.push_screen(page(question))

    def _told(self, word: str, answer: AdjustmentView) -> None:
        words = f"{signed(answer.points)} for {answer.customer_name}, balance {points(answer.available)}."
        self.console.say(f"{word}: {words}", "good")

    def _open_customer(self) -> None:
        adjustment = self._adjustment()
        assert adjustment is not None
        self.console.open_customer(str(adjustment.customer_id), name=adjustment.customer_name)

    # The page -----------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return f"Queue › {TITLES[self.tab]}"

    def handlers(self) -> Handlers:
        tabs: Handlers = {f"queue.tab{index + 1}": partial(self.show_tab, index) for index in range(len(TITLES))}
        return tabs | {
            "queue.detail": self.query_one("#rows", LineList).action_choose,
            "queue.approve": self._approve,
            "queue.refuse": self._refuse,
            "queue.undo": self._undo,
            "queue.customer": self._open_customer,
            "queue.attach": self._attach_sale,
            "queue.dismiss": self._dismiss_or_reopen,
            "queue.tab_next": partial(self._step_tab, 1),
            "queue.tab_back": partial(self._step_tab, -1),
            "app.back": self._back,
        }

    def _step_tab(self, step: int) -> None:
        self.console.perform(f"queue.tab{(self.tab + step) % len(TITLES) + 1}")

    def _back(self) -> None:
        if not self.console.stop_waiting(self):
            self.console.go_home()

    def unavailable(self, action_id: str) -> str | None:
        if action_id in {"queue.attach", "queue.dismiss"}:
            return self._why_not_settled(action_id)
        if action_id not in {*_DECIDING, "queue.undo", "queue.customer"}:
            return None
        adjustment = self._adjustment()
        if adjustment is None:
            return "there is none here"
        if action_id in _DECIDING and adjustment.state is not AdjustmentState.WAITING:
            return "this one does not wait any more"
        if action_id == "queue.undo" and not can_take_back(adjustment, now=self.console.now()):
            return "this one cannot be taken back any more"
        return None

    def _why_not_settled(self, action_id: str) -> str | None:
        refund = self._refund()
        if refund is None:
            return "choose a refund in tab 3 first"
        if refund.state is RefundState.POSTED:
            return "this one has had its effect"
        if action_id == "queue.attach" and refund.state is RefundState.DISMISSED:
            return "this one is dismissed; x takes it up again"
        return None

    def show_failure(self, error: ConsoleError) -> None:
        super().show_failure(error)
        listed = self.query_one("#rows", LineList)
        if not listed.rows:
            listed.empty_words = "This could not be fetched. F5 asks again."


def adjustment_facts(adjustment: AdjustmentView) -> tuple[tuple[str, str], ...]:
    """Return an adjustment as the facts of a question."""
    facts = [
        ("Customer", adjustment.customer_name),
        ("Points", signed(adjustment.points)),
        ("Reason", REASONS[adjustment.reason_code]),
        ("Asked by", adjustment.requested_by),
    ]
    if adjustment.note:
        facts.append(("Note", adjustment.note))
    after = adjustment.available + adjustment.points
    if adjustment.state is AdjustmentState.WAITING and after >= 0 and not adjustment.deficit:
        facts.append(("Can spend", change_words(adjustment.available, after)))
    return tuple(facts)


def undo_page(
    adjustment: AdjustmentView, *, crumb: str, done: Callable[[AdjustmentView], None]
) -> ReasonPage[AdjustmentView]:
    """Return the question before an adjustment is taken back."""
    question = Question(
        title="Take back an adjustment",
        crumb=crumb,
        facts=adjustment_facts(adjustment),
        sentences=("A movement the other way round is posted; the first one stays in the history.",),
        commit_words="Take it back",
        waiting_words="Taking it back…",
    )
    return ReasonPage(
        question,
        send=lambda client, typed, key: client.undo_adjustment(adjustment.id, Undo(reason=typed.reason), key=key),
        done=done,
    )
