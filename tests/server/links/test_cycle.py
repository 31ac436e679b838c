"""The exchange with a till system: what changed there is posted here once, however often and in whatever order it comes."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.context import Tools
from server.db.engine import DB
from server.links import checks, cycle, cycle_store, finding, service, store
from server.links.tills import open_tills
from server.links.writing import write_email
from server.pos.protocol import PosUnavailable
from shared.limits import CYCLE_LEASE
from tests.app import SignedUp, World, expect, open_world
from tests.server.links.shop import balance_of, link, links_of, run_checks, state_of, wrong_rows
from tests.standins.square import TOKEN, SquareStandIn, line, sign
from tests.tills import push, sale

HOOK_KEY = "the-signature-key-of-the-subscription"


@pytest.fixture
def square() -> Iterator[SquareStandIn]:
    with SquareStandIn() as square:
        yield square


@pytest.fixture
async def shop(database_url: str, data_dir: Path, square: SquareStandIn) -> AsyncIterator[World]:
    async with open_world(database_url, data_dir, **_settings(square)) as world:
        await world.add_store()
        yield world


def _settings(square: SquareStandIn) -> dict[str, Any]:
    return {
        "pos": "square",
        "square_access_token": TOKEN,
        "square_base_url": square.url,
        "square_locations": ("L1=high-street",),
        "square_hook_key": HOOK_KEY,
    }


async def run(world: World, cause: str = "clock") -> dict[str, Any]:
    """Run the exchange with Square and return its report."""
    await cycle.ask_cycle(connection="square", cause=cause)
    await run_checks(world)
    headers = await world.staff_headers("manager")
    cycles = expect(await world.client.get("/v1/staff/cycles", headers=headers), 200)
    report: dict[str, Any] = cycles["items"][0] | {"square": cycles["connections"][0]}
    return report


async def linked_member(world: World, square: SquareStandIn) -> SignedUp:
    square.state.put_customer(
        "C1", at=world.clock.now() - timedelta(days=60), given_name="Ana", email_address="ana@shop.test"
    )
    ana = await world.sign_up()
    await run_checks(world)
    assert await links_of(ana.customer_id) == [("C1", "linked", "email")]
    return ana


async def test_members_are_linked_as_soon_as_a_till_that_was_down_is_back(shop: World, square: SquareStandIn) -> None:
    for name in ("ana", "bea", "cyd"):
        old = shop.clock.now() - timedelta(days=60)
        square.state.put_customer(name, at=old, email_address=f"{name}@shop.test")
    square.state.is_down = True
    people = [await shop.sign_up(f"{name}@shop.test") for name in ("ana", "bea", "cyd")]
    await run_checks(shop)
    assert {await state_of(one.customer_id) for one in people} == {"checking"}
    mine = expect(await shop.client.get("/v1/me/link-doctor", headers=people[0].headers), 200)
    assert [one["cause"] for one in mine["findings"]] == ["checking"]
    # One who waits is asked about each time and no more, while they all wait longer and longer, up to six hours.
    for _ in range(12):
        shop.advance(timedelta(hours=1))
        calls = square.state.calls
        await cycle.check_members(shop.tools)
        assert square.state.calls == calls + 1
    times = [row["next_check_at"] for row in await DB.fetch("select next_check_at from link_check")]
    assert max(times) > shop.clock.now() + timedelta(hours=1)
    square.state.is_down = False
    shop.advance(timedelta(minutes=5))
    await cycle.check_members(shop.tools)
    assert [await state_of(one.customer_id) for one in people] == ["linked"] * 3
    # A refusal of one address, by itself again and again, keeps nobody else waiting.
    square.state.refused.add("odd@shop.test")
    square.state.put_customer("eve", at=shop.clock.now() - timedelta(days=60), email_address="eve@shop.test")
    odd, eve = await shop.sign_up("odd@shop.test"), await shop.sign_up("eve@shop.test")
    await run_checks(shop)
    assert [await state_of(one.customer_id) for one in (odd, eve)] == ["checking", "linked"]
    # Nor does a profile that cannot be read.
    for name in ("fay", "gus"):
        square.state.put_customer(name, at=shop.clock.now() - timedelta(days=60), email_address=f"{name}@shop.test")
    square.state.customers["fay"]["updated_at"] = "a while ago"
    fay, gus = await shop.sign_up("fay@shop.test"), await shop.sign_up("gus@shop.test")
    await run_checks(shop)
    assert [await state_of(one.customer_id) for one in (fay, gus)] == ["checking", "linked"]
    manager = await shop.staff_headers("manager")
    found = expect(await shop.client.get("/v1/staff/pos-records", params={"q": "fay@"}, headers=manager), 200)
    assert found["remote_failed"] == ["square"]
    square.state.put_customer("fay", at=shop.clock.now())
    # The exchange tells as well that the till is back.
    square.state.put_customer("dee", at=shop.clock.now() - timedelta(days=60), email_address="dee@shop.test")
    square.state.is_down = True
    dee = await shop.sign_up("dee@shop.test")
    await run_checks(shop)
    square.state.is_down = False
    await run(shop, "hook")
    assert await state_of(dee.customer_id) == "linked"
    # Those who wait are asked about in turn, so that it is found out by whoever is not refused.
    square.state.put_customer("hal", at=shop.clock.now() - timedelta(days=60), email_address="hal@shop.test")
    square.state.is_down = True
    shop.advance(timedelta(seconds=1))
    hal = await shop.sign_up("hal@shop.test")
    await run_checks(shop)
    square.state.is_down = False
    later = shop.clock.now() + timedelta(hours=6)
    await DB.fetch("update link_check set next_check_at = $1, tries = 10 where state = 'checking'", later)
    for _ in range(3):
        shop.advance(timedelta(minutes=6))
        await cycle.check_members(shop.tools)
    assert [await state_of(one.customer_id) for one in (odd, hal)] == ["checking", "linked"]


async def test_sales_changes_voids_and_returns_are_posted_and_told_in_the_report(
    shop: World, square: SquareStandIn
) -> None:
    ana = await linked_member(shop, square)
    now = shop.clock.now()
    coffee = {"customer_id": "C1", "state": "COMPLETED", "line_items": [line("a", 1000), line("b", 500)]}
    square.state.put_order("O1", at=now, **coffee)
    square.state.put_order("O2", at=now, **coffee)
    square.state.put_order("O3", at=now, **coffee, location_id="L1")
    square.state.put_order("OLD", at=now - timedelta(days=3), **coffee)
    square.state.put_order("ODD", at=now, **coffee | {"line_items": [line("a", 1000, quantity="many")]})
    square.state.put_order("OPEN", at=now, **coffee | {"state": "OPEN"})
    report = await run(shop)
    assert (report["state"], report["error"]) == ("done", None)
    figures = report["figures"]
    assert (figures["orders_fetched"], figures["orders_new"], figures["quarantined"]) == (6, 5, 1)
    assert (figures["points"], figures["skipped_before_start"], figures["skipped_open"]) == (45, 1, 1)
    assert await balance_of(ana) == 45
    later = now + timedelta(minutes=30)
    square.state.put_order("O1", at=later, line_items=[line("a", 2000)])
    square.state.put_order("O2", at=later, state="CANCELED")
    square.state.put_order("ODD", at=later, **coffee)
    back = {"source_order_id": "O3", "return_line_items": [{"quantity": "1", "source_line_item_uid": "b",
            "total_money": {"amount": 500, "currency": "GBP"}}]}  # fmt: skip
    square.state.put_order("R1", at=later, state="COMPLETED", line_items=[], returns=[back])
    shop.advance(timedelta(hours=1))
    report = await run(shop)
    assert (report["figures"]["orders_new"], report["figures"]["orders_changed"]) == (1, 2)
    assert (report["figures"]["refunds"], report["square"]["quarantined"]) == (1, 0)
    assert await balance_of(ana) == 20 + 10 + 15
    assert await wrong_rows(shop) == []


async def test_what_cannot_be_posted_is_set_aside_with_its_reason_and_tried_again(
    shop: World, square: SquareStandIn
) -> None:
    ana = await linked_member(shop, square)
    coffee = {"customer_id": "C1", "state": "COMPLETED", "line_items": [line("a", 1000)]}
    square.state.put_order("O1", at=shop.clock.now(), **coffee)
    square.state.put_order("AHEAD", at=shop.clock.now(), **coffee, closed_at="2026-03-02T10:20:00Z")
    dollars = [line("a", 1000, total_money={"amount": 1000, "currency": "USD"})]
    square.state.put_order("USD", at=shop.clock.now(), **coffee | {"line_items": dollars})
    await run(shop)
    assert await balance_of(ana) == 10
    headers = await shop.staff_headers("auditor")
    aside = expect(await shop.client.get("/v1/staff/quarantine", headers=headers), 200)["items"]
    assert {(one["external_id"], one["reason"]) for one in aside} == {
        ("AHEAD", "time_out_of_range"), ("USD", "currency_mismatch")
    }  # fmt: skip
    # Nothing of it has changed at the till, but time has gone on.
    shop.advance(timedelta(hours=1))
    assert (await run(shop))["figures"]["orders_new"] == 1
    assert await balance_of(ana) == 20


async def test_a_run_that_stops_half_way_goes_on_where_it_was(shop: World, square: SquareStandIn) -> None:
    ana = await linked_member(shop, square)
    square.state.page_size = 2
    for number in range(6):
        at = shop.clock.now() + timedelta(seconds=number)
        square.state.put_order(f"O{number}", at=at, customer_id="C1", state="COMPLETED", line_items=[line("a", 1000)])
    shop.advance(timedelta(minutes=1))
    # The customers' page, the page of orders, and then nothing more.
    broken = _Breaking(square, after=3)
    with broken:
        report = await run(shop)
    assert (report["state"], report["error"]) == ("failed", "/v2/orders/search: HTTP 500")
    assert report["square"]["last_success_at"] is None
    assert 0 < await balance_of(ana) < 60
    report = await run(shop)
    assert report["state"] == "done"
    assert await balance_of(ana) == 60
    assert await wrong_rows(shop) == []


class _Breaking:
    """Lets the account answer a few requests and then fail."""

    def __init__(self, square: SquareStandIn, *, after: int) -> None:
        self._state = square.state
        self._left = after

    def __enter__(self) -> None:
        self._answer = self._state.answer

        def answer(*arguments: Any) -> tuple[int, dict[str, Any]]:  # noqa: ANN401
            self._left -= 1
            return self._answer(*arguments) if self._left >= 0 else (500, {})

        self._state.answer = answer  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        self._state.answer = self._answer  # type: ignore[method-assign]


async def test_one_runner_at_a_time_and_another_after_it_has_died(shop: World, square: SquareStandIn) -> None:
    await linked_member(shop, square)
    square.state.put_order("O1", at=shop.clock.now(), state="COMPLETED", line_items=[line("a", 1000)])
    async with open_tills(shop.tools) as tills:
        (connection_id,) = tills
        ran = await asyncio.gather(
            *(cycle.run_cycle(shop.tools, connection_id, tills, cause="clock") for _ in range(4))
        )
        assert ran.count(True) >= 1
        assert await DB.fetch_value("select count(*) from orders") == 1
        # Somebody who died holds the lease until it lapses.
        now = shop.clock.now()
        await cycle_store.take_lease(connection_id, connection_id, until=now + CYCLE_LEASE, now=now)
        await cycle_store.begin_cycle(connection_id, cause="clock", now=now)
        assert not await cycle.run_cycle(shop.tools, connection_id, tills, cause="clock")
        shop.advance(CYCLE_LEASE)
        assert await cycle.run_cycle(shop.tools, connection_id, tills, cause="clock")
    states = [row["state"] for row in await DB.fetch("select state from pos_cycle order by started_at, id")]
    assert states[-2:] == ["failed", "done"]


async def test_a_webhook_wakes_the_exchange_once_and_only_if_it_is_signed(shop: World, square: SquareStandIn) -> None:
    ana = await linked_member(shop, square)
    square.state.put_order("O1", at=shop.clock.now(), customer_id="C1", state="COMPLETED", line_items=[line("a", 1000)])
    body = json.dumps({"event_id": "e-1", "type": "order.updated", "data": {"id": "O1"}}).encode()

    async def hook(signature: str) -> httpx.Response:
        headers = {"x-square-hmacsha256-signature": signature, "content-type": "application/json"}
        return await shop.client.post("/hooks/square", content=body, headers=headers)

    assert (await hook("")).status_code == 403
    assert (await hook(sign(body, key="another", address="https://rewards.test/hooks/square"))).status_code == 403
    assert await DB.fetch_value("select count(*) from pgqueuer where entrypoint = 'pos.cycle'") == 0
    good = sign(body, key=HOOK_KEY, address="https://rewards.test/hooks/square")
    assert [(await hook(good)).status_code for _ in range(2)] == [204, 204]
    assert await DB.fetch_value("select count(*) from pgqueuer where entrypoint = 'pos.cycle'") == 1
    assert await balance_of(ana) == 0
    await run_checks(shop)
    assert await balance_of(ana) == 10
    causes = [row["cause"] for row in await DB.fetch("select cause from pos_cycle order by started_at")]
    assert causes == ["hook"]


async def test_a_shop_without_square_takes_no_webhook_of_it(world: World) -> None:
    answer = await world.client.post("/hooks/square", json={"event_id": "e"})
    assert answer.status_code == 404


async def test_an_hour_later_it_runs_by_itself_and_a_day_without_success_is_told(
    shop: World, square: SquareStandIn
) -> None:
    await cycle.run_due(shop.tools)
    await cycle.run_due(shop.tools)
    assert await DB.fetch_value("select count(*) from pos_cycle") == 1
    shop.advance(timedelta(hours=1))
    await cycle.run_due(shop.tools)
    assert await DB.fetch_value("select count(*) from pos_cycle") == 2
    shop.advance(timedelta(hours=25))
    metrics = (await shop.client.get("/metrics")).text
    assert 'regulars_pos_success_age_seconds{connection="square"} 90000.0' in metrics
    headers = await shop.staff_headers("manager")
    cycles = expect(await shop.client.get("/v1/staff/cycles", headers=headers), 200)
    assert cycles["connections"][0]["is_late"] is True


async def test_a_member_who_buys_is_made_known_to_the_till_at_once_and_once(shop: World, square: SquareStandIn) -> None:
    square.state.hides_new = True
    ana, bea = await shop.sign_up(), await shop.sign_up("bea@shop.test")
    await run(shop)
    assert square.state.customers == {}
    key = await shop.pos_key(connection="square")
    for _ in range(2):
        expect(await push(shop, key, sale(shop, card=ana.card_number)), 201)
    # The wish is committed with the sale, once for both; while the till is down it is tried again by the queue.
    wishes = "select payload from pgqueuer where entrypoint = 'links.push_buyer'"
    (wish,) = await DB.fetch(wishes)
    square.state.is_down = True
    with pytest.raises(PosUnavailable):
        await checks.push_asked(shop.tools, wish["payload"])
    square.state.is_down = False
    await run_checks(shop)
    await checks.push_asked(shop.tools, wish["payload"])
    await run(shop)
    (made,) = square.state.customers.values()
    assert (made["reference_id"], made["email_address"]) == (str(ana.customer_id), "ana@shop.test")
    assert await links_of(ana.customer_id) == [(made["id"], "linked", "pushed")]
    assert await links_of(bea.customer_id) == []
    # Whom the till knows is not told of again; one of a batch is, as any other.
    many = {"orders": [sale(shop, card=one.card_number) for one in (ana, bea, bea)]}
    expect(
        await shop.client.post(
            "/v1/pos/orders/batch", json=many, headers=key | {"Idempotency-Key": "batch-of-three-sales"}
        ),
        200,
    )
    assert len(await DB.fetch(wishes)) == 1
    await run_checks(shop)
    assert [method for _, _, method in await links_of(bea.customer_id)] == ["pushed"]
    # What a person took away from somebody is not given back by their next purchase.
    link_id = await DB.fetch_value("select id from pos_link where customer = $1", ana.customer_id)
    assert isinstance(link_id, UUID)
    taken = await store.get_link(link_id)
    assert taken is not None
    async with DB.transaction():
        await service.end_link(shop.ctx, taken, take_back_orders=False, reason="another Ana")
    expect(await push(shop, key, sale(shop, card=ana.card_number)), 201)
    await run_checks(shop)
    assert await links_of(ana.customer_id) == [(made["id"], "ended", "pushed")]


async def test_a_record_that_is_there_already_is_not_made_again_but_matched_like_any_other(
    shop: World, square: SquareStandIn
) -> None:
    ana = await shop.sign_up()
    await run(shop)
    # Somebody has made a profile in the till since: its address is new, so it has to be on it for a day.
    square.state.put_customer("C1", at=shop.clock.now(), given_name="Ana", email_address="ana@shop.test")
    key = await shop.pos_key(connection="square")
    expect(await push(shop, key, sale(shop, card=ana.card_number)), 201)
    await run_checks(shop)
    assert list(square.state.customers) == ["C1"]
    assert (await links_of(ana.customer_id), await state_of(ana.customer_id)) == ([], "waiting")
    shop.advance(timedelta(hours=25))
    await cycle.run_due(shop.tools)
    assert await links_of(ana.customer_id) == [("C1", "linked", "email")]


async def test_till_names_that_the_database_cannot_hold_stop_nothing(shop: World, square: SquareStandIn) -> None:
    names = ["nul \x00 here", "half \ud83d a face", r"C:\u0000", r"\\ud83d", "whole \U0001f600"]
    lines = [line(str(number), 1000, name=name) for number, name in enumerate(names)]
    square.state.put_order("O1", at=shop.clock.now(), state="COMPLETED", line_items=lines)
    square.state.put_customer("C1", at=shop.clock.now(), given_name="A\x00na", email_address="ana@shop.test")
    square.state.put_customer("C2", at=shop.clock.now(), given_name="Be\ud83d", email_address="bea@shop.test")
    report = await run(shop)
    assert (report["state"], report["figures"]["customers_new"]) == ("done", 2)
    kept = await DB.fetch("select description from order_line order by line_id")
    assert [row["description"] for row in kept] == ["nul  here", "half  a face", *names[2:]]


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 10**6))
async def test_any_order_of_pages_any_number_of_runs_come_to_the_same_sums(
    shop: World, square: SquareStandIn, seed: int
) -> None:
    chance = random.Random(seed)
    email = f"m{seed}-{chance.random()}@shop.test"
    square.state.put_customer(f"C{seed}", at=shop.clock.now() - timedelta(days=60), email_address=email)
    member = await shop.sign_up(email)
    await run_checks(shop)
    shop.advance(timedelta(seconds=2))
    names = [f"{seed}-{chance.random()}" for _ in range(6)]
    expected = 0
    for name in names:
        amount, state = chance.randrange(100, 5000), chance.choice(["OPEN", "COMPLETED", "COMPLETED", "CANCELED"])
        square.state.put_order(
            name, at=shop.clock.now() - timedelta(seconds=chance.randrange(3600)), customer_id=f"C{seed}", state=state,
            line_items=[line("a", amount)], closed_at="2026-03-02T10:00:00.000Z",
        )  # fmt: skip
        expected += amount // 100 if state == "COMPLETED" else 0
    square.state.page_size = chance.choice([1, 2, 100])
    again = msgspec.json.encode(cycle.RunCycle(connection="square"))
    for _ in range(3):
        await cycle.run_asked(shop.tools, again)
        # From the beginning, and as if nothing had ever been fetched.
        await DB.fetch("update pos_state set orders_until_at = null, customers_until_at = null")
        if chance.random() < 0.5:
            await DB.fetch("delete from pos_staged")
        for name in chance.sample(names, 3):
            # A new place among the changes, with nothing changed.
            square.state.orders[name]["updated_at"] = f"2026-03-02T10:{chance.randrange(10, 59)}:00.000Z"
    assert await balance_of(member) == expected
    assert await wrong_rows(shop) == []


async def test_staff_find_what_only_the_till_knows_and_put_the_proven_address_there(
    shop: World, square: SquareStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "POS_SEARCH_SECONDS", 60.0)
    square.state.put_customer("C1", at=shop.clock.now(), given_name="Ana", phone_number="+442079460018")
    ana = await shop.sign_up()
    await run_checks(shop)
    manager = await shop.staff_headers("manager")
    found = expect(await shop.client.get("/v1/staff/pos-records", params={"q": "946 0018"}, headers=manager), 200)
    assert [(one["external_id"], one["connection"]) for one in found["items"]] == [("C1", "square")]
    wish = {"record_id": found["items"][0]["id"], "attestation": "saw_id", "write_email": True}
    expect(await link(shop, manager, ana.customer_id, wish), 201)

    async def write(tools: Tools, payload: bytes) -> None:
        await write_email(tools, payload)

    shop.jobs["links.write_email"] = write
    await shop.run_jobs()
    await shop.run_jobs()
    assert (square.state.customers["C1"]["email_address"], square.state.customers["C1"]["version"]) == (
        "ana@shop.test",
        1,
    )
    square.state.failures.extend([500] * 3)
    silent = expect(await shop.client.get("/v1/staff/pos-records", params={"q": "946 0018"}, headers=manager), 200)
    assert (silent["remote_failed"], len(silent["items"])) == (["square"], 1)
