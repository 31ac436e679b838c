"""`regulars verify` over a large base: how long it takes, and whether its memory stays flat.

Of the entries six tenths are sales with an order and its line, three tenths spend such a lot, and one tenth are lapses;
the base is right, so every check has to look at all of it.
"""

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import uvloop
from argon2 import PasswordHasher

from scripts.benchmarks.shop import MEMBERS, Shop, open_shop

ENTRIES = 1_000_000

# Sale n is member n's modulo all; the first of them are spent, the next have lapsed, the others are there. Triggers are
# off for it, as checking the foreign keys takes longer than the verification.
_SEED = """
set session_replication_role = replica;
insert into rule_version (id, programme, version, valid_from, body, checksum, created_at)
  values (bench_id(4, 2), bench_id(3, 1), 2, now() - interval '1 year', '{"expiry": {"kind": "days", "days": 8}}', '', now());
create temporary table sale as
select s.*, case when is_lapsed then bench_id(4, 2) else bench_id(4, 1) end as rules, u.until,
       case when is_lapsed then u.until else at + interval '10 days' end as over_at
from (
select n, bench_id(40, n) as "order", bench_id(20, n) as entry, bench_id(5, n % $members + 1) as customer,
       bench_id(7, n % $members + 1) as membership, n <= $spent as is_spent, n > $spent and n <= $spent + $lapsed as is_lapsed,
       now() - case when n > $spent and n <= $spent + $lapsed then interval '20 days' else interval '10 days' end as at
from generate_series(1, $sales) n
) s
cross join lateral (
    select ((at at time zone 'Europe/London')::date + case when is_lapsed then 9 else 366 end)::timestamp
           at time zone 'Europe/London' as until) u;
insert into orders (id, connection, external_id, number, store, completed_at, currency, net_minor, tax_minor, content_hash,
                    customer, membership, points, rule_version, assignment_reason, created_at)
  select "order", bench_id(2, 1), 'verify-' || n, n::text, bench_id(1, 1), at, 'GBP', 1000, 0, '\\x00', customer, membership,
         10, rules, 'card', at from sale;
insert into order_line (id, "order", position, line_id, description, category, quantity, net_minor, tax_minor, points, rule)
  select bench_id(41, n), "order", 0, '1', 'Coffee beans', 'coffee', 1, 1000, 0, 10, '1 point per 1.00 GBP' from sale;
insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, "order", rule_version,
                          actor_kind, actor_id)
  select entry, membership, 'EARN', 10, at, at, 'order:' || "order" || ':1', customer, "order", rules, 'key',
         bench_id(8, 1) from sale;
insert into audit_entry (id, at, actor_kind, actor_id, action, subject_kind, subject_id, customer_id)
  select bench_id(42, n), at, 'key', bench_id(8, 1), 'order.posted', 'order', "order", customer from sale;
insert into lot (entry, membership, points, remaining, earned_at, available_at, expires_at)
  select entry, membership, 10, case when is_spent or is_lapsed then 0 else 10 end, at, at, until from sale;
insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, actor_kind)
  select bench_id(21, n), membership, case when is_spent then 'REDEEM' else 'EXPIRE' end, -10, over_at, over_at,
         case when is_spent then 'bench:' || n else 'lot:' || entry end, 'system' from sale where is_spent or is_lapsed;
insert into allocation (id, membership, debit_entry, lot_entry, points, posted_at)
  select bench_id(22, n), membership, bench_id(21, n), entry, 10, over_at from sale where is_spent or is_lapsed;
update membership m
set balance = s.left_over, available = s.left_over, lifetime = s.earned, figures_until = s.until,
    active_at = s.active_at
from (select membership, sum(10) as earned, coalesce(sum(10) filter (where not is_spent and not is_lapsed), 0) as left_over,
             min(until) filter (where not is_spent and not is_lapsed) as until,
             max(at + case when is_spent then interval '10 days' else interval '0' end) as active_at
      from sale group by membership) s
where m.id = s.membership;
drop table sale;
reset session_replication_role;
analyze;
"""


def run(*, seconds: float, rounds: int, entries: int = ENTRIES) -> dict[str, float]:  # noqa: ARG001 - as all benchmarks
    """Verify once from a cold start of the command over `entries` entries."""
    with open_shop(PasswordHasher()) as shop:
        uvloop.run(_seed(shop.dsn, entries))
        used = shop.cpu_seconds()
        taken, own_cpu, rss_mb = _verify(shop)
        cpu = shop.cpu_seconds() - used + own_cpu
    name = "verify_seconds_1m_entries" if entries == ENTRIES else "verify_seconds"
    return {"verify_entries": entries, name: taken, "verify_cpu_seconds": cpu, "verify_rss_mb": rss_mb}


def _verify(shop: Shop) -> tuple[float, float, float]:
    """Return the seconds that the command took, its processor time and the most memory that it held, in megabytes."""
    environment = os.environ | {
        "REGULARS_DATABASE_URL": shop.dsn,
        "REGULARS_DATA_DIR": str(shop.folder / "service"),
        "REGULARS_SECRET_KEY": secrets.token_hex(32),
    }
    started_at = time.perf_counter()
    process = subprocess.Popen([str(Path(sys.executable).with_name("regulars")), "verify"], env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, "the base was not found right"
    return time.perf_counter() - started_at, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


async def _seed(dsn: str, entries: int) -> None:
    sales = entries * 6 // 10
    script = _SEED
    for name, value in (
        ("$members", MEMBERS),
        ("$sales", sales),
        ("$spent", entries * 3 // 10),
        ("$lapsed", entries - sales - entries * 3 // 10),
    ):
        script = script.replace(name, str(value))
    connection = await asyncpg.connect(dsn, command_timeout=900)
    await connection.execute(script)
    await connection.close()
