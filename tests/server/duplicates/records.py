"""What a record says of somebody, and the measure of what was found among records whose people are known."""

from collections.abc import Collection, Sequence
from itertools import combinations

import msgspec


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a record says of somebody; born is (year or None, month, day)."""

    given: str
    family: str = ""
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    born: tuple[int | None, int, int] | None = None
    post_code: str = ""
    street: str = ""


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """How good a search was."""

    precision: float
    recall: float
    f1: float


def true_pairs(people: Sequence[int]) -> set[frozenset[int]]:
    """Return the pairs of places whose records are about one person."""
    places: dict[int, list[int]] = {}
    for place, person in enumerate(people):
        places.setdefault(person, []).append(place)
    return {frozenset(pair) for same in places.values() for pair in combinations(same, 2)}


def measure(found: Collection[frozenset[int]], people: Sequence[int]) -> Quality:
    """Return how good a search was that found these pairs of places."""
    true = true_pairs(people)
    right = len(true & set(found))
    precision, recall = right / max(1, len(found)), right / max(1, len(true))
    return Quality(precision=precision, recall=recall, f1=2 * precision * recall / max(1e-9, precision + recall))
