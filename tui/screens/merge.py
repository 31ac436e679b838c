"""Two customers who are one person become one: side by side, with choices, sums, warnings and what stands against it."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from shared.merges import MergeChoices, MergePreview, MergeRequest, MergeState, MergeView
from tui.actions import Action
from tui.client import Client
from tui.formatting import counted, moment, points
from tui.merge_words import choosable, choose, is_right, keeps_the_other, merge_notes, merge_rows, row_words
from tui.pages import Handlers, bindings_for
from tui.safe import lines
from tui.screens.choosing import Chosen, CustomerChooser, customer_row
from tui.screens.danger import Danger, make_sure
from tui.screens.preview_form import PreviewForm
from tui.screens.why import OTHER, missing_why, read_why, why_rows
from tui.widgets.choice import Option
from tui.widgets.field import Field
from tui.widgets.line_list import Column, LineList
from tui.wording import blocker_words

_REASONS = (
    Option("Registered twice", "registered twice", "r"),
    Option("Card and online account", "card and online", "c"),
    OTHER,
)
_COLUMNS = (Column("Field", 14), Column("KEEP", -1), Column("FOLD IN", -1), Column("After the merge", -1))
_CHOOSING = {"merge.left", "merge.right"}


class MergePage(PreviewForm[MergeRequest, MergePreview, MergeView]):
    """Which two, whose fields stay, and why.

    Who is kept is worked out and can be swapped; with `in_order` it is the first one unless somebody swaps.
    """

    PAGE = "merge"
    CSS_PATH = ["preview_form.tcss", "merge.tcss"]
    BINDINGS = bindings_for("merge")
    TITLE_WORDS = "Merge two customers"
    WAITING_WORDS = "Merging…"
    AUTO_FOCUS = "#customer, #fields"

    def __init__(
        self,
        first: Chosen,
        second: Chosen | None = None,
        *,
        in_order: bool = False,
        done: Callable[[MergeView], None] | None = None,
    ) -> None:
        super().__init__()
        self._first = first
        self._second = second
        self._done = done
        self._chooser = CustomerChooser(self)
        self._choices = MergeChoices()
        self._is_swapped = False
        self._settled: set[str] = {second.id} if in_order and second else set()
        self._why_kept = ""
        self._shown: MergePreview | None = None  # What stands in the list, while another preview is asked for.

    def compose_body(self) -> ComposeResult:
        with Container(classes="preview-page merge-page"):
            with VerticalScroll(classes="box preview-form", can_focus=False):
                if self._second is None:
                    yield from customer_row("Other one")
                yield from why_rows(_REASONS)
            with Vertical(id="merge-box", classes="box preview-box"):
                # Whatever there is to mind can be read, by scrolling where it does not fit.
                with VerticalScroll(id="notes"):
                    yield Static(id="preview")
                yield LineList(_COLUMNS, id="fields")
                yield Static(id="row-words")

    # Which two ----------------------------------------------------------------------------------------------------------

    def edited(self, field_id: str) -> None:
        if field_id == "customer":
            self._chooser.typed()

    def ask_anew(self) -> None:
        if self._second is None:
            self._chooser.typed()

    def _pair(self) -> tuple[Chosen, Chosen] | None:
        """Return who is kept and who is folded in."""
        other = self._second or self._chooser.chosen
        if other is None or other.id == self._first.id:
            return None
        return (other, self._first) if self._is_swapped else (self._first, other)

    def _swap(self) -> None:
        pair = self._pair()
        assert pair is not None
        self._settled |= {one.id for one in pair}
        self._why_kept = ""
        self._turn()

    def _turn(self) -> None:
        self._is_swapped = not self._is_swapped
        self._choices = MergeChoices()
        self.preview_soon()

    def _previewed(self, wish: MergeRequest, preview: MergePreview) -> None:
        other = self._second or self._chooser.chosen
        if wish == self.wish() and other is not None and other.id not in self._settled:
            # Asked once for each pair: who is kept is a proposal, and a swap by hand stands.
            self._settled.add(other.id)
            turns, self._why_kept = keeps_the_other(preview)
            if turns:
                was_edited = self.has_unsaved_work()
                self._turn()
                if not was_edited:
                    self._at_first = self.values()  # A proposal is nobody's work.
                return
        if wish == self.wish():
            self._shown = preview
        super()._previewed(wish, preview)

    # Whose fields -------------------------------------------------------------------------------------------------------

    def _choose(self, *, right: bool) -> None:
        key = self.query_one("#fields", LineList).current_key
        assert key is not None
        self._choices = choose(self._choices, key, right=right)
        self.preview_soon()

    @on(LineList.Chosen, "#fields")
    def _toggle(self, message: LineList.Chosen) -> None:
        if self._shown is not None and message.key in choosable(self._shown, self._choices):
            self._choose(right=not is_right(self._choices, self._shown, message.key))

    @on(LineList.Highlighted, "#fields")
    def _highlighted(self) -> None:
        self._show_row()
        self.frame_changed()

    # What is asked for --------------------------------------------------------------------------------------------------

    def values(self) -> dict[str, str]:
        pair = self._pair()
        return super().values() | {
            "pair": " ".join(one.id for one in pair) if pair else "",
            "choices": str(self._choices),
        }

    def missing(self) -> dict[str, str]:
        missing = dict(missing_why(self))
        if self._pair() is None:
            is_same = self._second is None and self._chooser.chosen is not None
            missing["customer"] = "This is the same customer." if is_same else "Scan or type the other customer."
        return missing

    def wish(self) -> MergeRequest | None:
        pair = self._pair()
        if pair is None or missing_why(self):
            return None
        keep, fold = pair
        return MergeRequest(
            survivor_id=UUID(keep.id), absorbed_id=UUID(fold.id), choices=self._choices, reason=read_why(self)
        )

    def ask(self, client: Client, wish: MergeRequest) -> Awaitable[MergePreview]:
        return client.preview_merge(wish)

    def send(self, client: Client, wish: MergeRequest, preview: MergePreview) -> Awaitable[MergeView]:
        return client.merge_customers(replace(wish, preview_hash=preview.preview_hash), key=self.key)

    def confirmed(self) -> None:
        preview = self.preview
        assert preview is not None
        absorbed, survivor = preview.absorbed, preview.survivor
        sales = counted(absorbed.orders, "sale", "sales")
        ask = " Somebody else decides on it." if preview.needs_second_person else ""
        danger = Danger(
            title="Merge two customers",
            words=f"{absorbed.name} ({points(absorbed.available)} points, {sales}) becomes a part of {survivor.name}.{ask}",
            code=absorbed.cards[0] if absorbed.cards else "",
            code_words=f"the card of {absorbed.name}:",
            commit_words="Ask for approval" if preview.needs_second_person else "Merge",
        )
        make_sure(self, danger, self.send_now)

    def applied(self, answer: MergeView) -> None:
        session = self.console.session
        if answer.state is MergeState.WAITING:
            self.console.say("Asked. Nothing has changed yet; somebody else must approve it.", "good")
        else:
            told = f"Merged: {answer.absorbed_name} is part of {answer.survivor_name}."
            if answer.undo_until is not None and session is not None:
                until = moment(answer.undo_until, now=self.console.now(), zone=session.zone)
                told += f" u takes it back until {until}."
            self.console.say(told, "good")
        self.dismiss()
        if self._done is not None:
            self._done(answer)

    # Drawing ------------------------------------------------------------------------------------------------------------

    def show_preview(self) -> None:
        if self.console.session is None:
            return
        pair, shown = self._pair(), self._shown
        is_of_pair = pair is not None and shown is not None and shown.survivor.id == UUID(pair[0].id)
        is_of_pair = is_of_pair and pair is not None and shown is not None and shown.absorbed.id == UUID(pair[1].id)
        if not is_of_pair:
            self._shown = shown = None
        fields = self.query_one("#fields", LineList)
        # Old rows stay, dimmed, until the new ones are here.
        fields.set_class(shown is not None and not self.has_preview(), "-stale")
        fields.set_rows(merge_rows(shown, self._choices) if shown is not None else ())
        self._show_row()
        super().show_preview()

    def _show_row(self) -> None:
        fields, shown = self.query_one("#fields", LineList), self._shown
        words = Content("")
        if shown is not None:
            row = next((row for row in fields.rows if row.key == fields.current_key), None)
            can_choose = fields.current_key in choosable(shown, self._choices)
            words = row_words(row, can_choose=can_choose)
        self.query_one("#row-words", Static).update(words)

    def blockers(self, preview: MergePreview) -> tuple[str, ...]:
        return tuple(map(blocker_words, preview.blockers))

    def told(self, preview: MergePreview) -> Content:
        return lines(*merge_notes(preview, why_kept=self._why_kept))

    def told_lines(self, preview: MergePreview) -> list[str]:
        rows = merge_rows(preview, self._choices)
        return [*super().told_lines(preview), *("  ".join(cell.text for cell in row.cells) for row in rows)]

    # The page -----------------------------------------------------------------------------------------------------------

    def handlers(self) -> Handlers:
        return super().handlers() | {
            "merge.swap": self._swap,
            "merge.left": lambda: self._choose(right=False),
            "merge.right": lambda: self._choose(right=True),
        }

    def unavailable(self, action_id: str) -> str | None:
        if action_id == "merge.swap" and self._pair() is None:
            return "choose the other customer first"
        if action_id in _CHOOSING:
            key = self.query_one("#fields", LineList).current_key
            if self._shown is None or key not in choosable(self._shown, self._choices):
                return "there is nothing to choose in this row"
        return super().unavailable(action_id)

    def bar_actions(self) -> list[tuple[Action, str]]:
        needs_two = self.preview is not None and self.preview.needs_second_person
        words = {"form.commit": "Ask for approval…" if needs_two else "Merge…"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"{self._first.name} › Merge"

    def scan_words(self) -> str:
        return "A scanned card chooses the other customer." if self._second is None else "A scan does nothing here."

    def take_scan(self, code: str) -> None:
        if self._second is not None:
            self.console.say("The scan was not used: both customers are chosen.", "warn")
            return
        self.query_one("#customer", Field).value = code
        self.query_one("#fields").focus()
