"""Rules of email changes: what matters to a preview, what becomes of consent, what looks like a typo."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from shared.enums import ConsentAnswer, EmailChangeMode

TYPO_DISTANCE_MAX = 2  # A slip swaps, doubles or drops a letter or two; more is another address.
_COMMON_DOMAINS = (
    "gmail.com",
    "googlemail.com",
    "hotmail.com",
    "hotmail.co.uk",
    "outlook.com",
    "live.com",
    "yahoo.com",
    "yahoo.co.uk",
    "icloud.com",
    "me.com",
    "aol.com",
    "btinternet.com",
    "proton.me",
    "gmx.net",
    "web.de",
)


class LotState(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Spendable or pending points of one lot, with the dates that a reissue must keep."""

    points: int
    available_at: datetime
    expires_at: datetime | None


class MembershipState(msgspec.Struct, frozen=True, kw_only=True):
    """A membership of the customer as an email change finds it. `is_shared`: somebody else is in it too."""

    id: UUID
    programme_id: UUID
    person_id: UUID
    deficit: int
    is_shared: bool


class CardState(msgspec.Struct, frozen=True, kw_only=True):
    """An active card of the customer."""

    id: UUID
    code: str
    membership_id: UUID


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides what an email change does; two equal situations have equal outcomes.

    Lots are those of memberships that a reissue would close. `new_owner_id` is another customer who has proven the new
    address.
    """

    customer_id: UUID
    status: str
    old_point_id: UUID | None
    old_email: str | None
    old_key: str | None
    old_status: str | None
    new_email: str
    new_key: str
    new_owner_id: UUID | None
    memberships: tuple[MembershipState, ...]
    cards: tuple[CardState, ...]
    voucher_ids: tuple[UUID, ...]
    lots: tuple[LotState, ...]
    has_login: bool
    pending_change_id: UUID | None


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What the staff member asked for; the reason may change between preview and execution, the rest not."""

    operation: str
    mode: EmailChangeMode


def hash_preview(command: Command, situation: Situation) -> str:
    """Return the hash that ties an execution to the preview that was looked at, 64 hex digits."""
    content = msgspec.json.encode((command, situation), order="deterministic")
    return hashlib.sha256(content).hexdigest()


def plan_email_consent(
    *, mode: EmailChangeMode, old: ConsentAnswer, new: ConsentAnswer, is_correction: bool
) -> bool | None:
    """Return what to record for the new address: a yes, a no, or nothing.

    An opt-out always goes along, and a no that the person gave at the new address stands. A yes goes along where the
    address only changed; where the account is reissued the new address starts as not asked.
    """
    if ConsentAnswer.OPTED_OUT in (old, new):
        return None if new is ConsentAnswer.OPTED_OUT else False
    if is_correction:
        return True if old in (ConsentAnswer.OPTED_IN, ConsentAnswer.PENDING) else None
    return True if mode is EmailChangeMode.KEEP and old is ConsentAnswer.OPTED_IN else None


def is_typo_of(old_key: str, new_key: str) -> bool:
    """Return whether one address could be the other mistyped."""
    return 0 < edit_distance(old_key, new_key, limit=TYPO_DISTANCE_MAX) <= TYPO_DISTANCE_MAX


def suggest_domain(key: str) -> str | None:
    """Return the common domain that an address's domain is one edit away from, if it is not common itself."""
    domain = key.rpartition("@")[2]
    if domain in _COMMON_DOMAINS:
        return None
    return next((common for common in _COMMON_DOMAINS if edit_distance(domain, common, limit=1) == 1), None)


def edit_distance(one: str, other: str, *, limit: int) -> int:
    """Return how many letters to insert, delete, replace or swap; `limit` + 1 stands for anything above it."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: Sequence[int] = ()
    previous: Sequence[int] = range(len(other) + 1)
    for row, letter in enumerate(one, start=1):
        current = [row]
        for column, counterpart in enumerate(other, start=1):
            cost = min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (letter != counterpart))
            is_swap = row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == counterpart
            current.append(min(cost, before[column - 2] + 1) if is_swap else cost)
        before, previous = previous, current
    return min(previous[-1], limit + 1)
