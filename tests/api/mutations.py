"""Hostile bodies for every request message, made from its JSON schema and a good example."""

import copy
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from server.openapi import openapi_document
from server.openapi.examples import EXAMPLES
from shared.endpoints import ENDPOINTS

Schema = Mapping[str, Any]
Path = tuple[str | int, ...]
_Value = TypeVar("_Value")

MESSAGES = {row.operation: row.request for row in ENDPOINTS if row.request is not None}
SHARE = 6
"""Values of a field that other operations have had, too."""

_SCHEMAS: dict[str, Schema] = openapi_document()["components"]["schemas"]  # type: ignore[index]

WRONG_TEXTS = ("a\x00b", "\x1b[2Jx", "ab\x7f", "ab\x85", "\u202eab", "ab\u2066", "ab\u2028", "\ufeffab")
STRANGE_TEXTS = (
    "   ", "<script>alert(1)</script>", "<b>x</b>", "[@click=app.quit]x[/]", "';DROP TABLE customer;--", '" or ""="', "\\",
    "%s%n%x", "${7*7}{{7*7}}", "../../etc/passwd", "null", "undefined", "NaN", "0x10", "-1", "\u200b\u200b\u200b", "\u00ad" * 3,
    "\u0627\u0644\u0639", "\u05d0\u05d1\u05d2", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "a" + "\u0301" * 40,
    "\ufdfa" * 20, "\uffff\uffff\uffff", "\U000e0041" * 4, "\uff21\uff22\uff23", "\u0130\u0131\u00df", "x@y", "@@@", "a@b@c.test",
    '"a b"@shop.test', "a@[127.0.0.1]", "a@xn--80ak6aa92e.test", "\u00fc@\u00fc.test", "a@b.test, c@d.test", "a@b.test?cc=x",
    "+00000000000", "+44", "tel:+442079460018", "+442079460018;ext=9", "29000000000000", "00000000000000", "https://evil.test/x",
    "=1+1", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
)  # fmt: skip
STRANGE_TIMES = (
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00",
    "1582-10-10T00:00:00Z", "1970-01-01T00:00:00Z", "2026-03-02T09:30:00", "2026-03-02T09:30:00.123456789Z",
    "2026-03-02T09:30:00+23:59", "2025-10-26T01:30:00Z",
)  # fmt: skip
SURROGATE = "\ud800"


class Mutation(NamedTuple):
    """A body that must be refused, and the fields of which the refusal may name one ("": the body as a whole)."""

    name: str
    body: bytes
    fields: tuple[str, ...]


def some_of(values: Iterable[_Value], count: int, *, turn: int) -> list[_Value]:
    """Return `count` of these values, other ones at each turn, so that all of them get theirs."""
    some = list(values)
    count = min(count, len(some))
    return [some[(turn * count + i) % len(some)] for i in range(count)]


def field_mutations(operation: str) -> Iterator[Mutation]:
    """Yield bodies in which one field is wrong.

    All frames and messages are alike, so a field that other operations have too, by the same name and schema, has all
    wrong values at the first of them and some at each of the others.
    """
    kind = MESSAGES[operation]
    example = copy.deepcopy(EXAMPLES[kind])
    for path, schema, is_required in _fields(_SCHEMAS[kind.__name__], ()):
        field = _dotted(path)
        for value in _its_share(operation, path, list(_wrong_values(schema))):
            # A lone surrogate is no text at all, so the body that holds one is no JSON that could be looked into.
            named = ("",) if isinstance(value, str) and SURROGATE in value else (field, f"{field}[0]")
            yield Mutation(f"{field}={json.dumps(value)[:40]}", _body(_with(example, path, value)), named)
        yield Mutation(f"{field}=1e400", _body(_with(example, path, "@")).replace(b'"@"', b"1e400"), (field,))
        latin = _body(_with(example, path, "@")).replace(b'"@"', b'"caf\xe9"')
        yield Mutation(f"{field} in Latin-1", latin, (field, ""))
        if is_required and _holds(example, path):
            yield Mutation(f"no {field}", _body(_without(example, path)), (field,))
        if _holds(example, path):
            yield Mutation(f"{field} twice", _twice(example, path), (field,))
    for path in _objects(example, ()):
        field = _dotted((*path, "sneaky"))
        yield Mutation(f"unknown {field}", _body(_with(example, (*path, "sneaky"), 1)), (field,))


def strange_bodies(operation: str) -> Iterator[bytes]:
    """Yield bodies that fit the message, with values that nobody sends in good faith; shared out likewise."""
    kind = MESSAGES[operation]
    example = copy.deepcopy(EXAMPLES[kind])
    for path, schema, _ in _fields(_SCHEMAS[kind.__name__], ()):
        option = next(_resolve(part) for part in schema.get("anyOf", [schema]) if part.get("type") != "null")
        for value in _its_share(operation, path, list(_strange_values(option))):
            yield _body(_with(example, path, value))


def _its_share(operation: str, path: Path, values: list[object]) -> list[object]:
    turn = _TURNS[operation, path]
    return some_of(values, SHARE, turn=turn) if turn else values


def _count_turns() -> dict[tuple[str, Path], int]:
    """Return how many other operations in front of one have a field of the same name and schema."""
    turns: dict[tuple[str, Path], int] = {}
    seen: Counter[str] = Counter()
    for operation, kind in MESSAGES.items():
        for path, schema, _ in _fields(_SCHEMAS[kind.__name__], ()):
            field = f"{path[-1]} {json.dumps(schema, sort_keys=True)}"
            turns[operation, path] = seen[field]
            seen[field] += 1
    return turns


def _strange_values(option: Schema) -> Iterator[object]:
    if option.get("format") == "date-time":
        yield from STRANGE_TIMES
    elif option.get("format") == "decimal":
        yield from ("0", "-1", "1e5", "0.0001", "1E-999999", "-0", "000", 1.5, 1e20)
    elif option.get("type") == "string" and "enum" not in option and "pattern" not in option:
        longest, shortest = option.get("maxLength", 100), option.get("minLength", 0)
        yield from (text[:longest] for text in STRANGE_TEXTS if len(text) >= shortest)
        yield from (character * longest for character in ("a", "\U0001f600", "\u0301", " ", "9", "@"))
    elif option.get("type") == "integer":
        yield from (option.get("minimum", -(2**31)), option.get("maximum", 2**31), 0)
    elif option.get("type") == "boolean":
        yield from (True, False)


def body_mutations(kind: type[msgspec.Struct]) -> Iterator[Mutation]:
    """Yield bodies that are wrong as a whole."""
    good = _body(EXAMPLES[kind])
    first = json.dumps(next(iter(EXAMPLES[kind])))
    deep = 20_000
    bodies = {
        "nothing": b"",
        "blanks": b"   ",
        "null": b"null",
        "a list": b"[" + good + b"]",
        "a text": json.dumps(good.decode()).encode(),
        "a number": b"12",
        "cut short": good[:-1],
        "followed by more": good + b"x",
        "sent twice": good + good,
        "with a mark in front": b"\xef\xbb\xbf" + good,
        "in UTF-16": good.decode().encode("utf-16"),
        "in UTF-32": good.decode().encode("utf-32"),
        "with a comment": good + b"// x",
        "with single quotes": good.replace(b'"', b"'"),
        "NaN": b"NaN",
        "a form": b"email=a%40b.test&password=x",
        "XML": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><x>&y;</x>",
        "lists in lists": b"[" * deep + b"]" * deep,
        "objects in objects": f"{{{first}:".encode() * 2_000 + b"1" + b"}" * 2_000,
        "a deep field": f"{{{first}:{'[' * deep}{']' * deep}}}".encode(),
        "an unclosed deep field": f"{{{first}:{'[' * deep}".encode(),
        "bytes": bytes(range(256)),
    }
    yield from (Mutation(name, body, ("",)) for name, body in bodies.items())


def too_large(kind: type[msgspec.Struct], bytes_max: int) -> bytes:
    """Return a good body made too large by blanks."""
    good = _body(EXAMPLES[kind])
    return good + b" " * (bytes_max + 1 - len(good))


def _wrong_values(schema: Schema) -> Iterator[object]:
    options = [_resolve(option) for option in schema.get("anyOf", [schema])]
    types = [option["type"] for option in options if "type" in option]
    (option,) = (option for option in options if option.get("type") != "null")
    if "null" not in types:
        yield None
    match option.get("type", "string" if "enum" in option else None):
        case "string" | ["number", "string"]:
            yield from _wrong_texts(option)
        case "integer":
            yield from ("1", "", True, 1.0, 1.5, [], {}, -(2**70))
            yield from ([2**70] if "maximum" not in option else [option["maximum"] + 1, 2**70])
            yield from ([option["minimum"] - 1] if "minimum" in option else [])
        case "boolean":
            yield from (1, 0, "true", "", [], {})
        case "array":
            yield from ({}, "x", 1, True, {"0": 1}, [1], [None])
            yield from ([[]] if option.get("minItems") else [])
        case "object":
            yield from ([], "x", 1, True, [{}])
        case other:
            raise AssertionError(f"no wrong values for {other}")


def _wrong_texts(option: Schema) -> Iterator[object]:
    yield from (True, [], {}, ["x"], {"x": 1})
    if option.get("format") == "decimal":
        # Numbers are good here.
        yield from ("", "x", "1,5", "nan", "inf", "-inf", "1e999999", "9" * 5000)
        return
    yield from (1, 1.0, 2**70)
    yield f"ab{SURROGATE}"
    if "enum" in option or "format" in option or "pattern" in option:
        pattern = re.compile(option.get("pattern", "(?!)"))
        yield from (text for text in ("", "nonsense", "<b>x</b>", "x" * 5000) if not pattern.search(text))
    yield from WRONG_TEXTS
    if option.get("minLength"):
        yield ""
    if "maxLength" in option:
        yield "x" * (option["maxLength"] + 1)
        yield "\U0001f600" * (option["maxLength"] + 1)


def _fields(schema: Schema, path: Path) -> Iterator[tuple[Path, Schema, bool]]:
    for name, value in schema.get("properties", {}).items():
        here = (*path, name)
        resolved = _resolve(value)
        yield here, resolved, name in schema.get("required", ())
        inner = next((_resolve(part) for part in resolved.get("anyOf", [resolved]) if part.get("type") != "null"), {})
        if inner.get("type") == "array":
            yield from _fields(_resolve(inner["items"]), (*here, 0))
        else:
            yield from _fields(inner, here)


def _resolve(schema: Schema) -> Schema:
    return _SCHEMAS[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _dotted(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _with(example: object, path: Path, value: object) -> object:
    first, *rest = path
    changed: Any = copy.deepcopy(example)
    if isinstance(first, int):
        changed = changed or [{}]
    if rest:
        held = changed[first] if isinstance(first, int) else changed.get(first)
        changed[first] = _with(held if held is not None else {}, tuple(rest), value)
    else:
        changed[first] = value
    return changed


def _holds(example: object, path: Path) -> bool:
    for part in path:
        try:
            example = example[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _without(example: object, path: Path) -> object:
    changed: Any = copy.deepcopy(example)
    holder = changed
    for part in path[:-1]:
        holder = holder[part]
    del holder[path[-1]]
    return changed


def _twice(example: object, path: Path) -> bytes:
    holder: Any = example
    for part in path[:-1]:
        holder = holder[part]
    name, value = json.dumps(path[-1]), json.dumps(holder[path[-1]])
    once = _body(_with(example, path, "@"))
    return once.replace(b'"@"', f"{value}, {name}: {value}".encode())


def _objects(value: object, path: Path) -> Iterator[Path]:
    if isinstance(value, dict):
        yield path
        for name, item in value.items():
            yield from _objects(item, (*path, name))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _objects(item, (*path, i))


def _body(value: object) -> bytes:
    # Half of the hostile characters travel escaped, half as they are; JSON knows neither form of a control character.
    escaped = json.dumps(value)
    return (escaped if r"\ud800" in escaped else json.dumps(value, ensure_ascii=False)).encode()


_TURNS = _count_turns()
