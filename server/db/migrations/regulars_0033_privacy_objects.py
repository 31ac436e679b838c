"""Indexes of erasures and exports, and the one change that append-only rows allow: forgetting an erased person."""

from server.db.scripts import run_scripts

ID = "0033"
DESCRIPTION = "One erasure of a customer at a time; append-only rows of erased customers can be scrubbed, and only that"

# The worker looks for what is due, not yet written down or not yet done; staff page through all.
INDEXES = """
create unique index erasure_once on erasure (customer) where state in ('waiting', 'cooling');
create index erasure_due on erasure (execute_after) where state = 'cooling';
create index erasure_open on erasure (executed_at) where state = 'executed' or (state = 'done' and journalled_at is null);
create index erasure_newest on erasure (requested_at desc, id desc);
create index personal_export_open on personal_export (requested_at) where state in ('waiting', 'ready');
create index audience_contact_erasing on audience_contact (customer) where state = 'erasing';
"""

# The first argument names the column that says whose row it is, the others the columns that may lose their content. The
# customer must be erased already, every other column must stay as it is, and content can only go: to null, to nothing, or
# to a part of what it was. So no row of anybody else can be changed, whatever the program tries, and nothing be added.
SCRUB = """
create function regulars_allow_scrub() returns trigger language plpgsql as $$
declare
    before jsonb := to_jsonb(old);
    after jsonb;
begin
    if tg_op = 'UPDATE' then
        after := to_jsonb(new);
        if before - tg_argv[1:] = after - tg_argv[1:]
           and exists (select from customer where id = (before ->> tg_argv[0])::uuid and status = 'erased')
           and not exists (
               select from unnest(tg_argv[1:]) as scrubbed (name)
               where (after -> name) not in ('null', '""')
                 and not (jsonb_typeof(after -> name) = 'object' and (before -> name) @> (after -> name)))
        then
            return new;
        end if;
    end if;
    raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
""" + "".join(
    f"drop trigger {table}_append_only on {table};\n"
    f"create trigger {table}_append_only before update or delete on {table} "
    f"for each row execute function regulars_allow_scrub({columns});\n"
    for table, columns in (
        ("audit_entry", "'customer_id', 'reason', 'details'"),
        ("consent_event", "'customer', 'address_key', 'network'"),
        ("ledger_entry", "'customer', 'note'"),
    )
)

forwards = run_scripts(ID, DESCRIPTION, INDEXES, SCRUB)
