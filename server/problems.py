"""Refusals in words: the status and title of every code, and the problem document (RFC 9457) of an error."""

from math import ceil

import msgspec
from litestar import Response

from server.errors import Busy, Invalid, Refused, Throttled
from shared.problems import Code, FieldProblem, Problem

# Each code's HTTP status and its title, one sentence to the person who reads it.
_WORDS: dict[Code, tuple[int, str]] = {
    Code.INVALID_REQUEST: (400, "The request is not as described."),
    Code.NOT_FOUND: (404, "There is nothing here."),
    Code.METHOD_NOT_ALLOWED: (405, "This address does not take that method."),
    Code.NOT_SIGNED_IN: (401, "Sign in first."),
    Code.SIGN_IN_FAILED: (401, "The name or the password is wrong."),
    Code.REAUTH_REQUIRED: (403, "Enter your password again for this."),
    Code.NOT_PERMITTED: (403, "You may not do this."),
    Code.BODY_TOO_LARGE: (413, "The request is too large."),
    Code.UNSUPPORTED_MEDIA_TYPE: (415, "Send the body as application/json."),
    Code.RATE_LIMITED: (429, "Too many tries. Wait a little and try again."),
    Code.VIEWS_LIMIT: (429, "You have opened very many customers within an hour. A manager can open this one."),
    Code.BUSY: (503, "The service is busy. Try again in a moment."),
    Code.INTERNAL: (500, "Something went wrong on our side. Nothing was changed."),
    Code.IDEMPOTENCY_KEY_MISSING: (400, "Send an Idempotency-Key of 16 to 64 letters, digits, - or _."),
    Code.IDEMPOTENCY_CONFLICT: (422, "This Idempotency-Key was used for another request."),
    Code.PREVIEW_STALE: (409, "Something changed since the preview. Look at it again."),
    Code.VERSION_CONFLICT: (409, "Somebody changed this in the meantime."),
    Code.PASSWORD_WEAK: (400, "Choose a password that is harder to guess."),
    Code.TOKEN_EXPIRED: (410, "This link has been used or is no longer valid."),
    Code.EMAIL_INVALID: (400, "This is not an email address we can write to."),
    Code.EMAIL_SAME: (400, "This is the address already in use."),
    Code.EMAIL_TAKEN: (409, "Another customer has proven this address."),
    Code.EMAIL_VERIFIED: (409, "The customer has proven this address; use an email change."),
    Code.EMAIL_CHANGE_PENDING: (409, "An email change is under way for this customer."),
    Code.CHANGE_LIMIT: (429, "The address was changed too often lately."),
    Code.UNDO_EXPIRED: (409, "The time to take this back is over."),
    Code.UNDO_NOT_LAST: (409, "Something later builds on this; take that back first."),
    Code.DUPLICATE_CONTACT: (409, "A customer with this email, phone or card exists."),
    Code.CARD_UNKNOWN: (400, "We do not know this card."),
    Code.CARD_TAKEN: (409, "This card belongs to another customer."),
    Code.CONSENT_NEEDS_EMAIL: (400, "Email marketing needs an email address."),
    Code.CONSENT_NEEDS_PHONE: (400, "Text messages need a phone number."),
    Code.CUSTOMER_BLOCKED: (409, "This customer is blocked."),
    Code.CUSTOMER_MERGED: (409, "This customer was merged into another."),
    Code.CUSTOMER_ERASED: (410, "This customer's data was erased."),
    Code.SELF_DEALING: (403, "You may not do this for yourself."),
    Code.MEMBERSHIP_CLOSED: (409, "This membership is closed."),
    Code.MEMBERSHIP_EXISTS: (409, "The customer has a membership of this programme; the two can be combined."),
    Code.MEMBERSHIP_SAME: (409, "Choose two memberships of one programme."),
    Code.PRIVACY_REQUEST_OPEN: (409, "A request about personal data is open; finish it first."),
    Code.MERGE_SAME: (409, "These are one customer already."),
    Code.MERGE_STAFF_LINKED: (409, "One of the two belongs to a staff member; an administrator has to approve this."),
    Code.MERGE_KIND_MISMATCH: (409, "A person and a business cannot be one customer."),
    Code.MERGE_SHARED: (409, "One of the two shares a membership with others."),
    Code.MERGE_PENDING: (409, "A merge of this customer waits for a second person."),
    Code.ERASURE_RUNNING: (409, "This customer is about to be forgotten already."),
    Code.SHARER_LIMIT: (409, "No more people can share this membership."),
    Code.CONSENT_MISSING: (409, "Somebody has not agreed to this."),
    Code.SELF_REFERRAL: (409, "Nobody brings themselves."),
    Code.REFERRAL_CLOSED: (
        409,
        "Who brought this member is settled: it was named before, or the first purchase is made.",
    ),
    Code.ALREADY_MEMBER: (409, "The customer is a member of this programme."),
    Code.INSUFFICIENT_POINTS: (409, "There are not enough points."),
    Code.ADJUST_ABSOLUTE_REFUSED: (400, "Send how many points to give or take, not the new balance."),
    Code.APPROVAL_REQUIRED: (403, "Somebody else must decide on this."),
    Code.REQUEST_CLOSED: (409, "This request was decided on, or has lapsed."),
    Code.OPEN_HOLD: (409, "A sale is being paid with these points just now."),
    Code.HOLD_OVER: (409, "This hold is over."),
    Code.REDEMPTION_HELD: (409, "Points cannot be spent for a while after a change to the account."),
    Code.REDEMPTION_CAP: (409, "That is more than points may pay of this sale."),
    Code.REDEMPTION_LIMIT: (409, "That is more than the member wants to be spent in a day."),
    Code.PRESENCE_NEEDED: (
        409,
        "The card alone is not enough for this: ask for the code in the customer's app, or text one.",
    ),
    Code.PRESENCE_WRONG: (403, "These digits are wrong, too old or used. Ask for the ones shown now."),
    Code.PHONE_PROVEN: (409, "This phone number is proven already."),
    Code.PHONE_TAKEN: (409, "Another account has proven this number. Ask at the till, where both can become one."),
    Code.PHONE_NOT_PROVEN: (409, "This customer has no proven phone number. Ask for the code in the app."),
    Code.REWARD_UNAVAILABLE: (409, "This reward cannot be had just now."),
    Code.REWARD_CODE_TAKEN: (409, "Another reward has this code."),
    Code.PROGRAMME_CODE_TAKEN: (409, "Another programme has this code."),
    Code.PROGRAMME_DEFAULT: (409, "Members join this programme when they sign up, so it stays open."),
    Code.VOUCHER_UNKNOWN: (400, "We do not know this voucher. Check the code."),
    Code.VOUCHER_USED: (409, "This voucher cannot be used."),
    Code.CLAIM_INVALID: (
        409,
        "This code does not work. If it came in a letter, enter your family name, post code or the last four digits of "
        "your phone number with it.",
    ),
    Code.CLAIM_SELF: (409, "What this code stands for is yours already."),
    Code.CLAIM_SUBJECT_HAS_LOGIN: (409, "This customer signs in with a password, or has proven an address."),
    Code.CLAIM_NEEDS_STAFF: (
        409,
        "The code is right, but somebody in the shop has to bring the two accounts together.",
    ),
    Code.CLAIM_CLOSED: (409, "This cannot be done with the code any more."),
    Code.LINK_TAKEN: (409, "This POS record is another customer's."),
    Code.LINK_SELF: (403, "Nobody links a POS record to themselves; ask a colleague."),
    Code.LINK_NEEDS_PROOF: (409, "The addresses differ: say how you know that the record is this customer's."),
    Code.LINK_OVER: (409, "This link is over."),
    Code.HOOK_REFUSED: (403, "The signature of this message is wrong."),
    Code.ORDER_CONFLICT: (409, "This order was sent before with other content."),
    Code.POINTS_SPENT: (409, "The points of this order have been spent."),
    Code.REWARD_USED: (409, "Somebody else's points or voucher paid for this order."),
    Code.OVER_REFUND: (409, "More would have come back than was sold."),
    Code.REFUND_CONFLICT: (409, "This refund was sent before with other content."),
    Code.ASSIGNMENT_WINDOW: (409, "This order is too old to be moved."),
    Code.ASSIGNMENT_SAME: (409, "The order is assigned that way already."),
    Code.STORE_UNKNOWN: (400, "We do not know this store, or this key is not for it."),
    Code.CURRENCY_MISMATCH: (400, "The programme counts another currency."),
    Code.TIME_OUT_OF_RANGE: (400, "This time cannot be right."),
}
assert set(_WORDS) == set(Code), "every code needs a status and a title"

PROBLEM_MEDIA_TYPE = "application/problem+json"
_BEARER = {"WWW-Authenticate": 'Bearer realm="regulars"'}


def status_of(code: Code) -> int:
    """Return the HTTP status of a code."""
    return _WORDS[code][0]


def problem_of(
    code: Code,
    *,
    detail: str = "",
    instance: str = "",
    errors: tuple[FieldProblem, ...] = (),
    data: dict[str, object] | None = None,
) -> Problem:
    """Return the problem document of a code."""
    status, title = _WORDS[code]
    return Problem(
        type=f"urn:regulars:problem:{code.value.lower().replace('_', '-')}",
        title=title,
        status=status,
        code=code,
        detail=detail,
        instance=instance,
        errors=errors,
        data=data or {},
    )


def problem_in_batch(refusal: Refused, index: int) -> Problem:
    """Return the problem document of one thing of several that were sent together, and at which place it was."""
    fields = refusal.fields if isinstance(refusal, Invalid) else ()
    return problem_of(refusal.code, detail=refusal.detail or "", errors=fields, data={"index": index, **refusal.data})


def say_refusal(refusal: Refused) -> str:
    """Return a refusal in one line for people, as in the report on a file."""
    if isinstance(refusal, Invalid) and refusal.fields:
        return " ".join(f"{field.field}: {field.detail}" for field in refusal.fields)
    return refusal.detail or problem_of(refusal.code).title


def problem_response(error: Exception, request_id: str) -> Response[bytes]:
    """Return the answer for an error of ours; anything that is not ours is an internal error and says nothing."""
    match error:
        case Invalid():
            return _response(error.code, request_id, detail=error.detail, errors=error.fields, data=error.data)
        case Throttled():
            return _response(error.code, request_id, retry_after_seconds=ceil(error.retry_after.total_seconds()))
        case Refused():
            return _response(error.code, request_id, detail=error.detail, data=error.data)
        case Busy():
            return _response(Code.BUSY, request_id, retry_after_seconds=ceil(error.retry_after.total_seconds()))
        case _:
            return _response(Code.INTERNAL, request_id)


def _response(
    code: Code,
    request_id: str,
    *,
    detail: str | None = None,
    errors: tuple[FieldProblem, ...] = (),
    data: dict[str, object] | None = None,
    retry_after_seconds: int | None = None,
) -> Response[bytes]:
    instance = f"urn:regulars:request:{request_id}"
    problem = problem_of(code, detail=detail or "", instance=instance, errors=errors, data=data)
    status = problem.status
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers |= _BEARER
    if retry_after_seconds is not None:
        headers["Retry-After"] = str(max(1, retry_after_seconds))
    return Response(msgspec.json.encode(problem), status_code=status, media_type=PROBLEM_MEDIA_TYPE, headers=headers)
