"""A sale is given to a customer, to another one, or taken away: its points follow, and both balances are shown."""

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from shared import limits
from shared.codes import card_of, is_card_number
from shared.orders import (
    AssignmentApplied,
    AssignmentPreview,
    OrderAssignment,
    RedemptionChoice,
    StaffOrder,
    StaffOrderPage,
)
from tui.actions import Action
from tui.calls import call
from tui.client import Client
from tui.formatting import points, signed, skipped
from tui.forms import form_row
from tui.obstacles import obstacles
from tui.pages import bindings_for
from tui.safe import join, lines, safe
from tui.screens.choosing import Chosen, CustomerChooser, customer_row
from tui.screens.find import SearchBox
from tui.screens.preview_form import PreviewForm
from tui.value_words import balance_lines, order_words, staff_order_row
from tui.widgets.choice import Choice, Option
from tui.widgets.field import Field
from tui.widgets.line_list import Column, LineList
from tui.wording import CARD_FOR_RECEIPT

_OTHER = Option("other", "other", "o")
_WRONG = Option("Counted for the wrong customer", "wrong customer", "w")
_ATTACHING = (
    Option("Forgot the card, shows the receipt", "forgot the card", "f"),
    Option("Joined after paying", "joined after", "j"),
    _OTHER,
)
_GIVING = (_WRONG, Option("Bought together, the other one collects", "bought together", "b"), _OTHER)
_DETACHING = (_WRONG, Option("A test and no sale", "test", "t"), Option("Came back", "returned", "r"), _OTHER)
_COLUMNS = (
    Column("When", 15),
    Column("Number", 12),
    Column("Store", -1, from_width=90),
    Column("Paid", 13, right=True),
    Column("Points", 7, right=True, from_width=70),
    Column("Counts for", -1),
    Column("State", -1, from_width=110),
)
# What becomes of points or vouchers of somebody else that paid for the sale; asked only where there are any.
_UNSAID = RedemptionChoice.REFUSE.value
_PAID = (
    Option(_UNSAID, "not said", "n"),
    Option(RedemptionChoice.RETURN.value, "give back", "g"),
    Option(RedemptionChoice.KEEP.value, "leave spent", "l"),
)
_ACTIONS = {"attached": "Given", "reassigned": "Given", "detached": "Taken away"}


class AssignPage(PreviewForm[OrderAssignment, AssignmentPreview, AssignmentApplied]):
    """Which sale, whose it shall be, and why.

    With an order and no customer it asks for the customer; with a customer and no order, for the receipt; detaching
    needs neither.
    """

    PAGE = "assign"
    BINDINGS = bindings_for("assign")
    WAITING_WORDS = "Moving the sale and its points…"
    AUTO_FOCUS = "Field"

    def __init__(
        self,
        *,
        order: StaffOrder | None = None,
        customer: Chosen | None = None,
        detaches: bool = False,
        done: Callable[[AssignmentApplied], None] | None = None,
    ) -> None:
        super().__init__()
        self._order = order
        self._customer = customer
        self._detaches = detaches
        self._done = done
        self._asks_order = order is None
        self._asks_customer = customer is None and not detaches
        self._candidates: dict[str, StaffOrder] = {}
        self._chooser = CustomerChooser(self)
        self._options = self._usual_reasons()
        self.TITLE_WORDS = (
            "Take a sale away from its customer"
            if detaches
            else "Give a sale to another customer"
            if self._options is _GIVING
            else "Give a sale to a customer"
        )

    def _usual_reasons(self) -> tuple[Option, ...]:
        if self._detaches:
            return _DETACHING
        return _GIVING if self._order is not None and self._order.customer_id is not None else _ATTACHING

    def compose_form(self) -> ComposeResult:
        yield Static(id="sale", classes="ahead")
        if self._asks_order:
            yield from form_row("Receipt", SearchBox(id="receipt", length_max=64), beside="scan; empty: today's")
            yield LineList(_COLUMNS, id="candidates")
        if self._asks_customer:
            yield from customer_row()
        yield from form_row("Reason", Choice(self._options, value=self._first_reason(), id="why"))
        yield from form_row("Note", Field(id="note", length_max=200), beside="needed for other")
        with Vertical(id="paid-row"):
            yield from form_row("Paid by points", Choice(_PAID, value=_UNSAID, id="redemption"), beside="of others")

    def _first_reason(self) -> str:
        # Attaching is the everyday case and has its usual reason; taking from somebody asks for one.
        return self._options[0].value if self._options is _ATTACHING else ""

    def on_mount(self) -> None:
        self.query_one("#paid-row").display = False
        if self._asks_order:
            self.query_one("#candidates").add_class("candidates")
            self._find_candidates()
        elif not self._asks_customer:
            self.query_one("#why").focus()
        self._show_sale()
        super().on_mount()

    def _show_sale(self) -> None:
        session, order = self.console.session, self._order
        if session is None:
            return
        told: list[tuple[str, str]] = []
        if order is not None:
            told.append((order_words(order, now=self.console.now(), zone=session.zone), "bold"))
            owner = f"  counts for {order.customer_name}" if order.customer_name else "  counts for nobody"
            told.append((owner, "$text-muted"))
        elif self._customer is not None:
            told.append((f"For {self._customer.name}. Which sale?", "bold"))
        self.query_one("#sale", Static).update(join(*told))

    # Choosing the sale --------------------------------------------------------------------------------------------------

    def edited(self, field_id: str) -> None:
        if field_id == "customer":
            self._chooser.typed()
        elif field_id == "receipt":
            self._find_candidates()

    def ask_anew(self) -> None:
        if self._asks_order and self._order is None:
            self._find_candidates()
        if self._asks_customer:
            self._chooser.typed()

    def _find_candidates(self) -> None:
        session = self.console.session
        if session is None:
            return
        number, store = self.text("receipt"), session.staff.store_code or ""
        today = f"{self.console.now().astimezone(session.zone):%Y-%m-%d}"
        if not number and not store:
            self._show_candidates("", StaffOrderPage(items=()))
            return
        call(
            self,
            "candidates",
            lambda client: client.find_orders(number=number) if number else client.find_orders(store=store, day=today),
            done=partial(self._show_candidates, number),
            waiting="Looking for the sale…",
        )

    def _show_candidates(self, number: str, page: StaffOrderPage) -> None:
        session = self.console.session
        if session is None or number != self.text("receipt"):
            return
        self._candidates = {str(order.id): order for order in page.items}
        found = self.query_one("#candidates", LineList)
        found.empty_words = (
            f"No sale has the number {number}." if number else "No sale of today waits for a customer. Scan a receipt."
        )
        now = self.console.now()
        found.set_rows([staff_order_row(order, now=now, zone=session.zone) for order in page.items], keep_cursor=False)
        # Of several sales nobody is picked in silence: the cursor must be moved there.
        self._choose_order(page.items[0] if number and len(page.items) == 1 else None)

    @on(SearchBox.Looked)
    def _look(self, message: SearchBox.Looked) -> None:
        self.query_one("#candidates", LineList).look(message.key)

    @on(LineList.Highlighted, "#candidates")
    def _highlighted(self, message: LineList.Highlighted) -> None:
        if message.line_list.was_moved:
            self._choose_order(self._candidates.get(message.key or ""))

    @on(LineList.Chosen, "#candidates")
    def _chosen(self, message: LineList.Chosen) -> None:
        self._choose_order(self._candidates.get(message.key))
        self.query_one("#why").focus()

    def _choose_order(self, order: StaffOrder | None) -> None:
        self._order, self.preview = order, None
        options = self._usual_reasons()
        if options is not self._options:
            self._options = options
            self.query_one("#why", Choice).offer(options, value=self._first_reason())
        self.query_one("#redemption", Choice).value = _UNSAID
        self.query_one("#paid-row").display = False
        self._show_sale()
        self.preview_soon()

    # What is asked for --------------------------------------------------------------------------------------------------

    def values(self) -> dict[str, str]:
        return super().values() | ({"order": str(self._order.id)} if self._asks_order and self._order else {})

    def _target(self) -> Chosen | None:
        return self._chooser.chosen if self._asks_customer else self._customer

    def _reason(self) -> str:
        why, note = self.answer("why"), self.text("note")
        if why == _OTHER.value:
            return note
        return f"{why}: {note}" if note else why

    def missing(self) -> dict[str, str]:
        missing: dict[str, str] = {}
        if self._order is None:
            missing["receipt"] = "Scan or type the receipt, or choose a sale with ↓."
        if self._asks_customer and self._chooser.chosen is None:
            missing["customer"] = "Scan or type whose sale it is."
        if not self.answer("why"):
            missing["why"] = "Choose why."
        elif len(self._reason()) < 3:
            missing["note"] = "Say why, in a few words; it is kept in the audit."
        return missing

    def wish(self) -> OrderAssignment | None:
        if self.missing():
            return None
        target = self._target()
        return OrderAssignment(
            customer_id=UUID(target.id) if target else None,
            reason=self._reason()[: limits.REASON_LENGTH_MAX],
            redemption=RedemptionChoice(self.answer("redemption")),
        )

    def has_preview(self) -> bool:
        return (
            super().has_preview()
            and self.preview is not None
            and self._order is not None
            and (self.preview.order.id == self._order.id)
        )

    def ask(self, client: Client, wish: OrderAssignment) -> Awaitable[AssignmentPreview]:
        assert self._order is not None, "a complete wish has an order"
        return client.preview_assignment(self._order.id, wish)

    def send(self, client: Client, wish: OrderAssignment, preview: AssignmentPreview) -> Awaitable[AssignmentApplied]:
        confirmed = replace(wish, preview_hash=preview.preview_hash)
        return client.assign_order(preview.order.id, confirmed, key=self.key)

    def _previewed(self, wish: OrderAssignment, preview: AssignmentPreview) -> None:
        """Ask what becomes of what others paid with, once the service says that somebody did."""
        if wish == self.wish():
            is_said = self.answer("redemption") != _UNSAID
            self.query_one("#paid-row").display = preview.asks_redemption or is_said
        super()._previewed(wish, preview)

    def _waits_for_choice(self) -> bool:
        return self.preview is not None and self.has_preview() and self.preview.asks_redemption

    def commit(self) -> None:
        if self._waits_for_choice():
            # Only now the cursor goes there: it is never taken from where somebody is typing.
            self.clear_notes()
            self.show_errors({"redemption": "Somebody else's points or voucher paid for it: give them back?"})
            return
        super().commit()

    def unavailable(self, action_id: str) -> str | None:
        if action_id == "form.commit" and self._waits_for_choice():
            return None
        return super().unavailable(action_id)

    # In words -----------------------------------------------------------------------------------------------------------

    def blockers(self, preview: AssignmentPreview) -> tuple[str, ...]:
        return preview.blockers

    def told(self, preview: AssignmentPreview) -> Content:
        told = obstacles(preview.blockers, preview.warnings)
        for change in preview.balances:
            told += [
                join((f"  {change.customer_name}: ", "bold"), (f"{label} ", "$text-muted"), (words, "bold"))
                for label, words in balance_lines(change)
            ]
        effect = preview.effect
        if effect is None:
            return lines(*told)
        if not preview.balances:
            told.append(safe("  No balance changes."))
        owner = preview.order.customer_name
        if owner is not None:
            told.append(safe(f"· {points(effect.points_taken)} points leave {owner}"))
        if effect.holds_released:
            told.append(safe("· What was set aside at the till for it is free again"))
        if preview.customer_name is not None and effect.points_expected:
            told.append(
                safe(f"· {points(effect.points_expected)} points go to {preview.customer_name} once it is paid")
            )
        elif preview.customer_name is not None:
            told.append(safe(f"· {points(effect.points_earned)} points go to {preview.customer_name}"))
        if effect.skipped_reason is not None and preview.customer_name is not None:
            told.append(join((f"  It earns nothing: {skipped(effect.skipped_reason)}.", "$warning")))
        if preview.customer_name is not None:
            told += [join((f"    {signed(line.points)}  {line.rule}", "$text-muted")) for line in effect.lines]
        return lines(*told)

    def applied(self, answer: AssignmentApplied) -> None:
        effect, order = answer.effect, answer.order
        word = _ACTIONS.get(effect.action, "Moved")
        earned = (
            f"{signed(effect.points_expected)} once it is paid"
            if effect.points_expected
            else signed(effect.points_earned)
        )
        to = f" to {order.customer_name}, {earned}" if order.customer_name else ""
        taken = f", {points(effect.points_taken)} taken back" if effect.points_taken else ""
        self.console.say(f"{word}: sale {order.number}{to}{taken}.", "good")
        if self._done is not None:
            self._done(answer)
        self.dismiss()

    # The page -----------------------------------------------------------------------------------------------------------

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Take away" if self._detaches else "Give"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return (
            f"{self._customer.name} › Sale" if self._customer else "Sale › Customer" if not self._detaches else "Sale"
        )

    def scan_words(self) -> str:
        if self._asks_customer:
            return "A scanned card chooses the customer."
        return "A scanned receipt chooses the sale." if self._asks_order else "A scan does nothing here."

    def take_scan(self, code: str) -> None:
        field_id = "customer" if self._asks_customer else "receipt" if self._asks_order else ""
        if not field_id:
            self.console.say("The scan was not used. Finish this or leave it with Esc first.", "warn")
            return
        if field_id == "receipt" and is_card_number(card_of(code)):
            self.console.say(CARD_FOR_RECEIPT, "warn")
            return
        self.query_one(f"#{field_id}", Field).value = code
