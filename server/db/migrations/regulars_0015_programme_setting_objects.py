"""Indexes and figures for points that lapse by inactivity."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from server.db.engine import DB

ID = "0015"
VERSION = "1.38.0"
DESCRIPTION = "When members were last active, the index of their lots under inactivity"

# A sale or a redemption moves the dates of these lots.
IDLE = "create index lot_idle on lot (membership) where idle_days is not null and remaining > 0;"

ACTIVE = """
update membership m set active_at = e.at
from (select membership, max(occurred_at) as at from ledger_entry where kind in ('EARN', 'REDEEM') group by membership) e
where e.membership = m.id;
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="regulars", description=DESCRIPTION)

    async def run() -> None:
        await DB.run_script(IDLE)
        await DB.run_script(ACTIVE)

    manager.add_raw(run)
    return manager
