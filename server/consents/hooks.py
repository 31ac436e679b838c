"""Mailchimp's webhook: which addresses bounced there, and who wants no more mail. It is not signed, so it can do no more.

Nothing that comes this way grants consent or changes an address, a name or a sign-in.
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from server.audience.marks import Unsubscribed
from server.audience.store import find_view
from server.consents.service import take_opt_out
from server.context import Context, Tools, system_context
from server.db.engine import DB
from server.errors import NotFound
from server.messages.bounces import flag_bounces
from server.messages.store import remember_events

UNSUBSCRIBED: Final = "mailchimp_unsubscribed"
COMPLAINT: Final = "mailchimp_complaint"
_FIELDS_MAX: Final = 500  # A contact has thirty merge fields.
_TO_ITS_END: Final = timedelta(seconds=1, microseconds=-1)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What we read of an event. Mailchimp gives no id, so `key` is a digest of what tells two events apart."""

    kind: str
    list_id: str
    email: str
    action: str
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
    """Flag an address that bounced for good, or take a no to news and offers, once an event; the rest is let go.

    A complaint (`abuse`) says that mail does arrive, so it is a no and flags nothing.
    """
    event = read_event(body)
    if event is None or event.list_id != ctx.settings.mailchimp_list_id:
        return
    source = why_no(event)
    is_bounce = event.kind == "cleaned" and event.reason == "hard"
    if source is None and not is_bounce:
        return
    fired_at = event.fired_at or ctx.now
    async with DB.transaction():
        if not await remember_events([f"mailchimp:{event.key}"], ctx.now):
            return
        if source is not None:
            # Mailchimp tells whole seconds: of a yes and a no within one the no counts.
            await take_opt_out(ctx, address=event.email, at=min(fired_at + _TO_ITS_END, ctx.now), source=source)
        else:
            await flag_bounces(ctx, {event.email: min(fired_at, ctx.now)}, reason="mailchimp")


async def take_unsubscribed(tools: Tools, payload: bytes) -> None:
    """Take a no that was seen when a contact was pushed; the worker's handler of `OPT_OUT_JOB`."""
    seen = msgspec.json.decode(payload, type=Unsubscribed)
    contact = await find_view(seen.contact_id)
    if contact is None or not contact["email"]:
        return
    async with DB.transaction():
        await take_opt_out(system_context(tools), address=contact["email"], at=seen.at, source=UNSUBSCRIBED)


def why_no(event: Event) -> str | None:
    """Return the source of the consent event that an event of Mailchimp is, None if nobody said no by it.

    A contact that was archived there (`delete`), as we do ourselves and staff may, has not said anything.
    """
    match event.kind, event.reason, event.action:
        case (("unsubscribe" | "cleaned"), "abuse", _):
            return COMPLAINT
        case "unsubscribe", _, "delete":
            return None
        case "unsubscribe", _, _:
            return UNSUBSCRIBED
        case _:
            return None


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
        action=fields.get("data[action]", ""),
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
