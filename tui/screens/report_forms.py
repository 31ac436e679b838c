"""The days of a report, and the file it is written to."""

import asyncio
from datetime import date, timedelta
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from tui.actions import Action
from tui.calls import call
from tui.client import Client
from tui.errors import ConsoleError
from tui.files import FileExists, FileTrouble, write_file
from tui.formatting import counted
from tui.forms import FormPage, form_row
from tui.pages import bindings_for
from tui.report_words import Shown
from tui.rule_words import read_day
from tui.safe import safe
from tui.widgets.choice import Choice, Option
from tui.widgets.field import Field

_PERIODS = (
    Option("month", "this month", "t"),
    Option("last_month", "last month", "l"),
    Option("year", "this year", "y"),
    Option("days", "own days", "o"),
)
_PATH_LENGTH_MAX = 1_000


def days_of(period: str, today: date) -> tuple[date, date] | None:
    """Return the first and the last day of a period, None for one that has none of its own."""
    first = today.replace(day=1)
    match period:
        case "month":
            return first, today
        case "last_month":
            last = first - timedelta(days=1)
            return last.replace(day=1), last
        case "year":
            return today.replace(month=1, day=1), today
        case _:
            return None


class PeriodPage(FormPage):
    """A period by its name or by its days."""

    PAGE = "period"
    CSS_PATH = "reports.tcss"
    AUTO_FOCUS = "#period"
    BINDINGS = bindings_for("period")

    def __init__(self, since: date, until: date, *, today: date) -> None:
        super().__init__()
        self._first, self._last, self._today = since, until, today
        self.chosen: tuple[date, date] | None = None

    def compose_body(self) -> ComposeResult:
        with Vertical(id="period-box", classes="box form"):
            yield from form_row("Period", Choice(_PERIODS, value="days", id="period"))
            yield from form_row("First day", Field(id="since", length_max=12), beside="like 2026-04-01 or 1.4.2026")
            yield from form_row("Last day", Field(id="until", length_max=12), beside="counts whole")

    def on_mount(self) -> None:
        self.query_one("#period-box").border_title = "The days of the report"
        self._fill(self._first, self._last)
        super().on_mount()

    def _fill(self, first: date, last: date) -> None:
        self.query_one("#since", Field).value = first.isoformat()
        self.query_one("#until", Field).value = last.isoformat()

    @on(Choice.Changed, "#period")
    def _period_chosen(self, event: Choice.Changed) -> None:
        days = days_of(event.value, self._today)
        if days is not None:
            self._fill(*days)

    def has_unsaved_work(self) -> bool:
        return False  # Nothing is lost with it: two days are chosen again in a moment.

    def commit(self) -> None:
        self.clear_notes()
        wrong: dict[str, str] = {}
        found: dict[str, date] = {}
        for field_id in ("since", "until"):
            try:
                found[field_id] = read_day(self.text(field_id))
            except ValueError as error:
                wrong[field_id] = str(error)
        if not wrong and found["since"] > found["until"]:
            wrong["since"] = "The days end before they begin."
        if self.show_errors(wrong):
            return
        self.chosen = (found["since"], found["until"])
        self.dismiss()

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Show"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return "Reports › Period"


class ExportPage(FormPage):
    """Where to write the report. A file that exists is replaced only when asked twice."""

    PAGE = "export"
    CSS_PATH = "reports.tcss"
    AUTO_FOCUS = "#path"
    BINDINGS = bindings_for("export")

    def __init__(self, shown: Shown, *, since: str, until: str, today: date) -> None:
        super().__init__()
        self._shown = shown
        self._since, self._until = since, until
        days = f"-{since}-{until}" if shown.has_period and since and until else f"-{today.isoformat()}"
        self._proposal = f"{shown.name}{days}.csv"
        self._may_replace: Path | None = None

    def compose_body(self) -> ComposeResult:
        with Vertical(id="export-box", classes="box form"):
            yield Static(
                "The whole report as CSV. Spreadsheets open it; no cell of it is run as a formula.", markup=False
            )
            yield Static(classes="gap")
            yield from form_row("File", Field(id="path", length_max=_PATH_LENGTH_MAX))
            yield Static(f"On this machine; without a folder it goes to {Path.cwd()}.", markup=False)

    def on_mount(self) -> None:
        self.query_one("#export-box").border_title = safe(f"Write the report {self._shown.tab} to a file")
        field = self.query_one("#path", Field)
        field.value = self._proposal
        field.cursor_position = len(self._proposal)
        super().on_mount()

    @on(Input.Changed)
    def _edited(self) -> None:
        self._may_replace = None
        self.note("path", "")

    def commit(self) -> None:
        if not self.text("path"):
            self.show_errors({"path": "Name a file."})
            return
        path = Path(self.text("path")).expanduser()
        if path.is_dir():
            self.show_errors({"path": "This is a folder; name a file in it."})
            return
        if path.exists() and self._may_replace != path:
            self._ask_to_replace(path)
            return
        may_replace = self._may_replace == path
        name, since, until = self._shown.name, self._since, self._until

        async def export(client: Client) -> tuple[Path, bytes]:
            content = await client.get_report_csv(name, since=since, until=until)
            await asyncio.to_thread(write_file, path, content, may_replace=may_replace)
            return path, content

        self.sent()
        call(self, "export", export, done=self._written, failed=self.save_failed, is_write=True, waiting="Writing…")

    def _ask_to_replace(self, path: Path) -> None:
        self._may_replace = path
        self.note("path", "There is a file of this name. Ctrl+S again replaces it.", "warn")
        self.console.say("Nothing was written yet.", "warn")

    def _written(self, written: tuple[Path, bytes]) -> None:
        path, content = written
        self.is_saved, self.is_sending = True, False
        rows = counted(max(0, content.count(b"\r\n") - 1), "row", "rows")
        self.console.say(f"{rows} written to {path.absolute()}", "good")
        self.dismiss()

    def show_failure(self, error: ConsoleError) -> None:
        if isinstance(error, FileExists):
            self._ask_to_replace(Path(self.text("path")).expanduser())
        elif isinstance(error, FileTrouble):
            self.show_errors({"path": error.words})
        else:
            super().show_failure(error)

    def has_unsaved_work(self) -> bool:
        return False

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Write it"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"Reports › {self._shown.tab} › Export"
