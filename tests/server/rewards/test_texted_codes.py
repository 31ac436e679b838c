"""A code that is texted proves, once and for ten minutes, that whoever has the number stands at the till."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from server.db.engine import DB
from server.db.ids import new_id
from server.messages.gateways import MailDelayed, MailRefused
from server.messages.texts import TwilioGateway
from tests.app import World, expect, problem
from tests.app import test_settings as settings_of
from tests.server.rewards.builders import Counter

NUMBER = "+447700900123"


async def prove_phone(counter: Counter) -> None:
    sql = """
    insert into contact_point (id, customer, kind, value, key, status, is_primary, created_at, verified_at)
    values ($1, $2, 'phone', $3, $3, 'verified', true, now(), now())
    """
    await DB.fetch(sql, new_id(), counter.member.customer_id, NUMBER)


async def text(counter: Counter) -> httpx.Response:
    body = {"card_number": counter.member.card_number, "store": "high-street"}
    return await counter.world.client.post("/v1/pos/presence-codes", json=body, headers=counter.key)


async def read_code(world: World) -> str:
    """Send what is queued and return the digits of the newest text."""
    await world.run_jobs()
    # Each bears its message's id, which rises, as the time of a file need not.
    newest = max(world.settings.mail_folder.glob("*.sms"))
    assert f"To: {NUMBER}" in newest.read_text()
    return newest.read_text().split("\n\n")[1][:6]


async def test_a_texted_code_is_good_once_and_lies_nowhere(world: World) -> None:
    counter = await Counter.open(world)
    assert problem(await text(counter))[:2] == (409, "PHONE_NOT_PROVEN")
    await prove_phone(counter)
    assert expect(await text(counter), 202)["number_ending"] == "123"
    waiting = str(await DB.fetch_row("select m.*, c.* from message m, sms_code c where m.purpose = 'sms_presence'"))
    code = await read_code(world)
    assert code.isdigit()
    # By itself, as some id or number may hold the same six digits.
    assert code not in re.findall(r"\w+", waiting)
    expect(await counter.hold(300, code=code), 201)
    assert problem(await counter.hold(300, sale="cart-2", code=code))[:2] == (403, "PRESENCE_WRONG")
    assert await DB.fetch_value("select proof from hold") == "presence"


async def test_a_texted_code_is_over_after_ten_minutes_or_a_newer_one_or_too_many_guesses(world: World) -> None:
    counter = await Counter.open(world)
    await prove_phone(counter)
    expect(await text(counter), 202)
    late = await read_code(world)
    world.advance(timedelta(minutes=10))
    assert problem(await counter.hold(300, code=late))[1] == "PRESENCE_WRONG"
    expect(await text(counter), 202)
    old = await read_code(world)
    world.advance(timedelta(seconds=1))
    expect(await text(counter), 202)
    code = await read_code(world)
    assert problem(await counter.hold(300, code=old))[1] == "PRESENCE_WRONG"
    wrong = str((int(code) + 1) % 10**6).zfill(6)
    for _ in range(5):
        assert problem(await counter.hold(300, code=wrong))[1] == "PRESENCE_WRONG"
    assert problem(await counter.hold(300, code=code))[1] == "PRESENCE_WRONG"
    assert problem(await text(counter))[:2] == (429, "RATE_LIMITED")


async def test_64_tills_with_one_texted_code_let_one_have_it(world: World) -> None:
    counter = await Counter.open(world, points=10_000)
    await prove_phone(counter)
    expect(await text(counter), 202)
    code = await read_code(world)
    answers = await asyncio.gather(*(counter.hold(300, sale=f"cart-{n}", code=code) for n in range(64)))
    assert sum(answer.status_code == 201 for answer in answers) == 1
    assert {answer.json()["code"] for answer in answers if answer.status_code != 201} <= {
        "PRESENCE_WRONG",
        "RATE_LIMITED",
    }


async def test_a_text_that_is_late_is_not_sent(world: World) -> None:
    counter = await Counter.open(world)
    await prove_phone(counter)
    expect(await text(counter), 202)
    world.advance(timedelta(minutes=10))
    await world.run_jobs()
    assert list(world.settings.mail_folder.glob("*.sms")) == []
    assert await DB.fetch_value("select state from message where purpose = 'sms_presence'") == "failed"


@pytest.mark.parametrize(("status", "error"), [(201, None), (400, MailRefused), (429, MailDelayed), (500, MailDelayed)])
async def test_twilio_gets_the_text_and_its_refusals_are_told_apart(
    tmp_path: Path, status: int, error: type[Exception] | None
) -> None:
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length")
        )
        seen.append(head + await reader.readexactly(length))
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = settings_of(
            "postgresql://unused", tmp_path, sms="twilio", twilio_account_sid="AC1", twilio_auth_token="t0ken",
            twilio_from="Shop", twilio_base_url=f"http://127.0.0.1:{port}",
        )  # fmt: skip
        sending = TwilioGateway(settings).send(new_id(), "123456 is your code", NUMBER)
        if error is None:
            await sending
        else:
            with pytest.raises(error):
                await sending
    (request,) = seen
    assert request.startswith(b"POST /2010-04-01/Accounts/AC1/Messages.json")
    assert b"To=%2B447700900123&From=Shop&Body=123456+is+your+code" in request
    assert b"authorization: basic" in request.lower()
