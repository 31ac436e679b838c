"""A list that draws one line for each row, and only the lines that are visible, whatever its length."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.formatting import Cell, Row
from tui.safe import fit, wrapped

_GAP = 2
_NOTE_INDENT = 5
_SCROLLBAR = 1
_MARK = "▸ "
_NO_MARK = "  "


class Column(msgspec.Struct, frozen=True):
    """A column: `width` in cells, or a share of what is left when it is negative (-2 gets twice what -1 gets).

    It is left out while the list is narrower than `from_width`.
    """

    title: str
    width: int
    right: bool = False
    from_width: int = 0


def column_widths(columns: Sequence[Column], total: int) -> list[int]:
    """Return the width of each column in cells; 0 for one that is left out."""
    shown = [column for column in columns if total >= column.from_width]
    fixed = sum(column.width for column in shown if column.width > 0)
    shares = sum(-column.width for column in shown if column.width < 0)
    free = max(0, total - len(_MARK) - fixed - _GAP * max(0, len(shown) - 1))
    widths = []
    for column in columns:
        if total < column.from_width:
            widths.append(0)
        elif column.width > 0:
            widths.append(column.width)
        else:
            widths.append(free * -column.width // shares)
    return widths


class LineList(ScrollView, can_focus=True):
    """Rows under a header that stays. Enter or a click chooses one; reaching the end asks for more."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "move_page(-1)", show=False),
        Binding("pagedown", "move_page(1)", show=False),
        Binding("home", "move(-1000000)", show=False),
        Binding("end", "move(1000000)", show=False),
        Binding("enter", "choose", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "line-list--header",
        "line-list--cursor",
        "line-list--cursor-blurred",
        "line-list--hover",
        "line-list--note",
        "line-list--empty",
        *(f"line-list--{tone}" for tone in ("plain", "muted", "strong", "good", "warn", "bad")),
    }

    class Chosen(Message):
        """A row was chosen."""

        def __init__(self, line_list: "LineList", key: str) -> None:
            super().__init__()
            self.line_list = line_list
            self.key = key

        @property
        def control(self) -> "LineList":
            return self.line_list

    class Highlighted(Message):
        """The cursor is on another row."""

        def __init__(self, line_list: "LineList", key: str | None) -> None:
            super().__init__()
            self.line_list = line_list
            self.key = key

        @property
        def control(self) -> "LineList":
            return self.line_list

    class EndReached(Message):
        """The last row is in sight of the cursor: it is time to fetch more."""

        def __init__(self, line_list: "LineList") -> None:
            super().__init__()
            self.line_list = line_list

        @property
        def control(self) -> "LineList":
            return self.line_list

    cursor: reactive[int] = reactive(0, repaint=False)
    hovered: reactive[int] = reactive(-1, repaint=False)
    empty_words: reactive[str] = reactive("")

    def __init__(self, columns: Sequence[Column], *, id: str | None = None, empty_words: str = "") -> None:  # noqa: A002
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._given: tuple[Row, ...] = ()
        self._rows: tuple[Row, ...] = ()
        self.was_moved = False
        self.set_reactive(LineList.empty_words, empty_words)

    @property
    def rows(self) -> tuple[Row, ...]:
        return self._rows

    @property
    def current_key(self) -> str | None:
        """The key of the row under the cursor, None when there are no rows."""
        return self._rows[self.cursor].key if self.cursor < len(self._rows) else None

    def set_columns(self, columns: Sequence[Column]) -> None:
        self._columns = tuple(columns)
        self.refresh()

    def set_rows(self, rows: Sequence[Row], *, keep_cursor: bool = True) -> None:
        """Show other rows. The cursor stays on the row it was on while that is still there."""
        key = self.current_key if keep_cursor else None
        self._given = tuple(rows)
        positions = self._lay_out()
        self.was_moved = self.was_moved and key in positions  # Other rows: nobody has chosen among these yet.
        # Assigned even when equal, as another row may now be at this place.
        self.set_reactive(LineList.cursor, positions.get(key or "", 0))
        self._show_cursor()
        self.refresh()
        self.post_message(self.Highlighted(self, self.current_key))

    def _lay_out(self) -> dict[str, int]:
        """Give notes that are too long for a line as many as they need, and return the places of the rows by key."""
        width = self.size.width - _NOTE_INDENT - _SCROLLBAR
        self._rows = tuple(part for row in self._given for part in _folded(row, width))
        self.virtual_size = Size(self.size.width, len(self._rows) + 1)
        return {row.key: index for index, row in reversed(list(enumerate(self._rows))) if not row.is_note}

    # Moving ---------------------------------------------------------------------------------------------------------

    def action_move(self, step: int) -> None:
        """Move the cursor by rows, over notes, as far as there are any."""
        self.move_to(self.cursor + step)

    def action_move_page(self, pages: int) -> None:
        self.move_to(self.cursor + pages * max(1, self.size.height - 2))

    def action_choose(self) -> None:
        if self.current_key is not None:
            self.post_message(self.Chosen(self, self.current_key))

    def move_to(self, index: int) -> None:
        """Put the cursor on a row; on a note, on the next row in the direction of the move."""
        if not self._rows:
            return
        step = 1 if index >= self.cursor else -1
        target = min(max(index, 0), len(self._rows) - 1)
        while 0 <= target < len(self._rows) and self._rows[target].is_note:
            target += step
        if not 0 <= target < len(self._rows):
            # Only notes follow: show them, and stay on the row they belong to.
            self.scroll_to(y=self.max_scroll_y, animate=False)
            target = self.cursor
        is_first_move, self.was_moved = not self.was_moved, True
        if is_first_move and target == self.cursor:
            # The row was only shown as the likeliest until now; from here on it is meant.
            self.post_message(self.Highlighted(self, self.current_key))
        self.cursor = target
        if index >= len(self._rows) - 2:
            self.post_message(self.EndReached(self))

    def look(self, key: str) -> None:
        """Move by an arrow or a page key that was pressed in a field above; the first step down takes the first row."""
        match key:
            case "up":
                self.action_move(-1)
            case "down":
                self.move_to(self.cursor + 1 if self.was_moved else 0)
            case "pageup":
                self.action_move_page(-1)
            case _:
                self.action_move_page(1)

    def watch_cursor(self) -> None:
        self._show_cursor()
        self.refresh()
        self.post_message(self.Highlighted(self, self.current_key))

    def watch_hovered(self) -> None:
        self.refresh()

    def _show_cursor(self) -> None:
        last = self.cursor
        while last + 1 < len(self._rows) and self._rows[last + 1].is_note:
            last += 1
        height = self.size.height - 1
        if height <= 0:
            return
        if self.cursor < self.scroll_offset.y:
            self.scroll_to(y=self.cursor, animate=False)
        elif last >= self.scroll_offset.y + height:
            self.scroll_to(y=min(self.cursor, last - height + 1), animate=False)

    # Mouse ----------------------------------------------------------------------------------------------------------

    def _index_at(self, y: int) -> int | None:
        index = y - 1 + self.scroll_offset.y
        return index if y >= 1 and index < len(self._rows) and not self._rows[index].is_note else None

    def on_click(self, event: events.Click) -> None:
        index = self._index_at(event.y)
        if index is not None:
            self.move_to(index)
            self.action_choose()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        index = self._index_at(event.y)
        self.hovered = -1 if index is None else index

    def on_leave(self) -> None:
        self.hovered = -1

    def on_resize(self) -> None:
        key = self.current_key
        self.set_reactive(LineList.cursor, self._lay_out().get(key or "", 0))
        self._show_cursor()

    # Drawing --------------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        if y == 0:
            return self._header(width)
        index = y - 1 + self.scroll_offset.y
        if index < len(self._rows):
            return self._line(self._rows[index], index=index, width=width)
        if not self._rows and self.empty_words:
            words = wrapped(self.empty_words, max(2, width - len(_NO_MARK) - 1))
            line = words[y - 1] if y <= len(words) else ""
            return self._strip(fit(_NO_MARK + line, width), self._style("empty"))
        return self._strip(" " * width, self._style("plain"))

    def _style(self, component: str) -> Style:
        return self.get_component_rich_style(f"line-list--{component}")

    def _strip(self, text: str, style: Style) -> Strip:
        return Strip([Segment(text, style)])

    def _header(self, width: int) -> Strip:
        cells = [
            fit(column.title, cells, right=column.right)
            for column, cells in zip(self._columns, column_widths(self._columns, width), strict=True)
            if cells
        ]
        return self._strip(fit(_NO_MARK + (" " * _GAP).join(cells), width), self._style("header"))

    def _line(self, row: Row, *, index: int, width: int) -> Strip:
        if row.is_note:
            text = row.cells[0].text if row.cells else ""
            return self._strip(fit(" " * _NOTE_INDENT + text, width), self._style("note"))
        has_cursor = index == self.cursor
        base = self._base_style(has_cursor=has_cursor, is_hovered=index == self.hovered)
        segments = [Segment(_MARK if has_cursor else _NO_MARK, base or self._style("plain"))]
        widths = column_widths(self._columns, width)
        for column, cells, cell in zip(self._columns, widths, row.cells, strict=True):
            if not cells:
                continue
            if len(segments) > 1:
                segments.append(Segment(" " * _GAP, base or self._style("plain")))
            segments.append(Segment(fit(cell.text, cells, right=column.right), base or self._tone(cell)))
        return Strip(segments).adjust_cell_length(width, base or self._style("plain"))

    def _base_style(self, *, has_cursor: bool, is_hovered: bool) -> Style | None:
        """Return the one style of a whole row; None when each cell has the style of its tone."""
        if has_cursor:
            return self._style("cursor" if self.has_focus or self.has_class("-active") else "cursor-blurred")
        return self._style("hover") if is_hovered else None

    def _tone(self, cell: Cell) -> Style:
        return self._style("muted" if self.has_class("-stale") else cell.tone)


def _folded(row: Row, width: int) -> list[Row]:
    """Return a note as lines of at most so many cells; before the first layout, and for all else, the row itself."""
    if not row.is_note or not row.cells or width <= 1:
        return [row]
    parts = wrapped(row.cells[0].text, width)
    if len(parts) <= 1:
        return [row]
    return [Row(key=row.key, cells=(Cell(part, row.cells[0].tone),), is_note=True) for part in parts]
