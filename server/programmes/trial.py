"""New rules tried on past sales: counted order by order, nothing written. Pure but for the state it counts in."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from server.programmes.rules import EarningLine, EarningPlan, Occasion, midnight, plan_earning
from server.programmes.standings import Standing, list_windows, plan_standing, rank
from shared.programmes import EarningRules, RulesEffect, RulesPart

_INSTANT = timedelta(microseconds=1)


class PastOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A sale of a member as it was: what it earned, and its lines."""

    membership_id: UUID
    store_code: str
    store_name: str
    completed_at: datetime
    points: int
    points_returned: int
    lines: tuple[EarningLine, ...]


class _Member:
    """What a membership has bought so far, and the tier that it stands in."""

    __slots__ = ("bought", "has_begun", "standing")

    def __init__(self) -> None:
        self.bought: list[tuple[datetime, int]] = []
        self.standing = Standing()
        self.has_begun = False


class Trial:
    """Adds up what past sales earned and would earn; tiers and the caps of a day and of a promotion run along.

    Members begin with the tier that they had or, if it is higher, the one that the rules bring them for what they bought
    before; this is told by the methods that remember. Sales are to be given in the order in which they were completed.
    """

    def __init__(self, rules: EarningRules, *, since: datetime, zone: str, currency: str) -> None:
        self._rules = rules
        self._since = since
        self._zone = zone
        self._tz = ZoneInfo(zone)
        self._currency = currency
        self._sums: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        self._of_day: dict[tuple[UUID, str], int] = defaultdict(int)
        self._of_promotion: dict[UUID, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._has_member_caps = any(promotion.member_points_max is not None for promotion in rules.promotions)
        self._members: dict[UUID, _Member] = defaultdict(_Member)
        self._by_promotion: dict[str, int] = defaultdict(int)
        self.orders_changed = 0

    def remember_tier(self, membership_id: UUID, tier: str, until: datetime | None) -> None:
        """Let a membership begin in the tier that it had."""
        self._members[membership_id].standing = Standing(tier=tier, until=until)

    def remember(self, membership_id: UUID, day: date, points: int) -> None:
        """Let points of sales from before the trial count for tiers as if all were of one local day."""
        self._members[membership_id].bought.append((midnight(day, self._zone), points))

    def remember_day(self, membership_id: UUID, at: datetime, points: int) -> None:
        """Let what sales from before the trial earned count against the cap of the day of an instant."""
        self._of_day[membership_id, self._day(at)] += points

    def remember_use(self, membership_id: UUID, code: str, points: int) -> None:
        """Let what a promotion gave before the trial count against its cap for the member."""
        self._of_promotion[membership_id][code] += points

    def add(self, order: PastOrder) -> None:
        """Count one sale."""
        day = self._day(order.completed_at)
        plan = self._plan(order, day)
        for given in plan.promotions:
            self._by_promotion[given.code] += given.points
        sums = self._sums[day[:7], order.store_code, order.store_name]
        sums[0] += 1
        sums[1] += order.points
        sums[2] += plan.points
        self.orders_changed += plan.points != order.points

    def effects(self, point_value: Decimal | None) -> tuple[RulesEffect, ...]:
        """Return the sums by month and store, and what the difference costs.

        Args:
            point_value: Of one point, in minor units.
        """
        return tuple(
            RulesEffect(
                month=month,
                store_code=code,
                store_name=name,
                orders=orders,
                points_then=then,
                points_now=now,
                cost_minor=cost_of(now - then, point_value),
            )
            for (month, code, name), (orders, then, now) in sorted(self._sums.items())
        )

    def parts(self, point_value: Decimal | None) -> tuple[RulesPart, ...]:
        """Return what each promotion gives of the points, and, first, what all other rules do."""
        given = [(one.code, one.name, self._by_promotion[one.code]) for one in self._rules.promotions]
        rest = sum(now for _, _, now in self._sums.values()) - sum(points for _, _, points in given)
        return tuple(
            RulesPart(code=code, name=name, points=points, cost_minor=cost_of(points, point_value))
            for code, name, points in (("", "", rest), *given)
        )

    def _day(self, at: datetime) -> str:
        return f"{at.astimezone(self._tz):%Y-%m-%d}"

    def _plan(self, order: PastOrder, day: str) -> EarningPlan:
        occasion = Occasion(
            completed_at=order.completed_at,
            zone=self._zone,
            store_code=order.store_code,
            tier=self._tier_at(order),
            day_points=self._of_day[order.membership_id, day] if self._rules.day_points_max is not None else 0,
            promotion_points=self._of_promotion[order.membership_id] if self._has_member_caps else {},
        )
        plan = plan_earning(order.lines, self._rules, currency=self._currency, occasion=occasion)
        self._note_bought(order, plan.points)
        if self._rules.day_points_max is not None:
            self._of_day[order.membership_id, day] += plan.points
        if self._has_member_caps:
            for given in plan.promotions:
                self._of_promotion[order.membership_id][given.code] += given.points
        return plan

    def _tier_at(self, order: PastOrder) -> str:
        """Return the tier of a sale: the one that the member had, kept, lost or reached by the sales before."""
        if not self._rules.tiers.levels:
            return ""
        member = self._members[order.membership_id]
        if not member.has_begun:
            had = self._settle(member, self._since)
            member.standing, member.has_begun = self._higher(had, self._stand(member, self._since)), True
        member.standing = self._settle(member, order.completed_at)
        return member.standing.tier

    def _settle(self, member: _Member, at: datetime) -> Standing:
        """Return where a member stands at an instant whom nothing has raised until then."""
        standing = member.standing
        while standing.until is not None and standing.until <= at:
            standing = self._stand(member, standing.until)
        return standing

    def _note_bought(self, order: PastOrder, points: int) -> None:
        if not self._rules.tiers.levels:
            return
        member = self._members[order.membership_id]
        back = points * order.points_returned // order.points if order.points else 0
        member.bought.append((order.completed_at, points - back))
        member.standing = self._higher(member.standing, self._stand(member, order.completed_at + _INSTANT))

    def _higher(self, had: Standing, reached: Standing) -> Standing:
        tiers = self._rules.tiers
        return reached if rank(tiers, reached.tier) > rank(tiers, had.tier) else had

    def _stand(self, member: _Member, at: datetime) -> Standing:
        windows = list_windows(self._rules.tiers, at, self._zone)
        points = [
            sum(points for bought_at, points in member.bought if window.since <= bought_at < window.until)
            for window in windows
        ]
        return plan_standing(self._rules.tiers, windows, points)


def cost_of(points: int, point_value: Decimal | None) -> int | None:
    """Return what points are worth in minor units, None where a point has no value."""
    return None if point_value is None else round(points * point_value)
