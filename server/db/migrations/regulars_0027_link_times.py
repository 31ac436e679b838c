"""How links that were made lately are found."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from server.db.engine import DB

ID = "0027"
VERSION = "1.38.0"
DESCRIPTION = "Links in force by the time at which they were made"

INDEXES = "create index pos_link_made on pos_link (linked_at) where state = 'linked';"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="regulars", description=DESCRIPTION)

    async def run() -> None:
        await DB.run_script(INDEXES)

    manager.add_raw(run)
    return manager
