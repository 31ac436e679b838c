"""Do anything: all actions as sentences, those that cannot be done now with the reason."""

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui.actions import BY_ID, Action, actions_on, key_name
from tui.formatting import Cell, Row
from tui.pages import Page
from tui.safe import join, plain
from tui.screens.find import SearchBox
from tui.widgets.line_list import Column, LineList

FIND = "find:"
_COLUMNS = (Column("What", -4), Column("Key", 5), Column("Not now, because", -3, from_width=90))


class PaletteDialog(ModalScreen[str]):
    """Type words of what you want; the page's own actions come first."""

    CSS_PATH = "palette.tcss"
    AUTO_FOCUS = "#palette-search"
    BINDINGS = [Binding("escape,ctrl+p", "close", show=False)]

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page

    def compose(self) -> ComposeResult:
        with Vertical(id="palette-box", classes="box"):
            yield SearchBox(id="palette-search", length_max=80, placeholder="What do you want to do?")
            yield LineList(_COLUMNS, id="palette-rows")
            yield Static(id="palette-words")

    def on_mount(self) -> None:
        box = self.query_one("#palette-box")
        box.border_title = "Do…"
        box.border_subtitle = "⏎ do it   Esc close"
        self.query_one("#palette-rows").add_class("-active")
        self._show("")

    def _show(self, text: str) -> None:
        words = text.lower().split()
        rows = [
            row
            for row in (self._row(action) for action in actions_on(self._page.PAGE) if action.in_palette)
            if all(word in row.cells[0].text.lower() for word in words)
        ]
        # What can be done comes first, as in the key bar.
        rows.sort(key=lambda row: bool(row.cells[2].text))
        if text and self._page.console.why_not(BY_ID["app.find"], self._page) is None:
            rows.append(Row(key=FIND + text, cells=(Cell(f"Find “{plain(text)}”"), Cell("F2"), Cell(""))))
        self.query_one("#palette-rows", LineList).set_rows(rows, keep_cursor=False)

    def _row(self, action: Action) -> Row:
        reason = self._page.console.why_not(action, self._page) or ""
        key = key_name(action.keys[0]) if action.keys else ""
        return Row(
            key=action.id,
            cells=(Cell(action.sentence, "muted" if reason else "plain"), Cell(key), Cell(reason, "muted")),
        )

    @on(LineList.Highlighted, "#palette-rows")
    def _highlighted(self, message: LineList.Highlighted) -> None:
        """Say the whole sentence, which a narrow list cuts, and why it cannot be done."""
        rows = self.query_one("#palette-rows", LineList).rows
        row = next((row for row in rows if row.key == message.key), None)
        what, _, reason = (cell.text for cell in row.cells) if row is not None else ("", "", "")
        words = join((what, ""), (f": {reason}" if reason else "", "$warning"))
        self.query_one("#palette-words", Static).update(words)

    @on(Input.Changed, "#palette-search")
    def _typed(self, event: Input.Changed) -> None:
        self._show(event.value)

    @on(SearchBox.Looked)
    def _look(self, message: SearchBox.Looked) -> None:
        rows = self.query_one("#palette-rows", LineList)
        if message.key in {"up", "down"}:
            rows.action_move(1 if message.key == "down" else -1)
        else:
            rows.action_move_page(1 if message.key == "pagedown" else -1)

    @on(Input.Submitted, "#palette-search")
    def _do(self) -> None:
        key = self.query_one("#palette-rows", LineList).current_key
        if key is not None:
            self.dismiss(key)

    @on(LineList.Chosen)
    def _chosen(self, message: LineList.Chosen) -> None:
        self.dismiss(message.key)

    def action_close(self) -> None:
        self.dismiss(None)

    def take_scan(self, code: str) -> None:
        """A scan means what it means on the page below."""
        self.dismiss(None)
        self._page.take_scan(code)
