"""Exports of personal data, erasures, what may not come back."""

from server.db.scripts import run_scripts

ID = "0032"
DESCRIPTION = "Exports of personal data, erasures, what may not come back"

TABLES = """
create table erasure (
    id uuid primary key,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    state text not null,
    requested_by_kind text not null,
    requested_by_id uuid,
    requested_at timestamptz not null,
    answer_by timestamptz not null,
    reason text not null default '',
    needs text[] not null default '{}',
    approved_by uuid references staff_member (id) on delete restrict on update restrict,
    approved_at timestamptz,
    execute_after timestamptz,
    blocked_by text,
    ended_at timestamptz,
    executed_at timestamptz,
    done_at timestamptz,
    journalled_at timestamptz,
    pos_records text[] not null default '{}',
    effects jsonb not null default '{}',
    constraint erasure_state_known check (state in ('waiting', 'cooling', 'executed', 'done', 'cancelled')),
    constraint erasure_by_two check (requested_by_kind <> 'staff' or approved_by <> requested_by_id),
    constraint erasure_needs_two check (state in ('waiting', 'cancelled') or cardinality(needs) = 0 or approved_by is
        not null),
    constraint erasure_cooling_has_end check (state in ('waiting', 'cancelled') or execute_after is not null),
    constraint erasure_executed_says_when check ((state in ('executed', 'done')) = (executed_at is not null)),
    constraint erasure_done_says_when check ((state = 'done') = (done_at is not null)),
    constraint erasure_cancelled_says_when check ((state = 'cancelled') = (ended_at is not null))
);
create index erasure_customer on erasure (customer);
create index erasure_approved_by on erasure (approved_by);

create table personal_export (
    id uuid primary key,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    state text not null default 'waiting',
    requested_by_kind text not null,
    requested_by_id uuid,
    requested_at timestamptz not null,
    ready_at timestamptz,
    expires_at timestamptz,
    bytes_count bigint not null default 0,
    constraint personal_export_state_known check (state in ('waiting', 'ready', 'expired')),
    constraint personal_export_ready_says_until check (state = 'waiting' or (ready_at is not null and expires_at is
        not null))
);
create index personal_export_customer on personal_export (customer);

create table suppression (
    hash bytea primary key,
    kind text not null,
    erasure uuid not null references erasure (id) on delete restrict on update restrict,
    created_at timestamptz not null,
    constraint suppression_kind_known check (kind in ('email', 'phone', 'card', 'pos'))
);
create index suppression_erasure on suppression (erasure);

create table personal_export_part (
    id uuid primary key,
    export uuid not null references personal_export (id) on delete restrict on update restrict,
    number integer not null default 0,
    content bytea not null,
    constraint personal_export_part_once unique (export, number)
);
create index personal_export_part_export on personal_export_part (export);
alter table contact_point add column bounced_at timestamptz;
alter table audience_contact add constraint audience_contact_state_listed check (state in ('live', 'closing',
    'closed', 'erasing', 'forgotten'));
alter table audience_contact drop constraint audience_contact_state_known;
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
