"""Messages of refunds: what a till sends and gets back, and the list that staff work through."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from shared import limits
from shared.base import Hash, Reason, Request, View
from shared.orders import StaffOrder
from shared.pos import MoneyMinor, PosCustomer, Reference
from shared.problems import Code


class RefundState(StrEnum):
    """What became of a refund.

    `parked` waits for its sale, `posted` has had its effect, `blind` names no sale and has none, `refused` waited for a
    sale that it then did not fit, `dismissed` will have none, as a person has said.
    """

    PARKED = "parked"
    POSTED = "posted"
    BLIND = "blind"
    REFUSED = "refused"
    DISMISSED = "dismissed"


class RefundLine(Request, frozen=True, kw_only=True):
    """What came back of one line of the sale: `quantity` pieces, or `net_minor` of its money where goods stay.

    With a quantity, the money only says what was paid out. `points_part` is how much money of the line, in minor units,
    was repaid as points; without it, points that paid for the sale come back in proportion.
    """

    line_id: Reference
    quantity: Decimal | None = None
    net_minor: MoneyMinor | None = None
    points_part: Annotated[int, msgspec.Meta(ge=0, le=limits.MONEY_MINOR_MAX)] | None = None


class PosRefund(Request, frozen=True, kw_only=True):
    """Goods or money that went back. `external_id` is the refund's own id, the same through every retry.

    `original_order` is the sale's `external_id`. A sale that has not arrived yet is waited for; without any, nothing is
    taken back and a person looks at the refund. Points go by whom the sale counts for; `customer` is who stood at the till,
    and where that is somebody else staff can see it.
    """

    external_id: Reference
    original_order: Reference | None = None
    store: Reference
    completed_at: datetime
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")]
    lines: Annotated[tuple[RefundLine, ...], msgspec.Meta(min_length=1, max_length=limits.ORDER_LINES_MAX)]
    customer: PosCustomer | None = None


class RefundLinePoints(View, frozen=True, kw_only=True):
    """How many points of one line the refund takes back, lapsed ones included."""

    line_id: str
    points: int


class PosRefundResult(View, frozen=True, kw_only=True):
    """What a refund did.

    `points_taken` left the balance, `points_owed` of them as a debt as they were spent, of which the programme forgave
    `points_written_off`; `points_exempt` had lapsed and were not taken again; `points_restored` had paid for the sale and
    are back.
    """

    refund_id: UUID
    state: RefundState
    order_id: UUID | None = None
    points_taken: int = 0
    points_exempt: int = 0
    points_owed: int = 0
    points_restored: int = 0
    points_written_off: int = 0
    lines: tuple[RefundLinePoints, ...] = ()


class RefundView(View, frozen=True, kw_only=True):
    """A refund as staff see it. `needs_person` says that it will not come right by waiting.

    `resolved_reason` is of the person who found its sale, or dismissed it; `customer_differs` says that the till named
    another customer than the sale counted for.
    """

    id: UUID
    external_id: str
    original_order: str | None
    order_id: UUID | None
    order_number: str | None
    store_name: str
    completed_at: datetime
    received_at: datetime
    posted_at: datetime | None
    currency: str
    state: RefundState
    needs_person: bool
    refused_for: Code | None
    points_taken: int
    points_exempt: int
    points_owed: int
    points_restored: int
    resolved_at: datetime | None = None
    resolved_reason: str = ""
    points_written_off: int = 0
    customer_differs: bool = False


class RefundPage(View, frozen=True, kw_only=True):
    """Refunds, newest first."""

    items: tuple[RefundView, ...]
    next_cursor: str | None = None


class RefundAttachment(Request, frozen=True, kw_only=True):
    """The sale that a refund belongs to, as a person has found out, and how."""

    order_id: UUID
    reason: Reason
    preview_hash: Hash | None = None


class RefundAttachmentPreview(View, frozen=True, kw_only=True):
    """What a refund will do to a sale; nothing has changed yet. `preview_hash` must come with the command."""

    refund: RefundView
    order: StaffOrder
    points_taken: int
    points_exempt: int
    points_owed: int
    points_restored: int
    lines: tuple[RefundLinePoints, ...]
    blockers: tuple[str, ...]
    preview_hash: str
    points_written_off: int = 0


class RefundNote(Request, frozen=True, kw_only=True):
    """Why a refund is dismissed, or taken up again."""

    reason: Reason
