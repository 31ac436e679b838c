"""The hot paths against their ceilings: reads against a trivial endpoint, sales against pgbench, sign-ins against Argon2.

Every round measures all of them one after the other, so that a busy neighbour slows both sides of a ratio; the median
of the rounds' ratios counts. pgbench writes the same rows as a sale of three lines, as separate statements in one
transaction; a second script sends the service's own single statement.
"""

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher

from scripts.benchmarks.load import Report
from scripts.benchmarks.shop import KEY, MEMBERS, PASSWORD, Shop, open_shop

CLIENTS = 16
READERS = 32

_UUID = "('%s-0000-7000-8000-' || lpad((:%s)::text, 12, '0'))::uuid"
# What a sale writes, one statement after the other, as a straightforward program would: 14 round trips.
PLAIN_SALE = r"""
\set member random(1, %(members)d)
\set sale random(1, 999999999999)
begin;
select id, connection from api_key where token_hash = '\x%(key)s' and revoked_at is null and expires_at > now();
select c.customer, m.id, m.deficit, p.eligible_from from card c join membership m on m.id = c.membership
  join membership_person p on p.membership = m.id and p.customer = c.customer and p.left_at is null
  where c.code = (29000000000000 + :member)::text and c.status = 'active' for no key update of m;
insert into idempotency_key (id, principal, operation, key, body_hash, status, reply, created_at)
  values (%(idempotency)s, 'key:1', 'push_order', 'pgbench-' || :sale, '\x00', 201, '\x7b7d', now());
insert into orders (id, connection, external_id, number, store, completed_at, currency, net_minor, tax_minor, content_hash,
  customer, membership, points, rule_version, assignment_reason, created_at)
  values (%(order)s, bench_id(2, 1), 'pgbench-' || :sale, 'R', bench_id(1, 1), now(), 'GBP', 1500, 0, '\x00',
  bench_id(5, :member), bench_id(7, :member), 15, bench_id(4, 1), 'card', now());
insert into order_line (id, "order", position, line_id, description, category, quantity, net_minor, tax_minor, points, rule)
  values (%(line1)s, %(order)s, 0, '1', 'Coffee beans', 'coffee', 1, 500, 0, 5, '1 point per 1.00 GBP');
insert into order_line (id, "order", position, line_id, description, category, quantity, net_minor, tax_minor, points, rule)
  values (%(line2)s, %(order)s, 1, '2', 'Bread', 'bakery', 1, 500, 0, 5, '1 point per 1.00 GBP');
insert into order_line (id, "order", position, line_id, description, category, quantity, net_minor, tax_minor, points, rule)
  values (%(line3)s, %(order)s, 2, '3', 'Milk', 'dairy', 1, 500, 0, 5, '1 point per 1.00 GBP');
insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, "order", rule_version, actor_kind, actor_id)
  values (%(entry)s, bench_id(7, :member), 'EARN', 15, now(), now(), 'order:' || :sale, bench_id(5, :member), %(order)s, bench_id(4, 1), 'key', bench_id(13, 1));
insert into lot (entry, membership, points, remaining, earned_at, available_at, expires_at)
  values (%(entry)s, bench_id(7, :member), 15, 15, now(), now(), date_trunc('day', now()) + interval '366 days');
update membership set balance = balance + 15, available = available + 15, lifetime = lifetime + 15,
  figures_until = least(figures_until, date_trunc('day', now()) + interval '366 days'), version = version + 1 where id = bench_id(7, :member);
update audience_contact set dirty_seq = dirty_seq + 1, dirty_at = now() where customer = bench_id(5, :member) and state = 'live';
insert into pgqueuer (priority, entrypoint, dedupe_key, status) values (0, 'pgbench', 'pgbench:' || floor(extract(epoch from now())), 'queued')
  on conflict (dedupe_key) where status in ('queued', 'picked') and dedupe_key is not null do nothing;
insert into audit_entry (id, at, actor_kind, actor_id, action, subject_kind, subject_id, customer_id)
  values (%(audit)s, now(), 'key', bench_id(13, 1), 'order.posted', 'order', %(order)s, bench_id(5, :member));
commit;
"""


def run(*, seconds: float, rounds: int) -> dict[str, float]:
    """Measure; `seconds` for each measurement, `rounds` of all of them."""
    hasher = PasswordHasher()
    ratios: dict[str, list[float]] = {}
    with open_shop(hasher) as shop:
        shop.load(connections=READERS, seconds=1, requests=[get("/health/live")])
        first = 0
        for _ in range(rounds):
            found, first = _round(shop, hasher, seconds=seconds, first=first)
            for name, figure in found.items():
                ratios.setdefault(name, []).append(figure)
    return {name: statistics.median(figures) for name, figures in ratios.items()}


def _round(shop: Shop, hasher: PasswordHasher, *, seconds: float, first: int) -> tuple[dict[str, float], int]:
    floor = shop.load(connections=READERS, seconds=seconds, requests=[get("/health/live")])
    me = shop.load(connections=READERS, seconds=seconds, requests=member_gets("/v1/me"))
    floor_again = shop.load(connections=READERS, seconds=seconds, requests=[get("/health/live")])
    pgbench = shop.pgbench(plain_sale(), clients=CLIENTS, seconds=seconds)
    orders = shop.load(connections=CLIENTS, seconds=seconds, requests=sales(), status=201, first=first)
    pgbench_again = shop.pgbench(plain_sale(), clients=CLIENTS, seconds=seconds)
    raw = _raw_argon2_per_second(hasher, seconds)
    calm = shop.load(connections=4, seconds=seconds, requests=member_gets("/v1/me"))
    signins, stormy = _storm(shop, seconds)
    floor_rate = (floor.per_second + floor_again.per_second) / 2
    pgbench_rate = (pgbench + pgbench_again) / 2
    return {
        "floor_per_second": floor_rate,
        "me_per_second": me.per_second,
        "me_over_floor": me.per_second / floor_rate,
        "me_p99_ms": me.p99_ms,
        "pgbench_per_second": pgbench_rate,
        "order_per_second": orders.per_second,
        "order_over_pgbench": orders.per_second / pgbench_rate,
        "order_over_floor": orders.per_second / floor_rate,
        "order_p50_ms": orders.p50_ms,
        "order_p99_ms": orders.p99_ms,
        "argon2_per_second": raw,
        "signin_per_second": signins.per_second,
        "signin_over_argon2": signins.per_second / raw,
        "calm_p99_ms": calm.p99_ms,
        "storm_p99_ms": stormy.p99_ms,
        "storm_p99_over_calm": stormy.p99_ms / calm.p99_ms,
        "storm_rate_over_calm": stormy.per_second / calm.per_second,
    }, first + orders.answers + CLIENTS


def _storm(shop: Shop, seconds: float) -> tuple[Report, Report]:
    """Sign in without pause on eight connections while others read; return both reports."""
    # Each from a network of its own, as the throttle rightly slows four hundred sign-ins from one.
    requests = [
        post("/v1/sessions", {"X-Forwarded-For": f"10.{n // 256}.{n % 256}.1"}, _sign_in(n)) for n in range(1, 401)
    ]
    with ThreadPoolExecutor(1) as pool:
        signins = pool.submit(shop.load, connections=8, seconds=seconds + 1, requests=requests, status=201)
        threading.Event().wait(0.5)
        readers = shop.load(connections=4, seconds=seconds, requests=member_gets("/v1/me"))
        return signins.result(), readers


def _raw_argon2_per_second(hasher: PasswordHasher, seconds: float) -> float:
    """Verify in one thread, as the service does, and return verifications a second."""
    stored = hasher.hash(PASSWORD)
    until = time.perf_counter() + seconds / 2
    started_at, count = time.perf_counter(), 0
    while time.perf_counter() < until:
        hasher.verify(stored, PASSWORD)
        count += 1
    return count / (time.perf_counter() - started_at)


def get(path: str, token: str | None = None) -> str:
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}\r\n"


def post(path: str, headers: dict[str, str], body: str) -> str:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    # The length is that of the body with its running number, which always has twelve digits.
    length = len(body.encode()) + body.count("{n}") * (12 - len("{n}"))
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{lines}\r\n{body}"


def member_gets(path: str, *, first: int = 1, last: int = 2_000) -> list[str]:
    return [get(path, f"bench-token-{number:020}") for number in range(first, last + 1)]


def _sign_in(number: int) -> str:
    return f'{{"email":"m{number}@example.com","password":"{PASSWORD}"}}'


def sales() -> list[str]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    lines = ",".join(
        f'{{"line_id":"{i}","sku":"S{i}","description":"{name}","category":"{category}","quantity":1,"net_minor":500,"tax_minor":0}}'
        for i, (name, category) in enumerate([("Coffee beans", "coffee"), ("Bread", "bakery"), ("Milk", "dairy")])
    )
    requests = []
    for member in range(1, MEMBERS + 1, 7):
        body = (
            f'{{"external_id":"sale-{{n}}","number":"R-{{n}}","store":"high","completed_at":"{now}","currency":"GBP",'
            f'"customer":{{"card_number":"{29000000000000 + member}"}},"lines":[{lines}]}}'
        )
        headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": "bench-sale-{n}"}
        requests.append(post("/v1/pos/orders", headers, body))
    return requests


def plain_sale() -> str:
    from server.tokens import hash_token

    names = ("idempotency", "order", "line1", "line2", "line3", "entry", "audit")
    ids = {name: _UUID % (f"{kind:08x}", "sale") for kind, name in enumerate(names, 0xB0)}
    return PLAIN_SALE % ({"members": MEMBERS, "key": hash_token(KEY).hex()} | ids)
