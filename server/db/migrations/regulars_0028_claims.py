"""Claim codes, postal addresses of customers."""

from server.db.scripts import run_scripts

ID = "0028"
DESCRIPTION = "Claim codes, postal addresses of customers"

TABLES = """
create table claim_batch (
    id uuid primary key,
    requested_by uuid references staff_member (id) on delete restrict on update restrict,
    created_at timestamptz not null,
    codes integer not null default 0,
    csv_at timestamptz,
    pdf_at timestamptz,
    revoked_at timestamptz
);
create index claim_batch_requested_by on claim_batch (requested_by);

create table claim_code (
    id uuid primary key,
    code_hash bytea unique not null,
    kind text not null,
    customer uuid references customer (id) on delete restrict on update restrict,
    "order" uuid references orders (id) on delete restrict on update restrict,
    batch uuid references claim_batch (id) on delete restrict on update restrict,
    actor_kind text not null,
    actor_id uuid,
    issued_at timestamptz not null,
    expires_at timestamptz not null,
    wrong_checks integer not null default 0,
    used_at timestamptz,
    used_by uuid references customer (id) on delete restrict on update restrict,
    merge uuid references merge (id) on delete restrict on update restrict,
    revoked_at timestamptz,
    revoked_reason text,
    constraint claim_code_kind_known check (kind in ('till', 'letter', 'text', 'receipt')),
    constraint claim_code_of_one_subject check (num_nonnulls(customer, "order") = 1 and (kind = 'receipt') = ("order"
        is not null)),
    constraint claim_code_letter_has_batch check ((kind = 'letter') = (batch is not null)),
    constraint claim_code_used_by_somebody check ((used_at is null) = (used_by is null)),
    constraint claim_code_used_or_revoked check (used_at is null or revoked_at is null),
    constraint claim_code_revoked_says_why check ((revoked_at is null) = (revoked_reason is null)),
    constraint claim_code_expires_after_issue check (expires_at > issued_at)
);
create index claim_code_batch on claim_code (batch);
create index claim_code_used_by on claim_code (used_by);
create index claim_code_merge on claim_code (merge);
alter table customer add column post_code text not null default '';
alter table customer add column postal_address text not null default '';
alter table signup_intent add column claim_code_hash bytea;
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
