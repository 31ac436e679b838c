"""Migrations are SQL: a change of the schema is made in `server.db.tables` and in a new file of `server/db/migrations`.

A test holds that the migrations make exactly the tables in code, so neither can be forgotten. A migration that some shop has
run is never changed, as it is not run again there.
"""

from collections.abc import Awaitable, Callable

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from server.db.engine import DB


def run_scripts(migration_id: str, description: str, *scripts: str) -> Callable[[], Awaitable[MigrationManager]]:
    """Return the `forwards` of a migration that runs some scripts of SQL, all in one transaction."""

    async def forwards() -> MigrationManager:
        manager = MigrationManager(migration_id=migration_id, app_name="regulars", description=description)

        async def run() -> None:
            for script in scripts:
                await DB.run_script(script)

        manager.add_raw(run)
        return manager

    return forwards
