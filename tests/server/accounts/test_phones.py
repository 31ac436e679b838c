"""A member proves a phone number by digits that are texted to it, and to it alone."""

import asyncio

import httpx

from server.db.engine import DB
from tests.app import SignedUp, World, expect, problem
from tests.server.rewards.test_texted_codes import NUMBER, read_code

OTHER = "+447700900456"


async def ask(world: World, member: SignedUp) -> httpx.Response:
    return await world.client.post("/v1/me/phone-codes", headers=member.headers)


async def prove(world: World, member: SignedUp, code: str) -> httpx.Response:
    return await world.client.post("/v1/me/phone-codes/confirm", json={"code": code}, headers=member.headers)


async def test_texted_digits_prove_the_number_once(world: World) -> None:
    ana = await world.sign_up(phone=NUMBER)
    assert not expect(await world.client.get("/v1/me", headers=ana.headers), 200)["phone_proven"]
    assert problem(await prove(world, ana, "000000"))[:2] == (403, "PRESENCE_WRONG")
    assert expect(await ask(world, ana), 202)["number_ending"] == "123"
    code = await read_code(world)
    answers = await asyncio.gather(*(prove(world, ana, code) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert expect(await world.client.get("/v1/me", headers=ana.headers), 200)["phone_proven"]
    assert problem(await ask(world, ana))[:2] == (409, "PHONE_PROVEN")
    assert await DB.fetch_value("select count(*) from audit_entry where action = 'phone.proven'") == 1


async def test_digits_texted_to_one_number_do_not_prove_another(world: World) -> None:
    ana = await world.sign_up(phone=NUMBER)
    assert problem(await ask(world, await world.sign_up("ben@shop.test")))[:2] == (404, "NOT_FOUND")
    expect(await ask(world, ana), 202)
    code = await read_code(world)
    change = {"phone": OTHER, "password": ana.password}
    expect(await world.client.patch("/v1/me", json=change, headers=ana.headers), 200)
    assert problem(await prove(world, ana, code))[:2] == (403, "PRESENCE_WRONG")


async def test_a_number_belongs_to_whoever_proved_it_first(world: World) -> None:
    for email, status in (("ana@shop.test", 200), ("ben@shop.test", 409)):
        member = await world.sign_up(email, phone=NUMBER)
        expect(await ask(world, member), 202)
        answer = await prove(world, member, await read_code(world))
        assert answer.status_code == status, answer.text
    assert problem(answer)[1] == "PHONE_TAKEN"


async def test_guesses_are_counted_and_spoil_the_code(world: World) -> None:
    ana = await world.sign_up(phone=NUMBER)
    expect(await ask(world, ana), 202)
    code = await read_code(world)
    wrong = [f"{(int(code) + i) % 10**6:06}" for i in range(1, 8)]
    answers = [await prove(world, ana, guess) for guess in wrong]
    assert {answer.status_code for answer in answers} <= {403, 429}
    assert (await prove(world, ana, code)).status_code in (403, 429)


async def test_changes_of_the_number_at_once_leave_one_number(world: World) -> None:
    ana = await world.sign_up(phone=NUMBER)
    forms = [{"phone": f"+4477009005{i:02}", "password": ana.password} for i in range(4)]
    answers = await asyncio.gather(*(world.client.patch("/v1/me", json=form, headers=ana.headers) for form in forms))
    assert [answer.status_code for answer in answers] == [200] * 4, [answer.text for answer in answers]
    sql = "select count(*) from contact_point where kind = 'phone' and status <> 'retired' and customer = $1"
    assert await DB.fetch_value(sql, ana.customer_id) == 1
