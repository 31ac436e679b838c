"""Whether two customers are one person: evidence for and against, each with its points, added up.

The points are tenths of what doubles the odds, near enough: the same telling thing of two people who have nothing to do
with each other counts much, what members of one household share counts only together with the name, and what can
hardly be true of one person (two given names, two birthdays) counts against it so much that all that twins or a father and
his son share does not make up for it.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final

import msgspec

from server.duplicates.addresses import ORDER, AddressLikeness, compare_emails, is_near_phone
from server.duplicates.names import Likeness, compare_family, compare_given, is_listed, is_same_sound, is_sibling_form
from server.duplicates.places import PlaceLikeness, compare_places
from server.duplicates.rules import Birth, Profile

QUEUE_FROM: Final = 55
"""Points from which a pair is shown to staff."""
RARE_NAME_MAX: Final = 3
USUAL_NAME_MAX: Final = 15
BEARERS_MAX: Final = 51
"""Bearers of a name are counted up to here."""
_KNOWN_GIVEN_MIN: Final = 3
"""A given name that so many bear is a name of its own and no slip."""
_SLIPS_SHARE: Final = 8
"""Of so many who bear a name, one may be on file with a slip in it."""
_PARENT_YEARS: Final = range(15, 56)
"""Years by which somebody may be older than a child of the same name."""

Bearers = Callable[[str], int]
"""How many customers bear a word, or a whole name, up to BEARERS_MAX."""


class Sign(StrEnum):
    """A kind of evidence."""

    GIVEN_SAME = "given_same"
    GIVEN_PART = "given_part"
    GIVEN_SHORT = "given_short"
    GIVEN_NEAR = "given_near"
    GIVEN_INITIAL = "given_initial"
    GIVEN_RELATIVE = "given_relative"
    GIVEN_OTHER = "given_other"
    FAMILY_SAME = "family_same"
    FAMILY_PART = "family_part"
    FAMILY_NEAR = "family_near"
    FAMILY_OTHER = "family_other"
    NAMES_TURNED = "names_turned"
    NAME_RARE = "name_rare"
    NAME_USUAL = "name_usual"
    NAME_COMMON = "name_common"
    GENERATION_OTHER = "generation_other"
    EMAIL_SAME = "email_same"
    EMAIL_FOLDED = "email_folded"
    EMAIL_SLIP = "email_slip"
    EMAIL_NEAR_NAME = "email_near_name"
    EMAIL_ELSEWHERE = "email_elsewhere"
    EMAIL_NAME_ELSEWHERE = "email_name_elsewhere"
    EMAIL_OTHER = "email_other"
    EMAILS_PROVEN = "emails_proven"
    PHONE_SAME = "phone_same"
    PHONE_NEAR = "phone_near"
    PHONE_OTHER = "phone_other"
    PHONES_PROVEN = "phones_proven"
    BIRTHDAY_SAME = "birthday_same"
    BIRTHDAY_DAY_SAME = "birthday_day_same"
    BIRTHDAY_TURNED = "birthday_turned"
    BIRTHDAY_SLIP = "birthday_slip"
    BIRTH_YEAR_OTHER = "birth_year_other"
    BIRTHDAY_AGE = "birthday_age"
    BIRTHDAY_OTHER = "birthday_other"
    ADDRESS_SAME = "address_same"
    ADDRESS_NEAR = "address_near"
    POST_CODE_SAME = "post_code_same"
    POST_CODE_OTHER = "post_code_other"
    RECORD_SAME = "record_same"
    MEMBERSHIP_SAME = "membership_same"
    KIND_OTHER = "kind_other"


POINTS: Final[dict[Sign, int]] = {
    Sign.GIVEN_SAME: 20,
    Sign.GIVEN_PART: 18,
    Sign.GIVEN_SHORT: 18,
    Sign.GIVEN_NEAR: 17,
    Sign.GIVEN_INITIAL: 13,
    Sign.GIVEN_RELATIVE: -75,
    Sign.GIVEN_OTHER: -130,
    Sign.FAMILY_SAME: 8,
    Sign.FAMILY_PART: 6,
    Sign.FAMILY_NEAR: 7,
    Sign.FAMILY_OTHER: -3,
    Sign.NAMES_TURNED: -2,
    Sign.NAME_RARE: 8,
    Sign.NAME_USUAL: 3,
    Sign.NAME_COMMON: -6,
    Sign.GENERATION_OTHER: -60,
    Sign.EMAIL_SAME: 42,
    Sign.EMAIL_FOLDED: 34,
    Sign.EMAIL_SLIP: 33,
    Sign.EMAIL_NEAR_NAME: 10,
    Sign.EMAIL_ELSEWHERE: 25,
    Sign.EMAIL_NAME_ELSEWHERE: 6,
    Sign.EMAIL_OTHER: -4,
    Sign.EMAILS_PROVEN: -5,
    Sign.PHONE_SAME: 42,
    Sign.PHONE_NEAR: 35,
    Sign.PHONE_OTHER: -4,
    Sign.PHONES_PROVEN: -10,
    Sign.BIRTHDAY_SAME: 37,
    Sign.BIRTHDAY_DAY_SAME: 24,
    Sign.BIRTHDAY_TURNED: 20,
    Sign.BIRTHDAY_SLIP: 12,
    Sign.BIRTH_YEAR_OTHER: -25,
    Sign.BIRTHDAY_AGE: -4,
    Sign.BIRTHDAY_OTHER: -60,
    Sign.ADDRESS_SAME: 34,
    Sign.ADDRESS_NEAR: 29,
    Sign.POST_CODE_SAME: 19,
    Sign.POST_CODE_OTHER: -2,
    Sign.RECORD_SAME: 30,
    Sign.MEMBERSHIP_SAME: -60,
    Sign.KIND_OTHER: -60,
}

_GIVEN: Final = {
    Likeness.SAME: Sign.GIVEN_SAME,
    Likeness.PART: Sign.GIVEN_PART,
    Likeness.SHORT: Sign.GIVEN_SHORT,
    Likeness.NEAR: Sign.GIVEN_NEAR,
    Likeness.INITIAL: Sign.GIVEN_INITIAL,
    Likeness.RELATIVE: Sign.GIVEN_RELATIVE,
    Likeness.OTHER: Sign.GIVEN_OTHER,
}
_FAMILY: Final = {
    Likeness.SAME: Sign.FAMILY_SAME,
    Likeness.PART: Sign.FAMILY_PART,
    Likeness.NEAR: Sign.FAMILY_NEAR,
    Likeness.OTHER: Sign.FAMILY_OTHER,
}
_EMAIL: Final = {
    AddressLikeness.SAME: Sign.EMAIL_SAME,
    AddressLikeness.FOLDED: Sign.EMAIL_FOLDED,
    AddressLikeness.SLIP: Sign.EMAIL_SLIP,
    AddressLikeness.NEAR_NAME: Sign.EMAIL_NEAR_NAME,
    AddressLikeness.ELSEWHERE: Sign.EMAIL_ELSEWHERE,
    AddressLikeness.NAME_ELSEWHERE: Sign.EMAIL_NAME_ELSEWHERE,
    AddressLikeness.OTHER: Sign.EMAIL_OTHER,
}
_PLACE: Final = {
    PlaceLikeness.SAME: Sign.ADDRESS_SAME,
    PlaceLikeness.NEAR: Sign.ADDRESS_NEAR,
    PlaceLikeness.POST_CODE: Sign.POST_CODE_SAME,
    PlaceLikeness.OTHER: Sign.POST_CODE_OTHER,
}
_FITTING: Final = (Likeness.SAME, Likeness.NEAR, Likeness.PART, Likeness.SHORT)
# With a given name that is the other's, how many others bear it says how much that means.
_ALIKE: Final = frozenset((Sign.GIVEN_SAME, Sign.GIVEN_PART, Sign.GIVEN_SHORT, Sign.GIVEN_NEAR))
# What people of one name in one household have in common; beside it the frequency of the name says nothing.
_SHARED: Final = frozenset(
    (
        Sign.EMAIL_SAME,
        Sign.EMAIL_FOLDED,
        Sign.EMAIL_SLIP,
        Sign.PHONE_SAME,
        Sign.ADDRESS_SAME,
        Sign.ADDRESS_NEAR,
        Sign.RECORD_SAME,
    )
)


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """All evidence about a pair, the weightiest first."""

    points: int
    signs: tuple[Sign, ...]


def compare(one: Profile, other: Profile, bearers: Bearers) -> Verdict:
    """Weigh two customers.

    Args:
        bearers: Counts who bears a name; asked only where it matters.
    """
    signs = [*_compare_names(one, other, bearers), *_compare_rest(one, other)]
    is_one_name = _ALIKE.intersection(signs) and Sign.FAMILY_OTHER not in signs
    if is_one_name and _SHARED.isdisjoint(signs) and _matters(signs):
        signs.append(_frequency(max(bearers(one.name.whole), bearers(other.name.whole))))
    signs.sort(key=lambda sign: -abs(POINTS[sign]))
    return Verdict(sum(POINTS[sign] for sign in signs), tuple(signs))


def _matters(signs: Iterable[Sign]) -> bool:
    total = sum(POINTS[sign] for sign in signs)
    return QUEUE_FROM - POINTS[Sign.NAME_RARE] <= total < QUEUE_FROM - POINTS[Sign.NAME_COMMON]


def _frequency(count: int) -> Sign:
    if count <= RARE_NAME_MAX:
        return Sign.NAME_RARE
    return Sign.NAME_USUAL if count <= USUAL_NAME_MAX else Sign.NAME_COMMON


def _compare_names(one: Profile, other: Profile, bearers: Bearers) -> list[Sign]:
    signs = _compare_as_written(one, other, bearers)
    mine, its = one.name, other.name
    if Sign.GIVEN_OTHER in signs:
        # Which of the two is the wrong way round is not known, so either part may be a short form.
        given, family = compare_given(mine.given, its.family), compare_given(mine.family, its.given)
        if given in _FITTING and family in _FITTING:
            signs = [_GIVEN[given], _FAMILY.get(family, Sign.FAMILY_NEAR), Sign.NAMES_TURNED]
        elif Likeness.UNKNOWN in (given, family) and (given in _FITTING or family in _FITTING):
            # Of one record there is a single name, which is the other's family name if it is none of its given names.
            found = given if given in _FITTING else family
            signs = [_FAMILY.get(found, Sign.FAMILY_NEAR), Sign.NAMES_TURNED]
    if mine.generation != its.generation:
        signs.append(Sign.GENERATION_OTHER)
    return signs


def _compare_as_written(one: Profile, other: Profile, bearers: Bearers) -> list[Sign]:
    signs = []
    given = compare_given(one.name.given, other.name.given)
    if given is Likeness.NEAR and _are_two_names(one.name.given[0], other.name.given[0], bearers):
        given = Likeness.RELATIVE
    elif given is Likeness.RELATIVE and _is_ending_slip(one.name.given[0], other.name.given[0], bearers):
        given = Likeness.NEAR
    if sign := _GIVEN.get(given):
        signs.append(sign)
    if sign := _FAMILY.get(compare_family(one.name.family, other.name.family)):
        signs.append(sign)
    return signs


def _are_two_names(one: str, other: str, bearers: Bearers) -> bool:
    """Return whether two names that differ by a letter and in sound are both borne by several, as Marta and Maria are."""
    if is_same_sound(one, other):
        return False
    fewer, more = sorted((bearers(one), bearers(other)))
    # Where a name is common, so are its slips.
    return fewer >= _KNOWN_GIVEN_MIN and fewer * _SLIPS_SHARE >= more


def _is_ending_slip(one: str, other: str, bearers: Bearers) -> bool:
    """Return whether one is a name and the other, alike but for its ending, is none: Rosie and Rosi, but not Paul and Paula."""
    return one != other and is_sibling_form(one, other) and _is_name(one, bearers) != _is_name(other, bearers)


def _is_name(word: str, bearers: Bearers) -> bool:
    return is_listed(word) or bearers(word) >= _KNOWN_GIVEN_MIN


def _compare_rest(one: Profile, other: Profile) -> list[Sign]:
    signs = [*_compare_mail(one, other), *_compare_phones(one, other)]
    if one.birth and other.birth:
        signs.append(_compare_births(one.birth, other.birth))
    if sign := _PLACE.get(compare_places(one.place, other.place)):
        signs.append(sign)
    if one.records & other.records:
        signs.append(Sign.RECORD_SAME)
    if one.memberships & other.memberships:
        signs.append(Sign.MEMBERSHIP_SAME)
    if one.kind != other.kind:
        signs.append(Sign.KIND_OTHER)
    return signs


def _compare_mail(one: Profile, other: Profile) -> list[Sign]:
    if not one.emails or not other.emails:
        return []
    found = min((compare_emails(mine, its) for mine in one.emails for its in other.emails), key=ORDER.__getitem__)
    proven = any(each.verified for each in one.emails) and any(each.verified for each in other.emails)
    if found is not AddressLikeness.SAME and proven:
        return [_EMAIL[found], Sign.EMAILS_PROVEN]
    return [_EMAIL[found]]


def _compare_phones(one: Profile, other: Profile) -> list[Sign]:
    if not one.phones or not other.phones:
        return []
    if set(one.phones) & set(other.phones):
        return [Sign.PHONE_SAME]
    proven = [Sign.PHONES_PROVEN] if one.proven_phones and other.proven_phones else []
    if any(is_near_phone(mine, its) for mine in one.phones for its in other.phones):
        return [Sign.PHONE_NEAR, *proven]
    return [Sign.PHONE_OTHER, *proven]


def _compare_births(one: Birth, other: Birth) -> Sign:
    same_day = (one.month, one.day) == (other.month, other.day)
    turned = (one.month, one.day) == (other.day, other.month)
    if one.year is None or other.year is None:
        if same_day:
            return Sign.BIRTHDAY_DAY_SAME
        return Sign.BIRTHDAY_SLIP if turned else Sign.BIRTHDAY_OTHER
    if one.year == other.year:
        if same_day or turned:
            return Sign.BIRTHDAY_SAME if same_day else Sign.BIRTHDAY_TURNED
        if one.month == other.month or one.day == other.day:
            return Sign.BIRTHDAY_SLIP
    elif same_day:
        return Sign.BIRTHDAY_SLIP if _is_slip(one.year, other.year) else Sign.BIRTH_YEAR_OTHER
    # Who bears one name in one house is a parent and a child, as nobody calls two children by it.
    return Sign.BIRTHDAY_OTHER if abs(one.year - other.year) in _PARENT_YEARS else Sign.BIRTHDAY_AGE


def _is_slip(one: int, other: int) -> bool:
    """Return whether two years differ by one, in one digit, or by two digits written the other way round."""
    differing = [(mine, its) for mine, its in zip(str(one), str(other), strict=True) if mine != its]
    turned = len(differing) == 2 and differing[0] == differing[1][::-1]
    return len(differing) == 1 or turned or abs(one - other) == 1
