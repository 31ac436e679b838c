"""Indexes of the search for duplicates, and the triggers that mark who has to be compared anew."""

from server.db.scripts import run_scripts

ID = "0031"
DESCRIPTION = "Customers by comparison key, the queue in its order, and marks made by every change of a person"

# Who shares a key is found through the arrays; staff page through the open pairs from the likeliest on.
INDEXES = """
create index duplicate_profile_keys on duplicate_profile using gin (keys);
create index duplicate_candidate_queue on duplicate_candidate (score desc, found_at desc, id desc) where state = 'open';
create index duplicate_candidate_decided on duplicate_candidate (state, score desc, found_at desc, id desc)
    where state <> 'open';
"""

# A person changes in a dozen places of the program and by imports; the database sees all of them. A mark is a new row
# each time and so waits for nobody; it is seen when its change is.
MARKS = """
create function regulars_mark_duplicates() returns trigger language plpgsql as $$
begin
    if tg_table_name = 'customer' then
        insert into duplicate_mark (id, customer, marked_at) values (regulars_new_id(), new.id, clock_timestamp());
    else
        insert into duplicate_mark (id, customer, marked_at) values (regulars_new_id(), new.customer, clock_timestamp());
        if tg_op = 'UPDATE' and old.customer <> new.customer then
            insert into duplicate_mark (id, customer, marked_at) values (regulars_new_id(), old.customer, clock_timestamp());
        end if;
    end if;
    return null;
end $$;
create trigger customer_added_is_compared after insert on customer
    for each row execute function regulars_mark_duplicates();
create trigger customer_changed_is_compared after update on customer for each row when (
    (old.status, old.kind, old.given_name, old.family_name, old.birth_year, old.birth_month, old.birth_day,
     old.post_code, old.postal_address) is distinct from
    (new.status, new.kind, new.given_name, new.family_name, new.birth_year, new.birth_month, new.birth_day,
     new.post_code, new.postal_address)
) execute function regulars_mark_duplicates();
create trigger contact_point_added_is_compared after insert on contact_point
    for each row execute function regulars_mark_duplicates();
create trigger contact_point_changed_is_compared after update on contact_point for each row when (
    (old.customer, old.key, old.status) is distinct from (new.customer, new.key, new.status)
) execute function regulars_mark_duplicates();
create trigger membership_person_added_is_compared after insert on membership_person
    for each row when (new.role = 'sharer') execute function regulars_mark_duplicates();
create trigger membership_person_changed_is_compared after update on membership_person for each row when (
    (old.customer, old.membership, old.left_at) is distinct from (new.customer, new.membership, new.left_at)
) execute function regulars_mark_duplicates();
create trigger pos_link_added_is_compared after insert on pos_link
    for each row execute function regulars_mark_duplicates();
create trigger pos_link_changed_is_compared after update on pos_link for each row when (
    (old.customer, old.state) is distinct from (new.customer, new.state)
) execute function regulars_mark_duplicates();
create trigger link_review_added_is_compared after insert on link_review
    for each row execute function regulars_mark_duplicates();
"""

# A mark of nobody in particular: whoever is on file already is compared when the program first runs.
EVERYBODY = "insert into duplicate_mark (id, customer, marked_at) select regulars_new_id(), null, now() where exists (select from customer);"

forwards = run_scripts(ID, DESCRIPTION, INDEXES, MARKS, EVERYBODY)
