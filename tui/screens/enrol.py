"""Make a customer a member of a further programme."""

from collections.abc import Callable, Sequence
from uuid import UUID

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from shared.programmes import ProgrammeJoined, ProgrammeJoining
from shared.staff import CustomerDetail, ProgrammeView
from tui.actions import Action
from tui.calls import call
from tui.errors import ConsoleError
from tui.formatting import Cell, Row, full_name
from tui.forms import FormPage, form_row
from tui.pages import bindings_for
from tui.rule_words import headline
from tui.safe import lines, safe
from tui.screens.programmes import rules_of
from tui.widgets.field import Field
from tui.widgets.line_list import Column, LineList
from tui.wording import field_errors

_COLUMNS = (Column("Programme", -2), Column("What it gives", -3))


class EnrolPage(FormPage):
    """Which programme, and a printed card if there is one; the card says later in which programme a sale counts."""

    PAGE = "enrol"
    CSS_PATH = "take.tcss"
    AUTO_FOCUS = "#further"
    BINDINGS = bindings_for("enrol")

    def __init__(
        self, detail: CustomerDetail, programmes: Sequence[ProgrammeView], *, done: Callable[[UUID], None]
    ) -> None:
        """Ask for one of some programmes; `done` is given the new membership's id."""
        super().__init__()
        self._detail = detail
        self._programmes = tuple(programmes)
        self._done = done

    def compose_body(self) -> ComposeResult:
        with Vertical(id="take-box", classes="box"):
            yield LineList(_COLUMNS, id="further")
            yield from form_row("Card", Field(id="card", length_max=32), beside="scan; else a digital one")
            yield Static(id="take-words")

    def on_mount(self) -> None:
        self.query_one("#take-box").border_title = safe(f"A further programme for {self._who}")
        self.query_one("#further", LineList).set_rows(
            [Row(key=one.code, cells=(Cell(one.name), Cell(_gives(one), "muted"))) for one in self._programmes]
        )
        super().on_mount()

    @property
    def _who(self) -> str:
        return full_name(self._detail.given_name, self._detail.family_name)

    def _programme(self) -> ProgrammeView:
        key = self.query_one("#further", LineList).current_key
        return next((one for one in self._programmes if one.code == key), self._programmes[0])

    @on(LineList.Highlighted, "#further")
    def _highlighted(self) -> None:
        self.query_one("#take-words", Static).update(self._words())

    def _words(self) -> Content:
        chosen = self._programme()
        what = f"{self._who} collects {chosen.unit_many} in {chosen.name} from now on, apart from all other points."
        return lines(safe(what, "bold"), safe("A sale counts in the programme whose card is scanned."))

    @on(LineList.Chosen, "#further")
    def _chosen(self) -> None:
        self.query_one("#card", Field).focus()

    def commit(self) -> None:
        self.clear_notes()
        chosen, customer_id = self._programme(), self._detail.id
        joining = ProgrammeJoining(programme_code=chosen.code, card_number=self.text("card") or None)
        self.sent()
        call(
            self,
            "enrol",
            lambda client: client.join_programme(customer_id, joining, key=self.key),
            done=self._joined,
            failed=self.save_failed,
            is_write=True,
            waiting="Making a member…",
        )

    def _joined(self, joined: ProgrammeJoined) -> None:
        self.is_saved, self.is_sending = True, False
        self.console.say(f"Member of {self._programme().name}. Card {joined.card_number}.", "good")
        self._done(joined.membership_id)
        self.dismiss()

    def show_failure(self, error: ConsoleError) -> None:
        errors = {{"card_number": "card"}.get(field, field): words for field, words in field_errors(error).items()}
        if not self.show_errors(errors):
            super().show_failure(error)

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Make a member"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"Find › {self._who} › Programme"

    def scan_words(self) -> str:
        return "A scanned card becomes the card of the new programme."

    def take_scan(self, code: str) -> None:
        self.query_one("#card", Field).value = code


def _gives(programme: ProgrammeView) -> str:
    rules = rules_of(programme)
    return headline(rules, programme.currency) if rules is not None else ""
