"""New rules tried on past sales: counted order by order, nothing written. Pure but for the state it counts in."""

from collections import defaultdict
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from server.programmes.rules import EarningLine, EarningPlan, Occasion, plan_earning
from shared.programmes import EarningRules, RulesEffect


class PastOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A sale of a member as it was: what it earned, and its lines."""

    membership_id: UUID
    store_code: str
    store_name: str
    completed_at: datetime
    points: int
    tier: str
    lines: tuple[EarningLine, ...]


class Trial:
    """Adds up what past sales earned and would earn; the caps of a day and of a promotion run along.

    Sales are to be given in the order in which they were completed.
    """

    def __init__(self, rules: EarningRules, *, zone: str, currency: str) -> None:
        self._rules = rules
        self._zone = zone
        self._tz = ZoneInfo(zone)
        self._currency = currency
        self._sums: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        self._of_day: dict[tuple[UUID, str], int] = defaultdict(int)
        self._of_promotion: dict[UUID, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._has_member_caps = any(promotion.member_points_max is not None for promotion in rules.promotions)
        self.orders_changed = 0

    def add(self, order: PastOrder) -> None:
        """Count one sale."""
        local = order.completed_at.astimezone(self._tz)
        plan = self._plan(order, f"{local:%Y-%m-%d}")
        sums = self._sums[f"{local:%Y-%m}", order.store_code, order.store_name]
        sums[0] += 1
        sums[1] += order.points
        sums[2] += plan.points
        self.orders_changed += plan.points != order.points

    def effects(self) -> tuple[RulesEffect, ...]:
        """Return the sums by month and store."""
        return tuple(
            RulesEffect(month=month, store_code=code, store_name=name, orders=orders, points_then=then, points_now=now)
            for (month, code, name), (orders, then, now) in sorted(self._sums.items())
        )

    def _plan(self, order: PastOrder, day: str) -> EarningPlan:
        occasion = Occasion(
            completed_at=order.completed_at,
            zone=self._zone,
            store_code=order.store_code,
            tier=order.tier,
            day_points=self._of_day[order.membership_id, day] if self._rules.day_points_max is not None else 0,
            promotion_points=self._of_promotion[order.membership_id] if self._has_member_caps else {},
        )
        plan = plan_earning(order.lines, self._rules, currency=self._currency, occasion=occasion)
        if self._rules.day_points_max is not None:
            self._of_day[order.membership_id, day] += plan.points
        if self._has_member_caps:
            for given in plan.promotions:
                self._of_promotion[order.membership_id][given.code] += given.points
        return plan
