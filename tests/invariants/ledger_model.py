"""An independent model of two points accounts: plain lists, worked out anew at every question.

It shares no code with the service. A lot is what one credit left; a day is a day in London; what is not here is not
modelled.
"""

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")
PENDING_DAYS = 2
EXPIRY_DAYS = 30
GRACE = timedelta(days=30)


def midnight(at: datetime, days: int) -> datetime:
    """Return the midnight in London that begins the day `days` after that of `at`."""
    return datetime.combine(at.astimezone(LONDON).date() + timedelta(days=days), time(), LONDON)


@dataclass(eq=False)
class Lot:
    """Points of one credit."""

    left: int
    earned_at: datetime
    available_at: datetime
    expires_at: datetime | None
    number: int
    lapsed: int = 0

    def is_over(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def is_available(self, now: datetime) -> bool:
        return self.available_at <= now and not self.is_over(now)


@dataclass(eq=False)
class Spent:
    """A redemption: which lots it used and how much of each can still be given back."""

    parts: list[tuple[Lot, int]]


@dataclass(eq=False)
class Sale:
    """A sale, whose account it counts for and what it earned there."""

    points: int
    completed_at: datetime
    account: "Account | None" = None
    lot: Lot | None = None


@dataclass(eq=False)
class Account:
    """One membership."""

    lots: list[Lot] = field(default_factory=list)
    deficit: int = 0
    _count: int = 0

    def available(self, now: datetime) -> int:
        return sum(lot.left for lot in self.lots if lot.is_available(now))

    def pending(self, now: datetime) -> int:
        return sum(lot.left for lot in self.lots if lot.available_at > now)

    def dated(self, now: datetime) -> list[tuple[datetime, datetime | None, int]]:
        """Return what is left by dates, lapsed points left out."""
        sums: dict[tuple[datetime, datetime | None], int] = {}
        for lot in self.lots:
            if lot.left and not lot.is_over(now):
                key = (lot.available_at, lot.expires_at)
                sums[key] = sums.get(key, 0) + lot.left
        return sorted((*key, points) for key, points in sums.items())

    def credit(self, points: int, earned_at: datetime, available_at: datetime, expires_at: datetime | None) -> Lot:
        """Add points; a deficit takes its part first."""
        filled = min(points, self.deficit)
        self.deficit -= filled
        self._count += 1
        lot = Lot(points - filled, earned_at, available_at, expires_at, self._count)
        self.lots.append(lot)
        return lot

    def earn(self, sale: Sale) -> None:
        """Count a sale here."""
        available_at = midnight(sale.completed_at, PENDING_DAYS)
        expires_at = midnight(available_at, EXPIRY_DAYS + 1)
        sale.account = self
        sale.lot = self.credit(sale.points, sale.completed_at, available_at, expires_at)

    def spend(self, points: int, now: datetime) -> Spent | None:
        """Take available points, soonest to lapse first; None if there are not enough."""
        if self.available(now) < points:
            return None
        return Spent(self._take(points, [lot for lot in self.lots if lot.is_available(now)]))

    def give_back(self, spent: Spent, points: int, now: datetime) -> int:
        """Undo a part of a redemption: the last lots it used come back first, with the dates they had."""
        given = 0
        for place in reversed(range(len(spent.parts))):
            lot, taken = spent.parts[place]
            part = min(points - given, taken)
            if part:
                spent.parts[place] = (lot, taken - part)
                expires_at = now + GRACE if lot.is_over(now) else lot.expires_at
                self.credit(part, lot.earned_at, lot.available_at, expires_at)
                given += part
        return given

    def take(self, points: int, now: datetime, own: Lot | None = None) -> None:
        """Take points whether or not they are there: own lot, available, pending, then owed; lapsed own ones are let be."""
        if own is not None:
            if not own.is_over(now):
                part = min(points, own.left)
                own.left -= part
                points -= part
            points -= min(points, own.lapsed + (own.left if own.is_over(now) else 0))
        others = [lot for lot in self.lots if lot is not own]
        for group in (
            [lot for lot in others if lot.is_available(now)],
            [lot for lot in others if lot.available_at > now],
        ):
            points -= sum(part for _, part in self._take(points, group))
        self.deficit += points

    def expire(self, now: datetime) -> None:
        """Book what has lapsed."""
        for lot in self.lots:
            if lot.is_over(now):
                lot.lapsed += lot.left
                lot.left = 0

    @staticmethod
    def _take(points: int, lots: list[Lot]) -> list[tuple[Lot, int]]:
        far = datetime.max.replace(tzinfo=LONDON)
        taken = []
        for lot in sorted(lots, key=lambda one: (one.expires_at or far, one.earned_at, one.number)):
            part = min(points, lot.left)
            if part:
                lot.left -= part
                points -= part
                taken.append((lot, part))
        return taken
