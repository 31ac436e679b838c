"""Every till system behind one interface: by setting a connector to a system elsewhere, else the built-in directory.

The directory holds the records of tills that send them by themselves, or whose customers come in files. It finds and makes
records here; what it would take a call to the till for, it does not declare.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from server.context import Context, Tools, system_context
from server.customers.rules import parse_email
from server.db.engine import Row
from server.errors import Invalid
from server.links import cycle_store, directory_store, rules
from server.links.directory import take_records
from server.pos.connectors import SQUARE_CONNECTION, open_connectors
from server.pos.protocol import AlreadyThere, Capability, Connector, Limited, NewRecord
from server.settings import Settings
from shared.limits import SEARCH_ROWS_MAX
from shared.links import PosRecord

Tills = Mapping[UUID, Connector]
"""A connector for every till system that we know, by the system's id."""


class Directory(Limited):
    """The records of one till system, as they are kept here."""

    name = "directory"
    is_remote = False
    capabilities = frozenset({Capability.SEARCH, Capability.FIND_BY_EMAIL, Capability.CREATE})

    def __init__(self, tools: Tools, connection_id: UUID) -> None:
        self._tools = tools
        self._connection_id = connection_id

    async def search(self, text: str) -> tuple[PosRecord, ...]:
        """Return the records that a part of an address, name, number or card finds, best first."""
        query = rules.read_query(text)
        if query.is_empty:
            return ()
        hits = await directory_store.search(query, SEARCH_ROWS_MAX)
        ids = [row["id"] for row in hits if row["connection_id"] == self._connection_id]
        found = {row["id"]: row for row in await directory_store.list_records(ids)}
        return tuple(_record(found[one]) for one in ids)

    async def find_by_email(self, email: str) -> tuple[PosRecord, ...]:
        """Return the records with this address."""
        try:
            key = parse_email(email, "email").key
        except Invalid:
            return ()
        return tuple(_record(row) for row in await directory_store.list_by_email(self._connection_id, key))

    async def create(self, record: NewRecord) -> PosRecord:
        """Keep a record of ours under our reference, until the till sends its own."""
        ctx = system_context(self._tools)
        sent = PosRecord(
            external_id=record.reference,
            given_name=record.given_name,
            family_name=record.family_name,
            email=record.email,
            phone=record.phone,
        )
        facts = rules.read_record(sent, country=ctx.settings.default_country, now=ctx.now, ahead_max=timedelta(0))
        others = await self.find_by_email(record.email) if record.email else ()
        if other := next((one for one in others if one.external_id != record.reference), None):
            raise AlreadyThere(other)
        await directory_store.insert_records(ctx, self._connection_id, [facts], made_here=True)
        (row,) = await directory_store.list_by_external_id(self._connection_id, record.reference)
        return _record(row)


def _record(row: Row) -> PosRecord:
    return PosRecord(
        external_id=row["external_id"],
        given_name=row["given_name"],
        family_name=row["family_name"],
        email=row["email"],
        email_since=row["email_since_at"],
        phone=row["phone"],
        card_number=row["card_number"],
        changed_at=row["source_changed_at"],
    )


@asynccontextmanager
async def open_tills(tools: Tools) -> AsyncIterator[Tills]:
    """Yield a connector for every till system."""
    async with open_connectors(tools.settings) as by_code:
        ids = {row["code"]: row["id"] for row in await directory_store.list_connections()}
        for code in by_code.keys() - ids.keys():
            ids[code] = await cycle_store.ensure_connection(code, by_code[code].name.title(), tools.clock.now())
        yield {one: by_code.get(code) or Directory(tools, one) for code, one in ids.items()}


async def keep(
    ctx: Context, connection_id: UUID, connector: Connector, records: Sequence[PosRecord]
) -> dict[str, UUID]:
    """Return the ids that found records have in the directory, in the caller's transaction; remote ones are kept first.

    One that cannot be kept, or must not be, is missing.
    """
    if connector.is_remote:
        taken = await take_records(ctx, connection_id, records)
        return {one.external_id: one.record_id for one in taken if one.record_id is not None}
    known = await directory_store.lock_known(connection_id, [one.external_id for one in records])
    return {name: row["id"] for name, row in known.items()}


def kind_of(settings: Settings, code: str) -> tuple[str, frozenset[Capability]]:
    """Return the name and the capabilities of the connector of a till system, without opening it."""
    if settings.pos == "square" and code == SQUARE_CONNECTION:
        from server.pos.square import Square

        return Square.name, Square.capabilities
    return Directory.name, Directory.capabilities
