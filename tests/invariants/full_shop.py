"""A small shop in which everything has happened that moves points, so that every table of their story has rows of every kind."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from server.bonuses.service import grant_due
from server.customers.store import insert_customer
from server.db.engine import DB
from server.expiry.service import send_notices
from server.imports.service import import_balances
from server.ledger.lapsing import expire_lapsed
from server.privacy import erasure_execution
from server.rewards.holds import tidy
from shared.enums import Role
from shared.programmes import BonusRules, Expiry, Promotion, Tier, TierRules
from tests.app import SignedUp, World, expect
from tests.ledgers import assert_verified
from tests.server.adjustments.desk import act, adjust
from tests.server.links.shop import Till, record, record_id
from tests.server.merges.desk import MergeDesk
from tests.server.privacy.desk import ask_by_staff
from tests.server.refunds.till import money, pieces, refund, send, take
from tests.server.rewards.builders import Counter
from tests.tills import add_rules, push, push_batch, sale

GOLD = TierRules(levels=(Tier(name="gold", from_points=60, percent=200),))
BONUSES = BonusRules(sign_up=5, birthday=7, first_purchase=3, referrer=11, referred=13)
MORE = Promotion(code="more", name="More", points=2, order_points_max=50, member_points_max=40)


class FullShop:
    """The shop, its people and what they did, one chapter after the other."""

    def __init__(self, world: World, desk: MergeDesk, counter: Counter) -> None:
        self.world = world
        self.desk = desk
        self.counter = counter

    @classmethod
    async def open(cls, world: World) -> "FullShop":
        await add_rules(
            world,
            points=1,
            per_minor=100,
            tiers=GOLD,
            bonuses=BONUSES,
            promotions=(MORE,),
            pending_days=1,
            expiry=Expiry(kind="days", days=60),
        )
        counter = await Counter.open(world, points=0, step_points=1, step_minor=1, minimum_points=1)
        shop = cls(world, await MergeDesk.open(world), counter)
        for chapter in (
            shop._earn,
            shop._return,
            shop._spend,
            shop._adjust,
            shop._lapse,
            shop._move,
            shop._bring,
            shop._forget,
            shop._leave_open,
        ):
            await chapter()
            await assert_verified(world)
            await shop._wait(minutes=1)
        return shop

    async def _wait(self, **time: float) -> None:
        self.world.advance(timedelta(**time))
        self.desk.headers = self.counter.manager = await self.world.staff_headers(Role.MANAGER)

    async def _member(self, name: str, **fields: object) -> SignedUp:
        return await self.world.sign_up(f"{name}@shop.test", given_name=name.title(), **fields)

    async def _sell(self, member: SignedUp | None, *minor: int, **fields: object) -> dict[str, Any]:
        """Sell lines of so much money, two pieces each; return what the till sent, with the order's id."""
        lines = [{"line_id": str(n), "net_minor": one, "quantity": 2} for n, one in enumerate(minor, 1)]
        body = sale(self.world, card=member.card_number if member else None, lines=lines, **fields)
        done = expect(await push(self.world, self.desk.key, body), 201)
        return body | {"order_id": done["order_id"]}

    async def _command(self, path: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
        shown = expect(await self.desk.post(f"{path}/preview", body), 200)
        assert not shown.get("blockers"), shown
        done: dict[str, Any] = expect(
            await self.desk.post(path, body | {"preview_hash": shown["preview_hash"]}), status
        )
        return done

    async def _assign(self, sold: dict[str, Any], to: SignedUp | None) -> None:
        body = {"customer_id": str(to.customer_id) if to else None, "reason": "theirs", "redemption": "keep"}
        await self._command(f"/v1/staff/orders/{sold['order_id']}/assignment", body)

    async def _earn(self) -> None:
        """Sales, with tiers, bonuses and promotions; some go to somebody else, some to nobody, some are changed or voided."""
        self.ana, self.ben = self.counter.member, await self._member("ben", birthday={"month": 3, "day": 2})
        path = f"/v1/me/memberships/{self.ana.membership_id}/referral-code"
        code = expect(await self.world.client.post(path, headers=self.ana.headers), 200)["code"]
        path = f"/v1/me/memberships/{self.ben.membership_id}/referrer"
        expect(await self.world.client.post(path, json={"code": code}, headers=self.ben.headers), 200)
        await grant_due(self.world.ctx)
        await self._sell(self.ana, 4_000, 2_500)
        await self._wait(hours=1)
        await self._sell(self.ana, 999, 501)
        await self._sell(self.ben, 3_000)
        await self._sell(None, 800)
        early = self.world.clock.now() - timedelta(days=3)
        await self._sell(self.ana, 700, completed_at=early.isoformat())
        moved = await self._sell(self.ana, 1_500, 300)
        await self._assign(moved, self.ben)
        gone = await self._sell(self.ana, 600)
        await self._assign(gone, None)
        changed = await self._sell(self.ben, 2_000)
        changed |= {"revision": 1, "lines": [changed["lines"][0] | {"net_minor": 2_500}]}
        del changed["order_id"]
        expect(await push(self.world, self.desk.key, changed), 201)
        voided = await self._sell(self.ben, 1_100)
        del voided["order_id"]
        expect(await push(self.world, self.desk.key, voided | {"state": "voided"}), 201)
        cart = sale(self.world, card=self.ben.card_number, state="open")
        expect(await push(self.world, self.desk.key, cart), 201)
        batch = [sale(self.world, card=one.card_number) for one in (self.ana, self.ben)]
        expect(await push_batch(self.world, self.desk.key, batch), 200)

    async def _return(self) -> None:
        """Goods come back: in parts, all, without a receipt, before their sale, for points that are spent or forgiven."""
        cy = self.cy = await self._member("cy")
        key = self.desk.key
        part_of, whole = await self._sell(cy, 900, 333), await self._sell(cy, 1_000)
        await take(self.world, key, part_of["external_id"], pieces("1"), money("2", 100))
        await take(self.world, key, whole["external_id"], pieces("1", 2))
        await take(self.world, key, None, pieces("1"))
        await take(self.world, key, "not-here-yet", pieces("1"))
        waits = expect(await send(self.world, key, refund(self.world, "never-here", pieces("1"))), 201)
        path = f"/v1/staff/refunds/{waits['refund_id']}/dismiss"
        expect(await self.desk.post(path, {"reason": "no such sale"}), 200)
        self.dee, self.eli = await self._member("dee"), await self._member("eli")
        for policy, member in (("allow_negative", self.dee), ("available_only", self.eli)):
            await DB.fetch("update programme set clawback_policy = $1, version = version + 1", policy)
            sold = await self._sell(member, 5_000)
            await self._wait(days=2)
            await adjust(self.world, self.desk.headers, member.customer_id, -50)
            await take(self.world, key, sold["external_id"], pieces("1", 2))
        await DB.fetch("update programme set clawback_policy = 'allow_negative', version = version + 1")
        # Too little to pay all that is owed.
        await self._sell(self.dee, 200)

    async def _spend(self) -> None:
        """Points and vouchers are held, spent, let go, given back, cancelled and forgotten."""
        self.counter.member = fay = self.fay = await self._member("fay")
        await adjust(self.world, self.desk.headers, fay.customer_id, 900)
        for points, then in ((40, "capture"), (30, "release"), (20, "lapse"), (25, "return"), (10, "keep")):
            sold = await self._sell(fay, 5_000)
            held = expect(await self.counter.hold(points, sale=f"cart-{points}"), 201)
            if then in ("capture", "return"):
                expect(await self.counter.capture(held, sale=sold["external_id"]), 200)
            if then == "release":
                expect(await self.counter.release(held), 200)
            if then == "return":
                await take(self.world, self.desk.key, sold["external_id"], pieces("1"))
            if then == "lapse":
                await self._wait(hours=1)
                await tidy(self.world.tools)
        await self.counter.sign_in_again()
        short = await self.counter.add_reward(points_cost=15, valid_days=3)
        long = await self.counter.add_reward(points_cost=20, valid_days=300)
        await self.counter.take_code(short)
        used = expect(await self.counter.hold_voucher(await self.counter.take_code(long)), 201)
        expect(await self.counter.capture(used, sale=(await self._sell(fay, 9_000))["external_id"]), 200)
        expect(await self.counter.hold_voucher(await self.counter.take_code(long), sale="cart-v"), 201)
        cancelled = expect(await self.counter.take(long), 201)["voucher"]["id"]
        expect(await self.desk.post(f"/v1/staff/vouchers/{cancelled}/cancel", {"reason": "not wanted"}), 200)
        await self.counter.take_code(long)

    async def _adjust(self) -> None:
        """Staff give and take by hand, alone and by two, and take it back."""
        gil = self.gil = await self._member("gil")
        cashier = await self.world.staff_headers(Role.CASHIER)
        for points in (30, -10, 300, 301, 302):
            done = await adjust(self.world, cashier, gil.customer_id, points, note="a test")
            if points in (300, 301):
                body = {"preview_hash": done["preview_hash"]} if points == 300 else {"reason": "too much"}
                word = "approve" if points == 300 else "refuse"
                expect(await act(self.world, self.desk.headers, done["id"], word, body), 200)
        for points in (20, -15):
            done = await adjust(self.world, cashier, gil.customer_id, points)
            expect(await act(self.world, cashier, done["id"], "undo", {"reason": "wrong member"}), 200)

    async def _lapse(self) -> None:
        """Points under inactivity, points that lapse, were told of before, and are let be when their goods come back."""
        await add_rules(self.world, points=1, per_minor=100, expiry=Expiry(kind="inactivity", days=50))
        hal = self.hal = await self._member("hal")
        await self._sell(hal, 2_000)
        await add_rules(self.world, points=1, per_minor=100, expiry=Expiry(kind="days", days=5))
        late = await self._sell(hal, 1_700)
        await send_notices(self.world.ctx)
        await self._wait(days=8)
        await expire_lapsed(self.world.ctx)
        await tidy(self.world.tools)
        await take(self.world, self.desk.key, late["external_id"], pieces("1"))
        # Not booked yet.
        await self._sell(hal, 400)
        await self._wait(days=7)
        await add_rules(
            self.world, points=1, per_minor=100, tiers=GOLD, bonuses=BONUSES, expiry=Expiry(kind="days", days=90)
        )

    async def _move(self) -> None:
        """Accounts are shared, joined, left, merged, reissued, and all of that is taken back."""
        ida, jon, kay = self.ida, self.jon, self.kay = [await self._member(name) for name in ("ida", "jon", "kay")]
        for one in (ida, jon, kay):
            await self._sell(one, 3_000)
        undone = expect(await self.desk.combine(ida.membership_id, jon.membership_id), 201)
        expect(await self.desk.undo(ida.membership_id, "combine", undone["operation_id"]), 200)
        expect(await self.desk.combine(ida.membership_id, jon.membership_id), 201)
        await self._sell(jon, 1_000)
        left = expect(await self.desk.leave(ida.membership_id, jon.customer_id, policy="agreed", points=12), 201)
        expect(await self.desk.undo(ida.membership_id, "leave", left["operation_id"]), 200)
        expect(await self.desk.leave(ida.membership_id, jon.customer_id, policy="agreed", points=12), 201)
        expect(await self.desk.combine(kay.membership_id, self.dee.membership_id), 201)
        lou, stub = await self._member("lou"), await self.desk.register("Louis")
        await self.desk.buy(stub["card_number"], 30)
        undone = await self.desk.merged(lou.customer_id, stub["id"])
        expect(await self.desk.unmerge(undone["id"]), 200)
        await self.desk.merged(lou.customer_id, stub["id"])
        wish = {"new_email": "gil.new@shop.test", "mode": "reissue", "identity_attested": True, "reason": "new address"}
        await self._command(f"/v1/staff/customers/{self.gil.customer_id}/email-changes", wish, 201)
        mo = await insert_customer(self.world.ctx, given_name="Mo", family_name="Gray", source="till")
        expect(await self.desk.join(lou.membership_id, mo), 201)

    async def _bring(self) -> None:
        """Balances brought from elsewhere, a record of the till, and accounts that are claimed."""
        text = f"card,points,earned_at,expires_at\n{self.cy.card_number},40,2025-01-01,2027-12-31\n{self.hal.card_number},17,2025-05-01,\n"
        await import_balances(self.world.ctx, text, name="old", on_progress=lambda _: None)
        till = await Till.of(self.world)
        for name in ("p-1", "p-2"):
            await till.send(record(name, email=None))
            await till.sell(name)
        wish = {"record_id": str(await record_id("p-1")), "attestation": "saw_id", "reason": "shown"}
        await self._command(f"/v1/staff/customers/{self.cy.customer_id}/links", wish, 201)
        stub = await self.desk.register("Nan")
        await self.desk.buy(stub["card_number"], 10)
        sold = await self._sell(None, 700)
        for path, member in ((f"customers/{stub['id']}", self.ben), (f"orders/{sold['order_id']}", self.hal)):
            code = expect(await self.desk.post(f"/v1/staff/{path}/claim-codes", None), 201)["code"]
            tokens = expect(await self.world.sign_in(member.email), 201)
            headers = {"Authorization": f"Bearer {tokens['access_token']}"}
            expect(await self.desk.post("/v1/me/claims", {"code": code}, headers=headers), 201)

    async def _forget(self) -> None:
        """Somebody is forgotten, with points."""
        asked = expect(await ask_by_staff(self.desk, str(self.eli.customer_id)), 202)
        second = await self.world.staff_headers(Role.MANAGER)
        path = f"/v1/staff/erasures/{asked['id']}"
        shown = expect(await self.world.client.get(path, headers=second), 200)
        expect(await self.desk.post(f"{path}/approve", {"preview_hash": shown["preview_hash"]}, headers=second), 200)
        await self._wait(days=8)
        assert await erasure_execution.execute(self.world.ctx, UUID(asked["id"]))

    async def _leave_open(self) -> None:
        """Something is set aside at the very moment."""
        self.counter.member = self.fay
        await self.counter.sign_in_again()
        await adjust(self.world, self.desk.headers, self.fay.customer_id, 90)
        expect(await self.counter.hold(9, sale="cart-now"), 201)
        reward = await self.counter.add_reward(points_cost=15)
        await self.counter.take_code(reward)
        expect(await self.counter.hold_voucher(await self.counter.take_code(reward), sale="cart-voucher"), 201)
