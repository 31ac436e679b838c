"""Indexes for what the limits of adjustments count, and for the reports."""

from server.db.scripts import run_scripts

ID = "0009"
DESCRIPTION = "Indexes of adjustments, opening balances and reports"

# The limits look back 30 days: by person, by member and by store; the console lists what waits.
ADJUSTMENTS = """
create index adjustment_requester_lately on adjustment (requested_by, posted_at) where posted_at is not null;
create index adjustment_membership_lately on adjustment (membership, posted_at) where posted_at is not null;
create index adjustment_customer on adjustment (customer, requested_at desc, id desc);
create index adjustment_store_lately on adjustment (store, posted_at) where posted_at is not null;
create index adjustment_newest on adjustment (requested_at desc, id desc);
create index adjustment_waiting on adjustment (requested_at desc, id desc) where state = 'waiting';
"""

# An import asks for the rows of a batch that are still to do, in the order of the file.
IMPORTS = """
create index balance_row_to_do on balance_row (batch, line) where state = 'new';
"""

# A report reads the entries of a period, of all memberships.
REPORTS = """
create index ledger_entry_posted on ledger_entry using brin (posted_at) with (pages_per_range = 32);
"""

forwards = run_scripts(ID, DESCRIPTION, ADJUSTMENTS, IMPORTS, REPORTS)
