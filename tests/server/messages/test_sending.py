"""Mail leaves by a job: at least once, with the same Message-ID, and not after its link has lost its use."""

import contextlib
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from server.db.engine import DB
from server.db.ids import new_id
from server.messages.gateways import MailDelayed
from server.messages.service import queue_mail, send_mail
from server.sessions.links import Purpose, create_link, void_links_about
from shared.limits import MAIL_KEPT_TRYING
from tests.app import World, expect
from tests.standins.smtp import SmtpSink


async def queue(world: World, to: str = "ana@shop.test", **values: str) -> UUID:
    async with DB.transaction():
        await queue_mail(
            world.ctx, to=to, template="phone_changed", customer_id=None, parameters={"at": "now", **values}
        )
    return await DB.fetch_value("select max(id::text)::uuid from message")  # type: ignore[return-value]


async def message(message_id: UUID) -> dict[str, Any]:
    row = await DB.fetch_row(
        "select state, last_error, attempts, parameters::text, sent_at from message where id = $1", message_id
    )
    assert row is not None
    return dict(row)


async def test_a_sign_up_works_through_a_real_mail_server(mailing: World, sink: SmtpSink) -> None:
    expect(await mailing.request_sign_up("ana@shop.test"), 202)
    await mailing.run_jobs()
    [mail] = sink.messages("ana@shop.test")
    assert (mail.sender, mail.recipients) == ("rewards@shop.test", ("ana@shop.test",))
    token = mail.text.partition("/links/signup#")[2].split()[0]
    expect(await mailing.client.post("/v1/signup/confirm", json={"token": token}), 201)


async def test_a_mail_that_left_is_marked_and_what_it_was_filled_with_is_forgotten(
    mailing: World, sink: SmtpSink
) -> None:
    message_id = await queue(mailing, given_name="Ana")
    assert "Ana" in (await message(message_id))["parameters"]
    await mailing.run_jobs()
    assert await message(message_id) == {
        "state": "sent",
        "last_error": None,
        "attempts": 1,
        "parameters": "{}",
        "sent_at": mailing.clock.now(),
    }


async def test_a_mail_leaves_once_however_often_its_job_runs(mailing: World, sink: SmtpSink) -> None:
    message_id = await queue(mailing)
    for _ in range(3):
        await send_mail(mailing.tools, message_id)
    assert len(sink.messages()) == 1


async def test_after_a_crash_it_leaves_again_with_the_same_id(mailing: World, sink: SmtpSink) -> None:
    message_id = await queue(mailing)
    await send_mail(mailing.tools, message_id)
    # What a crash between the server's yes and our note of it leaves behind.
    await DB.fetch(
        """update message set state = 'queued', parameters = '{"values": {"at": "now"}}' where id = $1""", message_id
    )
    await send_mail(mailing.tools, message_id)
    ids = [mail.message["Message-ID"] for mail in sink.messages()]
    assert ids == [f"<{message_id}@shop.test>"] * 2


async def test_a_temporary_refusal_is_tried_again(mailing: World, sink: SmtpSink) -> None:
    message_id = await queue(mailing)
    sink.refuse("ana@shop.test", code=451, count=1)
    with pytest.raises(MailDelayed):
        await send_mail(mailing.tools, message_id)
    assert (await message(message_id))["state"] == "queued"
    await send_mail(mailing.tools, message_id)
    assert ((await message(message_id))["state"], (await message(message_id))["attempts"]) == ("sent", 2)


async def test_a_server_that_is_away_is_tried_again(mailing: World, sink: SmtpSink, database_url: str) -> None:
    message_id = await queue(mailing)
    settings = msgspec.structs.replace(mailing.settings, smtp_port=1)
    with pytest.raises(MailDelayed):
        await send_mail(msgspec.structs.replace(mailing.tools, settings=settings), message_id)
    await send_mail(mailing.tools, message_id)
    assert len(sink.messages("ana@shop.test")) == 1


async def test_a_final_refusal_is_noted_without_the_address(mailing: World, sink: SmtpSink) -> None:
    message_id = await queue(mailing, given_name="Ana")
    sink.refuse("ana@shop.test", code=550)
    await send_mail(mailing.tools, message_id)
    row = await message(message_id)
    assert (row["state"], row["last_error"], row["parameters"]) == ("failed", "smtp_550", "{}")


async def test_a_mail_is_given_up_after_days(mailing: World, sink: SmtpSink) -> None:
    message_id = await queue(mailing)
    sink.refuse("ana@shop.test", code=451)
    mailing.advance(MAIL_KEPT_TRYING)
    await send_mail(mailing.tools, message_id)
    assert ((await message(message_id))["state"], (await message(message_id))["last_error"]) == ("failed", "gave_up")


@pytest.mark.parametrize("end", ["void", "used", "over", "gone"])
async def test_a_mail_whose_link_has_lost_its_use_does_not_leave(mailing: World, sink: SmtpSink, end: str) -> None:
    subject = new_id()
    async with DB.transaction():
        token = await create_link(
            mailing.ctx,
            purpose=Purpose.SIGN_UP,
            customer_id=None,
            email_key="ana@shop.test",
            subject=subject,
            life=timedelta(hours=1),
        )
        await queue_mail(
            mailing.ctx,
            to="ana@shop.test",
            template="confirm_sign_up",
            customer_id=None,
            token=token,
            parameters={"given_name": "Ana"},
        )
    match end:
        case "void":
            await void_links_about(mailing.ctx, subjects=[subject], purpose=Purpose.SIGN_UP)
        case "used":
            await DB.fetch("update one_time_token set used_at = now()")
        case "over":
            mailing.advance(timedelta(hours=1))
        case _:
            await DB.fetch("delete from one_time_token")
    await mailing.run_jobs()
    assert sink.messages() == []
    row = await DB.fetch_row("select state, last_error, parameters::text from message")
    assert row is not None
    assert tuple(row) == ("failed", "superseded", "{}")


async def test_no_usable_token_lies_in_the_database(world: World, database_url: str) -> None:
    expect(await world.request_sign_up("ana@shop.test"), 202)
    token = (await world.mail_to("ana@shop.test", purpose="signup")).token
    tables = await DB.fetch("select tablename from pg_tables where schemaname = 'public'")
    for table in tables:
        found = await DB.fetch(f'select 1 from "{table["tablename"]}" t where t::text like $1', f"%{token}%")
        assert found == [], table["tablename"]


async def test_a_mail_goes_with_its_cause_or_not_at_all(world: World) -> None:
    with contextlib.suppress(LookupError):
        async with DB.transaction():
            await queue_mail(world.ctx, to="ana@shop.test", template="phone_changed", customer_id=None)
            raise LookupError
    assert await DB.fetch_value("select count(*) from message") == 0
    assert await DB.fetch_value("select count(*) from pgqueuer") == 0


async def test_an_address_beyond_ascii_is_written_to_where_the_server_takes_it(mailing: World, sink: SmtpSink) -> None:
    await send_mail(mailing.tools, await queue(mailing, to="josé@bücher.test"))
    [mail] = sink.messages()
    assert mail.recipients == ("josé@xn--bcher-kva.test",)


async def test_the_file_mailbox_is_private_and_names_the_newest_link(world: World) -> None:
    expect(await world.request_sign_up("ana@shop.test"), 202)
    mail = await world.mail_to("ana@shop.test", purpose="signup")
    folder = world.settings.mail_folder
    assert folder.stat().st_mode & 0o077 == 0
    assert sorted(path.suffix for path in folder.iterdir()) == [".eml", ".txt"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    lines = (folder / "latest.txt").read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["To: ana@shop.test", f"Subject: {mail.subject}", f"Link: {mail.link}"]


async def test_a_mailbox_that_cannot_be_written_is_tried_again(world: World) -> None:
    message_id = await queue(world)
    world.settings.mail_folder.parent.mkdir(parents=True, exist_ok=True)
    world.settings.mail_folder.write_text("in the way")
    with pytest.raises(MailDelayed):
        await send_mail(world.tools, message_id)
    world.settings.mail_folder.unlink()
    await send_mail(world.tools, message_id)
    assert len(await world.mails_to("ana@shop.test")) == 1
