"""The OpenAPI 3.1 document, made from the route table and the messages, so that it cannot say anything else."""

import inspect
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import TypeAlias, cast, get_args

import msgspec

from server.openapi.examples import EXAMPLES
from server.openapi.refusals import refusals_of
from server.problems import PROBLEM_MEDIA_TYPE, problem_of, status_of
from shared.endpoints import ENDPOINTS, Caller, Endpoint
from shared.limits import (
    BODY_BYTES_MAX,
    IDEMPOTENCY_KEPT,
    IDEMPOTENCY_KEY_PATTERN,
    PAGE_SIZE,
    PAGE_SIZE_MAX,
    SEARCH_LENGTH_MAX,
)
from shared.problems import Code, Problem

Json: TypeAlias = dict[str, object]

_SCHEMAS = "#/components/schemas/{name}"

_INTRODUCTION = f"""
Members' apps, tills and the staff console all use this one API. Bodies are JSON of at most {BODY_BYTES_MAX // 1024} KiB;
unknown fields, fields of another type and fields given twice are refused. Instants are RFC 3339 with an offset, points
are whole numbers, money is whole numbers of the currency's minor unit.

Every refusal is a problem document (RFC 9457) with a stable `code`. What is not yours is answered as if it did not
exist. Lists come in pages: send `next_cursor` back as `cursor` until it is null. Fields may be added to answers at any
time; nothing is taken away.
"""

_SCHEMES: dict[Caller, tuple[str, str]] = {
    Caller.MEMBER: ("member", "The `access_token` of a member's session (`sign_in`, `refresh_session`)."),
    Caller.STAFF: ("staff", "The `access_token` of a staff session (`staff_sign_in`)."),
    Caller.KEY: ("key", "A till's API key, made by `regulars keys`; it has scopes, and works for its own stores only."),
}
_TAGS: dict[str, str] = {
    "Getting in": "Signing up, signing in, and what mailed links do.",
    "Members": "What members see and change of their own.",
    "Tills": "What a point-of-sale system tells and asks.",
    "Staff": "What the console does for customers. Each operation names the permission it takes.",
    "Service": "Whether it runs, and this page.",
}
_CALLER_TAGS = {Caller.MEMBER: "Members", Caller.KEY: "Tills", Caller.STAFF: "Staff"}

_QUERY: dict[str, tuple[str, Json]] = {
    "cursor": ("Where the last page ended: its `next_cursor`.", {"type": "string"}),
    "limit": (
        "How many to return at most.",
        {"type": "integer", "minimum": 1, "maximum": PAGE_SIZE_MAX, "default": PAGE_SIZE},
    ),
    "q": ("Name, phone, email or card number, or the beginning of one.", {"type": "string", "maxLength": SEARCH_LENGTH_MAX}),
    "card": ("A card number; for a till, either this or `email`.", {"type": "string"}),
    "email": ("An email address; for a till a proven one, and either this or `card`.", {"type": "string"}),
    "phone": ("A phone number.", {"type": "string"}),
    "name": ("Given and family name, as far as they are typed.", {"type": "string"}),
    "birthday": ("A birthday as 05-17 or 1990-05-17.", {"type": "string"}),
    "post_code": ("A post code.", {"type": "string"}),
    "since": ("The first day of the period, in the programme's zone; 90 days ago if not given.", {"type": "string", "format": "date"}),
    "until": ("Its last day; today if not given.", {"type": "string", "format": "date"}),
    "state": ("Only those in this state.", {"type": "string"}),
    "needs_person": ("`true`: only those that will not come right by waiting.", {"enum": ["true"]}),
    "differs": ("`true`: only those of another customer than the till named.", {"enum": ["true"]}),
    "programme": ("The code of a programme; that which members join without it.", {"type": "string"}),
    "number": ("A receipt number; without it, `store` and `day` list the orders that count for nobody.", {"type": "string"}),
    "store": ("Code of a store.", {"type": "string"}),
    "day": ("A day on the store's own calendar.", {"type": "string", "format": "date"}),
    "customer_id": ("Only what concerns this customer.", {"type": "string", "format": "uuid"}),
    "actor_id": ("Only what this member, staff member or key did.", {"type": "string", "format": "uuid"}),
}  # fmt: skip
_PATH: dict[str, str] = {
    "purpose": "What the mailed link is for.",
    "name": "Name of the file or of the report.",
    "secret": "What the setting `REGULARS_MAILCHIMP_HOOK_SECRET` says.",
}
_PARAMETER = re.compile(r"\{(\w+)\}")

_IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Made by the caller, one for each thing to do, and the same through every retry of it. The first "
    f"answer is given again for {IDEMPOTENCY_KEPT.days} days, with `Idempotency-Replayed: true`.",
    "schema": {"type": "string", "pattern": IDEMPOTENCY_KEY_PATTERN},
    "example": "till-4-receipt-000123",
}


def build_document(words: Mapping[str, str]) -> Json:
    """Return the document.

    Args:
        words: What each operation does, by its name: one sentence, and more after it if need be.
    """
    paths: dict[str, Json] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, words[endpoint.operation])
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": "Regulars", "version": "1", "description": _INTRODUCTION.strip()},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                name: {"type": "http", "scheme": "bearer", "description": description}
                for name, description in _SCHEMES.values()
            },
            "examples": {code.value: _problem_example(code) for code in Code},
            "headers": {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
            },
        },
    }


def tag_of(endpoint: Endpoint) -> str:
    """Return the chapter an operation belongs to."""
    if endpoint.caller is Caller.ANYONE:
        return "Getting in" if endpoint.path.startswith(("/v1/", "/links/")) else "Service"
    return _CALLER_TAGS[endpoint.caller]


def _operation(endpoint: Endpoint, words: str) -> Json:
    summary, _, more = inspect.cleandoc(words).partition("\n")
    operation: Json = {
        "operationId": endpoint.operation,
        "tags": [tag_of(endpoint)],
        "summary": summary.rstrip("."),
        "description": "\n\n".join(part for part in (summary, more.strip(), _conditions(endpoint)) if part),
        "responses": _responses(endpoint),
    }
    if parameters := _parameters(endpoint):
        operation["parameters"] = parameters
    if endpoint.request is not None:
        body: Json = {"schema": _reference(endpoint.request), "example": EXAMPLES[endpoint.request]}
        operation["requestBody"] = {"required": True, "content": {"application/json": body}}
    if endpoint.caller is not Caller.ANYONE:
        operation["security"] = [{_SCHEMES[endpoint.caller][0]: []}]
    return operation


def _conditions(endpoint: Endpoint) -> str:
    sentences = []
    if endpoint.permission is not None:
        sentences.append(f"Takes the permission `{endpoint.permission}`.")
    if endpoint.scope is not None:
        sentences.append(f"Takes a key with the scope `{endpoint.scope}`.")
    if endpoint.step_up:
        sentences.append("Takes the password again.")
    return " ".join(sentences)


def _parameters(endpoint: Endpoint) -> list[Json]:
    parameters = []
    for name in _PARAMETER.findall(endpoint.path):
        is_id = name.endswith("_id")
        parameters.append(
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": f"Id of the {name.removesuffix('_id').replace('_', ' ')}." if is_id else _PATH[name],
                "schema": {"type": "string", "format": "uuid"} if is_id else {"type": "string"},
            }
        )
    for name in endpoint.query:
        description, schema = _QUERY[name]
        parameters.append(
            {"name": name, "in": "query", "required": False, "description": description, "schema": schema}
        )
    return [*parameters, _IDEMPOTENCY_KEY] if endpoint.idempotent else parameters


def _responses(endpoint: Endpoint) -> Json:
    responses: Json = {str(endpoint.status): _good_answer(endpoint)}
    by_status: dict[int, list[Code]] = {}
    for code in refusals_of(endpoint):
        by_status.setdefault(status_of(code), []).append(code)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = _refusal(status, codes)
    return responses


def _good_answer(endpoint: Endpoint) -> Json:
    answer: Json = {"description": HTTPStatus(endpoint.status).phrase}
    if endpoint.response is not None:
        answer["content"] = {"application/json": {"schema": _reference(endpoint.response)}}
    elif endpoint.status != HTTPStatus.NO_CONTENT:
        answer["content"] = {endpoint.media_type: {}}
    if endpoint.idempotent:
        description = "`true` when this is the stored answer of an earlier call."
        answer["headers"] = {"Idempotency-Replayed": {"description": description, "schema": {"const": "true"}}}
    return answer


def _refusal(status: int, codes: Iterable[Code]) -> Json:
    answer: Json = {
        "description": " ".join(f"`{code}`: {problem_of(code).title}" for code in codes),
        "content": {
            PROBLEM_MEDIA_TYPE: {
                "schema": _reference(Problem),
                "examples": {code.value: {"$ref": f"#/components/examples/{code.value}"} for code in codes},
            }
        },
    }
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        answer["headers"] = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
    return answer


def _problem_example(code: Code) -> Json:
    problem = problem_of(code)
    return {"summary": problem.title, "value": msgspec.to_builtins(problem)}


def _reference(kind: type[msgspec.Struct]) -> Json:
    return {"$ref": _SCHEMAS.format(name=kind.__name__)}


def _schemas() -> dict[str, Json]:
    messages = [kind for endpoint in ENDPOINTS for kind in (endpoint.request, endpoint.response) if kind is not None]
    _, schemas = msgspec.json.schema_components([*messages, Problem], schema_hook=_any_value, ref_template=_SCHEMAS)
    for kind in _with_parts([*messages, Problem]):
        schema = schemas[kind.__name__]
        schema["description"] = inspect.cleandoc(kind.__doc__ or "")
        for field in msgspec.structs.fields(kind):
            types = (field.type, *get_args(field.type))
            if datetime in types:
                _complete(schema["properties"][field.encode_name], {"format": "date-time"})
            if Decimal in types:
                _complete(schema["properties"][field.encode_name], {"type": ["number", "string"]})
    return dict(sorted(schemas.items()))


def _any_value(_: type) -> Json:
    # The only type that msgspec has no schema for is `object`, as in the details of an audit entry.
    return {"description": "Any JSON value."}


def _complete(schema: Json, known_better: Json) -> None:
    """Add what msgspec does not say of instants, and of decimals, which it reads as numbers too."""
    for option in (schema, *cast("list[Json]", schema.get("anyOf", []))):
        if option.get("type") == "string":
            option.update(known_better)


def _with_parts(kinds: Iterable[type]) -> set[type[msgspec.Struct]]:
    """Return all structs among some types and, however deep, among their fields."""
    found: set[type[msgspec.Struct]] = set()
    waiting: list[object] = list(kinds)
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            if kind not in found:
                found.add(kind)
                waiting += [field.type for field in msgspec.structs.fields(kind)]
        else:
            waiting += get_args(kind)
    return found
