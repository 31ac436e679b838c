"""The real service against an independent model: whatever happens in whatever order, the points are the same.

Every act goes through the API. Any of them may lose its connection between two statements, or its answer, and is then
sent again; any may be sent twice; the app may be opened anew at any time.
"""

import asyncio
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar
from uuid import UUID

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from server.customers.store import insert_customer
from server.db.engine import DB
from server.errors import DatabaseBusy
from server.ledger.lapsing import expire_lapsed
from server.ledger.verification import verify
from server.memberships.service import list_membership_views
from server.programmes import store as programmes
from server.rewards.holds import tidy
from shared.enums import Role
from shared.programmes import EarningRules, Expiry, Tier, TierRules
from tests.app import START_AT, World, expect
from tests.conftest import Databases
from tests.invariants.brittle_shop import BrittleConnection, BrittleShop, Fuse
from tests.invariants.ledger_model import (
    HOLD_LIFE,
    NEVER,
    Account,
    Debit,
    Hold,
    Lot,
    Rules,
    Sale,
    Shop,
    Voucher,
    midnight,
)
from tests.server.refunds.till import refund
from tests.server.rewards.builders import TERMS
from tests.tills import sale

T = TypeVar("T")

RULES = (
    Rules(points=1, per_minor=100, pending_days=6, lapse_days=30),
    Rules(points=3, per_minor=200, is_rounded_up=True),
    Rules(points=1, per_minor=70, pending_days=2, lapse_days=30, gold_from=80),
    Rules(points=7, per_minor=300, lapse_days=10, gold_from=60),
)
REWARD_COST = 20
VOUCHER_DAYS = 5
MANAGER_DAYS = timedelta(days=90)
REQUEST_LIFE = UNDO_MAX = timedelta(hours=24)
CASHIER_EACH = 100
PROVEN_EVERY = 5
# Tiers end at the end of the year after; the model knows none that ends.
TIME_MAX = timedelta(days=600)

INSTANT = timedelta(microseconds=1)

WHO = st.integers(0, 2)
# What `pick` chooses by.
WHICH = st.one_of(st.integers(0, 7), st.integers(0, 200))
# All that is free, or one more than that, besides any number.
POINTS = st.one_of(st.sampled_from(["all", "all", "one more"]), st.integers(1, 20), st.integers(1, 60))
LINES = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 8_000)), min_size=1, max_size=3)
# By line how much comes back; `pieces_back` makes that as much as there is, but for the largest number.
PIECES = st.lists(st.integers(0, 8), min_size=3, max_size=3)
# When a sale was completed: now, some time ago, or at the first instant (or the last before it) of membership, of the
# newest rules, or of the gold tier.
TIMES = st.one_of(
    st.just(timedelta()),
    st.sampled_from(["membership", "rules", "gold"]),
    st.sampled_from(["before membership", "before rules", "before gold"]),
    st.sampled_from([timedelta(hours=1), *(timedelta(days=days) for days in (1, 6, 40))]),
)
NEW_RULES = st.sampled_from([None, None, *RULES])
CHOICES = st.sampled_from(["refuse", "keep", "return"])
OFTEN = st.sampled_from([False, False, True])
# Small, or so much that something is owed, or that another has to agree.
ADJUSTED = st.one_of(*[st.integers(1, 150)] * 3, *[st.integers(-20, -1)] * 3, st.integers(-150, -1))
ROLES = st.sampled_from([Role.CASHIER, Role.MANAGER])
STALE = {"preview_hash": "0" * 64}
TROUBLES = st.one_of(
    st.sampled_from(["twice", "lost"]), st.integers(1, 15), st.sampled_from(["twice", "lost", "reopen"])
)


def pick(items: Sequence[T], which: int, is_likely: Callable[[T], bool]) -> T:
    """Return one of the items: mostly of those with which something is likely to happen, and then the newest."""
    likely = [item for item in items if is_likely(item)]
    chosen = likely if likely and which % 4 else items
    return chosen[-1 - which // 4 % len(chosen)]


@dataclass
class Adjustment:
    """What staff did or asked for by hand."""

    id: str
    account: Account
    points: int
    at: datetime
    state: str
    lot: Lot | None = None
    debit: Debit | None = None


class Sold(NamedTuple):
    """A sale as it was sent, and as the model has it."""

    sent: dict[str, Any]
    order_id: UUID
    model: Sale

    @property
    def is_left(self) -> bool:
        """Whether any of it can come back."""
        backs = zip(self.model.back, self.model.lines, strict=True)
        return not self.model.is_void and any(back < pieces for back, (pieces, _) in backs)

    def pieces_back(self, wishes: Sequence[int]) -> list[int]:
        backs = zip(wishes, self.model.back, self.model.lines, strict=False)
        return [wish if wish == 8 else wish % (pieces - back + 1) for wish, back, (pieces, _) in backs]


class People(NamedTuple):
    """Two members and Cat, who is none, in a shop with one reward."""

    customers: list[UUID]
    memberships: list[UUID]
    cards: list[str]
    reward_id: str


async def open_for_people(world: World) -> People:
    members = [await world.sign_up(f"{name}@shop.test") for name in ("ana", "ben")]
    cat = await insert_customer(world.ctx, given_name="Cat", family_name="Gray", source="till")
    manager = await world.staff_headers(Role.MANAGER)
    every = {"step_points": 1, "step_minor": 1, "minimum_points": 1, "card_daily_points": 1_000_000}
    expect(await world.client.put("/v1/staff/redemption-terms", json=TERMS | every, headers=manager), 200)
    reward = {"code": "coffee", "name": "Coffee", "kind": "amount_off", "points_cost": REWARD_COST}
    reward |= {"value_minor": 500, "valid_days": VOUCHER_DAYS}
    made = await world.client.post("/v1/staff/rewards", json=reward, headers=manager)
    return People(
        [*(member.customer_id for member in members), cat],
        [member.membership_id for member in members],
        [member.card_number for member in members],
        expect(made, 201)["id"],
    )


class Ledger(RuleBasedStateMachine):
    """Three customers of whom two may share, tills, cashiers, managers, a clock."""

    people: ClassVar[People]
    shop: ClassVar[BrittleShop]
    open_copy: ClassVar[Callable[[], AbstractContextManager[None]]]

    def __init__(self) -> None:
        super().__init__()
        self.sales: list[Sold] = []
        self.holds: list[tuple[str, Hold]] = []
        self.paid: dict[str, str] = {}
        self.vouchers: list[tuple[dict[str, Any], Voucher]] = []
        self.adjustments: list[Adjustment] = []
        self.trouble: str | int | None = None
        self.has_moved = False
        self.steps = 0
        self.numbers = itertools.count(1)

    @initialize(
        policy=st.sampled_from(["allow_negative", "available_only", "refuse"]),
        rules=st.sampled_from(RULES),
        days=st.sampled_from([0, 0, 25, 60]),
        lines=LINES,
        wealth=st.sampled_from([150, 60, 0]),
    )
    def open(self, policy: str, rules: Rules, days: int, lines: list[tuple[int, int]], wealth: int) -> None:
        self.copy = type(self).open_copy()
        self.copy.__enter__()
        self.cards = [*self.people.cards]
        self.model = Shop(
            accounts := [Account(), Account()],
            homes=dict(enumerate(accounts)),
            starts=dict.fromkeys((0, 1), midnight(START_AT, 0)),
            rules=[(datetime.min.replace(tzinfo=START_AT.tzinfo), rules)],
            policy=policy,
        )
        self.shop.do(DB.fetch("update programme set clawback_policy = $1, version = version + 1", policy))
        self.shop.do(self._add_rules(rules, START_AT - timedelta(days=300)))
        # It begins in winter, a few days before the change to summer time, or in summer.
        self.world.advance(timedelta(days=days))
        for who in (0, 1) if wealth else ():
            self.adjust(who, wealth, Role.MANAGER)
            self.earn(who, lines, timedelta())

    async def _add_rules(self, rules: Rules, valid_from: datetime) -> None:
        programme = await programmes.find_default()
        assert programme is not None
        levels = (Tier(name="gold", from_points=rules.gold_from, percent=200),) if rules.gold_from else ()
        body = EarningRules(
            points=rules.points,
            per_minor=rules.per_minor,
            rounding="half_up" if rules.is_rounded_up else "floor",
            pending_days=rules.pending_days,
            expiry=Expiry(kind="days", days=rules.lapse_days) if rules.lapse_days else Expiry(),
            tiers=TierRules(levels=levels),
        )
        async with DB.transaction():
            await programmes.insert_rules(self.world.ctx, programme["id"], body, valid_from=valid_from)

    def teardown(self) -> None:
        BrittleConnection.fuse = None
        if hasattr(self, "copy"):
            try:
                self.every_figure_can_be_proven(is_end=True)
            finally:
                self.copy.__exit__(None, None, None)

    @property
    def world(self) -> World:
        return self.shop.world

    @property
    def now(self) -> datetime:
        return self.world.clock.now()

    def till(self) -> dict[str, str]:
        # A key of its own each time, as the clock outruns every key's life.
        return self.shop.do(self.world.pos_key())

    def staff(self, role: Role) -> dict[str, str]:
        return self.shop.do(self.world.staff_headers(role))

    def send(self, path: str, body: object, headers: dict[str, str]) -> httpx.Response:
        """Send a command under a key of its own, through the trouble that was chosen, until its outcome is known."""
        self.has_moved = True
        headers = self.shop.keyed(headers)
        trouble, self.trouble = self.trouble, None
        if trouble == "reopen":
            self.shop.reopen()
        elif trouble is not None and trouble != "twice":
            fuse = BrittleConnection.fuse = Fuse(trouble if isinstance(trouble, int) else None)
            answer = self.shop.send("POST", path, body, headers)
            BrittleConnection.fuse = None
            # A refusal that was decided on before the next statement stands.
            if not fuse.has_burnt or answer.is_client_error:
                return answer
            assert answer.status_code == 503, answer.text
            if fuse.after_statement is not None:
                self.points_are_those_of_the_model()
        answer = self.shop.send("POST", path, body, headers)
        if trouble == "twice":
            again = self.shop.send("POST", path, body, headers)
            assert (again.status_code, _core(again)) == (answer.status_code, _core(answer))
        return answer

    # Sales ------------------------------------------------------------------------------------------------------------

    def member(self, who: int) -> int:
        """Return who it is as long as Cat is no member."""
        return who % len(self.cards)

    def time_of(self, who: int | None, when: timedelta | str) -> datetime:
        if isinstance(when, timedelta):
            return self.now - when
        who = who or 0
        starts = {
            "membership": self.model.starts[who],
            "rules": max(self.model.rules[-1][0], START_AT),
            "gold": self.model.homes[who].gold_at or self.now,
        }
        return starts[when.removeprefix("before ")] - INSTANT * when.startswith("before")

    @rule(who=st.sampled_from([0, 0, 1, 2, None]), lines=LINES, when=TIMES, rules=NEW_RULES, is_in_batch=st.booleans())
    def earn(
        self,
        who: int | None,
        lines: list[tuple[int, int]],
        when: timedelta | str,
        rules: Rules | None = None,
        *,
        is_in_batch: bool = False,
    ) -> None:
        # Lots that lapse in another order than they were earned need rules that change between sales.
        if rules is not None:
            self.change_rules(rules)
        if who is not None:
            who = self.member(who)
        completed_at = self.time_of(who, when)
        sent = [
            {"line_id": str(number), "quantity": pieces, "net_minor": minor}
            for number, (pieces, minor) in enumerate(lines)
        ]
        card = self.cards[who] if who is not None else None
        body = sale(self.world, card=card, lines=sent, completed_at=completed_at.isoformat())
        if is_in_batch:
            outcome = expect(self.send("/v1/pos/orders/batch", {"orders": [body]}, self.till()), 200)
            result = outcome["results"][0]["order"]
        else:
            result = expect(self.send("/v1/pos/orders", body, self.till()), 201)
        made = Sale(lines, completed_at, back=[0] * len(lines))
        self.model.sales.append(made)
        self.model.assign(made, who, self.now)
        assert [line["points"] for line in result["lines"]] == made.shares
        self.sales.append(Sold(body, UUID(result["order_id"]), made))

    @rule(
        who=WHO,
        points=st.integers(-9, -1),
        pieces=st.lists(st.integers(1, 3), max_size=3),
        days=st.sampled_from([0, 0, 12]),
    )
    def spend_of_two_kinds(self, who: int, points: int, pieces: list[int], days: int) -> None:
        """Earn points that never lapse, then points that lapse soon, and use a part: the later ones go first.

        Or pay for a sale with all of them, and bring it back in parts, perhaps when some would have lapsed: the lasting ones
        come back first, each once.
        """
        for rules in (RULES[1], RULES[3]):
            self.earn(who, [(1, 1_000)], timedelta(), rules)
        if not pieces:
            self.adjust(who, points, Role.MANAGER)
            return
        held = len(self.holds)
        self.earn(who, [(7, 7_000)], timedelta())
        self.hold(who, "all")
        if len(self.holds) > held:
            one = self.sales[-1]
            self._capture(self.holds[-1], one)
            self.wait(timedelta(days=days))
            for piece in pieces:
                self._refund(one, [piece])

    @rule(who=WHO, lines=LINES, parts=st.lists(PIECES, min_size=2, max_size=3))
    def return_what_lapsed_in_part(self, who: int, lines: list[tuple[int, int]], parts: list[list[int]]) -> None:
        """Use most points of a sale, let the others lapse, and bring its goods back bit by bit: what lapsed is let be once."""
        self.earn(who, lines, timedelta(), RULES[3])
        one = self.sales[-1]
        self.adjust(who, -max(1, 2 * sum(one.model.shares) // 3), Role.MANAGER)
        self.wait(timedelta(days=11))
        for pieces in parts:
            self._refund(one, pieces)

    @rule(who=WHO, lines=LINES, is_in_batch=st.booleans())
    def sell_long_ago(self, who: int, lines: list[tuple[int, int]], *, is_in_batch: bool) -> None:
        """Let a till bring a sale whose points have lapsed already, while all that is known of them is fresh."""
        # Without tiers, so that a batch takes it in one set with others.
        self.change_rules(RULES[0])
        begun_at = self.now
        self.wait(timedelta(days=40))
        self.adjust(who, 1, Role.MANAGER)
        self.earn(who, lines, self.now - begun_at, is_in_batch=is_in_batch)

    @precondition(lambda self: self.sales)
    @rule(which=WHICH, pieces=PIECES)
    def refund(self, which: int, pieces: list[int]) -> None:
        self._refund(pick(self.sales, which, lambda one: one.is_left), pieces)

    def _refund(self, one: Sold, wishes: Sequence[int]) -> None:
        pieces, sold = one.pieces_back(wishes), one.model
        parts = [{"line_id": str(number), "quantity": piece} for number, piece in enumerate(pieces) if piece]
        if not parts:
            return
        answer = self.send("/v1/pos/refunds", refund(self.world, one.sent["external_id"], *parts), self.till())
        is_over = any(
            back + piece > sold_pieces
            for back, piece, (sold_pieces, _) in zip(sold.back, pieces, sold.lines, strict=True)
        )
        if is_over or sold.is_void:
            assert expect(answer, 409)["code"] == "OVER_REFUND"
            return
        before = sold.left()
        exempt, owed, given = self.model.refund(sold, pieces, self.now)
        result = expect(answer, 201)
        taken = before - sold.left() - exempt
        names = ("points_taken", "points_exempt", "points_owed", "points_restored")
        assert [result[name] for name in names] == [taken, exempt, owed, given]

    @precondition(lambda self: self.sales)
    @rule(which=WHICH)
    def void(self, which: int) -> None:
        sent, _, sold = pick(self.sales, which, lambda one: one.is_left)
        result = expect(self.send("/v1/pos/orders", sent | {"state": "voided"}, self.till()), 201)
        assert (result["state"], result["points"]) == ("voided", 0)
        if not sold.is_void:
            self.model.void(sold, self.now)

    @precondition(lambda self: self.sales)
    @rule(which=WHICH, to=st.sampled_from([0, 1, 2, None]), choice=CHOICES, is_stale=OFTEN)
    def reassign(self, which: int, to: int | None, choice: str, *, is_stale: bool) -> None:
        self._reassign(pick(self.sales, which, lambda one: one.is_left), to, choice, is_stale=is_stale)

    @precondition(lambda self: len(self.cards) == 3)
    @rule(points=st.integers(-20, -1))
    def move_within_an_account(self, points: int) -> None:
        """Spend of a sale that lapses soon, and give it to the other person of the account: no lasting point is touched."""
        who = next(one for one in (0, 1) if self.model.homes[one] is self.model.homes[2])
        for rules in (RULES[1], RULES[3]):
            self.earn(who, [(1, 1_000)], timedelta(), rules)
        self.adjust(who, points, Role.MANAGER)
        self._reassign(self.sales[-1], 2, "keep")

    def _reassign(self, one: Sold, to: int | None, choice: str, *, is_stale: bool = False) -> None:
        _, order_id, sold = one
        if self.model.policy == "refuse" and choice == "return":
            choice = "keep"
        model, now = self.model, self.now
        source, target = sold.account, None if to is None else model.homes.get(to)
        headers, path = self.staff(Role.MANAGER), f"/v1/staff/orders/{order_id}/assignment"
        body = {
            "customer_id": None if to is None else str(self.people.customers[to]),
            "reason": "A test.",
            "redemption": choice,
        }
        seen = expect(self.shop.send("POST", f"{path}/preview", body, headers), 200)
        theirs = [hold for hold in sold.payments() if hold.who != to and hold.account is not target]
        comes_back = model.comes_back(sold, to)
        is_blocked = (sold.who, source) == (to, target) or now - sold.completed_at > MANAGER_DAYS
        is_blocked |= bool(theirs) and choice == "refuse"
        is_blocked |= model.policy == "refuse" and not comes_back and model.is_spent(sold, now)
        assert bool(seen["blockers"]) == is_blocked
        if is_blocked:
            return
        if is_stale:
            assert expect(self.send(path, body | STALE, headers), 409)["code"] == "PREVIEW_STALE"
            return
        effect = expect(self.send(path, body | {"preview_hash": seen["preview_hash"]}, headers), 200)["effect"]
        assert effect == seen["effect"]
        given = sum(hold.undo(hold.points, now) for hold in theirs) if choice == "return" else 0
        points = sold.left()
        exempt, owed = model.take_back(sold, points, now, comes_back=comes_back)
        model.assign(sold, to, now)
        assert (effect["points_taken"], effect["points_exempt"]) == (points - exempt, exempt)
        assert effect["points_owed"] == (0 if source is not None and source is target else owed)
        assert (effect["points_earned"], effect["points_restored"]) == (sold.left(), given)

    # Spending ---------------------------------------------------------------------------------------------------------

    def _hold(self, body: dict[str, Any]) -> httpx.Response:
        named = {"order_reference": f"cart-{next(self.numbers)}", "order_total_minor": 100_000}
        return self.send("/v1/pos/holds", body | named | {"store": "high-street", "currency": "GBP"}, self.till())

    @rule(who=WHO, points=POINTS)
    def hold(self, who: int, points: int | str) -> None:
        who = self.member(who)
        account = self.model.homes[who]
        available, held = account.available(self.now), account.held(self.now)
        if isinstance(points, str):
            points = max(1, available - held + (points == "one more"))
        answer = self._hold({"card_number": self.cards[who], "points": points})
        if points > available - held:
            refusal = expect(answer, 409)
            assert (refusal["code"], refusal["data"]["available"]) == ("INSUFFICIENT_POINTS", available)
            return
        made = Hold(who, account, points, self.now + HOLD_LIFE)
        account.holds.append(made)
        self.holds.append((expect(answer, 201)["id"], made))

    @precondition(lambda self: self.holds)
    @rule(which=WHICH, sale_number=st.one_of(st.none(), WHICH))
    def capture(self, which: int, sale_number: int | None) -> None:
        one = None if sale_number is None or not self.sales else pick(self.sales, sale_number, lambda one: one.is_left)
        self._capture(pick(self.holds, which, lambda held: held[1].state == "open"), one)

    def _capture(self, held: tuple[str, Hold], one: Sold | None = None) -> None:
        hold_id, made = held
        sold, reference = None, f"nowhere-{next(self.numbers)}"
        if one is not None:
            sold, reference = one.model, one.sent["external_id"]
        was_open, is_void = made.state == "open", sold is not None and sold.is_void
        answer = self.send(f"/v1/pos/holds/{hold_id}/capture", {"order_reference": reference}, self.till())
        # It pays for one sale, however often that is said, and for none that was voided.
        goes = reference == self.paid.get(hold_id) if not was_open else not is_void and made.capture(self.now)
        expect(answer, 200 if goes and made.state == "captured" else 409)
        if was_open and goes:
            self.paid[hold_id] = reference
        if sold is not None and was_open and goes:
            sold.paid_by.append(made)
            sold.paid_by.sort(key=[hold for _, hold in self.holds].index)

    @precondition(lambda self: self.holds)
    @rule(which=WHICH)
    def release(self, which: int) -> None:
        hold_id, made = pick(self.holds, which, lambda held: held[1].state == "open")
        answer = self.send(f"/v1/pos/holds/{hold_id}/release", None, self.till())
        expect(answer, 409 if made.state in ("captured", "undone") else 200)
        if made.state == "open":
            made.state = "released"

    @rule(who=WHO, lines=LINES, points=POINTS, days=st.sampled_from([0, 0, 11, 31]), parts=st.lists(PIECES, max_size=3))
    def buy_with_points(
        self, who: int, lines: list[tuple[int, int]], points: int | str, days: int, parts: list[list[int]]
    ) -> None:
        """Pay for a sale with points, and bring it back in parts, perhaps when the points would have lapsed."""
        held = len(self.holds)
        self.earn(who, lines, timedelta())
        self.hold(who, points)
        if len(self.holds) > held:
            one = self.sales[-1]
            self._capture(self.holds[-1], one)
            self.wait(timedelta(days=days))
            for pieces in parts:
                self._refund(one, pieces)

    @rule(who=WHO, first=POINTS, second=POINTS, minutes=st.integers(-1, 30))
    def capture_late(self, who: int, first: int | str, second: int | str, minutes: int) -> None:
        """Set points aside twice, and spend the first ones about the time when they are free again."""
        held = len(self.holds)
        self.hold(who, first)
        if len(self.holds) > held:
            self.wait(HOLD_LIFE + timedelta(minutes=minutes))
            self.hold(who, second)
            self._capture(self.holds[held])

    @rule(who=WHO)
    def take_reward(self, who: int) -> None:
        who = self.member(who)
        account = self.model.homes[who]
        path, body = f"/v1/staff/customers/{self.people.customers[who]}/vouchers", {"reward_id": self.people.reward_id}
        answer = self.send(path, body, self.staff(Role.MANAGER))
        if account.available(self.now) - account.held(self.now) < REWARD_COST:
            assert expect(answer, 409)["code"] == "INSUFFICIENT_POINTS"
            return
        debit = account.spend(REWARD_COST, self.now)
        voucher = Voucher(who, account, debit, midnight(self.now, VOUCHER_DAYS + 1))
        self.vouchers.append((expect(answer, 201), voucher))

    @rule(who=WHO, is_captured=st.booleans(), is_held=st.booleans())
    def use_a_reward(self, who: int, *, is_captured: bool, is_held: bool) -> None:
        """Take a reward to the till, where nobody else may cancel it; or want one while all points are set aside."""
        if is_held:
            self.hold(who, "all")
        else:
            self.adjust(self.member(who), REWARD_COST, Role.MANAGER)
        taken = len(self.vouchers)
        self.take_reward(who)
        if len(self.vouchers) > taken:
            self._hold_voucher(self.vouchers[-1])
            if is_captured and self.sales:
                self._capture(self.holds[-1], self.sales[-1])
            self._cancel_voucher(self.vouchers[-1])

    @rule(which=WHICH, who=WHO)
    def hold_voucher(self, which: int, who: int) -> None:
        self._have_voucher(who)
        if self.vouchers:
            self._hold_voucher(pick(self.vouchers, which, lambda one: one[1].is_good(self.now)))

    def _have_voucher(self, who: int) -> None:
        """Take a reward, unless there is one that can be used: most wishes for one that is used up prove nothing."""
        if not any(voucher.is_good(self.now) for _, voucher in self.vouchers):
            self.adjust(who, REWARD_COST, Role.MANAGER)
            self.take_reward(who)

    def _hold_voucher(self, one: tuple[dict[str, Any], Voucher]) -> None:
        issued, voucher = one
        answer = self._hold({"voucher_code": issued["code"]})
        if not voucher.is_good(self.now):
            assert expect(answer, 409)["code"] == "VOUCHER_USED"
            return
        made = Hold(voucher.who, voucher.account, 0, self.now + HOLD_LIFE, voucher)
        voucher.account.holds.append(made)
        self.holds.append((expect(answer, 201)["id"], made))

    @rule(which=WHICH, who=WHO)
    def cancel_voucher(self, which: int, who: int) -> None:
        self._have_voucher(who)
        if self.vouchers:
            self._cancel_voucher(pick(self.vouchers, which, lambda one: one[1].is_good(self.now)))

    def _cancel_voucher(self, one: tuple[dict[str, Any], Voucher]) -> None:
        issued, voucher = one
        path = f"/v1/staff/vouchers/{issued['voucher']['id']}/cancel"
        answer = self.send(path, {"reason": "Not wanted."}, self.staff(Role.MANAGER))
        if not voucher.is_good(self.now):
            assert expect(answer, 409)["code"] == "VOUCHER_USED"
            return
        expect(answer, 200)
        voucher.state = "void"
        voucher.account.give_back(voucher.debit, voucher.debit.parts.total(), self.now)

    # Staff ------------------------------------------------------------------------------------------------------------

    @rule(who=WHO, points=ADJUSTED, role=ROLES, is_lost=OFTEN)
    def adjust(self, who: int, points: int, role: Role, *, is_lost: bool = False) -> None:
        """Adjust; the answer may be lost, as nothing but the key tells this one from another like it."""
        who = self.member(who)
        self.trouble = "lost" if is_lost else self.trouble
        headers, path = self.staff(role), f"/v1/staff/customers/{self.people.customers[who]}/adjustments"
        body = {"points": points, "reason_code": "goodwill"}
        seen = expect(self.shop.send("POST", f"{path}/preview", body, headers), 200)
        done = expect(self.send(path, body | {"preview_hash": seen["preview_hash"]}, headers), 201)
        account = self.model.homes[who]
        made = Adjustment(done["id"], account, points, self.now, done["state"])
        is_large = abs(points) > CASHIER_EACH or -points > account.available(self.now)
        # The sums of many small ones have limits too, which have tests of their own.
        assert made.state == "waiting" or role is Role.MANAGER or not is_large
        self.adjustments.append(made)
        if made.state == "posted":
            self._apply(made)

    def _apply(self, made: Adjustment) -> None:
        made.at, made.state = self.now, "posted"
        if made.points > 0:
            _, expires_at = self.model.rules_at(self.now).dates(self.now)
            made.lot = made.account.credit(made.points, self.now, self.now, expires_at)
        else:
            made.debit = made.account.take(-made.points, self.now)

    @rule(which=WHICH, who=WHO)
    def approve(self, which: int, who: int) -> None:
        """Agree to what a cashier wished for, just now or some time ago."""
        if which % 4:
            self.adjust(who, CASHIER_EACH + 1 + which, Role.CASHIER)
        waiting = [made for made in self.adjustments if made.state == "waiting"]
        if waiting:
            self._approve(pick(waiting, which, lambda one: self.now < one.at + REQUEST_LIFE))

    def _approve(self, made: Adjustment) -> None:
        headers = self.staff(Role.MANAGER)
        page = expect(self.shop.send("GET", "/v1/staff/adjustments?state=waiting&limit=200", None, headers), 200)
        seen = next((item for item in page["items"] if item["id"] == made.id), None)
        assert (seen is not None) == (self.now < made.at + REQUEST_LIFE)
        body = {"preview_hash": seen["preview_hash"] if seen else "0" * 64}
        answer = self.send(f"/v1/staff/adjustments/{made.id}/approve", body, headers)
        if seen is None:
            assert expect(answer, 409)["code"] == "REQUEST_CLOSED"
            made.state = "lapsed"
        else:
            expect(answer, 200)
            self._apply(made)

    @precondition(lambda self: self.adjustments)
    @rule(which=WHICH)
    def undo_adjustment(self, which: int) -> None:
        self._undo(pick(self.adjustments, which, lambda one: one.state == "posted" and self.now - one.at <= UNDO_MAX))

    @rule(who=WHO, more=st.integers(0, 60))
    def take_too_much_by_mistake(self, who: int, more: int) -> None:
        """Take more than there is, and take that back."""
        account = self.model.homes[self.member(who)]
        points = account.available(self.now) + account.pending(self.now) + more
        self.adjust(who, -max(1, points), Role.MANAGER)
        self._undo(self.adjustments[-1])

    def _undo(self, made: Adjustment) -> None:
        path = f"/v1/staff/adjustments/{made.id}/undo"
        body, manager = {"reason": "It was wrong."}, self.staff(Role.MANAGER)
        shown = self.shop.send("POST", f"{path}/preview", body, manager)
        if made.state != "posted" or self.now > made.at + UNDO_MAX:
            assert expect(shown, 409)["code"] == "UNDO_EXPIRED"
            return
        body["preview_hash"] = expect(shown, 200)["preview_hash"]
        expect(self.send(path, body, manager), 200)
        made.state, account = "undone", made.account
        if made.lot is not None:
            account.claw_back(made.points, made.lot, self.now)
            return
        assert made.debit is not None
        # What is still owed pays the debt, so that what came from lots comes back with its dates.
        taken = Debit(+made.debit.parts)
        if owed := -made.points - taken.parts.total():
            account.credit(owed, self.now, self.now, self.model.rules_at(self.now).dates(self.now)[1])
        account.give_back(taken, taken.parts.total(), self.now)

    @precondition(lambda self: len(self.cards) == 2)
    @rule(whose=st.integers(0, 1))
    def share(self, whose: int) -> None:
        """Let Cat, who is no member, into an account."""
        path, headers = f"/v1/staff/memberships/{self.people.memberships[whose]}/join", self.staff(Role.MANAGER)
        body = {"customer_id": str(self.people.customers[2]), "reason": "One household."}
        seen = expect(self.shop.send("POST", f"{path}/preview", body, headers), 200)
        is_blocked = any(hold.is_open(self.now) for hold in self.model.homes[whose].holds)
        assert bool(seen["blockers"]) == is_blocked
        if is_blocked:
            return
        agreed = {"agreed_by": seen["must_agree"], "preview_hash": seen["preview_hash"]}
        self.cards.append(expect(self.send(path, body | agreed, headers), 201)["card_number"])
        self.model.homes[2], self.model.starts[2] = self.model.homes[whose], midnight(self.now, 0)

    def change_rules(self, rules: Rules) -> None:
        self.shop.do(self._add_rules(rules, self.now))
        self.model.rules.append((self.now, rules))

    # Time and trouble -------------------------------------------------------------------------------------------------

    @rule(
        step=st.one_of(
            st.integers(1, 20).map(lambda n: timedelta(minutes=n)),
            st.integers(1, 60).map(lambda n: timedelta(hours=n)),
            st.integers(1, 400).map(lambda n: timedelta(hours=n)),
        )
    )
    def wait(self, step: timedelta) -> None:
        if self.now + step - START_AT < TIME_MAX:
            self.world.advance(step)

    @rule(minutes=st.sampled_from([-30, 0, 30]))
    def wait_for_midnight(self, minutes: int) -> None:
        """Go to a little before or after the local midnight, which is not that of UTC in summer."""
        at = midnight(self.now, 1).astimezone(UTC) + timedelta(minutes=minutes)
        if self.now < at < START_AT + TIME_MAX:
            self.world.clock.set(at)

    @rule(which=st.integers(0, 5), shift=st.sampled_from([-INSTANT, timedelta(), timedelta()]))
    def act_at_an_edge(self, which: int, shift: timedelta) -> None:
        """Go to the very instant at which something begins or ends, or just before it, and do what shows that."""
        edges: list[tuple[datetime, Callable[[], None]]] = []
        for who, account in enumerate(self.model.accounts):
            days = {at for lot in account.lots if lot.left for at in (lot.available_at, lot.expires_at) if at}
            edges += [(at, partial(self.adjust, who, -1, Role.MANAGER)) for at in days]
        edges += [(one[1].expires_at, partial(self._capture, one)) for one in self.holds if one[1].state == "open"]
        vouchers = [one for one in self.vouchers if one[1].state == "issued"]
        edges += [(one[1].valid_until, partial(self._hold_voucher, one)) for one in vouchers]
        ahead = sorted((edge for edge in edges if self.now < edge[0] + shift < START_AT + TIME_MAX), key=itemgetter(0))
        if ahead:
            at, act = ahead[which % len(ahead)]
            self.world.clock.set(at + shift)
            self.points_are_those_of_the_model()
            act()

    @rule(is_tidied=st.booleans(), is_due=st.sampled_from([True, True, False]))
    def expire(self, *, is_tidied: bool, is_due: bool) -> None:
        """Book what has lapsed, mostly when something has."""
        lots = [lot for account in self.model.accounts for lot in account.lots if lot.left and lot.expires_at]
        due_at = min((lot.expires_at for lot in lots if lot.expires_at), default=self.now)
        if is_due and self.now < due_at < START_AT + TIME_MAX:
            self.world.clock.set(due_at)
        self.has_moved = True
        trouble, self.trouble = self.trouble, None
        BrittleConnection.fuse = Fuse(trouble) if isinstance(trouble, int) else None
        try:
            self.shop.do(expire_lapsed(self.world.ctx))
        except DatabaseBusy:
            BrittleConnection.fuse = None
            self.shop.do(expire_lapsed(self.world.ctx))
        BrittleConnection.fuse = None
        for account in self.model.accounts:
            account.expire(self.now)
        if is_tidied:
            self.shop.do(tidy(self.world.tools))

    @rule(trouble=TROUBLES)
    def have_trouble(self, trouble: str | int) -> None:
        """Let the next command meet with trouble."""
        self.trouble = trouble

    # What always holds ------------------------------------------------------------------------------------------------

    @invariant()
    def points_are_those_of_the_model(self) -> None:
        now = self.now
        for place, account in enumerate(self.model.accounts):
            figures = account.available(now), account.pending(now), account.deficit(), account.held(now)
            is_gold = account.gold_at is not None
            found = self.shop.do(_read(self.people.customers[place], self.people.memberships[place], now))
            assert found == (*figures, is_gold, account.dated(now))
            assert not account.deficit() or figures[:2] == (0, 0)

    @invariant()
    def every_figure_can_be_proven(self, *, is_end: bool = False) -> None:
        # What is wrong stays wrong, so that it is enough to look now and then.
        self.steps += 1
        if self.has_moved and (is_end or self.steps % PROVEN_EVERY == 0):
            self.has_moved = False
            self.shop.do(_prove(self.now))


def _core(answer: httpx.Response) -> object:
    """Return what two answers to one call have in common: all of a success, the code of a refusal."""
    body = answer.json()
    return body if answer.is_success else body["code"]


async def _read(customer_id: UUID, membership_id: UUID, now: datetime) -> tuple[object, ...]:
    (view,) = await list_membership_views(customer_id, now)
    sql = """
    select available_at, expires_at, sum(remaining)::int as points from lot
    where membership = $1 and remaining > 0 and (expires_at is null or expires_at > $2) group by 1, 2
    """
    lots = [(row[0], row[1] or NEVER, row[2]) for row in await DB.fetch(sql, membership_id, now)]
    balance = view.balance
    figures = balance.available, balance.pending, balance.deficit, balance.held
    return *figures, view.tier == "gold", sorted(lots)


async def _prove(now: datetime) -> None:
    wrong = [msgspec.structs.asdict(outcome) async for outcome in verify(now) if not outcome.is_right]
    assert wrong == []


@pytest.mark.timeout(1800)
def test_the_service_and_an_independent_model_agree(
    databases: Databases, template_database: str, data_dir: Path, request: pytest.FixtureRequest
) -> None:
    is_soak, hunted = request.config.getoption("--soak"), os.environ.get("REGULARS_MACHINE_EXAMPLES")
    with asyncio.Runner() as runner:
        origin = databases.create(template=template_database)
        shop = BrittleShop(runner, databases.dsn(origin), data_dir)
        people = shop.do(open_for_people(shop.world))
        shop.rest()

        @contextmanager
        def open_copy() -> Iterator[None]:
            name = databases.create(template=origin)
            shop.move(databases.dsn(name), START_AT)
            yield
            shop.rest()
            databases.drop(name)

        machine = type("OpenLedger", (Ledger,), {"people": people, "shop": shop, "open_copy": staticmethod(open_copy)})
        run_state_machine_as_test(
            machine,
            settings=settings(
                # Whoever only wants to know whether it fails, as the hunt for mutants, does not wait for a short example.
                phases=[Phase.generate] if hunted else list(Phase),
                max_examples=int(hunted or 0) or (300 if is_soak else 15),
                derandomize=not (is_soak or hunted),
                stateful_step_count=50,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        shop.close()
        databases.drop(origin)
