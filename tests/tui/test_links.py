"""POS records and tills at the desk, against the real service: linking, what is missing, and what tills told."""

from datetime import timedelta

import httpx

from server.db.engine import DB
from server.links import cycle, service
from shared.enums import Role
from shared.limits import LINK_POINTS_ALONE_MAX
from tests.app import World
from tests.ledgers import figures
from tests.server.links.shop import Till as Register
from tests.server.links.shop import links_of, record, run_checks, settled_record
from tests.tui.shop import a_till, choose, previewed


async def test_a_record_without_an_address_is_found_by_the_name_and_linked_by_what_was_seen(world: World) -> None:
    ana = await world.sign_up("ana@shop.test")
    await run_checks(world)
    till = await Register.of(world)
    await till.send(record("P-090211", email=None, family_name="Flores [@click=app.quit]x[/]"))
    await till.sell("P-090211")
    async with a_till(world, Role.MANAGER, size=(80, 24)) as desk:
        await desk.open("ana@shop.test")
        await desk.press("l")
        await desk.until(lambda: desk.page == "link")
        await desk.shows("P-090211", "nobody", "found by the name", "Flores [@click=app.quit]x[/]", "[yes]")
        await desk.shows("✗ Nothing ties the record to this customer: say how you know")
        await desk.press("ctrl+s")
        assert desk.page == "link"
        await choose(desk, "known_by", "i")
        await previewed(desk)
        await desk.shows("1 sale found, 1 will count: 12 points", "ana@shop.test is written onto the record")
        await desk.press("ctrl+s")
        await desk.shows("P-090211 is linked: 1 sale counts now, 12 points.", "12 points")
        assert await figures(ana.membership_id) == (12, 12, 0, 0)
        # What was wrong is ended with a look at what it takes back.
        await desk.press("L")
        await desk.until(lambda: desk.page == "links")
        await desk.shows("Ana Flores: linked")
        await desk.press("2", "enter")
        await desk.shows("P-090211", "by staff, who were sure", "saw an ID", "1 counted: 12 points")
        await desk.press("x")
        await desk.until(lambda: desk.page == "unlink")
        await choose(desk, "orders", "t")
        await desk.fill("reason", "not their record")
        await previewed(desk)
        await desk.shows("1 sale is taken back with 12 points")
        await desk.press("ctrl+s")
        await desk.shows("is no longer linked to Ana Flores. 12 points were taken back.", "over")
    assert await figures(ana.membership_id) == (0, 0, 0, 0)


async def test_a_record_of_somebody_else_names_them_and_many_points_need_a_second_person(world: World) -> None:
    till = await Register.of(world)
    await settled_record(world, till, "P-1")
    await world.sign_up("ana@shop.test")
    ben = await world.sign_up("ben@shop.test", given_name="Ben", family_name="Ode")
    await run_checks(world)
    await till.send(record("P-2", email=None, given_name="Ben", family_name="Ode"))
    await till.sell("P-2", lines=[{"line_id": "1", "net_minor": (LINK_POINTS_ALONE_MAX + 1) * 100}])
    async with a_till(world, Role.MANAGER, size=(130, 40)) as desk:
        await desk.open("ben@shop.test")
        await desk.press("l")
        await desk.until(lambda: desk.page == "link")
        await desk.shows("P-2")
        await desk.fill("record", "ana@")
        await desk.shows("P-1", "Ana Flores")
        await desk.press("tab", "enter")
        await desk.shows(
            "✗ This POS record is linked to a customer", "It is Ana Flores's. F9 merges the two", "F2 Open owner"
        )
        await desk.press("f9")
        await desk.until(lambda: desk.page == "merge")
        await desk.shows("Ana Flores", "Ben Ode")
        await desk.press("escape")
        await desk.until(lambda: desk.page == "link")
        await desk.fill("record", "P-2")
        await choose(desk, "known_by", "k")
        await desk.shows("Somebody else must approve this", "^S Ask for approval")
        await desk.press("ctrl+s")
        await desk.shows("Nothing has changed yet; somebody else must approve it")
        await desk.press("L", "2", "a")
        await desk.shows("This cannot be approved as things stand: You asked for this yourself")
    assert await figures(ben.membership_id) == (0, 0, 0, 0)
    async with a_till(world, Role.MANAGER, login="vera") as desk:
        await desk.shows("1 POS link waits for approval")
        desk.console.perform("app.tills")
        await desk.until(lambda: desk.page == "tills")
        await desk.press("4")
        await desk.shows("Ben Ode", "P-2 (till)", "Mara")
        await desk.press("enter")
        await desk.shows("customer knew the last purchase", "a approves it")
        await desk.press("a")
        await desk.until(lambda: desk.page == "reason")
        await desk.shows(f"1 sale found, 1 will count: {LINK_POINTS_ALONE_MAX + 1:,} points.")
        await desk.press("ctrl+s")
        await desk.shows(f"P-2 is linked: {LINK_POINTS_ALONE_MAX + 1:,} points.")


async def test_the_doctor_names_the_cause_and_enter_puts_it_right(world: World) -> None:
    ana = await world.sign_up("ana@shop.test", phone="+44 20 7946 0018")
    await run_checks(world)
    till = await Register.of(world)
    await till.send(record("P-7", email=None, phone="020 7946 0018", given_name="A."))
    async with a_till(world, Role.CASHIER, size=(80, 24)) as desk:
        await desk.open("ana@shop.test")
        await desk.press("L")
        await desk.shows("Ana Flores: not linked", "POS record P-7 (till) bears the customer's number.")
        await desk.press("x")
        await desk.shows("needs a manager")
        await desk.press("enter")
        await desk.until(lambda: desk.page == "link")
        await desk.scan(ana.card_number)
        await previewed(desk)
        await desk.press("ctrl+s")
        await desk.shows("P-7 is linked: 0 sales count now", "Nothing is missing that we know of")
    assert [name for name, *_ in await links_of(ana.customer_id)] == ["P-7"]


async def test_the_tills_page_shows_runs_what_was_set_aside_and_decides_matches(world: World) -> None:
    till = await Register.of(world)
    for name in ("d-1", "d-2"):
        await settled_record(world, till, name, email="dee@shop.test")
    dee = await world.sign_up("dee@shop.test", given_name="Dee", family_name="Ode")
    await settled_record(world, till, "p-1")
    await settled_record(world, till, "p-2", email="bea@shop.test")
    ana, bea = await world.sign_up("ana@shop.test"), await world.sign_up("bea@shop.test")
    await run_checks(world)
    async with DB.transaction():
        # The two are one person by now, whose records a merge brought together.
        await service.move_links(world.ctx, from_customer=bea.customer_id, to_customer=ana.customer_id)
    await cycle.run_due(world.tools)
    world.advance(timedelta(minutes=1))
    async with a_till(world, Role.MANAGER, size=(100, 30)) as desk:
        await desk.shows("2 POS matches to decide", "1 thing to do in a till")
        await desk.press("f6", "t")
        await desk.until(lambda: desk.page == "tills")
        await desk.shows("till (sends by itself): fetched", "done", "by itself")
        await desk.press("s")
        await desk.shows("Asked for: till. F5 shows what came.")
        await desk.press("2")
        await desk.shows("Nothing is set aside")
        await desk.press("5")
        await desk.shows("Ana Flores", "p-2 into p-1", "to do")
        await desk.press("enter")
        await desk.shows("In the till till, merge record p-2")
        await desk.press("d", "ctrl+s")
        await desk.shows("Written down as done.", "Nothing is left to do in a till.")
        await desk.press("6")
        await desk.shows("done by Mara")
        await desk.press("u")
        await desk.shows("It is to be done again: tab 5.")
        await desk.press("3")
        await desk.shows("Dee Ode", "several records bear the address")
        await desk.press("enter", "l")
        await desk.until(lambda: desk.page == "link")
        await previewed(desk)
        await desk.press("ctrl+s")
        await desk.shows("is linked")
    assert len(await links_of(dee.customer_id)) == 1


class LosesAnswers(httpx.AsyncBaseTransport):
    """A connection that breaks after the first link was made, before its answer arrives."""

    def __init__(self, world: World) -> None:
        self._inner = httpx.ASGITransport(app=world.app, client=("198.51.100.7", 40000))
        self._lost = 0
        self.keys: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if request.method == "POST" and request.url.path.endswith("/links"):
            self.keys.append(request.headers["Idempotency-Key"])
            if self._lost < 3:
                self._lost += 1
                raise httpx.ReadError("lost")
        return response


async def test_a_link_whose_answer_is_lost_is_made_once_and_its_form_stays(world: World) -> None:
    till = await Register.of(world)
    await till.send(record("P-1", email=None))
    ana = await world.sign_up("ana@shop.test")
    transport = LosesAnswers(world)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        world.client = client
        async with a_till(world, Role.MANAGER) as desk:
            await desk.open("ana@shop.test")
            await desk.press("l")
            await desk.until(lambda: desk.page == "link")
            await desk.shows("P-1")
            await choose(desk, "known_by", "i")
            await previewed(desk)
            await desk.press("ctrl+s")
            await desk.shows("We do not know if this was saved")
            assert desk.page == "link"
            await desk.press("ctrl+s")
            await desk.shows("P-1 is linked")
    assert len(await links_of(ana.customer_id)) == 1
    assert len(transport.keys) == 4
    assert len(set(transport.keys)) == 1


async def test_whoever_may_not_see_the_tills_is_told_who_may(world: World) -> None:
    async with a_till(world, Role.MARKETING) as desk:
        desk.console.perform("app.tills")
        await desk.shows("needs a cashier, manager or auditor")
        assert desk.page == "audience"
