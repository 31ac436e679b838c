"""CSV that a spreadsheet opens without running anything in it."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from uuid import UUID

# What makes a spreadsheet take a text for a formula, in full width too.
_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Where the comma is the decimal sign, spreadsheets divide a line at semicolons, and what follows one is a cell.
_INNER_START = re.compile("(;[ \u00a0]*)(?=[=+\\-@\uff1d\uff0b\uff0d\uff20])")

Cell = str | int | float | date | datetime | UUID | None


def safe_cell(value: Cell) -> str:
    """Return a cell's text; a text that a spreadsheet would evaluate gets an apostrophe in front, numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if not isinstance(value, str):
        return str(value)
    text = _INNER_START.sub(r"\1'", value.replace("\x00", ""))
    return f"'{text}" if text.lstrip(" \u00a0\ufeff").startswith(_STARTS) else text


def encode_rows(rows: Iterable[Sequence[Cell]]) -> bytes:
    """Return rows as lines of CSV (RFC 4180) in UTF-8."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([safe_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()
