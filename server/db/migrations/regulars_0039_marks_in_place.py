"""A contact that is marked once more is written in place: what its indexes look at no longer changes with every mark."""

from server.db.scripts import run_scripts

ID = "0039"
DESCRIPTION = "Whether a contact is dirty as a column that indexes can look at; an index that was there twice goes"

# A row whose indexed columns stay the same needs no new index entries (HOT), and a mark of a dirty contact changes none of
# them now. Room is left on each page for it, and for the balances of memberships, which no index looks at.
MARKS = """
alter table audience_contact add column is_dirty boolean not null generated always as (dirty_seq > pushed_seq) stored;
alter table audience_contact set (fillfactor = 85);
alter table membership set (fillfactor = 85);
drop index audience_contact_due;
create index audience_contact_due on audience_contact (next_try_at) where is_dirty and parked_reason is null;
"""

TWICE = "drop index membership_by_successor;"

forwards = run_scripts(ID, DESCRIPTION, MARKS, TWICE)
