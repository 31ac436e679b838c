"""What stands against a command, and what to mind, as every preview shows it. Pure but for its content."""

from collections.abc import Iterable

from textual.content import Content

from tui.safe import join
from tui.wording import blocker_words


def obstacles(blockers: Iterable[str], warnings: Iterable[str] = ()) -> list[Content]:
    """Return what stands against a command, then what to mind."""
    told = [join(("✗ ", "bold $error"), (blocker_words(blocker), "$error")) for blocker in blockers]
    return told + [join(("! ", "bold $warning"), (warning, "$warning")) for warning in warnings]
