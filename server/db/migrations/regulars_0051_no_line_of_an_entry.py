"""Entries are for whole orders; which line brought how much stands with the line."""

from server.db.scripts import run_scripts

ID = "0051"
DESCRIPTION = "A column goes that nothing was ever written to, with its check of every new entry"

DROP = "alter table ledger_entry drop column order_line;"

forwards = run_scripts(ID, DESCRIPTION, DROP)
