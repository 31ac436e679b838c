"""Clients that move points, and their journal: what they asked for, and whether they were told that it happened."""

import asyncio
import itertools
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx

from scripts.banking.shop import BankShop

WAIT_SECONDS = 0.2
REQUEST_SECONDS_MAX = 10.0
GIVES_UP = 0.02
"""How often a client that is left without an answer goes away for ever, each time it tries."""


@dataclass(frozen=True)
class Customer:
    """Somebody with a membership and a card."""

    id: str
    membership_id: str
    card: str


@dataclass
class Act:
    """One command: a reference by which its effect is found, the points it moves, and how it ended for the client."""

    kind: str
    reference: str
    points: int
    who: Customer
    outcome: str = "unknown"
    order_id: str = ""


@dataclass
class Journal:
    """What all clients did."""

    acts: list[Act] = field(default_factory=list)
    retries: int = 0
    refunded: list[tuple[str, str]] = field(default_factory=list)
    """Sales and refunds of them, by reference."""

    def known(self, kind: str) -> list[Act]:
        return [act for act in self.acts if act.kind == kind and act.outcome == "done"]


class Client:
    """One person at a till and a console, doing one thing after the other."""

    def __init__(self, shop: BankShop, customers: list[Customer], journal: Journal, seed: int) -> None:
        self.shop = shop
        self.customers = customers
        self.journal = journal
        self.random = random.Random(seed)  # noqa: S311 - chance, no secret
        self.http = httpx.AsyncClient(base_url=shop.url, timeout=REQUEST_SECONDS_MAX, trust_env=False)
        self._numbers = (f"c{seed}-{number}" for number in itertools.count(1))

    async def work(self, stop: asyncio.Event) -> None:
        """Do one thing after the other until told to stop."""
        acts = [self.sell, self.sell, self.sell_many, self.pay, self.pay, self.adjust, self.move, self.refund]
        async with self.http:
            while not stop.is_set():
                await self.random.choice(acts)()

    async def sell(self) -> None:
        act, body = self._ring_up()
        answer = await self._send(act, "/v1/pos/orders", body, self.shop.till)
        if answer is not None and act.outcome == "done":
            act.order_id = answer["order_id"]

    async def sell_many(self) -> None:
        """Send several sales at once, each of which is accepted or refused by itself."""
        sales = [self._ring_up() for _ in range(self.random.randint(2, 6))]
        whole = self._note("batch", f"batch-{next(self._numbers)}", 0, self.random.choice(self.customers))
        body = {"orders": [body for _, body in sales]}
        answer = await self._send(whole, "/v1/pos/orders/batch", body, self.shop.till)
        if whole.outcome == "unknown" or answer is None:
            return
        results = answer.get("results") or [{}] * len(sales)
        for (act, _), result in zip(sales, results, strict=True):
            act.outcome = "done" if result.get("order") else "refused"
            act.order_id = result["order"]["order_id"] if result.get("order") else ""

    def _ring_up(self) -> tuple[Act, dict[str, Any]]:
        who, points = self.random.choice(self.customers), self.random.randint(1, 50)
        body: dict[str, Any] = {
            "external_id": f"sale-{next(self._numbers)}",
            "number": "1",
            "store": "high",
            "completed_at": datetime.now(UTC).isoformat(),
            "currency": "GBP",
            "customer": {"card_number": who.card},
            "lines": [{"line_id": "1", "quantity": points, "net_minor": points * 100}],
        }
        return self._note("sale", str(body["external_id"]), points, who), body

    async def pay(self) -> None:
        """Set points aside and spend them, or set them free."""
        who, points = self.random.choice(self.customers), self.random.randint(1, 60)
        reference = f"cart-{next(self._numbers)}"
        body = {"card_number": who.card, "points": points, "store": "high", "order_reference": reference}
        body |= {"order_total_minor": 10_000, "currency": "GBP"}
        held = await self._send(self._note("hold", reference, 0, who), "/v1/pos/holds", body, self.shop.till)
        if held is None or "id" not in held:
            return
        if self.random.random() < 0.2:
            await self._send(
                self._note("release", held["id"], 0, who), f"/v1/pos/holds/{held['id']}/release", None, self.shop.till
            )
            return
        act = self._note("capture", held["id"], -points, who)
        path, paid = f"/v1/pos/holds/{held['id']}/capture", {"order_reference": reference}
        await self._send(act, path, paid, self.shop.till)

    async def adjust(self) -> None:
        who, points = self.random.choice(self.customers), self.random.choice([1, 2, 3, -1, -2])
        path = f"/v1/staff/customers/{who.id}/adjustments"
        body = {"points": points, "reason_code": "goodwill", "note": f"note-{next(self._numbers)}"}
        await self._previewed("adjust", str(body["note"]), points, who, path, body)

    async def move(self) -> None:
        """Let somebody else's sale count for this one."""
        sales = [act for act in self.journal.known("sale") if act.order_id]
        if sales:
            act, who = self.random.choice(sales), self.random.choice(self.customers)
            path, body = f"/v1/staff/orders/{act.order_id}/assignment", {"customer_id": who.id, "reason": "moved"}
            await self._previewed("move", act.order_id, 0, who, path, body)

    async def refund(self) -> None:
        sales = self.journal.known("sale")
        if not sales:
            return
        act = self.random.choice(sales)
        pieces = self.random.randint(1, act.points)
        body = {
            "external_id": f"refund-{next(self._numbers)}",
            "original_order": act.reference,
            "store": "high",
            "completed_at": datetime.now(UTC).isoformat(),
            "currency": "GBP",
            "lines": [{"line_id": "1", "quantity": pieces}],
        }
        made = self._note("refund", str(body["external_id"]), -pieces, act.who)
        self.journal.refunded.append((act.reference, made.reference))
        await self._send(made, "/v1/pos/refunds", body, self.shop.till)

    async def _previewed(
        self, kind: str, reference: str, points: int, who: Customer, path: str, body: dict[str, Any]
    ) -> None:
        """Look first, then carry out exactly that."""
        try:
            seen = await self.http.post(f"{path}/preview", json=body, headers=self.shop.manager)
        except httpx.TransportError:
            await asyncio.sleep(WAIT_SECONDS)
            return
        if seen.is_success and not seen.json().get("blockers"):
            act = self._note(kind, reference, points, who)
            await self._send(act, path, body | {"preview_hash": seen.json()["preview_hash"]}, self.shop.manager)

    def _note(self, kind: str, reference: str, points: int, who: Customer) -> Act:
        act = Act(kind, reference, points, who)
        self.journal.acts.append(act)
        return act

    async def _send(self, act: Act, path: str, body: object, headers: dict[str, str]) -> dict[str, Any] | None:
        """Send a command until its outcome is known, under one key; now and then give up and never know."""
        named = headers | {"Idempotency-Key": uuid4().hex}
        while True:
            try:
                answer = await self.http.post(path, json=body, headers=named)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500 and answer.status_code != 429:
                act.outcome = "done" if answer.is_success else "refused"
                found: dict[str, Any] = answer.json()
                return found
            if self.random.random() < GIVES_UP:
                return None
            self.journal.retries += 1
            await asyncio.sleep(WAIT_SECONDS)
