"""How contacts, fields, hooks and the audience look in answers, and the reading of lists of them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import msgspec

from tests.standins.mailchimp.problems import invalid_field
from tests.standins.mailchimp.state import Audience, Contact, MergeField, Webhook

COUNT_DEFAULT = 10
COUNT_MAX = 1000
TAGS_SHOWN_MAX = 50
TRUE_WORDS = ("true", "1")

Item = TypeVar("Item")
Query = Mapping[str, str]
Document = dict[str, object]


def member_document(audience: Audience, contact: Contact) -> Document:
    names = list(contact.tags)[:TAGS_SHOWN_MAX]
    document: Document = {
        "id": contact.subscriber_hash,
        "email_address": contact.email_address,
        "unique_email_id": contact.unique_email_id,
        "contact_id": contact.contact_id,
        "full_name": _full_name(contact),
        "web_id": contact.web_id,
        "email_type": contact.email_type,
        "status": contact.shown_status,
        "consents_to_one_to_one_messaging": False,
        # Every field of the audience is there; one without a value is an empty text, whatever its type.
        "merge_fields": {tag: contact.merge_fields.get(tag, "") for tag in audience.merge_fields},
        "stats": {"avg_open_rate": 0, "avg_click_rate": 0},
        "ip_signup": contact.ip_signup,
        "timestamp_signup": contact.timestamp_signup,
        "ip_opt": contact.ip_opt,
        "timestamp_opt": contact.timestamp_opt,
        "member_rating": 2,
        "last_changed": contact.last_changed,
        "language": contact.language,
        "vip": contact.vip,
        "email_client": "",
        "marketing_permissions": [],
        "source": contact.source,
        "tags_count": len(contact.tags),
        "tags": [{"id": audience.tag_id(name), "name": name} for name in names],
        "list_id": audience.list_id,
    }
    if contact.shown_status == "unsubscribed":
        document["unsubscribe_reason"] = contact.unsubscribe_reason
    return document


def _full_name(contact: Contact) -> str:
    parts = (contact.merge_fields.get(tag, "") for tag in ("FNAME", "LNAME"))
    return " ".join(part for part in parts if isinstance(part, str) and part)


def audience_document(audience: Audience, query: Query) -> Document:
    statuses = [contact.shown_status for contact in audience.contacts.values()]
    stats: Document = {
        "member_count": statuses.count("subscribed"),
        "unsubscribe_count": statuses.count("unsubscribed"),
        "cleaned_count": statuses.count("cleaned"),
        "merge_field_count": len(audience.merge_fields),
    }
    if is_set(query, "include_total_contacts"):
        stats["total_contacts"] = len(statuses) - statuses.count("archived")
    return {
        "id": audience.list_id,
        "name": audience.name,
        "double_optin": audience.double_optin,
        "marketing_permissions": False,
        "stats": stats,
    }


def field_document(audience: Audience, field: MergeField) -> Document:
    document: Document = msgspec.to_builtins(field)
    return document | {"list_id": audience.list_id}


def webhook_document(audience: Audience, webhook: Webhook) -> Document:
    """Return a webhook as it is read later on: that it is signed shows, its secret never."""
    return {
        "id": webhook.id,
        "url": webhook.url,
        "events": webhook.events,
        "sources": webhook.sources,
        "signing_enabled": webhook.signing_secret is not None,
        "list_id": audience.list_id,
    }


def is_set(query: Query, name: str) -> bool:
    """Read a yes-or-no parameter: `true` in any case, or 1. Anything else is the default, no."""
    return query.get(name, "").lower() in TRUE_WORDS


def page_of(items: Sequence[Item], query: Query) -> Sequence[Item]:
    """Cut a page out of a list: 10 items unless `count` says otherwise, 1,000 at most."""
    count = _whole_number(query, "count", default=COUNT_DEFAULT)
    offset = _whole_number(query, "offset", default=0)
    if count > COUNT_MAX:
        raise invalid_field("count", f"A page has at most {COUNT_MAX} items.")
    return items[offset : offset + count]


def _whole_number(query: Query, name: str, *, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit():
        raise invalid_field(name, "This is not a whole number.")
    return int(text)


def list_contacts(audience: Audience, query: Query) -> list[Contact]:
    """Return the contacts that a member listing asks for, before it is cut into pages.

    Archived contacts are left out unless `status=archived` asks for them (the real service does not document this). Both ends of
    a time window are exclusive, so that a client whose windows do not overlap loses the contacts on the edge.
    """
    status = query.get("status")
    if query.get("unsubscribed_since") and status != "unsubscribed":
        raise invalid_field("unsubscribed_since", "This goes only with status=unsubscribed.")
    found = [
        contact
        for contact in audience.contacts.values()
        if (contact.shown_status == status if status else not contact.archived)
        and query.get("unique_email_id") in (None, contact.unique_email_id)
    ]
    for attribute, since, before in (
        ("last_changed", "since_last_changed", "before_last_changed"),
        ("timestamp_opt", "since_timestamp_opt", "before_timestamp_opt"),
        ("unsubscribed_at", "unsubscribed_since", ""),
    ):
        found = _within(found, attribute, since=_instant(query, since), before=_instant(query, before))
    return _sorted(found, query)


def _instant(query: Query, name: str) -> datetime | None:
    text = query.get(name)
    if not text:
        return None
    try:
        return _aware(text)
    except ValueError as error:
        raise invalid_field(name, "This is not an ISO 8601 time.") from error


def _aware(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _within(
    contacts: list[Contact], attribute: str, *, since: datetime | None, before: datetime | None
) -> list[Contact]:
    if since is None and before is None:
        return contacts
    known = [(contact, _aware(getattr(contact, attribute))) for contact in contacts if getattr(contact, attribute)]
    return [
        contact
        for contact, instant in known
        if (since is None or instant > since) and (before is None or instant < before)
    ]


def _sorted(contacts: list[Contact], query: Query) -> list[Contact]:
    sort_field = query.get("sort_field")
    if sort_field is None:
        return contacts
    if sort_field not in ("timestamp_opt", "timestamp_signup", "last_changed"):
        raise invalid_field("sort_field", "This is not a field to sort by.")
    descending = query.get("sort_dir", "ASC").upper() == "DESC"
    return sorted(contacts, key=lambda contact: str(getattr(contact, sort_field)), reverse=descending)


def projected(document: Document, query: Query) -> Document:
    """Keep what `fields` names, or drop what `exclude_fields` names; both are dotted paths with commas between."""
    if wanted := query.get("fields"):
        return _kept(document, [path.split(".") for path in wanted.split(",")])
    for path in filter(None, query.get("exclude_fields", "").split(",")):
        document = _without(document, path.split("."))
    return document


def _kept(document: Document, paths: list[list[str]]) -> Document:
    kept: Document = {}
    for name, value in document.items():
        below = [path[1:] for path in paths if path[0] == name]
        if [] in below:
            # A path that ends here keeps all that is under it.
            kept[name] = value
        elif below:
            kept[name] = _each(value, partial(_kept, paths=below))
    return kept


def _without(document: Document, path: list[str]) -> Document:
    if path[0] not in document:
        return document
    if len(path) == 1:
        return {name: value for name, value in document.items() if name != path[0]}
    return document | {path[0]: _each(document[path[0]], lambda part: _without(part, path[1:]))}


def _each(value: object, change: Callable[[Document], Document]) -> object:
    match value:
        case dict():
            return change(value)
        case list():
            return [change(item) if isinstance(item, dict) else item for item in value]
        case _:
            return value
