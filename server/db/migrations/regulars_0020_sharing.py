"""Sharing of memberships and invitations to it, who may spend in a membership."""

from server.db.scripts import run_scripts

ID = "0020"
DESCRIPTION = "Sharing of memberships and invitations to it, who may spend in a membership"

TABLES = """
create table sharing_operation (
    id uuid primary key,
    kind text not null,
    membership uuid not null references membership (id) on delete restrict on update restrict,
    other uuid references membership (id) on delete restrict on update restrict,
    customer uuid references customer (id) on delete restrict on update restrict,
    merge uuid,
    state text not null default 'done',
    reason text not null default '',
    points bigint not null default 0,
    effects jsonb not null default '{}',
    actor_kind text not null,
    actor_id uuid,
    at timestamptz not null,
    undo_until timestamptz not null,
    undone_at timestamptz,
    undone_by uuid,
    constraint sharing_operation_kind_known check (kind in ('join', 'combine', 'leave')),
    constraint sharing_operation_state_known check (state in ('done', 'undone')),
    constraint sharing_operation_undone_says_when check ((state = 'undone') = (undone_at is not null)),
    constraint sharing_operation_moves_between_two check ((kind = 'join') = (other is null))
);
create index sharing_operation_membership on sharing_operation (membership);
create index sharing_operation_other on sharing_operation (other);
create index sharing_operation_customer on sharing_operation (customer);

create table sharing_invitation (
    id uuid primary key,
    membership uuid not null references membership (id) on delete restrict on update restrict,
    invited_by uuid not null references customer (id) on delete restrict on update restrict,
    email text not null,
    email_key text not null,
    state text not null default 'open',
    created_at timestamptz not null,
    expires_at timestamptz not null,
    decided_at timestamptz,
    operation uuid references sharing_operation (id) on delete restrict on update restrict,
    constraint sharing_invitation_state_known check (state in ('open', 'accepted', 'declined', 'withdrawn'))
);
create index sharing_invitation_membership on sharing_invitation (membership);
create index sharing_invitation_invited_by on sharing_invitation (invited_by);
create index sharing_invitation_email_key on sharing_invitation (email_key);
create index sharing_invitation_operation on sharing_invitation (operation);
alter table membership add column redeem_daily_points bigint;
alter table membership add column redeem_policy text;
alter table membership add constraint membership_daily_cap_has_points check (coalesce(redeem_policy = 'daily_cap',
    false) = (redeem_daily_points is not null));
alter table membership add constraint membership_redeem_policy_known check (redeem_policy in ('anyone', 'owner',
    'daily_cap'));
"""

forwards = run_scripts(ID, DESCRIPTION, TABLES)
