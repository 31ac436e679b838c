"""Catalogue, redemption terms, holds, vouchers with their terms, presence."""

from server.db.scripts import run_scripts

ID = "0006"
DESCRIPTION = "Catalogue, redemption terms, holds, vouchers with their terms, presence"

TABLES = """
create table redemption_terms (
    programme uuid primary key references programme (id) on delete restrict on update restrict,
    step_points bigint not null,
    step_minor bigint not null,
    cap_percent smallint not null,
    minimum_points bigint not null,
    card_daily_points bigint not null,
    restore_grace_days smallint not null,
    version integer not null default 1,
    changed_at timestamptz not null,
    constraint redemption_terms_sensible check (step_points > 0 and step_minor > 0 and cap_percent between 0 and 100)
);

create table presence_use (
    customer uuid primary key references customer (id) on delete restrict on update restrict,
    last_step bigint not null,
    used_at timestamptz not null
);

create table hold (
    id uuid primary key,
    membership uuid not null references membership (id) on delete restrict on update restrict,
    customer uuid not null references customer (id) on delete restrict on update restrict,
    points bigint not null,
    voucher uuid references voucher (id) on delete restrict on update restrict,
    amount_minor bigint not null,
    currency text not null,
    connection uuid not null references pos_connection (id) on delete restrict on update restrict,
    store uuid not null references store (id) on delete restrict on update restrict,
    order_reference text not null,
    proof text not null,
    state text not null default 'open',
    entry uuid references ledger_entry (id) on delete restrict on update restrict,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    ended_at timestamptz,
    constraint hold_state_known check (state in ('open', 'captured', 'released', 'lapsed', 'undone')),
    constraint hold_proof_known check (proof in ('presence', 'card', 'voucher')),
    constraint hold_points_or_voucher check ((voucher is null) = (points > 0)),
    constraint hold_open_has_no_end check ((state = 'open') = (ended_at is null)),
    constraint hold_capture_has_entry check (voucher is not null or (state in ('captured', 'undone')) = (entry is not
        null))
);
create index hold_voucher on hold (voucher);
create index hold_entry on hold (entry);
alter table voucher add column issue_entry uuid references ledger_entry (id) on delete restrict on update restrict;
create index voucher_issue_entry on voucher (issue_entry);
alter table voucher add column kind text not null default 'amount_off';
alter table voucher add column percent smallint;
alter table voucher add column points_cost bigint not null default 0;
alter table voucher add column sku text not null default '';
alter table reward add column active_from timestamptz;
alter table reward add column active_until timestamptz;
alter table reward add column description text not null default '';
alter table reward add column kind text not null default 'amount_off';
alter table reward add column member_limit integer;
alter table reward add column percent smallint;
alter table reward add column sku text not null default '';
alter table reward add column stock integer;
alter table reward add column valid_days smallint;
alter table reward add column version integer not null default 1;
alter table membership_person add column redeem_limit bigint;
alter table reward add constraint reward_kind_known check (kind in ('amount_off', 'percent_off', 'product'));
alter table reward add constraint reward_percent_of_kind check ((kind = 'percent_off') = (percent is not null));
alter table reward add constraint reward_status_known check (status in ('active', 'retired'));
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
