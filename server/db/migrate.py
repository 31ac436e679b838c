"""Bringing a database to the current schema."""

import contextlib
import io
import os

import asyncpg

from server.db.engine import DB

# Any constant will do; it only has to be the same in every process that migrates.
_LOCK_KEY = 0x5265_6775


class MigrationFailed(Exception):
    """A migration did not apply; the message holds what Piccolo printed."""


async def migrate(dsn: str) -> None:
    """Apply every migration that the database lacks; several processes at once are safe.

    Opens and closes the process's engine unless it is open already.

    Raises:
        MigrationFailed: With Piccolo's output.
    """
    opened_here = DB.pool is None
    if opened_here:
        await DB.open(dsn, size=2)
    guard = await asyncpg.connect(dsn)
    try:
        await guard.execute("select pg_advisory_lock($1)", _LOCK_KEY)
        await _run_forwards()
    finally:
        await guard.close()
        if opened_here:
            await DB.close()


async def _run_forwards() -> None:
    os.environ.setdefault("PICCOLO_CONF", "server.db.piccolo_conf")
    # Imported here, as Piccolo's migration machinery costs half a second that only a start-up should pay.
    from piccolo.apps.migrations.commands.forwards import ForwardsMigrationManager

    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        result = await ForwardsMigrationManager(app_name="regulars").run()
    if not result.success:
        raise MigrationFailed(output.getvalue())
