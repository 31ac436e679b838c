"""Sales while lapsed points are booked: the run takes whole sets, and tills are to notice little of it.

Four tills push sales without pause; their slowest hundredth is measured in calm, and again while `regulars expire` works
through lots that have all lapsed. What it books a second is measured too, the rests that it takes included.
"""

import os
import secrets
import statistics
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import uvloop
from argon2 import PasswordHasher

from scripts.benchmarks.core import sales
from scripts.benchmarks.load import Report
from scripts.benchmarks.shop import MEMBERS, Shop, open_shop

LOTS = 50_000
TILLS = 4

# Lots that lapsed a minute ago, spread over all members. Triggers are off for it, as foreign keys of a million rows take
# longer than the run itself.
_SEED = """
set session_replication_role = replica;
insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, actor_kind)
  select bench_id(20, n), bench_id(7, n %% %(members)d + 1), 'OPENING', 10, now() - interval '1 year', now() - interval '1 year',
         'bench:' || n, 'system' from generate_series(1, %(lots)d) n;
insert into lot (entry, membership, points, remaining, earned_at, available_at, expires_at)
  select bench_id(20, n), bench_id(7, n %% %(members)d + 1), 10, 10, now() - interval '1 year', now() - interval '1 year',
         now() - interval '1 minute' - n * interval '1 millisecond' from generate_series(1, %(lots)d) n;
update membership m set balance = balance + x.points
from (select membership, sum(points) as points from ledger_entry where id >= bench_id(20, 0) and id < bench_id(21, 0)
      group by membership) x
where m.id = x.membership;
reset session_replication_role;
analyze;
"""


def run(*, seconds: float, rounds: int, lots: int = LOTS) -> dict[str, float]:
    """Measure once; `seconds` for each window, of which `rounds` are measured in calm."""
    with open_shop(PasswordHasher()) as shop:
        uvloop.run(_seed(shop.dsn, lots))
        _sell(shop, seconds, first=0)
        first, calm = 1_000_000, []
        for _ in range(rounds):
            calm.append(_sell(shop, seconds, first=first))
            first += 1_000_000
        booked_seconds, busy = _sell_while_booking(shop, seconds, first=first)
        left = uvloop.run(_count_left(shop.dsn))
    assert not left, f"{left} lots were not booked"
    calm_p99_ms = statistics.median(report.p99_ms for report in calm)
    busy_p99_ms = statistics.median(report.p99_ms for report in busy)
    return {
        "expiry_lots": lots,
        "expiry_seconds": booked_seconds,
        "expiry_lots_per_second": lots / booked_seconds,
        "expiry_calm_p99_ms": calm_p99_ms,
        "expiry_busy_p99_ms": busy_p99_ms,
        "expiry_p99_over_calm": busy_p99_ms / calm_p99_ms,
    }


def _sell(shop: Shop, seconds: float, *, first: int) -> Report:
    return shop.load(connections=TILLS, seconds=seconds, requests=sales(), status=201, first=first)


def _sell_while_booking(shop: Shop, seconds: float, *, first: int) -> tuple[float, list[Report]]:
    """Return how long the run took, and a report of each window that lay within it; at least of one."""
    environment = os.environ | {
        "REGULARS_DATABASE_URL": shop.dsn,
        "REGULARS_DATA_DIR": str(shop.folder / "service"),
        "REGULARS_SECRET_KEY": secrets.token_hex(32),
    }
    started_at = time.perf_counter()
    reports: list[Report] = []
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("regulars")), "expire"], env=environment, stdout=subprocess.DEVNULL
    )
    while not reports or process.poll() is None:
        report = _sell(shop, seconds, first=first)
        if not reports or process.poll() is None:
            reports.append(report)
        first += 1_000_000
    assert process.wait() == 0
    return time.perf_counter() - started_at, reports


async def _seed(dsn: str, lots: int) -> None:
    connection = await asyncpg.connect(dsn, command_timeout=900)
    await connection.execute(_SEED % {"lots": lots, "members": MEMBERS})
    await connection.close()


async def _count_left(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    left: int = await connection.fetchval("select count(*) from lot where remaining > 0 and expires_at <= now()")
    await connection.close()
    return left
