"""Indexes of what tills still say of moved orders, and of points that were given back."""

from server.db.scripts import run_scripts

ID = "0017"
DESCRIPTION = "Indexes of differences with tills and of points given back"

# Staff page through the differences, the one that was seen last first; what of a redemption is back is asked for by it.
INDEXES = """
create index order_difference_newest on order_difference (last_seen_at desc, "order" desc);
create index ledger_entry_restored on ledger_entry (related_entry) where kind = 'RESTORE';
"""


# What was taken back stays so, as the grant itself does.
APPEND_ONLY = """
create trigger bonus_return_append_only before update or delete on bonus_return
    for each row execute function regulars_refuse_change();
create trigger bonus_return_no_truncate before truncate on bonus_return
    for each statement execute function regulars_refuse_change();
"""

forwards = run_scripts(ID, DESCRIPTION, INDEXES, APPEND_ONLY)
