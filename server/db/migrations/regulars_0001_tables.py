"""Create all tables."""

from server.db.scripts import run_scripts

ID = "0001"
DESCRIPTION = "Create all tables"

TABLES = """
create table signup_intent (
    id uuid primary key,
    email text not null,
    email_key text not null,
    password_hash text not null,
    given_name text not null,
    family_name text not null,
    phone text,
    birth_year smallint,
    birth_month smallint,
    birth_day smallint,
    email_consent boolean not null default false,
    sms_consent boolean not null default false,
    wording_version text,
    card_number text,
    network text,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    confirmed_at timestamptz
);
create index signup_intent_email_key on signup_intent (email_key);

create table programme (
    id uuid primary key,
    code text unique not null,
    name text not null,
    unit_one text not null default 'point',
    unit_many text not null default 'points',
    zone text not null,
    currency text not null,
    launch_at timestamptz not null,
    status text not null default 'active',
    max_sharers integer not null default 6,
    version integer not null default 1,
    is_default boolean not null default false,
    created_at timestamptz not null,
    constraint programme_status_known check (status in ('draft', 'active', 'closed'))
);

create table customer (
    id uuid primary key,
    kind text not null default 'person',
    status text not null default 'active',
    given_name text not null default '',
    family_name text not null default '',
    birth_year smallint,
    birth_month smallint,
    birth_day smallint,
    locale text not null default 'en',
    notes text not null default '',
    merged_into uuid references customer (id) on delete restrict on update restrict,
    enrolled_source text not null,
    redemption_held_until timestamptz,
    redemption_held_reason text,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint customer_kind_known check (kind in ('person', 'business')),
    constraint customer_status_known check (status in ('stub', 'active', 'blocked', 'merged', 'erased')),
    constraint customer_source_known check (enrolled_source in ('app', 'till', 'import', 'pos', 'claim')),
    constraint customer_merged_has_survivor check ((status = 'merged') = (merged_into is not null)),
    constraint customer_birthday_whole check ((birth_month is null) = (birth_day is null))
);

create table pos_connection (
    id uuid primary key,
    code text unique not null,
    name text not null,
    created_at timestamptz not null
);

create table store (
    id uuid primary key,
    code text unique not null,
    name text not null,
    zone text not null,
    created_at timestamptz not null
);

create table audit_entry (
    id uuid primary key,
    at timestamptz not null,
    actor_kind text not null,
    actor_id uuid,
    action text not null,
    subject_kind text not null,
    subject_id uuid,
    customer_id uuid,
    reason text,
    details jsonb not null default '{}',
    request_id text,
    constraint audit_actor_known check (actor_kind in ('member', 'staff', 'key', 'system'))
);

create table throttle_counter (
    tries integer not null default 0,
    key text primary key,
    window_started_at timestamptz not null,
    blocked_until timestamptz
);

create table idempotency_key (
    id uuid primary key,
    principal text not null,
    operation text not null,
    key text not null,
    body_hash bytea not null,
    status smallint not null,
    reply bytea not null,
    created_at timestamptz not null,
    constraint idempotency_key_once unique (principal, operation, key)
);

create table audience_state (
    id smallint primary key default 1,
    paused_reason text,
    paused_at timestamptz,
    retry_at timestamptz,
    failures integer not null default 0,
    fields_checked_at timestamptz,
    constraint audience_state_single check (id = 1)
);

create table consent_wording (
    version text primary key,
    channel text not null,
    language text not null default 'en',
    wording text not null,
    created_at timestamptz not null
);

create table reward (
    id uuid primary key,
    programme uuid not null references programme (id) on delete restrict on update restrict,
    code text unique not null,
    name text not null,
    points_cost bigint not null,
    value_minor bigint not null,
    status text not null default 'active',
    created_at timestamptz not null
);
create index reward_programme on reward (programme);

create table membership (
    id uuid primary key,
    programme uuid not null references programme (id) on delete restrict on update restrict,
    status text not null default 'active',
    successor uuid references membership (id) on delete restrict on update restrict,
    enrolled_at timestamptz not null,
    tier text not null default '',
    balance bigint not null default 0,
    available bigint not null default 0,
    pending bigint not null default 0,
    deficit bigint not null default 0,
    lifetime bigint not null default 0,
    figures_until timestamptz,
    version integer not null default 1,
    created_at timestamptz not null,
    closed_at timestamptz,
    constraint membership_status_known check (status in ('active', 'closed', 'combined', 'forfeited', 'reissued')),
    constraint membership_figures_not_negative check (available >= 0 and pending >= 0 and deficit >= 0),
    constraint membership_deficit_excludes_points check (deficit = 0 or (available = 0 and pending = 0)),
    constraint membership_moved_has_successor check ((status in ('combined', 'reissued')) = (successor is not null))
);
create index membership_programme on membership (programme);

create table rule_version (
    id uuid primary key,
    programme uuid not null references programme (id) on delete restrict on update restrict,
    version integer not null default 1,
    valid_from timestamptz not null,
    body jsonb not null,
    checksum text not null,
    created_at timestamptz not null,
    created_by uuid,
    constraint rule_version_once unique (programme, version)
);

create table audience_contact (
    id uuid primary key,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    email text not null,
    email_key text unique not null,
    state text not null default 'live',
    moved_from uuid references audience_contact (id) on delete restrict on update restrict,
    remote_id text,
    remote_status text,
    dirty_seq bigint not null default 1,
    pushed_seq bigint not null default 0,
    dirty_at timestamptz not null,
    pushed_hash bytea,
    pushed_consent uuid,
    pushed_at timestamptz,
    refresh_at timestamptz,
    attempts integer not null default 0,
    next_try_at timestamptz not null,
    lease_until timestamptz,
    parked_reason text,
    parked_field text,
    created_at timestamptz not null,
    constraint audience_contact_state_known check (state in ('live', 'closing', 'closed', 'forgotten'))
);
create index audience_contact_customer on audience_contact (customer);

create table known_network (
    id uuid primary key,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    network text not null,
    last_success_at timestamptz not null,
    constraint known_network_once unique (customer, network)
);

create table customer_name_key (
    id uuid primary key,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    key text not null
);
create index customer_name_key_customer on customer_name_key (customer);

create table email_change (
    id uuid primary key,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    old_email text not null,
    old_email_key text not null,
    new_email text not null,
    new_email_key text not null,
    mode text not null,
    state text not null default 'pending',
    requested_by_kind text not null,
    requested_by_id uuid,
    requested_at timestamptz not null,
    expires_at timestamptz not null,
    confirmed_at timestamptz,
    undo_until timestamptz,
    undone_at timestamptz,
    effects jsonb not null default '{}',
    constraint email_change_mode_known check (mode in ('keep', 'reissue')),
    constraint email_change_state_known check (state in ('pending', 'confirmed', 'superseded', 'cancelled', 'undone'))
);
create index email_change_customer on email_change (customer);

create table contact_point (
    id uuid primary key,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    kind text not null,
    value text not null,
    key text not null,
    status text not null default 'unverified',
    is_primary boolean not null default true,
    created_at timestamptz not null,
    verified_at timestamptz,
    retired_at timestamptz,
    retired_reason text,
    constraint contact_point_kind_known check (kind in ('email', 'phone')),
    constraint contact_point_status_known check (status in ('unverified', 'verified', 'bouncing', 'retired')),
    constraint contact_point_retired_says_when check ((status = 'retired') = (retired_at is not null)),
    constraint contact_point_retired_is_not_primary check (status <> 'retired' or not is_primary)
);
create index contact_point_customer on contact_point (customer);

create table member_session (
    id uuid primary key,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    access_hash bytea unique not null,
    access_expires_at timestamptz not null,
    refresh_expires_at timestamptz not null,
    device text not null default '',
    network text not null default '',
    created_at timestamptz not null,
    last_used_at timestamptz not null,
    stepped_up_at timestamptz not null,
    ended_at timestamptz,
    ended_reason text
);
create index member_session_customer on member_session (customer);

create table one_time_token (
    id uuid primary key,
    purpose text not null,
    token_hash bytea unique not null,
    customer uuid references customer (id) on delete restrict on update restrict,
    subject uuid,
    email_key text not null,
    state text not null default '',
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    voided_at timestamptz
);
create index one_time_token_customer on one_time_token (customer);
create index one_time_token_subject on one_time_token (subject);

create table message (
    id uuid primary key,
    customer uuid references customer (id) on delete restrict on update restrict,
    purpose text not null,
    to_address text not null,
    template text not null,
    parameters jsonb not null default '{}',
    state text not null default 'queued',
    attempts integer not null default 0,
    last_error text,
    created_at timestamptz not null,
    sent_at timestamptz,
    constraint message_state_known check (state in ('queued', 'sent', 'failed'))
);
create index message_customer on message (customer);

create table login (
    id uuid primary key,
    customer uuid unique not null references customer (id) on delete restrict on update restrict,
    password_hash text not null,
    password_version integer not null default 1,
    password_changed_at timestamptz not null,
    disabled_at timestamptz,
    created_at timestamptz not null
);

create table api_key (
    id uuid primary key,
    name text not null,
    connection uuid not null references pos_connection (id) on delete restrict on update restrict,
    token_hash bytea unique not null,
    scopes text[] not null default '{}',
    stores text[] not null default '{}',
    created_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    last_used_on date
);
create index api_key_connection on api_key (connection);

create table staff_member (
    id uuid primary key,
    login text unique not null,
    name text not null,
    role text not null,
    store uuid references store (id) on delete restrict on update restrict,
    customer uuid references customer (id) on delete restrict on update restrict,
    password_hash text,
    status text not null default 'invited',
    version integer not null default 1,
    created_at timestamptz not null,
    constraint staff_role_known check (role in ('cashier', 'manager', 'marketing', 'admin', 'auditor')),
    constraint staff_status_known check (status in ('invited', 'active', 'disabled')),
    constraint staff_active_has_password check (status <> 'active' or password_hash is not null)
);
create index staff_member_store on staff_member (store);
create index staff_member_customer on staff_member (customer);

create table consent_event (
    id uuid primary key,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    channel text not null,
    address_key text not null,
    state text not null,
    source text not null,
    wording_version text,
    actor_kind text not null,
    actor_id uuid,
    store uuid references store (id) on delete restrict on update restrict,
    network text,
    at timestamptz not null,
    constraint consent_event_channel_known check (channel in ('email', 'sms')),
    constraint consent_event_state_known check (state in ('opted_in', 'pending', 'opted_out'))
);
create index consent_event_customer on consent_event (customer);

create table voucher (
    id uuid primary key,
    reward uuid not null references reward (id) on delete restrict on update restrict,
    membership uuid not null references membership (id) on delete restrict on update restrict,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    code_hash bytea unique not null,
    code_last4 text not null,
    value_minor bigint not null,
    currency text not null,
    status text not null default 'issued',
    replaced_by uuid references voucher (id) on delete restrict on update restrict,
    void_reason text,
    issued_at timestamptz not null,
    valid_until timestamptz,
    ended_at timestamptz,
    constraint voucher_status_known check (status in ('issued', 'held', 'redeemed', 'void', 'expired'))
);
create index voucher_reward on voucher (reward);
create index voucher_membership on voucher (membership);
create index voucher_customer on voucher (customer);

create table card (
    id uuid primary key,
    code text unique not null,
    membership uuid references membership (id) on delete restrict on update restrict,
    customer uuid references customer (id) on delete restrict on update restrict,
    status text not null default 'active',
    replaced_by uuid references card (id) on delete restrict on update restrict,
    reason text,
    issued_at timestamptz not null,
    ended_at timestamptz,
    constraint card_status_known check (status in ('issued', 'active', 'replaced', 'blocked')),
    constraint card_active_has_membership check (status = 'issued' or membership is not null),
    constraint card_replaced_has_successor check ((status = 'replaced') = (replaced_by is not null))
);
create index card_membership on card (membership);
create index card_customer on card (customer);

create table membership_person (
    id uuid primary key,
    membership uuid not null references membership (id) on delete restrict on update restrict,
    programme uuid not null references programme (id) on delete restrict on update restrict,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    role text not null default 'owner',
    joined_at timestamptz not null,
    eligible_from timestamptz not null,
    left_at timestamptz,
    left_reason text,
    constraint membership_person_role_known check (role in ('owner', 'sharer'))
);
create index membership_person_membership on membership_person (membership);
create index membership_person_customer on membership_person (customer);

create table orders (
    id uuid primary key,
    connection uuid not null references pos_connection (id) on delete restrict on update restrict,
    external_id text not null,
    number text not null,
    store uuid not null references store (id) on delete restrict on update restrict,
    completed_at timestamptz not null,
    currency text not null,
    net_minor bigint not null,
    tax_minor bigint not null,
    state text not null default 'completed',
    content_hash bytea not null,
    customer uuid references customer (id) on delete restrict on update restrict,
    membership uuid references membership (id) on delete restrict on update restrict,
    points bigint not null default 0,
    skipped_reason text,
    rule_version uuid references rule_version (id) on delete restrict on update restrict,
    assignment_version integer not null default 1,
    assignment_reason text not null default 'none',
    created_at timestamptz not null,
    constraint orders_external_once unique (connection, external_id),
    constraint orders_state_known check (state in ('open', 'completed', 'voided'))
);

create table refresh_token (
    token_hash bytea primary key,
    session uuid not null references member_session (id) on delete restrict on update restrict,
    issued_at timestamptz not null,
    used_at timestamptz
);
create index refresh_token_session on refresh_token (session);

create table staff_session (
    id uuid primary key,
    staff_member uuid not null references staff_member (id) on delete restrict on update restrict,
    token_hash bytea unique not null,
    terminal text not null default '',
    network text not null default '',
    created_at timestamptz not null,
    last_used_at timestamptz not null,
    expires_at timestamptz not null,
    ended_at timestamptz
);
create index staff_session_staff_member on staff_session (staff_member);

create table order_line (
    id uuid primary key,
    "order" uuid not null references orders (id) on delete restrict on update restrict,
    position smallint not null,
    line_id text not null,
    sku text not null default '',
    description text not null default '',
    category text not null default '',
    quantity numeric(12, 3) not null,
    net_minor bigint not null,
    tax_minor bigint not null,
    points bigint not null default 0,
    rule text not null default '',
    constraint order_line_once unique ("order", line_id)
);

create table assignment (
    id uuid primary key,
    "order" uuid not null references orders (id) on delete restrict on update restrict,
    version integer not null default 1,
    customer uuid references customer (id) on delete restrict on update restrict,
    membership uuid references membership (id) on delete restrict on update restrict,
    reason text not null,
    actor_kind text not null,
    actor_id uuid,
    at timestamptz not null,
    constraint assignment_once unique ("order", version)
);

create table ledger_entry (
    id uuid primary key,
    membership uuid not null references membership (id) on delete restrict on update restrict,
    kind text not null,
    points bigint not null,
    occurred_at timestamptz not null,
    posted_at timestamptz not null,
    source_key text not null,
    customer uuid references customer (id) on delete restrict on update restrict,
    "order" uuid references orders (id) on delete restrict on update restrict,
    order_line uuid references order_line (id) on delete restrict on update restrict,
    related_entry uuid references ledger_entry (id) on delete restrict on update restrict,
    rule_version uuid references rule_version (id) on delete restrict on update restrict,
    reason_code text not null default '',
    note text not null default '',
    actor_kind text not null,
    actor_id uuid,
    constraint ledger_entry_source_once unique (membership, kind, source_key),
    constraint ledger_entry_not_zero check (points <> 0),
    constraint ledger_entry_sign_of_kind check (case when kind in ('OPENING', 'EARN', 'BONUS', 'RESTORE',
        'TRANSFER_IN') then points > 0 when kind in ('CLAWBACK', 'REDEEM', 'EXPIRE', 'FORFEIT', 'TRANSFER_OUT') then
        points < 0 else kind in ('CORRECTION', 'ADJUST') end)
);

create table lot (
    entry uuid primary key references ledger_entry (id) on delete restrict on update restrict,
    membership uuid not null references membership (id) on delete restrict on update restrict,
    points bigint not null,
    remaining bigint not null,
    earned_at timestamptz not null,
    available_at timestamptz not null,
    expires_at timestamptz,
    constraint lot_remaining_within check (remaining >= 0 and remaining <= points),
    constraint lot_expires_after_available check (expires_at is null or expires_at > available_at)
);

create table allocation (
    id uuid primary key,
    membership uuid not null references membership (id) on delete restrict on update restrict,
    debit_entry uuid not null references ledger_entry (id) on delete restrict on update restrict,
    lot_entry uuid not null references ledger_entry (id) on delete restrict on update restrict,
    points bigint not null,
    posted_at timestamptz not null,
    constraint allocation_positive check (points > 0)
);
create index allocation_debit_entry on allocation (debit_entry);
create index allocation_lot_entry on allocation (lot_entry);
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
