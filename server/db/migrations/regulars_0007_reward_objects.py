"""Indexes of holds that Piccolo's tables cannot express."""

from server.db.scripts import run_scripts

ID = "0007"
DESCRIPTION = "Indexes of holds and vouchers"

# A voucher is in one open sale and was used in one at most, whatever the program does.
HOLDS = """
create unique index hold_voucher_open on hold (voucher) where state = 'open' and voucher is not null;
create unique index hold_voucher_captured on hold (voucher) where state = 'captured' and voucher is not null;
create index hold_open on hold (membership, expires_at) where state = 'open';
create index hold_order on hold (connection, order_reference);
create index hold_customer_newest on hold (customer, created_at);
create index voucher_lapse on voucher (valid_until) where status = 'issued' and valid_until is not null;
create index voucher_customer_newest on voucher (customer, issued_at desc, id desc);
"""

forwards = run_scripts(ID, DESCRIPTION, HOLDS)
