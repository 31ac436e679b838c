"""What the commands share: settings, the shop's database, and words for what can go wrong."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import asyncpg
import click
import msgspec

from server.app import create_tools
from server.context import Context, system_context
from server.db.embedded import VERSION_MIN, DataDirInUse, EmbeddedPostgres, EmbeddedPostgresError, find_running
from server.db.engine import DB
from server.db.migrate import MigrationFailed
from server.errors import Busy, Invalid, NotFound, Refused, RegularsError
from server.logs import configure
from server.programmes.service import NoProgramme
from server.programmes.setup import AlreadyThere
from server.settings import Settings, SettingsError
from server.settings_reading import load

_T = TypeVar("_T")

DEMO_SHOP_NAME: Final = "Marlow & Finch"
_SHOP_NAME_UNSET: Final = "Our shop"
_RUNNING_WAIT_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.1
_CONNECT_SECONDS: Final = 10.0

demo_option = click.option("--demo", is_flag=True, help="Act on the demo shop (its data lies in .data unless set).")


class Failure(click.ClickException):
    """A command was understood and cannot be carried out, or a check found something wrong: exit code 1."""

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        click.echo(f"regulars: {self.message}", err=True)


class WrongUsage(Failure):
    """Arguments or settings are wrong: exit code 2, as click has it."""

    exit_code = 2


class Unavailable(Failure):
    """Database, data folder or port cannot be had just now, and nothing is known to be wrong: exit code 3."""

    exit_code = 3


class Commands(click.Group):
    """A group whose commands end with a sentence where a failure is expected."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read our output has seen enough; click ends the program for it.
            raise
        except _EXPECTED as error:
            raise _failure(error) from error


_EXPECTED: Final = (
    SettingsError,
    EmbeddedPostgresError,
    MigrationFailed,
    RegularsError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.UndefinedTableError,
    OSError,
)


def _failure(error: BaseException) -> Failure:
    match error:
        case SettingsError():
            listed = "\n".join(f"  {problem}" for problem in error.problems)
            return WrongUsage(f"These settings cannot be used:\n{listed}")
        case EmbeddedPostgresError():
            return Unavailable(str(error))
        case MigrationFailed():
            return Failure(f"The database could not be brought up to date:\n{error}")
        case NoProgramme():
            return Failure("There is no programme yet. Set the shop up with: regulars init")
        case AlreadyThere():
            return Failure(
                "There is one already; `regulars programme show` and `regulars store list` show what there is."
            )
        case Invalid():
            return Failure("\n".join(f"{field.field}: {field.detail}" for field in error.fields))
        case NotFound():
            return Failure(error.detail or "There is nothing of that name.")
        case Refused():
            return Failure(error.detail or error.code.value)
        case Busy():
            return Unavailable("The database is too busy just now; try again.")
        case asyncpg.UndefinedTableError():
            return Failure("The database is not set up yet. Run: regulars migrate")
        case OSError() if error.filename is not None:
            return Unavailable(f"{error.filename} cannot be used: {error.strerror}")
        case _:
            return Unavailable(f"The database went away: {error}")


def load_settings(*, demo: bool, **overrides: object) -> Settings:
    """Return the settings from environment, file and command line, and let logs follow them.

    Raises:
        SettingsError: They cannot be used; every reason is listed.
    """
    settings = load(os.environ, overrides={**overrides, "demo": True if demo else None})
    if settings.demo and settings.shop_name == _SHOP_NAME_UNSET:
        settings = msgspec.structs.replace(settings, shop_name=DEMO_SHOP_NAME)
    configure(settings)
    return settings


@contextmanager
def database_of(settings: Settings, *, may_create: bool = False, may_share: bool = True) -> Iterator[Settings]:
    """Yield the settings with a database address: the given one, or that of the embedded PostgreSQL.

    Args:
        may_create: Whether to make a database where there is none.
        may_share: Whether a running service's PostgreSQL will do; else, and where none runs, one is started for as long
            as it takes.

    Raises:
        Failure: There is no database here, and none is to be made.
        EmbeddedPostgresError: It does not start.
    """
    if not settings.is_embedded:
        yield settings
        return
    if not may_create and not (settings.data_dir / "postgres" / "data").exists():
        raise Failure(
            f"There is no shop in {settings.data_dir} yet. Make one with `regulars init` (or `regulars serve --demo`), "
            "or say where it is with REGULARS_DATA_DIR or REGULARS_DATABASE_URL."
        )
    server = EmbeddedPostgres(settings.data_dir)
    try:
        address = server.start()
    except DataDirInUse:
        if not may_share:
            raise
        yield msgspec.structs.replace(settings, database_url=_address_of_running(settings.data_dir))
        return
    try:
        yield msgspec.structs.replace(settings, database_url=address)
    finally:
        server.stop()


def _address_of_running(data_dir: Path) -> str:
    """Return the address of the PostgreSQL of a running service, which may just be starting."""
    deadline = time.monotonic() + _RUNNING_WAIT_SECONDS
    while True:
        address = find_running(data_dir)
        if address is not None:
            return address
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(f"The service that uses {data_dir} has no running database; try again.")
        time.sleep(_POLL_SECONDS)


def run_in_shop(
    work: Callable[[Context], Awaitable[_T]],
    *,
    demo: bool,
    may_create: bool = False,
    before: Callable[[str], Awaitable[None]] | None = None,
) -> _T:
    """Carry out a command against the shop's database and return what it returns.

    Args:
        demo: Whether the demo shop is meant.
        may_create: Whether to make a database where there is none.
        before: Done first with the address, as migrating is.
    """
    with database_of(load_settings(demo=demo), may_create=may_create) as settings:
        return asyncio.run(_in_shop(settings, work, before))


async def check_database(address: str) -> int:
    """Return the database's major version; later errors are then about something else than reaching it.

    Raises:
        Failure: It does not, with its own words and never with the address, which holds a password.
    """
    try:
        connection = await asyncpg.connect(address, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        words = str(error) or type(error).__name__
        raise Unavailable(f"The database cannot be reached: {words}") from error
    try:
        major = connection.get_server_version().major
    finally:
        await connection.close()
    if major < VERSION_MIN:
        raise Unavailable(f"The database is PostgreSQL {major}; {VERSION_MIN} or newer is needed.")
    return int(major)


async def _in_shop(
    settings: Settings,
    work: Callable[[Context], Awaitable[_T]],
    before: Callable[[str], Awaitable[None]] | None,
) -> _T:
    assert settings.database_url is not None
    await check_database(settings.database_url)
    if before is not None:
        await before(settings.database_url)
    tools = create_tools(settings)
    await DB.open(settings.database_url, size=2, wait_seconds=settings.database_wait_seconds)
    try:
        return await work(system_context(tools))
    finally:
        tools.passwords.close()
        await DB.close()


def say(text: str = "") -> None:
    """Print a line for people; whoever reads standard output may have gone."""
    try:
        click.echo(text)
    except BrokenPipeError:
        # What is left to flush at exit would fail again.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # stays open until the end


def table(rows: list[tuple[str, ...]]) -> None:
    """Print rows in columns, the first row being their titles."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
