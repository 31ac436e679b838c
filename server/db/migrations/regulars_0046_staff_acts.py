"""What staff did lately, for the reports about them."""

from server.db.scripts import run_scripts

ID = "0046"
DESCRIPTION = "Index of what staff did, by time"

# Nearly all of the trail is sales by tills; a report about staff reads only the days that it is about.
INDEX = "create index audit_entry_staff on audit_entry (at) where actor_kind = 'staff';"

forwards = run_scripts(ID, DESCRIPTION, INDEX)
