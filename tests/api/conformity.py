"""What every answer of the API must look like, checked on each one that a test receives."""

import re
from typing import Any

import httpx
import msgspec

from server.openapi import openapi_document
from shared.endpoints import ENDPOINTS, Caller, Endpoint
from shared.problems import Problem

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "strict-transport-security": "max-age=31536000",
}
# What a refusal must never tell: code, queries, paths and versions.
LEAKS = re.compile(
    r"Traceback|File \"|\.py\b|asyncpg|psycopg|litestar|msgspec|select |insert into|\d\.\d+\.\d|/work/", re.IGNORECASE
)

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\})", path)
    return re.compile(
        "".join((_UUID if "_id}" in part else "[^/]+") if part[:1] == "{" else re.escape(part) for part in parts)
    )


_PATTERNS = [(row, _pattern(row.path)) for row in ENDPOINTS]


def find_endpoint(method: str, path: str) -> Endpoint | None:
    """Return the row of the table that a request belongs to."""
    return next((row for row, pattern in _PATTERNS if row.method == method and pattern.fullmatch(path)), None)


class Conformity:
    """Checks answers against the table, the OpenAPI document and the rules for all of them."""

    def __init__(self) -> None:
        self._paths: dict[str, Any] = openapi_document()["paths"]  # type: ignore[assignment]

    async def check(self, answer: httpx.Response) -> None:
        """Fail unless an answer is as the API promises; an httpx event hook."""
        await answer.aread()
        self._check_headers(answer)
        endpoint = find_endpoint(answer.request.method, answer.request.url.path)
        if answer.status_code >= 400 and answer.request.method != "HEAD":
            check_problem(answer)
        if endpoint is not None:
            self._check_answer(answer, endpoint)

    def _check_headers(self, answer: httpx.Response) -> None:
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers.get_list(name) == [value], name
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert len(answer.headers.get_list("cache-control")) == 1
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
        assert answer.headers.get("content-type", "").count("charset") <= 1
        assert not {"server", "x-powered-by"} & set(answer.headers)
        if "authorization" in answer.request.headers:
            assert answer.headers["cache-control"] == "no-store" or answer.request.url.path.startswith(
                ("/schema", "/pages")
            )

    def _check_answer(self, answer: httpx.Response, endpoint: Endpoint) -> None:
        operation = self._paths[endpoint.path][endpoint.method.lower()]
        told = operation["responses"].get(str(answer.status_code))
        where = f"{endpoint.operation} answered {answer.status_code}: {answer.text[:300]}"
        assert told is not None, where
        if answer.status_code >= 400:
            examples = told["content"]["application/problem+json"]["examples"]
            assert answer.json()["code"] in examples, where
        elif endpoint.response is not None:
            assert answer.headers["content-type"] == "application/json", where
            message = msgspec.json.decode(answer.content, type=endpoint.response)
            # Nothing is in the answer that the message does not have.
            assert msgspec.json.decode(msgspec.json.encode(message)) == answer.json(), where
        elif answer.status_code == 204:
            assert answer.content == b"", where
        else:
            media_type = answer.headers["content-type"].partition(";")[0]
            assert media_type == endpoint.media_type or endpoint.media_type == "text/*", where
        if endpoint.caller is not Caller.ANYONE:
            assert answer.headers["cache-control"] == "no-store", where


def check_problem(answer: httpx.Response) -> Problem:
    """Return the problem document of a refusal, which must be one of ours and say nothing it should not."""
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.headers["cache-control"] == "no-store"
    problem = msgspec.json.decode(answer.content, type=Problem)
    assert problem.status == answer.status_code
    assert problem.type == f"urn:regulars:problem:{problem.code.lower().replace('_', '-')}"
    assert problem.instance == f"urn:regulars:request:{answer.headers['x-request-id']}"
    assert not LEAKS.search(answer.text), answer.text
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"] == 'Bearer realm="regulars"'
    if answer.status_code in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    if answer.status_code == 405:
        assert answer.headers["allow"]
    return problem
