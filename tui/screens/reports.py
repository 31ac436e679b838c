"""Reports: a chart drawn in characters, the figures behind it, and a file for a spreadsheet."""

from datetime import date, timedelta
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from shared.reports import ReportView
from tui.actions import Action
from tui.calls import call
from tui.errors import ConsoleError
from tui.formatting import day, moment
from tui.pages import Handlers, Page, bindings_for
from tui.report_words import SHOWN, Shown, columns_of, is_numeric, report_bars, report_rows
from tui.safe import join
from tui.screens.lock_session import zone_named
from tui.widgets.chart import Bar, Chart
from tui.widgets.line_list import Column, LineList
from tui.widgets.tab_line import TabLine

VIEWS = ("chart and table", "table", "chart")
PERIOD_DAYS = 90
_CHART_LINES_MIN = 4


class ReportsPage(Page):
    """One report at a time; the days are kept when another is chosen."""

    PAGE = "reports"
    CSS_PATH = "reports.tcss"
    AUTO_FOCUS = "#report-rows"
    BINDINGS = bindings_for("reports")

    def __init__(self) -> None:
        super().__init__()
        self._report: ReportView | None = None
        self._view = 0
        self.since: date | None = None
        self.until: date | None = None

    @property
    def shown(self) -> Shown:
        """How the report of the chosen tab is shown."""
        return SHOWN[self.query_one(TabLine).active]

    @property
    def report(self) -> ReportView | None:
        """The report as it was fetched, None before that."""
        return self._report

    def compose_body(self) -> ComposeResult:
        yield TabLine([shown.tab for shown in SHOWN])
        yield Static(id="report-head")
        yield Chart(id="report-chart")
        yield LineList((), id="report-rows")

    def on_mount(self) -> None:
        self.refresh_data()

    # Data -------------------------------------------------------------------------------------------------------------

    def refresh_data(self) -> None:
        name = self.shown.name
        since, until = self.days_text()
        call(
            self,
            "report",
            lambda client: client.get_report(name, since=since, until=until),
            done=partial(self._fetched, name),
            waiting="Adding up…",
        )

    def days_text(self) -> tuple[str, str]:
        """Return the chosen days as the service reads them; empty is the service's own choice."""
        return (self.since.isoformat() if self.since else "", self.until.isoformat() if self.until else "")

    def _fetched(self, name: str, report: ReportView) -> None:
        if name == self.shown.name:
            self._report = report
            self._show()

    def _show(self) -> None:
        report, shown = self._report, self.shown
        chart, listed = self.query_one("#report-chart", Chart), self.query_one("#report-rows", LineList)
        if report is None or self.console.session is None:
            chart.show((), ())
            listed.empty_words = ""  # That of another report is not known of this one.
            listed.set_rows([])
            self.query_one("#report-head", Static).update("")
            return
        bars = [Bar(label, values) for label, values in report_bars(report, shown)]
        chart.show(bars, shown.kinds, is_whole=shown.is_whole, keeps_last=shown.keeps_last)
        listed.empty_words = (
            "There is nothing in these days. p chooses others." if shown.has_period else "There are no points yet."
        )
        listed.set_columns(
            [
                Column(words, width, right=is_numeric(report, name), from_width=from_width)
                for name, words, width, from_width in columns_of(report, shown)
            ]
        )
        listed.set_rows(report_rows(report, shown, zone=zone_named(report.zone)), keep_cursor=False)
        self._fit_chart()
        self._show_head(report)
        self.frame_changed()

    def _fit_chart(self) -> None:
        """Give the chart what it wants, at most half of the page beside a table."""
        chart, listed = self.query_one("#report-chart", Chart), self.query_one("#report-rows", LineList)
        view = VIEWS[self._view]
        room = self.size.height - 6
        height = min(chart.height_wanted, room if view == "chart" else room // 2)
        chart.display = view != "table" and chart.height_wanted > 0
        chart.styles.height = max(_CHART_LINES_MIN, height) if view != "chart" else "1fr"
        listed.display = view != "chart" or chart.height_wanted == 0

    def _show_head(self, report: ReportView) -> None:
        zone = zone_named(report.zone)
        today = self.console.now().astimezone(zone).date()
        days = "now"
        if report.since is not None and report.until is not None:
            first = report.since.astimezone(zone).date()
            last = (report.until - timedelta(microseconds=1)).astimezone(zone).date()
            days = f"{day(first, today=today)} to {day(last, today=today)}"
        at = moment(report.as_of, now=self.console.now(), zone=zone)
        told = [
            (f" {report.title}: ", "bold"),
            (days, "bold $accent"),
            (f"  (days of {report.zone}, as of {at})", "$text-muted"),
        ]
        if not report.is_complete:
            told.append((f"  ! Only the first {len(report.rows):,} rows: x writes all to a file.", "$warning"))
        self.query_one("#report-head", Static).update(join(*told))

    def on_resize(self) -> None:
        self._fit_chart()

    # Actions ----------------------------------------------------------------------------------------------------------

    def _go_to_tab(self, index: int) -> None:
        self.query_one(TabLine).active = index % len(SHOWN)
        self._report = None
        self._show()
        self.refresh_data()
        self.frame_changed()

    @on(TabLine.Picked)
    def _tab_picked(self, message: TabLine.Picked) -> None:
        self._go_to_tab(message.index)

    def _next_view(self) -> None:
        self._view = (self._view + 1) % len(VIEWS)
        self._fit_chart()
        self.console.say(f"Showing {VIEWS[self._view]}.", "info")

    def _choose_period(self) -> None:
        from tui.screens.report_forms import PeriodPage

        today = self._today()
        page = PeriodPage(self.since or today - timedelta(days=PERIOD_DAYS), self.until or today, today=today)
        self.app.push_screen(page, lambda _: self._period_chosen(page))

    def _period_chosen(self, page: object) -> None:
        from tui.screens.report_forms import PeriodPage

        assert isinstance(page, PeriodPage)
        if page.chosen is not None:
            self.since, self.until = page.chosen
            self.refresh_data()

    def _today(self) -> date:
        """Return the day it is where the report counts its days, else at the shop."""
        session = self.console.session
        assert session is not None, "only the signed-in reports"
        zone = zone_named(self._report.zone) if self._report else session.zone
        return self.console.now().astimezone(zone).date()

    def _export(self) -> None:
        from tui.screens.report_forms import ExportPage

        since, until = self.days_text()
        self.app.push_screen(ExportPage(self.shown, since=since, until=until, today=self._today()))

    # The page ---------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return f"Reports › {self.shown.tab}"

    def handlers(self) -> Handlers:
        tab = self.query_one(TabLine)
        tabs = {f"reports.tab{number}": partial(self._go_to_tab, number - 1) for number in range(1, len(SHOWN) + 1)}
        return tabs | {
            "reports.tab_next": lambda: self._go_to_tab(tab.active + 1),
            "reports.tab_back": lambda: self._go_to_tab(tab.active - 1),
            "reports.period": self._choose_period,
            "reports.view": self._next_view,
            "reports.export": self._export,
            "app.back": self._back,
        }

    def _back(self) -> None:
        if not self.console.stop_waiting(self):
            self.console.go_home()

    def unavailable(self, action_id: str) -> str | None:
        if action_id == "reports.period" and not self.shown.has_period:
            return "this report is about now"
        if action_id == "reports.export" and self._report is None:
            return "there is no report yet"
        return None

    def bar_actions(self) -> list[tuple[Action, str]]:
        return [(action, label) for action, label in super().bar_actions() if action.id != "app.reports"]

    def show_failure(self, error: ConsoleError) -> None:
        super().show_failure(error)
        if self._report is None:
            self.query_one("#report-rows", LineList).empty_words = "This could not be fetched. F5 asks again."
