"""What points are worth and who may spend them: pure functions over plain values."""

import hmac
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from shared.limits import (
    PRESENCE_DIGITS,
    PRESENCE_STEP_SECONDS,
    PRESENCE_STEPS_BACK,
    REDEMPTION_STEP_MINOR,
    REDEMPTION_STEP_POINTS,
)
from shared.rewards import RewardKind, RewardStatus

_PERCENT = 100


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """A programme's redemption settings: `step_points` are worth `step_minor`."""

    step_points: int = REDEMPTION_STEP_POINTS
    step_minor: int = REDEMPTION_STEP_MINOR
    cap_percent: int = 100
    minimum_points: int = 100
    card_daily_points: int = 200
    restore_grace_days: int = 30
    version: int = 0

    def money_for(self, points: int) -> int:
        """Return what whole steps of points are worth, in minor units."""
        return points // self.step_points * self.step_minor

    @property
    def grace(self) -> timedelta:
        """How long points that lapsed while they were spent may be used once they are given back."""
        return timedelta(days=self.restore_grace_days)


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """A sale being paid: its total, and what points and vouchers take off it already, in minor units."""

    total_minor: int
    points_minor: int = 0
    vouchers_minor: int = 0

    @property
    def remainder_minor(self) -> int:
        return max(0, self.total_minor - self.points_minor - self.vouchers_minor)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer has to spend in a membership, and has spent today (points).

    `held` are points on open holds, `spent_today` those spent or held in any way, `unproven_today` those without proof
    of presence, `own_limit` the most a day that the member wants, `shared_limit` the most a day that those who share the
    membership have agreed on for this person (0: only the owner spends).
    """

    available: int
    held: int
    spent_today: int
    unproven_today: int
    own_limit: int | None
    redemption_held_until: datetime | None
    shared_limit: int | None = None

    @property
    def spendable(self) -> int:
        return max(0, self.available - self.held)

    @property
    def left_today(self) -> int | None:
        """What the limits of the member and of those who share leave of the day, None without any."""
        limits = [limit for limit in (self.own_limit, self.shared_limit) if limit is not None]
        return max(0, min(limits) - self.spent_today) if limits else None

    def is_held_at(self, now: datetime) -> bool:
        """Return whether the customer may not spend just now."""
        return self.redemption_held_until is not None and self.redemption_held_until > now


def plan_most(terms: Terms, sale: Sale, points: int) -> int:
    """Return the most of so many points that may pay for a sale: whole steps, within cap and remainder, not too few."""
    cap_minor = sale.total_minor * terms.cap_percent // _PERCENT - sale.points_minor
    money = max(0, min(cap_minor, sale.remainder_minor))
    most = min(money // terms.step_minor, points // terms.step_points) * terms.step_points
    return most if most >= terms.minimum_points else 0


def left_by_card(terms: Terms, standing: Standing) -> int:
    """Return how many more points the card alone may spend today."""
    return max(0, terms.card_daily_points - standing.unproven_today)


def voucher_amount(kind: RewardKind, value_minor: int, percent: int | None, sale: Sale) -> int:
    """Return what a voucher takes off a sale, in minor units: never more than is left of it."""
    amount = value_minor
    if kind is RewardKind.PERCENT_OFF:
        assert percent is not None, "the database refuses a percentage voucher without its percentage"
        amount = min(amount, sale.total_minor * percent // _PERCENT)
    return min(amount, sale.remainder_minor)


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What decides whether a reward can be taken: its window, and vouchers issued to all and to this customer.

    `issued` is None without a stock and `issued_to_customer` without a limit, as nobody counts them then.
    """

    status: RewardStatus
    active_from: datetime | None
    active_until: datetime | None
    stock: int | None
    member_limit: int | None
    issued: int | None
    issued_to_customer: int | None

    def is_open_at(self, now: datetime) -> bool:
        """Return whether the reward is offered at an instant."""
        begun = self.active_from is None or self.active_from <= now
        over = self.active_until is not None and self.active_until <= now
        return self.status is RewardStatus.ACTIVE and begun and not over

    @property
    def left(self) -> int | None:
        """How many this customer may still take, None without stock and limit."""
        parts = []
        if self.stock is not None:
            parts.append(max(0, self.stock - (self.issued or 0)))
        if self.member_limit is not None:
            parts.append(max(0, self.member_limit - (self.issued_to_customer or 0)))
        return min(parts, default=None)


def voucher_valid_until(now: datetime, valid_days: int | None, zone: str) -> datetime | None:
    """Return when a voucher issued now is over: the midnight after its last whole local day, None for never."""
    if valid_days is None:
        return None
    tz = ZoneInfo(zone)
    last_day = now.astimezone(tz).date() + timedelta(days=valid_days)
    return datetime.combine(last_day + timedelta(days=1), time(), tz).astimezone(UTC)


# Presence -------------------------------------------------------------------------------------------------------------


def presence_step(now: datetime) -> int:
    """Return the number of the half minute that holds an instant."""
    return int(now.timestamp()) // PRESENCE_STEP_SECONDS


def presence_code(secret: bytes, step: int) -> str:
    """Return the digits that a member's app shows in a step."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha256")
    return str(int.from_bytes(digest[:8], "big") % 10**PRESENCE_DIGITS).zfill(PRESENCE_DIGITS)


def find_presence_step(secret: bytes, code: str, now: datetime) -> int | None:
    """Return the step whose digits these are, of the present one and those that may still be typed."""
    current = presence_step(now)
    steps = range(current, current - PRESENCE_STEPS_BACK - 1, -1)
    # Every step is compared, so that the time taken tells nothing.
    found = [step for step in steps if hmac.compare_digest(presence_code(secret, step), code)]
    return found[0] if found else None


def presence_valid_until(step: int) -> datetime:
    """Return when a step's digits are no longer accepted."""
    return datetime.fromtimestamp((step + 1 + PRESENCE_STEPS_BACK) * PRESENCE_STEP_SECONDS, UTC)


def presence_text(card_number: str, code: str) -> str:
    """Return the text of the app's QR code: card and digits in one scan."""
    return f"{card_number}.{code}"


def split_presence_text(scanned: str) -> tuple[str, str | None]:
    """Return card number and digits of what a till scanned; None for the digits of a plain card."""
    card, dot, code = scanned.partition(".")
    is_code = len(code) == PRESENCE_DIGITS and code.isascii() and code.isdigit()
    return (card, code) if dot and is_code else (scanned, None)
