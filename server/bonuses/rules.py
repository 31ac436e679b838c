"""When bonuses fall due: pure functions."""

from calendar import isleap
from datetime import date, timedelta

from shared.codes import CODE_ALPHABET

BIRTHDAYS_LATE_MAX = timedelta(days=7)
# Less than a year by more than one can be late, and enough that nobody who moves a birthday has it twice.
BIRTHDAYS_APART_MIN = timedelta(days=300)
REFERRAL_CODE_LENGTH = 8


def celebrated_on(day: date) -> tuple[tuple[int, int], ...]:
    """Return the birthdays, as month and day, that fall on a date; those of 29 February on the 28th in other years."""
    if (day.month, day.day) == (2, 28) and not isleap(day.year):
        return ((2, 28), (2, 29))
    return ((day.month, day.day),)


def normalise_referral_code(text: str) -> str:
    """Return a typed code in capitals without blanks and dashes, with O, I and L read as 0, 1 and 1."""
    return "".join(text.split()).replace("-", "").upper().translate(str.maketrans("OIL", "011"))


def make_referral_code(number: int) -> str:
    """Return the code of a random number; there are 32 to the eighth."""
    letters = []
    for _ in range(REFERRAL_CODE_LENGTH):
        number, place = divmod(number, len(CODE_ALPHABET))
        letters.append(CODE_ALPHABET[place])
    return "".join(letters)
