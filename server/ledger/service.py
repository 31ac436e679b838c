"""Use cases of the ledger. All but the reads run in the caller's transaction, with the memberships locked."""

from datetime import datetime
from uuid import UUID

import msgspec

from server.context import Context
from server.cursors import read_cursor, write_cursor
from server.db.engine import Row
from server.db.ids import new_id
from server.errors import NotFound
from server.ledger import store
from server.ledger.credits import credit_membership
from server.ledger.idle import move_idle_lots
from server.ledger.store import EntryCursor
from shared.enums import EntryKind
from shared.members import EntryPage, EntryView

_KIND_WORDS: dict[EntryKind, str] = {
    EntryKind.OPENING: "Balance brought over",
    EntryKind.EARN: "Purchase",
    EntryKind.BONUS: "Bonus",
    EntryKind.CORRECTION: "Purchase corrected",
    EntryKind.CLAWBACK: "Purchase returned or moved",
    EntryKind.REDEEM: "Points spent",
    EntryKind.RESTORE: "Points given back",
    EntryKind.EXPIRE: "Points lapsed",
    EntryKind.FORFEIT: "Points given up",
    EntryKind.TRANSFER_OUT: "Moved to another account",
    EntryKind.TRANSFER_IN: "Moved from another account",
    EntryKind.ADJUST: "Adjusted by the shop",
}
_REASON_WORDS = {
    "email_change": "Rewards account reissued",
    "email_change_undone": "Reissue of the rewards account undone",
    "combined": "Two accounts became one",
    "split": "Combining of two accounts taken back",
    "left": "Shared account left",
    "came_back": "Came back to the shared account",
    "adjust_missed_purchase": "Missed purchase added",
    "adjust_goodwill": "Goodwill of the shop",
    "adjust_complaint": "Making up for a complaint",
    "adjust_event": "Special occasion",
    "adjust_correction": "Corrected by the shop",
    "adjust_other": "Adjusted by the shop",
    "adjust_undone": "Adjustment taken back",
    "bonus_moved": "Bonus taken back with its purchase",
}


class TransferResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a transfer moved: lots, points, and the deficit that went along."""

    lots: int
    points: int
    deficit: int


async def post_credit(
    ctx: Context,
    *,
    membership_id: UUID,
    deficit: int,
    kind: EntryKind,
    points: int,
    source_key: str,
    occurred_at: datetime,
    available_at: datetime,
    expires_at: datetime | None,
    customer_id: UUID | None,
    idle_days: int | None = None,
    reason_code: str = "",
    note: str = "",
) -> UUID | None:
    """Post a credit to a locked membership; a deficit takes its part first.

    Args:
        deficit: The membership's deficit, as read under the lock.
        source_key: What the credit is for; the same key posts once.
        idle_days: Of points under inactivity, as `programmes.rules.lot_dates` gives them.

    Returns:
        The entry's id, or None if the source key was posted before.
    """
    credit = store.Credit(
        entry_id=new_id(),
        membership_id=membership_id,
        kind=kind,
        points=points,
        occurred_at=occurred_at,
        posted_at=ctx.now,
        source_key=source_key,
        customer_id=customer_id,
        available_at=available_at,
        expires_at=expires_at,
        idle_days=idle_days,
        lifetime=points if kind in (EntryKind.EARN, EntryKind.BONUS) else 0,
        reason_code=reason_code,
        note=note,
        actor=ctx.actor,
    )
    if await credit_membership(credit, deficit=deficit) is None:
        return None
    await store.refresh_figures(membership_id, ctx.now)
    return credit.entry_id


async def transfer_lots(
    ctx: Context,
    *,
    from_membership: Row,
    to_membership: Row,
    operation_id: UUID,
    reason_code: str,
) -> TransferResult:
    """Move every live lot, and a deficit, from one locked membership to another.

    Each lot keeps its dates and becomes one TRANSFER pair, so that points and the multiset of (points, available_at,
    expires_at) are equal before and after. A deficit has no lots; it moves as one pair the other way round.

    Args:
        from_membership: Row of `memberships.store.lock_memberships`.
        to_membership: Row of `memberships.store.lock_memberships`.
        operation_id: The email change, merge or combine; the same one moves once.
        reason_code: Why, as in `_REASON_WORDS`.
    """
    source, target = from_membership["id"], to_membership["id"]
    assert to_membership["deficit"] == 0, "filling a deficit from a transfer belongs to combining memberships"
    moved = await store.move_lots(
        source,
        target,
        now=ctx.now,
        operation_key=str(operation_id),
        reason_code=reason_code,
        actor=ctx.actor,
        lots_count=await store.count_live_lots(source),
    )
    deficit = from_membership["deficit"]
    assert not (deficit and moved["points"] - moved["lapsed"]), "a membership in deficit holds no spendable points"
    if deficit:
        await _move_deficit(ctx, source, target, deficit, operation_id=operation_id, reason_code=reason_code)
    lifetime = from_membership["lifetime"]
    await store.add_to_totals(source, balance=-moved["points"], lifetime=-lifetime)
    await store.add_to_totals(target, balance=moved["points"], lifetime=lifetime)
    await store.inherit_activity(source, target)
    await move_idle_lots(ctx, target)
    await store.refresh_figures(source, ctx.now)
    await store.refresh_figures(target, ctx.now)
    return TransferResult(lots=moved["lots"], points=moved["points"], deficit=deficit)


async def _move_deficit(
    ctx: Context, source: UUID, target: UUID, deficit: int, *, operation_id: UUID, reason_code: str
) -> None:
    """Pay a membership's debts with a TRANSFER_IN and owe them in another by a TRANSFER_OUT that no lot covers."""
    key = f"{operation_id}:deficit"
    paid_by = new_id()
    credit = store.Credit(
        entry_id=paid_by,
        membership_id=source,
        kind=EntryKind.TRANSFER_IN,
        points=deficit,
        occurred_at=ctx.now,
        posted_at=ctx.now,
        source_key=key,
        customer_id=None,
        available_at=ctx.now,
        expires_at=None,
        reason_code=reason_code,
        actor=ctx.actor,
    )
    await credit_membership(credit, deficit=deficit)
    await store.insert_debt(
        new_id(),
        target,
        deficit,
        source_key=key,
        related_entry_id=paid_by,
        reason_code=reason_code,
        now=ctx.now,
        actor=ctx.actor,
    )


async def list_entries(membership_id: UUID, *, cursor: str, limit: int, names_staff: bool) -> EntryPage:
    """Return a page of a membership's entries, newest first.

    Args:
        names_staff: Whether the reader may know which staff member booked an entry.

    Raises:
        NotFound: There is no such membership.
        Invalid: The cursor is not one of ours.
    """
    rows = await store.list_entries(membership_id, before=read_cursor(cursor, EntryCursor), limit=limit + 1)
    if not rows and not await store.has_membership(membership_id):
        raise NotFound
    items = tuple(_entry_view(row, names_staff=names_staff) for row in rows[:limit])
    next_cursor = None
    if len(rows) > limit:
        last = items[-1]
        next_cursor = write_cursor(
            EntryCursor(last.posted_at, last.id, last.balance_after - last.points, rows[0]["version"])
        )
    return EntryPage(items=items, next_cursor=next_cursor)


async def list_own_entries(customer_id: UUID, membership_id: UUID, *, cursor: str, limit: int) -> EntryPage:
    """Return a page of entries of a membership that the customer is in.

    Raises:
        NotFound: It does not exist or is another person's.
        Invalid: The cursor is not one of ours.
    """
    if not await store.is_person_of(membership_id, customer_id):
        raise NotFound
    return await list_entries(membership_id, cursor=cursor, limit=limit, names_staff=False)


def _entry_view(row: Row, *, names_staff: bool) -> EntryView:
    kind = EntryKind(row["kind"])
    reason = _REASON_WORDS.get(row["reason_code"]) or _KIND_WORDS[kind]
    return EntryView(
        id=row["id"],
        kind=kind,
        points=row["points"],
        occurred_at=row["occurred_at"],
        posted_at=row["posted_at"],
        reason=f"{reason}: {row['note']}" if row["note"] else reason,
        balance_after=row["balance_after"],
        order_id=row["order"],
        order_number=row["order_number"],
        store_name=row["store_name"],
        available_at=row["available_at"],
        expires_at=row["expires_at"],
        by_name=row["by_name"],
        staff_name=row["staff_name"] if names_staff else None,
    )
