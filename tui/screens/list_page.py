"""The page that is a list, or a few lists under tabs: fetched page by page, each row opening notes under itself."""

from collections.abc import Awaitable, Sequence
from datetime import datetime, tzinfo
from functools import partial
from typing import ClassVar, Generic, Protocol, TypeVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.widgets import Static

from tui.actions import BY_ID
from tui.calls import call
from tui.client import Client
from tui.errors import ConsoleError
from tui.formatting import Row, counted, note_rows
from tui.pages import Handlers, Page
from tui.safe import lines, safe
from tui.widgets.line_list import Column, LineList
from tui.widgets.tab_line import TabLine

ItemT = TypeVar("ItemT")
ItemT_co = TypeVar("ItemT_co", covariant=True)

NOT_FETCHED = "This could not be fetched. F5 asks again."


class Listed(Protocol[ItemT_co]):
    """An answer with items, and where the next ones begin."""

    @property
    def items(self) -> Sequence[ItemT_co]: ...

    @property
    def next_cursor(self) -> str | None: ...


class Listing(msgspec.Struct, Generic[ItemT], frozen=True, kw_only=True):
    """The same, put together from several answers."""

    items: tuple[ItemT, ...]
    next_cursor: str | None = None


class ListTab(msgspec.Struct, frozen=True, kw_only=True):
    """One of the lists; `empty` is what stands there instead of rows."""

    title: str
    columns: tuple[Column, ...]
    empty: str


class ListPage(Page, Generic[ItemT]):
    """Enter opens what a row is about under it; in a wide window it stands beside the list at once."""

    TABS: ClassVar[tuple[ListTab, ...]]
    AUTO_FOCUS = "#rows"

    def __init__(self) -> None:
        super().__init__()
        self.items: list[ItemT] = []
        self._by_key: dict[str, ItemT] = {}
        self._next_cursor: str | None = None
        self.is_paged = False
        self._opened: set[str] = set()

    # What each page says of itself --------------------------------------------------------------------------------------

    def ask(self, client: Client, tab: int, cursor: str | None) -> Awaitable[Listed[ItemT]]:
        """Ask for a page of one of the lists."""
        raise NotImplementedError

    def row(self, item: ItemT, *, now: datetime, zone: tzinfo) -> Row:
        raise NotImplementedError

    def notes(self, item: ItemT, *, now: datetime, zone: tzinfo) -> list[str]:
        """Return what a row says once it is opened."""
        raise NotImplementedError

    def compose_head(self) -> ComposeResult:
        """Yield what stands above the lists."""
        yield from ()

    def show_head(self, *, now: datetime, zone: tzinfo) -> None:
        """Bring that up to date."""

    def empty_words(self) -> str:
        return self.TABS[self.tab].empty

    # Data -------------------------------------------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        yield from self.compose_head()
        if len(self.TABS) > 1:
            yield TabLine([tab.title for tab in self.TABS])
        with Container(classes="list-found"):
            yield LineList(self.TABS[0].columns, id="rows")
            yield Static(id="detail")

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        if self.console.session is not None:
            self.refresh_data()

    @property
    def tab(self) -> int:
        return self.query_one(TabLine).active if len(self.TABS) > 1 else 0

    @property
    def listed(self) -> LineList:
        return self.query_one("#rows", LineList)

    @property
    def current(self) -> ItemT | None:
        """What the row under the cursor is about."""
        return self._by_key.get(self.listed.current_key or "")

    @property
    def has_more(self) -> bool:
        return self._next_cursor is not None

    def is_waiting(self) -> bool:
        return any(wait.page is self for wait in self.console.waits)

    def refresh_data(self) -> None:
        self._fetch(None)

    def _fetch(self, cursor: str | None) -> None:
        tab = self.tab
        call(
            self,
            "rows",
            lambda client: self.ask(client, tab, cursor),
            done=partial(self._came, tab, cursor),
            waiting="Fetching the list…",
        )

    def _came(self, tab: int, cursor: str | None, answer: Listed[ItemT]) -> None:
        if tab == self.tab:
            self.items = [*(self.items if cursor else ()), *answer.items]
            self._next_cursor, self.is_paged = answer.next_cursor, cursor is not None
            self.show_rows()

    def show_rows(self) -> None:
        """Draw what is there."""
        session = self.console.session
        if session is None:
            return
        now, zone = self.console.now(), session.zone
        self.show_head(now=now, zone=zone)
        rows: list[Row] = []
        self._by_key = {}
        for item in self.items:
            row = self.row(item, now=now, zone=zone)
            self._by_key[row.key] = item
            rows.append(row)
            if row.key in self._opened:
                rows += note_rows(row.key, self.notes(item, now=now, zone=zone))
        listed = self.listed
        listed.empty_words = self.empty_words()
        listed.set_rows(rows)
        if len(self.TABS) > 1:
            count = counted(len(self.items), "row", "rows")
            shown = count.replace(" ", "+ ", 1) if self._next_cursor else count
            self.query_one(TabLine).note = shown if self.items else ""
        self.frame_changed()

    @on(LineList.Chosen, "#rows")
    def _row_chosen(self, message: LineList.Chosen) -> None:
        self.chosen(message.key)

    def chosen(self, key: str) -> None:
        """Open or close the notes under a row."""
        self._opened ^= {key}
        self.show_rows()

    @on(LineList.Highlighted, "#rows")
    def _highlighted(self) -> None:
        session, item = self.console.session, self.current
        if session is None:
            return
        told = self.beside(item, now=self.console.now(), zone=session.zone) if item is not None else []
        self.query_one("#detail", Static).update(lines(*map(safe, told)))
        self.frame_changed()

    def beside(self, item: ItemT, *, now: datetime, zone: tzinfo) -> list[str]:
        """Return what stands beside the list about the row under the cursor."""
        return self.notes(item, now=now, zone=zone)

    @on(LineList.EndReached, "#rows")
    def _end_reached(self) -> None:
        if self._next_cursor is not None and not self.is_waiting():
            self._fetch(self._next_cursor)

    # Tabs -------------------------------------------------------------------------------------------------------------

    def show_tab(self, index: int) -> None:
        """Show one of the lists."""
        self.query_one(TabLine).active = index % len(self.TABS)
        self._opened.clear()
        self.items, self._by_key, self._next_cursor = [], {}, None
        listed = self.listed
        listed.empty_words = ""
        listed.set_columns(self.TABS[self.tab].columns)
        listed.set_rows(())
        listed.focus()
        self.refresh_data()

    @on(TabLine.Picked)
    def _picked(self, message: TabLine.Picked) -> None:
        self._perform_tab(message.index)

    def _perform_tab(self, index: int) -> None:
        # Through the action, so that a list the role may not see says so.
        self.console.perform(f"{self.PAGE}.tab{index + 1}")

    def _step(self, step: int) -> None:
        """Go to the next list that this role may see."""
        ways = [(self.tab + step * far) % len(self.TABS) for far in range(1, len(self.TABS))]
        for index in ways:
            if self.console.why_not(BY_ID[f"{self.PAGE}.tab{index + 1}"], self) is None:
                self._perform_tab(index)
                return

    # The page ---------------------------------------------------------------------------------------------------------

    def handlers(self) -> Handlers:
        own: Handlers = {
            f"{self.PAGE}.tab{index + 1}": partial(self.show_tab, index) for index in range(len(self.TABS))
        }
        own |= {
            f"{self.PAGE}.detail": self.listed.action_choose,
            f"{self.PAGE}.tab_next": partial(self._step, 1),
            f"{self.PAGE}.tab_back": partial(self._step, -1),
        }
        return {action_id: handler for action_id, handler in own.items() if action_id in BY_ID} | {
            "app.back": self._back
        }

    def _back(self) -> None:
        if self.console.stop_waiting(self):
            return
        if len(self.app.screen_stack) > 1:
            self.dismiss()
        else:
            self.console.go_home()

    def show_failure(self, error: ConsoleError) -> None:
        super().show_failure(error)
        if not self.listed.rows:
            self.listed.empty_words = NOT_FETCHED
