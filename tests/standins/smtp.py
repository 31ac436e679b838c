"""An SMTP server on loopback that keeps every mail and refuses or hangs on demand.

    with SmtpSink() as mail:
        ...
        message = mail.wait_for("ana@shop.test")[0].message

As a program: `scripts/smtp-sink --port 8702 --maildir DIR` writes each mail as a file and prints a line about it.
"""

import argparse
import asyncio
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

LOOPBACK = "127.0.0.1"
PORT_DEFAULT = 8702
MAIL_BYTES_MAX = 25 * 1024 * 1024
WAIT_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
REPLY_CODES = range(400, 600)


class MailNotReceived(AssertionError):
    """The mail that a test waited for did not come in time."""


class ReceivedMail(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted mail: its envelope, and its bytes as they came."""

    received_at: datetime
    sender: str
    recipients: tuple[str, ...]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)

    @property
    def text(self) -> str:
        """Return the plain text part, decoded, its lines ended by a newline alone; empty when the mail has none."""
        part = self.message.get_body(preferencelist=("plain",))
        return "" if part is None else str(part.get_content()).replace("\r\n", "\n")

    def is_for(self, address: str) -> bool:
        return address.lower() in (recipient.lower() for recipient in self.recipients)


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What one recipient gets instead of a 250. `left_count` None means: until it is lifted. `code` None means: no reply."""

    code: int | None
    left_count: int | None


class SmtpSink:
    """A server for one test, or for the program: in a thread of its own while its `with` block lasts."""

    def __init__(self, *, port: int = 0, on_mail: Callable[[ReceivedMail], None] = lambda mail: None) -> None:
        """Listen at once on the port, or on a free one.

        Args:
            on_mail: Called in the server's thread with each mail before it is acknowledged.

        Raises:
            OSError: The port is taken.
        """
        self._socket = socket.create_server((LOOPBACK, port), backlog=256)
        self.host = LOOPBACK
        self.port: int = self._socket.getsockname()[1]
        self._on_mail = on_mail
        self._changed = threading.Condition()
        self._mails: list[ReceivedMail] = []
        self._refusals: dict[str, Refusal] = {}
        self._refused_count = 0
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="smtp-sink", daemon=True)

    def messages(self, address: str = "") -> list[ReceivedMail]:
        """Return the mails in the order in which they came, for one recipient or for all."""
        with self._changed:
            return [mail for mail in self._mails if not address or mail.is_for(address)]

    def wait_for(self, address: str, *, count: int = 1, timeout_s: float = WAIT_TIMEOUT_S) -> list[ReceivedMail]:
        """Wait until that many mails for an address are there, and return them.

        In a coroutine call this through `asyncio.to_thread`.

        Raises:
            MailNotReceived: They did not come; the message says what did.
        """
        ends_at = time.monotonic() + timeout_s
        with self._changed:
            while True:
                found = [mail for mail in self._mails if mail.is_for(address)]
                if len(found) >= count:
                    return found
                if not self._changed.wait(ends_at - time.monotonic()):
                    came = [(mail.recipients, str(mail.message["Subject"])) for mail in self._mails]
                    raise MailNotReceived(f"{len(found)} of {count} mails for {address} came. All that came: {came}")

    def wait_for_refusals(self, count: int, *, timeout_s: float = WAIT_TIMEOUT_S) -> None:
        """Wait until that many recipients were refused, or left without a reply, since the start.

        Raises:
            MailNotReceived: Fewer were tried in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._refused_count >= count, timeout_s):
                raise MailNotReceived(f"{self._refused_count} of {count} recipients were refused.")

    def clear(self) -> None:
        """Forget the mails and the refusals."""
        with self._changed:
            self._mails.clear()
            self._refusals.clear()

    def refuse(self, address: str, *, code: int, count: int | None = None) -> None:
        """Answer a recipient with this code, for a number of times or until `accept`; below 500 is temporary."""
        if code not in REPLY_CODES:
            raise ValueError(f"{code} is not a refusal.")
        self._set_refusal(address, Refusal(code=code, left_count=count))

    def hang(self, address: str, *, count: int | None = None) -> None:
        """Never answer a recipient, for a number of times or until `accept`."""
        self._set_refusal(address, Refusal(code=None, left_count=count))

    def accept(self, address: str) -> None:
        with self._changed:
            self._refusals.pop(address.lower(), None)

    def _set_refusal(self, address: str, refusal: Refusal) -> None:
        with self._changed:
            self._refusals[address.lower()] = refusal

    def _take_refusal(self, address: str) -> Refusal | None:
        with self._changed:
            refusal = self._refusals.get(address.lower())
            if refusal is None:
                return None
            self._refused_count += 1
            if refusal.left_count is not None:
                left = msgspec.structs.replace(refusal, left_count=refusal.left_count - 1)
                self._refusals[address.lower()] = left
                if left.left_count == 0:
                    del self._refusals[address.lower()]
            self._changed.notify_all()
            return refusal

    # aiosmtpd calls these by name.

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refusal = self._take_refusal(address)
        if refusal is None:
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
            return "250 2.1.5 Recipient taken"
        if refusal.code is None:
            await self._stopping.wait()
            return "421 4.3.2 Stopping"
        kind = "4.2.1 Not now" if refusal.code < REPLY_CODES[100] else "5.1.1 No such mailbox"
        return f"{refusal.code} {kind}"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        mail = ReceivedMail(
            received_at=datetime.now(UTC),
            sender=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
            raw=content,
        )
        self._on_mail(mail)
        with self._changed:
            self._mails.append(mail)
            self._changed.notify_all()
        return "250 2.0.0 Kept"

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        server = await self._loop.create_server(self._protocol, sock=self._socket)
        await self._stopping.wait()
        server.close()
        # Each connection is a task of aiosmtpd's; ending them is what closes their sockets.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _protocol(self) -> SMTP:
        return SMTP(self, data_size_limit=MAIL_BYTES_MAX, enable_SMTPUTF8=True, hostname="smtp-sink", loop=self._loop)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(STOP_TIMEOUT_S)
        self._socket.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Maildir:
    """Writes each mail as an `.eml` file of its own that is whole from the moment it is there.

    Only the owner can read them: mails carry sign-in links.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._count = 0

    def write(self, mail: ReceivedMail) -> Path:
        self._count += 1
        name = f"{mail.received_at:%Y%m%dT%H%M%S.%fZ}-{self._count:06}"
        unfinished = self._directory / f".{name}.new"
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(mail.raw)
        return unfinished.replace(self._directory / f"{name}.eml")


def one_line(mail: ReceivedMail) -> str:
    """Describe a mail in one line; what came from outside cannot break the line or steer a terminal."""
    parts = (mail.sender, ", ".join(mail.recipients), str(mail.message["Subject"] or ""))
    sender, recipients, subject = ("".join(one if one.isprintable() else "?" for one in part) for part in parts)
    return f"{mail.received_at:%H:%M:%S} {sender} to {recipients}: {subject}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="smtp-sink", description="An SMTP server that keeps every mail as a file.")
    parser.add_argument("--port", type=int, default=PORT_DEFAULT, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--maildir", type=Path, metavar="DIR", required=True, help="where the mails are written")
    options = parser.parse_args(arguments)
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    try:
        maildir = Maildir(options.maildir)
        sink = SmtpSink(port=options.port, on_mail=lambda mail: _say(f"{one_line(mail)} ({maildir.write(mail)})"))
    except OSError as error:
        sys.stderr.write(f"The SMTP sink cannot start on port {options.port}: {error}\n")
        return 1
    with sink:
        _say(f"SMTP sink ready: {sink.host}:{sink.port}, mails in {options.maildir}")
        asked_to_stop.wait()
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
