"""`regulars demo`: the console, the service and its database in one process."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from server.app import create_app
from server.commands.common import database_of
from server.commands.serving import prepare_database
from server.demo.signins import STAFF_NAMES, DemoSignIns
from server.private_files import prepare_data_dir
from server.settings import Settings

if TYPE_CHECKING:
    import httpx


def show(settings: Settings) -> int:
    """Open the console on the demo shop until it is left, and return its exit code.

    Raises:
        Failure: The database cannot be had, or holds a real shop.
    """
    # Imported here: a service never needs the console.
    from tui.app import Options, run
    from tui.config import report_path

    sign_ins = DemoSignIns.kept_in(settings.data_dir)
    log_path = prepare_data_dir(settings.data_dir) / "demo.log"
    with (
        # The screen belongs to the console, so what the service logs goes to a file.
        log_path.open("a", encoding="utf-8") as log,
        contextlib.redirect_stderr(log),
        database_of(settings, may_create=True) as with_database,
    ):
        asyncio.run(prepare_database(with_database))

        @asynccontextmanager
        async def open_http() -> "AsyncIterator[httpx.AsyncClient]":
            from tui.transport import embedded

            async with embedded(create_app(with_database)) as http:
                yield http

        return run(
            open_http,
            Options(
                terminal=socket.gethostname(),
                service_label=f"{settings.shop_name} (demo)",
                sign_in_hint=f"{', '.join(STAFF_NAMES)} · password {sign_ins.staff_password}",
                report_path=report_path(),
            ),
        )
