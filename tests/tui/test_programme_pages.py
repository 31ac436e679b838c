"""Managers and the programme: reading rules, writing, trying and publishing them, settings, further programmes."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from shared.enums import Role
from shared.programmes import RulesPreview, RulesProposal
from tests.app import World, expect
from tests.tills import push, sale
from tests.tui.desk import Till, signed_in
from tests.tui.fake import NOW, FakeService
from tests.tui.shop import a_till
from tui.actions import BY_ID
from tui.widgets.line_list import LineList
from tui.widgets.text_box import TextBox

HOSTILE = "Spring [@click=app.quit()]x[/] \x9b31m"


async def sell(world: World, card: str, count: int = 1, *, days: int = 0) -> list[int]:
    """Sell to a member, and let days go by after each sale; return what the sales earned."""
    key = await world.pos_key()
    earned = []
    for _ in range(count):
        answer = expect(await push(world, key, sale(world, card=card)), 201)
        earned.append(answer["points"])
        world.advance(timedelta(days=days))
    return earned


async def ana(world: World) -> str:
    """Let Ana join and return her card."""
    return (await world.sign_up()).card_number


async def open_programme(till: Till) -> None:
    await till.press("f8")
    await till.shows("1 point for every 1.00 GBP")
    await till.press("enter")
    await till.until(lambda: till.page == "programme")
    await till.shows("Lapse")


async def programme_id(world: World, manager: dict[str, str]) -> UUID:
    listed = expect(await world.client.get("/v1/staff/programmes", headers=manager), 200)
    return UUID(listed["items"][0]["id"])


async def publish(world: World, **rules: Any) -> None:  # noqa: ANN401 - the fields of the rules
    """Publish rules as a colleague would."""
    manager = await world.staff_headers(Role.MANAGER)
    path = f"/v1/staff/programmes/{await programme_id(world, manager)}/rules"
    body = {"rules": {"points": 1, "per_minor": 100, **rules}}
    since = (world.clock.now() - timedelta(days=1)).isoformat()
    preview = expect(await world.client.post(f"{path}/preview", json=body | {"since": since}, headers=manager), 200)
    published = body | {"reason": "a colleague's", "preview_hash": preview["preview_hash"]}
    key = {"Idempotency-Key": f"colleague-{preview['preview_hash']}"}
    expect(await world.client.post(path, json=published, headers=manager | key), 201)


async def test_rules_are_written_tried_on_past_sales_and_published(world: World) -> None:
    card = await ana(world)
    assert await sell(world, card, 3, days=20) == [12, 12, 12]
    async with a_till(world, size=(80, 24)) as till:
        await open_programme(till)
        await till.press("e")
        await till.until(lambda: till.page == "rules")
        await till.fill("points", "many")
        await till.press("ctrl+s")
        await till.shows("Type a whole number.", "One field needs another look.")
        await till.fill("points", "2")
        await till.fill("categories", "coffee; bakery 0 %")
        await till.fill("expiry", "31.13.")
        await till.press("ctrl+s")
        await till.shows("“coffee” is not like books 200 %", "2 fields need another look.")
        await till.fill("expiry", "never")
        await till.fill("sign_up", "9999999")
        await till.fill("categories", "coffee 200 %; bakery 0 %")
        await till.press("ctrl+s")
        await till.shows("Expected a number <= 1000000.")
        await till.fill("sign_up", "0")
        await till.fill("categories", "coffee 200 %; bakery 0 %")
        await till.press("ctrl+s")
        await till.until(lambda: till.page == "trial")
        # Coffee of 8.34 at four points for each 1.00, bread at none: 33 for each of three sales, where 12 were given.
        await till.shows("instead of 36 points (+63, worth 0.63 GBP more)", "3 of 3", "2026-03", "2026-04")
        await till.press("ctrl+s")
        await till.shows("Say why, in a few words")
        assert await sell(world, card) == [12], "nothing is in force before it is published"
        await till.fill("reason", "more for coffee")
        await till.press("ctrl+s")
        await till.until(lambda: till.page == "programme")
        await till.shows("Version 2 is published, in force now.", "2 points per 1.00 GBP, no points on bakery")
        assert await sell(world, card) == [33]
        await till.press("2", "enter")
        await till.shows("Money: 1 point for every", "Category coffee: – → double points", "Mara")


async def test_rules_are_edited_as_text_and_nothing_is_lost_when_they_are_refused(world: World) -> None:
    async with a_till(world) as till:
        await open_programme(till)
        await till.press("e")
        await till.until(lambda: till.page == "rules")
        await till.fill("visit_points", "7")
        await till.press("ctrl+y")
        await till.until(lambda: till.page == "rules-text")
        box = till.console.screen.query_one("#text", TextBox)
        assert '"visit_points": 7' in box.text
        promotion = {"code": "spring", "name": HOSTILE, "percent": "double", "stores": ["nowhere"]}
        body = msgspec.json.decode(box.text) | {"promotions": [promotion]}
        box.text = msgspec.json.encode(body).decode()
        await till.press("ctrl+s")
        await till.shows("promotions[0].percent: Expected `int`, got `str`.", "Nothing was taken over")
        box.text = msgspec.json.encode(body | {"promotions": [promotion | {"percent": 200}]}).decode()
        await till.press("ctrl+s")
        await till.until(lambda: till.page == "rules")
        await till.press("ctrl+s")
        # What only the service knows comes back to the form, which is as it was.
        await till.shows("promotions[0].name: This text holds control", "Spring [@click=app.quit()]x[/] ·31m")
        for wrong, right, told in (
            ("\\u009b31m", "", "promotions[0].stores[0]: We do not know this store."),
            ("nowhere", "high-street", ""),
        ):
            assert till.console.screen.text("visit_points") == "7"
            await till.press("ctrl+y")
            await till.until(lambda: till.page == "rules-text")
            box = till.console.screen.query_one("#text", TextBox)
            assert wrong in box.text
            box.text = box.text.replace(wrong, right)
            await till.press("ctrl+s")
            await till.until(lambda: till.page == "rules")
            await till.press("ctrl+s")
            await till.shows(told)
        await till.until(lambda: till.page == "trial")
        await till.shows("No sale of a member in these days.", "gives 0 of them, worth 0.00 GBP")
        await till.fill("reason", "spring is here")
        await till.press("ctrl+s")
        await till.shows("Version 2 is published", "1 promotion")
        await till.press("1")
        await till.shows("Promotion Spring", "double points, in high-street")


async def test_giving_less_must_be_confirmed_and_an_old_version_can_be_brought_back(world: World) -> None:
    card = await ana(world)
    await publish(world, points=3)
    world.advance(timedelta(seconds=1))
    assert await sell(world, card, 2) == [37, 37]
    world.advance(timedelta(seconds=1))
    async with a_till(world) as till:
        await till.press("f8", "enter")
        await till.shows("3 points for every")
        await till.press("b")
        await till.shows("choose a version first (2)")
        await till.press("2", "down", "b")
        await till.until(lambda: till.page == "trial")
        await till.shows("Try version 1 again", "Would have given 24 instead of 74 points (-50")
        await till.fill("reason", "too much")
        await till.press("ctrl+s")
        await till.shows("DANGER", "Members get less: 24 instead of 74 points")
        await till.press("escape")
        await till.shows("Nothing was changed.")
        await till.press("ctrl+s")
        await till.shows("DANGER")
        await till.press("y", "e", "s", "ctrl+s")
        await till.shows("Version 3 is published, in force now.")
        assert await sell(world, card) == [12]


async def test_rules_that_a_colleague_changed_meanwhile_are_tried_again(world: World) -> None:
    card = await ana(world)
    async with a_till(world) as till:
        await open_programme(till)
        await till.press("e")
        await till.until(lambda: till.page == "rules")
        await till.fill("points", "5")
        await till.press("ctrl+s")
        await till.until(lambda: till.page == "trial")
        await till.shows("No sale of a member")
        await till.fill("reason", "for summer")
        await publish(world, points=2)
        await till.press("ctrl+s")
        await till.shows("Something changed since you looked. It is asked for again")
        await till.shows("! Sam Till published version 2 since you began. These rules replace it.")
        assert till.page == "trial"
        assert till.console.screen.text("reason") == "for summer"
        # And from a day on: another beginning is another preview.
        await till.fill("begins", "1.1.2199")
        await till.press("ctrl+s")
        await till.shows("This is too far ahead.")
        day = world.clock.now() + timedelta(days=10)
        await till.fill("begins", f"{day:%d.%m.%Y} 6:00")
        await till.press("ctrl+s")
        await till.shows("Read what it would have given, then Ctrl+S again.")
        await till.until(lambda: not till.console.waits)
        await till.press("ctrl+s")
        await till.shows("DANGER", "Sam Till published version 2 since you began.")
        await till.press("y", "e", "s", "ctrl+s")
        await till.shows("Version 3 is published, in force from", "! version 3 begins")
        assert await sell(world, card) == [24]
        world.advance(timedelta(days=11))
        assert await sell(world, card) == [61]


class CountingService(FakeService):
    """A service that counts month by month, as far as it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[RulesProposal] = []
        self.go_on = asyncio.Semaphore(2)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - as ASGI has it
        if scope["type"] == "http" and scope["path"].endswith("/rules/preview"):
            await self.go_on.acquire()
        await super().__call__(scope, receive, send)

    def _do(self, operation: str, **asked: Any) -> Any:  # noqa: ANN401 - as the base has it
        if operation != "preview_rules":
            return super()._do(operation, **asked)
        proposal = msgspec.json.decode(asked["body"], type=RulesProposal)
        self.spans.append(proposal)
        assert proposal.rules is not None
        assert proposal.until is not None
        return RulesPreview(
            rules=proposal.rules, warnings=(), orders=1_000, orders_changed=1, points_then=10, points_now=30,
            cost_minor=None, currency="GBP", effects=(), is_complete=True, counted_until=proposal.until, orders_left=0,
            preview_hash="h" * 32,
        )  # fmt: skip


async def test_a_trial_shows_how_far_it_is_and_can_be_stopped() -> None:
    service = CountingService()
    async with signed_in(service, size=(80, 24)) as till:
        await till.press("f8", "enter")
        await till.shows("Money")
        await till.press("e")
        await till.until(lambda: till.page == "rules")
        await till.fill("points", "3")
        await till.press("ctrl+s")
        await till.until(lambda: till.page == "trial")
        total = 4  # The months from three months back to this one.
        await till.shows(f"2 of {total} done, 2,000 sales so far.  Esc stops", "Would have given 60 instead of 20")
        await till.press("ctrl+s")
        await till.fill("reason", "why not")
        await till.press("ctrl+s")
        assert till.console.why_not(BY_ID["form.commit"], till.console.screen) == "it is still counting"
        await till.press("escape")
        await till.shows("Stopped: sales since", "F5 counts again")
        assert till.page == "trial", "what was counted stays on the screen"
        await till.press("ctrl+s")
        await till.shows("DANGER", "Not all sales of these days were counted.")
        await till.press("escape")
        for _ in range(10):
            service.go_on.release()
        await till.press("f5")
        await till.shows(f"Would have given {30 * total}", f"{total} of 4,000 sales change")
        assert service.spans[-1].until == NOW


async def test_settings_are_confirmed_and_meet_what_a_colleague_saved(world: World) -> None:
    async with a_till(world, size=(80, 24)) as till:
        await open_programme(till)
        await till.press("s")
        await till.until(lambda: till.page == "settings")
        await till.fill("cashier", "100 500")
        await till.press("ctrl+s")
        await till.shows("Type six numbers", "2 fields need another look.")
        await till.fill("cashier", "9999999 500 5000 200 500 2000")
        await till.fill("reason", "lower limits")
        await till.press("ctrl+s")
        await till.shows("Expected a number <= 1000000.")
        await till.fill("cashier", "50 500 5000 200 500 2000")
        await till.fill("reason", "lower limits")
        await till.fill("name", "Coffee Club")
        await till.press("ctrl+s")
        await till.shows("What changes", "Name: Rewards → Coffee Club", "Ctrl+S again")
        manager = await world.staff_headers(Role.MANAGER)
        path = f"/v1/staff/programmes/{await programme_id(world, manager)}"
        version = expect(await world.client.get(path, headers=manager), 200)["version"]
        change = {"version": version, "reason": "a colleague's", "name": "Bean Club", "unit_many": "beans"}
        expect(await world.client.patch(path, json=change, headers=manager), 200)
        await till.press("ctrl+s")
        await till.shows("Somebody changed this meanwhile", "somebody else saved: Bean Club")
        assert till.console.screen.text("unit_many") == "beans", "what only the colleague changed is taken over"
        await till.press("ctrl+s")
        await till.shows("Name: Bean Club → Coffee Club")
        await till.press("ctrl+s")
        await till.shows("The settings of Coffee Club are saved.")
        await till.press("3")
        await till.shows("point, beans", "50 points at a time")


async def test_a_further_programme_is_started_closed_and_opened_again(world: World) -> None:
    async with a_till(world, size=(80, 24)) as till:
        await open_programme(till)
        await till.press("x")
        await till.until(lambda: till.page == "closing")
        await till.shows("Members   0")
        await till.fill("reason", "try it")
        await till.press("ctrl+s")
        await till.shows("DANGER")
        await till.press("y", "e", "s", "ctrl+s")
        await till.until(lambda: "✗" in till.screen_text())
        await till.press("escape", "escape")
        await till.until(lambda: till.page == "programme")
        await till.press("escape")
        await till.until(lambda: till.page == "programmes")
        await till.press("n")
        await till.until(lambda: till.page == "new-programme")
        await till.fill("name", "Bean Club")
        await till.fill("code", "Bean Club")
        await till.press("ctrl+s")
        await till.shows("Small letters, digits and hyphens")
        await till.fill("code", "bean-club")
        await till.press("ctrl+s")
        await till.shows("Members can join Bean Club")
        await till.press("ctrl+s")
        await till.shows("Bean Club is there.")
        listed = till.console.screen.query_one("#programmes", LineList)
        await till.until(lambda: len(listed.rows) == 2)
        listed.move_to(next(place for place, row in enumerate(listed.rows) if row.key == "bean-club"))
        await till.press("enter")
        await till.until(lambda: till.page == "programme")
        await till.shows("Bean Club  active")
        for key, state in (("x", "closed"), ("x", "open")):
            await till.press(key)
            await till.until(lambda: till.page == "closing")
            await till.fill("reason", "a quiet season")
            await till.until(lambda: not till.console.waits)
            await till.press("ctrl+s")
            if state == "closed":
                await till.shows("DANGER")
                await till.press("y", "e", "s", "ctrl+s")
            await till.shows(f"Bean Club is {state} now.")
            await till.until(lambda: not till.console.waits)


async def test_a_cashier_reads_rules_and_is_told_who_changes_them(world: World) -> None:
    async with a_till(world, Role.CASHIER) as till:
        await open_programme(till)
        for key in ("e", "b", "s", "x"):
            await till.press(key)
            await till.shows("needs a manager")
            assert till.page == "programme"
        await till.press("2")
        await till.shows("in force")
        await till.press("ctrl+g")
        await till.shows("needs a manager or auditor")
