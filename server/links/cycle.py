"""The exchange with till systems: what changed there is fetched, kept, posted; members are looked up; a report is kept.

One runner at a time for each till system, by a lease. A run may break off anywhere and be run again, from any point and in
any order: what was posted is known by the till's own ids and content.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from server.auth import Key
from server.context import Context, Tools, system_context
from server.db.again import again_while_busy
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import Busy, Invalid, Refused, RegularsError
from server.jobs import enqueue
from server.links import checks, cycle_store, store
from server.links.directory import take_records
from server.links.tills import Tills, open_tills
from server.logs import get_logger
from server.orders.batch import Sender, post_orders
from server.pos.json_texts import without_unkeepable
from server.pos.protocol import Capability, Connector, Page, PosRefused, PosUnavailable, ReadOrder, Unreadable
from server.refunds.service import take_refund
from shared.limits import CYCLE_EVERY, CYCLE_LEASE, CYCLE_OVERLAP, ORDER_BATCH_MAX, POS_RECORD_BATCH_MAX
from shared.links import PosRecord, RecordOutcome

log = get_logger()

CYCLE_JOB: Final = "pos.cycle"
_SET_ASIDE_AT_ONCE: Final = 1_000
_NOBODY: Final = UUID(int=0)
_COALESCE: Final = timedelta(seconds=1)


class RunCycle(msgspec.Struct, frozen=True, kw_only=True):
    """The job's payload: which till systems (none: all), and why now."""

    connection: str | None = None
    cause: str = "staff"


class CycleBusy(Busy):
    """Somebody else is exchanging with the till system just now."""


class LeaseLost(RegularsError):
    """This run took so long that another one has begun."""


async def ask_cycle(*, connection: str | None, cause: str) -> None:
    """Let the worker run the exchange now, in the caller's transaction."""
    # All wishes of one second are one; what is wished for while that one runs is of a later second.
    key = f"{CYCLE_JOB}:{connection or ''}:{int(time.time())}"
    await enqueue(CYCLE_JOB, RunCycle(connection=connection, cause=cause), dedupe_key=key, delay=_COALESCE)


async def run_asked(tools: Tools, payload: bytes) -> None:
    """Run the exchange that was asked for; the worker's handler of `CYCLE_JOB`.

    Raises:
        CycleBusy: Somebody else is at it, and may be past what this was asked for.
    """
    asked = msgspec.json.decode(payload, type=RunCycle)
    async with open_tills(tools) as tills:
        for row in await cycle_store.list_connections():
            if row["id"] not in tills or asked.connection not in (None, row["code"]):
                continue
            if not await run_cycle(tools, row["id"], tills, cause=asked.cause):
                raise CycleBusy


async def run_due(tools: Tools) -> None:
    """Run the exchange with every till system whose hour has come, and look at the members who are due."""
    async with open_tills(tools) as tills:
        for row in await cycle_store.list_connections():
            last = row["last_started_at"]
            if row["id"] in tills and (last is None or tools.clock.now() - last >= CYCLE_EVERY):
                await run_cycle(tools, row["id"], tills, cause="clock")
        await checks.check_due(system_context(tools), tills)


async def check_members(tools: Tools) -> None:
    """Look at the members who are due; the worker's handler of the job that proofs and pushes ask for."""
    async with open_tills(tools) as tills:
        await checks.check_due(system_context(tools), tills)


async def run_cycle(tools: Tools, connection_id: UUID, tills: Tills, *, cause: str) -> bool:
    """Run the exchange with one till system; False if somebody else is at it.

    What goes wrong with the till system is in the report; the next run begins where this one had to stop.
    """
    run = _Run(tools, connection_id, tills)
    if await run.renew() is None:
        return False
    cycle_id = await cycle_store.begin_cycle(connection_id, cause=cause, now=tools.clock.now())
    state = "failed"
    error: str | None = "broken off"
    try:
        await run.carry_out()
        state, error = "done", None
    except (PosUnavailable, PosRefused, Busy, LeaseLost) as failure:
        error = str(failure) or type(failure).__name__
        log.warning("pos_cycle_failed", connection=str(connection_id), reason=error)
    finally:
        await cycle_store.finish_cycle(
            cycle_id, connection_id, state=state, error=error, figures=run.figures, now=tools.clock.now()
        )
        await cycle_store.drop_lease(connection_id, run.holder)
    return True


class _Run:
    """One run with one till system."""

    def __init__(self, tools: Tools, connection_id: UUID, tills: Tills) -> None:
        self._tools = tools
        self._connection_id = connection_id
        self._tills = tills
        self._connector = tills[connection_id]
        self.holder = new_id()
        self.figures: Counter[str] = Counter()

    @property
    def _ctx(self) -> Context:
        return system_context(self._tools)

    async def renew(self) -> Row | None:
        """Take or keep the lease."""
        now = self._tools.clock.now()
        return await cycle_store.take_lease(self._connection_id, self.holder, until=now + CYCLE_LEASE, now=now)

    async def carry_out(self) -> None:
        """Fetch, post, look up, make known.

        Raises:
            PosUnavailable, PosRefused, Busy, LeaseLost: It has to stop here.
        """
        connector = self._connector
        state = await self._keep_lease()
        if Capability.CUSTOMERS_SINCE in connector.capabilities:
            await self._fetch_customers(connector, state["customers_until_at"])
        if Capability.ORDERS_SINCE in connector.capabilities:
            await self._retry_set_aside(connector)
            await self._fetch_orders(connector, state["orders_until_at"])
        if connector.is_remote:
            # It has just answered, so whoever waits for it need not wait any longer.
            await store.wake_silent(self._tools.clock.now())
        self.figures["attached"] += await checks.attach_missed(self._ctx, self._connection_id)
        self.figures["linked"] += await checks.check_due(self._ctx, self._tills)
        self.figures["pushed"] += await checks.push_buyers(self._ctx, self._connection_id, connector)

    async def _keep_lease(self) -> Row:
        state = await self.renew()
        if state is None:
            raise LeaseLost("another run has begun")
        return state

    async def _fetch_customers(self, connector: Connector, until: datetime | None) -> None:
        latest = until
        async for page in connector.customers_since(until - CYCLE_OVERLAP if until else None):
            await self._take_customers(connector, page)
            latest = max((item.changed_at for item in page.items), default=latest)
            latest = max(latest, until) if latest and until else latest
            await self._keep_lease()
        if latest is not None:
            # Records come in no order, so the place is kept when all of them are here.
            await cycle_store.move_customers_cursor(self._connection_id, latest, self.holder)

    async def _take_customers(self, connector: Connector, page: Page) -> None:
        records: list[PosRecord] = []
        for item in page.items:
            self.figures["customers_fetched"] += 1
            try:
                records.append(connector.read_customer(item.payload))
            except Unreadable as error:
                await self._set_customer_aside(item.external_id, item.changed_at, error.reason, error.detail)
        for first in range(0, len(records), POS_RECORD_BATCH_MAX):
            chunk = records[first : first + POS_RECORD_BATCH_MAX]
            async with DB.transaction():
                taken = await take_records(self._ctx, self._connection_id, chunk)
                kept = [one.external_id for one in taken if one.refusal is None]
                await cycle_store.release_customers(self._connection_id, kept)
            for one in taken:
                if one.refusal is not None:
                    await self._set_customer_aside(
                        one.external_id, self._ctx.now, one.refusal.code.lower(), _words(one.refusal)
                    )
                elif one.result is not None and one.result.outcome in (RecordOutcome.NEW, RecordOutcome.CHANGED):
                    self.figures[f"customers_{one.result.outcome}"] += 1

    async def _set_customer_aside(self, external_id: str, changed_at: datetime, reason: str, detail: str) -> None:
        self.figures["quarantined"] += 1
        await cycle_store.set_customer_aside(
            self._connection_id, external_id, changed_at=changed_at, reason=reason, detail=detail, now=self._ctx.now
        )

    async def _fetch_orders(self, connector: Connector, until: datetime | None) -> None:
        latest = until
        is_whole = True
        async for page in connector.orders_since(until - CYCLE_OVERLAP if until else None):
            self.figures["orders_fetched"] += len(page.items)
            await self._stage(page)
            for first in range(0, len(page.items), ORDER_BATCH_MAX):
                names = [item.external_id for item in page.items[first : first + ORDER_BATCH_MAX]]
                staged = await cycle_store.list_staged(self._connection_id, names)
                self.figures["orders_unchanged"] += len(names) - len(staged)
                await self._post(connector, staged)
            newest = max((item.changed_at for item in page.items), default=None)
            latest = max(filter(None, (latest, newest)), default=None)
            is_whole = is_whole and page.is_in_order
            await self._keep_lease()
            if is_whole and latest is not None:
                await cycle_store.move_orders_cursor(self._connection_id, latest, self.holder)
        if latest is not None:
            await cycle_store.move_orders_cursor(self._connection_id, latest, self.holder)

    async def _stage(self, page: Page) -> None:
        items = {
            item.external_id: (
                item.external_id,
                item.changed_at,
                without_unkeepable(item.payload),
                hashlib.sha256(item.payload).digest(),
            )
            for item in page.items
        }
        async with DB.transaction():
            await cycle_store.stage_orders(self._connection_id, list(items.values()), self._ctx.now)

    async def _retry_set_aside(self, connector: Connector) -> None:
        """Try again what could not be posted, as a store or a rule may have been put right since."""
        await self._post(connector, await cycle_store.list_set_aside(self._connection_id, _SET_ASIDE_AT_ONCE))

    async def _post(self, connector: Connector, staged: Sequence[Row]) -> None:
        read: list[tuple[Row, ReadOrder]] = []
        for row in staged:
            try:
                read.append((row, connector.read_order(row["payload"].encode())))
            except Unreadable as error:
                await self._set_aside(row, error.reason, error.detail)
        for first in range(0, len(read), ORDER_BATCH_MAX):
            chunk = read[first : first + ORDER_BATCH_MAX]
            refused = await again_while_busy(partial(self._post_sales, chunk))
            for row, order in chunk:
                if order.refunds and row["id"] not in refused:
                    await self._post_refunds(row, order)

    async def _post_sales(self, chunk: Sequence[tuple[Row, ReadOrder]]) -> set[UUID]:
        """Post the sales of some orders in one transaction and return which were set aside."""
        sales = [(row, order.sale) for row, order in chunk if order.sale is not None]
        refused: set[UUID] = set()
        figures: Counter[str] = Counter()
        async with DB.transaction():
            outcomes = await post_orders(
                self._ctx, Sender(connection_id=self._connection_id), [sale for _, sale in sales]
            )
            for (row, _), outcome in zip(sales, outcomes, strict=True):
                if outcome.refusal is not None:
                    refused.add(row["id"])
                    figures["quarantined"] += 1
                    await cycle_store.set_aside(
                        row["id"], reason=outcome.refusal.code.lower(), detail=_words(outcome.refusal)
                    )
                elif outcome.result is not None:
                    figures["orders_new" if outcome.is_new else "orders_changed"] += 1
                    figures["points"] += outcome.result.points if outcome.is_new else 0
                    if outcome.result.skipped_reason:
                        figures[f"skipped_{outcome.result.skipped_reason}"] += 1
            done = [row["id"] for row, order in chunk if not order.refunds and row["id"] not in refused]
            await cycle_store.finish_staged(done)
        self.figures += figures
        return refused

    async def _post_refunds(self, row: Row, order: ReadOrder) -> None:
        try:
            await again_while_busy(partial(self._take_refunds, row, order))
            self.figures["refunds"] += len(order.refunds)
        except Refused as refusal:
            await self._set_aside(row, refusal.code.lower(), _words(refusal))

    async def _take_refunds(self, row: Row, order: ReadOrder) -> set[UUID]:
        key = Key(key_id=_NOBODY, connection_id=self._connection_id, stores=())
        async with DB.transaction():
            for refund in order.refunds:
                await take_refund(self._ctx, key, refund)
            await cycle_store.finish_staged([row["id"]])
        return set()

    async def _set_aside(self, row: Row, reason: str, detail: str) -> None:
        self.figures["quarantined"] += 1
        await cycle_store.set_aside(row["id"], reason=reason, detail=detail)


def _words(refusal: Refused) -> str:
    if isinstance(refusal, Invalid) and refusal.fields:
        return " ".join(f"{field.field}: {field.detail}" for field in refusal.fields)
    return refusal.detail or ""
