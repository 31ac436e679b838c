"""SQL that only the demo needs: what will have its own use case one day, or never."""

from uuid import UUID

from server.context import Context
from server.db.engine import DB
from server.db.ids import new_id
from shared.enums import Role

_STAFF = """
insert into staff_member (id, login, name, role, store, password_hash, status, created_at)
values ($1, $2, $3, $4, (select id from store where code = $5), $6, 'active', $7)
"""
_SHARE = """
insert into membership_person (id, membership, programme, customer, role, joined_at, eligible_from)
select $1, m.id, m.programme, $3, 'sharer', $4, p.eligible_from
from membership m join membership_person p on p.membership = m.id and p.role = 'owner'
where m.id = $2
"""
_CONTACTS_START_NOW = "update audience_contact set dirty_at = $1, next_try_at = $1"


async def insert_staff(ctx: Context, *, role: Role, name: str, store_code: str, password_hash: str) -> UUID:
    """Add an active staff member whose sign-in name is the role, and return the id."""
    staff_id = new_id()
    await DB.fetch(_STAFF, staff_id, role.value, name, role.value, store_code, password_hash, ctx.now)
    return staff_id


async def insert_sharer(ctx: Context, *, membership_id: UUID, customer_id: UUID) -> None:
    """Put a customer into another's membership."""
    await DB.fetch(_SHARE, new_id(), membership_id, customer_id, ctx.now)


async def start_contacts_now(ctx: Context) -> None:
    """Let the contacts wait from now on, and not for the year in which they were made."""
    await DB.fetch(_CONTACTS_START_NOW, ctx.now)
