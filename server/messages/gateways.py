"""Where mail leaves: an SMTP server, or a folder of files for demos and tests."""

import asyncio
import os
import re
import secrets
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

import aiosmtplib
from aiosmtplib.errors import (
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from server.errors import RegularsError
from server.settings import SMTPS_PORT, Settings
from shared.limits import SMTP_TIMEOUT_SECONDS

_PERMANENT = range(500, 600)
# 530 to 538 say that our own sign-in with the server is wrong: the operator's matter, not the recipient's.
_OUR_OWN_FAULT = range(530, 539)
# Said of a recipient: no such mailbox, moved away, no such name. A full mailbox (552) or a policy (554) is neither.
_NO_MAILBOX = (550, 551, 553)
_LINK = re.compile(r"https?://\S+#\S+")


class MailDelayed(RegularsError):
    """The mail could not leave now; `reason` is free of personal data."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MailRefused(RegularsError):
    """The mail will never leave as it is; `reason` is free of personal data.

    Args:
        is_bounce: The recipient's server says that there is no such mailbox.
    """

    def __init__(self, reason: str, *, is_bounce: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_bounce = is_bounce


class Gateway(Protocol):
    """Anything that takes a mail away."""

    async def send(self, mail: EmailMessage, recipient: str) -> None:
        """Take a mail away.

        Raises:
            MailDelayed: Not now.
            MailRefused: Never.
        """
        ...


class SmtpGateway:
    """Speaks to the SMTP server of the settings, one connection a mail."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def send(self, mail: EmailMessage, recipient: str) -> None:
        settings = self._settings
        is_tls_first = settings.smtp_port == SMTPS_PORT
        try:
            await aiosmtplib.send(
                mail,
                sender=settings.mail_from,
                recipients=[recipient],
                hostname=settings.smtp_host,
                port=settings.smtp_port,
                username=settings.smtp_username,
                password=settings.smtp_password,
                use_tls=is_tls_first,
                start_tls=settings.smtp_starttls and not is_tls_first,
                timeout=SMTP_TIMEOUT_SECONDS,
            )
        except SMTPRecipientsRefused as error:
            code = error.recipients[0].code
            raise _refusal(code, is_bounce=code in _NO_MAILBOX) from error
        except SMTPNotSupported as error:
            # Only an address with letters beyond ASCII asks for more than every server can.
            raise MailRefused("smtp_utf8_not_supported") from error
        except SMTPResponseException as error:
            raise _refusal(error.code) from error
        except (SMTPException, OSError) as error:
            raise MailDelayed(f"smtp_{type(error).__name__}") from error


class FileGateway:
    """Writes each mail as an .eml file, and the newest one in plain words to latest.txt."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, mail: EmailMessage, recipient: str) -> None:
        try:
            await asyncio.to_thread(self._write, mail, recipient)
        except OSError as error:
            raise MailDelayed(f"file_{type(error).__name__}") from error

    def _write(self, mail: EmailMessage, recipient: str) -> None:
        # The mails hold links that open accounts, so nobody else may list or read them.
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = str(mail["Message-ID"]).strip("<>").partition("@")[0]
        write_whole(self._folder / f"{name}.eml", mail.as_bytes())
        part = mail.get_body(preferencelist=("plain",))
        text = "" if part is None else str(part.get_content())
        link = _LINK.search(text)
        latest = f"To: {recipient}\nSubject: {mail['Subject']}\nLink: {link[0] if link else 'none'}\n\n{text}"
        write_whole(self._folder / "latest.txt", latest.encode())


def create_gateway(settings: Settings) -> Gateway:
    """Return the gateway that the settings name."""
    return SmtpGateway(settings) if settings.mail == "smtp" else FileGateway(settings.mail_folder)


def _refusal(code: int, *, is_bounce: bool = False) -> MailDelayed | MailRefused:
    is_final = code in _PERMANENT and code not in _OUR_OWN_FAULT
    return MailRefused(f"smtp_{code}", is_bounce=is_bounce) if is_final else MailDelayed(f"smtp_{code}")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that nobody else may read; a reader sees the whole of it or none."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
    draft.replace(path)
