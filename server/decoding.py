"""Strict reading of request bodies: what is not exactly as described is refused, and the field is named."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec
from litestar import Request
from litestar.datastructures import State

from server.errors import Invalid, Refused, RegularsError
from shared.base import VISIBLE
from shared.base import Request as Message
from shared.limits import BODY_BYTES_MAX, JSON_DEPTH_MAX
from shared.pos import Reference
from shared.problems import Code, FieldProblem

_T = TypeVar("_T", bound=msgspec.Struct)


class Unread(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An item of a batch that is not as described, and why; by the name that its sender gave it, if that can be read."""

    external_id: str
    refusal: Invalid


class Pieces(Message, frozen=True, kw_only=True):
    """Base of a batch of which each item is as it was sent."""


class _Named(msgspec.Struct):
    external_id: Reference


# Control characters, bidirectional overrides and isolates: they drive terminals and disguise names. Line breaks and
# tabs are allowed in longer texts only.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_FORBIDDEN_IN_TEXTS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
_TEXTS = frozenset({"notes", "reason"})
_SIZE_DIGITS = 12  # Of a Content-Length; more of them are as good as infinite.

# What msgspec says, and what we say instead; its own words repeat what was sent.
_AT = re.compile(r" - at `\$?\.?(?P<path>[^`]*)`\Z")
_QUOTED_FIELD = re.compile(r"(?P<what>missing required|contains unknown) field `(?P<name>.*)`\Z", re.DOTALL)
_FIELD_WORDS = {"missing required": "This field is missing.", "contains unknown": "There is no such field."}
_ENUM = "Invalid enum value"
_BLANK = f"Expected `str` matching regex {VISIBLE!r}"

_FIELD_LENGTH_MAX = 80

# Whatever a number is, it is not looked at.
_anything = msgspec.json.Decoder(float_hook=float)
_decoders: dict[type[msgspec.Struct], msgspec.json.Decoder[msgspec.Struct]] = {}


async def read_body(
    request: Request[None, None, State], bytes_max: int = BODY_BYTES_MAX, *, media_type: str = "application/json"
) -> bytes:
    """Return the raw body.

    Raises:
        Refused: It is not declared as `media_type`, or is longer than `bytes_max`.
    """
    declared_type = request.headers.get("content-type", "")
    if declared_type.partition(";")[0].strip().lower() != media_type:
        raise Refused(Code.UNSUPPORTED_MEDIA_TYPE)
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refused(Code.UNSUPPORTED_MEDIA_TYPE, "Send the body as it is, not compressed.")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:_SIZE_DIGITS]) > bytes_max:
        raise Refused(Code.BODY_TOO_LARGE)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > bytes_max:
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
    with _refusing():
        message = decoder.decode(body)
        if not (_is_harmless(body) and _has_each_name_once(body)):
            _check_texts(body)
    return message  # type: ignore[return-value]


def decode_each(
    body: bytes, batch: type[msgspec.Struct], pieces: type[Pieces], kind: type[_T]
) -> Sequence[_T | Unread]:
    """Return the items of a batch in a JSON body; one that is wrong by itself leaves the others as they are.

    Args:
        batch: The message, whose only field is a tuple of `kind`.
        pieces: The same with each item as it was sent.

    Raises:
        Invalid: It is no such batch, whatever its items are.
    """
    (field,) = batch.__struct_fields__
    try:
        items: tuple[_T, ...] = getattr(decode(body, batch), field)
    except Invalid:
        with _refusing():
            sent: tuple[msgspec.Raw, ...] = getattr(msgspec.json.decode(body, type=pieces), field)
            pairs = json.loads(body, object_pairs_hook=_Pairs, parse_int=float)
        if len(pairs) > 1:
            raise Invalid(_given_twice(field)) from None
        return [_decode_item(bytes(item), kind) for item in sent]
    return items


def _decode_item(item: bytes, kind: type[_T]) -> _T | Unread:
    try:
        return decode(item, kind)
    except Invalid as refusal:
        return Unread(external_id=_find_name(item), refusal=refusal)


def _find_name(item: bytes) -> str:
    try:
        name = msgspec.json.decode(item, type=_Named).external_id
    except msgspec.DecodeError:
        return ""
    return "" if _is_hostile("external_id", name) else name


@contextmanager
def _refusing() -> Iterator[None]:
    """Say what is wrong with a body that cannot be read."""
    try:
        yield
    except msgspec.ValidationError as error:
        raise Invalid(_field_problem(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Invalid(FieldProblem(field="", detail="The body is not well-formed JSON.")) from error
    except RecursionError as error:
        detail = f"The body is nested more than {JSON_DEPTH_MAX} deep."
        raise Invalid(FieldProblem(field="", detail=detail)) from error


class _HostileText(RegularsError):
    """A field is given twice, or a text holds what it must not; `_locate` says which."""


class _Pairs(list[tuple[str, object]]):
    """An object with its fields in order, those given twice included."""


def _is_harmless(body: bytes) -> bool:
    """Return whether no text in a well-formed body can be hostile: nothing is escaped, and no character is forbidden.

    Raw control characters below a space are no JSON within a text, so that msgspec has refused them there.
    """
    if b"\\" in body:
        return False
    return b"\x7f" not in body if body.isascii() else _FORBIDDEN_IN_TEXTS.search(body.decode()) is None


def _has_each_name_once(body: bytes) -> bool:
    """Return whether no object of a harmless body has a field twice: reading it would lose one, and so quotation marks.

    It costs a quarter of asking Python for the pairs of each object.
    """
    try:
        read = msgspec.json.encode(_anything.decode(body))
    except msgspec.ValidationError:  # A number of thousands of digits.
        return False
    return read.count(b'"') == body.count(b'"')


def _check_texts(body: bytes) -> None:
    # Numbers are of no interest here, and int() refuses those of more than 4,300 digits.
    try:
        json.loads(body, object_pairs_hook=_check_pairs, parse_int=float)
    except _HostileText:
        raise Invalid(_locate(json.loads(body, object_pairs_hook=_Pairs, parse_int=float))) from None


def _check_pairs(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise _HostileText
    for key, value in pairs:
        for text in value if isinstance(value, list) else (value,):
            if isinstance(text, str) and _is_hostile(key, text):
                raise _HostileText


def _is_hostile(key: str, text: str) -> bool:
    return (_FORBIDDEN_IN_TEXTS if key in _TEXTS else _FORBIDDEN).search(text) is not None


def _locate(pairs: _Pairs) -> FieldProblem:
    waiting: list[tuple[str, object]] = [("", pairs)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, _Pairs):
            names = [key for key, _ in value]
            if (twice := next((key for key in names if names.count(key) > 1), None)) is not None:
                return _given_twice(_join(path, twice))
            waiting += [(_join(path, key), item) for key, item in value]
        elif isinstance(value, list):
            waiting += [(f"{path}[{i}]", item) for i, item in enumerate(value)]
        elif isinstance(value, str) and _is_hostile(path.rpartition(".")[2], value):
            return FieldProblem(field=path, detail="This text holds control characters.")
    raise AssertionError("only called for a body in which there is such a field")


def _given_twice(field: str) -> FieldProblem:
    return FieldProblem(field=field, detail="This field is given twice.")


def _field_problem(message: str) -> FieldProblem:
    path = ""
    if at := _AT.search(message):
        path, message = at["path"], message[: at.start()]
    if quoted := _QUOTED_FIELD.search(message):
        name = _FORBIDDEN.sub("\ufffd", quoted["name"])[:_FIELD_LENGTH_MAX]
        return FieldProblem(field=_join(path, name), detail=_FIELD_WORDS[quoted["what"]])
    if message.startswith(_ENUM):
        message = "This is not one of the allowed values"
    if message == _BLANK:
        message = "This is nothing but spaces"
    return FieldProblem(field=path, detail=f"{message}.")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def decode_query(values: dict[str, str], name: str, *, default: str = "") -> str:
    """Return one query parameter.

    Raises:
        Invalid: It holds control characters.
    """
    value = values.get(name, default)
    if _FORBIDDEN.search(value):
        raise Invalid(FieldProblem(field=name, detail="This text holds control characters."))
    return value
