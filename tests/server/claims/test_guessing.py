"""Claim codes are guarded against guessing, and tell nothing before they work."""

import asyncio
from datetime import timedelta

from server.db.engine import DB
from shared.codes import check_character, is_claim_code, make_claim_code, normalise_claim_code
from shared.enums import Role
from tests.app import World, expect, problem
from tests.server.claims.desk import ClaimDesk


def wrong_code(number: int) -> str:
    """Return a well-formed code that nobody has."""
    return make_claim_code(f"{number:015}")


async def test_whatever_is_wrong_with_a_code_the_answer_is_the_same_and_staff_see_why(world: World) -> None:
    desk = await ClaimDesk.open(world, Role.MANAGER)
    ana = await world.sign_up("ana@shop.test")
    ben = await world.sign_up("ben@shop.test", given_name="Ben")
    used = (await desk.issue((await desk.stub())["id"]))["code"]
    await desk.claimed(ben, used)
    replaced_for = (await desk.stub())["id"]
    replaced = (await desk.issue(replaced_for))["code"]
    await desk.issue(replaced_for)
    expired = (await desk.issue((await desk.stub())["id"]))["code"]
    await DB.fetch(
        "update claim_code set expires_at = issued_at + interval '1 second' where used_at is null and revoked_at is null"
    )
    world.advance(timedelta(minutes=1))
    revoked = await desk.issue((await desk.stub())["id"])
    expect(await desk.post(f"/v1/staff/claim-codes/{revoked['id']}/revoke", {"reason": "lost it"}), 200)
    answers = [await desk.claim(ana, code) for code in (wrong_code(1), used, expired, replaced, revoked["code"])]
    bodies = [answer.json() for answer in answers]
    for body in bodies:
        del body["instance"]
    assert {answer.status_code for answer in answers} == {409}
    assert [body == bodies[0] for body in bodies] == [True] * 5
    assert {len(answer.content) for answer in answers} == {len(answers[0].content)}
    assert await desk.causes(ana.customer_id) == ["revoked", "revoked", "expired", "used", "unknown"]
    found = expect(await desk.post("/v1/staff/claim-codes/find", {"code": expired}), 200)
    assert (found["cause"], found["code"]["state"]) == ("expired", "expired")
    own = await desk.claim(ben, used)
    assert problem(own)[:2] == (409, "CLAIM_SELF"), "whoever used it is told so"


async def test_a_member_who_guesses_has_to_wait_a_day_however_fast(world: World) -> None:
    desk = await ClaimDesk.open(world)
    ana = await world.sign_up("ana@shop.test")
    good = (await desk.issue((await desk.stub())["id"]))["code"]
    answers = await asyncio.gather(*(desk.claim(ana, wrong_code(number)) for number in range(12)))
    codes = sorted(answer.json()["code"] for answer in answers)
    assert codes == ["CLAIM_INVALID"] * 5 + ["RATE_LIMITED"] * 7
    refused = await desk.claim(ana, good)
    assert problem(refused)[:2] == (429, "RATE_LIMITED")
    assert 23 * 3600 < int(refused.headers["Retry-After"]) <= 24 * 3600
    world.advance(timedelta(hours=24, seconds=1))
    tokens = expect(await world.sign_in("ana@shop.test"), 201)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert expect(await desk.post("/v1/me/claims", {"code": good}, headers=headers), 201)["points"] == 12


async def test_good_codes_cost_no_tries_and_bring_none_back(world: World) -> None:
    desk = await ClaimDesk.open(world)
    ana = await world.sign_up("ana@shop.test")
    for number in range(4):
        assert problem(await desk.claim(ana, wrong_code(number)))[1] == "CLAIM_INVALID"
    for _ in range(3):
        await desk.claimed(ana, (await desk.issue((await desk.stub(purchases=0))["id"]))["code"])
    assert problem(await desk.claim(ana, wrong_code(9)))[1] == "CLAIM_INVALID"
    assert problem(await desk.claim(ana, wrong_code(10)))[1] == "RATE_LIMITED"


async def test_a_network_that_guesses_from_many_accounts_has_to_wait_and_others_do_not(world: World) -> None:
    desk = await ClaimDesk.open(world)
    members = [await world.sign_up(f"member{number}@shop.test") for number in range(6)]
    async with world.client_at("203.0.113.9") as client:
        for number in range(20):
            answer = await desk.claim(members[number // 4], wrong_code(number), client=client)
            assert problem(answer)[1] == "CLAIM_INVALID"
        assert problem(await desk.claim(members[5], wrong_code(99), client=client))[1] == "RATE_LIMITED"
    assert problem(await desk.claim(members[5], wrong_code(99)))[1] == "CLAIM_INVALID"


async def test_a_code_alone_shows_nothing(world: World) -> None:
    desk = await ClaimDesk.open(world)
    stub = await desk.stub()
    code = (await desk.issue(stub["id"]))["code"]
    assert problem(await desk.post("/v1/me/claims", {"code": code}, headers={}))[:2] == (401, "NOT_SIGNED_IN")
    page = await world.client.get("/links/claim")
    assert page.status_code == 200
    assert "Okafor" not in page.text
    stored = await DB.fetch_row("select * from claim_code")
    assert stored is not None
    assert code.replace("-", "") not in str(dict(stored)).upper()


def test_look_alikes_are_read_as_meant_and_a_slip_is_found_out() -> None:
    code = make_claim_code("0123456789ABCDE")
    assert code == "0123-4567-89AB-CDE" + check_character("0123456789ABCDE")
    plain = normalise_claim_code(code)
    assert is_claim_code(plain)
    for typed in (
        code.lower(),
        code.replace("0", "O").replace("1", "l"),
        f" {code.replace('-', ' ')} ",
        f"https://x/links/claim#{code}",
    ):
        assert normalise_claim_code(typed) == plain
    for place in range(16):
        for other in "0123456789ABCDEFGHJKMNPQRSTVWXYZ":
            if other != plain[place]:
                assert not is_claim_code(plain[:place] + other + plain[place + 1 :])
    assert not is_claim_code(plain[1] + plain[0] + plain[2:])
