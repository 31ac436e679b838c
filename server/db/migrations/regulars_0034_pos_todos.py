"""What people have to do in a till, and which tills know the members."""

from server.db.scripts import run_scripts

ID = "0034"
DESCRIPTION = "What people have to do in a till, and which tills know the members"

TABLES = """
create table pos_todo (
    id uuid primary key,
    kind text not null default 'merge',
    customer uuid not null references customer (id) on delete restrict on update restrict,
    kept_record uuid not null references pos_record (id) on delete restrict on update restrict,
    absorbed_record uuid not null references pos_record (id) on delete restrict on update restrict,
    state text not null default 'open',
    created_at timestamptz not null,
    error text not null default '',
    done_at timestamptz,
    done_by uuid references staff_member (id) on delete restrict on update restrict,
    note text not null default '',
    constraint pos_todo_kind_known check (kind in ('merge')),
    constraint pos_todo_state_known check (state in ('open', 'done', 'dropped')),
    constraint pos_todo_done_says_when check ((state = 'open') = (done_at is null)),
    constraint pos_todo_of_two check (kept_record <> absorbed_record)
);
create index pos_todo_customer on pos_todo (customer);
create index pos_todo_kept_record on pos_todo (kept_record);
create index pos_todo_absorbed_record on pos_todo (absorbed_record);
create index pos_todo_done_by on pos_todo (done_by);
alter table pos_state add column knows_members boolean not null default false;
alter table link_review add constraint link_review_reason_listed check (reason in ('ambiguous', 'taken',
    'merged_in_pos', 'disputed'));
alter table link_review drop constraint link_review_reason_known;
"""

INDEXES = """
create unique index pos_todo_once on pos_todo (kept_record, absorbed_record) where state = 'open';
create index pos_todo_open on pos_todo (created_at, id) where state = 'open';
create index pos_todo_done on pos_todo (done_at desc, id desc) where state = 'done';
create index link_check_checking on link_check (asked_at) where state = 'checking';
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES, INDEXES)
