"""Joining, combining, leaving, merging, reissuing and taking each back, in any order: no point and no date is lost.

Whatever is refused is refused in words; whatever happens can be proven right after; and a crash between any two
statements leaves all or nothing.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.db.engine import DB
from server.db.ids import new_id
from server.errors import Refused
from server.ledger.movements import Origin, spend
from server.ledger.verification import verify
from tests.app import World, expect
from tests.conftest import Databases
from tests.invariants.brittle_shop import BrittleConnection, BrittleShop, Fuse
from tests.ledgers import assert_verified, credit, locked
from tests.server.merges.desk import MergeDesk
from tests.server.sharing.desk import two_members

Dated = Counter[tuple[object, object, object]]


class Household:
    """Four people at one desk, and every act that moves them between memberships."""

    def __init__(self, world: World, desk: MergeDesk) -> None:
        self.world = world
        self.desk = desk
        self.sold: list[str] = []
        self.acts: list[tuple[str, str, str]] = []

    @classmethod
    async def open(cls, world: World) -> "Household":
        ana, ben = await two_members(world)
        desk = await MergeDesk.open(world)
        household = cls(world, desk)
        for card in (ana.card_number, ben.card_number):
            await household._buy(card, 40)
        for name in ("Cy", "Di"):
            await household._buy((await desk.register(name))["card_number"], 30)
        return household

    @property
    def moves(self) -> dict[str, Callable[[random.Random], Awaitable[None]]]:
        """Acts that may move no point away or change a date."""
        return {
            "combine": self.combine, "leave": self.leave, "merge": self.merge, "undo": self.undo,
            "reissue": self.reissue, "undo again": self.undo,
        }  # fmt: skip

    @property
    def trade(self) -> dict[str, Callable[[random.Random], Awaitable[None]]]:
        """What a shop does besides."""
        return {"buy": self.buy, "return": self.give_back, "spend": self.spend, "wait": self.wait, "import": self.bring}

    async def step(self, name: str, seed: int) -> None:
        """Do something and check what must hold after it."""
        chance = random.Random(seed)
        if name in self.trade:
            await self.trade[name](chance)
        else:
            before = await self._sums()
            await self.moves[name](chance)
            self._compare(before, await self._sums())
        await _prove(self.world)

    async def combine(self, chance: random.Random) -> None:
        pair = await self._some("select id from membership where status = 'active' order by id", chance, 2)
        if len(pair) == 2:
            answer = await self._command(f"/v1/staff/memberships/{pair[0]}/combine", {"other_membership_id": pair[1]})
            self._note("combine", answer, pair[0])

    async def leave(self, chance: random.Random) -> None:
        sql = "select id from membership_person where left_at is null order by id"
        for person_id in await self._some(sql, chance, 1):
            row = await DB.fetch_row(
                "select membership, customer, role from membership_person where id = $1", UUID(person_id)
            )
            assert row is not None
            policy = chance.choice(["leave_all", "contribution", "agreed"])
            body: dict[str, Any] = {"customer_id": str(row["customer"]), "policy": policy}
            if policy == "agreed":
                body["points"] = chance.randint(1, 60)
            if row["role"] == "owner":
                others = "select customer from membership_person where membership = $1 and left_at is null and role = 'sharer'"
                heir = await DB.fetch_value(others, row["membership"])
                body["new_owner_id"] = str(heir) if heir else None
            answer = await self._command(f"/v1/staff/memberships/{row['membership']}/leave", body)
            self._note("leave", answer, str(row["membership"]))

    async def merge(self, chance: random.Random) -> None:
        pair = await self._some("select id from customer where status <> 'merged' order by id", chance, 2)
        if len(pair) < 2:
            return
        choice = chance.choice([None, "combine", "leave"])
        wish = self.desk.wish(*pair) | {
            "choices": {"shared_membership": choice, "count_older_orders": chance.random() < 0.3}
        }
        answer = await self._command("/v1/staff/merges", wish)
        if answer is not None and answer.json().get("state") == "waiting":
            answer = await self.desk.approve(answer.json()["id"])
        if answer is not None and answer.is_success and answer.json()["state"] == "done":
            self.acts.append(("merge", answer.json()["id"], ""))

    async def undo(self, chance: random.Random) -> None:
        if not self.acts:
            return
        # Mostly the last one, as only that is allowed; now and then another, which has to be refused or be harmless.
        place = -1 if chance.random() < 0.8 else chance.randrange(len(self.acts))
        kind, act_id, membership_id = self.acts[place]
        path = f"/v1/staff/merges/{act_id}/undo"
        if kind != "merge":
            path = f"/v1/staff/memberships/{membership_id}/{kind}/{act_id}/undo"
        body = {"reason": "not wanted"}
        answer = await self.desk.post(path, body) if kind == "leave" else await self._command(path, body)
        if answer is not None and self._is_fine(answer):
            self.acts.pop(place)

    async def reissue(self, chance: random.Random) -> None:
        for customer_id in await self._some("select id from customer where status <> 'merged' order by id", chance, 1):
            wish = {"new_email": f"new-{new_id().hex}@shop.test", "mode": "reissue", "identity_attested": True}
            await self._command(f"/v1/staff/customers/{customer_id}/email-changes", wish)
            # The hold on spending after it would stop everything for a day.
            await DB.fetch("update customer set redemption_held_until = null, redemption_held_reason = null")

    async def buy(self, chance: random.Random) -> None:
        for card in await self._some("select code as id from card where status = 'active' order by code", chance, 1):
            await self._buy(card, chance.randint(1, 50))

    async def give_back(self, chance: random.Random) -> None:
        if self.sold:
            body = {
                "external_id": f"return-{new_id()}",
                "original_order": chance.choice(self.sold),
                "store": "high-street",
                "completed_at": self.world.clock.now().isoformat(),
                "currency": "GBP",
                "lines": [{"line_id": "1", "net_minor": chance.randint(1, 30) * 100}],
            }
            self._is_fine(await self.desk.post("/v1/pos/refunds", body, headers=self.desk.key))

    async def spend(self, chance: random.Random) -> None:
        for membership_id in await self._some(
            "select id from membership where status = 'active' order by id", chance, 1
        ):
            async with locked(UUID(membership_id)) as membership:
                try:
                    await spend(
                        self.world.ctx, membership, chance.randint(1, 60), Origin(source_key=f"test:{new_id()}")
                    )
                except Refused:
                    return

    async def bring(self, chance: random.Random) -> None:
        for membership_id in await self._some(
            "select id from membership where status = 'active' order by id", chance, 1
        ):
            await credit(
                self.world, UUID(membership_id), chance.randint(1, 40), days=chance.choice([3, 90, None]), pending=chance.choice([0, 2])
            )  # fmt: skip

    async def wait(self, chance: random.Random) -> None:
        self.world.advance(timedelta(hours=chance.choice([1, 30, 80])))
        self.desk.headers = await self.world.staff_headers("manager")

    async def _buy(self, card: str, points: int) -> None:
        self.sold.append((await self.desk.buy(card, points))["external_id"])

    async def _command(self, path: str, body: dict[str, Any]) -> httpx.Response | None:
        """Preview and carry out; None if the preview is refused."""
        body = {"reason": "one household"} | body
        shown = await self.desk.post(f"{path}/preview", body)
        if not self._is_fine(shown):
            return None
        preview = shown.json()
        agreed = {"agreed_by": preview["must_agree"]} if preview.get("must_agree") else {}
        answer = await self.desk.post(path, body | agreed | {"preview_hash": preview["preview_hash"]})
        self._is_fine(answer)
        blockers = preview.get("blockers") or []
        assert answer.is_success or blockers, answer.text
        return answer

    def _note(self, kind: str, answer: httpx.Response | None, membership_id: str) -> None:
        if answer is not None and answer.is_success:
            self.acts.append((kind, answer.json()["operation_id"], membership_id))

    @staticmethod
    def _is_fine(answer: httpx.Response) -> bool:
        assert answer.status_code < 500, answer.text
        return answer.is_success

    @staticmethod
    async def _some(sql: str, chance: random.Random, count: int) -> list[str]:
        found = [str(row["id"]) for row in await DB.fetch(sql)]
        return chance.sample(found, min(count, len(found)))

    async def _sums(self) -> tuple[int, int, int, Dated]:
        row = await DB.fetch_row(
            "select sum(balance)::int as balance, sum(lifetime)::int as lifetime, sum(deficit)::int as deficit from membership"
        )
        assert row is not None
        dated: Dated = Counter()
        for lot in await DB.fetch("select earned_at, available_at, expires_at, remaining from lot where remaining > 0"):
            dated[(lot["earned_at"], lot["available_at"], lot["expires_at"])] += lot["remaining"]
        return row["balance"], row["lifetime"], row["deficit"], dated

    @staticmethod
    def _compare(before: tuple[int, int, int, Dated], after: tuple[int, int, int, Dated]) -> None:
        """Check that sums are the same, and dates but for points that paid what another owed, or came back of that."""
        older = after[1] - before[1]
        assert older >= 0, "lifetime points are never lost"
        assert after[0] - before[0] == older, "only older orders that were asked for add points"
        if older == 0:
            lost, won = before[3] - after[3], after[3] - before[3]
            assert lost.total() - won.total() == before[2] - after[2]
            if before[2] == after[2] == 0:
                assert before[3] == after[3]


async def _prove(world: World) -> None:
    assert [outcome async for outcome in verify(world.clock.now()) if not outcome.is_right] == []


ACTS = st.sampled_from(
    ["combine", "combine", "leave", "merge", "merge", "undo", "undo again", "reissue", "buy", "return", "spend", "wait", "import"]
)  # fmt: skip


@pytest.mark.timeout(900)
def test_no_point_and_no_date_is_lost_in_any_order(
    databases: Databases, template_database: str, data_dir: Path, request: pytest.FixtureRequest
) -> None:
    is_soak = request.config.getoption("--soak")

    with asyncio.Runner() as runner:

        @settings(
            max_examples=60 if is_soak else 4,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(st.tuples(ACTS, st.integers(0, 10_000)), min_size=15, max_size=40 if is_soak else 22))
        def run(steps: list[tuple[str, int]]) -> None:
            name = databases.create(template=template_database)
            shop = BrittleShop(runner, databases.dsn(name), data_dir)
            try:
                household = shop.do(Household.open(shop.world))
                for act, seed in steps:
                    shop.do(household.step(act, seed))
            finally:
                shop.close()
                databases.drop(name)

        run()


@pytest.mark.parametrize("act", ["combine", "undo combine", "leave", "merge", "undo merge"])
async def test_a_crash_between_any_two_statements_leaves_all_or_nothing(
    world: World, act: str, request: pytest.FixtureRequest
) -> None:
    # All of them take minutes; a seventh of them is another seventh for each act.
    step = 1 if request.config.getoption("--soak") else 7
    ana, ben = await two_members(world)
    desk = await MergeDesk.open(world)
    stub = await desk.register("Anna")
    await credit(world, ana.membership_id, 100, days=30)
    await desk.buy(ben.card_number, 60)
    await desk.buy(stub["card_number"], 40)
    path, body = await _prepare(desk, act, ana.membership_id, ben, stub)
    shown = expect(await desk.post(f"{path}/preview", body), 200)
    agreed = {"agreed_by": shown["must_agree"]} if shown.get("must_agree") else {}
    command = body | agreed | {"preview_hash": shown["preview_hash"]}
    before = await _state()
    await DB.close()
    assert world.settings.database_url is not None
    await DB.open(world.settings.database_url, size=4, connection_class=BrittleConnection)
    headers = desk.headers | {"Idempotency-Key": "one-key-for-all-of-them"}
    statement = 0
    while True:
        statement += step
        fuse = Fuse(after_statement=statement)
        BrittleConnection.fuse = fuse
        answer = await world.client.post(path, json=command, headers=headers)
        BrittleConnection.fuse = None
        if not fuse.has_burnt:
            break
        # A mail that can be queued no more is no refusal; that nothing is left of it is what counts.
        assert answer.status_code in (500, 503), answer.text
        assert await _state() == before, statement
    assert answer.is_success, answer.text
    assert statement > 15
    after = await _state()
    assert after != before
    again = await world.client.post(path, json=command, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert await _state() == after
    await assert_verified(world)


async def _prepare(desk: MergeDesk, act: str, home: UUID, ben: Any, stub: dict[str, Any]) -> tuple[str, dict[str, Any]]:  # noqa: ANN401 - a member
    """Return the path and the body of an act, with all that has to be there before it."""
    combine = f"/v1/staff/memberships/{home}/combine"
    wish = {"other_membership_id": str(ben.membership_id), "reason": "one household"}
    if act == "combine":
        return combine, wish
    if act == "leave":
        expect(await desk.combine(home, ben.membership_id), 201)
        leave = {"customer_id": str(ben.customer_id), "reason": "moved out"}
        return f"/v1/staff/memberships/{home}/leave", leave
    if act == "undo combine":
        done = expect(await desk.combine(home, ben.membership_id), 201)
        return f"{combine}/{done['operation_id']}/undo", {"reason": "not wanted"}
    if act == "merge":
        return "/v1/staff/merges", desk.wish(ben.customer_id, stub["id"])
    done = await desk.merged(ben.customer_id, stub["id"])
    return f"/v1/staff/merges/{done['id']}/undo", {"reason": "two people"}


async def _state() -> list[object]:
    """Return what an act changes: balances, people, cards, customers, orders, addresses, and how much was written."""
    tables = (
        "membership",
        "membership_person",
        "card",
        "customer",
        "contact_point",
        "orders",
        "login",
        "sharing_operation",
        "merge",
    )
    parts = [
        f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from \"{table}\" t" for table in tables
    ]
    counts = [
        f"select count(*)::text from {table}" for table in ("ledger_entry", "allocation", "audit_entry", "message")
    ]
    return [row[0] for row in await DB.fetch(" union all ".join([*parts, *counts]))]
