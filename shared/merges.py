"""Messages of merges: two customers who are one person become one."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from shared import limits
from shared.base import Hash, Reason, Request, Token, View
from shared.sharing import CombineEffect, SplitEffect

Side = Literal["survivor", "absorbed"]


class MergeState(StrEnum):
    """How far a merge has come."""

    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"
    UNDONE = "undone"


class MergeNeed(StrEnum):
    """Why a merge takes a second person."""

    BOTH_HAVE_LOGINS = "both_have_logins"
    STAFF_LINKED = "staff_linked"
    BLOCKED = "blocked"
    MANY_POINTS = "many_points"


class MergeChoices(Request, frozen=True, kw_only=True):
    """Whose fields stay; without a choice the survivor's, blanks filled from the other, proven addresses first.

    Attributes:
        shared_membership: Where the absorbed customer shares a membership with others and the survivor has one as well:
            `combine` brings the survivor's into the shared one, `leave` lets the absorbed one leave it first.
        count_older_orders: Sales that were skipped for being too old count now, as the earlier enrolment holds for both.
        cancel_email_changes: A change of address that waits for its proof is given up.
    """

    name: Side | None = None
    birthday: Side | None = None
    locale: Side | None = None
    email: Side | None = None
    phone: Side | None = None
    shared_membership: Literal["combine", "leave"] | None = None
    count_older_orders: bool = False
    cancel_email_changes: bool = False


class MergeRequest(Request, frozen=True, kw_only=True):
    """Two customers who are one person; the survivor's id goes on."""

    survivor_id: UUID
    absorbed_id: UUID
    choices: MergeChoices = MergeChoices()
    reason: Reason
    preview_hash: Hash | None = None


class MergeSide(View, frozen=True, kw_only=True):
    """One of the two as they are now."""

    id: UUID
    name: str
    kind: str
    status: str
    email: str | None
    email_status: str | None
    phone: str | None
    phone_status: str | None
    birthday: str | None
    locale: str
    has_login: bool
    created_at: datetime
    available: int
    pending: int
    deficit: int
    cards: tuple[str, ...]
    vouchers: int
    orders: int
    pos_links: int
    sharers: int


class MergeField(View, frozen=True, kw_only=True):
    """A field of both, and whose stays."""

    name: str
    survivor: str | None
    absorbed: str | None
    after: str | None
    chosen: Side
    may_choose: bool
    differs: bool


class MergeEffect(View, frozen=True, kw_only=True):
    """What the merge does.

    Attributes:
        combined: Pairs of memberships that become one, with the proof.
        memberships_moved: Memberships that only the absorbed customer had.
        older_orders: Sales that would count now with `count_older_orders`, and for how many points.
        bonuses_twice: One-time bonuses that both have had; they are kept.
        referrals_void: Bonuses of somebody who had brought themselves; they are taken back.
    """

    fields: tuple[MergeField, ...]
    combined: tuple[CombineEffect, ...]
    memberships_moved: tuple[UUID, ...]
    cards: tuple[str, ...]
    vouchers: int
    orders: int
    pos_links: int
    older_orders: int
    older_points: int
    older_counted: bool
    bonuses_twice: tuple[str, ...]
    referrals_void: int
    sessions_ended: int
    available_after: int
    pending_after: int
    deficit_after: int


class MergePreview(View, frozen=True, kw_only=True):
    """What a merge will do; nothing has changed yet. Without an `effect` it cannot be done."""

    survivor: MergeSide
    absorbed: MergeSide
    effect: MergeEffect | None
    blockers: tuple[str, ...]
    warnings: tuple[str, ...]
    needs_second_person: tuple[MergeNeed, ...]
    preview_hash: str


class MergeView(View, frozen=True, kw_only=True):
    """A merge, or a wish for one that waits."""

    id: UUID
    state: MergeState
    survivor_id: UUID
    survivor_name: str
    absorbed_id: UUID
    absorbed_name: str
    reason: str
    choices: MergeChoices
    needs: tuple[MergeNeed, ...]
    requested_by: str | None
    requested_at: datetime
    lapses_at: datetime | None
    decided_by: str | None
    done_at: datetime | None
    undo_until: datetime | None
    disputed_at: datetime | None
    preview_hash: str
    effect: MergeEffect | None = None


class MergePage(View, frozen=True, kw_only=True):
    """A page of merges, newest first."""

    items: tuple[MergeView, ...]
    next_cursor: str | None


class MergeDecision(Request, frozen=True, kw_only=True):
    """The second person's yes; `preview_hash` is that of the merge as it was shown."""

    preview_hash: Hash
    note: Annotated[str, msgspec.Meta(max_length=limits.REASON_LENGTH_MAX)] = ""


class MergeRefusal(Request, frozen=True, kw_only=True):
    """The second person's no."""

    reason: Reason


class MergeUndo(Request, frozen=True, kw_only=True):
    """Why two customers are two again."""

    reason: Reason
    preview_hash: Hash | None = None


class MergeUndoEffect(View, frozen=True, kw_only=True):
    """What taking a merge back does.

    Attributes:
        split: Memberships that are two again, each with its shortfall.
        shortfall: Points that came along and have been used since.
        orders_back: Sales that go back; `orders_staying` were made since and stay with the survivor.
    """

    split: tuple[SplitEffect, ...]
    memberships_back: tuple[UUID, ...]
    shortfall: int
    orders_back: int
    orders_staying: int
    cards: tuple[str, ...]


class MergeUndoPreview(View, frozen=True, kw_only=True):
    """What taking a merge back will do; nothing has changed yet."""

    effect: MergeUndoEffect | None
    blockers: tuple[str, ...]
    warnings: tuple[str, ...]
    preview_hash: str


class MergeUndone(View, frozen=True, kw_only=True):
    """The two customers are two again."""

    id: UUID
    survivor_id: UUID
    absorbed_id: UUID
    effect: MergeUndoEffect


class MergeDispute(Request, frozen=True, kw_only=True):
    """The "not me" link of a notice about a merge."""

    token: Token


class MergeDisputed(View, frozen=True, kw_only=True):
    """Staff look at it; no points can be spent meanwhile."""

    redemption_held_until: datetime
