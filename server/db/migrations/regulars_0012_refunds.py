"""Refunds and their lines, points returned of an order."""

from server.db.scripts import run_scripts

ID = "0012"
DESCRIPTION = "Refunds and their lines, points returned of an order"

TABLES = """
create table refund (
    id uuid primary key,
    connection uuid not null references pos_connection (id) on delete restrict on update restrict,
    external_id text not null,
    original_external_id text,
    "order" uuid references orders (id) on delete restrict on update restrict,
    store uuid not null references store (id) on delete restrict on update restrict,
    completed_at timestamptz not null,
    currency text not null,
    content_hash bytea not null,
    state text not null default 'parked',
    refused_for text,
    points_taken bigint not null default 0,
    points_exempt bigint not null default 0,
    points_owed bigint not null default 0,
    points_restored bigint not null default 0,
    created_at timestamptz not null,
    posted_at timestamptz,
    constraint refund_external_once unique (connection, external_id),
    constraint refund_state_known check (state in ('parked', 'posted', 'blind', 'refused')),
    constraint refund_posted_has_order check ((state = 'posted') = ("order" is not null and posted_at is not null)),
    constraint refund_blind_has_no_original check ((state = 'blind') = (original_external_id is null)),
    constraint refund_refused_has_reason check ((state = 'refused') = (refused_for is not null))
);
create index refund_order on refund ("order");

create table refund_line (
    id uuid primary key,
    refund uuid not null references refund (id) on delete restrict on update restrict,
    "order" uuid references orders (id) on delete restrict on update restrict,
    line_id text not null,
    quantity numeric(12, 3),
    net_minor bigint,
    points_part_minor bigint,
    points bigint not null default 0,
    constraint refund_line_once unique (refund, line_id),
    constraint refund_line_quantity_or_money check (coalesce(quantity > 0, net_minor is not null))
);
create index refund_line_order on refund_line ("order");
alter table orders add column points_returned bigint not null default 0;
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
