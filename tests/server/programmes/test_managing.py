"""Managers make further programmes, change what they decide, and close them; nobody's points change by it."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from server.db.engine import DB
from server.programmes.service import get_default_programme, get_programme
from server.programmes.store import insert_rules
from shared.enums import Role
from shared.programmes import EarningRules
from tests.app import World, expect, problem
from tests.ledgers import assert_verified
from tests.tills import push, sale

PATH = "/v1/staff/programmes"
CLUB: dict[str, Any] = {
    "code": "club",
    "name": "Running Club",
    "unit_one": "mile",
    "unit_many": "miles",
    "zone": "Europe/Athens",
    "currency": "GBP",
    "rules": {"points": 2, "per_minor": 100, "expiry": {"kind": "inactivity", "days": 90}},
    "settings": {"late_attach_days": 7, "grace_days": 3},
}


@pytest.fixture
async def manager(world: World) -> dict[str, str]:
    return await world.staff_headers(Role.MANAGER)


async def make(world: World, manager: dict[str, str], **fields: object) -> Any:  # noqa: ANN401 - JSON
    return await world.client.post(PATH, json=CLUB | fields, headers=manager)


async def change(world: World, manager: dict[str, str], programme: Any, **fields: object) -> Any:  # noqa: ANN401 - JSON
    body = {"version": programme["version"], "reason": "Agreed with the owner", **fields}
    return await world.client.patch(f"{PATH}/{programme['id']}", json=body, headers=manager)


async def join(world: World, manager: dict[str, str], customer_id: object, code: str = "club") -> Any:  # noqa: ANN401
    return await world.client.post(
        f"/v1/staff/customers/{customer_id}/memberships",
        json={"programme_code": code},
        headers=manager | {"Idempotency-Key": f"join-the-{code}-{customer_id}"[:64]},
    )


async def test_a_further_programme_has_its_own_rules_and_an_order_earns_for_the_card_on_it(
    world: World, manager: dict[str, str]
) -> None:
    ana = await world.sign_up()
    club = expect(await make(world, manager), 201)
    assert (club["status"], club["is_default"], club["unit_many"], club["rule_version"]) == (
        "active",
        False,
        "miles",
        1,
    )
    assert club["settings"]["late_attach_days"] == 7
    assert club["settings"]["adjustment_limits"]["cashier"]["each"] == 100
    assert problem(await make(world, manager))[:2] == (409, "PROGRAMME_CODE_TAKEN")
    card = expect(await join(world, manager, ana.customer_id), 201)["card_number"]
    headers = await world.pos_key()
    # One order earns once: in the programme of the card.
    assert expect(await push(world, headers, sale(world, card=card)), 201)["points"] == 24
    assert expect(await push(world, headers, sale(world, card=ana.card_number)), 201)["points"] == 12
    rows = await DB.fetch(
        "select g.code, m.balance from membership m join programme g on g.id = m.programme order by g.code"
    )
    assert {row["code"]: row["balance"] for row in rows}["club"] == 24
    # Three days before joining count, though none before the launch.
    row = await DB.fetch_row(
        "select p.eligible_from, g.launch_at from membership_person p join programme g on g.id = p.programme "
        "where g.code = 'club'"
    )
    assert row is not None
    assert row["launch_at"] - timedelta(days=1) < row["eligible_from"] <= row["launch_at"]
    await assert_verified(world)


async def test_the_zone_of_a_machine_is_none_that_a_database_knows(world: World, manager: dict[str, str]) -> None:
    for zone in ("localtime", "Factory", "europe/london"):
        assert problem(await make(world, manager, zone=zone)) == (400, "INVALID_REQUEST", ["zone"])


async def test_rules_that_were_never_put_in_force_are_forgotten_with_their_transaction(world: World) -> None:
    programme = await get_default_programme(fresh=True)
    seen = []
    for points in (7, 8):
        with suppress(ZeroDivisionError):
            async with DB.transaction():
                await insert_rules(
                    world.ctx, programme.id, EarningRules(points=points, per_minor=100), valid_from=world.clock.now()
                )
                seen.append((await get_programme(programme.id, fresh=True)).rule_versions[0].rules.points)
                raise ZeroDivisionError
    assert seen == [7, 8]
    assert await get_programme(programme.id, fresh=True) == programme
    assert (await get_programme(programme.id, fresh=True)).rule_versions is (
        await get_programme(programme.id)
    ).rule_versions


async def test_every_wrong_field_of_a_programme_is_named(world: World, manager: dict[str, str]) -> None:
    wrong = {
        "zone": "Middle/Earth",
        "launch_at": "1999-01-01T00:00:00+00:00",
        "rules": {"points": 1, "per_minor": 100, "expiry": {"kind": "days", "months": 2}},
        "settings": {"late_attach_days": 100, "adjustment_limits": {"cashier": {
            "each": 10, "day": 50, "month": 40, "member_day": 10, "member_month": 20, "store_day": 9}}},
    }  # fmt: skip
    assert problem(await make(world, manager, **wrong)) == (
        400,
        "INVALID_REQUEST",
        [
            "zone",
            "launch_at",
            "settings.manager_late_attach_days",
            "settings.adjustment_limits.cashier.month",
            "rules.expiry.months",
        ],
    )
    assert await DB.fetch_value("select count(*) from programme") == 1


async def test_settings_change_by_version_are_written_down_and_hold_at_once(
    world: World, manager: dict[str, str]
) -> None:
    ana = await world.sign_up()
    (programme,) = expect(await world.client.get(PATH, headers=manager), 200)["items"]
    limits = programme["settings"]["adjustment_limits"]
    limits["cashier"] |= {"each": 10}
    settings = programme["settings"] | {"clawback_policy": "refuse", "adjustment_limits": limits}
    changed = expect(await change(world, manager, programme, name="House points", settings=settings), 200)
    assert (changed["name"], changed["version"]) == ("House points", programme["version"] + 1)
    assert expect(await world.client.get(f"{PATH}/{programme['id']}", headers=manager), 200) == changed
    assert problem(await change(world, manager, programme, name="Another"))[:2] == (409, "VERSION_CONFLICT")
    details = await DB.fetch_value("select details::text from audit_entry where action = 'programme.changed'")
    assert "clawback_policy" in str(details)
    # A cashier gives ten points alone, and no more.
    cashier = await world.staff_headers(Role.CASHIER)
    path = f"/v1/staff/customers/{ana.customer_id}/adjustments/preview"
    for points, needed in ((10, []), (11, ["More than 10 points at a time."])):
        form = {"points": points, "reason_code": "goodwill"}
        shown = expect(await world.client.post(path, json=form, headers=cashier), 200)
        assert shown["needs_second_person"] == needed
    # Windows hold for the next order that somebody wants to move.
    settings = changed["settings"] | {"late_attach_days": 0, "manager_late_attach_days": 1}
    changed = expect(await change(world, manager, changed, settings=settings), 200)
    yesterday = (world.clock.now() - timedelta(hours=20)).isoformat()
    order = expect(await push(world, await world.pos_key(), sale(world, completed_at=yesterday)), 201)
    for staff, blocked in ((cashier, 1), (manager, 0)):
        answer = await world.client.post(
            f"/v1/staff/orders/{order['order_id']}/assignment/preview",
            json={"customer_id": str(ana.customer_id), "reason": "Forgot the card"},
            headers=staff,
        )
        assert len(expect(answer, 200)["blockers"]) == blocked
    # Nothing to change is no change.
    assert expect(await change(world, manager, changed, name="House points"), 200)["version"] == changed["version"]
    # What points were earned by stays for those who joined.
    fixed = await change(world, manager, changed, zone="Asia/Tokyo", currency="EUR")
    assert problem(fixed) == (400, "INVALID_REQUEST", ["zone", "currency"])


async def test_of_many_changes_at_once_one_is_made(world: World, manager: dict[str, str]) -> None:
    (programme,) = expect(await world.client.get(PATH, headers=manager), 200)["items"]
    answers = await asyncio.gather(*(change(world, manager, programme, name=f"Name {number}") for number in range(16)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 15
    made = await asyncio.gather(*(make(world, manager, name=f"Club {number}") for number in range(16)))
    assert sorted(answer.status_code for answer in made) == [201] + [409] * 15


async def test_a_closed_programme_takes_no_members_and_no_sales_and_keeps_what_is_there(
    world: World, manager: dict[str, str]
) -> None:
    ana, ben = await world.sign_up(), await world.sign_up("ben@shop.test")
    club = expect(await make(world, manager), 201)
    card = expect(await join(world, manager, ana.customer_id), 201)["card_number"]
    headers = await world.pos_key()
    sold = sale(world, card=card)
    expect(await push(world, headers, sold), 201)
    path = f"{PATH}/{club['id']}"
    shown = expect(await world.client.post(f"{path}/closing/preview", headers=manager), 200)
    assert (shown["members"], shown["points"], shown["vouchers"], shown["has_points_for_ever"]) == (1, 24, 0, False)
    form = {"reason": "The club has ended", "preview_hash": shown["preview_hash"]}
    # Sales go on while somebody looks; a change of the programme makes the preview stale.
    expect(await push(world, headers, sale(world, card=card)), 201)
    club = expect(await change(world, manager, club, name="The Club"), 200)
    assert problem(await world.client.post(f"{path}/closing", json=form, headers=manager))[1] == "PREVIEW_STALE"
    shown = expect(await world.client.post(f"{path}/closing/preview", headers=manager), 200)
    form["preview_hash"] = shown["preview_hash"]
    closed = expect(await world.client.post(f"{path}/closing", json=form, headers=manager), 200)
    assert closed["status"] == "closed"
    assert problem(await world.client.post(f"{path}/closing", json=form, headers=manager))[1] == "PREVIEW_STALE"
    answer = expect(await push(world, headers, sale(world, card=card)), 201)
    assert (answer["points"], answer["skipped_reason"]) == (0, "programme_inactive")
    # What a till puts right of a sale from before counts as it did.
    assert expect(await push(world, headers, sold | {"revision": 1, "number": "R-new"}), 201)["points"] == 24
    assert problem(await join(world, manager, ben.customer_id))[0] == 404
    assert await DB.fetch_value("select available from membership order by available desc limit 1") == 48
    reopened = {"version": closed["version"], "reason": "The club goes on"}
    assert expect(await world.client.post(f"{path}/opening", json=reopened, headers=manager), 200)["status"] == "active"
    assert problem(await world.client.post(f"{path}/opening", json=reopened, headers=manager))[1] == "VERSION_CONFLICT"
    assert expect(await push(world, headers, sale(world, card=card)), 201)["points"] == 24
    await assert_verified(world)


async def test_the_programme_that_members_join_stays_open(world: World, manager: dict[str, str]) -> None:
    (programme,) = expect(await world.client.get(PATH, headers=manager), 200)["items"]
    path = f"{PATH}/{programme['id']}/closing"
    shown = expect(await world.client.post(f"{path}/preview", headers=manager), 200)
    assert shown["warnings"]
    form = {"reason": "No more points", "preview_hash": shown["preview_hash"]}
    assert problem(await world.client.post(path, json=form, headers=manager))[:2] == (409, "PROGRAMME_DEFAULT")
