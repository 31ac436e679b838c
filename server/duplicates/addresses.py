"""How alike two email addresses or phone numbers are. Folding serves this comparison only and never says who is who."""

import re
from collections.abc import Collection
from enum import Enum
from typing import Final

import msgspec
from rapidfuzz.distance import OSA

from server.duplicates.names import is_near, is_short_form, plain_spelling

_LOCAL_MIN: Final = 5
"""Characters of a local part below which one letter makes another person's address."""
_TELLING_DIGITS: Final = 2
_DOMAIN_SLIPS: Final = 2
_PHONE_DIGITS_MIN: Final = 9
_DIGITS = re.compile(r"[0-9]+")
_YEAR = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}(?![0-9])")
"""Of those who add their year of birth to their name there are many."""
_LETTERS = re.compile(r"[a-z]+")
_ALIASES: Final = {"googlemail.com": "gmail.com"}
# Where people have mailboxes: two of these are two places, however alike they look.
_PROVIDERS: Final = frozenset(
    (
        "gmail.com", "yahoo.com", "hotmail.com", "outlook.com", "live.com", "icloud.com", "me.com", "mac.com", "aol.com",
        "gmx.de", "gmx.net", "gmx.at", "gmx.com", "web.de", "t-online.de", "mail.com", "email.com", "mail.ru", "yandex.ru",
        "ymail.com", "hotmail.co.uk", "yahoo.co.uk", "btinternet.com", "proton.me", "protonmail.com", "wp.pl", "orange.fr",
        "free.fr", "laposte.net", "libero.it", "qq.com", "163.com", "126.com", "msn.com", "hotmail.fr", "yahoo.fr",
        "hotmail.es", "yahoo.es", "yahoo.de", "outlook.de", "outlook.fr", "outlook.es", "live.co.uk", "live.fr",
    )
)  # fmt: skip
# Mailboxes of an office: whoever shares one is no one person.
_OFFICES: Final = frozenset(
    ("info", "office", "sales", "admin", "contact", "kontakt", "mail", "post", "shop", "hello", "team", "accounts", "reception")
)  # fmt: skip


class AddressLikeness(Enum):
    """How two addresses stand to each other, the strongest first."""

    SAME = "same"
    FOLDED = "folded"
    SLIP = "slip"
    NEAR_NAME = "near_name"
    ELSEWHERE = "elsewhere"
    NAME_ELSEWHERE = "name_elsewhere"
    OTHER = "other"


ORDER: Final = {likeness: number for number, likeness in enumerate(AddressLikeness)}


class Email(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An address taken apart.

    Attributes:
        mailbox: The local part without what providers ignore: dots, and all from a plus sign on.
        telling: The local part says more than the person's name: a number or other letters.
        unusual: It says so much more that hardly anybody else would think of it.
    """

    key: str
    mailbox: str
    domain: str
    telling: bool
    unusual: bool
    verified: bool
    office: bool


def read_email(key: str, *, verified: bool, name_words: Collection[str]) -> Email:
    """Return an address in its parts."""
    local, _, domain = key.rpartition("@")
    plain = local.partition("+")[0]
    mailbox = plain.replace(".", "") or local
    digits, letters = _count_rest(plain, name_words)
    return Email(
        key=key,
        mailbox=mailbox,
        domain=_ALIASES.get(domain, domain),
        telling=digits >= _TELLING_DIGITS or letters >= _LOCAL_MIN,
        unusual=(digits > _TELLING_DIGITS and not _YEAR.search(plain)) or letters >= _LOCAL_MIN,
        verified=verified,
        office=mailbox in _OFFICES,
    )


def _count_rest(local: str, name_words: Collection[str]) -> tuple[int, int]:
    """Return the digits and letters of a local part that are not the name; what is left of "jsmith" is an initial."""
    rest = plain_spelling(local)
    names = [plain_spelling(word) for word in sorted(name_words, key=len, reverse=True) if len(word) > 1]
    for name in names:
        rest = rest.replace(name, " ", 1)
    words = _LETTERS.findall(rest)
    if sum(map(len, words)) >= _LOCAL_MIN:
        # Bill's mailbox may well be called William.
        words = [word for word in words if not any(is_near(word, name) or is_short_form(word, name) for name in names)]
    return len("".join(_DIGITS.findall(rest))), len("".join(words))


def compare_emails(one: Email, other: Email) -> AddressLikeness:
    """Return how two addresses stand to each other."""
    if one.key == other.key:
        return AddressLikeness.SAME
    if one.mailbox == other.mailbox:
        return _compare_domains(one, other)
    if one.domain != other.domain or min(len(one.mailbox), len(other.mailbox)) < _LOCAL_MIN:
        return AddressLikeness.OTHER
    if OSA.distance(one.mailbox, other.mailbox, score_cutoff=1) > 1 or _differ_in_number(one.mailbox, other.mailbox):
        return AddressLikeness.OTHER
    return AddressLikeness.SLIP if one.telling and other.telling else AddressLikeness.NEAR_NAME


def _compare_domains(one: Email, other: Email) -> AddressLikeness:
    if one.domain == other.domain:
        return AddressLikeness.FOLDED
    both_real = one.domain in _PROVIDERS and other.domain in _PROVIDERS
    if not both_real and len(one.mailbox) >= _LOCAL_MIN and _is_domain_slip(one.domain, other.domain):
        return AddressLikeness.SLIP
    if one.office or other.office or len(one.mailbox) < _LOCAL_MIN:
        return AddressLikeness.OTHER
    return AddressLikeness.ELSEWHERE if one.unusual and other.unusual else AddressLikeness.NAME_ELSEWHERE


def _is_domain_slip(one: str, other: str) -> bool:
    slips = OSA.distance(one, other, score_cutoff=_DOMAIN_SLIPS)
    # A short domain is another firm's by two letters.
    return slips <= (_DOMAIN_SLIPS if min(len(one), len(other)) > _PHONE_DIGITS_MIN else 1)


def _differ_in_number(one: str, other: str) -> bool:
    """Return whether the letters are the same: providers hand out anna1 to one and anna2 to the next."""
    return _DIGITS.sub("", one) == _DIGITS.sub("", other)


def is_near_phone(one: str, other: str) -> bool:
    """Return whether two numbers in international form differ by one slip."""
    return min(len(one), len(other)) > _PHONE_DIGITS_MIN and OSA.distance(one, other, score_cutoff=1) == 1
