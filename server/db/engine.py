"""The one way to PostgreSQL: Piccolo's engine with fair, bounded waiting and no needless round trips.

Stock Piccolo opens a connection for every query until a pool is started, waits for a free connection without limit,
resets every returned connection with a round trip and loses a connection whose COMMIT fails. This engine differs in
exactly those points. `DB` is the engine of this process; `await DB.open(dsn)` connects it.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

import asyncpg
from piccolo.engine.exceptions import TransactionError
from piccolo.engine.postgres import PostgresEngine, PostgresTransaction

from server.errors import DatabaseBusy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncpg.pool import PoolConnectionProxy
    from piccolo.querystring import QueryString

Row: TypeAlias = asyncpg.Record
"""A row of a result; columns by name."""

# What the driver raises when the server is away, going down, or has cut the connection.
_LOST = (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, ConnectionError)
# A deadlock is no fault of who is chosen to give way: nothing of theirs has happened, and they may try again.
_AGAIN = (*_LOST, asyncpg.DeadlockDetectedError)

Isolation = Literal["read_committed", "repeatable_read", "serializable"]


def _is_lost(connection: "PoolConnectionProxy[Row]") -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        # The pool takes a connection back by itself when it is cut.
        return True


async def _keep_session_state(connection: object) -> None:
    """Replace asyncpg's reset query: this program only ever sets state with SET LOCAL."""


class Transaction(PostgresTransaction):
    """A transaction that belongs to the task that opened it and always gives its connection back."""

    __slots__ = ("database", "isolation", "task")

    def __init__(self, database: "Database", isolation: Isolation | None) -> None:
        # Nested transactions are refused: an inner block that fails would be kept by the outer one.
        super().__init__(engine=database, allow_nested=False)
        self.database = database
        self.isolation = isolation

    async def __aenter__(self) -> Self:
        self.connection = await self.database.acquire()
        try:
            self.transaction = self.connection.transaction(isolation=self.isolation)
            await self.transaction.start()
        except BaseException:
            await self.database.release(self.connection)
            raise
        self.context = self.engine.current_transaction.set(self)
        self.task = asyncio.current_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        try:
            if kind is None:
                await self.transaction.commit()
            else:
                # Where the connection is gone, the server has rolled back by itself.
                with contextlib.suppress(asyncpg.InterfaceError):
                    await self.transaction.rollback()
        except (*_LOST, asyncpg.InterfaceError) as lost:
            # Whether a COMMIT arrived is unknown; the caller tries again, and idempotency keys make that safe.
            raise DatabaseBusy from lost
        finally:
            self.engine.current_transaction.reset(self.context)
            # Shielded, as a cancelled request must not take its connection with it.
            await asyncio.shield(self.database.release(self.connection))
        return False


class Database(PostgresEngine):
    """Piccolo engine over one asyncpg pool; first come, first served, with a limit on the wait."""

    __slots__ = ("_slots", "_wait_seconds")

    def __init__(self) -> None:
        super().__init__(config={})

    async def check_version(self) -> None:
        """Do nothing: importing the program must not connect. `open` checks the version."""

    async def prep_database(self) -> None:
        """Do nothing, for the same reason. Migrations create the extensions."""

    async def open(
        self,
        dsn: str,
        *,
        size: int = 10,
        wait_seconds: float = 5.0,
        connection_class: type[asyncpg.Connection] = asyncpg.Connection,
    ) -> None:
        """Connect a pool of at most `size` connections.

        Args:
            dsn: PostgreSQL address.
            size: Most connections held at once.
            wait_seconds: Longest wait for a free connection before `DatabaseBusy`.
            connection_class: What the pool is made of; a rehearsal of crashes has one that breaks off.
        """
        self.config = {"dsn": dsn}
        self._slots = asyncio.Semaphore(size)
        self._wait_seconds = wait_seconds
        self.pool = await asyncpg.create_pool(
            dsn,
            min_size=min(2, size),
            max_size=size,
            max_inactive_connection_lifetime=0,
            reset=_keep_session_state,
            connection_class=connection_class,
            server_settings={"application_name": "regulars", "timezone": "UTC"},
        )

    async def close(self) -> None:
        """Close the pool; waits for running statements."""
        if self.pool is not None:
            pool, self.pool = self.pool, None
            await pool.close()

    async def acquire(self) -> "PoolConnectionProxy[Row]":
        """Take a connection.

        Raises:
            DatabaseBusy: None came free within the configured wait.
        """
        if self._slots.locked():
            try:
                async with asyncio.timeout(self._wait_seconds):
                    await self._slots.acquire()
            except TimeoutError as error:
                raise DatabaseBusy from error
        else:
            await self._slots.acquire()
        try:
            assert self.pool is not None, "the database is not open"
            return await self.pool.acquire()
        except BaseException as error:
            self._slots.release()
            if isinstance(error, _LOST):
                raise DatabaseBusy from error
            raise

    async def release(self, connection: "PoolConnectionProxy[Row]") -> None:
        """Give a connection back."""
        try:
            assert self.pool is not None
            await self.pool.release(connection)
        finally:
            self._slots.release()

    def transaction(self, *, isolation: Isolation | None = None) -> Transaction:  # type: ignore[override]
        """Open a transaction for this task; READ COMMITTED unless told otherwise."""
        return Transaction(self, isolation)

    @asynccontextmanager
    async def connection(self) -> "AsyncIterator[PoolConnectionProxy[Row]]":
        """Yield the transaction's connection, or one from the pool outside of a transaction.

        Raises:
            TransactionError: A task started inside a transaction tried to use it.
            DatabaseBusy: The transaction's connection was cut, or none came free in time.
        """
        transaction = self.current_transaction.get()
        if transaction is not None:
            assert isinstance(transaction, Transaction)
            if transaction.task is not asyncio.current_task():
                raise TransactionError("A task may not use the transaction of the task that started it.")
            if _is_lost(transaction.connection):
                # Cut between two statements, which the driver would call a misuse.
                raise DatabaseBusy
            try:
                yield transaction.connection
            except _AGAIN as error:
                raise DatabaseBusy from error
            return
        connection = await self.acquire()
        try:
            yield connection
        finally:
            await self.release(connection)

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        """Run one statement and return its rows.

        Raises:
            DatabaseBusy: No connection came free in time, the server is away, or it ended a deadlock here.
        """
        try:
            return await self._fetch(sql, arguments)
        except _AGAIN as error:
            raise DatabaseBusy from error

    async def _fetch(self, sql: str, arguments: tuple[object, ...]) -> list[Row]:
        transaction = self.current_transaction.get()
        if transaction is None:
            # The same as connection(), spelled out: this is the hot path and a generator costs 5 us.
            connection = await self.acquire()
            try:
                rows: list[Row] = await connection.fetch(sql, *arguments)
            finally:
                await self.release(connection)
        else:
            async with self.connection() as connection:
                rows = await connection.fetch(sql, *arguments)
        return rows

    async def fetch_row(self, sql: str, *arguments: object) -> Row | None:
        """Run one statement and return its first row, or None."""
        rows = await self.fetch(sql, *arguments)
        return rows[0] if rows else None

    async def fetch_value(self, sql: str, *arguments: object) -> object:
        """Run one statement and return the first value of its first row, or None."""
        rows = await self.fetch(sql, *arguments)
        return rows[0][0] if rows else None

    async def copy(self, table: str, rows: Iterable[tuple[object, ...]], *, columns: Sequence[str]) -> None:
        """Write rows by COPY, for many of which nothing is to be found out; constraints hold as for any insert.

        Raises:
            DatabaseBusy: No connection came free in time, or the server is away.
        """
        try:
            async with self.connection() as connection:
                await connection.copy_records_to_table(table, records=rows, columns=columns)
        except _LOST as error:
            raise DatabaseBusy from error

    async def run_script(self, script: str) -> None:
        """Run several statements at once; for migrations, whose SQL is fixed text."""
        async with self.connection() as connection:
            await connection.execute(script)

    async def _run_in_pool(self, query: str, args: Sequence[object] | None = None) -> list[Row]:
        return await self.fetch(query, *(args or ()))

    async def run_querystring(self, querystring: "QueryString", in_pool: bool = True) -> list[Row]:  # noqa: ARG002, FBT001, FBT002 - Piccolo's signature
        """Run a query of Piccolo's builder on the transaction's connection or the pool's."""
        sql, arguments = querystring.compile_string(engine_type=self.engine_type)
        return await self.fetch(sql, *arguments)

    async def run_ddl(self, ddl: str, in_pool: bool = True) -> list[Row]:  # noqa: ARG002, FBT001, FBT002 - Piccolo's signature
        """Run one DDL statement likewise."""
        return await self.fetch(ddl)


DB = Database()
