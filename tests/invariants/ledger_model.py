"""An independent model of the points of a small shop: it shares no code with the service, and plain lists are all of it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from fractions import Fraction
from math import floor
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")
NEVER = datetime.max.replace(tzinfo=LONDON)
GRACE, HOLD_LIFE, CAPTURE_LATE_MAX = timedelta(days=30), timedelta(minutes=15), timedelta(hours=24)


def midnight(at: datetime, days: int) -> datetime:
    return datetime.combine(at.astimezone(LONDON).date() + timedelta(days=days), time(), LONDON)


@dataclass(frozen=True, kw_only=True)
class Rules:  # What sales earn: `points` for every `per_minor`, doubled in the gold tier, which is reached at `gold_from`.
    points: int
    per_minor: int
    is_rounded_up: bool = False
    pending_days: int = 0
    lapse_days: int | None = None
    gold_from: int | None = None

    def shares(self, amounts: Sequence[int], *, is_gold: bool) -> list[int]:
        """Return whole points by line: one rounding of the sum, spread by largest remainder."""
        exact = [Fraction(minor * self.points * (2 if is_gold else 1), self.per_minor) for minor in amounts]
        shares = [floor(one) for one in exact]
        total = floor(sum(exact) + (Fraction(1, 2) if self.is_rounded_up else 0))
        places = sorted(range(len(exact)), key=lambda place: (shares[place] - exact[place], place))
        for place in places[: total - sum(shares)]:
            shares[place] += 1
        return shares

    def dates(self, at: datetime) -> tuple[datetime, datetime | None]:
        available_at = midnight(at, self.pending_days) if self.pending_days else at
        return available_at, None if self.lapse_days is None else midnight(available_at, self.lapse_days + 1)


@dataclass(eq=False)
class Lot:  # Points of one credit.
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

    def order(self) -> tuple[datetime, datetime, int]:
        return self.expires_at or NEVER, self.earned_at, self.number


@dataclass(eq=False)
class Debit:  # Points that went: which lots they came from and have not gone back to, and what no lot has covered yet.
    parts: Counter[Lot]
    owed: int = 0


@dataclass(eq=False)
class Account:  # One membership.
    lots: list[Lot] = field(default_factory=list)
    debts: list[Debit] = field(default_factory=list)
    holds: "list[Hold]" = field(default_factory=list)
    gold_at: datetime | None = None

    def deficit(self) -> int:
        return sum(debt.owed for debt in self.debts)

    def available(self, now: datetime) -> int:
        return sum(lot.left for lot in self.lots if lot.is_available(now))

    def pending(self, now: datetime) -> int:
        return sum(lot.left for lot in self.lots if lot.available_at > now)

    def held(self, now: datetime) -> int:
        return sum(hold.points for hold in self.holds if hold.is_open(now))

    def dated(self, now: datetime) -> list[tuple[datetime, datetime, int]]:
        sums: Counter[tuple[datetime, datetime]] = Counter()
        for lot in self.lots:
            sums[lot.available_at, lot.expires_at or NEVER] += 0 if lot.is_over(now) else lot.left
        return sorted((*dates, points) for dates, points in sums.items() if points)

    def credit(self, points: int, earned_at: datetime, available_at: datetime, expires_at: datetime | None) -> Lot:
        """Add points; debts take their part first, the oldest before the others."""
        lot = Lot(points, earned_at, available_at, expires_at, len(self.lots))
        self.lots.append(lot)
        for debt in self.debts:
            if part := min(lot.left, debt.owed):
                debt.owed, lot.left = debt.owed - part, lot.left - part
                debt.parts[lot] += part
        return lot

    def spend(self, points: int, now: datetime) -> Debit:
        return Debit(self._take(points, (lot for lot in self.lots if lot.is_available(now))))

    def take(self, points: int, now: datetime, *, but: Lot | None = None) -> Debit:
        """Take points whether or not they are there: available, pending, then owed."""
        others = [lot for lot in self.lots if lot is not but]
        parts = self._take(points, (lot for lot in others if lot.is_available(now)))
        parts += self._take(points - parts.total(), (lot for lot in others if lot.available_at > now))
        self.debts.append(Debit(parts, points - parts.total()))
        return self.debts[-1]

    def claw_back(self, points: int, own: Lot, now: datetime, *, comes_back: int = 0) -> tuple[int, int]:
        """Take earned points, own lot first; return what was let be, as it had lapsed, and what is owed."""
        self.expire(now)
        points -= self._take(points, [own]).total()
        exempt = min(points, own.lapsed)
        own.lapsed -= exempt
        later = min(points - exempt, comes_back)
        debit = self.take(points - exempt - later, now, but=own)
        debit.owed += later
        return exempt, debit.owed

    def give_back(self, debit: Debit, points: int, now: datetime) -> int:
        """Undo a part of a debit: the lots that lapse last come back first, with the dates they had."""
        given = 0
        for lot in sorted(debit.parts, key=Lot.order, reverse=True):
            if part := min(points - given, debit.parts[lot]):
                debit.parts[lot] -= part
                expires_at = midnight(now, GRACE.days + 1) if lot.is_over(now) else lot.expires_at
                self.credit(part, lot.earned_at, lot.available_at, expires_at)
                given += part
        return given

    def expire(self, now: datetime) -> None:
        for lot in self.lots:
            if lot.is_over(now):
                lot.lapsed, lot.left = lot.lapsed + lot.left, 0

    @staticmethod
    def _take(points: int, lots: Iterable[Lot]) -> Counter[Lot]:
        taken = Counter[Lot]()
        for lot in sorted(lots, key=Lot.order):
            if part := min(points, lot.left):
                lot.left, points = lot.left - part, points - part
                taken[lot] = part
        return taken


@dataclass(eq=False)
class Voucher:  # What a reward was taken for.
    who: int
    account: Account
    debit: Debit
    valid_until: datetime
    state: str = "issued"

    def is_good(self, now: datetime) -> bool:
        return self.state == "issued" and now < self.valid_until and not self.is_held(now)

    def is_held(self, now: datetime) -> bool:
        return any(hold.voucher is self and hold.is_open(now) for hold in self.account.holds)


@dataclass(eq=False)
class Hold:  # Points, or a voucher, that were set aside for a sale.
    who: int
    account: Account
    points: int
    expires_at: datetime
    voucher: Voucher | None = None
    state: str = "open"
    debit: Debit | None = None

    def is_open(self, now: datetime) -> bool:
        return self.state == "open" and now < self.expires_at

    def capture(self, now: datetime) -> bool:
        """Spend what is held, also for a day after its time if it is free still; return whether that went."""
        if self.state != "open" or now - self.expires_at > CAPTURE_LATE_MAX:
            return self.state == "captured"
        free = self.account.available(now) - (0 if self.is_open(now) else self.account.held(now))
        if self.voucher is None and self.points <= free:
            self.debit, self.state = self.account.spend(self.points, now), "captured"
        elif (one := self.voucher) and one.state == "issued" and (self.is_open(now) or not one.is_held(now)):
            one.state, self.state = "redeemed", "captured"
        return self.state == "captured"

    def undo(self, points: int, now: datetime) -> int:
        """Give points back, or let the voucher be good again; return the points."""
        if self.debit is not None:
            return self.account.give_back(self.debit, points, now)
        if self.voucher is not None and self.state == "captured":
            self.state, self.voucher.state = "undone", "issued"
            if self.voucher.valid_until <= now:
                self.voucher.valid_until = midnight(now, GRACE.days + 1)
        return 0


@dataclass(eq=False)
class Sale:  # A sale: lines of pieces and money, whose it is, what it earned there by line, what came back, what paid for it.
    lines: list[tuple[int, int]]
    completed_at: datetime
    who: int | None = None
    account: Account | None = None
    shares: list[int] = field(default_factory=list)
    lot: Lot | None = None
    back: list[int] = field(default_factory=list)
    paid_by: list[Hold] = field(default_factory=list)
    restored: int = 0
    is_void: bool = False

    def left(self, shares: Sequence[int] | None = None) -> int:
        """Return the points of so many by line that stay: what came back takes its part, rounded down by line."""
        lines = zip(self.shares if shares is None else shares, self.back, self.lines, strict=True)
        return sum(points - points * back // pieces for points, back, (pieces, _) in lines)

    def payments(self) -> "list[Hold]":
        """Return what paid for the sale and is still spent, points before vouchers."""
        spent = [one for one in self.paid_by if one.state == "captured" and (not one.debit or one.debit.parts.total())]
        return sorted(spent, key=lambda one: one.voucher is not None)


@dataclass(eq=False)
class Shop:  # The accounts, who is in which since when, the rules, and what happens to points that were spent.
    accounts: list[Account]
    homes: dict[int | None, Account]
    starts: dict[int, datetime]
    rules: list[tuple[datetime, Rules]]
    policy: str = "allow_negative"
    sales: list[Sale] = field(default_factory=list)

    def rules_at(self, at: datetime) -> Rules:
        return next(rules for valid_from, rules in reversed(self.rules) if valid_from <= at)

    def worth(self, sale: Sale, who: int | None) -> list[int]:
        account = self.homes.get(who)
        if sale.is_void or who is None or account is None or sale.completed_at < self.starts[who]:
            return [0] * len(sale.lines)
        rules = self.rules_at(sale.completed_at)
        had_gold = account.gold_at is not None and account.gold_at <= sale.completed_at
        return rules.shares([minor for _, minor in sale.lines], is_gold=rules.gold_from is not None and had_gold)

    def assign(self, sale: Sale, who: int | None, now: datetime) -> None:
        sale.shares, sale.lot = self.worth(sale, who), None
        sale.who, sale.account = who, self.homes.get(who)
        if (points := sale.left()) and sale.account is not None:
            rules = self.rules_at(sale.completed_at)
            sale.lot = sale.account.credit(points, sale.completed_at, *rules.dates(sale.completed_at))
            if rules.gold_from is not None:
                self._raise(sale.account, now)

    def comes_back(self, sale: Sale, who: int | None) -> int:
        """Return the points that a sale would earn the account it is in again if it were moved."""
        return sale.left(self.worth(sale, who)) if sale.account and self.homes.get(who) is sale.account else 0

    def take_back(self, sale: Sale, points: int, now: datetime, *, comes_back: int = 0) -> tuple[int, int]:
        """Take points of a sale back; return what was let be as it had lapsed, and what is owed."""
        if not points or sale.account is None or sale.lot is None:
            return 0, 0
        exempt, owed = sale.account.claw_back(points, sale.lot, now, comes_back=comes_back)
        if owed and self.policy == "available_only" and not comes_back:
            sale.account.credit(owed, now, now, None)
        return exempt, max(0, owed - comes_back)

    def void(self, sale: Sale, now: datetime) -> None:
        for hold in sale.payments():
            hold.undo(hold.points, now)
        self.take_back(sale, sale.left(), now)
        sale.is_void, sale.shares = True, [0] * len(sale.lines)

    def is_spent(self, sale: Sale, now: datetime) -> bool:
        return Shop([], {}, {}, []).take_back(twin := deepcopy(sale), twin.left(), now)[1] > 0

    def refund(self, sale: Sale, pieces: Sequence[int], now: datetime) -> tuple[int, int, int]:
        """Take pieces back, and give back what paid for them; return points let be, owed and given back."""
        before, given = sale.left(), 0
        sale.back = [had + more for had, more in zip(sale.back, pieces, strict=True)]
        value = sum(Fraction(minor * back, sold) for back, (sold, minor) in zip(sale.back, sale.lines, strict=True))
        whole = sum(minor for _, minor in sale.lines)
        wanted = floor(sum(hold.points for hold in sale.paid_by) * value / whole)
        for hold in reversed(sale.paid_by):
            if hold.voucher is None or value == whole:
                given += hold.undo(wanted - sale.restored - given, now)
        sale.restored += given
        return *self.take_back(sale, before - sale.left(), now), given

    def _raise(self, account: Account, now: datetime) -> None:
        """Let an account reach gold by what its sales of one calendar year have earned, less what came back of them."""
        gold_from, sums = self.rules_at(now).gold_from, Counter[int]()
        for sale in self.sales:
            if sale.account is account:
                sums[sale.completed_at.astimezone(LONDON).year] += sale.left()
        if gold_from is not None and account.gold_at is None and max(sums.values()) >= gold_from:
            account.gold_at = now
