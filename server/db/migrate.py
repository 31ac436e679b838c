"""Bringing a database to the current schema."""

import contextlib
import io
import os
from pathlib import Path
from typing import Final

import asyncpg

from server.db.engine import DB

# Any constant will do; it only has to be the same in every process that migrates.
_LOCK_KEY = 0x5265_6775
_MIGRATIONS: Final = Path(__file__).parent / "migrations"


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
        if not await is_current(guard):
            await guard.execute("select pg_advisory_lock($1)", _LOCK_KEY)
            await _run_forwards()
    finally:
        await guard.close()
        if opened_here:
            await DB.close()


async def is_current(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Return whether a database has every migration of this version: two quick looks that spare most starts the rest."""
    if await connection.fetchval("select to_regclass('migration')") is None:
        return False
    rows = await connection.fetch("select name from migration where app_name = 'regulars'")
    return _known_migrations() <= {row["name"] for row in rows}


def _known_migrations() -> set[str]:
    # A migration's file bears its id: regulars_0002_objects.py is "0002".
    return {path.name.split("_")[1] for path in _MIGRATIONS.glob("regulars_*.py")}


async def _run_forwards() -> None:
    os.environ.setdefault("PICCOLO_CONF", "server.db.piccolo_conf")
    # Imported here, as Piccolo's migration machinery costs half a second that only a start-up should pay.
    from piccolo.apps.migrations.commands.forwards import ForwardsMigrationManager

    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        result = await ForwardsMigrationManager(app_name="regulars").run()
    if not result.success:
        raise MigrationFailed(output.getvalue())
