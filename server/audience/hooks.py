"""Mailchimp's webhook: which addresses bounced there. It is not signed, so it can do no more than flag an address.

Nothing that comes this way grants consent or changes an address, a name or a sign-in.
"""

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import msgspec

from server.context import Context
from server.db.engine import DB
from server.errors import NotFound
from server.messages.bounces import flag_bounces
from server.messages.store import remember_events

_FIELDS_MAX = 500  # A contact has thirty merge fields.


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What we read of an event. Mailchimp gives no id, so `key` is a digest of what tells two events apart."""

    kind: str
    list_id: str
    email: str
    reason: str
    fired_at: datetime | None
    key: str


def check_secret(ctx: Context, secret: str) -> None:
    """Refuse an address that is not our webhook's.

    Raises:
        NotFound: It is not, or this shop takes no webhooks.
    """
    expected = ctx.settings.mailchimp_hook_secret or ""
    if not expected or not hmac.compare_digest(expected.encode(), secret.encode("utf-8", "replace")):
        raise NotFound


async def take_event(ctx: Context, body: bytes) -> None:
    """Flag an address that bounced for good, once an event; what we do not know or cannot read is let go.

    A complaint (`abuse`) says that mail does arrive, so it flags nothing.
    """
    event = read_event(body)
    if event is None or event.kind != "cleaned" or event.list_id != ctx.settings.mailchimp_list_id:
        return
    if event.reason != "hard":
        return
    bounced_at = min(event.fired_at or ctx.now, ctx.now)
    async with DB.transaction():
        if await remember_events([f"mailchimp:{event.key}"], ctx.now):
            await flag_bounces(ctx, {event.email: bounced_at}, reason="mailchimp")


def read_event(body: bytes) -> Event | None:
    """Return the event in a form as Mailchimp posts it, None if it is none."""
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS_MAX))
    except ValueError:
        return None
    kind, email, fired_at = fields.get("type", ""), fields.get("data[email]", ""), fields.get("fired_at", "")
    key = hashlib.sha256("\n".join((kind, email, fired_at)).encode()).hexdigest()
    return Event(
        kind=kind,
        list_id=fields.get("data[list_id]", ""),
        email=email,
        reason=fields.get("data[reason]", ""),
        fired_at=_read_instant(fired_at),
        key=key,
    )


def _read_instant(text: str) -> datetime | None:
    """Return a time that Mailchimp writes without a zone and means as UTC."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
