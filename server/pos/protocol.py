"""What a connector to a till system is: a few calls, and a declaration which of them it can do.

A connector never decides whose a record is. Those to systems elsewhere never see our database; the built-in directory, which
stands for every till that sends its customers by itself, is the one that does.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from server.errors import RegularsError
from shared.links import PosRecord
from shared.pos import PosOrder
from shared.refunds import PosRefund


class Capability(StrEnum):
    """What a till system can do for us; what it cannot is left out, or becomes something for a person to do."""

    SEARCH = "search"
    FIND_BY_EMAIL = "find_by_email"
    CUSTOMERS_SINCE = "customers_since"
    ORDERS_SINCE = "orders_since"
    CREATE = "create"
    WRITE_EMAIL = "write_email"
    MERGE = "merge"


class PosUnavailable(RegularsError):
    """The till system did not answer, or answered that it cannot now; trying again later is right."""


class PosRefused(RegularsError):
    """The till system refuses what was asked, and would again: a wrong token, a setting, a record that is gone."""


class AlreadyThere(RegularsError):
    """The till system makes no second record: it has one with the same address or number, which may be somebody else's."""

    def __init__(self, record: PosRecord) -> None:
        super().__init__("the till system has such a record")
        self.record = record


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """Something of the till system as it came: its id, when it changed, and its whole content as JSON."""

    external_id: str
    changed_at: datetime
    payload: bytes


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some changes. `is_in_order` says that nothing on later pages is older, so that a run may go on from here."""

    items: tuple[Fetched, ...]
    is_in_order: bool = True


class ReadOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What an order of the till system means to us: a sale, returns of former sales, both, or neither (a draft)."""

    sale: PosOrder | None = None
    refunds: tuple[PosRefund, ...] = ()


class Unreadable(RegularsError):
    """Something that was fetched cannot be posted; `reason` is a stable word, the text says more."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class NewRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A customer to be made known to the till system; `reference` is ours, and makes it the same one when sent again."""

    reference: str
    given_name: str
    family_name: str
    email: str | None
    phone: str | None


class Connector(Protocol):
    """A till system that we call. What it does not declare is never asked of it.

    What a connector that `is_remote` finds is not in our directory of records yet.
    """

    name: str
    is_remote: bool
    capabilities: frozenset[Capability]

    async def search(self, text: str) -> tuple[PosRecord, ...]:
        """Return records that a person may mean by an address or number, at most a page.

        Raises:
            PosUnavailable, PosRefused.
        """
        ...

    async def find_by_email(self, email: str) -> tuple[PosRecord, ...]:
        """Return the records with this address.

        Raises:
            PosUnavailable, PosRefused.
        """
        ...

    def customers_since(self, since: datetime | None) -> AsyncIterator[Page]:
        """Yield the records that changed at or after an instant (None: all there are).

        Raises:
            PosUnavailable, PosRefused.
        """
        ...

    def orders_since(self, since: datetime | None) -> AsyncIterator[Page]:
        """Yield the orders that changed at or after an instant (None: all there are).

        Raises:
            PosUnavailable, PosRefused.
        """
        ...

    def read_customer(self, payload: bytes) -> PosRecord:
        """Return what a fetched record says.

        Raises:
            Unreadable: It cannot be read.
        """
        ...

    def read_order(self, payload: bytes) -> ReadOrder:
        """Return what a fetched order says.

        Raises:
            Unreadable: It cannot be read.
        """
        ...

    async def create(self, record: NewRecord) -> PosRecord:
        """Make a record, or return the one that was made for this reference before.

        Raises:
            PosUnavailable, PosRefused.
            AlreadyThere: Another record bears this address, or the till system allows only one with this number.
        """
        ...

    async def write_email(self, external_id: str, email: str) -> None:
        """Put an address onto a record.

        Raises:
            PosUnavailable, PosRefused.
        """
        ...

    async def merge(self, kept_id: str, absorbed_id: str) -> None:
        """Make one record of two.

        Raises:
            PosUnavailable, PosRefused.
        """
        ...


class Limited:
    """What connectors build on: refuses every call; each connector adds those that it can do, and declares them."""

    async def search(self, text: str) -> tuple[PosRecord, ...]:  # noqa: ARG002
        """Refuse."""
        raise _cannot(Capability.SEARCH)

    async def find_by_email(self, email: str) -> tuple[PosRecord, ...]:  # noqa: ARG002
        """Refuse."""
        raise _cannot(Capability.FIND_BY_EMAIL)

    def customers_since(self, since: datetime | None) -> AsyncIterator[Page]:  # noqa: ARG002
        """Refuse."""
        raise _cannot(Capability.CUSTOMERS_SINCE)

    def orders_since(self, since: datetime | None) -> AsyncIterator[Page]:  # noqa: ARG002
        """Refuse."""
        raise _cannot(Capability.ORDERS_SINCE)

    def read_customer(self, payload: bytes) -> PosRecord:  # noqa: ARG002
        """Refuse."""
        raise _cannot(Capability.CUSTOMERS_SINCE)

    def read_order(self, payload: bytes) -> ReadOrder:  # noqa: ARG002
        """Refuse."""
        raise _cannot(Capability.ORDERS_SINCE)

    async def create(self, record: NewRecord) -> PosRecord:  # noqa: ARG002
        """Refuse."""
        raise _cannot(Capability.CREATE)

    async def write_email(self, external_id: str, email: str) -> None:  # noqa: ARG002
        """Refuse."""
        raise _cannot(Capability.WRITE_EMAIL)

    async def merge(self, kept_id: str, absorbed_id: str) -> None:  # noqa: ARG002
        """Refuse."""
        raise _cannot(Capability.MERGE)


def _cannot(capability: Capability) -> PosRefused:
    return PosRefused(f"This till system cannot do that: {capability}.")
