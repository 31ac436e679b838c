"""The one way in which a page asks the service: nothing it raises can end the console or be overlooked."""

from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from tui.client import Client
from tui.errors import ConsoleError
from tui.workers import start

if TYPE_CHECKING:
    from tui.pages import Page

AnswerT = TypeVar("AnswerT")

QUIET_SECONDS = 0.3  # Nothing is said of a shorter wait: a word that flashes up only disturbs.
SLOW_SECONDS = 3.0


class Wait:
    """A request that is under way."""

    def __init__(self, page: "Page", words: str, *, can_stop: bool) -> None:
        self.page = page
        self.can_stop = can_stop
        self._words = words
        self._since = monotonic()

    @property
    def is_slow(self) -> bool:
        return monotonic() - self._since > SLOW_SECONDS

    def words(self) -> str:
        """Return what the status line says of it now; empty while it is short."""
        seconds = monotonic() - self._since
        if seconds < QUIET_SECONDS:
            return ""
        if seconds < SLOW_SECONDS:
            return self._words
        return f"Still waiting for the service ({int(seconds)} s)" + ("   Esc stops" if self.can_stop else "")


def call(
    page: "Page",
    group: str,
    request: Callable[[Client], Awaitable[AnswerT]],
    *,
    done: Callable[[AnswerT], None],
    failed: Callable[[ConsoleError], None] | None = None,
    is_write: bool = False,
    waiting: str = "Asking the service…",
) -> None:
    """Send a request and hand its answer to `done`, or what went wrong to `failed` (the status line by default).

    A read replaces an earlier read of its group, which is cancelled; a write is never cancelled, not even by leaving
    the page.
    """
    owner = page.console if is_write else page
    work = partial(
        _perform,
        page,
        request,
        done=done,
        failed=failed or page.show_failure,
        wait=Wait(page, waiting, can_stop=not is_write),
    )
    start(owner, work, group=group, replaces=not is_write)


async def _perform(
    page: "Page",
    request: Callable[[Client], Awaitable[AnswerT]],
    *,
    done: Callable[[AnswerT], None],
    failed: Callable[[ConsoleError], None],
    wait: Wait,
) -> None:
    console = page.console
    console.waits.append(wait)
    try:
        answer = await request(console.client)
    except ConsoleError as error:
        console.note_failure(error)
        failed(error)
    else:
        console.note_connected()
        done(answer)
    finally:
        console.waits.remove(wait)
        console.show_waiting()
