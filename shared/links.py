"""Messages about POS records, and about which of them are whose."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from shared import limits
from shared.base import CardNumber, Hash, OptionalName, Reason, Request, Token, View
from shared.pos import Reference
from shared.problems import Problem

# Addresses and numbers are as people typed them into a till; one that is none does not keep the record out.
ContactText = Annotated[str, msgspec.Meta(max_length=limits.EMAIL_LENGTH_MAX)]


class RecordOutcome(StrEnum):
    """What became of a POS record that was sent.

    `stale` is an older state than the one that is known; `kept_out` is of a person whose data was erased.
    """

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    STALE = "stale"
    KEPT_OUT = "kept_out"


class LinkState(StrEnum):
    """Where the search for a customer's POS records stands.

    `waiting` is for an address that came onto a record less than a day ago, `needs_help` for a person to decide,
    `checking` for a till system that does not answer.
    """

    UNLINKED = "unlinked"
    CHECKING = "checking"
    WAITING = "waiting"
    NEEDS_HELP = "needs_help"
    LINKED = "linked"


class Attestation(StrEnum):
    """How staff know that a record is the customer's who stands before them."""

    SAW_ID = "saw_id"
    CARD_IN_HAND = "card_in_hand"
    KNOWS_LAST_PURCHASE = "knows_last_purchase"


class PosRecord(Request, frozen=True, kw_only=True):
    """What a till knows of a customer. `external_id` is the till's own id of the record and never changes.

    `former_ids` are records that were merged into this one. `changed_at` is the till's time of the change, by which an
    older state that arrives late is told; `email_since` is since when the address is on the record. A record that is
    `removed` links to nobody any more.
    """

    external_id: Reference
    given_name: OptionalName = ""
    family_name: OptionalName = ""
    email: ContactText | None = None
    email_since: datetime | None = None
    phone: ContactText | None = None
    card_number: CardNumber | None = None
    former_ids: Annotated[tuple[Reference, ...], msgspec.Meta(max_length=limits.POS_ALIASES_MAX)] = ()
    changed_at: datetime | None = None
    removed: bool = False


class PosRecordBatch(Request, frozen=True, kw_only=True):
    """Records of a till, in any order; each is accepted or refused by itself."""

    customers: Annotated[tuple[PosRecord, ...], msgspec.Meta(min_length=1, max_length=limits.POS_RECORD_BATCH_MAX)]


class PosRecordResult(View, frozen=True, kw_only=True):
    """What became of a record. Whose it is stays with us.

    `notes` says which of its fields could not be read; the record is kept without them.
    """

    external_id: str
    outcome: RecordOutcome
    notes: tuple[str, ...] = ()


class PosRecordBatchOutcome(View, frozen=True, kw_only=True):
    """What became of one record of a batch, or the problem for which it was refused."""

    external_id: str
    record: PosRecordResult | None = None
    problem: Problem | None = None


class PosRecordBatchResult(View, frozen=True, kw_only=True):
    """What became of every record of a batch, in the order in which they were sent."""

    accepted: int
    refused: int
    results: tuple[PosRecordBatchOutcome, ...]


class RecordHit(View, frozen=True, kw_only=True):
    """A POS record as staff find it; contact data is masked. `customer_id` is whose it is."""

    id: UUID
    connection: str
    external_id: str
    name: str
    email_masked: str | None
    phone_ending: str | None
    card_ending: str | None
    last_order_at: datetime | None
    orders: int
    customer_id: UUID | None = None
    customer_name: str | None = None
    linked_at: datetime | None = None


class RecordHits(View, frozen=True, kw_only=True):
    """The records that a text finds, best first. `remote_failed` names till systems that did not answer in time."""

    items: tuple[RecordHit, ...]
    truncated: bool = False
    hint: str = ""
    remote_failed: tuple[str, ...] = ()


class LinkView(View, frozen=True, kw_only=True):
    """A link of a customer with a POS record, in force, waiting for a second person, or over."""

    id: UUID
    record_id: UUID
    connection: str
    external_id: str
    aliases: tuple[str, ...]
    state: str
    method: str
    evidence: str
    created_at: datetime
    linked_at: datetime | None
    linked_by: str
    orders_found: int
    orders_counted: int
    points: int
    ended_at: datetime | None = None
    ended_reason: str | None = None


class WaitingLink(View, frozen=True, kw_only=True):
    """A link that somebody asked for and a second person has to approve."""

    link: LinkView
    customer_id: UUID
    customer_name: str


class WaitingLinkPage(View, frozen=True, kw_only=True):
    """Links to approve, oldest first."""

    items: tuple[WaitingLink, ...]
    next_cursor: str | None = None


class LinkReviewView(View, frozen=True, kw_only=True):
    """A match that a person must decide: `ambiguous`, `taken` by another customer, `merged_in_pos`, or `disputed` by
    somebody who had a notice of it.
    """

    id: UUID
    customer_id: UUID
    customer_name: str
    reason: str
    record: RecordHit
    other_customer_id: UUID | None
    created_at: datetime


class LinkReviewPage(View, frozen=True, kw_only=True):
    """Matches to decide, oldest first."""

    items: tuple[LinkReviewView, ...]
    next_cursor: str | None = None


class ReviewSettling(Request, frozen=True, kw_only=True):
    """Why a match needs nobody any more."""

    note: Reason


class PosTodoState(StrEnum):
    """Whether something is still to be done in a till."""

    OPEN = "open"
    DONE = "done"


class PosTodoView(View, frozen=True, kw_only=True):
    """Something to be done in a till: `merge` makes one record of two there, as both are one customer's by now.

    `error` is why the till system did not do it itself. `done_by` is empty where it did, or told of one record.
    """

    id: UUID
    kind: str
    state: PosTodoState
    connection: str
    customer_id: UUID
    customer_name: str
    kept: RecordHit
    absorbed: RecordHit
    created_at: datetime
    error: str = ""
    done_at: datetime | None = None
    done_by: str = ""
    note: str = ""


class PosTodoPage(View, frozen=True, kw_only=True):
    """What is to be done in tills, oldest first; or what was done, newest first."""

    items: tuple[PosTodoView, ...]
    next_cursor: str | None = None


class PosTodoDone(Request, frozen=True, kw_only=True):
    """That something was done in the till."""

    note: Annotated[str, msgspec.Meta(max_length=limits.REASON_LENGTH_MAX)] = ""


class LinkDispute(Request, frozen=True, kw_only=True):
    """The link of a notice, sent by whoever says that the purchases are not theirs."""

    token: Token


class LinkDisputed(View, frozen=True, kw_only=True):
    """That the link is over, and until when no points of the account can be spent."""

    redemption_held_until: datetime


class CustomerLinks(View, frozen=True, kw_only=True):
    """Everything about a customer's POS records."""

    state: LinkState
    checked_at: datetime | None
    next_check_at: datetime | None
    links: tuple[LinkView, ...]
    reviews: tuple[LinkReviewView, ...]
    todos: tuple[PosTodoView, ...] = ()


class LinkRequest(Request, frozen=True, kw_only=True):
    """A wish to link a POS record to a customer.

    Without an `attestation` the record's address must be the one that the customer has proven. `card_number` is the
    customer's own card, in the hand of staff. `write_email` puts the proven address onto the record in the till.
    """

    record_id: UUID
    attestation: Attestation | None = None
    card_number: CardNumber | None = None
    write_email: bool = False
    reason: Annotated[str, msgspec.Meta(max_length=limits.REASON_LENGTH_MAX)] = ""
    preview_hash: Hash | None = None


class SkippedOrders(View, frozen=True, kw_only=True):
    """How many orders earn nothing for one reason."""

    reason: str
    orders: int


class LinkEffect(View, frozen=True, kw_only=True):
    """What linking does: orders that are found with the record, how many of them count, and the points."""

    orders_found: int
    orders_counted: int
    points: int
    skipped: tuple[SkippedOrders, ...]
    held_until: datetime | None = None


class LinkPreview(View, frozen=True, kw_only=True):
    """What linking would do; nothing has changed yet. `needs` says what is missing before it can be done."""

    record: RecordHit
    effect: LinkEffect | None
    method: str
    blockers: tuple[str, ...]
    warnings: tuple[str, ...]
    needs_second_person: bool
    preview_hash: str


class LinkMade(View, frozen=True, kw_only=True):
    """A link as it stands: in force, or waiting for a second person."""

    link: LinkView
    effect: LinkEffect | None


class LinkApproval(Request, frozen=True, kw_only=True):
    """A second person's yes to a link that somebody else asked for, as previewed."""

    note: Annotated[str, msgspec.Meta(max_length=limits.REASON_LENGTH_MAX)] = ""
    preview_hash: Hash | None = None


class LinkEnding(Request, frozen=True, kw_only=True):
    """A wish to end a link. Orders that count only through it stay with the customer unless they are taken back."""

    reason: Reason
    take_back_orders: bool = False
    preview_hash: Hash | None = None


class LinkEndingPreview(View, frozen=True, kw_only=True):
    """What ending a link would do: the orders that count through it alone, and the points that they gave."""

    link: LinkView
    orders: int
    points_taken: int
    warnings: tuple[str, ...]
    preview_hash: str


class RecordTaking(Request, frozen=True, kw_only=True):
    """A wish to make a customer of a free POS record; its address and number stay unproven."""

    reason: Annotated[str, msgspec.Meta(max_length=limits.REASON_LENGTH_MAX)] = ""
    join: bool = True


class RecordTaken(View, frozen=True, kw_only=True):
    """The customer who was made of a record, with the link."""

    customer_id: UUID
    card_number: str | None
    link: LinkView
    effect: LinkEffect


class DoctorFix(View, frozen=True, kw_only=True):
    """What puts it right with one key: `action`, and what it acts on."""

    action: str
    label: str
    record_id: UUID | None = None
    order_id: UUID | None = None
    review_id: UUID | None = None


class Finding(View, frozen=True, kw_only=True):
    """One reason why purchases are missing, in words, with the way to put it right if there is one."""

    cause: str
    detail: str
    orders: int = 0
    fix: DoctorFix | None = None


class LinkDiagnosis(View, frozen=True, kw_only=True):
    """Why a customer's purchases are missing, the likeliest reason first."""

    state: LinkState
    findings: tuple[Finding, ...]


class MyFinding(View, frozen=True, kw_only=True):
    """One reason why purchases are missing, and what the member can do."""

    cause: str
    detail: str
    orders: int = 0


class MyLinkDiagnosis(View, frozen=True, kw_only=True):
    """Why a member's purchases are missing. Nothing of it comes from a record that is not proven to be theirs."""

    findings: tuple[MyFinding, ...]


class CycleView(View, frozen=True, kw_only=True):
    """One run of the exchange with a till system: what it fetched, and what became of it."""

    id: UUID
    connection: str
    cause: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    figures: dict[str, int]


class ConnectionState(View, frozen=True, kw_only=True):
    """How the exchange with a till system is doing. `connector` is `directory` where the till sends by itself."""

    connection: str
    connector: str
    capabilities: tuple[str, ...]
    last_success_at: datetime | None
    is_late: bool
    is_running: bool
    quarantined: int


class Cycles(View, frozen=True, kw_only=True):
    """The till systems and the latest runs, newest first."""

    connections: tuple[ConnectionState, ...]
    items: tuple[CycleView, ...]


class CycleRequest(Request, frozen=True, kw_only=True):
    """A wish to run the exchange now; all till systems unless one is named."""

    connection: Reference | None = None


class CycleAsked(View, frozen=True, kw_only=True):
    """That the exchange will run in a moment."""

    connections: tuple[str, ...]


class QuarantinedItem(View, frozen=True, kw_only=True):
    """What a till system told and could not be posted, with the reason."""

    id: UUID
    connection: str
    kind: str
    external_id: str
    reason: str
    detail: str
    changed_at: datetime
    staged_at: datetime


class QuarantinePage(View, frozen=True, kw_only=True):
    """What could not be posted, newest first."""

    items: tuple[QuarantinedItem, ...]
    next_cursor: str | None = None
