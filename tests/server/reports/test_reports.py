"""Reports: what they count, for whom, and that a spreadsheet runs nothing in them."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.db.engine import DB
from server.ledger.lapsing import expire_lapsed
from server.ledger.movements import Origin, give_back, spend
from server.programmes.rules import EarningLine, Occasion, needs_history, plan_earning
from server.reports.rules import PromotedSale, Ruled, divide
from server.rewards.holds import undo_capture
from shared.enums import Role
from shared.programmes import BonusRules, CategoryRule, EarningRules, Promotion, Tier, TierRules
from tests.app import SignedUp, World, expect, problem
from tests.ledgers import credit, locked
from tests.server.adjustments.desk import act, adjust
from tests.server.orders.test_assignments import Desk
from tests.server.programmes.test_promotions import lines, occasions, rule_sets
from tests.server.rewards.builders import Counter
from tests.tills import add_rules, push, sale


@pytest.fixture
async def ana(world: World) -> SignedUp:
    return await world.sign_up()


async def report(world: World, name: str, query: str = "") -> list[dict[str, Any]]:
    headers = await world.staff_headers(Role.AUDITOR)
    found = expect(await world.client.get(f"/v1/staff/reports/{name}{query}", headers=headers), 200)
    assert found["is_complete"]
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


async def test_liability_is_what_can_still_be_spent_by_month(world: World, ana: SignedUp) -> None:
    await credit(world, ana.membership_id, 10, days=1)
    await credit(world, ana.membership_id, 20, days=20, pending=3)
    await credit(world, ana.membership_id, 30, days=40)
    await credit(world, ana.membership_id, 40, days=None)
    world.advance(timedelta(days=2))
    rows = await report(world, "liability")
    assert [(row["month"], row["points"], row["pending"]) for row in rows] == [
        ("2026-03", 20, 20),
        ("2026-04", 30, 0),
        ("never", 40, 0),
    ]
    total = await DB.fetch_value(
        "select sum(remaining)::bigint from lot where expires_at is null or expires_at > $1", world.clock.now()
    )
    assert sum(row["points"] for row in rows) == total


async def test_what_was_issued_is_used_lapsed_or_live(world: World, ana: SignedUp) -> None:
    await credit(world, ana.membership_id, 100, days=5)
    await credit(world, ana.membership_id, 50, days=100)
    async with locked(ana.membership_id) as membership:
        entry_id = await spend(world.ctx, membership, 120, Origin(source_key="redeem:1"))
        await give_back(
            world.ctx, membership, 40, Origin(source_key="refund:1"), spent_entry_id=entry_id, grace=timedelta(days=30)
        )
    manager = await world.staff_headers(Role.MANAGER)
    await adjust(world, manager, ana.customer_id, -10)
    undone = await adjust(world, manager, ana.customer_id, -5)
    expect(await act(world, manager, undone["id"], "undo", {"reason": "Wrong member"}), 200)
    expected = {"month": "2026-03", "issued": 150, "used": 80, "taken_back": 10, "lapsed": 0, "given_up": 0, "live": 60}
    (row,) = await report(world, "breakage")
    assert {name: row[name] for name in expected} == expected
    world.advance(timedelta(days=6))
    (before,) = await report(world, "breakage")
    await expire_lapsed(world.ctx)
    (after,) = await report(world, "breakage")
    assert before == after
    assert (after["used"], after["lapsed"], after["live"], after["lapsed_percent"]) == (80, 10, 50, 6.7)


async def test_points_are_counted_by_store_kind_and_rules_in_whole_local_days(world: World, ana: SignedUp) -> None:
    key = await world.pos_key()
    expect(await push(world, key, sale(world, card=ana.card_number)), 201)
    manager = await world.staff_headers(Role.MANAGER)
    await adjust(world, manager, ana.customer_id, 7)
    await adjust(world, manager, ana.customer_id, -3)
    undone = await adjust(world, manager, ana.customer_id, 2)
    expect(await act(world, manager, undone["id"], "undo", {"reason": "Wrong member"}), 200)
    rows = {row["kind"]: row for row in await report(world, "points")}
    assert (rows["EARN"]["store"], rows["EARN"]["rule"], rows["EARN"]["issued"]) == ("High Street", "version 1", 12)
    assert (rows["ADJUST"]["store"], rows["ADJUST"]["issued"], rows["ADJUST"]["taken"]) == ("High Street", 9, 5)
    assert len(await report(world, "points", "?since=2026-03-02&until=2026-03-02")) == 2
    assert await report(world, "points", "?since=2026-03-03&until=2026-03-04") == []
    assert await report(world, "points", "?since=2026-03-01&until=2026-03-01") == []


async def test_points_by_rule_add_up_to_what_was_issued(world: World) -> None:
    promotion = Promotion(code="twice", name="Double, at last", percent=200, member_points_max=30)
    rules = {"points": 1, "per_minor": 100, "categories": (CategoryRule(category="coffee", percent=150),)}
    await add_rules(world, **rules, bonuses=BonusRules(sign_up=5, first_purchase=3))
    ben, cy = await world.sign_up("ben@shop.test"), await world.sign_up("cy@shop.test")
    key = await world.pos_key()
    for card in (ben.card_number, cy.card_number):
        expect(await push(world, key, sale(world, card=card)), 201)
    await add_rules(
        world, **rules, promotions=(promotion,), tiers=TierRules(levels=(Tier(name="Gold", from_points=90),))
    )
    changed = sale(world, card=ben.card_number)
    expect(await push(world, key, changed), 201)
    expect(await push(world, key, changed | {"revision": 1, "lines": changed["lines"][:1]}), 201)
    expect(await push(world, key, sale(world, card=ben.card_number)), 201)
    rows = await report(world, "rules")
    assert [(row["store"], row["rule"], row["times"], row["points"]) for row in rows] == [
        ("", "bonus: welcome", 2, 10),
        ("High Street", "1 point per 1.00 GBP, 150 % for 'coffee'", 4, 4 * 12),
        # Of the member's thirty, the changed sale took as many as its coffee had earned, and the next one the rest.
        ("High Street", "promotion: Double, at last", 2, 13 + 17),
        ("High Street", "1 point per 1.00 GBP", 3, 3 * 4),
        ("High Street", "bonus: first purchase", 2, 6),
    ]
    issued = await DB.fetch_value("select sum(lifetime)::bigint from membership")
    assert sum(row["points"] for row in rows) == issued


@given(basket=st.lists(lines, min_size=1, max_size=8), rules=rule_sets, occasion=occasions)
def test_of_a_sale_promotions_have_what_they_gave_and_the_other_rules_the_rest(
    basket: list[EarningLine], rules: EarningRules, occasion: Occasion
) -> None:
    plan = plan_earning(basket, rules, currency="GBP", occasion=occasion)
    if not plan.points:
        return  # No such sale is in the report.
    sold = PromotedSale(
        completed_at=occasion.completed_at,
        store_code=occasion.store_code,
        points=plan.points,
        lines=tuple(basket),
        words=tuple(share.rule for share in plan.lines),
        noted={one.code: one.points for one in plan.promotions} if needs_history(rules) else {},
    )
    plain = msgspec.structs.replace(rules, promotions=())
    by = Ruled(programme="main", zone=occasion.zone, currency="GBP", rules=rules, plain=plain)
    parts = list(divide(sold, by))
    promoted = [part.points for part in parts if part.rule.startswith("promotion: ")]
    assert promoted == [one.points for one in plan.promotions]
    assert sum(part.points for part in parts) == plan.points
    if rules.order_points_max is None and rules.day_points_max is None:
        free = plan_earning(basket, plain, currency="GBP", occasion=occasion)
        rest = [part for part in parts if not part.rule.startswith("promotion: ")]
        assert rest == [share for share in free.lines if share.points]


async def test_what_was_spent_belongs_to_the_store_where_it_was_spent(world: World) -> None:
    counter = await Counter.open(world, points=1_000)
    held = await counter.hold_proven(300)
    expect(await counter.capture(held), 200)
    (row,) = [row for row in await report(world, "points") if row["kind"] == "REDEEM"]
    assert (row["store"], row["entries"], row["issued"], row["taken"]) == ("High Street", 1, 0, 300)
    kept, _ = [expect(await counter.take(await counter.add_reward()), 201) for _ in range(2)]
    path = f"/v1/staff/vouchers/{kept['voucher']['id']}/cancel"
    expect(await counter.send("POST", path, {"reason": "no need"}, headers=counter.manager), 200)
    async with locked(counter.member.membership_id) as membership:
        assert await undo_capture(world.ctx, membership, UUID(held["id"]), source_key="refund:1", points=100) == 100
    spent = [(row["store"], row["rule"], row["times"], row["redeemed"]) for row in await report(world, "rules")]
    assert spent == [("", "redeemed: 5.00 off", 1, 100), ("High Street", "redeemed: points as money", 1, 200)]


async def test_days_and_months_are_those_of_the_programme(world: World) -> None:
    await DB.fetch("update programme set zone = 'Pacific/Auckland'")
    await DB.fetch("update store set zone = 'Pacific/Auckland'")
    ana = await world.sign_up()
    # 11:30 UTC on 31 March is half past midnight on 1 April there.
    at = datetime(2026, 3, 31, 11, 30, tzinfo=UTC)
    world.advance(at - world.clock.now())
    await credit(world, ana.membership_id, 50, days=None)
    (row,) = await report(world, "breakage")
    assert row["month"] == "2026-04"
    assert [row["issued"] for row in await report(world, "points", "?since=2026-04-01&until=2026-04-01")] == [50]
    assert await report(world, "points", "?since=2026-03-31&until=2026-03-31") == []


async def test_adjustments_are_counted_by_who_asked_for_them(world: World, ana: SignedUp) -> None:
    cashier, manager = await world.staff_headers(Role.CASHIER), await world.staff_headers(Role.MANAGER)
    await adjust(world, cashier, ana.customer_id, 95)
    small = await adjust(world, cashier, ana.customer_id, 5)
    expect(await act(world, cashier, small["id"], "undo", {"reason": "Wrong member"}), 200)
    large = await adjust(world, cashier, ana.customer_id, 300)
    expect(await act(world, manager, large["id"], "approve", {"preview_hash": large["preview_hash"]}), 200)
    no = await adjust(world, cashier, ana.customer_id, 400)
    expect(await act(world, manager, no["id"], "refuse", {"reason": "No receipt"}), 200)
    (row,) = await report(world, "adjustments")
    expected = {"role": "cashier", "posted": 3, "given": 400, "by_two": 1, "undone": 1, "refused": 1, "near_limit": 1}
    assert {name: row[name] for name in expected} == expected


async def test_late_attaches_are_counted_once_though_two_customers_are_told(world: World, ana: SignedUp) -> None:
    ben = await world.sign_up("ben@shop.test")
    staff_id = await world.add_staff(Role.CASHIER, name="Kim")
    for customer_id in (ana.customer_id, ben.customer_id):
        await DB.fetch(
            "insert into audit_entry (id, at, actor_kind, actor_id, action, subject_kind, subject_id, customer_id, details) "
            "values (regulars_new_id(), $1, 'staff', $2, 'order.reassigned', 'order', $2, $3, $4)",
            world.clock.now(), staff_id, customer_id, '{"points_earned": 12, "points_taken": 10}',
        )  # fmt: skip
    (row,) = await report(world, "late-attaches")
    assert (row["staff"], row["reassigned"], row["points_given"], row["points_taken"]) == ("Kim", 1, 12, 10)


async def test_sales_moved_at_the_desk_are_counted_with_what_their_points_did(world: World) -> None:
    desk = Desk(world)
    await desk.open()
    late, fresh = await desk.buy(None), await desk.buy(desk.ana)
    await desk.later(timedelta(days=2))
    soon = await desk.buy(None)
    await desk.move(late, desk.ana)
    await desk.move(soon, desk.ana)
    await desk.move(soon, desk.ben)
    await desk.move(fresh, None)
    rows = await report(world, "late-attaches")
    counted = {name: sum(row[name] for row in rows) for name in rows[0] if name not in {"staff", "role", "store"}}
    # Ten points each: to Ana twice, once on to Ben, and once taken away.
    assert counted == {
        "attached": 2, "reassigned": 1, "detached": 1, "after_a_day": 2, "customers": 2, "points_given": 30, "points_taken": 20,
    }  # fmt: skip
    assert {(row["role"], row["store"]) for row in rows} == {("cashier", "High Street")}
    assert await report(world, "late-attaches", "?since=2026-03-01&until=2026-03-03") == []


async def test_csv_says_the_same_and_has_no_formula(world: World, ana: SignedUp) -> None:
    staff_id = await world.add_staff(Role.MANAGER, name="=cmd|' /C calc'!A0")
    await adjust(world, await world.staff_headers(staff_id=staff_id), ana.customer_id, -5)
    headers = await world.staff_headers(Role.MANAGER)
    answer = await world.client.get("/v1/staff/reports/adjustments/csv", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "adjustments.csv" in answer.headers["content-disposition"]
    titles, row = csv.reader(io.StringIO(answer.text))
    assert row[0] == "'=cmd|' /C calc'!A0"
    (same,) = await report(world, "adjustments")
    assert [str(value) for name, value in same.items() if name != "staff"] == row[1:]
    assert titles == list(same)


@pytest.mark.parametrize(
    "name", ["liability", "breakage", "points", "rules", "late-attaches", "adjustments", "signals"]
)
async def test_an_empty_shop_has_empty_reports(world: World, name: str) -> None:
    assert await report(world, name) == []
    headers = await world.staff_headers(Role.MANAGER)
    text = (await world.client.get(f"/v1/staff/reports/{name}/csv", headers=headers)).text
    assert len(text.splitlines()) == 1


async def test_reports_are_for_managers_and_auditors(world: World) -> None:
    for role in (Role.CASHIER, Role.MARKETING, Role.ADMIN):
        headers = await world.staff_headers(role)
        assert (await world.client.get("/v1/staff/reports/points", headers=headers)).status_code == 403
        assert (await world.client.get("/v1/staff/reports/points/csv", headers=headers)).status_code == 403


async def test_what_cannot_be_a_report_is_refused(world: World) -> None:
    headers = await world.staff_headers(Role.MANAGER)
    for suffix in ("", "/csv"):
        assert problem(await world.client.get(f"/v1/staff/reports/nonsense{suffix}", headers=headers))[:2] == (
            404,
            "NOT_FOUND",
        )
        for query, field in (
            ("since=x", "since"),
            ("until=0001-01-01", "until"),
            ("since=2026-03-02&until=2026-03-01", "since"),
        ):
            answer = await world.client.get(f"/v1/staff/reports/points{suffix}?{query}", headers=headers)
            assert problem(answer) == (400, "INVALID_REQUEST", [field])
