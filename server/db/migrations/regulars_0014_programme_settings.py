"""Settings of programmes, lots that lapse by inactivity, what one person could adjust."""

from server.db.scripts import run_scripts

ID = "0014"
DESCRIPTION = "Settings of programmes, lots that lapse by inactivity, what one person could adjust"

TABLES = """
alter table membership add column active_at timestamptz;
alter table programme add column redeem_policy text not null default 'anyone';
alter table programme add column claw_visit_points boolean not null default true;
alter table programme add column grace_days integer not null default 0;
alter table programme add column manager_late_attach_days integer not null default 90;
alter table programme add column manager_reassign_days integer not null default 90;
alter table programme add column adjustment_limits jsonb not null default '{}';
alter table adjustment add column each_max bigint;
alter table lot add column idle_days integer;
alter table programme add constraint programme_redeem_policy_known check (redeem_policy in ('anyone', 'owner'));
alter table programme add constraint programme_default_is_active check (not is_default or status = 'active');
alter table lot add constraint lot_idle_has_date check (idle_days is null or expires_at is not null);
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
