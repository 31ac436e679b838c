"""No index twice."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from server.db.engine import DB

ID = "0018"
VERSION = "1.38.0"
DESCRIPTION = "One index of successors"

# `membership_by_successor` is the same.
INDEXES = "drop index if exists membership_successor;"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="regulars", description=DESCRIPTION)

    async def run() -> None:
        await DB.run_script(INDEXES)

    manager.add_raw(run)
    return manager
