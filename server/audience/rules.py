"""What a contact should look like at Mailchimp, what an answer means, and what an email change does there. Pure.

The rules follow what Mailchimp's API is known to do, not only what it documents: a routine push never changes anybody's
status, an address that somebody opted out stays the proof of it, and only one contact a person is ever live.
"""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

MergeValue = str | int
MergeValues = Mapping[str, MergeValue]
FieldType = Literal["text", "number", "date"]
Status = Literal["subscribed", "unsubscribed", "pending", "transactional"]

LIVE_STATUSES: Final = ("subscribed", "pending", "transactional")
TAG_LENGTH_MAX: Final = 10
TEXT_BYTES_MAX: Final = 255
BULK_CONTACTS_MAX: Final = 500
CONTACT_TRIES_MAX: Final = 5
MOVED_TAG: Final = "address-changed"
CARRIED_SOURCES: Final = ("email_change", "correction")
"""Sources of a consent event that a change of address took along: it was given for another one, so it raises nothing."""

_BACKOFF_FIRST: Final = timedelta(seconds=5)
_BACKOFF_AFTER_TIMEOUT: Final = timedelta(seconds=30)
_BACKOFF_MAX: Final = timedelta(minutes=15)
_CONTACT_BACKOFF_FIRST: Final = timedelta(minutes=1)
_CONTACT_BACKOFF_MAX: Final = timedelta(hours=6)
_TOO_MANY_SIGNUPS_WAIT: Final = timedelta(days=3)


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A merge field that must exist in the audience. Only what we do not own may be open to the public."""

    tag: str
    name: str
    type: FieldType
    is_ours: bool = True


FIELDS: Final = (
    Field(tag="POINTS", name="Rewards Points", type="number"),
    Field(tag="LASTSEEN", name="Rewards Last Seen", type="date"),
    # Text, as a number would lose leading zeros and digits past the fifteenth.
    Field(tag="CARDNO", name="Rewards Card Number", type="text"),
    Field(tag="MEMBERSINC", name="Rewards Member Since", type="date"),
    # Text, as a list of choices would refuse a tier that was named later.
    Field(tag="TIER", name="Rewards Tier", type="text"),
    Field(tag="STATE", name="Rewards State", type="text"),
    Field(tag="FNAME", name="First Name", type="text", is_ours=False),
    Field(tag="LNAME", name="Last Name", type="text", is_ours=False),
)

RETIRED_VALUES: Final[MergeValues] = {"POINTS": "", "STATE": "moved"}
CLOSED_VALUES: Final[MergeValues] = {"POINTS": "", "STATE": "closed"}


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """The latest word on email at one address."""

    event_id: UUID
    state: Literal["opted_in", "pending", "opted_out"]
    source: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of a contact's customer now.

    `points` and the days are of the default programme; without a membership in it there is no card. `refresh_at` is when
    the points change next by time alone.
    """

    customer_status: str
    given_name: str
    family_name: str
    points: int
    tier: str
    card_number: str
    has_membership: bool
    member_since_at: datetime | None
    last_seen_at: datetime | None
    zone: str
    consent: Consent | None
    refresh_at: datetime | None = None


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """A contact as it should be. `status_if_new` counts only if Mailchimp does not know the address."""

    email: str
    values: dict[str, MergeValue]
    status_if_new: Status


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """A contact as Mailchimp shows it. `archived` hides the status before."""

    contact_id: str
    email: str
    status: str
    values: dict[str, object]


def subscriber_hash(email: str) -> str:
    """Return the name of a contact in Mailchimp's paths: MD5 of the trimmed, lower-cased address.

    Dots and plus-parts stay: to Mailchimp they are other people.
    """
    return hashlib.md5(email.strip().lower().encode(), usedforsecurity=False).hexdigest()


def cut_text(text: str) -> str:
    """Return as much of a text as a merge field holds, 255 bytes of UTF-8, without half a character."""
    return text.encode()[:TEXT_BYTES_MAX].decode(errors="ignore")


# What to send ---------------------------------------------------------------------------------------------------------


def merge_values(snapshot: Snapshot) -> dict[str, MergeValue]:
    """Return the values of the fields that we own, and of the names where we know them.

    A blank name is left out, since what Mailchimp has may be fuller than what the till was told. Nothing else about the
    person leaves the house.
    """
    zone = ZoneInfo(snapshot.zone)
    values: dict[str, MergeValue] = {
        "POINTS": snapshot.points,
        "LASTSEEN": _day(snapshot.last_seen_at, zone),
        "CARDNO": cut_text(snapshot.card_number),
        "MEMBERSINC": _day(snapshot.member_since_at, zone),
        "TIER": cut_text(snapshot.tier),
        "STATE": "active" if snapshot.has_membership else "none",
    }
    for tag, name in (("FNAME", snapshot.given_name), ("LNAME", snapshot.family_name)):
        if name.strip():
            values[tag] = cut_text(name.strip())
    return values


def _day(instant: datetime | None, zone: ZoneInfo) -> str:
    day: date | None = instant and instant.astimezone(zone).date()
    return day.isoformat() if day else ""


def desired_contact(email: str, snapshot: Snapshot, *, is_there: bool, sync_without_consent: bool) -> Desired | None:
    """Return how the contact should be, or None if this person's data must not be sent.

    Args:
        is_there: The audience has a live contact of this person. It is then kept in step also without consent, as a
            balance that is out of date would be worse; who was never asked gets no mail either way.
        sync_without_consent: Whether people who consented to nothing are sent as well, as transactional contacts.
    """
    if is_gone(snapshot):
        return None
    state = snapshot.consent.state if snapshot.consent else None
    is_kept = sync_without_consent or (is_there and state != "opted_out")
    if state != "opted_in" and not is_kept:
        return None
    status: Status
    match state:
        case "opted_in":
            status = "subscribed"
        case "opted_out":
            status = "unsubscribed"
        case _:
            status = "transactional"
    return Desired(email=email, values=merge_values(snapshot), status_if_new=status)


def is_gone(snapshot: Snapshot) -> bool:
    """Return whether the customer is no longer anybody to keep a contact for."""
    return snapshot.customer_status in ("merged", "erased")


def asking_first(desired: Desired, *, double_optin: bool) -> Desired:
    """Return the contact as an audience takes it that asks everybody new to confirm by mail."""
    if double_optin and desired.status_if_new == "subscribed":
        return msgspec.structs.replace(desired, status_if_new="pending")
    return desired


def contact_hash(desired: Desired) -> bytes:
    """Return the hash under which a pushed contact is remembered, 32 bytes; equal means no call is needed."""
    return hashlib.sha256(msgspec.json.encode((desired.email, sorted(desired.values.items())))).digest()


# Consent --------------------------------------------------------------------------------------------------------------


def status_to_set(
    remote: Remote, consent: Consent | None, *, was_pushed: bool, was_archived_by_us: bool, double_optin: bool
) -> Status | None:
    """Return the status that a consent event not yet carried out demands of a contact, or None to leave it.

    Args:
        remote: The contact after its data were written.
        consent: The event, None if the latest one was carried out already.
        was_pushed: We have written to this contact before, so the event is newer than what Mailchimp shows.
        was_archived_by_us: It is archived because we retired it, and is wanted again.
    """
    asks = consent is not None and consent.state == "opted_in" and consent.source not in CARRIED_SOURCES
    raised: Status = "pending" if double_optin else "subscribed"
    if consent is not None and consent.state == "opted_out":
        return None if remote.status in ("unsubscribed", "cleaned") else "unsubscribed"
    match remote.status:
        case "archived" if was_archived_by_us:
            return raised if asks or _is_carried(consent) else "transactional"
        case "archived":
            # Archiving hides whether the person had opted out, so the contact comes back without consent, and only once:
            # where staff archived a contact that we keep in step, it stays archived.
            return None if was_pushed else "transactional"
        case "transactional":
            return raised if asks else None
        case "unsubscribed":
            # Whoever opted out at Mailchimp before we knew them stays out; a fresh opt-in with us may ask again.
            return raised if asks and was_pushed else None
        case _:
            return None


def _is_carried(consent: Consent | None) -> bool:
    return consent is not None and consent.state == "opted_in" and consent.source in CARRIED_SOURCES


# Answers --------------------------------------------------------------------------------------------------------------


class Verdict(StrEnum):
    """What a refusal means for the queue."""

    OUTAGE = "outage"  # Retry everything later, with backoff; no contact is to blame.
    SERVER_ERROR = "server_error"  # Likewise, unless it is always the same contact.
    CONFIGURATION = "configuration"  # Stop until somebody has repaired it and says so.
    PARK = "park"  # This contact, until its data change or staff asks.
    LATER = "later"  # This contact, once more in some days.
    COMPLIANCE = "compliance"  # The person, or a bounce, decided; note it.
    FORGOTTEN = "forgotten"  # Permanently deleted; only the person can come back.
    UNKNOWN_CONTACT = "unknown_contact"


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is not a success. `status` is None when none came; `title` is empty unless a problem document did.

    `fields` are (field, message) pairs. Nothing of it names the person but the messages, which are for staff.
    """

    status: int | None
    title: str = ""
    detail: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    is_timeout: bool = False
    has_document: bool = False


def judge(refusal: Refusal) -> Verdict:
    """Return what a refusal means.

    Status, title and field decide; sentences are localised and serve only to tell two refusals of an address apart.
    """
    match refusal.status:
        case None | 429 | 408:
            return Verdict.OUTAGE
        case 404:
            # The gateway knows the calls whose 404 is about the audience.
            return Verdict.UNKNOWN_CONTACT
        case 403 if not refusal.has_document:
            return Verdict.OUTAGE
        case 401 | 403 | 405 | 426:
            return Verdict.CONFIGURATION
        case 400:
            return _judge_bad_request(refusal)
        case status if status >= 500:
            return Verdict.SERVER_ERROR if refusal.has_document else Verdict.OUTAGE
        case status if 200 <= status < 400:
            # A success that is not what was asked for, or a redirect: a proxy or a CDN speaks, not the service.
            return Verdict.OUTAGE
        case _:
            return Verdict.PARK


def _judge_bad_request(refusal: Refusal) -> Verdict:
    if not refusal.has_document:
        return Verdict.OUTAGE
    match refusal.title:
        case "Member In Compliance State":
            return Verdict.COMPLIANCE
        case "Forgotten Email Not Subscribed":
            return Verdict.FORGOTTEN
        case _:
            pass
    if "a lot of lists very recently" in refusal.detail:
        return Verdict.LATER
    return Verdict.PARK


def parked_reason(refusal: Refusal) -> tuple[str, str | None]:
    """Return the reason and the field to show to staff for a contact that was refused."""
    if refusal.fields:
        field, message = refusal.fields[0]
        return (message or refusal.title or "refused"), field or None
    return (refusal.detail or refusal.title or f"refused with status {refusal.status}"), None


def paused_reason(refusal: Refusal) -> str:
    """Return the reason to show for a queue that stands still."""
    if refusal.status is None:
        return "Mailchimp did not answer in time." if refusal.is_timeout else "Mailchimp cannot be reached."
    if refusal.status == 429:
        return "Mailchimp asked us to slow down (429)."
    return f"Mailchimp answered {refusal.status}{': ' + refusal.title if refusal.title else ''}."


def breaks_own_field(refusal: Refusal) -> bool:
    """Return whether a field that we checked ourselves is refused, as when it was deleted in Mailchimp."""
    return any(field.rpartition(".")[2] in {one.tag for one in FIELDS if one.is_ours} for field, _ in refusal.fields)


def is_rename_refused(refusal: Refusal) -> bool:
    """Return whether a rename failed because of the two addresses' states, not because of the new address itself."""
    return refusal.status == 400 and any(
        field.replace("_", " ").lower() == "email address" for field, _ in refusal.fields
    )


# Patience -------------------------------------------------------------------------------------------------------------


def queue_delay(failures: int, *, is_timeout: bool, jitter: float) -> timedelta:
    """Return how long the whole queue waits after so many failures in a row, 5 s to 15 min.

    Args:
        failures: 1 or more.
        is_timeout: The call was given up; Mailchimp may still be working on it and hold its place, so wait longer.
        jitter: 0 to 1, random; spreads the workers over the second half of the delay.
    """
    first = _BACKOFF_AFTER_TIMEOUT if is_timeout else _BACKOFF_FIRST
    whole = min(first * float(2 ** min(failures - 1, 10)), _BACKOFF_MAX)
    return whole * (0.5 + jitter / 2)


def contact_delay(attempts: int, *, jitter: float) -> timedelta:
    """Return how long one contact waits after so many failures of its own, 1 min to 6 h."""
    whole = min(_CONTACT_BACKOFF_FIRST * float(4 ** min(attempts - 1, 6)), _CONTACT_BACKOFF_MAX)
    return whole * (0.5 + jitter / 2)


def later_delay() -> timedelta:
    """Return how long an address waits that has signed up to too many lists just now."""
    return _TOO_MANY_SIGNUPS_WAIT


def chunk_size(failures: int) -> int:
    """Return how many contacts go into one bulk call: half as many after each failure in a row, at last one.

    What a time-out or an error of a whole call was about is so found by itself, without asking again and again at once.
    """
    return max(1, BULK_CONTACTS_MAX >> min(failures, 10))


# Email changes --------------------------------------------------------------------------------------------------------


class Move(StrEnum):
    """How a person gets from an old contact to a new one."""

    RENAME = "rename"  # The contact keeps its history.
    CREATE = "create"  # The new address becomes a contact of its own.
    MERGE = "merge"  # The new address is in the audience already.


class MovePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with the new address. `status_if_new` caps the one of the desired contact."""

    move: Move
    status_if_new: Status
    lower_to_unsubscribed: bool


def plan_move(old: Remote | None, new: Remote | None, desired: Desired) -> MovePlan:
    """Decide an email change by what Mailchimp has at both addresses.

    Args:
        old: The newest former contact that is still there, None if there is none.
        new: What is at the new address already.

    A rename is tried wherever it may work; Mailchimp refuses it for most states but `subscribed`, and the caller
    then plans again with `without_rename`. A new contact is never subscribed on the strength of the old one.
    """
    opted_out = "unsubscribed" in (old.status if old else "", new.status if new else "", desired.status_if_new)
    if new is not None:
        # An archived contact is lowered too: it becomes the person's present one.
        lower = opted_out and new.status not in ("unsubscribed", "cleaned")
        return MovePlan(move=Move.MERGE, status_if_new=desired.status_if_new, lower_to_unsubscribed=lower)
    if old is None:
        return MovePlan(move=Move.CREATE, status_if_new=desired.status_if_new, lower_to_unsubscribed=False)
    if old.status in _RENAMEABLE.get(desired.status_if_new, ()):
        return MovePlan(move=Move.RENAME, status_if_new=desired.status_if_new, lower_to_unsubscribed=False)
    return without_rename(old, desired)


# A rename takes the status along, so it must not carry a subscription to an address that has no consent.
_RENAMEABLE: Final[Mapping[Status, tuple[str, ...]]] = {
    "subscribed": LIVE_STATUSES,
    "pending": LIVE_STATUSES,
    "transactional": ("transactional",),
}


def without_rename(old: Remote, desired: Desired) -> MovePlan:
    """Return the plan for a former contact that cannot be renamed."""
    status: Status = "unsubscribed" if "unsubscribed" in (old.status, desired.status_if_new) else "transactional"
    return MovePlan(move=Move.CREATE, status_if_new=status, lower_to_unsubscribed=False)


def is_live(remote: Remote | None) -> bool:
    """Return whether a contact can still get mail or be taken for the person's present one."""
    return remote is not None and remote.status in LIVE_STATUSES


def is_blanked(remote: Remote) -> bool:
    """Return whether a retired contact no longer shows a balance."""
    return remote.values.get("POINTS") in ("", None, 0) and remote.values.get("STATE") in ("moved", "closed")
