"""Indexes of what tills still say of moved orders, and of bonuses by their sale."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from server.db.engine import DB

ID = "0017"
VERSION = "1.38.0"
DESCRIPTION = "Index of differences with tills"

# Staff page through the differences, the one that was seen last first.
INDEXES = """
create index order_difference_newest on order_difference (last_seen_at desc, "order" desc);
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="regulars", description=DESCRIPTION)

    async def run() -> None:
        await DB.run_script(INDEXES)

    manager.add_raw(run)
    return manager
