"""Jobs: work that leaves the process, committed with its cause and carried out by the worker.

PgQueuer keeps them in our database; enqueuing uses the caller's transaction, so a job exists exactly if its cause does.
"""

from datetime import timedelta

import msgspec
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

from server.db.engine import DB


async def enqueue(
    entrypoint: str,
    payload: msgspec.Struct | None = None,
    *,
    dedupe_key: str | None = None,
    delay: timedelta | None = None,
    priority: int = 0,
) -> None:
    """Add a job in the current transaction, or at once outside of one.

    Args:
        entrypoint: Name under which the worker knows the handler.
        payload: Struct with ids only; the handler reads the current state itself.
        dedupe_key: While a job with this key waits or runs, another is not added.
        delay: Time to wait before the first try.
        priority: Higher goes first.
    """
    async with DB.connection() as connection:
        await Queries(AsyncpgDriver(connection)).enqueue(
            entrypoint,
            msgspec.json.encode(payload) if payload is not None else None,
            priority=priority,
            execute_after=delay,
            dedupe_key=dedupe_key,
            on_conflict="skip",
        )
