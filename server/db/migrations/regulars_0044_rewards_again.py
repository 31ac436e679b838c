"""Refunds tell what they wrote off; vouchers that use up a reward's stock have an index of their own."""

from server.db.scripts import run_scripts

ID = "0044"
DESCRIPTION = "Refunds tell what they wrote off; an index of the vouchers that count against a stock"

# So far nothing told whether the programme forgave what was owed.
WRITTEN_OFF = """
alter table refund add column points_written_off bigint not null default 0;
update refund set points_written_off = e.points from ledger_entry e
where e.kind = 'ADJUST' and e.source_key = 'refund:' || refund.id || ':written-off';
"""
COUNTED = "create index voucher_counted on voucher (reward) where status <> 'void';"

forwards = run_scripts(ID, DESCRIPTION, WRITTEN_OFF, COUNTED)
