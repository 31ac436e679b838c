"""Indexes of merges that Piccolo's tables cannot express."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from server.db.engine import DB

ID = "0023"
VERSION = "1.38.0"
DESCRIPTION = "A customer is absorbed once at a time; tombstones are found by their survivor"

# A customer's page tells who was merged into it; staff page through what waits for a second person.
INDEXES = """
create unique index merge_absorbed_once on merge (absorbed) where state = 'done';
create unique index merge_waiting_once on merge (survivor, absorbed) where state = 'waiting';
create index merge_newest on merge (requested_at desc, id desc);
create index customer_merged_into on customer (merged_into) where merged_into is not null;
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="regulars", description=DESCRIPTION)

    async def run() -> None:
        await DB.run_script(INDEXES)

    manager.add_raw(run)
    return manager
