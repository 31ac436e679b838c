"""Reading the settings from where an operator put them.

A value comes from, strongest first: the command line (`overrides`), an environment variable `REGULARS_NAME`, the TOML
file named by `REGULARS_CONFIG`, the default. Every secret can also be given as `NAME_file`, the path of a file that
holds it. All problems are reported at once, each with the place it came from.
"""

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal, get_args, get_origin

import msgspec
from msgspec import Struct

from server.private_files import is_open_to_others, read_private
from server.settings import PREFIX, SECRETS, Problem, Settings, SettingsError, kind_in_words
from server.settings_rules import iterate_refusals

_CONFIG_VARIABLE: Final = "REGULARS_CONFIG"
# Variables with our prefix that other parts of the project read: the tests, and the console.
_FOREIGN_NAMES: Final = frozenset((_CONFIG_VARIABLE, "REGULARS_TEST_DATABASE_URL"))
_FOREIGN_PREFIXES: Final = ("REGULARS_CONSOLE_",)


class _Raw(Struct, frozen=True):
    """A value as written, and where."""

    value: object
    source: str
    is_text: bool


def load(environ: Mapping[str, str], *, overrides: Mapping[str, object] | None = None) -> Settings:
    """Read and check the settings.

    Args:
        environ: The environment variables; those without our prefix are ignored.
        overrides: Settings by their field names, from the command line; None values are ignored.

    Raises:
        SettingsError: Something is unknown, malformed, contradictory or unsafe; it lists every problem.
    """
    problems: list[Problem] = []
    raw = _read_file(environ, problems) | _read_environment(environ, problems) | _read_overrides(overrides or {})
    _read_secret_files(raw, problems)
    values = _converted(raw, problems)
    if values.get("demo") and "data_dir" not in values:
        values["data_dir"] = _absolute(Path(".data"))
    # What did not convert is left at its default here, so that the rules below can report the rest in the same go.
    settings = Settings(**values)  # type: ignore[arg-type]  # each value was converted to its field's own type
    sources = {name: item.source for name, item in raw.items()}
    for name, message in iterate_refusals(settings):
        problems.append(Problem(source=sources.get(name, PREFIX + name.upper()), message=message))
    if problems:
        raise SettingsError(tuple(problems))
    return settings


def _read_file(environ: Mapping[str, str], problems: list[Problem]) -> dict[str, _Raw]:
    written = environ.get(_CONFIG_VARIABLE)
    if not written:
        return {}
    path = Path(written).expanduser()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        problems.append(Problem(source=_CONFIG_VARIABLE, message=f"{path} cannot be read: {reason}"))
        return {}
    if not SECRETS.isdisjoint(table) and is_open_to_others(path):
        problems.append(Problem(source=str(path), message="holds a secret, so others must not read it: chmod 600"))
    _refuse_unknown({f"{path}, {key}": key for key in table}, problems, shown=str)
    return {key: _Raw(value, f"{path}, {key}", False) for key, value in table.items() if key in _known_names()}


def _read_environment(environ: Mapping[str, str], problems: list[Problem]) -> dict[str, _Raw]:
    ours = {
        name: name.removeprefix(PREFIX).lower()
        for name in environ
        if name.startswith(PREFIX) and name not in _FOREIGN_NAMES and not name.startswith(_FOREIGN_PREFIXES)
    }
    _refuse_unknown(ours, problems, shown=lambda name: PREFIX + name.upper())
    # An empty variable is how many tools write "unset".
    return {
        key: _Raw(environ[name], name, True) for name, key in ours.items() if key in _known_names() and environ[name]
    }


def _read_overrides(overrides: Mapping[str, object]) -> dict[str, _Raw]:
    unknown = overrides.keys() - _known_names()
    assert not unknown, f"The command line sets what is no setting: {unknown}"
    return {
        key: _Raw(value, f"--{key.replace('_', '-')}", False) for key, value in overrides.items() if value is not None
    }


def _read_secret_files(raw: dict[str, _Raw], problems: list[Problem]) -> None:
    for name in sorted(SECRETS):
        item = raw.pop(f"{name}_file", None)
        if item is None:
            continue
        if name in raw:
            problems.append(Problem(source=item.source, message=f"is set as well as {raw[name].source}; keep one"))
            continue
        text = read_private(Path(str(item.value)).expanduser(), item.source, problems)
        if text is not None:
            raw[name] = _Raw(text, item.source, True)


def _known_names() -> frozenset[str]:
    return frozenset(Settings.__struct_fields__) | {f"{name}_file" for name in SECRETS}


def _refuse_unknown(names: Mapping[str, str], problems: list[Problem], *, shown: Callable[[str], str]) -> None:
    for source, key in names.items():
        if key in _known_names():
            continue
        nearest = difflib.get_close_matches(key, _known_names(), n=1)
        hint = f"; did you mean {shown(nearest[0])}?" if nearest else ""
        problems.append(Problem(source=source, message=f"is not a setting{hint}"))


def _converted(raw: Mapping[str, _Raw], problems: list[Problem]) -> dict[str, object]:
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(Settings):
        item = raw.get(field.name)
        if item is None:
            continue
        try:
            values[field.name] = _convert(item, field.type)
        except msgspec.ValidationError as error:
            problems.append(Problem(source=item.source, message=_in_words(error, get_args(field.type)[0])))
    return values


def _convert(item: _Raw, kind: object) -> object:
    value = item.value
    if item.is_text and isinstance(value, str):
        value = value.strip()
        if get_origin(get_args(kind)[0]) is tuple:
            value = [part.strip() for part in value.split(",") if part.strip()]
    return msgspec.convert(value, type=kind, strict=not item.is_text, dec_hook=_to_path)


def _to_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return _absolute(Path(value).expanduser())
    raise msgspec.ValidationError("Expected a path")


def _in_words(error: msgspec.ValidationError, kind: object) -> str:
    if kind is bool or get_origin(kind) is Literal:
        return f"must be {kind_in_words(kind)}"
    # The type's own words, without the path inside the value, which has no fields.
    return str(error).partition(" - at ")[0].replace("Expected", "expected", 1)


def _absolute(path: Path) -> Path:
    # Not resolved: a link that an operator made on purpose stays the name that the logs show.
    return Path(os.path.abspath(path))  # noqa: PTH100  # Path.absolute keeps "..", which then reads wrongly
