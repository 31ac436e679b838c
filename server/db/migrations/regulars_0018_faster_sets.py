"""Indexes for large sets."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from server.db.engine import DB

ID = "0018"
VERSION = "1.38.0"
DESCRIPTION = "One index of successors; lapsed lots in the order of their members"

# The run that books lapsed lots goes on from where it was, member by member within an instant. Of the two indexes of
# successors, `membership_by_successor` stays.
INDEXES = """
drop index if exists membership_successor;
drop index lot_lapse;
create index lot_lapse on lot (expires_at, membership) where remaining > 0 and expires_at is not null;
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="regulars", description=DESCRIPTION)

    async def run() -> None:
        await DB.run_script(INDEXES)

    manager.add_raw(run)
    return manager
