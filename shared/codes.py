"""Card numbers: how they are built, checked and recognised by service and console alike."""

from shared.limits import CARD_LENGTH, CARD_PREFIX


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
