"""When a claim code may be used, and the second check of one that came in a letter: pure functions over plain values."""

import re
from datetime import datetime
from uuid import UUID

import msgspec

from server.customers.rules import fold_name
from shared.claims import ClaimCause, ClaimState

_ALIVE = ("stub", "active")
_PHONE_ENDING = 4
_NOT_CODE = re.compile(r"[\W_]+")
_DIGITS = re.compile(r"\D+")


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The customer a code stands for. `is_taken` says that somebody signs in as them, or has proven an address of theirs."""

    status: str
    family_name: str
    post_code: str
    phone_key: str | None
    is_taken: bool
    was_merged: bool


class CodeState(msgspec.Struct, frozen=True, kw_only=True):
    """A code and what it stands for. `issuer` is the customer who the issuing staff member is."""

    id: UUID
    kind: str
    expires_at: datetime
    used_at: datetime | None
    used_by: UUID | None
    revoked_at: datetime | None
    customer_id: UUID | None
    order_id: UUID | None
    issuer: UUID | None
    subject: Subject | None

    @property
    def asks_for_check(self) -> bool:
        """Whether the code came by post, so that whoever enters it has to know the person."""
        return self.kind == "letter"


def state_at(
    now: datetime, *, used_at: datetime | None, revoked_at: datetime | None, expires_at: datetime, was_merged: bool
) -> ClaimState:
    """Return how it stands with a code; one for somebody who was merged since is void."""
    if used_at is not None:
        return ClaimState.USED
    if revoked_at is not None or was_merged:
        return ClaimState.REVOKED
    return ClaimState.EXPIRED if expires_at <= now else ClaimState.LIVE


def why_refused(code: CodeState, now: datetime, *, claimant: UUID | None = None) -> ClaimCause | None:
    """Return why a code cannot be used, by this claimant if one is named; the second check is another matter."""
    was_merged = code.subject is not None and code.subject.was_merged
    state = state_at(
        now, used_at=code.used_at, revoked_at=code.revoked_at, expires_at=code.expires_at, was_merged=was_merged
    )
    if state is not ClaimState.LIVE:
        return ClaimCause(state.value)
    if claimant is not None and code.issuer == claimant:
        return ClaimCause.ISSUED_BY_ONESELF
    if code.subject is None:
        return None
    if code.subject.status not in _ALIVE:
        return ClaimCause.SUBJECT_GONE
    return ClaimCause.SUBJECT_HAS_LOGIN if code.subject.is_taken else None


def is_known_to(subject: Subject, answers: tuple[str, ...]) -> bool:
    """Return whether one of the answers is the family name, the post code, or the end of the phone number on file.

    Where the shop has none of these, there is nothing to ask for.
    """
    expected = {
        value
        for value in (_squeezed(subject.family_name), _squeezed(subject.post_code), _ending(subject.phone_key))
        if value
    }
    return not expected or any(_squeezed(answer) in expected for answer in answers)


def _squeezed(text: str) -> str:
    return _NOT_CODE.sub("", fold_name(text))


def _ending(phone_key: str | None) -> str:
    return _DIGITS.sub("", phone_key or "")[-_PHONE_ENDING:]
