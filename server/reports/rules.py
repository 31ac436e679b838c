"""What a sale under promotions earned, divided among the rules that gave it. Pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from fractions import Fraction

import msgspec

from server.programmes.rules import (
    HUNDRED_PERCENT,
    EarningLine,
    LineShare,
    Occasion,
    needs_history,
    plan_earning,
    spread,
)
from shared.programmes import EarningRules


class PromotedSale(msgspec.Struct, frozen=True, kw_only=True):
    """A sale as it stands: its points, its lines with the words of their rules, and what was noted of promotions."""

    completed_at: datetime
    store_code: str
    points: int
    lines: tuple[EarningLine, ...]
    words: tuple[str, ...]
    noted: Mapping[str, int]


class Ruled(msgspec.Struct, frozen=True, kw_only=True):
    """Rules of one version, and the same without promotions."""

    programme: str
    zone: str
    currency: str
    rules: EarningRules
    plain: EarningRules


def divide(sale: PromotedSale, by: Ruled) -> Iterator[LineShare]:
    """Yield what each promotion gave of a sale's points, and then what the other rules gave, line by line.

    All together are exactly the sale's points. A promotion gave what was noted or, where the rules look at the sale alone,
    what they give it again; the other rules gave the rest, spread as they spread the sale without promotions.
    """
    tiers = (level for level in by.rules.tiers.levels if level.percent != HUNDRED_PERCENT)
    said = "".join(sale.words)
    occasion = Occasion(
        completed_at=sale.completed_at,
        zone=by.zone,
        store_code=sale.store_code,
        tier=next((level.name for level in tiers if f", {level.percent} % for {level.name}" in said), ""),
    )
    plain = plan_earning(sale.lines, by.plain, currency=by.currency, occasion=occasion)
    acted = [promotion for promotion in by.rules.promotions if f"for '{promotion.name}'" in said]
    if needs_history(by.rules):
        given = sale.noted
    elif len(acted) == 1 and by.rules.order_points_max is None:
        given = {acted[0].code: sale.points - plain.points}
    else:
        plan = plan_earning(sale.lines, by.rules, currency=by.currency, occasion=occasion)
        given = {one.code: one.points for one in plan.promotions}
    names = {promotion.code: promotion.name for promotion in by.rules.promotions}
    for code, points in given.items():
        if points:
            yield LineShare(points, f"promotion: {names[code]}")
    rest = sale.points - sum(given.values())
    shares = [line.points for line in plain.lines]
    # A cap that left promotions nothing has taken from the other rules, too.
    if plain.points != rest:
        shares = spread(rest, [Fraction(rest * share, plain.points or 1) for share in shares])
    for share, line in zip(shares, plain.lines, strict=True):
        if share:
            yield LineShare(share, line.rule)
