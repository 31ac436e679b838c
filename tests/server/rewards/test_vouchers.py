"""Vouchers: taken for points, shown once, cancelled with every point and date."""

import hashlib
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from server.db.engine import DB
from server.ledger.lapsing import expire_lapsed
from server.programmes.rules import idle_until
from server.rewards.holds import tidy
from shared.codes import is_voucher_code, normalise_voucher_code
from shared.enums import Role
from tests.app import World, expect, problem
from tests.ledgers import assert_verified, credit, figures
from tests.server.email_changes.builders import home_of
from tests.server.rewards.builders import Counter, voucher_status


async def test_a_member_takes_a_voucher_for_points(world: World) -> None:
    counter = await Counter.open(world)
    reward = await counter.add_reward(kind="percent_off", percent=10, valid_days=30)
    issued = expect(await counter.take(reward), 201)
    assert is_voucher_code(normalise_voucher_code(issued["code"]))
    voucher = issued["voucher"]
    assert (voucher["status"], voucher["points_cost"], voucher["percent"]) == ("issued", 100, 10)
    assert voucher["valid_until"] == "2026-04-01T23:00:00Z"
    assert await counter.balance() == (900, 0)
    await assert_verified(world)


async def test_a_code_is_in_one_answer_only(world: World) -> None:
    counter = await Counter.open(world)
    code = await counter.take_code(await counter.add_reward())
    for text in (code, code.replace("-", "")):
        for table in await DB.fetch("select tablename from pg_tables where schemaname = 'public'"):
            name = table["tablename"]
            where = "t::text like '%' || $1 || '%' or t::text like '%' || encode($1::bytea, 'hex') || '%'"
            assert not await DB.fetch(
                f'select 1 from "{name}" t where {where.replace("$1::bytea", "$2::bytea")}', text, text.encode()
            ), name
    listed = (await world.client.get("/v1/me/vouchers", headers=counter.member.headers)).text
    shown = await counter.send(
        "GET", f"/v1/staff/customers/{counter.member.customer_id}/vouchers", headers=counter.manager
    )
    for answer in (listed, shown.text):
        assert code[-4:] in answer
        assert code not in answer


async def test_a_lost_answer_is_given_again_with_the_code(world: World) -> None:
    counter = await Counter.open(world)
    body = {"reward_id": (await counter.add_reward())["id"]}
    answers = [
        await counter.send("POST", "/v1/me/vouchers", body, headers=counter.member.headers, key="one-key-for-both")
        for _ in range(2)
    ]
    assert answers[0].content == answers[1].content
    assert await counter.balance() == (900, 0)


async def test_much_in_a_day_needs_the_password(world: World) -> None:
    counter = await Counter.open(world)
    reward = await counter.add_reward()
    world.advance(timedelta(minutes=11))
    expect(await counter.take(reward), 201)
    expect(await counter.take(reward), 201)
    assert problem(await counter.take(reward))[:2] == (403, "REAUTH_REQUIRED")
    assert problem(await counter.take(reward, password="wrong-teapot-72-gulls"))[:2] == (403, "REAUTH_REQUIRED")
    taken = await counter.take(reward, password=counter.member.password)
    expect(taken, 201)
    assert await counter.balance() == (700, 0)
    # Of the body only what nobody can try passwords on is kept.
    plain = hashlib.sha256(b"/v1/me/vouchers\0" + taken.request.content).digest()
    assert plain not in {row["body_hash"] for row in await DB.fetch("select body_hash from idempotency_key")}


@pytest.mark.parametrize(
    ("fields", "taken"), [({"stock": 1}, 1), ({"member_limit": 2}, 2), ({"status": "retired"}, 0), ({"stock": 0}, 0)]
)
async def test_what_is_not_to_be_had_costs_nothing(world: World, fields: dict[str, object], taken: int) -> None:
    counter = await Counter.open(world)
    reward = await counter.add_reward()
    path = f"/v1/staff/rewards/{reward['id']}"
    expect(await counter.send("PATCH", path, {"version": 1} | fields, headers=counter.manager), 200)
    for _ in range(taken):
        expect(await counter.take(reward), 201)
    assert problem(await counter.take(reward))[:2] == (409, "REWARD_UNAVAILABLE")
    assert await counter.balance() == (1_000 - 100 * taken, 0)


async def test_unknown_rewards_and_too_few_points_are_refused(world: World) -> None:
    counter = await Counter.open(world, points=90)
    refused = await counter.take(await counter.add_reward())
    assert problem(refused)[:2] == (409, "INSUFFICIENT_POINTS")
    assert refused.json()["data"] == {"available": 90, "held": 0, "spendable": 90}
    unknown = {"id": "01970000-0000-7000-8000-000000000001"}
    assert problem(await counter.take(unknown))[:2] == (409, "REWARD_UNAVAILABLE")


async def test_points_on_hold_buy_no_voucher(world: World) -> None:
    counter = await Counter.open(world)
    await counter.hold_proven(950)
    assert problem(await counter.take(await counter.add_reward()))[:2] == (409, "INSUFFICIENT_POINTS")


async def test_staff_take_a_voucher_with_the_members_digits_or_within_the_days_limit(world: World) -> None:
    counter = await Counter.open(world)
    reward = await counter.add_reward(points_cost=150)
    cashier = await world.staff_headers(Role.CASHIER)
    path, body = f"/v1/staff/customers/{counter.member.customer_id}/vouchers", {"reward_id": reward["id"]}
    expect(await counter.send("POST", path, body, headers=cashier), 201)
    assert problem(await counter.send("POST", path, body, headers=cashier))[:2] == (409, "PRESENCE_NEEDED")
    wrong = await counter.send("POST", path, body | {"presence_code": "00000000"}, headers=cashier)
    assert problem(wrong)[:2] == (403, "PRESENCE_WRONG")
    proven = body | {"presence_code": await counter.digits()}
    expect(await counter.send("POST", path, proven, headers=cashier), 201)
    assert (await counter.quote())["card_points"] == 50


async def test_staff_serve_anybody_but_themselves(world: World) -> None:
    counter = await Counter.open(world)
    issued = expect(await counter.take(await counter.add_reward()), 201)
    await DB.fetch("update staff_member set customer = $1", counter.member.customer_id)
    reward = await counter.add_reward()
    path = f"/v1/staff/customers/{counter.member.customer_id}/vouchers"
    taken = await counter.send("POST", path, {"reward_id": reward["id"]}, headers=counter.manager)
    assert problem(taken)[:2] == (403, "SELF_DEALING")
    cancel = f"/v1/staff/vouchers/{issued['voucher']['id']}/cancel"
    cancelled = await counter.send("POST", cancel, {"reason": "no need"}, headers=counter.manager)
    assert problem(cancelled)[:2] == (403, "SELF_DEALING")


async def test_a_cancelled_voucher_gives_its_points_back_with_their_dates(world: World) -> None:
    counter = await Counter.open(world, points=0)
    soon = await credit(world, counter.member.membership_id, 60, days=3)
    await credit(world, counter.member.membership_id, 500, days=365)
    issued = expect(await counter.take(await counter.add_reward(member_limit=1)), 201)
    expires_at = await DB.fetch_value("select expires_at from lot where entry = $1", soon)
    path = f"/v1/staff/vouchers/{issued['voucher']['id']}/cancel"
    view = expect(await counter.send("POST", path, {"reason": "wrong one"}, headers=counter.manager), 200)
    assert view["status"] == "void"
    assert await counter.balance() == (560, 0)
    back = await DB.fetch_value("select remaining from lot where expires_at = $1 and remaining > 0", expires_at)
    assert back == 60
    assert problem(await counter.hold_voucher(issued["code"]))[:2] == (409, "VOUCHER_USED")
    again = await counter.send("POST", path, {"reason": "wrong one"}, headers=counter.manager)
    assert problem(again)[:2] == (409, "VOUCHER_USED")
    await assert_verified(world)


async def test_points_that_lapsed_meanwhile_come_back_for_the_grace(world: World) -> None:
    counter = await Counter.open(world, points=0, restore_grace_days=7)
    await credit(world, counter.member.membership_id, 100, days=1)
    issued = expect(await counter.take(await counter.add_reward()), 201)
    world.advance(timedelta(days=2))
    await expire_lapsed(world.ctx)
    manager = await world.staff_headers(Role.MANAGER)
    path = f"/v1/staff/vouchers/{issued['voucher']['id']}/cancel"
    expect(await counter.send("POST", path, {"reason": "wrong one"}, headers=manager), 200)
    expires_at = await DB.fetch_value("select expires_at from lot where remaining = 100")
    # At the end of a day, like all points.
    assert expires_at == idle_until(world.clock.now(), 7, "Europe/London")
    await assert_verified(world)


async def test_a_voucher_at_a_till_or_used_is_not_cancelled(world: World) -> None:
    counter = await Counter.open(world)
    issued = expect(await counter.take(await counter.add_reward()), 201)
    path, reason = f"/v1/staff/vouchers/{issued['voucher']['id']}/cancel", {"reason": "wrong one"}
    hold = expect(await counter.hold_voucher(issued["code"]), 201)
    held = await counter.send("POST", path, reason, headers=counter.manager)
    expect(await counter.capture(hold), 200)
    used = await counter.send("POST", path, reason, headers=counter.manager)
    for refused, why in ((held, "It is set aside already"), (used, "It was used.")):
        assert problem(refused)[:2] == (409, "VOUCHER_USED")
        assert refused.json()["detail"].startswith(why)


async def test_a_reward_that_changes_leaves_issued_vouchers_alone_and_is_not_taken_as_it_was(world: World) -> None:
    counter = await Counter.open(world)
    await counter.add_reward()
    (reward,) = expect(await world.client.get("/v1/me/rewards", headers=counter.member.headers), 200)["items"]
    code = str(expect(await counter.take(reward, version=reward["version"]), 201)["code"])
    change = {"version": 1, "value_minor": 1, "points_cost": 900}
    expect(await counter.send("PATCH", f"/v1/staff/rewards/{reward['id']}", change, headers=counter.manager), 200)
    assert expect(await counter.hold_voucher(code), 201)["amount_minor"] == 500
    seen = {"reward_id": reward["id"], "version": reward["version"]}
    path = f"/v1/staff/customers/{counter.member.customer_id}/vouchers"
    for refused in (
        await counter.take(reward, version=reward["version"]),
        await counter.send("POST", path, seen, headers=counter.manager),
    ):
        assert problem(refused)[:2] == (409, "PREVIEW_STALE")
    assert await counter.balance() == (900, 0)


# A reissued account ---------------------------------------------------------------------------------------------------


async def reissue(counter: Counter) -> str:
    """Have Ana's account reissued by herself and return the token that undoes it."""
    world, member = counter.world, counter.member
    form = {"new_email": "new@shop.test", "mode": "reissue", "password": member.password}
    expect(await world.client.post("/v1/me/email-changes", json=form, headers=member.headers), 202)
    return (await world.mail_to("new@shop.test", purpose="email-change")).token


async def test_a_reissue_waits_for_a_sale_that_is_being_paid(world: World) -> None:
    counter = await Counter.open(world)
    hold = await counter.hold_proven(600)
    token = await reissue(counter)
    refused = await world.client.post("/v1/email-changes/confirm", json={"token": token})
    assert problem(refused)[:2] == (409, "OPEN_HOLD")
    assert refused.json()["data"] == {
        "store": "High Street",
        "order_reference": "cart-1",
        "until": hold["expires_at"].replace("Z", "+00:00"),
    }
    expect(await counter.capture(hold), 200)
    expect(await world.client.post("/v1/email-changes/confirm", json={"token": token}), 200)
    assert (await figures(await home_of(counter.member.customer_id)))[:2] == (400, 400)
    await assert_verified(world)


async def test_staff_see_the_sale_that_a_reissue_waits_for(world: World) -> None:
    counter = await Counter.open(world)
    expect(await counter.hold(100), 201)
    wish = {"new_email": "new@shop.test", "mode": "reissue", "reason": "lost mailbox", "identity_attested": True}
    path = f"/v1/staff/customers/{counter.member.customer_id}/email-changes"
    headers = await world.staff_headers(Role.MANAGER)
    preview_body = wish | {"preview_hash": "0" * 64}
    preview = expect(await counter.send("POST", f"{path}/preview", preview_body, headers=headers), 200)
    words = "Sale cart-1 at High Street is being paid with points or a voucher just now."
    assert preview["blockers"] == [words]
    refused = await counter.send("POST", path, wish | {"preview_hash": preview["preview_hash"]}, headers=headers)
    assert problem(refused)[:2] == (409, "OPEN_HOLD")
    keep = preview_body | {"mode": "keep"}
    shown = expect(await counter.send("POST", f"{path}/preview", keep, headers=headers), 200)
    assert shown["blockers"] == []


async def test_a_lapsed_hold_stops_no_reissue_and_its_voucher_gets_a_new_code(world: World) -> None:
    counter = await Counter.open(world)
    issued = expect(await counter.take(await counter.add_reward()), 201)
    expect(await counter.hold_voucher(issued["code"]), 201)
    await counter.hold_proven(600, sale="cart-2")
    token = await reissue(counter)
    world.advance(timedelta(minutes=15))
    expect(await world.client.post("/v1/email-changes/confirm", json={"token": token}), 200)
    assert await voucher_status(issued["voucher"]["id"]) == "void"
    assert problem(await counter.hold_voucher(issued["code"]))[:2] == (409, "VOUCHER_USED")
    await assert_verified(world)


async def test_a_reissued_voucher_pays_with_its_new_code_and_gives_its_points_to_the_new_account(world: World) -> None:
    counter = await Counter.open(world)
    await counter.take_code(await counter.add_reward())
    token = await reissue(counter)
    expect(await world.client.post("/v1/email-changes/confirm", json={"token": token}), 200)
    (mail,) = [mail for mail in await world.mails_to("new@shop.test") if mail.subject == "Your vouchers have new codes"]
    world.advance(timedelta(hours=25))
    (code,) = [word for word in mail.text.split() if is_voucher_code(normalise_voucher_code(word))]
    hold = expect(await counter.hold_voucher(code), 201)
    expect(await counter.release(hold), 200)
    voucher_id = await DB.fetch_value("select id from voucher where status = 'issued'")
    manager = await world.staff_headers(Role.MANAGER)
    path = f"/v1/staff/vouchers/{UUID(str(voucher_id))}/cancel"
    expect(await counter.send("POST", path, {"reason": "wrong one"}, headers=manager), 200)
    assert (await figures(await home_of(counter.member.customer_id)))[:2] == (1_000, 1_000)
    await assert_verified(world)


# With and without the sweep -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_swept", [False, True])
async def test_the_end_of_a_voucher_does_not_depend_on_the_sweep(world: World, is_swept: bool) -> None:
    counter = await Counter.open(world)
    reward = await counter.add_reward(valid_days=1)
    used, unused = [expect(await counter.take(reward), 201) for _ in range(2)]
    ends_at = datetime.fromisoformat(used["voucher"]["valid_until"])
    world.clock.set(ends_at - timedelta(minutes=5))
    held = expect(await counter.hold_voucher(used["code"]), 201)
    given_up = expect(await counter.hold_voucher(unused["code"], sale="cart-2"), 201)
    world.advance(timedelta(minutes=20))
    if is_swept:
        await tidy(world.tools)
    manager = await world.staff_headers(Role.MANAGER)
    path = f"/v1/staff/customers/{counter.member.customer_id}/vouchers"
    listed = expect(await world.client.get(path, headers=manager), 200)["items"]
    assert [one["status"] for one in listed] == ["expired", "expired"]
    expect(await counter.capture(held), 200)
    expect(await counter.release(given_up), 200)
    assert problem(await counter.capture(given_up))[:2] == (409, "HOLD_OVER")
    path = f"/v1/staff/vouchers/{unused['voucher']['id']}/cancel"
    late = await counter.send("POST", path, {"reason": "too late"}, headers=manager)
    assert problem(late)[:2] == (409, "VOUCHER_USED")
    await assert_verified(world)
