"""The command `regulars-console`."""

import argparse
import socket
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from tui.config import DEFAULT_SERVER, THEMES, SettingsWrong, config_path, load, report_path

if TYPE_CHECKING:
    import httpx


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="regulars-console",
        description="The staff console of Regulars.",
        epilog=f"Settings file: {config_path()}. Environment: REGULARS_CONSOLE_SERVER, REGULARS_CONSOLE_TERMINAL, "
        "REGULARS_CONSOLE_THEME, REGULARS_CONSOLE_CONFIG, NO_COLOR.",
    )
    parser.add_argument("--server", metavar="URL", help=f"address of the service (default {DEFAULT_SERVER})")
    parser.add_argument(
        "--terminal", metavar="NAME", help="name of this till, shown in the audit (default: the machine's name)"
    )
    parser.add_argument("--theme", choices=THEMES, help="colours (default dark)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the console and return its exit code: 0 left, 1 ended by an error, 2 wrong settings or no terminal."""
    given = _parser().parse_args(arguments)
    try:
        settings = load(server=given.server, terminal=given.terminal, theme=given.theme)
    except SettingsWrong as error:
        print(f"regulars-console: {error}", file=sys.stderr)
        return 2
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("regulars-console: this needs a terminal to draw on.", file=sys.stderr)
        return 2
    # Imported late so that --help and wrong settings answer at once.
    from tui.app import Options, run

    def open_http() -> "AbstractAsyncContextManager[httpx.AsyncClient]":
        from tui.transport import over_network

        return over_network(settings.server)

    return run(
        open_http,
        Options(
            terminal=settings.terminal or socket.gethostname(),
            theme=f"regulars-{settings.theme}",
            service_label=settings.server,
            lock_after_minutes=settings.lock_after_minutes,
            scan_gap_seconds_max=settings.scan_gap_ms / 1000,
            has_bell=settings.bell,
            report_path=report_path(),
        ),
    )
