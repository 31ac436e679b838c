"""What a sale must look like and what it earns: pure functions."""

from decimal import Decimal

from server.errors import Invalid
from server.programmes.rules import EarningLine, EarningPlan, EarningRules, LineShare, plan_earning
from shared.enums import SkippedReason
from shared.limits import MONEY_MINOR_MAX, ORDER_COMPLETED_FROM, ORDER_POINTS_MAX
from shared.pos import PosOrder
from shared.problems import FieldProblem

_QUANTITY_MAX = Decimal(1_000_000)
_QUANTITY_STEP = Decimal("0.001")

_SKIPPED_WORDS: dict[SkippedReason, str] = {
    SkippedReason.NO_CUSTOMER: "no customer on the sale",
    SkippedReason.CUSTOMER_UNKNOWN: "the customer is not known",
    SkippedReason.NOT_MEMBER: "the customer is not a member",
    SkippedReason.BEFORE_START: "bought before the membership began",
    SkippedReason.PROGRAMME_INACTIVE: "the programme had no rules then",
    SkippedReason.EXCLUDED_ITEMS: "nothing on the sale earns points",
    SkippedReason.BELOW_MINIMUM: "the sale is too small to earn points",
}


def check_order(order: PosOrder) -> None:
    """Refuse a sale whose fields contradict each other.

    Raises:
        Invalid: With every wrong field.
    """
    problems = [*_customer_problems(order), *_line_problems(order)]
    if order.completed_at.tzinfo is None:
        problems.append(FieldProblem(field="completed_at", detail="Give the time with its offset from UTC."))
    elif order.completed_at < ORDER_COMPLETED_FROM:
        problems.append(FieldProblem(field="completed_at", detail="This is too long ago."))
    if abs(sum(line.net_minor + line.tax_minor for line in order.lines)) > MONEY_MINOR_MAX:
        problems.append(FieldProblem(field="lines", detail="The sum of the sale is out of range."))
    if problems:
        raise Invalid(*problems)


def plan_points(order: PosOrder, rules: EarningRules | None, currency: str) -> EarningPlan:
    """Return what a sale earns a member, nothing where no rules were in force."""
    if rules is None:
        return EarningPlan(points=0, lines=tuple(LineShare(0, "") for _ in order.lines))
    lines = [
        EarningLine(category=line.category, net_minor=line.net_minor, tax_minor=line.tax_minor) for line in order.lines
    ]
    plan = plan_earning(lines, rules, currency=currency)
    if plan.points > ORDER_POINTS_MAX:
        raise Invalid(FieldProblem(field="lines", detail=f"No sale may earn more than {ORDER_POINTS_MAX} points."))
    return plan


def why_nothing(plan: EarningPlan) -> SkippedReason:
    """Return why a sale of a member earns no points by the rules alone."""
    if plan.below_minimum or any("earns no points" not in line.rule for line in plan.lines):
        return SkippedReason.BELOW_MINIMUM
    return SkippedReason.EXCLUDED_ITEMS


def skipped_line_words(reason: SkippedReason) -> str:
    """Return the words that stand by each line of a sale that earned nothing."""
    return _SKIPPED_WORDS[reason]


def _customer_problems(order: PosOrder) -> list[FieldProblem]:
    customer = order.customer
    if customer is None:
        return []
    given = [customer.card_number, customer.pos_customer_id, customer.email]
    if sum(value is not None for value in given) == 1:
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
    return problems


def _is_quantity(value: Decimal) -> bool:
    # The size is checked first: quantize overflows on 1e999999.
    return value.is_finite() and abs(value) < _QUANTITY_MAX and value == value.quantize(_QUANTITY_STEP)
