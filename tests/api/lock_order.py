"""Watches in which order an act locks rows.

The house's order is: customers by id, memberships by id, vouchers by id, then the rest. Each row of these three has a gate
here, a transaction that holds it. An act runs into one gate after the other; at each it is seen what it has locked by
then, and the gate is opened. Who has locked nothing that comes later cannot be waited for by whom it waits for.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

import asyncpg

ORDER: Final = ("customer", "membership", "voucher")
BEFORE_PEOPLE: Final = {
    "programme": "what is written names it, and it is never deleted",
    "store": "likewise",
    "pos_connection": "likewise",
    "refund": "whoever settles one locks it before anything else of it",
    "throttle_counter": "tries at claim codes wait for each other, and for nobody else",
}
BEFORE_MEMBERSHIPS: Final = {
    "contact_point": "its customer is locked by then, so that whoever wants it waits there",
    "email_change": "likewise",
    "link_check": "likewise",
    "one_time_token": "likewise",
    "pos_link": "likewise",
    "signup_intent": "likewise",
    "customer_name_key": "likewise",
    "card": "a printed one, of nobody yet",
    "pos_record": "sales lock the customer, the record and then the membership, too",
}
_T = TypeVar("_T")
_WAITING = """
select pg_blocking_pids(a.pid) as blockers, a.query from pg_stat_activity a
where a.datname = current_database() and pg_blocking_pids(a.pid) && $1::int[]
"""
_TABLES = "select tablename from pg_tables where schemaname = 'public' and tablename not like 'pgqueuer%'"


class Row(NamedTuple):
    """A row that is locked."""

    table: str
    id: str

    def may_be_held_at(self, gate: "Row") -> bool:
        """Return whether whoever waits for the gate's row may have locked this one."""
        if self.table in ORDER:
            return (ORDER.index(self.table), self.id) < (ORDER.index(gate.table), gate.id)
        if gate.table == "customer":
            return self.table in BEFORE_PEOPLE
        # What belongs to a membership is locked by nobody who has not locked the membership.
        return gate.table == "voucher" or self.table in BEFORE_PEOPLE or self.table in BEFORE_MEMBERSHIPS


class Stop(NamedTuple):
    """Where an act waited, with which statement, and what it should not have locked by then."""

    at: Row
    statement: str
    too_early: tuple[Row, ...]


class Gates:
    """The gates of a world's database, which nobody else may use meanwhile."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._free: list[asyncpg.Connection] = []
        self._closed: dict[int, tuple[Row, asyncpg.Connection]] = {}

    async def __aenter__(self) -> Self:
        self._watch = await asyncpg.connect(self._url)
        looks = (
            f"select '{row[0]}' as name, t::text as row from \"{row[0]}\" t "
            f'where ctid not in (select ctid from "{row[0]}" for update skip locked)'
            for row in await self._watch.fetch(_TABLES)
        )
        self._look = await self._watch.prepare(" union all ".join(looks))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in (*self._free, *(connection for _, connection in self._closed.values()), self._watch):
            connection.terminate()

    async def watch(self, act: Callable[[], Awaitable[_T]]) -> tuple[_T, list[Stop]]:
        """Return what an act comes to, and where it waited on its way."""
        for table in ORDER:
            for row in await self._watch.fetch(f"select id::text from {table} order by id"):
                await self._close(Row(table, row["id"]))
        # In a context of its own, as a request is.
        acting = asyncio.create_task(_run(act), context=contextvars.Context())
        stops = []
        async with asyncio.timeout(60):
            while not acting.done():
                waiting = await self._watch.fetchrow(_WAITING, list(self._closed))
                if waiting is None:
                    await asyncio.sleep(0.001)
                    continue
                gate = next(pid for pid in waiting["blockers"] if pid in self._closed)
                at, _ = self._closed[gate]
                too_early = tuple(row for row in await self._list_locked() if not row.may_be_held_at(at))
                stops.append(Stop(at, " ".join(waiting["query"].split()), too_early))
                await self._open(gate)
        for gate in list(self._closed):
            await self._open(gate)
        return await acting, stops

    async def _list_locked(self) -> list[Row]:
        """Return which rows are locked, but for the gates that are closed."""
        looking = self._watch.transaction()
        await looking.start()
        rows = await self._look.fetch()
        await looking.rollback()
        # The first column of each table is its key; no key has a comma in it.
        found = [Row(row["name"], row["row"].strip("()").partition(",")[0]) for row in rows]
        gates = {row for row, _ in self._closed.values()}
        return [row for row in found if row not in gates]

    async def _close(self, row: Row) -> None:
        connection = self._free.pop() if self._free else await asyncpg.connect(self._url)
        await connection.execute(f"begin; select from {row.table} where id = '{row.id}' for update")
        self._closed[connection.get_server_pid()] = row, connection

    async def _open(self, gate: int) -> None:
        _, connection = self._closed.pop(gate)
        await connection.execute("rollback")
        self._free.append(connection)


async def _run(act: Callable[[], Awaitable[_T]]) -> _T:
    return await act()
