"""Messages between the staff console and the service."""

from datetime import date, datetime
from enum import StrEnum
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
    Hash,
    Name,
    OptionalName,
    Password,
    Phone,
    Reason,
    Request,
    View,
)
from shared.enums import EmailChangeMode, Permission, Role
from shared.members import Balance, Consents, MembershipView
from shared.programmes import ProgrammeSettings

PostCode = Annotated[str, msgspec.Meta(max_length=limits.POST_CODE_LENGTH_MAX)]
PostalAddress = Annotated[str, msgspec.Meta(max_length=limits.POSTAL_ADDRESS_LENGTH_MAX)]


class StaffSignIn(Request, frozen=True, kw_only=True):
    """A staff member at one terminal."""

    login: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_LENGTH_MAX)]
    password: Password
    terminal: Annotated[str, msgspec.Meta(max_length=limits.NAME_LENGTH_MAX)] = ""


class StaffInvitationUse(Request, frozen=True, kw_only=True):
    """A set-up link's token and the password chosen with it."""

    token: Annotated[str, msgspec.Meta(min_length=16, max_length=128)]
    new_password: Password


class StaffView(View, frozen=True, kw_only=True):
    """The signed-in staff member."""

    id: UUID
    login: str
    name: str
    role: Role
    store_code: str | None
    store_name: str | None
    permissions: tuple[Permission, ...]


class StaffSessionTokens(View, frozen=True, kw_only=True):
    """A staff session."""

    access_token: str
    expires_at: datetime
    staff: StaffView
    shop_name: str


class CustomerHit(View, frozen=True, kw_only=True):
    """One row of a search. Contact data is masked; opening the customer shows it and is logged."""

    id: UUID
    name: str
    status: str
    email_masked: str | None
    phone_ending: str | None
    card_ending: str | None
    birthday: str | None
    available: int
    last_order_on: date | None
    exact: bool
    email_bouncing: bool = False


class SearchResult(View, frozen=True, kw_only=True):
    """Rows for exactly the text in `query`; `read_as` says how it was read (name, email, phone, card)."""

    query: str
    read_as: str
    hint: str | None = None
    items: tuple[CustomerHit, ...]
    more: bool


class ContactPointView(View, frozen=True, kw_only=True):
    """An address of a customer, old ones included."""

    kind: str
    value: str
    status: str
    is_primary: bool
    verified_at: datetime | None
    retired_at: datetime | None
    retired_reason: str | None
    bounced_at: datetime | None = None


class CardView(View, frozen=True, kw_only=True):
    """A card and, when replaced, its successor."""

    code: str
    status: str
    issued_at: datetime
    ended_at: datetime | None
    successor_code: str | None
    membership_id: UUID | None


class EmailChangeView(View, frozen=True, kw_only=True):
    """An email change that is pending, or can still be undone.

    `is_override` of a pending one: staff asked for it as the proven address is out of reach; it is carried out at
    `execute_after`, once somebody has approved it.
    """

    id: UUID
    mode: EmailChangeMode
    state: str
    old_email: str
    new_email: str
    requested_at: datetime
    confirmed_at: datetime | None
    undo_until: datetime | None
    is_override: bool = False
    execute_after: datetime | None = None


class AudienceContactView(View, frozen=True, kw_only=True):
    """How one address stands with Mailchimp."""

    id: UUID
    customer_id: UUID
    email: str
    state: str
    remote_status: str | None
    waiting: bool
    attempts: int
    next_try_at: datetime | None
    pushed_at: datetime | None
    parked_reason: str | None
    parked_field: str | None


class InvitationView(View, frozen=True, kw_only=True):
    """How a customer was last asked to choose a password.

    Attributes:
        channel: `email`, `sms`, or `code` for one that was handed over or sent on paper.
        state: `on_its_way`, `delivered` or `failed` of a message; `handed_over`, `used` or `revoked` of a code.
        reason: Why it failed.
    """

    channel: str
    state: str
    at: datetime
    reason: str | None


class CustomerDetail(View, frozen=True, kw_only=True):
    """Everything the console's customer screen needs, in one answer."""

    id: UUID
    kind: str
    status: str
    merged_into: UUID | None
    given_name: str
    family_name: str
    email: str | None
    email_status: str | None
    phone: str | None
    phone_status: str | None
    birthday: Birthday | None
    locale: str
    notes: str
    has_login: bool
    enrolled_source: str
    created_at: datetime
    redemption_held_until: datetime | None
    redemption_held_reason: str | None
    contact_points: tuple[ContactPointView, ...]
    memberships: tuple[MembershipView, ...]
    cards: tuple[CardView, ...]
    consents: Consents
    audience: tuple[AudienceContactView, ...]
    email_changes: tuple[EmailChangeView, ...]
    last_order_at: datetime | None
    version: int
    merged_from: tuple[UUID, ...] = ()
    email_bouncing: bool = False
    postal_address: str = ""
    post_code: str = ""
    invitation: InvitationView | None = None
    shared_with: tuple[str, ...] = ()


class RegisterCustomer(Request, frozen=True, kw_only=True):
    """A customer at the till: at least one of email, phone and card. Consent is off unless the person said yes.

    Attributes:
        declined: Channels that the person was asked about and refused; neither yes nor no means not asked.
        id: Made by a till that may have to send this again, or later; the same id registers once.
        registered_at: When a till that was offline took this down. If the email, phone or card is known by then, nobody
            new is registered, and the sale and the consents go to whom they belong to.
        order_id: The sale that is going on, or was just now: it counts for the new customer.
        postal_address: In one line, its parts between commas.
        is_another_person: Somebody else has the same unproven email or phone number, as families do.
    """

    id: UUID | None = None
    registered_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    order_id: UUID | None = None
    is_another_person: bool = False
    post_code: PostCode = ""
    postal_address: PostalAddress = ""
    given_name: Name
    family_name: OptionalName = ""
    email: Email | None = None
    phone: Phone | None = None
    birthday: Birthday | None = None
    card_number: CardNumber | None = None
    consents: ConsentChoices = ConsentChoices()
    declined: ConsentChoices = ConsentChoices()
    notes: Annotated[str, msgspec.Meta(max_length=limits.REASON_LENGTH_MAX)] = ""
    locale: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")] = "en"


class CustomerRegistered(View, frozen=True, kw_only=True):
    """The new customer and the card that scans.

    Attributes:
        invited_by: `email` or `sms`; None if neither was possible, so that a claim code on paper is the way.
        was_known: A till that was offline meant somebody whom the shop knew; that is who this is.
        order_points: What the sale has brought, or will when it is completed; None without a sale.
        order_problem: Why the sale could not be given to somebody whom the shop knew.
    """

    id: UUID
    membership_id: UUID
    card_number: str
    invited_by: str | None
    was_known: bool = False
    order_points: int | None = None
    order_problem: str | None = None


class Lookalike(View, frozen=True, kw_only=True):
    """Somebody who may be the person that is being registered. Contact data is masked.

    Attributes:
        is_certain: The address is proven, or the card is theirs: saving over this is refused.
        reasons: What is alike: `email`, `phone`, `card`, `name`, `similar_name`, `post_code`, `birthday`.
    """

    id: UUID
    name: str
    status: str
    email_masked: str | None
    phone_ending: str | None
    card_ending: str | None
    birthday: str | None
    is_certain: bool
    reasons: tuple[str, ...]


class DuplicateCheck(View, frozen=True, kw_only=True):
    """Who has what was typed so far: exactly the email, phone or card; or nearly the name with something else alike."""

    exact: tuple[Lookalike, ...]
    near: tuple[Lookalike, ...]


class CustomerChange(Request, frozen=True, kw_only=True):
    """Fields to change; absent ones stay. `version` is the one the change was made on."""

    version: Annotated[int, msgspec.Meta(ge=0, le=limits.VERSION_MAX)]
    given_name: Name | UnsetType = UNSET
    family_name: OptionalName | UnsetType = UNSET
    birthday: Birthday | UnsetType | None = UNSET
    notes: Annotated[str, msgspec.Meta(max_length=limits.REASON_LENGTH_MAX)] | UnsetType = UNSET
    post_code: PostCode | UnsetType = UNSET
    postal_address: PostalAddress | UnsetType = UNSET


class StaffEmailChange(Request, frozen=True, kw_only=True):
    """An email change for a customer who stands before the staff member, who attests it and says why."""

    new_email: Email
    mode: EmailChangeMode
    reason: Reason
    identity_attested: bool
    preview_hash: Hash | None = None


class EmailCorrection(Request, frozen=True, kw_only=True):
    """A typo put right in an address that was never proven, or another one where mail comes back.

    Of an address that was proven once, the staff member attests that the customer stands before them.
    """

    new_email: Email
    reason: Reason
    identity_attested: bool = False
    preview_hash: Hash | None = None


class EmailOverrideRequest(Request, frozen=True, kw_only=True):
    """A wish for another address of a customer who has proven the present one and cannot reach it any more.

    Somebody else approves it; it is carried out 72 hours later, unless whoever reads the old mailbox stops it.
    """

    new_email: Email
    reason: Reason
    identity_attested: bool
    preview_hash: Hash | None = None


class EmailOverrideDecision(Request, frozen=True, kw_only=True):
    """The second person's yes; `preview_hash` is that of the wish as it was shown.

    The password is not asked of somebody who signed in just now.
    """

    preview_hash: Hash
    password: Password | None = None
    note: Annotated[str, msgspec.Meta(max_length=limits.REASON_LENGTH_MAX)] = ""


class LotView(View, frozen=True, kw_only=True):
    """Points with their dates, as they will be moved."""

    points: int
    available_at: datetime
    expires_at: datetime | None


class EmailChangePreview(View, frozen=True, kw_only=True):
    """What an email change or correction will do; nothing has changed yet. `preview_hash` must come with the command.

    `looks_like_typo` says that one address could be the other mistyped; `merge_with` is the customer who has proven the new
    one, and may be the same person.
    """

    mode: str
    old_email: str | None
    new_email: str
    blockers: tuple[str, ...]
    warnings: tuple[str, ...]
    effects: tuple[str, ...]
    balance_before: Balance | None
    balance_after: Balance | None
    lots: tuple[LotView, ...]
    cards_retired: tuple[str, ...]
    sessions_ended: int
    vouchers_reissued: int
    preview_hash: str
    looks_like_typo: bool = False
    merge_with: UUID | None = None


class EmailOverrideState(StrEnum):
    """How far a correction of a proven address has come.

    `waiting` for a second person, `delayed` until it is carried out, `done`; `cancelled` by anybody or by what stood against it;
    `lapsed` without a decision, or as it could not be carried out in time.
    """

    WAITING = "waiting"
    DELAYED = "delayed"
    DONE = "done"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


class EmailOverrideView(View, frozen=True, kw_only=True):
    """A correction of a proven address. It is cancelled, or taken back, by its id as any email change.

    Attributes:
        lapses_at: When it is over, if nobody approves it, or if it cannot be carried out.
        failed_because: The code of what stood against it when it was due.
        preview: Of one that waits, what it would do now, with the hash that its approval must present.
    """

    id: UUID
    customer_id: UUID
    customer_name: str
    state: EmailOverrideState
    old_email: str
    new_email: str
    reason: str
    requested_by: str
    requested_at: datetime
    lapses_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    execute_after: datetime | None
    failed_because: str | None
    preview: EmailChangePreview | None = None


class EmailOverridePage(View, frozen=True, kw_only=True):
    """A page of corrections of proven addresses, newest first."""

    items: tuple[EmailOverrideView, ...]
    next_cursor: str | None


class EmailChangeApplied(View, frozen=True, kw_only=True):
    """A carried-out email change or correction."""

    id: UUID
    mode: str
    email: str
    card_number: str | None
    balance: Balance | None
    undo_until: datetime | None
    redemption_held_until: datetime | None


class AudienceStatus(View, frozen=True, kw_only=True):
    """The link to Mailchimp at a glance, with the contacts that need a person first."""

    mode: str
    paused_reason: str | None
    waiting: int
    parked: int
    pushed_today: int
    oldest_waiting_seconds: int | None
    items: tuple[AudienceContactView, ...]


class AuditEntryView(View, frozen=True, kw_only=True):
    """One line of the audit trail."""

    id: UUID
    at: datetime
    actor: str
    action: str
    subject_kind: str
    subject_id: UUID | None
    customer_id: UUID | None
    reason: str | None
    details: dict[str, object]


class AuditPage(View, frozen=True, kw_only=True):
    """Audit entries, newest first."""

    items: tuple[AuditEntryView, ...]
    next_cursor: str | None = None


class Undo(Request, frozen=True, kw_only=True):
    """A reason for taking something back."""

    reason: Reason


class HoldLifting(Request, frozen=True, kw_only=True):
    """A manager's wish to let a customer spend points again before a hold is over.

    `held_until` is the end of the hold that was looked at; `identity_attested` says that the manager has checked who stands
    there.
    """

    held_until: Annotated[datetime, msgspec.Meta(tz=True)]
    identity_attested: bool
    reason: Reason


class HoldLifted(View, frozen=True, kw_only=True):
    """That points can be spent again, and until when they would have been held."""

    customer_id: UUID
    held_until: datetime


class ProgrammeView(View, frozen=True, kw_only=True):
    """A programme, its settings and the rules in force; `version` goes up with every change of either."""

    id: UUID | None = None
    code: str
    name: str
    zone: str
    currency: str
    launch_at: datetime
    status: str
    rule_version: int
    rules: dict[str, object]
    unit_one: str = "point"
    unit_many: str = "points"
    is_default: bool = False
    version: int = 1
    settings: ProgrammeSettings = ProgrammeSettings()


class ProgrammeList(View, frozen=True, kw_only=True):
    """All programmes."""

    items: tuple[ProgrammeView, ...]


class StaffQueue(View, frozen=True, kw_only=True):
    """How much waits for a person, counted up to `QUEUE_COUNT_MAX`.

    Adjustments and merges that this person may decide on, refunds that will not come right by waiting, today's orders of
    this person's store that count for nobody, pairs of customers who may be one person, and corrections of proven addresses
    that this person may approve. Of POS records: matches to decide on, links that others asked for, and what is to be done
    in a till. Of wishes to be forgotten: those that this person may approve, and those that are late.
    """

    adjustments: int
    refunds: int
    orders: int
    duplicates: int = 0
    merges: int = 0
    overrides: int = 0
    link_reviews: int = 0
    links: int = 0
    pos_todos: int = 0
    erasures: int = 0
    late_erasures: int = 0


class EmailHint(View, frozen=True, kw_only=True):
    """What somebody may have meant to type; null if nothing looks mistyped."""

    suggestion: str | None
