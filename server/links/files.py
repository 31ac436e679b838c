"""How a CSV file of a till's customers is read: pure functions over its text. Columns bear the names of the till API."""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from server.csv_files import TOO_LONG, FileRow, read_rows, read_truth, reason_of
from server.decoding import decode
from server.errors import Invalid
from shared.links import PosRecord

BYTES_MAX: Final = 100_000_000
ROWS_MAX: Final = 1_000_000

_COLUMNS: Final = tuple(PosRecord.__struct_fields__)
_BETWEEN_IDS = re.compile(r"[;|\s]+")


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
    for row in read_rows(text, columns=_COLUMNS, needed=("external_id",), rows_max=ROWS_MAX):
        yield _read_row(row)


def _read_row(row: FileRow) -> ReadRecord:
    name = row.values.get("external_id", "")[:64]
    if row.is_too_long:
        return ReadRecord(line=row.line, external_id=name, reason=TOO_LONG)
    fields: dict[str, object] = dict(row.values)
    if "former_ids" in row.values:
        fields["former_ids"] = [part for part in _BETWEEN_IDS.split(row.values["former_ids"]) if part]
    if "removed" in row.values:
        fields["removed"] = read_truth(row.values["removed"])
    try:
        # Read as a till's message is read, so that a file can say nothing that a till may not.
        return ReadRecord(line=row.line, external_id=name, record=decode(msgspec.json.encode(fields), PosRecord))
    except Invalid as error:
        return ReadRecord(line=row.line, external_id=name, reason=reason_of(error))
