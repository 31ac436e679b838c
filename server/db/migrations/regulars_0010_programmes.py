"""Tiers, uses of promotions, bonuses, referrals."""

from server.db.scripts import run_scripts

ID = "0010"
DESCRIPTION = "Tiers, uses of promotions, bonuses, referrals"

TABLES = """
create table promotion_use (
    id uuid primary key,
    "order" uuid not null references orders (id) on delete restrict on update restrict,
    assignment_version integer not null default 1,
    code text not null,
    points bigint not null,
    constraint promotion_use_once unique ("order", assignment_version, code)
);

create table referral_code (
    code text primary key,
    programme uuid not null references programme (id) on delete restrict on update restrict,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    created_at timestamptz not null,
    constraint referral_code_once unique (programme, customer)
);
create index referral_code_customer on referral_code (customer);

create table referral (
    id uuid primary key,
    programme uuid not null references programme (id) on delete restrict on update restrict,
    referrer uuid not null references customer (id) on delete restrict on update restrict,
    referred uuid not null references customer (id) on delete restrict on update restrict,
    created_at timestamptz not null,
    completed_at timestamptz,
    constraint referral_once unique (programme, referred),
    constraint referral_of_others_only check (referrer <> referred)
);
create index referral_referrer on referral (referrer);
create index referral_referred on referral (referred);

create table tier_change (
    id uuid primary key,
    membership uuid not null references membership (id) on delete restrict on update restrict,
    tier text not null default '',
    at timestamptz not null,
    until timestamptz,
    qualifying_points bigint not null default 0,
    reason text not null,
    constraint tier_change_reason_known check (reason in ('reached', 'kept', 'ended', 'inherited'))
);
create index tier_change_membership on tier_change (membership);

create table bonus_grant (
    id uuid primary key,
    programme uuid not null references programme (id) on delete restrict on update restrict,
    code text not null,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    occasion text not null default '',
    membership uuid not null references membership (id) on delete restrict on update restrict,
    points bigint not null,
    at timestamptz not null,
    constraint bonus_grant_once unique (programme, code, customer, occasion),
    constraint bonus_grant_code_known check (code in ('sign_up', 'birthday', 'first_purchase', 'referrer',
        'referred'))
);
create index bonus_grant_customer on bonus_grant (customer);
alter table membership add column tier_until timestamptz;
alter table order_line add column points_paid_minor bigint not null default 0;
alter table order_line add column stored_value boolean not null default false;
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
