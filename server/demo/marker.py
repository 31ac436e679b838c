"""How a database says that it holds the demo shop: the first thing that ever happened in it was its seeding.

Being an audit entry it cannot be changed or deleted, it is there exactly if the seeding was committed, and it goes
along with a backup.
"""

from typing import Final

from server.audit.store import record
from server.context import Context
from server.db.engine import DB

_SEEDED: Final = "demo.seeded"
# Ids rise with time, so this is one look at the primary key.
_FIRST_ACTION = "select action from audit_entry order by id limit 1"
_IS_EMPTY = """
select not exists (select from programme) and not exists (select from customer) and not exists (select from staff_member)
"""


async def is_demo() -> bool:
    """Return whether the database holds the demo shop."""
    return await DB.fetch_value(_FIRST_ACTION) == _SEEDED


async def is_empty() -> bool:
    """Return whether nobody has set up a shop here."""
    return bool(await DB.fetch_value(_IS_EMPTY))


async def mark(ctx: Context) -> None:
    """Mark the database, before anything else is audited and in the same transaction as what is seeded."""
    await record(ctx, _SEEDED, subject_kind="shop", subject_id=None)
