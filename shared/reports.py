"""Messages about points over time: what lapses when, and the reports."""

from datetime import date, datetime

from shared.base import View
from shared.members import DatedPoints


class ExpiryMonth(View, frozen=True, kw_only=True):
    """What lapses in a month of the programme's calendar; `month` is its first day. A lot's last day counts."""

    month: date
    points: int
    lots: tuple[DatedPoints, ...]


class ExpirySchedule(View, frozen=True, kw_only=True):
    """What lapses when, soonest first, and the points that never do."""

    zone: str
    never: int
    items: tuple[ExpiryMonth, ...]
    as_of: datetime
    next_cursor: str | None = None


# Days and instants are ISO 8601 texts, as one union can tell only one kind of text from numbers.
Cell = str | int | float | None


class ReportView(View, frozen=True, kw_only=True):
    """A report: named columns, and rows of plain cells. `since` and `until` bound reports about a period."""

    name: str
    title: str
    zone: str
    since: datetime | None
    until: datetime | None
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    as_of: datetime
    is_complete: bool = True
