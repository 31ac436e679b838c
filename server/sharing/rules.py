"""Who takes which points along, and who has to agree: pure functions over plain values."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.ledger.rules import LiveLot, Take
from shared.sharing import LeavePolicy
from shared.staff import LotView


def plan_leaving(
    policy: LeavePolicy, lots: Sequence[LiveLot], *, leaver: UUID, points: int, now: datetime
) -> tuple[Take, ...]:
    """Return the parts of lots that a leaver takes along.

    An agreed number is taken from all lots in proportion, so that what lapses soon is shared fairly.

    Args:
        points: The agreed number; at most what the lots that have not lapsed hold.
    """
    live = [lot for lot in lots if not _has_lapsed(lot, now)]
    match policy:
        case LeavePolicy.LEAVE_ALL:
            return ()
        case LeavePolicy.CONTRIBUTION:
            own = [lot for lot in live if lot.customer_id == leaver]
            return tuple(Take(lot_entry_id=lot.entry_id, points=lot.remaining) for lot in own)
        case LeavePolicy.AGREED:
            parts = divide(points, [lot.remaining for lot in live])
            takes = [Take(lot_entry_id=lot.entry_id, points=part) for lot, part in zip(live, parts, strict=True)]
            return tuple(take for take in takes if take.points)


def divide(points: int, weights: Sequence[int]) -> list[int]:
    """Cut a number into parts in proportion to weights, by largest remainder; no part is above its weight.

    Args:
        points: At most the sum of the weights.
    """
    whole = sum(weights)
    assert 0 <= points <= whole
    if not whole:
        return [0 for _ in weights]
    parts = [points * weight // whole for weight in weights]
    # Of equal remainders the first comes first, so that the same lots are cut in the same way each time.
    order = sorted(range(len(weights)), key=lambda place: (-(points * weights[place] % whole), place))
    for place in order[: points - sum(parts)]:
        parts[place] += 1
    return parts


def count_live(lots: Sequence[LiveLot], now: datetime) -> int:
    """Return the points of lots that have not lapsed."""
    return sum(lot.remaining for lot in lots if not _has_lapsed(lot, now))


def list_dated(lots: Sequence[LiveLot], now: datetime) -> tuple[LotView, ...]:
    """Return points with their dates, those of the same dates together, soonest to lapse first."""
    sums: dict[tuple[datetime, datetime | None], int] = {}
    for lot in lots:
        if not _has_lapsed(lot, now):
            key = (lot.available_at, lot.expires_at)
            sums[key] = sums.get(key, 0) + lot.remaining
    views = [LotView(points=points, available_at=at, expires_at=until) for (at, until), points in sums.items()]
    return tuple(sorted(views, key=lambda view: (view.expires_at is None, view.expires_at or now, view.available_at)))


def _has_lapsed(lot: LiveLot, now: datetime) -> bool:
    return lot.expires_at is not None and lot.expires_at <= now
