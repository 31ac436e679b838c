"""How many of an order's points it earned as a visit; these go back by their own rule when goods come back."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.db.engine import Row
from server.orders.change_store import get_membership
from server.orders.returns import SoldLine, Visit
from server.programmes.rules import HUNDRED_PERCENT
from server.programmes.service import Programme, RuleVersion, get_programme
from server.tiers.service import get_tier_at


async def find_visit(order: Row, lines: Sequence[SoldLine]) -> Visit | None:
    """Return the visit part of a stored order under the rules by which it earned, None if there is none."""
    if order["rule_version"] is None or order["heir"] is None or not order["points"]:
        return None
    membership = await get_membership(order["heir"])
    programme = await get_programme(membership["programme"], fresh=True)
    for version in programme.rule_versions:
        if version.id == order["rule_version"]:
            return await visit_under(programme, version, order["heir"], order["completed_at"], lines)
    # It earned in a programme that its membership is no longer in.
    return None


async def visit_under(
    programme: Programme,
    version: RuleVersion | None,
    membership_id: UUID | None,
    completed_at: datetime,
    lines: Sequence[SoldLine],
) -> Visit | None:
    """Return the same of lines under a version of the rules."""
    if version is None or membership_id is None or not version.rules.visit_points:
        return None
    rules = version.rules
    is_gross = rules.basis == "gross"
    by_line = [(line.gross_minor if is_gross else line.net_minor, line.points > 0) for line in lines]
    # As when it was earned: what a discount takes off the sale was not spent on it.
    spent = min(sum(money for money, _ in by_line), sum(money for money, earns in by_line if earns))
    if spent < rules.visit_minimum_minor:
        return None
    tier = await get_tier_at(programme, membership_id, completed_at) if rules.tiers.levels else ""
    percent = next((level.percent for level in rules.tiers.levels if level.name == tier), HUNDRED_PERCENT)
    return Visit(
        points=rules.visit_points * percent // HUNDRED_PERCENT,
        minimum_minor=rules.visit_minimum_minor,
        is_clawed=programme.settings.claw_visit_points,
        is_gross=is_gross,
    )
