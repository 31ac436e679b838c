"""Indexes of refunds that Piccolo's tables cannot express."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from server.db.engine import DB

ID = "0013"
VERSION = "1.38.0"
DESCRIPTION = "Indexes of refunds that wait, and of the pages of the list"

# An arriving order looks for refunds that wait for it; staff page through one state or all.
INDEXES = """
create index refund_parked on refund (connection, original_external_id) where state = 'parked';
create index refund_newest on refund (created_at desc, id desc);
create index refund_state_newest on refund (state, created_at desc, id desc);
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="regulars", description=DESCRIPTION)

    async def run() -> None:
        await DB.run_script(INDEXES)

    manager.add_raw(run)
    return manager
