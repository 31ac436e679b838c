"""How the text in the one search box is read: the kind of text decides which index answers."""

import re

import msgspec
from phonenumbers import country_code_for_region

from server.customers.rules import fold_name, parse_email
from server.errors import Invalid
from shared.codes import card_of, normalise_card_number
from shared.limits import SEARCH_DIGITS_MIN, SEARCH_LETTERS_MIN

PHONE_SUFFIX_MIN = 4  # Three last digits match a thousandth of all customers: too many to be a find.
_DIGITS = re.compile(r"[\d+().\s/-]+")
_WITHOUT_DIGITS = re.compile(r"\D")


class EmailQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Text with an @: the beginning of an address key."""

    prefix: str


class DigitsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Digits: a card number, the beginning of a phone number, or its last digits (reversed, empty if too few)."""

    card: str
    phone_prefix: str
    phone_reversed: str


class CardQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Letters and digits mixed: a card number of another make, or else a name such as Studio54."""

    card: str
    name_prefix: str


class NameQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Letters: the beginning of any word of a name."""

    prefix: str


class TooShort(msgspec.Struct, frozen=True, kw_only=True):
    """Not enough to search by; `hint` says how much is."""

    read_as: str
    hint: str


Reading = EmailQuery | DigitsQuery | CardQuery | NameQuery | TooShort


def read_query(text: str, country: str) -> Reading:
    """Return what a search text asks for.

    Args:
        text: As typed or scanned, blanks and all.
        country: ISO 3166 code for phone numbers written without a country.
    """
    text = card_of(text.strip())
    if "@" in text:
        return _read_email(text)
    if _DIGITS.fullmatch(text):
        return _read_digits(text, country)
    if any(character.isdigit() for character in text) and " " not in text:
        return CardQuery(card=normalise_card_number(text), name_prefix=fold_name(text))
    prefix = fold_name(text)
    if len(prefix) < SEARCH_LETTERS_MIN:
        return TooShort(
            read_as="name", hint=f"Type at least {SEARCH_LETTERS_MIN} letters or {SEARCH_DIGITS_MIN} digits."
        )
    return NameQuery(prefix=prefix)


def _read_email(text: str) -> Reading:
    local, _, domain = text.partition("@")
    if not local:
        return TooShort(read_as="email", hint="Type what comes before the @ too.")
    try:
        return EmailQuery(prefix=parse_email(text, "q").key)
    except Invalid:
        # Not a whole address yet: what there is of it, written as keys are.
        return EmailQuery(prefix=f"{local.lower() if local.isascii() else local}@{domain.lower()}")


def _read_digits(text: str, country: str) -> Reading:
    digits = _WITHOUT_DIGITS.sub("", text)
    if len(digits) < SEARCH_DIGITS_MIN:
        return TooShort(read_as="phone or card", hint=f"Type at least {SEARCH_DIGITS_MIN} digits.")
    suffix = digits if len(digits) >= PHONE_SUFFIX_MIN else ""
    return DigitsQuery(card=digits, phone_prefix=_phone_prefix(text, digits, country), phone_reversed=suffix[::-1])


def _phone_prefix(text: str, digits: str, country: str) -> str:
    """Return how the E.164 key of a number that begins with these digits begins."""
    if text.startswith("+"):
        return f"+{digits}"
    if digits.startswith("00"):
        return f"+{digits[2:]}"
    return f"+{country_code_for_region(country)}{digits.removeprefix('0')}"
