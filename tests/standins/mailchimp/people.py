"""What people do at Mailchimp themselves, past the API: the cause of webhooks and of compliance states."""

from datetime import datetime
from typing import Literal, assert_never

import msgspec

from tests.standins.mailchimp.fields import merged_values
from tests.standins.mailchimp.members import replace_contact
from tests.standins.mailchimp.state import (
    Audience,
    Contact,
    MergeValue,
    instant_text,
    subscriber_hash,
)
from tests.standins.mailchimp.webhooks import Notice, contact_data

ActionName = Literal["subscribe", "unsubscribe", "complain", "bounce", "archive", "change_email", "change_profile"]


class NoSuchPerson(Exception):
    """The audience has no contact with this address, or the new address is taken."""


class PersonAction(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a person does.

    `subscribe` is a sign-up form or the link in a confirmation mail: it alone undoes an opt-out or a permanent deletion.
    `complain` marks a mail as spam, `bounce` is a dead mailbox, and `archive` is done by the shop in Mailchimp's own pages.
    """

    action: ActionName
    email_address: str
    new_email_address: str = ""
    merge_fields: dict[str, MergeValue] = {}
    list_id: str = ""


def act(audience: Audience, action: PersonAction, now: datetime) -> list[Notice]:
    """Carry out an action and return the events it fires, in the order in which they are posted.

    Raises:
        NoSuchPerson: There is no such contact, or the new address is in use.
    """
    if action.action == "subscribe":
        return _subscribe(audience, action, now)
    contact = audience.contacts.get(subscriber_hash(action.email_address))
    if contact is None:
        raise NoSuchPerson(f"{action.email_address} is not in the audience {audience.list_id}.")
    match action.action:
        case "unsubscribe":
            return _opt_out(audience, contact, now, reason="manual")
        case "complain":
            return _opt_out(audience, contact, now, reason="abuse")
        case "bounce":
            changed = msgspec.structs.replace(contact, status="cleaned", archived=False)
            return [_notice("cleaned", _kept(audience, contact, changed, now), audience, now, reason="hard")]
        case "archive":
            changed = _kept(audience, contact, msgspec.structs.replace(contact, archived=True), now)
            return [_notice("unsubscribe", changed, audience, now, action="delete", reason="manual")]
        case "change_email":
            return _change_email(audience, contact, action, now)
        case "change_profile":
            values = merged_values(audience, contact.merge_fields, action.merge_fields, validate=True)
            changed = msgspec.structs.replace(contact, merge_fields=values)
            return [_notice("profile", _kept(audience, contact, changed, now), audience, now)]
        case _:
            assert_never(action.action)


def _subscribe(audience: Audience, action: PersonAction, now: datetime) -> list[Notice]:
    key = subscriber_hash(action.email_address)
    blank = Contact(email_address=action.email_address, status="pending", web_id=audience.new_id(), last_changed="")
    contact = audience.contacts.get(key, msgspec.structs.replace(blank, source="Hosted Signup Form"))
    changed = msgspec.structs.replace(
        contact,
        status="subscribed",
        archived=False,
        opted_out_by_person=False,
        unsubscribe_reason="",
        timestamp_opt=instant_text(now),
        merge_fields=merged_values(audience, contact.merge_fields, action.merge_fields, validate=False),
        last_changed=instant_text(now),
    )
    audience.contacts[key] = changed
    audience.forgotten.discard(key)
    return [_notice("subscribe", changed, audience, now)]


def _opt_out(audience: Audience, contact: Contact, now: datetime, *, reason: str) -> list[Notice]:
    changed = msgspec.structs.replace(
        contact,
        status="unsubscribed",
        archived=False,
        opted_out_by_person=True,
        unsubscribed_at=instant_text(now),
        unsubscribe_reason="N/A" if reason == "manual" else "Reported as spam",
    )
    kept = _kept(audience, contact, changed, now)
    notices = [_notice("unsubscribe", kept, audience, now, action="unsub", reason=reason)]
    if reason == "abuse":
        notices.append(_notice("cleaned", kept, audience, now, reason=reason))
    return notices


def _change_email(audience: Audience, contact: Contact, action: PersonAction, now: datetime) -> list[Notice]:
    new_key = subscriber_hash(action.new_email_address)
    if not action.new_email_address or new_key in audience.contacts:
        raise NoSuchPerson(f"{action.new_email_address} is not a free address.")
    changed = _kept(audience, contact, msgspec.structs.replace(contact, email_address=action.new_email_address), now)
    data: dict[str, str | dict[str, str]] = {
        "list_id": audience.list_id,
        "new_id": changed.unique_email_id,
        "new_email": changed.email_address,
        "old_email": contact.email_address,
    }
    upemail = Notice(type="upemail", fired_at=now, data=data)
    return [upemail, _notice("profile", changed, audience, now)]


def _kept(audience: Audience, contact: Contact, changed: Contact, now: datetime) -> Contact:
    return replace_contact(audience, contact, msgspec.structs.replace(changed, last_changed=instant_text(now)))


def _notice(kind: str, contact: Contact, audience: Audience, now: datetime, **more: str) -> Notice:
    return Notice(type=kind, fired_at=now, data={**contact_data(audience, contact), **more})
