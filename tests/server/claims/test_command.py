"""`regulars claim batch`, as whoever runs the shop types it."""

import csv
from pathlib import Path

from shared.codes import is_claim_code, normalise_claim_code
from tests.server.command_line import Run, query

_CUSTOMERS = """
insert into customer (id, kind, status, given_name, family_name, locale, notes, postal_address, post_code, enrolled_source,
                      version, created_at, updated_at)
select gen_random_uuid(), 'person', 'stub', 'Bea', 'Okafor ' || n, 'en', '', '1 High Street', 'SW1A', 'import', 1, now(), now()
from generate_series(1, 1001) n
"""


def test_the_files_of_a_batch_are_written_once_for_nobody_else_to_read(
    regulars: Run, database_url: str, tmp_path: Path
) -> None:
    query(database_url, _CUSTOMERS)
    done = regulars("claim", "batch", "--out", str(tmp_path / "letters"), "--no-letters")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("1,001 codes are in ")
    file = tmp_path / "letters" / "claim-codes.csv"
    assert file.stat().st_mode & 0o077 == 0
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert len({row["code"] for row in rows}) == 1001
    assert all(is_claim_code(normalise_claim_code(row["code"])) for row in rows)
    again = regulars("claim", "batch", "--out", str(tmp_path / "letters"))
    assert (again.exit_code, "exists" in again.output) == (1, True)
    nobody = regulars("claim", "batch", "--out", str(tmp_path / "more"))
    assert (nobody.exit_code, "Nobody needs a letter" in nobody.output) == (1, True)
    assert not (tmp_path / "more").exists()
