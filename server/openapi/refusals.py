"""Which refusals an operation can give besides those that follow from its row of the route table."""

from shared.endpoints import Caller, Endpoint
from shared.problems import Code

_PASSWORD = (Code.PASSWORD_WEAK, Code.RATE_LIMITED)
_CONTACT = (Code.EMAIL_INVALID, Code.CONSENT_NEEDS_PHONE)
_CHANGE = (Code.EMAIL_INVALID, Code.EMAIL_SAME, Code.EMAIL_TAKEN, Code.EMAIL_CHANGE_PENDING, Code.CUSTOMER_MERGED)

# Looked up by operation; a test fails on an answer that the document does not tell of.
SPECIFIC: dict[str, tuple[Code, ...]] = {}


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
    return tuple(dict.fromkeys((*codes, *SPECIFIC.get(endpoint.operation, ()), Code.BUSY, Code.INTERNAL)))
