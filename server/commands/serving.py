"""Running the service in one process: database, migrations, demo shop, HTTP, and the way down again."""

import asyncio
import errno
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import click
import uvicorn

from server.app import create_app
from server.commands.common import Failure, Unavailable, check_database, database_of, say
from server.commands.greeting import greeting
from server.commands.privacy import check_nobody_returned
from server.db.engine import DB
from server.db.migrate import migrate
from server.demo import marker
from server.demo.signins import DemoSignIns
from server.programmes.store import find_default
from server.settings import Settings

CONNECTIONS_MAX: Final = 900
"""More get 503 at once; under the 1024 files that most systems let a process open, with some left for the database."""
BACKLOG: Final = 1024
FINISH_SECONDS_MAX: Final = 20
"""How long requests may take to end after the signal; supervisors commonly kill after 30 seconds or more."""
KEEP_ALIVE_SECONDS: Final = 30

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, then let requests and jobs finish and stop what was started.

    Raises:
        Failure: Port, database or data are not to be had, or not for this kind of service.
    """
    try:
        with (
            _signals_interrupt(),
            _bound_socket(settings) as listener,
            database_of(settings, may_create=True, may_share=False) as with_database,
            _signals_ignored_at_the_end(),
            asyncio.Runner(loop_factory=_loop_factory()) as runner,
        ):
            runner.run(_serve(with_database, listener))
    except KeyboardInterrupt:
        # Before the service was up; all that had been started is stopped by now.
        pass
    say("Stopped.")


async def prepare_database(settings: Settings) -> DemoSignIns | None:
    """Bring the database up to date, fill a demo shop, and return its sign-ins.

    Raises:
        Failure: A demo was asked for on a real shop's database, or the other way round.
    """
    assert settings.database_url is not None
    await check_database(settings.database_url)
    # Opened before migrating, which otherwise connects and leaves once more.
    await DB.open(settings.database_url, size=2)
    try:
        await migrate(settings.database_url)
        await check_nobody_returned(settings)
        return await _prepare_data(settings)
    finally:
        await DB.close()


async def _prepare_data(settings: Settings) -> DemoSignIns | None:
    is_demo = await marker.is_demo()
    if not settings.demo:
        if is_demo:
            raise Failure(
                "This database holds the demo shop, whose sign-ins are in a file. A real shop begins with an empty one: "
                "set REGULARS_DATABASE_URL or REGULARS_DATA_DIR, or start the demo with --demo."
            )
        if await find_default() is None:
            click.echo("There is no programme yet, so nobody can join. Set the shop up with: regulars init", err=True)
        return None
    if not is_demo and not await marker.is_empty():
        raise Failure("This database holds a real shop. A demo needs one of its own: set REGULARS_DATA_DIR.")
    # Imported here: a production service needs neither the invented people nor their receipts.
    from server.demo.seed import seed_demo

    sign_ins = DemoSignIns.kept_in(settings.data_dir)
    if not is_demo:
        say("Filling the demo shop with customers and a year of sales ...")
        await seed_demo(settings, sign_ins)
    return sign_ins


async def _serve(settings: Settings, listener: socket.socket) -> None:
    sign_ins = await prepare_database(settings)
    config = uvicorn.Config(
        create_app(settings),
        http="httptools",
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=FINISH_SECONDS_MAX,
        # The app itself believes only the proxies of the settings, logs without addresses and names no software.
        proxy_headers=False,
        access_log=False,
        server_header=False,
        log_config=None,
        log_level="warning",
    )
    server = _Server(config, lambda: say(greeting(settings, sign_ins)))
    try:
        await server.serve(sockets=[listener])
    except SystemExit as error:
        # uvicorn's way to say that the application did not start; the reason stands in the log above.
        raise Failure("The service did not start; the reason stands above.") from error
    except OSError as error:
        raise _cannot_listen(settings, error) from error


class _Server(uvicorn.Server):
    """uvicorn, saying when it listens, and ending with code 0 when it was asked to end."""

    def __init__(self, config: uvicorn.Config, when_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_ready = when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._when_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own version raises the signal again afterwards, before the database could be stopped.
        previous = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


@contextmanager
def _bound_socket(settings: Settings) -> Iterator[socket.socket]:
    """Take the port before anything is started, so that a taken one costs nothing."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise _cannot_listen(settings, error) from error
    with listener:
        if sys.platform != "win32":
            # Elsewhere it lets a port be taken whose last connections are still closing; there, one that is in use.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            # Two that start at once can both bind; the second to listen fails, here and not after its database started.
            listener.listen(BACKLOG)
        except OSError as error:
            raise _cannot_listen(settings, error) from error
        yield listener


def _cannot_listen(settings: Settings, error: OSError) -> Unavailable:
    where = f"{settings.host}, port {settings.port}"
    match error.errno:
        case errno.EADDRINUSE:
            words = f"Something listens on {where} already. Stop it, or choose another port with REGULARS_PORT."
        case errno.EACCES:
            words = (
                f"This user may not listen on {where}. Ports below 1024 are for root; use one above it behind a proxy."
            )
        case errno.EADDRNOTAVAIL:
            words = f"This machine has no address {settings.host}. Set REGULARS_HOST to one of its own."
        case _:
            words = f"Cannot listen on {where}: {error.strerror or error}"
    return Unavailable(words)


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let SIGTERM unwind the start as Ctrl-C does, so that a half-started database is stopped."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _signals_ignored_at_the_end() -> Iterator[None]:
    """Let an impatient second Ctrl-C not keep us from stopping the database, which takes a moment."""
    try:
        yield
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
