"""Customers from the till are asked to choose a password by mail, else by text, else by a code on paper. Nobody is given one."""

import re
from datetime import timedelta
from typing import Any

from server.accounts.service import CLAIM_JOB
from server.claims.invitations import follow_up
from server.claims.service import claim_at_sign_up
from server.db.engine import DB
from server.memberships.service import print_cards
from tests.app import World, expect
from tests.server.claims.desk import ClaimDesk

PHONE = "+44 20 7946 0001"


async def texts(world: World) -> list[str]:
    await world.run_jobs()
    return [path.read_text() for path in sorted(world.settings.mail_folder.glob("*.sms"))]


async def invitation_of(desk: ClaimDesk, customer_id: str) -> dict[str, Any] | None:
    shown: dict[str, Any] | None = (await desk.get(f"/v1/staff/customers/{customer_id}"))["invitation"]
    return shown


async def test_a_text_leads_to_an_account_that_has_everything(world: World) -> None:
    world.jobs[CLAIM_JOB] = claim_at_sign_up
    desk = await ClaimDesk.open(world)
    stub = await desk.stub(phone=PHONE)
    assert stub["invited_by"] == "sms"
    shown = await invitation_of(desk, stub["id"])
    assert shown is not None
    assert (shown["channel"], shown["state"]) == ("sms", "on_its_way")
    (text,) = await texts(world)
    assert text.startswith("To: +442079460001\n")
    link = re.search(r"https://rewards\.test/links/claim#(\S+)", text)
    assert link is not None
    shown = await invitation_of(desk, stub["id"])
    assert shown is not None
    assert shown["state"] == "delivered"
    waiting = await DB.fetch("select parameters::text from message")
    assert link[1] not in str(waiting), "no message that waits holds the code"
    bea = await world.sign_up("bea@shop.test", given_name="Bea", claim_code=link[1])
    await world.run_jobs()
    assert await desk.balance(bea.customer_id) == 12


async def test_a_mail_that_does_not_arrive_is_followed_by_one_text(world: World) -> None:
    desk = await ClaimDesk.open(world)
    both = await desk.register(email="bea@shop.test", phone=PHONE)
    await desk.register(given_name="Cy", email="cy@shop.test")
    assert both["invited_by"] == "email"
    assert await follow_up(world.tools) == 0, "the mail may still leave"
    await desk.wait(minutes=16)
    assert await follow_up(world.tools) == 1
    assert await follow_up(world.tools) == 0
    shown = await invitation_of(desk, both["id"])
    assert shown is not None
    assert shown["channel"] == "sms"
    assert len(await texts(world)) == 1


async def test_a_refused_mail_is_followed_at_once_and_one_that_left_is_not(world: World) -> None:
    desk = await ClaimDesk.open(world)
    refused = await desk.register(email="bea@shop.test", phone=PHONE)
    await DB.fetch("update message set state = 'failed', last_error = 'smtp_550' where customer = $1", refused["id"])
    left = await desk.register(given_name="Cy", email="cy@shop.test", phone="+442079460002")
    await world.run_jobs()
    member = await desk.register(given_name="Dee", email="dee@shop.test", phone="+442079460003")
    await DB.fetch("update message set state = 'failed', last_error = 'superseded' where customer = $1", member["id"])
    world.advance(timedelta(minutes=1))
    assert await follow_up(world.tools) == 1
    (text,) = await texts(world)
    assert "+442079460001" in text
    shown = await invitation_of(desk, left["id"])
    assert shown is not None
    assert (shown["channel"], shown["state"]) == ("email", "delivered")


async def test_without_email_and_phone_a_code_on_paper_is_the_way(world: World) -> None:
    desk = await ClaimDesk.open(world)
    (card,) = await print_cards(world.ctx, 1)
    stub = await desk.register(card_number=card)
    assert stub["invited_by"] is None
    assert await invitation_of(desk, stub["id"]) is None
    issued = await desk.issue(stub["id"])
    assert issued["code"] in issued["text"]
    shown = await invitation_of(desk, stub["id"])
    assert shown is not None
    assert (shown["channel"], shown["state"]) == ("code", "handed_over")


async def test_staff_send_the_text_again_and_the_former_link_is_void(world: World) -> None:
    desk = await ClaimDesk.open(world)
    stub = await desk.stub(phone=PHONE)
    expect(await desk.post(f"/v1/staff/customers/{stub['id']}/invitations"), 202)
    codes = [re.search(r"#(\S+)", text) for text in await texts(world)]
    assert len(codes) == 2
    ana = await world.sign_up("ana@shop.test")
    answers = [(await desk.claim(ana, found[1])).status_code for found in codes if found]
    assert sorted(answers) == [201, 409]
