"""`regulars claim batch`, as whoever runs the shop types it."""

import csv
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
import structlog
from click.testing import CliRunner, Result

from server.commands.regulars import regulars as program
from shared.codes import is_claim_code, normalise_claim_code

_CUSTOMERS = """
insert into customer (id, kind, status, given_name, family_name, locale, notes, postal_address, post_code, enrolled_source,
                      version, created_at, updated_at)
select gen_random_uuid(), 'person', 'stub', 'Bea', 'Okafor ' || n, 'en', '', '1 High Street', 'SW1A', 'import', 1, now(), now()
from generate_series(1, 1001) n
"""


@pytest.fixture
def run(database_url: str, data_dir: Path) -> Iterator[Callable[..., Result]]:
    """The command, with its settings."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    environment = {
        "REGULARS_DATABASE_URL": database_url,
        "REGULARS_DATA_DIR": str(data_dir),
        "REGULARS_SECRET_KEY": "9f2c41d7a6b85e03" * 4,
    }
    yield lambda *arguments: CliRunner().invoke(program, list(arguments), env=environment)
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_the_files_of_a_batch_are_written_once_for_nobody_else_to_read(
    run: Callable[..., Result], database_url: str, tmp_path: Path
) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(_CUSTOMERS)
    await connection.close()
    done = run_apart(run, "claim", "batch", "--out", str(tmp_path / "letters"), "--no-letters")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("1,001 codes are in ")
    file = tmp_path / "letters" / "claim-codes.csv"
    assert file.stat().st_mode & 0o077 == 0
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert len({row["code"] for row in rows}) == 1001
    assert all(is_claim_code(normalise_claim_code(row["code"])) for row in rows)
    again = run_apart(run, "claim", "batch", "--out", str(tmp_path / "letters"))
    assert (again.exit_code, "exists" in again.output) == (1, True)
    nobody = run_apart(run, "claim", "batch", "--out", str(tmp_path / "more"))
    assert (nobody.exit_code, "Nobody needs a letter" in nobody.output) == (1, True)
    assert not (tmp_path / "more").exists()


def run_apart(run: Callable[..., Result], *arguments: str) -> Result:
    """Run a command in a thread of its own, as it starts a loop of its own."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run, *arguments).result()
