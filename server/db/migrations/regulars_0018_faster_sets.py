"""Indexes for large sets."""

from server.db.scripts import run_scripts

ID = "0018"
DESCRIPTION = "One index of successors; lapsed lots in the order of their members"

# The run that books lapsed lots goes on from where it was, member by member within an instant. Of the two indexes of
# successors, `membership_by_successor` stays.
INDEXES = """
drop index if exists membership_successor;
drop index lot_lapse;
create index lot_lapse on lot (expires_at, membership) where remaining > 0 and expires_at is not null;
"""

forwards = run_scripts(ID, DESCRIPTION, INDEXES)
