"""What is known of a customer for this purpose, and the keys by which customers who may be one person are brought together.

Every key joins two facts, or one that few people share, so that a common name alone brings nobody together: otherwise a
million customers would make billions of pairs. What a slip spoils in one key another one saves.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from server.customers.rules import fold_name
from server.duplicates.addresses import Email, read_email
from server.duplicates.names import PersonName, read_name, sound

BLOCK_MAX: Final = 25
"""People who share a key; a key of more people says nothing about any two of them."""
_TOKENS_MAX: Final = 3
_HALF_DIGITS: Final = 4
_END_CHARACTERS: Final = 4


class Birth(msgspec.Struct, frozen=True):
    """A birthday, perhaps without its year."""

    year: int | None
    month: int
    day: int


class KnownAddress(msgspec.Struct, frozen=True):
    """An address that is or was a customer's."""

    kind: str
    key: str
    verified: bool


class Person(msgspec.Struct, frozen=True, kw_only=True):
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


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A customer made ready to be compared."""

    id: UUID
    kind: str
    name: PersonName
    birth: Birth | None
    emails: tuple[Email, ...]
    phones: tuple[str, ...]
    proven_phones: frozenset[str]
    post_code: str
    street: str
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
        post_code="".join(fold_name(person.post_code).split()),
        street=fold_name(person.postal_address),
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
            for family in families:
                yield f"begin {family} {email.mailbox[:_END_CHARACTERS]} {email.domain}"
                yield f"end {family} {email.mailbox[-_END_CHARACTERS:]} {email.domain}"
    for phone in profile.phones:
        yield f"phone {phone}"
        for family in families:
            yield f"last {family} {phone[-_HALF_DIGITS:]}"
            yield f"middle {family} {phone[-2 * _HALF_DIGITS : -_HALF_DIGITS]}"


def _birth_keys(profile: Profile) -> Iterable[str]:
    birth = profile.birth
    if birth is None:
        return
    given, family = profile.name.given[:_TOKENS_MAX], profile.name.family[:_TOKENS_MAX]
    for word in family or given:
        yield f"day {birth.month} {birth.day} {sound(word)}"
    if birth.year is None:
        return
    for word in (*given, *family):
        # Finds who married, and who wrote the names the other way round.
        yield f"born {birth.year} {birth.month} {birth.day} {sound(word)}"
    if profile.post_code:
        yield f"born {birth.year} {birth.month} {birth.day} {profile.post_code}"
    if given and family:
        # Finds a day or month that was written wrongly.
        yield f"year {birth.year} {sound(given[0])} {sound(family[-1])}"


def _other_keys(profile: Profile) -> Iterable[str]:
    for record in profile.records:
        yield f"record {record}"
    given, family = profile.name.given, profile.name.family
    if profile.post_code and given and family:
        # In a village the family is enough, in a town it takes the given name as well.
        yield f"place {profile.post_code} {sound(family[-1])}"
        yield f"place {profile.post_code} {' '.join(sorted((sound(given[0]), sound(family[-1]))))}"


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), signed=True)
