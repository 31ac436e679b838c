"""Addresses that mail does not reach: told by the recipient's server at once, or by a provider hours later."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from server.audit.store import record
from server.context import Context
from server.customers.rules import parse_email
from server.customers.store import mark_arriving, mark_bouncing
from server.db.engine import DB, Row
from server.errors import Invalid, NotFound, Refused
from server.messages import store
from shared.limits import MAIL_HOOK_WINDOW
from shared.mail import MailEvent, MailEventKind, MailEvents
from shared.problems import Code

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_SIGNATURE: Final = re.compile(r"t=(?P<at>[0-9]{1,12}),v1=(?P<hex>[0-9a-f]{64})")


async def take_events(ctx: Context, form: MailEvents, *, body: bytes, signature: str) -> None:
    """Take a provider's report: flag what bounced for good, and unflag what arrives again.

    Whether anybody has an address makes no difference to the answer.

    Raises:
        NotFound: This shop takes none.
        Refused: HOOK_REFUSED, the signature is wrong or too old.
    """
    key = ctx.settings.mail_hook_key
    if not key:
        raise NotFound
    if not is_signed(body=body, signature=signature, key=key, now=ctx.now):
        raise Refused(Code.HOOK_REFUSED)
    async with DB.transaction():
        fresh = await store.remember_events([f"mail:{event.id}" for event in form.events], ctx.now)
        events = {event.id: event for event in form.events if f"mail:{event.id}" in fresh}.values()
        await flag_bounces(ctx, _latest(ctx, events, MailEventKind.HARD_BOUNCE), reason="reported")
        await unflag_delivered(ctx, _latest(ctx, events, MailEventKind.DELIVERED))


def is_signed(*, body: bytes, signature: str, key: str, now: datetime) -> bool:
    """Return whether a report was signed with the key within `MAIL_HOOK_WINDOW`."""
    found = _SIGNATURE.fullmatch(signature)
    if found is None:
        return False
    expected = hmac.new(key.encode(), f"{found['at']}.".encode() + body, hashlib.sha256).hexdigest()
    age = abs(now - _EPOCH - timedelta(seconds=int(found["at"])))
    return hmac.compare_digest(expected, found["hex"]) and age <= MAIL_HOOK_WINDOW


async def flag_bounces(ctx: Context, bounced: Mapping[str, datetime], *, reason: str) -> None:
    """Flag addresses to which mail came back for good, in the caller's transaction, so that staff ask the customer.

    Args:
        bounced: By the address, when it came back; a proof that is newer stands.
    """
    await _record(ctx, "email.bounced", await mark_bouncing(_by_key(bounced)), reason)


async def unflag_delivered(ctx: Context, delivered: Mapping[str, datetime]) -> None:
    """Take the flag from addresses where a later mail arrived, in the caller's transaction."""
    await _record(ctx, "email.delivered", await mark_arriving(_by_key(delivered)), "reported")


def _latest(ctx: Context, events: Iterable[MailEvent], kind: MailEventKind) -> dict[str, datetime]:
    """Return when something last happened at each address; a provider's clock that runs ahead, or far behind, does not count."""
    latest: dict[str, datetime] = {}
    for event in events:
        if event.kind is kind:
            at = max(min(event.at, ctx.now), _EPOCH)
            latest[event.email] = max(at, latest.get(event.email, at))
    return latest


def _by_key(addresses: Mapping[str, datetime]) -> dict[str, datetime]:
    """Return the instants by the keys that addresses are known by; what is no address is nobody's."""
    keys: dict[str, datetime] = {}
    for address, at in addresses.items():
        try:
            key = parse_email(address, "email").key
        except Invalid:
            continue
        keys[key] = max(at, keys.get(key, at))
    return keys


async def _record(ctx: Context, action: str, points: Iterable[Row], reason: str) -> None:
    for point in points:
        await record(
            ctx,
            action,
            subject_kind="contact_point",
            subject_id=point["id"],
            customer_id=point["customer"],
            details={"reason": reason},
        )
