"""Rewards taken at the till, against the real service."""

from shared.enums import Role
from tests.app import World, expect
from tests.ledgers import assert_verified, credit, figures
from tests.server.rewards.builders import Counter
from tests.server.rewards.test_texted_codes import prove_phone, read_code
from tests.tui.shop import TERMS, a_till, add_reward


async def test_a_reward_is_taken_its_code_is_shown_once_and_the_voucher_cancelled(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await credit(world, member.membership_id, 250)
    await add_reward(world)
    await add_reward(world, code="big", name="Hamper", points_cost=9_000)
    await add_reward(world, code="gone", name="Mug", points_cost=150, stock=0)
    async with a_till(world, size=(80, 24)) as till:
        await till.open("ana@shop.test")
        await till.press("w")
        await till.until(lambda: till.page == "take")
        await till.shows("5.00 off", "250 → 150 (-100)", "not enough points", "none left")
        await till.press("f9")
        await till.shows("This customer has no proven phone number.")
        for digits in ("123456", "12345678"):
            await till.fill("presence_code", digits)
            await till.press("ctrl+s")
            await till.shows("These digits are wrong, too old or used.")
        expect(
            await world.client.put(
                "/v1/staff/redemption-terms", json=TERMS, headers=await world.staff_headers("manager")
            ),
            200,
        )
        await till.fill("presence_code", "")
        await till.press("ctrl+s")
        await till.shows("Voucher code", "it is not shown again")
        issued = till.console.screen._issued
        await till.shows(issued.code)
        assert "F9 texts" not in till.screen_text(), "no field for another code stands there any more"
        await till.press("ctrl+s")
        await till.shows("the voucher is issued")
        await till.press("escape")
        await till.until(lambda: till.page == "customer")
        await till.press("4")
        await till.shows(f"…{issued.voucher.code_ending}", "can be used", "Rewards")
        assert issued.code not in till.screen_text()
        await till.press("end", "W")
        await till.until(lambda: till.page == "reason")
        await till.fill("reason", "took the wrong one")
        await till.press("ctrl+s")
        await till.shows("Voucher cancelled: 5.00 off. Its points are back.", "cancelled")
    assert await figures(member.membership_id) == (250, 250, 0, 0)
    await assert_verified(world)


async def test_a_texted_code_proves_who_stands_there(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await credit(world, member.membership_id, 900)
    await add_reward(world, points_cost=800)
    await prove_phone(Counter(world, member, {}, {}))
    async with a_till(world, Role.CASHIER, size=(80, 24)) as till:
        await till.open("ana@shop.test")
        await till.press("w")
        await till.until(lambda: till.page == "take")
        await till.shows("900 → 100 (-800)")
        await till.scan(member.card_number)
        await till.shows("This is the card.")
        await till.press("ctrl+s")
        await till.shows("or F9 texts one")
        await till.press("f9")
        await till.shows("the number that ends in 123")
        await till.fill("presence_code", await read_code(world))
        await till.press("ctrl+s")
        await till.shows("Voucher code")
    assert (await figures(member.membership_id))[0] == 100
