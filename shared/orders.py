"""Messages about orders between the staff console and the service."""

from datetime import datetime
from uuid import UUID

from shared.base import Hash, Reason, Request, View
from shared.enums import OrderState, SkippedReason
from shared.pos import LinePoints


class StaffOrder(View, frozen=True, kw_only=True):
    """An order as staff find it, with whom it counts for. Money in minor units of `currency`."""

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


class StaffOrderPage(View, frozen=True, kw_only=True):
    """Orders, newest first."""

    items: tuple[StaffOrder, ...]
    next_cursor: str | None = None


class OrderAssignment(Request, frozen=True, kw_only=True):
    """Whom an order shall count for from now on; null takes it from whom it counts for now."""

    customer_id: UUID | None
    reason: Reason
    preview_hash: Hash | None = None


class AssignmentEffect(View, frozen=True, kw_only=True):
    """What moving an order does to points.

    `points_taken` leave the present membership, of which `points_owed` had been spent and `points_written_off` are
    forgiven; `points_exempt` had lapsed and are let be. `points_earned` are those of the new one.
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


class AssignmentPreview(View, frozen=True, kw_only=True):
    """What moving an order will do; nothing has changed yet. `preview_hash` must come with the command."""

    order: StaffOrder
    customer_name: str | None
    effect: AssignmentEffect | None
    blockers: tuple[str, ...]
    warnings: tuple[str, ...]
    preview_hash: str


class AssignmentApplied(View, frozen=True, kw_only=True):
    """An order that was moved, as it stands now."""

    order: StaffOrder
    effect: AssignmentEffect
