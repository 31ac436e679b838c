"""Closed lists of words that both sides use."""

from enum import StrEnum


class Role(StrEnum):
    """What a staff member may do; `shared.permissions` says what each holds."""

    CASHIER = "cashier"
    MANAGER = "manager"
    MARKETING = "marketing"
    ADMIN = "admin"
    AUDITOR = "auditor"


class Permission(StrEnum):
    """One act that staff may be allowed; every staff endpoint names exactly one."""

    OWN_SESSION = "own_session"
    CUSTOMER_SEARCH = "customer.search"
    CUSTOMER_READ = "customer.read"
    CUSTOMER_REGISTER = "customer.register"
    CUSTOMER_EDIT = "customer.edit"
    CUSTOMER_INVITE = "customer.invite"
    EMAIL_CHANGE = "email.change"
    EMAIL_CORRECT = "email.correct"
    HOLD_LIFT = "hold.lift"
    AUDIENCE_READ = "audience.read"
    AUDIENCE_REPAIR = "audience.repair"
    AUDIT_READ = "audit.read"
    PROGRAMME_READ = "programme.read"
    PROGRAMME_EDIT = "programme.edit"
    POINTS_ADJUST = "points.adjust"
    POINTS_APPROVE = "points.approve"
    ADJUSTMENT_READ = "adjustment.read"
    REPORT_READ = "report.read"
    REWARD_MANAGE = "reward.manage"
    POINTS_REDEEM = "points.redeem"
    REFUND_READ = "refund.read"
    REFUND_RESOLVE = "refund.resolve"
    LINK_MAKE = "link.make"
    LINK_ATTEST = "link.attest"
    LINK_REVIEW = "link.review"
    CYCLE_READ = "cycle.read"
    CYCLE_RUN = "cycle.run"
    MEMBERSHIP_SHARE = "membership.share"
    CUSTOMER_MERGE = "customer.merge"
    MERGE_READ = "merge.read"
    MERGE_APPROVE = "merge.approve"
    CUSTOMER_EXPORT = "customer.export"
    CUSTOMER_ERASE = "customer.erase"
    ERASURE_READ = "erasure.read"
    ERASURE_APPROVE = "erasure.approve"
    RETENTION_RUN = "retention.run"
    CLAIM_ISSUE = "claim.issue"
    CLAIM_BATCH = "claim.batch"
    ORDER_ASSIGN = "order.assign"
    ORDER_ASSIGN_LATE = "order.assign_late"
    ORDER_RECORD = "order.record"


class Scope(StrEnum):
    """What an API key may do."""

    ORDERS = "orders"
    LOOKUP = "lookup"
    CUSTOMERS = "customers"
    REFUNDS = "refunds"
    HOLDS = "holds"


class EntryKind(StrEnum):
    """Kinds of ledger entries. The sign is fixed by the kind except for CORRECTION and ADJUST."""

    OPENING = "OPENING"
    EARN = "EARN"
    BONUS = "BONUS"
    CORRECTION = "CORRECTION"
    CLAWBACK = "CLAWBACK"
    REDEEM = "REDEEM"
    RESTORE = "RESTORE"
    EXPIRE = "EXPIRE"
    FORFEIT = "FORFEIT"
    TRANSFER_OUT = "TRANSFER_OUT"
    TRANSFER_IN = "TRANSFER_IN"
    ADJUST = "ADJUST"


class SkippedReason(StrEnum):
    """Why an order earned nothing."""

    NO_CUSTOMER = "no_customer"
    CUSTOMER_UNKNOWN = "customer_unknown"
    NOT_MEMBER = "not_member"
    BEFORE_START = "before_start"
    PROGRAMME_INACTIVE = "programme_inactive"
    EXCLUDED_ITEMS = "excluded_items"
    BELOW_MINIMUM = "below_minimum"
    STORED_VALUE = "stored_value"
    PAID_WITH_POINTS = "paid_with_points"
    CAP_REACHED = "cap_reached"
    OPEN = "open"
    VOIDED = "voided"


class OrderState(StrEnum):
    """How far a sale has come; it never goes back."""

    OPEN = "open"
    COMPLETED = "completed"
    VOIDED = "voided"


class EmailChangeMode(StrEnum):
    """What becomes of the rewards account when an email address changes."""

    KEEP = "keep"
    REISSUE = "reissue"


class ConsentChannel(StrEnum):
    """Ways in which marketing reaches a person."""

    EMAIL = "email"
    SMS = "sms"


class ConsentAnswer(StrEnum):
    """Where a person stands on one channel."""

    NOT_ASKED = "not_asked"
    OPTED_IN = "opted_in"
    PENDING = "pending"
    OPTED_OUT = "opted_out"
