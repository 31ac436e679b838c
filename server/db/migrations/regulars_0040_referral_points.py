"""What a referral left to who brought a friend, and sales by the time of their completion."""

from server.db.scripts import run_scripts

ID = "0040"
DESCRIPTION = "What a referral left to who brought a friend, and sales by the time of their completion"

TABLES = """
alter table referral add column referrer_points bigint not null default 0;
alter table referral add column paid_at timestamptz;
"""

# What the rules of the time gave; what was paid is told by the grants.
FIGURES = """
update referral r set referrer_points = coalesce((
    select (v.body -> 'bonuses' ->> 'referrer')::bigint from rule_version v
    where v.programme = r.programme and v.valid_from <= r.completed_at order by v.valid_from desc, v.version desc limit 1
), 0)
where r.completed_at is not null;
update referral r set paid_at = g.at, referrer_points = g.points
from bonus_grant g where g.programme = r.programme and g.code = 'referrer' and g.occasion = r.id::text;
"""

# Sales are written in about the order of their completion, so an index of a few pages finds those of some months.
INDEXES = """
create index referral_unpaid on referral (programme, completed_at)
    where completed_at is not null and referrer_points > 0 and paid_at is null;
create index orders_completed on orders using brin (completed_at);
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES, FIGURES, INDEXES)
