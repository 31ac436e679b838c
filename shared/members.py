"""Messages between a member's app and the service."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from shared import limits
from shared.base import (
    Birthday,
    CardNumber,
    ConsentChoices,
    Email,
    Name,
    OptionalName,
    Password,
    Phone,
    Request,
    Token,
    View,
)
from shared.enums import ConsentAnswer, EmailChangeMode, EntryKind


class SignUp(Request, frozen=True, kw_only=True):
    """The sign-up form. The answer is the same whether or not the address is known."""

    email: Email
    password: Password
    given_name: Name
    family_name: OptionalName = ""
    phone: Phone | None = None
    birthday: Birthday | None = None
    consents: ConsentChoices = ConsentChoices()
    card_number: CardNumber | None = None
    claim_code: Annotated[str, msgspec.Meta(min_length=4, max_length=limits.CLAIM_CODE_TYPED_MAX)] | None = None


class Accepted(View, frozen=True, kw_only=True):
    """The neutral answer: what happens next is told by mail only."""

    detail: str


class UseToken(Request, frozen=True, kw_only=True):
    """A mailed token, sent back by POST."""

    token: Token


class SignUpConfirmed(View, frozen=True, kw_only=True):
    """The account that a proven sign-up opened."""

    customer_id: UUID
    membership_id: UUID
    card_number: str


class SignIn(Request, frozen=True, kw_only=True):
    """Email and password; `device` is shown in the member's list of devices."""

    email: Email
    password: Password
    device: Annotated[str, msgspec.Meta(max_length=limits.DEVICE_LENGTH_MAX)] = ""


class SessionTokens(View, frozen=True, kw_only=True):
    """Tokens of a session. The access token is for `Authorization: Bearer`, the refresh token works once."""

    session_id: UUID
    access_token: str
    refresh_token: str
    expires_at: datetime
    refresh_expires_at: datetime


class RefreshSession(Request, frozen=True, kw_only=True):
    """A refresh token, exchanged for the next pair."""

    refresh_token: Token


class PasswordResetRequest(Request, frozen=True, kw_only=True):
    """A wish for a reset link; the answer is neutral."""

    email: Email


class PasswordResetConfirm(Request, frozen=True, kw_only=True):
    """The mailed token and the password chosen."""

    token: Token
    new_password: Password


class PasswordChange(Request, frozen=True, kw_only=True):
    """A new password, with the old one."""

    password: Password
    new_password: Password


class Me(View, frozen=True, kw_only=True):
    """A member's own profile."""

    id: UUID
    given_name: str
    family_name: str
    email: str | None
    phone: str | None
    birthday: Birthday | None
    locale: str
    member_since: datetime
    redemption_held_until: datetime | None = None
    version: int
    phone_proven: bool = False


class PhoneProof(Request, frozen=True, kw_only=True):
    """The digits that were texted to the member's own number."""

    code: Annotated[str, msgspec.Meta(pattern=rf"^[0-9]{{{limits.SMS_CODE_DIGITS}}}$")]


class ProfileChange(Request, frozen=True, kw_only=True):
    """Fields to change; absent ones stay, null empties. A phone needs the password, as it may sign in one day."""

    given_name: Name | UnsetType = UNSET
    family_name: OptionalName | UnsetType = UNSET
    phone: Phone | UnsetType | None = UNSET
    birthday: Birthday | UnsetType | None = UNSET
    locale: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")] | UnsetType = UNSET
    password: Password | None = None


class DatedPoints(View, frozen=True, kw_only=True):
    """Points and the instant at which they become available, or lapse."""

    points: int
    at: datetime


class Balance(View, frozen=True, kw_only=True):
    """A membership's points as of one instant. A deficit is filled by the next points earned.

    `held` of the available points are set aside for sales being paid; the rest can be spent.
    """

    available: int
    pending: int
    deficit: int
    lifetime: int
    held: int = 0
    maturing: tuple[DatedPoints, ...] = ()
    expiring: tuple[DatedPoints, ...] = ()
    as_of: datetime


class MembershipView(View, frozen=True, kw_only=True):
    """A membership as its member sees it. `former_id` is the account it was reissued from, whose entries stay readable.

    Args:
        tier_until: Until when the tier is kept, whatever is bought; None where there is none to lose.
        qualifying_points: What counts for tiers of this period, less what was returned.
        next_tier: The next one above, which is `next_tier_points` away; "" if there is none.
        idle_until: When the first points lapse unless something is bought or redeemed before; None without such points.
    """

    id: UUID
    programme_code: str
    programme_name: str
    unit_one: str
    unit_many: str
    status: str
    role: str
    tier: str
    enrolled_at: datetime
    card_number: str | None
    balance: Balance
    former_id: UUID | None = None
    tier_until: datetime | None = None
    qualifying_points: int = 0
    next_tier: str = ""
    next_tier_points: int = 0
    idle_until: datetime | None = None


class MembershipList(View, frozen=True, kw_only=True):
    """A member's memberships, oldest first."""

    items: tuple[MembershipView, ...]


class LineView(View, frozen=True, kw_only=True):
    """A line of a sale with what it earned, and the rule that says why."""

    line_id: str
    description: str
    category: str
    quantity: str
    net_minor: int
    tax_minor: int
    points: int
    rule: str


class EntryView(View, frozen=True, kw_only=True):
    """One movement of points and its reason in words: the customer it is of, and for staff the colleague who booked it."""

    id: UUID
    kind: EntryKind
    points: int
    occurred_at: datetime
    posted_at: datetime
    reason: str
    balance_after: int
    order_id: UUID | None = None
    order_number: str | None = None
    store_name: str | None = None
    available_at: datetime | None = None
    expires_at: datetime | None = None
    by_name: str | None = None
    staff_name: str | None = None


class EntryPage(View, frozen=True, kw_only=True):
    """Entries, newest first."""

    items: tuple[EntryView, ...]
    next_cursor: str | None = None


class LineReturn(View, frozen=True, kw_only=True):
    """What came back of one line: pieces, or only money of it. `points` is what it took back then."""

    line_id: str
    description: str
    quantity: str | None
    net_minor: int | None
    points: int


class OrderReturn(View, frozen=True, kw_only=True):
    """What came back of a sale at one time. `points_restored` had paid for it and were given back."""

    completed_at: datetime
    points_restored: int
    lines: tuple[LineReturn, ...]


class OrderView(View, frozen=True, kw_only=True):
    """A sale of the member's, with why each line earned what it earned.

    `points_returned` of its points went with what came back; `returns` are in the order of time.
    """

    id: UUID
    number: str
    store_name: str
    completed_at: datetime
    currency: str
    net_minor: int
    tax_minor: int
    state: str
    points: int
    skipped_reason: str | None
    lines: tuple[LineView, ...]
    points_returned: int = 0
    returns: tuple[OrderReturn, ...] = ()


class OrderPage(View, frozen=True, kw_only=True):
    """Orders, newest first."""

    items: tuple[OrderView, ...]
    next_cursor: str | None = None


class ConsentView(View, frozen=True, kw_only=True):
    """Where the member stands on one channel.

    `source` is where the last answer was given: `app`, `till`, `import`; `email_change`, `correction` or `merge`, which took
    it along; `mailchimp_unsubscribed` or `mailchimp_complaint`.
    """

    state: ConsentAnswer
    since: datetime | None = None
    source: str | None = None


class Consents(View, frozen=True, kw_only=True):
    """Both channels."""

    email: ConsentView
    sms: ConsentView


class SessionView(View, frozen=True, kw_only=True):
    """A signed-in device."""

    id: UUID
    device: str
    network: str
    created_at: datetime
    last_used_at: datetime
    current: bool


class SessionList(View, frozen=True, kw_only=True):
    """Devices, latest used first."""

    items: tuple[SessionView, ...]


class EmailChangeRequest(Request, frozen=True, kw_only=True):
    """A wish for another address, with the password again."""

    new_email: Email
    mode: EmailChangeMode
    password: Password


class EmailChangeDone(View, frozen=True, kw_only=True):
    """What a confirmed or undone email change left behind."""

    mode: EmailChangeMode
    state: str
    card_number: str | None
    redemption_held_until: datetime | None = None
    undo_until: datetime | None = None
