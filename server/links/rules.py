"""How POS records are read and matched: values in, values out."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from server.customers.rules import fold_name, parse_email, parse_phone
from server.errors import Invalid
from shared.codes import normalise_card_number
from shared.limits import (
    LINK_ADDRESS_AGE_MIN,
    LINK_ADDRESS_FRESH,
    LINK_CHECK_MONTHLY,
    LINK_CHECKED_OFTEN,
    LINK_RETRY_FIRST,
    LINK_RETRY_MAX,
)
from shared.links import PosRecord
from shared.problems import FieldProblem


class RecordFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A record as it is kept. Keys are what is compared; `notes` says what could not be read and was left out."""

    external_id: str
    given_name: str
    family_name: str
    name_key: str
    email: str | None
    email_key: str | None
    email_since_at: datetime | None
    phone: str | None
    phone_key: str | None
    card_number: str | None
    former_ids: tuple[str, ...]
    changed_at: datetime | None
    removed: bool
    content_hash: bytes
    notes: tuple[str, ...] = ()


def read_record(record: PosRecord, *, country: str, now: datetime, ahead_max: timedelta) -> RecordFacts:
    """Return a record with its keys; contact data that is none is left out with a note, as tills let anything be typed.

    Raises:
        Invalid: A time without an offset or from the future, or a record that was merged into itself.
    """
    notes: list[str] = []
    email = email_key = phone = phone_key = None
    if record.email and record.email.strip():
        try:
            parsed = parse_email(record.email, "email")
            email, email_key = parsed.value, parsed.key
        except Invalid:
            notes.append("email: this is not an address")
    if record.phone and record.phone.strip():
        try:
            number = parse_phone(record.phone, country)
            phone, phone_key = number.value, number.key
        except Invalid:
            notes.append("phone: this is not a number")
    for name, at in (("changed_at", record.changed_at), ("email_since", record.email_since)):
        _check_time(name, at, now + ahead_max)
    if record.external_id in record.former_ids:
        raise Invalid(FieldProblem(field="former_ids", detail="A record cannot be merged into itself."))
    return RecordFacts(
        external_id=record.external_id,
        given_name=_clean(record.given_name),
        family_name=_clean(record.family_name),
        name_key=fold_name(f"{record.given_name} {record.family_name}"),
        email=email,
        email_key=email_key,
        email_since_at=min(record.email_since, now) if record.email_since and email_key else None,
        phone=phone,
        phone_key=phone_key,
        card_number=normalise_card_number(record.card_number) if record.card_number else None,
        former_ids=tuple(dict.fromkeys(record.former_ids)),
        changed_at=record.changed_at,
        removed=record.removed,
        content_hash=_hash(record),
        notes=tuple(notes),
    )


def _check_time(name: str, at: datetime | None, latest: datetime) -> None:
    if at is None:
        return
    if at.tzinfo is None:
        raise Invalid(FieldProblem(field=name, detail="Give the time with its offset from UTC."))
    if at > latest:
        raise Invalid(FieldProblem(field=name, detail="This is in the future."))


def _clean(name: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())


def _hash(record: PosRecord) -> bytes:
    # Times are left out: a record that says the same as before has not changed.
    bare = msgspec.structs.replace(record, changed_at=None, email_since=None)
    return hashlib.sha256(msgspec.json.encode(bare)).digest()


# Matching -------------------------------------------------------------------------------------------------------------


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A record that bears an address the customer has proven. `holder_id` is whose it is."""

    record_id: UUID
    email_since_at: datetime
    card_number: str | None = None
    phone_key: str | None = None
    holder_id: UUID | None = None
    made_here: bool = False


class Outcome(StrEnum):
    """What a look at one till system comes to."""

    NONE = "none"
    LINK = "link"
    LINKED = "linked"
    WAIT = "wait"
    TAKEN = "taken"
    AMBIGUOUS = "ambiguous"


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome, the records it is about, and how the one to be linked was found."""

    outcome: Outcome
    record_ids: tuple[UUID, ...] = ()
    holder_id: UUID | None = None
    method: str = "email"
    until: datetime | None = None


def plan_match(
    candidates: Sequence[Candidate], *, customer_id: UUID, cards: Iterable[str], phones: Iterable[str], now: datetime
) -> Match:
    """Decide what becomes of the records of one till system that bear a customer's proven address.

    One that is free is linked, once the address has been on it long enough. Of several, the customer's card or number
    may single one out; a number by itself never links.

    Args:
        cards: Numbers of the customer's cards.
        phones: Keys of the customer's phone numbers, proven or not.
    """
    real = [one for one in candidates if not one.made_here]
    if not real:
        mine = any(one.holder_id == customer_id for one in candidates)
        return Match(outcome=Outcome.LINKED if mine else Outcome.NONE)
    taken = [one for one in real if one.holder_id not in (None, customer_id)]
    if taken:
        return Match(
            outcome=Outcome.TAKEN,
            record_ids=tuple(one.record_id for one in taken),
            holder_id=taken[0].holder_id,
        )
    free = [one for one in real if one.holder_id is None]
    if not free:
        return Match(outcome=Outcome.LINKED, record_ids=tuple(one.record_id for one in real))
    chosen, method = _single_out(real, cards=set(cards), phones=set(phones))
    if chosen is None or chosen.holder_id is not None:
        return Match(outcome=Outcome.AMBIGUOUS, record_ids=tuple(one.record_id for one in free))
    links_from = chosen.email_since_at + LINK_ADDRESS_AGE_MIN
    if links_from > now:
        return Match(outcome=Outcome.WAIT, record_ids=(chosen.record_id,), method=method, until=links_from)
    return Match(outcome=Outcome.LINK, record_ids=(chosen.record_id,), method=method)


def _single_out(candidates: Sequence[Candidate], *, cards: set[str], phones: set[str]) -> tuple[Candidate | None, str]:
    if len(candidates) == 1:
        return candidates[0], "email"
    for method, fitting in (
        ("card_and_email", [one for one in candidates if one.card_number in cards]),
        ("phone_and_email", [one for one in candidates if one.phone_key in phones]),
    ):
        if len(fitting) == 1:
            return fitting[0], method
    return None, ""


def is_fresh(email_since_at: datetime, now: datetime) -> bool:
    """Return whether an address came onto its record so lately that a link by it is held and told about."""
    return now - email_since_at < LINK_ADDRESS_FRESH


def next_look(asked_at: datetime, now: datetime) -> datetime:
    """Return when a member without a record is looked up again: daily for a month, then monthly.

    What a till sends in the meantime is looked at when it comes; this is for what it does not send.
    """
    often = now - asked_at < LINK_CHECKED_OFTEN
    return now + (timedelta(days=1) if often else LINK_CHECK_MONTHLY)


def retry_at(tries: int, now: datetime) -> datetime:
    """Return when a till system that did not answer is asked again, 1 minute to 6 hours later."""
    return now + min(LINK_RETRY_FIRST * 2.0 ** min(tries, 16), LINK_RETRY_MAX)


def distance(one: str, other: str) -> int:
    """Return how many letters have to be put in, taken out, changed or swapped to make one text of another."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, twin in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != twin))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == twin:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]


# Reading what staff type ----------------------------------------------------------------------------------------------


class RecordQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a search text asks for; what does not apply is empty."""

    email_prefix: str = ""
    card: str = ""
    phone_reversed: str = ""
    external_prefix: str = ""
    name_words: str = ""

    @property
    def is_empty(self) -> bool:
        return self == RecordQuery()


_DIGITS_MIN = 4
_LETTERS_MIN = 2


def read_query(text: str) -> RecordQuery:
    """Return what a text asks for: with an @ an address' beginning; else whatever it may be of a card, the end of a phone
    number, a POS id (each without blanks, digits apart) and the beginnings of words of a name.
    """
    typed = " ".join(text.split())
    if "@" in typed:
        return RecordQuery(email_prefix=_email_prefix(typed))
    bare = "".join(letter for letter in typed if letter.isalnum())
    if len(bare) < _LETTERS_MIN:
        return RecordQuery()
    digits = "".join(letter for letter in bare if letter.isdecimal() and letter.isascii())
    is_number = len(digits) * 2 > len(bare)
    is_one_word = " " not in typed or is_number
    words = [] if is_number else fold_name(typed).split()
    return RecordQuery(
        card=normalise_card_number(typed) if is_one_word and len(bare) >= _DIGITS_MIN else "",
        phone_reversed=digits[::-1] if is_number and len(digits) >= _DIGITS_MIN else "",
        external_prefix=typed if is_one_word else "",
        name_words=" & ".join(f"{word}:*" for word in words),
    )


def _email_prefix(text: str) -> str:
    try:
        return parse_email(text, "q").key
    except Invalid:
        return text.lower()
