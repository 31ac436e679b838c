"""Files that the console writes: whole or not at all, and readable by their owner alone."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from tui.errors import ConsoleError

_PRIVATELY = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class FileTrouble(ConsoleError):
    """The file could not be written; `words` say why."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class FileExists(FileTrouble):
    """There is such a file already, and nobody said that it may be replaced."""


def write_file(path: Path, content: bytes, *, may_replace: bool) -> None:
    """Write a file whole or not at all.

    Raises:
        FileExists: There is one, and it may not be replaced.
        FileTrouble: It cannot be written there.
    """
    try:
        if may_replace:
            _replace_file(path, content)
            return
        # Fails where there is one, in one step; what is written is for nobody else at this machine.
        with os.fdopen(os.open(path, _PRIVATELY, 0o600), "wb") as file:
            try:
                file.write(content)
            except OSError:
                path.unlink(missing_ok=True)
                raise
    except FileExistsError as error:
        raise FileExists("There is a file of this name.") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this is no name for a file"
        raise FileTrouble(f"It cannot be written there: {reason}.") from error


def _replace_file(path: Path, content: bytes) -> None:
    # Written beside its place first, so that a full disk leaves the old file as it was.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".regulars-")
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


async def write_once(path: Path, fetch: Callable[[], Awaitable[bytes]]) -> None:
    """Write what the service hands out a single time. That it can be written there is made sure before it is asked for.

    Raises:
        FileExists: There is such a file.
        FileTrouble: It cannot be written there.
    """
    await asyncio.to_thread(write_file, path, b"", may_replace=False)
    try:
        await asyncio.to_thread(write_file, path, await fetch(), may_replace=True)
    except ConsoleError:
        await asyncio.to_thread(path.unlink, missing_ok=True)
        raise
