"""What a sale must look like and what it earns: pure functions."""

from datetime import UTC
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec.structs import replace

from server.errors import Invalid
from server.programmes.rules import EarningPlan, LineShare, Occasion, plan_earning
from shared.codes import normalise_card_number
from shared.enums import OrderState, SkippedReason
from shared.limits import MONEY_MINOR_MAX, ORDER_COMPLETED_FROM, ORDER_POINTS_MAX
from shared.pos import PosCustomer, PosOrder
from shared.problems import FieldProblem
from shared.programmes import EarningRules

_QUANTITY_MAX = Decimal(1_000_000)
_QUANTITY_STEP = Decimal("0.001")
_ONE = Decimal(1)


class KnownOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What tells two sendings of one order apart."""

    state: OrderState
    revision: int
    content_hash: bytes


_SKIPPED_WORDS: dict[SkippedReason, str] = {
    SkippedReason.NO_CUSTOMER: "no customer on the sale",
    SkippedReason.CUSTOMER_UNKNOWN: "the customer is not known",
    SkippedReason.NOT_MEMBER: "the customer is not a member",
    SkippedReason.BEFORE_START: "bought before the membership began",
    SkippedReason.PROGRAMME_INACTIVE: "the programme had no rules then",
    SkippedReason.EXCLUDED_ITEMS: "nothing on the sale earns points",
    SkippedReason.BELOW_MINIMUM: "the sale is too small to earn points",
    SkippedReason.STORED_VALUE: "gift cards and other stored value earn no points",
    SkippedReason.PAID_WITH_POINTS: "what is paid with points earns no points",
    SkippedReason.CAP_REACHED: "no more points can be earned this day",
    SkippedReason.OPEN: "the sale is not completed yet",
    SkippedReason.VOIDED: "the sale was voided",
}
_UNFINISHED = {OrderState.OPEN: SkippedReason.OPEN, OrderState.VOIDED: SkippedReason.VOIDED}

# What becomes of an order that comes again: its first answer stands, its content is replaced, it is voided, or refused.
Fate = Literal["stands", "replaced", "voided", "refused"]


def check_order(order: PosOrder) -> None:
    """Refuse a sale whose fields contradict each other.

    Raises:
        Invalid: With every wrong field.
    """
    problems = [*customer_problems(order.customer), *_line_problems(order)]
    if order.completed_at.tzinfo is None:
        problems.append(FieldProblem(field="completed_at", detail="Give the time with its offset from UTC."))
    elif order.completed_at < ORDER_COMPLETED_FROM:
        problems.append(FieldProblem(field="completed_at", detail="This is too long ago."))
    if abs(sum(line.net_minor + line.tax_minor for line in order.lines)) > MONEY_MINOR_MAX:
        problems.append(FieldProblem(field="lines", detail="The sum of the sale is out of range."))
    if problems:
        raise Invalid(*problems)


def same_however_written(order: PosOrder) -> PosOrder:
    """Return a checked order with its time in UTC, and with card number and quantities as they are written shortest."""
    lines = tuple(
        line if (quantity := plain_quantity(line.quantity)) is line.quantity else replace(line, quantity=quantity)
        for line in order.lines
    )
    at = order.completed_at.astimezone(UTC)
    return replace(order, completed_at=at, customer=plain_customer(order.customer), lines=lines)


def plain_quantity(quantity: Decimal) -> Decimal:
    """Return a quantity without noughts behind the point or an exponent: 2 for 2.0."""
    return quantity if quantity.same_quantum(_ONE) else Decimal(f"{quantity.normalize():f}")


def plain_customer(customer: PosCustomer | None) -> PosCustomer | None:
    """Return who bought, a card number without blanks and dashes."""
    if customer is None or customer.card_number is None:
        return customer
    return replace(customer, card_number=normalise_card_number(customer.card_number))


def plan_points(order: PosOrder, rules: EarningRules | None, currency: str, occasion: Occasion) -> EarningPlan:
    """Return what a sale earns a member, nothing where no rules were in force."""
    if rules is None:
        return EarningPlan(points=0, lines=tuple(LineShare(0, "") for _ in order.lines))
    plan = plan_earning(order.lines, rules, currency=currency, occasion=occasion)
    if plan.points > ORDER_POINTS_MAX:
        raise Invalid(FieldProblem(field="lines", detail=f"No sale may earn more than {ORDER_POINTS_MAX} points."))
    return plan


def why_nothing(plan: EarningPlan) -> SkippedReason:
    """Return why a sale of a member earns no points by the rules alone."""
    return plan.skipped or SkippedReason.BELOW_MINIMUM


def why_unfinished(state: OrderState) -> SkippedReason | None:
    """Return why a sale in this state earns nothing, None for a completed one."""
    return _UNFINISHED.get(state)


def decide_fate(known: KnownOrder, sent: KnownOrder) -> Fate:
    """Return what becomes of an order that is known when it is sent again.

    States only go forward, revisions only up; so whatever arrives late, doubled or out of order, the end is the same.
    """
    if known.state is OrderState.VOIDED:
        is_older = sent.revision <= known.revision or sent.state is OrderState.VOIDED
        return "stands" if is_older or sent.content_hash == known.content_hash else "refused"
    if sent.state is OrderState.VOIDED:
        return "voided"
    if sent.revision < known.revision:
        return "stands"
    if sent.content_hash == known.content_hash and sent.revision == known.revision and sent.state is known.state:
        return "stands"
    if known.state is OrderState.OPEN:
        return "replaced"
    if sent.state is OrderState.OPEN:
        # The cart of a sale that has been completed meanwhile.
        return "stands" if sent.revision == known.revision else "refused"
    return "replaced" if sent.revision > known.revision else "refused"


AssignmentAction = Literal["attached", "reassigned", "detached"]


def name_action(*, had: bool, has: bool) -> AssignmentAction:
    """Return what an assignment does to an order that had a customer, and has one after it."""
    if not has:
        return "detached"
    return "reassigned" if had else "attached"


def window_of(action: AssignmentAction, *, late_attach_days: int, reassign_days: int) -> int:
    """Return for how many days after its completion an order can be moved."""
    return late_attach_days if action == "attached" else reassign_days


def skipped_line_words(reason: SkippedReason) -> str:
    """Return the words that stand by each line of a sale that earned nothing."""
    return _SKIPPED_WORDS[reason]


def customer_problems(customer: PosCustomer | None) -> list[FieldProblem]:
    """Return what is wrong with whom a till names."""
    if customer is None:
        return []
    given = (customer.card_number, customer.pos_customer_id, customer.email)
    if given.count(None) == len(given) - 1:
        return []
    return [FieldProblem(field="customer", detail="Give exactly one of card_number, pos_customer_id and email.")]


def _line_problems(order: PosOrder) -> list[FieldProblem]:
    problems = []
    seen: set[str] = set()
    for number, line in enumerate(order.lines):
        if line.line_id in seen:
            problems.append(FieldProblem(field=f"lines[{number}].line_id", detail="This line is given twice."))
        seen.add(line.line_id)
        if not _is_quantity(line.quantity):
            detail = "A number below a million with three decimals at most."
            problems.append(FieldProblem(field=f"lines[{number}].quantity", detail=detail))
        if line.points_paid_minor > abs(line.net_minor + line.tax_minor):
            detail = "More than the line costs cannot have been paid with points."
            problems.append(FieldProblem(field=f"lines[{number}].points_paid_minor", detail=detail))
    return problems


def _is_quantity(value: Decimal) -> bool:
    # The size is checked first: quantize overflows on 1e999999.
    return value.is_finite() and abs(value) < _QUANTITY_MAX and value == value.quantize(_QUANTITY_STEP)
