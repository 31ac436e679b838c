"""The search for duplicates: how good it is on people it was not tuned on, and how long it takes over a whole shop.

The people are made up (a harbour town), with the usual slips in those who are on file twice, so that the truth is known. The
worker's own sweep does all of it: keys, pairs, evidence, queue.
"""

import contextlib
import resource
import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import uvloop

from server.app import create_tools
from server.context import Tools
from server.db.embedded import EmbeddedPostgres
from server.db.engine import DB
from server.db.ids import new_id
from server.db.migrate import migrate
from server.duplicates.search import compare_marked
from server.settings import Settings
from tests.server.duplicates.harbour import make_harbour
from tests.server.duplicates.records import Quality, measure, put_on_file

CUSTOMERS = 1_000_000
_JUDGED = 6_000
_SEEDS = (101, 102, 103)
_PEOPLE_AT_ONCE = 50_000
_CHANGES = 200


def run(*, seconds: float, rounds: int, customers: int = CUSTOMERS) -> dict[str, float]:  # noqa: ARG001 - as all benchmarks
    """Measure the quality in three small places, then time and quality in a large one of `customers` records."""
    small = []
    for seed in _SEEDS:
        with _database() as dsn:
            quality, _ = uvloop.run(_search(dsn, _JUDGED, seed=seed, is_large=False))
            small.append(quality)
    with _database() as dsn:
        large, times = uvloop.run(_search(dsn, customers, seed=1, is_large=True))
    return {
        "duplicates_precision": statistics.mean(each.precision for each in small),
        "duplicates_recall": statistics.mean(each.recall for each in small),
        "duplicates_f1": statistics.mean(each.f1 for each in small),
        "duplicates_customers": customers,
        "duplicates_large_precision": large.precision,
        "duplicates_large_recall": large.recall,
        "duplicates_large_f1": large.f1,
    } | times


@contextlib.contextmanager
def _database() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="regulars-bench-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "data")
    try:
        yield postgres.start()
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _search(dsn: str, customers: int, *, seed: int, is_large: bool) -> tuple[Quality, dict[str, float]]:
    await migrate(dsn)
    people = await _fill(dsn, customers, seed=seed, is_large=is_large)
    tools = create_tools(Settings(secret_key=secrets.token_hex(32)))
    await DB.open(dsn)
    await DB.fetch("insert into duplicate_mark (id, customer, marked_at) values ($1, null, now())", new_id())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started_at, cpu_at = time.perf_counter(), time.process_time()
    await compare_marked(tools)
    taken, cpu = time.perf_counter() - started_at, time.process_time() - cpu_at
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    rows = await DB.fetch("select one, other from duplicate_candidate where state = 'open'")
    places = {customer: place for place, customer in enumerate(people)}
    found = {frozenset((places[row["one"]], places[row["other"]])) for row in rows}
    quality = measure(found, list(people.values()))
    changed = await _time_change(tools, list(people))
    await DB.close()
    return quality, {
        "duplicates_build_seconds": taken,
        "duplicates_build_cpu_seconds": cpu,
        "duplicates_build_grown_mb": grown,
        "duplicates_change_ms": changed,
    }


async def _fill(dsn: str, customers: int, *, seed: int, is_large: bool) -> dict[UUID, int]:
    """Put people on file and return whom each customer is; triggers are off, as everybody is compared anyway."""
    connection = await asyncpg.connect(dsn, command_timeout=900)
    await connection.execute("set session_replication_role = replica")
    people: dict[UUID, int] = {}
    # Part by part, each with people of its own, so that no list of all records is ever held.
    for part in range(-(-customers // _PEOPLE_AT_ONCE)):
        records = make_harbour(seed * 1_000 + part, min(_PEOPLE_AT_ONCE, customers), is_large=is_large)
        ids = await put_on_file(connection, (known for _, known in records), datetime.now(UTC))
        people |= {customer: part * 10_000_000 + number for customer, (number, _) in zip(ids, records, strict=True)}
    await connection.execute("analyze")
    await connection.close()
    return people


async def _time_change(tools: Tools, customers: list[UUID]) -> float:
    """Change one customer after the other and return the median milliseconds until each is compared."""
    taken = []
    for customer in customers[:: max(1, len(customers) // _CHANGES)][:_CHANGES]:
        await DB.fetch("update customer set given_name = given_name || ' B' where id = $1", customer)
        started_at = time.perf_counter()
        await compare_marked(tools)
        taken.append((time.perf_counter() - started_at) * 1000)
    return statistics.median(taken)
