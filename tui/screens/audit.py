"""Who changed what, newest first."""

from functools import partial

from textual import on
from textual.app import ComposeResult

from shared.staff import AuditEntryView
from shared.staff import AuditPage as AuditAnswer
from tui.calls import call
from tui.errors import ConsoleError
from tui.formatting import Cell, Row, audit_notes, audit_row
from tui.pages import Handlers, Page, bindings_for
from tui.widgets.line_list import Column, LineList

_COLUMNS = (
    Column("When", 15),
    Column("Who", 18),
    Column("What", -3),
    Column("On", 14, from_width=100),
    Column("Why", -3, from_width=70),
)


class AuditPage(Page):
    """The audit trail; Enter unfolds an entry."""

    PAGE = "audit"
    AUTO_FOCUS = "#entries"
    BINDINGS = bindings_for("audit")

    def __init__(self) -> None:
        super().__init__()
        self._entries: list[AuditEntryView] = []
        self._next_cursor: str | None = None
        self._opened: set[str] = set()

    def compose_body(self) -> ComposeResult:
        yield LineList(_COLUMNS, id="entries")

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        if not self._entries:
            self.refresh_data()

    def refresh_data(self) -> None:
        self._fetch(None)

    def _fetch(self, cursor: str | None) -> None:
        call(self, "audit", lambda client: client.list_audit(cursor=cursor), done=partial(self._arrived, cursor))

    def _arrived(self, cursor: str | None, answer: AuditAnswer) -> None:
        if cursor is None:
            self._entries = []
        self._entries += answer.items
        self._next_cursor = answer.next_cursor
        self._show()
        self.frame_changed()

    def _show(self) -> None:
        session = self.console.session
        if session is None:
            return
        now = self.console.now()
        rows: list[Row] = []
        for entry in self._entries:
            rows.append(audit_row(entry, now=now, zone=session.zone))
            if str(entry.id) in self._opened:
                rows += [
                    Row(key=f"{entry.id}/{index}", cells=(Cell(note),), is_note=True)
                    for index, note in enumerate(audit_notes(entry))
                ]
        entries = self.query_one("#entries", LineList)
        entries.empty_words = "Nothing was changed yet."
        entries.set_rows(rows)

    @on(LineList.Chosen)
    def _toggle(self, message: LineList.Chosen) -> None:
        self._opened ^= {message.key}
        self._show()

    @on(LineList.EndReached)
    def _end_reached(self) -> None:
        if self._next_cursor is not None and not any(wait.page is self for wait in self.console.waits):
            self._fetch(self._next_cursor)

    # The page ---------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        if not self._entries:
            return "Audit"
        return f"Audit ({len(self._entries)} shown{', more below' if self._next_cursor else ''})"

    def handlers(self) -> Handlers:
        return {
            "audit.detail": self.query_one("#entries", LineList).action_choose,
            "app.back": self.console.go_home,
        }

    def show_failure(self, error: ConsoleError) -> None:
        super().show_failure(error)
        if not self._entries:
            self.query_one("#entries", LineList).empty_words = "This could not be fetched. F5 asks again."
