"""An order given to somebody, moved or taken away: its points follow, in every combination, and nothing else moves."""

import asyncio
import contextvars
import itertools
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from server.customers.store import lock_customers
from server.db.engine import DB
from server.db.ids import new_id
from server.ledger import movements
from server.ledger.lapsing import expire_lapsed
from server.ledger.movements import Origin
from server.programmes import store as programmes
from server.sharing.combining import Combination, combine_memberships
from shared.enums import Role
from shared.programmes import Expiry
from tests.app import SignedUp, World, expect, problem
from tests.ledgers import assert_verified, credit, figures, locked
from tests.server.refunds.till import pieces, refund, send
from tests.tills import add_rules, push, sale
from tests.waiting import until_somebody_waits

LINES = [{"line_id": "1", "net_minor": 1000}]
REASON = "Forgot the card, shows the receipt."


class Desk:
    """A console with a cashier and a manager, a till, and two members."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.staff: dict[Role, dict[str, str]] = {}

    async def open(self) -> None:
        self.ana = await self.world.sign_up("ana@shop.test")
        self.ben = await self.world.sign_up("ben@shop.test", given_name="Ben")
        self.key = await self.world.pos_key()
        await self.later(timedelta(0))

    async def later(self, step: timedelta) -> None:
        """Move the clock; the staff sign in again."""
        self.world.advance(step)
        for role in (Role.CASHIER, Role.MANAGER):
            self.staff[role] = await self.world.staff_headers(role)

    async def buy(self, member: SignedUp | None, **fields: object) -> UUID:
        body = sale(self.world, card=member.card_number if member else None, lines=LINES, **fields)
        return UUID(expect(await push(self.world, self.key, body), 201)["order_id"])

    async def preview(self, order_id: UUID, customer_id: UUID | None, role: Role = Role.CASHIER) -> httpx.Response:
        return await self.world.client.post(
            f"/v1/staff/orders/{order_id}/assignment/preview",
            json={"customer_id": str(customer_id) if customer_id else None, "reason": REASON},
            headers=self.staff[role],
        )

    async def execute(
        self, order_id: UUID, customer_id: UUID | None, preview_hash: str, role: Role = Role.CASHIER
    ) -> httpx.Response:
        return await self.world.client.post(
            f"/v1/staff/orders/{order_id}/assignment",
            json={
                "customer_id": str(customer_id) if customer_id else None,
                "reason": REASON,
                "preview_hash": preview_hash,
            },
            headers=self.staff[role] | {"Idempotency-Key": f"test-{new_id()}"},
        )

    async def move(self, order_id: UUID, to: SignedUp | None, role: Role = Role.CASHIER) -> dict[str, Any]:
        """Preview and execute; the effect must be the one that was shown."""
        customer_id = to.customer_id if to else None
        shown = expect(await self.preview(order_id, customer_id, role), 200)
        assert shown["blockers"] == []
        done = expect(await self.execute(order_id, customer_id, shown["preview_hash"], role), 200)
        assert done["effect"] == shown["effect"]
        await assert_verified(self.world)
        return done | {"warnings": shown["warnings"]}

    async def spend(self, member: SignedUp, points: int) -> None:
        async with locked(member.membership_id) as membership:
            await movements.spend(self.world.ctx, membership, points, Origin(source_key=f"test:{new_id()}"))

    async def share(self, owner: SignedUp, sharer: SignedUp) -> None:
        """Let the sharer into the owner's membership, instead of an own one."""
        await DB.fetch("update membership_person set left_at = joined_at where customer = $1", sharer.customer_id)
        sql = """
        insert into membership_person (id, membership, programme, customer, role, joined_at, eligible_from)
        select $1, membership, programme, $2, 'sharer', joined_at, eligible_from from membership_person where customer = $3
        """
        await DB.fetch(sql, new_id(), sharer.customer_id, owner.customer_id)
        await DB.fetch("update membership set status = 'closed' where id = $1", sharer.membership_id)


@pytest.fixture
async def desk(world: World) -> Desk:
    desk = Desk(world)
    await desk.open()
    return desk


async def entries(order_id: UUID) -> list[tuple[str, int]]:
    rows = await DB.fetch('select kind, points from ledger_entry where "order" = $1 order by posted_at, id', order_id)
    return [(row["kind"], row["points"]) for row in rows]


async def test_an_unassigned_order_is_attached_and_earns_by_the_rules_of_its_time(desk: Desk) -> None:
    order_id = await desk.buy(None)
    await desk.later(timedelta(days=3))
    await add_rules(desk.world, points=7, per_minor=100)
    done = await desk.move(order_id, desk.ana)
    assert (done["effect"]["action"], done["effect"]["points_earned"]) == ("attached", 10)
    assert (done["order"]["customer_id"], done["order"]["points"]) == (str(desk.ana.customer_id), 10)
    assert await figures(desk.ana.membership_id) == (10, 10, 0, 0)


async def test_a_change_takes_all_from_one_and_gives_all_to_the_other(desk: Desk) -> None:
    order_id = await desk.buy(desk.ana)
    done = await desk.move(order_id, desk.ben)
    assert (done["effect"]["points_taken"], done["effect"]["points_earned"]) == (10, 10)
    assert await figures(desk.ana.membership_id) == (0, 0, 0, 0)
    assert await figures(desk.ben.membership_id) == (10, 10, 0, 0)
    assert await entries(order_id) == [("EARN", 10), ("CLAWBACK", -10), ("EARN", 10)]


async def test_a_removal_takes_the_points_back_and_the_till_does_not_bring_them_again(desk: Desk) -> None:
    body = sale(desk.world, card=desk.ana.card_number, lines=LINES)
    order_id = UUID(expect(await push(desk.world, desk.key, body), 201)["order_id"])
    await desk.move(order_id, None)
    again = expect(await push(desk.world, desk.key, body), 201)
    assert (again["points"], again["skipped_reason"]) == (0, "no_customer")
    expect(
        await push(desk.world, desk.key, body | {"revision": 1, "lines": [{"line_id": "1", "net_minor": 5000}]}), 201
    )
    assert await figures(desk.ana.membership_id) == (0, 0, 0, 0)
    await assert_verified(desk.world)


# From everybody to everybody else, and from and to nobody. Cy shares Ana's points.
ROUND = ("ana", None, "ben", None, "cy", "ana", "ben", "ana", "cy", "ben", "cy", None)


@pytest.mark.parametrize(("state", "worth"), [("completed", 10), ("partly returned", 5), ("open", 0)])
async def test_every_attaching_changing_and_removing_leaves_the_points_with_the_last(
    desk: Desk, state: str, worth: int
) -> None:
    world, people = desk.world, {"ana": desk.ana, "ben": desk.ben, "cy": await desk.world.sign_up("cy@shop.test")}
    await desk.share(desk.ana, people["cy"])
    body = sale(world, lines=LINES)
    sent = body | {"state": "open"} if state == "open" else body
    order_id = UUID(expect(await push(world, desk.key, sent), 201)["order_id"])
    if state == "partly returned":
        expect(await send(world, desk.key, refund(world, body["external_id"], pieces("1", "0.5"))), 201)
    assert {*itertools.pairwise((None, *ROUND))} == {*itertools.permutations((*people, None), 2)}
    by_customer = """
    select customer, sum(points)::int as points from ledger_entry where "order" = $1 group by 1 having sum(points) <> 0
    """
    for name in ROUND:
        await desk.move(order_id, people[name] if name else None)
        shared, own = worth * (name in ("ana", "cy")), worth * (name == "ben")
        assert await figures(desk.ana.membership_id) == (shared, shared, 0, 0)
        assert await figures(desk.ben.membership_id) == (own, own, 0, 0)
        earned = {row["customer"]: row["points"] for row in await DB.fetch(by_customer, order_id)}
        assert earned == ({people[name].customer_id: worth} if name and worth else {})
    if state == "open":
        await desk.move(order_id, people["cy"])
        assert expect(await push(world, desk.key, body), 201)["points"] == 10
        assert await figures(desk.ana.membership_id) == (10, 10, 0, 0)


async def test_a_shared_membership_gets_a_pair_that_adds_up_to_nothing(desk: Desk) -> None:
    await desk.share(desk.ana, desk.ben)
    order_id = await desk.buy(desk.ana)
    await desk.spend(desk.ana, 8)
    done = await desk.move(order_id, desk.ben)
    assert done["effect"]["is_shared"]
    assert (done["effect"]["points_owed"], done["warnings"]) == (0, [])
    assert await figures(desk.ana.membership_id) == (2, 2, 0, 0)
    rows = await DB.fetch(
        'select customer, sum(points) as points from ledger_entry where "order" = $1 group by 1', order_id
    )
    assert {row["customer"]: row["points"] for row in rows} == {desk.ana.customer_id: 0, desk.ben.customer_id: 10}


@pytest.mark.parametrize(
    ("policy", "ana"), [("allow_negative", (-7, 0, 0, 7)), ("available_only", (0, 0, 0, 0)), ("refuse", None)]
)
async def test_spent_points_follow_the_policy_of_the_programme(
    desk: Desk, policy: str, ana: tuple[int, int, int, int] | None
) -> None:
    await DB.fetch("update programme set clawback_policy = $1", policy)
    order_id = await desk.buy(desk.ana)
    await desk.spend(desk.ana, 7)
    if ana is None:
        shown = expect(await desk.preview(order_id, desk.ben.customer_id), 200)
        assert shown["blockers"] == ["7 of the points have been spent."]
        refused = await desk.execute(order_id, desk.ben.customer_id, shown["preview_hash"])
        assert problem(refused)[:2] == (409, "POINTS_SPENT")
        assert await figures(desk.ana.membership_id) == (3, 3, 0, 0)
        return
    done = await desk.move(order_id, desk.ben)
    assert len(done["warnings"]) == 1
    assert await figures(desk.ana.membership_id) == ana
    assert await figures(desk.ben.membership_id) == (10, 10, 0, 0)


async def test_lapsed_points_are_let_be_and_listed(desk: Desk) -> None:
    await add_rules(desk.world, points=1, per_minor=100, expiry=Expiry(kind="days", days=5))
    order_id = await desk.buy(desk.ana)
    await desk.later(timedelta(days=8))
    done = await desk.move(order_id, None)
    assert (done["effect"]["points_taken"], done["effect"]["points_exempt"]) == (0, 10)
    await expire_lapsed(desk.world.ctx)
    await assert_verified(desk.world)
    assert await figures(desk.ana.membership_id) == (0, 0, 0, 0)


async def test_an_order_from_before_the_start_is_attached_for_the_history_and_says_so(desk: Desk) -> None:
    order_id = await desk.buy(None, completed_at=(desk.world.clock.now() - timedelta(days=2)).isoformat())
    done = await desk.move(order_id, desk.ana)
    assert (done["effect"]["points_earned"], done["effect"]["skipped_reason"]) == (0, "before_start")
    assert done["order"]["customer_id"] == str(desk.ana.customer_id)
    assert len(done["warnings"]) == 1


async def test_an_open_sale_gets_its_customer_and_earns_when_it_is_completed(desk: Desk) -> None:
    body = sale(desk.world, lines=LINES)
    order_id = UUID(expect(await push(desk.world, desk.key, body | {"state": "open"}), 201)["order_id"])
    assert (await desk.move(order_id, desk.ana))["effect"]["points_earned"] == 0
    assert expect(await push(desk.world, desk.key, body), 201)["points"] == 10
    assert await figures(desk.ana.membership_id) == (10, 10, 0, 0)
    await assert_verified(desk.world)


async def test_a_voided_order_changes_hands_without_points(desk: Desk) -> None:
    body = sale(desk.world, card=desk.ana.card_number, lines=LINES)
    expect(await push(desk.world, desk.key, body), 201)
    void = expect(await push(desk.world, desk.key, body | {"state": "voided"}), 201)
    done = await desk.move(UUID(void["order_id"]), desk.ben)
    assert (done["effect"]["points_taken"], done["effect"]["points_earned"]) == (0, 0)


async def test_an_order_can_be_moved_within_its_window_only(desk: Desk) -> None:
    bought_at = desk.world.clock.now()
    moves = [
        (14, True, Role.CASHIER, False), (15, True, Role.CASHIER, True), (15, True, Role.MANAGER, False),
        (30, False, Role.CASHIER, False), (31, False, Role.CASHIER, True), (90, False, Role.MANAGER, False),
        (91, False, Role.MANAGER, True), (91, True, Role.MANAGER, True),
    ]  # fmt: skip
    orders = [await desk.buy(None if is_attach else desk.ana) for _, is_attach, _, _ in moves]
    for order_id, (days, _, role, is_refused) in zip(orders, moves, strict=True):
        await desk.later(bought_at + timedelta(days=days) - desk.world.clock.now())
        if not is_refused:
            await desk.move(order_id, desk.ben, role)
            continue
        shown = expect(await desk.preview(order_id, desk.ben.customer_id, role), 200)
        assert "older than" in shown["blockers"][0]
        refused = await desk.execute(order_id, desk.ben.customer_id, shown["preview_hash"], role)
        assert problem(refused)[:2] == (409, "ASSIGNMENT_WINDOW")


async def test_many_points_at_once_are_for_a_manager(desk: Desk) -> None:
    body = sale(desk.world, lines=[{"line_id": "1", "net_minor": 50_100}])
    order_id = UUID(expect(await push(desk.world, desk.key, body), 201)["order_id"])
    shown = expect(await desk.preview(order_id, desk.ana.customer_id), 200)
    assert shown["blockers"] == ["Orders of more than 500 points are for a manager."]
    assert (await desk.move(order_id, desk.ana, Role.MANAGER))["effect"]["points_earned"] == 501


@pytest.mark.parametrize("is_source", [False, True])
async def test_nobody_moves_an_order_to_or_from_themselves(desk: Desk, is_source: bool) -> None:
    order_id = await desk.buy(desk.ana if is_source else None)
    await DB.fetch("update staff_member set customer = $1", desk.ana.customer_id)
    to = desk.ben.customer_id if is_source else desk.ana.customer_id
    assert problem(await desk.preview(order_id, to))[:2] == (403, "SELF_DEALING")
    assert problem(await desk.execute(order_id, to, "x" * 64))[:2] == (403, "SELF_DEALING")


async def test_nobody_moves_an_order_to_whom_they_share_points_with(desk: Desk) -> None:
    await desk.share(desk.ana, desk.ben)
    order_id = await desk.buy(None)
    await DB.fetch("update staff_member set customer = $1", desk.ben.customer_id)
    assert problem(await desk.preview(order_id, desk.ana.customer_id))[:2] == (403, "SELF_DEALING")


async def test_a_preview_changes_nothing_and_goes_stale(desk: Desk) -> None:
    order_id = await desk.buy(desk.ana)
    before = await DB.fetch_value(
        "select md5(string_agg(o::text, '') || (select count(*) from ledger_entry)) from orders o"
    )
    shown = expect(await desk.preview(order_id, desk.ben.customer_id), 200)
    after = await DB.fetch_value(
        "select md5(string_agg(o::text, '') || (select count(*) from ledger_entry)) from orders o"
    )
    assert before == after
    await desk.spend(desk.ana, 4)
    stale = await desk.execute(order_id, desk.ben.customer_id, shown["preview_hash"])
    assert problem(stale)[:2] == (409, "PREVIEW_STALE")
    assert await figures(desk.ana.membership_id) == (6, 6, 0, 0)
    await assert_verified(desk.world)


async def test_what_is_so_already_and_what_does_not_exist_is_refused(desk: Desk) -> None:
    order_id = await desk.buy(desk.ana)
    assert expect(await desk.preview(order_id, desk.ana.customer_id), 200)["blockers"] != []
    assert problem(await desk.preview(new_id(), desk.ana.customer_id))[0] == 404
    assert problem(await desk.preview(order_id, new_id()))[0] == 404
    await DB.fetch("update customer set status = 'blocked' where id = $1", desk.ben.customer_id)
    assert problem(await desk.execute(order_id, desk.ben.customer_id, "x" * 64))[:2] == (409, "CUSTOMER_BLOCKED")


async def test_both_customers_find_the_act_in_their_audit(desk: Desk) -> None:
    await desk.move(await desk.buy(desk.ana), desk.ben)
    rows = await DB.fetch("select customer_id, reason from audit_entry where action = 'order.reassigned'")
    assert {row["customer_id"] for row in rows} == {desk.ana.customer_id, desk.ben.customer_id}
    assert {row["reason"] for row in rows} == {REASON}


async def test_64_moves_at_once_have_one_winner(desk: Desk) -> None:
    order_id = await desk.buy(None)
    shown = {
        member.customer_id: expect(await desk.preview(order_id, member.customer_id), 200)["preview_hash"]
        for member in (desk.ana, desk.ben)
    }
    answers = await asyncio.gather(
        *(desk.execute(order_id, customer_id, preview_hash) for customer_id, preview_hash in [*shown.items()] * 32)
    )
    assert sorted(answer.status_code for answer in answers)[:2] != [200, 200]
    assert {answer.status_code for answer in answers} <= {200, 409, 503}
    assert await DB.fetch_value("select sum(balance) from membership") == 10
    await assert_verified(desk.world)


async def test_orders_are_found_by_receipt_number_and_by_the_days_nobody_came_forward(desk: Desk) -> None:
    async def find(**query: object) -> list[str]:
        answer = await desk.world.client.get("/v1/staff/orders", params=query, headers=desk.staff[Role.CASHIER])
        return [item["number"] for item in expect(answer, 200)["items"]]

    await desk.buy(desk.ana, number="R-7")
    for hour in range(5):
        await desk.buy(None, number=f"U-{hour}", completed_at=f"2026-03-02T0{hour}:30:00+00:00")
    await desk.buy(None, number="R-7", completed_at="2026-03-01T09:00:00+00:00")
    assert await find(number="R-7") == ["R-7", "R-7"]
    assert await find(number="R-7", store="elsewhere") == []
    assert await find(store="high-street", day="2026-03-02") == ["U-4", "U-3", "U-2", "U-1", "U-0"]
    first = await desk.world.client.get(
        "/v1/staff/orders", params={"store": "high-street", "day": "2026-03-02", "limit": 2},
        headers=desk.staff[Role.CASHIER],
    )  # fmt: skip
    cursor = expect(first, 200)["next_cursor"]
    assert await find(store="high-street", day="2026-03-02", limit=3, cursor=cursor) == ["U-2", "U-1", "U-0"]
    await desk.world.add_store("vienna", zone="Europe/Vienna")
    for query in (
        {}, {"store": "high-street"}, {"store": "high-street", "day": "yesterday"}, {"day": "2026-03-02"},
        {"store": "vienna", "day": "0001-01-01"}, {"store": "vienna", "day": "9999-12-31"},
    ):  # fmt: skip
        answer = await desk.world.client.get("/v1/staff/orders", params=query, headers=desk.staff[Role.CASHIER])
        assert answer.status_code == 400


async def test_an_order_counts_in_the_shops_own_programme_of_somebody_who_is_in_several(desk: Desk) -> None:
    ctx = desk.world.ctx
    club = await programmes.insert_programme(
        ctx, code="club", name="Club", zone="Europe/London", currency="GBP",
        launch_at=ctx.now - timedelta(days=10), is_default=False,
    )  # fmt: skip
    path = f"/v1/staff/customers/{desk.ana.customer_id}/memberships"
    headers = desk.staff[Role.MANAGER] | {"Idempotency-Key": "join-the-club-too"}
    expect(await desk.world.client.post(path, json={"programme_code": "club"}, headers=headers), 201)
    await DB.fetch("update membership_person set joined_at = joined_at - interval '1 day' where programme = $1", club)
    await desk.move(await desk.buy(None), desk.ana)
    assert await figures(desk.ana.membership_id) == (10, 10, 0, 0)


async def test_whoever_is_blocked_or_merged_while_an_order_is_given_to_them_does_not_get_it(desk: Desk) -> None:
    order_id = await desk.buy(None)
    await desk.share(desk.ana, desk.ben)
    await DB.fetch("update membership_person set left_at = joined_at where customer = $1", desk.ben.customer_id)
    shown = expect(await desk.preview(order_id, desk.ben.customer_id), 200)
    async with asyncio.TaskGroup() as group, DB.transaction():
        await lock_customers([desk.ben.customer_id])
        sent = desk.execute(order_id, desk.ben.customer_id, shown["preview_hash"])
        waiting = group.create_task(sent, context=contextvars.Context())
        await until_somebody_waits()
        await DB.fetch("update customer set status = 'blocked' where id = $1", desk.ben.customer_id)
    assert problem(waiting.result())[:2] == (409, "CUSTOMER_BLOCKED")
    assert await DB.fetch_value("select customer from orders") is None


@pytest.mark.parametrize(("policy", "left"), [("allow_negative", (-8, 0, 0, 8)), ("available_only", (0, 0, 0, 0))])
async def test_what_a_sharer_earns_less_than_was_spent_is_told_and_follows_the_policy(
    desk: Desk, policy: str, left: tuple[int, int, int, int]
) -> None:
    await DB.fetch("update programme set clawback_policy = $1", policy)
    await desk.share(desk.ana, desk.ben)
    # Ben came the day after, so that the order earns nothing for him.
    since = desk.world.clock.now() + timedelta(days=1)
    await DB.fetch(
        "update membership_person set eligible_from = $1 where customer = $2 and left_at is null",
        since,
        desk.ben.customer_id,
    )
    order_id = await desk.buy(desk.ana)
    await desk.spend(desk.ana, 8)
    done = await desk.move(order_id, desk.ben)
    assert (done["effect"]["points_owed"], done["effect"]["skipped_reason"]) == (8, "before_start")
    assert any("have been spent" in warning for warning in done["warnings"])
    assert await figures(desk.ana.membership_id) == left


async def test_a_preview_tells_what_its_own_act_does_while_two_accounts_become_one(desk: Desk) -> None:
    order_id = await desk.buy(None)
    await credit(desk.world, desk.ana.membership_id, 30)
    await credit(desk.world, desk.ben.membership_id, 100)
    both = Combination(
        operation_id=new_id(), kept_id=desk.ben.membership_id, other_id=desk.ana.membership_id, reason="one household"
    )
    async with asyncio.TaskGroup() as group, DB.transaction():
        await combine_memberships(desk.world.ctx, both)
        sent = desk.preview(order_id, desk.ana.customer_id)
        waiting = group.create_task(sent, context=contextvars.Context())
        await until_somebody_waits()
    (change,) = expect(waiting.result(), 200)["balances"]
    assert change["membership_id"] == str(desk.ben.membership_id)
    assert (change["available_before"], change["available_after"]) == (130, 140)
