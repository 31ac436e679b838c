"""Sales found, written down, attached, given and taken away, against the real service."""

from datetime import timedelta

from server.db.engine import DB
from server.db.ids import new_id
from shared.enums import Role
from tests.app import PASSWORD, World, expect
from tests.ledgers import assert_verified, figures
from tests.server.rewards.builders import Counter
from tests.tills import push, sale
from tests.tui.shop import a_till, choose, previewed, sell


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
        await till.shows("What paid for the order goes back (300 points)")
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
