"""Reads that must not grow: a thousand members against a million, a hundred entries against a hundred thousand.

A small and a large shop stand side by side and get the same requests in turn, so that a busy neighbour slows both. Every
member has a sale in the ledger; in the small shop one has a short history, another a long one. Staff search the large
shop by every key there is, and register people who are alike to somebody in it.
"""

import contextlib
import secrets
import statistics
import time
from urllib.parse import urlencode

import asyncpg
import httpx
import uvloop
from argon2 import PasswordHasher

from scripts.benchmarks.core import get, member_gets
from scripts.benchmarks.shop import STAFF_TOKEN, Shop, add_members, open_shop

SMALL, LARGE = 1_000, 1_000_000
SHORT, LONG = 100, 100_000
# A long history has many lots that are used up, and as many live ones as a short one.
_LIVE_LOTS = 50
_READERS = 4
_CONSOLES = 2
_SHORT_MEMBER, _LONG_MEMBER = 1, 2
_PAGE = 50
_SLICES = 4

_SALES = """
set session_replication_role = replica;
insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, actor_kind)
  select bench_id(30, n), bench_id(7, n), 'EARN', 10, now(), now() - interval '1 day', 'bench:' || n, bench_id(5, n), 'system'
  from generate_series($1::bigint, $2::bigint) n;
insert into lot (entry, membership, points, remaining, earned_at, available_at, expires_at)
  select bench_id(30, n), bench_id(7, n), 10, 10, now(), now(), now() + interval '1 year'
  from generate_series($1::bigint, $2::bigint) n;
update membership set balance = 10, available = 10, lifetime = 10, figures_until = now() + interval '1 year'
  where id between bench_id(7, $1) and bench_id(7, $2);
reset session_replication_role;
"""
# Entries of one membership, the newest of which have live lots.
_HISTORY = """
set session_replication_role = replica;
insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, customer, actor_kind)
  select bench_id($kind, n), bench_id(7, $member), case when n <= $count - $live and n % 2 = 0 then 'REDEEM' else 'EARN' end,
         case when n <= $count - $live and n % 2 = 0 then -5 else 5 end,
         now() - ($count - n) * interval '1 minute', now() - ($count - n) * interval '1 minute', 'history:' || n,
         bench_id(5, $member), 'system'
  from generate_series(1, $count) n;
insert into lot (entry, membership, points, remaining, earned_at, available_at, expires_at)
  select id, membership, 5, case when posted_at > now() - $live * interval '1 minute' then 5 else 0 end, posted_at, posted_at,
         posted_at + interval '1 year'
  from ledger_entry where membership = bench_id(7, $member) and points > 0 and source_key like 'history:%';
update membership m set balance = balance + e.points, available = available + 5 * $live, lifetime = lifetime + e.earned,
                        figures_until = now() + interval '30 days'
  from (select sum(points) as points, sum(points) filter (where points > 0) as earned from ledger_entry
        where membership = bench_id(7, $member) and source_key like 'history:%') e
  where m.id = bench_id(7, $member);
reset session_replication_role;
analyze;
"""


def run(*, seconds: float, rounds: int, members: int = LARGE) -> dict[str, float]:
    """Measure; `seconds` for each measurement, `rounds` of all of them, `members` of the large shop."""
    hasher = PasswordHasher()
    with open_shop(hasher, members=SMALL) as small, open_shop(hasher, members=SMALL) as large:
        for shop in (small, large):
            uvloop.run(_add_sales(shop.dsn, 1, SMALL))
        uvloop.run(add_members(large.dsn, SMALL + 1, members))
        uvloop.run(_add_sales(large.dsn, SMALL + 1, members))
        figures = _measure_sizes(small, large, seconds, rounds)
        for kind, member, count in ((31, _SHORT_MEMBER, SHORT), (32, _LONG_MEMBER, LONG)):
            uvloop.run(_add_history(small.dsn, kind=kind, member=member, count=count))
        figures |= _median([_measure_histories(small, seconds) for _ in range(rounds)])
        figures |= _measure_search(large, seconds, rounds, members)
        return figures | _measure_duplicate_check(large, seconds, rounds, members)


def _measure_sizes(small: Shop, large: Shop, seconds: float, rounds: int) -> dict[str, float]:
    """Read balances and histories in both shops in turn, in slices as short as makes sense."""
    taken: dict[str, list[float]] = {"1k": [], "1m": []}
    for number in range(rounds * _SLICES + 1):
        for name, shop in (("1k", small), ("1m", large)):
            report = shop.load(connections=_READERS, seconds=seconds / _SLICES, requests=_reads())
            if number:
                taken[name].append(report.p50_ms)
    ratios = [big / little for little, big in zip(taken["1k"], taken["1m"], strict=True)]
    return {
        "balance_1k_p50_ms": statistics.median(taken["1k"]),
        "balance_1m_p50_ms": statistics.median(taken["1m"]),
        "balance_1m_over_1k": statistics.median(ratios),
    }


def _median(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}


def _reads() -> list[str]:
    """Balance and history of the first members in turn, without those whose history is long."""
    balances = member_gets("/v1/me", first=3, last=SMALL)
    histories = [_get_entries(member) for member in range(3, SMALL + 1)]
    return [request for pair in zip(balances, histories, strict=True) for request in pair]


def _get_entries(member: int, cursor: str = "") -> str:
    return get(_entries_path(member, cursor), _token(member))


def _entries_path(member: int, cursor: str) -> str:
    return f"/v1/me/memberships/{_bench_id(7, member)}/entries?limit={_PAGE}&cursor={cursor}"


def _token(member: int) -> str:
    return f"bench-token-{member:020}"


def _bench_id(kind: int, number: int) -> str:
    return f"0{kind:07}-0000-7000-8000-{number:012}"


def _measure_histories(shop: Shop, seconds: float) -> dict[str, float]:
    deep = _find_deep_cursor(shop)
    asked = {
        "short": _get_entries(_SHORT_MEMBER),
        "long": _get_entries(_LONG_MEMBER),
        "deep": _get_entries(_LONG_MEMBER, deep),
        "short_balance": get("/v1/me/memberships", _token(_SHORT_MEMBER)),
        "long_balance": get("/v1/me/memberships", _token(_LONG_MEMBER)),
    }
    slices = [
        {
            name: shop.load(connections=_READERS, seconds=seconds / _SLICES, requests=[request]).p50_ms
            for name, request in asked.items()
        }
        for _ in range(_SLICES)
    ]
    p50 = _median(slices)
    spent = uvloop.run(_spend(shop.dsn, seconds))
    return {
        "history_100k_over_100": p50["long"] / p50["short"],
        "history_deep_over_first": p50["deep"] / p50["long"],
        "balance_100k_over_100": p50["long_balance"] / p50["short_balance"],
        "spend_100k_over_100": spent,
    }


def _find_deep_cursor(shop: Shop) -> str:
    """Walk the long history for a while, as an app that shows page after page, and return where it is."""
    cursor = ""
    with httpx.Client(base_url=f"http://127.0.0.1:{shop.port}", trust_env=False) as client:
        for _ in range(LONG // _PAGE // 2):
            answer = client.get(
                _entries_path(_LONG_MEMBER, cursor), headers={"Authorization": f"Bearer {_token(_LONG_MEMBER)}"}
            )
            cursor = answer.raise_for_status().json()["next_cursor"]
    return cursor


async def _spend(dsn: str, seconds: float) -> float:
    """Spend points of both memberships in turn and take it back, and return the ratio of the times, long over short."""
    # Imported here, as the benchmark's other parts only talk to the service.
    from uuid import UUID

    from server.app import create_tools
    from server.context import system_context
    from server.db.engine import DB
    from server.ledger.movements import Origin, spend
    from server.memberships.store import lock_memberships
    from server.settings import Settings

    tools = create_tools(Settings(secret_key=secrets.token_hex(32)))
    ctx = system_context(tools)
    times: dict[int, list[float]] = {_SHORT_MEMBER: [], _LONG_MEMBER: []}
    await DB.open(dsn, size=1)
    until = time.perf_counter() + seconds / 2
    while time.perf_counter() < until:
        for member, taken in times.items():
            with contextlib.suppress(_Enough):
                async with DB.transaction():
                    started_at = time.perf_counter()
                    (membership,) = await lock_memberships([UUID(_bench_id(7, member))])
                    await spend(ctx, membership, 7, Origin(source_key="bench"))
                    taken.append(time.perf_counter() - started_at)
                    raise _Enough
    await DB.close()
    return statistics.median(times[_LONG_MEMBER]) / statistics.median(times[_SHORT_MEMBER])


class _Enough(Exception):
    """Ends a transaction without an effect."""


async def _add_sales(dsn: str, first: int, last: int) -> None:
    connection = await asyncpg.connect(dsn, command_timeout=900)
    await connection.execute(_SALES.replace("$1", str(first)).replace("$2", str(last)))
    await connection.close()


async def _add_history(dsn: str, *, kind: int, member: int, count: int) -> None:
    script = _HISTORY
    for name, value in (("$kind", kind), ("$member", member), ("$count", count), ("$live", _LIVE_LOTS)):
        script = script.replace(name, str(value))
    connection = await asyncpg.connect(dsn, command_timeout=900)
    await connection.execute(script)
    await connection.close()


def _measure_search(shop: Shop, seconds: float, rounds: int, members: int) -> dict[str, float]:
    """Search by every key: a common and a rare name, both orders, address, phone from either end, and card."""
    some = [number * 7919 % members + 1 for number in range(40)]
    asked = {
        "name": [
            name for n in range(10) for name in ("ana", "ba", "gra", f"emma {'bcdfghjklm'[n]}a", "bacher w", "zoe")
        ],
        "email": [text for n in some for text in (f"m{n}@example.com", f"m{str(n)[:4]}")],
        "phone": [text for n in some for text in (f"07{n:09}", f"{n:09}"[-6:])],
        "card": [str(29000000000000 + n) for n in some],
    }
    figures: dict[str, float] = {}
    requests = {
        name: [get(f"/v1/staff/customers?q={text.replace(' ', '%20')}", STAFF_TOKEN) for text in texts]
        for name, texts in asked.items()
    }
    requests["all"] = [request for some_requests in requests.values() for request in some_requests]
    for name, some_requests in requests.items():
        key = "search" if name == "all" else f"search_{name}"
        figures |= _measure_consoles(
            shop, key, some_requests, seconds=seconds if name == "all" else seconds / 2, rounds=rounds
        )
    return figures


def _measure_duplicate_check(shop: Shop, seconds: float, rounds: int, members: int) -> dict[str, float]:
    """Check for duplicates as a console does while somebody is registered who is on file, field after field."""
    requests = []
    for number in (number * 7919 % members + 1 for number in range(40)):
        person = uvloop.run(_person(shop.dsn, number))
        typed: dict[str, str] = {}
        for field, text in (
            ("name", person["given_name"]),
            ("name", f"{person['given_name']} {person['family_name'][:-1]}"),
            ("name", f"{person['given_name']} {person['family_name']}"),
            ("email", f"m{number}@example.com"),
            ("phone", f"07{number:09}"),
            ("birthday", f"{person['birth_month']:02}-{person['birth_day']:02}"),
            ("post_code", person["post_code"]),
        ):
            typed[field] = text
            requests.append(get(f"/v1/staff/duplicate-check?{urlencode(typed)}", STAFF_TOKEN))
    return _measure_consoles(shop, "duplicate_check", requests, seconds=seconds, rounds=rounds)


async def _person(dsn: str, number: int) -> asyncpg.Record:
    connection = await asyncpg.connect(dsn)
    person = await connection.fetchrow("select * from customer where id = bench_id(5, $1)", number)
    await connection.close()
    return person


def _measure_consoles(shop: Shop, name: str, requests: list[str], *, seconds: float, rounds: int) -> dict[str, float]:
    reports = [shop.load(connections=_CONSOLES, seconds=seconds, requests=requests) for _ in range(rounds)]
    return {
        f"{name}_p95_ms_1m": statistics.median(report.p95_ms for report in reports),
        f"{name}_p99_ms_1m": statistics.median(report.p99_ms for report in reports),
    }
