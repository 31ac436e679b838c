"""POS records, links, checks, reviews, and the exchange with till systems."""

from server.db.scripts import run_scripts

ID = "0024"
DESCRIPTION = "POS records, links, checks, reviews, and the exchange with till systems"

TABLES = """
create table hook_event (
    event_id text primary key,
    received_at timestamptz not null
);

create table pos_record (
    id uuid primary key,
    connection uuid not null references pos_connection (id) on delete restrict on update restrict,
    external_id text not null,
    merged_into uuid references pos_record (id) on delete restrict on update restrict,
    given_name text not null default '',
    family_name text not null default '',
    name_key text not null default '',
    email text,
    email_key text,
    email_since_at timestamptz,
    former_emails text[] not null default '{}',
    phone text,
    phone_key text,
    card_number text,
    made_here boolean not null default false,
    removed_at timestamptz,
    source_changed_at timestamptz,
    content_hash bytea not null,
    created_at timestamptz not null,
    changed_at timestamptz not null,
    constraint pos_record_once unique (connection, external_id),
    constraint pos_record_not_its_own_alias check (merged_into <> id),
    constraint pos_record_email_whole check (num_nulls(email, email_key, email_since_at) in (0, 3)),
    constraint pos_record_phone_whole check ((phone is null) = (phone_key is null))
);

create table pos_cycle (
    id uuid primary key,
    connection uuid not null references pos_connection (id) on delete restrict on update restrict,
    cause text not null,
    state text not null default 'running',
    started_at timestamptz not null,
    finished_at timestamptz,
    error text,
    figures jsonb not null default '{}',
    constraint pos_cycle_cause_known check (cause in ('clock', 'hook', 'staff')),
    constraint pos_cycle_state_known check (state in ('running', 'done', 'failed')),
    constraint pos_cycle_over_says_when check ((state = 'running') = (finished_at is null))
);

create table pos_state (
    connection uuid primary key references pos_connection (id) on delete restrict on update restrict,
    customers_until_at timestamptz,
    orders_until_at timestamptz,
    members_until_at timestamptz,
    lease_holder uuid,
    lease_until timestamptz,
    last_success_at timestamptz,
    created_at timestamptz not null
);

create table pos_staged (
    id uuid primary key,
    connection uuid not null references pos_connection (id) on delete restrict on update restrict,
    kind text not null,
    external_id text not null,
    changed_at timestamptz not null,
    payload jsonb not null default '{}',
    content_hash bytea not null,
    state text not null default 'new',
    reason text,
    detail text not null default '',
    staged_at timestamptz not null,
    constraint pos_staged_once unique (connection, kind, external_id),
    constraint pos_staged_kind_known check (kind in ('customer', 'order')),
    constraint pos_staged_state_known check (state in ('new', 'done', 'quarantined')),
    constraint pos_staged_quarantined_says_why check ((state = 'quarantined') = (reason is not null))
);

create table link_check (
    customer uuid primary key references customer (id) on delete restrict on update restrict,
    state text not null default 'checking',
    asked_at timestamptz not null,
    checked_at timestamptz,
    next_check_at timestamptz,
    tries integer not null default 0,
    constraint link_check_state_known check (state in ('checking', 'unlinked', 'waiting', 'needs_help', 'linked'))
);

create table link_review (
    id uuid primary key,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    record uuid not null references pos_record (id) on delete restrict on update restrict,
    other_customer uuid references customer (id) on delete restrict on update restrict,
    reason text not null,
    state text not null default 'open',
    created_at timestamptz not null,
    settled_at timestamptz,
    settled_by uuid references staff_member (id) on delete restrict on update restrict,
    note text not null default '',
    constraint link_review_reason_known check (reason in ('ambiguous', 'taken', 'merged_in_pos')),
    constraint link_review_state_known check (state in ('open', 'settled')),
    constraint link_review_settled_says_when check ((state = 'settled') = (settled_at is not null))
);
create index link_review_customer on link_review (customer);
create index link_review_record on link_review (record);
create index link_review_other_customer on link_review (other_customer);
create index link_review_settled_by on link_review (settled_by);

create table pos_link (
    id uuid primary key,
    record uuid not null references pos_record (id) on delete restrict on update restrict,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    state text not null default 'linked',
    method text not null,
    evidence text not null default '',
    reason text not null default '',
    actor_kind text not null,
    actor_id uuid,
    created_at timestamptz not null,
    linked_at timestamptz,
    approved_by uuid references staff_member (id) on delete restrict on update restrict,
    orders_found integer not null default 0,
    orders_counted integer not null default 0,
    points bigint not null default 0,
    ended_at timestamptz,
    ended_reason text,
    constraint pos_link_state_known check (state in ('waiting', 'linked', 'ended')),
    constraint pos_link_method_known check (method in ('email', 'card_and_email', 'phone_and_email', 'staff_match',
        'staff_attest', 'pushed', 'import')),
    constraint pos_link_in_force_says_when check (state <> 'linked' or linked_at is not null),
    constraint pos_link_over_says_why check ((state = 'ended') = (ended_at is not null) and (ended_at is null) =
        (ended_reason is null))
);
create index pos_link_customer on pos_link (customer);
create index pos_link_approved_by on pos_link (approved_by);
alter table orders add column pos_customer_id text;
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
