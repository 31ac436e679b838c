"""Rows of opening balances that were refused are told and not kept."""

from server.db.scripts import run_scripts

ID = "0042"
DESCRIPTION = (
    "Rows of opening balances that were refused are told and not kept: they may name people who were forgotten"
)

TABLES = """
delete from balance_row where state = 'refused';
alter table balance_row drop constraint balance_row_refused_says_why;
alter table balance_row drop column reason;
alter table balance_row drop constraint balance_row_state_known;
alter table balance_row add constraint balance_row_state_known check (state in ('new', 'posted'));
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
