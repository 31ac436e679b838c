"""Sales at the desk: today's that count for nobody, another day's, or those of a receipt number."""

import contextlib
from datetime import date, timedelta
from functools import partial
from uuid import UUID

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from shared.claims import ClaimCodeIssued
from shared.codes import card_of, is_card_number
from shared.orders import StaffOrder, StaffOrderDetail, StaffOrderPage
from tui.calls import call
from tui.client import new_key
from tui.errors import ConsoleError
from tui.formatting import Row, day, note_rows
from tui.pages import Handlers, Page, bindings_for
from tui.safe import lines, plain, safe
from tui.value_words import detail_notes, parse_day, staff_order_row
from tui.widgets.field import Field
from tui.widgets.line_list import Column, LineList

_COLUMNS = (
    Column("When", 15),
    Column("Number", 12),
    Column("Store", -2, from_width=100),
    Column("Paid", 13, right=True),
    Column("Points", 7, right=True, from_width=70),
    Column("Counts for", -2),
    Column("State", -2, from_width=110),
)
_AHEAD = "That day has not come yet."
_NO_STORE = "You belong to no store: type a receipt number, or a day and a store, like today high-street."
_NEED_ROW = {"orders.choose", "orders.detach", "orders.customer", "orders.detail", "orders.code"}


class OrdersPage(Page):
    """A list of sales; Enter unfolds the lines, letters say whose a sale is."""

    PAGE = "orders"
    CSS_PATH = "orders.tcss"
    AUTO_FOCUS = "#orders"
    BINDINGS = bindings_for("orders")

    def __init__(self) -> None:
        super().__init__()
        self._day: date | None = None
        self._number = ""
        self._store = ""  # Another than one's own.
        self._shown_of = ""  # What was asked for when the rows came.
        self._orders: list[StaffOrder] = []
        self._details: dict[UUID, StaffOrderDetail] = {}
        self._opened: set[str] = set()
        self._next_cursor: str | None = None
        self._is_making_code = False

    def compose_body(self) -> ComposeResult:
        with Vertical(id="orders-box", classes="box"):
            yield Field(id="receipt", length_max=64, placeholder="a receipt number, or a day like 13.3.")
        with Horizontal(id="orders-found"):
            yield LineList(_COLUMNS, id="orders")
            yield Static(id="detail")

    def on_mount(self) -> None:
        self.query_one("#orders-box").border_title = "Receipt or day – or scan"

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        if self.console.session is not None:
            self.refresh_data()

    # Data -------------------------------------------------------------------------------------------------------------

    @property
    def _today(self) -> date:
        session = self.console.session
        assert session is not None, "only the signed-in list"
        return self.console.now().astimezone(session.zone).date()

    def refresh_data(self) -> None:
        self._fetch(None)

    def _fetch(self, cursor: str | None) -> None:
        session = self.console.session
        if session is None:
            return
        store, number, on = self._store or session.staff.store_code or "", self._number, self._day or self._today
        self.query_one("#orders-box").border_subtitle = safe(self._what())
        if not number and not store:
            self._forget_rows(_NO_STORE)
            return
        call(
            self,
            "orders",
            lambda client: (
                client.find_orders(number=number, cursor=cursor)
                if number
                else client.find_orders(store=store, day=on.isoformat(), cursor=cursor)
            ),
            done=partial(self._arrived, cursor),
            waiting="Looking for sales…",
        )

    def _what(self) -> str:
        if self._number:
            return f"receipt {plain(self._number)}"
        session = self.console.session
        store = self._store or (session.staff.store_name if session is not None else None)
        on = self._day or self._today
        words = "today" if on == self._today else day(on, today=self._today)
        return f"{words}, sales of nobody{f' at {store}' if store else ''}"

    def _arrived(self, cursor: str | None, page: StaffOrderPage) -> None:
        if cursor is None:
            self._orders = []
            self._details.clear()
        self._orders += page.items
        self._next_cursor = page.next_cursor
        self._shown_of = self._what()
        self._show()
        self.frame_changed()
        for key in self._opened & {str(order.id) for order in self._orders}:
            self._fetch_lines(UUID(key))

    def _forget_rows(self, words: str) -> None:
        """Take away rows that are not of what is asked for now, and say instead why there are none."""
        self._orders, self._next_cursor = [], None
        self.query_one("#detail", Static).update("")
        listed = self.query_one("#orders", LineList)
        listed.empty_words = words
        listed.set_rows(())
        self.frame_changed()

    def _show(self) -> None:
        session = self.console.session
        if session is None:
            return
        now = self.console.now()
        rows: list[Row] = []
        for order in self._orders:
            rows.append(staff_order_row(order, now=now, zone=session.zone))
            if str(order.id) in self._opened:
                detail = self._details.get(order.id)
                notes = detail_notes(detail, now=now, zone=session.zone) if detail is not None else ["…"]
                rows += note_rows(str(order.id), notes)
        listed = self.query_one("#orders", LineList)
        listed.empty_words = (
            f"No sale has the number {plain(self._number)}. n writes one down."
            if self._number
            else "Every sale of this day counts for somebody. ← goes a day back."
        )
        listed.set_rows(rows)

    def _current(self) -> StaffOrder | None:
        key = self.query_one("#orders", LineList).current_key
        return next((order for order in self._orders if str(order.id) == key), None)

    # What is looked for -------------------------------------------------------------------------------------------------

    @on(Input.Submitted, "#receipt")
    def _look(self) -> None:
        self.look_for(self.query_one("#receipt", Field).value.strip())

    def look_for(self, text: str) -> None:
        """List the sales of a day, perhaps of another store, or of a receipt number; nothing is today."""
        on, store = self._read_day(text)
        if on is not None and on > self._today:
            self.console.say(_AHEAD, "warn")
            return
        self._opened.clear()
        self._store = store
        self._day, self._number = (on, "") if on is not None else (self._day, text)
        self.query_one("#orders", LineList).focus()
        self.refresh_data()

    def _read_day(self, text: str) -> tuple[date | None, str]:
        """Return a day and the code of a store that stands after it; no day where it is a receipt number."""
        before, _, last = text.rpartition(" ")
        for words, store in ((text, ""), (before, last)):
            if words or not text:
                with contextlib.suppress(ValueError):
                    return parse_day(words, today=self._today), store
        return None, ""

    def _step_day(self, step: int) -> None:
        on = (self._day or self._today) + timedelta(days=step)
        if on > self._today:
            self.console.say(_AHEAD, "warn")
            return
        self._day, self._number = on, ""
        self.query_one("#receipt", Field).value = ""
        self._opened.clear()
        self.refresh_data()

    def _type(self) -> None:
        field = self.query_one("#receipt", Field)
        field.focus()
        field.action_select_all()

    # Rows -----------------------------------------------------------------------------------------------------------------

    @on(LineList.Chosen, "#orders")
    def _toggle(self, message: LineList.Chosen) -> None:
        self._opened ^= {message.key}
        self._show()
        if message.key in self._opened:
            self._fetch_lines(UUID(message.key))

    @on(LineList.Highlighted, "#orders")
    def _highlighted(self, message: LineList.Highlighted) -> None:
        self.frame_changed()
        detail = self.query_one("#detail", Static)
        detail.update("")
        if message.key is not None and detail.display:
            self._fetch_lines(UUID(message.key))

    def _fetch_lines(self, order_id: UUID) -> None:
        if order_id in self._details:
            self._show_lines(self._details[order_id])
            return
        call(
            self,
            f"lines {order_id}",
            lambda client: client.get_order(order_id),
            done=self._show_lines,
            waiting="Fetching the lines…",
        )

    def _show_lines(self, detail: StaffOrderDetail) -> None:
        is_new = detail.order.id not in self._details
        self._details[detail.order.id] = detail
        current, session = self._current(), self.console.session
        if session is not None and current is not None and current.id == detail.order.id:
            notes = detail_notes(detail, now=self.console.now(), zone=session.zone)
            self.query_one("#detail", Static).update(lines(*map(safe, notes)))
        if is_new and str(detail.order.id) in self._opened:
            self._show()

    @on(LineList.EndReached, "#orders")
    def _end_reached(self) -> None:
        if self._next_cursor is not None and not any(wait.page is self for wait in self.console.waits):
            self._fetch(self._next_cursor)

    # What staff do ----------------------------------------------------------------------------------------------------

    def _choose(self) -> None:
        from tui.screens.assign import AssignPage

        self.app.push_screen(AssignPage(order=self._current()))

    def _take_away(self) -> None:
        from tui.screens.assign import AssignPage

        self.app.push_screen(AssignPage(order=self._current(), detaches=True))

    def _record(self) -> None:
        from tui.screens.record import RecordPage

        self.app.push_screen(RecordPage())

    def _open_customer(self) -> None:
        order = self._current()
        assert order is not None
        self.console.open_customer(str(order.customer_id), name=order.customer_name or "")

    # The page -----------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        more = ", more below" if self._next_cursor else ""
        return f"Orders ({len(self._orders)} shown{more})" if self._orders else "Orders"

    def handlers(self) -> Handlers:
        return {
            "orders.detail": self.query_one("#orders", LineList).action_choose,
            "orders.choose": self._choose,
            "orders.detach": self._take_away,
            "orders.record": self._record,
            "orders.code": self._make_code,
            "orders.customer": self._open_customer,
            "orders.look": self._type,
            "orders.day_back": partial(self._step_day, -1),
            "orders.day_next": partial(self._step_day, 1),
            "app.back": self._back,
        }

    def _make_code(self) -> None:
        order = self._current()
        assert order is not None
        order_id, key = order.id, new_key()
        # Each code ends the one before it, so that of two presses the first would show a code that is over.
        self._is_making_code = True
        call(
            self,
            "code",
            lambda client: client.issue_receipt_code(order_id, key=key),
            done=self._code_made,
            failed=self._code_not_made,
            is_write=True,
            waiting="Making the code…",
        )

    def _code_not_made(self, error: ConsoleError) -> None:
        self._is_making_code = False
        self.show_failure(error)

    def _code_made(self, issued: ClaimCodeIssued) -> None:
        from tui.screens.claims import IssuedPage

        self._is_making_code = False
        self.app.push_screen(IssuedPage(issued, crumb="Orders › Claim code"))

    def _back(self) -> None:
        if not self.console.stop_waiting(self):
            self.console.go_home()

    def unavailable(self, action_id: str) -> str | None:
        order = self._current()
        if action_id not in _NEED_ROW:
            return None
        if order is None:
            return "there is no sale under the cursor"
        if action_id in {"orders.detach", "orders.customer"} and order.customer_id is None:
            return "this sale counts for nobody"
        if action_id == "orders.code" and order.customer_id is not None:
            return "this sale counts for somebody"
        if action_id == "orders.code" and self._is_making_code:
            return "it is being made"
        return None

    def scan_words(self) -> str:
        return "A scanned card opens its customer; a scanned receipt finds its sale."

    def take_scan(self, code: str) -> None:
        if is_card_number(card_of(code)):
            self.console.find_code(code)
            return
        self.query_one("#receipt", Field).value = code
        self.query_one("#orders", LineList).focus()
        self._number = code
        self._opened.clear()
        self.refresh_data()

    def show_failure(self, error: ConsoleError) -> None:
        super().show_failure(error)
        if not self._orders or self._shown_of != self._what():
            self._forget_rows("This could not be fetched. F5 asks again.")
