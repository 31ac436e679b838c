"""What a shop sees when one person has several accounts, records and addresses, told from beginning to end."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from server.db.engine import DB
from shared.enums import Role
from tests.app import World, expect, problem
from tests.ledgers import assert_verified, credit, figures
from tests.server.links.shop import Till, link, links_of, record, record_id, run_checks, since
from tests.server.merges.desk import MergeDesk
from tests.server.privacy.desk import forget
from tests.server.rewards.builders import Counter
from tests.tills import push, sale


async def test_of_several_till_customers_with_an_address_the_one_whom_the_till_knows_becomes_the_member(
    world: World,
) -> None:
    desk, till = await MergeDesk.open(world), await Till.of(world)
    form = {"given_name": "Ana", "email": "ana@shop.test"}
    first = expect(await desk.post("/v1/staff/customers", form), 201)
    world.advance(timedelta(minutes=5))
    second = expect(await desk.post("/v1/staff/customers", form | {"is_another_person": True}), 201)
    await till.send(record("p-1", email=None))
    await till.sell("p-1")
    wish = {"record_id": str(await record_id("p-1")), "attestation": "saw_id"}
    expect(await link(world, desk.headers, UUID(second["id"]), wish), 201)
    await desk.buy(first["card_number"], 30)
    ana = await world.sign_up("ana@shop.test")
    assert str(ana.customer_id) == second["id"]
    assert (await figures(ana.membership_id))[0] == 12
    # The other one stays for staff to merge, with its points.
    world.advance(timedelta(hours=73))
    desk.headers = await world.staff_headers("manager")
    done = await desk.merged(ana.customer_id, first["id"])
    assert done["effect"]["available_after"] == 42
    await assert_verified(world)


async def test_nobody_sheds_a_debt_or_a_till_record_by_being_merged_and_all_of_it_comes_back(world: World) -> None:
    desk, till = await MergeDesk.open(world), await Till.of(world)
    ana = await world.sign_up("ana@shop.test")
    await till.send(record("p-1", **since(world)))
    await run_checks(world)
    await credit(world, ana.membership_id, 100, days=30)
    other = await desk.register("Anna")
    await till.send(record("p-2", email=None))
    await till.sell("p-2")
    wish = {"record_id": str(await record_id("p-2")), "attestation": "saw_id"}
    expect(await link(world, desk.headers, UUID(other["id"]), wish), 201)
    owed = await desk.buy(other["card_number"], 50)
    # Anna has spent what she earned, and then brings the goods back.
    path, points = f"/v1/staff/customers/{other['id']}/adjustments", {"points": -62, "reason_code": "goodwill"}
    shown = expect(await desk.post(f"{path}/preview", points), 200)
    expect(await desk.post(path, points | {"preview_hash": shown["preview_hash"]}), 201)
    await desk.refund(owed["external_id"], 5_000)
    assert (await figures(UUID(other["membership_id"])))[3] == 50
    # What was linked on somebody's word is not moved for three days.
    world.advance(timedelta(hours=73))
    desk.headers = await world.staff_headers("manager")
    done = await desk.merged(ana.customer_id, other["id"])
    # Her debt is paid by the points of both; both records of one till stay linked.
    assert await figures(ana.membership_id) == (50, 50, 0, 0)
    assert [one[0] for one in await links_of(ana.customer_id)] == ["p-1", "p-2"]
    shown = await desk.customer(other["id"])
    assert (shown["id"], shown["merged_from"]) == (str(ana.customer_id), [other["id"]])
    sold = await till.sell("p-2")
    assert (sold["points"], (await figures(ana.membership_id))[0]) == (12, 62)
    expect(await desk.unmerge(done["id"]), 200)
    # The debt goes back in full, with what paid it; the sale since the merge stays.
    assert (await figures(ana.membership_id))[0] == 112
    assert (await figures(UUID(other["membership_id"])))[3] == 50
    assert [one[0] for one in await links_of(ana.customer_id)] == ["p-1"]
    assert (await desk.customer(other["id"]))["id"] == other["id"]
    await assert_verified(world)


async def test_what_stands_against_a_merge_is_told_one_thing_after_the_other(world: World) -> None:
    ana, ben = await world.sign_up("ana@shop.test"), await world.sign_up("ben@shop.test")
    desk = await MergeDesk.open(world)
    stub = await desk.register("Anna")
    await credit(world, ana.membership_id, 500)
    wish = {"new_email": "new@shop.test", "mode": "keep", "password": ana.password}
    asked = await desk.post("/v1/me/email-changes", wish, headers=ana.headers)
    expect(asked, 202)
    await DB.fetch("update customer set kind = 'business' where id = $1", UUID(stub["id"]))
    manager = await world.staff_headers(Role.MANAGER)
    terms = {
        "version": 0, "step_points": 1, "step_minor": 1, "cap_percent": 100, "minimum_points": 1, "card_daily_points": 200,
        "restore_grace_days": 30,
    }  # fmt: skip
    expect(await world.client.put("/v1/staff/redemption-terms", json=terms, headers=manager), 200)
    hold = {
        "card_number": ana.card_number, "points": 100, "store": "high-street", "order_reference": "cart-1",
        "order_total_minor": 4_250, "currency": "GBP",
    }  # fmt: skip
    held = expect(await desk.post("/v1/pos/holds", hold, headers=desk.key), 201)

    async def told(**choices: object) -> tuple[int, str]:
        body = desk.wish(ana.customer_id, stub["id"], **choices) | {"preview_hash": "0" * 64}
        return problem(await desk.post("/v1/staff/merges", body))[:2]

    assert problem(await desk.post("/v1/staff/merges", desk.wish(ana.customer_id, ana.customer_id)))[1] == "MERGE_SAME"
    assert await told() == (409, "OPEN_HOLD")
    expect(await desk.post(f"/v1/pos/holds/{held['id']}/release", None, headers=desk.key), 200)
    assert await told() == (409, "EMAIL_CHANGE_PENDING")
    assert await told(cancel_email_changes=True) == (409, "MERGE_KIND_MISMATCH")
    await DB.fetch("update customer set kind = 'person' where id = $1", UUID(stub["id"]))
    expect(await desk.combine(stub["membership_id"], ben.membership_id), 201)
    assert await told(cancel_email_changes=True) == (409, "MERGE_SHARED")
    choices = {"cancel_email_changes": True, "shared_membership": "combine"}
    assert await told(**choices) == (409, "PREVIEW_STALE")
    done = await desk.merged(ana.customer_id, stub["id"], **choices)
    assert done["state"] == "done"
    assert await told() == (409, "CUSTOMER_MERGED")
    home = await DB.fetch_value(
        "select membership from membership_person where customer = $1 and left_at is null", ana.customer_id
    )
    assert home == UUID(stub["membership_id"])
    assert (await figures(home))[0] == 500
    await assert_verified(world)


async def test_a_record_with_nearly_the_customers_address_says_so_and_one_that_is_linked_says_to_whom(
    world: World,
) -> None:
    desk, till = await MergeDesk.open(world), await Till.of(world)
    ana, ben = await world.sign_up("ana@shop.test"), await world.sign_up("ben@shop.test", given_name="Ben")
    await till.send(record("near", email="anna@shop.test"))
    await till.send(record("far", email="somebody.else@shop.test"))

    async def shown(customer_id: UUID, name: str) -> dict[str, object]:
        body = {"record_id": str(await record_id(name)), "attestation": "saw_id"}
        path = f"/v1/staff/customers/{customer_id}/links/preview"
        seen: dict[str, object] = expect(await world.client.post(path, json=body, headers=desk.headers), 200)
        return seen

    assert "correct the address first" in str((await shown(ana.customer_id, "near"))["warnings"])
    assert "may be two people" in str((await shown(ana.customer_id, "far"))["warnings"])
    expect(await link(world, desk.headers, ana.customer_id, {"record_id": str(await record_id("near")), "attestation": "saw_id"}), 201)  # fmt: skip
    found = expect(await world.client.get("/v1/staff/pos-records", params={"q": "near"}, headers=desk.headers), 200)[
        "items"
    ]
    assert [(one["customer_id"], bool(one["linked_at"])) for one in found] == [(str(ana.customer_id), True)]
    assert (await shown(ana.customer_id, "near"))["blockers"] == ["They are linked since 2 March 2026."]
    assert (await shown(ben.customer_id, "near"))["blockers"] == ["LINK_TAKEN"]
    # Nothing of it reaches the other one, whatever the till says.
    expect(await till.post("/v1/pos/orders", sale(world, customer={"pos_customer_id": "near"})), 201)
    assert (await figures(ben.membership_id))[0] == 0
    assert (await figures(ana.membership_id))[0] == 12


async def test_goods_of_somebody_who_was_forgotten_come_back_and_nobody_is_left_who_owes_points(world: World) -> None:
    ana = await world.sign_up("ana@shop.test")
    desk = await MergeDesk.open(world)
    sold = await desk.buy(ana.card_number, 40)
    await forget(world, ana)
    returned = await desk.refund(sold["external_id"], 1_000)
    assert returned["points_taken"] == 10
    assert await figures(ana.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_points_that_paid_do_not_come_back_to_somebody_who_was_forgotten(world: World) -> None:
    counter, desk = await Counter.open(world, card_daily_points=100_000), await MergeDesk.open(world)
    returned, voided = await _pay_with_points(world, counter), await _pay_with_points(world, counter)
    await forget(world, counter.member)
    assert (await desk.refund(returned["external_id"], 4_000))["points_restored"] == 0
    expect(await push(world, counter.key, voided | {"state": "voided"}), 201)
    assert await figures(counter.member.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def _pay_with_points(world: World, counter: Counter) -> dict[str, Any]:
    sold = sale(world, card=counter.member.card_number, lines=[{"line_id": "1", "net_minor": 4_000}])
    hold = expect(await counter.hold(200, total=4_000), 201)
    expect(await push(world, counter.key, sold), 201)
    expect(await counter.capture(hold, sale=sold["external_id"]), 200)
    return sold
