"""Adjustments, opening balances, notices of lapsing points."""

from server.db.scripts import run_scripts

ID = "0008"
DESCRIPTION = "Adjustments, opening balances, notices of lapsing points"

TABLES = """
create table import_batch (
    id uuid primary key,
    kind text not null,
    name text not null,
    file_hash bytea not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    constraint import_batch_once unique (kind, name),
    constraint import_batch_kind_known check (kind in ('balances'))
);

create table expiry_notice (
    id uuid primary key,
    membership uuid not null references membership (id) on delete restrict on update restrict,
    expires_at timestamptz not null,
    days smallint not null,
    at timestamptz not null,
    constraint expiry_notice_once unique (membership, expires_at, days)
);

create table adjustment (
    id uuid primary key,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    membership uuid not null references membership (id) on delete restrict on update restrict,
    store uuid references store (id) on delete restrict on update restrict,
    points bigint not null,
    reason_code text not null,
    note text not null default '',
    visible boolean not null default false,
    state text not null,
    needs text[] not null default '{}',
    requested_by uuid not null references staff_member (id) on delete restrict on update restrict,
    requested_role text not null,
    requested_at timestamptz not null,
    lapses_at timestamptz,
    decided_by uuid references staff_member (id) on delete restrict on update restrict,
    decided_at timestamptz,
    decision_note text not null default '',
    entry uuid references ledger_entry (id) on delete restrict on update restrict,
    posted_at timestamptz,
    undone_by uuid references staff_member (id) on delete restrict on update restrict,
    undone_at timestamptz,
    undo_note text not null default '',
    constraint adjustment_not_zero check (points <> 0),
    constraint adjustment_state_known check (state in ('waiting', 'posted', 'refused', 'undone')),
    constraint adjustment_by_two check (decided_by <> requested_by),
    constraint adjustment_waits_for_somebody check (state <> 'waiting' or (decided_by is null and lapses_at is not
        null)),
    constraint adjustment_posted_has_entry check ((state in ('posted', 'undone')) = (entry is not null) and (entry is
        null) = (posted_at is null)),
    constraint adjustment_large_has_two check (state = 'waiting' or cardinality(needs) = 0 or decided_by is not null)
);
create index adjustment_requested_by on adjustment (requested_by);
create index adjustment_decided_by on adjustment (decided_by);
create index adjustment_entry on adjustment (entry);
create index adjustment_undone_by on adjustment (undone_by);

create table balance_row (
    id uuid primary key,
    batch uuid not null references import_batch (id) on delete restrict on update restrict,
    row_key text not null,
    line integer not null default 0,
    identified_by text not null,
    identifier text not null,
    points bigint not null,
    earned_at timestamptz not null,
    expires_at timestamptz,
    state text not null default 'new',
    reason text,
    customer uuid references customer (id) on delete restrict on update restrict,
    membership uuid references membership (id) on delete restrict on update restrict,
    entry uuid references ledger_entry (id) on delete restrict on update restrict,
    constraint balance_row_once unique (batch, row_key),
    constraint balance_row_state_known check (state in ('new', 'posted', 'refused')),
    constraint balance_row_posted_has_entry check ((state = 'posted') = (entry is not null)),
    constraint balance_row_refused_says_why check ((state = 'refused') = (reason is not null)),
    constraint balance_row_points_positive check (points > 0)
);
create index balance_row_batch on balance_row (batch);
create index balance_row_entry on balance_row (entry);
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
