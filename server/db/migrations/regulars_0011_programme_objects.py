"""Indexes and triggers of tiers, promotions and bonuses that Piccolo's tables cannot express."""

from server.db.scripts import run_scripts

ID = "0011"
DESCRIPTION = "Indexes of a membership's sales, of tiers that end and of birthdays; append-only triggers"

# A member's sales of a day or a year, the memberships that led to one, tiers whose time is over, the birthdays of a day.
INDEXES = """
create index orders_membership on orders (membership, completed_at) where membership is not null;
create index membership_successor on membership (successor) where successor is not null;
create index membership_tier_due on membership (tier_until) where tier_until is not null;
create index tier_change_newest on tier_change (membership, at desc, id desc);
create index customer_birthday on customer (birth_month, birth_day) where birth_month is not null;
"""

APPEND_ONLY = "".join(
    f"create trigger {table}_append_only before update or delete on {table} "
    "for each row execute function regulars_refuse_change();\n"
    f"create trigger {table}_no_truncate before truncate on {table} "
    "for each statement execute function regulars_refuse_change();\n"
    for table in ("tier_change", "promotion_use", "bonus_grant")
)

# The memberships whose points live on in this one, itself included.
FAMILY = """
create function regulars_family(heir uuid) returns setof uuid language sql stable as $$
    with recursive family as (
        select heir as id
        union
        select m.id from membership m join family f on m.successor = f.id
    )
    select id from family
$$;
"""

forwards = run_scripts(ID, DESCRIPTION, INDEXES, APPEND_ONLY, FAMILY)
