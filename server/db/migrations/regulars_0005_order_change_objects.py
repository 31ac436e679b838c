"""What Piccolo's tables cannot say of changed orders: exempted points are append-only, and a way to a membership's heir."""

from server.db.scripts import run_scripts

ID = "0005"
DESCRIPTION = "Append-only trigger of exempted points, and the live heir of a membership"

APPEND_ONLY = """
create trigger exemption_append_only before update or delete on exemption
    for each row execute function regulars_refuse_change();
create trigger exemption_no_truncate before truncate on exemption
    for each statement execute function regulars_refuse_change();
"""

# An order names the membership it was earned in; after a reissue or a combination its points live in the successor.
HEIR = """
create function regulars_heir(start uuid) returns uuid language sql stable as $$
    with recursive chain as (
        select id, successor from membership where id = start
        union all
        select m.id, m.successor from membership m join chain c on m.id = c.successor
    )
    select id from chain where successor is null
$$;
"""

forwards = run_scripts(ID, DESCRIPTION, APPEND_ONLY, HEIR)
