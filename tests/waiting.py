"""Waiting for what another connection does."""

import asyncio

from server.db.engine import DB

# The second who waits for a row waits for the first, not for who holds it. A transaction sees the activity as it was when
# it first looked, unless told otherwise.
_LOOK_AGAIN = "select pg_stat_clear_snapshot()"
_WAITING = """
select 1 from pg_stat_activity where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0
"""


async def until_somebody_waits(count: int = 1) -> None:
    """Return when so many other connections wait for a lock."""
    async with asyncio.timeout(60):
        while await DB.fetch(_LOOK_AGAIN) and len(await DB.fetch(_WAITING)) < count:  # noqa: ASYNC110 - PostgreSQL tells nobody
            await asyncio.sleep(0.005)
