"""The one place where background work is started: none of it can end the console when it fails."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

from textual.dom import DOMNode
from textual.timer import Timer


def start(node: DOMNode, work: Callable[[], Coroutine[Any, Any, None]], *, group: str, replaces: bool = False) -> None:
    """Run work that belongs to a page or to the console; it is cancelled when that is removed.

    Args:
        node: The owner. An error of the work is reported to it.
        work: A function and not its coroutine, as work that is replaced at once is never begun.
        group: What the work is for.
        replaces: Cancel earlier work of the same owner and group.
    """
    # The library's own type for this cannot tell a function of a coroutine from a plain function.
    function = cast(Callable[[], None], work)
    node.run_worker(function, name=group, group=group, exclusive=replaces, exit_on_error=False)


def surely(timer: Timer) -> Timer:
    """Let a timer that rings once ring late when the machine stopped us for longer than its delay.

    Textual takes such a ring for one of a series, skips it, and no other comes.
    """
    timer._skip = False
    return timer
