"""Strict reading of request bodies: what is not exactly as described is refused, and the field is named."""

import json
import re
from typing import TypeVar

import msgspec
from litestar import Request
from litestar.datastructures import State

from server.errors import Invalid, Refused
from shared.limits import BODY_BYTES_MAX, JSON_DEPTH_MAX
from shared.problems import Code, FieldProblem

_T = TypeVar("_T", bound=msgspec.Struct)

# Control characters, bidirectional overrides and isolates: they drive terminals and disguise names. Line breaks and
# tabs are allowed in longer texts only.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_FORBIDDEN_IN_TEXTS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
_TEXTS = frozenset({"notes", "reason"})

_AT = re.compile(r" - at `\$?\.?(?P<path>[^`]*)`$")
_QUOTED_FIELD = re.compile(r"(?:missing required|contains unknown) field `(?P<name>[^`]*)`")

_decoders: dict[type[msgspec.Struct], msgspec.json.Decoder[msgspec.Struct]] = {}


async def read_body(request: Request[None, None, State]) -> bytes:
    """Return the raw JSON body.

    Raises:
        Refused: It is not declared as JSON, or is longer than `BODY_BYTES_MAX`.
    """
    media_type = request.headers.get("content-type", "")
    if media_type.partition(";")[0].strip().lower() != "application/json":
        raise Refused(Code.UNSUPPORTED_MEDIA_TYPE)
    if int(request.headers.get("content-length") or 0) > BODY_BYTES_MAX:
        raise Refused(Code.BODY_TOO_LARGE)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise Refused(Code.BODY_TOO_LARGE)
        chunks.append(chunk)
    return b"".join(chunks)


def decode(body: bytes, kind: type[_T]) -> _T:
    """Return the message in a JSON body.

    Raises:
        Invalid: It is not JSON, has duplicate keys, is nested too deeply, has control characters in a text, or does
            not fit the message; the field is named.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        message = decoder.decode(body)
        json.loads(body, object_pairs_hook=_check_pairs)
    except msgspec.ValidationError as error:
        raise Invalid(_field_problem(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Invalid(FieldProblem(field="", detail="The body is not well-formed JSON.")) from error
    except RecursionError as error:
        detail = f"The body is nested more than {JSON_DEPTH_MAX} deep."
        raise Invalid(FieldProblem(field="", detail=detail)) from error
    return message  # type: ignore[return-value]


def _check_pairs(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, value in pairs:
        if key in seen:
            raise Invalid(FieldProblem(field=key, detail="This field is given twice."))
        seen.add(key)
        if isinstance(value, str) and (_FORBIDDEN_IN_TEXTS if key in _TEXTS else _FORBIDDEN).search(value):
            raise Invalid(FieldProblem(field=key, detail="This text holds control characters."))


def _field_problem(message: str) -> FieldProblem:
    path = ""
    if at := _AT.search(message):
        path, message = at["path"], message[: at.start()]
    if quoted := _QUOTED_FIELD.search(message):
        path = f"{path}.{quoted['name']}" if path else quoted["name"]
    return FieldProblem(field=path, detail=f"{message}.")


def decode_query(values: dict[str, str], name: str, *, default: str = "") -> str:
    """Return one query parameter.

    Raises:
        Invalid: It holds control characters.
    """
    value = values.get(name, default)
    if _FORBIDDEN.search(value):
        raise Invalid(FieldProblem(field=name, detail="This text holds control characters."))
    return value
