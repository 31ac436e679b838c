"""The rules of a programme as they are written, stored and shown, and the messages with which managers change them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from shared import limits
from shared.base import CardNumber, Hash, Reason, Request, Title, View

Percent = Annotated[int, Meta(ge=0, le=10_000)]
PointsUpTo = Annotated[int, Meta(ge=0, le=1_000_000)]
MoneyUpTo = Annotated[int, Meta(ge=0, le=limits.MONEY_MINOR_MAX)]
MonthPoints = Annotated[int, Meta(ge=0, le=10_000_000)]
Days = Annotated[int, Meta(ge=0, le=3_650)]
Unit = Annotated[str, Meta(min_length=1, max_length=20)]
Zone = Annotated[str, Meta(min_length=1, max_length=60)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]
Version = Annotated[int, Meta(ge=1, le=limits.VERSION_MAX)]
Cap = Annotated[int, Meta(ge=0, le=limits.ORDER_POINTS_MAX)]
Label = Annotated[str, Meta(max_length=limits.NAME_LENGTH_MAX)]
Code = Annotated[str, Meta(min_length=1, max_length=40)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class CategoryRule(Request, frozen=True, kw_only=True):
    """A category that earns more, less or nothing (200 doubles, 0 excludes), or with `points` a fixed number a piece.

    Of a piece that points have paid for in part, the part that money paid earns.
    """

    category: Annotated[str, Meta(max_length=200)]
    percent: Percent = 100
    points: PointsUpTo | None = None


class SkuRule(Request, frozen=True, kw_only=True):
    """The same for one article."""

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
    calendar year of the programme's zone or the year that ends now. A tier is reached by the sale that makes it full
    and counts from the sale after that on, by whatever rules it earned; where new rules make it full, it is given soon
    after they come into force, without a sale; and two memberships that become one have what both have reached
    together. It is kept until the end of the last of `kept_years`: calendar years after the one it was reached in, or
    years from that day. New rules take a tier from nobody before that, unless they know none of its name.
    """

    levels: Annotated[tuple[Tier, ...], Meta(max_length=20)] = ()
    period: Literal["calendar_year", "rolling_year"] = "calendar_year"
    kept_years: Annotated[int, Meta(ge=1, le=5)] = 1


class BonusRules(Request, frozen=True, kw_only=True):
    """Points that are given once for each cause; 0 gives none. `referrer` and `referred` are paid together.

    A birthday is celebrated once a year, and one that was changed 300 days after the last one at the earliest.
    What a first purchase set off is taken back once nothing of what the customer bought is left; the referrer keeps theirs.
    """

    sign_up: PointsUpTo = 0
    birthday: PointsUpTo = 0
    first_purchase: PointsUpTo = 0
    referrer: PointsUpTo = 0
    referred: PointsUpTo = 0


class Expiry(Request, frozen=True, kw_only=True):
    """When points lapse, always at the end of a local day.

    `days` after they were earned; at the end of the month `months` after that of earning (0: the same), or of the year
    `years` after; on the next `month` and `day` of the calendar and `years` more (29 February is the last of February
    in other years); after `inactivity`, `days` after the member last earned by a sale or redeemed; or never. Points keep
    the policy under which they were earned; those under inactivity go on moving with what the member does.
    """

    kind: Literal["never", "days", "month_end", "year_end", "fixed_day", "inactivity"] = "never"
    days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    months: Annotated[int, Meta(ge=0, le=240)] = 0
    years: Annotated[int, Meta(ge=0, le=20)] = 0
    month: Annotated[int, Meta(ge=1, le=12)] | None = None
    day: Annotated[int, Meta(ge=1, le=31)] | None = None


class EarningRules(Request, frozen=True, kw_only=True):
    """The rules of one version.

    `points` are earned for every `per_minor` of the basis, which is the lines' money without tax (`net`) or with it
    (`gross`), and `visit_points` for the sale as such. Tiers multiply both, promotions come on top, caps cut what is
    left. The sum of the sale is rounded once; the shares of its lines are whole and add up to it exactly.

    Where an article and its category both have a rule, `overlap` decides: the article's alone (`article`), the one that
    gives more (`best`), or both added up (`sum`); under the last two, an exclusion by either excludes.
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
    overlap: Literal["article", "best", "sum"] = "article"
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
    from_version: Version | None = None
    valid_from: datetime | None = None
    since: datetime
    until: datetime | None = None


class RulesPublication(Request, frozen=True, kw_only=True):
    """New rules, or those of an old version again, to be put in force as they were previewed."""

    rules: EarningRules | None = None
    from_version: Version | None = None
    valid_from: datetime | None = None
    reason: Reason
    preview_hash: Hash | None = None


class AdjustmentLimits(Request, frozen=True, kw_only=True):
    """Absolute points that one person may give or take without a second one.

    At a time, in 24 hours and in 30 days, for one member in each of these whoever acts, and in one store by people of
    the same role.
    """

    each: PointsUpTo
    day: PointsUpTo
    month: MonthPoints
    member_day: PointsUpTo
    member_month: MonthPoints
    store_day: MonthPoints


class RoleLimits(Request, frozen=True, kw_only=True):
    """The limits of those who may adjust."""

    cashier: AdjustmentLimits = AdjustmentLimits(
        each=limits.ADJUST_CASHIER_EACH,
        day=limits.ADJUST_CASHIER_DAY,
        month=limits.ADJUST_CASHIER_MONTH,
        member_day=limits.ADJUST_CASHIER_MEMBER_DAY,
        member_month=limits.ADJUST_CASHIER_MEMBER_MONTH,
        store_day=limits.ADJUST_CASHIER_STORE_DAY,
    )
    manager: AdjustmentLimits = AdjustmentLimits(
        each=limits.ADJUST_MANAGER_EACH,
        day=limits.ADJUST_MANAGER_DAY,
        month=limits.ADJUST_MANAGER_MONTH,
        member_day=limits.ADJUST_MANAGER_MEMBER_DAY,
        member_month=limits.ADJUST_MANAGER_MEMBER_MONTH,
        store_day=limits.ADJUST_MANAGER_STORE_DAY,
    )


class ProgrammeSettings(Request, frozen=True, kw_only=True):
    """What a programme decides beside its rules. Nothing here moves points that were earned or spent before.

    Args:
        grace_days: So many days before joining, sales count too; never before the launch.
        clawback_policy: What becomes of points that are to be taken back and were spent: owed, written off, or, where
            staff move an order, refused.
        late_attach_days: How old a sale may be that cashiers give to a customer, and managers.
        reassign_days: And one that they move from one customer to another, or to nobody.
        claw_visit_points: Take visit points back when returns leave less than the visit's minimum; else they are kept
            until everything has come back.
        max_sharers: Other people in a membership.
        redeem_policy: Who of a shared membership may spend.
    """

    grace_days: Days = 0
    clawback_policy: Literal["allow_negative", "available_only", "refuse"] = "allow_negative"
    late_attach_days: Days = 14
    manager_late_attach_days: Days = limits.MANAGER_ASSIGN_DAYS
    reassign_days: Days = 30
    manager_reassign_days: Days = limits.MANAGER_ASSIGN_DAYS
    claw_visit_points: bool = True
    max_sharers: Annotated[int, Meta(ge=0, le=100)] = 6
    redeem_policy: Literal["anyone", "owner"] = "anyone"
    adjustment_limits: RoleLimits = RoleLimits()


class NewProgramme(Request, frozen=True, kw_only=True):
    """A further programme: its own points, rules and members. It earns from `launch_at`, the time of making it if absent."""

    code: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    name: Title
    unit_one: Unit = "point"
    unit_many: Unit = "points"
    zone: Zone
    currency: Currency
    launch_at: datetime | None = None
    rules: EarningRules
    settings: ProgrammeSettings = ProgrammeSettings()


class ProgrammeChange(Request, frozen=True, kw_only=True):
    """Fields to change; absent ones stay, `settings` are given whole. Zone, currency and launch stay once it has members."""

    version: Version
    reason: Reason
    name: Title | UnsetType = UNSET
    unit_one: Unit | UnsetType = UNSET
    unit_many: Unit | UnsetType = UNSET
    zone: Zone | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET
    launch_at: datetime | UnsetType = UNSET
    settings: ProgrammeSettings | UnsetType = UNSET


class ProgrammeClosing(Request, frozen=True, kw_only=True):
    """Close a programme as previewed: nobody joins and nothing earns; points stay to be spent until they lapse."""

    reason: Reason
    preview_hash: Hash


class ProgrammeOpening(Request, frozen=True, kw_only=True):
    """Open a closed programme again."""

    version: Version
    reason: Reason


class ProgrammeStanding(View, frozen=True, kw_only=True):
    """What a closing would leave: members and what they have, and with it the programme as it is."""

    members: int
    points: int
    pending_points: int
    vouchers: int
    open_holds: int
    last_lapses_at: datetime | None
    has_points_for_ever: bool
    warnings: tuple[str, ...]
    preview_hash: str


class RulesEffect(View, frozen=True, kw_only=True):
    """What the sales of one store and month (`2026-03`, in the programme's zone) earned then and would earn now."""

    store_code: str
    store_name: str
    month: str
    orders: int
    points_then: int
    points_now: int
    cost_minor: int | None = None


class RulesPart(View, frozen=True, kw_only=True):
    """What a promotion gives of the points of a preview; the first part, with no code, is what all other rules give."""

    code: str
    name: str
    points: int
    cost_minor: int | None


class RulesPreview(View, frozen=True, kw_only=True):
    """What past sales would have earned under new rules; nothing has changed.

    Tiers and caps run along, from what members had and bought before; bonuses are no part of it. `cost_minor` is what
    the points on top are worth in the dearest way to spend one, as money or in a reward; None where there is none. A
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
    parts: tuple[RulesPart, ...] = ()
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


class TierView(View, frozen=True, kw_only=True):
    """A membership's tier ("" is none) and until when it is kept.

    `points` qualify since `since`, which is None where the programme has no tiers; the next tier takes `next_points`.
    """

    tier: str
    until: datetime | None
    points: int
    since: datetime | None
    next_tier: str | None
    next_points: int | None
