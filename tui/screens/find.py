"""Find a customer: one box for name, phone, email or card."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import ClassVar

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static

from shared import limits
from shared.merges import MergeState, MergeView
from shared.orders import StaffOrderPage
from shared.staff import CustomerHit, SearchResult
from tui.actions import BY_ID
from tui.calls import call
from tui.errors import ConsoleError
from tui.formatting import Cell, Row, hit_facts, hit_row
from tui.pages import Handlers, Page, bindings_for
from tui.safe import lines, plain, safe
from tui.scan import is_claim, is_code, is_voucher
from tui.screens.choosing import Chosen
from tui.waiting import WaitingLine, ask_what_waits
from tui.widgets.facts import Facts
from tui.widgets.field import Field
from tui.widgets.line_list import Column, LineList

TRAILING_SECONDS = 0.06
STALE_SECONDS = 1.0
RECENT_MAX = 8
_MARKED_MAX = 2  # The first one is kept, the second one folded in.

_COLUMNS = (
    Column("Name", -3),
    Column("Points", 9, right=True),
    Column("Phone", 8, from_width=60),
    Column("Email", -3, from_width=50),
    Column("Card", 8, from_width=110),
    Column("Last order", 11, from_width=72),
)
_READ_AS = {
    "name": "read as a name",
    "email": "read as an email address",
    "phone": "read as a phone number",
    "card": "read as a card",
}
_FIRST_STEPS = (
    "Scan a card at any time: its customer opens.",
    "Or type a name, a phone number, an email or a card number.",
    "On an open customer letters do things: see the line at the bottom.",
    "Ctrl+P lists all you can do, F1 explains this screen.",
)


class SearchBox(Field):
    """The search field; up and down move in the results while the cursor stays here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "look('up')", show=False),
        Binding("down", "look('down')", show=False),
        Binding("pageup", "look('pageup')", show=False),
        Binding("pagedown", "look('pagedown')", show=False),
    ]

    class Looked(Message):
        """The list is to be looked through."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def action_look(self, key: str) -> None:
        self.post_message(self.Looked(key))


class FindPage(Page):
    """The home of the console. Enter belongs to the text: it opens only what the answer to exactly that text allows."""

    PAGE = "find"
    CSS_PATH = "find.tcss"
    AUTO_FOCUS = "#search"
    BINDINGS = bindings_for("find")

    def __init__(self) -> None:
        super().__init__()
        self._result: SearchResult | None = None
        self._result_text = ""
        self._asked_text = ""
        self._enter_text: str | None = None
        self._trailing: Timer | None = None
        self._hits: dict[str, CustomerHit] = {}
        self._recent: list[CustomerHit] = []
        self._marked: list[CustomerHit] = []
        self._scanned = ""

    def compose_body(self) -> ComposeResult:
        with Vertical(id="search-box", classes="box"):
            yield SearchBox(id="search", length_max=limits.SEARCH_LENGTH_MAX)
        with Horizontal(id="found"):
            yield LineList(_COLUMNS, id="results")
            with Vertical(id="hit"):
                yield Static(id="hit-name")
                yield Facts(id="hit-facts")
        yield WaitingLine()

    def on_mount(self) -> None:
        box = self.query_one("#search-box")
        box.border_title = "Name, phone, email or card – or scan"
        self._show_recent()

    # What is typed --------------------------------------------------------------------------------------------------

    def typed_text(self) -> str:
        return self.query_one("#search", SearchBox).value.strip()

    def start_over(self) -> None:
        """Put the cursor into the box with all of its text selected, so that the next name replaces it."""
        box = self.query_one("#search", SearchBox)
        box.focus()
        box.action_select_all()

    def search_and_open(self, text: str) -> None:
        """Search as if the text had been typed and Enter pressed."""
        box = self.query_one("#search", SearchBox)
        with box.prevent(Input.Changed):
            box.value = text
        self._scanned = text
        self.start_over()
        self._enter()

    @on(Input.Changed, "#search")
    def _changed(self) -> None:
        self.console.say("")
        text = self.typed_text()
        if text != self._enter_text:
            self._enter_text = None
        if text == self._result_text and self._result is not None:
            # What stands below is the answer to this; that to a text typed in between must not take its place.
            self.workers.cancel_group(self, "search")
            self._asked_text = ""
            self.query_one("#results", LineList).remove_class("-stale")
            return
        if not _is_enough(text):
            self._stop_search()
            self._show_recent()
            return
        # The first letter asks at once; while more keys come, only a short pause asks again.
        if self._trailing is None:
            self._search(text)
            self._trailing = self.set_timer(TRAILING_SECONDS, self._trailing_over)
        else:
            self._trailing.reset()

    def _trailing_over(self) -> None:
        self._trailing = None
        text = self.typed_text()
        if _is_enough(text) and text not in (self._asked_text, self._result_text):
            self._search(text)

    def _stop_search(self) -> None:
        self.workers.cancel_group(self, "search")
        self._result, self._result_text, self._asked_text, self._enter_text = None, "", "", None

    def _search(self, text: str) -> None:
        self._asked_text = text
        self.set_timer(STALE_SECONDS, partial(self._mark_stale, text))
        call(
            self,
            "search",
            lambda client: client.search(text),
            done=partial(self._answered, text),
            failed=partial(self._not_answered, text),
            waiting="Searching…",
        )

    def _mark_stale(self, text: str) -> None:
        if self._asked_text == text != self._result_text:
            self.query_one("#results", LineList).add_class("-stale")

    # What came back -------------------------------------------------------------------------------------------------

    def _answered(self, text: str, result: SearchResult) -> None:
        if text != self._asked_text:
            return
        self._result, self._result_text, self._asked_text = result, text, ""
        self._hits = {str(hit.id): hit for hit in result.items}
        results = self.query_one("#results", LineList)
        results.remove_class("-stale")
        results.empty_words = self._nobody(text)
        results.remove_class("-active")
        results.set_rows(self._rows(result.items), keep_cursor=False)
        self._show_read_as(result)
        if self._enter_text == text == self.typed_text():
            self._decide()

    def _not_answered(self, text: str, error: ConsoleError) -> None:
        if text == self._asked_text:
            self._asked_text, self._enter_text = "", None
        self.console.say_failure(error)

    def _today(self) -> date:
        session = self.console.session
        assert session is not None, "only the signed-in search"
        return self.console.now().astimezone(session.zone).date()

    def _nobody(self, text: str) -> str:
        return f"No customer matches. F3 registers “{plain(text)}”."

    def _count(self, result: SearchResult) -> str:
        if not result.items:
            return ""
        if result.more:
            return f"first {len(result.items)} of more: type more"
        return f"{len(result.items)} found"

    def _show_read_as(self, result: SearchResult) -> None:
        parts = (self._count(result), result.hint or _READ_AS.get(result.read_as, ""))
        self._subtitle(" · ".join(part for part in parts if part))

    def _subtitle(self, words: str) -> None:
        self.query_one("#search-box").border_subtitle = safe(words) if words else None

    def _show_recent(self) -> None:
        """With nothing typed, show whom this terminal opened last."""
        self._hits = {str(hit.id): hit for hit in self._recent}
        results = self.query_one("#results", LineList)
        results.empty_words = ""
        results.set_rows(self._rows(self._recent), keep_cursor=False)
        results.remove_class("-active")
        typed = self.typed_text()
        too_short = f"type at least {limits.SEARCH_LETTERS_MIN} letters or {limits.SEARCH_DIGITS_MIN} digits"
        self._subtitle(too_short if typed else "opened last at this terminal" if self._recent else "")

    # Marking two for a merge ------------------------------------------------------------------------------------------

    def _rows(self, hits: Sequence[CustomerHit]) -> list[Row]:
        """Return the hits as rows, with the marks before the names."""
        places = {hit.id: place for place, hit in enumerate(self._marked, start=1)}
        rows = []
        for hit in hits:
            row = hit_row(hit, today=self._today())
            place = places.get(hit.id)
            if place is not None:
                name = Cell(f"[{place}] {row.cells[0].text}", "strong")
                row = replace(row, cells=(name, *row.cells[1:]))
            rows.append(row)
        return rows

    def _current_hit(self) -> CustomerHit | None:
        return self._hits.get(self.query_one("#results", LineList).current_key or "")

    def _mark(self) -> None:
        """Mark the customer under the cursor, or take the mark away; marks stay through another search."""
        hit = self._current_hit()
        assert hit is not None
        others = [marked for marked in self._marked if marked.id != hit.id]
        if len(others) == len(self._marked):
            others = [*others[-_MARKED_MAX + 1 :], hit]
        self._marked = others
        results = self.query_one("#results", LineList)
        results.set_rows(self._rows(list(self._hits.values())))
        names = [marked.name for marked in self._marked]
        told = {1: "Marked: {} is kept. Mark the other one, then m.", 2: "m merges: {1} becomes a part of {0}."}
        self.console.say(told[len(names)].format(*names) if names else "Nobody is marked.")
        self.frame_changed()

    def _merge(self) -> None:
        from tui.screens.merge import MergePage

        keep, fold = (Chosen(id=str(hit.id), name=hit.name) for hit in self._marked)
        self.app.push_screen(MergePage(keep, fold, in_order=True, done=self._merged))

    def _merged(self, merge: MergeView) -> None:
        self._marked = []
        if merge.state is MergeState.DONE:
            self.console.open_customer(str(merge.survivor_id), name=merge.survivor_name)

    def unavailable(self, action_id: str) -> str | None:
        if action_id == "find.mark" and self._current_hit() is None:
            return "there is nobody in the list"
        if action_id == "find.merge" and len(self._marked) != _MARKED_MAX:
            return "mark two customers with Space first (Tab goes to the list)"
        return super().unavailable(action_id)

    # Opening --------------------------------------------------------------------------------------------------------

    @on(Input.Submitted, "#search")
    def _enter(self) -> None:
        text = self.typed_text()
        if not _is_enough(text):
            self._open_highlighted_recent()
            return
        if text.startswith("http") and is_claim(text):
            self._look_up_claim(text)  # What else it could be need not be asked.
            return
        if text == self._result_text and self._result is not None:
            self._decide()
            return
        # Enter is bound to the text: it waits for the answer to exactly this one.
        self._enter_text = text
        if text != self._asked_text:
            self._search(text)

    def _open_highlighted_recent(self) -> None:
        results = self.query_one("#results", LineList)
        if not self.typed_text() and results.was_moved and results.current_key:
            self._open(results.current_key)

    def _decide(self) -> None:
        """Open what the text names without doubt; never pick one of several people in silence."""
        self._enter_text = None
        result, results = self._result, self.query_one("#results", LineList)
        assert result is not None
        exact = [hit for hit in result.items if hit.exact]
        if results.was_moved and results.current_key:
            self._open(results.current_key)
        elif len(exact) == 1:
            self._open(str(exact[0].id))
        elif len(result.items) == 1 and not result.more:
            self._open(str(result.items[0].id))
        elif not result.items and (self._result_text == self._scanned or is_code(self._result_text)):
            self._find_sale(self._result_text)
        elif not result.items:
            self.console.say(self._nobody(self._result_text), "warn")
        else:
            people = f"More than {len(result.items)}" if result.more else str(len(result.items))
            self.console.say(f"{people} people match: choose with ↓, then Enter.", "warn")

    def _find_sale(self, code: str) -> None:
        """Look whether a code that is nobody's card is a receipt."""
        call(
            self,
            "sale",
            lambda client: client.find_orders(number=code),
            done=partial(self._sale_came, code),
            waiting="Looking for a sale…",
        )

    def _sale_came(self, code: str, page: StaffOrderPage) -> None:
        self._scanned = ""
        if page.items:
            self.console.show_sale(code)
        elif is_claim(code):
            self._look_up_claim(code)
        elif is_voucher(code):
            self.console.say("This is a voucher's code. It is used at the till, with the sale.", "warn")
        else:
            self.console.say(self._nobody(code), "warn")

    def _look_up_claim(self, code: str) -> None:
        reason = self.console.why_not(BY_ID["app.claim"], self)
        if reason is not None:
            self.console.say(f"This is a claim code: {reason}.", "warn")
            return
        self._scanned = self.query_one("#search", SearchBox).value = ""
        self.console.look_up_claim(code)

    def _open(self, key: str) -> None:
        hit = self._hits.get(key)
        self.console.say("")
        if hit is not None:
            self._recent = [hit, *(other for other in self._recent if other.id != hit.id)][:RECENT_MAX]
        self.console.open_customer(key, name=hit.name if hit else "")

    @on(SearchBox.Looked)
    def _look(self, message: SearchBox.Looked) -> None:
        results = self.query_one("#results", LineList)
        results.look(message.key)
        results.set_class(results.was_moved, "-active")

    @on(LineList.Chosen, "#results")
    def _chosen(self, message: LineList.Chosen) -> None:
        self._open(message.key)

    @on(LineList.Highlighted, "#results")
    def _highlighted(self, message: LineList.Highlighted) -> None:
        hit = self._hits.get(message.key or "")
        name, facts = self.query_one("#hit-name", Static), self.query_one("#hit-facts", Facts)
        if hit is None:
            steps = () if self.typed_text() else (safe(f"· {step}", "$text-muted") for step in _FIRST_STEPS)
            name.update(lines(*steps))
            facts.show(())
            return
        rows = hit_facts(hit, today=self._today())
        name.update(safe(hit.name, "bold"))
        facts.show(rows)

    # The page -------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return "Find"

    def handlers(self) -> Handlers:
        return {"find.open": self._enter, "find.mark": self._mark, "find.merge": self._merge}

    def refresh_data(self) -> None:
        if _is_enough(self.typed_text()):
            self._search(self.typed_text())

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        if not self.typed_text():
            self._show_recent()
        if self.console.session is not None and self.console.connection == "online":
            ask_what_waits(self)


def _is_enough(text: str) -> bool:
    """Return whether there is enough to search for: a few letters, or a few digits."""
    letters = sum(character.isalpha() for character in text)
    digits = sum(character.isdigit() for character in text)
    return letters >= limits.SEARCH_LETTERS_MIN or digits >= limits.SEARCH_DIGITS_MIN or letters + digits >= 3
