"""Indexes and triggers that Piccolo's tables cannot express."""

from server.db.scripts import run_scripts

ID = "0002"
DESCRIPTION = "Partial and expression indexes, append-only triggers"

# A verified address belongs to one live customer; a customer has one primary address of a kind.
CUSTOMERS = """
create unique index contact_point_verified_once on contact_point (kind, key) where status in ('verified', 'bouncing');
create unique index contact_point_one_primary on contact_point (customer, kind) where is_primary;
create index contact_point_key_prefix on contact_point (kind, key text_pattern_ops);
create index contact_point_phone_suffix on contact_point (reverse(key) text_pattern_ops) where kind = 'phone';
create index customer_name_key_prefix on customer_name_key (key text_pattern_ops);
create index customer_created on customer (created_at);
"""

# A sign-in looks for the live sessions of one customer; a sweep looks for what is over.
SESSIONS = """
create index member_session_live on member_session (customer) where ended_at is null;
create index one_time_token_open on one_time_token (customer, purpose) where used_at is null and voided_at is null;
create index signup_intent_expiry on signup_intent (expires_at) where confirmed_at is null;
"""

# One active membership per customer and programme, one owner per membership, one default programme.
MEMBERSHIPS = """
create unique index membership_person_once on membership_person (customer, programme) where left_at is null;
create unique index membership_person_one_owner on membership_person (membership)
    where role = 'owner' and left_at is null;
create index membership_by_successor on membership (successor) where successor is not null;
create unique index programme_one_default on programme (is_default) where is_default;
"""

# The reads that grow: a membership's newest entries, its live lots, an order's rows, lots about to lapse.
LEDGER = """
create index ledger_entry_newest on ledger_entry (membership, posted_at desc, id desc);
create index ledger_entry_order on ledger_entry ("order") where "order" is not null;
create index lot_live on lot (membership, expires_at, earned_at) where remaining > 0;
create index lot_lapse on lot (expires_at) where remaining > 0 and expires_at is not null;
create index allocation_membership on allocation (membership);
create index orders_customer_newest on orders (customer, completed_at desc, id desc) where customer is not null;
create index orders_unassigned on orders (store, completed_at desc) where membership is null;
create index orders_number on orders (number);
create index consent_event_newest on consent_event (customer, channel, at desc, id desc);
"""

# The queues of the worker and the pages of the audit view.
OUTSIDE = """
create unique index email_change_one_pending on email_change (customer) where state = 'pending';
create index audience_contact_due on audience_contact (next_try_at)
    where dirty_seq > pushed_seq and parked_reason is null;
create index audience_contact_refresh on audience_contact (refresh_at) where refresh_at is not null;
create index audience_contact_parked on audience_contact (id) where parked_reason is not null;
create index message_queued on message (created_at) where state = 'queued';
create index audit_entry_customer on audit_entry (customer_id, id desc) where customer_id is not null;
create index audit_entry_actor on audit_entry (actor_id, id desc) where actor_id is not null;
create index idempotency_key_age on idempotency_key (created_at);
"""

# Rows that explain a balance, a consent or an act are never changed, whatever the program tries.
APPEND_ONLY = """
create function regulars_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
""" + "".join(
    f"create trigger {table}_append_only before update or delete on {table} "
    "for each row execute function regulars_refuse_change();\n"
    f"create trigger {table}_no_truncate before truncate on {table} "
    "for each statement execute function regulars_refuse_change();\n"
    for table in (
        "ledger_entry",
        "allocation",
        "consent_event",
        "consent_wording",
        "audit_entry",
        "rule_version",
        "assignment",
    )
)

# UUIDv7 (RFC 9562) for rows that set-based statements make; all other ids are made by the program.
NEW_ID = """
create function regulars_new_id() returns uuid language sql volatile as $$
    select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
        placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
        52, 1), 53, 1), 'hex')::uuid
$$;
"""

STATE = "insert into audience_state (id) values (1);"

forwards = run_scripts(ID, DESCRIPTION, CUSTOMERS, SESSIONS, MEMBERSHIPS, LEDGER, OUTSIDE, APPEND_ONLY, NEW_ID, STATE)
