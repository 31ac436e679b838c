"""Sales from a file count as if the till had pushed them: once, with reasons for those that cannot."""

from pathlib import Path
from uuid import UUID

import pytest

from server.csv_files import WrongFile
from server.db.engine import DB
from server.orders.files import Defaults, ReadOrder, read_orders
from server.orders.importing import OrdersImported, import_orders, read_sales
from tests.app import World, expect
from tests.ledgers import assert_verified, figures
from tests.server.command_line import Run
from tests.tills import push, sale

DEFAULTS = Defaults(currency="GBP", zones={"high-street": "Europe/London"})
HEADER = "external_id,store,completed_at,net_minor,card_number\n"


def read(text: str) -> list[ReadOrder]:
    return read_orders(text, DEFAULTS)


def reason_of(row: str, header: str = HEADER) -> str:
    (one,) = read(header + row)
    assert one.order is None
    return one.reason


def test_rows_of_one_sale_are_its_lines() -> None:
    text = "external_id;store;completed_at;net_minor;description\nA;high-street;2026-03-01 14:05;500;Tea\n\n"
    text += "B;high-street;2026-03-01T15:00:00Z;100;Bun\nA;high-street;2026-03-01 14:05;-50;Back\n"
    first, second = read(text)
    assert first.order is not None
    assert second.order is not None
    assert [(line.line_id, line.net_minor) for line in first.order.lines] == [("1", 500), ("2", -50)]
    assert (first.row, second.row, first.order.number, first.order.currency) == (2, 4, "A", "GBP")


def test_a_time_without_an_offset_is_the_stores_own() -> None:
    (one,) = read(HEADER + "A,high-street,2026-07-01 14:05,1,\n")
    assert one.order is not None
    assert one.order.completed_at.isoformat() == "2026-07-01T14:05:00+01:00"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("A,high-street,2026-03-01 14:05,5.00,", "net_minor must be a whole number of minor units"),
        ("A,high-street,2026-03-01 14:05,,", "lines[0].net_minor"),
        ("A,high-street,2026-03-01 14:05,99999999999,", "lines[0].net_minor"),
        ("A,high-street,yesterday,5,", "completed_at"),
        ("A,nowhere,2026-03-01 14:05,5,", "do not know this store"),
        (",high-street,2026-03-01 14:05,5,", "external_id"),
        ("A,high-street,2026-03-01 14:05,5,2", "customer.card_number"),
        ("A,high-street,2026-03-01 14:05,5,\u202e29000000000000", "control characters"),
        ("A,high-street,2026-03-01 14:05,5,,more", "more cells"),
        ("A,high-street,2026-03-01 14:05,5,\nA,high-street,2026-03-01 14:06,5,", "different things in 'completed_at'"),
    ],
)
def test_a_sale_that_cannot_be_read_says_why(row: str, words: str) -> None:
    assert words in reason_of(row)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "missing"),
        ("external_id,store,completed_at\n", "missing: net_minor"),
        (HEADER.strip() + ",points\n", "unknown: points"),
        (HEADER.strip() + ",store\n", "twice"),
        (HEADER + 'A,"high-street,2026-03-01 14:05,5,\n', "not CSV"),
        (HEADER + "A,high-street,2026-03-01 14:05,5,\n" * 200_001, "more than 200,000 rows"),
    ],
    ids=["empty", "missing", "unknown", "twice", "quoting", "too many"],
)
def test_a_file_that_cannot_be_read_says_why(text: str, words: str) -> None:
    with pytest.raises(WrongFile, match=words):
        read(text)


def test_columns_that_were_emptied_do_no_harm_and_rows_of_no_sale_are_told_one_by_one() -> None:
    text = "external_id;store;completed_at;net_minor;;\nA;high-street;2026-03-01 14:05;500;;\n"
    first, *others = read(text + ";high-street;2026-03-01 14:05;1;;\n" * 2)
    assert first.order is not None
    assert [(one.row, one.reason) for one in others] == [(row, "It has no external_id.") for row in (3, 4)]


async def bring(world: World, text: str) -> OrdersImported:
    connection = await DB.fetch_value("select id from pos_connection where code = 'till'")
    assert isinstance(connection, UUID)
    return await import_orders(world.ctx, await read_sales(text), connection_id=connection, on_progress=lambda _: None)


async def test_a_file_counts_once_however_often_it_is_brought(world: World) -> None:
    member = await world.sign_up()
    await world.pos_key()
    rows = "".join(f"S-{n},high-street,2026-03-02 09:00,1000,{member.card_number}\n" for n in range(1_203))
    text = HEADER + rows + "X,high-street,2026-03-02 09:00,oops,\nY,high-street,2027-03-02 09:00,5,\n"
    first = await bring(world, text)
    assert (first.posted, first.known, first.refused, first.points) == (1_203, 0, 2, 12_030)
    assert [one.external_id for one in first.orders if one.result == "refused"] == ["X", "Y"]
    again = await bring(world, text)
    assert (again.posted, again.known, again.refused, again.points) == (0, 1_203, 2, 0)
    assert await figures(member.membership_id) == (12_030, 12_030, 0, 0)
    await assert_verified(world)


async def test_an_import_that_was_stopped_goes_on_where_it_was(world: World) -> None:
    member = await world.sign_up()
    await world.pos_key()
    rows = [f"S-{n},high-street,2026-03-02 09:00,100,{member.card_number}\n" for n in range(700)]
    done = 0

    def stop_after_the_first(count: int) -> None:
        nonlocal done
        done += count
        raise KeyboardInterrupt

    connection = await DB.fetch_value("select id from pos_connection")
    assert isinstance(connection, UUID)
    orders = await read_sales(HEADER + "".join(rows))
    with pytest.raises(KeyboardInterrupt):
        await import_orders(world.ctx, orders, connection_id=connection, on_progress=stop_after_the_first)
    assert await DB.fetch_value("select count(*) from orders") == done == 500
    rest = await bring(world, HEADER + "".join(rows))
    assert (rest.posted, rest.known) == (200, 500)
    assert await figures(member.membership_id) == (700, 700, 0, 0)


async def test_what_the_till_pushed_is_known_and_a_higher_revision_changes_it(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    lines = [{"line_id": "1", "net_minor": 1000}]
    body = sale(world, card=member.card_number, external_id="A", number="A", lines=lines)
    expect(await push(world, key, body), 201)
    header = HEADER.strip() + ",revision\n"
    row = f"A,high-street,{world.clock.now().isoformat()},{{}},{member.card_number},{{}}\n"
    assert (await bring(world, header + row.format(1000, 0))).known == 1
    assert (await bring(world, header + row.format(1500, 0))).refused == 1
    changed = await bring(world, header + row.format(1500, 1))
    assert (changed.changed, changed.known) == (1, 0)
    assert await figures(member.membership_id) == (15, 15, 0, 0)
    kinds = await DB.fetch("select actor_kind from ledger_entry order by id")
    assert [row["actor_kind"] for row in kinds] == ["key", "system"]


def test_the_command_posts_and_writes_a_report_that_no_spreadsheet_runs(shop: Run, tmp_path: Path) -> None:
    file, report = tmp_path / "sales.csv", tmp_path / "report.csv"
    file.write_text(HEADER + "A,corner,2026-03-02 09:00,500,\n=cmd|A1,nowhere,2026-03-02 09:00,5,\n")
    refused = shop("import", "orders", str(file), "--connection", "tlil")
    assert refused.exit_code == 1
    assert "no till system 'tlil'" in refused.output
    done = shop("import", "orders", str(file), "--new-connection", "--report", str(report))
    assert done.exit_code == 1
    assert "1 sales posted, 0 points earned; 0 changed, 0 were there already." in done.output
    assert "1 of them earned nothing: no customer on the sale." in done.output
    assert "1 sales were refused" in done.output
    assert report.read_text().splitlines()[1:] == [
        "2,A,posted,0,no_customer",
        '3,\'=cmd|A1,refused,0,"completed_at has no offset, and we do not know this store."',
    ]
    file.write_bytes(b"\xff\xfe\xfd")
    assert shop("import", "orders", str(file)).exit_code == 2
