"""How alike two postal addresses are, as people write them: in one line, with or without town, with slips."""

from enum import Enum
from functools import lru_cache
from typing import Final

import msgspec
from rapidfuzz import fuzz
from rapidfuzz.distance import OSA

from server.customers.rules import fold_name

_CODE_SLIP_MIN: Final = 4
_ALIKE: Final = 78
"""Likeness of two lines, 0 to 100, from which they are one line written twice."""
_ALIKE_ALONE: Final = 90
_TELLING_WORDS: Final = 3
"""Words beside the number from which a line says its town as well, so that it is one of a kind without a post code."""
_KNOWN_LINES: Final = 20_000


class PlaceLikeness(Enum):
    """How two addresses stand to each other; NEAR ones are very likely one, written down with a slip or a part missing."""

    SAME = "same"
    NEAR = "near"
    POST_CODE = "post_code"
    OTHER = "other"
    UNKNOWN = "unknown"


class Place(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A postal address in plain words.

    Attributes:
        numbers: The numbers of house and flat, in order.
        words: How many words there are beside them.
    """

    post_code: str
    line: str
    numbers: tuple[str, ...]
    words: int


@lru_cache(maxsize=_KNOWN_LINES)
def read_place(post_code: str, postal_address: str) -> Place:
    """Return what is compared of an address."""
    line = fold_name(postal_address)
    words = line.split()
    numbers = tuple(sorted(word for word in words if word[0].isdigit()))
    return Place(
        post_code="".join(fold_name(post_code).split()), line=line, numbers=numbers, words=len(words) - len(numbers)
    )


def compare_places(one: Place, other: Place) -> PlaceLikeness:
    """Return how two addresses stand to each other."""
    if one.post_code and other.post_code:
        if one.post_code == other.post_code:
            return _compare_lines(one, other) or PlaceLikeness.POST_CODE
        if _is_code_slip(one.post_code, other.post_code) and _compare_lines(one, other) is PlaceLikeness.SAME:
            return PlaceLikeness.NEAR
    if (
        _is_telling(one)
        and _is_telling(other)
        and one.numbers == other.numbers
        and _likeness(one, other) >= _ALIKE_ALONE
    ):
        return PlaceLikeness.NEAR
    return PlaceLikeness.OTHER if one.post_code and other.post_code else PlaceLikeness.UNKNOWN


def _is_telling(place: Place) -> bool:
    return bool(place.numbers) and place.words >= _TELLING_WORDS


def _compare_lines(one: Place, other: Place) -> PlaceLikeness | None:
    if not one.words or not other.words:
        return None
    mine, its = set(one.numbers), set(other.numbers)
    # The neighbours' address differs by a number only; but a number may have been left out.
    if not (mine <= its or its <= mine) or _likeness(one, other) < _ALIKE:
        return None
    is_whole = mine == its and (mine or min(one.words, other.words) >= _TELLING_WORDS)
    return PlaceLikeness.SAME if is_whole else PlaceLikeness.NEAR


def _likeness(one: Place, other: Place) -> float:
    found = fuzz.token_sort_ratio(one.line, other.line)
    if found < _ALIKE_ALONE:
        found = max(found, fuzz.ratio(one.line.replace(" ", ""), other.line.replace(" ", "")))
    if found < _ALIKE and min(one.words, other.words) >= _TELLING_WORDS:
        # One of the two leaves out the building, or the town.
        found = fuzz.token_set_ratio(one.line, other.line)
    return found


def _is_code_slip(one: str, other: str) -> bool:
    return min(len(one), len(other)) >= _CODE_SLIP_MIN and OSA.distance(one, other, score_cutoff=1) == 1
