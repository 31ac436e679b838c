"""The file of an export: a ZIP with the same content twice, for programs and to read, written piece by piece."""

import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, tzinfo
from typing import IO, Final
from uuid import UUID

import msgspec

from server.privacy.export_store import SECTIONS, Rows
from server.privacy.readable import write_page

PIECE_BYTES: Final = 256 * 1024

Keep = Callable[[bytes], Awaitable[None]]


class _Outlet(io.RawIOBase):
    """What the ZIP is written into: holds what was written until it is taken away."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        """Take what the ZIP writes."""
        piece = bytes(data)  # type: ignore[call-overload]  # any buffer
        self._held += piece
        return len(piece)

    def take(self, size: int) -> bytes | None:
        """Return so many bytes, None if there are fewer."""
        if len(self._held) < size or not size:
            return None
        piece = bytes(self._held[:size])
        del self._held[:size]
        return piece

    def take_rest(self) -> bytes:
        """Return all that is left."""
        rest = bytes(self._held)
        self._held.clear()
        return rest


async def write_export(
    rows: Rows, keep: Keep, *, shop_name: str, customer_id: UUID, made_at: datetime, zone: tzinfo
) -> None:
    """Write the file, handing it over in pieces of `PIECE_BYTES`, the last one shorter.

    Args:
        rows: Yields the rows of a section as JSON objects; asked twice for each.
        keep: Takes a piece.
        zone: Whose times the page for people shows.
    """
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(_entry("data.json", made_at), "w") as file:
            async for text in _json(rows, shop_name=shop_name, customer_id=customer_id, made_at=made_at):
                await _put(file, outlet, text, keep)
        with archive.open(_entry("data.html", made_at), "w") as file:
            async for text in write_page(rows, shop_name=shop_name, made_at=made_at, zone=zone):
                await _put(file, outlet, text, keep)
    while (piece := outlet.take(PIECE_BYTES)) is not None:
        await keep(piece)
    await keep(outlet.take_rest())


def _entry(name: str, made_at: datetime) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(
        name, (made_at.year, made_at.month, made_at.day, made_at.hour, made_at.minute, made_at.second)
    )
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


async def _put(file: IO[bytes], outlet: _Outlet, text: bytes, keep: Keep) -> None:
    file.write(text)
    while (piece := outlet.take(PIECE_BYTES)) is not None:
        await keep(piece)


async def _json(rows: Rows, *, shop_name: str, customer_id: UUID, made_at: datetime) -> AsyncIterator[bytes]:
    about = {"shop": shop_name, "customer_id": customer_id, "made_at": made_at}
    yield b'{"about":' + msgspec.json.encode(about)
    for section in SECTIONS:
        yield b",\n" + msgspec.json.encode(section.name) + b":["
        separator = b"\n"
        async for row in rows(section):
            yield separator + row
            separator = b",\n"
        yield b"]"
    yield b"}\n"
