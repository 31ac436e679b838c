"""`regulars import orders` against COPY of the same rows into the same indexes.

The import checks each sale, works out its points and writes entry, lot, balance and audit besides; COPY only brings the rows
of orders and lines in. What the command needs to start is part of it, as it is for whoever waits.
"""

import csv
import os
import secrets
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import uvloop
from argon2 import PasswordHasher

from scripts.benchmarks.shop import MEMBERS, Shop, open_shop

SALES = 20_000
_LINES = (("Coffee beans", "coffee"), ("Bread", "bakery"), ("Milk", "dairy"))
_TABLES = ("orders", "order_line")


def run(*, seconds: float, rounds: int) -> dict[str, float]:  # noqa: ARG001 - as all benchmarks
    """Import once, then copy what that wrote."""
    with open_shop(PasswordHasher()) as shop:
        path = shop.folder / "sales.csv"
        _write_sales(path)
        started_at = time.perf_counter()
        _import(shop, path)
        import_seconds = time.perf_counter() - started_at
        copy_seconds = uvloop.run(_copy(shop))
    return {
        "import_orders_per_second": SALES / import_seconds,
        "copy_orders_per_second": SALES / copy_seconds,
        "import_over_copy": copy_seconds / import_seconds,
    }


def _write_sales(path: Path) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        names = "external_id number store completed_at card_number line_id description category quantity net_minor tax_minor"
        rows.writerow(names.split())
        for sale in range(SALES):
            card = 29_000_000_000_000 + sale * 7919 % MEMBERS + 1
            for line, (name, category) in enumerate(_LINES):
                rows.writerow([f"i{sale}", f"R-{sale}", "high", now, card, line, name, category, 1, 500, 0])


def _import(shop: Shop, path: Path) -> None:
    environment = os.environ | {
        "REGULARS_DATABASE_URL": shop.dsn,
        "REGULARS_DATA_DIR": str(shop.folder / "service"),
        "REGULARS_SECRET_KEY": secrets.token_hex(32),
    }
    command = [str(Path(sys.executable).with_name("regulars")), "import", "orders", str(path)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def _copy(shop: Shop) -> float:
    """Copy the rows of the imported sales into empty tables with the same indexes; return the seconds."""
    connection = await asyncpg.connect(shop.dsn, command_timeout=900)
    sales = await connection.fetchval("select count(*) from orders where external_id like 'i%'")
    assert sales == SALES, f"{sales} of {SALES} sales were imported"
    for table in _TABLES:
        await connection.execute(f"create table copy_of_{table} (like {table} including all)")
        await connection.copy_from_query(f"select * from {table}", output=shop.folder / table)  # noqa: S608 - a name of ours
    started_at = time.perf_counter()
    for table in _TABLES:
        await connection.copy_to_table(f"copy_of_{table}", source=shop.folder / table)
    taken = time.perf_counter() - started_at
    await connection.close()
    return taken
