"""Members rise when new rules bring them a tier, and not only with their next sale."""

from server.db.scripts import run_scripts

ID = "0054"
DESCRIPTION = "How far the worker has come in giving the tiers of new rules"

TABLE = """
create table tier_review (
    programme uuid primary key references programme (id) on delete restrict on update restrict,
    rule_version uuid not null references rule_version (id) on delete restrict on update restrict,
    place uuid
);
"""

forwards = run_scripts(ID, DESCRIPTION, TABLE)
