"""Indexes of refunds that Piccolo's tables cannot express."""

from server.db.scripts import run_scripts

ID = "0013"
DESCRIPTION = "Indexes of refunds that wait, and of the pages of the list"

# An arriving order looks for refunds that wait for it; staff page through one state or all.
INDEXES = """
create index refund_parked on refund (connection, original_external_id) where state = 'parked';
create index refund_newest on refund (created_at desc, id desc);
create index refund_state_newest on refund (state, created_at desc, id desc);
"""

forwards = run_scripts(ID, DESCRIPTION, INDEXES)
