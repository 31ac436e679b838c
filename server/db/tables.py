"""Every table, in the order of the domains that own them. This file is the truth of the schema.

Migrations are generated from it; what Piccolo cannot say (partial and expression indexes, append-only triggers) is in
the migration after it. Columns are required unless `null=True`; foreign keys never cascade, because no row that
explains a balance may vanish with another. Times end in `_at` and are aware UTC. Points are whole numbers, money is
whole minor units.
"""

from typing import Any

from piccolo.columns import (
    JSONB,
    UUID,
    Array,
    BigInt,
    Boolean,
    Bytea,
    Date,
    ForeignKey,
    Integer,
    Numeric,
    SmallInt,
    Text,
    Timestamptz,
)
from piccolo.columns.base import OnDelete, OnUpdate
from piccolo.constraints import Check, Unique
from piccolo.table import Table


def _id() -> UUID:
    return UUID(primary_key=True, default=None)


def _text(*, null: bool = False, unique: bool = False, index: bool = False) -> Text:
    return Text(default=None, null=null, unique=unique, index=index)


def _at(*, null: bool = False) -> Timestamptz:
    return Timestamptz(default=None, null=null)


def _count(default: int = 0) -> Integer:
    return Integer(default=default)


def _points(default: int | None = None) -> BigInt:
    return BigInt(default=default)


def _ref(table: Any, *, null: bool = False, index: bool = True) -> ForeignKey[Any]:  # noqa: ANN401 - Piccolo's own type
    return ForeignKey(table, null=null, index=index, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict)


# customers ------------------------------------------------------------------------------------------------------------


class Customer(Table, tablename="customer"):
    """A person or business known to the shop. The id never changes; everything else may."""

    id = _id()
    kind = Text(default="person")
    status = Text(default="active")
    given_name = Text(default="")
    family_name = Text(default="")
    birth_year = SmallInt(default=None, null=True)
    birth_month = SmallInt(default=None, null=True)
    birth_day = SmallInt(default=None, null=True)
    locale = Text(default="en")
    notes = Text(default="")
    postal_address = Text(default="")
    post_code = Text(default="")
    merged_into: ForeignKey[Any] = ForeignKey(
        "self", null=True, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    enrolled_source = _text()
    redemption_held_until = _at(null=True)
    redemption_held_reason = _text(null=True)
    version = _count(1)
    created_at = _at()
    updated_at = _at()

    customer_kind_known = Check("kind in ('person', 'business')")
    customer_status_known = Check("status in ('stub', 'active', 'blocked', 'merged', 'erased')")
    customer_source_known = Check("enrolled_source in ('app', 'till', 'import', 'pos', 'claim')")
    customer_merged_has_survivor = Check("(status = 'merged') = (merged_into is not null)")
    customer_birthday_whole = Check("(birth_month is null) = (birth_day is null)")


class CustomerNameKey(Table, tablename="customer_name_key"):
    """Every rotation of a customer's folded name words, so that one prefix search finds a name by any of its words."""

    id = _id()
    customer = _ref(Customer)
    key = _text()


class ContactPoint(Table, tablename="contact_point"):
    """One email address or phone number of a customer, kept with its status until the customer is erased.

    `bounced_at` is when a mail to it last came back for good, null again once it is proven anew or a later mail arrives;
    `delivered_at` is when one last arrived, as far as the mail provider told.
    """

    id = _id()
    customer = _ref(Customer)
    kind = _text()
    value = _text()
    key = _text()
    status = Text(default="unverified")
    is_primary = Boolean(default=True)
    created_at = _at()
    verified_at = _at(null=True)
    retired_at = _at(null=True)
    retired_reason = _text(null=True)
    bounced_at = _at(null=True)
    delivered_at = _at(null=True)

    contact_point_kind_known = Check("kind in ('email', 'phone')")
    contact_point_status_known = Check("status in ('unverified', 'verified', 'bouncing', 'retired')")
    contact_point_retired_says_when = Check("(status = 'retired') = (retired_at is not null)")
    contact_point_retired_is_not_primary = Check("status <> 'retired' or not is_primary")


# sessions -------------------------------------------------------------------------------------------------------------


class Login(Table, tablename="login"):
    """A member's credential. Its sign-in name is the customer's verified primary email address."""

    id = _id()
    customer = ForeignKey(Customer, null=False, unique=True, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict)
    password_hash = _text()
    password_version = _count(1)
    password_changed_at = _at()
    disabled_at = _at(null=True)
    created_at = _at()


class SignupIntent(Table, tablename="signup_intent"):
    """A sign-up form waiting for proof of its address. Nothing of it counts before that."""

    id = _id()
    email = _text()
    email_key = _text(index=True)
    password_hash = _text()
    given_name = _text()
    family_name = _text()
    phone = _text(null=True)
    birth_year = SmallInt(default=None, null=True)
    birth_month = SmallInt(default=None, null=True)
    birth_day = SmallInt(default=None, null=True)
    email_consent = Boolean(default=False)
    sms_consent = Boolean(default=False)
    wording_version = _text(null=True)
    card_number = _text(null=True)
    claim_code_hash = Bytea(default=None, null=True)
    network = _text(null=True)
    created_at = _at()
    expires_at = _at()
    confirmed_at = _at(null=True)


class MemberSession(Table, tablename="member_session"):
    """One signed-in device. Only hashes of its tokens are stored."""

    id = _id()
    customer = _ref(Customer)
    access_hash = Bytea(default=None, unique=True)
    access_expires_at = _at()
    refresh_expires_at = _at()
    device = Text(default="")
    network = Text(default="")
    created_at = _at()
    last_used_at = _at()
    stepped_up_at = _at()
    ended_at = _at(null=True)
    ended_reason = _text(null=True)


class RefreshToken(Table, tablename="refresh_token"):
    """Every refresh token a session ever had; a used one that comes back ends the session."""

    token_hash = Bytea(primary_key=True, default=None)
    session = _ref(MemberSession)
    issued_at = _at()
    used_at = _at(null=True)


class OneTimeToken(Table, tablename="one_time_token"):
    """A mailed link. The token itself is derived from the id and the service's secret; only its hash is stored."""

    id = _id()
    purpose = _text()
    token_hash = Bytea(default=None, unique=True)
    customer = _ref(Customer, null=True)
    subject = UUID(default=None, null=True, index=True)
    email_key = _text()
    state = Text(default="")
    created_at = _at()
    expires_at = _at()
    used_at = _at(null=True)
    voided_at = _at(null=True)


class ThrottleCounter(Table, tablename="throttle_counter"):
    """Wrong tries in the current window, shared by all processes."""

    key = Text(primary_key=True, default=None)
    tries = _count(0)
    window_started_at = _at()
    blocked_until = _at(null=True)


class KnownNetwork(Table, tablename="known_network"):
    """Networks a login has signed in from, so that strangers' wrong guesses do not slow the member down."""

    id = _id()
    customer = _ref(Customer, index=False)
    network = _text()
    last_success_at = _at()

    known_network_once = Unique([customer, network])


# staff ----------------------------------------------------------------------------------------------------------------


class Store(Table, tablename="store"):
    """A shop, with the time zone of its clock."""

    id = _id()
    code = _text(unique=True)
    name = _text()
    zone = _text()
    created_at = _at()


class StaffMember(Table, tablename="staff_member"):
    """A person who works here; never the same row as a customer, at most pointing at one."""

    id = _id()
    login = _text(unique=True)
    name = _text()
    role = _text()
    store = _ref(Store, null=True)
    customer = _ref(Customer, null=True)
    password_hash = _text(null=True)
    status = Text(default="invited")
    version = _count(1)
    created_at = _at()

    staff_role_known = Check("role in ('cashier', 'manager', 'marketing', 'admin', 'auditor')")
    staff_status_known = Check("status in ('invited', 'active', 'disabled')")
    staff_active_has_password = Check("status <> 'active' or password_hash is not null")


class StaffSession(Table, tablename="staff_session"):
    """A staff member at one console."""

    id = _id()
    staff_member = _ref(StaffMember)
    token_hash = Bytea(default=None, unique=True)
    terminal = Text(default="")
    network = Text(default="")
    created_at = _at()
    last_used_at = _at()
    expires_at = _at()
    ended_at = _at(null=True)


class PosConnection(Table, tablename="pos_connection"):
    """One till system that sends us sales."""

    id = _id()
    code = _text(unique=True)
    name = _text()
    created_at = _at()


class ApiKey(Table, tablename="api_key"):
    """A till's key: scoped, expiring, shown once and stored as a hash."""

    id = _id()
    name = _text()
    connection = _ref(PosConnection)
    token_hash = Bytea(default=None, unique=True)
    scopes = Array(base_column=Text(), default=list)
    stores = Array(base_column=Text(), default=list)
    created_at = _at()
    expires_at = _at()
    revoked_at = _at(null=True)
    last_used_on = Date(default=None, null=True)


# audit ----------------------------------------------------------------------------------------------------------------


class AuditEntry(Table, tablename="audit_entry"):
    """Who did what to whom, when and why. Append-only, committed with the act."""

    id = _id()
    at = _at()
    actor_kind = _text()
    actor_id = UUID(default=None, null=True)
    action = _text()
    subject_kind = _text()
    subject_id = UUID(default=None, null=True)
    customer_id = UUID(default=None, null=True)
    reason = _text(null=True)
    details = JSONB(default="{}")
    request_id = _text(null=True)

    audit_actor_known = Check("actor_kind in ('member', 'staff', 'key', 'system')")


class IdempotencyKey(Table, tablename="idempotency_key"):
    """A value-moving call that was carried out, with its answer; committed with the effect."""

    id = _id()
    principal = _text()
    operation = _text()
    key = _text()
    body_hash = Bytea(default=None)
    status = SmallInt(default=None)
    reply = Bytea(default=None)
    created_at = _at()

    idempotency_key_once = Unique([principal, operation, key])


# programmes -----------------------------------------------------------------------------------------------------------


class Programme(Table, tablename="programme"):
    """A points programme; its rules live in versions. `version` goes up with every change, new rules included."""

    id = _id()
    code = _text(unique=True)
    name = _text()
    unit_one = Text(default="point")
    unit_many = Text(default="points")
    zone = _text()
    currency = _text()
    launch_at = _at()
    status = Text(default="active")
    max_sharers = _count(6)
    redeem_policy = Text(default="anyone")
    clawback_policy = Text(default="allow_negative")
    claw_visit_points = Boolean(default=True)
    grace_days = _count(0)
    late_attach_days = _count(14)
    manager_late_attach_days = _count(90)
    reassign_days = _count(30)
    manager_reassign_days = _count(90)
    adjustment_limits = JSONB(default="{}")
    version = _count(1)
    is_default = Boolean(default=False)
    created_at = _at()

    programme_status_known = Check("status in ('draft', 'active', 'closed')")
    programme_clawback_policy_known = Check("clawback_policy in ('allow_negative', 'available_only', 'refuse')")
    programme_redeem_policy_known = Check("redeem_policy in ('anyone', 'owner')")
    programme_default_is_active = Check("not is_default or status = 'active'")


class RuleVersion(Table, tablename="rule_version"):
    """The rules in force from one instant on. Never changed: a new rule is a new version."""

    id = _id()
    programme = _ref(Programme, index=False)
    version = _count(1)
    valid_from = _at()
    body = JSONB(default=None)
    checksum = _text()
    created_at = _at()
    created_by = UUID(default=None, null=True)

    rule_version_once = Unique([programme, version])


# memberships ----------------------------------------------------------------------------------------------------------


class Membership(Table, tablename="membership"):
    """A points account. It owns the balance; people and cards point at it.

    `available`, `pending` and `deficit` are a cache of the lots as of `figures_at` and hold until `figures_until`, the
    next instant at which a lot becomes available or lapses (null: none will). `active_at` is when the member last bought
    or spent, from which points under inactivity lapse.
    """

    id = _id()
    programme = _ref(Programme)
    status = Text(default="active")
    successor: ForeignKey[Any] = ForeignKey("self", null=True, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict)
    enrolled_at = _at()
    tier = Text(default="")
    tier_until = _at(null=True)
    balance = _points(0)
    available = _points(0)
    pending = _points(0)
    deficit = _points(0)
    lifetime = _points(0)
    figures_until = _at(null=True)
    active_at = _at(null=True)
    version = _count(1)
    created_at = _at()
    closed_at = _at(null=True)
    redeem_policy = _text(null=True)
    redeem_daily_points = BigInt(default=None, null=True)

    membership_redeem_policy_known = Check("redeem_policy in ('anyone', 'owner', 'daily_cap')")
    membership_daily_cap_has_points = Check(
        "coalesce(redeem_policy = 'daily_cap', false) = (redeem_daily_points is not null)"
    )
    membership_status_known = Check("status in ('active', 'closed', 'combined', 'forfeited', 'reissued')")
    membership_figures_not_negative = Check("available >= 0 and pending >= 0 and deficit >= 0")
    membership_deficit_excludes_points = Check("deficit = 0 or (available = 0 and pending = 0)")
    membership_moved_has_successor = Check("(status in ('combined', 'reissued')) = (successor is not null)")


class MembershipPerson(Table, tablename="membership_person"):
    """A customer in a membership, from joining to leaving."""

    id = _id()
    membership = _ref(Membership)
    programme = _ref(Programme, index=False)
    customer = _ref(Customer)
    role = Text(default="owner")
    joined_at = _at()
    eligible_from = _at()
    left_at = _at(null=True)
    left_reason = _text(null=True)
    redeem_limit = BigInt(default=None, null=True)

    membership_person_role_known = Check("role in ('owner', 'sharer')")


class Card(Table, tablename="card"):
    """A code that finds a membership and a customer when scanned. It identifies; it never authorises."""

    id = _id()
    code = _text(unique=True)
    membership = _ref(Membership, null=True)
    customer = _ref(Customer, null=True)
    status = Text(default="active")
    replaced_by: ForeignKey[Any] = ForeignKey(
        "self", null=True, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    reason = _text(null=True)
    issued_at = _at()
    ended_at = _at(null=True)

    card_status_known = Check("status in ('issued', 'active', 'replaced', 'blocked')")
    card_active_has_membership = Check("status = 'issued' or membership is not null")
    card_replaced_has_successor = Check("(status = 'replaced') = (replaced_by is not null)")


# orders (declared before the ledger, whose entries name the line they are for) -----------------------------------------


class Order(Table, tablename="orders"):
    """A sale as the till told it, and which membership it currently counts for. `revision` is the till's own count."""

    id = _id()
    connection = _ref(PosConnection, index=False)
    external_id = _text()
    number = _text()
    store = _ref(Store, index=False)
    completed_at = _at()
    currency = _text()
    net_minor = BigInt(default=None)
    tax_minor = BigInt(default=None)
    state = Text(default="completed")
    content_hash = Bytea(default=None)
    customer = _ref(Customer, null=True, index=False)
    membership = _ref(Membership, null=True, index=False)
    points = _points(0)
    skipped_reason = _text(null=True)
    rule_version = _ref(RuleVersion, null=True, index=False)
    assignment_version = _count(1)
    assignment_reason = Text(default="none")
    revision = _count(0)
    points_returned = _points(0)
    pos_customer_id = _text(null=True)
    created_at = _at()

    orders_external_once = Unique([connection, external_id])
    orders_state_known = Check("state in ('open', 'completed', 'voided')")


class OrderLine(Table, tablename="order_line"):
    """One line of a sale, with the whole points it earned under the current assignment."""

    id = _id()
    order = _ref(Order, index=False)
    position = SmallInt(default=None)
    line_id = _text()
    sku = Text(default="")
    description = Text(default="")
    category = Text(default="")
    quantity = Numeric(digits=(12, 3), default=None)
    net_minor = BigInt(default=None)
    tax_minor = BigInt(default=None)
    stored_value = Boolean(default=False)
    points_paid_minor = BigInt(default=0)
    points = _points(0)
    rule = Text(default="")

    order_line_once = Unique([order, line_id])


class Assignment(Table, tablename="assignment"):
    """A former assignment of an order to a customer and membership; the current one is on the order itself."""

    id = _id()
    order = _ref(Order, index=False)
    version = _count(1)
    customer = _ref(Customer, null=True, index=False)
    membership = _ref(Membership, null=True, index=False)
    reason = _text()
    actor_kind = _text()
    actor_id = UUID(default=None, null=True)
    at = _at()

    assignment_once = Unique([order, version])


class OrderDifference(Table, tablename="order_difference"):
    """That a till still names another customer for an order that a person gave to somebody; the till's last word only.

    It counts while the order's assignment is the one of `assignment_version`.
    """

    order = ForeignKey(Order, primary_key=True, null=False, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict)
    customer = _ref(Customer, index=False)
    assignment_version = _count(1)
    first_seen_at = _at()
    last_seen_at = _at()


# ledger ---------------------------------------------------------------------------------------------------------------


class LedgerEntry(Table, tablename="ledger_entry"):
    """One signed movement of points. Never changed, never deleted."""

    id = _id()
    membership = _ref(Membership, index=False)
    kind = _text()
    points = _points()
    occurred_at = _at()
    posted_at = _at()
    source_key = _text()
    customer = _ref(Customer, null=True, index=False)
    order = _ref(Order, null=True, index=False)
    related_entry: ForeignKey[Any] = ForeignKey(
        "self", null=True, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    rule_version = _ref(RuleVersion, null=True, index=False)
    reason_code = Text(default="")
    note = Text(default="")
    actor_kind = _text()
    actor_id = UUID(default=None, null=True)

    ledger_entry_source_once = Unique([membership, kind, source_key])
    ledger_entry_not_zero = Check("points <> 0")
    ledger_entry_sign_of_kind = Check(
        "case when kind in ('OPENING', 'EARN', 'BONUS', 'RESTORE', 'TRANSFER_IN') then points > 0 "
        "when kind in ('CLAWBACK', 'REDEEM', 'EXPIRE', 'FORFEIT', 'TRANSFER_OUT') then points < 0 "
        "else kind in ('CORRECTION', 'ADJUST') end"
    )


class Lot(Table, tablename="lot"):
    """What is left of a credit entry, with its own dates. `remaining` caches the allocations.

    With `idle_days` it lapses so many days after the member was last active: `expires_at` moves while it has not passed.
    """

    entry = ForeignKey(
        LedgerEntry, primary_key=True, null=False, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    membership = _ref(Membership, index=False)
    points = _points()
    remaining = _points()
    earned_at = _at()
    available_at = _at()
    expires_at = _at(null=True)
    idle_days = Integer(default=None, null=True)

    lot_remaining_within = Check("remaining >= 0 and remaining <= points")
    lot_expires_after_available = Check("expires_at is null or expires_at > available_at")
    lot_idle_has_date = Check("idle_days is null or expires_at is not null")


class Allocation(Table, tablename="allocation"):
    """Which debit used how much of which lot. A credit that fills a deficit is allocated to that deficit's debit."""

    id = _id()
    membership = _ref(Membership, index=False)
    debit_entry = _ref(LedgerEntry)
    lot_entry = _ref(LedgerEntry)
    points = _points()
    posted_at = _at()

    allocation_positive = Check("points > 0")


class Exemption(Table, tablename="exemption"):
    """Points of an order that were to be taken back and had lapsed before: listed, so that they are taken once only."""

    id = _id()
    order = _ref(Order)
    membership = _ref(Membership, index=False)
    entry = _ref(LedgerEntry)
    points = _points()
    source_key = _text()
    at = _at()

    exemption_positive = Check("points > 0")


# tiers, promotions and bonuses ----------------------------------------------------------------------------------------


class TierChange(Table, tablename="tier_change"):
    """A membership's tier from one instant on, and until when it is kept. The latest row is the one on the membership."""

    id = _id()
    membership = _ref(Membership)
    tier = Text(default="")
    at = _at()
    until = _at(null=True)
    qualifying_points = _points(0)
    reason = _text()

    tier_change_reason_known = Check("reason in ('reached', 'kept', 'ended', 'inherited')")


class TierReview(Table, tablename="tier_review"):
    """How far the worker has come in giving memberships the tiers that a version of the rules brought them.

    All up to `place` were looked at; null when there are no more.
    """

    programme = ForeignKey(
        Programme, primary_key=True, null=False, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    rule_version = _ref(RuleVersion, index=False)
    place = UUID(default=None, null=True)


class PromotionUse(Table, tablename="promotion_use"):
    """What a promotion added to an order under one assignment; it counts while that assignment is the current one."""

    id = _id()
    order = _ref(Order, index=False)
    assignment_version = _count(1)
    code = _text()
    points = _points()

    promotion_use_once = Unique([order, assignment_version, code])


class BonusGrant(Table, tablename="bonus_grant"):
    """A bonus that a customer has had: once for each code and occasion, whatever membership it went to.

    `order` is the sale that set it off. One that was taken back with its sale has a row in `bonus_return`; given again, it
    counts its occasions.
    """

    id = _id()
    programme = _ref(Programme, index=False)
    code = _text()
    customer = _ref(Customer)
    occasion = Text(default="")
    membership = _ref(Membership, index=False)
    points = _points()
    at = _at()
    order = _ref(Order, null=True)

    bonus_grant_once = Unique([programme, code, customer, occasion])
    bonus_grant_code_known = Check("code in ('sign_up', 'birthday', 'first_purchase', 'referrer', 'referred')")


class BonusReturn(Table, tablename="bonus_return"):
    """A bonus that was taken back because the sale that had set it off went to somebody else, or was voided."""

    bonus = ForeignKey(
        BonusGrant, primary_key=True, null=False, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    points = _points()
    at = _at()


class ReferralCode(Table, tablename="referral_code"):
    """The code that a member hands to friends."""

    code = Text(primary_key=True, default=None)
    programme = _ref(Programme, index=False)
    customer = _ref(Customer)
    created_at = _at()

    referral_code_once = Unique([programme, customer])


class Referral(Table, tablename="referral"):
    """Who was brought by whom; `completed_at` is when the first qualifying sale, `order`, paid who was brought.

    It left who brought them `referrer_points`, by the rules of that sale, which they had at `paid_at`.
    """

    id = _id()
    programme = _ref(Programme, index=False)
    referrer = _ref(Customer)
    referred = _ref(Customer)
    created_at = _at()
    completed_at = _at(null=True)
    order = _ref(Order, null=True)
    referrer_points = _points(0)
    paid_at = _at(null=True)

    referral_once = Unique([programme, referred])
    referral_of_others_only = Check("referrer <> referred")


# rewards --------------------------------------------------------------------------------------------------------------


class Reward(Table, tablename="reward"):
    """What points can buy. `value_minor` is the most it takes off a sale, whatever its kind."""

    id = _id()
    programme = _ref(Programme)
    code = _text(unique=True)
    name = _text()
    points_cost = _points()
    value_minor = BigInt(default=None)
    status = Text(default="active")
    created_at = _at()
    kind = Text(default="amount_off")
    description = Text(default="")
    percent = SmallInt(default=None, null=True)
    sku = Text(default="")
    valid_days = SmallInt(default=None, null=True)
    stock = Integer(default=None, null=True)
    member_limit = Integer(default=None, null=True)
    active_from = _at(null=True)
    active_until = _at(null=True)
    version = _count(1)

    reward_kind_known = Check("kind in ('amount_off', 'percent_off', 'product')")
    reward_status_known = Check("status in ('active', 'retired')")
    reward_percent_of_kind = Check("(kind = 'percent_off') = (percent is not null)")


class RedemptionTerms(Table, tablename="redemption_terms"):
    """What a programme's points are worth as money, and how much may be spent how; without a row the defaults hold."""

    programme = ForeignKey(
        Programme, primary_key=True, null=False, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    step_points = BigInt(default=None)
    step_minor = BigInt(default=None)
    cap_percent = SmallInt(default=None)
    minimum_points = BigInt(default=None)
    card_daily_points = BigInt(default=None)
    restore_grace_days = SmallInt(default=None)
    version = _count(1)
    changed_at = _at()

    redemption_terms_sensible = Check("step_points > 0 and step_minor > 0 and cap_percent between 0 and 100")


class Voucher(Table, tablename="voucher"):
    """An issued reward with its terms of that day. Its code is stored as a keyed hash and its last four characters."""

    id = _id()
    reward = _ref(Reward)
    membership = _ref(Membership)
    customer = _ref(Customer)
    code_hash = Bytea(default=None, unique=True)
    code_last4 = _text()
    value_minor = BigInt(default=None)
    currency = _text()
    status = Text(default="issued")
    replaced_by: ForeignKey[Any] = ForeignKey(
        "self", null=True, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    void_reason = _text(null=True)
    issued_at = _at()
    valid_until = _at(null=True)
    ended_at = _at(null=True)
    kind = Text(default="amount_off")
    percent = SmallInt(default=None, null=True)
    sku = Text(default="")
    points_cost = _points(0)
    issue_entry = _ref(LedgerEntry, null=True)

    voucher_status_known = Check("status in ('issued', 'held', 'redeemed', 'void', 'expired')")


class Hold(Table, tablename="hold"):
    """Points or a voucher set aside for a sale that is being paid. An open one counts for nothing after `expires_at`."""

    id = _id()
    membership = _ref(Membership, index=False)
    customer = _ref(Customer, index=False)
    points = _points()
    voucher = _ref(Voucher, null=True)
    amount_minor = BigInt(default=None)
    currency = _text()
    connection = _ref(PosConnection, index=False)
    store = _ref(Store, index=False)
    order_reference = _text()
    proof = _text()
    state = Text(default="open")
    entry = _ref(LedgerEntry, null=True)
    created_at = _at()
    expires_at = _at()
    ended_at = _at(null=True)

    hold_state_known = Check("state in ('open', 'captured', 'released', 'lapsed', 'undone')")
    hold_proof_known = Check("proof in ('presence', 'card', 'voucher')")
    hold_points_or_voucher = Check("(voucher is null) = (points > 0)")
    hold_open_has_no_end = Check("(state = 'open') = (ended_at is null)")
    hold_capture_has_entry = Check("voucher is not null or (state in ('captured', 'undone')) = (entry is not null)")


class PresenceUse(Table, tablename="presence_use"):
    """The newest step of a member's rotating code that a till has accepted; that one and older ones are used up."""

    customer = ForeignKey(
        Customer, primary_key=True, null=False, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    last_step = BigInt(default=None)
    used_at = _at()


class SmsCode(Table, tablename="sms_code"):
    """The newest code that was texted to a member to prove at a till that they are there; used once.

    The digits are made from `code_id` and the service's secret; a keyed hash of them is stored.
    """

    customer = ForeignKey(
        Customer, primary_key=True, null=False, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    code_id = UUID(default=None, unique=True)
    code_hash = Bytea(default=None)
    created_at = _at()
    expires_at = _at()
    tries = _count(0)
    used_at = _at(null=True)


# refunds --------------------------------------------------------------------------------------------------------------


class Refund(Table, tablename="refund"):
    """A return of goods or money as the till told it, and what it did; parked while its sale is not here yet.

    `resolved_by` is who of the staff found its sale, or dismissed it; `customer` whom the till named, who may differ from whom
    the sale counted for when the refund was posted.
    """

    id = _id()
    connection = _ref(PosConnection, index=False)
    external_id = _text()
    original_external_id = _text(null=True)
    order = _ref(Order, null=True)
    store = _ref(Store, index=False)
    completed_at = _at()
    currency = _text()
    content_hash = Bytea(default=None)
    state = Text(default="parked")
    refused_for = _text(null=True)
    points_taken = _points(0)
    points_exempt = _points(0)
    points_owed = _points(0)
    points_written_off = _points(0)
    points_restored = _points(0)
    customer = _ref(Customer, null=True, index=False)
    customer_differs = Boolean(default=False)
    created_at = _at()
    posted_at = _at(null=True)
    resolved_by = _ref(StaffMember, null=True)
    resolved_at = _at(null=True)
    resolved_reason = Text(default="")

    refund_external_once = Unique([connection, external_id])
    refund_state_listed = Check("state in ('parked', 'posted', 'blind', 'refused', 'dismissed')")
    refund_posted_has_order = Check("(state = 'posted') = (\"order\" is not null and posted_at is not null)")
    refund_original_of_state = Check(
        "case state when 'blind' then original_external_id is null "
        "when 'parked' then original_external_id is not null else true end"
    )
    refund_refused_says_why = Check("state <> 'refused' or refused_for is not null")
    refund_resolved_by_somebody = Check("(resolved_by is null) = (resolved_at is null)")
    refund_dismissed_by_somebody = Check("state <> 'dismissed' or resolved_by is not null")


class RefundLine(Table, tablename="refund_line"):
    """What came back of one line: pieces or money. It names the order once it is posted; `points` is what it took then."""

    id = _id()
    refund = _ref(Refund, index=False)
    order = _ref(Order, null=True)
    line_id = _text()
    quantity = Numeric(digits=(12, 3), default=None, null=True)
    net_minor = BigInt(default=None, null=True)
    points_part_minor = BigInt(default=None, null=True)
    points = _points(0)

    refund_line_once = Unique([refund, line_id])
    refund_line_quantity_or_money = Check("coalesce(quantity > 0, net_minor is not null)")


# adjustments ----------------------------------------------------------------------------------------------------------


class Adjustment(Table, tablename="adjustment"):
    """Points that staff gave or took by hand, or asked to. Its `entry` is what moved them.

    `needs` says why a second person had to approve, `each_max` what one person could then give at a time; the note is
    here even where the member is not to read it.
    """

    id = _id()
    customer = _ref(Customer, index=False)
    membership = _ref(Membership, index=False)
    store = _ref(Store, null=True, index=False)
    points = _points()
    reason_code = _text()
    note = Text(default="")
    visible = Boolean(default=False)
    state = _text()
    needs = Array(base_column=Text(), default=list)
    requested_by = _ref(StaffMember)
    requested_role = _text()
    requested_at = _at()
    lapses_at = _at(null=True)
    decided_by = _ref(StaffMember, null=True)
    decided_at = _at(null=True)
    decision_note = Text(default="")
    entry = _ref(LedgerEntry, null=True)
    posted_at = _at(null=True)
    undone_by = _ref(StaffMember, null=True)
    undone_at = _at(null=True)
    undo_note = Text(default="")
    each_max = BigInt(default=None, null=True)

    adjustment_not_zero = Check("points <> 0")
    adjustment_state_known = Check("state in ('waiting', 'posted', 'refused', 'undone')")
    adjustment_by_two = Check("decided_by <> requested_by")
    adjustment_waits_for_somebody = Check("state <> 'waiting' or (decided_by is null and lapses_at is not null)")
    adjustment_posted_has_entry = Check(
        "(state in ('posted', 'undone')) = (entry is not null) and (entry is null) = (posted_at is null)"
    )
    adjustment_large_has_two = Check("state = 'waiting' or cardinality(needs) = 0 or decided_by is not null")


# imports --------------------------------------------------------------------------------------------------------------


class ImportBatch(Table, tablename="import_batch"):
    """One set of rows brought over from another system, under a name that makes it the same batch when it comes again."""

    id = _id()
    kind = _text()
    name = _text()
    file_hash = Bytea(default=None)
    started_at = _at()
    finished_at = _at(null=True)

    import_batch_once = Unique([kind, name])
    import_batch_kind_known = Check("kind in ('balances')")


class BalanceRow(Table, tablename="balance_row"):
    """A row of an opening balance: as it was read, and once it was posted, for whom. Those that were refused are not kept."""

    id = _id()
    batch = _ref(ImportBatch)
    row_key = _text()
    line = _count()
    identified_by = _text()
    identifier = _text()
    points = _points()
    earned_at = _at()
    expires_at = _at(null=True)
    state = Text(default="new")
    customer = _ref(Customer, null=True, index=False)
    membership = _ref(Membership, null=True, index=False)
    entry = _ref(LedgerEntry, null=True)

    balance_row_once = Unique([batch, row_key])
    balance_row_state_known = Check("state in ('new', 'posted')")
    balance_row_posted_has_entry = Check("(state = 'posted') = (entry is not null)")
    balance_row_points_positive = Check("points > 0")


# expiry ---------------------------------------------------------------------------------------------------------------


class ExpiryNotice(Table, tablename="expiry_notice"):
    """That a membership was told, so many days ahead, of its points that lapse at one instant."""

    id = _id()
    membership = _ref(Membership, index=False)
    expires_at = _at()
    days = SmallInt(default=None)
    at = _at()

    expiry_notice_once = Unique([membership, expires_at, days])


# links ----------------------------------------------------------------------------------------------------------------


class PosRecord(Table, tablename="pos_record"):
    """What a till system knows of a customer. Nothing of it reaches an account but through a link.

    `email_since_at` is since when the address is known to be on the record; a record that was merged into another one
    stays as an alias of it. `made_here` says that we made it for a member who bought.
    """

    id = _id()
    connection = _ref(PosConnection, index=False)
    external_id = _text()
    merged_into: ForeignKey[Any] = ForeignKey(
        "self", null=True, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    given_name = Text(default="")
    family_name = Text(default="")
    name_key = Text(default="")
    email = _text(null=True)
    email_key = _text(null=True)
    email_since_at = _at(null=True)
    former_emails = Array(base_column=Text(), default=list)
    phone = _text(null=True)
    phone_key = _text(null=True)
    card_number = _text(null=True)
    made_here = Boolean(default=False)
    removed_at = _at(null=True)
    source_changed_at = _at(null=True)
    content_hash = Bytea(default=None)
    created_at = _at()
    changed_at = _at()

    pos_record_once = Unique([connection, external_id])
    pos_record_not_its_own_alias = Check("merged_into <> id")
    pos_record_email_whole = Check("num_nulls(email, email_key, email_since_at) in (0, 3)")
    pos_record_phone_whole = Check("(phone is null) = (phone_key is null)")


class PosLink(Table, tablename="pos_link"):
    """That a POS record is a customer's: wished for by staff, in force, or over. One in force for each record."""

    id = _id()
    record = _ref(PosRecord, index=False)
    customer = _ref(Customer)
    state = Text(default="linked")
    method = _text()
    evidence = Text(default="")
    reason = Text(default="")
    actor_kind = _text()
    actor_id = UUID(default=None, null=True)
    created_at = _at()
    linked_at = _at(null=True)
    approved_by = _ref(StaffMember, null=True)
    orders_found = _count(0)
    orders_counted = _count(0)
    points = _points(0)
    ended_at = _at(null=True)
    ended_reason = _text(null=True)

    pos_link_state_known = Check("state in ('waiting', 'linked', 'ended')")
    pos_link_method_known = Check(
        "method in ('email', 'card_and_email', 'phone_and_email', 'staff_match', 'staff_attest', 'pushed', 'import')"
    )
    pos_link_in_force_says_when = Check("state <> 'linked' or linked_at is not null")
    pos_link_over_says_why = Check(
        "(state = 'ended') = (ended_at is not null) and (ended_at is null) = (ended_reason is null)"
    )


class LinkCheck(Table, tablename="link_check"):
    """Where a member's search for POS records stands, and when it is looked at again (null: when something changes)."""

    customer = ForeignKey(
        Customer, primary_key=True, null=False, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    state = Text(default="checking")
    asked_at = _at()
    checked_at = _at(null=True)
    next_check_at = _at(null=True)
    tries = _count(0)

    link_check_state_known = Check("state in ('checking', 'unlinked', 'waiting', 'needs_help', 'linked')")


class LinkReview(Table, tablename="link_review"):
    """A match that nobody but a person may decide."""

    id = _id()
    customer = _ref(Customer)
    record = _ref(PosRecord)
    other_customer = _ref(Customer, null=True)
    reason = _text()
    state = Text(default="open")
    created_at = _at()
    settled_at = _at(null=True)
    settled_by = _ref(StaffMember, null=True)
    note = Text(default="")

    link_review_reason_listed = Check("reason in ('ambiguous', 'taken', 'merged_in_pos', 'disputed')")
    link_review_state_known = Check("state in ('open', 'settled')")
    link_review_settled_says_when = Check("(state = 'settled') = (settled_at is not null)")


class PosTodo(Table, tablename="pos_todo"):
    """Something that people, or the till system if it can, have to do in the till: two records of it are one person's.

    `error` is why the till system refused when it was asked; `done_by` is empty where the till did it.
    """

    id = _id()
    kind = Text(default="merge")
    customer = _ref(Customer)
    kept_record = _ref(PosRecord)
    absorbed_record = _ref(PosRecord)
    state = Text(default="open")
    created_at = _at()
    error = Text(default="")
    done_at = _at(null=True)
    done_by = _ref(StaffMember, null=True)
    note = Text(default="")

    pos_todo_kind_known = Check("kind in ('merge')")
    pos_todo_state_known = Check("state in ('open', 'done', 'dropped')")
    pos_todo_done_says_when = Check("(state = 'open') = (done_at is null)")
    pos_todo_of_two = Check("kept_record <> absorbed_record")


class PosState(Table, tablename="pos_state"):
    """How far the exchange with one till system has come, and who is at it.

    `knows_members` says that members are made known to it when they buy.
    """

    connection = ForeignKey(
        PosConnection, primary_key=True, null=False, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    customers_until_at = _at(null=True)
    orders_until_at = _at(null=True)
    members_until_at = _at(null=True)
    lease_holder = UUID(default=None, null=True)
    lease_until = _at(null=True)
    last_success_at = _at(null=True)
    knows_members = Boolean(default=False)
    created_at = _at()


class PosCycle(Table, tablename="pos_cycle"):
    """One run of the exchange with a till system, and what it came to."""

    id = _id()
    connection = _ref(PosConnection, index=False)
    cause = _text()
    state = Text(default="running")
    started_at = _at()
    finished_at = _at(null=True)
    error = _text(null=True)
    figures = JSONB(default="{}")

    pos_cycle_cause_known = Check("cause in ('clock', 'hook', 'staff')")
    pos_cycle_state_known = Check("state in ('running', 'done', 'failed')")
    pos_cycle_over_says_when = Check("(state = 'running') = (finished_at is null)")


class PosStaged(Table, tablename="pos_staged"):
    """Something fetched from a till system: waiting to be posted, done (its content is then let go), or set aside."""

    id = _id()
    connection = _ref(PosConnection, index=False)
    kind = _text()
    external_id = _text()
    changed_at = _at()
    payload = JSONB(default="{}")
    content_hash = Bytea(default=None)
    state = Text(default="new")
    reason = _text(null=True)
    detail = Text(default="")
    staged_at = _at()

    pos_staged_once = Unique([connection, kind, external_id])
    pos_staged_kind_known = Check("kind in ('customer', 'order')")
    pos_staged_state_known = Check("state in ('new', 'done', 'quarantined')")
    pos_staged_quarantined_says_why = Check("(state = 'quarantined') = (reason is not null)")


class HookEvent(Table, tablename="hook_event"):
    """An event that another system told us of, so that it counts once."""

    event_id = Text(primary_key=True, default=None)
    received_at = _at()


# consents -------------------------------------------------------------------------------------------------------------


class ConsentWording(Table, tablename="consent_wording"):
    """The exact words a person agreed to; never changed."""

    version = Text(primary_key=True, default=None)
    channel = _text()
    language = Text(default="en")
    wording = _text()
    created_at = _at()


class ConsentEvent(Table, tablename="consent_event"):
    """An opt-in or opt-out of one channel at one address. Append-only; the latest rules."""

    id = _id()
    customer = _ref(Customer)
    channel = _text()
    address_key = _text()
    state = _text()
    source = _text()
    wording_version = _text(null=True)
    actor_kind = _text()
    actor_id = UUID(default=None, null=True)
    store = _ref(Store, null=True, index=False)
    network = _text(null=True)
    at = _at()

    consent_event_channel_known = Check("channel in ('email', 'sms')")
    consent_event_state_known = Check("state in ('opted_in', 'pending', 'opted_out')")


# sharing --------------------------------------------------------------------------------------------------------------


class SharingOperation(Table, tablename="sharing_operation"):
    """People who joined a membership, two memberships that became one, or a person who left with a part of the points.

    `other` is the membership that was combined into `membership`, or that a leaver was given. `effects` holds all that is
    needed to undo it; one that is a part of a `merge` is undone with that.
    """

    id = _id()
    kind = _text()
    membership = _ref(Membership)
    other = _ref(Membership, null=True)
    customer = _ref(Customer, null=True)
    merge = UUID(default=None, null=True)
    state = Text(default="done")
    reason = Text(default="")
    points = _points(0)
    effects = JSONB(default="{}")
    actor_kind = _text()
    actor_id = UUID(default=None, null=True)
    at = _at()
    undo_until = _at()
    undone_at = _at(null=True)
    undone_by = UUID(default=None, null=True)

    sharing_operation_kind_known = Check("kind in ('join', 'combine', 'leave')")
    sharing_operation_state_known = Check("state in ('done', 'undone')")
    sharing_operation_undone_says_when = Check("(state = 'undone') = (undone_at is not null)")
    sharing_operation_moves_between_two = Check("(kind = 'join') = (other is null)")


class SharingInvitation(Table, tablename="sharing_invitation"):
    """An owner's wish to share with whoever proves an address; only that person, signed in, can accept it."""

    id = _id()
    membership = _ref(Membership)
    invited_by = _ref(Customer)
    email = _text()
    email_key = _text(index=True)
    state = Text(default="open")
    created_at = _at()
    expires_at = _at()
    decided_at = _at(null=True)
    operation = _ref(SharingOperation, null=True)

    sharing_invitation_state_known = Check("state in ('open', 'accepted', 'declined', 'withdrawn')")


# merges ---------------------------------------------------------------------------------------------------------------


class Merge(Table, tablename="merge"):
    """One customer absorbed by another, or a wish for it that a second person has to approve.

    `needs` says why; `effects` holds the state before and the ids of all that moved, from which it is undone.
    """

    id = _id()
    survivor = _ref(Customer)
    absorbed = _ref(Customer)
    method = _text()
    state = _text()
    reason = Text(default="")
    choices = JSONB(default="{}")
    needs = Array(base_column=Text(), default=list)
    preview_hash = Text(default="")
    requested_by = _ref(StaffMember, null=True)
    requested_at = _at()
    lapses_at = _at(null=True)
    decided_by = _ref(StaffMember, null=True)
    decided_at = _at(null=True)
    decision_note = Text(default="")
    effects = JSONB(default="{}")
    done_at = _at(null=True)
    undo_until = _at(null=True)
    undone_at = _at(null=True)
    undone_by = UUID(default=None, null=True)
    undo_note = Text(default="")
    disputed_at = _at(null=True)

    merge_of_two = Check("survivor <> absorbed")
    merge_method_known = Check("method in ('staff', 'claim')")
    merge_state_known = Check("state in ('waiting', 'done', 'refused', 'undone')")
    merge_by_two = Check("decided_by <> requested_by")
    merge_needs_two = Check("state not in ('done', 'undone') or cardinality(needs) = 0 or decided_by is not null")
    merge_done_says_when = Check("(state in ('done', 'undone')) = (done_at is not null)")
    merge_undone_says_when = Check("(state = 'undone') = (undone_at is not null)")
    merge_waits_for_somebody = Check("state <> 'waiting' or (decided_by is null and lapses_at is not null)")


# claims ---------------------------------------------------------------------------------------------------------------


class ClaimBatch(Table, tablename="claim_batch"):
    """Claim codes made at once for everybody whom no email reaches. Each file of it is written once."""

    id = _id()
    requested_by = _ref(StaffMember, null=True)
    created_at = _at()
    codes = _count()
    csv_at = _at(null=True)
    pdf_at = _at(null=True)
    revoked_at = _at(null=True)


class ClaimCode(Table, tablename="claim_code"):
    """A code that makes a customer's account, or an order of nobody's, the member's who enters it. Only its keyed hash is here.

    One is live for each subject. `used_by` is the member; `merge` is what made the two customers one.
    """

    id = _id()
    code_hash = Bytea(default=None, unique=True)
    kind = _text()
    customer = _ref(Customer, null=True, index=False)
    order = _ref(Order, null=True, index=False)
    batch = _ref(ClaimBatch, null=True)
    actor_kind = _text()
    actor_id = UUID(default=None, null=True)
    issued_at = _at()
    expires_at = _at()
    wrong_checks = _count()
    used_at = _at(null=True)
    used_by = _ref(Customer, null=True)
    merge = _ref(Merge, null=True)
    revoked_at = _at(null=True)
    revoked_reason = _text(null=True)

    claim_code_kind_known = Check("kind in ('till', 'letter', 'text', 'receipt')")
    claim_code_of_one_subject = Check(
        'num_nonnulls(customer, "order") = 1 and (kind = \'receipt\') = ("order" is not null)'
    )
    claim_code_letter_has_batch = Check("(kind = 'letter') = (batch is not null)")
    claim_code_used_by_somebody = Check("(used_at is null) = (used_by is null)")
    claim_code_used_or_revoked = Check("used_at is null or revoked_at is null")
    claim_code_revoked_says_why = Check("(revoked_at is null) = (revoked_reason is null)")
    claim_code_expires_after_issue = Check("expires_at > issued_at")


# privacy --------------------------------------------------------------------------------------------------------------


class PersonalExport(Table, tablename="personal_export"):
    """A copy of everything held about one customer, made by a job and kept for a short time."""

    id = _id()
    customer = _ref(Customer)
    state = Text(default="waiting")
    requested_by_kind = _text()
    requested_by_id = UUID(default=None, null=True)
    requested_at = _at()
    ready_at = _at(null=True)
    expires_at = _at(null=True)
    bytes_count = BigInt(default=0)

    personal_export_state_known = Check("state in ('waiting', 'ready', 'expired')")
    personal_export_ready_says_until = Check("state = 'waiting' or (ready_at is not null and expires_at is not null)")


class PersonalExportPart(Table, tablename="personal_export_part"):
    """A piece of the file of an export; gone when the export is."""

    id = _id()
    export = _ref(PersonalExport)
    number = _count()
    content = Bytea(default=None)

    personal_export_part_once = Unique([export, number])


class Erasure(Table, tablename="erasure"):
    """A wish to be forgotten and what became of it. `answer_by` is a month after it was made.

    `cause` is `dormant` where nobody wished it: the shop lets go of a person who has not come for years, unless they come.
    `needs` says why a second person has to approve; `effects` holds figures only; `pos_records` names what has to be removed
    by hand at a till system; `journalled_at` is when it was written down outside of the database.
    """

    id = _id()
    customer = _ref(Customer)
    cause = Text(default="wish")
    state = _text()
    requested_by_kind = _text()
    requested_by_id = UUID(default=None, null=True)
    requested_at = _at()
    answer_by = _at()
    reason = Text(default="")
    needs = Array(base_column=Text(), default=list)
    approved_by = _ref(StaffMember, null=True)
    approved_at = _at(null=True)
    execute_after = _at(null=True)
    blocked_by = _text(null=True)
    ended_at = _at(null=True)
    executed_at = _at(null=True)
    done_at = _at(null=True)
    journalled_at = _at(null=True)
    pos_records = Array(base_column=Text(), default=list)
    effects = JSONB(default="{}")

    erasure_cause_known = Check("cause in ('wish', 'dormant')")
    erasure_state_known = Check("state in ('waiting', 'cooling', 'executed', 'done', 'cancelled')")
    erasure_by_two = Check("requested_by_kind <> 'staff' or approved_by <> requested_by_id")
    erasure_needs_two = Check("state in ('waiting', 'cancelled') or cardinality(needs) = 0 or approved_by is not null")
    erasure_cooling_has_end = Check("state in ('waiting', 'cancelled') or execute_after is not null")
    erasure_executed_says_when = Check("(state in ('executed', 'done')) = (executed_at is not null)")
    erasure_done_says_when = Check("(state = 'done') = (done_at is not null)")
    erasure_cancelled_says_when = Check("(state = 'cancelled') = (ended_at is not null)")


class Suppression(Table, tablename="suppression"):
    """An address, number, card or till id of somebody who was erased, as a keyed hash: imports pass it over."""

    hash = Bytea(primary_key=True, default=None)
    kind = _text()
    erasure = _ref(Erasure)
    created_at = _at()

    suppression_kind_known = Check("kind in ('email', 'phone', 'card', 'pos')")


# duplicates -----------------------------------------------------------------------------------------------------------


class DuplicateProfile(Table, tablename="duplicate_profile"):
    """The keys (hashes) by which a customer is compared with others who may be the same person; made anew at will."""

    customer = ForeignKey(
        Customer, primary_key=True, null=False, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    keys = Array(base_column=BigInt(), default=list)
    made_at = _at()


class DuplicateCandidate(Table, tablename="duplicate_candidate"):
    """Two customers who may be one person, with the evidence; `one` is the smaller id.

    Open ones come and go with what is known of the two. What staff decided stays: that they are two people, or a merge.
    """

    id = _id()
    one = _ref(Customer)
    other = _ref(Customer)
    score = Integer(default=None)
    signs = Array(base_column=Text(), default=list)
    state = Text(default="open")
    found_at = _at()
    decided_by = _ref(StaffMember, null=True)
    decided_at = _at(null=True)
    note = Text(default="")

    duplicate_candidate_once = Unique([one, other])
    duplicate_candidate_ordered = Check("one < other")
    duplicate_candidate_state_known = Check("state in ('open', 'dismissed', 'merged')")
    duplicate_candidate_decided_says_when = Check("(state = 'open') = (decided_at is null)")
    duplicate_candidate_open_is_nobodys = Check("state <> 'open' or decided_by is null")


class DuplicateMark(Table, tablename="duplicate_mark"):
    """That a customer changed and has to be compared anew; without a customer, that everybody has."""

    id = _id()
    customer = UUID(default=None, null=True)
    marked_at = _at()


# email changes --------------------------------------------------------------------------------------------------------


class EmailChange(Table, tablename="email_change"):
    """A wish to use another address, and, once carried out, all that is needed to undo it.

    `is_override`: staff asked for it, as the customer cannot reach the proven address any more. Somebody else approves it, and
    it is carried out at `execute_after`, unless whoever reads the old mailbox stops it. `failed_because` is the code of what
    stood against it then.
    """

    id = _id()
    customer = _ref(Customer)
    old_email = _text()
    old_email_key = _text()
    new_email = _text()
    new_email_key = _text()
    mode = _text()
    state = Text(default="pending")
    requested_by_kind = _text()
    requested_by_id = UUID(default=None, null=True)
    requested_at = _at()
    expires_at = _at()
    confirmed_at = _at(null=True)
    undo_until = _at(null=True)
    undone_at = _at(null=True)
    effects = JSONB(default="{}")
    is_override = Boolean(default=False)
    reason = Text(default="")
    approved_by = _ref(StaffMember, null=True)
    approved_at = _at(null=True)
    execute_after = _at(null=True)
    failed_because = _text(null=True)

    email_change_mode_known = Check("mode in ('keep', 'reissue')")
    email_change_state_known = Check("state in ('pending', 'confirmed', 'superseded', 'cancelled', 'undone')")
    email_change_approved_whole = Check(
        "(approved_by is null) = (approved_at is null) and (approved_by is null) = (execute_after is null)"
    )
    email_change_by_two = Check("approved_by is null or (is_override and approved_by <> requested_by_id)")
    email_change_override_approved = Check(
        "not is_override or state not in ('confirmed', 'undone') or (approved_by is not null and confirmed_at >= execute_after)"
    )


# audience -------------------------------------------------------------------------------------------------------------


class AudienceContact(Table, tablename="audience_contact"):
    """Our side of one address in the Mailchimp audience; dirty while `dirty_seq` is ahead of `pushed_seq`.

    The database itself keeps that as `is_dirty`, for the index of what is due.
    `pushed_consent` is the consent event last carried out there; at `refresh_at` the pushed points change by time alone.
    """

    id = _id()
    customer = _ref(Customer)
    email = _text()
    email_key = _text(unique=True)
    state = Text(default="live")
    moved_from: ForeignKey[Any] = ForeignKey(
        "self", null=True, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict
    )
    remote_id = _text(null=True)
    remote_status = _text(null=True)
    dirty_seq = BigInt(default=1)
    pushed_seq = BigInt(default=0)
    dirty_at = _at()
    pushed_hash = Bytea(default=None, null=True)
    pushed_consent = UUID(default=None, null=True)
    pushed_at = _at(null=True)
    refresh_at = _at(null=True)
    attempts = _count(0)
    next_try_at = _at()
    lease_until = _at(null=True)
    parked_reason = _text(null=True)
    parked_field = _text(null=True)
    created_at = _at()

    audience_contact_state_listed = Check("state in ('live', 'closing', 'closed', 'erasing', 'forgotten')")


class AudienceState(Table, tablename="audience_state"):
    """The one row that says how the link to Mailchimp is doing."""

    id = SmallInt(primary_key=True, default=1)
    paused_reason = _text(null=True)
    paused_at = _at(null=True)
    retry_at = _at(null=True)
    failures = _count(0)
    fields_checked_at = _at(null=True)

    audience_state_single = Check("id = 1")


# messages -------------------------------------------------------------------------------------------------------------


class Message(Table, tablename="message"):
    """A mail to send, committed with its cause. Links are rebuilt from token ids, so no secret is stored."""

    id = _id()
    customer = _ref(Customer, null=True)
    purpose = _text()
    to_address = _text()
    template = _text()
    parameters = JSONB(default="{}")
    state = Text(default="queued")
    attempts = _count(0)
    last_error = _text(null=True)
    created_at = _at()
    sent_at = _at(null=True)

    message_state_known = Check("state in ('queued', 'sent', 'failed')")


TABLES: tuple[type[Table], ...] = (
    Customer,
    CustomerNameKey,
    ContactPoint,
    Login,
    SignupIntent,
    MemberSession,
    RefreshToken,
    OneTimeToken,
    ThrottleCounter,
    KnownNetwork,
    Store,
    StaffMember,
    StaffSession,
    PosConnection,
    ApiKey,
    AuditEntry,
    IdempotencyKey,
    Programme,
    RuleVersion,
    Membership,
    MembershipPerson,
    Card,
    Order,
    OrderLine,
    Assignment,
    OrderDifference,
    LedgerEntry,
    Lot,
    Allocation,
    Exemption,
    TierChange,
    TierReview,
    PromotionUse,
    BonusGrant,
    BonusReturn,
    ReferralCode,
    Referral,
    Reward,
    RedemptionTerms,
    Voucher,
    Hold,
    PresenceUse,
    SmsCode,
    Refund,
    RefundLine,
    Adjustment,
    ImportBatch,
    BalanceRow,
    ExpiryNotice,
    PosRecord,
    PosLink,
    LinkCheck,
    LinkReview,
    PosTodo,
    PosState,
    PosCycle,
    PosStaged,
    HookEvent,
    ConsentWording,
    ConsentEvent,
    SharingOperation,
    SharingInvitation,
    Merge,
    ClaimBatch,
    ClaimCode,
    PersonalExport,
    PersonalExportPart,
    Erasure,
    Suppression,
    DuplicateProfile,
    DuplicateCandidate,
    DuplicateMark,
    EmailChange,
    AudienceContact,
    AudienceState,
    Message,
)
