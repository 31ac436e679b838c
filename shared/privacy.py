"""Messages of privacy: a copy of everything held about a person, and being forgotten."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from shared import limits
from shared.base import Hash, Password, Reason, Request, Token, View


class ExportState(StrEnum):
    """How far an export has come; of an expired one the file is gone."""

    WAITING = "waiting"
    READY = "ready"
    EXPIRED = "expired"


class ExportRequest(Request, frozen=True, kw_only=True):
    """A wish for a copy of everything held about oneself, with the password again unless it was proven just now."""

    password: Password | None = None


class StaffExportRequest(Request, frozen=True, kw_only=True):
    """The same for a customer who stands before the staff member."""

    identity_attested: bool = False
    reason: Reason


class ExportDownload(Request, frozen=True, kw_only=True):
    """The mailed link of an export; it works until the export expires."""

    token: Token


class ExportView(View, frozen=True, kw_only=True):
    """A copy of everything held about a person: a ZIP with `data.json` for programs and `data.html` to read."""

    id: UUID
    state: ExportState
    requested_at: datetime
    ready_at: datetime | None
    expires_at: datetime | None
    bytes_count: int
    by_staff: bool


class ExportList(View, frozen=True, kw_only=True):
    """Exports, newest first."""

    items: tuple[ExportView, ...]


class ErasureState(StrEnum):
    """How far an erasure has come.

    `waiting` for a second person, `cooling` until it is carried out, `executed` here, `done` everywhere else too.
    """

    WAITING = "waiting"
    COOLING = "cooling"
    EXECUTED = "executed"
    DONE = "done"
    CANCELLED = "cancelled"


class ErasureNeed(StrEnum):
    """Why an erasure takes another person: staff asked for it, or the customer is one of the staff."""

    ASKED_BY_STAFF = "asked_by_staff"
    STAFF_LINKED = "staff_linked"


class ErasureRequest(Request, frozen=True, kw_only=True):
    """A member's wish to be forgotten, with the password again unless it was proven just now."""

    password: Password | None = None
    preview_hash: Hash | None = None


class StaffErasureRequest(Request, frozen=True, kw_only=True):
    """A customer's wish to be forgotten, told to the staff member before whom they stand."""

    identity_attested: bool = False
    reason: Reason
    preview_hash: Hash | None = None


class ErasureDecision(Request, frozen=True, kw_only=True):
    """The second person's yes; `preview_hash` is that of the erasure as it was shown."""

    preview_hash: Hash
    note: Annotated[str, msgspec.Meta(max_length=limits.REASON_LENGTH_MAX)] = ""


class ErasureCancelling(Request, frozen=True, kw_only=True):
    """Why an erasure is not carried out."""

    reason: Reason


class ErasureLink(Request, frozen=True, kw_only=True):
    """The mailed link that stops an erasure."""

    token: Token


class ErasureSettling(Request, frozen=True, kw_only=True):
    """That the person was removed by hand where we cannot do it."""

    note: Reason


class ErasureEffect(View, frozen=True, kw_only=True):
    """What being forgotten does.

    Attributes:
        points_lost: Available and pending points that are given up.
        debt_written_off: Points that were owed.
        memberships_left: Memberships that go on with the others in them, who keep the points.
        records_merged: Former records of the same person that are emptied too.
        orders_kept: Purchases that stay in the books without a name.
        pos_records: What has to be removed by hand at a till system.
    """

    points_lost: int = 0
    debt_written_off: int = 0
    memberships_closed: int = 0
    memberships_left: int = 0
    vouchers_void: int = 0
    cards_ended: int = 0
    addresses_removed: int = 0
    records_merged: int = 0
    orders_kept: int = 0
    pos_records: tuple[str, ...] = ()


class ErasurePreview(View, frozen=True, kw_only=True):
    """What being forgotten will do; nothing has changed yet. Without an `effect` it cannot be asked for now."""

    customer_id: UUID
    effect: ErasureEffect | None
    blockers: tuple[str, ...]
    warnings: tuple[str, ...]
    needs: tuple[ErasureNeed, ...]
    cooling_days: int
    preview_hash: str


class ErasureView(View, frozen=True, kw_only=True):
    """A wish to be forgotten; `dormant` is the cause where the shop lets go of somebody who has not come for years.

    Attributes:
        answer_by: One month after it was made: by then it has to be done. `is_late` says that it is not.
        customer_name: As it is held now; empty once it was removed.
        blocked_by: Why it could not be carried out when it was due; it is tried again every minute.
        pos_records: What is still to be removed by hand at a till system.
    """

    id: UUID
    customer_id: UUID
    state: ErasureState
    requested_by: str
    requested_at: datetime
    answer_by: datetime
    is_late: bool
    reason: str
    needs: tuple[ErasureNeed, ...]
    approved_by: str | None
    execute_after: datetime | None
    blocked_by: str | None
    cancelled_at: datetime | None
    executed_at: datetime | None
    done_at: datetime | None
    pos_records: tuple[str, ...]
    effect: ErasureEffect | None = None
    preview_hash: str = ""
    customer_name: str = ""
    cause: Literal["wish", "dormant"] = "wish"


class DormantSearch(Request, frozen=True, kw_only=True):
    """For how many years nobody has come."""

    years: Annotated[int, msgspec.Meta(ge=1, le=limits.DORMANT_YEARS_MAX)] = 3


class DormantCustomer(View, frozen=True, kw_only=True):
    """A customer who has not come for years; `last_seen_at` is the last purchase, or when they were registered."""

    id: UUID
    name: str
    last_seen_at: datetime
    has_email: bool


class DormantPreview(View, frozen=True, kw_only=True):
    """Customers without a sign-in, points, debts or vouchers of whom nothing was heard for years; nothing has changed yet.

    Attributes:
        customers: How many there are, counted up to 10,000.
        told: Of `customers`, those whom a mail reaches that tells how to stay.
        batch: How many of them one batch takes; the `first` of it are shown.
        execute_after: When they would be erased if they do not come until then.
    """

    years: int
    customers: int
    told: int
    batch: int
    execute_after: datetime
    first: tuple[DormantCustomer, ...]
    preview_hash: str


class DormantErasing(Request, frozen=True, kw_only=True):
    """That the batch which was shown shall be let go of, and why."""

    years: Annotated[int, msgspec.Meta(ge=1, le=limits.DORMANT_YEARS_MAX)] = 3
    reason: Reason
    preview_hash: Hash


class DormantBatch(View, frozen=True, kw_only=True):
    """Erasures that were begun; each is called off by itself once the customer buys, signs up or is changed by staff."""

    erasures: int
    told: int
    left: int
    execute_after: datetime


class MyErasure(View, frozen=True, kw_only=True):
    """Whether a member is about to be forgotten."""

    erasure: ErasureView | None


class ErasurePage(View, frozen=True, kw_only=True):
    """A page of erasures, newest first."""

    items: tuple[ErasureView, ...]
    next_cursor: str | None
