"""How points move between lots and debts: pure functions over plain values."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """A credit entry seen as a stock with `remaining` points."""

    entry_id: UUID
    remaining: int
    earned_at: datetime
    available_at: datetime
    expires_at: datetime | None


class LiveLot(msgspec.Struct, frozen=True, kw_only=True):
    """Points left of a credit, with the customer who caused it."""

    entry_id: UUID
    remaining: int
    earned_at: datetime
    available_at: datetime
    expires_at: datetime | None
    customer_id: UUID | None


class Debt(msgspec.Struct, frozen=True, kw_only=True):
    """A debit entry of which `open_points` found no lot: a part of the deficit."""

    entry_id: UUID
    open_points: int


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """Points of a new lot that go to an older debt."""

    debit_entry_id: UUID
    points: int


class Take(msgspec.Struct, frozen=True, kw_only=True):
    """Points that a debit takes from a lot."""

    lot_entry_id: UUID
    points: int


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """Points of a lot that pay a debt of the same membership."""

    debit_entry_id: UUID
    lot_entry_id: UUID
    points: int


def plan_fills(points: int, debts: Sequence[Debt]) -> tuple[Fill, ...]:
    """Return how a credit pays debts, oldest first; what is left of it becomes spendable."""
    fills = []
    for debt in debts:
        part = min(points, debt.open_points)
        if part:
            fills.append(Fill(debit_entry_id=debt.entry_id, points=part))
            points -= part
    return tuple(fills)


def plan_takes(points: int, lots: Sequence[Lot], *, now: datetime) -> tuple[Take, ...]:
    """Return which available lots a debit of `points` uses: soonest to lapse first, never-lapsing last, then oldest.

    The takes add up to less than `points` when there is not enough.
    """
    takes = []
    for lot in sorted((lot for lot in lots if is_available(lot, now)), key=_consumption_order):
        part = min(points, lot.remaining)
        if part:
            takes.append(Take(lot_entry_id=lot.entry_id, points=part))
            points -= part
    return tuple(takes)


class ClawbackPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How earned points are taken back.

    `takes` come from lots; `exempt` points had already lapsed from the lot they were earned in and are not taken twice;
    `owed` points were spent and become a deficit.
    """

    takes: tuple[Take, ...]
    exempt: int
    owed: int

    @property
    def points(self) -> int:
        """What the CLAWBACK entry takes in all."""
        return sum(take.points for take in self.takes) + self.owed


def plan_clawback(
    points: int, own: Lot | None, others: Sequence[Lot], *, lapsed_from_own: int, now: datetime, deferred: int = 0
) -> ClawbackPlan:
    """Return how to take `points` back: from their own lot, then available lots, then pending ones, then as a deficit.

    Args:
        own: The lot the points were earned in, None if it has gone with a transfer.
        others: The membership's other lots with points left.
        lapsed_from_own: Points of the own lot that lapsed, less those exempted before.
        deferred: So many of the points that are not in their own lot become a deficit at once, and other lots are let
            be: the same points are about to come back to the same membership.
    """
    takes: list[Take] = []
    wanted = points
    if own is not None and not _has_lapsed(own, now):
        wanted -= _take(takes, own, wanted)
    exempt = min(wanted, lapsed_from_own)
    wanted -= exempt
    later = min(wanted, deferred)
    wanted -= later
    available = sorted((lot for lot in others if is_available(lot, now)), key=_consumption_order)
    pending = sorted((lot for lot in others if lot.available_at > now), key=_consumption_order)
    for lot in (*available, *pending):
        wanted -= _take(takes, lot, wanted)
    return ClawbackPlan(takes=tuple(takes), exempt=exempt, owed=wanted + later)


def plan_restore(points: int, allocations: Sequence[Take]) -> tuple[Take, ...]:
    """Return which lots' points come back when a part of a redemption is undone: the last to lapse come back first.

    Args:
        allocations: What the redemption took from each lot and has not given back, in the order it was taken.
    """
    takes: list[Take] = []
    for taken in reversed(allocations):
        part = min(points, taken.points)
        if part:
            takes.append(Take(lot_entry_id=taken.lot_entry_id, points=part))
            points -= part
    return tuple(takes)


def plan_settlement(debts: Sequence[Debt], lots: Sequence[Lot], *, now: datetime) -> tuple[Settlement, ...]:
    """Return which lots pay which debts, oldest debt first: available lots, soonest to lapse first, then pending ones.

    Lapsed lots pay nothing. What is left over is on one side only.
    """
    available = sorted((lot for lot in lots if is_available(lot, now)), key=_consumption_order)
    pending = sorted((lot for lot in lots if lot.available_at > now), key=_consumption_order)
    paying = [(lot, lot.remaining) for lot in (*available, *pending)]
    settled = []
    for debt in debts:
        open_points = debt.open_points
        while open_points and paying:
            lot, left = paying.pop(0)
            part = min(open_points, left)
            settled.append(Settlement(debit_entry_id=debt.entry_id, lot_entry_id=lot.entry_id, points=part))
            open_points -= part
            if left > part:
                paying.insert(0, (lot, left - part))
    return tuple(settled)


def is_available(lot: Lot, now: datetime) -> bool:
    """Return whether a lot can be spent at an instant."""
    return lot.available_at <= now and (lot.expires_at is None or lot.expires_at > now)


def _has_lapsed(lot: Lot, now: datetime) -> bool:
    return lot.expires_at is not None and lot.expires_at <= now


def _take(takes: list[Take], lot: Lot, wanted: int) -> int:
    part = min(wanted, lot.remaining)
    if part:
        takes.append(Take(lot_entry_id=lot.entry_id, points=part))
    return part


def _consumption_order(lot: Lot) -> tuple[bool, datetime, datetime, UUID]:
    return (lot.expires_at is None, lot.expires_at or lot.earned_at, lot.earned_at, lot.entry_id)
