"""The frame around every page: the top bar, the status line and the key bar."""

from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui.actions import BY_ID, Action, key_name
from tui.safe import fit, join, plain

if TYPE_CHECKING:
    from tui.pages import Page

StatusTone = Literal["info", "good", "warn", "bad"]

_STYLES: dict[StatusTone, str] = {"info": "$foreground", "good": "$success", "warn": "$warning", "bad": "bold $error"}
_MARKS: dict[StatusTone, str] = {"info": " ", "good": "✓", "warn": "!", "bad": "✗"}
_PINNED = ("app.palette", "app.help")
_PINNED_WORDS = {"app.palette": "Do…", "app.help": "Help"}


class TopBar(Widget):
    """Where we are, whether we are connected, and who is at which terminal."""

    crumbs: reactive[str] = reactive("")
    connection: reactive[str] = reactive("starting")
    sync: reactive[str] = reactive("")
    who: reactive[str] = reactive("")
    shop: reactive[str] = reactive("")

    def render(self) -> Content:
        right = self._right()
        room = self.size.width - right.cell_length - 1
        left = fit(f" {self.shop.upper() or 'REGULARS'}  {self.crumbs}", max(0, room - 1))
        return join((left, "bold"), " ", right, " ")

    def _right(self) -> Content:
        mark, style = {"online": ("●", "$success"), "offline": ("○", "bold $error")}.get(self.connection, ("…", ""))
        parts: list[tuple[str, str]] = [(f"{mark} {self.connection}", style)]
        if self.sync:
            parts.append((f"   {self.sync}", "$warning" if "!" in self.sync else "$text-muted"))
        who = self.who if self.size.width >= 100 else self.who[:24]
        parts.append((f"   {who}", ""))
        return join(*parts)

    def on_click(self, event: events.Click) -> None:
        # The left part leads home, the counters lead to what they count.
        start = self.size.width - self._right().cell_length
        page: Page = self.screen  # type: ignore[assignment]  # The bars live on pages only.
        page.console.perform("app.audience" if event.x >= start else "app.find")


class StatusLine(Widget):
    """What the last action came to, and what we wait for. It stays until the next action."""

    # Laid out anew, as a long sentence takes a second line.
    words: reactive[str] = reactive("", layout=True)
    tone: reactive[StatusTone] = reactive("info")
    waiting: reactive[str] = reactive("", layout=True)

    def render(self) -> Content:
        if self.waiting:
            return join((f"   {self.waiting}", "$text-muted"))
        if not self.words:
            return Content("")
        return join((f" {_MARKS[self.tone]} {self.words}", _STYLES[self.tone]))


class KeyBar(Widget):
    """The keys that work here, most useful first. The palette and the help stand at the right and are never cut."""

    page_name: reactive[str] = reactive("")

    def __init__(self) -> None:
        super().__init__()
        self._spots: list[tuple[int, int, str]] = []

    def render(self) -> Content:
        page: Page = self.screen  # type: ignore[assignment]  # The bars live on pages only.
        self._spots = []
        pinned = [(BY_ID[action_id], _PINNED_WORDS[action_id]) for action_id in _PINNED]
        room = self.size.width - sum(self._width(action, words) for action, words in pinned) - 1
        shown, was_cut = self._fitting(page.bar_actions(), room)
        parts: list[tuple[str, str]] = [(" ", "")]
        x = 1
        for action, words in shown:
            x = self._add(parts, x, action, words=words, dim=page.console.why_not(action, page) is not None)
        if was_cut:
            parts.append(("…more", "$text-muted"))
            self._spots.append((x, x + 5, "app.palette"))
            x += 5
        parts.append((" " * max(0, room + 1 - x), ""))
        x = max(x, room + 1)
        for action, words in pinned:
            x = self._add(parts, x, action, words=words, dim=False)
        return join(*parts)

    def _fitting(self, actions: list[tuple[Action, str]], room: int) -> tuple[list[tuple[Action, str]], bool]:
        shown: list[tuple[Action, str]] = []
        used = 1
        for index, (action, words) in enumerate(actions):
            is_last = index == len(actions) - 1
            needed = self._width(action, words) + (0 if is_last else len("…more "))
            if used + needed > room:
                return shown, True
            used += self._width(action, words)
            shown.append((action, words))
        return shown, False

    def _width(self, action: Action, words: str) -> int:
        return cell_len(f"{key_name(action.keys[0])} {words}  ")

    def _add(self, parts: list[tuple[str, str]], x: int, action: Action, *, words: str, dim: bool) -> int:
        key = key_name(action.keys[0])
        parts.append((key, "$text-disabled" if dim else "bold $accent"))
        parts.append((f" {plain(words)}  ", "$text-disabled" if dim else "$foreground"))
        width = self._width(action, words)
        self._spots.append((x, x + width - 1, action.id))
        return x + width

    def on_click(self, event: events.Click) -> None:
        page: Page = self.screen  # type: ignore[assignment]  # The bars live on pages only.
        for start, end, action_id in self._spots:
            if start <= event.x < end:
                page.console.perform(action_id)
