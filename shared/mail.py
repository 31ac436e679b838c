"""Messages of the mail provider: what became of mails that it had taken."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from shared import limits
from shared.base import Email, Request


class MailEventKind(StrEnum):
    """What became of a mail: back for good, back for now, or delivered."""

    HARD_BOUNCE = "hard_bounce"
    SOFT_BOUNCE = "soft_bounce"
    DELIVERED = "delivered"


class MailEvent(Request, frozen=True, kw_only=True):
    """One mail's fate. `id` is the provider's own; the same one counts once, however often it comes."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.MAIL_EVENT_ID_MAX)]
    kind: MailEventKind
    email: Email
    at: Annotated[datetime, msgspec.Meta(tz=True)]


class MailEvents(Request, frozen=True, kw_only=True):
    """A report of the mail provider, signed in the header `Regulars-Signature: t=SECONDS,v1=HEX`.

    SECONDS is the present as Unix time, at most five minutes off. HEX is the HMAC-SHA256, keyed by `REGULARS_MAIL_HOOK_KEY`,
    of SECONDS, a dot and the raw body.
    """

    events: Annotated[tuple[MailEvent, ...], msgspec.Meta(min_length=1, max_length=limits.MAIL_EVENTS_MAX)]
