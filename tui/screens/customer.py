"""One customer: facts that never scroll, and tabs that are asked for when they are first shown."""

from collections.abc import Callable
from datetime import UTC, tzinfo
from enum import IntEnum
from functools import partial
from typing import TypeVar
from uuid import UUID

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from shared.members import Accepted, EntryPage, EntryView, OrderPage, OrderView
from shared.staff import AuditEntryView, AuditPage, CustomerDetail, EmailChangeView
from tui.calls import call
from tui.errors import ConsoleError
from tui.formatting import (
    Cell,
    Row,
    audit_notes,
    audit_row,
    can_undo,
    card_row,
    consent_rows,
    contact_rows,
    entry_notes,
    entry_row,
    full_name,
    header_facts,
    main_membership,
    notices,
    order_notes,
    order_row,
)
from tui.pages import Handlers, Page, bindings_for
from tui.safe import lines, safe
from tui.widgets.facts import TONE_STYLES, Facts
from tui.widgets.line_list import Column, LineList
from tui.widgets.tab_line import TabLine

ItemT = TypeVar("ItemT", EntryView, OrderView, AuditEntryView)


class Tab(IntEnum):
    """The tabs in their order."""

    ACTIVITY = 0
    ORDERS = 1
    CARDS = 2
    CONSENTS = 3
    CONTACT = 4
    AUDIT = 5


NOTICES_MAX = 3
TITLES = ("Activity", "Orders", "Cards", "Consents", "Contact", "Audit")
_COLUMNS: tuple[tuple[Column, ...], ...] = (
    (Column("When", 15), Column("What", -1), Column("Points", 8, right=True), Column("Balance", 9, right=True), Column("By", 14, from_width=70)),
    (Column("When", 15), Column("Number", 12), Column("Store", -1, from_width=70), Column("Paid", 13, right=True), Column("Points", 7, right=True), Column("State", -1)),
    (Column("Card", 16), Column("State", 10), Column("Issued", 15), Column("Ended", 15), Column("Successor", -1)),
    (Column("Channel", 24), Column("Answer", -1), Column("Address", -1)),
    (Column("Kind", 14), Column("Value", -2), Column("State", 12), Column("Since", -1)),
    (Column("When", 15), Column("Who", 16), Column("What", -3), Column("On", 14, from_width=90), Column("Why", -2)),
)  # fmt: skip
_EMPTY = (
    "No points have moved yet. The first order will show here.",
    "No orders yet.",
    "No card. A card is issued with the membership.",
    "No channels.",
    "No addresses and no notes.",
    "Nothing was changed yet.",
)


class Paged(list[ItemT]):
    """The items of a tab as far as they were fetched."""

    next_cursor: str | None = None
    is_fetched = False


class CustomerPage(Page):
    """Everything about one customer."""

    PAGE = "customer"
    CSS_PATH = "customer.tcss"
    AUTO_FOCUS = "#rows"
    BINDINGS = bindings_for("customer")

    def __init__(self, customer_id: str, *, name: str = "") -> None:
        super().__init__()
        self.customer_id = UUID(customer_id)
        self.detail: CustomerDetail | None = None
        self._name = name
        self._opened: set[str] = set()
        self._entries: Paged[EntryView] = Paged()
        self._orders: Paged[OrderView] = Paged()
        self._audit: Paged[AuditEntryView] = Paged()

    def compose_body(self) -> ComposeResult:
        with Vertical(id="header"):
            yield Static(id="customer-name")
            yield Facts(id="customer-facts")
            yield Static(id="customer-notices")
        yield TabLine(TITLES)
        with Horizontal(id="tab"):
            yield LineList(_COLUMNS[Tab.ACTIVITY], id="rows")
            yield Static(id="detail")

    def on_mount(self) -> None:
        self.query_one("#customer-name", Static).update(safe(f" {self._name}", "bold"))
        self.refresh_data()

    # Data -------------------------------------------------------------------------------------------------------------

    def refresh_data(self) -> None:
        call(
            self,
            "customer",
            lambda client: client.get_customer(self.customer_id),
            done=self._fetched,
            waiting="Opening…",
        )

    def _fetched(self, detail: CustomerDetail) -> None:
        self.detail = detail
        self._name = full_name(detail.given_name, detail.family_name)
        for paged in (self._entries, self._orders, self._audit):
            paged.is_fetched = False
        self._show_header()
        self._show_tab()
        self.frame_changed()

    def _show_header(self) -> None:
        detail = self.detail
        assert detail is not None
        now, zone = self.console.now(), self.zone
        status = "" if detail.status == "active" else f"  ({detail.status})"
        self.query_one("#customer-name", Static).update(safe(f" {self._name}{status}", "bold"))
        self.query_one("#customer-facts", Facts).show(header_facts(detail, now=now, zone=zone))
        told = notices(detail, now=now, zone=zone)
        shown = [safe(f" ! {cell.text}", TONE_STYLES[cell.tone]) for cell in told[:NOTICES_MAX]]
        self.query_one("#customer-notices", Static).update(lines(*shown))
        self.query_one("#customer-notices").display = bool(told)

    @property
    def zone(self) -> tzinfo:
        """The shop's; a locked console shows nobody, so that UTC is never seen."""
        session = self.console.session
        return session.zone if session else UTC

    @property
    def tab(self) -> Tab:
        return Tab(self.query_one(TabLine).active)

    def _show_tab(self) -> None:
        """Fill the list from what is there, and ask for what is not."""
        if self.detail is None:
            return
        tab = self.tab
        rows = self.query_one("#rows", LineList)
        paged = self._paged()
        rows.empty_words = _EMPTY[tab] if paged is None or paged.is_fetched else ""
        rows.set_columns(_COLUMNS[tab])
        rows.set_rows(self._rows())
        self._show_count()
        if paged is not None and not paged.is_fetched:
            self._fetch(more=False)

    def _paged(self) -> Paged[EntryView] | Paged[OrderView] | Paged[AuditEntryView] | None:
        match self.tab:
            case Tab.ACTIVITY:
                return self._entries
            case Tab.ORDERS:
                return self._orders
            case Tab.AUDIT:
                return self._audit
            case _:
                return None

    def _rows(self) -> list[Row]:
        detail, now, zone = self.detail, self.console.now(), self.zone
        assert detail is not None
        match self.tab:
            case Tab.ACTIVITY:
                return self._with_notes(
                    self._entries, partial(entry_row, now=now, zone=zone), partial(entry_notes, now=now, zone=zone)
                )
            case Tab.ORDERS:
                return self._with_notes(self._orders, partial(order_row, now=now, zone=zone), order_notes)
            case Tab.CARDS:
                return [card_row(card, now=now, zone=zone) for card in detail.cards]
            case Tab.CONSENTS:
                return consent_rows(detail, now=now, zone=zone)
            case Tab.CONTACT:
                return contact_rows(detail, now=now, zone=zone)
            case _:
                return self._with_notes(self._audit, partial(audit_row, now=now, zone=zone), audit_notes)

    def _with_notes(
        self, items: Paged[ItemT], to_row: Callable[[ItemT], Row], to_notes: Callable[[ItemT], list[str]]
    ) -> list[Row]:
        """Return the rows, with the notes of the opened ones under them."""
        rows: list[Row] = []
        for item in items:
            rows.append(to_row(item))
            if str(item.id) in self._opened:
                rows += [
                    Row(key=f"{item.id}/{index}", cells=(Cell(note),), is_note=True)
                    for index, note in enumerate(to_notes(item))
                ]
        return rows

    def _fetch(self, *, more: bool) -> None:
        detail, tab = self.detail, self.tab
        membership = main_membership(detail) if detail else None
        paged = self._paged()
        if paged is None or (more and paged.next_cursor is None):
            return
        cursor = paged.next_cursor if more else None
        customer_id = self.customer_id
        if tab == Tab.ACTIVITY:
            if membership is None:
                self._arrived(self._entries, EntryPage(items=()), more=False)
                return
            membership_id = membership.id
            call(
                self,
                "tab",
                lambda client: client.list_entries(membership_id, cursor=cursor),
                done=partial(self._arrived, self._entries, more=more),
            )
        elif tab == Tab.ORDERS:
            call(
                self,
                "tab",
                lambda client: client.list_orders(customer_id, cursor=cursor),
                done=partial(self._arrived, self._orders, more=more),
            )
        else:
            call(
                self,
                "tab",
                lambda client: client.list_customer_audit(customer_id, cursor=cursor),
                done=partial(self._arrived, self._audit, more=more),
            )

    def _arrived(self, paged: Paged[ItemT], page: EntryPage | OrderPage | AuditPage, *, more: bool) -> None:
        if not more:
            paged.clear()
        paged += page.items  # type: ignore[arg-type]  # The page is the one that this list was asked for.
        paged.next_cursor = page.next_cursor
        paged.is_fetched = True
        if paged is self._paged():
            rows = self.query_one("#rows", LineList)
            rows.empty_words = _EMPTY[self.tab]
            rows.set_rows(self._rows())
            self._show_count()

    def _show_count(self) -> None:
        paged = self._paged()
        words = ""
        if paged is not None and paged.is_fetched:
            words = f"{len(paged)}{'+' if paged.next_cursor else ''} rows"
        self.query_one(TabLine).note = words

    # What staff do ----------------------------------------------------------------------------------------------------

    def show_tab(self, index: int) -> None:
        """Show a tab; its data is asked for when it is shown for the first time."""
        self.query_one(TabLine).active = index % len(TITLES)
        self._opened.clear()
        rows = self.query_one("#rows", LineList)
        rows.set_rows(())
        rows.focus()
        self._show_tab()

    @on(TabLine.Picked)
    def _picked(self, message: TabLine.Picked) -> None:
        self.console.perform(f"customer.tab{message.index + 1}")

    @on(LineList.Chosen, "#rows")
    def _toggle(self, message: LineList.Chosen) -> None:
        if self.detail is not None and self.detail.merged_into is not None:
            self.console.open_customer(str(self.detail.merged_into))
            return
        self._opened ^= {message.key}
        self.query_one("#rows", LineList).set_rows(self._rows())

    @on(LineList.EndReached, "#rows")
    def _end_reached(self) -> None:
        if not any(wait.page is self for wait in self.console.waits):
            self._fetch(more=True)

    @on(LineList.Highlighted, "#rows")
    def _highlighted(self, message: LineList.Highlighted) -> None:
        """In a wide window the right pane tells at once what Enter would unfold."""
        told = [note.cells[0].text for note in self._notes_of(message.key)]
        self.query_one("#detail", Static).update(lines(*map(safe, told)))

    def _notes_of(self, key: str | None) -> list[Row]:
        paged = self._paged()
        item = next((item for item in paged or () if str(item.id) == key), None)
        now, zone = self.console.now(), self.zone
        match item:
            case EntryView():
                told = entry_notes(item, now=now, zone=zone)
            case OrderView():
                told = order_notes(item)
            case AuditEntryView():
                told = audit_notes(item)
            case _:
                told = []
        return [Row(key="", cells=(Cell(note),), is_note=True) for note in told]

    def _change_email(self) -> None:
        from tui.screens.email_change import EmailPage

        assert self.detail is not None
        self.app.push_screen(EmailPage(self.detail), self._came_back)

    def _edit(self) -> None:
        from tui.screens.edit import EditPage

        assert self.detail is not None
        self.app.push_screen(EditPage(self.detail), self._came_back)

    def _undo(self) -> None:
        from tui.screens.undo import UndoPage

        change = self._undoable()
        assert self.detail is not None
        assert change is not None
        self.app.push_screen(UndoPage(self.detail, change), self._came_back)

    def _came_back(self, _: None) -> None:
        self.refresh_data()

    def _undoable(self) -> EmailChangeView | None:
        now = self.console.now()
        changes = self.detail.email_changes if self.detail else ()
        return next((change for change in changes if can_undo(change, now=now)), None)

    def _invite(self) -> None:
        call(
            self,
            "invite",
            lambda client: client.invite(self.customer_id),
            done=self._invited,
            is_write=True,
            waiting="Sending the invitation…",
        )

    def _invited(self, answer: Accepted) -> None:
        self.console.say(answer.detail or "The invitation is on its way.", "good")

    # The page ---------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return f"Find › {self._name or '…'}"

    def handlers(self) -> Handlers:
        tabs: Handlers = {f"customer.tab{index + 1}": partial(self.show_tab, index) for index in range(len(TITLES))}
        return tabs | {
            "customer.detail": self.query_one("#rows", LineList).action_choose,
            "customer.email": self._change_email,
            "customer.undo": self._undo,
            "customer.edit": self._edit,
            "customer.invite": self._invite,
            "customer.tab_next": partial(self._step_tab, 1),
            "customer.tab_back": partial(self._step_tab, -1),
            "app.back": self._back,
        }

    def _step_tab(self, step: int) -> None:
        # Through the action, so that a tab the role may not see says so.
        self.console.perform(f"customer.tab{(self.tab + step) % len(TITLES) + 1}")

    def _back(self) -> None:
        if not self.console.stop_waiting(self):
            self.dismiss()

    def unavailable(self, action_id: str) -> str | None:
        own = {"customer.email", "customer.undo", "customer.edit", "customer.invite"}
        detail = self.detail
        if action_id not in own:
            return None
        if detail is None:
            return "the customer is not here yet"
        if detail.status != "active":
            return f"this customer is {detail.status}"
        if action_id == "customer.undo" and self._undoable() is None:
            return "there is no change that can still be taken back"
        if action_id == "customer.invite":
            if detail.has_login:
                return "this customer can sign in already"
            if detail.email is None:
                return "there is no email address to write to"
        return None

    def show_failure(self, error: ConsoleError) -> None:
        super().show_failure(error)
        rows = self.query_one("#rows", LineList)
        if not rows.rows:
            rows.empty_words = "This could not be fetched. F5 asks again."
