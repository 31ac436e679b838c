"""How a CSV file of sales is read: pure functions over its text.

A file has one row for each line of a sale; rows with the same `external_id` are one sale. Columns bear the names of the
till API, money is in minor units.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from server.csv_files import TOO_LONG, FileRow, read_rows, read_truth, reason_of
from server.decoding import decode
from server.errors import Invalid
from shared.pos import PosOrder

BYTES_MAX: Final = 20_000_000
ROWS_MAX: Final = 200_000

_CUSTOMER: Final = ("card_number", "pos_customer_id", "email")
_ORDER: Final = ("external_id", "number", "store", "completed_at", "currency", "state", "revision")
_LINE: Final = (
    "line_id", "sku", "description", "category", "quantity", "net_minor", "tax_minor", "stored_value",
    "points_paid_minor",
)  # fmt: skip
_COLUMNS: Final = (*_ORDER, *_CUSTOMER, *_LINE)
_NEEDED: Final = ("external_id", "store", "completed_at", "net_minor")
_NUMBERS: Final = frozenset(("revision", "net_minor", "tax_minor", "points_paid_minor"))
_NUMBER = re.compile("-?[0-9]{1,18}")
_MONEY: Final = _NUMBERS - {"revision"}


class ReadOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A sale of a file: `row` is the line its first row ends on; `order` is None if `reason` says what is wrong."""

    row: int
    external_id: str
    order: PosOrder | None = None
    reason: str = ""


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What a file need not say: the programme's currency, and the time zone of each store, by its code."""

    currency: str
    zones: Mapping[str, str]


class _Wrong(Exception):
    """What is wrong with the sale at hand."""


def read_orders(text: str, defaults: Defaults) -> list[ReadOrder]:
    """Return the sales of a file in the order of their first rows.

    Raises:
        WrongFile: No header, unknown columns, too many rows, or broken quoting.
    """
    sales: dict[tuple[str, int], list[FileRow]] = {}
    for row in read_rows(text, columns=_COLUMNS, needed=_NEEDED, rows_max=ROWS_MAX):
        external_id = row.values.get("external_id", "")
        # Rows that do not say which sale they belong to are told one by one.
        sales.setdefault((external_id, 0 if external_id else row.line), []).append(row)
    return [_read_sale(external_id, rows, defaults) for (external_id, _), rows in sales.items()]


def _read_sale(external_id: str, rows: list[FileRow], defaults: Defaults) -> ReadOrder:
    row = rows[0].line
    # What the report repeats must not be longer than what could be right.
    name = external_id[:64]
    try:
        return ReadOrder(row=row, external_id=name, order=_order_of(rows, defaults))
    except _Wrong as wrong:
        return ReadOrder(row=row, external_id=name, reason=str(wrong))
    except Invalid as error:
        return ReadOrder(row=row, external_id=name, reason=reason_of(error))


def _order_of(rows: list[FileRow], defaults: Defaults) -> PosOrder:
    first = rows[0].values
    if "external_id" not in first:
        raise _Wrong("It has no external_id.")
    if any(row.is_too_long for row in rows):
        raise _Wrong(TOO_LONG)
    for column in (*_ORDER, *_CUSTOMER):
        if any(row.values.get(column) != first.get(column) for row in rows):
            raise _Wrong(f"Its rows say different things in '{column}'.")
    order: dict[str, object] = {column: _value(column, first[column]) for column in _ORDER if column in first}
    order.setdefault("number", first["external_id"])
    order.setdefault("currency", defaults.currency)
    order["completed_at"] = _read_time(first.get("completed_at", ""), defaults.zones.get(first.get("store", "")))
    customer = {column: first[column] for column in _CUSTOMER if column in first}
    order["customer"] = customer or None
    order["lines"] = [
        {"line_id": str(number)}
        | {column: _value(column, row.values[column]) for column in _LINE if column in row.values}
        for number, row in enumerate(rows, 1)
    ]
    # Read as a till's message is read, so that a file can say nothing that a till may not.
    return decode(msgspec.json.encode(order), PosOrder)


def _value(column: str, text: str) -> object:
    if column in _NUMBERS:
        if not _NUMBER.fullmatch(text):
            what = "a whole number of minor units (pence, cents)" if column in _MONEY else "a whole number"
            raise _Wrong(f"{column} must be {what}.")
        return int(text)
    if column == "stored_value":
        return read_truth(text)
    return text


def _read_time(text: str, zone: str | None) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise _Wrong("completed_at must be a time such as 2026-03-31 14:05, or one with an offset.") from error
    if at.tzinfo is None:
        if zone is None:
            raise _Wrong("completed_at has no offset, and we do not know this store.")
        at = at.replace(tzinfo=ZoneInfo(zone))
    return at.isoformat()
