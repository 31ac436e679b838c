"""What is in the ledger at the end, against what the clients were told.

An act that was acknowledged is there once, one that was refused is not there, one whose answer was lost is there once or
not at all; and every balance is the sum of just these.
"""

from collections import Counter, defaultdict
from typing import Any

import asyncpg

from scripts.banking.clients import Act, Customer, Journal

# How often an act's effect is in the database, by its reference.
_FOUND = {
    "sale": """
        select o.external_id as reference, count(e.id) filter (where e.kind = 'EARN' and e.source_key like '%:1') as times
        from orders o left join ledger_entry e on e."order" = o.id group by 1
    """,
    "hold": "select order_reference as reference, count(*) as times from hold group by 1",
    "release": "select id::text as reference, count(*) as times from hold where state = 'released' group by 1",
    "capture": """
        select substring(source_key from 6) as reference, count(*) as times
        from ledger_entry where kind = 'REDEEM' group by 1
    """,
    "adjust": """
        select a.note as reference, count(e.id) as times
        from adjustment a left join ledger_entry e on e.source_key = 'adjustment:' || a.id group by 1
    """,
    "refund": "select external_id as reference, count(*) as times from refund where state = 'posted' group by 1",
}
_BALANCES = "select id::text as id, balance, available, pending, deficit from membership"
# Whose a sale is now; the points that are left of it are those of the clients' journal.
_ORDERS = "select external_id, membership::text as membership, assignment_version, id::text as id from orders"


async def audit(dsn: str, journal: Journal, customers: list[Customer]) -> list[str]:
    """Return in words all that is wrong."""
    connection = await asyncpg.connect(dsn)
    try:
        found = {
            kind: {row["reference"]: row["times"] for row in await connection.fetch(sql)}
            for kind, sql in _FOUND.items()
        }
        orders = await connection.fetch(_ORDERS)
        balances = {row["id"]: row for row in await connection.fetch(_BALANCES)}
    finally:
        await connection.close()
    wrong = [word for act in journal.acts if act.kind in found for word in _judge(act, found[act.kind])]
    wrong += _judge_strangers(journal, found)
    wrong += _judge_moves(journal, orders)
    return wrong + _judge_balances(journal, found, orders, balances, customers)


def _judge(act: Act, found: dict[str, int]) -> list[str]:
    times = found.get(act.reference, 0)
    allowed = {"done": {1}, "refused": {0}, "unknown": {0, 1}}[act.outcome]
    return [] if times in allowed else [f"{act.kind} {act.reference} ({act.outcome}) is there {times} times"]


def _judge_strangers(journal: Journal, found: dict[str, dict[str, int]]) -> list[str]:
    asked = {(act.kind, act.reference) for act in journal.acts}
    return [
        f"{kind} {reference} is there, and nobody asked for it"
        for kind, all_of_it in found.items()
        for reference, times in all_of_it.items()
        if times and (kind, reference) not in asked
    ]


def _judge_moves(journal: Journal, orders: list[Any]) -> list[str]:
    """A sale has as many former assignments as moves were acknowledged, and at most those that nobody heard of more."""
    done = Counter(act.reference for act in journal.acts if act.kind == "move" and act.outcome == "done")
    unknown = Counter(act.reference for act in journal.acts if act.kind == "move" and act.outcome == "unknown")
    return [
        f"order {row['id']} was moved {moves} times, acknowledged were {done[row['id']]}"
        for row in orders
        if not done[row["id"]] <= (moves := row["assignment_version"] - 1) <= done[row["id"]] + unknown[row["id"]]
    ]


def _judge_balances(
    journal: Journal, found: dict[str, dict[str, int]], orders: list[Any], balances: dict[str, Any],
    customers: list[Customer],
) -> list[str]:  # fmt: skip
    homes = {row["external_id"]: row["membership"] for row in orders}
    originals = {refund: sale for sale, refund in journal.refunded}
    expected: dict[str, int] = defaultdict(int)
    for act in journal.acts:
        if not found.get(act.kind, {}).get(act.reference):
            continue
        if act.kind in ("sale", "refund"):
            # One point a piece, so that a part that came back takes exactly its pieces.
            expected[homes[originals.get(act.reference, act.reference)]] += act.points
        elif act.kind in ("capture", "adjust"):
            expected[act.who.membership_id] += act.points
    wrong = []
    for customer in customers:
        row = balances[customer.membership_id]
        figures = row["available"] + row["pending"] - row["deficit"]
        if not expected[customer.membership_id] == row["balance"] == figures:
            wrong.append(
                f"membership {customer.membership_id} has {row['balance']} ({figures} to be seen), "
                f"the clients' acts make {expected[customer.membership_id]}"
            )
    return wrong
