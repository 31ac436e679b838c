"""Between the terminal and the pages: takes scans out of the stream of keys."""

from typing import TYPE_CHECKING

from textual import events
from textual.timer import Timer

from tui.scan import Machine, Output, Pass, Press, Scan
from tui.widgets.field import Field

if TYPE_CHECKING:
    from tui.app import Console


class Gate:
    """Holds keys back for a few hundredths of a second where they may be the beginning of a scan."""

    def __init__(self, console: "Console", *, gap_seconds_max: float) -> None:
        self._console = console
        self._machine = Machine(gap_seconds_max=gap_seconds_max)
        self._timer: Timer | None = None
        self._fed_count = 0

    @property
    def is_empty(self) -> bool:
        """Whether no key is held back."""
        return self._machine.wait_seconds is None

    async def take(self, event: events.Key) -> None:
        """Take a key that has not been given to any widget yet."""
        self._fed_count += 1
        press = Press(key=event.key, character=event.character, at=event.time, event=event)
        await self._put_out(self._machine.feed(press, in_text=isinstance(self._console.focused, Field)))
        wait_seconds = self._machine.wait_seconds
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if wait_seconds is not None:
            fed_count = self._fed_count
            # The timer's message queues behind keys that came before it, so a busy moment lets nothing go too early.
            self._timer = self._console.set_timer(wait_seconds, lambda: self._let_go(fed_count))

    async def _let_go(self, fed_count: int) -> None:
        if fed_count == self._fed_count:
            await self._put_out(self._machine.let_go())

    async def _put_out(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Pass(press):
                    assert isinstance(press.event, events.Key)
                    await self._console.pass_key(press.event)
                case Scan(text, leaked):
                    focused = self._console.focused
                    if leaked and isinstance(focused, Field):
                        focused.post_message(Field.Retract(leaked))
                    self._console.take_scan(text)
