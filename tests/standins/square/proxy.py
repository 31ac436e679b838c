"""A proxy that holds both sides to Square's own API description: what is sent, and what is answered.

It stands between the connector and the stand-in, on loopback, so that neither can drift from Square's words together with
the other. What breaks the description is answered with 500, is kept in `broken`, and fails whoever closes the proxy.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from openapi_schema_validator import OAS30ReadValidator, OAS30WriteValidator, oas30_format_checker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from tests.standins.square.loopback import JsonServer

_DOCUMENT: Final = Path(__file__).with_name("api-2025-08-20.json")
_ADDRESS: Final = "urn:square"
_WAIT_SECONDS: Final = 10
_WORDS_MAX: Final = 120
# Straight to loopback, whatever the machine says about the way to other places.
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))

Json = dict[str, Any]


class ContractProxy:
    """Passes requests on to a server that answers as Square does; use it as a context manager.

    Args:
        upstream: Address of the server behind it.
    """

    def __init__(self, upstream: str) -> None:
        self.broken: list[str] = []
        self.passed: list[str] = []
        self._upstream = upstream
        self._server = JsonServer(self._pass_on)

    @property
    def url(self) -> str:
        return self._server.url

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        assert self.broken == [], "Square's API description is broken"

    def _pass_on(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes, Mapping[str, str]]:
        kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")}
        request = urllib.request.Request(self._upstream + path, data=body or None, headers=kept, method=method)
        told: dict[str, str] = {}

        def send() -> tuple[int, bytes]:
            try:
                with _OPENER.open(request, timeout=_WAIT_SECONDS) as response:
                    return response.status, response.read()
            except urllib.error.HTTPError as refusal:
                with refusal:
                    told.update({"Retry-After": refusal.headers["Retry-After"] or "0"})
                    return refusal.code, refusal.read()

        status, answer = self.carry(method, path.partition("?")[0], body, send)
        return status, answer, told

    def carry(self, method: str, path: str, body: bytes, send: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
        """Return the answer of the server behind, if request and answer are as described; else 500 with what is not."""
        call = _find_call(method, path)
        wrong = list(_wrong_in_request(call, method, path, body))
        if not wrong:
            status, answer = send()
            wrong = list(_wrong_in_answer(call, status, answer))
            if not wrong:
                self.passed.append(call)
                return status, answer
        self.broken += wrong
        return 500, json.dumps({"broken": wrong}).encode()


def _find_call(method: str, path: str) -> str:
    """Return the pointer of a call in the description; empty if there is none."""
    parts = path.strip("/").split("/")
    for template, methods in _description()["paths"].items():
        wanted = template.strip("/").split("/")
        fits = len(wanted) == len(parts) and all(
            one == other or one.startswith("{") for one, other in zip(wanted, parts, strict=True)
        )
        if fits and method.lower() in methods:
            return f"/paths/{template.replace('~', '~0').replace('/', '~1')}/{method.lower()}"
    return ""


def _wrong_in_request(call: str, method: str, path: str, body: bytes) -> Iterator[str]:
    if not call:
        yield f"{method} {path}: there is no such call"
    elif method != "GET":
        yield from _wrong(f"{call}/requestBody/content/application~1json/schema", body, is_request=True)


def _wrong_in_answer(call: str, status: int, body: bytes) -> Iterator[str]:
    if status == 200:
        yield from _wrong(f"{call}/responses/200/content/application~1json/schema", body, is_request=False)
    elif status < 500:
        # The description has one shape for whatever is refused; a server in trouble may say anything.
        yield from _wrong("/components/schemas/Refusal", body, is_request=False)


def _wrong(pointer: str, body: bytes, *, is_request: bool) -> Iterator[str]:
    side = "request" if is_request else "answer"
    try:
        value = json.loads(body)
    except ValueError:
        yield f"{pointer}: {side} is not JSON"
        return
    for error in _validator(pointer, is_request=is_request).iter_errors(value):
        place = ".".join(str(part) for part in error.absolute_path)
        yield f"{pointer}: {side} {place}: {error.message[:_WORDS_MAX]}"


@cache
def _validator(pointer: str, *, is_request: bool) -> Any:  # noqa: ANN401 - a class that the library makes at run time
    kind = OAS30WriteValidator if is_request else OAS30ReadValidator
    resource = Resource.from_contents(_description(), default_specification=DRAFT4)
    registry: Registry[Any] = Registry().with_resource(_ADDRESS, resource)
    return kind({"$ref": f"{_ADDRESS}#{pointer}"}, registry=registry, format_checker=oas30_format_checker)


@cache
def _description() -> Json:
    description: Json = json.loads(_DOCUMENT.read_text("utf-8"))
    schemas = description["components"]["schemas"]
    for schema in schemas.values():
        if "properties" in schema:
            # Square refuses a field that it does not know, and never sends one that is not described.
            schema.setdefault("additionalProperties", False)
    schemas["Refusal"] = {
        "type": "object",
        "required": ["errors"],
        "properties": {"errors": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Error"}}},
    }
    return description
