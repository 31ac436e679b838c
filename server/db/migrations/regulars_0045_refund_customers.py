"""Whom a till names on a refund, and whether that is somebody else than the sale counts for."""

from server.db.scripts import run_scripts

ID = "0045"
DESCRIPTION = "Whom a till names on a refund"

NAMED = """
alter table refund add column customer uuid references customer (id) on delete restrict on update restrict;
alter table refund add column customer_differs boolean not null default false;
create index refund_differs on refund (created_at desc, id desc) where customer_differs;
"""
# What waits is a small part of all refunds, and of it what waits for a person.
OPEN = """
create index refund_open on refund (created_at desc, id desc) where state in ('blind', 'refused', 'parked');
"""

forwards = run_scripts(ID, DESCRIPTION, NAMED, OPEN)
