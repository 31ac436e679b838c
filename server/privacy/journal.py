"""The journal of erasures: a file beside the database that names who was erased, by ids and times only.

A backup holds people who were erased after it was made; the journal tells so when it is restored.
"""

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from server.errors import RegularsError


class JournalUnreadable(RegularsError):
    """A line of a journal is no line of a journal; the text names it."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One person who was erased."""

    erasure: UUID
    customer: UUID
    requested_at: datetime
    executed_at: datetime


async def append(path: Path, lines: Sequence[Line]) -> None:
    """Add lines and wait until they are on the disk.

    Raises:
        OSError: The file cannot be written.
    """
    await asyncio.to_thread(_append, path, lines)


def read(path: Path) -> list[Line]:
    """Return the lines of a journal, each erasure once; none if there is no such file.

    Raises:
        JournalUnreadable: Something in it is not a line, nor the beginning of one that a crash cut off.
        OSError: The file cannot be read.
    """
    if not path.exists():
        return []
    found: dict[UUID, Line] = {}
    for number, text in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not text.strip() or not text.rstrip().endswith(b"}"):
            # What a crash cut off was written again, whole, by the next try.
            continue
        try:
            line = msgspec.json.decode(text, type=Line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise JournalUnreadable(f"{path}, line {number}, is not a line of a journal.") from error
        found[line.erasure] = line
    return list(found.values())


def _append(path: Path, lines: Sequence[Line]) -> None:
    content = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            # The last line was cut off by a crash; it must not take this one with it.
            content = b"\n" + content
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
