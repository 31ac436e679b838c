"""The browsable page: the OpenAPI document as HTML, with a form for every operation.

It is rendered here so that it can be read without a script; the script only sends what is filled in. Jinja2 escapes all
that goes in.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias, cast

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

Json: TypeAlias = dict[str, object]

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "static"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _with_code(text: str) -> Markup:
    """Return a text as HTML in which what stands between backticks is code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


_ENVIRONMENT.filters["with_code"] = _with_code

_RANGES_IN_WORDS = (("minLength", "maxLength", "characters"), ("minItems", "maxItems", "of them"))
_NUMBERS_IN_WORDS = {
    "minimum": "from {}",
    "maximum": "up to {}",
    "pattern": "matching {}",
}
# The member's way, in the order in which a person walks it.
_TOUR = (
    "sign_up",
    "confirm_sign_up",
    "sign_in",
    "get_me",
    "list_my_memberships",
    "get_my_card_svg",
    "get_my_consents",
    "put_my_consents",
    "list_my_sessions",
)


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table of a message's fields; parts of parts have dotted names."""

    name: str
    kind: str
    is_required: bool
    limits: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A status an operation can answer with."""

    status: str
    words: str


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation as the page shows it; `credential` names the field whose token it sends."""

    name: str
    method: str
    path: str
    tag: str
    summary: str
    paragraphs: tuple[str, ...]
    credential: str
    parameters: tuple[Json, ...]
    body: str
    body_fields: tuple[Field, ...]
    answer_fields: tuple[Field, ...]
    answers: tuple[Answer, ...]


def render_page(document: Json) -> str:
    """Return the HTML of the page.

    Args:
        document: An OpenAPI document of ours.
    """
    operations = tuple(_operations(document))
    by_name = {operation.name: operation for operation in operations}
    info = cast(Json, document["info"])
    return _ENVIRONMENT.get_template("page.html").render(
        introduction=str(info["description"]).split("\n\n"),
        tags=document["tags"],
        operations=operations,
        tour=[by_name[name] for name in _TOUR],
    )


def _operations(document: Json) -> Iterator[Operation]:
    components = cast("dict[str, Json]", document["components"])
    schemas = cast("dict[str, Json]", components["schemas"])
    for path, item in cast("dict[str, Json]", document["paths"]).items():
        for method, value in item.items():
            yield _read_operation(path, method.upper(), cast(Json, value), schemas)


def _read_operation(path: str, method: str, operation: Json, schemas: dict[str, Json]) -> Operation:
    media = _media_of(cast(Json, operation.get("requestBody", {})))
    responses = cast("dict[str, Json]", operation["responses"])
    good = _media_of(next(iter(responses.values())))
    security = cast("list[Json]", operation.get("security", []))
    example = media.get("example")
    return Operation(
        name=str(operation["operationId"]),
        method=method,
        path=path,
        tag=cast("list[str]", operation["tags"])[0],
        summary=str(operation["summary"]),
        # The first one is the summary, which stands above.
        paragraphs=tuple(str(operation["description"]).split("\n\n")[1:]),
        credential=next(iter(security[0])) if security else "",
        parameters=tuple(cast("list[Json]", operation.get("parameters", []))),
        body=msgspec.json.format(msgspec.json.encode(example), indent=2).decode() if example else "",
        body_fields=tuple(_fields(cast(Json, media.get("schema", {})), schemas)),
        answer_fields=tuple(_fields(cast(Json, good.get("schema", {})), schemas)),
        answers=tuple(
            Answer(status=status, words=str(response["description"])) for status, response in responses.items()
        ),
    )


def _media_of(holder: Json) -> Json:
    content = cast("dict[str, Json]", holder.get("content", {}))
    return next(iter(content.values()), {})


def _fields(schema: Json, schemas: dict[str, Json], prefix: str = "") -> Iterator[Field]:
    schema = _resolve(schema, schemas)
    required = cast("list[str]", schema.get("required", []))
    for name, value in cast("dict[str, Json]", schema.get("properties", {})).items():
        path = f"{prefix}.{name}" if prefix else name
        yield Field(name=path, kind=_kind(value, schemas), is_required=name in required, limits=_limits(value, schemas))
        part = _part(value)
        is_list = _resolve(part, schemas).get("type") == "array"
        inner = cast(Json, _resolve(part, schemas).get("items", {})) if is_list else part
        yield from _fields(inner, schemas, f"{path}[]" if is_list else path)


def _resolve(schema: Json, schemas: dict[str, Json]) -> Json:
    reference = schema.get("$ref")
    return schemas[str(reference).rpartition("/")[2]] if reference else schema


def _part(schema: Json) -> Json:
    """Return the schema without its null."""
    options = cast("list[Json]", schema.get("anyOf", []))
    return next((option for option in options if option.get("type") != "null"), schema)


def _kind(schema: Json, schemas: dict[str, Json]) -> str:
    part = _resolve(_part(schema), schemas)
    words = "one of " + ", ".join(map(str, cast("list[object]", part["enum"]))) if "enum" in part else ""
    words = words or str(part.get("format") or part.get("type") or "anything")
    if words == "array":
        words = f"list of {_kind(cast(Json, part['items']), schemas)}"
    return f"{words} or null" if _part(schema) is not schema else words


def _limits(schema: Json, schemas: dict[str, Json]) -> str:
    part = _resolve(_part(schema), schemas)
    found = [
        f"{part[least]} to {part[most]} {words}" if least in part else f"at most {part[most]} {words}"
        for least, most, words in _RANGES_IN_WORDS
        if most in part
    ]
    found += [words.format(part[name]) for name, words in _NUMBERS_IN_WORDS.items() if name in part]
    if "default" in schema and schema["default"] not in (None, ""):
        found.append(f"{msgspec.json.encode(schema['default']).decode()} unless given")
    return ", ".join(found)
