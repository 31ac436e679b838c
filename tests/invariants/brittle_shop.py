"""A shop on a database of its own that can lose its connection between any two statements, and be opened again."""

import asyncio
import itertools
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import asyncpg
import httpx

from server.clock import ManualClock
from server.db.engine import DB
from tests.app import World, open_world

_T = TypeVar("_T")
_keys = itertools.count(1)


@dataclass
class Fuse:
    """Where a connection breaks off, once: after a statement of a transaction, or after its COMMIT (None).

    Statement 1 is the first after BEGIN; where statements `everywhere` count, the first of any connection at all.
    """

    after_statement: int | None
    everywhere: bool = False
    has_burnt: bool = False
    seen: int = 0


class BrittleConnection(asyncpg.Connection):
    """A connection that breaks off where the fuse says; what was not committed is lost, as with a killed server."""

    fuse: ClassVar[Fuse | None] = None
    _statement: int | None = None

    async def execute(self, query: str, *args: object, **options: Any) -> Any:  # noqa: ANN401 - asyncpg's signature
        answer = await super().execute(query, *args, **options)
        if query.startswith("BEGIN"):
            self._statement = 0
        elif query.startswith("ROLLBACK"):
            self._statement = None
        elif query.startswith("COMMIT"):
            self._statement = None
            if (fuse := type(self).fuse) is not None and fuse.after_statement is None:
                self._break_off(fuse)
                raise asyncpg.ConnectionDoesNotExistError("the answer to COMMIT was lost")
        return answer

    async def fetch(self, query: str, *args: object, **options: Any) -> Any:  # noqa: ANN401 - asyncpg's signature
        rows = await super().fetch(query, *args, **options)
        if self._statement is not None:
            self._statement += 1
        if (fuse := type(self).fuse) is not None:
            fuse.seen += 1
            number = fuse.seen if fuse.everywhere else self._statement
            if number is not None and number == fuse.after_statement:
                self._break_off(fuse)
                if self._statement is None:
                    raise asyncpg.ConnectionDoesNotExistError("the answer to a statement was lost")
        return rows

    def _break_off(self, fuse: Fuse) -> None:
        fuse.has_burnt = True
        type(self).fuse = None
        self.terminate()


class BrittleShop:
    """A world driven from outside of its loop, one step after the other."""

    def __init__(self, runner: asyncio.Runner, dsn: str, data_dir: Path) -> None:
        self._runner = runner
        self._dsn = dsn
        self._data_dir = data_dir
        self.world = self.do(self._open(None))

    def do(self, work: Awaitable[_T]) -> _T:
        async def run() -> _T:
            return await work

        return self._runner.run(run())

    def send(self, method: str, path: str, body: object, headers: dict[str, str]) -> httpx.Response:
        """Send a request as it stands."""
        return self.do(self.world.client.request(method, path, json=body, headers=headers))

    def keyed(self, headers: dict[str, str]) -> dict[str, str]:
        """Return headers with an Idempotency-Key that was never used."""
        return headers | {"Idempotency-Key": f"machine-key-{next(_keys):016}"}

    def reopen(self) -> None:
        """Start the app anew on the same database, as after a crash."""
        clock = self.world.clock
        self.close()
        self.world = self.do(self._open(clock))

    def rest(self) -> None:
        """Let go of the database, so that it may be copied or dropped."""
        self.do(DB.close())

    def move(self, dsn: str, at: datetime) -> None:
        """Go on with another database at another time; a new app would take longer than most of what is tried in it."""
        self._dsn = dsn
        self.world.clock.set(at)
        self.do(self._connect())

    def close(self) -> None:
        self.do(self._close())

    async def _open(self, clock: ManualClock | None) -> World:
        self._closing = asyncio.Event()
        ready: asyncio.Future[World] = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(ready, clock))
        await asyncio.wait([ready, self._keeper], return_when=asyncio.FIRST_COMPLETED)
        if self._keeper.done():
            await self._keeper
        return ready.result()

    async def _keep(self, ready: "asyncio.Future[World]", clock: ManualClock | None) -> None:
        # The app's lifespan must begin and end in one task.
        async with open_world(self._dsn, self._data_dir, is_new=clock is None) as world:
            if clock is not None:
                world.clock.set(clock.now())
            await self._connect()
            ready.set_result(world)
            await self._closing.wait()

    async def _connect(self) -> None:
        await DB.close()
        await DB.open(self._dsn, size=4, connection_class=BrittleConnection)

    async def _close(self) -> None:
        self._closing.set()
        await self._keeper
