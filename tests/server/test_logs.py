"""A log line is one JSON object, and says nothing about a person and no secret."""

import json
import logging
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from server.app import create_app
from server.logs import REDACTED, _render_json, configure, get_logger, redact
from server.settings import Settings
from tests.app import test_settings


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    before = logging.root.handlers[:], logging.root.level
    yield
    logging.captureWarnings(False)
    logging.root.handlers[:] = before[0]
    logging.root.setLevel(before[1])
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def _logged(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert isinstance(event, dict)
    return event


def test_a_line_begins_with_time_level_and_event_and_carries_the_bound_context(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure(Settings())
    structlog.contextvars.bind_contextvars(request_id="r1", actor="staff:7")
    get_logger().info("order_posted", points=12, card_id="c1")
    event = _logged(capsys)
    assert list(event)[:3] == ["time", "level", "event"]
    assert str(event.pop("time")).endswith("Z")
    assert event == {
        "level": "info",
        "event": "order_posted",
        "request_id": "r1",
        "actor": "staff:7",
        "points": 12,
        "card_id": "c1",
    }


def test_libraries_are_logged_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings())
    logging.getLogger("uvicorn.error").warning("mail to %s failed", "ann@shop.example")
    assert (
        _logged(capsys).items()
        >= {"logger": "uvicorn.error", "level": "warning", "event": f"mail to {REDACTED} failed"}.items()
    )


def test_libraries_are_logged_so_while_the_app_is_there_too(capsys: pytest.CaptureFixture[str]) -> None:
    settings = test_settings("postgresql://localhost/never-opened", Path())
    configure(settings)
    create_app(settings)
    logging.getLogger("some.library").warning("a connection to %s was lost", "ana@shop.test")
    assert "ana@shop.test" not in str(_logged(capsys))


def test_what_is_below_the_level_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings(log_level="warning"))
    get_logger().info("quiet")
    logging.getLogger("x").info("quiet")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "field",
    [
        "password",
        "new_password",
        "refresh_tokens",
        "Authorization",
        "set-cookie",
        "email",
        "old_email",
        "phone",
        "card_number",
        "claim_code",
        "secret_key",
        "dsn",
        "given_name",
        "pin",
    ],
)
def test_a_field_named_after_personal_data_or_a_secret_is_masked(field: str) -> None:
    assert redact(None, "info", {"event": "x", field: "canary"})[field] == REDACTED
    assert redact(None, "info", {"event": "x", "body": {field: ["canary"]}})["body"] == {field: REDACTED}


@pytest.mark.parametrize(
    "field", ["card_id", "tokens_count", "email_changed_at", "programme_name", "code", "path", "shopping"]
)
def test_a_field_that_only_points_counts_or_dates_is_shown(field: str) -> None:
    assert redact(None, "info", {"event": "x", field: "shown"})[field] == "shown"


def test_an_exception_that_quotes_addresses_and_credentials_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings())
    try:
        raise ValueError("Key (email)=(ann.o'neil@shop.example) exists at postgresql://regulars:hunter2@127.0.0.1/db")
    except ValueError:
        get_logger().exception("unexpected")
    text = str(_logged(capsys)["exception"])
    assert "ValueError" in text
    assert "shop.example" not in text
    assert "hunter2" not in text


@given(st.text(alphabet=st.characters(categories=("Cc", "Cf", "Zl", "Zp", "L"))))
def test_no_name_can_write_control_characters_or_a_line_of_its_own(name: str) -> None:
    line = _render_json(None, "info", {"event": "x", "note": name})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["note"] == name


def test_the_form_for_people_escapes_control_characters_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings(log_format="console"))
    get_logger().info("looked\x1b[2Jup", note="a\u202eb\nlevel=error")
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "\x1b[2J" not in text
    assert "\u202e" not in text


def test_a_closed_standard_error_stops_nothing() -> None:
    program = """
        import os
        from server.logs import configure, get_logger
        from server.settings import Settings
        configure(Settings())
        os.close(2)
        get_logger().error("nobody_reads_this")
        print("went on")
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert result.stdout == "went on\n"
