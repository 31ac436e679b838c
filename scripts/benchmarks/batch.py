"""Sales in batches of 500 through the API, against pgbench writing the same rows sale by sale.

A batch is taken set by set, so it is to do several times what separate statements can. The requests are whole batches of
three-line sales of members who are spread over the shop; like stores, the batches that are under way at once have no
customer in common. pgbench runs before and after, so that a busy neighbour slows both sides.
"""

import random
import statistics
import time

from argon2 import PasswordHasher

from scripts.benchmarks.core import CLIENTS, plain_sale, post
from scripts.benchmarks.shop import KEY, MEMBERS, Shop, open_shop

SALES_AT_ONCE = 500
# The database works on one batch while the next is being worked out.
TILLS = 4
_DIFFERENT_BATCHES = 8


def run(*, seconds: float, rounds: int) -> dict[str, float]:
    """Measure; `seconds` for each measurement, `rounds` of all of them."""
    ratios: dict[str, list[float]] = {}
    with open_shop(PasswordHasher()) as shop:
        first = _push(shop, seconds=2, first=0)[2]
        for _ in range(rounds):
            pgbench, pgbench_cpu = _sell_plainly(shop, seconds)
            used, first_before = shop.cpu_seconds(), first
            rate, p99_ms, first = _push(shop, seconds=seconds, first=first)
            batch_cpu = (shop.cpu_seconds() - used) / (first - first_before) / SALES_AT_ONCE
            pgbench_again, pgbench_cpu_again = _sell_plainly(shop, seconds)
            pgbench = (pgbench + pgbench_again) / 2
            for name, figure in (
                ("batch_orders_per_second", rate),
                ("batch_pgbench_per_second", pgbench),
                ("batch_over_pgbench", rate / pgbench),
                ("batch_cpu_us_per_order", 1_000_000 * batch_cpu),
                ("batch_cpu_over_pgbench", (pgbench_cpu + pgbench_cpu_again) / 2 / batch_cpu),
                ("batch_p99_ms", p99_ms),
            ):
                ratios.setdefault(name, []).append(figure)
    return {name: statistics.median(figures) for name, figures in ratios.items()}


def _sell_plainly(shop: Shop, seconds: float) -> tuple[float, float]:
    """Return pgbench's sales a second, and the processor seconds of each: the database's, but not pgbench's own."""
    used, started_at = shop.cpu_seconds(), time.perf_counter()
    rate = shop.pgbench(plain_sale(), clients=CLIENTS, seconds=seconds)
    return rate, (shop.cpu_seconds() - used) / (rate * (time.perf_counter() - started_at))


def _push(shop: Shop, *, seconds: float, first: int) -> tuple[float, float, int]:
    """Return sales a second, the slowest hundredth of the batches in milliseconds, and the next free number."""
    requests = [_batch(seed) for seed in range(_DIFFERENT_BATCHES)]
    report = shop.load(connections=TILLS, seconds=seconds, requests=requests, status=200, first=first)
    return report.per_second * SALES_AT_ONCE, report.p99_ms, first + report.answers


def _batch(seed: int) -> str:
    # Numbers that are far apart, and other ones for each batch.
    members = [place * (MEMBERS // SALES_AT_ONCE) + seed + 1 for place in range(SALES_AT_ONCE)]
    random.Random(seed).shuffle(members)  # noqa: S311 - no secret
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    lines = ",".join(
        f'{{"line_id":"{i}","sku":"S{i}","description":"{name}","category":"{category}","quantity":1,"net_minor":500,"tax_minor":0}}'
        for i, (name, category) in enumerate([("Coffee beans", "coffee"), ("Bread", "bakery"), ("Milk", "dairy")])
    )
    orders = ",".join(
        f'{{"external_id":"b{{n}}-{place}","number":"R-{place}","store":"high","completed_at":"{now}","currency":"GBP",'
        f'"customer":{{"card_number":"{29000000000000 + member}"}},"lines":[{lines}]}}'
        for place, member in enumerate(members)
    )
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": "bench-batch-{n}"}
    return post("/v1/pos/orders/batch", headers, f'{{"orders":[{orders}]}}')
