"""Why something is done: a usual reason by one key, or one's own words."""

from textual.app import ComposeResult

from shared import limits
from tui.forms import FormPage, form_row
from tui.widgets.choice import Choice, Option
from tui.widgets.field import Field

OTHER = Option("other", "other", "o")
_REASON_LENGTH_MIN = 3


def why_rows(options: tuple[Option, ...]) -> ComposeResult:
    """Yield a choice of usual reasons, the first of them chosen, and a field for what else there is to say."""
    yield from form_row("Reason", Choice(options, value=options[0].value, id="why"))
    yield from form_row("Note", Field(id="note", length_max=limits.REASON_LENGTH_MAX), beside="needed for other")


def read_why(page: FormPage) -> str:
    """Return the reason as it is kept in the audit."""
    why, note = page.answer("why"), page.text("note")
    if why == OTHER.value:
        return note
    return f"{why}: {note}"[: limits.REASON_LENGTH_MAX] if note else why


def missing_why(page: FormPage) -> dict[str, str]:
    """Return what is missing of the reason, by field."""
    if len(read_why(page)) >= _REASON_LENGTH_MIN:
        return {}
    return {"note": "Say why, in a few words; it is kept in the audit."}
