"""Card numbers and codes: how they are built, checked and recognised by service and console alike."""

from shared.limits import CARD_LENGTH, CARD_PREFIX, CLAIM_CODE_LENGTH, PRESENCE_DIGITS, VOUCHER_CODE_LENGTH

_CARD_WITH_CODE_MIN = 8


def check_digit(digits: str) -> str:
    """Return the GS1 check digit of a number without it (GS1 General Specifications, 7.9)."""
    weighted = sum(int(digit) * (3 if position % 2 == 0 else 1) for position, digit in enumerate(reversed(digits)))
    return str(-weighted % 10)


def make_card_number(random_digits: str) -> str:
    """Return the card number over random digits, CARD_LENGTH minus prefix and check digit of them."""
    body = CARD_PREFIX + random_digits
    assert len(body) == CARD_LENGTH - 1
    return body + check_digit(body)


def normalise_card_number(text: str) -> str:
    """Return a typed or scanned card number without blanks and dashes."""
    return "".join(text.split()).replace("-", "").upper()


def is_card_number(text: str) -> bool:
    """Return whether a text is a card number of ours by length, prefix and check digit."""
    return (
        len(text) == CARD_LENGTH
        and text.isascii()
        and text.isdigit()
        and text.startswith(CARD_PREFIX)
        and check_digit(text[:-1]) == text[-1]
    )


def card_of(scanned: str) -> str:
    """Return the card number of what the app's QR code holds, card and digits in one; any other text as it is."""
    card, dot, digits = scanned.partition(".")
    is_code = len(digits) == PRESENCE_DIGITS and digits.isascii() and digits.isdigit()
    # So long a card and these digits are more than any phone number has, which may be written with a dot as well.
    is_card = len(card) >= _CARD_WITH_CODE_MIN and card.isascii() and card.isalnum()
    return card if dot and is_code and is_card else scanned


# Crockford's base 32: no I, L, O or U, so that a code read aloud or off a receipt has one reading.
CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_VALUES = {character: value for value, character in enumerate(CODE_ALPHABET)}
_CODE_TWINS = str.maketrans("OIL", "011")
_GROUP = 4


def check_character(text: str) -> str:
    """Return the check character of a code in CODE_ALPHABET; one wrong or two swapped characters never fit it.

    The characters are the coefficients of a polynomial over GF(32); the check character makes its value at the
    generator 0.
    """
    remainder = 0
    for character in text:
        remainder = _times_generator(remainder) ^ _CODE_VALUES[character]
    return CODE_ALPHABET[_times_generator(remainder)]


def make_voucher_code(random_characters: str) -> str:
    """Return the voucher code over VOUCHER_CODE_LENGTH - 1 random characters, in groups: `XXXX-XXXX-XXXX`."""
    assert len(random_characters) == VOUCHER_CODE_LENGTH - 1
    return _in_groups(random_characters + check_character(random_characters))


def make_claim_code(random_characters: str) -> str:
    """Return the claim code over CLAIM_CODE_LENGTH - 1 random characters, in groups: `XXXX-XXXX-XXXX-XXXX`."""
    assert len(random_characters) == CLAIM_CODE_LENGTH - 1
    return _in_groups(random_characters + check_character(random_characters))


def normalise_voucher_code(text: str) -> str:
    """Return a typed or scanned code in capitals without blanks and dashes, with O, I and L read as 0, 1 and 1."""
    return "".join(text.split()).replace("-", "").upper().translate(_CODE_TWINS)


def normalise_claim_code(text: str) -> str:
    """Return a typed or scanned claim code in the same manner; the link of a letter's QR code is read as its code."""
    return normalise_voucher_code(text.rpartition("#")[2])


def is_voucher_code(code: str) -> bool:
    """Return whether a normalised code can be a voucher's by length, characters and check character."""
    return len(code) == VOUCHER_CODE_LENGTH and _is_whole(code)


def is_claim_code(code: str) -> bool:
    """Return whether a normalised code can be a claim code by length, characters and check character."""
    return len(code) == CLAIM_CODE_LENGTH and _is_whole(code)


def _is_whole(code: str) -> bool:
    return all(character in _CODE_VALUES for character in code) and check_character(code[:-1]) == code[-1]


def _in_groups(code: str) -> str:
    return "-".join(code[start : start + _GROUP] for start in range(0, len(code), _GROUP))


def _times_generator(value: int) -> int:
    value <<= 1
    return value ^ 0b100101 if value & 0b100000 else value
