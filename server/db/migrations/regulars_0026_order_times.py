"""How orders that came since an instant are found."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from server.db.engine import DB

ID = "0026"
VERSION = "1.38.0"
DESCRIPTION = "Orders by the time at which they came"

# Orders are written in the order of their times, for which this index of a few pages is enough.
INDEXES = "create index orders_created on orders using brin (created_at);"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="regulars", description=DESCRIPTION)

    async def run() -> None:
        await DB.run_script(INDEXES)

    manager.add_raw(run)
    return manager
