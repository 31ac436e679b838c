"""The programmes, with what the one under the cursor gives points for."""

from datetime import tzinfo
from itertools import zip_longest

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from shared.programmes import EarningRules
from shared.staff import ProgrammeList, ProgrammeView
from tui.calls import call
from tui.errors import ConsoleError
from tui.formatting import Cell, Row, moment, rule_lines
from tui.pages import Handlers, Page, bindings_for
from tui.rule_words import headline, rule_readings
from tui.safe import join, wrapped
from tui.screens.lock_session import zone_named
from tui.widgets.line_list import Column, LineList, column_widths

_COLUMNS = (
    Column("Programme", -2),
    Column("State", 9),
    Column("Rules", 10),
    Column("Since", 16, from_width=70),
    Column("Money", 5),
    Column("Days of", -1, from_width=90),
)
READING_COLUMNS = (Column("What", -2), Column("How", -5))


def rules_of(programme: ProgrammeView) -> EarningRules | None:
    """Return the rules in force, None when they are of a newer service and cannot be read."""
    try:
        return msgspec.convert(programme.rules, EarningRules)
    except msgspec.ValidationError:
        return None


def reading_rows(readings: list[tuple[str, str]], width: int) -> list[Row]:
    """Return readings as rows; what is longer than its column goes on in the next line."""
    what_width, how_width = (max(10, cells) for cells in column_widths(READING_COLUMNS, width - 1))
    rows = []
    for place, (name, words) in enumerate(readings):
        names, parts = wrapped(name, what_width), wrapped(words, how_width)
        for number, (what, how) in enumerate(zip_longest(names, parts, fillvalue="")):
            rows.append(Row(key=f"{place}/{number}", cells=(Cell(what, "muted"), Cell(how))))
    return rows


class ProgrammesPage(Page):
    """All programmes above, the rules of one below. Enter opens it."""

    PAGE = "programmes"
    CSS_PATH = "programme.tcss"
    AUTO_FOCUS = "#programmes"
    BINDINGS = bindings_for("programmes")

    def __init__(self) -> None:
        super().__init__()
        self._programmes: tuple[ProgrammeView, ...] = ()

    def compose_body(self) -> ComposeResult:
        yield LineList(_COLUMNS, id="programmes")
        yield Static(id="headline")
        yield LineList(READING_COLUMNS, id="rules")

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.refresh_data()

    def refresh_data(self) -> None:
        call(self, "programmes", lambda client: client.list_programmes(), done=self._fetched)

    def _fetched(self, programmes: ProgrammeList) -> None:
        session = self.console.session
        if session is None:
            return
        self._programmes = programmes.items
        now = self.console.now()
        rows = [
            Row(
                key=programme.code,
                cells=(
                    Cell(programme.name, "strong"),
                    Cell(programme.status, "good" if programme.status == "active" else "warn"),
                    Cell(f"version {programme.rule_version}"),
                    Cell(moment(programme.launch_at, now=now, zone=session.zone)),
                    Cell(programme.currency),
                    Cell(programme.zone),
                ),
            )
            for programme in programmes.items
        ]
        listed = self.query_one("#programmes", LineList)
        listed.empty_words = "There is no programme yet."
        listed.styles.height = min(len(rows), 6) + 1
        listed.set_rows(rows)
        self.frame_changed()

    def _current(self) -> ProgrammeView | None:
        key = self.query_one("#programmes", LineList).current_key
        return next((programme for programme in self._programmes if programme.code == key), None)

    @on(LineList.Highlighted, "#programmes")
    def _highlighted(self) -> None:
        programme, headline_line = self._current(), self.query_one("#headline", Static)
        listed = self.query_one("#rules", LineList)
        if programme is None:
            headline_line.update("")
            listed.set_rows([])
            return
        zone: tzinfo = zone_named(programme.zone)
        rules = rules_of(programme)
        if rules is None:
            readings = list(rule_lines(programme.rules))
            headline_line.update(join((" These rules are newer than this console.", "$warning")))
        else:
            readings = rule_readings(rules, currency=programme.currency, zone=zone)
            headline_line.update(join((f" {headline(rules, programme.currency)}", "bold")))
        listed.set_rows(reading_rows(readings, listed.size.width))
        self.frame_changed()

    def on_resize(self) -> None:
        self._highlighted()

    @on(LineList.Chosen, "#programmes")
    def _chosen(self) -> None:
        self.console.perform("programmes.open")

    def _open(self) -> None:
        from tui.screens.programme import ProgrammePage

        programme = self._current()
        assert programme is not None
        self.app.push_screen(ProgrammePage(programme))

    def _open_rewards(self) -> None:
        from tui.screens.rewards import RewardsPage

        self.app.push_screen(RewardsPage(self._current()))

    def _new(self) -> None:
        from tui.screens.programme_settings import NewProgrammePage

        programme = self._current()
        assert programme is not None
        self.app.push_screen(NewProgrammePage(programme))

    # The page ---------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return "Programme"

    def handlers(self) -> Handlers:
        return {
            "programmes.open": self._open,
            "programmes.new": self._new,
            "programmes.rewards": self._open_rewards,
            "app.back": self._back,
        }

    def _back(self) -> None:
        if not self.console.stop_waiting(self):
            self.console.go_home()

    def unavailable(self, action_id: str) -> str | None:
        if action_id in {"programmes.open", "programmes.new", "programmes.rewards"} and self._current() is None:
            return "there is no programme"
        return None

    def show_failure(self, error: ConsoleError) -> None:
        super().show_failure(error)
        listed = self.query_one("#programmes", LineList)
        if not listed.rows:
            listed.empty_words = "This could not be fetched. F5 asks again."
