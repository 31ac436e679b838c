"""Messages about orders between the staff console and the service."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from shared import limits
from shared.base import Hash, Reason, Request, View
from shared.enums import OrderState, SkippedReason
from shared.members import LineView, OrderReturn
from shared.pos import LinePoints, OptionalText, Reference

SaleMinor = Annotated[int, msgspec.Meta(ge=1, le=limits.MONEY_MINOR_MAX)]
TaxMinor = Annotated[int, msgspec.Meta(ge=0, le=limits.MONEY_MINOR_MAX)]
Receipt = Annotated[str, msgspec.Meta(max_length=64)]


class StaffOrder(View, frozen=True, kw_only=True):
    """An order as staff find it, with whom it counts for. Money in minor units of `currency`.

    `points_returned` of its points went with what came back.
    """

    id: UUID
    number: str
    external_id: str
    store_code: str
    store_name: str
    completed_at: datetime
    currency: str
    net_minor: int
    tax_minor: int
    state: OrderState
    points: int
    skipped_reason: SkippedReason | None
    customer_id: UUID | None
    customer_name: str | None
    membership_id: UUID | None
    assignment_version: int
    assignment_reason: str
    points_returned: int = 0


class StaffOrderPage(View, frozen=True, kw_only=True):
    """Orders, newest first."""

    items: tuple[StaffOrder, ...]
    next_cursor: str | None = None


class StaffOrderDetail(View, frozen=True, kw_only=True):
    """An order with its lines and why each earned what it earned, and what came back of it."""

    order: StaffOrder
    lines: tuple[LineView, ...]
    returns: tuple[OrderReturn, ...] = ()


class BalanceChange(View, frozen=True, kw_only=True):
    """A membership's points before and after; who has it is named by the customer it was looked up for."""

    customer_id: UUID
    customer_name: str
    membership_id: UUID
    available_before: int
    available_after: int
    pending_before: int
    pending_after: int
    deficit_before: int
    deficit_after: int


class RedemptionChoice(StrEnum):
    """What becomes of points and vouchers of somebody else that paid for an order which is to be moved.

    `refuse` moves nothing; `keep` leaves them spent, which a manager may decide; `return` gives them back, so that the
    customer pays that part otherwise.
    """

    REFUSE = "refuse"
    KEEP = "keep"
    RETURN = "return"


class OrderAssignment(Request, frozen=True, kw_only=True):
    """Whom an order shall count for from now on; null takes it from whom it counts for now."""

    customer_id: UUID | None
    reason: Reason
    redemption: RedemptionChoice = RedemptionChoice.REFUSE
    preview_hash: Hash | None = None


class AssignmentEffect(View, frozen=True, kw_only=True):
    """What moving an order does to points.

    `points_taken` leave the present membership, of which `points_owed` had been spent and `points_written_off` are
    forgiven; `points_exempt` had lapsed and are let be. `points_earned` are those of the new one, without what came back
    of the order; `points_expected` are what an open order will earn it. `bonus_points_taken` belong to bonuses that the
    order had set off. `points_restored`, `vouchers_restored` and `holds_released` go back to those who paid with them.
    """

    action: str
    points_taken: int
    points_exempt: int
    points_owed: int
    points_written_off: int
    points_earned: int
    is_shared: bool
    skipped_reason: SkippedReason | None
    lines: tuple[LinePoints, ...]
    points_expected: int = 0
    bonus_points_taken: int = 0
    points_restored: int = 0
    vouchers_restored: int = 0
    holds_released: int = 0


class AssignmentPreview(View, frozen=True, kw_only=True):
    """What moving an order will do; nothing has changed yet. `preview_hash` must come with the command.

    `asks_redemption` says that it waits only for the request's choice in `redemption`.
    """

    order: StaffOrder
    customer_name: str | None
    effect: AssignmentEffect | None
    blockers: tuple[str, ...]
    warnings: tuple[str, ...]
    preview_hash: str
    balances: tuple[BalanceChange, ...] = ()
    asks_redemption: bool = False


class AssignmentApplied(View, frozen=True, kw_only=True):
    """An order that was moved, as it stands now."""

    order: StaffOrder
    effect: AssignmentEffect


class OrderDifference(View, frozen=True, kw_only=True):
    """An order that a person gave to somebody, or took away, and whom its till still names; the person's word holds."""

    order: StaffOrder
    named_customer_id: UUID
    named_customer_name: str
    first_seen_at: datetime
    last_seen_at: datetime


class OrderDifferencePage(View, frozen=True, kw_only=True):
    """Orders on which a till and a person differ, the one seen last first."""

    items: tuple[OrderDifference, ...]
    next_cursor: str | None = None


class OrderRecording(Request, frozen=True, kw_only=True):
    """A sale that no till sends, written down by staff as one line; money in minor units of the programme's currency.

    `number` is that of the receipt, if there is one; without `store` it is the staff member's, without `completed_at` now.
    """

    customer_id: UUID
    net_minor: SaleMinor
    tax_minor: TaxMinor = 0
    number: Receipt = ""
    category: OptionalText = ""
    store: Reference | None = None
    completed_at: datetime | None = None
    preview_hash: Hash | None = None


class RecordingPreview(View, frozen=True, kw_only=True):
    """What writing a sale down would do; nothing has changed yet. `rule` says why it earns what it earns.

    `known_order` is a sale that has this receipt number already: give that one to the customer instead.
    """

    customer_name: str
    store_name: str
    completed_at: datetime
    currency: str
    points: int
    rule: str
    skipped_reason: SkippedReason | None
    balances: tuple[BalanceChange, ...]
    known_order: StaffOrder | None
    blockers: tuple[str, ...]
    preview_hash: str


class OrderRecorded(View, frozen=True, kw_only=True):
    """A sale that was written down."""

    order: StaffOrder
    balances: tuple[BalanceChange, ...]
