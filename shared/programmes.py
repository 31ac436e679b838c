"""The rules of a programme as they are written, stored and shown, and the messages with which managers change them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from shared import limits
from shared.base import CardNumber, Hash, Reason, Request, View

Percent = Annotated[int, Meta(ge=0, le=10_000)]
PointsUpTo = Annotated[int, Meta(ge=0, le=1_000_000)]
MoneyUpTo = Annotated[int, Meta(ge=0, le=limits.MONEY_MINOR_MAX)]
Cap = Annotated[int, Meta(ge=0, le=limits.ORDER_POINTS_MAX)]
Label = Annotated[str, Meta(max_length=limits.NAME_LENGTH_MAX)]
Code = Annotated[str, Meta(min_length=1, max_length=40)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class CategoryRule(Request, frozen=True, kw_only=True):
    """A category that earns more, less or nothing (200 doubles, 0 excludes), or with `points` a fixed number a piece."""

    category: Annotated[str, Meta(max_length=200)]
    percent: Percent = 100
    points: PointsUpTo | None = None


class SkuRule(Request, frozen=True, kw_only=True):
    """The same for one article; it goes before the rule of the article's category."""

    sku: Annotated[str, Meta(min_length=1, max_length=200)]
    percent: Percent = 100
    points: PointsUpTo | None = None


class Promotion(Request, frozen=True, kw_only=True):
    """What a sale earns on top: `percent` multiplies what stands so far, or `points` are added to the sale.

    It counts for sales completed from `from_at` to just before `until_at`, on these weekdays and between these full
    hours of the programme's zone, in these stores, for these tiers and categories; an empty list is all of them.
    Promotions act in the order they are listed; one that acts and says `stop` is the last. A promotion's points are
    counted under its `code`, which is why a changed promotion keeps the cap of a member that it had.
    """

    code: Code
    name: Annotated[str, Meta(min_length=1, max_length=limits.NAME_LENGTH_MAX)]
    percent: Percent = 100
    points: PointsUpTo = 0
    from_at: datetime | None = None
    until_at: datetime | None = None
    weekdays: Annotated[tuple[Weekday, ...], Meta(max_length=7)] = ()
    from_hour: Annotated[int, Meta(ge=0, le=23)] = 0
    until_hour: Annotated[int, Meta(ge=1, le=24)] = 24
    stores: Annotated[tuple[Label, ...], Meta(max_length=200)] = ()
    tiers: Annotated[tuple[Label, ...], Meta(max_length=20)] = ()
    categories: Annotated[tuple[Label, ...], Meta(max_length=200)] = ()
    order_points_max: Cap | None = None
    member_points_max: Cap | None = None
    stop: bool = False


class Tier(Request, frozen=True, kw_only=True):
    """A tier: the qualifying points from which it is reached, and what a sale earns in it in percent."""

    name: Annotated[str, Meta(min_length=1, max_length=40)]
    from_points: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    percent: Percent = 100


class TierRules(Request, frozen=True, kw_only=True):
    """Tiers, lowest first.

    Points of sales qualify, bonuses and adjustments do not, and spending takes nothing away. They are counted over the
    calendar year of the programme's zone or the year that ends now. A tier is reached at once and kept until the end of
    the last of `kept_years`: calendar years after the one it was reached in, or years from that day.
    """

    levels: Annotated[tuple[Tier, ...], Meta(max_length=20)] = ()
    period: Literal["calendar_year", "rolling_year"] = "calendar_year"
    kept_years: Annotated[int, Meta(ge=1, le=5)] = 1


class BonusRules(Request, frozen=True, kw_only=True):
    """Points that are given once for each cause; 0 gives none. `referrer` and `referred` are paid together."""

    sign_up: PointsUpTo = 0
    birthday: PointsUpTo = 0
    first_purchase: PointsUpTo = 0
    referrer: PointsUpTo = 0
    referred: PointsUpTo = 0


class Expiry(Request, frozen=True, kw_only=True):
    """When points lapse: never, or `days` after they were earned, at the end of that local day."""

    kind: Literal["never", "days"] = "never"
    days: Annotated[int, Meta(ge=0, le=36_500)] = 0


class EarningRules(Request, frozen=True, kw_only=True):
    """The rules of one version.

    `points` are earned for every `per_minor` of the basis, which is the lines' money without tax (`net`) or with it
    (`gross`), and `visit_points` for the sale as such. Tiers multiply both, promotions come on top, caps cut what is
    left. The sum of the sale is rounded once; the shares of its lines are whole and add up to it exactly.
    """

    points: PointsUpTo
    per_minor: Annotated[int, Meta(ge=1, le=limits.MONEY_MINOR_MAX)]
    basis: Literal["net", "gross"] = "gross"
    rounding: Literal["floor", "half_up"] = "floor"
    minimum_minor: MoneyUpTo = 0
    visit_points: PointsUpTo = 0
    visit_minimum_minor: MoneyUpTo = 0
    categories: Annotated[tuple[CategoryRule, ...], Meta(max_length=200)] = ()
    skus: Annotated[tuple[SkuRule, ...], Meta(max_length=200)] = ()
    promotions: Annotated[tuple[Promotion, ...], Meta(max_length=50)] = ()
    order_points_max: Cap | None = None
    day_points_max: Cap | None = None
    tiers: TierRules = TierRules()
    bonuses: BonusRules = BonusRules()
    pending_days: Annotated[int, Meta(ge=0, le=365)] = 0
    expiry: Expiry = Expiry()


class RulesProposal(Request, frozen=True, kw_only=True):
    """New rules, or those of an old version again, and the past sales to try them on.

    Args:
        valid_from: None for at once.
        since: The sales of the preview were completed from here on.
        until: And before here; None for now.
    """

    rules: EarningRules | None = None
    from_version: Annotated[int, Meta(ge=1, le=limits.VERSION_MAX)] | None = None
    valid_from: datetime | None = None
    since: datetime
    until: datetime | None = None


class RulesPublication(Request, frozen=True, kw_only=True):
    """New rules, or those of an old version again, to be put in force as they were previewed."""

    rules: EarningRules | None = None
    from_version: Annotated[int, Meta(ge=1, le=limits.VERSION_MAX)] | None = None
    valid_from: datetime | None = None
    reason: Reason
    preview_hash: Hash | None = None


class RulesEffect(View, frozen=True, kw_only=True):
    """What the sales of one store and month (`2026-03`, in the programme's zone) earned then and would earn now."""

    store_code: str
    store_name: str
    month: str
    orders: int
    points_then: int
    points_now: int


class RulesPreview(View, frozen=True, kw_only=True):
    """What past sales would have earned under new rules; nothing has changed.

    `cost_minor` is what the points on top are worth in the dearest reward a point can buy, None without rewards. A
    preview that ran out of time is not `is_complete` and has counted the sales before `counted_until`.
    """

    rules: EarningRules
    warnings: tuple[str, ...]
    orders: int
    orders_changed: int
    points_then: int
    points_now: int
    cost_minor: int | None
    currency: str
    effects: tuple[RulesEffect, ...]
    is_complete: bool
    counted_until: datetime
    orders_left: int
    preview_hash: str


class RuleVersionView(View, frozen=True, kw_only=True):
    """A version of the rules: in force (`current`), still to come (`future`) or over (`past`)."""

    id: UUID
    version: int
    state: Literal["past", "current", "future"]
    valid_from: datetime
    created_at: datetime
    created_by: str | None
    rules: EarningRules


class RuleVersionList(View, frozen=True, kw_only=True):
    """All versions, newest first."""

    items: tuple[RuleVersionView, ...]


class ReferralCode(View, frozen=True, kw_only=True):
    """The code that a member hands to friends."""

    code: str


class ReferralNaming(Request, frozen=True, kw_only=True):
    """The code of the member who brought this one."""

    code: Annotated[str, Meta(min_length=4, max_length=32)]


class ReferralAnswer(View, frozen=True, kw_only=True):
    """The code was taken; both are paid with the first purchase."""

    accepted: bool


class ProgrammeJoining(Request, frozen=True, kw_only=True):
    """A further programme for a customer; a printed card may be registered with it, else a new one is made."""

    programme_code: Annotated[str, Meta(min_length=1, max_length=limits.NAME_LENGTH_MAX)]
    card_number: CardNumber | None = None


class ProgrammeJoined(View, frozen=True, kw_only=True):
    """The new membership and the card that scans for it."""

    membership_id: UUID
    card_number: str
