"""Moves points at a service that is killed every few seconds, and counts them at the end.

Seen with --seconds 25 --seed 199159 on two cores that others kept busy: 2 kills of the service, 1 of its PostgreSQL, 131
acts of which 6 were left without an answer, 549 retries; every sum exact.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

import httpx

from scripts.banking.audit import audit
from scripts.banking.clients import Client, Customer, Journal
from scripts.banking.shop import BankShop

CUSTOMERS = 6
CLIENTS = 8
KILL_AFTER_SECONDS = (1.5, 4.0)
DATABASE_KILLED = 0.3
KILLS_MIN = 2
TERMS = {
    "version": 0, "step_points": 1, "step_minor": 1, "cap_percent": 100, "minimum_points": 1,
    "card_daily_points": 1_000_000, "restore_grace_days": 30,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bank", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long points are moved (default 60)")
    parser.add_argument("--seed", type=int, default=None, help="of the clients' and the killer's choices")
    wanted = parser.parse_args()
    seed = random.randrange(1_000_000) if wanted.seed is None else wanted.seed  # noqa: S311 - chance, no secret
    with tempfile.TemporaryDirectory(prefix="regulars-bank-") as folder:
        Path(folder).chmod(0o711)
        words, wrong = asyncio.run(run(Path(folder), seconds=wanted.seconds, seed=seed))
    print(*words, *wrong, sep="\n")
    print("WRONG" if wrong else "Every sum is exact; each acknowledged act is there once, and no other twice.")
    return 1 if wrong else 0


async def run(data_dir: Path, *, seconds: float, seed: int) -> tuple[list[str], list[str]]:
    """Run the bank and return what was done, and all that is wrong."""
    shop, journal = BankShop(data_dir), Journal()
    invitation = shop.set_up()
    await shop.start()
    try:
        async with httpx.AsyncClient(base_url=shop.url, timeout=30, trust_env=False) as client:
            await shop.sign_in(client, invitation)
            customers = [await _register(client, shop, number) for number in range(CUSTOMERS)]
            terms = await client.put("/v1/staff/redemption-terms", json=TERMS, headers=shop.manager)
            terms.raise_for_status()
        stop = asyncio.Event()
        clients = [Client(shop, customers, journal, seed * 100 + number) for number in range(CLIENTS)]
        work = [asyncio.create_task(one.work(stop)) for one in clients]
        chance = random.Random(seed)  # noqa: S311 - chance, no secret
        kills, database_kills = await _kill_for(shop, seconds, chance)
        stop.set()
        await asyncio.gather(*work)
        wrong = await audit(shop.dsn, journal, customers)
        verified = shop.run("verify")
        if "all balances are right" not in verified:
            wrong.append(verified)
    finally:
        shop.stop()
    outcomes = {name: sum(act.outcome == name for act in journal.acts) for name in ("done", "refused", "unknown")}
    words = [
        f"{seconds:.0f} s, seed {seed}: {kills} kills of the service, {database_kills} of its PostgreSQL",
        f"{len(journal.acts)} acts: {outcomes['done']} acknowledged, {outcomes['refused']} refused, "
        f"{outcomes['unknown']} without an answer; {journal.retries} retries",
    ]
    return words, wrong


async def _register(client: httpx.AsyncClient, shop: BankShop, number: int) -> Customer:
    body = {"given_name": f"Customer {number}", "email": f"customer-{number}@example.com"}
    named = shop.manager | {"Idempotency-Key": f"register-customer-{number}"}
    answer = await client.post("/v1/staff/customers", json=body, headers=named)
    made = answer.raise_for_status().json()
    return Customer(made["id"], made["membership_id"], made["card_number"])


async def _kill_for(shop: BankShop, seconds: float, chance: random.Random) -> tuple[int, int]:
    """Kill the service every few seconds, and its PostgreSQL before it now and then; leave it running."""
    kills = database_kills = 0
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at or kills < KILLS_MIN:
        await asyncio.sleep(chance.uniform(*KILL_AFTER_SECONDS))
        if chance.random() < DATABASE_KILLED or (database_kills == 0 and kills == 1):
            shop.kill_database()
            database_kills += 1
            await asyncio.sleep(chance.uniform(0, 0.5))
        await asyncio.to_thread(shop.kill)
        kills += 1
        await shop.start()
    return kills, database_kills


if __name__ == "__main__":
    sys.exit(main())
