"""What tills still say of moved orders, sales that set off bonuses, resolved refunds, texted codes."""

from server.db.scripts import run_scripts

ID = "0016"
DESCRIPTION = "What tills still say of moved orders, sales that set off bonuses, resolved refunds, texted codes"

TABLES = """
create table order_difference (
    "order" uuid primary key references orders (id) on delete restrict on update restrict,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    assignment_version integer not null default 1,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null
);

create table sms_code (
    customer uuid primary key references customer (id) on delete restrict on update restrict,
    code_id uuid unique not null,
    code_hash bytea not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    tries integer not null default 0,
    used_at timestamptz
);

create table bonus_return (
    bonus uuid primary key references bonus_grant (id) on delete restrict on update restrict,
    points bigint not null,
    at timestamptz not null
);
alter table referral add column "order" uuid references orders (id) on delete restrict on update restrict;
create index referral_order on referral ("order");
alter table bonus_grant add column "order" uuid references orders (id) on delete restrict on update restrict;
create index bonus_grant_order on bonus_grant ("order");
alter table refund add column resolved_at timestamptz;
alter table refund add column resolved_by uuid references staff_member (id) on delete restrict on update restrict;
create index refund_resolved_by on refund (resolved_by);
alter table refund add column resolved_reason text not null default '';
alter table refund add constraint refund_dismissed_by_somebody check (state <> 'dismissed' or resolved_by is not
    null);
alter table refund add constraint refund_original_of_state check (case state when 'blind' then original_external_id is
    null when 'parked' then original_external_id is not null else true end);
alter table refund add constraint refund_refused_says_why check (state <> 'refused' or refused_for is not null);
alter table refund add constraint refund_resolved_by_somebody check ((resolved_by is null) = (resolved_at is null));
alter table refund add constraint refund_state_listed check (state in ('parked', 'posted', 'blind', 'refused',
    'dismissed'));
alter table refund drop constraint refund_blind_has_no_original;
alter table refund drop constraint refund_refused_has_reason;
alter table refund drop constraint refund_state_known;
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
