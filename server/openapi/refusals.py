"""Which refusals an operation can give besides those that follow from its row of the route table."""

from shared.endpoints import Caller, Endpoint
from shared.problems import Code

_CLOSED = (Code.CUSTOMER_BLOCKED, Code.CUSTOMER_MERGED, Code.CUSTOMER_ERASED)
_STAFF_CHANGE = (Code.EMAIL_INVALID, Code.EMAIL_SAME, Code.SELF_DEALING)
_EXECUTION = (*_STAFF_CHANGE, *_CLOSED, Code.EMAIL_TAKEN, Code.PREVIEW_STALE, Code.OPEN_HOLD)
_SPENDING = (Code.INSUFFICIENT_POINTS, Code.REDEMPTION_HELD, Code.REDEMPTION_LIMIT, Code.MEMBERSHIP_CLOSED)
_TILL = (Code.STORE_UNKNOWN, Code.CURRENCY_MISMATCH)
_PRESENCE = (Code.PRESENCE_NEEDED, Code.PRESENCE_WRONG, Code.RATE_LIMITED)
_RECORDING = (Code.NOT_FOUND, Code.STORE_UNKNOWN, Code.TIME_OUT_OF_RANGE)
_ADJUSTMENT = (Code.ADJUST_ABSOLUTE_REFUSED, Code.SELF_DEALING, Code.MEMBERSHIP_CLOSED, *_CLOSED)
_DECISION = (Code.APPROVAL_REQUIRED, Code.REQUEST_CLOSED)
_SHARING = (
    Code.SELF_DEALING,
    Code.MEMBERSHIP_CLOSED,
    Code.CONSENT_MISSING,
    Code.OPEN_HOLD,
    Code.REDEMPTION_HELD,
    Code.PREVIEW_STALE,
)
_SHARING_UNDO = (Code.SELF_DEALING, Code.UNDO_EXPIRED, Code.UNDO_NOT_LAST, Code.OPEN_HOLD, Code.REDEMPTION_HELD)
_MERGE_DEAD = (Code.MERGE_SAME, Code.CUSTOMER_MERGED, Code.CUSTOMER_ERASED, Code.NOT_FOUND)
_MERGE = (
    *_MERGE_DEAD,
    Code.SELF_DEALING,
    Code.OPEN_HOLD,
    Code.EMAIL_CHANGE_PENDING,
    Code.MERGE_KIND_MISMATCH,
    Code.MERGE_SHARED,
    Code.PRIVACY_REQUEST_OPEN,
    Code.REDEMPTION_HELD,
    Code.PREVIEW_STALE,
)
_ERASURE = (
    Code.PREVIEW_STALE,
    Code.ERASURE_RUNNING,
    Code.OPEN_HOLD,
    Code.EMAIL_CHANGE_PENDING,
    Code.MERGE_PENDING,
    Code.REDEMPTION_HELD,
)
_PASSWORD_AGAIN = (Code.REAUTH_REQUIRED, Code.RATE_LIMITED)

# By operation; a test fails on an answer that the document does not tell of.
_SPECIFIC: dict[str, tuple[Code, ...]] = {
    "sign_up": (Code.EMAIL_INVALID, Code.PASSWORD_WEAK, Code.CONSENT_NEEDS_PHONE, Code.RATE_LIMITED),
    "confirm_sign_up": (Code.TOKEN_EXPIRED,),
    "sign_in": (Code.EMAIL_INVALID, Code.SIGN_IN_FAILED, Code.RATE_LIMITED),
    "refresh_session": (Code.NOT_SIGNED_IN,),
    "request_password_reset": (Code.EMAIL_INVALID, Code.RATE_LIMITED),
    "confirm_password_reset": (Code.PASSWORD_WEAK, Code.TOKEN_EXPIRED),
    "confirm_email_change": (Code.TOKEN_EXPIRED, Code.EMAIL_TAKEN, Code.OPEN_HOLD),
    "cancel_email_change": (Code.TOKEN_EXPIRED, Code.UNDO_EXPIRED, Code.UNDO_NOT_LAST, Code.EMAIL_TAKEN),
    "staff_sign_in": (Code.SIGN_IN_FAILED, Code.RATE_LIMITED),
    "accept_staff_invitation": (Code.PASSWORD_WEAK, Code.TOKEN_EXPIRED),
    "change_me": _PASSWORD_AGAIN,
    "text_my_phone": (Code.PHONE_PROVEN, Code.RATE_LIMITED),
    "prove_my_phone": (Code.PHONE_PROVEN, Code.PHONE_TAKEN, Code.PRESENCE_WRONG, Code.RATE_LIMITED),
    "get_my_card_svg": (Code.NOT_FOUND,),
    "get_my_card_png": (Code.NOT_FOUND,),
    "request_email_change": (Code.EMAIL_INVALID, Code.EMAIL_SAME, Code.CHANGE_LIMIT, *_PASSWORD_AGAIN),
    "put_my_consents": (Code.CONSENT_NEEDS_EMAIL, Code.CONSENT_NEEDS_PHONE),
    "change_my_password": (Code.PASSWORD_WEAK, *_PASSWORD_AGAIN),
    "push_order": (
        Code.STORE_UNKNOWN,
        Code.CURRENCY_MISMATCH,
        Code.TIME_OUT_OF_RANGE,
        Code.EMAIL_INVALID,
        Code.ORDER_CONFLICT,
    ),
    "push_refund": (*_TILL, Code.TIME_OUT_OF_RANGE, Code.OVER_REFUND, Code.REFUND_CONFLICT),
    "square_hook": (Code.HOOK_REFUSED, Code.NOT_FOUND),
    "take_pos_record": (Code.LINK_TAKEN, Code.DUPLICATE_CONTACT),
    "preview_link": (Code.LINK_SELF,),
    "make_link": (
        *_CLOSED,
        Code.LINK_SELF,
        Code.LINK_TAKEN,
        Code.LINK_OVER,
        Code.LINK_NEEDS_PROOF,
        Code.CARD_UNKNOWN,
        Code.PREVIEW_STALE,
    ),
    "approve_link": (*_CLOSED, Code.LINK_SELF, Code.LINK_TAKEN, Code.LINK_OVER, Code.APPROVAL_REQUIRED),
    "preview_link_end": (Code.LINK_SELF, Code.LINK_OVER, Code.POINTS_SPENT),
    "end_link": (Code.LINK_SELF, Code.LINK_OVER, Code.PREVIEW_STALE, Code.POINTS_SPENT),
    "name_my_referrer": (Code.SELF_REFERRAL, Code.REFERRAL_CLOSED),
    "join_programme": (*_CLOSED, Code.SELF_DEALING, Code.ALREADY_MEMBER, Code.CARD_UNKNOWN, Code.CARD_TAKEN),
    "publish_rules": (Code.PREVIEW_STALE,),
    "create_programme": (Code.PROGRAMME_CODE_TAKEN,),
    "change_programme": (Code.VERSION_CONFLICT,),
    "close_programme": (Code.PROGRAMME_DEFAULT, Code.PREVIEW_STALE),
    "open_programme": (Code.VERSION_CONFLICT,),
    "find_orders": (Code.STORE_UNKNOWN,),
    "preview_recording": (Code.SELF_DEALING, *_RECORDING),
    "record_order": (
        *_CLOSED,
        *_RECORDING,
        Code.SELF_DEALING,
        Code.PREVIEW_STALE,
        Code.ASSIGNMENT_WINDOW,
        Code.ORDER_CONFLICT,
    ),
    "preview_assignment": (Code.SELF_DEALING,),
    "preview_refund_attachment": (Code.SELF_DEALING,),
    "attach_refund": (
        Code.SELF_DEALING,
        Code.PREVIEW_STALE,
        Code.REQUEST_CLOSED,
        Code.OVER_REFUND,
        Code.CURRENCY_MISMATCH,
    ),
    "dismiss_refund": (Code.REQUEST_CLOSED,),
    "reopen_refund": (Code.REQUEST_CLOSED,),
    "assign_order": (
        *_CLOSED,
        Code.SELF_DEALING,
        Code.PREVIEW_STALE,
        Code.ASSIGNMENT_SAME,
        Code.REWARD_USED,
        Code.ASSIGNMENT_WINDOW,
        Code.POINTS_SPENT,
    ),
    "pos_lookup": (Code.EMAIL_INVALID, Code.NOT_FOUND),
    "issue_my_voucher": (Code.REWARD_UNAVAILABLE, *_SPENDING, *_PASSWORD_AGAIN),
    "get_my_presence_code": (Code.NOT_FOUND,),
    "get_my_presence_svg": (Code.NOT_FOUND,),
    "put_my_redemption_limit": (Code.NOT_FOUND, *_PASSWORD_AGAIN),
    "text_presence_code": (Code.CARD_UNKNOWN, Code.PHONE_NOT_PROVEN, Code.RATE_LIMITED, *_TILL),
    "text_customer_code": (Code.SELF_DEALING, Code.PHONE_NOT_PROVEN, Code.RATE_LIMITED),
    "quote_redemption": (Code.CARD_UNKNOWN, Code.MEMBERSHIP_CLOSED, *_TILL),
    "open_hold": (
        Code.CARD_UNKNOWN,
        Code.REDEMPTION_CAP,
        Code.VOUCHER_UNKNOWN,
        Code.VOUCHER_USED,
        *_SPENDING,
        *_PRESENCE,
        *_TILL,
    ),
    "capture_hold": (Code.HOLD_OVER, Code.VOUCHER_USED, *_SPENDING),
    "list_customer_rewards": (Code.MEMBERSHIP_CLOSED,),
    "release_hold": (Code.HOLD_OVER,),
    "create_reward": (Code.REWARD_CODE_TAKEN,),
    "change_reward": (Code.VERSION_CONFLICT,),
    "put_redemption_terms": (Code.VERSION_CONFLICT,),
    "issue_customer_voucher": (Code.SELF_DEALING, Code.REWARD_UNAVAILABLE, *_SPENDING, *_PRESENCE),
    "cancel_voucher": (Code.SELF_DEALING, Code.VOUCHER_USED, Code.MEMBERSHIP_CLOSED),
    "register_customer": (
        Code.EMAIL_INVALID,
        Code.CONSENT_NEEDS_EMAIL,
        Code.CONSENT_NEEDS_PHONE,
        Code.CARD_UNKNOWN,
        Code.CARD_TAKEN,
        Code.DUPLICATE_CONTACT,
        Code.TIME_OUT_OF_RANGE,
        Code.NOT_FOUND,
        Code.ASSIGNMENT_SAME,
        Code.ASSIGNMENT_WINDOW,
        Code.SELF_DEALING,
    ),
    "get_customer": (Code.VIEWS_LIMIT,),
    "change_customer": (Code.SELF_DEALING, Code.VERSION_CONFLICT, Code.CUSTOMER_MERGED, Code.CUSTOMER_ERASED),
    "invite_customer": (*_CLOSED, Code.EMAIL_TAKEN, Code.RATE_LIMITED),
    "preview_email_change": _STAFF_CHANGE,
    "change_email": _EXECUTION,
    "undo_email_change": (Code.SELF_DEALING, Code.UNDO_EXPIRED, Code.UNDO_NOT_LAST, Code.EMAIL_TAKEN),
    "preview_email_override": _STAFF_CHANGE,
    "request_email_override": _EXECUTION,
    "get_email_override": _STAFF_CHANGE,
    "approve_email_override": (*_PASSWORD_AGAIN, *_DECISION, *_EXECUTION),
    "preview_correction": _STAFF_CHANGE,
    "correct_email": (*_EXECUTION, Code.EMAIL_VERIFIED),
    "preview_adjustment": _ADJUSTMENT,
    "adjust_points": (*_ADJUSTMENT, Code.PREVIEW_STALE),
    "approve_adjustment": (
        *_PASSWORD_AGAIN,
        *_DECISION,
        Code.PREVIEW_STALE,
        Code.SELF_DEALING,
        Code.MEMBERSHIP_CLOSED,
        *_CLOSED,
    ),
    "refuse_adjustment": _DECISION,
    "preview_merge": (*_MERGE_DEAD, Code.SELF_DEALING),
    "merge_customers": _MERGE,
    "claim": (
        Code.CLAIM_INVALID,
        Code.CLAIM_SELF,
        Code.CLAIM_NEEDS_STAFF,
        Code.OPEN_HOLD,
        Code.EMAIL_CHANGE_PENDING,
        Code.REDEMPTION_HELD,
        Code.RATE_LIMITED,
    ),
    "issue_claim_code": (*_CLOSED, Code.SELF_DEALING, Code.CLAIM_SUBJECT_HAS_LOGIN),
    "issue_receipt_code": (Code.ASSIGNMENT_SAME, Code.CLAIM_CLOSED),
    "revoke_claim_code": (Code.CLAIM_CLOSED,),
    "create_claim_batch": (Code.CLAIM_CLOSED, Code.NOT_FOUND),
    "revoke_claim_batch": (Code.CLAIM_CLOSED,),
    "write_claim_csv": (Code.CLAIM_CLOSED,),
    "write_claim_letters": (Code.CLAIM_CLOSED,),
    "approve_merge": (*_MERGE, *_DECISION, Code.MERGE_STAFF_LINKED),
    "refuse_merge": _DECISION,
    "dismiss_duplicate": (Code.REQUEST_CLOSED,),
    "reopen_duplicate": (Code.REQUEST_CLOSED,),
    "preview_undo_merge": (Code.SELF_DEALING,),
    "undo_merge": (*_SHARING_UNDO, Code.PREVIEW_STALE, Code.CUSTOMER_ERASED),
    "dispute_merge": (Code.TOKEN_EXPIRED,),
    "request_my_export": _PASSWORD_AGAIN,
    "get_my_export_file": (Code.REAUTH_REQUIRED,),
    "download_export": (Code.TOKEN_EXPIRED,),
    "request_customer_export": (Code.SELF_DEALING, Code.RATE_LIMITED),
    "get_customer_export_file": (Code.SELF_DEALING,),
    "request_my_erasure": (*_ERASURE, *_PASSWORD_AGAIN),
    "cancel_my_erasure": (Code.NOT_FOUND, Code.REQUEST_CLOSED),
    "cancel_erasure_by_link": (Code.TOKEN_EXPIRED, Code.REQUEST_CLOSED),
    "preview_customer_erasure": (Code.SELF_DEALING, Code.CUSTOMER_MERGED, Code.CUSTOMER_ERASED),
    "request_customer_erasure": (*_ERASURE, Code.SELF_DEALING, Code.CUSTOMER_MERGED, Code.CUSTOMER_ERASED),
    "approve_erasure": (*_ERASURE, *_DECISION, Code.SELF_DEALING),
    "cancel_erasure": (Code.REQUEST_CLOSED,),
    "settle_erasure": (Code.REQUEST_CLOSED,),
    "preview_join": (Code.SELF_DEALING,),
    "join_membership": (
        *_SHARING,
        *_CLOSED,
        Code.MEMBERSHIP_EXISTS,
        Code.SHARER_LIMIT,
        Code.CARD_UNKNOWN,
        Code.CARD_TAKEN,
    ),
    "undo_join": _SHARING_UNDO,
    "preview_combine": (Code.SELF_DEALING,),
    "combine_memberships": (*_SHARING, *_CLOSED, Code.MEMBERSHIP_SAME, Code.SHARER_LIMIT),
    "preview_undo_combine": (Code.SELF_DEALING,),
    "undo_combine": (*_SHARING_UNDO, Code.PREVIEW_STALE),
    "preview_leave": (Code.SELF_DEALING, Code.MEMBERSHIP_CLOSED),
    "leave_membership": (*_SHARING, Code.INSUFFICIENT_POINTS),
    "undo_leave": _SHARING_UNDO,
    "put_redeem_policy": (Code.SELF_DEALING, Code.MEMBERSHIP_CLOSED),
    "put_my_redeem_policy": (Code.MEMBERSHIP_CLOSED, Code.NOT_PERMITTED, *_PASSWORD_AGAIN),
    "invite_to_share": (
        Code.EMAIL_INVALID,
        Code.EMAIL_SAME,
        Code.NOT_PERMITTED,
        Code.SHARER_LIMIT,
        Code.MEMBERSHIP_CLOSED,
        *_PASSWORD_AGAIN,
    ),
    "accept_sharing_invitation": (
        Code.MEMBERSHIP_EXISTS,
        Code.MEMBERSHIP_CLOSED,
        Code.CONSENT_MISSING,
        Code.SHARER_LIMIT,
        Code.OPEN_HOLD,
        Code.REDEMPTION_HELD,
        *_CLOSED,
        *_PASSWORD_AGAIN,
    ),
    "preview_my_leave": (Code.CONSENT_MISSING, Code.MEMBERSHIP_CLOSED),
    "leave_my_membership": (
        Code.CONSENT_MISSING,
        Code.MEMBERSHIP_CLOSED,
        Code.OPEN_HOLD,
        Code.REDEMPTION_HELD,
        Code.PREVIEW_STALE,
        *_PASSWORD_AGAIN,
    ),
    "undo_adjustment": (
        Code.UNDO_EXPIRED,
        Code.SELF_DEALING,
        Code.INSUFFICIENT_POINTS,
        Code.MEMBERSHIP_CLOSED,
        *_CLOSED,
    ),
}


def refusals_of(endpoint: Endpoint) -> tuple[Code, ...]:
    """Return the codes an operation can refuse with, BUSY and INTERNAL included."""
    codes: list[Code] = []
    if endpoint.caller is not Caller.ANYONE:
        codes.append(Code.NOT_SIGNED_IN)
    if endpoint.caller in (Caller.STAFF, Caller.KEY):
        codes.append(Code.NOT_PERMITTED)
    if endpoint.request is not None:
        codes += [Code.INVALID_REQUEST, Code.UNSUPPORTED_MEDIA_TYPE, Code.BODY_TOO_LARGE]
    elif endpoint.query:
        codes.append(Code.INVALID_REQUEST)
    if "{" in endpoint.path:
        codes.append(Code.NOT_FOUND)
    if endpoint.idempotent:
        codes += [Code.IDEMPOTENCY_KEY_MISSING, Code.IDEMPOTENCY_CONFLICT]
    return tuple(dict.fromkeys((*codes, *_SPECIFIC.get(endpoint.operation, ()), Code.BUSY, Code.INTERNAL)))
