"""When mail last arrived at an address, so that a bounce that is told late does not flag it."""

from server.db.scripts import run_scripts

ID = "0048"
DESCRIPTION = "When mail last arrived at an address, so that a bounce that is told late does not flag it"

TABLES = """
alter table contact_point add column delivered_at timestamptz;
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
