"""Trying rules on past sales month by month: which spans to ask for, and the answers added up. Pure."""

from collections import defaultdict
from datetime import datetime, tzinfo

from shared.programmes import EarningRules, RulesEffect, RulesPreview

_SPANS_MAX = 24


def months_between(since: datetime, until: datetime, zone: tzinfo) -> list[tuple[datetime, datetime]]:
    """Return a period cut where months begin in a zone; a very long one into longer pieces."""
    start = since.astimezone(zone)
    months = (until.year - start.year) * 12 + until.month - start.month + 2
    step = max(1, -(-months // _SPANS_MAX))
    cuts = [since]
    year, month = start.year, start.month
    while True:
        month += step
        year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
        cut = datetime(year, month, 1, tzinfo=zone)
        if cut >= until:
            break
        cuts.append(cut)
    return list(zip(cuts, [*cuts[1:], until], strict=True))


def spans_of(rules: EarningRules, since: datetime, until: datetime, zone: tzinfo) -> list[tuple[datetime, datetime]]:
    """Return the spans to be tried one after the other."""
    return [(since, until)] if looks_back(rules) else months_between(since, until, zone)


def looks_back(rules: EarningRules) -> bool:
    """Return whether a month cannot be counted by itself: a tier is reached by the sales of others, and what a promotion
    gives one member may be capped over all of its time.
    """
    return bool(rules.tiers.levels) or any(one.member_points_max is not None for one in rules.promotions)


class Sums:
    """What the previews of several spans come to."""

    def __init__(self) -> None:
        self.orders = self.orders_changed = self.points_then = self.points_now = 0
        self.cost_minor: int | None = None
        self.is_rough = False
        self._effects: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self._promotions: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])

    def add(self, preview: RulesPreview) -> None:
        """Add the preview of a further span."""
        self.orders += preview.orders
        self.orders_changed += preview.orders_changed
        self.points_then += preview.points_then
        self.points_now += preview.points_now
        if preview.cost_minor is not None:
            self.cost_minor = (self.cost_minor or 0) + preview.cost_minor
        for effect in preview.effects:
            sums = self._effects[effect.month, effect.store_code, effect.store_name]
            sums[0] += effect.orders
            sums[1] += effect.points_then
            sums[2] += effect.points_now
            sums[3] += effect.cost_minor or 0
        for part in preview.parts:
            if part.code:
                given = self._promotions[part.code, part.name]
                given[0] += part.points
                given[1] += part.cost_minor or 0

    def promotions(self) -> list[tuple[str, int, int]]:
        """Return what each promotion gives, as (name, points, what they are worth in minor units)."""
        return [(name, count, cost_minor) for (_, name), (count, cost_minor) in self._promotions.items()]

    def effects(self) -> list[RulesEffect]:
        """Return the sums by month and store."""
        return [
            RulesEffect(
                month=month,
                store_code=code,
                store_name=name,
                orders=orders,
                points_then=then,
                points_now=now,
                cost_minor=None if self.cost_minor is None else cost_minor,
            )
            for (month, code, name), (orders, then, now, cost_minor) in sorted(self._effects.items())
        ]

    def months(self) -> list[tuple[str, int, int]]:
        """Return (month, points then, points now)."""
        found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for (month, _, _), (_, then, now, _) in sorted(self._effects.items()):
            found[month][0] += then
            found[month][1] += now
        return [(month, then, now) for month, (then, now) in found.items()]
