"""Sentences for staff: what was refused, why, and what to do next. All text of that kind is here."""

from shared.enums import Permission, Role
from shared.permissions import may
from shared.problems import Code, Problem
from tui.errors import AnswerNotUnderstood, ConsoleError, NoAnswer, Refused, SignedOut, Unreachable

CARD_FOR_RECEIPT = "This is a card, not a receipt: the scan was not used."
NOT_CONNECTED = "Not connected. Looking up and saving do not work."
MAYBE_SAVED = "We do not know if this was saved. Ctrl+S asks again; it cannot be saved twice."

SENTENCES: dict[Code, str] = {
    Code.SIGN_IN_FAILED: "The name or the password is wrong.",
    Code.NOT_SIGNED_IN: "Your session is over. Sign in again; what you typed is kept.",
    Code.NOT_PERMITTED: "Your role may not do this.",
    Code.RATE_LIMITED: "Too many tries.",
    Code.BUSY: "The service is busy. Nothing was saved; try again in a moment.",
    Code.INTERNAL: "Something went wrong at the service. Nothing was saved.",
    Code.INVALID_REQUEST: "The service did not take what was typed. Read the form once more.",
    Code.UNSUPPORTED_MEDIA_TYPE: "This console and the service are of different versions. Have the console updated.",
    Code.BODY_TOO_LARGE: "That is more text than the service takes. Shorten it.",
    Code.IDEMPOTENCY_KEY_MISSING: "This console and the service are of different versions. Have the console updated.",
    Code.NOT_FOUND: "This is no longer there.",
    Code.VIEWS_LIMIT: "You have opened very many customers within an hour. A manager can open this one.",
    Code.REAUTH_REQUIRED: "Type your own password once more for this.",
    Code.IDEMPOTENCY_CONFLICT: (
        "An earlier try of this form may have been saved with other details. Look the customer up before trying again."
    ),
    Code.PREVIEW_STALE: "Something changed since you looked. It is asked for again: read it, then decide again.",
    Code.VERSION_CONFLICT: "Somebody else changed this in the meantime.",
    Code.EMAIL_INVALID: "This is not an email address we can write to.",
    Code.EMAIL_SAME: "This is the address the customer already has.",
    Code.EMAIL_TAKEN: "Another customer has proven this address.",
    Code.EMAIL_VERIFIED: "The customer has proven the old address, so this is no typo. Change the email instead.",
    Code.EMAIL_CHANGE_PENDING: "An email change is already under way for this customer.",
    Code.CHANGE_LIMIT: "This customer's address was changed too often lately.",
    Code.UNDO_EXPIRED: "The time to take this back is over.",
    Code.UNDO_NOT_LAST: "Something later builds on this change; take that back first.",
    Code.DUPLICATE_CONTACT: "A customer with this address exists.",
    Code.CARD_UNKNOWN: "This is not one of our cards.",
    Code.CARD_TAKEN: "This card belongs to another customer.",
    Code.CONSENT_NEEDS_EMAIL: "Offers by email need an email address.",
    Code.CONSENT_NEEDS_PHONE: "Offers by text message need a phone number.",
    Code.CUSTOMER_BLOCKED: "This customer is blocked.",
    Code.CUSTOMER_MERGED: "This customer was merged into another.",
    Code.CUSTOMER_ERASED: "This customer's data was erased.",
    Code.SELF_DEALING: "You may not do this for yourself; ask a colleague.",
    Code.MEMBERSHIP_CLOSED: "This membership is closed.",
    Code.APPROVAL_REQUIRED: "You asked for this yourself: somebody else must decide.",
    Code.REQUEST_CLOSED: "This was decided on in the meantime, or nobody decided in time. F5 shows how it stands.",
    Code.INSUFFICIENT_POINTS: "There are not enough points for this.",
    Code.POINTS_SPENT: "The points of this sale have been spent, and the programme does not let them be taken back.",
    Code.ASSIGNMENT_SAME: "This sale counts for this customer already.",
    Code.VOUCHER_USED: "This voucher was used or is over; it cannot be cancelled any more.",
    Code.REWARD_USED: "Somebody's points or voucher paid for this sale. Say what becomes of them.",
    Code.ASSIGNMENT_WINDOW: "This sale is too old to be moved by you; a manager may.",
    Code.ORDER_CONFLICT: "A sale with this receipt was written down before, with other details.",
    Code.STORE_UNKNOWN: "There is no such store.",
    Code.TIME_OUT_OF_RANGE: "This time cannot be right: it is ahead, or too long ago.",
    Code.CURRENCY_MISMATCH: "This was paid in another currency than the programme counts.",
    Code.OVER_REFUND: "More would go back than was sold.",
    Code.ADJUST_ABSOLUTE_REFUSED: "Type how many points to give or take, like +50 or -20.",
    Code.ALREADY_MEMBER: "The customer is a member of this programme already.",
    Code.PHONE_NOT_PROVEN: "This customer has no proven phone number. Ask for the code in their app.",
    Code.REWARD_CODE_TAKEN: "Another reward has this code.",
    Code.PROGRAMME_CODE_TAKEN: "Another programme has this code.",
    Code.PROGRAMME_DEFAULT: "New customers join this programme, so it stays open.",
    Code.CLAIM_CLOSED: "This cannot be done with the code any more: it was used, ended, or written before.",
    Code.CLAIM_SUBJECT_HAS_LOGIN: "This customer can sign in already, so there is nothing to claim.",
    Code.ERASURE_RUNNING: "This customer is about to be forgotten already.",
    Code.MERGE_PENDING: "A merge of this customer waits for approval: it is decided on first (^D).",
    Code.PRIVACY_REQUEST_OPEN: "One of the two is about to be forgotten: that is finished or cancelled first (P).",
    Code.LINK_TAKEN: "This POS record is linked to a customer already.",
    Code.LINK_SELF: "Nobody links a POS record to themselves; ask a colleague.",
    Code.LINK_NEEDS_PROOF: "Nothing ties the record to this customer: say how you know, or scan their card.",
    Code.LINK_OVER: "This link is over. F5 shows how it stands.",
    Code.REWARD_UNAVAILABLE: "This reward cannot be had just now.",
    Code.PRESENCE_NEEDED: "More than the card alone may spend: ask for the code in their app, or F9 texts one.",
    Code.PRESENCE_WRONG: "These digits are wrong, too old or used. Ask for the ones the app shows now, or the newest text.",
    Code.REDEMPTION_LIMIT: "That is more than the customer wants to be spent in a day.",
    Code.MEMBERSHIP_EXISTS: "They share points already, or this customer has a membership of their own.",
    Code.MEMBERSHIP_SAME: "They share these points already.",
    Code.SHARER_LIMIT: "No more people can share this membership: the programme sets how many.",
    Code.CONSENT_MISSING: "Somebody has not agreed to this: ask them first.",
    Code.OPEN_HOLD: "A sale is being paid with these points just now. Try again when it is done.",
    Code.REDEMPTION_HELD: "Points cannot be spent or moved for a while, as an address was changed just now.",
    Code.MERGE_SAME: "These are one customer already.",
    Code.MERGE_STAFF_LINKED: "One of the two belongs to a staff member; an admin has to approve this.",
    Code.MERGE_KIND_MISMATCH: "A person and a business cannot be one customer.",
    Code.MERGE_SHARED: "One of the two shares points with others: end that first (v on the customer).",
}

# Which field of a form a refusal belongs to, where the code alone says it.
_FIELDS: dict[Code, str] = {
    Code.EMAIL_INVALID: "email",
    Code.EMAIL_SAME: "email",
    Code.EMAIL_TAKEN: "email",
    Code.CARD_UNKNOWN: "card_number",
    Code.CARD_TAKEN: "card_number",
    Code.CONSENT_NEEDS_EMAIL: "consents.email",
    Code.CONSENT_NEEDS_PHONE: "consents.sms",
    Code.REWARD_CODE_TAKEN: "code",
    Code.PROGRAMME_CODE_TAKEN: "code",
}

ROLES: dict[Role, str] = {
    Role.CASHIER: "cashier",
    Role.MANAGER: "manager",
    Role.MARKETING: "marketing",
    Role.ADMIN: "admin",
    Role.AUDITOR: "auditor",
}


def _who_may(permission: Permission) -> str:
    names = [words for role, words in ROLES.items() if may(role, permission)]
    if len(names) == len(ROLES):
        return "needs any role"
    if not names:
        return "nobody may do this yet"
    article = "an" if names[0].startswith("a") else "a"
    listed = f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]
    return f"needs {article} {listed}"


WHO_MAY: dict[Permission, str] = {permission: _who_may(permission) for permission in Permission}


def sentence(error: ConsoleError, *, in_form: bool = True) -> str:
    """Return what went wrong and, where there is one, the next step; outside a form there is no Ctrl+S."""
    match error:
        case SignedOut():
            return SENTENCES[Code.NOT_SIGNED_IN]
        case Refused():
            return _refusal(error.problem, error.retry_after_seconds)
        case Unreachable() | NoAnswer() | AnswerNotUnderstood() if error.maybe_done:
            return MAYBE_SAVED if in_form else "We do not know if this was saved. F5 shows how it stands."
        case Unreachable():
            return NOT_CONNECTED
        case NoAnswer():
            return "The service did not answer in time. F5 tries again."
        case AnswerNotUnderstood():
            return f"The answer ({error.status}) is not one this console understands. Is it the right address?"
        case _:
            return "Something went wrong."


def _refusal(problem: Problem, retry_after_seconds: int | None) -> str:
    words = SENTENCES.get(problem.code) or problem.detail or problem.title
    # The service's own detail names the fact (whose card, which day) where our sentence only names the kind.
    if problem.detail and problem.detail not in words and problem.code is not Code.SIGN_IN_FAILED:
        words = problem.detail
    if not problem.detail and problem.errors:
        words = problem.errors[0].detail
    if retry_after_seconds:
        words += f" Wait {retry_after_seconds} s."
    return words


def blocker_words(blocker: str) -> str:
    """Return what stands against a command in words; the service sends its bare code where it has no more to say."""
    if blocker in Code.__members__.values():
        return SENTENCES.get(Code(blocker), blocker.replace("_", " ").lower().capitalize() + ".")
    return blocker


def field_errors(error: ConsoleError) -> dict[str, str]:
    """Return the refusal by field of the request (`email`, `consents.sms`); empty when it names none."""
    if not isinstance(error, Refused):
        return {}
    problem = error.problem
    if problem.errors:
        return {wrong.field: wrong.detail for wrong in problem.errors}
    field = problem.data.get("field", _FIELDS.get(problem.code))
    return {str(field): _refusal(problem, None)} if field else {}


def existing_customer_id(error: ConsoleError) -> str | None:
    """Return the id of the customer who stands in the way, when the service named one."""
    if not isinstance(error, Refused):
        return None
    found = error.problem.data.get("customer_id")
    return found if isinstance(found, str) else None
