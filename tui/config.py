"""The console's settings: a TOML file, then the environment, then the command line, the later before the earlier."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from platformdirs import user_config_path, user_state_path

DEFAULT_SERVER = "http://127.0.0.1:8700"
THEMES = ("dark", "light", "contrast")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class SettingsWrong(Exception):
    """Settings that cannot be used; the text names where each stands and what is wrong with it."""


class ConsoleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this terminal is set up. No secrets belong here: staff sign in by themselves.

    `scan_gap_ms` is the longest time between two keys of the scanner; a slow wireless one may need 150.
    A zero `lock_after_minutes` never locks by itself.
    """

    server: str = DEFAULT_SERVER
    terminal: Annotated[str, msgspec.Meta(max_length=80)] = ""
    theme: str = "dark"
    lock_after_minutes: Annotated[float, msgspec.Meta(ge=0, le=480)] = 3.0
    scan_gap_ms: Annotated[int, msgspec.Meta(ge=20, le=150)] = 35
    bell: bool = True
    allow_http: bool = False


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the settings file is looked for: REGULARS_CONSOLE_CONFIG, or the user's own folder."""
    named = environment.get("REGULARS_CONSOLE_CONFIG")
    return Path(named) if named else user_config_path("regulars") / "console.toml"


def report_path() -> Path:
    """Return the file that reports of unexpected errors are appended to."""
    return user_state_path("regulars") / "console-reports.txt"


def load(
    *,
    environment: Mapping[str, str] = os.environ,
    server: str | None = None,
    terminal: str | None = None,
    theme: str | None = None,
) -> ConsoleSettings:
    """Return the settings of this terminal.

    Raises:
        SettingsWrong: The file cannot be read, or a value is not possible.
    """
    path = config_path(environment)
    given: dict[str, object] = dict(_read(path))
    for name in ("server", "terminal", "theme"):
        if value := environment.get(f"REGULARS_CONSOLE_{name.upper()}"):
            given[name] = value
    given |= {name: value for name, value in (("server", server), ("terminal", terminal), ("theme", theme)) if value}
    try:
        settings = msgspec.convert(given, ConsoleSettings)
    except msgspec.ValidationError as error:
        raise SettingsWrong(f"{path}: {error}") from error
    _check(settings)
    return settings


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsWrong(f"{path}: {error}") from error


def _check(settings: ConsoleSettings) -> None:
    if settings.theme not in THEMES:
        raise SettingsWrong(f"theme: “{settings.theme}” is not one of {', '.join(THEMES)}")
    parts = urlsplit(settings.server)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsWrong(f"server: “{settings.server}” is not an address like https://shop.example")
    if parts.username or parts.password:
        raise SettingsWrong("server: leave names and passwords out of the address; staff sign in on screen")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not settings.allow_http:
        raise SettingsWrong(
            "server: over http passwords and customers' data would travel in clear; use https (or set allow_http = true)"
        )
