"""Members rise when new rules bring them a tier, and not only with their next sale; an index of successors again."""

from server.db.scripts import run_scripts

ID = "0054"
DESCRIPTION = "How far the worker has come in giving the tiers of new rules; the index of successors is back"

TABLE = """
create table tier_review (
    programme uuid primary key references programme (id) on delete restrict on update restrict,
    rule_version uuid not null references rule_version (id) on delete restrict on update restrict,
    place uuid
);
"""

# It was there twice, and then both went. Without it every sale under tiers or caps reads all memberships.
SUCCESSORS = """
create index membership_successor on membership (successor) where successor is not null;
create or replace function regulars_family(heir uuid) returns setof uuid language sql stable as $$
    with recursive family as (
        select heir as id
        union
        select m.id from membership m join family f on m.successor = f.id and m.successor is not null
    )
    select id from family
$$;
"""

forwards = run_scripts(ID, DESCRIPTION, TABLE, SUCCESSORS)
