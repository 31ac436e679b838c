"""Cursors of pages: where the last page ended, opaque to the caller."""

import base64
import binascii
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from server.errors import Invalid
from shared.problems import FieldProblem


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The sort key of the last row of a page: newest first, ids break ties."""

    at: datetime
    id: UUID


def encode_cursor(at: datetime, identity: UUID) -> str:
    """Return the cursor behind a row."""
    return base64.urlsafe_b64encode(msgspec.json.encode(Cursor(at, identity))).rstrip(b"=").decode()


def decode_cursor(text: str) -> tuple[datetime, UUID] | None:
    """Return the sort key of a cursor, None for an empty text.

    Raises:
        Invalid: It is not a cursor of ours.
    """
    if not text:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        cursor = msgspec.json.decode(raw, type=Cursor)
        if cursor.at.tzinfo is None:
            raise ValueError("a cursor of ours has an aware instant")
        return cursor.at.astimezone(UTC), cursor.id
    except (binascii.Error, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise Invalid(FieldProblem(field="cursor", detail="This is not a cursor of this list.")) from error
