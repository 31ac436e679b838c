"""Indexes of claim codes and postal addresses that Piccolo's tables cannot express."""

from server.db.scripts import run_scripts

ID = "0029"
DESCRIPTION = "One live claim code for each subject; how codes and post codes are searched"

INDEXES = """
create unique index claim_code_live_customer on claim_code (customer) where used_at is null and revoked_at is null;
create unique index claim_code_live_order on claim_code ("order") where used_at is null and revoked_at is null;
create index claim_code_customer on claim_code (customer, issued_at desc, id desc) where customer is not null;
create index claim_code_order on claim_code ("order", issued_at desc) where "order" is not null;
create index claim_batch_newest on claim_batch (created_at desc, id desc);
create index message_invited on message (created_at) where template = 'invitation';
create index customer_birthday_given on customer (birth_month, birth_day, lower(left(given_name, 2)))
    where birth_month is not null;
create index customer_birthday_family on customer (birth_month, birth_day, lower(left(family_name, 2)))
    where birth_month is not null;
create index customer_post_code on customer (upper(replace(post_code, ' ', ''))) where post_code <> '';
"""

forwards = run_scripts(ID, DESCRIPTION, INDEXES)
