"""Customers who may be one person."""

from server.db.scripts import run_scripts

ID = "0030"
DESCRIPTION = "Customers who may be one person"

TABLES = """
create table duplicate_mark (
    id uuid primary key,
    customer uuid,
    marked_at timestamptz not null
);

create table duplicate_profile (
    customer uuid primary key references customer (id) on delete restrict on update restrict,
    keys bigint[] not null default '{}',
    made_at timestamptz not null
);

create table duplicate_candidate (
    id uuid primary key,
    one uuid not null references customer (id) on delete restrict on update restrict,
    other uuid not null references customer (id) on delete restrict on update restrict,
    score integer not null,
    signs text[] not null default '{}',
    state text not null default 'open',
    found_at timestamptz not null,
    decided_by uuid references staff_member (id) on delete restrict on update restrict,
    decided_at timestamptz,
    note text not null default '',
    constraint duplicate_candidate_once unique (one, other),
    constraint duplicate_candidate_ordered check (one < other),
    constraint duplicate_candidate_state_known check (state in ('open', 'dismissed', 'merged')),
    constraint duplicate_candidate_decided_says_when check ((state = 'open') = (decided_at is null)),
    constraint duplicate_candidate_open_is_nobodys check (state <> 'open' or decided_by is null)
);
create index duplicate_candidate_one on duplicate_candidate (one);
create index duplicate_candidate_other on duplicate_candidate (other);
create index duplicate_candidate_decided_by on duplicate_candidate (decided_by);
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
