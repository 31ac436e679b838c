"""Who a customer is today, and whom a person was before, where several records were merged into one."""

from server.db.scripts import run_scripts

ID = "0058"
DESCRIPTION = "What was merged into somebody is theirs: the points that they leave a shared membership with, too"

# A merge names its survivor, who may have been merged into somebody else since. Whoever was erased is nobody but themselves.
PEOPLE = """
create function regulars_person(customer uuid) returns uuid language sql stable as $$
    with recursive chain as (
        select id, merged_into from customer where id = $1
        union all
        select c.id, c.merged_into from customer c join chain on c.id = chain.merged_into
    )
    select id from chain where merged_into is null
$$;
create function regulars_people(person uuid) returns setof uuid language sql stable rows 2 as $$
    with recursive known as (
        select $1 as id
        union all
        select c.id from customer c join known k on c.merged_into = k.id
    )
    select id from known
$$;
"""
# As before; the earner is whoever left if one of them was merged into the other.
PARTS = """
create or replace function regulars_parts(credit uuid) returns table (entry uuid, membership uuid, points bigint, depth int)
language sql stable as $$
    with recursive kin as (
        select credit as lot, credit as part, null::uuid as parent, 0 as depth
        union all
        select i.id, case when s.id is null then k.part else i.id end, case when s.id is null then k.parent else k.part end,
               k.depth + (s.id is not null)::int
        from kin k
        join ledger_entry o on o.related_entry = k.lot and o.kind = 'TRANSFER_OUT'
        join ledger_entry i on i.related_entry = o.id and i.kind = 'TRANSFER_IN'
        left join sharing_operation s on s.id = case o.reason_code when 'left' then split_part(o.source_key, ':', 1)::uuid end
                                     and regulars_person(s.customer) = regulars_person(o.customer)
    ), part as (
        select k.part, k.parent, k.depth, e.membership, e.points from kin k join ledger_entry e on e.id = k.part where k.lot = k.part
    )
    select p.part, regulars_heir(p.membership),
           (p.points - coalesce((select sum(away.points) from part away where away.parent = p.part), 0))::bigint, p.depth
    from part p
$$;
"""

forwards = run_scripts(ID, DESCRIPTION, PEOPLE, PARTS)
