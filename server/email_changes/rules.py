"""Rules of email changes: what matters to a preview, what becomes of consent, what looks like a typo."""

import hashlib
from datetime import datetime
from uuid import UUID

import msgspec

from shared.email_hints import edit_distance
from shared.enums import ConsentAnswer, EmailChangeMode

PROVEN = ("verified", "bouncing")
"""Statuses of addresses whose mailbox was the customer's, so that what concerns them may be mailed there."""

TYPO_DISTANCE_MAX = 2  # A slip swaps, doubles or drops a letter or two; more is another address.


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
    old_bounces: bool = False
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
