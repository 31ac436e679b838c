"""Every till system is the same to us: what a connector declares it does, in the same way, and what it does not, it refuses."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Protocol

import pytest

from server.db.engine import DB
from server.links import cycle_store
from server.links.directory import take_records
from server.links.tills import Directory, keep
from server.pos.protocol import AlreadyThere, Capability, Connector, NewRecord, PosRefused
from server.pos.square import Square
from shared.links import PosRecord
from tests.app import World
from tests.standins.square import TOKEN, SquareStandIn, line


class Subject(Protocol):
    """A till system with customers, and the connector to it."""

    connector: Connector
    world: World

    async def put(self, external_id: str, *, name: str, email: str | None = None, phone: str | None = None) -> None:
        """Let the till system have a customer."""
        ...


class _BuiltIn:
    def __init__(self, world: World, connector: Connector) -> None:
        self.world = world
        self.connector = connector

    async def put(self, external_id: str, *, name: str, email: str | None = None, phone: str | None = None) -> None:
        sent = PosRecord(external_id=external_id, given_name=name, email=email, phone=phone)
        connection_id = await cycle_store.ensure_connection("till", "Till", self.world.clock.now())
        async with DB.transaction():
            await take_records(self.world.ctx, connection_id, [sent])


class _Elsewhere:
    def __init__(self, world: World, connector: Connector, standin: SquareStandIn) -> None:
        self.world = world
        self.connector = connector
        self.standin = standin

    async def put(self, external_id: str, *, name: str, email: str | None = None, phone: str | None = None) -> None:
        fields = {"given_name": name, "email_address": email, "phone_number": phone}
        given = {key: value for key, value in fields.items() if value is not None}
        self.standin.state.put_customer(external_id, at=self.world.clock.now(), **given)


@pytest.fixture(params=["directory", "square"])
async def subject(world: World, request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "directory":
        connection_id = await cycle_store.ensure_connection("till", "Till", world.clock.now())
        yield _BuiltIn(world, Directory(world.tools, connection_id))
        return
    with SquareStandIn() as standin:
        async with Square(token=TOKEN, base_url=standin.url, stores={"L1": "high-street"}) as square:
            yield _Elsewhere(world, square, standin)
        assert standin.proxy.passed, "nothing went by way of Square's own description"


async def test_records_are_found_and_made_once_for_a_reference_and_never_beside_another(subject: Subject) -> None:
    connector = subject.connector
    await subject.put("p-1", name="Ana", email="Ana@Shop.test", phone="+442079460018")
    await subject.put("p-2", name="Ben", email="ben@shop.test")
    for text in ("ana@shop", "ANA@shop.test", "946 0018"):
        assert [one.external_id for one in await connector.search(text)] == ["p-1"], text
    assert await connector.search("") == ()
    (ana,) = await connector.find_by_email("ana@SHOP.test")
    assert (ana.external_id, ana.given_name, ana.email) == ("p-1", "Ana", "Ana@Shop.test")
    assert ana.phone is not None
    assert ana.phone.replace(" ", "") == "+442079460018"
    assert await connector.find_by_email("ana@shop") == ()
    wish = NewRecord(reference="our-7", given_name="Cyd", family_name="Ode", email="cyd@shop.test", phone=None)
    first, second = await connector.create(wish), await connector.create(wish)
    assert first == second
    assert (first.given_name, first.family_name, first.email) == ("Cyd", "Ode", "cyd@shop.test")
    assert [one.external_id for one in await connector.find_by_email("cyd@shop.test")] == [first.external_id]
    with pytest.raises(AlreadyThere) as known:
        await connector.create(
            NewRecord(reference="our-8", given_name="A", family_name="", email="ANA@shop.test", phone=None)
        )
    assert known.value.record.external_id == "p-1"
    # What is found is in our directory after that, whichever of the two it came from, and once.
    connection_id = await cycle_store.ensure_connection("till", "Till", subject.world.clock.now())
    for _ in range(2):
        async with DB.transaction():
            ids = await keep(subject.world.ctx, connection_id, connector, [ana, first])
        assert set(ids) == {"p-1", first.external_id}
    assert (
        await DB.fetch_value("select count(*) from pos_record where external_id in ('p-1', $1)", first.external_id) == 2
    )


async def test_what_is_declared_is_done_and_what_is_not_is_refused(subject: Subject) -> None:
    connector, now = subject.connector, subject.world.clock.now()
    await subject.put("p-1", name="Ana", email="ana@shop.test")
    if isinstance(subject, _Elsewhere):
        subject.standin.state.put_order("o-1", at=now, state="COMPLETED", line_items=[line("a", 1000)])

    async def customers() -> None:
        read = [
            connector.read_customer(item.payload)
            async for page in connector.customers_since(None)
            for item in page.items
        ]
        assert [one.email for one in read] == ["ana@shop.test"]
        later = now + timedelta(seconds=1)
        assert [item async for page in connector.customers_since(later) for item in page.items] == []

    async def orders() -> None:
        found = [item async for page in connector.orders_since(now) for item in page.items]
        assert [(item.external_id, item.changed_at) for item in found] == [("o-1", now)]
        assert connector.read_order(found[0].payload).sale is not None

    async def write_email() -> None:
        for _ in range(2):
            await connector.write_email("p-1", "new@shop.test")
        assert [one.external_id for one in await connector.find_by_email("new@shop.test")] == ["p-1"]

    calls: dict[Capability, Callable[[], Awaitable[object]]] = {
        Capability.SEARCH: lambda: connector.search("ana@"),
        Capability.FIND_BY_EMAIL: lambda: connector.find_by_email("ana@shop.test"),
        Capability.CUSTOMERS_SINCE: customers,
        Capability.ORDERS_SINCE: orders,
        Capability.CREATE: lambda: connector.create(
            NewRecord(reference="r", given_name="Dee", family_name="", email=None, phone=None)
        ),
        Capability.WRITE_EMAIL: write_email,
        Capability.MERGE: lambda: connector.merge("p-1", "p-2"),
    }
    assert set(calls) == set(Capability)
    for capability, call in calls.items():
        if capability in connector.capabilities:
            await call()
        else:
            with pytest.raises(PosRefused):
                await call()
