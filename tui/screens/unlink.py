"""End a link with a POS record: its sales stay with the customer, or are taken back with their points."""

from collections.abc import Awaitable

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from shared import limits
from shared.links import LinkEnding, LinkEndingPreview, LinkMade, LinkView
from tui.actions import Action
from tui.client import Client
from tui.formatting import counted, points
from tui.forms import form_row
from tui.pages import bindings_for
from tui.safe import join, lines, safe
from tui.screens.preview_form import PreviewForm
from tui.widgets.choice import Choice, Option
from tui.widgets.field import Field

_KEEP = Option("keep", "stay with the customer", "k")
_TAKE = Option("take", "are taken back", "t")
_REASON_LENGTH_MIN = 3


class UnlinkPage(PreviewForm[LinkEnding, LinkEndingPreview, LinkMade]):
    """What becomes of the sales, and why; then what the service says it comes to."""

    PAGE = "unlink"
    AUTO_FOCUS = "#orders"
    BINDINGS = bindings_for("unlink")
    WAITING_WORDS = "Ending the link…"
    FIELD_OF = {"take_back_orders": "orders"}

    def __init__(self, link: LinkView, *, name: str) -> None:
        super().__init__()
        self._link = link
        self._who = name
        is_wish = link.state == "waiting"
        self.TITLE_WORDS = "Refuse a link that waits" if is_wish else "End a link with a POS record"

    def compose_form(self) -> ComposeResult:
        yield Static(safe(f"{self._link.external_id} of {self._who}", "bold"), classes="ahead")
        yield from form_row("Its sales", Choice((_KEEP, _TAKE), value=_KEEP.value, id="orders"))
        yield from form_row(
            "Reason", Field(id="reason", length_max=limits.REASON_LENGTH_MAX), beside="is kept in the audit"
        )

    def missing(self) -> dict[str, str]:
        is_told = len(self.text("reason")) >= _REASON_LENGTH_MIN
        return {} if is_told else {"reason": "Say why, in a few words; it is kept in the audit."}

    def wish(self) -> LinkEnding | None:
        if self.missing():
            return None
        return LinkEnding(reason=self.text("reason"), take_back_orders=self.answer("orders") == _TAKE.value)

    def ask(self, client: Client, wish: LinkEnding) -> Awaitable[LinkEndingPreview]:
        return client.preview_link_end(self._link.id, wish)

    def send(self, client: Client, wish: LinkEnding, preview: LinkEndingPreview) -> Awaitable[LinkMade]:
        return client.end_link(self._link.id, replace(wish, preview_hash=preview.preview_hash), key=self.key)

    def told(self, preview: LinkEndingPreview) -> Content:
        told = [join(("! ", "bold $warning"), (words, "$warning")) for words in preview.warnings]
        told.append(safe(f"· {preview.link.external_id} is linked to {self._who} no longer."))
        told.append(safe("· It is not linked again by itself, and later sales with it count for nobody."))
        if preview.orders:
            sales = counted(preview.orders, "sale is", "sales are")
            told.append(safe(f"· {sales} taken back with {points(preview.points_taken)} points."))
        return lines(*told)

    def applied(self, answer: LinkMade) -> None:
        taken = self.preview.points_taken if self.preview is not None else 0
        words = f" {points(taken)} points were taken back." if taken else ""
        self.console.say(f"{answer.link.external_id} is no longer linked to {self._who}.{words}", "good")
        self.dismiss()

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "End the link"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"{self._who} › End a link"
