"""Whatever is wrong with a body, the answer names it, and nothing has happened."""

from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from server.db.engine import DB
from server.openapi.examples import EXAMPLES
from shared.endpoints import BY_OPERATION, ENDPOINTS
from tests.api.conformity import check_problem
from tests.api.mutations import Mutation, body_mutations, field_mutations, strange_bodies, too_large
from tests.api.shop import Shop

WITH_BODY = {row.operation: row.request for row in ENDPOINTS if row.request is not None}
JSON = {"Content-Type": "application/json"}


def named_fields(answer: httpx.Response) -> list[str]:
    return [wrong.field for wrong in check_problem(answer).errors]


@pytest.mark.parametrize("row", WITH_BODY)
async def test_a_wrong_field_is_refused_by_its_name_and_changes_nothing(shop: Shop, row: str) -> None:
    before = await shop.snapshot()
    for mutation in field_mutations(WITH_BODY[row]):
        answer = await shop.send(row, content=mutation.body, add=JSON)
        if row == "push_orders" and answer.status_code == 200:
            await check_refused_by_itself(answer, mutation)
            continue
        assert 400 <= answer.status_code < 500, f"{mutation}: {answer.text}"
        assert answer.status_code != 429, mutation
        fields = named_fields(answer)
        assert len(fields) == 1, f"{mutation}: {answer.text}"
        assert fields[0] in mutation.fields, f"{mutation}: {answer.text}"
    assert await shop.snapshot() == before


async def check_refused_by_itself(answer: httpx.Response, mutation: Mutation) -> None:
    """Check the one refusal of a batch that is a batch, and forget its answer, which is all that stays of it."""
    (result,) = answer.json()["results"]
    assert [f"orders[0].{wrong['field']}" for wrong in result["problem"]["errors"]] == [mutation.fields[0]], mutation
    await DB.fetch("delete from idempotency_key where operation = 'push_orders'")


@pytest.mark.parametrize("row", WITH_BODY)
async def test_no_strange_value_is_too_much(shop: Shop, row: str) -> None:
    for body in strange_bodies(WITH_BODY[row]):
        # Every answer is checked as it arrives: a refusal of ours, or a good answer as described.
        await shop.send(row, content=body, add=JSON)
        await DB.fetch("delete from throttle_counter")


async def test_a_body_that_is_wrong_as_a_whole_is_refused_and_changes_nothing(shop: Shop) -> None:
    before = await shop.snapshot()
    for row, kind in WITH_BODY.items():
        for mutation in body_mutations(kind):
            answer = await shop.send(row, content=mutation.body, add=JSON)
            assert check_problem(answer).code == "INVALID_REQUEST", f"{row}: {mutation.name}"
    assert await shop.snapshot() == before


async def test_a_body_of_another_type_or_coding_is_refused_and_changes_nothing(shop: Shop) -> None:
    before = await shop.snapshot()
    for row, kind in WITH_BODY.items():
        await check_types(shop, row, kind)
    assert await shop.snapshot() == before


async def check_types(shop: Shop, row: str, kind: type[msgspec.Struct]) -> None:
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonp",
        "",
    ):
        answer = await shop.send(row, json=EXAMPLES[kind], add={"Content-Type": content_type})
        assert check_problem(answer).code == "UNSUPPORTED_MEDIA_TYPE", content_type
    for coding in ("gzip", "deflate", "br", "identity, gzip", "x"):
        answer = await shop.send(row, json=EXAMPLES[kind], add={"Content-Encoding": coding})
        assert check_problem(answer).code == "UNSUPPORTED_MEDIA_TYPE", coding


async def test_a_body_over_the_limit_is_refused_however_it_arrives(shop: Shop) -> None:
    before = await shop.snapshot()
    for row, kind in WITH_BODY.items():
        await check_sizes(shop, row, too_large(kind, BY_OPERATION[row].body_bytes_max))
    assert await shop.snapshot() == before


async def check_sizes(shop: Shop, row: str, body: bytes) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 4096):
            yield body[start : start + 4096]

    for content in (body, body + b" " * 200_000, chunks()):
        assert check_problem(await shop.send(row, content=content, add=JSON)).code == "BODY_TOO_LARGE"
    for lie in ("9" * 500, str(BY_OPERATION[row].body_bytes_max + 1)):
        answer = await shop.send(row, content=b"{}", add=JSON | {"Content-Length": lie})
        assert check_problem(answer).code == "BODY_TOO_LARGE", lie
    for lie in ("", "-1", "x", "\u0663", "1e9", "0"):
        answer = await shop.send(row, content=body, add=JSON | {"Content-Length": lie.encode()})  # type: ignore[dict-item]
        assert check_problem(answer).code in ("BODY_TOO_LARGE", "INVALID_REQUEST"), lie


async def test_a_good_body_is_read_whatever_parameters_its_type_has(shop: Shop) -> None:
    for row in WITH_BODY:
        await check_good_types(shop, row)


async def check_good_types(shop: Shop, row: str) -> None:
    for content_type in ("application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8; x=y"):
        answer = await shop.send(row, add={"Content-Type": content_type})
        assert answer.status_code not in (413, 415), answer.text
        if answer.status_code == 400:
            assert check_problem(answer).code != "INVALID_REQUEST", answer.text
