"""How links that were made lately are found."""

from server.db.scripts import run_scripts

ID = "0027"
DESCRIPTION = "Links in force by the time at which they were made"

INDEXES = "create index pos_link_made on pos_link (linked_at) where state = 'linked';"

forwards = run_scripts(ID, DESCRIPTION, INDEXES)
