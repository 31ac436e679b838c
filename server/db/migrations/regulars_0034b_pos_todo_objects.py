"""How what is to be done in tills is listed, and how members are found for whom a till did not answer."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from server.db.engine import DB

ID = "0034b"
VERSION = "1.38.0"
DESCRIPTION = "To-dos in the till, open ones once for two records; members who wait for a silent till"

INDEXES = """
create unique index pos_todo_once on pos_todo (kept_record, absorbed_record) where state = 'open';
create index pos_todo_open on pos_todo (created_at, id) where state = 'open';
create index pos_todo_done on pos_todo (done_at desc, id desc) where state = 'done';
create index link_check_checking on link_check (asked_at) where state = 'checking';
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="regulars", description=DESCRIPTION)

    async def run() -> None:
        await DB.run_script(INDEXES)

    manager.add_raw(run)
    return manager
