"""Structured logs on standard error: one JSON object a line, without personal data or secrets.

Events are short names in snake_case ("order_posted"); everything else is a field. What concerns one request is
bound once with `structlog.contextvars.bind_contextvars(request_id=..., actor=...)` and is then on every line of it.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from server.settings import Settings

REDACTED = "[redacted]"

_SENSITIVE_WORDS = frozenset(
    [
        "authorization",
        "birthday",
        "card",
        "cookie",
        "dsn",
        "email",
        "otp",
        "password",
        "phone",
        "pin",
        "secret",
        "seed",
        "token",
    ]
)
_SENSITIVE_NAMES = frozenset(
    ("api_key", "claim_code", "database_url", "family_name", "full_name", "given_name", "secret_key", "voucher_code")
)
# A field that counts, dates or points at a thing says nothing about the person: card_id, tokens_count, email_changed_at.
_HARMLESS_ENDINGS = ("_id", "_ids", "_count", "_at", "_kind", "_seconds", "_ms")
# Errors of drivers and libraries quote what they were given, so addresses and credentials in URLs are masked in any text.
_EMAIL = re.compile(r"[^\s@<>()\[\]'\"=,:;/]+@[^\s@<>()'\"=,;/]+\.[^\s@<>()'\"=,;/.]+")
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*@")
# Backspaces, escape sequences, line separators and bidirectional overrides would let a name rewrite the reader's screen.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def get_logger(name: str | None = None) -> FilteringBoundLogger:
    """Return a logger that follows the latest `configure`, whenever it was made."""
    logger = structlog.get_logger() if name is None else structlog.get_logger(logger=name)
    return cast(FilteringBoundLogger, logger)


def configure(settings: Settings) -> None:
    """Send our own events and those of libraries to standard error in the format of the settings."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=_processors(settings.log_format),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_StderrLogger,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=max(level, logging.INFO), handlers=[_ToStructlog()], force=True)
    logging.captureWarnings(True)


def _processors(log_format: str) -> list[Processor]:
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        redact,
    ]
    if log_format == "console":
        return [*shared, _escape_controls, structlog.dev.ConsoleRenderer(timestamp_key="time")]
    return [*shared, _render_json]


def redact(_logger: object, _method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """Mask fields that may hold personal data or secrets by their name, and addresses inside any text."""
    for key, value in event.items():
        event[key] = _redacted(key, value)
    return event


def _redacted(key: str, value: object) -> object:
    if value is None or isinstance(value, bool | float):
        return value
    if _is_sensitive(key):
        return REDACTED
    if isinstance(value, str):
        return _masked_text(value)
    if isinstance(value, Mapping):
        return {str(inner): _redacted(str(inner), item) for inner, item in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        return [_redacted(key, item) for item in value]
    if isinstance(value, int):
        return value
    return _masked_text(str(value))


def _is_sensitive(key: str) -> bool:
    name = key.lower().replace("-", "_")
    if name.endswith(_HARMLESS_ENDINGS):
        return False
    words = {word.removesuffix("s") for word in name.split("_")} | set(name.split("_"))
    return name in _SENSITIVE_NAMES or not _SENSITIVE_WORDS.isdisjoint(words)


def _masked_text(text: str) -> str:
    if "@" not in text:
        return text
    return _EMAIL.sub(REDACTED, _URL_CREDENTIALS.sub(f"{REDACTED}@", text))


def _escape_controls(_logger: object, _method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    for key, value in event.items():
        # The renderer writes tracebacks on lines of their own, so their line ends stay.
        if isinstance(value, str) and key != "exception":
            event[key] = _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    return event


def _render_json(_logger: object, _method: str, event: MutableMapping[str, object]) -> str:
    first = {name: event.pop(name) for name in ("time", "level", "event") if name in event}
    # ASCII only: json then escapes every control, separator and bidirectional character for us.
    return json.dumps({**first, **event}, ensure_ascii=True, default=str)


class _StderrLogger:
    """Writes finished lines to whatever standard error is now."""

    def __init__(self, *_names: object) -> None:
        """Take and ignore the arguments of `get_logger`, as a structlog factory must."""

    def msg(self, line: str) -> None:
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            # A full disk or a closed pipe must not turn into a refused request; there is nowhere left to report it.
            return

    debug = info = warning = error = critical = exception = log = msg


class _ToStructlog(logging.Handler):
    """Gives the records of libraries the same fields and the same redaction as our own events."""

    def emit(self, record: logging.LogRecord) -> None:
        get_logger().log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)
