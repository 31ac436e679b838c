"""Points, sales, vouchers and decisions at the till, against the real service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from msgspec import to_builtins

from server.db.engine import DB
from server.db.ids import new_id
from shared.enums import Role
from shared.programmes import EarningRules, Tier, TierRules
from shared.refunds import RefundState
from tests.app import PASSWORD, SignedUp, World, expect
from tests.ledgers import assert_verified, credit, figures
from tests.server.rewards.builders import Counter
from tests.server.rewards.test_texted_codes import prove_phone, read_code
from tests.tills import add_rules, push, sale
from tests.tui.desk import OPTIONS, Till, signed_in
from tests.tui.fake import FakeService, make_refund
from tui.app import Console
from tui.widgets.choice import Choice


@asynccontextmanager
async def a_till(
    world: World, role: Role = Role.MANAGER, *, login: str = "mara", size: tuple[int, int] = (100, 34)
) -> AsyncIterator[Till]:
    """Run a console over the world's service, signed in as a new staff member."""
    await world.add_staff(role, login=login, name=login.capitalize())

    async def connect():  # type: ignore[no-untyped-def]
        return world.client

    console = Console(connect, replace(OPTIONS, now=world.clock.now))
    async with console.run_test(size=size) as pilot:
        till = Till(console, pilot)
        await till.sign_in(login, PASSWORD)
        yield till


async def previewed(till: Till) -> None:
    """Wait until the form in front shows the preview of what stands in it."""
    await till.until(till.console.screen.has_preview, "the preview")


async def choose(till: Till, choice_id: str, key: str) -> None:
    till.console.screen.query_one(f"#{choice_id}", Choice).focus()
    await till.press(key)


async def adjust(till: Till, points: str, reason: str, note: str = "") -> None:
    await till.press("p")
    await till.until(lambda: till.page == "adjust")
    await till.fill("points", points)
    await choose(till, "reason_code", reason)
    if note:
        await till.fill("note", note)
    await previewed(till)


async def sell(world: World, card: str | None = None, **fields: object) -> dict[str, Any]:
    key = await world.pos_key()
    answer: dict[str, Any] = expect(await push(world, key, sale(world, card=card, **fields)), 201)
    return answer


async def ask_for_points(world: World, member: SignedUp, points: int) -> None:
    """Ask for points as a cashier of another till, above what a cashier may give."""
    headers = await world.staff_headers(staff_id=await world.add_staff(Role.CASHIER, login="carl", name="Carl"))
    path = f"/v1/staff/customers/{member.customer_id}/adjustments"
    wish = {"points": points, "reason_code": "complaint", "note": "The kettle leaked twice."}
    shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=headers), 200)
    keyed = headers | {"Idempotency-Key": f"test-{new_id()}"}
    asked = await world.client.post(path, json=wish | {"preview_hash": shown["preview_hash"]}, headers=keyed)
    assert expect(asked, 201)["state"] == "waiting"


# Adjusting ------------------------------------------------------------------------------------------------------------


async def test_points_are_given_after_a_look_at_the_balance_and_taken_back_from_the_status_line(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await credit(world, member.membership_id, 1240)
    async with a_till(world, Role.CASHIER, size=(80, 24)) as till:
        await till.open("ana@shop.test")
        await adjust(till, "+50", "g")
        await till.shows("1,240 → 1,290 (+50)", "100 at a time, 500 left in these 24 hours", "^S Post")
        await till.press("ctrl+s")
        await till.shows("+50 for Ana Flores, balance 1,290. u takes it back (60 s).", "1,290 points")
        await till.press("u")
        await till.until(lambda: till.page == "reason")
        await till.shows("Take back an adjustment", "Ana Flores", "goodwill")
        await till.fill("reason", "typed the wrong one")
        await till.press("ctrl+s")
        await till.shows("Taken back. Balance 1,240.", "1,240 points")
        assert await figures(member.membership_id) == (1240, 1240, 0, 0)
        # What is left of the minute is over.
        await adjust(till, "=1300", "g")
        await till.shows("that is +60", "1,240 → 1,300")
        await till.press("ctrl+s")
        await till.shows("balance 1,300")
        world.advance(timedelta(seconds=61))
        await till.press("u")
        await till.shows("there is no change that can")
        assert till.page == "customer"


async def test_above_the_limit_it_becomes_a_request_and_its_author_cannot_approve_it(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    async with a_till(world, Role.CASHIER) as till:
        await till.open("ana@shop.test")
        await adjust(till, "+500", "c")
        await till.shows("Somebody else must approve this", "More than 100 points at a time.", "^S Ask for approval")
        await till.press("ctrl+s")
        await till.shows("Nothing has changed yet; somebody else must approve it.", "0 points")
        await till.press("ctrl+r")
        await till.shows("Ana Flores", "+500", "waits")
        await till.press("a")
        await till.shows("needs a manager")
    assert await figures(member.membership_id) == (0, 0, 0, 0)


async def test_what_is_wrong_in_an_adjustment_is_said_beside_it_and_nothing_is_sent(world: World) -> None:
    await world.sign_up("ana@shop.test")
    async with a_till(world, Role.CASHIER) as till:
        await till.open("ana@shop.test")
        await till.press("p")
        await till.until(lambda: till.page == "adjust")
        await till.press("ctrl+s")
        await till.shows("Type how many, like +50 or -20.", "Choose why.")
        await till.fill("points", "fifty")
        await till.press("ctrl+s")
        await till.shows("Type how many, like +50 or -20.")
        await till.fill("points", "-20")
        await choose(till, "reason_code", "o")
        await till.press("ctrl+s")
        await till.shows("This reason needs a note of 10 letters or more.")
        # Nobody at the till makes a debt: that is for a manager.
        await till.fill("note", "the machine was out of order")
        await till.shows("a deficit needs a manager", "Owed")
        await till.press("escape", "escape")
        await till.until(lambda: till.page == "customer")


async def test_what_moved_since_the_preview_is_asked_for_again(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    async with a_till(world) as till:
        await till.open("ana@shop.test")
        await adjust(till, "+10", "g")
        await sell(world, member.card_number)
        await till.press("ctrl+s")
        await till.shows("This changed since you looked", "! was Can spend 0 → 10", "! now Can spend 12 → 22 (+10)")
        await till.press("ctrl+s")
        await till.shows("balance 22")
        # A wanted total is reached from where the balance is by now.
        await adjust(till, "=50", "g")
        await till.shows("that is +28")
        await sell(world, member.card_number)
        await till.press("ctrl+s")
        await till.shows("that is +16", "34 → 50 (+16)", "This changed since you looked")
        await till.press("ctrl+s")
        await till.shows("balance 50")


async def test_an_answer_that_is_lost_is_asked_for_again_under_the_same_key(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    async with a_till(world) as till:
        await till.open("ana@shop.test")
        await adjust(till, "+10", "g")
        client, send = till.console.client, world.client.send
        lost = 0

        async def lose(request: Any, **options: Any) -> Any:  # noqa: ANN401 - as httpx has it
            nonlocal lost
            answer = await send(request, **options)
            if request.url.path.endswith("/adjustments") and lost < 1:
                lost += 1
                raise TimeoutError
            return answer

        client._http = type(
            "Losing", (), {"__getattr__": lambda _, name: getattr(world.client, name), "send": staticmethod(lose)}
        )()
        await till.press("ctrl+s")
        await till.shows("We do not know if this was saved. Ctrl+S asks again; it cannot be saved twice.")
        await till.press("ctrl+s")
        await till.shows("balance 10")
    assert lost == 1
    assert await figures(member.membership_id) == (10, 10, 0, 0)


# Deciding -------------------------------------------------------------------------------------------------------------


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
        await till.until(lambda: till.page == "reason")
        await till.fill("reason", "approved the wrong one")
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
        await till.shows("4 points leave Ana Flores")
        await till.press("ctrl+s")
        await till.shows("Refund back-2 belongs to R-77: 4 points taken back.")
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


# Sales ----------------------------------------------------------------------------------------------------------------


async def test_a_movement_says_why_it_has_its_points(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await sell(world, member.card_number, number="R-37")
    async with a_till(world, Role.CASHIER, size=(160, 50)) as till:
        await till.open("ana@shop.test")
        await till.shows("R-37", "+12")
        await till.press("enter")
        await till.shows("Why +12? Line by line", "2 × Coffee  8.34 GBP  +8", "1.5 × Bread  4.00 GBP  +4")


async def test_a_sale_of_nobody_is_attached_by_its_receipt_and_detached_again(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await sell(world, number="R-2050")
    async with a_till(world, Role.CASHIER, size=(80, 24)) as till:
        await till.shows("1 sale of today without customer (F4)")
        await till.open("ana@shop.test")
        await till.press("a")
        await till.until(lambda: till.page == "assign")
        await till.shows("For Ana Flores. Which sale?", "R-2050")
        await till.press("down")  # With the cursor in the receipt, which need not be typed.
        await previewed(till)
        await till.shows("Ana Flores: can spend 0 → 12 (+12)", "12 points go to Ana Flores")
        await till.press("ctrl+s")
        await till.shows("Given: sale R-2050 to Ana Flores, +12.", "12 points")
        await till.press("2")
        await till.shows("R-2050", "+12")
        await till.press("d")
        await till.until(lambda: till.page == "assign")
        await till.press("ctrl+s")
        await till.shows("Choose why.")
        await choose(till, "why", "w")
        await previewed(till)
        await till.shows("12 → 0 (-12)", "12 points leave Ana Flores")
        await till.press("ctrl+s")
        await till.shows("Taken away: sale R-2050, 12 taken back.", "No orders yet.")
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_a_sale_is_given_to_another_customer_and_both_balances_are_shown(world: World) -> None:
    ana = await world.sign_up("ana@shop.test")
    ben = await world.sign_up("ben@shop.test", given_name="Ben")
    await sell(world, ana.card_number, number="R-9")
    async with a_till(world, size=(160, 50)) as till:
        await till.open("ana@shop.test")
        await till.press("g")
        await till.shows("choose the sale in tab 2 first")
        await till.press("2")
        await till.shows("R-9")
        await till.press("g")
        await till.until(lambda: till.page == "assign")
        await till.fill("customer", "flores")
        await till.shows("2 people match, type more or scan")
        await till.scan(ben.card_number)
        await till.shows("→ Ben Flores")
        await choose(till, "why", "w")
        await previewed(till)
        await till.shows("Ana Flores: can spend 12 → 0 (-12)", "Ben Flores: can spend 0 → 12 (+12)")
        await till.press("ctrl+s")
        await till.shows("Given: sale R-9 to Ben Flores, +12, 12 taken back.")
    assert (await figures(ana.membership_id), await figures(ben.membership_id)) == ((0, 0, 0, 0), (12, 12, 0, 0))


async def test_a_sale_that_is_too_old_is_refused_before_anything_is_sent(world: World) -> None:
    await world.sign_up("ana@shop.test")
    await sell(world, number="R-1", completed_at=world.clock.now().isoformat())
    world.advance(timedelta(days=40))
    async with a_till(world, Role.CASHIER) as till:
        await till.open("ana@shop.test")
        await till.press("a")
        await till.until(lambda: till.page == "assign")
        await till.fill("receipt", "R-1")
        await previewed(till)
        await till.shows("This order is older than", "ask a manager")
        await till.press("ctrl+s")
        await till.shows("Give: This order is older than")
        assert till.page == "assign"


async def test_a_scan_of_the_apps_code_opens_its_customer_and_one_of_a_receipt_its_sale(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await sell(world, number="HS-2044")
    shown = expect(await world.client.get("/v1/me/presence-code", headers=member.headers), 200)
    async with a_till(world, Role.CASHIER, size=(80, 24)) as till:
        await till.scan(shown["qr_text"])
        await till.shows("Find › Ana Flores")
        await till.scan("HS-2044")
        await till.shows("receipt HS-2044", "12.34 GBP")
        assert till.page == "orders"
        await till.scan(shown["qr_text"])
        await till.shows("Find › Ana Flores")


async def test_a_sale_of_somebody_needs_a_reason_and_what_they_paid_with_points_a_decision(world: World) -> None:
    counter = await Counter.open(world, card_daily_points=100_000)
    await world.sign_up("ben@shop.test", given_name="Ben")
    body = sale(world, card=counter.member.card_number, number="R-9")
    held = expect(await counter.hold(300, sale=body["external_id"], total=1_234), 201)
    expect(await push(world, counter.key, body), 201)
    expect(await counter.capture(held, sale=body["external_id"]), 200)
    async with a_till(world, size=(80, 24)) as till:
        await till.open("ben@shop.test")
        await till.press("a")
        await till.until(lambda: till.page == "assign")
        await till.fill("receipt", "R-9")
        await till.shows("counts for Ana Flores", "bought together")
        await till.press("ctrl+s")
        await till.shows("Choose why.")
        await choose(till, "why", "w")
        await previewed(till)
        await till.shows("paid for this order", "Paid by points")
        await till.press("ctrl+s")
        await till.shows("✗ Somebody else's points or voucher paid for it")
        await till.press("l")
        await previewed(till)
        await till.shows("points leave Ana Flores")
        await choose(till, "redemption", "g")
        await previewed(till)
        await till.shows("300 points and 0 vouchers that paid for the order go back")
        await till.press("ctrl+s")
        await till.shows("Given: sale R-9 to Ben Flores")
    assert (await figures(counter.member.membership_id))[0] == 1_000
    await assert_verified(world)


async def test_a_sale_for_which_a_till_names_somebody_else_is_listed_and_given_to_them(world: World) -> None:
    ana = await world.sign_up("ana@shop.test")
    ben = await world.sign_up("ben@shop.test", given_name="Ben")
    key, body = await world.pos_key(), sale(world, card=ana.card_number, number="R-12")
    order_id = expect(await push(world, key, body), 201)["order_id"]
    async with a_till(world, Role.CASHIER, size=(80, 24)) as till:
        staff = await world.staff_headers()
        path, wish = f"/v1/staff/orders/{order_id}/assignment", {"customer_id": str(ben.customer_id), "reason": "hers"}
        shown = expect(await world.client.post(f"{path}/preview", json=wish, headers=staff), 200)
        keyed = staff | {"Idempotency-Key": f"test-{new_id()}"}
        expect(await world.client.post(path, json=wish | {"preview_hash": shown["preview_hash"]}, headers=keyed), 200)
        await till.press("ctrl+r", "4")
        await till.shows("No till names another customer than staff did.")
        expect(await push(world, key, body | {"revision": 1}), 201)
        await till.press("f5")
        await till.shows("R-12", "Ben Flores", "Ana Flores")
        await till.press("enter")
        await till.shows("that holds, whatever the till", "g gives it to Ana Flores after all")
        await till.press("g")
        await till.until(lambda: till.page == "assign")
        await choose(till, "why", "w")
        await previewed(till)
        await till.press("ctrl+s")
        await till.shows("Given: sale R-12 to Ana Flores", "No till names another customer")
    assert (await figures(ana.membership_id))[0] == 12


async def test_who_belongs_to_no_store_names_one(world: World) -> None:
    await world.sign_up("ana@shop.test")
    await sell(world, number="R-8")
    async with a_till(world, size=(80, 24)) as till:
        await DB.fetch("update staff_member set store = null")
        await till.press("ctrl+l")
        await till.until(lambda: till.page == "lock")
        await till.sign_in("mara", PASSWORD)
        await till.press("f4")
        await till.shows("You belong to no store: type a receipt number")
        for typed, told in (("31.12.2099", "That day has not come yet."), ("today high-street", "R-8")):
            await till.press("slash")
            await till.fill("receipt", typed)
            await till.press("enter")
            await till.shows(told)
        await till.shows("sales of nobody at high-street")
        await till.open("ana@shop.test")
        await till.press("o")
        await till.until(lambda: till.page == "record")
        await till.fill("amount", "5")
        await till.press("ctrl+s")
        await till.shows("type the code of the one")
        await till.fill("store", "high-street")
        await previewed(till)
        await till.press("ctrl+s")
        await till.shows("5 points for Ana Flores. Balance 5.")


async def test_the_orders_page_finds_by_day_and_receipt_unfolds_lines_and_says_whose_a_sale_is(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await sell(world, number="R-yesterday")
    world.advance(timedelta(days=1))
    await sell(world, number="R-today")
    async with a_till(world, Role.CASHIER, size=(80, 24)) as till:
        await till.press("f4")
        await till.shows("today, sales of nobody", "R-today", "nobody")
        assert "R-yesterday" not in till.screen_text()
        await till.press("enter")
        await till.shows("2 × Coffee  8.34 GBP", "Earned nothing: no customer was named.")
        await till.press("d")
        await till.shows("this sale counts for nobody")
        await till.press("left")
        await till.shows("R-yesterday")
        await till.press("right", "right")
        await till.shows("That day has not come yet.")
        await till.press("slash")
        await till.fill("receipt", "R-yesterday")
        await till.press("enter")
        await till.shows("receipt R-yesterday", "12.34 GBP")
        await till.press("c")
        await till.until(lambda: till.page == "assign")
        await till.scan(member.card_number)
        await till.shows("→ Ana Flores")
        await previewed(till)
        await till.press("ctrl+s")
        await till.shows("Given: sale R-yesterday to Ana Flores, +12.", "Ana Flores")
        await till.press("o")
        await till.until(lambda: till.page == "customer")
        await till.shows("12 points")
        await till.press("f4")
        await till.scan(member.card_number)
        await till.until(lambda: till.page == "customer")


async def test_a_sale_is_written_down_in_three_keys_and_a_known_receipt_is_given_instead(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await sell(world, number="R-2050")
    async with a_till(world, Role.CASHIER, size=(80, 24)) as till:
        await till.open("ana@shop.test")
        await till.press("o")
        await till.until(lambda: till.page == "record")
        await till.fill("amount", "42,10")
        await till.scan(member.card_number)
        await till.shows("This is a card, not a receipt")
        await till.fill("number", "R-2051")
        await previewed(till)
        await till.shows("= 42.10 GBP", "Earns 42", "0 → 42 (+42)")
        await till.press("ctrl+s")
        await till.shows("Written down as R-2051: 42 points for Ana Flores. Balance 42.", "42 points")
        await till.press("o")
        await till.until(lambda: till.page == "record")
        await till.fill("amount", "12.34")
        await till.fill("number", "R-2050")
        await previewed(till)
        await till.shows("Receipt R-2050 is here already", "counts for nobody")
        await till.press("ctrl+s")
        await till.until(lambda: till.page == "assign")
        await previewed(till)
        await till.press("ctrl+s")
        await till.shows("Given: sale R-2050 to Ana Flores, +12.")
        await till.until(lambda: till.page == "customer")
        await till.shows("54 points")
        await till.press("f4", "n")
        await till.until(lambda: till.page == "record")
        await till.fill("amount", "1.234")
        await till.fill("made_at", "25:00")
        await till.press("ctrl+s")
        await till.shows("Scan or type who bought.", "Write it like 10:52")
    assert await figures(member.membership_id) == (54, 54, 0, 0)
    await assert_verified(world)


# Membership and vouchers ----------------------------------------------------------------------------------------------


async def add_reward(world: World, **fields: object) -> None:
    headers = await world.staff_headers(Role.MANAGER)
    reward = {"code": "off", "name": "5.00 off", "kind": "amount_off", "points_cost": 100, "value_minor": 500}
    expect(await world.client.post("/v1/staff/rewards", json=reward | fields, headers=headers), 201)


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


async def test_a_customer_joins_a_further_programme_whose_points_are_shown_and_moved_apart(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await credit(world, member.membership_id, 70)
    further = {
        "code": "alpha", "name": "Alpha Club", "unit_one": "star", "unit_many": "stars", "zone": "Asia/Tokyo",
        "currency": "GBP", "rules": to_builtins(EarningRules(points=1, per_minor=100)),
    }  # fmt: skip
    manager = await world.staff_headers(Role.MANAGER)
    expect(await world.client.post("/v1/staff/programmes", json=further, headers=manager), 201)
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


TERMS = {
    "version": 0, "step_points": 100, "step_minor": 100, "cap_percent": 100, "minimum_points": 0,
    "card_daily_points": 2_000, "restore_grace_days": 30,
}  # fmt: skip


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


# Everybody ------------------------------------------------------------------------------------------------------------


async def test_a_hostile_name_and_receipt_are_only_text_on_every_new_page(world: World) -> None:
    evil = "O[/]Brien[@click=app.quit()]"
    member = await world.sign_up("ana@shop.test", given_name=evil, family_name="[bold")
    await sell(world, number="[/]R[red]1")
    await add_reward(world, name="[@click=app.quit()]Mug[/]")
    await ask_for_points(world, member, 400)
    async with a_till(world, size=(100, 34)) as till:
        await till.press("ctrl+r")
        await till.shows(evil[:24])
        await till.pilot.click("#rows", offset=(20, 1))
        await till.press("f4")
        await till.shows("[/]R[red]1")
        await till.pilot.click("#orders", offset=(20, 1))
        await till.open("ana@shop.test")
        for key, page in (("a", "assign"), ("o", "record"), ("p", "adjust"), ("w", "take")):
            await till.press(key)
            await till.until(lambda page=page: till.page == page)
            await till.shows(evil)
            await till.press("escape")
            await till.until(lambda: till.page == "customer")
        assert till.console.is_running


async def test_the_auditor_reads_everything_and_moves_nothing(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await sell(world, member.card_number, number="R-5")
    async with a_till(world, Role.AUDITOR) as till:
        await till.open("ana@shop.test")
        for key in ("p", "o", "a", "g", "d", "w", "W"):
            await till.press(key)
            await till.shows(": needs a ")
            assert till.page == "customer"
        await till.press("4")
        await till.shows("Rewards")
        await till.press("ctrl+r")
        await till.shows("Nothing waits for a second person.")
        await till.press("f4")
        await till.shows("Every sale of this day counts for somebody.")


async def test_a_service_that_is_gone_keeps_the_form_and_posts_it_once_it_is_back(world: World) -> None:
    import httpx

    member = await world.sign_up("ana@shop.test")
    async with a_till(world, Role.CASHIER) as till:
        await till.open("ana@shop.test")
        await adjust(till, "+5", "g")
        real = till.console.client._http

        async def refuse(_: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("gone")

        till.console.client._http = httpx.AsyncClient(
            transport=httpx.MockTransport(refuse), base_url="http://localhost"
        )
        await till.press("ctrl+s")
        await till.shows("Not connected. Looking up and saving do not work.", "○ offline")
        till.console.client._http = real
        assert till.console.screen.text("points") == "+5"
        await till.press("ctrl+s")
        await till.shows("balance 5", "● online")
        # Neither a preview that was not had nor the currency is missing for good.
        await till.until(lambda: till.page == "customer")
        till.console.client._http = httpx.AsyncClient(
            transport=httpx.MockTransport(refuse), base_url="http://localhost"
        )
        await till.press("o")
        await till.until(lambda: till.page == "record")
        await till.fill("amount", "5")
        await till.press("ctrl+s")
        await till.shows("Not connected. Looking up and saving do not work.")
        till.console.client._http = real
        await till.press("f5")
        await till.shows("= 5.00 GBP", "Earns 5")
        await till.press("escape", "escape")
        await till.until(lambda: till.page == "customer")
        till.console.client._http = httpx.AsyncClient(
            transport=httpx.MockTransport(refuse), base_url="http://localhost"
        )
        await till.press("a")
        await till.shows("Not connected. Looking up and saving do not work.")
        till.console.client._http = real
        await till.press("f5")
        await till.shows("No sale of today waits for a customer.")
    assert await figures(member.membership_id) == (5, 5, 0, 0)
