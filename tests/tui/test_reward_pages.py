"""Managers and what points buy: the catalogue, and what points are worth at the till."""

from shared.enums import Role
from tests.app import World, expect
from tests.tui.desk import Till
from tests.tui.shop import a_till, add_programme


async def open_rewards(till: Till) -> None:
    await till.press("f8")
    await till.until(lambda: till.page == "programmes")
    await till.shows("1 point for every")
    await till.press("w")
    await till.until(lambda: till.page == "rewards")
    await till.shows("At the till:")


async def test_a_reward_is_added_changed_retired_and_brought_back(world: World) -> None:
    async with a_till(world, size=(80, 24)) as till:
        await open_rewards(till)
        await till.shows("n adds the first reward")
        for code, told in (("free-coffee", "is in the catalogue."), ("free-coffee", "Another reward has this code.")):
            await till.press("n")
            await till.until(lambda: till.page == "reward")
            await till.fill("name", "Free [bold]coffee[/] \x1b[2J")
            await till.fill("points_cost", "1,200")
            await till.fill("value_minor", "3,5")
            await till.fill("code", code)
            await till.press("ctrl+s")
            await till.shows("Free [bold]coffee[/] ·[2J for 1,200 points, worth 3.50 GBP at most")
            await till.press("ctrl+s")
            await till.shows(told)
        assert till.page == "reward", "a refused form stays as it is"
        await till.fill("code", "free-tea")
        await till.press("ctrl+s", "ctrl+s")
        await till.until(lambda: till.page == "rewards")
        await till.shows("3.50 GBP off", "offered")
        await till.press("enter")
        await till.until(lambda: till.page == "reward")
        await till.fill("stock", "10")
        await till.fill("active_until", "1.1.2030")
        await till.fill("active_from", "2.1.2030")
        await till.press("ctrl+s", "ctrl+s")
        await till.shows("This is not after active_from.")
        assert till.console.screen.text("stock") == "10"
        await till.fill("active_until", "")
        await till.fill("active_from", "")
        await till.press("ctrl+s")
        await till.shows("Stock: – → 10", "Vouchers that were issued before stay as they are")
        await till.press("ctrl+s")
        await till.shows("0 of 10")
        await till.press("x")
        await till.shows("x again:", "vouchers stay good")
        await till.press("x")
        await till.shows("retired")
        await till.until(lambda: not till.console.waits)
        await till.press("x", "x")
        await till.shows("in the catalogue again")


async def test_what_points_are_worth_is_changed_and_meets_a_colleagues_change(world: World) -> None:
    async with a_till(world, size=(80, 24)) as till:
        await open_rewards(till)
        await till.press("t")
        await till.until(lambda: till.page == "terms")
        await till.fill("step_points", "0")
        await till.fill("cap_percent", "120")
        await till.press("ctrl+s")
        await till.shows("More than nothing.", "A hundred percent is all of it.")
        await till.fill("step_points", "50")
        await till.fill("cap_percent", "40")
        await till.press("ctrl+s")
        await till.shows("Will be: 50 points take", "up to 40 % of a sale")
        manager = await world.staff_headers(Role.MANAGER)
        path = "/v1/staff/redemption-terms"
        now = expect(await world.client.get(path, headers=manager), 200)
        now.pop("currency")
        expect(await world.client.put(path, json=now | {"minimum_points": 75}, headers=manager), 200)
        await till.press("ctrl+s")
        await till.shows("Somebody changed this meanwhile", "somebody else changed this just now")
        assert till.console.screen.text("minimum_points") == "75"
        await till.press("ctrl+s", "ctrl+s")
        await till.until(lambda: till.page == "rewards")
        await till.shows("50 points take", "up to 40 % of a sale, from 75 points on")
        after = expect(await world.client.get(path, headers=manager), 200)
        assert (after["step_points"], after["cap_percent"], after["minimum_points"]) == (50, 40, 75)


async def test_a_cashier_sees_the_catalogue_and_is_told_who_changes_it(world: World) -> None:
    async with a_till(world, Role.CASHIER) as till:
        await open_rewards(till)
        for key in ("n", "t", "x"):
            await till.press(key)
            await till.shows("needs a manager")
            assert till.page == "rewards"


async def test_a_further_programme_has_rewards_and_terms_of_its_own(world: World) -> None:
    await add_programme(world, currency="JPY")
    async with a_till(world, size=(160, 50)) as till:
        await till.press("f8")
        await till.shows("Alpha Club", "JPY")
        rows = till.console.screen.query_one("#programmes")
        rows.move_to(next(place for place, row in enumerate(rows.rows) if row.key == "alpha"))
        await till.press("w")
        await till.shows("Programme › Alpha Club › Rewards", "n adds the first reward")
        await till.press("n")
        await till.until(lambda: till.page == "reward")
        for field_id, text in {"name": "Tea", "code": "tea", "points_cost": "40", "value_minor": "500"}.items():
            await till.fill(field_id, text)
        await till.press("ctrl+s", "ctrl+s")
        await till.shows("500 JPY off", "offered")
        await till.press("t")
        await till.until(lambda: till.page == "terms")
        await till.press("ctrl+s")
        await till.shows("Nothing was changed.")
        await till.fill("step_minor", "150")
        await till.press("ctrl+s", "ctrl+s")
        await till.shows("100 points take 150 JPY off")
        till.console.perform("app.rewards")
        await till.shows("GBP off", "n adds the first reward", "1 reward of other programmes: F8, then w")
