"""Indexes of merges that Piccolo's tables cannot express."""

from server.db.scripts import run_scripts

ID = "0023"
DESCRIPTION = "A customer is absorbed once at a time; tombstones are found by their survivor"

# A customer's page tells who was merged into it; staff page through what waits for a second person.
INDEXES = """
create unique index merge_absorbed_once on merge (absorbed) where state = 'done';
create unique index merge_waiting_once on merge (survivor, absorbed) where state = 'waiting';
create index merge_newest on merge (requested_at desc, id desc);
create index customer_merged_into on customer (merged_into) where merged_into is not null;
"""

forwards = run_scripts(ID, DESCRIPTION, INDEXES)
