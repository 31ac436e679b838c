"""The job queue's own tables, as PgQueuer declares them, with a trigger that only new jobs fire."""

from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from server.db.engine import DB

ID = "0003"
VERSION = "1.38.0"
DESCRIPTION = "Job queue"

# PgQueuer's own trigger notifies once per statement, even for an insert that conflicted away and for every dequeue.
# A notification makes commits queue up behind one lock, so it is sent only when a job really came in.
NOTIFY_NEW_JOBS = """
drop trigger tg_pgqueuer_changed on pgqueuer;
create trigger tg_pgqueuer_changed after insert on pgqueuer for each row execute function fn_pgqueuer_changed();
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="regulars", description=DESCRIPTION)

    async def run() -> None:
        await DB.run_script(QueryBuilderEnvironment().build_install_query())
        await DB.run_script(NOTIFY_NEW_JOBS)

    manager.add_raw(run)
    return manager
