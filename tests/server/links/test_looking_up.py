"""On the proof of an address its POS records are looked for: none, one, taken, several, new, and what then happens."""

from datetime import timedelta
from uuid import UUID

import pytest

from server.customers.suppression import Name, pos_name, suppress
from server.db.engine import DB
from server.db.ids import new_id
from server.links import checks, service, store
from server.links.cycle import run_due
from server.pos.protocol import Capability, Limited
from shared.links import PosRecord
from tests.app import World, expect
from tests.server.links.shop import (
    Till,
    balance_of,
    link,
    links_of,
    record,
    record_id,
    reviews_of,
    run_checks,
    settled_record,
    since,
    staff_post,
    state_of,
    wrong_rows,
)


async def test_one_free_record_is_linked_and_its_purchases_of_the_day_count_at_once(world: World) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "p-1", card_number="STAMP-77")
    early = world.clock.now() - timedelta(days=3)
    assert (await till.sell("p-1"))["skipped_reason"] == "customer_unknown"
    await till.sell("p-1", completed_at=early.isoformat())
    ana = await world.sign_up()
    await run_checks(world)
    assert await links_of(ana.customer_id) == [("p-1", "linked", "email")]
    assert await state_of(ana.customer_id) == "linked"
    assert await balance_of(ana) == 12
    orders = expect(await world.client.get("/v1/me/orders", headers=ana.headers), 200)["items"]
    assert [(one["points"], one["skipped_reason"]) for one in orders] == [(12, None), (0, "before_start")]
    assert (await till.sell("p-1"))["points"] == 12
    assert await balance_of(ana) == 24
    # The till's own card scans from now on, and nothing was held, as the address is an old one.
    assert await DB.fetch_value("select customer from card where code = 'STAMP77'") == ana.customer_id
    assert await DB.fetch_value("select redemption_held_until from customer where id = $1", ana.customer_id) is None
    assert any("purchases" in mail.subject for mail in await world.mails_to("ana@shop.test"))
    assert await wrong_rows(world) == []


async def test_nothing_of_a_record_reaches_an_account_before_the_address_is_proven(world: World) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "p-1")
    await till.sell("p-1")
    with_record = await world.request_sign_up("ana@shop.test")
    without = await world.request_sign_up("bea@shop.test")
    assert (with_record.status_code, with_record.content) == (without.status_code, without.content)
    await run_checks(world)
    assert await DB.fetch_value("select count(*) from pos_link") == 0
    assert await DB.fetch_value("select count(*) from orders where customer is not null") == 0


async def test_without_a_record_the_search_goes_on_and_a_record_that_comes_later_links(world: World) -> None:
    till = await Till.of(world)
    ana = await world.sign_up()
    await run_checks(world)
    assert await state_of(ana.customer_id) == "unlinked"
    # The clerk types the address onto the record: a day has to pass, and the points are held and old addresses told.
    await till.send(record("p-1", email="old@shop.test"))
    await till.send(record("p-1"))
    await run_checks(world)
    assert await state_of(ana.customer_id) == "waiting"
    assert await links_of(ana.customer_id) == []
    world.advance(timedelta(hours=23, minutes=59))
    await till.sell("p-1")
    await run_checks(world)
    assert await links_of(ana.customer_id) == []
    world.advance(timedelta(minutes=2))
    await till.send(record("p-9", email="someone@else.test"))
    await run_due(world.tools)
    assert await links_of(ana.customer_id) == [("p-1", "linked", "email")]
    assert await balance_of(ana) == 12
    held = await DB.fetch_value("select redemption_held_until from customer where id = $1", ana.customer_id)
    assert held == world.clock.now() + timedelta(hours=72)
    assert len(await world.mails_to("old@shop.test")) == 1


async def test_a_record_of_another_customer_is_left_to_them_and_a_person_is_asked(world: World) -> None:
    till = await Till.of(world)
    manager = await world.staff_headers("manager")
    p_1 = await settled_record(world, till, "p-1")
    ben = await world.sign_up("ben@shop.test", given_name="Ben")
    wish = {"record_id": str(p_1), "attestation": "saw_id"}
    expect(await link(world, manager, ben.customer_id, wish), 201)
    ana = await world.sign_up()
    await run_checks(world)
    assert await links_of(ana.customer_id) == []
    assert (await state_of(ana.customer_id), await reviews_of(ana.customer_id)) == ("needs_help", ["taken"])
    shown = expect(await world.client.get("/v1/staff/link-reviews", headers=manager), 200)["items"]
    assert [(one["customer_id"], one["other_customer_id"]) for one in shown] == [
        (str(ana.customer_id), str(ben.customer_id))
    ]
    path = f"/v1/staff/link-reviews/{shown[0]['id']}/settle"
    expect(await staff_post(world, manager, path, {"note": "They are mother and child."}), 204)
    assert await reviews_of(ana.customer_id) == []


@pytest.mark.parametrize("by", ["nothing", "card", "phone", "phone_of_both"])
async def test_of_several_records_a_card_or_number_singles_one_out(world: World, by: str) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "p-1", phone="+44 20 7946 0018", card_number=None)
    second_phone = "+44 20 7946 0018" if by == "phone_of_both" else None
    await settled_record(world, till, "p-2", phone=second_phone)
    fields = {"phone": "020 7946 0018"} if by.startswith("phone") else {}
    ana = await world.sign_up(**fields)
    if by == "card":
        await till.send(record("p-2", card_number=ana.card_number, **since(world)))
    await run_checks(world)
    linked = {"card": [("p-2", "linked", "card_and_email")], "phone": [("p-1", "linked", "phone_and_email")]}
    assert await links_of(ana.customer_id) == linked.get(by, [])
    expected = [] if by in linked else ["ambiguous", "ambiguous"]
    assert await reviews_of(ana.customer_id) == expected
    # A number alone never links.
    bea = await world.sign_up("bea@shop.test", phone="020 7946 0018")
    await run_checks(world)
    assert await links_of(bea.customer_id) == []


async def test_records_merged_in_the_till_stay_aliases_and_their_link_goes_along(world: World) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "p-1")
    ana = await world.sign_up()
    await run_checks(world)
    assert (await till.send(record("p-2", email=None, former_ids=["p-1", "p-0"])))["outcome"] == "new"
    assert await links_of(ana.customer_id) == [("p-2", "linked", "email")]
    for name in ("p-0", "p-1", "p-2"):
        assert (await till.sell(name))["points"] == 12, name
    # Another merge: whoever had the record keeps it, and the one who loses one is looked at by a person.
    await settled_record(world, till, "p-3", email="bea@shop.test")
    bea = await world.sign_up("bea@shop.test")
    await run_checks(world)
    await till.send(record("p-2", email=None, former_ids=["p-1", "p-0", "p-3"]))
    assert await links_of(bea.customer_id) == [("p-2", "ended", "email")] or await links_of(bea.customer_id) == [
        ("p-3", "ended", "email")
    ]
    assert await reviews_of(bea.customer_id) == ["merged_in_pos"]
    before = await balance_of(ana)
    await till.sell("p-3")
    assert await balance_of(ana) == before + 12


async def test_nobody_who_was_erased_comes_back_with_a_till_or_a_file(world: World) -> None:
    till = await Till.of(world)
    connection_id = await DB.fetch_value("select id from pos_connection")
    assert isinstance(connection_id, UUID)
    erased: list[Name] = [
        ("email", "gone@shop.test"),
        ("phone", "+442079460018"),
        ("pos", pos_name(connection_id, "p-9")),
    ]
    # The list names nobody, and an erasure is all that a row of it points at.
    await DB.fetch("alter table suppression drop constraint suppression_erasure_fkey")
    await suppress(world.ctx, new_id(), erased)
    assert (await till.send(record("p-1", email="Gone@shop.test")))["outcome"] == "kept_out"
    assert (await till.send(record("p-9", email=None)))["outcome"] == "kept_out"
    shared = await till.send(record("p-2", phone="020 7946 0018"))
    assert (shared["outcome"], shared["notes"]) == ("new", ["phone: of a person whose data was erased"])
    rows = await DB.fetch("select external_id, phone_key from pos_record")
    assert [tuple(row) for row in rows] == [("p-2", None)]


async def test_an_older_state_that_arrives_late_changes_nothing(world: World) -> None:
    till = await Till.of(world)
    now = world.clock.now()
    await till.send(record("p-1", email="new@shop.test", changed_at=now.isoformat()))
    late = record("p-1", email="old@shop.test", changed_at=(now - timedelta(hours=1)).isoformat())
    assert (await till.send(late))["outcome"] == "stale"
    assert (await till.send(record("p-1", email="new@shop.test")))["outcome"] == "unchanged"
    assert await DB.fetch_value("select email_key from pos_record") == "new@shop.test"
    odd = await till.send(record("p-2", email="no address", phone="x"))
    assert odd["notes"] == ["email: this is not an address", "phone: this is not a number"]
    assert await record_id("p-2")


class _ProvenMeanwhile(Limited):
    """A till system that is asked about a member while the member proves another address."""

    name = "slow"
    is_remote = True
    capabilities = frozenset({Capability.FIND_BY_EMAIL})

    def __init__(self, world: World, customer_id: UUID) -> None:
        self._world = world
        self._customer_id = customer_id

    async def find_by_email(self, email: str) -> tuple[PosRecord, ...]:
        self._world.advance(timedelta(seconds=1))
        async with DB.transaction():
            await service.ask_check(self._world.ctx, self._customer_id)
        return ()


async def test_what_is_proven_while_tills_are_asked_is_looked_for_too(world: World) -> None:
    till = await Till.of(world)
    await till.send(record("p-1", email="bea@shop.test"))
    ana = await world.sign_up()
    connection_id = await DB.fetch_value("select id from pos_connection")
    assert isinstance(connection_id, UUID)
    tills = {connection_id: _ProvenMeanwhile(world, ana.customer_id)}
    await checks.check_due(world.ctx, tills)
    assert await store.list_due(world.clock.now(), 10) == [ana.customer_id]


async def test_a_member_is_looked_for_under_a_new_address_as_soon_as_it_is_proven(world: World) -> None:
    till = await Till.of(world)
    await settled_record(world, till, "p-1", email="ana@new.test")
    await till.sell("p-1")
    ana = await world.sign_up()
    await run_checks(world)
    assert await links_of(ana.customer_id) == []
    body = {"new_email": "ana@new.test", "mode": "keep", "password": ana.password}
    expect(await world.client.post("/v1/me/email-changes", json=body, headers=ana.headers), 202)
    await run_checks(world)
    assert await links_of(ana.customer_id) == []
    token = (await world.mail_to("ana@new.test", purpose="email-change")).token
    expect(await world.client.post("/v1/email-changes/confirm", json={"token": token}), 200)
    await run_checks(world)
    assert await links_of(ana.customer_id) == [("p-1", "linked", "email")]
    assert await balance_of(ana) == 12
