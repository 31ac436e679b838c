"""Everything a person goes by."""

import msgspec

from server.customers.suppression import Name, pos_name
from server.db.engine import Row


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses, numbers, cards, and records at tills."""

    addresses: tuple[Row, ...]
    cards: tuple[str, ...]
    records: tuple[Row, ...]

    @property
    def keys(self) -> list[str]:
        """Addresses and numbers by their keys."""
        return [row["key"] for row in self.addresses]

    @property
    def values(self) -> list[str]:
        """The same as they were written."""
        return [row["value"] for row in self.addresses]

    @property
    def external_ids(self) -> list[str]:
        """What tills call their records of the person."""
        return [row["external_id"] for row in self.records]

    @property
    def identifiers(self) -> list[str]:
        """By what a row of a file may say whom it is for."""
        return [*self.keys, *self.cards, *(f"{row['code']}:{row['external_id']}" for row in self.records)]

    def suppressed(self) -> list[Name]:
        """Return what no import may bring back. A mistyped address may be somebody else's, and stays free."""
        own = [row for row in self.addresses if row["retired_reason"] != "correction"]
        names: list[Name] = [("card", code) for code in self.cards]
        names += [("email" if row["kind"] == "email" else "phone", row["key"]) for row in own]
        names += [("pos", pos_name(row["connection"], row["external_id"])) for row in self.records]
        return names
