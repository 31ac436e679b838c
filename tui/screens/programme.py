"""One programme: its rules in words, all their versions with what each changed, and its settings."""

from enum import IntEnum
from uuid import UUID

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from shared.programmes import RuleVersionList, RuleVersionView
from shared.staff import ProgrammeView
from tui.calls import call
from tui.errors import ConsoleError
from tui.formatting import Cell, Row, Tone, counted, moment, note_rows
from tui.pages import Handlers, Page, bindings_for
from tui.rule_words import differences, headline, rule_readings
from tui.safe import join, wrapped
from tui.screens.lock_session import zone_named
from tui.screens.programmes import READING_COLUMNS, reading_rows
from tui.setting_words import setting_readings
from tui.widgets.line_list import Column, LineList
from tui.widgets.tab_line import TabLine


class Tab(IntEnum):
    """The tabs in their order."""

    RULES = 0
    VERSIONS = 1
    SETTINGS = 2


TITLES = ("Rules", "Versions", "Settings")
_VERSION_COLUMNS = (
    Column("Version", 7, right=True),
    Column("State", 8),
    Column("From", 13),
    Column("By", 14, from_width=70),
    Column("Changed", -1),
)
_STATES: dict[str, Cell] = {
    "current": Cell("in force", "good"),
    "future": Cell("to come", "warn"),
    "past": Cell("over", "muted"),
}
_NOTE_MARGIN = 7


class ProgrammePage(Page):
    """Everything about one programme; what changes it opens a form."""

    PAGE = "programme"
    CSS_PATH = "programme.tcss"
    AUTO_FOCUS = "#readings"
    BINDINGS = bindings_for("programme")

    def __init__(self, programme: ProgrammeView) -> None:
        super().__init__()
        self._programme = programme
        self._versions: tuple[RuleVersionView, ...] = ()
        self._opened: set[str] = set()

    def compose_body(self) -> ComposeResult:
        yield Static(id="programme-head")
        yield TabLine(TITLES)
        yield LineList(READING_COLUMNS, id="readings")

    # Data -------------------------------------------------------------------------------------------------------------

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.refresh_data()

    @property
    def programme_id(self) -> UUID:
        assert self._programme.id is not None, "the service names it since programmes can be changed"
        return self._programme.id

    def refresh_data(self) -> None:
        programme_id = self.programme_id
        call(self, "programme", lambda client: client.get_programme(programme_id), done=self._fetched)
        call(self, "versions", lambda client: client.list_rule_versions(programme_id), done=self._fetched_versions)

    def _fetched(self, programme: ProgrammeView) -> None:
        self._programme = programme
        self._show()

    def _fetched_versions(self, versions: RuleVersionList) -> None:
        self._versions = versions.items
        self._show()

    def current_version(self) -> RuleVersionView | None:
        """Return the version in force."""
        return next((version for version in self._versions if version.state == "current"), None)

    def _chosen_version(self) -> RuleVersionView | None:
        if self.query_one(TabLine).active != Tab.VERSIONS:
            return None
        key = self.query_one("#readings", LineList).current_key
        return next((version for version in self._versions if str(version.version) == key), None)

    # Showing ----------------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        session = self.console.session
        if session is None:
            return
        listed = self.query_one("#readings", LineList)
        tab = self.query_one(TabLine).active
        listed.set_columns(_VERSION_COLUMNS if tab == Tab.VERSIONS else READING_COLUMNS)
        listed.empty_words = "No rules are in force." if self._versions else ""
        listed.set_rows(self._rows(Tab(tab), listed.size.width))
        self._show_head()
        self.frame_changed()

    def _show_head(self) -> None:
        programme, current = self._programme, self.current_version()
        said = headline(current.rules, programme.currency) if current else ""
        state: Tone = "good" if programme.status == "active" else "warn"
        style = {"good": "$success", "warn": "$warning"}[state]
        head = join((f" {programme.name}  ", "bold"), (programme.status, style), f"  {said}")
        if future := [version for version in self._versions if version.state == "future"]:
            at = self._moment(future[-1])
            head = join(head, (f"  ! version {future[-1].version} begins {at}", "$warning"))
        self.query_one("#programme-head", Static).update(head)

    def _moment(self, version: RuleVersionView) -> str:
        return moment(version.valid_from, now=self.console.now(), zone=zone_named(self._programme.zone))

    def _rows(self, tab: Tab, width: int) -> list[Row]:
        programme = self._programme
        zone = zone_named(programme.zone)
        match tab:
            case Tab.RULES:
                current = self.current_version()
                if current is None:
                    return []
                return reading_rows(rule_readings(current.rules, currency=programme.currency, zone=zone), width)
            case Tab.VERSIONS:
                return [row for place in range(len(self._versions)) for row in self._version_rows(place, width)]
            case Tab.SETTINGS:
                return reading_rows(setting_readings(programme, now=self.console.now(), zone=zone), width)

    def _version_rows(self, place: int, width: int) -> list[Row]:
        version = self._versions[place]
        changed = self._changes(place)
        words = "the first rules" if place == len(self._versions) - 1 else counted(len(changed), "thing", "things")
        if len(changed) == 1 and place < len(self._versions) - 1:
            words = changed[0]
        key = str(version.version)
        row = Row(
            key=key,
            cells=(
                Cell(key),
                _STATES[version.state],
                Cell(self._moment(version)),
                Cell(version.created_by or "the set-up"),
                Cell(words if changed else "nothing"),
            ),
        )
        if key not in self._opened:
            return [row]
        told = [line for change in changed for line in wrapped(change, max(30, width - _NOTE_MARGIN))]
        return [row, *note_rows(key, told)]

    def _changes(self, place: int) -> list[str]:
        """Return what a version changed; what the first one says."""
        version, programme = self._versions[place], self._programme
        zone = zone_named(programme.zone)
        if place + 1 == len(self._versions):
            readings = rule_readings(version.rules, currency=programme.currency, zone=zone)
            return [f"{name}: {words}" for name, words in readings]
        before = self._versions[place + 1].rules
        found = differences(before, version.rules, currency=programme.currency, zone=zone)
        return [f"{name}: {then} → {now}" for name, then, now in found]

    def on_resize(self) -> None:
        self._show()

    # Tabs -------------------------------------------------------------------------------------------------------------

    def _go_to_tab(self, index: int) -> None:
        self.query_one(TabLine).active = index % len(TITLES)
        self.query_one("#readings", LineList).set_rows([])
        self._show()

    @on(TabLine.Picked)
    def _tab_picked(self, message: TabLine.Picked) -> None:
        self._go_to_tab(message.index)

    @on(LineList.Chosen, "#readings")
    def _chosen(self) -> None:
        self.console.perform("programme.detail")

    @on(LineList.Highlighted, "#readings")
    def _highlighted(self) -> None:
        self.frame_changed()

    def _detail(self) -> None:
        version = self._chosen_version()
        if version is not None:
            self._opened ^= {str(version.version)}
            self._show()

    # Forms ------------------------------------------------------------------------------------------------------------

    def _write_rules(self) -> None:
        from tui.screens.rules import RulesPage

        current = self.current_version()
        assert current is not None
        self.app.push_screen(RulesPage(self._programme, current.rules, newest=self._newest()))

    def _newest(self) -> int:
        """Return the number of the newest version that this page has shown."""
        return max(version.version for version in self._versions)

    def _restore(self) -> None:
        from tui.screens.trial import TrialPage

        version = self._chosen_version()
        assert version is not None
        self.app.push_screen(
            TrialPage(self._programme, version.rules, newest=self._newest(), from_version=version.version)
        )

    def _change_settings(self) -> None:
        from tui.screens.programme_settings import SettingsPage

        self.app.push_screen(SettingsPage(self._programme))

    def _open_rewards(self) -> None:
        from tui.screens.rewards import RewardsPage

        self.app.push_screen(RewardsPage(self._programme))

    def _close_or_open(self) -> None:
        from tui.screens.programme_closing import ClosingPage

        self.app.push_screen(ClosingPage(self._programme))

    # The page ---------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return f"Programme › {self._programme.name}"

    def handlers(self) -> Handlers:
        tab = self.query_one(TabLine)
        return {
            "programme.tab1": lambda: self._go_to_tab(Tab.RULES),
            "programme.tab2": lambda: self._go_to_tab(Tab.VERSIONS),
            "programme.tab3": lambda: self._go_to_tab(Tab.SETTINGS),
            "programme.tab_next": lambda: self._go_to_tab(tab.active + 1),
            "programme.tab_back": lambda: self._go_to_tab(tab.active - 1),
            "programme.detail": self._detail,
            "programme.rules": self._write_rules,
            "programme.restore": self._restore,
            "programme.settings": self._change_settings,
            "programme.close": self._close_or_open,
            "programmes.rewards": self._open_rewards,
            "app.back": self._back,
        }

    def _back(self) -> None:
        self.dismiss()

    def unavailable(self, action_id: str) -> str | None:
        if action_id == "programme.rules" and self.current_version() is None:
            return "no rules are in force"
        if action_id == "programme.detail" and self._chosen_version() is None:
            return "it is for versions (2)"
        if action_id == "programme.restore":
            version = self._chosen_version()
            if version is None:
                return "choose a version first (2)"
            if version.state == "current":
                return "this version is in force"
        return None

    def show_failure(self, error: ConsoleError) -> None:
        super().show_failure(error)
        listed = self.query_one("#readings", LineList)
        if not listed.rows:
            listed.empty_words = "This could not be fetched. F5 asks again."
