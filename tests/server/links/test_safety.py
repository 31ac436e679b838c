"""A link is made whole or not at all, costs one statement at the till, and what is wrong about links is found."""

import asyncpg
import pytest

from server.db.engine import DB, Database
from server.db.ids import new_id
from server.links import cycle
from tests.app import World, expect
from tests.invariants.brittle_shop import BrittleConnection, Fuse
from tests.server.links.shop import (
    Till,
    balance_of,
    links_of,
    record,
    run_checks,
    settled_record,
    since,
    wrong_rows,
)
from tests.tills import push, sale


async def test_a_crash_between_any_two_statements_leaves_a_link_whole_or_undone(world: World) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "p-1", card_number="STAMP-77")
    await till.send(record("p-1", card_number="STAMP-77", email="old@shop.test"))
    await till.send(record("p-1", card_number="STAMP-77"))
    for _ in range(3):
        await till.sell("p-1")
    await DB.fetch("update pos_record set email_since_at = email_since_at - interval '2 days'")
    ana = await world.sign_up()
    await DB.close()
    assert world.settings.database_url is not None
    await DB.open(world.settings.database_url, size=4, connection_class=BrittleConnection)
    broken_off = 0
    for statement in range(1, 90, 4):
        fuse = Fuse(after_statement=statement)
        BrittleConnection.fuse = fuse
        try:
            await cycle.check_members(world.tools)
        except Exception:  # noqa: BLE001 - whatever a cut connection comes to
            assert fuse.has_burnt
        BrittleConnection.fuse = None
        broken_off += fuse.has_burnt
        whole = (await links_of(ana.customer_id), await balance_of(ana))
        assert whole in (([], 0), ([("p-1", "linked", "email")], 36)), statement
        if whole[1]:
            break
    await DB.close()
    await DB.open(world.settings.database_url, size=4)
    assert broken_off > 5
    assert await balance_of(ana) == 36
    assert len(await world.mails_to("old@shop.test")) == 1
    assert await wrong_rows(world) == []


async def test_a_sale_by_the_tills_own_id_is_one_statement(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "p-1")
    ana = await world.sign_up()
    await run_checks(world)
    await till.send(record("p-2", email=None, former_ids=["p-1"]))
    statements: list[str] = []
    fetch = Database.fetch

    async def count(self: Database, sql: str, *arguments: object) -> object:
        statements.append(sql)
        return await fetch(self, sql, *arguments)

    monkeypatch.setattr(Database, "fetch", count)
    for name in ("p-1", "p-2"):
        await till.sell(name)
        assert len(statements) == 1, name
        statements.clear()
    answer = await push(world, till.headers, sale(world, customer={"pos_customer_id": "p-3"}))
    assert expect(answer, 201)["skipped_reason"] == "customer_unknown"
    monkeypatch.undo()
    assert await balance_of(ana) == 24


async def test_verify_names_a_record_that_is_two_peoples(world: World) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "p-1")
    await settled_record(world, till, "p-2", email="bea@shop.test")
    ana, bea = await world.sign_up(), await world.sign_up("bea@shop.test")
    await run_checks(world)
    assert await wrong_rows(world) == []
    await DB.fetch("drop index pos_link_once")
    sql = """
    insert into pos_link (id, record, customer, state, method, actor_kind, created_at, linked_at)
    select $1, record, $2, 'linked', 'email', 'system', created_at, linked_at from pos_link where customer = $3
    """
    await DB.fetch(sql, new_id(), bea.customer_id, ana.customer_id)
    (wrong,) = await _wrong_links(world)
    assert wrong.startswith("a POS record is one customer's at most: pos_record ")
    await DB.fetch(
        "update pos_link set state = 'ended', ended_at = now(), ended_reason = 'x' where customer = $1", bea.customer_id
    )
    alias = "update pos_record set merged_into = (select id from pos_record where external_id = 'p-2') where external_id = 'p-1'"
    await DB.fetch(alias)
    (wrong,) = await _wrong_links(world)
    assert wrong.startswith("a POS record is one customer's at most: pos_link ")


async def _wrong_links(world: World) -> list[str]:
    """Return what is wrong but for the index that the test has dropped."""
    return [one for one in await wrong_rows(world) if "refused by the database" not in one]


async def test_the_database_itself_lets_a_record_be_linked_once(world: World) -> None:
    till = await Till.of(world)
    await till.send(record("p-1", **since(world)))
    ana = await world.sign_up()
    await run_checks(world)
    sql = """
    insert into pos_link (id, record, customer, state, method, actor_kind, created_at, linked_at)
    select $1, record, customer, 'linked', 'email', 'system', created_at, linked_at from pos_link
    """
    with pytest.raises(asyncpg.UniqueViolationError):
        await DB.fetch(sql, new_id())
    assert len(await links_of(ana.customer_id)) == 1
