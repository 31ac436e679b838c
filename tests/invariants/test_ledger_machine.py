"""The real service against an independent model: whatever happens in whatever order, the points are the same."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from server.db.engine import DB
from server.errors import Refused
from server.ledger.movements import Origin, expire_lapsed, give_back, spend
from server.ledger.verification import verify
from shared.enums import Role
from shared.programmes import Expiry
from tests.app import SignedUp, World, expect, open_world
from tests.conftest import Databases
from tests.invariants.ledger_model import EXPIRY_DAYS, GRACE, PENDING_DAYS, Account, Sale, Spent
from tests.ledgers import locked
from tests.server.adjustments.desk import adjust
from tests.tills import add_rules, push, sale

_T = TypeVar("_T")
_keys = itertools.count(1)

AMOUNTS = st.integers(1, 60)
WHO = st.integers(0, 1)


class Shop:
    """A world on a database of its own, driven from outside of its loop."""

    def __init__(self, runner: asyncio.Runner, dsn: str, data_dir: Path) -> None:
        self._runner = runner
        self._dsn = dsn
        self._data_dir = data_dir
        self._closing = asyncio.Event()
        self.world = self.do(self._open())
        rules: dict[str, Any] = {"pending_days": PENDING_DAYS, "expiry": Expiry(kind="days", days=EXPIRY_DAYS)}
        self.do(add_rules(self.world, points=1, per_minor=100, **rules))

    def do(self, work: Awaitable[_T]) -> _T:
        async def run() -> _T:
            return await work

        return self._runner.run(run())

    async def _open(self) -> World:
        ready: asyncio.Future[World] = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(ready))
        await asyncio.wait([ready, self._keeper], return_when=asyncio.FIRST_COMPLETED)
        return ready.result()

    async def _keep(self, ready: "asyncio.Future[World]") -> None:
        # The app's lifespan must begin and end in one task.
        async with open_world(self._dsn, self._data_dir) as world:
            ready.set_result(world)
            await self._closing.wait()

    async def _close(self) -> None:
        self._closing.set()
        await self._keeper

    def close(self) -> None:
        self.do(self._close())

    def reopen_database(self) -> None:
        """Lose every connection, as a restart does."""
        self.do(DB.close())
        self.do(DB.open(self._dsn))


class Ledger(RuleBasedStateMachine):
    """Two members, a till, a manager, a clock."""

    open_shop: Callable[[], tuple[Shop, Callable[[], None]]]

    @initialize()
    def open(self) -> None:
        self.shop, self.drop_shop = type(self).open_shop()
        self.members: list[SignedUp] = []
        self.accounts = [Account(), Account()]
        self.sales: list[tuple[UUID, Sale]] = []
        self.spent: list[tuple[int, UUID, Spent]] = []
        self.count = itertools.count(1)
        for name in ("ana", "ben"):
            self.members.append(self.shop.do(self.world.sign_up(f"{name}@shop.test")))

    def teardown(self) -> None:
        if hasattr(self, "shop"):
            self.shop.close()
            self.drop_shop()

    @property
    def world(self) -> World:
        return self.shop.world

    @property
    def now(self) -> datetime:
        return self.world.clock.now()

    @rule(who=WHO, pounds=AMOUNTS)
    def earn(self, who: int, pounds: int) -> None:
        body = sale(self.world, card=self.members[who].card_number, lines=[{"line_id": "1", "net_minor": pounds * 100}])
        # A key of its own each time, as the clock outruns every key's life.
        till = self.shop.do(self.world.pos_key())
        result = expect(self.shop.do(push(self.world, till, body)), 201)
        assert result["points"] == pounds
        made = Sale(pounds, self.now)
        self.accounts[who].earn(made)
        self.sales.append((UUID(result["order_id"]), made))

    @rule(who=WHO, points=AMOUNTS)
    def spend(self, who: int, points: int) -> None:
        expected = self.accounts[who].spend(points, self.now)
        spending = self._spend(self.members[who].membership_id, points)
        if expected is None:
            with pytest.raises(Refused) as refusal:
                self.shop.do(spending)
            assert refusal.value.data == {"available": self.accounts[who].available(self.now)}
        else:
            self.spent.append((who, self.shop.do(spending), expected))

    async def _spend(self, membership_id: UUID, points: int) -> UUID:
        async with locked(membership_id) as membership:
            return await spend(self.world.ctx, membership, points, Origin(source_key=f"test:{next(self.count)}"))

    @precondition(lambda self: self.spent)
    @rule(which=st.integers(0, 50), points=AMOUNTS)
    def give_back(self, which: int, points: int) -> None:
        who, entry_id, spent = self.spent[which % len(self.spent)]
        given = self.shop.do(self._give_back(self.members[who].membership_id, entry_id, points))
        assert given == self.accounts[who].give_back(spent, points, self.now)

    async def _give_back(self, membership_id: UUID, entry_id: UUID, points: int) -> int:
        async with locked(membership_id) as membership:
            origin = Origin(source_key=f"test-{next(self.count)}")
            return await give_back(self.world.ctx, membership, points, origin, spent_entry_id=entry_id, grace=GRACE)

    @precondition(lambda self: self.sales)
    @rule(which=st.integers(0, 50), to=st.sampled_from([0, 1, None]))
    def reassign(self, which: int, to: int | None) -> None:
        order_id, made = self.sales[which % len(self.sales)]
        target = self.accounts[to] if to is not None else None
        if target is made.account or self.now - made.completed_at > timedelta(days=29):
            return
        self.shop.do(self._reassign(order_id, self.members[to].customer_id if to is not None else None))
        if made.account is not None:
            made.account.take(made.points, self.now, own=made.lot)
            made.account, made.lot = None, None
        if target is not None:
            target.earn(made)

    async def _reassign(self, order_id: UUID, customer_id: UUID | None) -> None:
        headers = await self.world.staff_headers(Role.MANAGER)
        path = f"/v1/staff/orders/{order_id}/assignment"
        body = {"customer_id": str(customer_id) if customer_id else None, "reason": "A test moves it."}
        seen = expect(await self.world.client.post(f"{path}/preview", json=body, headers=headers), 200)
        body["preview_hash"] = seen["preview_hash"]
        key = {"Idempotency-Key": f"reassign-{next(_keys):012}"}
        expect(await self.world.client.post(path, json=body, headers=headers | key), 200)

    @rule(who=WHO, points=AMOUNTS, is_gift=st.booleans())
    def adjust(self, who: int, points: int, *, is_gift: bool) -> None:
        delta = points if is_gift else -points
        account = self.accounts[who]
        if not is_gift and account.available(self.now) < points:
            return
        headers = self.shop.do(self.world.staff_headers(Role.MANAGER))
        self.shop.do(adjust(self.world, headers, self.members[who].customer_id, delta))
        if is_gift:
            self._gift(account, points, who)
        else:
            account.take(points, self.now)

    def _gift(self, account: Account, points: int, who: int) -> None:
        # When a gift lapses is the adjustment's own rule; the model takes the dates that the lot got.
        sql = "select available_at, expires_at from lot where membership = $1 order by entry desc limit 1"
        row = self.shop.do(DB.fetch_row(sql, self.members[who].membership_id))
        assert row is not None
        assert row["available_at"] <= self.now
        account.credit(points, self.now, row["available_at"], row["expires_at"])

    @rule(hours=st.integers(1, 400))
    def wait(self, hours: int) -> None:
        self.world.advance(timedelta(hours=hours))

    @rule()
    def expire(self) -> None:
        self.shop.do(expire_lapsed(self.world.ctx))
        for account in self.accounts:
            account.expire(self.now)

    @rule()
    def restart(self) -> None:
        self.shop.reopen_database()

    @invariant()
    def points_are_those_of_the_model(self) -> None:
        for member, account in zip(self.members, self.accounts, strict=True):
            found = self.shop.do(_read(member, self.now))
            assert found == (
                account.available(self.now),
                account.pending(self.now),
                account.deficit,
                account.dated(self.now),
            )

    @invariant()
    def every_figure_can_be_proven(self) -> None:
        self.shop.do(_prove(self.now))


async def _read(member: SignedUp, now: datetime) -> tuple[int, int, int, list[tuple[datetime, datetime | None, int]]]:
    from server.memberships.service import list_membership_views

    (view,) = await list_membership_views(member.customer_id, now)
    sql = """
    select available_at, expires_at, sum(remaining)::int as points from lot
    where membership = $1 and remaining > 0 and (expires_at is null or expires_at > $2) group by 1, 2
    """
    lots = [tuple(row) for row in await DB.fetch(sql, member.membership_id, now)]
    return view.balance.available, view.balance.pending, view.balance.deficit, sorted(lots)


async def _prove(now: datetime) -> None:
    wrong = [msgspec.structs.asdict(outcome) async for outcome in verify(now) if not outcome.is_right]
    assert wrong == []


@pytest.mark.timeout(900)
def test_the_service_and_an_independent_model_agree(
    databases: Databases, template_database: str, data_dir: Path, request: pytest.FixtureRequest
) -> None:
    is_soak = request.config.getoption("--soak")
    with asyncio.Runner() as runner:

        def open_shop() -> tuple[Shop, Callable[[], None]]:
            name = databases.create(template=template_database)
            return Shop(runner, databases.dsn(name), data_dir), lambda: databases.drop(name)

        machine = type("OpenLedger", (Ledger,), {"open_shop": staticmethod(open_shop)})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=200 if is_soak else 6,
                stateful_step_count=40 if is_soak else 25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
