"""What the stand-in remembers, and how it survives a restart.

Everything is an immutable struct except the audience itself, so that a write is prepared wholly and then takes effect
in one assignment: a refused request has changed nothing.
"""

import hashlib
import secrets
import uuid
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

Status = Literal["subscribed", "unsubscribed", "cleaned", "pending", "transactional"]
ShownStatus = Literal["subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived"]
Refusal = Literal["fake", "too_many_signups"]
MergeValue = str | int | float | dict[str, str]
FieldType = Literal[
    "text", "number", "address", "phone", "date", "url", "imageurl", "radio", "dropdown", "birthday", "zip"
]


class StateFileBroken(Exception):
    """The state file is there but is not one that this program wrote."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    occurred_at: str
    properties: dict[str, str]
    is_syncing: bool = False


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """One contact of one audience. All times are ISO 8601 in UTC with whole seconds; an empty one is unknown."""

    email_address: str
    status: Status
    web_id: int
    last_changed: str
    archived: bool = False
    # Set when the person, not the API, chose out or complained: the API can then no longer subscribe the contact.
    opted_out_by_person: bool = False
    contact_id: str = msgspec.field(default_factory=lambda: uuid.uuid4().hex)
    unique_email_id: str = msgspec.field(default_factory=lambda: secrets.token_hex(5))
    merge_fields: dict[str, MergeValue] = {}
    # Tag name to the time it was added.
    tags: dict[str, str] = {}
    events: tuple[Event, ...] = ()
    confirmations_sent: int = 0
    unsubscribe_reason: str = ""
    unsubscribed_at: str = ""
    source: str = "API - Generic"
    email_type: str = "html"
    language: str = ""
    vip: bool = False
    ip_signup: str = ""
    timestamp_signup: str = ""
    ip_opt: str = ""
    timestamp_opt: str = ""

    @property
    def subscriber_hash(self) -> str:
        return subscriber_hash(self.email_address)

    @property
    def shown_status(self) -> ShownStatus:
        """Return the status as answers show it: `archived` hides the one before."""
        return "archived" if self.archived else self.status


class MergeField(msgspec.Struct, frozen=True, kw_only=True):
    merge_id: int
    tag: str
    name: str
    type: FieldType
    required: bool = False
    public: bool = False
    default_value: str = ""
    help_text: str = ""
    display_order: int = 0
    options: dict[str, object] = {}


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    url: str
    events: dict[str, bool]
    sources: dict[str, bool]
    # None on a hook that is not signed. Only the answer to its creation shows it.
    signing_secret: str | None


class Audience(msgspec.Struct, kw_only=True):
    """One audience. Contacts are kept by the MD5 of their lower-cased address, merge fields by tag."""

    list_id: str
    name: str = "Regulars"
    double_optin: bool = False
    contacts: dict[str, Contact] = {}
    forgotten: set[str] = set()
    merge_fields: dict[str, MergeField] = {}
    tag_ids: dict[str, int] = {}
    webhooks: dict[str, Webhook] = {}
    refusals: dict[str, Refusal] = {}
    last_id: int = 0

    def new_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def tag_id(self, name: str) -> int:
        if name not in self.tag_ids:
            self.tag_ids[name] = self.new_id()
        return self.tag_ids[name]


class Account(msgspec.Struct, kw_only=True):
    audiences: dict[str, Audience]


def subscriber_hash(email_address: str) -> str:
    """Return the name of a contact in a path: MD5 of the lower-cased address, and nothing else taken away."""
    return hashlib.md5(email_address.lower().encode(), usedforsecurity=False).hexdigest()


def instant_text(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds")


def new_audience(list_id: str, *, double_optin: bool = False) -> Audience:
    """Make an empty audience with the merge fields that Mailchimp gives to every new one."""
    audience = Audience(list_id=list_id, double_optin=double_optin)
    starters: tuple[tuple[str, str, FieldType], ...] = (
        ("FNAME", "First Name", "text"),
        ("LNAME", "Last Name", "text"),
        ("ADDRESS", "Address", "address"),
        ("PHONE", "Phone Number", "phone"),
        ("BIRTHDAY", "Birthday", "birthday"),
    )
    for tag, name, kind in starters:
        merge_id = audience.new_id()
        audience.merge_fields[tag] = MergeField(
            merge_id=merge_id, tag=tag, name=name, type=kind, public=True, display_order=merge_id + 1
        )
    return audience


def load_account(state_file: Path | None, *, list_ids: tuple[str, ...], double_optin: bool) -> Account:
    """Read the account from its file, adding the audiences that are not in it yet.

    Raises:
        StateFileBroken: The file exists and cannot be read as one of ours.
    """
    account = Account(audiences={})
    if state_file is not None and state_file.exists():
        try:
            account = msgspec.json.decode(state_file.read_bytes(), type=Account)
        except (OSError, msgspec.DecodeError) as error:
            raise StateFileBroken(f"{state_file} is not a state file of the Mailchimp stand-in: {error}") from error
    for list_id in list_ids:
        account.audiences.setdefault(list_id, new_audience(list_id, double_optin=double_optin))
    return account


def save_account(state_file: Path, account: Account) -> None:
    """Write the account so that a reader, or a start after a kill, sees the old file or the new one, never half."""
    state_file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = state_file.with_name(state_file.name + ".new")
    unfinished.write_bytes(msgspec.json.encode(account))
    unfinished.replace(state_file)
