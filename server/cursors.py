"""Cursors of pages: where the last page ended, opaque to the caller."""

import base64
import binascii
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from server.db.engine import Row
from server.errors import Invalid
from shared.problems import FieldProblem


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The sort key of the last row of a page: newest first, ids break ties."""

    at: datetime
    id: UUID


_C = TypeVar("_C", bound=Cursor)


def encode_cursor(at: datetime, identity: UUID) -> str:
    """Return the cursor behind a row."""
    return write_cursor(Cursor(at, identity))


def cut_page(rows: list[Row], limit: int, *, at: str, identity: str = "id") -> tuple[list[Row], str | None]:
    """Return a page of rows, of which one more than the limit was asked for, and the cursor behind it if there are more.

    Args:
        at: Column by which they are sorted.
        identity: Column that breaks ties.
    """
    page = rows[:limit]
    return page, encode_cursor(page[-1][at], page[-1][identity]) if len(rows) > limit else None


def decode_cursor(text: str) -> tuple[datetime, UUID] | None:
    """Return the sort key of a cursor, None for an empty text.

    Raises:
        Invalid: It is not a cursor of ours.
    """
    cursor = read_cursor(text, Cursor)
    return (cursor.at, cursor.id) if cursor else None


def write_cursor(cursor: Cursor) -> str:
    """Return a cursor as text; its fields beyond the sort key are the list's own."""
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).rstrip(b"=").decode()


def read_cursor(text: str, kind: type[_C]) -> _C | None:
    """Return the cursor in a text, None in an empty one.

    Raises:
        Invalid: It is not a cursor of ours.
    """
    if not text:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        cursor = msgspec.json.decode(raw, type=kind)
        if cursor.at.tzinfo is None:
            raise ValueError("a cursor of ours has an aware instant")
        return msgspec.structs.replace(cursor, at=cursor.at.astimezone(UTC))
    except (binascii.Error, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise Invalid(FieldProblem(field="cursor", detail="This is not a cursor of this list.")) from error
