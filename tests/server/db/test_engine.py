"""The way to PostgreSQL: fair and bounded, nothing leaked, nothing half-done."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest
from piccolo.engine.exceptions import TransactionError

from server.db.engine import DB, Database
from server.db.rehearsal import rehearse
from server.db.tables import Store
from server.errors import DatabaseBusy


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    await DB.open(database_url, size=2, wait_seconds=30)
    yield DB
    await DB.close()


async def test_a_wait_for_a_connection_ends(database_url: str) -> None:
    await DB.open(database_url, size=2, wait_seconds=0.05)
    async with DB.connection(), DB.connection():
        # Work that cannot be begun is put away; Python complains of what is forgotten.
        with pytest.raises(DatabaseBusy):
            await rehearse(asyncio.sleep(0))
        with pytest.raises(DatabaseBusy):
            await DB.fetch("select 1")
    assert await DB.fetch_value("select 1") == 1
    await DB.close()


async def test_those_who_wait_are_served_in_turn(db: Database) -> None:
    served: list[int] = []

    async def ask(number: int) -> None:
        async with db.connection():
            served.append(number)

    async with asyncio.TaskGroup() as group, db.connection(), db.connection():
        for number in range(12):
            group.create_task(ask(number))
        await asyncio.sleep(0)  # Each has come to its wait.
        assert served == []
    assert len(served) == 12
    # Two at a time: nobody is overtaken by more than the one beside them.
    assert all(abs(place - number) <= 1 for place, number in enumerate(served))


async def test_a_transaction_that_raises_leaves_nothing(db: Database) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the whole block is what fails
        async with db.transaction():
            await db.fetch("insert into throttle_counter (key, window_started_at) values ('a', now())")
            raise ZeroDivisionError
    assert await db.fetch_value("select count(*) from throttle_counter") == 0


async def test_piccolos_builder_uses_the_transaction_too(db: Database) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the whole block is what fails
        async with db.transaction():
            await db.fetch(
                "insert into store (id, code, name, zone, created_at) values (gen_random_uuid(), 'a', 'A', 'UTC', now())"
            )
            assert await Store.count() == 1
            raise ZeroDivisionError
    assert await Store.count() == 0


async def test_a_transaction_inside_another_is_refused(db: Database) -> None:
    async with db.transaction():
        with pytest.raises(TransactionError):
            db.transaction()


async def test_a_task_may_not_use_its_parents_transaction(db: Database) -> None:
    async with db.transaction():
        with pytest.raises(TransactionError):
            await asyncio.create_task(db.fetch("select 1"))
        assert await db.fetch_value("select 1") == 1


async def test_a_commit_that_fails_gives_its_connection_back(db: Database) -> None:
    deferred = """
    create table parent (id int primary key);
    create table child (parent int references parent deferrable initially deferred);
    """
    await db.run_script(deferred)
    for _ in range(5):
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            async with db.transaction():
                await db.fetch("insert into child values (1)")
    assert await asyncio.gather(*(db.fetch_value("select 1") for _ in range(4))) == [1] * 4


async def test_a_cancelled_request_rolls_back_and_gives_its_connection_back(db: Database) -> None:
    async def work() -> None:
        async with db.transaction():
            await db.fetch("insert into throttle_counter (key, window_started_at) values ('a', now())")
            await db.fetch("select pg_sleep(30)")

    for _ in range(4):
        task = asyncio.create_task(work())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await db.fetch_value("select count(*) from throttle_counter") == 0


async def test_a_lost_connection_is_a_reason_to_try_again_and_the_next_try_works(db: Database) -> None:
    with pytest.raises(DatabaseBusy):
        await db.fetch("select pg_terminate_backend(pg_backend_pid())")
    assert await db.fetch_value("select 1") == 1
    with pytest.raises(DatabaseBusy):
        async with db.transaction():
            await db.fetch("select pg_terminate_backend(pg_backend_pid())")
    assert await db.fetch_value("select 1") == 1


@pytest.mark.parametrize("how", ["statement", "library"])
async def test_a_connection_lost_between_two_statements_is_a_reason_to_try_again(
    db: Database, database_url: str, how: str
) -> None:
    other = await asyncpg.connect(database_url)
    with pytest.raises(DatabaseBusy):  # noqa: PT012 - the whole block is what fails
        async with db.transaction():
            pid = await db.fetch_value("select pg_backend_pid()")
            await other.execute("select pg_terminate_backend($1)", pid)
            async with db.connection() as connection:
                # The pool takes it back when the news has come, and then it cannot be asked any more.
                with contextlib.suppress(asyncpg.InterfaceError):
                    while not connection.is_closed():  # noqa: ASYNC110 - it tells nobody
                        await asyncio.sleep(0.005)
            if how == "statement":
                await db.fetch("select 1")
            # As PgQueuer asks, which is handed a connection.
            async with db.connection() as connection:
                await connection.execute("select 1")
    await other.close()
    assert await db.fetch_value("select 1") == 1
