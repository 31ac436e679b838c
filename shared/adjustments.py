"""Messages about adjustments: points that staff give or take by hand."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from shared import limits
from shared.base import Hash, Password, Reason, Request, View
from shared.members import Balance


class AdjustReason(StrEnum):
    """Why points are given or taken by hand; a closed list, so that reports can count it."""

    MISSED_PURCHASE = "missed_purchase"
    GOODWILL = "goodwill"
    COMPLAINT = "complaint"
    EVENT = "event"
    CORRECTION = "correction"
    OTHER = "other"


class AdjustmentState(StrEnum):
    """Where an adjustment stands. A waiting one that nobody decides on in time has lapsed."""

    WAITING = "waiting"
    POSTED = "posted"
    REFUSED = "refused"
    LAPSED = "lapsed"
    UNDONE = "undone"


Note = Annotated[str, msgspec.Meta(max_length=limits.REASON_LENGTH_MAX)]
_Absolute = Annotated[int, msgspec.Meta(ge=-limits.POINTS_MAX, le=limits.POINTS_MAX)]
PointsDelta = Annotated[int, msgspec.Meta(ge=-limits.ADJUST_POINTS_MAX, le=limits.ADJUST_POINTS_MAX)]


class AdjustmentRequest(Request, frozen=True, kw_only=True):
    """Points to give (positive) or take (negative). `visible` shows the note to the member.

    The reasons `correction` and `other` need a note, as they explain nothing by themselves.

    `set_to` and `balance` are there to be refused: a sale made meanwhile would be overwritten by an absolute figure.
    """

    points: PointsDelta | UnsetType = UNSET
    reason_code: AdjustReason
    note: Note = ""
    visible: bool = False
    membership_id: UUID | None = None
    set_to: _Absolute | UnsetType = UNSET
    balance: _Absolute | UnsetType = UNSET
    preview_hash: Hash | None = None


class AdjustmentPreview(View, frozen=True, kw_only=True):
    """What an adjustment would do; nothing has changed yet.

    `needs_second_person` lists why somebody else must approve; then the command only asks for it. One may do `each_max`
    at a time alone, and `today_left` more in these 24 hours.
    """

    customer_id: UUID
    membership_id: UUID
    points: int
    balance: Balance
    available_after: int
    pending_after: int
    deficit_after: int
    expires_at: datetime | None
    needs_second_person: tuple[str, ...]
    today_left: int
    preview_hash: str
    each_max: int = 0


class AdjustmentDecision(Request, frozen=True, kw_only=True):
    """An approval; `preview_hash` is that of the request as it was shown.

    The password is needed of whoever has not signed in within the last ten minutes.
    """

    preview_hash: Hash
    password: Password | None = None
    note: Note = ""


class AdjustmentRefusal(Request, frozen=True, kw_only=True):
    """Why a request is not granted."""

    reason: Reason


class AdjustmentView(View, frozen=True, kw_only=True):
    """An adjustment, or a request for one, with the membership's points as they are now.

    `preview_hash` is there while it waits; the approval must present it.
    """

    id: UUID
    state: AdjustmentState
    customer_id: UUID
    customer_name: str
    membership_id: UUID
    points: int
    reason_code: AdjustReason
    note: str
    visible: bool
    requested_by: str
    requested_at: datetime
    needs_second_person: tuple[str, ...]
    lapses_at: datetime | None
    decided_by: str | None
    decided_at: datetime | None
    decision_note: str
    undo_until: datetime | None
    undone_by: str | None
    undone_at: datetime | None
    available: int
    pending: int
    deficit: int
    preview_hash: str | None


class AdjustmentUndo(Request, frozen=True, kw_only=True):
    """Why an adjustment is taken back; `preview_hash` is that of `AdjustmentUndoPreview`, which asking for needs none."""

    reason: Reason
    preview_hash: Hash | None = None


class AdjustmentUndoPreview(View, frozen=True, kw_only=True):
    """What taking an adjustment back would do; nothing has changed yet.

    `adjustment` has the membership's points of now. `points` are posted, with their sign; `points_exempt` were given and
    have lapsed since, so that they are not taken again.
    """

    adjustment: AdjustmentView
    points: int
    points_exempt: int
    available_after: int
    pending_after: int
    deficit_after: int
    preview_hash: str


class AdjustmentPage(View, frozen=True, kw_only=True):
    """Adjustments, newest first."""

    items: tuple[AdjustmentView, ...]
    next_cursor: str | None = None
