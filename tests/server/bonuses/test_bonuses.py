"""Every bonus is given once, to whom it belongs, whoever asks for it and how often."""

import asyncio
import contextvars
from calendar import isleap
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.bonuses import rules as bonus_rules
from server.bonuses.service import grant_due
from server.customers.store import lock_customers
from server.db.engine import DB
from server.ledger.verification import verify
from server.memberships.store import lock_memberships
from server.merges.store import move_referrals
from server.programmes import store as programmes
from shared.programmes import BonusRules, EarningRules
from tests.app import SignedUp, World, expect, problem
from tests.ledgers import assert_verified, figures, locked
from tests.server.privacy.desk import forget
from tests.server.refunds.till import lines, pieces, sell, take
from tests.tills import push, sale
from tests.waiting import until_somebody_waits


async def set_rules(world: World, **bonuses: int) -> None:
    programme = await programmes.find_default()
    assert programme is not None
    body = EarningRules(points=1, per_minor=100, bonuses=BonusRules(**bonuses))
    await programmes.insert_rules(world.ctx, programme["id"], body, valid_from=world.clock.now() - timedelta(days=1))


async def buy(world: World, member: SignedUp, **fields: Any) -> None:  # noqa: ANN401
    expect(await push(world, await world.pos_key(), sale(world, card=member.card_number, **fields)), 201)


async def bonuses(membership_id: UUID) -> list[tuple[int, str]]:
    rows = await DB.fetch(
        "select points, note from ledger_entry where membership = $1 and kind = 'BONUS' order by id", membership_id
    )
    return [(row["points"], row["note"]) for row in rows]


async def code_of(world: World, member: SignedUp) -> str:
    path = f"/v1/me/memberships/{member.membership_id}/referral-code"
    return str(expect(await world.client.post(path, headers=member.headers), 200)["code"])


async def name(world: World, member: SignedUp, code: str) -> httpx.Response:
    path = f"/v1/me/memberships/{member.membership_id}/referrer"
    return await world.client.post(path, json={"code": code}, headers=member.headers)


async def test_a_new_member_is_welcomed_once_by_app_and_at_the_till(world: World) -> None:
    await set_rules(world, sign_up=50)
    member = await world.sign_up()
    assert await bonuses(member.membership_id) == [(50, "welcome")]
    headers = await world.staff_headers() | {"Idempotency-Key": "register-this-one-customer"}
    form = {"given_name": "Cy", "email": "cy@shop.test"}
    registered = expect(await world.client.post("/v1/staff/customers", json=form, headers=headers), 201)
    assert await bonuses(UUID(registered["membership_id"])) == [(50, "welcome")]
    entries = await world.client.get(f"/v1/me/memberships/{member.membership_id}/entries", headers=member.headers)
    assert expect(entries, 200)["items"][0]["reason"] == "Bonus: welcome"
    await assert_verified(world)


async def test_whoever_was_forgotten_and_comes_back_is_not_welcomed_again(world: World) -> None:
    await set_rules(world, sign_up=50)
    for comes_back in (False, True):
        member = await world.sign_up()
        assert await bonuses(member.membership_id) == ([] if comes_back else [(50, "welcome")])
        world.advance(timedelta(minutes=1))
        await forget(world, member)
    headers = await world.staff_headers() | {"Idempotency-Key": "register-who-comes-back"}
    form = {"given_name": "Ana", "email": member.email, "phone": "+447911123456"}
    registered = expect(await world.client.post("/v1/staff/customers", json=form, headers=headers), 201)
    assert await bonuses(UUID(registered["membership_id"])) == []
    await assert_verified(world)


async def test_nothing_is_given_where_the_rules_give_nothing(world: World) -> None:
    member = await world.sign_up(birthday={"month": 3, "day": 2})
    await buy(world, member)
    assert await grant_due(world.ctx) == 0
    assert await bonuses(member.membership_id) == []


async def test_a_birthday_is_celebrated_once_a_year(world: World) -> None:
    await set_rules(world, birthday=30)
    member = await world.sign_up(birthday={"month": 3, "day": 4})
    assert await grant_due(world.ctx) == 0
    world.advance(timedelta(days=2))
    assert sum(await asyncio.gather(*(grant_due(world.ctx) for _ in range(4)))) == 1
    assert await grant_due(world.ctx) == 0
    # Given seven days late, and with the first minute of the day in the next year.
    world.clock.set(datetime(2027, 3, 11, 12, tzinfo=UTC))
    assert await grant_due(world.ctx) == 1
    world.clock.set(datetime(2028, 3, 4, 0, 1, tzinfo=UTC))
    assert await grant_due(world.ctx) == 1
    assert await bonuses(member.membership_id) == [(30, "birthday")] * 3
    await assert_verified(world)


async def test_a_birthday_that_moves_from_one_year_to_the_next_is_no_second_one(world: World) -> None:
    await set_rules(world, birthday=30)
    member = await world.sign_up(birthday={"month": 12, "day": 31})
    world.clock.set(datetime(2026, 12, 31, 12, tzinfo=UTC))
    assert await grant_due(world.ctx) == 1
    await DB.fetch("update customer set birth_month = 1, birth_day = 1 where id = $1", member.customer_id)
    for year, count in ((2027, 0), (2028, 1), (2029, 1)):
        world.clock.set(datetime(year, 1, 1, 12, tzinfo=UTC))
        assert await grant_due(world.ctx) == count


async def test_a_birthday_begins_at_midnight_in_the_shops_zone(world: World) -> None:
    await set_rules(world, birthday=30)
    await world.sign_up(birthday={"month": 7, "day": 10})
    # London is an hour ahead of UTC in July.
    world.clock.set(datetime(2026, 7, 9, 22, 59, tzinfo=UTC))
    assert await grant_due(world.ctx) == 0
    world.clock.set(datetime(2026, 7, 9, 23, 0, tzinfo=UTC))
    assert await grant_due(world.ctx) == 1


@pytest.mark.parametrize(("days_late", "given"), [(7, 1), (8, 0)])
async def test_a_birthday_missed_for_a_few_days_is_made_up_for(world: World, days_late: int, given: int) -> None:
    await set_rules(world, birthday=30)
    await world.sign_up(birthday={"month": 3, "day": 20})
    world.clock.set(datetime(2026, 3, 20, 12, tzinfo=UTC) + timedelta(days=days_late))
    assert await grant_due(world.ctx) == given


@given(day=st.dates(date(2000, 1, 1), date(2103, 12, 31)))
@example(day=date(2027, 2, 28))
@example(day=date(2028, 2, 28))
@example(day=date(2028, 2, 29))
@example(day=date(2100, 2, 28))
def test_every_birthday_is_celebrated_on_one_day_of_every_year(day: date) -> None:
    celebrated = bonus_rules.celebrated_on(day)
    assert (day.month, day.day) in celebrated
    assert ((2, 29) in celebrated) == (day == date(day.year, 2, 29 if isleap(day.year) else 28))


async def test_the_first_purchase_is_paid_once_however_many_tills_ring_at_once(world: World) -> None:
    await set_rules(world, first_purchase=20)
    member = await world.sign_up()
    await asyncio.gather(*(buy(world, member) for _ in range(12)))
    assert await bonuses(member.membership_id) == [(20, "first purchase")]
    await assert_verified(world)


async def test_who_bought_before_there_was_a_bonus_has_made_the_first_purchase(world: World) -> None:
    member = await world.sign_up()
    await buy(world, member)
    await set_rules(world, first_purchase=20)
    await buy(world, member)
    assert await bonuses(member.membership_id) == []


async def test_what_a_first_purchase_set_off_goes_once_none_of_the_sales_is_left(world: World) -> None:
    await set_rules(world, first_purchase=20, referrer=40, referred=25)
    ana, ben = await world.sign_up("ana@shop.test"), await world.sign_up("ben@shop.test")
    expect(await name(world, ben, await code_of(world, ana)), 200)
    key = await world.pos_key()
    first, second = [await sell(world, key, ben.card_number, 1_000) for _ in range(2)]
    assert await grant_due(world.ctx) == 1
    assert await figures(ben.membership_id) == (65, 65, 0, 0)
    # Another sale is a first purchase as well; without it nothing has been bought.
    await take(world, key, first, pieces("1"))
    assert (await figures(ben.membership_id))[0] == 55
    await take(world, key, second, pieces("1"))
    assert await figures(ben.membership_id) == (0, 0, 0, 0)
    # The friend who brought Ben is paid once, whatever Ben buys and returns.
    third = sale(world, card=ben.card_number, lines=lines(1_000))
    for body, balance in (
        (third, 55),
        (third | {"revision": 1, "lines": lines(50)}, 0),
        (third | {"revision": 2}, 55),
        (third | {"revision": 3, "state": "voided"}, 0),
    ):
        expect(await push(world, key, body), 201)
        assert (await figures(ben.membership_id))[0] == balance
    await grant_due(world.ctx)
    assert await bonuses(ana.membership_id) == [(40, "a friend joined")]
    await assert_verified(world)
    # Nor does it stay with whoever Ben was merged into.
    last = sale(world, card=ben.card_number, lines=lines(1_000))
    expect(await push(world, key, last), 201)
    await DB.fetch(
        "update customer set status = 'merged', merged_into = $2 where id = $1", ben.customer_id, ana.customer_id
    )
    await DB.fetch("update orders set customer = $1", ana.customer_id)
    expect(await push(world, key, last | {"state": "voided"}), 201)
    assert (await figures(ben.membership_id))[0] == 0


async def test_a_sale_sets_off_what_the_rules_of_its_time_give(world: World) -> None:
    await set_rules(world, referred=25)
    ana, ben, cy = [await world.sign_up(f"{who}@shop.test") for who in ("ana", "ben", "cy")]
    code = await code_of(world, ana)
    for friend in (ben, cy):
        expect(await name(world, friend, code), 200)
    await buy(world, ben)
    before = world.clock.now()
    world.advance(timedelta(days=2))
    await set_rules(world, first_purchase=20, referrer=40)
    # Neither the friend of then nor a sale of then is paid by the rules of today.
    assert await grant_due(world.ctx) == 0
    await buy(world, cy, completed_at=before.isoformat())
    assert await bonuses(cy.membership_id) == [(25, "brought by a friend")]
    assert await grant_due(world.ctx) == 0
    await assert_verified(world)


async def test_whoever_joined_after_their_birthday_or_had_it_as_somebody_else_waits_for_the_next_one(
    world: World,
) -> None:
    await set_rules(world, birthday=30)
    await DB.fetch("update programme set grace_days = 10, version = version + 1")
    await world.sign_up(birthday={"month": 2, "day": 28})
    ben = await world.sign_up("ben@shop.test", birthday={"month": 3, "day": 2})
    dan, eve = await world.sign_up("dan@shop.test"), await world.sign_up("eve@shop.test")
    assert await grant_due(world.ctx) == 1
    for gone, stays in ((ben, dan), (dan, eve)):
        await DB.fetch(
            "update customer set status = 'merged', merged_into = $2 where id = $1", gone.customer_id, stays.customer_id
        )
        await DB.fetch("update customer set birth_month = 3, birth_day = 2 where id = $1", stays.customer_id)
        assert await grant_due(world.ctx) == 0


async def test_a_grant_waits_for_whoever_has_the_customer_and_keeps_no_membership_from_them(world: World) -> None:
    await set_rules(world, birthday=30)
    member = await world.sign_up(birthday={"month": 3, "day": 2})
    async with asyncio.TaskGroup() as group, DB.transaction():
        await lock_customers([member.customer_id])
        given = group.create_task(grant_due(world.ctx), context=contextvars.Context())
        await until_somebody_waits()
        await DB.fetch("set local lock_timeout = '200ms'")
        assert await lock_memberships([member.membership_id])
    assert given.result() == 1


async def test_a_sale_that_earns_nothing_is_no_first_purchase(world: World) -> None:
    await set_rules(world, first_purchase=20)
    member = await world.sign_up()
    await buy(world, member, lines=[{"line_id": "1", "net_minor": 5}])
    assert await bonuses(member.membership_id) == []
    await buy(world, member)
    assert await bonuses(member.membership_id) == [(20, "first purchase")]


async def test_both_friends_are_paid_with_the_first_purchase_of_the_new_one(world: World) -> None:
    await set_rules(world, referrer=40, referred=25)
    ana, ben = await world.sign_up("ana@shop.test"), await world.sign_up("ben@shop.test")
    code = await code_of(world, ana)
    assert await code_of(world, ana) == code
    typed = f" {code[:4].lower()}-{code[4:]} "
    expect(await name(world, ben, typed), 200)
    assert await grant_due(world.ctx) == 0
    await buy(world, ben)
    await buy(world, ben)
    assert sum(await asyncio.gather(*(grant_due(world.ctx) for _ in range(4)))) == 1
    assert await grant_due(world.ctx) == 0
    assert await bonuses(ana.membership_id) == [(40, "a friend joined")]
    assert await bonuses(ben.membership_id) == [(25, "brought by a friend")]
    assert (await figures(ana.membership_id))[1] == 40
    await assert_verified(world)
    # Whoever the friend becomes part of has had it.
    cy = await world.sign_up("cy@shop.test")
    await move_referrals(ana.customer_id, cy.customer_id)
    assert await grant_due(world.ctx) == 0
    await assert_verified(world)
    await DB.fetch("update referral set paid_at = null")
    wrong = [outcome async for outcome in verify(world.clock.now()) if not outcome.is_right]
    assert [(one.name, str(one.wrong_row)[:8]) for one in wrong] == [
        ("every bonus was granted, and each grant paid once", "referral")
    ]


async def test_nobody_brings_themselves_or_twice_or_late(world: World) -> None:
    await set_rules(world, referrer=40, referred=25)
    ana, ben, cy = [await world.sign_up(f"{who}@shop.test") for who in ("ana", "ben", "cy")]
    code = await code_of(world, ana)
    assert problem(await name(world, ana, code))[:2] == (409, "SELF_REFERRAL")
    assert problem(await name(world, ben, "00000000"))[:2] == (404, "NOT_FOUND")
    expect(await name(world, ben, code), 200)
    assert problem(await name(world, ben, await code_of(world, cy)))[:2] == (409, "REFERRAL_CLOSED")
    await buy(world, cy)
    assert problem(await name(world, cy, code))[:2] == (409, "REFERRAL_CLOSED")


async def test_a_first_purchase_under_way_decides_whether_a_friend_can_still_be_named(world: World) -> None:
    await set_rules(world, referrer=40)
    ana, ben = await world.sign_up("ana@shop.test"), await world.sign_up("ben@shop.test")
    code = await code_of(world, ana)
    await buy(world, ben, lines=[{"line_id": "1", "net_minor": 5}])
    async with asyncio.TaskGroup() as group, locked(ben.membership_id):
        named = group.create_task(name(world, ben, code), context=contextvars.Context())
        await until_somebody_waits()
        await DB.fetch("update orders set points = 5, skipped_reason = null")
    assert problem(named.result())[:2] == (409, "REFERRAL_CLOSED")


async def test_another_members_account_is_not_there(world: World) -> None:
    ana, ben = await world.sign_up("ana@shop.test"), await world.sign_up("ben@shop.test")
    path = f"/v1/me/memberships/{ana.membership_id}/referral-code"
    assert (await world.client.post(path, headers=ben.headers)).status_code == 404
    path = f"/v1/me/memberships/{ana.membership_id}/referrer"
    assert (await world.client.post(path, json={"code": "ABCDEFGH"}, headers=ben.headers)).status_code == 404


async def test_of_many_who_are_named_at_once_one_counts(world: World) -> None:
    await set_rules(world, referrer=40, referred=25)
    ben = await world.sign_up("ben@shop.test")
    friends = [await world.sign_up(f"friend{number}@shop.test") for number in range(3)]
    codes = [await code_of(world, friend) for friend in friends]
    answers = await asyncio.gather(*(name(world, ben, code) for code in codes))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
