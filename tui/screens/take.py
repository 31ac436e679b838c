"""Take a reward for a customer who stands at the till; the voucher's code is shown once."""

from collections.abc import Callable
from uuid import UUID

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from shared import limits
from shared.codes import is_card_number
from shared.problems import Code
from shared.rewards import (
    CancelVoucher,
    PresenceTexted,
    RewardOffer,
    RewardOffers,
    StaffTakeReward,
    VoucherIssued,
    VoucherView,
)
from shared.staff import CustomerDetail
from tui.actions import Action
from tui.calls import call
from tui.errors import ConsoleError, Refused
from tui.formatting import full_name, moment, points
from tui.forms import FormPage, form_row
from tui.pages import Handlers, bindings_for
from tui.safe import join, lines, safe
from tui.screens.reason import Question, ReasonPage
from tui.value_words import change_words, offer_row, worth
from tui.widgets.field import Field
from tui.widgets.line_list import Column, LineList
from tui.wording import SENTENCES, field_errors

_COLUMNS = (Column("Reward", -2), Column("Points", 8, right=True), Column("Gives", -2), Column("", 18, from_width=70))
_CODE_LENGTHS = {limits.PRESENCE_DIGITS, limits.SMS_CODE_DIGITS}
_ABOUT_PRESENCE = {Code.PRESENCE_NEEDED, Code.PRESENCE_WRONG}


class TakePage(FormPage):
    """What the points can buy, the digits of the customer's app where more is spent, and the new voucher's code."""

    PAGE = "take"
    CSS_PATH = "take.tcss"
    AUTO_FOCUS = "#offers"
    BINDINGS = bindings_for("take")

    def __init__(self, detail: CustomerDetail) -> None:
        super().__init__()
        self._detail = detail
        self._offers: RewardOffers | None = None
        self._issued: VoucherIssued | None = None

    def compose_body(self) -> ComposeResult:
        with Vertical(id="take-box", classes="box"):
            yield LineList(_COLUMNS, id="offers")
            with Vertical(id="presence-row"):
                yield from form_row(
                    "Code",
                    Field(id="presence_code", length_max=limits.PRESENCE_DIGITS),
                    beside="if asked; F9 texts one",
                )
            yield Static(id="take-words")

    def on_mount(self) -> None:
        name = full_name(self._detail.given_name, self._detail.family_name)
        self.query_one("#take-box").border_title = safe(f"Take a reward for {name}")
        self.refresh_data()
        super().on_mount()

    # What there is --------------------------------------------------------------------------------------------------------

    def refresh_data(self) -> None:
        if self._issued is None:
            customer_id = self._detail.id
            call(self, "offers", lambda client: client.list_offers(customer_id), done=self._show_offers)

    def _show_offers(self, offers: RewardOffers) -> None:
        self._offers = offers
        listed = self.query_one("#offers", LineList)
        listed.empty_words = "The shop has no rewards yet: a manager adds them (F8, then w)."
        listed.set_rows([offer_row(offer) for offer in offers.items])
        self._show_words()

    def _offer(self) -> RewardOffer | None:
        key = self.query_one("#offers", LineList).current_key
        return next((offer for offer in self._offers.items if str(offer.id) == key), None) if self._offers else None

    @on(LineList.Highlighted, "#offers")
    def _highlighted(self) -> None:
        self._show_words()

    @on(LineList.Chosen, "#offers")
    def _chosen(self) -> None:
        self.query_one("#presence_code", Field).focus()

    def values(self) -> dict[str, str]:
        return {"presence_code": self.text("presence_code")}

    def has_unsaved_work(self) -> bool:
        # A code that was shown is gone for good once this page is left, and that is known.
        return self._issued is None and super().has_unsaved_work()

    def _show_words(self) -> None:
        self.query_one("#take-words", Static).update(self._words())
        self.frame_changed()

    def _words(self) -> Content:
        if self._issued is not None:
            return self._issued_words(self._issued)
        offer = self._offer()
        if offer is None or self._offers is None:
            return Content("")
        spendable = offer.spendable
        told = [
            join((offer.name, "bold"), f"  {worth(offer.kind, offer.value_minor, offer.currency, offer.percent)}"),
            join(offer.description) if offer.description else Content(""),
            join(("Can spend  ", "$text-muted"), (change_words(spendable, spendable - offer.points_cost), "bold")),
        ]
        if offer.left == 0:
            told[-1] = join(("None is left for this customer.", "$warning"))
        elif not offer.affordable:
            told[-1] = join((f"{points(offer.points_cost - spendable)} points are missing.", "$warning"))
        return lines(*told)

    def _issued_words(self, issued: VoucherIssued) -> Content:
        session = self.console.session
        until = ""
        if issued.voucher.valid_until is not None and session is not None:
            until = f", good until {moment(issued.voucher.valid_until, now=self.console.now(), zone=session.zone)}"
        return lines(
            join(("Voucher code   ", "$text-muted"), (f" {issued.code} ", "bold $accent")),
            join(f"{issued.voucher.reward_name}{until}."),
            join(("Write it down or print it now: it is not shown again. Esc leaves.", "$warning")),
        )

    # Taking it ------------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        self.clear_notes()
        offer = self._offer()
        code = self.text("presence_code")
        if offer is None:
            self.console.say("There is no reward to take.", "warn")
        elif code and not (code.isascii() and code.isdigit() and len(code) in _CODE_LENGTHS):
            words = f"The app shows {limits.PRESENCE_DIGITS} digits, and {limits.SMS_CODE_DIGITS} are texted."
            self.show_errors({"presence_code": words})
        else:
            wish = StaffTakeReward(reward_id=offer.id, version=offer.version, presence_code=code or None)
            self._issue(self._detail.id, wish)

    def _issue(self, customer_id: UUID, wish: StaffTakeReward) -> None:
        self.sent()
        call(
            self,
            "take",
            lambda client: client.issue_voucher(customer_id, wish, key=self.key),
            done=self._taken,
            failed=self.save_failed,
            is_write=True,
            waiting="Issuing the voucher…",
        )

    def _taken(self, issued: VoucherIssued) -> None:
        self.is_saved, self.is_sending = True, False
        self._issued = issued
        self.query_one("#offers").display = False
        # Nothing is asked any more, and no other code shall be taken for the voucher's.
        self.query_one("#presence-row").display = False
        self._show_words()
        self.console.say(f"Voucher issued: {issued.voucher.reward_name}. Its code is above.", "good")

    def show_failure(self, error: ConsoleError) -> None:
        if isinstance(error, Refused) and error.problem.code in _ABOUT_PRESENCE:
            self.show_errors({"presence_code": SENTENCES[error.problem.code]})
            return
        if not self.show_errors(field_errors(error)):
            super().show_failure(error)
        if isinstance(error, Refused):
            self.refresh_data()
        elif self._offers is None:
            self.query_one("#offers", LineList).empty_words = "This could not be fetched. F5 asks again."

    # A customer without the app -------------------------------------------------------------------------------------------

    def _text(self) -> None:
        customer_id = self._detail.id
        call(
            self,
            "text",
            lambda client: client.text_code(customer_id),
            done=self._texted,
            is_write=True,
            waiting="Texting a code…",
        )

    def _texted(self, texted: PresenceTexted) -> None:
        self.query_one("#presence_code", Field).focus()
        self.console.say(f"A code is on its way to the number that ends in {texted.number_ending}.", "good")

    # The page -------------------------------------------------------------------------------------------------------------

    def handlers(self) -> Handlers:
        return super().handlers() | {"take.text": self._text}

    def unavailable(self, action_id: str) -> str | None:
        if self._issued is not None and action_id in {"form.commit", "take.text"}:
            return "the voucher is issued"
        if action_id == "form.commit":
            offer = self._offer()
            if offer is not None and offer.left == 0:
                return "none is left for this customer"
            if offer is not None and not offer.affordable:
                return "there are not enough points"
        return super().unavailable(action_id)

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Take it"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"Find › {full_name(self._detail.given_name, self._detail.family_name)} › Reward"

    def scan_words(self) -> str:
        return "A scanned app code fills in the digits."

    def take_scan(self, code: str) -> None:
        if is_card_number(code):
            self.console.say("This is the card. The code is the one that the app shows.", "warn")
            return
        # The app's QR code holds card and digits in one; the digits are its end.
        self.query_one("#presence_code", Field).value = code[-limits.PRESENCE_DIGITS :]


def cancel_page(voucher: VoucherView, *, name: str, done: Callable[[VoucherView], None]) -> ReasonPage[VoucherView]:
    """Return the question before an unused voucher is cancelled."""
    question = Question(
        title="Cancel a voucher",
        crumb=f"Find › {name} › Voucher",
        facts=(
            ("Voucher", f"…{voucher.code_ending}"),
            ("Reward", voucher.reward_name),
            ("Points", f"{points(voucher.points_cost)} go back to {name}"),
        ),
        sentences=("The code stops working at once. The points come back with the dates they had.",),
        commit_words="Cancel it",
        waiting_words="Cancelling the voucher…",
    )
    return ReasonPage(
        question,
        send=lambda client, typed, key: client.cancel_voucher(voucher.id, CancelVoucher(reason=typed.reason), key=key),
        done=done,
    )
