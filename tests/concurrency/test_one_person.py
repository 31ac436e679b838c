"""Staff, members and tills who do different things about the same people at once: one of them wins, the others are told."""

import asyncio
import contextvars
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest

from server.customers.store import lock_customers
from server.db.engine import DB
from server.memberships.store import lock_memberships
from tests.app import PASSWORD, SignedUp, World, expect
from tests.ledgers import assert_verified
from tests.server.email_changes.builders import add_voucher
from tests.server.links.shop import Till, record, record_id, run_checks, since
from tests.server.merges.desk import MergeDesk
from tests.tills import add_rules, push, push_batch, sale
from tests.waiting import until_somebody_waits

AT_ONCE = 64
SOME_AT_ONCE = 16
"""Enough for what is seen with 64 in the long form of the test."""


class Call(NamedTuple):
    """A command as somebody sends it."""

    path: str
    body: object
    headers: Mapping[str, str]


class Counter:
    """A desk at which always new people stand, each with twenty points or more."""

    def __init__(self, world: World, desk: MergeDesk, till: Till) -> None:
        self.world = world
        self.desk = desk
        self.till = till
        self.count = 0

    @classmethod
    async def open(cls, world: World) -> "Counter":
        return cls(world, await MergeDesk.open(world), await Till.of(world))

    async def member(self) -> SignedUp:
        self.count += 1
        member = await self.world.sign_up(f"member{self.count}@shop.test", given_name=f"Name{self.count}")
        await self.desk.buy(member.card_number, 20)
        return member

    async def stub(self) -> dict[str, Any]:
        self.count += 1
        form = {"given_name": f"Name{self.count}", "phone": f"+4420794600{self.count:02}"}
        stub: dict[str, Any] = expect(await self.desk.post("/v1/staff/customers", form), 201)
        await self.desk.buy(stub["card_number"], 30)
        return stub

    async def free_record(self) -> str:
        """Return a record of the till with a sale that counts for nobody yet."""
        self.count += 1
        await self.till.send(record(f"p-{self.count}", email=None))
        await self.till.sell(f"p-{self.count}")
        return str(await record_id(f"p-{self.count}"))

    async def seen(self, path: str, body: dict[str, Any]) -> Call:
        """Return a command whose preview was looked at."""
        body = {"reason": "as they asked"} | body
        shown = expect(await self.desk.post(f"{path}/preview", body), 200)
        assert not shown.get("blockers"), shown
        agreed = {"agreed_by": shown["must_agree"]} if shown.get("must_agree") else {}
        return Call(path, body | agreed | {"preview_hash": shown["preview_hash"]}, self.desk.headers)

    async def merge(self, survivor_id: UUID | str, absorbed_id: UUID | str) -> Call:
        return await self.seen("/v1/staff/merges", self.desk.wish(survivor_id, absorbed_id))

    async def link(self, customer_id: UUID | str, record: str) -> Call:
        path = f"/v1/staff/customers/{customer_id}/links"
        return await self.seen(path, {"record_id": record, "attestation": "saw_id"})

    async def combine(self, home: UUID, other: UUID) -> Call:
        return await self.seen(f"/v1/staff/memberships/{home}/combine", {"other_membership_id": str(other)})

    async def race(self, calls: Sequence[Call], at_once: int) -> Tally[tuple[int, str]]:
        """Send them in turn, all at once; who finds the service busy asks again.

        Returns how often each call, by its place, ended how: what was done, by its id, or the code of the refusal.
        """
        outcome: Tally[tuple[int, str]] = Tally()
        waiting = [turn % len(calls) for turn in range(at_once)]
        while waiting:
            answers = await asyncio.gather(
                *(self.desk.post(calls[n].path, calls[n].body, headers=dict(calls[n].headers)) for n in waiting)
            )
            told = [
                (n, str(body.get("operation_id") or body.get("id")) if answer.is_success else body["code"])
                for n, answer in zip(waiting, answers, strict=True)
                if (body := answer.json())
            ]
            waiting = [n for n, code in told if code == "BUSY"]
            outcome.update(one for one in told if one[1] != "BUSY")
        return outcome


async def merge_either_way_in_a_ring(counter: Counter) -> list[Call]:
    ids = [(await counter.stub())["id"] for _ in range(3)]
    return [await counter.merge(ids[n], ids[n - 1]) for n in range(3)]


async def merge_or_reissue(counter: Counter) -> list[Call]:
    ana, stub = await counter.member(), await counter.stub()
    wish = {"new_email": f"new.{ana.email}", "mode": "reissue", "identity_attested": True}
    change = await counter.seen(f"/v1/staff/customers/{ana.customer_id}/email-changes", wish)
    return [await counter.merge(ana.customer_id, stub["id"]), change]


async def merge_or_forget(counter: Counter) -> list[Call]:
    ana, stub = await counter.member(), await counter.stub()
    return [
        await counter.merge(stub["id"], ana.customer_id),
        Call("/v1/me/erasure", {"password": PASSWORD}, ana.headers),
    ]


async def merge_or_claim(counter: Counter) -> list[Call]:
    ana, stub = await counter.member(), await counter.stub()
    issued = expect(await counter.desk.post(f"/v1/staff/customers/{stub['id']}/claim-codes", None), 201)
    return [
        await counter.merge(ana.customer_id, stub["id"]),
        Call("/v1/me/claims", {"code": issued["code"]}, ana.headers),
    ]


async def merge_or_link(counter: Counter) -> list[Call]:
    ana, stub = await counter.member(), await counter.stub()
    return [
        await counter.merge(ana.customer_id, stub["id"]),
        await counter.link(stub["id"], await counter.free_record()),
    ]


async def link_to_one_or_the_other(counter: Counter) -> list[Call]:
    ana, ben, one = await counter.member(), await counter.member(), await counter.free_record()
    return [await counter.link(ana.customer_id, one), await counter.link(ben.customer_id, one)]


async def combine_or_leave(counter: Counter) -> list[Call]:
    ana, ben, cat = [await counter.member() for _ in range(3)]
    expect(await counter.desk.combine(ana.membership_id, ben.membership_id), 201)
    leave = f"/v1/staff/memberships/{ana.membership_id}/leave"
    return [
        await counter.combine(ana.membership_id, cat.membership_id),
        await counter.seen(leave, {"customer_id": str(ben.customer_id)}),
    ]


async def combine_either_way(counter: Counter) -> list[Call]:
    ana, ben = await counter.member(), await counter.member()
    return [
        await counter.combine(ana.membership_id, ben.membership_id),
        await counter.combine(ben.membership_id, ana.membership_id),
    ]


async def combine_or_reissue(counter: Counter) -> list[Call]:
    ana, ben = await counter.member(), await counter.member()
    wish = {"new_email": f"new.{ben.email}", "mode": "reissue", "identity_attested": True}
    return [
        await counter.combine(ana.membership_id, ben.membership_id),
        await counter.seen(f"/v1/staff/customers/{ben.customer_id}/email-changes", wish),
    ]


async def take_a_merge_back(counter: Counter) -> list[Call]:
    ana, stub = await counter.member(), await counter.stub()
    done = await counter.desk.merged(ana.customer_id, stub["id"])
    return [await counter.seen(f"/v1/staff/merges/{done['id']}/undo", {})]


async def take_a_merge_back_or_go_on(counter: Counter) -> list[Call]:
    ana, stub, other = await counter.member(), await counter.stub(), await counter.stub()
    done = await counter.desk.merged(ana.customer_id, stub["id"])
    return [
        await counter.seen(f"/v1/staff/merges/{done['id']}/undo", {}),
        await counter.merge(ana.customer_id, other["id"]),
    ]


Prepare = Callable[[Counter], Awaitable[list[Call]]]
RACES: tuple[Prepare, ...] = (
    merge_either_way_in_a_ring,
    merge_or_reissue,
    merge_or_forget,
    merge_or_claim,
    merge_or_link,
    link_to_one_or_the_other,
    combine_or_leave,
    combine_either_way,
    combine_or_reissue,
    take_a_merge_back,
    take_a_merge_back_or_go_on,
)

# The first of each route.
FULL = (merge_either_way_in_a_ring, link_to_one_or_the_other, combine_either_way, take_a_merge_back)


@pytest.mark.timeout(900)
async def test_of_all_who_do_different_things_about_the_same_people_at_once_one_wins(
    world: World, request: pytest.FixtureRequest
) -> None:
    counter = await Counter.open(world)
    for prepare in RACES:
        calls = await prepare(counter)
        at_once = AT_ONCE if prepare in FULL or request.config.getoption("--soak") else SOME_AT_ONCE
        before = await DB.fetch_value("select sum(balance)::int from membership")
        outcome = await counter.race(calls, at_once)
        # What was combined before is answered with that, so that it is the thing done that counts, not the answers.
        done = {(n, told) for n, told in outcome if not told.isupper()}
        assert "INTERNAL" not in {told for _, told in outcome}, f"{prepare.__name__}: {outcome}"
        assert len(done) == 1, f"{prepare.__name__}: {outcome}"
        assert outcome.total() == at_once
        if "link" not in prepare.__name__:
            assert await DB.fetch_value("select sum(balance)::int from membership") == before, prepare.__name__
    await assert_verified(world)


async def test_sales_go_on_while_a_merge_is_made_and_taken_back(world: World) -> None:
    counter = await Counter.open(world)
    ana, stub = await counter.member(), await counter.stub()
    cards = (ana.card_number, stub["card_number"])
    bodies = [sale(world, card=cards[n % 2], lines=[{"line_id": "1", "net_minor": 100}]) for n in range(AT_ONCE)]

    async def to_and_fro() -> int:
        """Merge and take it back; a sale in between makes a preview stale, so that it is looked at again."""
        for _ in range(200):
            merged = await counter.desk.merge(ana.customer_id, stub["id"])
            if merged.status_code == 201:
                break
        for turn in range(200):
            if (await counter.desk.unmerge(merged.json()["id"])).status_code == 200:
                return turn
        raise AssertionError("never taken back")

    async def sell(body: dict[str, Any]) -> int:
        return (await push(world, counter.desk.key, body)).status_code

    _, *statuses = await asyncio.gather(to_and_fro(), *(sell(body) for body in bodies))
    assert set(statuses) <= {201, 503}
    # Whom the service was too busy for sends it again.
    assert [await sell(body) for body in bodies] == [201] * AT_ONCE
    assert await DB.fetch_value("select sum(balance)::int from membership") == 50 + AT_ONCE
    assert await DB.fetch_value("select count(*) from orders where customer is null") == 0
    await assert_verified(world)


async def test_tills_wait_for_people_before_they_lock_memberships(world: World) -> None:
    """Whoever does it the other way round and somebody who merges those people would wait for each other."""
    counter = await Counter.open(world)
    ana, eve = await counter.member(), await counter.member()
    await counter.till.send(record("p-1", email=ana.email, **since(world)))
    await run_checks(world)
    sold = sale(world, card=ana.card_number)
    expect(await push(world, counter.desk.key, sold), 201)
    await add_voucher(ana)
    reward = {"code": "coffee", "name": "Coffee", "kind": "amount_off", "points_cost": 5, "value_minor": 500}
    reward_id = expect(await counter.desk.post("/v1/staff/rewards", reward), 201)["id"]
    path = f"/v1/staff/orders/{await DB.fetch_value('select min(id::text) from orders')}/assignment"
    adjust, points = f"/v1/staff/customers/{ana.customer_id}/adjustments", {"points": 5, "reason_code": "goodwill"}
    staff, till = counter.desk.headers, counter.desk.key
    await _let_wait(counter, ana, await counter.seen(path, {"customer_id": str(eve.customer_id)}))
    shown = expect(await counter.desk.post(f"{adjust}/preview", points), 200)
    for call in (
        Call(adjust, points | {"preview_hash": shown["preview_hash"]}, staff),
        Call(f"/v1/staff/customers/{ana.customer_id}/vouchers", {"reward_id": reward_id}, staff),
        Call("/v1/pos/orders", sale(world, card=ana.card_number), till),
        Call("/v1/pos/orders", sale(world, customer={"email": ana.email}), till),
        Call("/v1/pos/orders", sale(world, customer={"pos_customer_id": "p-1"}), till),
        Call("/v1/pos/orders", sold | {"state": "voided"}, till),
        Call("/v1/pos/orders/batch", {"orders": [sale(world, card=ana.card_number)]}, till),
    ):
        await _let_wait(counter, ana, call)
    await assert_verified(world)


async def _let_wait(counter: Counter, ana: SignedUp, call: Call) -> None:
    """Lock a member, let a call wait for that, and lock the membership as well."""
    async with asyncio.TaskGroup() as group, DB.transaction():
        await lock_customers([ana.customer_id])
        sent = counter.desk.post(call.path, call.body, headers=dict(call.headers))
        # Not in this transaction, as a till is not.
        waiting = group.create_task(sent, context=contextvars.Context())
        await until_somebody_waits()
        await DB.fetch("set local lock_timeout = '200ms'")
        assert await lock_memberships([ana.membership_id]), call
    assert waiting.result().is_success, (call, waiting.result().text)


@pytest.mark.parametrize(
    ("act", "how"),
    [("merge", "batch"), ("merge", "step by step"), ("combine", "batch"), ("combine", "by email")],
)
async def test_a_sale_that_waits_for_its_buyer_counts_where_the_points_are_then(
    world: World, act: str, how: str
) -> None:
    """The till's look at who bought is older than the act, its lock younger."""
    counter = await Counter.open(world)
    if how == "step by step":
        await add_rules(world, points=1, per_minor=100, day_points_max=1_000)
    ana = await counter.member()
    if act == "merge":
        stub = await counter.stub()
        buyer_id, bought = UUID(stub["id"]), {"card_number": stub["card_number"]}
        call = await counter.merge(ana.customer_id, buyer_id)
    else:
        ben = await counter.member()
        buyer_id = ben.customer_id
        bought = {"email": ben.email} if how == "by email" else {"card_number": ben.card_number}
        call = await counter.combine(ana.membership_id, ben.membership_id)
    order = sale(world, customer=bought, lines=[{"line_id": "1", "net_minor": 700}])
    key = counter.desk.key

    async def sell() -> httpx.Response:
        return await (push_batch(world, key, [order]) if how == "batch" else push(world, key, order))

    async with asyncio.TaskGroup() as group, DB.transaction():
        await lock_customers([buyer_id])
        sent = counter.desk.post(call.path, call.body, headers=dict(call.headers))
        acting = group.create_task(sent, context=contextvars.Context())
        await until_somebody_waits()
        selling = group.create_task(sell(), context=contextvars.Context())
        await until_somebody_waits(2)
    expect(acting.result(), 201)
    answer = selling.result()
    if answer.status_code == 503:
        answer = await sell()
    assert answer.is_success, answer.text
    row = await DB.fetch_row(
        "select points, regulars_heir(membership) as heir from orders where external_id = $1", order["external_id"]
    )
    assert row is not None
    assert tuple(row) == (7, ana.membership_id)
    await assert_verified(world)
