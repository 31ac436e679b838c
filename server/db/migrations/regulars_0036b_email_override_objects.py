"""Indexes of corrections that wait: what is due, and all of them as staff page through."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from server.db.engine import DB

ID = "0036b"
VERSION = "1.38.0"
DESCRIPTION = "What the worker and staff look for among corrections of proven addresses"

INDEXES = """
create index email_change_due on email_change (execute_after) where state = 'pending' and execute_after is not null;
create index email_change_overrides on email_change (requested_at desc, id desc) where is_override;
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="regulars", description=DESCRIPTION)

    async def run() -> None:
        await DB.run_script(INDEXES)

    manager.add_raw(run)
    return manager
