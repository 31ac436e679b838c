"""How a mail is put together: one template gives its subject, its plain text and its HTML.

A template's first line is the subject; its paragraphs are separated by blank lines. The paragraph `{{ link }}` becomes
a button in HTML. Both kinds are rendered from the same words, so that they cannot differ.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from uuid import UUID

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from server.customers.rules import parse_email
from server.settings import Settings

_GREETED_NAME_MAX = 40
# What a mail program would turn into a link: our sign-up form must not carry other people's advertising.
_URL_LIKE = re.compile(r"://|www\.|http|[/@\\]|[^\s.]{2,}\.[^\s.]{2,}", re.IGNORECASE)
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")
_VALUE_LENGTH_MAX = 254

_FOLDER = FileSystemLoader(Path(__file__).parent / "templates")
_TEXT = Environment(loader=_FOLDER, undefined=StrictUndefined, autoescape=False, trim_blocks=True)  # noqa: S701
_HTML = Environment(loader=_FOLDER, undefined=StrictUndefined, autoescape=True, trim_blocks=True)


class QueuedMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as it was written down, and whether its link has lost its use since."""

    id: UUID
    purpose: str
    to_address: str
    template: str
    parameters: Mapping[str, str]
    token_id: UUID | None
    voucher_ids: tuple[UUID, ...] = ()
    link_is_void: bool
    created_at: datetime


def compose(mail: QueuedMail, *, settings: Settings, token: str | None, now: datetime) -> EmailMessage:
    """Return the finished mail.

    Args:
        token: Goes into the link's fragment, which browsers keep to themselves.

    Raises:
        Invalid: The address is none.
        ValueError: A header would hold a line break.
    """
    values = _values(mail, settings, token)
    subject, text = _render(_TEXT, mail.template, values)
    _, html = _render(_HTML, mail.template, values)
    local, _, domain = delivery_address(mail.to_address).rpartition("@")
    to = Address(username=local, domain=domain)
    message = EmailMessage(policy=policy.default.clone(utf8=not to.addr_spec.isascii()))
    message["Subject"] = _CONTROLS.sub(" ", subject)
    message["From"] = Address(display_name=settings.shop_name, addr_spec=settings.mail_from)
    message["To"] = to
    message["Date"] = format_datetime(now)
    # The same for every try, so that a mail sent twice can be told from two mails.
    message["Message-ID"] = f"<{mail.id}@{settings.mail_from.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    message.add_alternative(_page(html, subject, values), subtype="html")
    return message


def delivery_address(text: str) -> str:
    """Return an address as mail servers take it: its domain in ASCII, so that only its local part may need SMTPUTF8."""
    email = parse_email(text, "to")
    return f"{email.value.rpartition('@')[0]}@{email.key.rpartition('@')[2]}"


def greeting(given_name: str) -> str:
    """Return how a mail begins; a name that is long or looks like an address is left out."""
    name = " ".join(_CONTROLS.sub(" ", given_name).split())
    if not name or len(name) > _GREETED_NAME_MAX or _URL_LIKE.search(name):
        return "Hello,"
    return f"Hello {name},"


def _values(mail: QueuedMail, settings: Settings, token: str | None) -> dict[str, str]:
    values = {name: _CONTROLS.sub(" ", value)[:_VALUE_LENGTH_MAX] for name, value in mail.parameters.items()}
    return values | {
        "greeting": greeting(mail.parameters.get("given_name", "")),
        "shop_name": settings.shop_name,
        "link": f"{settings.public_url}/links/{mail.purpose}#{token}" if token else "",
        "forgotten_url": f"{settings.public_url}/links/forgotten-password",
    }


def _render(environment: Environment, template: str, values: Mapping[str, str]) -> tuple[str, str]:
    subject, _, body = environment.get_template(f"{template}.txt").render(values).partition("\n")
    return subject.strip(), body.strip() + "\n"


def _page(body: str, subject: str, values: Mapping[str, str]) -> str:
    # The paragraphs were escaped when they were rendered.
    paragraphs = [Markup(" ".join(part.split())) for part in body.split("\n\n")]  # noqa: S704
    return _HTML.get_template("layout.html").render(values, subject=subject, paragraphs=paragraphs)
