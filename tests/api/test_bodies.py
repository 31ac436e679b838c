"""Whatever is wrong with a body, the answer names it, and nothing has happened."""

from collections.abc import AsyncIterator

import httpx
import pytest

from server.db.engine import DB
from server.openapi.examples import EXAMPLES
from shared.endpoints import BY_OPERATION
from tests.api.conformity import check_problem
from tests.api.mutations import (
    MESSAGES,
    Mutation,
    body_mutations,
    field_mutations,
    some_of,
    strange_bodies,
    too_large,
)
from tests.api.shop import Shop

JSON = {"Content-Type": "application/json"}
BATCHES = {"push_orders": "orders", "push_pos_customers": "customers"}


def named_fields(answer: httpx.Response) -> list[str]:
    return [wrong.field for wrong in check_problem(answer).errors]


@pytest.mark.parametrize("row", MESSAGES)
async def test_a_wrong_field_is_refused_by_its_name_and_no_strange_value_is_too_much(shop: Shop, row: str) -> None:
    before = await shop.snapshot()
    for mutation in field_mutations(row):
        answer = await shop.send(row, content=mutation.body, add=JSON)
        if row in BATCHES and answer.status_code == 200:
            await check_refused_by_itself(answer, row, mutation)
            continue
        assert 400 <= answer.status_code < 500, f"{mutation}: {answer.text}"
        assert answer.status_code != 429, mutation
        fields = named_fields(answer)
        assert len(fields) == 1, f"{mutation}: {answer.text}"
        assert fields[0] in mutation.fields, f"{mutation}: {answer.text}"
    assert await shop.snapshot() == before
    for body in strange_bodies(row):
        # Every answer is checked as it arrives: a refusal of ours, or a good answer as described.
        if (await shop.send(row, content=body, add=JSON)).status_code == 429:
            await DB.fetch("delete from throttle_counter")


async def check_refused_by_itself(answer: httpx.Response, row: str, mutation: Mutation) -> None:
    """Check the one refusal of a batch that is a batch, and forget its answer, which is all that stays of it."""
    (result,) = answer.json()["results"]
    (wrong,) = result["problem"]["errors"]
    assert f"{BATCHES[row]}[0].{wrong['field']}".rstrip(".") in mutation.fields, mutation
    await DB.fetch("delete from idempotency_key where operation = $1", row)


async def test_a_body_that_is_wrong_as_a_whole_is_refused_and_changes_nothing(shop: Shop) -> None:
    before = await shop.snapshot()
    for turn, (row, kind) in enumerate(MESSAGES.items()):
        for mutation in some_of(body_mutations(kind), 5, turn=turn):
            answer = await shop.send(row, content=mutation.body, add=JSON)
            assert check_problem(answer).code == "INVALID_REQUEST", f"{row}: {mutation.name}"
    assert await shop.snapshot() == before


OTHER_TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", "")
CODINGS = ("gzip", "deflate", "br", "identity, gzip", "x")


async def test_a_body_of_another_type_or_coding_is_refused_and_changes_nothing(shop: Shop) -> None:
    before = await shop.snapshot()
    for turn, (row, kind) in enumerate(MESSAGES.items()):
        headers = [
            *({"Content-Type": content_type} for content_type in some_of(OTHER_TYPES, 2, turn=turn)),
            *({"Content-Encoding": coding} for coding in some_of(CODINGS, 2, turn=turn)),
        ]
        for header in headers:
            answer = await shop.send(row, json=EXAMPLES[kind], add=header)
            assert check_problem(answer).code == "UNSUPPORTED_MEDIA_TYPE", f"{row}: {header}"
    assert await shop.snapshot() == before


LENGTHS_TOO_SMALL = ("", "-1", "x", "\u0663", "1e9", "0")


async def test_a_body_over_the_limit_is_refused_however_it_arrives(shop: Shop) -> None:
    before = await shop.snapshot()
    for turn, (row, kind) in enumerate(MESSAGES.items()):
        await check_sizes(shop, row, too_large(kind, BY_OPERATION[row].body_bytes_max), turn=turn)
    assert await shop.snapshot() == before


async def check_sizes(shop: Shop, row: str, body: bytes, *, turn: int) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 4096):
            yield body[start : start + 4096]

    for content in (body, chunks()):
        assert check_problem(await shop.send(row, content=content, add=JSON)).code == "BODY_TOO_LARGE", row
    lies = ("9" * 500, str(BY_OPERATION[row].body_bytes_max + 1))
    answer = await shop.send(row, content=b"{}", add=JSON | {"Content-Length": lies[turn % 2]})
    assert check_problem(answer).code == "BODY_TOO_LARGE", row
    for lie in some_of(LENGTHS_TOO_SMALL, 2, turn=turn):
        answer = await shop.send(row, content=body, add=JSON | {"Content-Length": lie.encode()})  # type: ignore[dict-item]
        assert check_problem(answer).code in ("BODY_TOO_LARGE", "INVALID_REQUEST"), f"{row}: {lie}"


GOOD_TYPES = ("application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8; x=y")


async def test_a_good_body_is_read_whatever_parameters_its_type_has(shop: Shop) -> None:
    for turn, row in enumerate(MESSAGES):
        (content_type,) = some_of(GOOD_TYPES, 1, turn=turn)
        answer = await shop.send(row, add={"Content-Type": content_type})
        assert answer.status_code not in (413, 415), answer.text
        if answer.status_code == 400:
            assert check_problem(answer).code != "INVALID_REQUEST", answer.text
