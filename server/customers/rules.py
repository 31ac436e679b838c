"""What makes an address, a phone number, a name and a birthday good, and the keys by which they are compared."""

import re
import unicodedata
from datetime import date

import msgspec
import phonenumbers
from email_validator import EmailNotValidError, validate_email

from server.errors import Invalid
from shared.base import Birthday
from shared.limits import EMAIL_LENGTH_MAX, NAME_KEY_WORDS_MAX
from shared.problems import Code, FieldProblem

_AGE_YEARS_MAX = 120
_LEAP_YEAR = 2000  # A birthday without a year may be the 29th of February.
_PHONE = re.compile(r"\+?[0-9().\s/\u2010-\u2015-]+")
_APOSTROPHES = re.compile("['\u2018\u2019\u02bc`\u00b4]")
_NOT_WORD = re.compile(r"[\W_]+")
# Letters that no decomposition turns into the ones people type when they search.
_PLAIN = str.maketrans({"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"})
# Scripts that one language mixes.
_TOGETHER = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "HANGUL": "CJK", "BOPOMOFO": "CJK"}


class EmailAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An address as given, to write to, and the key by which two addresses are the same."""

    value: str
    key: str


class PhoneNumber(msgspec.Struct, frozen=True, kw_only=True):
    """A number in the international form for people, and its E.164 key."""

    value: str
    key: str


def parse_email(text: str, field: str) -> EmailAddress:
    """Return an address and its key.

    The key's domain is in IDNA's ASCII form; its local part is in lower case only if it is pure ASCII, as no two
    programs agree on the rest. Dots and plus signs count.

    Raises:
        Invalid: EMAIL_INVALID: not an address, or one made to look like another by compatibility characters or mixed
            scripts.
    """
    value = unicodedata.normalize("NFC", text.strip())
    if value != unicodedata.normalize("NFKC", value):
        raise _bad_email(field, "The address holds characters that only look like others.")
    try:
        found = validate_email(value, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError as error:
        raise _bad_email(field, "Write the address as in name@example.com.") from error
    local, domain = found.local_part, (found.ascii_domain or found.domain).lower()
    if len(_scripts(local)) > 1:
        raise _bad_email(field, "The part before the @ mixes letters of several scripts.")
    key = f"{local.lower() if local.isascii() else local}@{domain}"
    if max(len(key.encode()), len(value.encode())) > EMAIL_LENGTH_MAX:
        raise _bad_email(field, f"At most {EMAIL_LENGTH_MAX} bytes.")
    return EmailAddress(value=value, key=key)


def is_reserved(email: EmailAddress) -> bool:
    """Return whether an address is one for tests, which no mail reaches."""
    return email.key.rpartition(".")[2] == "test"


def parse_phone(text: str, country: str) -> PhoneNumber:
    """Return a phone number.

    Args:
        country: ISO 3166 code for numbers written without a country.

    Raises:
        Invalid: Not a number that can exist.
    """
    typed = unicodedata.normalize("NFKC", text.strip())
    if not _PHONE.fullmatch(typed):
        raise _bad_phone()
    try:
        number = phonenumbers.parse(typed, country)
    except phonenumbers.NumberParseException as error:
        raise _bad_phone() from error
    # Possible is enough: the library's lists lag behind new ranges, and only a code sent to it proves a number.
    if not phonenumbers.is_possible_number(number):
        raise _bad_phone()
    return PhoneNumber(
        value=phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL),
        key=phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
    )


def clean_name(text: str, field: str, *, required: bool = False) -> str:
    """Return a name in NFC with single blanks.

    Raises:
        Invalid: It has no letter or digit although it must.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if (name or required) and not any(character.isalnum() for character in name):
        raise Invalid(FieldProblem(field=field, detail="Write a name with at least one letter."))
    return name


def fold_name(text: str) -> str:
    """Return a name's words as they are searched: no case, no accents, single blanks."""
    folded = _APOSTROPHES.sub("", text).casefold()
    if folded.isascii():
        # Most names, in a tenth of the time.
        return " ".join(_NOT_WORD.sub(" ", folded).split())
    decomposed = unicodedata.normalize("NFKD", folded)
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(_NOT_WORD.sub(" ", bare.translate(_PLAIN)).split())


def name_keys(given: str, family: str) -> tuple[str, ...]:
    """Return every rotation of a name's folded words, so that a prefix search finds it by any of them.

    A word with an apostrophe counts in both ways: O'Sullivan is found as "osullivan" and as "sullivan".
    """
    name = f"{given} {family}"
    keys: dict[str, None] = {}
    for spelling in (name, _APOSTROPHES.sub(" ", name)):
        words = fold_name(spelling).split()[:NAME_KEY_WORDS_MAX]
        keys |= dict.fromkeys(" ".join(words[turn:] + words[:turn]) for turn in range(len(words)))
    return tuple(keys)


def check_birthday(birthday: Birthday, today: date) -> None:
    """Refuse a day that does not exist, lies ahead, or is longer ago than anybody lives.

    Raises:
        Invalid: It is one of these.
    """
    try:
        day = date(birthday.year or _LEAP_YEAR, birthday.month, birthday.day)
    except ValueError as error:
        raise Invalid(FieldProblem(field="birthday", detail="There is no such day.")) from error
    if birthday.year is not None and not (today.year - _AGE_YEARS_MAX <= birthday.year and day <= today):
        raise Invalid(FieldProblem(field="birthday.year", detail="This cannot be the year of a birth."))


def mask_email(value: str) -> str:
    """Return an address as staff see it in lists: its first letter and its domain."""
    local, _, domain = value.rpartition("@")
    return f"{local[:1]}…@{domain}"


def _scripts(text: str) -> set[str]:
    # The first word of a letter's Unicode name is its script, near enough for telling twins apart.
    names = (unicodedata.name(letter, "").partition(" ")[0] for letter in text if letter.isalpha())
    return {_TOGETHER.get(name, name) for name in names}


def _bad_email(field: str, detail: str) -> Invalid:
    return Invalid(FieldProblem(field=field, detail=detail), code=Code.EMAIL_INVALID)


def _bad_phone() -> Invalid:
    return Invalid(
        FieldProblem(field="phone", detail="Write the number with its area code, or as in +44 20 7946 0000.")
    )
