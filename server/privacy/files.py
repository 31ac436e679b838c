"""The file of an export: a ZIP with the same content twice, for programs and to read, written piece by piece."""

import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import IO, Final
from uuid import UUID

import msgspec
from markupsafe import Markup, escape

from server.privacy.export_store import SECTIONS, Section

PIECE_BYTES: Final = 256 * 1024
_STYLE: Final = (
    "body{font:16px/1.5 sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "section{margin:2rem 0}dl{border-top:1px solid #ccc;padding:.5rem 0;display:grid;"
    "grid-template-columns:14rem 1fr;gap:0 1rem;margin:0}dt{color:#555}dd{margin:0;overflow-wrap:anywhere}"
)

Rows = Callable[[Section], AsyncIterator[bytes]]
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


async def write_export(rows: Rows, keep: Keep, *, shop_name: str, customer_id: UUID, made_at: datetime) -> None:
    """Write the file, handing it over in pieces of `PIECE_BYTES`, the last one shorter.

    Args:
        rows: Yields the rows of a section as JSON objects; asked twice for each.
        keep: Takes a piece.
    """
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(_entry("data.json", made_at), "w") as file:
            async for text in _json(rows, shop_name=shop_name, customer_id=customer_id, made_at=made_at):
                await _put(file, outlet, text, keep)
        with archive.open(_entry("data.html", made_at), "w") as file:
            async for text in _html(rows, shop_name=shop_name, made_at=made_at):
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


async def _html(rows: Rows, *, shop_name: str, made_at: datetime) -> AsyncIterator[bytes]:
    title = escape(f"Your data at {shop_name}")
    yield (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>Everything that was held about you on {made_at:%Y-%m-%d} at {made_at:%H:%M} UTC. "
        "Money is in the smallest unit of its currency.</p>"
    ).encode()
    for section in SECTIONS:
        yield f"<section><h2>{escape(section.title)}</h2>".encode()
        is_empty = True
        async for row in rows(section):
            is_empty = False
            yield _record(msgspec.json.decode(row)).encode()
        yield b"<p>Nothing.</p></section>" if is_empty else b"</section>"
    yield b"</html>\n"


def _record(row: dict[str, object]) -> str:
    terms = (f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{_value(value)}</dd>" for name, value in row.items())
    return f"<dl>{''.join(terms)}</dl>"


def _value(value: object) -> Markup:
    match value:
        case None | "":
            return Markup("–")
        case bool():
            return Markup("yes") if value else Markup("no")
        case list():
            return _list(value)
        case dict():
            return Markup(_record(value)) if value else Markup("–")  # noqa: S704 - its parts are escaped
        case _:
            return escape(str(value))


def _list(values: Sequence[object]) -> Markup:
    return Markup("").join(Markup("{}<br>").format(_value(value)) for value in values) if values else Markup("–")
