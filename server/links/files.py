"""How a CSV file of a till's customers is read: pure functions over its text. Columns bear the names of the till API."""

import csv
import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from server.decoding import decode
from server.errors import Invalid, RegularsError
from shared.links import PosRecord

BYTES_MAX: Final = 100_000_000
ROWS_MAX: Final = 1_000_000

_COLUMNS: Final = tuple(PosRecord.__struct_fields__)
_NEEDED: Final = "external_id"
_TRUTHS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
_BETWEEN_IDS = re.compile(r"[;|\s]+")
_DELIMITERS: Final = ",;\t|"


class WrongFile(RegularsError):
    """The file as a whole cannot be read; says why in words."""


class ReadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A row: `line` is where it ends; `record` is None if `reason` says what is wrong."""

    line: int
    external_id: str
    record: PosRecord | None = None
    reason: str = ""


def read_records(text: str) -> Iterator[ReadRecord]:
    """Yield the records of a file.

    Raises:
        WrongFile: No header, unknown columns, too many rows, or broken quoting.
    """
    first_line = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first_line.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    try:
        columns = _read_header(next(reader, []))
        for count, cells in enumerate(reader, start=1):
            if count > ROWS_MAX:
                raise WrongFile(f"it has more than {ROWS_MAX:,} rows; split it.")
            if any(cell.strip() for cell in cells):
                yield _read_row(reader.line_num, columns, [cell.strip() for cell in cells])
    except csv.Error as error:
        raise WrongFile(f"line {reader.line_num} is not CSV: {error}.") from error


def _read_header(cells: list[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in cells]
    unknown = [column for column in columns if column not in _COLUMNS]
    if unknown or _NEEDED not in columns or len(set(columns)) != len(columns):
        wrong = f"unknown: {', '.join(unknown)}" if unknown else f"{_NEEDED} is missing, or a column is twice"
        raise WrongFile(f"the first line must name the columns ({', '.join(_COLUMNS)}); {wrong}.")
    return columns


def _read_row(line: int, columns: list[str], cells: list[str]) -> ReadRecord:
    values = {column: cell for column, cell in zip(columns, cells, strict=False) if cell}
    name = values.get(_NEEDED, "")[:64]
    if len(cells) > len(columns):
        return ReadRecord(line=line, external_id=name, reason="It has more cells than the header.")
    fields: dict[str, object] = dict(values)
    if "former_ids" in values:
        fields["former_ids"] = [part for part in _BETWEEN_IDS.split(values["former_ids"]) if part]
    if "removed" in values:
        fields["removed"] = _TRUTHS.get(values["removed"].lower(), values["removed"])
    try:
        # Read as a till's message is read, so that a file can say nothing that a till may not.
        return ReadRecord(line=line, external_id=name, record=decode(msgspec.json.encode(fields), PosRecord))
    except Invalid as error:
        reasons = (f"{field.field}: {field.detail}" if field.field else field.detail for field in error.fields)
        return ReadRecord(line=line, external_id=name, reason=" ".join(reasons))


def chunks(records: Iterable[ReadRecord], size: int) -> Iterator[list[ReadRecord]]:
    """Yield records in lists of at most `size`."""
    chunk: list[ReadRecord] = []
    for record in records:
        chunk.append(record)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
