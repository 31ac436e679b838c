"""A refund that named no sale, or the wrong one, is given its sale by a person."""

from collections.abc import Awaitable
from functools import partial

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from shared import limits
from shared.codes import card_of, is_card_number
from shared.orders import StaffOrder, StaffOrderPage
from shared.refunds import RefundAttachment, RefundAttachmentPreview, RefundView
from tui.actions import Action
from tui.calls import call
from tui.client import Client
from tui.formatting import moment, points
from tui.forms import form_row
from tui.obstacles import obstacles
from tui.pages import bindings_for
from tui.safe import lines, safe
from tui.screens.find import SearchBox
from tui.screens.preview_form import PreviewForm
from tui.value_words import order_words, staff_order_row
from tui.widgets.field import Field
from tui.widgets.line_list import Column, LineList
from tui.wording import CARD_FOR_RECEIPT

_COLUMNS = (
    Column("When", 15),
    Column("Number", 12),
    Column("Store", -1, from_width=90),
    Column("Paid", 13, right=True),
    Column("Points", 7, right=True, from_width=70),
    Column("Counts for", -1),
    Column("State", -1, from_width=110),
)


class ReturnedPage(PreviewForm[RefundAttachment, RefundAttachmentPreview, RefundView]):
    """The receipt of the sale, why, and what goes back."""

    PAGE = "returned"
    AUTO_FOCUS = "#receipt"
    BINDINGS = bindings_for("returned")
    TITLE_WORDS = "To which sale does the refund belong?"
    WAITING_WORDS = "Taking the points back…"

    def __init__(self, refund: RefundView) -> None:
        super().__init__()
        self._refund = refund
        self._order: StaffOrder | None = None
        self._candidates: dict[str, StaffOrder] = {}

    def compose_form(self) -> ComposeResult:
        yield Static(id="refund", classes="ahead")
        yield from form_row("Receipt", SearchBox(id="receipt", length_max=64), beside="of the sale; scan")
        yield LineList(_COLUMNS, id="candidates")
        yield from form_row(
            "Reason", Field(id="reason", length_max=limits.REASON_LENGTH_MAX), beside="is kept in the audit"
        )

    def on_mount(self) -> None:
        session = self.console.session
        assert session is not None
        at = moment(self._refund.completed_at, now=self.console.now(), zone=session.zone)
        words = f"Refund {self._refund.external_id} of {at} at {self._refund.store_name}"
        self.query_one("#refund", Static).update(safe(words, "bold"))
        self.query_one("#candidates").add_class("candidates")
        super().on_mount()

    # Choosing the sale --------------------------------------------------------------------------------------------------

    def edited(self, field_id: str) -> None:
        number = self.text("receipt")
        if field_id == "receipt" and number:
            call(
                self,
                "candidates",
                lambda client: client.find_orders(number=number),
                done=partial(self._show_candidates, number),
                waiting="Looking for the sale…",
            )

    def _show_candidates(self, number: str, page: StaffOrderPage) -> None:
        session = self.console.session
        if session is None or number != self.text("receipt"):
            return
        self._candidates = {str(order.id): order for order in page.items}
        found = self.query_one("#candidates", LineList)
        found.empty_words = f"No sale has the number {number}."
        now = self.console.now()
        found.set_rows([staff_order_row(order, now=now, zone=session.zone) for order in page.items], keep_cursor=False)
        # Of several sales nobody is picked in silence.
        self._choose_order(page.items[0] if len(page.items) == 1 else None)

    @on(SearchBox.Looked)
    def _look(self, message: SearchBox.Looked) -> None:
        self.query_one("#candidates", LineList).look(message.key)

    @on(LineList.Highlighted, "#candidates")
    def _highlighted(self, message: LineList.Highlighted) -> None:
        if message.line_list.was_moved:
            self._choose_order(self._candidates.get(message.key or ""))

    def _choose_order(self, order: StaffOrder | None) -> None:
        self._order = order
        self.preview_soon()

    # What is asked for --------------------------------------------------------------------------------------------------

    def missing(self) -> dict[str, str]:
        missing: dict[str, str] = {}
        if self._order is None:
            missing["receipt"] = "Scan or type the sale's receipt, or choose with ↓."
        if len(self.text("reason")) < 3:
            missing["reason"] = "Say why, in a few words."
        return missing

    def wish(self) -> RefundAttachment | None:
        if self._order is None or self.missing():
            return None
        return RefundAttachment(order_id=self._order.id, reason=self.text("reason"))

    def ask(self, client: Client, wish: RefundAttachment) -> Awaitable[RefundAttachmentPreview]:
        return client.preview_refund_attachment(self._refund.id, wish)

    def send(self, client: Client, wish: RefundAttachment, preview: RefundAttachmentPreview) -> Awaitable[RefundView]:
        confirmed = replace(wish, preview_hash=preview.preview_hash)
        return client.attach_refund(self._refund.id, confirmed, key=self.key)

    # In words -----------------------------------------------------------------------------------------------------------

    def blockers(self, preview: RefundAttachmentPreview) -> tuple[str, ...]:
        return preview.blockers

    def told(self, preview: RefundAttachmentPreview) -> Content:
        session = self.console.session
        assert session is not None
        told = obstacles(preview.blockers)
        told.append(safe(f"  {order_words(preview.order, now=self.console.now(), zone=session.zone)}"))
        if preview.blockers:
            return lines(*told)
        owner = preview.order.customer_name or "nobody"
        told.append(safe(f"· {points(preview.points_taken)} points leave {owner}", "bold"))
        for count, words in (
            (preview.points_restored, "points that paid for it come back"),
            (preview.points_owed - preview.points_written_off, "of the points had been spent and will be owed"),
            (preview.points_written_off, "of the points had been spent and are written off"),
            (preview.points_exempt, "of the points have lapsed and are not taken again"),
        ):
            if count:
                told.append(safe(f"· {points(count)} {words}"))
        told.append(safe("· It stays with this sale: look twice, as it cannot be taken back", "$warning"))
        return lines(*told)

    def applied(self, answer: RefundView) -> None:
        taken = f"{points(answer.points_taken)} points taken back"
        self.console.say(
            f"Refund {answer.external_id} belongs to {answer.order_number or 'its sale'}: {taken}.", "good"
        )
        self.dismiss()

    # The page -----------------------------------------------------------------------------------------------------------

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Take back"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return "Queue › Refund › Sale"

    def scan_words(self) -> str:
        return "A scanned receipt chooses the sale."

    def take_scan(self, code: str) -> None:
        if is_card_number(card_of(code)):
            self.console.say(CARD_FOR_RECEIPT, "warn")
            return
        self.query_one("#receipt", Field).value = code
