"""Amounts of money: whole numbers of a currency's smallest unit, as the API has them, and how people read them."""

from typing import Final

# ISO 4217; every currency that is not here has two decimals.
_MINOR_DIGITS: Final = dict.fromkeys(
    ("JPY", "KRW", "VND", "CLP", "ISK", "UGX", "XAF", "XOF", "XPF"), 0
) | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)


def minor_digits(currency: str) -> int:
    """Return how many decimals a currency has."""
    return _MINOR_DIGITS.get(currency, 2)


def money(minor: int, currency: str) -> str:
    """Return an amount in minor units with its currency: 17.40 GBP."""
    digits = minor_digits(currency)
    sign, whole = ("-", -minor) if minor < 0 else ("", minor)
    if digits == 0:
        return f"{sign}{whole:,} {currency}"
    unit = 10**digits
    return f"{sign}{whole // unit:,}.{whole % unit:0{digits}} {currency}"
