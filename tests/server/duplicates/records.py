"""Records of people: what one says, how many are put on file at once, and how good a search among them was."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import combinations
from uuid import UUID

import asyncpg
import msgspec

from server.customers.rules import name_keys, parse_email, parse_phone
from server.db.ids import new_id


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


async def put_on_file(connection: asyncpg.Connection, records: Iterable[Known], now: datetime) -> list[UUID]:
    """Write customers as an import would and return their ids in the order of their records."""
    people, keys, points = [], [], []
    for known in records:
        customer = new_id()
        born = known.born or (None, None, None)
        people.append((customer, known.given, known.family, *born, known.post_code, known.street, "import", now, now))
        keys += [(new_id(), customer, key) for key in name_keys(known.given, known.family)]
        emails = [parse_email(text, "email") for text in known.emails]
        phones = [parse_phone(text, "GB") for text in known.phones]
        points += [(new_id(), customer, "email", each.value, each.key, now) for each in emails]
        points += [(new_id(), customer, "phone", each.value, each.key, now) for each in phones]
    columns = [
        "id",
        "given_name",
        "family_name",
        "birth_year",
        "birth_month",
        "birth_day",
        "post_code",
        "postal_address",
    ]
    await connection.copy_records_to_table(
        "customer", records=people, columns=[*columns, "enrolled_source", "created_at", "updated_at"]
    )
    await connection.copy_records_to_table("customer_name_key", records=keys, columns=["id", "customer", "key"])
    await connection.copy_records_to_table(
        "contact_point", records=points, columns=["id", "customer", "kind", "value", "key", "created_at"]
    )
    return [person[0] for person in people]
