"""Messages between a till (POS) and the service."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec

from shared import limits
from shared.base import CardNumber, Email, Request, View
from shared.enums import SkippedReason

Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
OptionalText = Annotated[str, msgspec.Meta(max_length=200)]
MoneyMinor = Annotated[int, msgspec.Meta(ge=-limits.MONEY_MINOR_MAX, le=limits.MONEY_MINOR_MAX)]


class PosCustomer(Request, frozen=True, kw_only=True):
    """Who bought; exactly one of the three is given."""

    card_number: CardNumber | None = None
    pos_customer_id: Reference | None = None
    email: Email | None = None


class PosLine(Request, frozen=True, kw_only=True):
    """One line of a receipt. `net_minor` is after discounts and without `tax_minor`, both for the whole line."""

    line_id: Reference
    sku: OptionalText = ""
    description: OptionalText = ""
    category: OptionalText = ""
    quantity: Decimal = Decimal(1)
    net_minor: MoneyMinor
    tax_minor: MoneyMinor = 0


class PosOrder(Request, frozen=True, kw_only=True):
    """A completed sale. `external_id` is the till's own id and stays the same through every retry."""

    external_id: Reference
    number: Reference
    store: Reference
    completed_at: datetime
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")]
    customer: PosCustomer | None = None
    lines: Annotated[tuple[PosLine, ...], msgspec.Meta(min_length=1, max_length=limits.ORDER_LINES_MAX)]


class LinePoints(View, frozen=True, kw_only=True):
    """What one line earned, and the rule that says why."""

    line_id: str
    points: int
    rule: str


class PosOrderResult(View, frozen=True, kw_only=True):
    """How many points the sale earned and why, line by line."""

    order_id: UUID
    points: int
    lines: tuple[LinePoints, ...]
    skipped_reason: SkippedReason | None = None


class PosLookup(View, frozen=True, kw_only=True):
    """What a till may know of a customer: enough to greet, not enough to harvest."""

    customer_id: UUID
    given_name: str
    tier: str
    available: int
