"""Merges of customers."""

from server.db.scripts import run_scripts

ID = "0022"
DESCRIPTION = "Merges of customers"

TABLES = """
create table merge (
    id uuid primary key,
    survivor uuid not null references customer (id) on delete restrict on update restrict,
    absorbed uuid not null references customer (id) on delete restrict on update restrict,
    method text not null,
    state text not null,
    reason text not null default '',
    choices jsonb not null default '{}',
    needs text[] not null default '{}',
    preview_hash text not null default '',
    requested_by uuid references staff_member (id) on delete restrict on update restrict,
    requested_at timestamptz not null,
    lapses_at timestamptz,
    decided_by uuid references staff_member (id) on delete restrict on update restrict,
    decided_at timestamptz,
    decision_note text not null default '',
    effects jsonb not null default '{}',
    done_at timestamptz,
    undo_until timestamptz,
    undone_at timestamptz,
    undone_by uuid,
    undo_note text not null default '',
    disputed_at timestamptz,
    constraint merge_of_two check (survivor <> absorbed),
    constraint merge_method_known check (method in ('staff', 'claim')),
    constraint merge_state_known check (state in ('waiting', 'done', 'refused', 'undone')),
    constraint merge_by_two check (decided_by <> requested_by),
    constraint merge_needs_two check (state not in ('done', 'undone') or cardinality(needs) = 0 or decided_by is not
        null),
    constraint merge_done_says_when check ((state in ('done', 'undone')) = (done_at is not null)),
    constraint merge_undone_says_when check ((state = 'undone') = (undone_at is not null)),
    constraint merge_waits_for_somebody check (state <> 'waiting' or (decided_by is null and lapses_at is not null))
);
create index merge_survivor on merge (survivor);
create index merge_absorbed on merge (absorbed);
create index merge_requested_by on merge (requested_by);
create index merge_decided_by on merge (decided_by);
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
