"""Opening balances: whose they are, with which dates, once, however often the file is run."""

import asyncio
import contextvars
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.csv_cells import encode_rows, safe_cell
from server.csv_files import WrongFile
from server.db.engine import DB
from server.db.ids import new_id
from server.imports import service
from server.imports.rules import BadLine, read_balances
from server.imports.service import BalancesImported
from server.ledger.movements import Origin, take
from server.sharing.combining import Combination, combine_memberships
from shared.enums import EntryKind
from tests.app import SignedUp, World
from tests.ledgers import assert_verified, figures, locked
from tests.waiting import until_somebody_waits

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def read(text: str) -> Iterator[object]:
    return read_balances(text, zone="Europe/London", country="GB", now=NOW)


async def bring(world: World, text: str, name: str = "old system") -> BalancesImported:
    return await service.import_balances(world.ctx, text, name=name, on_progress=lambda _: None)


class CutOff(Exception):
    """The import ends here."""


def cut(_: int) -> None:
    raise CutOff


@pytest.fixture
async def ana(world: World) -> SignedUp:
    return await world.sign_up()


def test_a_day_is_the_shops_and_its_last_one_counts_to_the_end() -> None:
    (line,) = read("email,points,earned_at,expires_at\nAna@Shop.test,12,2025-07-01,2026-03-28\n")
    assert (line.identifier, line.points) == ("ana@shop.test", 12)  # type: ignore[attr-defined]
    assert line.earned_at == datetime(2025, 6, 30, 23, 0, tzinfo=UTC)  # type: ignore[attr-defined]
    assert line.expires_at == datetime(2026, 3, 29, 0, 0, tzinfo=UTC)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a@b.test,0,2025-01-01,,", "points"),
        ("a@b.test,-5,2025-01-01,,", "points"),
        ("a@b.test,1.5,2025-01-01,,", "points"),
        ("a@b.test,9999999999,2025-01-01,,", "points"),
        ("a@b.test,5,yesterday,,", "earned_at"),
        ("a@b.test,5,2025-01-01T10:00:00,,", "earned_at"),
        ("a@b.test,5,2026-03-03,,", "future"),
        ("a@b.test,5,1025-01-01,,", "too long ago"),
        ("a@b.test,5,2025-01-01,2026-03-01,", "lapsed"),
        ("a@b.test,5,2025-01-01,9999-12-31,", "never lapse"),
        (",5,2025-01-01,,", "nobody"),
        ("nonsense,5,2025-01-01,,", "address"),
        ("a@b.test,5,2025-01-01,,,,more", "cells"),
    ],
)
def test_a_line_that_cannot_be_right_says_why(row: str, words: str) -> None:
    (line,) = read(f"email,points,earned_at,expires_at,key\n{row}\n")
    assert isinstance(line, BadLine)
    assert words in line.reason
    assert line.line == 2


@pytest.mark.parametrize(
    "header", ["", "points,earned_at", "email,points", "email,points,earned_at,balance", "email,email,points,earned_at"]
)
def test_a_file_of_another_kind_is_refused_as_a_whole(header: str) -> None:
    with pytest.raises(WrongFile):
        list(read(f"{header}\na@b.test,5,2025-01-01\n"))


def test_a_key_that_comes_twice_is_refused() -> None:
    first, second = read("email,points,earned_at,key\na@b.test,5,2025-01-01,k\na@b.test,5,2025-01-01,k\n")
    assert not isinstance(first, BadLine)
    assert isinstance(second, BadLine)


async def test_points_come_with_their_dates_by_card_and_email(world: World, ana: SignedUp) -> None:
    text = (
        "card,email,points,earned_at,expires_at\n"
        f"{ana.card_number},,100,2024-05-01,2026-12-31\n"
        ",ANA@shop.test,20,2025-01-01,\n"
    )
    done = await bring(world, text)
    assert (done.posted, done.points, done.refused) == (2, 120, ())
    assert await figures(ana.membership_id) == (120, 120, 0, 0)
    rows = await DB.fetch(
        "select kind, e.points, occurred_at, expires_at from ledger_entry e join lot l on l.entry = e.id order by e.points"
    )
    assert [tuple(row) for row in rows] == [
        ("OPENING", 20, datetime(2025, 1, 1, tzinfo=UTC), None),
        ("OPENING", 100, datetime(2024, 4, 30, 23, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ]
    world.advance(timedelta(days=400))
    await assert_verified(world)


async def test_run_again_nothing_is_posted_twice_and_corrected_rows_are(world: World, ana: SignedUp) -> None:
    text = f"card,email,points,earned_at\n{ana.card_number},,100,2025-01-01\n,bne@shop.test,7,2025-01-01\n"
    first = await bring(world, text)
    assert [line.line for line in first.refused] == [3]
    ben = await world.sign_up("ben@shop.test")
    again = await bring(world, text.replace("bne@", "ben@"))
    assert (again.posted, again.points, again.known, again.refused) == (1, 7, 1, ())
    assert [(await figures(who.membership_id))[0] for who in (ana, ben)] == [100, 7]
    changed = await bring(world, text.replace("bne@", "ben@").replace("100", "900"))
    assert ["other content" in line.reason for line in changed.refused] == [True]
    assert await DB.fetch_value("select sum(balance) from membership") == 107
    await assert_verified(world)


async def test_runs_at_once_post_each_row_once(world: World, ana: SignedUp) -> None:
    text = "email,points,earned_at\n" + "ana@shop.test,1,2025-01-01\n" * 2500
    await asyncio.gather(*(bring(world, text) for _ in range(3)))
    assert await figures(ana.membership_id) == (2500, 2500, 0, 0)
    await assert_verified(world)


async def test_an_import_that_was_cut_off_goes_on_where_it_stopped(world: World, ana: SignedUp) -> None:
    text = "email,points,earned_at\n" + "ana@shop.test,1,2025-01-01\n" * 2500
    with pytest.raises(CutOff):
        await service.import_balances(world.ctx, text, name="old system", on_progress=cut)
    assert (await figures(ana.membership_id))[0] == 1000
    done = await bring(world, text)
    assert (done.posted, done.known) == (1500, 1000)
    assert await figures(ana.membership_id) == (2500, 2500, 0, 0)


async def test_a_dry_run_says_the_same_and_writes_nothing(world: World, ana: SignedUp) -> None:
    text = f"card,email,points,earned_at\n{ana.card_number},,100,2025-01-01\n,zoe@shop.test,7,2025-01-01\n"
    seen = await service.check_balances(world.ctx, text, name="old system")
    assert (seen.posted, seen.points, [line.line for line in seen.refused]) == (1, 100, [3])
    assert await DB.fetch_value("select count(*) from balance_row") == 0
    assert await figures(ana.membership_id) == (0, 0, 0, 0)


async def test_an_address_that_somebody_typed_in_and_has_not_proven_gets_nothing(world: World, ana: SignedUp) -> None:
    changed = await world.client.patch(
        "/v1/me", json={"phone": "+44 20 7946 0018", "password": ana.password}, headers=ana.headers
    )
    assert changed.status_code == 200, changed.text
    done = await bring(world, "phone,points,earned_at\n+442079460018,50,2025-01-01\n")
    assert (done.posted, len(done.refused)) == (0, 1)


async def test_a_deficit_takes_its_part(world: World, ana: SignedUp) -> None:
    async with locked(ana.membership_id) as membership:
        await take(world.ctx, membership, 30, Origin(source_key="x:1"), kind=EntryKind.ADJUST)
    await bring(world, f"card,points,earned_at\n{ana.card_number},20,2025-01-01\n{ana.card_number},20,2025-01-01\n")
    assert await figures(ana.membership_id) == (10, 10, 0, 0)
    await assert_verified(world)


def test_what_a_spreadsheet_would_run_is_only_text(tmp_path: Path) -> None:
    for text in ("=1+1", "+1", "-1", "@x", "\tx", "\rx", "\uff1dx", " =x", "\u00a0=x"):
        assert safe_cell(text) == f"'{text}"
    # Some spreadsheets divide a line at semicolons.
    assert [safe_cell(text) for text in ("Ana;=1+1", "a; @x;b", "a;b")] == ["Ana;'=1+1", "a; '@x;b", "a;b"]
    assert [safe_cell(value) for value in (-5, None, "plain", 1.5)] == ["-5", "", "plain", "1.5"]
    assert encode_rows([("a,b", 'say "x"')]) == b'"a,b","say ""x"""\r\n'


async def test_a_balance_finds_its_customer_by_the_id_of_a_till_system_once_that_is_linked(
    world: World, ana: SignedUp
) -> None:
    await world.pos_key()
    sql = """
    with record as (
        insert into pos_record (id, connection, external_id, merged_into, content_hash, created_at, changed_at)
        select $1, id, $2, $3, '', now(), now() from pos_connection where code = 'till' returning id
    )
    insert into pos_link (id, record, customer, method, actor_kind, created_at, linked_at)
    select $4, id, $5, 'import', 'system', now(), now() from record where $3::uuid is null
    """
    record_id = new_id()
    await DB.fetch(sql, record_id, "C:17", None, new_id(), ana.customer_id)
    await DB.fetch(sql, new_id(), "C-old", record_id, new_id(), ana.customer_id)
    text = (
        "pos_customer_id,connection,points,earned_at,expires_at,key\n"
        "C:17,till,40,2025-12-01,2027-12-01,a\nC-old,till,2,2025-12-01,,b\nC-9,till,5,2025-12-01,,c\nC:17,,5,2025-12-01,,d\n"
    )
    for posted, known in ((2, 0), (0, 2)):
        done = await bring(world, text)
        assert (done.posted, done.known) == (posted, known)
        assert [bad.row_key for bad in done.refused] == ["c", "d"]
        assert "linked" in done.refused[0].reason
        assert "connection" in done.refused[1].reason
    assert await figures(ana.membership_id) == (42, 42, 0, 0)
    await assert_verified(world)


async def test_lines_added_left_out_or_sorted_are_the_same_lines(world: World, ana: SignedUp) -> None:
    header, card = "card,points,earned_at\n", ana.card_number
    rows = [f"{card},{points},2025-01-01\n" for points in (100, 20, 20, 3)]
    assert (await bring(world, header + "".join(rows))).posted == 4
    for again in ([rows[3], *rows[:3]], rows[1:], [rows[2], rows[0]]):
        done = await bring(world, header + "".join(again))
        assert (done.posted, done.known, done.refused) == (0, len(again), ())
    # A third one of 20 is new; what stands where another line stood may be that one, changed.
    done = await bring(world, header + f"{card},7,2025-01-01\n" + "".join(rows) + rows[1])
    assert (done.posted, done.points, done.known) == (1, 20, 4)
    assert [line.line for line in done.refused] == [2]
    assert await figures(ana.membership_id) == (163, 163, 0, 0)
    await assert_verified(world)


async def test_what_the_file_says_now_counts_and_not_what_it_said_when_it_was_cut_off(
    world: World, ana: SignedUp
) -> None:
    rows = "".join(f"{ana.card_number},1,2025-01-01,k{n}\n" for n in range(1_000))
    header, last = "card,points,earned_at,key\n", f"{ana.card_number},900,2025-01-01,last\n"
    with pytest.raises(CutOff):
        await service.import_balances(world.ctx, header + rows + last, name="old system", on_progress=cut)
    done = await bring(world, header + rows)
    assert (done.posted, done.known) == (0, 1_000)
    assert await figures(ana.membership_id) == (1_000, 1_000, 0, 0)


async def test_the_same_file_under_another_name_is_refused(world: World, ana: SignedUp) -> None:
    text = f"card,points,earned_at\n{ana.card_number},100,2025-01-01\n"
    await bring(world, text)
    for run in (bring(world, text, name="copy"), service.check_balances(world.ctx, text, name="copy")):
        with pytest.raises(WrongFile, match="'old system'"):
            await run
    seen = await service.check_balances(world.ctx, text, name="old system")
    assert (seen.posted, seen.points, seen.known) == (0, 0, 1)
    assert await figures(ana.membership_id) == (100, 100, 0, 0)


async def test_points_go_where_a_membership_went_while_they_were_brought(world: World, ana: SignedUp) -> None:
    ben = await world.sign_up("ben@shop.test")
    both = Combination(
        operation_id=new_id(), kept_id=ben.membership_id, other_id=ana.membership_id, reason="one household"
    )
    text = f"card,points,earned_at\n{ana.card_number},40,2025-01-01\n"
    async with asyncio.TaskGroup() as group, DB.transaction():
        await combine_memberships(world.ctx, both)
        waiting = group.create_task(bring(world, text), context=contextvars.Context())
        await until_somebody_waits()
    assert waiting.result().posted == 1
    assert await figures(ana.membership_id) == (0, 0, 0, 0)
    assert await figures(ben.membership_id) == (40, 40, 0, 0)
    await assert_verified(world)
