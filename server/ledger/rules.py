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


def is_available(lot: Lot, now: datetime) -> bool:
    """Return whether a lot can be spent at an instant."""
    return lot.available_at <= now and (lot.expires_at is None or lot.expires_at > now)


def _consumption_order(lot: Lot) -> tuple[bool, datetime, datetime, UUID]:
    return (lot.expires_at is None, lot.expires_at or lot.earned_at, lot.earned_at, lot.entry_id)
