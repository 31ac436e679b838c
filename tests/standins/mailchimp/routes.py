"""The routes of the Marketing API that the stand-in serves, without HTTP: a call goes in, a status and a document come out.

Left out: `/batches`, `/audiences`, `/search-members`, interests, segments, campaigns. They answer 404.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar
from urllib.parse import unquote

import msgspec
from msgspec import UNSET, UnsetType

from tests.standins.mailchimp import bulk, fields, members, webhooks
from tests.standins.mailchimp.answers import (
    Document,
    Query,
    audience_document,
    field_document,
    is_set,
    list_contacts,
    member_document,
    page_of,
    webhook_document,
)
from tests.standins.mailchimp.problems import invalid_field, method_not_allowed, resource_not_found
from tests.standins.mailchimp.state import (
    Account,
    Audience,
    Contact,
    Event,
    MergeField,
    Webhook,
    instant_text,
)

EVENT_NAME_LENGTHS = range(2, 31)
TAG_NAME_LENGTH_MAX = 100

Body = TypeVar("Body")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call after authentication. `path` begins behind `/3.0`; `body` is decoded JSON, UNSET when none came."""

    method: str
    path: str
    query: dict[str, str]
    body: object | UnsetType
    now: datetime

    def body_as(self, kind: type[Body]) -> Body:
        """Return the body as a struct.

        Raises:
            Problem: 400, naming the first field of the wrong type.
        """
        return _converted(self.body, kind)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A success: a document with 200, or nothing with 204."""

    document: Document | None = None


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """A call on one audience, with the parts of its path."""

    call: Call
    audience: Audience
    parts: dict[str, str]

    @property
    def query(self) -> Query:
        return self.call.query

    def contact(self) -> Contact:
        return members.get_contact(self.audience, self.parts["subject"])

    def write(self, *, with_tags: bool = False) -> members.Write:
        """Read the contact in the body. Its tags count only on creation; PUT and PATCH pass over them in silence."""
        sent = self.call.body
        if isinstance(sent, dict) and not with_tags:
            sent = {name: value for name, value in sent.items() if name != "tags"}
        body = _converted(sent, members.MemberBody)
        members.check_body(body)
        return members.Write(body=body, validate=not is_set(self.query, "skip_merge_validation"), now=self.call.now)

    def shown(self, contact: Contact) -> Document:
        return member_document(self.audience, contact)


Handler = Callable[[Scope], Answer]


def answer_call(account: Account, call: Call) -> Answer:
    """Find the route of a call and run it.

    Raises:
        Problem: Whatever is refused, from an unknown path to a bad field.
    """
    if call.path in ("/ping", "/lists"):
        return _answer_account_call(account, call)
    for pattern, handlers in ROUTES:
        if found := pattern.fullmatch(call.path):
            handler = handlers.get(call.method)
            if handler is None:
                raise method_not_allowed()
            audience = account.audiences.get(found["list_id"])
            if audience is None:
                raise resource_not_found()
            parts = {name: unquote(part) for name, part in found.groupdict().items()}
            return handler(Scope(call=call, audience=audience, parts=parts))
    raise resource_not_found()


def prepare_call(call: Call) -> None:
    """Do the part of a call that waits for others, so that no lock is held meanwhile: the check of a webhook's URL."""
    if call.method == "POST" and re.fullmatch(r"/lists/[^/]+/webhooks", call.path):
        webhooks.check_url_answers(call.body_as(webhooks.WebhookBody))


def _answer_account_call(account: Account, call: Call) -> Answer:
    if call.method != "GET":
        raise method_not_allowed()
    if call.path == "/ping":
        return Answer(document={"health_status": "Everything's Chimpy!"})
    lists = [audience_document(audience, call.query) for audience in account.audiences.values()]
    return Answer(document={"lists": list(page_of(lists, call.query)), "total_items": len(lists)})


def _converted(body: object, kind: type[Body]) -> Body:
    if not isinstance(body, dict):
        raise invalid_field("", "The body must be a JSON object.")
    try:
        return msgspec.convert(body, type=kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        raise invalid_field(path.strip("`").removeprefix("$").removeprefix("."), message) from error


# ------------------------------------------------------------------------------------------------ the audience


def get_list(scope: Scope) -> Answer:
    return Answer(document=audience_document(scope.audience, scope.query))


def write_list(scope: Scope) -> Answer:
    body = scope.call.body_as(bulk.BulkBody)
    options = bulk.BulkOptions(
        validate=not is_set(scope.query, "skip_merge_validation"),
        skip_duplicate_check=is_set(scope.query, "skip_duplicate_check"),
        now=scope.call.now,
    )
    return Answer(document=bulk.write_members(scope.audience, body, options).document(scope.shown))


def list_fields(scope: Scope) -> Answer:
    kind, required = scope.query.get("type"), scope.query.get("required", "").lower()
    found = [
        field
        for field in sorted(scope.audience.merge_fields.values(), key=lambda field: field.merge_id)
        if kind in (None, field.type) and required in ("", str(field.required).lower())
    ]
    page = [field_document(scope.audience, field) for field in page_of(found, scope.query)]
    document: Document = {"merge_fields": page, "list_id": scope.audience.list_id, "total_items": len(found)}
    return Answer(document=document | {"merge_field_limit": fields.FIELDS_MAX})


def add_field(scope: Scope) -> Answer:
    field = fields.add_field(scope.audience, scope.call.body_as(fields.MergeFieldBody))
    return Answer(document=field_document(scope.audience, field))


def _field(scope: Scope) -> MergeField:
    for field in scope.audience.merge_fields.values():
        if str(field.merge_id) == scope.parts["merge_id"]:
            return field
    raise resource_not_found()


def get_field(scope: Scope) -> Answer:
    return Answer(document=field_document(scope.audience, _field(scope)))


def change_field(scope: Scope) -> Answer:
    body = scope.call.body_as(fields.MergeFieldBody)
    return Answer(document=field_document(scope.audience, fields.change_field(scope.audience, _field(scope), body)))


def remove_field(scope: Scope) -> Answer:
    fields.remove_field(scope.audience, _field(scope))
    return Answer()


# -------------------------------------------------------------------------------------------------- the members


def list_members(scope: Scope) -> Answer:
    found = list_contacts(scope.audience, scope.query)
    page = [scope.shown(contact) for contact in page_of(found, scope.query)]
    return Answer(document={"members": page, "list_id": scope.audience.list_id, "total_items": len(found)})


def add_member(scope: Scope) -> Answer:
    return Answer(document=scope.shown(members.post_member(scope.audience, scope.write(with_tags=True))))


def get_member(scope: Scope) -> Answer:
    return Answer(document=scope.shown(scope.contact()))


def put_member(scope: Scope) -> Answer:
    return Answer(document=scope.shown(members.put_member(scope.audience, scope.parts["subject"], scope.write())))


def change_member(scope: Scope) -> Answer:
    contact = scope.contact()
    return Answer(document=scope.shown(members.change_contact(scope.audience, contact, scope.write())))


def archive_member(scope: Scope) -> Answer:
    members.archive_contact(scope.audience, scope.contact(), scope.call.now)
    return Answer()


def forget_member(scope: Scope) -> Answer:
    members.forget_contact(scope.audience, scope.contact())
    return Answer()


# --------------------------------------------------------------------------------------------- tags and events


class TagChange(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    status: str


class TagsBody(msgspec.Struct, frozen=True, kw_only=True):
    tags: list[TagChange]


def list_tags(scope: Scope) -> Answer:
    tags: list[Document] = [
        {"id": scope.audience.tag_id(name), "name": name, "date_added": added_at}
        for name, added_at in scope.contact().tags.items()
    ]
    return Answer(document={"tags": list(page_of(tags, scope.query)), "total_items": len(tags)})


def change_tags(scope: Scope) -> Answer:
    """Set and take away tags. A body without a list of tags gets 204 and does nothing, as at Mailchimp."""
    contact, body = scope.contact(), scope.call.body
    if not isinstance(body, dict) or not isinstance(body.get("tags"), list):
        return Answer()
    tags = dict(contact.tags)
    for index, change in enumerate(scope.call.body_as(TagsBody).tags):
        if change.status not in ("active", "inactive") or not 0 < len(change.name) <= TAG_NAME_LENGTH_MAX:
            raise invalid_field(f"tags.{index}", "A tag has a name and a status, active or inactive.")
        if change.status == "inactive":
            tags.pop(change.name, None)
        else:
            scope.audience.tag_id(change.name)
            tags.setdefault(change.name, instant_text(scope.call.now))
    if tags != contact.tags:
        changed = msgspec.structs.replace(contact, tags=tags, last_changed=instant_text(scope.call.now))
        members.replace_contact(scope.audience, contact, changed)
    return Answer()


class EventBody(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    properties: dict[str, str] = {}
    is_syncing: bool = False
    occurred_at: datetime | UnsetType = UNSET


def list_events(scope: Scope) -> Answer:
    events: list[Document] = [
        {"occurred_at": event.occurred_at, "name": event.name, "properties": event.properties}
        for event in scope.contact().events
    ]
    return Answer(document={"events": list(page_of(events, scope.query)), "total_items": len(events)})


def add_event(scope: Scope) -> Answer:
    contact, body = scope.contact(), scope.call.body_as(EventBody)
    if len(body.name) not in EVENT_NAME_LENGTHS:
        raise invalid_field("name", "A name has 2 to 30 characters.")
    occurred_at = scope.call.now if body.occurred_at is UNSET else body.occurred_at
    event = Event(
        name=body.name,
        occurred_at=instant_text(occurred_at),
        properties=body.properties,
        is_syncing=body.is_syncing,
    )
    members.replace_contact(scope.audience, contact, msgspec.structs.replace(contact, events=(*contact.events, event)))
    return Answer()


# -------------------------------------------------------------------------------------------------- the webhooks


def list_webhooks(scope: Scope) -> Answer:
    # This list has no pages: an audience has few hooks.
    hooks = [webhook_document(scope.audience, hook) for hook in scope.audience.webhooks.values()]
    return Answer(document={"webhooks": hooks, "list_id": scope.audience.list_id, "total_items": len(hooks)})


def add_webhook(scope: Scope) -> Answer:
    hook = webhooks.register(scope.audience, scope.call.body_as(webhooks.WebhookBody))
    document = webhook_document(scope.audience, hook)
    if hook.signing_secret is not None:
        document["signing_secret"] = hook.signing_secret
    return Answer(document=document)


def _webhook(scope: Scope) -> Webhook:
    hook = scope.audience.webhooks.get(scope.parts["webhook_id"])
    if hook is None:
        raise resource_not_found()
    return hook


def get_webhook(scope: Scope) -> Answer:
    return Answer(document=webhook_document(scope.audience, _webhook(scope)))


def change_webhook(scope: Scope) -> Answer:
    hook = webhooks.change(scope.audience, _webhook(scope), scope.call.body_as(webhooks.WebhookBody))
    return Answer(document=webhook_document(scope.audience, hook))


def remove_webhook(scope: Scope) -> Answer:
    del scope.audience.webhooks[_webhook(scope).id]
    return Answer()


LIST = r"/lists/(?P<list_id>[^/]+)"
MEMBER = LIST + r"/members/(?P<subject>[^/]+)"
PATHS: tuple[tuple[str, dict[str, Handler]], ...] = (
    (LIST, {"GET": get_list, "POST": write_list}),
    (LIST + "/merge-fields", {"GET": list_fields, "POST": add_field}),
    (
        LIST + r"/merge-fields/(?P<merge_id>[^/]+)",
        {"GET": get_field, "PATCH": change_field, "DELETE": remove_field},
    ),
    (LIST + "/members", {"GET": list_members, "POST": add_member}),
    (
        MEMBER,
        {"GET": get_member, "PUT": put_member, "PATCH": change_member, "DELETE": archive_member},
    ),
    (MEMBER + "/actions/delete-permanent", {"POST": forget_member}),
    (MEMBER + "/tags", {"GET": list_tags, "POST": change_tags}),
    (MEMBER + "/events", {"GET": list_events, "POST": add_event}),
    (LIST + "/webhooks", {"GET": list_webhooks, "POST": add_webhook}),
    (
        LIST + r"/webhooks/(?P<webhook_id>[^/]+)",
        {"GET": get_webhook, "PATCH": change_webhook, "DELETE": remove_webhook},
    ),
)
ROUTES = [(re.compile(path), handlers) for path, handlers in PATHS]
