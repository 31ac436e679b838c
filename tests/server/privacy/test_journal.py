"""A restored backup brings nobody back: the journal knows who was erased, and is replayed."""

from datetime import timedelta
from pathlib import Path

import pytest

from server.commands.common import Failure
from server.commands.privacy import check_nobody_returned, read_journals
from server.db.engine import DB
from server.privacy import erasure_execution, journal
from tests.app import World
from tests.ledgers import assert_verified, credit, figures
from tests.server.privacy.desk import ask, forget, keyed, let_days_pass, status_of, work
from tests.server.sharing.desk import two_members


async def test_whom_a_restored_database_brings_back_is_erased_again(world: World) -> None:
    ana, ben = await two_members(world)
    await credit(world, ana.membership_id, 100)
    await ask(world, ana)
    await ask(world, ben)
    before = await _dump()
    await let_days_pass(world)
    lines = journal.read(world.settings.journal_path)
    assert {line.customer for line in lines} == {ana.customer_id, ben.customer_id}
    text = world.settings.journal_path.read_text()
    assert "ana@shop.test" not in text
    assert world.settings.journal_path.stat().st_mode & 0o077 == 0
    await check_nobody_returned(world.settings)
    state = await DB.fetch("select * from ledger_entry order by id")
    assert await erasure_execution.replay(world.ctx, lines) == 0
    assert await DB.fetch("select * from ledger_entry order by id") == state

    await _restore(before)
    assert await status_of(ana.customer_id) == "active"
    with pytest.raises(Failure, match="regulars privacy replay"):
        await check_nobody_returned(world.settings)
    assert await erasure_execution.replay(world.ctx, lines) == 2
    assert [await status_of(one.customer_id) for one in (ana, ben)] == ["erased", "erased"]
    assert (await figures(ana.membership_id)) == (0, 0, 0, 0)
    await check_nobody_returned(world.settings)
    await assert_verified(world)


async def _dump() -> dict[str, list[str]]:
    names = [row["tablename"] for row in await DB.fetch("select tablename from pg_tables where schemaname = 'public'")]
    return {
        name: [row["t"] for row in await DB.fetch(f'select to_jsonb(t)::text as t from "{name}" t')] for name in names
    }


# What the database works out by itself cannot be written.
_WRITTEN_COLUMNS = """
select string_agg(quote_ident(column_name), ', ' order by ordinal_position) from information_schema.columns
where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER'
"""


async def _restore(content: dict[str, list[str]]) -> None:
    """Make every table what it was, as a restored dump does, which runs no trigger and checks no reference."""
    async with DB.transaction():
        await DB.fetch("set local session_replication_role = replica")
        for name, rows in content.items():
            if name.startswith(("pgqueuer", "migration")):
                continue
            await DB.fetch(f'delete from "{name}"')
            columns = await DB.fetch_value(_WRITTEN_COLUMNS, name)
            for row in rows:
                await DB.fetch(
                    f'insert into "{name}" ({columns}) '
                    f'select {columns} from jsonb_populate_record(null::"{name}", $1::jsonb)',
                    row,
                )


async def test_a_cut_off_line_harms_nothing_and_nonsense_is_refused(world: World, data_dir: Path) -> None:
    ana, ben = await two_members(world)
    await forget(world, ana)
    path = world.settings.journal_path
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    tokens = await world.sign_in(ben.email)
    headers = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
    await world.client.post("/v1/me/erasure", json={}, headers=keyed(headers))
    world.advance(timedelta(days=8))
    await work(world)
    assert {line.customer for line in journal.read(path)} == {ana.customer_id, ben.customer_id}
    assert journal.read(data_dir / "nowhere.jsonl") == []
    wrong = data_dir / "wrong.jsonl"
    wrong.write_text('{"customer": "nobody"}\n')
    with pytest.raises(Failure, match="line 1"):
        read_journals((wrong,))


async def test_what_was_carried_out_is_written_down_though_the_first_try_failed(world: World) -> None:
    ana = await world.sign_up()
    path = world.settings.journal_path
    path.mkdir(parents=True)
    await ask(world, ana)
    world.advance(timedelta(days=8))
    with pytest.raises(OSError, match="directory"):
        await work(world)
    assert await status_of(ana.customer_id) == "erased"
    path.rmdir()
    await erasure_execution.sweep_erasures(world.tools)
    assert [line.customer for line in journal.read(path)] == [ana.customer_id]
