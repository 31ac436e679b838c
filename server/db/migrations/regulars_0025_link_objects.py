"""Indexes of POS records, links and the exchange that Piccolo's tables cannot express."""

from server.db.scripts import run_scripts

ID = "0025"
DESCRIPTION = "One link in force for each record; how records, links, checks, orders and cycles are searched"

# Records are looked for by proven address, by phone from its end, by card and by name; aliases by what they merged into.
INDEXES = """
create unique index pos_link_once on pos_link (record) where state = 'linked';
create unique index pos_link_waits_once on pos_link (record, customer) where state = 'waiting';
create index pos_link_record on pos_link (record, created_at);
create index pos_record_email on pos_record (email_key text_pattern_ops) where email_key is not null;
create index pos_record_phone on pos_record (reverse(phone_key) text_pattern_ops) where phone_key is not null;
create index pos_record_card on pos_record (card_number) where card_number is not null;
create index pos_record_external on pos_record (external_id text_pattern_ops);
create index pos_record_name on pos_record using gin (to_tsvector('simple', name_key));
create index pos_record_alias on pos_record (merged_into) where merged_into is not null;
create index link_check_due on link_check (next_check_at) where next_check_at is not null;
create unique index link_review_once on link_review (customer, record, reason) where state = 'open';
create index link_review_open on link_review (created_at, id) where state = 'open';
create index orders_pos_customer on orders (connection, pos_customer_id, completed_at) where pos_customer_id is not null;
create index pos_cycle_newest on pos_cycle (connection, started_at desc);
create index pos_staged_new on pos_staged (connection, kind, changed_at, external_id) where state = 'new';
create index pos_staged_aside on pos_staged (staged_at desc, id desc) where state = 'quarantined';
create index hook_event_received on hook_event (received_at);
"""

forwards = run_scripts(ID, DESCRIPTION, INDEXES)
