"""What waits for a person: requests for points and refunds, against the real service."""

from datetime import timedelta

from server.db.ids import new_id
from shared.refunds import RefundState
from tests.app import PASSWORD, World, expect
from tests.ledgers import assert_verified, credit, figures
from tests.tui.desk import signed_in
from tests.tui.fake import FakeService, make_refund
from tests.tui.shop import a_till, adjust, ask_for_points, choose, previewed, sell


async def test_a_request_is_found_from_the_first_page_and_approved_and_another_refused(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await ask_for_points(world, member, 500)
    async with a_till(world) as till:
        await till.shows("1 adjustment waits for approval (^R)")
        await till.press("ctrl+r")
        await till.shows("Ana Flores", "+500", "complaint", "Carl")
        await till.press("enter")
        await till.shows("The kettle leaked twice.", "More than 100 points at a time.", "Lapses")
        # Whoever signed in a while ago proves once more who is at the console.
        world.advance(timedelta(minutes=11))
        await till.press("a")
        await till.until(lambda: till.page == "reason")
        await till.shows("Approve an adjustment", "0 → 500 (+500)", "^S Approve")
        await till.press("ctrl+s")
        await till.shows("Password", "Enter your password again for this.")
        await till.fill("password", "not mine at all")
        await till.press("ctrl+s")
        await till.shows("This is not your password.")
        await credit(world, member.membership_id, 7)
        await till.fill("password", PASSWORD)
        await till.press("ctrl+s")
        # A sale came in between: it is shown, and decided on once more.
        await till.shows("This changed since you looked", "! now Can spend 7 → 507 (+500)", "Approve an adjustment")
        await till.press("ctrl+s")
        await till.shows("Approved: +500 for Ana Flores, balance 507.", "Nothing waits for a second person.")
        await till.press("2")
        await till.shows("done")
        await till.press("enter")
        await till.shows("Decided by Mara", "u takes it back until")
        await till.press("r")
        await till.shows("this one does not wait any more")
        await till.press("u")
        await till.until(lambda: till.page == "take-back")
        await choose(till, "why", "m")
        await previewed(till)
        await till.press("ctrl+s")
        await till.shows("Taken back: +500 for Ana Flores, balance 7.", "taken back")
    assert await figures(member.membership_id) == (7, 7, 0, 0)
    await assert_verified(world)


async def test_nobody_approves_what_they_asked_for_and_a_refusal_needs_a_reason(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    async with a_till(world) as till:
        await till.open("ana@shop.test")
        await adjust(till, "+6000", "e")
        await till.press("ctrl+s")
        await till.shows("somebody else must approve it")
        await till.press("ctrl+r")
        await till.shows("+6,000")
        await till.press("a")
        await till.until(lambda: till.page == "reason")
        await till.press("ctrl+s")
        await till.shows("You asked for this yourself: somebody else must decide.")
        await till.press("escape")
        await ask_for_points(world, member, 300)
        await till.press("f5")
        await till.shows("+300")
        await till.press("home", "r")
        await till.until(lambda: till.page == "reason")
        await till.press("ctrl+s")
        await till.shows("Say why, in a few words.")
        await till.fill("reason", "no kettle was sold")
        await till.press("ctrl+s")
        await till.shows("Refused: +300 for Ana Flores")
    assert await figures(member.membership_id) == (0, 0, 0, 0)


async def test_refunds_that_need_a_person_come_first_and_are_given_their_sale_or_dismissed(world: World) -> None:
    key = await world.pos_key()
    member = await world.sign_up("ana@shop.test")
    await sell(world, member.card_number, number="R-77")
    for number, original in (("back-1", "unknown-sale"), ("back-2", None)):
        refund = {
            "external_id": number, "original_order": original, "store": "high-street", "currency": "GBP",
            "completed_at": world.clock.now().isoformat(), "lines": [{"line_id": "1", "quantity": "1"}],
        }  # fmt: skip
        keyed = key | {"Idempotency-Key": f"test-{new_id()}"}
        expect(await world.client.post("/v1/pos/refunds", json=refund, headers=keyed), 201)
    async with a_till(world, size=(80, 24)) as till:
        await till.shows("1 refund needs a look (^R)")
        await till.press("ctrl+r", "3")
        await till.shows("back-2", "names no sale", "waits for its sale")
        await till.press("enter")
        await till.shows("It names no sale: no points were taken back.")
        await till.press("a")
        await till.shows("there is none here")
        await till.press("s")
        await till.until(lambda: till.page == "returned")
        await till.press("ctrl+s")
        await till.shows("Say why, in a few words.")
        await till.fill("receipt", "R-77")
        await till.fill("reason", "the receipt was in the bag")
        await previewed(till)
        await till.shows("4 points leave Ana Flores", "look twice, as it cannot be taken back")
        await till.press("ctrl+s")
        await till.shows("Refund back-2 belongs to R-77: 4 points taken back.")
        # Its sale says so too: what it brings by now, what came back, and what that took.
        await till.open("ana@shop.test")
        await till.press("2", "enter")
        await till.shows("+8  some back", "today: 1 × Coffee  -4", "Earned 12, less 4 for what came back: 8.")
        await till.press("ctrl+r")
        await till.press("end", "x")
        await till.until(lambda: till.page == "reason")
        await till.fill("reason", "the till was being tested")
        await till.press("ctrl+s")
        await till.shows("Dismissed: back-1.", "dismissed")
        await till.press("s")
        await till.shows("this one is dismissed;")
    assert await figures(member.membership_id) == (8, 8, 0, 0)
    await assert_verified(world)


async def test_a_refund_that_needs_a_person_is_first_however_long_ago_it_came() -> None:
    service = FakeService()
    service.refunds = [make_refund(f"posted-{day}", RefundState.POSTED, days_ago=day) for day in range(3)]
    service.refunds.append(make_refund("blind-9", RefundState.BLIND, days_ago=9))
    async with signed_in(service, size=(80, 24)) as till:
        await till.press("ctrl+r", "3")
        await till.shows("blind-9", "posted-1")
        await till.press("end")
        await till.shows("posted-2")
        listed = till.console.screen.query_one("#rows")
        assert [row.cells[1].text for row in listed.rows] == ["blind-9", "posted-0", "posted-1", "posted-2"]
