"""Forgetting a person in rows of others: finding rows of files by whom they are for, and taking a reason out of a history."""

from server.db.scripts import run_scripts

ID = "0037"
DESCRIPTION = "Rows of imports by person; reasons of acts in which an erased customer took part can go"

# Few audit entries have a reason, and a sale never has, so that the index costs nothing where it is busy.
INDEXES = """
create index balance_row_customer on balance_row (customer) where customer is not null;
create index balance_row_open on balance_row (identifier) where entry is null;
create index audit_entry_reasoned on audit_entry (subject_id) where reason is not null;
"""

# As before, and one thing more: the reason of an act may go from the histories of others whom the same act concerned. The
# transaction says whom it erases; they must be erased already, and the act must stand in their history too.
SCRUB = """
create or replace function regulars_allow_scrub() returns trigger language plpgsql as $$
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
        if tg_table_name = 'audit_entry' and before - 'reason' = after - 'reason' and after -> 'reason' = 'null'
           and exists (
               select from audit_entry e join customer c on c.id = e.customer_id and c.status = 'erased'
               where e.customer_id = any (string_to_array(nullif(current_setting('regulars.erased', true), ''), ',')::uuid[])
                 and e.subject_id = (before ->> 'subject_id')::uuid)
        then
            return new;
        end if;
    end if;
    raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
"""

forwards = run_scripts(ID, DESCRIPTION, INDEXES, SCRUB)
