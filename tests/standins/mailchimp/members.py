"""Writing one contact: what is created, changed, renamed, archived, forgotten, and what is refused.

Choices on the strict or the dangerous side where the real service is not documented:
- A cleaned contact takes no edit at all (400 Member In Compliance State).
- Archiving hides an opt-out, so `status` on an archived contact is always obeyed. A client that archives somebody who opted
  out and later subscribes them again does harm here as it would at Mailchimp; a test can see it in the contact.
- `cleaned` cannot be archived (405), nor can `pending`.
The real service refuses the reserved domains (example.com, .test, .invalid) as fake; this one takes them.
"""

import ipaddress
import re
from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from tests.standins.mailchimp.fields import check_value_shapes, merged_values
from tests.standins.mailchimp.problems import (
    FieldError,
    forgotten_email,
    invalid_address,
    invalid_field,
    invalid_resource,
    member_exists,
    member_in_compliance_state,
    method_not_allowed,
    resource_not_found,
)
from tests.standins.mailchimp.state import (
    Audience,
    Contact,
    MergeValue,
    ShownStatus,
    Status,
    instant_text,
    subscriber_hash,
)

ADDRESS_PATTERN = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
ADDRESS_LENGTH_MAX = 254
# How a rename's refusal names the status of the contact in the way.
STATUS_WORDS: dict[ShownStatus, str] = {
    "subscribed": "Subscribed",
    "unsubscribed": "Unsubscribed",
    "cleaned": "Cleaned",
    "pending": "Pending",
    "transactional": "Non-Subscribed",
    "archived": "Deleted",
}


class MemberBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may say about one contact. Unknown properties are passed over, as the real service does."""

    email_address: str | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    status_if_new: Status | UnsetType = UNSET
    merge_fields: dict[str, object] | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    email_type: str | UnsetType = UNSET
    language: str | UnsetType = UNSET
    vip: bool | UnsetType = UNSET
    ip_signup: str | UnsetType = UNSET
    ip_opt: str | UnsetType = UNSET
    timestamp_signup: str | UnsetType = UNSET
    timestamp_opt: str | UnsetType = UNSET


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One checked request to write a contact."""

    body: MemberBody
    validate: bool
    now: datetime

    @property
    def values(self) -> dict[str, MergeValue]:
        """Return the merge values; `check_body` has seen to their shapes."""
        return msgspec.convert(self.body.merge_fields or {}, type=dict[str, MergeValue])


def check_body(body: MemberBody, *, prefix: str = "") -> None:
    """Refuse what breaks the schema of a contact.

    Raises:
        Problem: 400, its field names beginning with `prefix`.
    """
    check_value_shapes(body.merge_fields or {}, prefix=prefix)
    for name in ("ip_signup", "ip_opt"):
        if value := getattr(body, name) or "":
            try:
                ipaddress.ip_address(value)
            except ValueError as error:
                raise invalid_field(prefix + name, "This is not an IP address.") from error
    for name in ("timestamp_signup", "timestamp_opt"):
        if value := getattr(body, name) or "":
            try:
                datetime.fromisoformat(value)
            except ValueError as error:
                raise invalid_field(prefix + name, "This is not an ISO 8601 time.") from error
    if body.email_type not in (UNSET, "", "html", "text"):
        raise invalid_field(prefix + "email_type", "The type is html or text.")


def find_contact(audience: Audience, subject: str) -> Contact | None:
    """Find a contact by any of the three names a path may give it: hash, plain address, or contact id."""
    key = subscriber_hash(subject) if "@" in subject else subject
    if key in audience.contacts:
        return audience.contacts[key]
    return next((contact for contact in audience.contacts.values() if contact.contact_id == subject), None)


def get_contact(audience: Audience, subject: str) -> Contact:
    contact = find_contact(audience, subject)
    if contact is None:
        raise resource_not_found()
    return contact


def put_member(audience: Audience, subject: str, write: Write) -> Contact:
    missing = [name for name in ("email_address", "status_if_new") if getattr(write.body, name) is UNSET]
    if missing:
        raise invalid_resource(*(FieldError(field=name, message="This field is required.") for name in missing))
    existing = find_contact(audience, subject)
    if existing is not None:
        return change_contact(audience, existing, write)
    return create_contact(audience, write)


def post_member(audience: Audience, write: Write) -> Contact:
    missing = [name for name in ("email_address", "status") if getattr(write.body, name) is UNSET]
    if missing:
        raise invalid_resource(*(FieldError(field=name, message="This field is required.") for name in missing))
    contact = create_contact(audience, write)
    return add_tags(audience, contact, write) if write.body.tags else contact


def create_contact(audience: Audience, write: Write) -> Contact:
    """Add a contact that is not there yet.

    Raises:
        Problem: The address is not one, is known already, was refused, or was permanently deleted.
    """
    address = _checked_address(audience, write.body)
    key = subscriber_hash(address)
    if key in audience.contacts:
        raise member_exists(address)
    if key in audience.forgotten:
        raise forgotten_email(address)
    status = write.body.status if write.body.status is not UNSET else write.body.status_if_new
    if status is UNSET:
        raise invalid_resource(FieldError(field="status", message="Give status or status_if_new."))
    values = merged_values(audience, {}, write.values, validate=write.validate)
    blank = Contact(email_address=address, status="transactional", web_id=audience.new_id(), last_changed="")
    contact = _with_details(_with_status(blank, status, write), write)
    contact = msgspec.structs.replace(contact, merge_fields=values, last_changed=instant_text(write.now))
    audience.contacts[key] = contact
    return contact


def change_contact(audience: Audience, contact: Contact, write: Write) -> Contact:
    """Write to a contact that is there: rename it if asked, change its status if told, and set its values.

    `status_if_new` has no say here. Without `status`, an archived contact stays archived and only its data change.

    Raises:
        Problem: Something in the request is refused; nothing has changed then.
    """
    if contact.status == "cleaned":
        raise member_in_compliance_state(contact.email_address, "it is cleaned, and so closed to edits")
    changed = _renamed(audience, contact, write.body)
    if write.body.status is not UNSET:
        changed = _with_status(changed, write.body.status, write)
    values = merged_values(audience, contact.merge_fields, write.values, validate=write.validate)
    changed = _with_details(msgspec.structs.replace(changed, merge_fields=values), write)
    if changed != contact:
        changed = msgspec.structs.replace(changed, last_changed=instant_text(write.now))
    return replace_contact(audience, contact, changed)


def replace_contact(audience: Audience, old: Contact, new: Contact) -> Contact:
    """Put `new` in the place of `old`, under its own address, keeping the order in which contacts were made."""
    if old.subscriber_hash == new.subscriber_hash:
        audience.contacts[old.subscriber_hash] = new
    else:
        del audience.contacts[old.subscriber_hash]
        audience.contacts[new.subscriber_hash] = new
    return new


def archive_contact(audience: Audience, contact: Contact, now: datetime) -> None:
    if contact.archived or contact.status in ("pending", "cleaned"):
        raise method_not_allowed(f"This contact is {contact.shown_status} and cannot be archived.")
    archived = msgspec.structs.replace(contact, archived=True, last_changed=instant_text(now))
    replace_contact(audience, contact, archived)


def forget_contact(audience: Audience, contact: Contact) -> None:
    """Delete a contact for good. Its address can then come back only by the person's own sign-up."""
    del audience.contacts[contact.subscriber_hash]
    audience.forgotten.add(contact.subscriber_hash)


def add_tags(audience: Audience, contact: Contact, write: Write, *, only_these: bool = False) -> Contact:
    """Give a contact the tags of a write; with `only_these`, take every other tag away."""
    names = write.body.tags or []
    now = instant_text(write.now)
    tags = {} if only_these else dict(contact.tags)
    for name in names:
        audience.tag_id(name)
        tags[name] = contact.tags.get(name, now)
    if tags == contact.tags:
        return contact
    return replace_contact(audience, contact, msgspec.structs.replace(contact, tags=tags, last_changed=now))


def _checked_address(audience: Audience, body: MemberBody) -> str:
    address = body.email_address or ""
    if not ADDRESS_PATTERN.fullmatch(address) or len(address) > ADDRESS_LENGTH_MAX:
        raise invalid_address("Please provide a valid email address.")
    match audience.refusals.get(subscriber_hash(address)):
        case "fake":
            raise invalid_address(f"{address} looks fake or invalid; please give a real address.")
        case "too_many_signups":
            raise invalid_address(f"{address} has signed up to a lot of lists very recently; it is not taken now.")
        case _:
            return address


def _renamed(audience: Audience, contact: Contact, body: MemberBody) -> Contact:
    """Return the contact with the address of the request.

    Raises:
        Problem: The address is another one, and the contact is not subscribed or the new address is not free.
    """
    if body.email_address in (UNSET, contact.email_address):
        return contact
    address = _checked_address(audience, body)
    key = subscriber_hash(address)
    if key != contact.subscriber_hash:
        if contact.shown_status != "subscribed":
            raise _rename_refused(f"The address of a contact that is {STATUS_WORDS[contact.shown_status]} is fixed.")
        other = audience.contacts.get(key)
        if other is not None:
            raise _rename_refused(f"{address} is in this audience already, as {STATUS_WORDS[other.shown_status]}.")
        if key in audience.forgotten:
            raise forgotten_email(address)
    return msgspec.structs.replace(contact, email_address=address)


def _rename_refused(message: str) -> Exception:
    # The real service writes this field with a blank.
    return invalid_field("email address", message)


def _with_status(contact: Contact, status: Status, write: Write) -> Contact:
    """Return the contact in a status that the API asked for.

    Raises:
        Problem: 400 Member In Compliance State: only the person can undo what the person chose.
    """
    if status == "subscribed" and contact.opted_out_by_person and not contact.archived:
        raise member_in_compliance_state(contact.email_address, "this person opted out and must opt in again")
    now = instant_text(write.now)
    came_in = status == "subscribed" and contact.shown_status != "subscribed"
    went_out = status == "unsubscribed" and contact.shown_status != "unsubscribed"
    # A repeated `pending` sends no second confirmation mail.
    asked = status == "pending" and contact.shown_status != "pending"
    return msgspec.structs.replace(
        contact,
        status=status,
        archived=False,
        opted_out_by_person=contact.opted_out_by_person and status != "subscribed",
        confirmations_sent=contact.confirmations_sent + asked,
        timestamp_opt=now if came_in else contact.timestamp_opt,
        unsubscribed_at=now if went_out else contact.unsubscribed_at,
        unsubscribe_reason="N/A (Unsubscribed by admin)" if went_out else contact.unsubscribe_reason,
    )


def _with_details(contact: Contact, write: Write) -> Contact:
    names = ("email_type", "language", "vip", "ip_signup", "ip_opt", "timestamp_signup", "timestamp_opt")
    given = {name: getattr(write.body, name) for name in names if getattr(write.body, name) is not UNSET}
    return msgspec.structs.replace(contact, **given)
