"""Revisions of orders, rules of assignment, exempted points."""

from server.db.scripts import run_scripts

ID = "0004"
DESCRIPTION = "Revisions of orders, rules of assignment, exempted points"

TABLES = """
create table exemption (
    id uuid primary key,
    "order" uuid not null references orders (id) on delete restrict on update restrict,
    membership uuid not null references membership (id) on delete restrict on update restrict,
    entry uuid not null references ledger_entry (id) on delete restrict on update restrict,
    points bigint not null,
    source_key text not null,
    at timestamptz not null,
    constraint exemption_positive check (points > 0)
);
create index exemption_order on exemption ("order");
create index exemption_entry on exemption (entry);
alter table programme add column clawback_policy text not null default 'allow_negative';
alter table programme add column late_attach_days integer not null default 14;
alter table programme add column reassign_days integer not null default 30;
alter table orders add column revision integer not null default 0;
alter table programme add constraint programme_clawback_policy_known check (clawback_policy in ('allow_negative',
    'available_only', 'refuse'));
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
