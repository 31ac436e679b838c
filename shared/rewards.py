"""Messages about what points buy: the catalogue, points as money, holds at the till, vouchers, proof of presence."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from shared import limits
from shared.base import Password, Reason, Request, Title, View


class RewardKind(StrEnum):
    """What a reward does to a sale."""

    AMOUNT_OFF = "amount_off"
    PERCENT_OFF = "percent_off"
    PRODUCT = "product"


class RewardStatus(StrEnum):
    """Whether a reward is in the catalogue; vouchers of a retired one stay good."""

    ACTIVE = "active"
    RETIRED = "retired"


class VoucherStatus(StrEnum):
    """Where a voucher is in its life."""

    ISSUED = "issued"
    HELD = "held"
    REDEEMED = "redeemed"
    VOID = "void"
    EXPIRED = "expired"


class HoldState(StrEnum):
    """Where a hold is in its life; `undone` is a capture that a refund took back."""

    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"
    LAPSED = "lapsed"
    UNDONE = "undone"


ProgrammeCode = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
RewardCode = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{1,31}$")]
Points = Annotated[int, msgspec.Meta(ge=1, le=limits.POINTS_MAX)]
PointsOrNone = Annotated[int, msgspec.Meta(ge=0, le=limits.POINTS_MAX)]
ValueMinor = Annotated[int, msgspec.Meta(ge=1, le=limits.MONEY_MINOR_MAX)]
TotalMinor = Annotated[int, msgspec.Meta(ge=0, le=limits.MONEY_MINOR_MAX)]
Percent = Annotated[int, msgspec.Meta(ge=1, le=100)]
Days = Annotated[int, msgspec.Meta(ge=1, le=limits.REWARD_VALID_DAYS_MAX)]
Count = Annotated[int, msgspec.Meta(ge=0, le=limits.REWARD_STOCK_MAX)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=limits.REWARD_STOCK_MAX)]
Version = Annotated[int, msgspec.Meta(ge=0, le=limits.VERSION_MAX)]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Sku = Annotated[str, msgspec.Meta(max_length=64)]
Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")]
Scanned = Annotated[str, msgspec.Meta(min_length=4, max_length=32)]
VoucherCode = Annotated[str, msgspec.Meta(min_length=8, max_length=32)]
PresenceDigits = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{6}|[0-9]{8})$")]


# The catalogue --------------------------------------------------------------------------------------------------------


class NewReward(Request, frozen=True, kw_only=True):
    """A reward to add. `value_minor` is the most it takes off a sale.

    `percent` goes with percent_off only, and `sku`, the article that it is, with product only.

    It is for points of the programme that members join, unless another one is named.
    """

    code: RewardCode
    name: Title
    kind: RewardKind
    points_cost: Points
    value_minor: ValueMinor
    percent: Percent | None = None
    sku: Sku = ""
    description: Text = ""
    valid_days: Days | None = None
    stock: Count | None = None
    member_limit: Limit | None = None
    active_from: datetime | None = None
    active_until: datetime | None = None
    programme_code: ProgrammeCode | None = None


class RewardChange(Request, frozen=True, kw_only=True):
    """Fields to change; absent ones stay. Vouchers issued before keep the terms they were issued with."""

    version: Version
    name: Title | UnsetType = UNSET
    points_cost: Points | UnsetType = UNSET
    value_minor: ValueMinor | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    valid_days: Days | UnsetType | None = UNSET
    stock: Count | UnsetType | None = UNSET
    member_limit: Limit | UnsetType | None = UNSET
    active_from: datetime | UnsetType | None = UNSET
    active_until: datetime | UnsetType | None = UNSET
    status: RewardStatus | UnsetType = UNSET


class RewardView(View, frozen=True, kw_only=True):
    """A reward as staff see it; `issued` counts the vouchers that use up `stock`."""

    id: UUID
    code: str
    name: str
    kind: RewardKind
    description: str
    points_cost: int
    value_minor: int
    currency: str
    percent: int | None
    sku: str
    valid_days: int | None
    stock: int | None
    issued: int
    member_limit: int | None
    active_from: datetime | None
    active_until: datetime | None
    status: RewardStatus
    version: int
    programme_code: str = ""


class RewardList(View, frozen=True, kw_only=True):
    """The catalogue, cheapest first in each programme."""

    items: tuple[RewardView, ...]


class RewardOffer(View, frozen=True, kw_only=True):
    """A reward that a member may take now; `left` is what stock and the limit per member leave, None without either.

    `spendable` are the member's points in the reward's programme, `version` changes with the reward.
    """

    id: UUID
    name: str
    kind: RewardKind
    description: str
    points_cost: int
    value_minor: int
    currency: str
    percent: int | None
    valid_days: int | None
    active_until: datetime | None
    left: int | None
    affordable: bool
    programme_code: str = ""
    spendable: int = 0
    version: int = 0


class RewardOffers(View, frozen=True, kw_only=True):
    """What a member's points can buy, cheapest first; `spendable` are available points without those on hold.

    Whoever is in several programmes sees the offers of one after the other, and `spendable` is that of the first.
    """

    spendable: int
    items: tuple[RewardOffer, ...]


# Points as money ------------------------------------------------------------------------------------------------------


class RedemptionSettings(Request, frozen=True, kw_only=True):
    """What points are worth. Points are spent in steps: `step_points` take `step_minor` off a sale.

    `cap_percent` of a sale may be paid with points, `card_daily_points` a day without proof of presence. Points given
    back after they lapsed may be spent for `restore_grace_days`. They are those of the programme that members join, unless
    another one is named.
    """

    version: Version
    step_points: Points
    step_minor: ValueMinor
    cap_percent: Annotated[int, msgspec.Meta(ge=0, le=100)]
    minimum_points: PointsOrNone
    card_daily_points: PointsOrNone
    restore_grace_days: Annotated[int, msgspec.Meta(ge=0, le=365)]
    programme_code: ProgrammeCode | None = None


class RedemptionTermsView(View, frozen=True, kw_only=True):
    """The settings in force; version 0 means that nobody has changed the defaults."""

    version: int
    step_points: int
    step_minor: int
    cap_percent: int
    minimum_points: int
    card_daily_points: int
    restore_grace_days: int
    currency: str
    programme_code: str = ""


class QuoteRequest(Request, frozen=True, kw_only=True):
    """A till's question how many points may go towards a sale.

    Nothing is set aside by it; what is set aside for this sale already lasts its whole time again.
    """

    card_number: Scanned
    store: Reference
    order_reference: Reference
    order_total_minor: TotalMinor
    currency: Currency


class Quote(View, frozen=True, kw_only=True):
    """How much of a sale points may pay: the most with proof of presence, and by the card alone.

    `default_points` is what a till offers first. `held_until` is set while this customer may not spend at all, `left_today`
    where the member, or those who share, want no more points than that to be spent today.
    """

    max_points: int
    max_minor: int
    default_points: int
    default_minor: int
    card_points: int
    card_minor: int
    step_points: int
    step_minor: int
    minimum_points: int
    available: int
    held: int
    held_until: datetime | None = None
    left_today: int | None = None


# Holds ----------------------------------------------------------------------------------------------------------------


class NewHold(Request, frozen=True, kw_only=True):
    """Points or a voucher to set aside for a sale; exactly one of `points` and `voucher_code`.

    Points need the customer: `card_number` as scanned (the app's code holds card and presence code in one), and
    `presence_code` where the customer reads the digits out. A voucher is its own proof.
    """

    card_number: Scanned | None = None
    presence_code: PresenceDigits | None = None
    points: Points | None = None
    voucher_code: VoucherCode | None = None
    store: Reference
    order_reference: Reference
    order_total_minor: ValueMinor
    currency: Currency


class CaptureHold(Request, frozen=True, kw_only=True):
    """The sale was paid; `order_reference` is the id under which the till sends it, by which a refund finds the hold.

    What was paid so earns nothing where the sale says it, in `points_paid_minor` of its lines, or has it off `net_minor`.
    A hold that has lapsed can be captured for a day, if its points are free still: not one in whose place the till has set
    something else aside for the same sale.
    """

    order_reference: Reference


class HoldView(View, frozen=True, kw_only=True):
    """A hold, and the money it takes off the sale. A product voucher names the article in `sku`."""

    id: UUID
    state: HoldState
    points: int
    amount_minor: int
    currency: str
    order_reference: str
    expires_at: datetime
    voucher_ending: str | None = None
    kind: RewardKind | None = None
    sku: str = ""


# Vouchers -------------------------------------------------------------------------------------------------------------


class TakeReward(Request, frozen=True, kw_only=True):
    """A member's wish for a voucher; the password where much is spent in a day.

    `version` is that of the reward as the member was shown it: it is not taken at another price or for another worth.
    """

    reward_id: UUID
    version: Version | None = None
    password: Password | None = None


class StaffTakeReward(Request, frozen=True, kw_only=True):
    """A voucher for a customer who stands at the till; the app's digits prove it, small ones need none.

    `version` is that of the reward as the customer was told of it.
    """

    reward_id: UUID
    version: Version | None = None
    presence_code: PresenceDigits | None = None


class CancelVoucher(Request, frozen=True, kw_only=True):
    """Take an unused voucher back; its points return with their dates."""

    reason: Reason


class VoucherView(View, frozen=True, kw_only=True):
    """A voucher without its code; `code` is known once, when it is issued."""

    id: UUID
    reward_name: str
    kind: RewardKind
    value_minor: int
    currency: str
    percent: int | None
    sku: str
    points_cost: int
    status: VoucherStatus
    code_ending: str
    issued_at: datetime
    valid_until: datetime | None
    ended_at: datetime | None


class VoucherList(View, frozen=True, kw_only=True):
    """Vouchers, newest first, the last hundred."""

    items: tuple[VoucherView, ...]


class VoucherIssued(View, frozen=True, kw_only=True):
    """A new voucher with its code, which is not shown again."""

    voucher: VoucherView
    code: str


# Presence -------------------------------------------------------------------------------------------------------------


class PresenceCode(View, frozen=True, kw_only=True):
    """What the app shows at the till: digits to read out and the text of the QR code, good until `valid_until`."""

    card_number: str
    code: str
    qr_text: str
    valid_until: datetime


class PresenceText(Request, frozen=True, kw_only=True):
    """Whom to text a code: the customer of this card, to the number that they have proven."""

    card_number: Scanned
    store: Reference


class PresenceTexted(View, frozen=True, kw_only=True):
    """A code is on its way; `number_ending` are the last digits of the number. It is good once, until `valid_until`."""

    number_ending: str
    valid_until: datetime


class RedemptionLimit(Request, frozen=True, kw_only=True):
    """The most points a member wants to be spent in a day, None for no limit. Raising it needs the password."""

    points: PointsOrNone | None
    password: Password | None = None


class RedemptionLimitView(View, frozen=True, kw_only=True):
    """The member's own limit of a day."""

    points: int | None
