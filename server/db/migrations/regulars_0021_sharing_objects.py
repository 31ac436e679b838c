"""Indexes of sharing that Piccolo's tables cannot express."""

from server.db.scripts import run_scripts

ID = "0021"
DESCRIPTION = "A membership is combined once at a time; an address is invited once at a time"

# Whether a membership is in a later operation decides what can be undone; what is left of moved points is followed from
# entry to entry.
INDEXES = """
create unique index sharing_operation_combined_once on sharing_operation (other) where kind = 'combine' and state = 'done';
create index sharing_operation_newest on sharing_operation (membership, at desc, id desc);
create unique index sharing_invitation_open_once on sharing_invitation (membership, email_key) where state = 'open';
create index ledger_entry_transferred on ledger_entry (related_entry) where kind in ('TRANSFER_IN', 'TRANSFER_OUT');
"""

forwards = run_scripts(ID, DESCRIPTION, INDEXES)
