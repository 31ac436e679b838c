"""What goes with an order when it changes hands or is voided: points and vouchers that paid for it, bonuses, open holds."""

from contextlib import nullcontext
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from server.customers.store import lock_customers
from server.db.engine import DB
from server.db.ids import new_id
from server.ledger.lapsing import expire_lapsed
from server.ledger.verification import verify
from server.orders.giving import OrderTaken, give_order
from shared.enums import Role
from shared.programmes import BonusRules, Expiry
from tests.app import SignedUp, World, expect, problem
from tests.ledgers import assert_verified, credit, figures
from tests.server.orders.test_assignments import LINES, REASON, Desk, entries
from tests.server.privacy.desk import forget
from tests.server.refunds.till import pieces, refund, send
from tests.server.rewards.builders import Counter
from tests.server.sharing.desk import Desk as SharingDesk
from tests.server.sharing.desk import two_members
from tests.tills import add_rules, push, push_batch, sale


class Shop(Desk):
    """A desk with a counter at which Ana pays with points and vouchers; both belong to one till system."""

    async def open_counter(self) -> Counter:
        self.counter = Counter(self.world, self.ana, self.key, self.staff[Role.MANAGER])
        await credit(self.world, self.ana.membership_id, 1_000)
        expect(await self.counter.put_terms(card_daily_points=100_000), 200)
        return self.counter

    async def preview_with(self, order_id: str, to: SignedUp | None, choice: str, role: Role) -> httpx.Response:
        body = {"customer_id": str(to.customer_id) if to else None, "reason": REASON, "redemption": choice}
        return await self.world.client.post(
            f"/v1/staff/orders/{order_id}/assignment/preview", json=body, headers=self.staff[role]
        )

    async def move_with(
        self, order_id: str, to: SignedUp | None, choice: str, role: Role = Role.CASHIER
    ) -> dict[str, Any]:
        shown = expect(await self.preview_with(order_id, to, choice, role), 200)
        assert shown["blockers"] == []
        body = {
            "customer_id": str(to.customer_id) if to else None, "reason": REASON, "redemption": choice,
            "preview_hash": shown["preview_hash"],
        }  # fmt: skip
        headers = self.staff[role] | {"Idempotency-Key": f"test-{new_id()}"}
        answer = await self.world.client.post(f"/v1/staff/orders/{order_id}/assignment", json=body, headers=headers)
        done: dict[str, Any] = expect(answer, 200)
        assert done["effect"] == shown["effect"]
        await assert_verified(self.world)
        return done["effect"]  # type: ignore[no-any-return]

    async def pay(self, body: dict[str, Any]) -> str:
        """Pay a sale of Ana's with 300 points and a voucher, push it, and return the order's id."""
        reward = await self.counter.add_reward(value_minor=100)
        code = await self.counter.take_code(reward)
        holds = [
            expect(await self.counter.hold(300, sale=body["external_id"], total=1_000), 201),
            expect(await self.counter.hold_voucher(code, sale=body["external_id"], total=1_000), 201),
        ]
        order_id = str(expect(await push(self.world, self.key, body), 201)["order_id"])
        for hold in holds:
            expect(await self.counter.capture(hold, sale=body["external_id"]), 200)
        return order_id


async def open_shop(world: World) -> Shop:
    shop = Shop(world)
    await shop.open()
    await shop.open_counter()
    return shop


async def voucher_states() -> list[str]:
    return [row["status"] for row in await DB.fetch("select status from voucher order by id")]


async def test_an_order_that_was_paid_with_somebodys_reward_waits_for_a_choice(world: World) -> None:
    shop = await open_shop(world)
    order_id = await shop.pay(sale(world, card=shop.ana.card_number, lines=LINES))
    assert await figures(shop.ana.membership_id) == (610, 610, 0, 0)
    blocked = expect(await shop.preview_with(order_id, shop.ben, "refuse", Role.MANAGER), 200)
    assert "paid for this order" in blocked["blockers"][0]
    assert blocked["asks_redemption"]
    refused = await shop.execute(UUID(order_id), shop.ben.customer_id, blocked["preview_hash"], Role.MANAGER)
    assert problem(refused)[:2] == (409, "REWARD_USED")
    assert refused.json()["data"] == {"points": 300, "vouchers": 1}
    assert expect(await shop.preview_with(order_id, shop.ben, "keep", Role.CASHIER), 200)["blockers"] != []
    kept = await shop.move_with(order_id, shop.ben, "keep", Role.MANAGER)
    assert (kept["points_restored"], kept["vouchers_restored"]) == (0, 0)
    assert (await figures(shop.ana.membership_id))[0] == 600
    back = await shop.move_with(order_id, None, "return")
    assert (back["points_restored"], back["vouchers_restored"]) == (300, 1)
    assert await figures(shop.ana.membership_id) == (900, 900, 0, 0)
    assert await voucher_states() == ["issued"]
    # Nothing of anybody's is in the way any more.
    assert (await shop.move_with(order_id, shop.ben, "refuse"))["points_earned"] == 10


@pytest.mark.parametrize("state", ["open", "completed"])
async def test_a_till_moves_no_order_that_somebodys_reward_paid_for(world: World, state: str) -> None:
    shop = await open_shop(world)
    body = sale(world, card=shop.ana.card_number, lines=LINES, state=state)
    order_id = await shop.pay(body)
    moved = body | {"customer": {"card_number": shop.ben.card_number}, "revision": 1, "state": "completed"}
    before = [await figures(one.membership_id) for one in (shop.ana, shop.ben)]
    for change in (moved, moved | {"customer": None}):
        refused = await push(world, shop.key, change)
        assert problem(refused)[:2] == (409, "REWARD_USED")
        assert refused.json()["data"] == {"points": 300, "vouchers": 1}
    (one,) = expect(await push_batch(world, shop.key, [moved]), 200)["results"]
    assert one["problem"]["code"] == "REWARD_USED"
    assert [await figures(one.membership_id) for one in (shop.ana, shop.ben)] == before
    # Once a person has decided, what the till says of the goods is taken; whom it names no longer matters.
    await shop.move_with(order_id, shop.ben, "keep", Role.MANAGER)
    assert expect(await push(world, shop.key, moved | {"customer": None}), 201)["points"] == 10
    assert await voucher_states() == ["redeemed"]
    assert (await figures(shop.ben.membership_id))[0] == 10
    await assert_verified(world)


async def test_a_voided_order_gives_back_what_paid_for_it_with_its_dates(world: World) -> None:
    shop = await open_shop(world)
    body = sale(world, card=shop.ana.card_number, lines=LINES)
    await shop.pay(body)
    expect(await send(world, shop.key, refund(world, body["external_id"], pieces("1", "0.5"))), 201)
    dates = await DB.fetch_value("select min(expires_at) from lot")
    for _ in range(2):
        expect(await push(world, shop.key, body | {"state": "voided"}), 201)
    assert await figures(shop.ana.membership_id) == (900, 900, 0, 0)
    rows = await DB.fetch(
        "select e.points, l.expires_at from ledger_entry e join lot l on l.entry = e.id where e.kind = 'RESTORE' order by e.id"
    )
    assert sum(row["points"] for row in rows) == 300
    assert {row["expires_at"] for row in rows} == {dates}
    assert await voucher_states() == ["issued"]
    await assert_verified(world)


async def test_what_is_set_aside_for_a_cart_is_free_when_the_cart_is_no_longer_theirs(world: World) -> None:
    shop = await open_shop(world)
    code = await shop.counter.take_code(await shop.counter.add_reward(value_minor=100))
    for number, leave in enumerate(("staff", "till", "nobody")):
        body = sale(world, card=shop.ana.card_number, lines=LINES) | {"state": "open"}
        opened = expect(await push(world, shop.key, body), 201)
        assert (opened["points"], opened["points_expected"], opened["skipped_reason"]) == (0, 10, "open")
        expect(await shop.counter.hold(300, sale=body["external_id"]), 201)
        expect(await shop.counter.hold_voucher(code, sale=body["external_id"]), 201)
        if leave == "staff":
            effect = await shop.move_with(opened["order_id"], shop.ben, "refuse")
            assert (effect["holds_released"], effect["points_expected"], effect["points_earned"]) == (2, 10, 0)
        else:
            card = {"card_number": shop.ben.card_number} if leave == "till" else None
            changed = expect(await push(world, shop.key, body | {"revision": 1, "customer": card}), 201)
            assert changed["points_expected"] == (10 if card else 0)
        assert await DB.fetch_value("select count(*) from hold where state = 'open'") == 0
        assert await DB.fetch_value("select count(*) from hold where state = 'released'") == 2 * (number + 1)
        assert await voucher_states() == ["issued"]
    await assert_verified(world)


async def test_what_is_set_aside_lasts_while_somebody_is_busy_with_the_sale(world: World) -> None:
    shop = await open_shop(world)
    body = sale(world, card=shop.ana.card_number, lines=LINES) | {"state": "open"}
    expect(await push(world, shop.key, body), 201)
    hold = expect(await shop.counter.hold(300, sale=body["external_id"]), 201)
    world.advance(timedelta(minutes=14))
    expect(await push(world, shop.key, body), 201)
    world.advance(timedelta(minutes=14))
    await shop.counter.quote(sale=body["external_id"])
    world.advance(timedelta(minutes=14))
    await shop.counter.sign_in_again()
    assert (await shop.counter.balance())[1] == 300
    world.advance(timedelta(minutes=2))
    await shop.counter.quote(sale=body["external_id"])
    await shop.counter.sign_in_again()
    assert (await shop.counter.balance())[1] == 0
    assert expect(await shop.counter.capture(hold, sale=body["external_id"]), 200)["state"] == "captured"


async def test_a_bonus_that_an_order_set_off_goes_with_it_and_can_be_had_again(world: World) -> None:
    desk = Desk(world)
    await desk.open()
    await add_rules(world, points=1, per_minor=100, bonuses=BonusRules(first_purchase=50))
    order_id = await desk.buy(desk.ana)
    assert await figures(desk.ana.membership_id) == (60, 60, 0, 0)
    done = await desk.move(order_id, desk.ben)
    assert done["effect"]["bonus_points_taken"] == 50
    assert await figures(desk.ana.membership_id) == (0, 0, 0, 0)
    assert await figures(desk.ben.membership_id) == (60, 60, 0, 0)
    await desk.move(order_id, desk.ana)
    assert await figures(desk.ana.membership_id) == (60, 60, 0, 0)
    await desk.move(order_id, None)
    assert await figures(desk.ana.membership_id) == (0, 0, 0, 0)
    body = sale(world, card=desk.ana.card_number, lines=LINES)
    expect(await push(world, desk.key, body), 201)
    assert (await figures(desk.ana.membership_id))[0] == 60
    expect(await push(world, desk.key, body | {"state": "voided"}), 201)
    assert (await figures(desk.ana.membership_id))[0] == 0
    await assert_verified(world)


async def test_a_move_earns_only_what_did_not_come_back_and_nothing_of_what_all_came_back(world: World) -> None:
    desk = Desk(world)
    await desk.open()
    await add_rules(world, points=1, per_minor=100, bonuses=BonusRules(first_purchase=50))
    body = sale(world, card=desk.ana.card_number, lines=[*LINES, {"line_id": "2", "net_minor": 500}])
    order_id = UUID(expect(await push(world, desk.key, body), 201)["order_id"])
    expect(await send(world, desk.key, refund(world, body["external_id"], pieces("1"))), 201)
    assert (await desk.move(order_id, desk.ben))["effect"]["points_earned"] == 5
    expect(await send(world, desk.key, refund(world, body["external_id"], pieces("2"))), 201)
    before = await entries(order_id)
    effect = (await desk.move(order_id, desk.ana))["effect"]
    # The bonus went with the last piece.
    assert (effect["points_taken"], effect["points_earned"], effect["bonus_points_taken"]) == (0, 0, 0)
    assert await entries(order_id) == before
    assert await figures(desk.ana.membership_id) == (0, 0, 0, 0)


async def test_a_move_between_people_who_share_touches_no_other_points(world: World) -> None:
    desk = Desk(world)
    await desk.open()
    await add_rules(world, points=1, per_minor=100, expiry=Expiry(kind="days", days=90))
    await desk.share(desk.ana, desk.ben)
    lasting = await credit(world, desk.ana.membership_id, 100, days=None)
    order_id = await desk.buy(desk.ana)
    await desk.spend(desk.ana, 4)
    dates = "select points, remaining, expires_at from lot where remaining > 0 order by expires_at"
    before = {(row["remaining"], row["expires_at"]) for row in await DB.fetch(dates)}
    assert (await desk.move(order_id, desk.ben))["effect"]["points_owed"] == 0
    assert {(row["remaining"], row["expires_at"]) for row in await DB.fetch(dates)} == before
    rows = await DB.fetch(
        'select customer, sum(points) as points from ledger_entry where "order" = $1 group by 1', order_id
    )
    assert {row["customer"]: row["points"] for row in rows} == {desk.ana.customer_id: 0, desk.ben.customer_id: 10}
    await desk.later(timedelta(days=91))
    await expire_lapsed(world.ctx)
    assert await DB.fetch_value("select remaining from lot where entry = $1", lasting) == 100
    assert (await figures(desk.ana.membership_id))[0] == 100
    await assert_verified(world)


async def test_a_till_that_still_names_another_customer_is_listed_and_changes_nothing(world: World) -> None:
    desk = Desk(world)
    await desk.open()
    bodies = [sale(world, card=desk.ana.card_number, lines=LINES) for _ in range(3)]
    ids = [UUID(expect(await push(world, desk.key, body), 201)["order_id"]) for body in bodies]
    await desk.move(ids[0], desk.ben)
    await desk.move(ids[1], None)
    await desk.move(ids[2], desk.ben)

    async def listed() -> dict[str, str | None]:
        found = await world.client.get("/v1/staff/order-differences", headers=desk.staff[Role.CASHIER])
        items = expect(found, 200)["items"]
        assert {item["named_customer_name"] for item in items} <= {"Ana Flores"}
        return {item["order"]["external_id"]: item["order"]["customer_id"] for item in items}

    assert await listed() == {}
    expect(await push(world, desk.key, bodies[0] | {"revision": 1, "number": "R-new"}), 201)
    expect(await push_batch(world, desk.key, bodies), 200)
    ben = str(desk.ben.customer_id)
    ids_of = [body["external_id"] for body in bodies]
    assert await listed() == {ids_of[0]: ben, ids_of[1]: None, ids_of[2]: ben}
    # One is given to whom the till names, one is put right at the till; the third stays.
    await desk.move(ids[0], desk.ana)
    right = bodies[2] | {"revision": 1, "customer": {"card_number": desk.ben.card_number}}
    expect(await push(world, desk.key, right), 201)
    assert await listed() == {ids_of[1]: None}
    assert (await figures(desk.ana.membership_id))[0] == 10
    assert (await figures(desk.ben.membership_id))[0] == 10


async def test_lifetime_points_follow_what_an_order_turns_out_to_have_earned(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    body = sale(world, card=member.card_number, lines=LINES)
    expect(await push(world, key, body), 201)
    for revision, net, lifetime in ((1, 2500, 25), (2, 700, 7), (3, 900, 9)):
        lines = [{"line_id": "1", "net_minor": net}]
        expect(await push(world, key, body | {"revision": revision, "lines": lines}), 201)
        row = await DB.fetch_row("select balance, lifetime from membership")
        assert row is not None
        assert tuple(row) == (lifetime, lifetime)
    await assert_verified(world)


async def test_verify_finds_what_was_given_back_twice_or_told_wrongly(world: World) -> None:
    shop = await open_shop(world)
    await add_rules(world, points=1, per_minor=100, bonuses=BonusRules(first_purchase=50))
    body = sale(world, card=shop.ana.card_number, lines=LINES)
    await shop.pay(body)
    expect(await send(world, shop.key, refund(world, body["external_id"], pieces("1", "0.5"))), 201)
    expect(await push(world, shop.key, body | {"state": "voided"}), 201)
    await assert_verified(world)
    for tampering, undoing, row in (
        (
            "refund set points_restored = points_restored + 1",
            "refund set points_restored = points_restored - 1",
            "refund",
        ),
        ("bonus_return set points = points - 1", "bonus_return set points = points + 1", "bonus_return"),
        ("ledger_entry set points = points + 1 where kind = 'RESTORE'", "ledger_entry set note = note", "ledger_entry"),
    ):
        await tamper(tampering)
        wrong = {found.name: str(found.wrong_row) async for found in verify(world.clock.now()) if not found.is_right}
        assert wrong["what went back was spent or given before, once"].startswith(row), wrong
        await tamper(undoing)


async def tamper(change: str) -> None:
    """Write what no code of ours could, past the triggers."""
    await DB.run_script(f"set session_replication_role = replica; update {change}; reset session_replication_role")


async def test_an_order_stays_in_the_shared_membership_that_its_buyer_has_left(world: World) -> None:
    ana, ben = await two_members(world)
    sharing, desk = await SharingDesk.open(world), Desk(world)
    expect(await sharing.combine(ana.membership_id, ben.membership_id), 201)
    body = sale(world, card=ben.card_number, lines=LINES)
    order_id = UUID(expect(await push(world, sharing.key, body), 201)["order_id"])
    left = expect(await sharing.leave(ana.membership_id, ben.customer_id, policy="leave_all"), 201)
    own = UUID(left["new_membership_id"])
    for revision, fields, points in (
        (1, {"number": "R-new"}, 10),
        (2, {"lines": [{"line_id": "1", "net_minor": 700}]}, 7),
    ):
        expect(await push(world, sharing.key, body | {"revision": revision} | fields), 201)
        assert [(await figures(one))[0] for one in (ana.membership_id, own)] == [points, 0]
        await assert_verified(world)
    await desk.later(timedelta(0))
    shown = expect(await desk.preview(order_id, ben.customer_id), 200)
    assert shown["blockers"] == ["The order counts for this customer already."]


async def test_an_order_of_somebody_who_was_forgotten_brings_nothing_back_when_it_is_changed(world: World) -> None:
    member, key = await world.sign_up(), await world.pos_key()
    body = sale(world, card=member.card_number, lines=LINES)
    order_id = expect(await push(world, key, body), 201)["order_id"]
    await forget(world, member)
    for revision, net in ((1, 2500), (2, 400), (3, 900)):
        named = {"customer": {"pos_customer_id": "till-77"}, "lines": [{"line_id": "1", "net_minor": net}]}
        changed = body | named | {"revision": revision}
        assert expect(await push(world, key, changed), 201)["points"] == 0
        assert await figures(member.membership_id) == (0, 0, 0, 0)
        await assert_verified(world)
    row = await DB.fetch_row("select customer, pos_customer_id from orders where id = $1", UUID(order_id))
    assert row is not None
    assert tuple(row) == (member.customer_id, None)


async def test_a_sale_to_nobody_that_somebody_elses_points_paid_for_is_given_to_nobody_else(world: World) -> None:
    shop = await open_shop(world)
    order_id = UUID(await shop.pay(sale(world, lines=LINES)))
    for member, is_refused in ((shop.ben, True), (shop.ana, False)):
        async with DB.transaction():
            await lock_customers([member.customer_id])
            with pytest.raises(OrderTaken) if is_refused else nullcontext():
                await give_order(world.ctx, order_id, member.customer_id, reason="claim")
    assert (await figures(shop.ana.membership_id))[0] == 610
    await assert_verified(world)
