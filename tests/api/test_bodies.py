"""Whatever is wrong with a body, the answer names it, and nothing has happened."""

from collections.abc import AsyncIterator

import httpx
import pytest

from server.openapi.examples import EXAMPLES
from shared.endpoints import ENDPOINTS, Endpoint
from tests.api.conformity import check_problem
from tests.api.mutations import body_mutations, field_mutations, too_large
from tests.api.shop import Shop

WITH_BODY = [row for row in ENDPOINTS if row.request is not None]
JSON = {"Content-Type": "application/json"}

each = pytest.mark.parametrize("row", WITH_BODY, ids=lambda row: row.operation)


def named_fields(answer: httpx.Response) -> list[str]:
    return [wrong.field for wrong in check_problem(answer).errors]


@each
async def test_a_wrong_field_is_refused_by_its_name_and_changes_nothing(shop: Shop, row: Endpoint) -> None:
    assert row.request is not None
    before = await shop.snapshot()
    for mutation in field_mutations(row.request):
        answer = await shop.send(row, content=mutation.body, add=JSON)
        assert 400 <= answer.status_code < 500, f"{mutation}: {answer.text}"
        assert answer.status_code != 429, mutation
        fields = named_fields(answer)
        assert fields == ([""] if mutation.field is None else [mutation.field]), f"{mutation}: {answer.text}"
    assert await shop.snapshot() == before


@each
async def test_a_wrong_body_is_refused_and_changes_nothing(shop: Shop, row: Endpoint) -> None:
    assert row.request is not None
    before = await shop.snapshot()
    for mutation in body_mutations(row.request):
        answer = await shop.send(row, content=mutation.body, add=JSON)
        assert check_problem(answer).code == "INVALID_REQUEST", mutation.name
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonp",
        "",
    ):
        answer = await shop.send(row, json=EXAMPLES[row.request], add={"Content-Type": content_type})
        assert check_problem(answer).code == "UNSUPPORTED_MEDIA_TYPE", content_type
    for coding in ("gzip", "deflate", "br", "identity, gzip", "x"):
        answer = await shop.send(row, json=EXAMPLES[row.request], add={"Content-Encoding": coding})
        assert check_problem(answer).code == "UNSUPPORTED_MEDIA_TYPE", coding
    assert await shop.snapshot() == before


@each
async def test_a_body_over_the_limit_is_refused_however_it_arrives(shop: Shop, row: Endpoint) -> None:
    assert row.request is not None
    before = await shop.snapshot()
    body = too_large(row.request)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 4096):
            yield body[start : start + 4096]

    for content in (body, body + b" " * 200_000, chunks()):
        assert check_problem(await shop.send(row, content=content, add=JSON)).code == "BODY_TOO_LARGE"
    for lie in ("9" * 500, "70000"):
        answer = await shop.send(row, content=b"{}", add=JSON | {"Content-Length": lie})
        assert check_problem(answer).code == "BODY_TOO_LARGE", lie
    for lie in ("", "-1", "x", "٣", "1e9", "0"):
        answer = await shop.send(row, content=body, add=JSON | {"Content-Length": lie.encode()})  # type: ignore[dict-item]
        assert check_problem(answer).code == "BODY_TOO_LARGE", lie
    assert await shop.snapshot() == before


@each
async def test_a_good_body_is_read_whatever_parameters_its_type_has(shop: Shop, row: Endpoint) -> None:
    for content_type in ("application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8; x=y"):
        answer = await shop.send(row, add={"Content-Type": content_type})
        assert answer.status_code not in (413, 415), answer.text
        if answer.status_code == 400:
            assert check_problem(answer).code != "INVALID_REQUEST", answer.text
