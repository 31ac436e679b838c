"""Corrections of proven addresses that are out of reach, by two people and with a delay."""

from server.db.scripts import run_scripts

ID = "0036"
DESCRIPTION = "Corrections of proven addresses that are out of reach, by two people and with a delay"

TABLES = """
alter table email_change add column approved_at timestamptz;
alter table email_change add column approved_by uuid references staff_member (id) on delete restrict on update
    restrict;
create index email_change_approved_by on email_change (approved_by);
alter table email_change add column execute_after timestamptz;
alter table email_change add column failed_because text;
alter table email_change add column is_override boolean not null default false;
alter table email_change add column reason text not null default '';
alter table email_change add constraint email_change_approved_whole check ((approved_by is null) = (approved_at is
    null) and (approved_by is null) = (execute_after is null));
alter table email_change add constraint email_change_by_two check (approved_by is null or (is_override and approved_by
    <> requested_by_id));
alter table email_change add constraint email_change_override_approved check (not is_override or state not in
    ('confirmed', 'undone') or (approved_by is not null and confirmed_at >= execute_after));
"""

INDEXES = """
create index email_change_due on email_change (execute_after) where state = 'pending' and execute_after is not null;
create index email_change_overrides on email_change (requested_at desc, id desc) where is_override;
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES, INDEXES)
