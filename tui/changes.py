"""What is different between a preview that staff have read and the one that took its place. Pure but for its content."""

from collections.abc import Sequence

from textual.content import Content

from tui.safe import join

CHANGED = "This changed since you looked. Read what is different, then decide again."
_LINES_MAX = 6


def what_changed(before: Sequence[str], after: Sequence[str]) -> list[Content]:
    """Return the lines that are gone and those that are new, marked in words; one line if none of them differs."""
    told = [("was ", line) for line in before if line.strip() and line not in after]
    told += [("now ", line) for line in after if line.strip() and line not in before]
    if not told:
        return [join(("! Something changed that does not show here. Read it once more.", "bold $warning"))]
    shown = [join((f"! {word}", "bold $warning"), (" ".join(line.split()), "$warning")) for word, line in told]
    more = len(shown) - _LINES_MAX
    return shown if more <= 0 else [*shown[:_LINES_MAX], join((f"! and {more} more", "$warning"))]
