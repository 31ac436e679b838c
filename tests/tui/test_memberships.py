"""What a membership says of itself, and a further one, against the real service."""

from shared.enums import Role
from shared.programmes import Tier, TierRules
from tests.app import World
from tests.ledgers import credit, figures
from tests.tills import add_rules
from tests.tui.shop import a_till, add_programme, adjust, sell


async def test_a_customer_joins_a_further_programme_whose_points_are_shown_and_moved_apart(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await credit(world, member.membership_id, 70)
    await add_programme(world)
    async with a_till(world, Role.CASHIER, size=(80, 24)) as till:
        assert till.console.session is not None
        assert str(till.console.session.zone) == "Europe/London", "the clock stays the shop's"
        await till.open("ana@shop.test")
        await till.press("n")
        await till.shows("this customer is in one")
        await till.press("N")
        await till.until(lambda: till.page == "enrol")
        await till.shows("Ana Flores collects stars in Alpha Club")
        await till.fill("card", "1234")
        await till.press("ctrl+s")
        await till.until(lambda: "✗" in till.screen_text())
        await till.fill("card", "")
        await till.press("ctrl+s")
        await till.shows("Member of Alpha Club. Card", "0 stars", "(n: 1 more)")
        await adjust(till, "+30", "g")
        await till.press("ctrl+s")
        await till.shows("balance 30", "30 stars")
        await till.press("n")
        await till.shows("70 points")
        await till.press("3")
        await till.shows("in Alpha Club")
        await till.press("N")
        await till.shows("in every programme that takes members")
    assert (await figures(member.membership_id))[0] == 70


async def test_the_membership_says_tier_qualifying_points_and_what_lapses_when(world: World) -> None:
    await add_rules(
        world,
        points=1,
        per_minor=100,
        tiers=TierRules(levels=(Tier(name="Gold", from_points=1_000, percent=150),)),
    )
    member = await world.sign_up("ana@shop.test")
    await credit(world, member.membership_id, 80, days=10)
    await credit(world, member.membership_id, 20, days=None)
    await sell(world, member.card_number)
    async with a_till(world, Role.CASHIER, size=(160, 50)) as till:
        await till.open("ana@shop.test")
        await till.press("4")
        await till.shows("none yet", "Gold at 1,000, 988 to go", "March 2026", "Never lapse")
        await till.until(lambda: till.console.screen.query_one("#rows").rows)
        rows = till.console.screen.query_one("#rows").rows
        place = next(index for index, row in enumerate(rows) if row.key.startswith("expiry:"))
        till.console.screen.query_one("#rows").move_to(place)
        await till.press("enter")
        await till.shows("80 good through 12 March 2026")
