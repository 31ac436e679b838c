"""What is known of a customer for this purpose, and the keys by which customers who may be one person are brought together.

Every key joins two facts, or one that few people share, so that a common name alone brings nobody together: otherwise a
million customers would make billions of pairs. What a slip spoils in one key another one saves.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from server.duplicates.addresses import Email, read_email
from server.duplicates.names import PersonName, read_name, sound
from server.duplicates.places import Place, read_place

BLOCK_MAX: Final = 20
"""People who share a key; a key of more people says nothing about any two of them."""
_TOKENS_MAX: Final = 3
_HALF_DIGITS: Final = 4
_END_CHARACTERS: Final = 5


class Birth(msgspec.Struct, frozen=True, gc=False):
    """A birthday, perhaps without its year."""

    year: int | None
    month: int
    day: int


class KnownAddress(msgspec.Struct, frozen=True, gc=False):
    """An address that is or was a customer's."""

    kind: str
    key: str
    verified: bool


class Person(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A customer as on file.

    Attributes:
        memberships: Memberships that the customer is in now.
        records: Till records that are the customer's, or were found to match.
    """

    id: UUID
    kind: str
    given_name: str
    family_name: str
    birth: Birth | None = None
    addresses: tuple[KnownAddress, ...] = ()
    post_code: str = ""
    postal_address: str = ""
    memberships: frozenset[UUID] = frozenset()
    records: frozenset[UUID] = frozenset()


class Profile(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A customer made ready to be compared."""

    id: UUID
    kind: str
    name: PersonName
    birth: Birth | None
    emails: tuple[Email, ...]
    phones: tuple[str, ...]
    proven_phones: frozenset[str]
    place: Place
    memberships: frozenset[UUID]
    records: frozenset[UUID]


def read_profile(person: Person) -> Profile:
    """Return what is compared of a customer."""
    name = read_name(person.given_name, person.family_name)
    words = {*name.given, *name.family}
    emails = (each for each in person.addresses if each.kind == "email")
    phones = [each for each in person.addresses if each.kind == "phone"]
    return Profile(
        id=person.id,
        kind=person.kind,
        name=name,
        birth=person.birth,
        emails=tuple(read_email(each.key, verified=each.verified, name_words=words) for each in emails),
        phones=tuple(each.key for each in phones),
        proven_phones=frozenset(each.key for each in phones if each.verified),
        place=read_place(person.post_code, person.postal_address),
        memberships=person.memberships,
        records=person.records,
    )


def make_keys(profile: Profile) -> list[int]:
    """Return the keys of a customer, as hashes: two people with a key in common are compared."""
    texts = (*_address_keys(profile), *_birth_keys(profile), *_other_keys(profile))
    return sorted({_hash(text) for text in texts})


def _address_keys(profile: Profile) -> Iterable[str]:
    families = [sound(word) for word in (profile.name.family or profile.name.given)[:_TOKENS_MAX]]
    for email in profile.emails:
        # An office's mailbox is kept with its domain; without it, it would be everybody's.
        yield f"email {email.mailbox}@{email.domain}"
        if not email.office:
            yield f"mailbox {email.mailbox}"
        if email.telling:
            half = min(_END_CHARACTERS, len(email.mailbox) // 2)
            for family in families:
                yield f"begin {family} {email.mailbox[:half]} {email.domain}"
                yield f"end {family} {email.mailbox[-half:]} {email.domain}"
    for phone in profile.phones:
        yield f"phone {phone}"
        for family in families:
            yield f"last {family} {phone[-_HALF_DIGITS:]}"
            yield f"middle {family} {phone[-2 * _HALF_DIGITS : -_HALF_DIGITS]}"
            # Finds digits written the other way round where the halves meet.
            yield f"digits {family} {''.join(sorted(phone[-2 * _HALF_DIGITS :]))}"


def _birth_keys(profile: Profile) -> Iterable[str]:
    birth = profile.birth
    if birth is None:
        return
    given, family = profile.name.given[:_TOKENS_MAX], profile.name.family[:_TOKENS_MAX]
    for word in family or given:
        yield f"day {birth.month} {birth.day} {sound(word)} {_initial(given)}"
    if birth.year is None:
        return
    for word in (*given, *family):
        # Finds who married, and who wrote the names the other way round.
        yield f"born {birth.year} {birth.month} {birth.day} {sound(word)}"
    if profile.place.post_code:
        yield f"born {birth.year} {birth.month} {birth.day} {profile.place.post_code}"
    # Finds two names written wrongly, as long as the first begins as it should.
    yield f"born {birth.year} {birth.month} {birth.day} {_initial(given)}"
    if given and family:
        # Finds a day or month that was written wrongly.
        yield f"year {birth.year} {sound(given[0])} {sound(family[-1])}"


def _other_keys(profile: Profile) -> Iterable[str]:
    for record in profile.records:
        yield f"record {record}"
    given, family, place = profile.name.given, profile.name.family, profile.place
    both = " ".join(sorted(sound(word) for word in (*given[:1], *family[-1:])))
    if place.post_code and given and family:
        yield f"place {place.post_code} {both}"
        yield f"place {place.post_code} {_initial(given)} {sound(family[-1])}"
    for number in place.numbers[:_TOKENS_MAX]:
        if place.post_code:
            # Finds one given name in two forms, and whose family name changed or was written wrongly.
            yield f"home {place.post_code} {number} {' '.join(map(sound, family[-1:]))}"
            yield f"home {place.post_code} {number} {_initial(given)}"
        # Finds a post code that was written wrongly.
        yield f"house {number} {both}"


def _initial(words: Sequence[str]) -> str:
    return words[0][0] if words else ""


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), signed=True)
