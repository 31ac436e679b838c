"""Builders for tests of the ledger: credits with dates, a locked membership, its figures."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

from server.db.engine import DB, Row
from server.db.ids import new_id
from server.ledger import service as ledger
from server.ledger.verification import run_checks, verify
from server.memberships import store as memberships
from shared.enums import EntryKind
from tests.app import World


@asynccontextmanager
async def locked(membership_id: UUID) -> AsyncIterator[Row]:
    """Open a transaction with a membership locked."""
    async with DB.transaction():
        (row,) = await memberships.lock_memberships([membership_id])
        yield row


async def credit(world: World, membership_id: UUID, points: int, *, days: int | None = 365, pending: int = 0) -> UUID:
    """Post points that lapse after `days` and become available after `pending` days; return the entry's id."""
    now = world.clock.now()
    async with locked(membership_id) as membership:
        entry_id = await ledger.post_credit(
            world.ctx,
            membership_id=membership_id,
            deficit=membership["deficit"],
            kind=EntryKind.OPENING,
            points=points,
            source_key=f"test:{new_id()}",
            occurred_at=now,
            available_at=now + timedelta(days=pending),
            expires_at=now + timedelta(days=days) if days is not None else None,
            customer_id=None,
        )
    assert entry_id is not None
    return entry_id


async def figures(membership_id: UUID) -> tuple[int, int, int, int]:
    """Return balance, available, pending, deficit."""
    row = await DB.fetch_row("select balance, available, pending, deficit from membership where id = $1", membership_id)
    assert row is not None
    return row["balance"], row["available"], row["pending"], row["deficit"]


async def left_in(entry_id: UUID) -> int:
    """Return what is left of a lot."""
    remaining = await DB.fetch_value("select remaining from lot where entry = $1", entry_id)
    assert isinstance(remaining, int)
    return remaining


class _Undone(Exception):
    """Takes a transaction back."""


async def find_tampered(world: World, tampering: str) -> dict[str, str | None]:
    """Return the wrong rows by check after something was tampered with, which is undone again.

    Triggers are off for it, as somebody with the database's own rights could switch them off.
    """
    found: dict[str, str | None] = {}
    with suppress(_Undone):
        async with DB.transaction():
            await DB.run_script(f"set local session_replication_role = replica; {tampering}")
            async for outcome in run_checks(world.clock.now()):
                if not outcome.is_right:
                    found[outcome.name] = outcome.wrong_row
            raise _Undone
    return found


async def assert_tampering_found(world: World, check: str, tampering: str, tables: Collection[str]) -> None:
    """Fail unless a check finds a tampering and names a row of one of these tables."""
    found = await find_tampered(world, tampering)
    row = found.get(check)
    assert row is not None, f"{tampering}: found only {found}"
    assert row.split()[0] in tables, row


async def assert_verified(world: World) -> None:
    """Fail if any figure is wrong."""
    wrong = [outcome async for outcome in verify(world.clock.now()) if not outcome.is_right]
    assert wrong == [], wrong
