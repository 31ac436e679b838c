"""The programmes and the rules in force. Read only."""

from textual.app import ComposeResult

from shared.staff import ProgrammeList
from tui.calls import call
from tui.formatting import Cell, Row, Tone, moment, rule_lines
from tui.pages import Handlers, Page, bindings_for
from tui.widgets.line_list import Column, LineList

_COLUMNS = (Column("Setting", 30), Column("Value", -1))


class ProgrammesPage(Page):
    """Each programme with what it gives points for."""

    PAGE = "programmes"
    AUTO_FOCUS = "#rules"
    BINDINGS = bindings_for("programmes")

    def compose_body(self) -> ComposeResult:
        yield LineList(_COLUMNS, id="rules")

    def on_mount(self) -> None:
        self.refresh_data()

    def refresh_data(self) -> None:
        call(self, "programmes", lambda client: client.list_programmes(), done=self._show)

    def _show(self, programmes: ProgrammeList) -> None:
        session = self.console.session
        if session is None:
            return
        rows: list[Row] = []
        for programme in programmes.items:
            since = moment(programme.launch_at, now=self.console.now(), zone=session.zone)
            told = [
                (programme.name, f"{programme.status}, rules version {programme.rule_version}"),
                ("runs since", since),
                ("counts", f"{programme.currency}, days in {programme.zone}"),
                *rule_lines(programme.rules),
            ]
            for index, (name, value) in enumerate(told):
                tone: Tone = "strong" if index == 0 else "plain"
                rows.append(Row(key=f"{programme.code}/{index}", cells=(Cell(name, tone), Cell(value, tone))))
        listed = self.query_one("#rules", LineList)
        listed.empty_words = "There is no programme yet."
        listed.set_rows(rows)

    def crumbs(self) -> str:
        return "Programme"

    def handlers(self) -> Handlers:
        return {"app.back": self.console.go_home}
