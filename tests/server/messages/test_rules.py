"""How a mail is put together: what came from outside is text in it, and nothing else."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

import pytest
from jinja2 import Environment, meta

from server.errors import Invalid
from server.messages import rules
from server.messages.rules import QueuedMail, compose, greeting
from server.settings import Settings

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
MESSAGE_ID = UUID("01a20166-d3fe-7695-a60b-3e08b8b6fdde")
SETTINGS = Settings(
    data_dir=Path(), shop_name="Käse & Søn <b>", public_url="https://rewards.test/", mail_from="hello@shop.test"
)
FOLDER = Path(rules.__file__).parent / "templates"
TEMPLATES = sorted(path.stem for path in FOLDER.glob("*.txt"))
GIVEN = {"greeting", "shop_name", "link", "forgotten_url"}


def queued(template: str = "confirm_sign_up", to: str = "ana@shop.test", **parameters: str) -> QueuedMail:
    return QueuedMail(
        id=MESSAGE_ID,
        purpose="signup",
        to_address=to,
        template=template,
        parameters=parameters,
        token_id=None,
        link_is_void=False,
        created_at=NOW,
    )


def made(mail: QueuedMail, token: str | None = "the-token-of-the-link") -> EmailMessage:
    composed = compose(mail, settings=SETTINGS, token=token, now=NOW)
    parsed = message_from_bytes(composed.as_bytes(), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body(preferencelist=(kind,))
    assert found is not None
    return str(found.get_content())


def _names_in(template: str) -> set[str]:
    source = (FOLDER / f"{template}.txt").read_text(encoding="utf-8")
    return meta.find_undeclared_variables(Environment(autoescape=True).parse(source)) - GIVEN


def test_a_mail_has_what_a_mail_needs() -> None:
    message = made(queued(given_name="Ana"))
    assert message["Subject"] == "Confirm your email address for Käse & Søn <b>"
    assert message["From"].addresses[0].addr_spec == "hello@shop.test"
    assert message["From"].addresses[0].display_name == "Käse & Søn <b>"
    assert message["To"].addresses[0].addr_spec == "ana@shop.test"
    assert message["Message-ID"] == f"<{MESSAGE_ID}@shop.test>"
    assert message["Date"].datetime == NOW
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"


def test_both_parts_hold_the_one_link_built_from_the_settings() -> None:
    message = made(queued(given_name="Ana"))
    link = "https://rewards.test/links/signup#the-token-of-the-link"
    assert part(message, "plain").count("http") == part(message, "html").count("http") == 1
    assert f"\n{link}\n" in part(message, "plain")
    assert f'href="{link}"' in part(message, "html")


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_renders_in_both_kinds(template: str) -> None:
    message = made(queued(template, **dict.fromkeys(_names_in(template), "Ana")))
    assert message["Subject"]
    assert len(part(message, "plain").split()) > 10
    assert "<html" in part(message, "html")


def test_names_are_text_in_html() -> None:
    html = part(made(queued(given_name="<b>Ana</b>")), "html")
    assert "<b>" not in html.replace("Käse & Søn <b>", "")
    assert "Käse &amp; Søn &lt;b&gt;" in html


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ana", "Hello Ana,"),
        ("  Ana   María ", "Hello Ana María,"),
        ("J. R. R.", "Hello J. R. R.,"),
        ("山田", "Hello 山田,"),
        ("", "Hello,"),
        ("x" * 41, "Hello,"),
        ("win at http://evil.example", "Hello,"),
        ("HTTPS evil", "Hello,"),
        ("www.evil.example", "Hello,"),
        ("evil.example", "Hello,"),
        ("evil.example/win", "Hello,"),
        ("write to me@evil.example", "Hello,"),
        ("Ana\r\nBcc: bob@shop.test", "Hello,"),
    ],
)
def test_a_name_that_could_carry_advertising_is_left_out(name: str, expected: str) -> None:
    assert greeting(name) == expected


@pytest.mark.parametrize("value", ["a\r\nBcc: bob@shop.test", "a\nb", "a\x00b", "a\u2028b"])
def test_no_value_can_break_out_of_its_line(value: str) -> None:
    message = made(queued("new_sign_in", given_name=value, device=value, at=value))
    assert message["Bcc"] is None
    assert len(part(message, "plain").split("\n\n")) == len(
        part(made(queued("new_sign_in", at="", device="")), "plain").split("\n\n")
    )


def test_a_header_cannot_hold_a_line_break() -> None:
    with pytest.raises(Invalid):
        made(queued(to="ana@shop.test\r\nBcc: bob@shop.test"))


def test_an_address_with_an_international_domain_is_written_to_in_ascii() -> None:
    assert made(queued(to="Ana@Bücher.example"))["To"].addresses[0].addr_spec == "Ana@xn--bcher-kva.example"


def test_an_address_with_an_international_local_part_stays_as_it_is() -> None:
    composed = compose(queued(to="josé@shop.test"), settings=SETTINGS, token=None, now=NOW)
    assert "josé@shop.test" in composed.as_bytes().decode()
