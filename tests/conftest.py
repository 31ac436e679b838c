"""The database of every test: one PostgreSQL for each pytest process, one database for each test that asks for one."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import hypothesis
import pytest
from hypothesis.internal.conjecture import providers

from server.db.embedded import FORGETFUL, EmbeddedPostgres
from server.db.migrate import migrate
from tests.app import World, open_world

_MEMORY_BYTES_MIN = 6 * 2**30

# A shared machine makes single examples slow now and then; the time limit of the whole test is the one that counts. Every
# run tries the same examples, so that it fails for what was changed and not by chance; `--soak` looks for new ones, also
# among the numbers and texts of whatever modules of ours are loaded by then, which Hypothesis uses besides.
_SLOW = (hypothesis.HealthCheck.too_slow,)
hypothesis.settings.register_profile(
    "regulars", deadline=None, print_blob=True, derandomize=True, suppress_health_check=_SLOW
)
hypothesis.settings.register_profile("soak", deadline=None, print_blob=True, suppress_health_check=_SLOW)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long forms of the random tests")


def pytest_configure(config: pytest.Config) -> None:
    is_soak = config.getoption("--soak")
    hypothesis.settings.load_profile("soak" if is_soak else "regulars")
    if not is_soak:
        providers._get_local_constants = providers.Constants
    # A time limit sends SIGTERM, which would end Python at once and leave servers and folders behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, as the console's tests wait for its timers more than they work."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + 1


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder that the user of PostgreSQL may enter; it goes with the block."""
    folder = Path(tempfile.mkdtemp(prefix="regulars-test-", dir=_fastest_place()))
    # pytest's own temporary folders are closed to others, and so to the user that PostgreSQL runs as when we are root.
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        _remove(folder)


def _fastest_place() -> Path | None:
    # A database is two thousand small files: copied in memory they take a tenth of the time that a disk takes.
    memory = Path("/dev/shm")
    has_room = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _MEMORY_BYTES_MIN
    return memory if has_room else None


def _remove(folder: Path) -> None:
    # The server of a service that a test killed may still be putting its own files away.
    deadline = time.monotonic() + 60
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder of its own for a test that starts a whole service."""
    with temporary_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def server_dsn() -> Iterator[str]:
    """A PostgreSQL whose user may create databases."""
    if given := os.environ.get("REGULARS_TEST_DATABASE_URL"):
        yield given
        return
    with temporary_folder() as folder, EmbeddedPostgres(folder, options=FORGETFUL, durable=False) as server:
        yield server.dsn


class Databases:
    """Makes and drops databases over one connection that lives as long as the run."""

    def __init__(self, server_dsn: str) -> None:
        self._server_dsn = server_dsn
        self._runner = asyncio.Runner()
        self._connection = self._runner.run(asyncpg.connect(server_dsn))

    def create(self, *, template: str = "template1") -> str:
        name = f"test_{uuid.uuid4().hex}"
        # Copying files takes half the time of the default, which logs every page; PostgreSQL 14 knows only this way.
        strategy = " STRATEGY file_copy" if self._connection.get_server_version().major >= 15 else ""
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}{strategy}")
        return name

    def drop(self, name: str) -> None:
        self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def dsn(self, name: str) -> str:
        return urlunsplit(urlsplit(self._server_dsn)._replace(path=f"/{name}"))

    def close(self) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()

    def _run(self, statement: str) -> None:
        self._runner.run(self._connection.execute(statement))


@pytest.fixture(scope="session")
def databases(server_dsn: str) -> Iterator[Databases]:
    databases = Databases(server_dsn)
    yield databases
    databases.close()


@pytest.fixture(scope="session")
def template_database(databases: Databases) -> Iterator[str]:
    """The name of a migrated database that nobody is connected to."""
    name = databases.create()
    asyncio.run(migrate(databases.dsn(name)))
    yield name
    databases.drop(name)


@pytest.fixture
def database_url(databases: Databases, template_database: str) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    name = databases.create(template=template_database)
    yield databases.dsn(name)
    databases.drop(name)


@pytest.fixture
async def world(database_url: str, data_dir: Path) -> AsyncIterator[World]:
    """A whole service on a database of its own; `tests.app` says what it offers."""
    async with open_world(database_url, data_dir) as world:
        yield world
