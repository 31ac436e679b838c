"""Messages of shared memberships: people who join, two memberships that become one, people who leave."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from shared import limits
from shared.base import CardNumber, Email, Hash, Password, Reason, Request, View
from shared.staff import LotView

DailyPoints = Annotated[int, msgspec.Meta(ge=1, le=limits.POINTS_MAX)]
SomePoints = Annotated[int, msgspec.Meta(ge=1, le=limits.POINTS_MAX)]
AgreedBy = Annotated[tuple[UUID, ...], msgspec.Meta(max_length=limits.SHARING_PEOPLE_MAX)]


class RedeemPolicy(StrEnum):
    """Who of a shared membership may spend."""

    ANYONE = "anyone"
    OWNER = "owner"
    DAILY_CAP = "daily_cap"


class LeavePolicy(StrEnum):
    """Which points a person who leaves takes along."""

    LEAVE_ALL = "leave_all"
    CONTRIBUTION = "contribution"
    AGREED = "agreed"


class SharingPerson(View, frozen=True, kw_only=True):
    """Somebody in a membership.

    Attributes:
        points_earned: All that this person's purchases and bonuses ever brought here.
        points_spent: All that this person has spent.
        points_left: What is left of the points that this person brought.
        daily_limit: What this person wants to be spent in a day at most.
    """

    customer_id: UUID
    name: str
    role: str
    joined_at: datetime
    card_number: str | None
    points_earned: int
    points_spent: int
    points_left: int
    daily_limit: int | None


class SharingOperationView(View, frozen=True, kw_only=True):
    """A joining, combining or leaving, and until when it can be undone; None where it cannot.

    `membership_id` is the membership that was joined, kept or left, under which it is taken back.
    """

    id: UUID
    kind: str
    at: datetime
    points: int
    customer_id: UUID | None
    other_membership_id: UUID | None
    undo_until: datetime | None
    membership_id: UUID | None = None


class SharedMembership(View, frozen=True, kw_only=True):
    """The people in a membership and who of them may spend how much."""

    membership_id: UUID
    people: tuple[SharingPerson, ...]
    redeem_policy: RedeemPolicy
    daily_points: int | None
    sharers_max: int
    operations: tuple[SharingOperationView, ...] = ()


class Account(View, frozen=True, kw_only=True):
    """The figures of one membership."""

    membership_id: UUID
    available: int
    pending: int
    deficit: int
    lifetime: int


class ExistingMembership(View, frozen=True, kw_only=True):
    """The membership that somebody has already; `combine` makes it one with the other."""

    membership_id: UUID
    customer_id: UUID
    card_number: str | None
    available: int
    action: str = "combine"


class Joining(Request, frozen=True, kw_only=True):
    """A customer who joins a membership. `agreed_by` says who was asked and said yes: its owner and the customer."""

    customer_id: UUID
    agreed_by: AgreedBy = ()
    card_number: CardNumber | None = None
    reason: Reason
    preview_hash: Hash | None = None


class JoinPreview(View, frozen=True, kw_only=True):
    """What joining will do; nothing has changed yet."""

    membership_id: UUID
    customer_id: UUID
    account: Account
    people: tuple[SharingPerson, ...]
    existing: ExistingMembership | None
    must_agree: tuple[UUID, ...]
    blockers: tuple[str, ...]
    warnings: tuple[str, ...]
    preview_hash: str


class Joined(View, frozen=True, kw_only=True):
    """The person is in; the card scans for the common balance."""

    operation_id: UUID
    membership_id: UUID
    customer_id: UUID
    card_number: str
    account: Account
    people: tuple[SharingPerson, ...]
    undo_until: datetime


class Combining(Request, frozen=True, kw_only=True):
    """Another membership that becomes one with this one. `agreed_by`: this one's owner and everybody in the other."""

    other_membership_id: UUID
    agreed_by: AgreedBy = ()
    reason: Reason
    preview_hash: Hash | None = None


class CombineEffect(View, frozen=True, kw_only=True):
    """Both memberships before, the one after, and the proof: the same sums and the same lots.

    Attributes:
        lots_before: Of both together, by date.
        lots_after: Of the one; what paid a debt is missing.
        debt_paid: Points of one that paid what the other owed.
    """

    kept_before: Account
    other_before: Account
    after: Account
    lots_before: tuple[LotView, ...]
    lots_after: tuple[LotView, ...]
    debt_paid: int
    cards: tuple[str, ...]
    vouchers: int
    tier: str
    people: tuple[SharingPerson, ...]


class CombinePreview(View, frozen=True, kw_only=True):
    """What combining will do; nothing has changed yet. Without an `effect` it cannot be done."""

    effect: CombineEffect | None
    must_agree: tuple[UUID, ...]
    blockers: tuple[str, ...]
    warnings: tuple[str, ...]
    preview_hash: str


class Combined(View, frozen=True, kw_only=True):
    """Two memberships are one."""

    operation_id: UUID
    membership_id: UUID
    effect: CombineEffect
    undo_until: datetime


class Leaving(Request, frozen=True, kw_only=True):
    """A person who leaves and takes points along. An owner names the next one; `points` belongs to `agreed` only."""

    customer_id: UUID
    policy: LeavePolicy = LeavePolicy.CONTRIBUTION
    points: SomePoints | None = None
    new_owner_id: UUID | None = None
    agreed_by: AgreedBy = ()
    reason: Reason
    preview_hash: Hash | None = None


class SplitEffect(View, frozen=True, kw_only=True):
    """One membership before, two after.

    Attributes:
        going: What the leaver, or the membership that comes back, has now.
        lots_going: Its points with their dates.
        shortfall: Points that were moved here once and have been used since; they do not come back.
    """

    before: Account
    staying: Account
    going: Account
    lots_going: tuple[LotView, ...]
    deficit_going: int
    shortfall: int
    cards: tuple[str, ...]


class SplitPreview(View, frozen=True, kw_only=True):
    """What leaving, or taking a combination back, will do; nothing has changed yet."""

    effect: SplitEffect | None
    must_agree: tuple[UUID, ...]
    blockers: tuple[str, ...]
    warnings: tuple[str, ...]
    preview_hash: str


class Left(View, frozen=True, kw_only=True):
    """The person has a membership of their own."""

    operation_id: UUID
    membership_id: UUID
    new_membership_id: UUID
    card_number: str
    effect: SplitEffect
    undo_until: datetime


class SharingUndo(Request, frozen=True, kw_only=True):
    """Why something is taken back."""

    reason: Reason
    preview_hash: Hash | None = None


class SharingUndone(View, frozen=True, kw_only=True):
    """A joining, combining or leaving was taken back."""

    operation_id: UUID
    membership_id: UUID
    other_membership_id: UUID | None
    effect: SplitEffect | None
    people: tuple[SharingPerson, ...]


class RedeemPolicyChange(Request, frozen=True, kw_only=True):
    """Who may spend; `daily_points` is everybody's own limit of a day under `daily_cap`."""

    policy: RedeemPolicy
    daily_points: DailyPoints | None = None
    reason: Reason


class MyRedeemPolicyChange(Request, frozen=True, kw_only=True):
    """The same by the owner, in the app; it needs the password unless it was proven just now."""

    policy: RedeemPolicy
    daily_points: DailyPoints | None = None
    password: Password | None = None


class SharingInvite(Request, frozen=True, kw_only=True):
    """An owner's wish to share with whoever has this address."""

    email: Email
    password: Password | None = None


class SharingInvitationView(View, frozen=True, kw_only=True):
    """An invitation to share a membership, or one that the owner has sent."""

    id: UUID
    membership_id: UUID
    invited_by: str
    email: str
    created_at: datetime
    expires_at: datetime


class SharingInvitationList(View, frozen=True, kw_only=True):
    """Invitations that wait: those to the member and those from the member."""

    received: tuple[SharingInvitationView, ...]
    sent: tuple[SharingInvitationView, ...]


class AcceptSharing(Request, frozen=True, kw_only=True):
    """Yes to an invitation. `combine` brings one's own points along; without it somebody with a membership is refused."""

    combine: bool = False
    password: Password | None = None


class SharingAccepted(View, frozen=True, kw_only=True):
    """The member shares now."""

    operation_id: UUID
    membership_id: UUID
    card_number: str
    account: Account


class MyLeaving(Request, frozen=True, kw_only=True):
    """A member's own wish to leave. An owner names the next one."""

    policy: LeavePolicy = LeavePolicy.CONTRIBUTION
    new_owner_id: UUID | None = None
    preview_hash: Hash | None = None
    password: Password | None = None
