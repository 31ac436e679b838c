"""Points given and taken by hand: through the API, on a real database, rule by rule."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from server.db.engine import DB
from server.db.ids import new_id
from shared.enums import Role
from shared.limits import STEP_UP_LIFE
from shared.programmes import Expiry
from tests.app import PASSWORD, SignedUp, World, expect, problem
from tests.ledgers import assert_verified, credit, figures
from tests.server.adjustments.desk import act, adjust, execute, keyed, preview, wish
from tests.tills import add_rules

Headers = dict[str, str]


@pytest.fixture
async def ana(world: World) -> SignedUp:
    return await world.sign_up()


@pytest.fixture
async def cashier(world: World) -> dict[str, str]:
    return await world.staff_headers(Role.CASHIER)


@pytest.fixture
async def manager(world: World) -> dict[str, str]:
    return await world.staff_headers(Role.MANAGER)


async def entries(world: World, ana: SignedUp) -> list[dict[str, Any]]:
    path = f"/v1/me/memberships/{ana.membership_id}/entries"
    page = expect(await world.client.get(path, headers=ana.headers), 200)
    found: list[dict[str, Any]] = page["items"]
    return found


async def audited(action: str) -> list[asyncpg.Record]:
    return await DB.fetch("select * from audit_entry where action = $1", action)


async def test_a_preview_says_what_will_be_and_changes_nothing(world: World, ana: SignedUp, cashier: Headers) -> None:
    await credit(world, ana.membership_id, 30)
    seen = expect(await preview(world, cashier, ana.customer_id, wish(-20)), 200)
    assert (seen["balance"]["available"], seen["available_after"], seen["deficit_after"]) == (30, 10, 0)
    assert (seen["needs_second_person"], seen["today_left"]) == ([], 500)
    assert await figures(ana.membership_id) == (30, 30, 0, 0)
    assert await DB.fetch_value("select count(*) from adjustment") == 0


async def test_points_are_given_and_taken_by_a_signed_number(world: World, ana: SignedUp, cashier: Headers) -> None:
    given = await adjust(world, cashier, ana.customer_id, 50)
    taken = await adjust(world, cashier, ana.customer_id, -20)
    assert (given["state"], taken["state"]) == ("posted", "posted")
    assert await figures(ana.membership_id) == (30, 30, 0, 0)
    assert len(await audited("adjustment.posted")) == 2
    await assert_verified(world)


async def test_the_member_reads_the_reason_always_and_the_note_only_if_it_is_for_them(
    world: World, ana: SignedUp, cashier: Headers
) -> None:
    await adjust(world, cashier, ana.customer_id, 5, note="regular who moans", visible=False)
    await adjust(world, cashier, ana.customer_id, 6, note="Thank you for waiting", visible=True)
    assert [entry["reason"] for entry in await entries(world, ana)] == [
        "Goodwill of the shop: Thank you for waiting",
        "Goodwill of the shop",
    ]
    (hidden,) = await DB.fetch("select reason from audit_entry where reason = 'regular who moans'")
    assert hidden


async def test_a_new_balance_is_refused(world: World, ana: SignedUp, manager: Headers) -> None:
    for body, field in ((wish(5, set_to=3300), "set_to"), ({"reason_code": "goodwill", "balance": 3300}, "balance")):
        refused = (400, "ADJUST_ABSOLUTE_REFUSED", [field])
        assert problem(await preview(world, manager, ana.customer_id, body)) == refused
        assert problem(await execute(world, manager, ana.customer_id, body)) == refused
    assert await figures(ana.membership_id) == (0, 0, 0, 0)


async def test_a_preview_that_no_longer_holds_is_refused(world: World, ana: SignedUp, cashier: Headers) -> None:
    seen = expect(await preview(world, cashier, ana.customer_id, wish(5)), 200)
    signed = {"preview_hash": seen["preview_hash"]}
    for body in (wish(5), wish(6) | signed, wish(5, visible=True) | signed):
        assert problem(await execute(world, cashier, ana.customer_id, body))[1] == "PREVIEW_STALE"
    await credit(world, ana.membership_id, 1)
    assert problem(await execute(world, cashier, ana.customer_id, wish(5) | signed))[1] == "PREVIEW_STALE"


async def test_points_given_lapse_as_those_of_a_sale_would(world: World, ana: SignedUp, cashier: Headers) -> None:
    await add_rules(world, points=1, per_minor=100, expiry=Expiry(kind="days", days=10))
    seen = expect(await preview(world, cashier, ana.customer_id, wish(5)), 200)
    await adjust(world, cashier, ana.customer_id, 5)
    expires_at = await DB.fetch_value("select expires_at from lot")
    assert expires_at is not None
    assert seen["expires_at"] == expires_at.isoformat().replace("+00:00", "Z")  # type: ignore[attr-defined]


async def test_splitting_does_not_help(world: World, ana: SignedUp, cashier: Headers) -> None:
    ben = await world.sign_up("ben@shop.test")
    await adjust(world, cashier, ana.customer_id, 100)
    await adjust(world, cashier, ana.customer_id, -100)
    seen = expect(await preview(world, cashier, ana.customer_id, wish(1)), 200)
    assert seen["needs_second_person"] == ["More than 200 points for one member in 24 hours."]
    await adjust(world, cashier, ben.customer_id, 100)
    assert (await adjust(world, cashier, ben.customer_id, 1))["state"] == "posted"
    other = await world.staff_headers(Role.CASHIER)
    seen = expect(await preview(world, other, ana.customer_id, wish(1)), 200)
    assert seen["needs_second_person"] == ["More than 200 points for one member in 24 hours."]
    world.advance(timedelta(hours=24, seconds=1))
    cashier = await world.staff_headers(Role.CASHIER)
    assert (await adjust(world, cashier, ana.customer_id, 100))["state"] == "posted"


async def test_racing_does_not_help(world: World, cashier: Headers) -> None:
    members = [await world.sign_up(f"member{number}@shop.test") for number in range(8)]
    bodies = []
    for member in members:
        seen = expect(await preview(world, cashier, member.customer_id, wish(100)), 200)
        bodies.append(wish(100, preview_hash=seen["preview_hash"]))
    answers = await asyncio.gather(
        *(
            execute(world, cashier, member.customer_id, body)
            for _ in range(8)
            for member, body in zip(members, bodies, strict=True)
        )
    )
    # Five of 100 make the day's 500; everything after them is another decision than the one that was previewed.
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [409] * 59
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"PREVIEW_STALE"}
    assert await DB.fetch_value("select sum(balance) from membership") == 500
    await assert_verified(world)


async def test_above_the_limit_somebody_else_decides(
    world: World, ana: SignedUp, cashier: Headers, manager: Headers
) -> None:
    request = await adjust(world, cashier, ana.customer_id, 101)
    assert (request["state"], request["needs_second_person"]) == ("waiting", ["More than 100 points at a time."])
    assert await figures(ana.membership_id) == (0, 0, 0, 0)
    waiting = expect(await world.client.get("/v1/staff/adjustments?state=waiting", headers=manager), 200)["items"]
    assert [item["id"] for item in waiting] == [request["id"]]
    signed = {"preview_hash": waiting[0]["preview_hash"]}
    approved = expect(await act(world, manager, request["id"], "approve", signed), 200)
    assert (approved["state"], approved["decided_by"], approved["available"]) == ("posted", "Sam Till", 101)
    again = await act(world, manager, request["id"], "approve", signed)
    assert problem(again)[:2] == (409, "REQUEST_CLOSED")
    assert await figures(ana.membership_id) == (101, 101, 0, 0)
    # Nobody's limit was used.
    seen = expect(await preview(world, cashier, ana.customer_id, wish(100)), 200)
    assert (seen["needs_second_person"], seen["today_left"]) == ([], 500)
    assert len(await audited("adjustment.requested")) == len(await audited("adjustment.approved")) == 1
    await assert_verified(world)


async def test_nobody_approves_their_own_request(world: World, ana: SignedUp, manager: Headers) -> None:
    request = await adjust(world, manager, ana.customer_id, 5001)
    body = {"preview_hash": request["preview_hash"]}
    assert problem(await act(world, manager, request["id"], "approve", body))[:2] == (403, "APPROVAL_REQUIRED")
    assert problem(await act(world, manager, request["id"], "refuse", {"reason": "Mine"}))[1] == "APPROVAL_REQUIRED"
    with pytest.raises(asyncpg.CheckViolationError, match="adjustment_by_two"):
        await DB.fetch("update adjustment set state = 'refused', decided_by = requested_by, decided_at = now()")


async def test_an_approval_holds_for_what_was_shown(
    world: World, ana: SignedUp, cashier: Headers, manager: Headers
) -> None:
    request = await adjust(world, cashier, ana.customer_id, 300)
    await credit(world, ana.membership_id, 7)
    body = {"preview_hash": request["preview_hash"]}
    assert problem(await act(world, manager, request["id"], "approve", body))[:2] == (409, "PREVIEW_STALE")
    assert await figures(ana.membership_id) == (7, 7, 0, 0)


async def test_a_request_lapses_after_a_day_and_can_be_refused_before(
    world: World, ana: SignedUp, cashier: Headers, manager: Headers
) -> None:
    first = await adjust(world, cashier, ana.customer_id, 300)
    second = await adjust(world, cashier, ana.customer_id, 301)
    refused = expect(await act(world, manager, first["id"], "refuse", {"reason": "No receipt"}), 200)
    assert (refused["state"], refused["decision_note"]) == ("refused", "No receipt")
    world.advance(timedelta(hours=24))
    manager = await world.staff_headers(Role.MANAGER)
    body = {"preview_hash": second["preview_hash"]}
    assert problem(await act(world, manager, second["id"], "approve", body))[1] == "REQUEST_CLOSED"
    assert problem(await act(world, manager, second["id"], "refuse", {"reason": "Late"}))[1] == "REQUEST_CLOSED"
    lapsed = expect(await world.client.get("/v1/staff/adjustments?state=lapsed", headers=manager), 200)["items"]
    assert [item["id"] for item in lapsed] == [second["id"]]


async def test_both_must_hold_their_roles_when_it_is_carried_out(world: World, ana: SignedUp, manager: Headers) -> None:
    asking = await world.add_staff(Role.CASHIER)
    request = await adjust(world, await world.staff_headers(staff_id=asking), ana.customer_id, 300)
    await DB.fetch("update staff_member set status = 'disabled' where id = $1", asking)
    body = {"preview_hash": request["preview_hash"]}
    assert problem(await act(world, manager, request["id"], "approve", body))[:2] == (403, "NOT_PERMITTED")
    await DB.fetch("update staff_member set status = 'active', role = 'auditor' where id = $1", asking)
    assert problem(await act(world, manager, request["id"], "approve", body))[:2] == (403, "NOT_PERMITTED")
    assert await figures(ana.membership_id) == (0, 0, 0, 0)


async def test_of_many_approvals_at_once_one_moves_points(world: World, ana: SignedUp, cashier: Headers) -> None:
    request = await adjust(world, cashier, ana.customer_id, 300)
    managers = [await world.staff_headers(Role.MANAGER) for _ in range(4)]
    body = {"preview_hash": request["preview_hash"]}
    answers = await asyncio.gather(
        *(act(world, managers[number % 4], request["id"], "approve", body) for number in range(64))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 63
    assert await figures(ana.membership_id) == (300, 300, 0, 0)
    await assert_verified(world)


async def test_nobody_adjusts_for_themselves_or_their_household(
    world: World, ana: SignedUp, cashier: Headers, manager: Headers
) -> None:
    ben = await world.sign_up("ben@shop.test")
    own = await world.add_staff(Role.MANAGER)
    await DB.fetch("update staff_member set customer = $2 where id = $1", own, ana.customer_id)
    headers = await world.staff_headers(staff_id=own)
    assert problem(await preview(world, headers, ana.customer_id, wish(5)))[:2] == (403, "SELF_DEALING")
    request = await adjust(world, cashier, ana.customer_id, 300)
    body = {"preview_hash": request["preview_hash"]}
    for decision, form in (("approve", body), ("refuse", {"reason": "Not mine to take"})):
        assert problem(await act(world, headers, request["id"], decision, form))[1] == "SELF_DEALING"
    assert (await adjust(world, headers, ben.customer_id, 5))["state"] == "posted"
    await DB.fetch(
        "update membership_person set membership = $2, role = 'sharer' where customer = $1",
        ben.customer_id,
        ana.membership_id,
    )
    assert problem(await preview(world, headers, ben.customer_id, wish(5)))[1] == "SELF_DEALING"
    done = await adjust(world, manager, ana.customer_id, 5)
    assert problem(await act(world, headers, done["id"], "undo", {"reason": "For me"}))[1] == "SELF_DEALING"


async def test_a_cashier_makes_no_deficit_and_a_manager_may(
    world: World, ana: SignedUp, cashier: Headers, manager: Headers
) -> None:
    await credit(world, ana.membership_id, 10)
    await credit(world, ana.membership_id, 15, pending=3)
    request = await adjust(world, cashier, ana.customer_id, -11)
    assert request["state"] == "waiting"
    assert (await adjust(world, manager, ana.customer_id, -30))["state"] == "posted"
    assert await figures(ana.membership_id) == (-5, 0, 0, 5)
    await assert_verified(world)


async def test_what_was_given_can_be_taken_back(
    world: World, ana: SignedUp, cashier: Headers, manager: Headers
) -> None:
    mine = await adjust(world, cashier, ana.customer_id, 50)
    undone = expect(await act(world, cashier, mine["id"], "undo", {"reason": "Wrong member"}), 200)
    assert (undone["state"], undone["available"]) == ("undone", 0)
    assert problem(await act(world, cashier, mine["id"], "undo", {"reason": "Again"}))[1] == "UNDO_EXPIRED"
    late = await adjust(world, cashier, ana.customer_id, 50)
    world.advance(timedelta(seconds=61))
    assert problem(await act(world, cashier, late["id"], "undo", {"reason": "Too late"}))[1] == "UNDO_EXPIRED"
    expect(await act(world, manager, late["id"], "undo", {"reason": "Too late for Sam"}), 200)
    assert await figures(ana.membership_id) == (0, 0, 0, 0)
    assert len(await audited("adjustment.undone")) == 2
    await assert_verified(world)


async def test_what_was_taken_comes_back_with_its_dates_and_debts_are_let_go(
    world: World, ana: SignedUp, manager: Headers
) -> None:
    await credit(world, ana.membership_id, 10, days=5)
    await credit(world, ana.membership_id, 20, days=50)
    lots = "select sum(remaining)::int, expires_at from lot where remaining > 0 group by expires_at order by expires_at"
    before = [tuple(row) for row in await DB.fetch(lots)]
    # Of the second more is taken than there is, which is owed until it is taken back.
    for points, left in ((-15, (15, 15, 0, 0)), (-40, (-10, 0, 0, 10))):
        taken = await adjust(world, manager, ana.customer_id, points)
        assert await figures(ana.membership_id) == left
        expect(await act(world, manager, taken["id"], "undo", {"reason": "Wrong member"}), 200)
        assert await figures(ana.membership_id) == (30, 30, 0, 0)
        assert [tuple(row) for row in await DB.fetch(lots)] == before
    await assert_verified(world)


async def test_taking_back_what_was_spent_takes_a_manager(
    world: World, ana: SignedUp, cashier: Headers, manager: Headers
) -> None:
    given = await adjust(world, cashier, ana.customer_id, 50)
    await adjust(world, cashier, ana.customer_id, -30)
    refused = await act(world, cashier, given["id"], "undo", {"reason": "Wrong member"})
    assert problem(refused)[:2] == (409, "INSUFFICIENT_POINTS")
    path, why = f"/v1/staff/adjustments/{given['id']}/undo", {"reason": "Wrong member"}
    shown = expect(await world.client.post(f"{path}/preview", json=why, headers=manager), 200)
    assert [shown[name] for name in ("points", "points_exempt", "available_after", "deficit_after")] == [-50, 0, 0, 30]
    assert (shown["adjustment"]["state"], shown["adjustment"]["available"]) == ("posted", 20)
    assert await figures(ana.membership_id) == (20, 20, 0, 0), "a preview changes nothing"
    assert await audited("adjustment.undone") == []
    # What was not shown, or is not so any more, is not carried out.
    await credit(world, ana.membership_id, 5)
    for stale in (why | {"preview_hash": shown["preview_hash"]}, why | {"preview_hash": "0" * 64}):
        assert problem(await act(world, manager, given["id"], "undo", stale))[:2] == (409, "PREVIEW_STALE")
    bare = await world.client.post(path, json=why, headers=keyed(manager))
    assert problem(bare)[:2] == (409, "PREVIEW_STALE")
    assert await figures(ana.membership_id) == (25, 25, 0, 0)
    expect(await act(world, manager, given["id"], "undo", why), 200)
    assert await figures(ana.membership_id) == (-25, 0, 0, 25)
    await assert_verified(world)


async def test_nothing_is_given_to_who_is_no_more(world: World, ana: SignedUp, manager: Headers) -> None:
    ben = await world.sign_up("ben@shop.test")
    other = {"membership_id": str(ben.membership_id)}
    assert problem(await preview(world, manager, ana.customer_id, wish(5, **other)))[:2] == (404, "NOT_FOUND")
    await DB.fetch("update customer set status = 'blocked' where id = $1", ana.customer_id)
    assert problem(await preview(world, manager, ana.customer_id, wish(5)))[:2] == (409, "CUSTOMER_BLOCKED")
    await DB.fetch("update membership set status = 'closed' where id = $1", ben.membership_id)
    assert problem(await preview(world, manager, ben.customer_id, wish(5)))[:2] == (409, "MEMBERSHIP_CLOSED")
    unknown = UUID(int=7)
    assert problem(await preview(world, manager, unknown, wish(5)))[:2] == (404, "NOT_FOUND")


async def test_cashiers_see_their_own_and_managers_all(
    world: World, ana: SignedUp, cashier: Headers, manager: Headers
) -> None:
    await adjust(world, cashier, ana.customer_id, 5)
    await adjust(world, manager, ana.customer_id, 6)
    seen = [
        [
            item["points"]
            for item in expect(await world.client.get(f"/v1/staff/adjustments{query}", headers=who), 200)["items"]
        ]
        for who, query in ((cashier, ""), (manager, ""), (manager, f"?customer_id={ana.customer_id}&state=waiting"))
    ]
    assert seen == [[5], [6, 5], []]
    bad = await world.client.get("/v1/staff/adjustments?state=nonsense", headers=keyed(manager))
    assert problem(bad) == (400, "INVALID_REQUEST", ["state"])


async def test_whoever_approves_proves_who_they_are(world: World, ana: SignedUp, cashier: Headers) -> None:
    request = await adjust(world, cashier, ana.customer_id, 300)
    approver = await world.add_staff(Role.MANAGER, login="manager-4")
    headers = await world.staff_headers(staff_id=approver)
    body = {"preview_hash": request["preview_hash"]}
    world.advance(STEP_UP_LIFE + timedelta(seconds=1))
    assert problem(await act(world, headers, request["id"], "approve", body))[:2] == (403, "REAUTH_REQUIRED")
    wrong = await act(world, headers, request["id"], "approve", body | {"password": "not-the-password"})
    assert problem(wrong)[:2] == (403, "REAUTH_REQUIRED")
    assert await figures(ana.membership_id) == (0, 0, 0, 0)
    expect(await act(world, headers, request["id"], "approve", body | {"password": PASSWORD}), 200)
    assert (await figures(ana.membership_id))[0] == 300
    # The database itself refuses one who approves their own request.
    with pytest.raises(asyncpg.CheckViolationError, match="adjustment_by_two"):
        await DB.fetch("update adjustment set decided_by = requested_by")


async def test_nobody_adjusts_for_who_shares_their_proven_address(
    world: World, ana: SignedUp, manager: Headers
) -> None:
    ben = await world.sign_up("ben@shop.test")
    await DB.fetch("update staff_member set customer = $1", ben.customer_id)
    expect(await preview(world, manager, ana.customer_id, wish(50)), 200)
    sql = """
    insert into contact_point (id, customer, kind, value, key, status, is_primary, created_at)
    select $1, $2, kind, value, key, 'unverified', false, created_at from contact_point where customer = $3
    """
    await DB.fetch(sql, new_id(), ana.customer_id, ben.customer_id)
    assert problem(await preview(world, manager, ana.customer_id, wish(50)))[:2] == (403, "SELF_DEALING")


async def test_colleagues_see_who_booked_an_adjustment_and_the_member_does_not(world: World, ana: SignedUp) -> None:
    kim = await world.staff_headers(staff_id=await world.add_staff(Role.CASHIER, name="Kim Till"))
    await adjust(world, kim, ana.customer_id, 20)
    for path, headers, name in (
        (f"/v1/staff/memberships/{ana.membership_id}/entries", kim, "Kim Till"),
        (f"/v1/me/memberships/{ana.membership_id}/entries", ana.headers, None),
    ):
        newest = expect(await world.client.get(path, headers=headers), 200)["items"][0]
        assert (newest["reason"], newest["by_name"], newest["staff_name"]) == ("Goodwill of the shop", "Ana", name)
