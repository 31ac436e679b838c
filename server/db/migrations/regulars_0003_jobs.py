"""The job queue's own tables, as PgQueuer declares them, with a trigger that only new jobs fire."""

from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment

from server.db.scripts import run_scripts

ID = "0003"
DESCRIPTION = "Job queue"

# PgQueuer's own trigger notifies once per statement, even for an insert that conflicted away and for every dequeue.
# A notification makes commits queue up behind one lock, so it is sent only when a job really came in.
NOTIFY_NEW_JOBS = """
drop trigger tg_pgqueuer_changed on pgqueuer;
create trigger tg_pgqueuer_changed after insert on pgqueuer for each row execute function fn_pgqueuer_changed();
"""

forwards = run_scripts(ID, DESCRIPTION, QueryBuilderEnvironment().build_install_query(), NOTIFY_NEW_JOBS)
