"""Webhooks: their registration, and what is posted when a person acts at Mailchimp.

Only what people do (through the control area) is posted, not the API's own writes. A delivery is tried once, in the call that
caused it, and its outcome is that call's answer, so that a test knows when it is done. The real service also
refuses addresses it cannot reach, such as loopback; this one is for loopback.
"""

import hashlib
import hmac
import secrets
from datetime import datetime
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx
import msgspec
from msgspec import UNSET, UnsetType

from tests.standins.mailchimp.problems import invalid_field
from tests.standins.mailchimp.state import Audience, Contact, Webhook

EVENT_NAMES = ("subscribe", "unsubscribe", "profile", "cleaned", "upemail", "campaign")
SOURCE_NAMES = ("user", "admin", "api")
# The real service waits this long for an answer.
ANSWER_TIMEOUT_S = 10.0
SIGNATURE_HEADER = "X-Mailchimp-Signature"


class WebhookBody(msgspec.Struct, frozen=True, kw_only=True):
    url: str | UnsetType = UNSET
    events: dict[str, bool] | UnsetType = UNSET
    sources: dict[str, bool] | UnsetType = UNSET
    # False makes a hook like those registered before Mailchimp signed anything.
    signing_enabled: bool = True


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One event to post: its type, when it happened, and its data with flat or nested names."""

    type: str
    fired_at: datetime
    data: dict[str, str | dict[str, str]]

    def form(self) -> bytes:
        """Return the body, keys written as `data[merges][EMAIL]`; the time has no zone and means UTC."""
        pairs = [("type", self.type), ("fired_at", self.fired_at.strftime("%Y-%m-%d %H:%M:%S"))]
        for name, value in self.data.items():
            if isinstance(value, dict):
                pairs.extend((f"data[{name}][{inner}]", text) for inner, text in value.items())
            else:
                pairs.append((f"data[{name}]", value))
        return urlencode(pairs).encode()


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one posted event. `status` is None when there was no answer."""

    url: str
    type: str
    status: int | None


def check_url_answers(body: WebhookBody) -> None:
    """Ask the URL for a page, as Mailchimp does before it registers a hook.

    Raises:
        Problem: 400; there is no URL, it is not HTTP, or a GET there does not answer 200.
    """
    url = body.url or ""
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise invalid_field("url", "This is not a URL.")
    try:
        headers = {"User-Agent": "Mailchimp.com WebHook Validator"}
        answer = httpx.get(url, headers=headers, timeout=ANSWER_TIMEOUT_S, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise invalid_field("url", "The URL could not be reached.") from error
    if answer.status_code != httpx.codes.OK:
        raise invalid_field("url", f"The URL answered {answer.status_code} to GET; it must answer 200.")


def register(audience: Audience, body: WebhookBody) -> Webhook:
    """Add a hook. Two whose URLs differ in the query only count as one, and the second is refused."""
    url = body.url or ""
    if any(_without_query(known.url) == _without_query(url) for known in audience.webhooks.values()):
        raise invalid_field("url", "There is a webhook for this URL already.")
    webhook = Webhook(
        id=secrets.token_hex(5),
        url=url,
        events=_flags(EVENT_NAMES, body.events or {}, field="events"),
        sources=_flags(SOURCE_NAMES, body.sources or {}, field="sources"),
        signing_secret=secrets.token_hex(16) if body.signing_enabled else None,
    )
    audience.webhooks[webhook.id] = webhook
    return webhook


def change(audience: Audience, webhook: Webhook, body: WebhookBody) -> Webhook:
    changed = msgspec.structs.replace(
        webhook,
        url=body.url or webhook.url,
        events=_flags(EVENT_NAMES, webhook.events | (body.events or {}), field="events"),
        sources=_flags(SOURCE_NAMES, webhook.sources | (body.sources or {}), field="sources"),
    )
    audience.webhooks[webhook.id] = changed
    return changed


def _without_query(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def _flags(names: tuple[str, ...], given: dict[str, bool], *, field: str) -> dict[str, bool]:
    unknown = set(given) - set(names)
    if unknown:
        raise invalid_field(f"{field}.{min(unknown)}", "There is no such name.")
    return {name: given.get(name, False) for name in names}


def hooks_for(audience: Audience, event: str) -> list[Webhook]:
    """Return the hooks that hear of an event which a person caused."""
    return [hook for hook in audience.webhooks.values() if hook.events[event] and hook.sources["user"]]


def contact_data(audience: Audience, contact: Contact) -> dict[str, str | dict[str, str]]:
    """Return the data that most events carry. Their `id` is not the hash of the address."""
    texts = {tag: value for tag, value in contact.merge_fields.items() if not isinstance(value, dict)}
    merges = {"EMAIL": contact.email_address} | {tag: str(texts.get(tag, "")) for tag in audience.merge_fields}
    return {
        "id": contact.unique_email_id,
        "list_id": audience.list_id,
        "email": contact.email_address,
        "email_type": contact.email_type,
        "merges": merges,
    }


def signature(secret: str, body: bytes, *, signed_at: datetime) -> str:
    """Return the header's value: HMAC-SHA256 over the Unix time, a dot and the raw body."""
    seconds = str(int(signed_at.timestamp()))
    digest = hmac.new(secret.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def deliver(webhook: Webhook, notice: Notice) -> Delivery:
    body = notice.form()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "MailChimp"}
    if webhook.signing_secret is not None:
        headers[SIGNATURE_HEADER] = signature(webhook.signing_secret, body, signed_at=notice.fired_at)
    status: int | None = None
    try:
        answer = httpx.post(webhook.url, content=body, headers=headers, timeout=ANSWER_TIMEOUT_S, trust_env=False)
        status = answer.status_code
    except httpx.HTTPError:
        # A receiver that is down is for the caller to see in the outcome, not a fault of the stand-in.
        status = None
    return Delivery(url=webhook.url, type=notice.type, status=status)
