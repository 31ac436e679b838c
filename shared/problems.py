"""Problem documents (RFC 9457) and their stable codes: the contract of every refusal."""

from enum import StrEnum

import msgspec


class Code(StrEnum):
    """Stable names of refusals. Programs compare these; people read `title` and `detail`."""

    INVALID_REQUEST = "INVALID_REQUEST"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    NOT_SIGNED_IN = "NOT_SIGNED_IN"
    SIGN_IN_FAILED = "SIGN_IN_FAILED"
    REAUTH_REQUIRED = "REAUTH_REQUIRED"
    NOT_PERMITTED = "NOT_PERMITTED"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    RATE_LIMITED = "RATE_LIMITED"
    BUSY = "BUSY"
    INTERNAL = "INTERNAL"
    IDEMPOTENCY_KEY_MISSING = "IDEMPOTENCY_KEY_MISSING"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    PREVIEW_STALE = "PREVIEW_STALE"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    PASSWORD_WEAK = "PASSWORD_WEAK"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"
    EMAIL_INVALID = "EMAIL_INVALID"
    EMAIL_SAME = "EMAIL_SAME"
    EMAIL_TAKEN = "EMAIL_TAKEN"
    EMAIL_VERIFIED = "EMAIL_VERIFIED"
    EMAIL_CHANGE_PENDING = "EMAIL_CHANGE_PENDING"
    CHANGE_LIMIT = "CHANGE_LIMIT"
    UNDO_EXPIRED = "UNDO_EXPIRED"
    UNDO_NOT_LAST = "UNDO_NOT_LAST"
    DUPLICATE_CONTACT = "DUPLICATE_CONTACT"
    CARD_UNKNOWN = "CARD_UNKNOWN"
    CARD_TAKEN = "CARD_TAKEN"
    CONSENT_NEEDS_EMAIL = "CONSENT_NEEDS_EMAIL"
    CONSENT_NEEDS_PHONE = "CONSENT_NEEDS_PHONE"
    CUSTOMER_BLOCKED = "CUSTOMER_BLOCKED"
    CUSTOMER_MERGED = "CUSTOMER_MERGED"
    CUSTOMER_ERASED = "CUSTOMER_ERASED"
    SELF_DEALING = "SELF_DEALING"
    MEMBERSHIP_CLOSED = "MEMBERSHIP_CLOSED"
    SELF_REFERRAL = "SELF_REFERRAL"
    REFERRAL_CLOSED = "REFERRAL_CLOSED"
    ALREADY_MEMBER = "ALREADY_MEMBER"
    INSUFFICIENT_POINTS = "INSUFFICIENT_POINTS"
    ADJUST_ABSOLUTE_REFUSED = "ADJUST_ABSOLUTE_REFUSED"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    REQUEST_CLOSED = "REQUEST_CLOSED"
    OPEN_HOLD = "OPEN_HOLD"
    HOLD_OVER = "HOLD_OVER"
    REDEMPTION_HELD = "REDEMPTION_HELD"
    REDEMPTION_CAP = "REDEMPTION_CAP"
    REDEMPTION_LIMIT = "REDEMPTION_LIMIT"
    PRESENCE_NEEDED = "PRESENCE_NEEDED"
    PRESENCE_WRONG = "PRESENCE_WRONG"
    REWARD_UNAVAILABLE = "REWARD_UNAVAILABLE"
    REWARD_CODE_TAKEN = "REWARD_CODE_TAKEN"
    VOUCHER_UNKNOWN = "VOUCHER_UNKNOWN"
    VOUCHER_USED = "VOUCHER_USED"
    ORDER_CONFLICT = "ORDER_CONFLICT"
    POINTS_SPENT = "POINTS_SPENT"
    OVER_REFUND = "OVER_REFUND"
    REFUND_CONFLICT = "REFUND_CONFLICT"
    ASSIGNMENT_WINDOW = "ASSIGNMENT_WINDOW"
    ASSIGNMENT_SAME = "ASSIGNMENT_SAME"
    STORE_UNKNOWN = "STORE_UNKNOWN"
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH"
    TIME_OUT_OF_RANGE = "TIME_OUT_OF_RANGE"


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One wrong field: `field` is its dotted path in the request (`lines[0].net_minor`), `detail` one sentence."""

    field: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every answer with a status of 400 or more, sent as application/problem+json.

    `type` is a stable URN of the code, `instance` the request's id as found in the logs; `data` holds what helps to go
    on (a fresh balance, the seconds to wait).
    """

    type: str
    title: str
    status: int
    code: Code
    detail: str = ""
    instance: str = ""
    errors: tuple[FieldProblem, ...] = ()
    data: dict[str, object] = {}
