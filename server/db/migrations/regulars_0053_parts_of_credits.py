"""Where the points of a credit have gone with whoever earned them."""

from server.db.scripts import run_scripts

ID = "0053"
DESCRIPTION = "Which membership answers for which part of a credit, as its earner may have left with points of it"

# The first part is what stayed where it was earned; further ones are what the earner took along on leaving a shared
# membership, and on leaving again. Each names the entry that holds its points, in the membership in which they are today.
# What somebody else took along was a payment among them and is no part of this.
PARTS = """
create function regulars_parts(credit uuid) returns table (entry uuid, membership uuid, points bigint, depth int)
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
                                     and s.customer = o.customer
    ), part as (
        select k.part, k.parent, k.depth, e.membership, e.points from kin k join ledger_entry e on e.id = k.part where k.lot = k.part
    )
    select p.part, regulars_heir(p.membership),
           (p.points - coalesce((select sum(away.points) from part away where away.parent = p.part), 0))::bigint, p.depth
    from part p
$$;
"""

forwards = run_scripts(ID, DESCRIPTION, PARTS)
