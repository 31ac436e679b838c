"""Waiting for what another connection does."""

import asyncio

from server.db.engine import DB

_WAITING = "select 1 from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid))"


async def until_somebody_waits() -> None:
    """Return when another connection waits for a lock that this one holds."""
    async with asyncio.timeout(60):
        while not await DB.fetch(_WAITING):  # noqa: ASYNC110 - PostgreSQL tells nobody
            await asyncio.sleep(0.005)
