"""Messages of the duplicate queue: pairs of customers who may be one person."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from shared import limits
from shared.base import Request, View


class DuplicateState(StrEnum):
    """What became of a pair."""

    OPEN = "open"
    DISMISSED = "dismissed"
    MERGED = "merged"


class DuplicateReason(View, frozen=True, kw_only=True):
    """One piece of evidence. Positive points speak for one person, negative ones for two."""

    code: str
    points: int
    text: str


class DuplicatePerson(View, frozen=True, kw_only=True):
    """One of the two, with what tells people apart. Contact data is masked; opening the customer shows it and is logged.

    Attributes:
        birthday: As in "3 April 1980", without the year where it is not known.
    """

    id: UUID
    name: str
    kind: str
    status: str
    email_masked: str | None
    email_proven: bool
    phone_ending: str | None
    birthday: str | None
    post_code: str | None
    card_ending: str | None
    has_login: bool
    pos_linked: bool
    available: int
    created_at: datetime
    last_order_on: date | None


class DuplicateView(View, frozen=True, kw_only=True):
    """Two customers who may be one person.

    Attributes:
        score: The sum of the reasons' points; higher is likelier.
        reasons: The weightiest first.
        survivor_id: Who would go on if the two are merged, unless staff choose otherwise: who signs in, then who is linked
            to the till, then who has been here longer.
        decided_by: The name of whoever dismissed or merged the two.
    """

    id: UUID
    state: DuplicateState
    score: int
    reasons: tuple[DuplicateReason, ...]
    one: DuplicatePerson
    other: DuplicatePerson
    survivor_id: UUID
    found_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    note: str


class DuplicatePage(View, frozen=True, kw_only=True):
    """A page of pairs, the likeliest first."""

    items: tuple[DuplicateView, ...]
    next_cursor: str | None


class DuplicateDismissal(Request, frozen=True, kw_only=True):
    """That the two are two people, with a note for whoever wonders later."""

    note: Annotated[str, msgspec.Meta(max_length=limits.REASON_LENGTH_MAX)] = ""
