"""Messages of claim codes: a code on paper makes a customer's points, or a purchase of nobody's, those of the member who
enters it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from shared import limits
from shared.base import Reason, Request, View

ClaimText = Annotated[str, msgspec.Meta(min_length=4, max_length=limits.CLAIM_CODE_TYPED_MAX)]


class ClaimState(StrEnum):
    """How it stands with a code; only one that is live can be used."""

    LIVE = "live"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ClaimCause(StrEnum):
    """Why a code was refused; staff alone learn it."""

    UNKNOWN = "unknown"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"
    WRONG_CHECK = "wrong_check"
    SUBJECT_HAS_LOGIN = "subject_has_login"
    SUBJECT_GONE = "subject_gone"
    ORDER_TAKEN = "order_taken"
    ISSUED_BY_ONESELF = "issued_by_oneself"


class Claim(Request, frozen=True, kw_only=True):
    """A code as typed or scanned: case, blanks, dashes and look-alikes do not matter.

    Attributes:
        check: For a code that came in a letter: the family name, the post code, or the last four digits of the phone
            number that the shop has on file.
    """

    code: ClaimText
    check: Annotated[str, msgspec.Meta(max_length=limits.NAME_LENGTH_MAX)] = ""


class Claimed(View, frozen=True, kw_only=True):
    """What a code brought.

    Attributes:
        subject: What it stood for: the account of a `customer`, or one `order`.
        points: By how much available and pending points have risen.
        email_masked: The address that the shop had on the account, masked.
    """

    id: UUID
    subject: Literal["customer", "order"]
    claimed_at: datetime
    points: int
    available: int
    orders: int
    cards: tuple[str, ...] = ()
    email_masked: str | None = None
    merge_id: UUID | None = None
    order_id: UUID | None = None
    skipped_reason: str | None = None


class ClaimCodeIssued(View, frozen=True, kw_only=True):
    """A new code; former codes for the same are void.

    It is shown this once, and again to a repeated call with the same Idempotency-Key while it can be used; later `code` and
    `link` are empty there.

    Attributes:
        link: Opens the page on which the code is used; a QR code of it fits on a receipt.
        text: Lines to print and hand over.
    """

    id: UUID
    code: str
    link: str
    text: str
    expires_at: datetime
    customer_id: UUID | None = None
    customer_name: str | None = None
    order_id: UUID | None = None
    order_number: str | None = None


class ClaimCodeView(View, frozen=True, kw_only=True):
    """A code as staff see it, without its characters."""

    id: UUID
    kind: Literal["till", "letter", "text", "receipt"]
    state: ClaimState
    issued_at: datetime
    issued_by: str | None
    expires_at: datetime
    customer_id: UUID | None
    customer_name: str | None
    order_id: UUID | None
    order_number: str | None
    used_at: datetime | None
    used_by: UUID | None
    used_by_name: str | None
    merge_id: UUID | None
    revoked_at: datetime | None
    revoked_reason: str | None


class ClaimRefusal(View, frozen=True, kw_only=True):
    """A try that was refused, and why."""

    at: datetime
    cause: ClaimCause
    code_id: UUID | None


class CustomerClaims(View, frozen=True, kw_only=True):
    """The codes for a customer, those that the customer has used, and the customer's own tries that were refused."""

    codes: tuple[ClaimCodeView, ...]
    used: tuple[ClaimCodeView, ...]
    refusals: tuple[ClaimRefusal, ...]


class ClaimLookup(Request, frozen=True, kw_only=True):
    """A code that somebody shows at the till."""

    code: ClaimText


class ClaimFound(View, frozen=True, kw_only=True):
    """What is known of a code that was shown; `cause` says why it would be refused."""

    code: ClaimCodeView | None
    cause: ClaimCause | None


class ClaimRevocation(Request, frozen=True, kw_only=True):
    """Why a code, or all codes of a batch, shall not be used any more."""

    reason: Reason


class ClaimBatchRequest(Request, frozen=True, kw_only=True):
    """Codes for everybody whom no email reaches; whoever has a live code is passed over unless `reissue` voids it."""

    reissue: bool = False


class ClaimBatchPreview(View, frozen=True, kw_only=True):
    """How many people would get a letter; nothing has changed yet."""

    customers: int
    with_live_code: int
    without_address: int
    largest: int


class ClaimBatchView(View, frozen=True, kw_only=True):
    """Codes that were made at once. Each of its files is written once, within a day; `used` of the codes have been used."""

    id: UUID
    codes: int
    used: int
    created_at: datetime
    requested_by: str | None
    expires_at: datetime | None
    csv_written_at: datetime | None
    pdf_written_at: datetime | None
    files_until: datetime
    revoked_at: datetime | None


class ClaimBatchPage(View, frozen=True, kw_only=True):
    """Batches, newest first."""

    items: tuple[ClaimBatchView, ...]
    next_cursor: str | None
