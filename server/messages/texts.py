"""Text messages (SMS): what they say and where they leave, Twilio or a folder of files for demos and tests.

They wait in the same queue as mail; a template of this module makes a message a text.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

import httpx

from server.messages.gateways import MailDelayed, MailRefused, write_whole
from server.settings import Settings
from server.tokens import Tokens, claim_code
from shared.limits import INVITATION_LINK_LIFE, NOT_ME_LINK_LIFE, SMS_CODE_DIGITS, SMS_CODE_LIFE

PRESENCE: Final = "sms_presence"
PHONE_PROOF: Final = "sms_phone_proof"
INVITATION: Final = "sms_invitation"
EMAIL_OVERRIDE: Final = "sms_email_override"
EMAIL_OVERRIDE_OVER: Final = "sms_email_override_over"
TEXTS: Final[Mapping[str, str]] = {
    PRESENCE: "{code} is your code to pay with points at {shop_name}. Tell it to nobody but the person at the till.",
    PHONE_PROOF: "{code} proves to {shop_name} that this number is yours. If you did not ask for it, do nothing.",
    INVITATION: "{shop_name}: choose a password for your rewards account, once: {link}",
    EMAIL_OVERRIDE: "{shop_name}: staff were asked to change the email address of your account. Not you? Stop it: {link}",
    EMAIL_OVERRIDE_OVER: "{shop_name}: the email address of your account stays as it is. Staff were asked to change it; that is off.",
}
LIVES: Final[Mapping[str, timedelta]] = {
    PRESENCE: SMS_CODE_LIFE,
    PHONE_PROOF: SMS_CODE_LIFE,
    INVITATION: INVITATION_LINK_LIFE,
    EMAIL_OVERRIDE: NOT_ME_LINK_LIFE,
    EMAIL_OVERRIDE_OVER: NOT_ME_LINK_LIFE,
}
"""After this long a text is of no use, and is not sent any more."""
_NOT_ME: Final = "not-me"  # What the link opens, as the mailed ones do.
_TIMEOUT_SECONDS: Final = 20.0


def sms_code(tokens: Tokens, code_id: UUID) -> str:
    """Return the digits of a code, made from its id and the service's secret, so that no waiting text holds them."""
    number = int.from_bytes(tokens.keyed_hash("sms-code", str(code_id))[:8], "big")
    return str(number % 10**SMS_CODE_DIGITS).zfill(SMS_CODE_DIGITS)


def write_text(template: str, code_id: UUID, *, tokens: Tokens, settings: Settings) -> str:
    """Return a text, with the digits or the link that are made from its code's id."""
    if template == INVITATION:
        link = f"{settings.public_url}/links/claim#{claim_code(tokens, code_id)}"
        return TEXTS[template].format(link=link, shop_name=settings.shop_name)
    if template == EMAIL_OVERRIDE:
        link = f"{settings.public_url}/links/{_NOT_ME}#{tokens.derive(_NOT_ME, code_id)}"
        return TEXTS[template].format(link=link, shop_name=settings.shop_name)
    return TEXTS[template].format(code=sms_code(tokens, code_id), shop_name=settings.shop_name)


class TextGateway(Protocol):
    """Anything that takes a text away."""

    async def send(self, message_id: UUID, text: str, number: str) -> None:
        """Take a text away.

        Raises:
            MailDelayed: Not now.
            MailRefused: Never.
        """
        ...


class TwilioGateway:
    """Hands texts to Twilio, one request each; it may deliver one twice after a lost answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def send(self, message_id: UUID, text: str, number: str) -> None:  # noqa: ARG002 - Twilio takes no id of ours
        settings = self._settings
        sid, token = settings.twilio_account_sid or "", settings.twilio_auth_token or ""
        url = f"{settings.twilio_base_url}/2010-04-01/Accounts/{sid}/Messages.json"
        form = {"To": number, "From": settings.twilio_from or "", "Body": text}
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
                answer = await client.post(url, data=form, auth=(sid, token))
        except httpx.HTTPError as error:
            raise MailDelayed(f"twilio_{type(error).__name__}") from error
        if answer.is_success:
            return
        # A bad request is about this number; everything else, our own sign-in included, may come right.
        if answer.status_code == HTTPStatus.BAD_REQUEST:
            raise MailRefused("twilio_400")
        raise MailDelayed(f"twilio_{answer.status_code}")


class FileTextGateway:
    """Writes each text as a file beside the mails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, message_id: UUID, text: str, number: str) -> None:
        try:
            await asyncio.to_thread(self._write, message_id, f"To: {number}\n\n{text}\n")
        except OSError as error:
            raise MailDelayed(f"file_{type(error).__name__}") from error

    def _write(self, message_id: UUID, content: str) -> None:
        # The texts hold codes that spend points, so nobody else may read them.
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self._folder / f"{message_id}.sms", content.encode())


def create_text_gateway(settings: Settings) -> TextGateway:
    """Return the gateway that the settings name."""
    return TwilioGateway(settings) if settings.sms == "twilio" else FileTextGateway(settings.mail_folder)
