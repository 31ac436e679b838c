"""How orders that came since an instant are found."""

from server.db.scripts import run_scripts

ID = "0026"
DESCRIPTION = "Orders by the time at which they came"

# Orders are written in the order of their times, for which this index of a few pages is enough.
INDEXES = "create index orders_created on orders using brin (created_at);"

forwards = run_scripts(ID, DESCRIPTION, INDEXES)
