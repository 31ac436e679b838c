"""What a password must be like, for members and staff alike. No composition rules: they make passwords worse."""

import re
import unicodedata
from collections.abc import Iterable

from zxcvbn import zxcvbn

from server.errors import Invalid
from server.settings import Settings
from shared.limits import PASSWORD_BYTES_MAX, PASSWORD_GUESSED_LENGTH, PASSWORD_OWN_LETTERS_MIN, PASSWORD_SCORE_MIN
from shared.problems import Code, FieldProblem

# zxcvbn looks at no more than this; the first letters alone decide when they are hard enough.
_ESTIMATED_MAX = 72
# What zxcvbn takes for strong although everybody knows it; letters and digits only.
_BLOCKED = frozenset(
    (
        "correcthorsebatterystaple",
        "correcthorsebattery",
        "horsebatterystaple",
        "thequickbrownfox",
        "thequickbrownfoxjumpsoverthelazydog",
        "tobeornottobe",
        "tobeornottobethatisthequestion",
        "maytheforcebewithyou",
        "itwasthebestoftimes",
        "callmeishmael",
        "loremipsumdolor",
        "loremipsumdolorsitamet",
        "onceuponatime",
        "opensesameopensesame",
        "letmeinletmein",
        "changemechangeme",
        "iloveyouforever",
        "youshallnotpass",
        "twinkletwinklelittlestar",
        "happybirthdaytoyou",
        "thisisapassword",
        "thisismypassword",
        "mysecretpassword",
        "loyaltypoints",
        "rewardspoints",
        "rewardscard",
        "loyaltycard",
        "myrewardscard",
        "myloyaltycard",
    )
)
_OUR_WORDS = ("loyalty", "points", "rewards", "regulars", "member", "voucher", "customer")
_KNOWN_WORD_MIN = 3
_NOT_LETTERS = re.compile(r"[\s!-/:-@\[-`{-~]+")


def check_new_password(
    settings: Settings, password: str, *, personal: Iterable[str] = (), field: str = "new_password"
) -> None:
    """Refuse a password that is too short or easily guessed.

    Args:
        personal: What others know about the person: names, email address, sign-in name.
        field: The request's field, named in the refusal.

    Raises:
        Invalid: PASSWORD_WEAK, saying why.
    """
    password = unicodedata.normalize("NFC", password)
    known = _known_words((*personal, settings.shop_name, *_OUR_WORDS))
    if reason := _weakness(password, known, settings.password_length_min):
        raise Invalid(FieldProblem(field=field, detail=reason), code=Code.PASSWORD_WEAK)


def _weakness(password: str, known: list[str], length_min: int) -> str | None:
    if len(password) < length_min:
        return f"At least {length_min} characters."
    if len(password.encode()) > PASSWORD_BYTES_MAX:
        return f"At most {PASSWORD_BYTES_MAX} bytes."
    letters = _NOT_LETTERS.sub("", password.casefold())
    if letters in _BLOCKED or _own_letters_count(letters, known) < PASSWORD_OWN_LETTERS_MIN:
        return "This password is well known, or made of your own name or the shop's."
    # The beginning alone is enough if it is hard to guess; the estimate of long texts takes a tenth of a second.
    start = zxcvbn(password[:PASSWORD_GUESSED_LENGTH], known)
    if start["score"] >= PASSWORD_SCORE_MIN:
        return None
    whole = zxcvbn(password[:_ESTIMATED_MAX], known) if len(password) > PASSWORD_GUESSED_LENGTH else start
    return None if whole["score"] >= PASSWORD_SCORE_MIN else _advice(whole["feedback"])


def _own_letters_count(letters: str, known: list[str]) -> int:
    # A row of known words and a year is what a guesser tries first, however many words it is.
    for word in sorted((_NOT_LETTERS.sub("", word) for word in known), key=len, reverse=True):
        letters = letters.replace(word, "") if len(word) >= _KNOWN_WORD_MIN else letters
    return len(set(letters))


def _advice(feedback: dict[str, object]) -> str:
    suggestions = feedback["suggestions"]
    assert isinstance(suggestions, list)
    sentences = [str(feedback["warning"]), *(str(suggestion) for suggestion in suggestions)]
    return " ".join(sentence.rstrip(".") + "." for sentence in sentences if sentence) or "Add another word or two."


def _known_words(texts: Iterable[str]) -> list[str]:
    words: dict[str, None] = {}
    for text in texts:
        folded = text.casefold()
        for word in (folded, folded.partition("@")[0], *folded.split()):
            if word:
                words[word] = None
    return list(words)
