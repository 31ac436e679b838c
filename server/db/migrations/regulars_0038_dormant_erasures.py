"""Why an erasure was begun: by a wish, or because nobody came for years."""

from server.db.scripts import run_scripts

ID = "0038"
DESCRIPTION = "Why an erasure was begun: by a wish, or because nobody came for years"

TABLES = """
alter table erasure add column cause text not null default 'wish';
alter table erasure add constraint erasure_cause_known check (cause in ('wish', 'dormant'));
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
