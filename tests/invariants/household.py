"""A household for random walks: people at one desk, a till, and every act that brings accounts together or apart.

Whatever is refused is refused in words. After each act the sums and the dates of points are compared with those before.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from server.customers.store import insert_customer
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import Refused
from server.ledger.movements import Origin, spend
from server.ledger.verification import verify
from server.privacy import erasure_execution
from server.tokens import hash_token
from tests.app import World, expect
from tests.ledgers import credit, locked
from tests.server.links.shop import Till, record
from tests.server.merges.desk import MergeDesk
from tests.server.privacy.desk import ask_by_staff
from tests.server.sharing.desk import two_members

RECORDS = ("till-1", "till-2", "till-3")
HOMES = "select id from membership where status = 'active' order by id"
PEOPLE = "select id from customer where status <> 'merged' order by id"
LOTS = """
select l.earned_at, l.available_at, l.expires_at, l.remaining, e.customer from lot l join ledger_entry e on e.id = l.entry
where l.membership = $1 and l.remaining > 0 and coalesce(l.expires_at > $2, true)
"""
OPEN_DEBTS = """
select e.customer, -e.points - coalesce((select sum(points) from allocation where debit_entry = e.id), 0)::int as points
from ledger_entry e where e.membership = $1 and e.points < 0
"""

Dated = Counter[tuple[object, object, object]]


class Household:
    """Four members, a fifth customer who is none, three records of the till, and every act that brings them together.

    Attributes:
        tally: How often each act was carried out, not only tried, in all walks.
    """

    def __init__(self, world: World, desk: MergeDesk, till: Till) -> None:
        self.world = world
        self.desk = desk
        self.till = till
        self.sold: list[str] = []
        self.acts: list[tuple[str, str, str]] = []
        self.tally: Counter[str] = Counter()
        self._first: tuple[dict[str, str], tuple[str, ...]] = ({}, ())

    @classmethod
    async def open(cls, world: World) -> "Household":
        ana, ben = await two_members(world)
        desk = await MergeDesk.open(world)
        household = cls(world, desk, await Till.of(world))
        for card in (ana.card_number, ben.card_number):
            await household._buy(card, 40)
        for name in ("Cy", "Di"):
            await household._buy((await desk.register(name))["card_number"], 30)
        await insert_customer(world.ctx, given_name="Eve", family_name="Gray", source="till")
        for name in RECORDS:
            await household.till.send(record(name, given_name="Somebody", email=None))
            await household.till.sell(name)
        household._first = (desk.headers, tuple(household.sold))
        return household

    def begin(self) -> None:
        """Forget what happened, as the database is another copy of the first one."""
        self.desk.headers, sold = self._first
        self.sold, self.acts = list(sold), []

    @property
    def moves(self) -> dict[str, Callable[[random.Random], Awaitable[None]]]:
        """Acts that may move no point away or change a date."""
        return {
            "join": self.join, "combine": self.combine, "leave": self.leave, "merge": self.merge, "claim": self.claim,
            "link": self.link, "reissue": self.reissue, "keep": self.keep, "correct": self.correct, "undo": self.undo,
        }  # fmt: skip

    @property
    def trade(self) -> dict[str, Callable[[random.Random], Awaitable[None]]]:
        """What a shop does besides, and the end of a link, which may take points back."""
        return {
            "buy": self.buy, "return": self.give_back, "spend": self.spend, "wait": self.wait, "import": self.bring,
            "unlink": self.unlink, "forget": self.forget,
        }  # fmt: skip

    async def step(self, name: str, seed: int) -> None:
        """Do something and check what must hold after it."""
        chance = random.Random(seed)
        if name in self.trade:
            await self.trade[name](chance)
        else:
            before = await self._sums()
            await self.moves[name](chance)
            self._compare(before, await self._sums())
        await prove(self.world)

    async def join(self, chance: random.Random) -> None:
        outside = """
        select id from customer c where status <> 'merged' and not exists (
            select 1 from membership_person where customer = c.id and left_at is null
        ) order by id
        """
        for customer_id in await self._some(outside, chance, 1):
            for home in await self._some(HOMES, chance, 1):
                answer = await self._command(f"/v1/staff/memberships/{home}/join", {"customer_id": customer_id})
                self._note("join", answer, home)

    async def combine(self, chance: random.Random) -> None:
        pair = await self._some(HOMES, chance, 2)
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
                others = "select customer from membership_person where membership = $1 and left_at is null and role = 'sharer' order by id"
                heir = await DB.fetch_value(others, row["membership"])
                body["new_owner_id"] = str(heir) if heir else None
            must_hold = await self._expect_share(row["membership"], row["customer"], body)
            answer = await self._command(f"/v1/staff/memberships/{row['membership']}/leave", body)
            self._note("leave", answer, str(row["membership"]))
            if answer is not None and answer.is_success:
                must_hold(*await self._lots_and_debt(UUID(answer.json()["new_membership_id"])))

    async def merge(self, chance: random.Random) -> None:
        pair = await self._some(PEOPLE, chance, 2)
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
            self._did("merge", answer.json()["id"])

    async def claim(self, chance: random.Random) -> None:
        """Let a member enter the code of somebody who cannot sign in."""
        without_login = f"select id from ({PEOPLE}) c where id not in (select customer from login) order by id"
        signed_in = "select customer as id from login where disabled_at is null order by customer"
        subjects, members = await self._some(without_login, chance, 1), await self._some(signed_in, chance, 1)
        for subject_id, member_id in zip(subjects, members, strict=False):
            issued = await self.desk.post(f"/v1/staff/customers/{subject_id}/claim-codes", None)
            if not self._is_fine(issued):
                continue
            headers = await self._sign_in(UUID(member_id))
            answer = await self.desk.post("/v1/me/claims", {"code": issued.json()["code"]}, headers=headers)
            if self._is_fine(answer):
                self._did("claim", answer.json()["merge_id"])

    async def link(self, chance: random.Random) -> None:
        """Link a record of the till to a customer; points of its sales come, as many as were shown."""
        (record_id,) = await self._some("select id from pos_record where merged_into is null order by id", chance, 1)
        for customer_id in await self._some(PEOPLE, chance, 1):
            before = await self._sums()
            answer = await self._command(
                f"/v1/staff/customers/{customer_id}/links", {"record_id": record_id, "attestation": "saw_id"}
            )
            if answer is not None and answer.is_success:
                self.tally["link"] += 1
                assert (await self._sums())[0] - before[0] == answer.json()["effect"]["points"]

    async def unlink(self, chance: random.Random) -> None:
        """End a link; points go as many as were shown, or none."""
        for link_id in await self._some("select id from pos_link where state = 'linked' order by id", chance, 1):
            path, wish = (
                f"/v1/staff/links/{link_id}/end",
                {"reason": "somebody else", "take_back_orders": chance.random() < 0.5},
            )
            before = await self._sums()
            shown = await self.desk.post(f"{path}/preview", wish)
            if not self._is_fine(shown):
                continue
            expect(await self.desk.post(path, wish | {"preview_hash": shown.json()["preview_hash"]}), 200)
            self.tally["unlink"] += 1
            after = await self._sums()
            assert before[0] - after[0] == shown.json()["points_taken"]
            assert wish["take_back_orders"] or before == after

    async def forget(self, chance: random.Random) -> None:
        """Let somebody be forgotten: asked for at the desk, agreed to by a second person, and done after the days."""
        live = f"select id from ({PEOPLE}) c where id in (select id from customer where status <> 'erased') order by id"
        for customer_id in await self._some(live, chance, 1):
            answer = await ask_by_staff(self.desk, customer_id)
            if not self._is_fine(answer):
                continue
            erasure_id, second = answer.json()["id"], await self.world.staff_headers("manager")
            path = f"/v1/staff/erasures/{erasure_id}"
            shown = expect(await self.world.client.get(path, headers=second), 200)
            body = {"preview_hash": shown["preview_hash"]}
            approved = await self.desk.post(f"{path}/approve", body, headers=second)
            self.world.advance(timedelta(days=8))
            self.desk.headers = await self.world.staff_headers("manager")
            if self._is_fine(approved) and await erasure_execution.execute(self.world.ctx, UUID(erasure_id)):
                self.tally["forget"] += 1

    async def undo(self, chance: random.Random) -> None:
        if not self.acts:
            return
        # Mostly the last one, as only that is allowed; now and then another, which has to be refused or be harmless.
        place = -1 if chance.random() < 0.8 else chance.randrange(len(self.acts))
        kind, act_id, membership_id = self.acts[place]
        path = f"/v1/staff/memberships/{membership_id}/{kind}/{act_id}/undo"
        if kind in ("merge", "claim"):
            path = f"/v1/staff/merges/{act_id}/undo"
        elif kind in ("reissue", "keep", "correct"):
            path = f"/v1/staff/email-changes/{act_id}/undo"
        body = {"reason": "not wanted"}
        has_preview = kind in ("merge", "claim", "combine")
        answer = await self._command(path, body) if has_preview else await self.desk.post(path, body)
        if answer is not None and self._is_fine(answer):
            self.acts.pop(place)
            self.tally[f"undo {kind}"] += 1
        await self._let_spend()

    async def reissue(self, chance: random.Random) -> None:
        await self._change_address("reissue", chance)

    async def keep(self, chance: random.Random) -> None:
        await self._change_address("keep", chance)

    async def correct(self, chance: random.Random) -> None:
        await self._change_address("correct", chance)

    async def _change_address(self, mode: str, chance: random.Random) -> None:
        for customer_id in await self._some(PEOPLE, chance, 1):
            wish: dict[str, Any] = {"new_email": f"new-{new_id().hex}@shop.test"}
            act = "corrections"
            if mode != "correct":
                act, wish = "email-changes", wish | {"mode": mode, "identity_attested": True}
            before = await self._count_entries()
            answer = await self._command(f"/v1/staff/customers/{customer_id}/{act}", wish)
            if answer is not None and answer.is_success:
                self._did(mode, answer.json()["id"])
            assert mode == "reissue" or await self._count_entries() == before, "an address is no matter of points"
        await self._let_spend()

    @staticmethod
    async def _let_spend() -> None:
        # The hold on spending after a change would stop everything for a day.
        await DB.fetch("update customer set redemption_held_until = null, redemption_held_reason = null")

    async def buy(self, chance: random.Random) -> None:
        for card in await self._some("select code as id from card where status = 'active' order by card.id", chance, 1):
            await self._buy(card, chance.randint(1, 50))
        await self.till.sell(chance.choice(RECORDS))

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
        for membership_id in await self._some(HOMES, chance, 1):
            async with locked(UUID(membership_id)) as membership:
                try:
                    await spend(
                        self.world.ctx, membership, chance.randint(1, 60), Origin(source_key=f"test:{new_id()}")
                    )
                except Refused:
                    return

    async def bring(self, chance: random.Random) -> None:
        for membership_id in await self._some(HOMES, chance, 1):
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
            self._did(kind, answer.json()["operation_id"], membership_id)

    def _did(self, kind: str, act_id: str, membership_id: str = "") -> None:
        self.tally[kind] += 1
        self.acts.append((kind, act_id, membership_id))

    async def _sign_in(self, customer_id: UUID) -> dict[str, str]:
        """Return the headers of a member's new device, whatever address and password there are now."""
        token, now = self.world.tools.tokens.new(), self.world.clock.now()
        sql = """
        insert into member_session (id, customer, access_hash, access_expires_at, refresh_expires_at, created_at,
                                    last_used_at, stepped_up_at)
        values ($1, $2, $3, $4, $4, $5, $5, $5)
        """
        await DB.fetch(sql, new_id(), customer_id, hash_token(token), now + timedelta(hours=1), now)
        return {"Authorization": f"Bearer {token}"}

    @staticmethod
    async def _count_entries() -> object:
        return await DB.fetch_value("select count(*) from ledger_entry")

    @staticmethod
    def _is_fine(answer: httpx.Response) -> bool:
        assert answer.status_code < 500, answer.text
        return answer.is_success

    @staticmethod
    async def _some(sql: str, chance: random.Random, count: int) -> list[str]:
        found = [str(row["id"]) for row in await DB.fetch(sql)]
        return chance.sample(found, min(count, len(found)))

    async def _expect_share(
        self, home_id: UUID, leaver_id: UUID, body: dict[str, Any]
    ) -> Callable[[list[Row], int], None]:
        """Return the check of what a leaver has: own lots whole and the own debt, an agreed part of every lot, or nothing."""
        heirs = {row["id"]: row["merged_into"] for row in await DB.fetch("select id, merged_into from customer")}

        def is_own(row: Row) -> bool:
            person = row["customer"]
            while heirs.get(person) is not None:
                person = heirs[person]
            return bool(person == leaver_id)

        lots, deficit = await self._lots_and_debt(home_id)
        whole, own = _dated(lots), _dated([lot for lot in lots if is_own(lot)])
        owed = min(sum(row["points"] for row in await DB.fetch(OPEN_DEBTS, home_id) if is_own(row)), deficit)

        def check(lots_going: list[Row], owes: int) -> None:
            going = _dated(lots_going)
            if body["policy"] == "contribution":
                assert going.total() - owes == own.total() - owed
                assert owed or going == own
                return
            points = body.get("points", 0)
            assert (going.total(), owes) == (points, 0)
            for date, weight in whole.items():
                assert abs(going[date] * whole.total() - points * weight) < whole.total() * len(lots), "a fair part"

        return check

    async def _lots_and_debt(self, membership_id: UUID) -> tuple[list[Row], int]:
        deficit = await DB.fetch_value("select deficit from membership where id = $1", membership_id)
        assert isinstance(deficit, int)
        return await DB.fetch(LOTS, membership_id, self.world.clock.now()), deficit

    async def _sums(self) -> tuple[int, int, int, Dated]:
        row = await DB.fetch_row(
            "select sum(balance)::int as balance, sum(lifetime)::int as lifetime, sum(deficit)::int as deficit from membership"
        )
        assert row is not None
        lots = await DB.fetch("select earned_at, available_at, expires_at, remaining from lot where remaining > 0")
        return row["balance"], row["lifetime"], row["deficit"], _dated(lots)

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


def _dated(lots: list[Row]) -> Dated:
    dated: Dated = Counter()
    for lot in lots:
        dated[(lot["earned_at"], lot["available_at"], lot["expires_at"])] += lot["remaining"]
    return dated


async def prove(world: World) -> None:
    """Check every figure of the database."""
    assert [outcome async for outcome in verify(world.clock.now()) if not outcome.is_right] == []
