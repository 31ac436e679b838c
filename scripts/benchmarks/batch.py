"""Sales in batches of 500 through the API, against pgbench writing the same rows sale by sale.

A batch is taken set by set, so it is to do several times what separate statements can. The requests are whole batches of
three-line sales of members who are spread over the shop; pgbench runs before and after, so that a busy neighbour
slows both sides.
"""

import random
import statistics
import time

from argon2 import PasswordHasher

from scripts.benchmarks.core import CLIENTS, plain_sale, post
from scripts.benchmarks.shop import KEY, MEMBERS, Shop, open_shop

SALES_AT_ONCE = 500
# Enough that the database works on one batch while the next is being worked out.
TILLS = 3
_DIFFERENT_BATCHES = 8


def run(*, seconds: float, rounds: int) -> dict[str, float]:
    """Measure; `seconds` for each measurement, `rounds` of all of them."""
    ratios: dict[str, list[float]] = {}
    with open_shop(PasswordHasher()) as shop:
        first = _push(shop, seconds=2, first=0)[2]
        for _ in range(rounds):
            pgbench = shop.pgbench(plain_sale(), clients=CLIENTS, seconds=seconds)
            rate, p99_ms, first = _push(shop, seconds=seconds, first=first)
            pgbench = (pgbench + shop.pgbench(plain_sale(), clients=CLIENTS, seconds=seconds)) / 2
            for name, figure in (
                ("batch_orders_per_second", rate),
                ("batch_pgbench_per_second", pgbench),
                ("batch_over_pgbench", rate / pgbench),
                ("batch_p99_ms", p99_ms),
            ):
                ratios.setdefault(name, []).append(figure)
    return {name: statistics.median(figures) for name, figures in ratios.items()}


def _push(shop: Shop, *, seconds: float, first: int) -> tuple[float, float, int]:
    """Return sales a second, the slowest hundredth of the batches in milliseconds, and the next free number."""
    requests = [_batch(seed) for seed in range(_DIFFERENT_BATCHES)]
    report = shop.load(connections=TILLS, seconds=seconds, requests=requests, status=200, first=first)
    return report.per_second * SALES_AT_ONCE, report.p99_ms, first + report.answers + TILLS


def _batch(seed: int) -> str:
    members = random.Random(seed).sample(range(1, MEMBERS + 1), SALES_AT_ONCE)  # noqa: S311 - no secret
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
