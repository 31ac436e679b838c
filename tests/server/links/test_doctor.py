"""Why are my purchases missing: the cause, and what puts it right; a member learns nothing of records not proven theirs."""

from datetime import timedelta

from server.db.engine import DB
from server.links import cycle
from tests.app import SignedUp, World, expect
from tests.server.links.shop import Till, links_of, record, record_id, run_checks, settled_record, staff_post
from tests.tills import sale


async def causes(world: World, member: SignedUp) -> list[tuple[str, str | None]]:
    """Return causes and fixes as staff see them."""
    headers = await world.staff_headers()
    path = f"/v1/staff/customers/{member.customer_id}/link-doctor"
    found = expect(await world.client.get(path, headers=headers), 200)["findings"]
    return [(one["cause"], one["fix"] and one["fix"]["action"]) for one in found]


async def mine(world: World, member: SignedUp) -> bytes:
    return (await world.client.get("/v1/me/link-doctor", headers=member.headers)).content


async def test_a_record_without_an_address_is_offered_to_staff_by_number_card_and_name(world: World) -> None:
    till = await Till.of(world)
    ana = await world.sign_up(phone="+44 20 7946 0018")
    await run_checks(world)
    assert await causes(world, ana) == [("no_record", None)]
    await till.send(record("by-phone", email=None, phone="020 7946 0018", given_name="A."))
    await till.send(record("by-name", email=None))
    await till.send(record("by-card", email=None, given_name="", family_name="", card_number=ana.card_number))
    await till.send(record("not-this", email="ana.flores@else.test"))
    headers = await world.staff_headers("manager")
    path = f"/v1/staff/customers/{ana.customer_id}/link-doctor"
    findings = expect(await world.client.get(path, headers=headers), 200)["findings"]
    offered = [one["fix"]["record_id"] for one in findings if one["cause"] == "likely_record"]
    assert offered == [str(await record_id(name)) for name in ("by-card", "by-phone", "by-name")]
    # One key: what the fix names is what the command takes.
    wish = {"record_id": offered[0], "attestation": "saw_id"}
    links = f"/v1/staff/customers/{ana.customer_id}/links"
    shown = expect(await world.client.post(f"{links}/preview", json=wish, headers=headers), 200)
    expect(await staff_post(world, headers, links, wish | {"preview_hash": shown["preview_hash"]}), 201)
    assert await causes(world, ana) == []


async def test_the_members_answer_is_the_same_whatever_records_there_are(world: World) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "d-1", email="dee@shop.test")
    await settled_record(world, till, "d-2", email="dee@shop.test")
    await till.send(record("w-1", email="wim@shop.test"))
    none, several, new = [await world.sign_up(f"{name}@shop.test") for name in ("ana", "dee", "wim")]
    await run_checks(world)
    staff = [await causes(world, member) for member in (none, several, new)]
    assert [found[0][0] for found in staff] == ["no_record", "ambiguous", "address_new"]
    assert staff[1] == [("ambiguous", "decide"), ("ambiguous", "decide")]
    answers = {await mine(world, member) for member in (none, several, new)}
    assert len(answers) == 1
    assert b"not_found" in answers.pop()


async def test_purchases_that_did_not_count_say_why_and_a_late_till_is_told(world: World) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "p-1")
    early = (world.clock.now() - timedelta(days=2)).isoformat()
    for _ in range(2):
        await till.sell("p-1", completed_at=early)
    await till.sell("p-1", lines=[{"line_id": "1", "net_minor": 5000, "stored_value": True}])
    ana = await world.sign_up()
    await run_checks(world)
    await cycle.run_due(world.tools)
    assert await causes(world, ana) == [("before_start", None), ("stored_value", None)]
    world.advance(timedelta(hours=25))
    assert (await causes(world, ana))[0] == ("not_synced", "sync")
    tokens = expect(await world.sign_in("ana@shop.test"), 201)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    found = expect(await world.client.get("/v1/me/link-doctor", headers=headers), 200)["findings"]
    assert [(one["cause"], one["orders"]) for one in found] == [
        ("not_synced", 0), ("before_start", 2), ("stored_value", 1)
    ]  # fmt: skip
    manager = await world.staff_headers("manager")
    expect(await world.client.post("/v1/staff/cycles", json={"connection": "till"}, headers=manager), 202)
    assert (await world.client.post("/v1/staff/cycles", json={"connection": "no"}, headers=manager)).status_code == 400
    await run_checks(world)
    assert (await causes(world, ana))[0] == ("before_start", None)


async def test_the_built_in_directory_keeps_whoever_buys_and_gives_way_to_the_tills_own_record(world: World) -> None:
    till = await Till.of(world)
    await till.send(record("someone", email="someone@shop.test"))
    ana = await world.sign_up()
    await till.post("/v1/pos/orders", sale(world, card=ana.card_number))
    for _ in range(2):
        await cycle.run_due(world.tools)
        world.advance(timedelta(hours=1))
    assert await links_of(ana.customer_id) == [(str(ana.customer_id), "linked", "pushed")]
    await settled_record(world, till, "p-1")
    await till.sell("p-1")
    await run_checks(world)
    assert await links_of(ana.customer_id) == [
        (str(ana.customer_id), "ended", "pushed"), ("p-1", "linked", "email")
    ]  # fmt: skip
    assert (await till.sell(str(ana.customer_id)))["points"] == 12
    assert await DB.fetch_value("select count(*) from pos_record where merged_into is not null") == 1
