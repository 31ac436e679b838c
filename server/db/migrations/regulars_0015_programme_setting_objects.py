"""Indexes and figures for points that lapse by inactivity."""

from server.db.scripts import run_scripts

ID = "0015"
DESCRIPTION = "When members were last active, the index of their lots under inactivity, uses of promotions that change"

# A sale or a redemption moves the dates of these lots.
IDLE = "create index lot_idle on lot (membership) where idle_days is not null and remaining > 0;"

# What promotions added to a sale changes with the sale, and the ledger tells what was posted.
USES = """
drop trigger promotion_use_append_only on promotion_use;
drop trigger promotion_use_no_truncate on promotion_use;
"""

ACTIVE = """
update membership m set active_at = e.at
from (select membership, max(occurred_at) as at from ledger_entry where kind in ('EARN', 'REDEEM') group by membership) e
where e.membership = m.id;
"""

forwards = run_scripts(ID, DESCRIPTION, IDLE, USES, ACTIVE)
