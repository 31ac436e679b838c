"""A claim code brings a member what the shop has kept for them: whole, once, and telling nothing before."""

import asyncio
from datetime import timedelta
from uuid import UUID

import msgspec

from server.db.engine import DB
from server.ledger.verification import verify
from server.tokens import hash_claim_code
from shared.codes import normalise_claim_code
from shared.enums import Role
from tests.app import World, expect, problem
from tests.server.claims.desk import ClaimDesk
from tests.tills import push, sale


async def assert_books_are_right(world: World) -> None:
    async for outcome in verify(world.clock.now()):
        assert outcome.is_right, outcome


async def test_points_cards_and_orders_of_a_customer_without_email_arrive_whole(world: World) -> None:
    desk = await ClaimDesk.open(world)
    stub = await desk.stub(purchases=2, phone="+442079460001", post_code="SW1A 1AA")
    ana = await world.sign_up("ana@shop.test")
    expect(await push(world, desk.till, sale(world, card=ana.card_number)), 201)
    lots = await DB.fetch("select earned_at, expires_at, points from lot order by earned_at, points")
    issued = await desk.issue(stub["id"])
    assert issued["link"] == f"https://rewards.test/links/claim#{issued['code']}"
    done = await desk.claimed(ana, f" {issued['code'].lower().replace('0', 'o').replace('1', 'l')} ")
    assert (done["subject"], done["points"], done["available"], done["orders"]) == ("customer", 24, 36, 2)
    assert stub["card_number"] in done["cards"]
    assert await desk.balance(ana.customer_id) == 36
    moved = await DB.fetch(
        "select earned_at, expires_at, remaining as points from lot where remaining > 0 order by earned_at, remaining"
    )
    assert sorted(map(tuple, moved)) == sorted(map(tuple, lots))
    assert expect(await push(world, desk.till, sale(world, card=stub["card_number"])), 201)["points"] == 12
    assert (await desk.get(f"/v1/staff/customers/{stub['id']}"))["id"] == str(ana.customer_id)
    shown = await desk.get(f"/v1/staff/customers/{ana.customer_id}")
    assert (shown["phone"], shown["post_code"]) == ("+44 20 7946 0001", "SW1A 1AA"), "blanks are filled"
    codes = await desk.get(f"/v1/staff/customers/{ana.customer_id}/claim-codes")
    assert [(one["state"], one["used_by"], one["merge_id"]) for one in codes["used"]] == [
        ("used", str(ana.customer_id), done["merge_id"])
    ]
    await assert_books_are_right(world)


async def test_a_claim_is_taken_back_as_a_merge(world: World) -> None:
    desk = await ClaimDesk.open(world, Role.MANAGER)
    stub = await desk.stub()
    ana = await world.sign_up("ana@shop.test")
    done = await desk.claimed(ana, (await desk.issue(stub["id"]))["code"])
    path = f"/v1/staff/merges/{done['merge_id']}/undo"
    shown = expect(await desk.post(f"{path}/preview", {"reason": "wrong person"}), 200)
    expect(await desk.post(path, {"reason": "wrong person", "preview_hash": shown["preview_hash"]}), 200)
    assert (await desk.balance(stub["id"]), await desk.balance(ana.customer_id)) == (12, 0)
    await assert_books_are_right(world)


async def test_a_receipt_brings_its_order_and_points_to_who_has_it(open_shop_with_receipts: World) -> None:
    world = open_shop_with_receipts
    desk = await ClaimDesk.open(world)
    body = sale(world)
    first = await push(world, desk.till, body, key="receipt-key-0000001")
    printed = expect(first, 201)
    assert printed["skipped_reason"] == "no_customer"
    again = expect(await push(world, desk.till, body, key="receipt-key-0000001"), 201)
    assert again == printed, "a till that asks again prints the same code"
    kept = await DB.fetch_value("select reply from idempotency_key where key = $1", "receipt-key-0000001")
    assert printed["claim_code"].encode() not in kept, "the code itself lies nowhere"
    ana = await world.sign_up("ana@shop.test")
    done = await desk.claimed(ana, printed["claim_code"])
    assert (done["subject"], done["points"], done["order_id"]) == ("order", 12, printed["order_id"])
    assert await desk.balance(ana.customer_id) == 12
    ben = await world.sign_up("ben@shop.test", given_name="Ben")
    assert problem(await desk.claim(ben, printed["claim_code"]))[:2] == (409, "CLAIM_INVALID")
    assert await desk.causes(ben.customer_id) == ["used"]
    repeated = expect(await push(world, desk.till, body), 201)
    assert (repeated["points"], repeated["claim_code"]) == (12, None), "the till's word does not undo the claim"
    card_sale = expect(await push(world, desk.till, sale(world, card=ana.card_number)), 201)
    assert card_sale["claim_code"] is None
    await assert_books_are_right(world)


async def test_sales_of_a_batch_to_nobody_get_codes_as_single_ones_do(open_shop_with_receipts: World) -> None:
    world = open_shop_with_receipts
    desk = await ClaimDesk.open(world)
    ana = await world.sign_up("ana@shop.test")
    body = {"orders": [sale(world), sale(world, card=ana.card_number), sale(world), sale(world, store="nowhere")]}
    headers = desk.till | {"Idempotency-Key": "batch-key-000000001"}
    first = await world.client.post("/v1/pos/orders/batch", json=body, headers=headers)
    results = expect(first, 200)["results"]
    codes = [one["order"] and one["order"]["claim_code"] for one in results]
    assert [bool(code) for code in codes] == [True, False, True, False], results
    again = await world.client.post("/v1/pos/orders/batch", json=body, headers=headers)
    assert again.content == first.content, "a till that asks again prints the same codes"
    kept = await DB.fetch_value("select reply from idempotency_key where key = 'batch-key-000000001'")
    assert codes[0].encode() not in kept, "the codes themselves lie nowhere"
    done = await desk.claimed(ana, codes[0])
    assert (done["subject"], done["order_id"]) == ("order", results[0]["order"]["order_id"])
    later = expect(await world.client.post("/v1/pos/orders/batch", json=body, headers=headers), 200)["results"]
    assert [one["order"] and one["order"]["claim_code"] for one in later] == [None, None, codes[2], None]
    await assert_books_are_right(world)


async def test_a_code_is_shown_again_to_who_lost_the_answer_and_lies_nowhere(world: World) -> None:
    desk = await ClaimDesk.open(world)
    stub = await desk.stub()
    path = f"/v1/staff/customers/{stub['id']}/claim-codes"
    headers = desk.headers | {"Idempotency-Key": "code-key-0000000001"}
    first = await world.client.post(path, headers=headers)
    assert (await world.client.post(path, headers=headers)).content == first.content
    code = expect(first, 201)["code"]
    assert first.json()["text"].count(code) == 2, "by itself and in the link"
    rows = [str(dict(row)) for row in await DB.fetch("select encode(reply, 'escape') as reply from idempotency_key")]
    assert rows
    assert all(code not in row for row in rows)
    # Others do not get it by the key; and once it was used there is nothing to show.
    other = await world.staff_headers(Role.MANAGER)
    mine = expect(await world.client.post(path, headers=other | {"Idempotency-Key": "code-key-0000000001"}), 201)
    assert mine["code"] != code
    await desk.claimed(await world.sign_up("ana@shop.test"), mine["code"])
    late = expect(await world.client.post(path, headers=headers), 201)
    assert (late["id"], late["code"], late["link"]) == (first.json()["id"], "", "")
    assert "Make a new one" in late["text"]


async def test_an_order_from_before_the_membership_is_kept_and_earns_nothing(world: World) -> None:
    desk = await ClaimDesk.open(world)
    old = expect(await push(world, desk.till, sale(world)), 201)
    assert old["claim_code"] is None, "codes on receipts are off unless the shop wants them"
    await desk.wait(days=2)
    issued = expect(await desk.post(f"/v1/staff/orders/{old['order_id']}/claim-codes"), 201)
    ana = await world.sign_up("ana@shop.test")
    done = await desk.claimed(ana, issued["code"])
    assert (done["points"], done["skipped_reason"]) == (0, "before_start")


async def test_a_customer_never_enrolled_brings_purchases_from_the_members_start_on(world: World) -> None:
    desk = await ClaimDesk.open(world)
    stub = await desk.register(phone="+442079460001")
    # As an import leaves it: a customer with purchases and no membership.
    before, after = [expect(await push(world, desk.till, sale(world)), 201)["order_id"] for _ in range(2)]
    await DB.fetch(
        "update membership_person set left_at = joined_at, left_reason = 'test' where customer = $1", UUID(stub["id"])
    )
    await DB.fetch(
        "update membership set status = 'closed', closed_at = created_at where id = $1", UUID(stub["membership_id"])
    )
    await desk.wait(days=3)
    sql = """
    update orders set customer = $2, skipped_reason = 'not_member', assignment_reason = 'card', completed_at = $3 where id = $1
    """
    await DB.fetch(sql, UUID(before), UUID(stub["id"]), world.clock.now() - timedelta(days=2))
    await DB.fetch(sql, UUID(after), UUID(stub["id"]), world.clock.now())
    ana = await world.sign_up("ana@shop.test")
    done = await desk.claimed(ana, (await desk.issue(stub["id"]))["code"])
    assert (done["points"], done["orders"]) == (12, 2)
    assert await desk.balance(ana.customer_id) == 12


async def test_the_code_of_a_sign_up_form_is_used_when_the_address_is_proven(world: World) -> None:
    from server.accounts.service import CLAIM_JOB
    from server.claims.service import claim_at_sign_up

    world.jobs[CLAIM_JOB] = claim_at_sign_up
    desk = await ClaimDesk.open(world)
    stub = await desk.stub()
    code = (await desk.issue(stub["id"]))["code"]
    wrong = await world.request_sign_up("ana@shop.test", claim_code=code[:-1] + ("0" if code[-1] != "0" else "2"))
    assert problem(wrong) == (400, "INVALID_REQUEST", ["claim_code"])
    ana = await world.sign_up("ana@shop.test", claim_code=code)
    stored = await DB.fetch("select payload::text from pgqueuer where entrypoint = $1", CLAIM_JOB)
    assert len(stored) == 1
    await world.run_jobs()
    assert await desk.balance(ana.customer_id) == 12
    # A code that does not work costs nobody the account; staff see why, the newcomer only that it did not.
    ben = await world.sign_up("ben@shop.test", given_name="Ben", claim_code=code)
    await world.run_jobs()
    assert await desk.causes(ben.customer_id) == ["used"]
    subject = "The code of your sign-up brought nothing yet"
    assert [mail.subject for mail in await world.mails_to(ben.email)].count(subject) == 1
    # The job may run again after it has done its work.
    code_hash = hash_claim_code(world.ctx.tokens, normalise_claim_code(code)).hex()
    wish = {"customer_id": str(ana.customer_id), "code_hash": code_hash, "network": ""}
    await claim_at_sign_up(world.ctx.tools, msgspec.json.encode(wish))
    await world.run_jobs()
    assert subject not in [mail.subject for mail in await world.mails_to(ana.email)]


async def test_staff_issue_codes_only_for_whom_it_is_meant(world: World) -> None:
    desk = await ClaimDesk.open(world)
    ana = await world.sign_up("ana@shop.test")
    path = f"/v1/staff/customers/{ana.customer_id}/claim-codes"
    assert problem(await desk.post(path))[:2] == (409, "CLAIM_SUBJECT_HAS_LOGIN")
    stub = await desk.stub()
    own = await world.add_staff(Role.CASHIER)
    await DB.fetch("update staff_member set customer = $2 where id = $1", own, UUID(stub["id"]))
    headers = await world.staff_headers(staff_id=own)
    path = f"/v1/staff/customers/{stub['id']}/claim-codes"
    assert problem(await desk.post(path, headers=headers))[:2] == (403, "SELF_DEALING")
    await DB.fetch("update staff_member set customer = $2 where id = $1", own, ana.customer_id)
    mine = expect(await desk.post(path, headers=headers), 201)
    assert problem(await desk.claim(ana, mine["code"]))[:2] == (409, "CLAIM_INVALID")
    assert await desk.causes(ana.customer_id) == ["issued_by_oneself"]
    theirs = await desk.issue(stub["id"])
    assert problem(await desk.claim(ana, theirs["code"]))[:2] == (409, "CLAIM_NEEDS_STAFF")
    await DB.fetch("update membership set available = 6000 where id = $1", UUID(stub["membership_id"]))
    other = f"/v1/staff/customers/{stub['id']}/claim-codes"
    assert problem(await desk.post(other))[:2] == (403, "NOT_PERMITTED")
    assert (await desk.post(other, headers=await world.staff_headers(Role.MANAGER))).status_code == 201


async def test_a_code_is_used_once_however_many_enter_it_at_once(world: World) -> None:
    desk = await ClaimDesk.open(world)
    stub = await desk.stub()
    code = (await desk.issue(stub["id"]))["code"]
    members = [await world.sign_up(f"member{number}@shop.test") for number in range(8)]

    async def enter(number: int) -> int:
        member = members[number % 8]
        async with world.client_at(f"203.0.{number}.9") as client:
            return (await desk.claim(member, code, client=client)).status_code

    answers = await asyncio.gather(*(enter(number) for number in range(64)))
    assert answers.count(201) == 1, answers
    assert set(answers) <= {201, 409, 429, 503}
    assert await DB.fetch_value("select count(*) from merge") == 1
    assert sum([await desk.balance(member.customer_id) for member in members]) == 12
    await assert_books_are_right(world)


async def test_a_claim_is_whole_or_nothing_whatever_breaks_off(world: World) -> None:
    desk = await ClaimDesk.open(world)
    stub = await desk.stub()
    ana = await world.sign_up("ana@shop.test")
    code = (await desk.issue(stub["id"]))["code"]
    await DB.fetch("alter table claim_code add constraint no_merge_for_now check (merge is null)")
    assert problem(await desk.claim(ana, code))[:2] == (500, "INTERNAL")
    assert (await desk.balance(ana.customer_id), await desk.balance(stub["id"])) == (0, 12)
    assert await DB.fetch_value("select count(*) from claim_code where used_at is not null") == 0
    await DB.fetch("alter table claim_code drop constraint no_merge_for_now")
    assert (await desk.claimed(ana, code))["points"] == 12


async def test_a_receipt_is_claimed_once_however_many_have_it_at_once(world: World) -> None:
    desk = await ClaimDesk.open(world)
    sold = expect(await push(world, desk.till, sale(world)), 201)
    code = expect(await desk.post(f"/v1/staff/orders/{sold['order_id']}/claim-codes"), 201)["code"]
    members = [await world.sign_up(f"member{number}@shop.test") for number in range(4)]

    async def enter(number: int) -> int:
        async with world.client_at(f"203.0.{number}.9") as client:
            return (await desk.claim(members[number % 4], code, client=client)).status_code

    answers = await asyncio.gather(*(enter(number) for number in range(64)))
    assert answers.count(201) == 1, answers
    assert set(answers) <= {201, 409, 429}
    assert sum([await desk.balance(member.customer_id) for member in members]) == 12
    await assert_books_are_right(world)


async def test_of_codes_made_at_once_for_one_customer_one_is_live(world: World) -> None:
    desk = await ClaimDesk.open(world)
    stub = await desk.stub()
    issued = await asyncio.gather(*(desk.issue(stub["id"]) for _ in range(16)))
    codes = (await desk.get(f"/v1/staff/customers/{stub['id']}/claim-codes"))["codes"]
    assert [one["state"] for one in codes].count("live") == 1
    works = [
        found["code"]["id"]
        for one in issued
        if not (found := expect(await desk.post("/v1/staff/claim-codes/find", {"code": one["code"]}), 200))["cause"]
    ]
    assert works == [one["id"] for one in codes if one["state"] == "live"]


async def test_what_a_member_cannot_put_right_alone_is_for_the_shop_and_costs_no_try(world: World) -> None:
    desk = await ClaimDesk.open(world)
    stub = await desk.stub()
    ana = await world.sign_up("ana@shop.test")
    code = (await desk.issue(stub["id"]))["code"]
    await DB.fetch("update customer set kind = 'business' where id = $1", UUID(stub["id"]))
    for _ in range(6):
        assert problem(await desk.claim(ana, code))[:2] == (409, "CLAIM_NEEDS_STAFF")
    await DB.fetch("update customer set kind = 'person' where id = $1", UUID(stub["id"]))
    await DB.fetch("update customer set status = 'blocked' where id = $1", UUID(stub["id"]))
    assert problem(await desk.claim(ana, code))[:2] == (409, "CLAIM_INVALID")
    assert await desk.causes(ana.customer_id) == ["subject_gone"]
