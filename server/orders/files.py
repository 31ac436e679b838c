"""How a CSV file of sales is read: pure functions over its text.

A file has one row for each line of a sale; rows with the same `external_id` are one sale. Columns bear the names of the
till API, money is in minor units.
"""

import codecs
import csv
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from server.decoding import decode
from server.errors import Invalid, RegularsError
from shared.pos import PosOrder

BYTES_MAX: Final = 20_000_000
ROWS_MAX: Final = 200_000

_CUSTOMER: Final = ("card_number", "pos_customer_id", "email")
_ORDER: Final = ("external_id", "number", "store", "completed_at", "currency", "state", "revision")
_LINE: Final = (
    "line_id", "sku", "description", "category", "quantity", "net_minor", "tax_minor", "stored_value",
    "points_paid_minor",
)  # fmt: skip
_COLUMNS: Final = frozenset((*_ORDER, *_CUSTOMER, *_LINE))
_NEEDED: Final = ("external_id", "store", "completed_at", "net_minor")
_NUMBERS: Final = frozenset(("revision", "net_minor", "tax_minor", "points_paid_minor"))
_NUMBER = re.compile("-?[0-9]{1,18}")
_TRUTHS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS: Final = ",;\t|"


class WrongFile(RegularsError):
    """The file as a whole cannot be read; says why in words."""


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


def read_text(content: bytes, encoding: str | None, *, bytes_max: int = BYTES_MAX) -> str:
    """Return the text of a file: by its byte order mark, else as told, else UTF-8.

    Raises:
        WrongFile: It is in another encoding, or too large.
    """
    if len(content) > bytes_max:
        raise WrongFile(f"it is larger than {bytes_max // 1_000_000} MB; split it.")
    marked = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), None)
    chosen = marked or encoding or "utf-8"
    try:
        return content.decode(chosen)
    except LookupError as error:
        raise WrongFile(f"there is no encoding called {chosen!r}.") from error
    except UnicodeError as error:
        hint = "" if encoding else " Save it as 'CSV UTF-8', or name its --encoding (cp1252 on many tills)."
        raise WrongFile(f"it is not in {chosen}.{hint}") from error


def read_orders(text: str, defaults: Defaults) -> list[ReadOrder]:
    """Return the sales of a file in the order of their first rows.

    Raises:
        WrongFile: No header, unknown columns, too many rows, or broken quoting.
    """
    first_line = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first_line.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    sales: dict[str, list[tuple[int, dict[str, str]]]] = {}
    try:
        columns = _read_header(next(reader, []))
        for count, cells in enumerate(reader, start=1):
            if count > ROWS_MAX:
                raise WrongFile(f"it has more than {ROWS_MAX:,} rows; split it.")
            if any(cell.strip() for cell in cells):
                values = _read_cells(columns, cells)
                sales.setdefault(values["external_id"], []).append((reader.line_num, values))
    except csv.Error as error:
        raise WrongFile(f"line {reader.line_num} is not CSV: {error}.") from error
    return [_read_sale(external_id, rows, defaults) for external_id, rows in sales.items()]


def _read_header(cells: list[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in cells]
    unknown = [column for column in columns if column not in _COLUMNS]
    missing = [column for column in _NEEDED if column not in columns]
    if unknown or missing or len(set(columns)) != len(columns):
        wrong = (
            f"unknown: {', '.join(unknown)}" if unknown else f"missing: {', '.join(missing) or 'none, one is twice'}"
        )
        raise WrongFile(f"the first line must name the columns ({', '.join(sorted(_COLUMNS))}); {wrong}.")
    return columns


def _read_cells(columns: list[str], cells: list[str]) -> dict[str, str]:
    values = {column: cell.strip() for column, cell in zip(columns, cells, strict=False)}
    values.setdefault("external_id", "")
    if len(cells) > len(columns):
        values["extra"] = "yes"
    return values


def _read_sale(external_id: str, rows: list[tuple[int, dict[str, str]]], defaults: Defaults) -> ReadOrder:
    row = rows[0][0]
    # What the report repeats must not be longer than what could be right.
    name = external_id[:64]
    try:
        return ReadOrder(row=row, external_id=name, order=_order_of([values for _, values in rows], defaults))
    except _Wrong as wrong:
        return ReadOrder(row=row, external_id=name, reason=str(wrong))
    except Invalid as error:
        reasons = (f"{field.field}: {field.detail}" if field.field else field.detail for field in error.fields)
        return ReadOrder(row=row, external_id=name, reason=" ".join(reasons))


def _order_of(rows: list[dict[str, str]], defaults: Defaults) -> PosOrder:
    first = rows[0]
    if not first["external_id"]:
        raise _Wrong("It has no external_id.")
    if any("extra" in values for values in rows):
        raise _Wrong("A row has more cells than the header.")
    for column in (*_ORDER, *_CUSTOMER):
        if any(values.get(column) != first.get(column) for values in rows):
            raise _Wrong(f"Its rows say different things in '{column}'.")
    order: dict[str, object] = {column: _value(column, first[column]) for column in _ORDER if first.get(column)}
    order.setdefault("number", first["external_id"])
    order.setdefault("currency", defaults.currency)
    order["completed_at"] = _read_time(first.get("completed_at", ""), defaults.zones.get(first.get("store", "")))
    customer = {column: first[column] for column in _CUSTOMER if first.get(column)}
    order["customer"] = customer or None
    order["lines"] = [
        {"line_id": str(number)} | {column: _value(column, values[column]) for column in _LINE if values.get(column)}
        for number, values in enumerate(rows, 1)
    ]
    # Read as a till's message is read, so that a file can say nothing that a till may not.
    return decode(msgspec.json.encode(order), PosOrder)


def _value(column: str, text: str) -> object:
    if column in _NUMBERS and _NUMBER.fullmatch(text):
        return int(text)
    if column == "stored_value":
        return _TRUTHS.get(text.lower(), text)
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


def chunks(orders: Iterable[ReadOrder], size: int) -> Iterable[list[ReadOrder]]:
    """Yield sales in lists of at most `size`."""
    chunk: list[ReadOrder] = []
    for order in orders:
        chunk.append(order)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
