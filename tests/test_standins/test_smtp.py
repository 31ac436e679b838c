import asyncio
import contextlib
import smtplib
import threading
from collections.abc import Iterator
from email.message import EmailMessage

import aiosmtplib
import pytest

from tests.standins.smtp import MailNotReceived, SmtpSink

ANA, BEN = "ana@shop.test", "ben@shop.test"


@pytest.fixture
def sink() -> Iterator[SmtpSink]:
    with SmtpSink() as server:
        yield server


def mail_for(*addresses: str, subject: str = "Your link") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Regulars <hello@shop.test>"
    message["To"] = ", ".join(addresses)
    message["Subject"] = subject
    message.set_content("Grüße: https://shop.test/confirm#token")
    return message


def send(sink: SmtpSink, message: EmailMessage) -> dict[str, tuple[int, bytes]]:
    with smtplib.SMTP(sink.host, sink.port, timeout=10) as smtp:
        return smtp.send_message(message)


def test_a_mail_is_kept_and_can_be_read(sink: SmtpSink) -> None:
    send(sink, mail_for(ANA, BEN, subject="Grüße"))
    (mail,) = sink.messages()
    assert (mail.sender, mail.recipients) == ("hello@shop.test", (ANA, BEN))
    assert mail.message["Subject"] == "Grüße"
    assert mail.text == "Grüße: https://shop.test/confirm#token\n"


async def test_the_product_s_mail_client_is_served_too(sink: SmtpSink) -> None:
    await aiosmtplib.send(mail_for(ANA), hostname=sink.host, port=sink.port)
    assert (await asyncio.to_thread(sink.wait_for, ANA))[0].recipients == (ANA,)


def test_mails_are_told_apart_by_recipient_in_any_case(sink: SmtpSink) -> None:
    send(sink, mail_for(ANA, subject="first"))
    send(sink, mail_for(BEN, subject="second"))
    assert [mail.message["Subject"] for mail in sink.messages(BEN.upper())] == ["second"]


def test_waiting_ends_when_enough_mails_are_there(sink: SmtpSink) -> None:
    sender = threading.Thread(target=lambda: [send(sink, mail_for(ANA, subject=str(number))) for number in range(2)])
    sender.start()
    mails = sink.wait_for(ANA.upper(), count=2)
    sender.join()
    assert [mail.message["Subject"] for mail in mails] == ["0", "1"]


def test_waiting_in_vain_says_what_came(sink: SmtpSink) -> None:
    send(sink, mail_for(BEN, subject="for Ben"))
    with pytest.raises(MailNotReceived, match="for Ben"):
        sink.wait_for(ANA, timeout_s=0.05)


@pytest.mark.parametrize("code", [450, 550])
def test_a_recipient_is_refused_as_often_as_asked(sink: SmtpSink, code: int) -> None:
    sink.refuse(ANA, code=code, count=1)
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        send(sink, mail_for(ANA))
    assert caught.value.recipients[ANA][0] == code
    sink.wait_for_refusals(1)
    assert sink.messages() == []
    send(sink, mail_for(ANA))
    assert len(sink.messages(ANA)) == 1


def test_one_refused_recipient_does_not_keep_the_mail_from_the_others(sink: SmtpSink) -> None:
    sink.refuse(ANA, code=550)
    assert send(sink, mail_for(ANA, BEN))[ANA][0] == 550
    assert sink.messages()[0].recipients == (BEN,)
    sink.accept(ANA)
    assert send(sink, mail_for(ANA)) == {}


def test_a_hanging_recipient_is_never_answered(sink: SmtpSink) -> None:
    sink.hang(ANA, count=1)
    with smtplib.SMTP(sink.host, sink.port, timeout=30) as smtp:
        smtp.ehlo()
        smtp.mail("hello@shop.test")
        assert smtp.sock is not None
        smtp.sock.settimeout(0.3)
        with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
            smtp.rcpt(ANA)
        smtp.close()
    sink.wait_for_refusals(1)
    assert sink.messages() == []


def test_stopping_ends_even_a_hanging_connection(sink: SmtpSink) -> None:
    def stop_once_it_hangs() -> None:
        sink.wait_for_refusals(1)
        sink.stop()

    sink.hang(ANA)
    with smtplib.SMTP(sink.host, sink.port, timeout=30) as smtp:
        smtp.ehlo()
        smtp.mail("hello@shop.test")
        stopper = threading.Thread(target=stop_once_it_hangs)
        stopper.start()
        # Either the word that it is stopping or the end of the connection, and soon.
        with contextlib.suppress(smtplib.SMTPServerDisconnected):
            assert smtp.rcpt(ANA)[0] == 421
        stopper.join(10)
        assert not stopper.is_alive()
        smtp.close()


def test_an_accepted_answer_is_no_refusal(sink: SmtpSink) -> None:
    with pytest.raises(ValueError, match="250"):
        sink.refuse(ANA, code=250)
