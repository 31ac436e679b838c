"""What is different between a preview that staff have read and the one that took its place. Pure but for its content."""

from collections.abc import Sequence

from textual.content import Content

from tui.safe import join, lines

CHANGED = "This changed since you looked. Read what is different, then decide again."
_LINES_MAX = 6


class Changes:
    """Keeps what was read when the service says that it is stale, and marks what differs once the new one is here."""

    def __init__(self) -> None:
        self._read_before: tuple[str, ...] = ()
        self._told: list[Content] = []

    def stale(self, read: Content | Sequence[str]) -> None:
        """Note what was confirmed and had changed by then."""
        self._read_before, self._told = _lines_of(read), []

    def came(self, anew: Content | Sequence[str]) -> bool:
        """Compare with what came in its place; False where nothing had been stale."""
        if not self._read_before:
            return False
        self._told = what_changed(self._read_before, _lines_of(anew))
        self._read_before = ()
        return True

    def forget(self) -> None:
        self._read_before, self._told = (), []

    def above(self, content: Content) -> Content:
        """Return the content under what is different."""
        return lines(*self._told, Content(""), content) if self._told else content


def _lines_of(read: Content | Sequence[str]) -> tuple[str, ...]:
    return tuple(read.plain.splitlines() if isinstance(read, Content) else read)


def what_changed(before: Sequence[str], after: Sequence[str]) -> list[Content]:
    """Return the lines that are gone and those that are new, marked in words; one line if none of them differs."""
    told = [("was ", line) for line in before if line.strip() and line not in after]
    told += [("now ", line) for line in after if line.strip() and line not in before]
    if not told:
        return [join(("! Something changed that does not show here. Read it once more.", "bold $warning"))]
    shown = [join((f"! {word}", "bold $warning"), (" ".join(line.split()), "$warning")) for word, line in told]
    more = len(shown) - _LINES_MAX
    return shown if more <= 0 else [*shown[:_LINES_MAX], join((f"! and {more} more", "$warning"))]
