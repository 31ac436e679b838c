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

from shared.adjustments import AdjustmentView
from shared.enums import Permission
from shared.limits import ADJUST_UNDO_OWN
from shared.members import Accepted, EntryPage, EntryView, MembershipView, OrderPage, OrderView
from shared.orders import StaffOrderDetail
from shared.rewards import VoucherStatus, VoucherView
from shared.staff import AuditEntryView, AuditPage, CustomerDetail, EmailChangeView
from tui.actions import Action
from tui.calls import call
from tui.errors import ConsoleError
from tui.formatting import (
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
    is_held,
    note_rows,
    notices,
    order_notes,
    order_row,
)
from tui.pages import Handlers, Page, bindings_for
from tui.safe import lines, safe
from tui.screens.choosing import Chosen
from tui.screens.membership_tab import Membership, fetch_membership, find_voucher, membership_notes, membership_rows
from tui.screens.memberships import Memberships
from tui.screens.records import Records
from tui.screens.together import ACTIONS as TOGETHER_ACTIONS
from tui.screens.together import Together
from tui.value_words import can_take_back, trace_notes
from tui.widgets.facts import TONE_STYLES, Facts
from tui.widgets.line_list import Column, LineList
from tui.widgets.tab_line import TabLine

ItemT = TypeVar("ItemT", EntryView, OrderView, AuditEntryView)


class Tab(IntEnum):
    """The tabs in their order."""

    ACTIVITY = 0
    ORDERS = 1
    CARDS = 2
    MEMBERSHIP = 3
    CONSENTS = 4
    CONTACT = 5
    AUDIT = 6


NOTICES_MAX = 3
TITLES = ("Activity", "Orders", "Cards", "Member", "Consents", "Contact", "Audit")
_COLUMNS: tuple[tuple[Column, ...], ...] = (
    (Column("When", 15), Column("What", -1), Column("Points", 8, right=True), Column("Balance", 9, right=True), Column("By", 14, from_width=70)),
    (Column("When", 15), Column("Number", 12), Column("Store", -1, from_width=70), Column("Paid", 13, right=True), Column("Points", 7, right=True), Column("State", -1)),
    (Column("Card", 16), Column("State", 10), Column("Issued", 15), Column("Ended", 15), Column("Successor", -1)),
    (Column("What", 18), Column("How it stands", -1), Column("Points", 9, right=True), Column("When", 22)),
    (Column("Channel", 24), Column("Answer", -1), Column("Address", -1)),
    (Column("Kind", 14), Column("Value", -2), Column("State", 12), Column("Since", -1)),
    (Column("When", 15), Column("Who", 16), Column("What", -3), Column("On", 14, from_width=90), Column("Why", -2)),
)  # fmt: skip
_EMPTY = (
    "No points have moved yet. The first order will show here.",
    "No orders yet.",
    "No card. A card is issued with the membership.",
    "No membership and no vouchers.",
    "No channels.",
    "No addresses and no notes.",
    "Nothing was changed yet.",
)


_NEED_MEMBERSHIP = {"customer.points", "customer.reward"}
_CHANGING = _NEED_MEMBERSHIP | {
    "customer.email",
    "customer.undo",
    "customer.edit",
    "customer.invite",
    "customer.lift",
    "customer.order",
    "customer.attach",
    "customer.give",
    "customer.detach",
    "customer.cancel_voucher",
    "customer.enrol",
    *TOGETHER_ACTIONS,
}


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
        self._membership: Membership | None = None
        self._traces: dict[UUID, StaffOrderDetail] = {}
        self._adjusted: AdjustmentView | None = None  # The last one that was made here.
        self.memberships = Memberships(self)
        self.together = Together(self)
        self.records = Records(self)

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
        self.together.arrived(detail, asked_for=self.customer_id, name=self._name or "")
        self.customer_id = detail.id  # Whoever was merged is shown as the customer they are part of.
        self._name = full_name(detail.given_name, detail.family_name)
        for paged in (self._entries, self._orders, self._audit):
            paged.is_fetched = False
        self._membership = None
        self._traces.clear()
        self.show_header()
        self._show_tab()
        self.frame_changed()

    def show_header(self) -> None:
        """Show the facts that never scroll, and what staff must know first."""
        detail = self.detail
        assert detail is not None
        now, zone = self.console.now(), self.zone
        status = "" if detail.status == "active" else f"  ({detail.status})"
        self.query_one("#customer-name", Static).update(safe(f" {self._name}{status}", "bold"))
        self.query_one("#customer-facts", Facts).show(header_facts(detail, self.shown_membership, now=now, zone=zone))
        told = [*notices(detail, now=now, zone=zone), *self.together.notices()]
        shown = [safe(f" ! {cell.text}", TONE_STYLES[cell.tone]) for cell in told[:NOTICES_MAX]]
        self.query_one("#customer-notices", Static).update(lines(*shown))
        self.query_one("#customer-notices").display = bool(told)

    @property
    def shown_membership(self) -> MembershipView | None:
        """The membership whose points are shown and moved."""
        return self.memberships.shown

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
        is_there = self._membership is not None if tab == Tab.MEMBERSHIP else paged is None or paged.is_fetched
        rows.empty_words = _EMPTY[tab] if is_there else ""
        rows.set_columns(_COLUMNS[tab])
        rows.set_rows(self._rows())
        self._show_count()
        self.frame_changed()
        if tab == Tab.MEMBERSHIP and not is_there:
            self._fetch_membership()
        elif paged is not None and not paged.is_fetched:
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
                return self._with_notes(self._entries, partial(entry_row, now=now, zone=zone), self._entry_notes)
            case Tab.ORDERS:
                to_notes = partial(order_notes, now=now, zone=zone)
                return self._with_notes(self._orders, partial(order_row, now=now, zone=zone), to_notes)
            case Tab.CARDS:
                return self._card_rows(detail)
            case Tab.MEMBERSHIP:
                return self._membership_rows()
            case Tab.CONSENTS:
                return consent_rows(detail, now=now, zone=zone)
            case Tab.CONTACT:
                return contact_rows(detail, now=now, zone=zone)
            case _:
                return self._with_notes(self._audit, partial(audit_row, now=now, zone=zone), audit_notes)

    def _card_rows(self, detail: CustomerDetail) -> list[Row]:
        names = {view.id: view.programme_name for view in detail.memberships} if len(detail.memberships) > 1 else {}
        return [
            card_row(
                card,
                programme=names.get(card.membership_id, "") if card.membership_id else "",
                now=self.console.now(),
                zone=self.zone,
            )
            for card in detail.cards
        ]

    def _with_notes(
        self, items: Paged[ItemT], to_row: Callable[[ItemT], Row], to_notes: Callable[[ItemT], list[str]]
    ) -> list[Row]:
        """Return the rows, with the notes of the opened ones under them."""
        rows: list[Row] = []
        for item in items:
            rows.append(to_row(item))
            if str(item.id) in self._opened:
                rows += note_rows(str(item.id), to_notes(item))
        return rows

    def _entry_notes(self, entry: EntryView) -> list[str]:
        """Return the dates and the reason of an entry and, once they were fetched, the lines that explain its points."""
        now, zone = self.console.now(), self.zone
        told = entry_notes(entry, now=now, zone=zone)
        trace = self._traces.get(entry.order_id) if entry.order_id else None
        return told + (trace_notes(entry, trace, now=now, zone=zone) if trace is not None else [])

    def _fetch_trace(self, entry: EntryView) -> None:
        order_id = entry.order_id
        if order_id is None or order_id in self._traces:
            return
        call(
            self,
            f"trace {order_id}",
            lambda client: client.get_order(order_id),
            done=self._trace_came,
            waiting="Asking why…",
        )

    def _trace_came(self, detail: StaffOrderDetail) -> None:
        self._traces[detail.order.id] = detail
        if self.tab == Tab.ACTIVITY:
            rows = self.query_one("#rows", LineList)
            rows.set_rows(self._rows())

    def _membership_rows(self) -> list[Row]:
        found, now, zone = self._membership, self.console.now(), self.zone
        if found is None:
            return []
        rows: list[Row] = []
        for row in membership_rows(found, now=now, zone=zone):
            rows.append(row)
            if row.key in self._opened:
                rows += note_rows(row.key, membership_notes(found, row.key, now=now, zone=zone))
        return rows

    @property
    def membership(self) -> Membership | None:
        """What the membership tab shows, once it was fetched."""
        return self._membership

    @property
    def current_key(self) -> str | None:
        """The key of the row under the cursor."""
        return self.query_one("#rows", LineList).current_key

    def _fetch_membership(self) -> None:
        detail = self.detail
        assert detail is not None
        view = self.shown_membership
        others = tuple(membership for membership in detail.memberships if membership is not view)
        call(
            self,
            "tab",
            lambda client: fetch_membership(client, detail.id, view, others),
            done=self._membership_came,
        )

    def _membership_came(self, found: Membership) -> None:
        self._membership = found
        if self.tab == Tab.MEMBERSHIP:
            self._show_tab()

    def _fetch(self, *, more: bool) -> None:
        tab, membership = self.tab, self.shown_membership
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
            for entry in self._entries if self.tab == Tab.ACTIVITY else ():
                if str(entry.id) in self._opened:
                    self._fetch_trace(entry)  # What was told of it before was dropped with the rest.

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
        entry = self._item(message.key)
        if isinstance(entry, EntryView) and message.key in self._opened:
            self._fetch_trace(entry)

    @on(LineList.EndReached, "#rows")
    def _end_reached(self) -> None:
        if not any(wait.page is self for wait in self.console.waits):
            self._fetch(more=True)

    @on(LineList.Highlighted, "#rows")
    def _highlighted(self, message: LineList.Highlighted) -> None:
        """In a wide window the right pane tells at once what Enter would unfold."""
        self.query_one("#detail", Static).update(lines(*map(safe, self._notes_of(message.key))))
        self.frame_changed()  # What can be done depends on the row.

    def _item(self, key: str | None) -> EntryView | OrderView | AuditEntryView | None:
        """Return what stands in a row of a tab that is fetched page by page."""
        return next((item for item in self._paged() or () if str(item.id) == key), None)

    def _notes_of(self, key: str | None) -> list[str]:
        match self._item(key):
            case EntryView() as entry:
                return self._entry_notes(entry)
            case OrderView() as order:
                return order_notes(order, now=self.console.now(), zone=self.zone)
            case AuditEntryView() as audited:
                return audit_notes(audited)
            case _:
                found = self._membership if self.tab == Tab.MEMBERSHIP else None
                return membership_notes(found, key, now=self.console.now(), zone=self.zone) if found else []

    def _change_email(self) -> None:
        from tui.screens.email_change import EmailPage

        assert self.detail is not None
        self.app.push_screen(EmailPage(self.detail), self.came_back)

    def _edit(self) -> None:
        from tui.screens.edit import EditPage

        assert self.detail is not None
        self.app.push_screen(EditPage(self.detail), self.came_back)

    # Points, sales and vouchers -----------------------------------------------------------------------------------------

    def _adjust(self) -> None:
        from tui.screens.adjust import AdjustPage

        view = self.shown_membership
        assert self.detail is not None
        assert view is not None, "offered for members only"
        self.app.push_screen(AdjustPage(self.detail, view, adjusted=self._note_adjusted), self.came_back)

    def _note_adjusted(self, adjustment: AdjustmentView) -> None:
        self._adjusted = adjustment
        self.together.forget_last()

    def _undoable_adjustment(self) -> AdjustmentView | None:
        """Return what was given or taken here last, while this person may still take it back."""
        adjustment, session, now = self._adjusted, self.console.session, self.console.now()
        if adjustment is None or session is None or not can_take_back(adjustment, now=now):
            return None
        is_manager = session.may(Permission.POINTS_APPROVE)
        return adjustment if is_manager or now <= adjustment.requested_at + ADJUST_UNDO_OWN else None

    def _record_order(self) -> None:
        from tui.screens.record import RecordPage

        self.app.push_screen(RecordPage(self.as_chosen()), self.came_back)

    def _attach_order(self) -> None:
        from tui.screens.assign import AssignPage

        self.app.push_screen(AssignPage(customer=self.as_chosen()), self.came_back)

    def as_chosen(self) -> Chosen:
        return Chosen(id=str(self.customer_id), name=self._name or "")

    def _current_order(self) -> OrderView | None:
        item = self._item(self.query_one("#rows", LineList).current_key)
        return item if isinstance(item, OrderView) else None

    def _move_order(self, *, detaches: bool) -> None:
        """Open the form with the sale as it stands now: a colleague may have moved it meanwhile."""
        order = self._current_order()
        assert order is not None
        order_id = order.id
        call(
            self,
            "order",
            lambda client: client.get_order(order_id),
            done=partial(self._order_came, detaches),
            waiting="Looking the sale up…",
        )

    def _order_came(self, detaches: bool, detail: StaffOrderDetail) -> None:  # noqa: FBT001  # Bound by partial.
        from tui.screens.assign import AssignPage

        self.app.push_screen(AssignPage(order=detail.order, detaches=detaches), self.came_back)

    def _take_reward(self) -> None:
        from tui.screens.take import TakePage

        assert self.detail is not None
        self.app.push_screen(TakePage(self.detail), self.came_back)

    def _current_voucher(self) -> VoucherView | None:
        found = self._membership if self.tab == Tab.MEMBERSHIP else None
        return find_voucher(found, self.query_one("#rows", LineList).current_key)

    def _cancel_voucher(self) -> None:
        from tui.screens.take import cancel_page

        voucher = self._current_voucher()
        assert voucher is not None
        self.app.push_screen(cancel_page(voucher, name=self._name or "", done=self._voucher_cancelled), self.came_back)

    def _voucher_cancelled(self, voucher: VoucherView) -> None:
        self.console.say(f"Voucher cancelled: {voucher.reward_name}. Its points are back.", "good")

    def _undo(self) -> None:
        from tui.screens.take_back import UnadjustPage
        from tui.screens.undo import UndoPage

        adjustment = self._undoable_adjustment()
        other = self.together.undo_page(self._undoable(), adjusted=adjustment is not None)
        if other is not None:
            self.app.push_screen(other, self.came_back)
            return
        if adjustment is not None:
            page = UnadjustPage(adjustment, crumb=f"Find › {self._name} › Undo", done=self._undone)
            self.app.push_screen(page, self.came_back)
            return
        change = self._undoable()
        assert self.detail is not None
        assert change is not None
        self.app.push_screen(UndoPage(self.detail, change), self.came_back)

    def _undone(self) -> None:
        self._adjusted = None

    def drop_points(self) -> None:
        """Forget what was fetched of the membership shown so far: another one is shown from now on."""
        self.workers.cancel_group(self, "tab")
        self._entries = Paged()
        self._membership = None

    def came_back(self, _: None) -> None:
        self.refresh_data()

    def _has_undoable(self) -> bool:
        change = self._undoable()
        return any((self._undoable_adjustment(), change, self.together.has_undoable(change)))

    def _undoable(self) -> EmailChangeView | None:
        now, session = self.console.now(), self.console.session
        if session is None or not session.may(Permission.EMAIL_CHANGE):
            return None
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

    def _lift_hold(self) -> None:
        from tui.screens.lift_hold import lift_page

        session = self.console.session
        assert self.detail is not None
        assert session is not None
        page = lift_page(
            self.detail,
            now=self.console.now(),
            zone=session.zone,
            done=lambda _: self.console.say("Points can be spent again.", "good"),
        )
        self.app.push_screen(page, self.came_back)

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
            "customer.points": self._adjust,
            "customer.order": self._record_order,
            "customer.attach": self._attach_order,
            "customer.give": partial(self._move_order, detaches=False),
            "customer.detach": partial(self._move_order, detaches=True),
            "customer.reward": self._take_reward,
            "customer.cancel_voucher": self._cancel_voucher,
            "customer.undo": self._undo,
            "customer.edit": self._edit,
            "customer.invite": self._invite,
            "customer.lift": self._lift_hold,
            **self.memberships.handlers(),
            **self.together.handlers(),
            **self.records.handlers(),
            "customer.tab_next": partial(self._step_tab, 1),
            "customer.tab_back": partial(self._step_tab, -1),
            "app.back": self._back,
        }

    def bar_actions(self) -> list[tuple[Action, str]]:
        """Put what belongs to the tab in front: a narrow bar shows only the first few."""
        actions = super().bar_actions()
        if self.tab != Tab.MEMBERSHIP:
            return actions
        return sorted(actions, key=lambda pair: pair[0].id not in TOGETHER_ACTIONS or self._cannot(pair[0]))

    def _cannot(self, action: Action) -> bool:
        return self.console.why_not(action, self) is not None

    def _step_tab(self, step: int) -> None:
        # Through the action, so that a tab the role may not see says so.
        self.console.perform(f"customer.tab{(self.tab + step) % len(TITLES) + 1}")

    def _back(self) -> None:
        if not self.console.stop_waiting(self):
            self.dismiss()

    def unavailable(self, action_id: str) -> str | None:
        detail = self.detail
        if action_id not in _CHANGING:
            return self.memberships.why_not(action_id) or self.records.why_not(action_id)
        if detail is None:
            return "the customer is not here yet"
        if detail.status != "active":
            return f"this customer is {detail.status}"
        if action_id == "customer.undo" and not self._has_undoable():
            return "there is no change that can still be taken back"
        if action_id == "customer.lift" and not is_held(detail, now=self.console.now()):
            return "points can be spent already"
        if action_id == "customer.invite":
            if detail.has_login:
                return "this customer can sign in already"
            if detail.email is None:
                return "there is no email address to write to"
        return self._why_not_value(action_id, detail)

    def _why_not_value(self, action_id: str, detail: CustomerDetail) -> str | None:
        """Return why points, sales and vouchers cannot be touched just now."""
        if action_id in TOGETHER_ACTIONS:
            return self.together.why_not(action_id, detail)
        if action_id in _NEED_MEMBERSHIP:
            membership = self.shown_membership
            if membership is None or membership.status != "active":
                return "this customer has no active membership"
        if action_id in {"customer.give", "customer.detach"} and self._current_order() is None:
            return "choose the sale in tab 2 first"
        if action_id == "customer.cancel_voucher":
            voucher = self._current_voucher()
            if voucher is None:
                return "choose the voucher in tab 4 first"
            if voucher.status not in (VoucherStatus.ISSUED, VoucherStatus.HELD):
                return "this voucher can no longer be cancelled"
        return None

    def show_failure(self, error: ConsoleError) -> None:
        super().show_failure(error)
        rows = self.query_one("#rows", LineList)
        if not rows.rows:
            rows.empty_words = "This could not be fetched. F5 asks again."
