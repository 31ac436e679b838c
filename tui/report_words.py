"""Reports as rows and bars. Pure."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, tzinfo

import msgspec

from shared.reports import Cell as Value
from shared.reports import ReportView
from tui.formatting import NOTHING, Cell, Row, points

_KINDS = {
    "OPENING": "brought over",
    "EARN": "earned",
    "BONUS": "bonus",
    "CORRECTION": "corrected",
    "CLAWBACK": "taken back",
    "REDEEM": "redeemed",
    "RESTORE": "given back",
    "EXPIRE": "lapsed",
    "FORFEIT": "forfeited",
    "ADJUST": "adjusted",
}


# Parts of a whole, and people who may be counted in several rows.
_NO_SUMS = {"lapsed_percent", "customers"}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """How a report is shown: its tab, the columns with their words and widths, and its bars.

    A column is (name, words, width, from which width of the screen); a negative width is a share of what is left.
    """

    name: str
    tab: str
    columns: tuple[tuple[str, str, int, int], ...]
    kinds: tuple[str, ...]
    label: str
    values: Callable[[dict[str, Value]], tuple[int, ...]]
    is_whole: bool = False
    keeps_last: bool = False
    has_period: bool = True


def _number(value: Value) -> int:
    return int(value) if isinstance(value, int | float) else 0


def _pick(*names: str) -> Callable[[dict[str, Value]], tuple[int, ...]]:
    return lambda row: tuple(_number(row.get(name)) for name in names)


def _liability(row: dict[str, Value]) -> tuple[int, ...]:
    pending = _number(row.get("pending"))
    return (_number(row.get("points")) - pending, pending)


_STAFF = (("staff", "Staff", -2, 0), ("role", "Role", 9, 110), ("store", "Store", -1, 100))

SHOWN: tuple[Shown, ...] = (
    Shown(
        name="liability",
        tab="Liability",
        columns=(("programme", "Programme", -1, 0), ("month", "Lapses in", 10, 0), ("points", "Points", 12, 0), ("pending", "Of it pending", 13, 0), ("lots", "Lots", 9, 0)),
        kinds=("can be spent", "pending"),
        label="month",
        values=_liability,
        is_whole=True,
        has_period=False,
    ),
    Shown(
        name="breakage",
        tab="Breakage",
        columns=(("programme", "Programme", -1, 0), ("month", "Earned in", 9, 0), ("issued", "Issued", 9, 0), ("used", "Used", 9, 0), ("lapsed", "Lapsed", 8, 0), ("live", "Live", 9, 0), ("lapsed_percent", "Lapsed %", 8, 0), ("taken_back", "Taken back", 10, 100), ("given_up", "Given up", 8, 100)),
        kinds=("used", "lapsed", "live"),
        label="month",
        values=_pick("used", "lapsed", "live"),
        is_whole=True,
        keeps_last=True,
        has_period=False,
    ),
    Shown(
        name="points",
        tab="Points",
        columns=(("programme", "Programme", -1, 90), ("store", "Store", -2, 0), ("kind", "What", 12, 0), ("rule", "Rules", 10, 0), ("entries", "Entries", 8, 0), ("issued", "Issued", 11, 0), ("taken", "Taken", 11, 0)),
        kinds=("issued", "taken"),
        label="store",
        values=_pick("issued", "taken"),
    ),
    Shown(
        name="late-attaches",
        tab="Late sales",
        columns=(*_STAFF, ("attached", "Given", 7, 0), ("reassigned", "Moved", 7, 0), ("detached", "Removed", 7, 0), ("after_a_day", "Late", 6, 0), ("customers", "People", 6, 90), ("points_given", "Points +", 10, 0), ("points_taken", "Points -", 10, 0)),
        kinds=("points given", "points taken"),
        label="staff",
        values=_pick("points_given", "points_taken"),
    ),
    Shown(
        name="adjustments",
        tab="Manual",
        columns=(*_STAFF, ("reason", "Reason", 12, 0), ("posted", "Acts", 6, 0), ("given", "Given", 9, 0), ("taken", "Taken", 9, 0), ("by_two", "By two", 6, 80), ("undone", "Undone", 6, 100), ("refused", "Refused", 7, 110), ("lapsed", "Lapsed", 6, 120), ("near_limit", "Near limit", 10, 76)),
        kinds=("given", "taken"),
        label="staff",
        values=_pick("given", "taken"),
    ),
    Shown(
        name="signals",
        tab="Signals",
        columns=(("signal", "Pattern", -3, 0), ("card", "Card", 14, 0), ("staff", "Staff", -1, 90), ("store", "Store", -1, 70), ("times", "Times", 5, 0), ("points", "Points", 8, 0), ("first_at", "First", 16, 120), ("last_at", "Last", 16, 100)),
        kinds=("times",),
        label="signal",
        values=_pick("times"),
    ),
    Shown(
        name="rules",
        tab="Rules",
        columns=(("programme", "Programme", -1, 90), ("store", "Store", -1, 0), ("rule", "Rule", -4, 0), ("times", "Times", 8, 90), ("points", "Issued", 11, 0), ("redeemed", "Redeemed", 10, 0)),
        kinds=("issued", "redeemed"),
        label="rule",
        values=_pick("points", "redeemed"),
    ),
)  # fmt: skip


def columns_of(view: ReportView, shown: Shown) -> list[tuple[str, str, int, int]]:
    """Return the columns to show: without the programme where there is only one."""
    place = view.columns.index("programme") if "programme" in view.columns else None
    has_one = place is not None and len({row[place] for row in view.rows}) == 1
    return [column for column in shown.columns if not (has_one and column[0] == "programme")]


def report_rows(view: ReportView, shown: Shown, *, zone: tzinfo) -> list[Row]:
    """Return a report's rows with the cells in the order of its columns, and their sums where there are several.

    A column that the report lacks is a dash.
    """
    names = [name for name, *_ in columns_of(view, shown)]
    found = [dict(zip(view.columns, values, strict=False)) for values in view.rows]
    rows = [
        Row(key=str(place), cells=tuple(_cell(name, row.get(name), zone=zone) for name in names))
        for place, row in enumerate(found)
    ]
    if len(rows) > 1 and view.is_complete:
        sums = [
            Cell(points(sum(_number(row.get(name)) for row in found)), "strong") if _adds_up(view, name) else Cell("")
            for name in names
        ]
        rows.append(Row(key="sum", cells=(Cell("together", "strong"), *sums[1:])))
    return rows


def _adds_up(view: ReportView, name: str) -> bool:
    return is_numeric(view, name) and name not in _NO_SUMS


def is_numeric(view: ReportView, name: str) -> bool:
    """Return whether a column holds numbers."""
    if name not in view.columns:
        return False
    place = view.columns.index(name)
    return any(isinstance(row[place], int | float) for row in view.rows) and not any(
        isinstance(row[place], str) for row in view.rows
    )


def report_bars(view: ReportView, shown: Shown) -> list[tuple[str, tuple[int, ...]]]:
    """Return a report's bars, rows of one label added up."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0] * len(shown.kinds))
    for values in view.rows:
        row = dict(zip(view.columns, values, strict=False))
        label = str(row.get(shown.label) or "")
        for place, value in enumerate(shown.values(row)):
            sums[label][place] += value
    return [(label or "no store", tuple(found)) for label, found in sums.items()]


def _cell(name: str, value: Value, *, zone: tzinfo) -> Cell:
    if value is None or value == "":
        return Cell(NOTHING, "muted")
    if isinstance(value, str) and name.endswith("_at"):
        return Cell(_instant_words(value, zone))
    if isinstance(value, bool | str):
        words = _KINDS.get(str(value), str(value)) if name == "kind" else str(value)
        return Cell(words.replace("_", " ") if name in {"reason", "kind"} else words)
    if isinstance(value, float):
        return Cell(f"{value:,.1f}")
    return Cell(points(value), "muted" if value == 0 else "plain")


def _instant_words(text: str, zone: tzinfo) -> str:
    try:
        return f"{datetime.fromisoformat(text).astimezone(zone):%Y-%m-%d %H:%M}"
    except ValueError:
        return text
