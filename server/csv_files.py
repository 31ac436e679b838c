"""CSV files that come from elsewhere: their text, their rows by column, and in words what is wrong with them."""

import codecs
import csv
import io
from collections.abc import Collection, Iterable, Iterator
from typing import Final, TypeVar

import msgspec

from server.errors import Invalid, RegularsError

_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS: Final = ",;\t|"
_TRUTHS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_SHOWN_LENGTH_MAX: Final = 40
TOO_LONG: Final = "It has more cells than the header."
_T = TypeVar("_T")


class WrongFile(RegularsError):
    """The file as a whole cannot be read; says why in words."""


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row: its cells by column without the space around them, empty ones left out.

    `line` is the line on which it ends, counted from 1; `is_too_long` says that it has more cells than there are columns.
    """

    line: int
    values: dict[str, str]
    is_too_long: bool


def read_text(content: bytes, encoding: str | None, *, bytes_max: int) -> str:
    """Return the text of a file: by its byte order mark, else as told, else UTF-8.

    Raises:
        WrongFile: It is in another encoding, or too large.
    """
    if len(content) > bytes_max:
        raise WrongFile(f"it is larger than {bytes_max // 1_000_000} MB; split it.")
    marked = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), None)
    chosen = marked or encoding or "utf-8"
    hint = "" if encoding else " Save it as 'CSV UTF-8', or name its --encoding (cp1252 on many tills)."
    wrong = WrongFile(f"it is not in {chosen}.{hint}")
    try:
        text = content.decode(chosen)
    except LookupError as error:
        raise WrongFile(f"there is no encoding called {chosen!r}.") from error
    except UnicodeError as error:
        raise wrong from error
    # The database takes no zero byte, and no text has one; UTF-16 without a mark is full of them.
    if "\0" in text:
        raise wrong
    return text


def read_rows(
    text: str, *, columns: Collection[str], needed: Collection[str], one_of: Collection[str] = (), rows_max: int
) -> Iterator[FileRow]:
    """Yield the rows of a file that are not empty; its first line names the columns, in any order.

    Args:
        columns: All that there may be.
        needed: Those that there must be.
        one_of: Of these there must be one.

    Raises:
        WrongFile: No header, unknown, missing or doubled columns, too many rows, or broken quoting.
    """
    delimiter = max(_DELIMITERS, key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        while header and not header[-1]:
            # Spreadsheets write delimiters for columns that were emptied.
            header.pop()
        if wrong := _what_is_wrong(header, columns, needed, one_of):
            raise WrongFile(f"the first line must name the columns ({', '.join(columns)}); {wrong}.")
        for count, cells in enumerate(reader, start=1):
            if count > rows_max:
                raise WrongFile(f"it has more than {rows_max:,} rows; split it.")
            values = {column: text for column, cell in zip(header, cells, strict=False) if (text := cell.strip())}
            if values or any(cell.strip() for cell in cells):
                is_too_long = any(cell.strip() for cell in cells[len(header) :])
                yield FileRow(line=reader.line_num, values=values, is_too_long=is_too_long)
    except csv.Error as error:
        raise WrongFile(f"line {reader.line_num} is not CSV: {error}.") from error


def read_truth(text: str) -> bool | str:
    """Return the truth value of a cell; what is none stays as it is, for whoever refuses it in words."""
    return _TRUTHS.get(text.lower(), text)


def reason_of(error: Invalid) -> str:
    """Return in one line what is wrong with the fields of a row."""
    return " ".join(f"{field.field}: {field.detail}" if field.field else field.detail for field in error.fields)


def chunks(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield items in lists of at most `size`."""
    chunk: list[_T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _what_is_wrong(
    header: list[str], columns: Collection[str], needed: Collection[str], one_of: Collection[str]
) -> str | None:
    if unknown := [column for column in header if column not in columns]:
        # What a file says must not drive the terminal that shows it.
        shown = (column[:_SHOWN_LENGTH_MAX] or "one without a name" for column in unknown)
        return f"unknown: {', '.join(text if text.isprintable() else ascii(text) for text in shown)}"
    if missing := [column for column in needed if column not in header]:
        return f"missing: {', '.join(missing)}"
    if one_of and not any(column in header for column in one_of):
        return f"missing: one of {', '.join(one_of)}"
    return "one is there twice" if len(set(header)) < len(header) else None
