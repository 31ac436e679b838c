"""Write a sale down that no till sends: amount, receipt, and what the service says it earns."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.content import Content

from shared import limits
from shared.codes import card_of, is_card_number
from shared.money import minor_digits, money
from shared.orders import OrderRecorded, OrderRecording, RecordingPreview
from shared.staff import ProgrammeList
from tui.actions import Action
from tui.calls import call
from tui.client import Client
from tui.formatting import moment, points, skipped
from tui.forms import form_row
from tui.obstacles import obstacles
from tui.pages import bindings_for
from tui.safe import join, lines
from tui.screens.choosing import Chosen, CustomerChooser, customer_row
from tui.screens.preview_form import PreviewForm
from tui.value_words import balance_lines, order_words, parse_moment, parse_money
from tui.widgets.field import Field
from tui.wording import CARD_FOR_RECEIPT

# An amount of a currency as it is typed, by its decimals.
_EXAMPLES = {0: "4210", 2: "42.10", 3: "42.100"}


class RecordPage(PreviewForm[OrderRecording, RecordingPreview, OrderRecorded]):
    """A sale by hand; a receipt that is known already is given to the customer instead."""

    PAGE = "record"
    AUTO_FOCUS = "Field"
    BINDINGS = bindings_for("record")
    TITLE_WORDS = "Write down a sale"
    WAITING_WORDS = "Writing the sale down…"
    FIELD_OF = {"net_minor": "amount", "completed_at": "made_at", "lines": "amount"}

    def __init__(self, customer: Chosen | None = None, *, done: Callable[[OrderRecorded], None] | None = None) -> None:
        super().__init__()
        self._customer = customer
        self._done = done
        self._currency = ""
        self._chooser = CustomerChooser(self)

    def compose_form(self) -> ComposeResult:
        if self._customer is None:
            yield from customer_row()
        yield from form_row("Amount paid", Field(id="amount", length_max=16), beside=self._hint())
        yield from form_row("Receipt", Field(id="number", length_max=64), beside="scan, or leave empty")
        yield from form_row("Made at", Field(id="made_at", length_max=30), beside="empty: now; 10:52")
        if self._asks_store:
            yield from form_row("Store", Field(id="store", length_max=64), beside="its code, like high-street")

    @property
    def _asks_store(self) -> bool:
        """Whether whoever is signed in belongs to no store, whose sale it would be otherwise."""
        session = self.console.session
        return session is not None and session.staff.store_code is None

    def on_mount(self) -> None:
        if self._customer is not None:
            self.TITLE_WORDS = f"Write down a sale for {self._customer.name}"
        self._ask_currency()
        super().on_mount()

    def _ask_currency(self) -> None:
        call(self, "currency", lambda client: client.list_programmes(), done=self._learn_currency)

    def ask_anew(self) -> None:
        if not self._currency:
            self._ask_currency()
        if self._customer is None:
            self._chooser.typed()

    def _learn_currency(self, programmes: ProgrammeList) -> None:
        """The shop's own programme says in which money amounts are typed."""
        chosen = sorted(programmes.items, key=lambda programme: not programme.is_default)
        if chosen:
            self._currency = chosen[0].currency
            self._read_back()
            self.preview_soon()

    # What is asked for --------------------------------------------------------------------------------------------------

    def edited(self, field_id: str) -> None:
        if field_id == "customer":
            self._chooser.typed()
        elif field_id == "amount":
            self._read_back()

    def _read_back(self) -> None:
        """Say how the amount was read: 1.234 may be meant as either."""
        try:
            amount = parse_money(self.text("amount"), minor_digits(self._currency))
        except ValueError:
            self.beside("amount", self._hint())
        else:
            self.beside("amount", f"= {money(amount, self._currency)}" if self._currency else self._hint())

    def _hint(self) -> str:
        return f"with tax, like {_EXAMPLES[minor_digits(self._currency)]}"

    def _target(self) -> Chosen | None:
        return self._customer or self._chooser.chosen

    def missing(self) -> dict[str, str]:
        missing: dict[str, str] = {}
        if self._target() is None:
            missing["customer"] = "Scan or type who bought."
        try:
            if not 0 < parse_money(self.text("amount"), minor_digits(self._currency)) <= limits.MONEY_MINOR_MAX:
                most = money(limits.MONEY_MINOR_MAX, self._currency)
                missing["amount"] = f"More than nothing, and {most} at most."
        except ValueError:
            missing["amount"] = f"Type what was paid, like {_EXAMPLES[minor_digits(self._currency)]}."
        try:
            self._made_at()
        except ValueError:
            missing["made_at"] = "Write it like 10:52, yesterday 17:30 or 13.3. 10:52."
        if self._asks_store and not self.text("store"):
            missing["store"] = "You belong to no store: type the code of the one where it was."
        return missing

    def _made_at(self) -> datetime | None:
        session = self.console.session
        assert session is not None
        return parse_moment(self.text("made_at"), now=self.console.now(), zone=session.zone)

    def wish(self) -> OrderRecording | None:
        target, session = self._target(), self.console.session
        if session is None or target is None or not self._currency or self.missing():
            return None
        return OrderRecording(
            customer_id=UUID(target.id),
            net_minor=parse_money(self.text("amount"), minor_digits(self._currency)),
            number=self.text("number"),
            completed_at=parse_moment(self.text("made_at"), now=self.console.now(), zone=session.zone),
            store=self.text("store") if self._asks_store else None,
        )

    def ask(self, client: Client, wish: OrderRecording) -> Awaitable[RecordingPreview]:
        return client.preview_recording(wish)

    def send(self, client: Client, wish: OrderRecording, preview: RecordingPreview) -> Awaitable[OrderRecorded]:
        return client.record_order(replace(wish, preview_hash=preview.preview_hash), key=self.key)

    # In words -----------------------------------------------------------------------------------------------------------

    def blockers(self, preview: RecordingPreview) -> tuple[str, ...]:
        return preview.blockers

    def told(self, preview: RecordingPreview) -> Content:
        session = self.console.session
        assert session is not None
        now, zone = self.console.now(), session.zone
        told = obstacles(preview.blockers)
        if preview.known_order is not None:
            told.append(join(f"  {order_words(preview.known_order, now=now, zone=zone)}"))
            told.append(join(f"  counts for {preview.known_order.customer_name or 'nobody'}"))
            told.append(join("  Ctrl+S goes on with giving that sale to the customer."))
        if preview.blockers:
            return lines(*told)
        at = moment(preview.completed_at, now=now, zone=zone)
        told.append(join((f"  Sale of {at} at {preview.store_name}", "$text-muted")))
        if preview.skipped_reason is not None:
            told.append(join((f"! It earns nothing: {skipped(preview.skipped_reason)}.", "$warning")))
        else:
            told.append(join(("  Earns ", "$text-muted"), (points(preview.points), "bold"), f"  {preview.rule}"))
        for change in preview.balances:
            told += [
                join((f"  {change.customer_name}: ", "bold"), (f"{label} ", "$text-muted"), (words, "bold"))
                for label, words in balance_lines(change)
            ]
        return lines(*told)

    def commit(self) -> None:
        known = self.preview.known_order if self.preview is not None and self.has_preview() else None
        target = self._target()
        if known is None or target is None:
            if not self._currency:
                # Without it nothing can be read or asked; the answer to this asks for the preview.
                self._ask_currency()
            super().commit()
            return
        from tui.screens.assign import AssignPage

        # The sale is there: what is left to do is to say whose it is. Then this form is left as well, so that whoever
        # opened it asks for what has changed.
        self.is_saved = True
        self.app.push_screen(AssignPage(order=known, customer=target), lambda _: self.dismiss())

    def unavailable(self, action_id: str) -> str | None:
        if action_id == "form.commit" and self.preview is not None and self.preview.known_order is not None:
            return None
        return super().unavailable(action_id)

    def applied(self, answer: OrderRecorded) -> None:
        order = answer.order
        balance = f" Balance {points(answer.balances[0].available_after)}." if answer.balances else ""
        words = f"Written down as {order.number}: {points(order.points)} points for {order.customer_name}."
        self.console.say(f"{words}{balance}", "good" if order.points else "warn")
        if self._done is not None:
            self._done(answer)
        self.dismiss()

    # The page -----------------------------------------------------------------------------------------------------------

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Write down"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"{self._customer.name} › New sale" if self._customer else "Orders › New sale"

    def scan_words(self) -> str:
        return "A scan fills in the receipt." if self._customer else "A scan fills in the customer, then the receipt."

    def take_scan(self, code: str) -> None:
        is_card = is_card_number(card_of(code))
        if is_card and self._customer is not None:
            self.console.say(CARD_FOR_RECEIPT, "warn")
            return
        asks_customer = self._customer is None and (is_card or self._chooser.chosen is None)
        self.query_one("#customer" if asks_customer else "#number", Field).value = code
