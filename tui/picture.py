"""Draw a picture of the console for the README: `python -m tui.picture OUT.svg --server URL --login NAME`.

It signs in at a running service (the demo shop's), opens the first customer that a search finds and writes what is on
the screen as SVG. The password is read from REGULARS_CONSOLE_PASSWORD, or asked for.
"""

import argparse
import asyncio
import getpass
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from textual.pilot import Pilot

from tui.app import Console, Options
from tui.config import DEFAULT_SERVER
from tui.transport import over_network
from tui.widgets.field import Field

_WAIT_SECONDS = 20.0
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


async def draw(server: str, login: str, password: str, *, search: str, size: tuple[int, int]) -> str:
    """Return the screen of a customer as SVG.

    Raises:
        TimeoutError: The service did not answer, or the search found nobody.
    """
    async with over_network(server) as http:

        async def connect():  # type: ignore[no-untyped-def]
            return http

        console = Console(connect, Options(terminal="Till 2", lock_after_minutes=0, has_bell=False))
        async with console.run_test(size=size) as pilot, asyncio.timeout(_WAIT_SECONDS):
            await _until(pilot, lambda: console.connection == "online")
            console.screen.query_one("#login", Field).value = login
            console.screen.query_one("#password", Field).value = password
            console.screen.query_one("#password", Field).focus()
            await pilot.press("enter")
            await _until(pilot, lambda: bool(console.screen.query("#search")))
            console.screen.query_one("#search", Field).value = search
            await _until(pilot, lambda: bool(getattr(console.screen, "_hits", None)))
            await pilot.press("down", "enter")
            await _until(pilot, lambda: bool(getattr(console.screen, "_entries", None)))
            await pilot.press("2")
            await _until(pilot, lambda: bool(getattr(console.screen, "_orders", None)))
            await pilot.press("enter")
            await _until(pilot, lambda: not console.waits)
            # A picture that fetches its letters from somewhere would tell that place who reads our README.
            return _FONT_FACE.sub("", console.export_screenshot(title="regulars-console"))


async def _until(pilot: Pilot[int], holds: Callable[[], bool]) -> None:
    while not holds():  # Nothing tells when; the caller bounds the wait.
        await pilot.pause(0.05)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tui.picture", description="Draw the console as SVG.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--server", default=DEFAULT_SERVER)
    parser.add_argument("--login", default="manager")
    parser.add_argument("--search", default="ma", help="whose first hit is opened")
    parser.add_argument("--columns", type=int, default=120)
    parser.add_argument("--rows", type=int, default=32)
    given = parser.parse_args(arguments)
    password = os.environ.get("REGULARS_CONSOLE_PASSWORD") or getpass.getpass("Password: ")
    size = (given.columns, given.rows)
    picture = asyncio.run(draw(given.server, given.login, password, search=given.search, size=size))
    given.out.write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
