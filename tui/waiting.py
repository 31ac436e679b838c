"""The line that tells what waits for a person, on the page on which their role starts."""

from functools import partial

from textual.widgets import Static

from shared.staff import StaffQueue
from tui.calls import call
from tui.pages import Page
from tui.safe import safe
from tui.value_words import queue_words


class WaitingLine(Static):
    """Takes no room while nothing waits."""


def ask_what_waits(page: Page) -> None:
    """Fetch the counters. Nobody asked for them, so a failure leaves them out and says nothing."""
    show = partial(_show, page)
    call(page, "queue", lambda client: client.get_queue(), done=show, failed=lambda _: show(None), waiting="")


def _show(page: Page, queue: StaffQueue | None) -> None:
    told = queue_words(queue) if queue is not None else ""
    line = page.query_one(WaitingLine)
    line.update(safe(f" {told}", "$warning"))
    line.display = bool(told)
