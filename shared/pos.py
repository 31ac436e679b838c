"""Messages between a till (POS) and the service."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec

from shared import limits
from shared.base import CardNumber, Email, Request, View
from shared.enums import OrderState, SkippedReason
from shared.problems import Problem

Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
OptionalText = Annotated[str, msgspec.Meta(max_length=200)]
MoneyMinor = Annotated[int, msgspec.Meta(ge=-limits.MONEY_MINOR_MAX, le=limits.MONEY_MINOR_MAX)]


class PosCustomer(Request, frozen=True, kw_only=True):
    """Who bought; exactly one of the three is given."""

    card_number: CardNumber | None = None
    pos_customer_id: Reference | None = None
    email: Email | None = None


class PosLine(Request, frozen=True, kw_only=True):
    """One line of a receipt. `net_minor` is after discounts and without `tax_minor`, both for the whole line.

    `stored_value` says that a gift card or the like was sold, `points_paid_minor` how much of the line, tax included, was
    paid with points: neither earns.
    """

    line_id: Reference
    sku: OptionalText = ""
    description: OptionalText = ""
    category: OptionalText = ""
    quantity: Decimal = Decimal(1)
    net_minor: MoneyMinor
    tax_minor: MoneyMinor = 0
    stored_value: bool = False
    points_paid_minor: Annotated[int, msgspec.Meta(ge=0, le=limits.MONEY_MINOR_MAX)] = 0


class PosOrder(Request, frozen=True, kw_only=True):
    """A sale. `external_id` is the till's own id and stays the same through every retry.

    An `open` sale earns nothing yet and may be sent again with other content until it is completed; `voided`, of whatever
    revision, takes back all that a sale earned, for good. A till that changes a completed sale sends it again with a higher
    `revision`: only the difference is posted, and an older revision that arrives late changes nothing.
    """

    external_id: Reference
    number: Reference
    store: Reference
    completed_at: datetime
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")]
    customer: PosCustomer | None = None
    state: OrderState = OrderState.COMPLETED
    revision: Annotated[int, msgspec.Meta(ge=0, le=limits.VERSION_MAX)] = 0
    lines: Annotated[tuple[PosLine, ...], msgspec.Meta(min_length=1, max_length=limits.ORDER_LINES_MAX)]


class LinePoints(View, frozen=True, kw_only=True):
    """What one line earned, and the rule that says why."""

    line_id: str
    points: int
    rule: str


class PosOrderResult(View, frozen=True, kw_only=True):
    """How many points the sale earned and why, line by line, as of the `revision` that counts.

    `points_expected` are those that an open sale will earn if it is completed as it is. `claim_code` is printed on the
    receipt of a sale to nobody, where the shop wants that: whoever has the receipt can take its points.
    """

    order_id: UUID
    points: int
    lines: tuple[LinePoints, ...]
    skipped_reason: SkippedReason | None = None
    state: OrderState = OrderState.COMPLETED
    revision: int = 0
    points_expected: int = 0
    claim_code: str | None = None


class PosOrderBatch(Request, frozen=True, kw_only=True):
    """Sales of a till, in any order; each is accepted or refused by itself."""

    orders: Annotated[tuple[PosOrder, ...], msgspec.Meta(min_length=1, max_length=limits.ORDER_BATCH_MAX)]


class PosOrderOutcome(View, frozen=True, kw_only=True):
    """What became of one sale of a batch: its result, or the problem for which it was refused."""

    external_id: str
    order: PosOrderResult | None = None
    problem: Problem | None = None


class PosOrderBatchResult(View, frozen=True, kw_only=True):
    """What became of every sale of a batch, in the order in which they were sent."""

    accepted: int
    refused: int
    results: tuple[PosOrderOutcome, ...]


class PosLookup(View, frozen=True, kw_only=True):
    """What a till may know of a customer: enough to greet, not enough to harvest.

    `email_bouncing` asks whoever is at the till to ask for the right address.
    """

    customer_id: UUID
    given_name: str
    tier: str
    available: int
    email_bouncing: bool = False
