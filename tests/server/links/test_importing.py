"""A till's customers come in from a file as if the till had sent them, each row with what became of it."""

from pathlib import Path

import pytest

from server.csv_files import WrongFile
from server.db.engine import DB
from server.links.files import read_records
from server.links.importing import import_records
from tests.app import World
from tests.server.command_line import Run
from tests.server.links.shop import Till, links_of, run_checks

FILE = """external_id;given_name;family_name;email;phone;former_ids;email_since
p-1;Ana;Flores;ana@shop.test;;p-0 p-9;2025-01-01T00:00:00Z
p-2;Ben;Ode;not an address;12;;
p-3;Cy;;;;p-3;
;Dee;;;;;
p-5;Eve;;eve@shop.test;;;not a time
p-6;Fay;;;;;;too;many
"""


async def test_rows_are_kept_or_refused_by_themselves_and_again_without_harm(world: World) -> None:
    await Till.of(world)
    connection_id = await DB.fetch_value("select id from pos_connection")
    seen: list[int] = []
    done = await import_records(world.ctx, FILE, connection_id=connection_id, on_progress=seen.append)  # type: ignore[arg-type]
    assert done.counts == {"new": 2, "refused": 4}
    assert sum(seen) == 6
    rows = {one.line: (one.external_id, one.result, one.reason) for one in done.records}
    assert rows[3] == ("p-2", "new", "email: this is not an address; phone: this is not a number")
    assert rows[4][2].startswith("former_ids")
    assert rows[5][2].startswith("external_id")
    assert rows[6][2].startswith("email_since")
    assert rows[7][2] == "It has more cells than the header."
    again = await import_records(world.ctx, FILE, connection_id=connection_id, on_progress=seen.append)  # type: ignore[arg-type]
    assert again.counts == {"unchanged": 2, "refused": 4}
    ana = await world.sign_up()
    await run_checks(world)
    assert await links_of(ana.customer_id) == [("p-1", "linked", "email")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "missing"),
        ("external_id,points\n", "unknown: points"),
        ('external_id\n"x\n', "not CSV"),
        ("a\n", "unknown"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(text: str, words: str) -> None:
    with pytest.raises(WrongFile, match=words):
        list(read_records(text))


def test_the_command_tells_what_became_of_every_row(regulars: Run, tmp_path: Path) -> None:
    file, report = tmp_path / "customers.csv", tmp_path / "report.csv"
    file.write_text(FILE, encoding="utf-8")
    arguments = ["import", "customers", str(file), "--report", str(report)]
    refused = regulars(*arguments)
    assert (refused.exit_code, "There is no till system 'till'" in refused.output) == (1, True)
    done = regulars(*arguments, "--new-connection")
    assert done.exit_code == 1
    assert "2 records new, 0 changed; 0 were there already." in done.output
    assert "4 records were refused." in done.output
    assert report.read_text(encoding="utf-8").splitlines()[0] == "line,external_id,result,reason"
