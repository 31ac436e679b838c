"""Points that move between memberships lot by lot, each with its dates, and debts that go along.

Everything runs in the caller's transaction, with both memberships locked; `refresh_figures` is done at the end of each.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from server.context import Context
from server.db.ids import new_id
from server.ledger import store, transfer_store
from server.ledger.credits import credit_membership
from server.ledger.idle import move_idle_lots
from server.ledger.rules import LiveLot, Take, plan_settlement
from shared.enums import EntryKind


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """One operation that moves points: from where, to where, and why."""

    operation_id: UUID
    from_id: UUID
    to_id: UUID
    reason_code: str


async def list_live_lots(membership_id: UUID) -> tuple[LiveLot, ...]:
    """Return every lot with points left, lapsed ones included, in the order of their earning."""
    return tuple(LiveLot(**row) for row in await transfer_store.list_live(membership_id))


async def move_points(
    ctx: Context, transfer: Transfer, parts: Sequence[Take], *, caused_by: UUID | None = None
) -> None:
    """Move parts of lots by TRANSFER pairs; what a debt of the target takes of them is allocated to it.

    Args:
        caused_by: Who counts as the cause of points that name nobody.
    """
    await transfer_store.move_parts(ctx, transfer, parts, caused_by=caused_by)
    # Points under inactivity lapse no sooner for having moved.
    await store.inherit_activity(transfer.from_id, transfer.to_id)
    await move_idle_lots(ctx, transfer.to_id)
    await settle_debts(ctx, transfer.to_id)
    await store.refresh_figures(transfer.from_id, ctx.now)
    await store.refresh_figures(transfer.to_id, ctx.now)


async def move_debt(ctx: Context, transfer: Transfer, points: int) -> None:
    """Let another membership owe what this one owes: a TRANSFER_IN pays here, a TRANSFER_OUT is owed there."""
    if not points:
        return
    key = f"{transfer.operation_id}:deficit"
    paid_by = await _pay(ctx, transfer.from_id, points, key=key, reason_code=transfer.reason_code)
    await _owe(ctx, transfer, points, key=key, paid_by=paid_by)
    await settle_debts(ctx, transfer.to_id)
    await store.refresh_figures(transfer.from_id, ctx.now)
    await store.refresh_figures(transfer.to_id, ctx.now)


async def return_debt(ctx: Context, transfer: Transfer, *, moved_by: UUID) -> int:
    """Give a debt back that an earlier operation brought here, in full, and return its points.

    What has been paid of it meanwhile comes back to this membership with the dates of the lots that paid.

    Args:
        transfer: From the membership that has owed since, to the one that owed before.
        moved_by: The operation that brought the debt.
    """
    returned = 0
    for number, part in enumerate(await transfer_store.list_debt_parts(transfer.from_id, f"{moved_by}:deficit")):
        key = f"{transfer.operation_id}:deficit:{number}"
        paid_by = await _pay(
            ctx, transfer.from_id, part["points"], key=key, reason_code=transfer.reason_code,
            earned_at=part["earned_at"], available_at=part["available_at"], expires_at=part["expires_at"],
        )  # fmt: skip
        await _owe(ctx, transfer, part["points"], key=key, paid_by=paid_by)
        returned += part["points"]
    if returned:
        for membership_id in (transfer.from_id, transfer.to_id):
            await settle_debts(ctx, membership_id)
            await store.refresh_figures(membership_id, ctx.now)
    return returned


async def settle_debts(ctx: Context, membership_id: UUID) -> int:
    """Let the points of a membership pay what it owes, and return how many did."""
    lots = await store.list_lots_left(membership_id)
    debts = await store.list_debts(membership_id) if lots else []
    fills = plan_settlement(debts, lots, now=ctx.now)
    if fills:
        await transfer_store.settle(ctx, membership_id, fills)
    return sum(fill.points for fill in fills)


async def move_lifetime(from_id: UUID, to_id: UUID, points: int) -> None:
    """Move a part of what was ever earned from one membership's count to another's."""
    await store.add_to_totals(from_id, balance=0, lifetime=-points)
    await store.add_to_totals(to_id, balance=0, lifetime=points)


async def _pay(
    ctx: Context,
    membership_id: UUID,
    points: int,
    *,
    key: str,
    reason_code: str,
    earned_at: datetime | None = None,
    available_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> UUID:
    credit = store.Credit(
        entry_id=new_id(),
        membership_id=membership_id,
        kind=EntryKind.TRANSFER_IN,
        points=points,
        occurred_at=earned_at or ctx.now,
        posted_at=ctx.now,
        source_key=key,
        customer_id=None,
        available_at=available_at or ctx.now,
        expires_at=expires_at,
        reason_code=reason_code,
        actor=ctx.actor,
    )
    filled = await credit_membership(credit, deficit=await transfer_store.get_deficit(membership_id))
    assert filled is not None, "an operation moves a debt once"
    return credit.entry_id


async def _owe(ctx: Context, transfer: Transfer, points: int, *, key: str, paid_by: UUID) -> None:
    await store.insert_debt(
        new_id(),
        transfer.to_id,
        points,
        source_key=key,
        related_entry_id=paid_by,
        reason_code=transfer.reason_code,
        now=ctx.now,
        actor=ctx.actor,
    )
